"""The cases, the plan and the networks of a bundle, for all that is computed again of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from medvision.cli._recompute.images import Preparation, Prepared
from medvision.cli._recompute.request import ATTRIBUTIONS, Pair, Request
from medvision.cli._recompute.sealed import read_parameters
from medvision.cli._recompute.told import build_case
from medvision.config.explain import ExplainSection
from medvision.domain.record import JsonValue
from medvision.domain.volume import FloatGrid
from medvision.errors import AuditError
from medvision.io.tables import Row, read_table
from medvision.runtime.files import read_json

if TYPE_CHECKING:
    from medvision.explain.again import Desk
    from medvision.explain.case import Case, CaseImage, Trained
    from medvision.explain.one import Plan

Model = tuple[str, int, int]
"""Arm, fold and seed."""


@dataclass
class Scene:
    """A bundle's explanations, opened for computing again; what was opened once is kept.

    Args:
        request: What the auditor asks.
        section: The recorded settings of explain.
        record: The record of explain.
        rows: (image, method) to the row of its map.
        cases: Image to its case.
        masked: Image to the digest of its mask, of those that have one.
    """

    request: Request
    section: ExplainSection
    record: Mapping[str, JsonValue]
    rows: Mapping[Pair, Row]
    cases: "Mapping[str, Case]"
    masked: frozenset[str]
    _preparation: Preparation | None = None
    _prepared: dict[str, Prepared] = field(default_factory=dict)
    _desks: "dict[Model, Desk]" = field(default_factory=dict)

    @property
    def plan(self) -> "Plan":
        """Methods and parameters, as recorded."""
        return build_recorded_plan(self.section)

    @property
    def is_exclusive(self) -> bool:
        """Say whether an image has one class alone, and not several findings."""
        summary = read_json(self.request.locate("explain/summary.json"))
        return not isinstance(summary, dict) or summary.get("task") != "multilabel"

    def prepare(self, image_id: str) -> Prepared:
        """Return a source image, preprocessed again.

        Raises:
            MissingSourceError: It is not in the auditor's folder.
            MedvisionError: It is another image, or cannot be used.
        """
        if image_id not in self._prepared:
            self._prepared[image_id] = self.prepare_once(image_id)
        return self._prepared[image_id]

    def prepare_once(self, image_id: str) -> Prepared:
        """Return a source image, preprocessed again, and keep nothing: there may be thousands.

        Raises:
            MedvisionError: As `prepare`.
        """
        if self._preparation is None:
            self._preparation = Preparation(self.request)
        return self._preparation.prepare(image_id)

    def load_image(self, case: "Case", *, with_mask: bool = False) -> "CaseImage":
        """Return a case's array and geometry, computed again from its source.

        Raises:
            MedvisionError: As `prepare`; of the mask too, where that is wanted.
        """
        from medvision.explain.case import CaseImage
        from medvision.io.nifti.read import read_nifti

        found, mask = self.prepare(case.image_id), None
        if with_mask and case.image_id in self.masked:
            path = self.request.find_source(f"cohort/masks/{case.image_id}.nii.gz")
            mask = np.asarray(read_nifti(path).array) > 0
        return CaseImage(
            array=found.array,
            tensor_affine=found.tensor_affine,
            source_affine=found.source_affine,
            source_shape=found.source_shape,
            mask=mask,
        )

    def load_network(self, case: "Case") -> "Trained":
        """Build a case's network by name and give it the tensors of the bundle; no code is read.

        Raises:
            WeightsError: The file is no safetensors, or its tensors do not fit.
            MedvisionError: The bundle has no such file.
        """
        from medvision.explain.case import Trained
        from medvision.learn.backbones import build_backbone, gradcam_layer
        from medvision.runtime.checkpoint import load_model

        arm, fold, seed = name_model(case)
        path = f"train/{arm}/fold-{fold}/seed-{seed}/model.safetensors"
        network, meta = load_model(self.request.locate(path), build=build_backbone)
        return Trained(network, meta.classes, gradcam_layer(meta.backbone))

    def open_desk(self, case: "Case") -> "Desk":
        """Return a case's network with its canonical copy."""
        from medvision.explain.again import open_desk

        model = name_model(case)
        if model not in self._desks:
            self._desks[model] = open_desk(self.load_network(case), self.load_image(case))
        return self._desks[model]

    def read_map(self, pair: Pair) -> FloatGrid:
        """Return a map of the bundle, (I, J, K) float32 on the source's grid.

        Raises:
            AuditError: It does not lie on the grid of its source image.
        """
        from medvision.io.nifti.read import read_nifti

        path = "explain/maps/{}/{}.nii.gz".format(*pair)
        image, source = read_nifti(self.request.locate(path)), self.prepare(pair[0])
        is_placed = np.allclose(image.affine, source.source_affine, rtol=1e-5, atol=1e-3)
        if image.array.shape != source.source_shape or not is_placed:
            raise AuditError(f"{path}: map must lie on its source image's grid, got another.")
        return image.array.astype(np.float32)


def open_scene(request: Request) -> Scene:
    """Read the cases and the settings of a bundle.

    Raises:
        MedvisionError: A file is missing or cannot be read.
        LookupError, ValueError: A table or a record is incomplete.
    """
    section = ExplainSection.model_validate(read_parameters(request.locate, "explain")["explain"])
    record = cast(Mapping[str, JsonValue], read_json(request.locate("explain/record.json")))
    _limit_threads(record)
    cohort = read_table(request.locate("cohort/cohort.tsv"), required=("image_id", "mask"))
    rows = read_table(request.locate(ATTRIBUTIONS), required=("image_id", "method"))
    cases = [
        build_case(row)
        for row in read_table(
            request.locate("explain/selection.tsv"), required=("image_id", "target")
        )
    ]
    return Scene(
        request=request,
        section=section,
        record=record,
        rows={(row["image_id"], row["method"]): row for row in rows},
        cases={case.image_id: case for case in cases},
        masked=frozenset(row["image_id"] for row in cohort if row["mask"]),
    )


def name_model(case: "Case") -> Model:
    """Return which network a case was explained with."""
    return case.arm, case.fold, case.seed


def build_recorded_plan(section: ExplainSection) -> "Plan":
    """Return the plan of recorded settings; its fields go by the names of the configuration."""
    from medvision.explain.methods import Settings
    from medvision.explain.one import Plan

    held = dict(section)
    settings: dict[str, Any] = {each.name: held[each.name] for each in fields(Settings)}
    rest: dict[str, Any] = {
        each.name: held[each.name] for each in fields(Plan) if each.name != "settings"
    }
    return Plan(settings=Settings(**settings), **rest)


def _limit_threads(record: Mapping[str, JsonValue]) -> None:
    """Take as many threads as the run did, where its record says how many."""
    from medvision.runtime.device import limit_threads

    parameters = cast(Mapping[str, Mapping[str, JsonValue]], record["parameters"])
    threads = parameters.get("compute", {}).get("threads")
    if isinstance(threads, int) and threads > 0:
        limit_threads(threads)
