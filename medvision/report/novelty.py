"""Held-out images unlike the train images, by the network's features and by their headers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medvision.domain.arms import is_ensemble, rank_arm
from medvision.domain.evaluation.abstention_ends import judge_order
from medvision.domain.labels.rows import EXTERNAL
from medvision.domain.novelty.distance import parse_novelty
from medvision.report.sources import Row, Sources, list_unique, parse_number
from medvision.report.words import ARMS, say

MAX_STRANGE = 12
"""Images of the list, and kinds of differences, however large the cohort is."""

_HALF = 0.5
_EQUAL = 1e-6

Differences = Mapping[tuple[str, str], tuple[tuple[str, str], ...]]
"""(split, image) to each fact that sets its header apart, with the same in words."""


@dataclass(frozen=True)
class NoveltyRow:
    """One arm's images of one split; ends and verdict are None where they were not computed.

    Args:
        words: The arm in words.
        split: test or external.
        n_images: Images.
        n_unlike: Images that at least half of their networks call unlike the train images.
        rate: Share that a single network calls so, on average.
        low: Lower end of its interval.
        high: Upper end.
        limit: Share that is expected of images like those of validation, at most.
        error_auc: Share of pairs of right and wrong predictions in which the right one is nearer.
        auc_low: Lower end of its interval.
        auc_high: Upper end.
        verdict: Whether errors are among the far images more often than by chance.
    """

    words: str
    split: str
    n_images: int
    n_unlike: int
    rate: float
    low: float | None
    high: float | None
    limit: float
    error_auc: float | None
    auc_low: float | None
    auc_high: float | None
    verdict: str | None


@dataclass(frozen=True)
class StrangeImage:
    """One image that the main arm's networks, or its header, set apart from the train images.

    Args:
        image_id: Its name.
        split: test or external.
        label: Its label.
        n_unlike: Networks that call it unlike.
        n_networks: Networks that predicted it.
        times: Its distance by that of the farthest validation image, the mean over the networks;
            None where it is not known.
        differences: What its header says that no train image's does; empty where nothing.
    """

    image_id: str
    split: str
    label: str
    n_unlike: int
    n_networks: int
    times: float | None
    differences: str


@dataclass(frozen=True)
class HeaderTally:
    """How many images of a split differ in one fact of the header."""

    fact: str
    split: str
    n_images: int


@dataclass(frozen=True)
class NoveltyFacts:
    """What is unlike the train images.

    Args:
        rows: In order of arm and split; none where distances were not asked for.
        headers: In order of their number; none where no header differs.
        n_compared: Held-out images whose headers were compared.
        n_different: Of these, those that differ in something.
        n_strange: Images unlike by either.
        images: The strangest of them, at most `MAX_STRANGE`.
        arm: The arm whose networks the images are of, in words.
    """

    rows: tuple[NoveltyRow, ...]
    headers: tuple[HeaderTally, ...]
    n_compared: int
    n_different: int
    n_strange: int
    images: tuple[StrangeImage, ...]
    arm: str


def build_novelty(sources: Sources) -> NoveltyFacts:
    """Gather distances, alarms and differing headers of the test and the external images.

    Args:
        sources: Tables `predictions`, `abstention`, `external-abstention` and `headers`.
    """
    predictions = [row for row in sources.table("predictions") if not is_ensemble(row["arm"])]
    arms = sorted(list_unique(row["arm"] for row in predictions), key=rank_arm)
    held = {arm: [row for row in predictions if row["arm"] == arm] for arm in arms}
    differences = _read_headers(sources)
    images = _list_images(held[arms[0]] if arms else [], differences)
    strange = [image for image in images if _is_strange(image)]
    strange.sort(key=lambda image: (-(image.times or 0.0), image.image_id))
    rows = [_build_row(arm, split, own, sources) for arm, own in held.items() for split in _SPLITS]
    return NoveltyFacts(
        rows=tuple(row for row in rows if row is not None),
        headers=_count_headers(differences),
        n_compared=len(differences),
        n_different=sum(bool(found) for found in differences.values()),
        n_strange=len(strange),
        images=tuple(strange[:MAX_STRANGE]),
        arm=say(arms[0], ARMS) if arms else "",
    )


_SPLITS = ("test", EXTERNAL)


def _is_strange(image: StrangeImage) -> bool:
    """Tell whether half of the networks, or the header, set an image apart."""
    is_far = image.times is not None and image.n_unlike >= _HALF * image.n_networks
    return is_far or bool(image.differences)


def _read_headers(sources: Sources) -> Differences:
    """Return what sets each held-out image apart in any fold, by split and name."""
    found: dict[tuple[str, str], dict[tuple[str, str], None]] = {}
    for row in sources.table("headers"):
        if row["split"] in _SPLITS:
            own = found.setdefault((row["split"], row["image_id"]), {})
            if row["fact"]:
                own[row["fact"], f"{row['fact']} {row['found']}, train {row['train']}"] = None
    return {key: tuple(own) for key, own in found.items()}


def _count_headers(differences: Differences) -> tuple[HeaderTally, ...]:
    """Count the images that differ in each fact, once in any fold, the most frequent first."""
    counts = Counter(
        (fact, split)
        for (split, _), own in differences.items()
        for fact in dict.fromkeys(fact for fact, _ in own)
    )
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(HeaderTally(fact, split, n) for (fact, split), n in ordered[:MAX_STRANGE])


def _list_images(rows: Sequence[Row], differences: Differences) -> list[StrangeImage]:
    """Return every test and external image with what its networks and its header say."""
    farthest: dict[tuple[str, str], float] = {}
    for row in rows:
        if row["split"] == "validation":
            place = row["fold"], row["seed"]
            own = parse_number(row.get("distance")) or 0.0
            farthest[place] = max(own, farthest.get(place, 0.0))
    chosen = [row for row in rows if row["split"] in _SPLITS]
    novelty = parse_novelty(chosen)
    by_image: dict[tuple[str, str], list[int]] = {}
    for n, row in enumerate(chosen):
        by_image.setdefault((row["split"], row["image_id"]), []).append(n)
    limits = [farthest.get((row["fold"], row["seed"]), 0.0) for row in chosen]
    far = [0.0] * len(chosen) if novelty is None else novelty.distances.tolist()
    flags = [False] * len(chosen) if novelty is None else novelty.is_unlike.tolist()
    images = []
    for key, places in sorted(by_image.items()):
        ratios = [far[n] / limits[n] for n in places if limits[n] > 0]
        images.append(
            StrangeImage(
                image_id=key[1],
                split=key[0],
                label=chosen[places[0]]["label"],
                n_unlike=sum(flags[n] for n in places),
                n_networks=len(places),
                times=sum(ratios) / len(ratios) if ratios and novelty is not None else None,
                differences="; ".join(text for _, text in differences.get(key, ())),
            )
        )
    return images


def _build_row(arm: str, split: str, rows: Sequence[Row], sources: Sources) -> NoveltyRow | None:
    """Return one arm's images of one split, None where there are none or no distances."""
    own = [row for row in rows if row["split"] == split]
    novelty = parse_novelty(own)
    if novelty is None:
        return None
    flags: dict[str, list[bool]] = {}
    for row, is_unlike in zip(own, novelty.is_unlike.tolist(), strict=True):
        flags.setdefault(row["image_id"], []).append(is_unlike)
    rate = float(novelty.is_unlike.mean())
    table = "abstention" if split == "test" else f"{EXTERNAL}-abstention"
    every = [row for row in sources.table(table) if (row["arm"], row["score"]) == (arm, "distance")]
    # Of several findings the errors of each have an order; alarms are of images, and all alike.
    told = {row["metric"]: row for row in every if not row.get("finding") or _is_alarm(row, rate)}
    ends = {name: _read_ends(told.get(name)) for name in ("alarm_rate", "error_auc", "aurc_gain")}
    auc = told.get("error_auc")
    return NoveltyRow(
        words=say(arm, ARMS),
        split=split,
        n_images=len(flags),
        n_unlike=sum(sum(held) >= _HALF * len(held) for held in flags.values()),
        rate=rate,
        low=ends["alarm_rate"][0],
        high=ends["alarm_rate"][1],
        limit=float(novelty.limits.mean()),
        error_auc=None if auc is None else parse_number(auc["value"]),
        auc_low=ends["error_auc"][0],
        auc_high=ends["error_auc"][1],
        verdict=_judge(every, ends, table=table),
    )


def _is_alarm(row: Row, rate: float) -> bool:
    """Tell whether a finding's row is the alarm rate of all images, which all findings share."""
    value = parse_number(row["value"]) if row["metric"] == "alarm_rate" else None
    return value is not None and abs(value - rate) < _EQUAL


def _judge(
    every: Sequence[Row], ends: Mapping[str, tuple[float | None, float | None]], *, table: str
) -> str | None:
    """Say whether errors lie farther out, or where that is said of each finding."""
    if any(row.get("finding") for row in every):
        return f"of each finding: evaluate/{table}.tsv"
    return judge_order(ends["aurc_gain"], ends["error_auc"]) if every else None


def _read_ends(row: Row | None) -> tuple[float | None, float | None]:
    """Return the interval of a row of abstention.tsv."""
    return (None, None) if row is None else (parse_number(row["low"]), parse_number(row["high"]))
