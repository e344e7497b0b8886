"""What follows from logits, computed again: probabilities, temperatures, ensembles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medvision.audit.findings import Finding
from medvision.audit.verify import Locate
from medvision.cli._cohort.summary import read_classes
from medvision.cli._recompute.sealed import read_parameters
from medvision.config.predict import PredictSection
from medvision.domain.arms import ALL_SEEDS, base_arm, is_ensemble, parse_seed
from medvision.domain.labels.rows import Classes
from medvision.domain.metrics.pooling import LINKS, Link, Logits, pool_logits
from medvision.domain.metrics.temperature import (
    Question,
    Temperature,
    compute_nll,
    fit_temperatures,
    list_divisors,
    part_questions,
)
from medvision.io.tables import read_table

PREDICTIONS = "predict/predictions.tsv"
TEMPERATURES = "predict/temperatures.tsv"

TOLERANCE = 1e-5
"""Tables hold nine digits; an edited figure differs by more than what those leave open."""

_Place = tuple[str, int, int]
"""Arm, fold and seed."""

_Row = Mapping[str, str]


@dataclass(frozen=True)
class _Set:
    """One network's rows of one split, by image."""

    image_ids: tuple[str, ...]
    labels: tuple[str, ...]
    subjects: tuple[str, ...]
    logits: Logits
    probabilities: Logits


def find_prediction_faults(locate: Locate) -> list[Finding]:
    """Compute again what predictions owe to their logits, and return what differs.

    Args:
        locate: Returns where a file of the study lies in the bundle.

    Returns:
        One finding per set of rows whose probabilities are not those of its logits, per temperature
        that is not the best of its validation images, and per ensemble that is not the mean of its
        networks.

    Raises:
        MedvisionError: A file is missing or cannot be read.
        LookupError, ValueError: A table or a record is incomplete.
    """
    parameters = read_parameters(locate, "predict")
    section = PredictSection.model_validate(parameters.get("predict", {}))
    classes = read_classes(locate("cohort/summary.json"))
    sets = _read_sets(read_table(locate(PREDICTIONS)), classes)
    findings = _find_probability_faults(sets, link=LINKS[classes.task])
    scales = {place: np.ones(1) for place, _ in sets}
    if section.temperature == "fit":
        rows = read_table(locate(TEMPERATURES))
        held: dict[_Place, dict[str, _Row]] = {}
        for row in rows:
            place = row["arm"], int(row["fold"]), parse_seed(row["seed"])
            held.setdefault(place, {})[row["finding"]] = row
        missing = sorted(scales.keys() - held.keys())
        findings += [Finding(TEMPERATURES, _name(p), "a row", "none") for p in missing]
        scales |= {place: _read_divisors(own, classes) for place, own in held.items()}
        findings += _find_temperature_faults(
            sets, held, classes=classes, least=section.temperature_subjects
        )
    if section.ensemble == "seeds":
        findings += _find_ensemble_faults(sets, scales, link=LINKS[classes.task])
    return findings


def _read_sets(rows: Sequence[_Row], classes: Classes) -> dict[tuple[_Place, str], _Set]:
    """Return the rows by arm, fold, seed and split."""
    held: dict[tuple[_Place, str], list[_Row]] = {}
    for row in rows:
        place = row["arm"], int(row["fold"]), parse_seed(row["seed"])
        held.setdefault((place, row["split"]), []).append(row)
    return {key: _build_set(own, classes) for key, own in held.items()}


def _build_set(rows: Sequence[_Row], classes: Classes) -> _Set:
    """Return one network's rows of one split as arrays; a value is its own logit."""
    ordered, names = sorted(rows, key=lambda row: row["image_id"]), classes.names
    is_value = classes.task == "regression"

    def read(kind: str) -> Logits:
        columns = ["predicted"] if is_value else [f"{kind}_{name}" for name in names]
        return np.array([[float(row[column]) for column in columns] for row in ordered])

    return _Set(
        image_ids=tuple(row["image_id"] for row in ordered),
        labels=tuple(row["label"] for row in ordered),
        subjects=tuple(row["subject"] for row in ordered),
        logits=read("logit"),
        probabilities=read("probability"),
    )


def _find_probability_faults(
    sets: Mapping[tuple[_Place, str], _Set], *, link: Link
) -> list[Finding]:
    """Name the sets with a probability that is not the one of its logits."""
    findings = []
    for (place, split), each in sets.items():
        gap = np.abs(_apply(each.logits, link) - each.probabilities).max()
        if not gap <= TOLERANCE:
            thing = f"probabilities of {_name(place)}, {split}"
            findings.append(Finding(PREDICTIONS, thing, f"{link} of logits", f"{gap:.3g} off"))
    return findings


def _apply(logits: Logits, link: Link) -> Logits:
    """Return what a link makes of logits (N, C)."""
    if link == "identity":
        return logits
    if link == "sigmoid":
        shares: Logits = np.exp(-np.logaddexp(0, -logits))
        return shares
    whole = np.logaddexp.reduce(logits, axis=1, keepdims=True)
    return np.asarray(np.exp(logits - whole), dtype=np.float64)


def _read_divisors(rows: Mapping[str, _Row], classes: Classes) -> Logits:
    """Return what the logits of one network were divided by."""
    values = {finding: float(row["temperature"]) for finding, row in rows.items()}
    return list_divisors(values, classes.names)


def _find_temperature_faults(
    sets: Mapping[tuple[_Place, str], _Set],
    held: Mapping[_Place, Mapping[str, _Row]],
    *,
    classes: Classes,
    least: int,
) -> list[Finding]:
    """Fit each temperature again, and hold its loss and counts against the table's."""
    empty = _Set((), (), (), np.empty((0, len(classes.names))), np.empty(0))
    findings = []
    for place, rows in held.items():
        own = sets.get((place, "validation"), empty)
        raw = part_questions(
            _read_divisors(rows, classes) * own.logits,
            own.labels,
            subjects=own.subjects,
            names=classes.names,
            task=classes.task,
        )
        best = fit_temperatures(raw, least=least)
        for finding, row in rows.items():
            where = _name(place) + (f", {finding}" if finding else "")
            findings += _compare_temperature(raw[finding], best[finding], row, where=where)
    return findings


def _compare_temperature(
    raw: Question, best: Temperature, row: _Row, *, where: str
) -> list[Finding]:
    """Hold one row of the table against the temperature fitted again."""
    there = compute_nll(raw.logits / float(row["temperature"]), raw.labels) if best.n else None
    pairs = (
        ("images", float(best.n), row["n_images"]),
        ("loss before", best.nll_before, row["nll_before"]),
        ("loss after", best.nll_after, row["nll_after"]),
        ("loss", best.nll_after, "" if there is None else str(there)),
    )
    return [
        Finding(TEMPERATURES, f"{thing} of {where}", f"{wanted}, computed again", text)
        for thing, wanted, text in pairs
        if not _is_near(wanted, text)
    ]


def _is_near(wanted: float | None, text: str) -> bool:
    """Compare a figure with a cell, which is empty where there is none."""
    if wanted is None or not text:
        return wanted is None and not text
    return abs(wanted - float(text)) <= TOLERANCE


def _find_ensemble_faults(
    sets: Mapping[tuple[_Place, str], _Set], scales: Mapping[_Place, Logits], *, link: Link
) -> list[Finding]:
    """Pool each ensemble's networks again, and name the ensembles that are missing or differ."""
    groups: dict[tuple[str, int, str], list[_Place]] = {}
    for place, split in sets:
        groups.setdefault((base_arm(place[0]), place[1], split), []).append(place)
    findings = []
    for (arm, fold, split), places in sorted(groups.items()):
        pools = [place for place in places if is_ensemble(place[0]) and place[2] == ALL_SEEDS]
        thing = f"ensemble of {arm}, fold {fold}, {split}"
        if len(pools) != 1:
            findings.append(Finding(PREDICTIONS, thing, "there once", f"{len(pools)} of them"))
            continue
        members = [(sets[p, split], scales[p]) for p in places if p not in pools]
        fault = _compare_pool((sets[pools[0], split], scales[pools[0]]), members, link=link)
        if fault:
            findings.append(Finding(PREDICTIONS, thing, "the mean of its networks", fault))
    return findings


def _compare_pool(
    pool: tuple[_Set, Logits], members: Sequence[tuple[_Set, Logits]], *, link: Link
) -> str:
    """Say how an ensemble differs from the mean of its networks; nothing where it does not.

    Each comes with its temperature, by which its logits in the table were divided.
    """
    held, scale = pool
    if not members or any(each.image_ids != held.image_ids for each, _ in members):
        return "other images"
    wanted = pool_logits(np.stack([own * each.logits for each, own in members]), link)
    if np.allclose(scale * held.logits, wanted, rtol=TOLERANCE, atol=TOLERANCE):
        return ""
    return f"logits {np.abs(scale * held.logits - wanted).max():.3g} off"


def _name(place: _Place) -> str:
    """Name a network, or an ensemble."""
    arm, fold, seed = place
    return f"{arm}, fold {fold}" + ("" if seed == ALL_SEEDS else f", seed {seed}")
