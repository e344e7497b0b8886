"""What follows from logits, computed again: probabilities, temperatures, ensembles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from medvision.audit.findings import Finding
from medvision.audit.verify import Locate
from medvision.cli._cohort_summary import read_classes
from medvision.config.predict import PredictSection
from medvision.domain.arms import ALL_SEEDS, base_arm, is_ensemble, parse_seed
from medvision.domain.labels import Classes
from medvision.domain.pooling import LINKS, Link, Logits, pool_logits
from medvision.domain.prediction import Indices
from medvision.domain.record import JsonValue
from medvision.domain.temperature import compute_nll, fit_temperature
from medvision.io.tables import read_table
from medvision.runtime.files import read_json

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
    labels: Indices
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
    record = cast(Mapping[str, JsonValue], read_json(locate("predict/record.json")))
    parameters = cast(Mapping[str, JsonValue], record["parameters"])
    section = PredictSection.model_validate(parameters.get("predict", {}))
    classes = read_classes(locate("cohort/summary.json"))
    sets = _read_sets(read_table(locate(PREDICTIONS)), classes)
    findings = _find_probability_faults(sets, link=LINKS[classes.task])
    scales = {place: 1.0 for place, _ in sets}
    if section.temperature == "fit":
        rows = read_table(locate(TEMPERATURES))
        held = {(r["arm"], int(r["fold"]), parse_seed(r["seed"])): r for r in rows}
        missing = sorted(scales.keys() - held.keys())
        findings += [Finding(TEMPERATURES, _name(p), "a row", "none") for p in missing]
        scales |= {place: float(row["temperature"]) for place, row in held.items()}
        findings += _find_temperature_faults(sets, held)
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
    is_value, is_class = classes.task == "regression", classes.task == "classification"

    def read(kind: str) -> Logits:
        columns = ["predicted"] if is_value else [f"{kind}_{name}" for name in names]
        return np.array([[float(row[column]) for column in columns] for row in ordered])

    indices = [names.index(row["label"]) if is_class else 0 for row in ordered]
    return _Set(
        image_ids=tuple(row["image_id"] for row in ordered),
        labels=np.array(indices, dtype=np.intp),
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


def _find_temperature_faults(
    sets: Mapping[tuple[_Place, str], _Set], held: Mapping[_Place, _Row]
) -> list[Finding]:
    """Fit each temperature again, and hold its loss and counts against the table's."""
    findings = []
    for place, row in held.items():
        value, own = float(row["temperature"]), sets.get((place, "validation"))
        logits = value * own.logits if own else np.empty((0, 2))
        labels = own.labels if own else np.empty(0, dtype=np.intp)
        best = fit_temperature(logits, labels)
        pairs = (
            ("images", float(best.n), row["n_images"]),
            ("loss before", best.nll_before, row["nll_before"]),
            ("loss after", best.nll_after, row["nll_after"]),
            ("loss", best.nll_after, str(compute_nll(logits / value, labels)) if own else ""),
        )
        for thing, wanted, text in pairs:
            if not _is_near(wanted, text):
                what, rule = f"{thing} of {_name(place)}", f"{wanted}, computed again"
                findings.append(Finding(TEMPERATURES, what, rule, text))
    return findings


def _is_near(wanted: float | None, text: str) -> bool:
    """Compare a figure with a cell, which is empty where there is none."""
    if wanted is None or not text:
        return wanted is None and not text
    return abs(wanted - float(text)) <= TOLERANCE


def _find_ensemble_faults(
    sets: Mapping[tuple[_Place, str], _Set], scales: Mapping[_Place, float], *, link: Link
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
    pool: tuple[_Set, float], members: Sequence[tuple[_Set, float]], *, link: Link
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
