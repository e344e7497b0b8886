"""The tables of the ablation: their columns, and the cells that are read of them."""

from collections.abc import Sequence

from medvision.cli._scorecard import tables as scorecard
from medvision.domain.scorecard.cells import Cell
from medvision.domain.synthesis.ablation import VARIANTS
from medvision.domain.synthesis.criterion import COLUMNS
from medvision.io.tables import Row

TRAINING_COLUMNS = (
    *("variant", "fold", "fraction", "seed", "n_subjects", "n_images", "is_exceeded"),
    *("n_drawn", "n_refused", "n_added", "reason", "gate", "gate_reason"),
    *("passes", "n_steps", "epochs", "best_epoch"),
    *("validation_loss", "validation_auc"),
)

GATE_COLUMNS = ("fold", "fraction", "seed", *COLUMNS)


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
    # The variant stands where the scorecard has its arm.
    named = [[{**row, "arm": row["variant"]} for row in rows] for rows in (predictions, trainings)]
    cells = scorecard.build_cells(*named, classes=classes)
    return sorted(cells, key=lambda cell: (cell.fraction, VARIANTS.index(cell.arm)))
