"""The tables of the scorecard's trainings: their columns, and the cells that are read of them."""

from collections.abc import Mapping, Sequence

from medvision.domain.intended_use import INTENDED_USE
from medvision.domain.prediction import build_predictions
from medvision.domain.scorecard.cells import Cell
from medvision.io.tables import Row

PREDICTED_COLUMNS = (
    *("fraction", "fold", "repeat", "part", "inner", "seed", "split"),
    *("image_id", "subject", "label"),
)
TRAINING_COLUMNS = (
    *("arm", "fold", "fraction", "seed", "n_subjects", "n_images", "is_exceeded"),
    *("passes", "n_steps", "epochs", "best_epoch", "is_stopped_early"),
    *("validation_loss", "validation_auc", "weights_match"),
)
SUBSET_COLUMNS = ("fold", "seed", "fraction", "subject")
SIMILARITY_COLUMNS = (
    *("arm", "fold", "fraction", "seed", "block", "layer"),
    *("cka", "cka_debiased", "n_images"),
)


def list_prediction_columns(classes: Sequence[str], *, arm: str = "arm") -> list[str]:
    """Return the columns of a table of predictions of the given classes.

    Args:
        classes: Class names in order.
        arm: Name of the first column: what tells the trainings of one share apart.
    """
    scores = [f"{kind}_{name}" for kind in ("logit", "probability") for name in classes]
    return [arm, *PREDICTED_COLUMNS, *scores, INTENDED_USE]


def build_cells(
    predictions: Sequence[Row], trainings: Sequence[Row], *, classes: Sequence[str]
) -> list[Cell]:
    """Gather test predictions by arm and share, with how many subjects they were trained on.

    Args:
        predictions: Rows of every `predictions.tsv`, in the order in which arms are told.
        trainings: Rows of every `trainings.tsv`.
        classes: Class names in order.

    Raises:
        DataError: A column is missing, or a value is no number or probability.
    """
    held: dict[tuple[str, float], list[Mapping[str, str]]] = {}
    for row in predictions:
        if row["split"] == "test":
            held.setdefault((row["arm"], float(row["fraction"])), []).append(row)
    sizes: dict[tuple[str, float], list[int]] = {}
    for row in trainings:
        key = row["arm"], float(row["fraction"])
        sizes.setdefault(key, []).append(int(row["n_subjects"]))
    return [
        Cell(
            arm=arm,
            fraction=fraction,
            n_subjects=sum(sizes[arm, fraction]) / len(sizes[arm, fraction]),
            rounds={
                place: each for (_, place, _), each in build_predictions(rows, classes).items()
            },
        )
        for (arm, fraction), rows in held.items()
    ]
