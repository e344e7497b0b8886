"""Synthetic images: where they lie, how they are marked, and where they may never be."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from medvision.domain.split import Assignment
from medvision.errors import CohortError, ConfigError

SYNTHETIC_PREFIX = "synthetic_"
"""How the id of every synthetic image begins, so that it is known by its name alone."""

SYNTHETIC_COLUMNS = ("image_id", "row", "label", "seed", "fold", "synthetic")
"""Of `synthesise/fold-<f>/images.tsv`: row in `images.npy`, and the seed that draws it again."""

_HINT = "synthetic images may enter the training of their own fold, and nothing else."


def name_step(fold: int) -> str:
    """Return the step under which one fold's generator is recorded, its folder's name too."""
    return f"synthesise/fold-{fold}"


def name_gate(fold: int) -> str:
    """Return the step under which the verdict on one fold's images is recorded."""
    return f"gate/fold-{fold}"


def name_image(fold: int, label: int, *, number: int) -> str:
    """Return the id of a synthetic image.

    Args:
        fold: Whose train subjects its generator has seen.
        label: Class index.
        number: Among the class's, from 0.
    """
    return f"{SYNTHETIC_PREFIX}fold-{fold}_class-{label}_{number:06d}"


def is_synthetic(row: Mapping[str, str]) -> bool:
    """Tell whether a table's row is of a synthetic image, by its mark or by its name.

    Args:
        row: Cells by column; `image_id` and `synthetic` are looked at where they are there.
    """
    is_marked = row.get("synthetic", "").lower() == "true"
    return is_marked or row.get("image_id", "").startswith(SYNTHETIC_PREFIX)


def check_real(rows: Sequence[Mapping[str, str]], *, where: str) -> None:
    """Refuse synthetic images among those that are measured, explained or sealed as source data.

    Args:
        rows: Of any table that names images.
        where: The table, for the message.

    Raises:
        CohortError: There is one.
    """
    for row in rows:
        if is_synthetic(row):
            raise CohortError(
                f"{where}: images must be the study's own, got synthetic image "
                f"{row.get('image_id', '')}.",
                _HINT,
            )


def check_only_trained(rows: Sequence[Mapping[str, str]]) -> None:
    """Refuse synthetic images outside the train split: nothing may be measured on them.

    Args:
        rows: Of `cohort/folds.tsv`.

    Raises:
        CohortError: There is one.
    """
    for row in rows:
        if is_synthetic(row) and row["split"] != "train":
            raise CohortError(
                f"fold {row['fold']}: synthetic image must be in train, got "
                f"{row['image_id']} in {row['split']}.",
                _HINT,
            )


def check_marked(rows: Sequence[Mapping[str, str]], *, where: str) -> None:
    """Refuse a table of synthetic images in which one has lost its mark or its name.

    Args:
        rows: Of an `images.tsv`.
        where: The table, for the message.

    Raises:
        CohortError: There is one.
    """
    for row in rows:
        is_named = row.get("image_id", "").startswith(SYNTHETIC_PREFIX)
        if not is_named or row.get("synthetic", "").lower() != "true":
            raise CohortError(
                f"{where}: every image must be marked synthetic and named {SYNTHETIC_PREFIX}..., "
                f"got {row.get('image_id', '')} marked {row.get('synthetic') or 'not at all'}.",
                f"run the step {where.rpartition('/')[0]} again; never edit its outputs.",
            )


def check_learnt_from(chosen: Sequence[Assignment], assignments: Sequence[Assignment]) -> None:
    """Refuse to learn from a subject that the same fold validates or tests, or that is external.

    Asked even where a leaking split was accepted: a generator hands on what it has seen.

    Args:
        chosen: The images that a generator is to learn from, all of one fold.
        assignments: All images of all folds.

    Raises:
        CohortError: There is one, or one that is itself not of the train split.
    """
    fold = chosen[0].fold if chosen else 0
    others = {
        item.subject: item.split
        for item in assignments
        if item.fold == fold and item.split != "train"
    }
    for item in chosen:
        found = others.get(item.subject) or (item.split if item.split != "train" else None)
        if found is not None:
            raise CohortError(
                f"fold {fold}: a generator must learn from train subjects alone, got "
                f"{item.subject}, who is in {found}.",
            )


def check_enough_subjects(
    chosen: Sequence[Assignment], classes: Sequence[str], *, minimum: int, fold: int
) -> None:
    """Refuse a fold in which a class has too few train subjects to learn from.

    Args:
        chosen: The train images.
        classes: All classes.
        minimum: Subjects that each must have.
        fold: For the message.

    Raises:
        ConfigError: With the class, the subjects found and the minimum.
    """
    subjects: defaultdict[str, set[str]] = defaultdict(set)
    for item in chosen:
        subjects[item.label].add(item.subject)
    for name in classes:
        if len(subjects[name]) < minimum:
            raise ConfigError(
                f"synthesise.minimum_subjects: class {name} must have at least {minimum} train "
                f"subjects in fold {fold}, got {len(subjects[name])}.",
                "add subjects, or set synthesise.generator to none; a lower minimum makes a "
                "generator that copies its images more likely.",
            )


def count_wanted(n_real: Mapping[str, int], ratio: float | Mapping[str, float]) -> dict[str, int]:
    """Return how many synthetic images of each class are drawn.

    Args:
        n_real: Class to its real train images.
        ratio: Synthetic per real image: one number, or class to number.

    Returns:
        Class to images, rounded half up; 0 of classes that the ratio does not name.

    Raises:
        ConfigError: The ratio names a class that the study has not, or nothing is to be drawn.
    """
    if isinstance(ratio, Mapping):
        for name in ratio:
            if name not in n_real:
                raise ConfigError(
                    f"synthesise.ratio: class must be one of {', '.join(n_real)}, got {name}."
                )
    wanted = {}
    for name, count in n_real.items():
        own = ratio.get(name, 0.0) if isinstance(ratio, Mapping) else ratio
        wanted[name] = int(count * own + 0.5)
    if not any(wanted.values()):
        raise ConfigError(
            "synthesise.ratio: some class must have a ratio above 0, got none.",
            "set synthesise.generator to none to draw nothing.",
        )
    return wanted
