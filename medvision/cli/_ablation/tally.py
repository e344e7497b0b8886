"""What the ablation's generators came to: drawn, judged, refused and added, share by share."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from medvision.domain.record import JsonValue
from medvision.domain.synthesis.ablation import BOTH, SYNTHETIC, Effect
from medvision.domain.synthesis.criterion import PASSED, REFUSED, UNDECIDED
from medvision.errors import CohortError
from medvision.io.tables import Row

OBEY = "obey"
_PLACE = ("fold", "fraction", "seed")


@dataclass(frozen=True)
class Tally:
    """Counts of trainings with synthetic images, and of their generators.

    Args:
        is_obeyed: Whether only images that the gate accepted were added.
        n_trainings: Trainings with synthetic images.
        n_empty: Those to which none were added.
        reasons: Why, with how many trainings.
        n_judged: Generators whose images the gate judged.
        n_open: Those it opened for.
        n_refused: Images that it refused one by one.
        shut_by: Criterion to the generators that it alone or with others kept out.
        shares: One object per share, as in `ablation.json`.
    """

    is_obeyed: bool
    n_trainings: int
    n_empty: int
    reasons: dict[str, int]
    n_judged: int
    n_open: int
    n_refused: int
    shut_by: dict[str, int]
    shares: tuple[dict[str, JsonValue], ...]

    def has_images(self, effect: Effect) -> bool:
        """Tell whether what an effect is of was there: synthetic images may not have been.

        Args:
            effect: What was added on which share.
        """
        if effect.added not in (SYNTHETIC, BOTH):
            return True
        own = [held for held in self.shares if held["fraction"] == effect.fraction]
        return any(held["n_added"] for held in own)


def tally_images(trainings: Sequence[Row], gates: Sequence[Row], *, gate: str) -> Tally:
    """Count, and hold what was added against what the gate said.

    Args:
        trainings: Rows of every `trainings.tsv`.
        gates: Rows of every `gates.tsv`.
        gate: obey or ignore.

    Returns:
        The counts; variants with both have the generators of those with synthetic images alone.

    Raises:
        CohortError: A verdict is not that of its criteria, or other images were added than it
            allows.
    """
    drawn = [row for row in trainings if row["variant"] in (SYNTHETIC, BOTH)]
    asked: dict[tuple[str, ...], list[Row]] = {}
    for row in gates:
        asked.setdefault(_find_place(row), []).append(row)
    for row in drawn:
        _check(row, asked.get(_find_place(row), []), is_obeyed=gate == OBEY)
    own = [row for row in drawn if row["variant"] == SYNTHETIC]
    judged = [row for row in own if row["gate"]]
    empty = [row for row in drawn if int(row["n_added"]) == 0]
    shares = sorted({float(row["fraction"]) for row in own})
    return Tally(
        is_obeyed=gate == OBEY,
        n_trainings=len(drawn),
        n_empty=len(empty),
        reasons=dict(Counter(row["reason"] for row in empty).most_common()),
        n_judged=len(judged),
        n_open=sum(row["gate"] == "open" for row in judged),
        n_refused=sum(int(row["n_refused"]) for row in judged),
        shut_by=_count_shut(gates),
        shares=tuple(
            _describe_share(
                share,
                [row for row in own if float(row["fraction"]) == share],
                [row for row in gates if float(row["fraction"]) == share],
            )
            for share in shares
        ),
    )


def _find_place(row: Row) -> tuple[str, ...]:
    """Return which generator a row is of."""
    return tuple(row[name] for name in _PLACE)


def _check(row: Row, criteria: Sequence[Row], *, is_obeyed: bool) -> None:
    """Refuse a training whose verdict or images are not what the gate's criteria say."""
    verdicts = [own["verdict"] for own in criteria]
    is_open = PASSED in verdicts and not {REFUSED, UNDECIDED} & set(verdicts)
    gate = "" if not criteria else "open" if is_open else "shut"
    where = f"ablate/share-{float(row['fraction']):g}/fold-{row['fold']}, seed {row['seed']}"
    if row["gate"] != gate:
        found = row["gate"] or "none"
        raise CohortError(
            f"{where}: gate must be as its criteria say, {gate or 'none'}, got {found}."
        )
    n_drawn, n_refused = int(row["n_drawn"]), int(row["n_refused"])
    allowed = n_drawn if not is_obeyed else n_drawn - n_refused if is_open else 0
    if int(row["n_added"]) != allowed:
        raise CohortError(
            f"{where}: images added must be those that may be, {allowed}, got {row['n_added']}."
        )


def _count_shut(gates: Sequence[Row]) -> dict[str, int]:
    """Count by criterion the generators that it kept out, the most frequent first."""
    shut = {(_find_place(r), r["criterion"]) for r in gates if r["verdict"] in (REFUSED, UNDECIDED)}
    counts = Counter(criterion for _, criterion in shut)
    return dict(sorted(counts.items(), key=lambda held: (-held[1], held[0])))


def _describe_share(share: float, own: Sequence[Row], gates: Sequence[Row]) -> dict[str, JsonValue]:
    """Return the counts of one share, over seeds and folds."""
    judged = [row for row in own if row["gate"]]
    return {
        "fraction": share,
        "n_generators": len(own),
        "n_drawn": sum(int(row["n_drawn"]) for row in own),
        "n_judged": len(judged),
        "n_open": sum(row["gate"] == "open" for row in judged),
        "n_refused": sum(int(row["n_refused"]) for row in judged),
        "n_added": sum(int(row["n_added"]) for row in own),
        "n_without": sum(int(row["n_added"]) == 0 for row in own),
        "reasons": [*sorted({row["reason"] for row in own if row["reason"]})],
        "shut_by": [
            {"criterion": name, "n_generators": n} for name, n in _count_shut(gates).items()
        ],
    }
