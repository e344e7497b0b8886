"""The tables of the ablation: their columns, and the cells that are read of them."""

from collections.abc import Mapping, Sequence

from medvision.domain.ablation import VARIANTS
from medvision.domain.intended_use import INTENDED_USE
from medvision.domain.prediction import build_predictions
from medvision.domain.scorecard.cells import Cell
from medvision.io.tables import Row

PREDICTED_COLUMNS = (
    *("variant", "fraction", "fold", "repeat", "part", "inner", "seed", "split"),
    *("image_id", "subject", "label"),
)
TRAINING_COLUMNS = (
    *("variant", "fold", "fraction", "seed", "n_subjects", "n_images", "is_exceeded"),
    *("n_drawn", "n_added", "reason", "passes", "n_steps", "epochs", "best_epoch"),
    *("validation_loss", "validation_auc"),
)
SUBSET_COLUMNS = ("fold", "seed", "fraction", "subject")


def name_share(share: float) -> str:
    """Return a share's name in steps and folders."""
    return f"share-{share:g}"


def list_prediction_columns(classes: Sequence[str]) -> list[str]:
    """Return the columns of a table of predictions of the given classes."""
    scores = [f"{kind}_{name}" for kind in ("logit", "probability") for name in classes]
    return [*PREDICTED_COLUMNS, *scores, INTENDED_USE]


def build_cells(
    predictions: Sequence[Row], trainings: Sequence[Row], *, classes: Sequence[str]
) -> list[Cell]:
    """Gather test predictions by variant and share, with how many subjects were trained on.

    Args:
        predictions: Rows of every `predictions.tsv`.
        trainings: Rows of every `trainings.tsv`.
        classes: Class names in order.

    Returns:
        Cells, share by share, variants in their order.

    Raises:
        DataError: A column is missing, or a value is no number or probability.
    """
    held: dict[tuple[float, int, str], list[Mapping[str, str]]] = {}
    for row in predictions:
        # The variant stands where predictions have their arm.
        key = float(row["fraction"]), VARIANTS.index(row["variant"]), row["variant"]
        held.setdefault(key, []).append({**row, "arm": row["variant"]})
    sizes: dict[tuple[str, float], list[int]] = {}
    for row in trainings:
        place = row["variant"], float(row["fraction"])
        sizes.setdefault(place, []).append(int(row["n_subjects"]))
    return [
        Cell(
            arm=variant,
            fraction=fraction,
            n_subjects=sum(sizes[variant, fraction]) / len(sizes[variant, fraction]),
            rounds={
                place: each for (_, place, _), each in build_predictions(rows, classes).items()
            },
        )
        for (fraction, _, variant), rows in sorted(held.items())
    ]
