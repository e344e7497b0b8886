"""The random changes of a training's images: every one drawn again from the seed, and written."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from medvision.cli._training.fitting import Job, describe_training, list_shown
from medvision.io.tables import Cell, write_packed_table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from medvision.augment.batch import AugmentParameters

CHANGE_COLUMNS = (
    *("epoch", "step", "row", "image_id", "flips", "shift_i", "shift_j"),
    *("turn_deg", "zoom", "gain", "noise_sd", "noise_seed"),
)


def write_changes(job: Job, *, seed: int, n_epochs: int) -> None:
    """Write what every training image underwent, where there is something to tell.

    Args:
        job: Arm, fold, settings and data.
        seed: Seed of the network.
        n_epochs: Epochs that it was trained for.

    Raises:
        StorageError: The file cannot be written.
    """
    if not any(dict(job.settings.augment).values()) or not job.settings.train.record_changes:
        return
    path = job.step.layout.seed(job.arm, job.fold, seed=seed) / "changes.tsv.gz"
    rows = list_changes(job, seed=seed, n_epochs=n_epochs)
    write_packed_table(job.step.write(path), rows, columns=CHANGE_COLUMNS)


def list_changes(job: Job, *, seed: int, n_epochs: int) -> Iterator[dict[str, Cell]]:
    """Draw the changes of a training again, without training.

    The training draws its order and its changes from one generator, and nothing else from that
    one, so that both are known from the seed whether or not the training was interrupted.

    Args:
        job: Arm, fold, settings and data.
        seed: Seed of the network.
        n_epochs: Epochs that it was trained for.

    Yields:
        A row for each image of each step: epoch and step from 1, row in the step from 0, and the
        numbers in full, so that `apply_parameters` gives the same bits.
    """
    import torch

    from medvision.augment.batch import draw_parameters
    from medvision.learn.dataset import draw_order, split_order
    from medvision.runtime.seeds import derive_seed

    settings = describe_training(job)[0]
    chosen = list_shown(job, seed)
    names, labels = [item.image_id for item in chosen], job.data.examples(chosen).labels
    generator = torch.Generator().manual_seed(derive_seed("train", job.fold, seed))
    for epoch in range(1, n_epochs + 1):
        order = draw_order(labels, imbalance=settings.imbalance, generator=generator)
        for step, batch in enumerate(split_order(order, settings.batch_size), start=1):
            drawn = draw_parameters(
                generator,
                n_images=len(batch),
                spatial_dims=job.data.store.spatial_dims,
                **dict(job.settings.augment),
            )
            for row in _describe(drawn, batch, names=names):
                yield {"epoch": epoch, "step": step, **row}


def _describe(
    drawn: "AugmentParameters", batch: "NDArray[np.int64]", *, names: list[str]
) -> Iterator[dict[str, Cell]]:
    """Yield what became of each image of one step."""
    for row, position in enumerate(batch.tolist()):
        yield {
            "row": row,
            "image_id": names[position],
            "flips": " ".join(map(str, drawn.flips[row])),
            "shift_i": drawn.shifts_voxels[row][0],
            "shift_j": drawn.shifts_voxels[row][1],
            "turn_deg": repr(drawn.turns_deg[row]),
            "zoom": repr(drawn.zooms[row]),
            "gain": repr(drawn.gains[row]),
            "noise_sd": repr(drawn.noise_sd),
            "noise_seed": drawn.noise_seed,
        }
