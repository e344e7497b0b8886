"""Which synthetic images a gate has let through: its table held against the generator's own."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medvision.domain.synthesis.synthetic import check_marked, name_gate, name_step
from medvision.errors import CohortError

Row = Mapping[str, str]

_SAME = ("image_id", "row", "label")
_IS_ACCEPTED = {"true": True, "false": False}


@dataclass(frozen=True)
class Chosen:
    """The images of a fold that its networks are trained with.

    Args:
        fold: Whose train subjects the generator has seen.
        rows: Their places in `images.npy`, rising.
        names: Their ids.
        labels: Their class names.
        n_drawn: All images that were judged.
    """

    fold: int
    rows: tuple[int, ...]
    names: tuple[str, ...]
    labels: tuple[str, ...]
    n_drawn: int

    def __len__(self) -> int:
        return len(self.rows)

    def count(self, classes: Sequence[str]) -> dict[str, int]:
        """Return class to images, in the order of the classes."""
        counts = Counter(self.labels)
        return {name: counts[name] for name in classes}


def choose_accepted(
    drawn: Sequence[Row],
    judged: Sequence[Row],
    *,
    is_open: bool,
    fold: int,
    classes: Sequence[str],
) -> Chosen:
    """Return the images that a gate has let through, once both tables tell of the same images.

    Args:
        drawn: Rows of `synthesise/fold-<f>/images.tsv`.
        judged: Rows of `gate/fold-<f>/images.tsv`, with `accepted` true or false.
        is_open: What `gate.json` says; a shut gate lets nothing through.
        fold: Whose train subjects the generator has seen.
        classes: The study's classes.

    Raises:
        CohortError: An image has lost its mark, is of another fold or class, is not in its place,
            is judged under another name or label or not at all, or is let through by a shut gate.
    """
    where = f"{name_gate(fold)}/images.tsv"
    check_drawn(drawn, fold=fold, classes=classes)
    if len(drawn) != len(judged):
        raise _refuse(where, f"images must be the {len(drawn)} that were drawn, got {len(judged)}")
    kept = []
    for own, other in zip(drawn, judged, strict=True):
        for name in _SAME:
            if own[name] != other.get(name):
                found = f"{name} of {own['image_id']} must be {own[name]}, got {other.get(name)}"
                raise _refuse(where, found)
        if _read_verdict(other, where=where):
            kept.append(own)
    if kept and not is_open:
        found = f"a shut gate must accept no image, got {len(kept)} accepted"
        raise _refuse(where, found)
    return Chosen(
        fold=fold,
        rows=tuple(int(row["row"]) for row in kept),
        names=tuple(row["image_id"] for row in kept),
        labels=tuple(row["label"] for row in kept),
        n_drawn=len(drawn),
    )


def check_drawn(drawn: Sequence[Row], *, fold: int, classes: Sequence[str]) -> None:
    """Refuse a table of synthetic images that is not of this fold and these classes, in order.

    Args:
        drawn: Rows of `synthesise/fold-<f>/images.tsv`.
        fold: Whose train subjects the generator has seen.
        classes: The study's classes.

    Raises:
        CohortError: An image has lost its mark, stands twice, is not in its place, or is of
            another fold or class.
    """
    where = f"{name_step(fold)}/images.tsv"
    check_marked(drawn, where=where)
    if len({row["image_id"] for row in drawn}) != len(drawn):
        raise _refuse(where, "each image must stand once, got one twice")
    for number, row in enumerate(drawn):
        rules = {"row": (str(number),), "fold": (str(fold),), "label": classes}
        for name, rule in rules.items():
            if row.get(name) not in rule:
                found = f"{name} of {row['image_id']} must be {' or '.join(rule)}"
                raise _refuse(where, f"{found}, got {row.get(name)}")


def _read_verdict(row: Row, *, where: str) -> bool:
    """Return whether an image was accepted."""
    text = row.get("accepted", "")
    if text not in _IS_ACCEPTED:
        found = f"accepted of {row['image_id']} must be true or false, got {text or 'nothing'}"
        raise _refuse(where, found)
    return _IS_ACCEPTED[text]


def _refuse(where: str, found: str) -> CohortError:
    """Return the error of a table that is not as its step wrote it."""
    command, _, place = where.rpartition("/")[0].partition("/")
    option = place.replace("-", " ")
    return CohortError(
        f"{where}: {found}.",
        f"run `medvision {command} --{option}` again; never edit its outputs.",
    )
