"""Which test images are explained: drawn by seed over outcomes, never picked by hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from medvision.domain.arms import rank_arm
from medvision.domain.labels.rows import Classes, Task
from medvision.domain.record import JsonValue
from medvision.errors import ExplanationError
from medvision.explain.case import Case
from medvision.explain.outcomes import (
    MARGIN,
    OUTCOME,
    RULES,
    TARGET,
    VALUE_OUTCOMES,
    Prediction,
    add_outcomes,
)
from medvision.runtime.seeds import derive_seed

BINARY_OUTCOMES = ("true_positive", "false_negative", "false_positive", "true_negative")
UNCERTAIN = "uncertain"

LARGEST_ERROR = "largest_error"


@dataclass(frozen=True)
class Selection:
    """The selected cases, how many each stratum had to offer, and of which repeat and training."""

    cases: tuple[Case, ...]
    eligible: dict[str, int]
    seed: int
    place: tuple[int, int]
    task: Task = "classification"
    target: str | None = None

    def as_dict(self) -> dict[str, JsonValue]:
        """Return the account of the selection as plain JSON types."""
        first = self.cases[0]
        rules = [case.rule for case in self.cases]
        return {
            "rule": RULES[self.task],
            "seed": self.seed,
            "arm": first.arm,
            "model_seed": first.seed,
            "repeat": self.place[0],
            "inner": self.place[1],
            "eligible": sum(self.eligible.values()),
            "selected": len(self.cases),
            "eligible_by_stratum": dict(self.eligible),
            "selected_by_rule": {rule: rules.count(rule) for rule in sorted(set(rules))},
        }


def select_cases(
    predictions: Sequence[Prediction],
    *,
    classes: Classes,
    images: int,
    seed: int,
    finding: str | None = None,
    target: str | None = None,
) -> Selection:
    """Draw the test images to be explained.

    Args:
        predictions: All predictions, with columns probability_<class> unless they are values.
        classes: Classes, and the positive one of two; findings; or the value's name.
        images: Number of images to draw; fewer where there are fewer subjects.
        seed: Seed of the draw.
        finding: The finding to explain; None explains the most probable one of each image.
        target: The class to explain; None explains the predicted one of each image.

    Returns:
        The cases in the order of the draw, and the number of eligible images per stratum.

    Raises:
        ExplanationError: There is no test prediction, or no such finding or class.
    """
    rows = add_outcomes(_choose_rows(predictions), classes, finding=finding, target=target)
    if not rows:
        raise ExplanationError(
            "predictions: rows of the test split must be there, got none.",
            "run `medvision predict` first.",
        )
    strata = _stratify(rows, classes=classes, seed=seed)
    first = LARGEST_ERROR if classes.task == "regression" else UNCERTAIN
    chosen: list[tuple[Prediction, str]] = [(min(rows, key=_sort_by_margin), first)]
    queues = [(name.partition(":")[0], list(queue)) for name, queue in strata.items()]
    while len(chosen) < images and any(queue for _, queue in queues):
        for rule, queue in queues:
            taken = {row["subject"] for row, _ in chosen}
            queue[:] = [row for row in queue if row["subject"] not in taken]
            if queue and len(chosen) < images:
                chosen.append((queue.pop(0), rule))
    cases = tuple(_build_case(row, rule) for row, rule in chosen)
    eligible = {name: len(queue) for name, queue in strata.items()}
    return Selection(cases, eligible, seed, _read_place(rows[0]), classes.task, target)


def _choose_rows(predictions: Sequence[Prediction]) -> list[Prediction]:
    """Return the test rows of the main arm in its first round, sorted by image."""
    test = [row for row in predictions if row["split"] == "test"]
    arms = sorted({row["arm"] for row in test}, key=rank_arm)
    rows = [row for row in test if row["arm"] == arms[0]]
    first = min(((int(row["seed"]), *_read_place(row)) for row in rows), default=())
    return sorted(
        (row for row in rows if (int(row["seed"]), *_read_place(row)) == first),
        key=_sort_by_image,
    )


def _read_place(row: Prediction) -> tuple[int, int]:
    """Return the repeat of the folds and the training of the part that a prediction is from."""
    return int(row["repeat"]), int(row["inner"])


def _stratify(
    rows: Sequence[Prediction], *, classes: Classes, seed: int
) -> dict[str, list[Prediction]]:
    """Return the rows of each outcome, shuffled."""
    strata: dict[str, list[Prediction]] = {}
    is_many = classes.task == "classification" and classes.positive is None
    if not is_many:
        names = VALUE_OUTCOMES if classes.task == "regression" else BINARY_OUTCOMES
        strata = {name: [] for name in names}
    for row in rows:
        strata.setdefault(_name_stratum(row, classes.positive), []).append(row)
    if is_many:
        strata = {name: strata[name] for name in _alternate(sorted(strata), seed=seed)}
    return {name: _shuffle(queue, derive_seed(seed, name)) for name, queue in strata.items()}


def _alternate(names: Sequence[str], *, seed: int) -> list[str]:
    """Order strata right, wrong, right, ..., classes shuffled: few images then show both."""
    sides = [[name for name in names if name.startswith(side)] for side in ("correct", "wrong")]
    shuffled = [
        [
            side[index]
            for index in np.random.default_rng(derive_seed(seed, n)).permutation(len(side))
        ]
        for n, side in enumerate(sides)
    ]
    return [name for pair in zip_longest(*shuffled) for name in pair if name is not None]


def _name_stratum(row: Prediction, positive: str | None) -> str:
    """Name the outcome: of two classes as usual, of more by class and correctness."""
    if OUTCOME in row:
        return row[OUTCOME]
    correct = row["label"] == row["predicted"]
    if positive is None:
        return f"{'correct' if correct else 'wrong'}:{row['label']}"
    says_positive = row["predicted"] == positive
    return f"{'true' if correct else 'false'}_{'positive' if says_positive else 'negative'}"


def _shuffle(rows: Sequence[Prediction], seed: int) -> list[Prediction]:
    """Return the rows in an order drawn by the seed."""
    return [rows[index] for index in np.random.default_rng(seed).permutation(len(rows))]


def _sort_by_image(row: Prediction) -> tuple[str, int]:
    return row["image_id"], int(row["fold"])


def _sort_by_margin(row: Prediction) -> tuple[float, str]:
    """Sort by the margin of the two largest probabilities, then by image."""
    if MARGIN in row:
        return float(row[MARGIN]), row["image_id"]
    values = sorted(float(row[name]) for name in row if name.startswith("probability_"))
    return values[-1] - values[-2], row["image_id"]


def _build_case(row: Prediction, rule: str) -> Case:
    """Make a case of a prediction; the predicted class is explained where nothing else is."""
    return Case(
        image_id=row["image_id"],
        subject=row["subject"],
        arm=row["arm"],
        fold=int(row["fold"]),
        seed=int(row["seed"]),
        label=row["label"],
        predicted=row["predicted"],
        target=row.get(TARGET, row["predicted"]),
        rule=rule,
    )
