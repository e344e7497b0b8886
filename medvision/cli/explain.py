"""`medvision explain`: attribute a recorded selection of test predictions, and check the maps."""

import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from medvision.cli._cohort.summary import read_classes
from medvision.cli._explained.case_images import load_case_image
from medvision.cli._explained.influence import COLUMNS, Influences, find_influences
from medvision.cli._explained.peaks import COLUMNS as PEAK_COLUMNS
from medvision.cli._explained.peaks import find_peak
from medvision.cli._explained.planning import check_plan
from medvision.cli._run import Step, open_step, study_command
from medvision.cli._steps import list_trained
from medvision.cli._training.learning import LearningData, prepare_device, read_learning_data
from medvision.cli.predict import PREDICTION_COLUMNS
from medvision.config.model import Study
from medvision.domain.geometry import Affine
from medvision.domain.synthesis.synthetic import check_real
from medvision.domain.volume import FloatGrid
from medvision.io.tables import Cell, read_table, write_table
from medvision.layout import Layout
from medvision.runtime.arrays import ArrayStore
from medvision.runtime.files import write_json
from medvision.runtime.machine import describe_machine

if TYPE_CHECKING:
    import torch

    from medvision.explain.case import Case, CaseImage, Trained
    from medvision.explain.study import Outcome


CONTROLS = "controls"
"""Folder of the controls' maps, below that of the step."""


@study_command(
    "explain",
    help="Attribute the planned test predictions with Captum, return the maps to the "
    "source images' geometry, and check them.",
    example="medvision explain --set explain.images=4",
)
def command(study: Study, layout: Layout) -> None:
    """Explain test images with the models that never saw them."""
    upstream = ("ingest", "cohort", "preprocess", "predict", "plan", *list_trained(study, layout))
    with open_step("explain", study, upstream=upstream) as step:
        _explain(study, step)


def _explain(study: Study, step: Step) -> None:
    """Introduce predictions, images and networks to the methods, and write what they give."""
    from medvision.explain.study import explain_predictions

    layout = step.layout
    check_plan(step)
    # Maps of an earlier selection would be files that no record accounts for.
    for folder in (layout.maps, layout.step("explain") / CONTROLS):
        shutil.rmtree(folder, ignore_errors=True)
    step.seed = study.explain.seed
    device = prepare_device(step)
    data = read_learning_data(step)
    desk = _open_desk(step, data)
    values = dict(study.explain)
    del values["influence"], values["influence_images"]
    predictions = read_table(step.read(layout.predictions), required=PREDICTION_COLUMNS)
    check_real(predictions, where="predict/predictions.tsv")
    outcome = explain_predictions(
        predictions,
        read_classes(step.read(layout.cohort_summary)),
        load_image=desk.load_image,
        load_network=desk.load_network,
        save_map=desk.save_map,
        save_control=desk.save_control,
        device=device,
        **values,
    )
    order = [row["image_id"] for row in outcome.selection]
    peaks = sorted(desk.peaks, key=lambda row: order.index(row["image_id"]))
    influences = _find_influences(step, data, outcome, device=device)
    _write(step, outcome, influences, peaks=peaks)


def _find_influences(
    step: Step, data: LearningData, outcome: "Outcome", *, device: "torch.device"
) -> Influences:
    """Look for the train images that stand beside each explained one."""
    from medvision.explain.network import reference_precision

    places = {
        str(row["image_id"]): (str(row["arm"]), int(str(row["fold"])), int(str(row["seed"])))
        for row in outcome.selection
    }
    with reference_precision():
        return find_influences(step, data, places, device=device)


@dataclass(frozen=True)
class _Desk:
    """Where the methods get images and networks, and hand in maps."""

    step: Step
    store: ArrayStore
    masked: frozenset[str]
    placed: frozenset[str]
    peaks: "list[dict[str, Cell]]" = field(default_factory=list)

    def load_image(self, case: "Case") -> "CaseImage":
        """Return an image's array, its geometry, and its mask where there is one."""
        return load_case_image(self.step, self.store, case.image_id, masked=self.masked)

    def load_network(self, case: "Case") -> "Trained":
        """Return the network of the case's fold and seed."""
        from medvision.explain.case import Trained
        from medvision.learn.backbones import build_backbone, gradcam_layer
        from medvision.runtime.checkpoint import load_model

        path = self.step.layout.model(case.arm, case.fold, seed=case.seed)
        network, meta = load_model(self.step.read(path), build=build_backbone)
        return Trained(network, meta.classes, gradcam_layer(meta.backbone))

    def save_map(self, image_id: str, method: str, *, grid: FloatGrid, affine: Affine) -> str:
        """Write a map with the source's affine, note its peak, and return the file's digest."""
        from medvision.io.nifti.write import write_nifti

        self.peaks.extend(find_peak(self.step, image_id, method, grid=grid, affine=affine))
        path = self.step.write(self.step.layout.attribution(image_id, method))
        return write_nifti(path, grid, affine=affine, is_placed=image_id in self.placed)

    def save_control(self, image_id: str, method: str, *, grid: FloatGrid, affine: Affine) -> str:
        """Write the map of a control beside those of the methods, to be looked at."""
        from medvision.io.nifti.write import write_nifti

        path = self.step.layout.step("explain") / CONTROLS / image_id / f"{method}.nii.gz"
        is_placed = image_id in self.placed
        return write_nifti(self.step.write(path), grid, affine=affine, is_placed=is_placed)


def _open_desk(step: Step, data: LearningData) -> _Desk:
    """Read which images have masks, and which have a place in space."""
    layout = step.layout
    cohort = read_table(step.read(layout.cohort), required=("image_id", "mask"))
    manifest = read_table(step.read(layout.manifest), required=("image_id", "geometry"))
    return _Desk(
        step=step,
        store=data.store,
        masked=frozenset(row["image_id"] for row in cohort if row["mask"]),
        placed=frozenset(row["image_id"] for row in manifest if row["geometry"] == "full"),
    )


def _write(
    step: Step, outcome: "Outcome", influences: Influences, *, peaks: list[dict[str, Cell]]
) -> None:
    """Write the tables and the summary."""
    from medvision.explain.tables import (
        ATTRIBUTION_COLUMNS,
        CASCADE_COLUMNS,
        CHECK_COLUMNS,
        SELECTION_COLUMNS,
        STABILITY_COLUMNS,
        VERDICT_COLUMNS,
    )

    layout = step.layout
    for path, rows, columns in (
        (layout.selection, outcome.selection, SELECTION_COLUMNS),
        (layout.attributions, outcome.attributions, ATTRIBUTION_COLUMNS),
        (layout.checks, outcome.checks, CHECK_COLUMNS),
        (layout.table("explain", "verdicts"), outcome.verdicts, VERDICT_COLUMNS),
        (layout.table("explain", "influence"), influences.rows, COLUMNS),
        (layout.table("explain", "cascade"), outcome.cascade, CASCADE_COLUMNS),
        (layout.table("explain", "stability"), outcome.stability, STABILITY_COLUMNS),
        (layout.table("explain", "peaks"), peaks, PEAK_COLUMNS),
    ):
        write_table(step.write(path), rows, columns=columns)
    told = influences.summarise(step.study.explain.influence)
    write_json(step.write(layout.explain_summary), outcome.summary | {"influence": told})
    step.facts |= outcome.facts | {"machine": describe_machine()}
