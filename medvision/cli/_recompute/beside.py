"""Train images beside explained ones: what their table must be by folds and settings alone."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from medvision.audit.findings import Finding
from medvision.cli._explained.influence import LIMITS
from medvision.cli._recompute.compared import compare_values
from medvision.cli._recompute.told import INDEX, INFLUENCE, SUMMARY, Told
from medvision.domain.record import JsonValue
from medvision.errors import MedvisionError
from medvision.io.tables import Row, read_table
from medvision.runtime.files import read_json

_KINDS = {"nearest": 1, "raised": 1, "lowered": -1}
"""Kind to the direction in which scores go from rank to rank."""

_Folds = Mapping[tuple[str, str], Row]
"""Fold and image to the row of the folds."""


def find_beside_faults(told: Told) -> list[Finding]:
    """Hold the table of train images against the folds, the settings and the checkpoints.

    Args:
        told: What the bundle tells.

    Returns:
        One finding per row whose image is not of the train split of the network that explained, or
        has another subject or label there, is out of rank, or of a subject that stood there before;
        and per figure of the networks that does not follow.

    Raises:
        MedvisionError: A table is missing or cannot be read.
        LookupError, ValueError: A table is incomplete.
    """
    folds = {
        (row["fold"], row["image_id"]): row for row in read_table(told.locate("cohort/folds.tsv"))
    }
    fold_of = {case.image_id: str(case.fold) for case in told.cases}
    groups: dict[tuple[str, str], list[Row]] = {}
    findings = []
    for row in told.tables[INFLUENCE]:
        groups.setdefault((row["image_id"], row["kind"]), []).append(row)
        findings += _compare_train(row, folds, fold=fold_of.get(row["image_id"], ""))
    for (image_id, kind), rows in groups.items():
        where = f"{INFLUENCE} {image_id} {kind}"
        findings += _find_rank_faults(where, kind, rows, n_most=told.section.influence)
    networks = _describe_networks(told, folds)
    findings += _find_absent(told, networks, groups)
    return findings + _find_summary_faults(told, networks)


def _compare_train(row: Row, folds: _Folds, *, fold: str) -> list[Finding]:
    """Hold a train image's split, subject and label against the folds."""
    own = folds.get((fold, row["train_image_id"]))
    where = f"{INFLUENCE} {row['image_id']} {row['kind']} {row['rank']}"
    if own is None or own["split"] != "train":
        found = row["train_image_id"]
        return [Finding(where, "image", f"of the train split of fold {fold}", found)]
    return [
        Finding(where, f"train_{name}", f"{own[name]}, as in the folds", row[f"train_{name}"])
        for name in ("subject", "label")
        if own[name] != row[f"train_{name}"]
    ]


def _find_rank_faults(where: str, kind: str, rows: Sequence[Row], *, n_most: int) -> list[Finding]:
    """Name what is out of rank among the rows of one image and kind."""
    if kind not in _KINDS:
        return [Finding(where, "kind", f"one of {', '.join(_KINDS)}", kind)]
    scores = [float(row["score"]) for row in rows]
    rules = {
        "ranks": ([int(row["rank"]) for row in rows] == [*range(1, len(rows) + 1)], "1, 2, 3 ..."),
        "rows": (len(rows) <= n_most, f"{n_most} at most"),
        "subjects": (len({row["train_subject"] for row in rows}) == len(rows), "one a row"),
        "scores": (scores == sorted(scores, reverse=_KINDS[kind] < 0), "in the order of ranks"),
        "signs of scores": (
            all(_KINDS[kind] * score < 0 for score in scores)
            if kind != "nearest"
            else all(score >= 0 for score in scores),
            "those of the kind",
        ),
    }
    return [Finding(where, name, rule, "others") for name, (ok, rule) in rules.items() if not ok]


def _describe_networks(told: Told, folds: _Folds) -> list[dict[str, JsonValue]]:
    """Return what follows of each network from folds, arrays and checkpoints."""
    held = {row["image_id"] for row in told.tables[INDEX]}
    networks = []
    for arm, fold, seed in sorted({(case.arm, case.fold, case.seed) for case in told.cases}):
        train = [
            name
            for (number, name), row in folds.items()
            if number == str(fold) and row["split"] == "train" and name in held
        ]
        if told.section.influence and train:
            network: dict[str, JsonValue] = {"arm": arm, "fold": fold, "seed": seed}
            network |= {"n_train": len(train)}
            network |= {"n_compared": min(len(train), told.section.influence_images)}
            moments = _read_checkpoints(told, f"train/{arm}/fold-{fold}/seed-{seed}")
            networks.append(network | {"checkpoints": moments})
    return networks


def _read_checkpoints(told: Told, folder: str) -> list[JsonValue]:
    """Return epochs and rates of the checkpoints that a training kept; none where it kept none."""
    try:
        path = told.locate(f"{folder}/checkpoints.json")
        listing = cast(Mapping[str, list[Mapping[str, JsonValue]]], read_json(path))
    except MedvisionError:
        return []
    names = ("epoch", "learning_rate")
    return [{name: row[name] for name in names} for row in listing["checkpoints"]]


def _find_absent(
    told: Told,
    networks: Sequence[Mapping[str, JsonValue]],
    groups: Mapping[tuple[str, str], Sequence[Row]],
) -> list[Finding]:
    """Name the cases that have no nearest train image, and the sums over other checkpoints."""
    kept = {str(network["fold"]): network["checkpoints"] for network in networks}
    findings = []
    for case in told.cases:
        moments = kept.get(str(case.fold))
        if moments is not None and (case.image_id, "nearest") not in groups:
            where = f"{INFLUENCE} {case.image_id} nearest"
            findings.append(Finding(where, "rows", "there, by the settings", "none"))
        for kind in _KINDS:
            n_kept = len(cast(list[JsonValue], moments or [])) if kind != "nearest" else 0
            findings += [
                Finding(
                    f"{INFLUENCE} {case.image_id} {kind} {row['rank']}",
                    "n_checkpoints",
                    f"{n_kept}",
                    row["n_checkpoints"],
                )
                for row in groups.get((case.image_id, kind), [])
                if row["n_checkpoints"] != str(n_kept)
            ]
    return findings


def _find_summary_faults(told: Told, networks: Sequence[Mapping[str, JsonValue]]) -> list[Finding]:
    """Hold what the summary says of train images against the settings, folds and checkpoints."""
    said = cast(dict[str, JsonValue], told.summary["influence"])
    held = [
        {name: value for name, value in network.items() if name != "reason"}
        for network in cast(Sequence[Mapping[str, JsonValue]], said["networks"])
    ]
    wanted: JsonValue = {
        "subjects": told.section.influence,
        "networks": [dict(network) for network in networks],
        "limits": [*LIMITS],
    }
    found = compare_values("influence", wanted=wanted, held={**said, "networks": [*held]})
    return [replace(fault, where=SUMMARY) for fault in found]
