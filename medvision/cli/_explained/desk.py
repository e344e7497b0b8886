"""Where the methods get images and networks, and hand in maps."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from medvision.cli._explained.case_images import load_case_image
from medvision.cli._explained.peaks import find_peak
from medvision.cli._run import Step
from medvision.cli._training.learning import LearningData
from medvision.domain.geometry import Affine
from medvision.domain.volume import FloatGrid
from medvision.io.tables import Cell, read_table
from medvision.runtime.arrays import ArrayStore

if TYPE_CHECKING:
    import torch

    from medvision.explain.bench import Hands
    from medvision.explain.case import Case, CaseImage, Trained

MAPS, CONTROLS = "maps", "controls"
"""Folders of the methods' maps and of the controls', below that of the step."""


@dataclass(frozen=True)
class Desk:
    """Where the methods get images and networks, and hand in maps.

    Args:
        step: The running step; what is read and written is registered with it.
        store: The preprocessed images.
        masked: Images that have a mask.
        placed: Images whose place in space is known.
        peaks: Of each map that was handed in, where it is largest.
    """

    step: Step
    store: ArrayStore
    masked: frozenset[str]
    placed: frozenset[str]
    peaks: "list[dict[str, Cell]]" = field(default_factory=list)

    def lend_hands(self, device: "torch.device", *, is_exclusive: bool) -> "Hands":
        """Return what the methods are given.

        Args:
            device: Where the networks work.
            is_exclusive: Whether an image has one class alone, and not several findings.
        """
        from medvision.explain.bench import Hands

        return Hands(
            load_image=self.load_image,
            load_network=self.load_network,
            save_map=self.save_map,
            device=device,
            is_exclusive=is_exclusive,
            save_control=self.save_control,
        )

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
        self.peaks.extend(find_peak(self.step, image_id, method, grid=grid, affine=affine))
        return self._write(MAPS, image_id, method, grid=grid, affine=affine)

    def save_control(self, image_id: str, method: str, *, grid: FloatGrid, affine: Affine) -> str:
        """Write the map of a control beside those of the methods, to be looked at."""
        return self._write(CONTROLS, image_id, method, grid=grid, affine=affine)

    def _write(
        self, folder: str, image_id: str, name: str, *, grid: FloatGrid, affine: Affine
    ) -> str:
        """Write a map below the step's own folder."""
        from medvision.io.nifti.write import write_nifti

        path = find_map(self.step.layout.step(self.step.name), folder, image_id, name)
        is_placed = image_id in self.placed
        return write_nifti(self.step.write(path), grid, affine=affine, is_placed=is_placed)


def find_map(root: Path, folder: str, image_id: str, name: str) -> Path:
    """Return where a map lies.

    Args:
        root: Folder of the step that writes it.
        folder: `MAPS` or `CONTROLS`.
        image_id: The explained image.
        name: Method or control.
    """
    return root / folder / image_id / f"{name}.nii.gz"


def open_desk(step: Step, data: LearningData) -> Desk:
    """Read which images have masks, and which have a place in space.

    Args:
        step: The running step; what is read is registered with it.
        data: The preprocessed images.
    """
    layout = step.layout
    cohort = read_table(step.read(layout.cohort), required=("image_id", "mask"))
    manifest = read_table(step.read(layout.manifest), required=("image_id", "geometry"))
    return Desk(
        step=step,
        store=data.store,
        masked=frozenset(row["image_id"] for row in cohort if row["mask"]),
        placed=frozenset(row["image_id"] for row in manifest if row["geometry"] == "full"),
    )
