"""Synthetic images among the train images of one fold, as one more part of the store."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from medvision.cli._training.learning import LearningData
from medvision.domain.split import Assignment
from medvision.domain.synthesis.synthetic import check_marked

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Drawn:
    """Synthetic images.

    Args:
        images: (n, C, I, J[, K]) float32 in the study's preprocessed intensities.
        names: Their ids, n.
        labels: Class names, n.
    """

    images: "NDArray[np.float32]"
    names: tuple[str, ...]
    labels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: Sequence[int]) -> "Drawn":
        """Return some of the images.

        Args:
            rows: Positions of those wanted, each in 0 to n - 1.
        """
        return Drawn(
            self.images[list(rows)],
            tuple(self.names[row] for row in rows),
            tuple(self.labels[row] for row in rows),
        )


def mix_images(data: LearningData, drawn: Drawn, *, fold: int) -> LearningData:
    """Return the study's images with synthetic ones among the train images of one fold.

    Each is a subject of its own, and of no other fold and split.

    Args:
        data: The study's images and folds.
        drawn: The synthetic images; with none the data come back as they are.
        fold: Whose train subjects the generator has seen.

    Raises:
        CohortError: An image has not the name of a synthetic one.
    """
    if not len(drawn):
        return data
    rows = [{"image_id": name, "synthetic": "true"} for name in drawn.names]
    check_marked(rows, where=f"synthetic images of fold {fold}")
    place = next(item for item in data.assignments if item.fold == fold)
    added = tuple(
        Assignment(
            fold=fold,
            repeat=place.repeat,
            part=place.part,
            inner=place.inner,
            image_id=name,
            subject=name,
            label=label,
            split="train",
        )
        for name, label in zip(drawn.names, drawn.labels, strict=True)
    )
    store = replace(
        data.store,
        array=data.store.array.with_images(drawn.images),
        image_ids=(*data.store.image_ids, *drawn.names),
    )
    return replace(data, store=store, assignments=(*data.assignments, *added))
