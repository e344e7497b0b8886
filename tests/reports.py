"""A small believable study as the report's own inputs, made without any stage."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from consistency_facts import HELD

from medvision.config.model import Study
from medvision.report.case import CaseGrids
from medvision.report.sources import History, Row, Sources

METHODS = ("integrated_gradients", "layer_gradcam", "occlusion")
CONTROLS = ("control_edge", "control_random")
CHECKS = ("completeness", "deletion", "weight_randomisation", "pointing", "relevance_mass")
N_SUBJECTS = 36
CLASSES = ("healthy", "nodule")
SUBJECTS = tuple(f"sub-{n * 7919:010x}" for n in range(N_SUBJECTS))
IMAGES = tuple(f"{subject}_img-{n * 104729:012x}" for n, subject in enumerate(SUBJECTS))
LABELS = tuple(CLASSES[n % 2] for n in range(N_SUBJECTS))
REASONS = {"missing-slice": "the slices leave a gap", "localizer": "a scout made for planning"}


def make_sources(
    *, arms: tuple[str, ...] = ("transfer", "scratch"), explained: int = 3, leakage: str = "grouped"
) -> Sources:
    """Return the inputs of a report on a phantom study with two classes."""
    study = Study()
    return Sources(
        tables={
            **_make_ingest(),
            **_make_cohort(leakage),
            **_make_evaluation(arms),
            **_make_explanations(explained),
        },
        documents={
            "cohort_summary": {"classes": list(CLASSES), "positive": "nodule"},
            "explain_summary": {
                "limits": ["Maps are no finer than the array."],
                "consistency": HELD,
            },
        },
        histories=[_make_history(arm, fold) for arm in arms for fold in range(3)],
        settings={
            name: getattr(study, name).model_dump(mode="json")
            for name in (
                "data",
                "cohort",
                "preprocess",
                "model",
                "pretrain",
                "train",
                "evaluate",
                "explain",
            )
        },
        records=[_make_record(step, n) for n, step in enumerate(("ingest", "cohort", "evaluate"))],
        version="0.0.0",
        command="snakemake --cores all",
        reasons=REASONS,
    )


def make_measured(
    *, n_images: int = len(IMAGES), n_flagged: int = 3, explained: int = 0
) -> Sources:
    """A study with one image left out and some flagged."""
    sources = make_sources(explained=explained)
    names = [*IMAGES, *(f"sub-more-{n:05x}_img-{n:012x}" for n in range(n_images - len(IMAGES)))]
    cohort = [
        {"image_id": n, "subject": n[:14], "label": "nodule", "modality": "CT"} for n in names
    ]
    measures = [
        {"image_id": name, "reason": "", "n_planes": str(n + 1), "noise_share": f"0.0{n + 11}"}
        for n, name in enumerate([*names, "sub-gone_img-gone"])
    ]
    findings = [
        {"image_id": name, "label": "nodule", "rule": "noise", "action": "flagged", "detail": ""}
        for name in names[:n_flagged]
    ]
    findings.append({**findings[0], "rule": "blur"})
    gone = {"image_id": "sub-gone_img-gone", "label": "healthy", "rule": "constant"}
    findings.append({**gone, "action": "excluded", "detail": "all <i>7</i>"})
    tables = {"cohort": cohort, "measures": measures, "quality": findings}
    return replace(sources, tables={**sources.tables, **tables})


def _make_ingest() -> dict[str, list[Row]]:
    sources = [
        {"file": f"file-{n:012x}", "verdict": "converted", "reason": "", "image_id": IMAGES[n // 4]}
        for n in range(4 * N_SUBJECTS)
    ]
    refused = ["missing-slice"] * 7 + ["localizer"] * 2 + ["not-an-image"]
    rejects = [{"file": f"file-{n + 900:012x}", "reason": code} for n, code in enumerate(refused)]
    sources += [{**row, "verdict": "refused", "image_id": ""} for row in rejects]
    manifest = [{"image_id": i, "subject": s} for i, s in zip(IMAGES, SUBJECTS, strict=True)]
    return {"sources": list(sources), "rejects": list(rejects), "manifest": list(manifest)}


def _make_cohort(action: str) -> dict[str, list[Row]]:
    cohort = [
        {"image_id": i, "subject": s, "label": label, "modality": "CT"}
        for i, s, label in zip(IMAGES, SUBJECTS, LABELS, strict=True)
    ]
    folds = [
        {**row, "fold": str(fold), "part": str(fold), "split": _name_split(n, fold)}
        | {"repeat": "0", "inner": "0"}
        for fold in range(3)
        for n, row in enumerate(cohort)
    ]
    pair = {
        "kind": "same-pixels",
        "image_a": IMAGES[2],
        "image_b": IMAGES[4],
        "subject_a": SUBJECTS[2],
        "subject_b": SUBJECTS[4],
        "split_a": "",
        "split_b": "",
        "label_a": "healthy",
        "label_b": "healthy",
        "action": action,
    }
    unmatched = [{"kind": "label-without-image", "id": "sub-00000000ff", "detail": "refused"}]
    leakage = [pair] if action else []
    return {
        "cohort": list(cohort),
        "folds": list(folds),
        "leakage": leakage,
        "unmatched": unmatched,
    }


def _name_split(n: int, fold: int) -> str:
    place = (n // 2 + fold) % 3
    return ("test", "train", "validation" if n % 8 < 2 else "train")[place]


def _make_evaluation(arms: tuple[str, ...]) -> dict[str, list[Row]]:
    values = {"transfer": (0.912, 0.804, 0.981), "scratch": (0.846, 0.712, 0.947)}
    counts = {"n_images": "36", "n_subjects": "36", "n_positive": "18", "method": "bootstrap"}
    metrics, roc, bins, cells, thresholds = [], [], [], [], []
    for arm in arms:
        value, low, high = values.get(arm, (0.8, 0.7, 0.9))
        for name, less in (("auc", 0), ("balanced_accuracy", 0.07), ("sensitivity", 0.05)):
            row = {"value": value - less, "low": low - less, "high": high - less}
            metrics.append({"arm": arm, "metric": name, **_as_text(row), **counts})
        for fpr in np.linspace(0, 1, 20):
            roc.append({"arm": arm, "fpr": f"{fpr:.4f}", "tpr": f"{fpr ** (1 - value):.4f}"})
        for p in (0.1, 0.3, 0.55, 0.7, 0.93):
            held = {"predicted": p, "observed": p**1.2, "low": p / 2, "high": min(1, p * 1.4)}
            bins.append({"arm": arm, **_as_text(held), "n": "7"})
        for label, predicted, n in (
            (0, 0, 15),
            (0, 1, 3),
            (1, 0, 4),
            (1, 1, 14),
        ):
            names = {"label": CLASSES[label], "predicted": CLASSES[predicted]}
            cells.append({"arm": arm, **names, "n": str(n)})
        thresholds.append({"arm": arm, "fold": "0", "seed": "0", "threshold": "0.47"})
    comparison = [
        {
            "metric": "auc",
            "arm_a": "transfer",
            "arm_b": "scratch",
            "difference": "0.066",
            "low": "-0.021",
            "high": "0.158",
            "n_subjects": "36",
            "method": "paired bootstrap",
        }
    ]
    return {
        "metrics": metrics,
        "roc": roc,
        "calibration": bins,
        "confusion": cells,
        "thresholds": thresholds,
        "comparison": comparison if len(arms) > 1 else [],
    }


def _as_text(values: Mapping[str, float]) -> dict[str, str]:
    return {name: f"{value:.9g}" for name, value in values.items()}


def _make_explanations(n_images: int) -> dict[str, list[Row]]:
    selection, attributions, checks, predictions = [], [], [], []
    for n in range(n_images):
        predicted = CLASSES[(n + (n == 2)) % 2]
        model = {"arm": "transfer", "fold": str(n % 3), "seed": "0"}
        image = {"image_id": IMAGES[n], "subject": SUBJECTS[n], **model, "label": LABELS[n]}
        selection.append(
            {**image, "predicted": predicted, "target": predicted, "rule": "uncertain"}
        )
        chances = {"probability_healthy": "0.31", "probability_nodule": "0.69"}
        predictions.append({**image, "split": "test", "predicted": predicted, **chances})
        for method in METHODS:
            attributions.append(
                {
                    "image_id": IMAGES[n],
                    "method": method,
                    "target": predicted,
                    "layer": "",
                    "minimum": "-0.2",
                    "maximum": "0.7",
                    "map_digest": "ab" * 32,
                    "verdict": "FAIL" if n == 1 else "PASS",
                    "reason": "see the checks",
                }
            )
        for method in (*METHODS, *CONTROLS):
            checks += [_make_check(n, method, check) for check in CHECKS]
    return {
        "selection": selection,
        "attributions": attributions,
        "checks": checks,
        "predictions": predictions,
    }


def _make_check(n: int, method: str, check: str) -> dict[str, str]:
    verdict = "PASS"
    if method == "layer_gradcam" and check == "completeness":
        verdict = "NOT APPLICABLE"
    if n == 1 and check == "pointing":
        verdict = "FAIL"
    if method.startswith("control") and check == "weight_randomisation":
        verdict = "FAIL"
    return {
        "image_id": IMAGES[n],
        "method": method,
        "check": check,
        "statistic": "0.95",
        "comparator": "0.5",
        "threshold": "0.95",
        "n": "20",
        "verdict": verdict,
        "reason": "mean logit 0.3, 0.7 in random order",
        "source": "petsiuk2018",
    }


def _make_history(arm: str, fold: int) -> History:
    slower = 1.6 if arm == "scratch" else 1.0
    rows = [
        {
            "epoch": str(epoch + 1),
            "train_loss": f"{0.69 * np.exp(-epoch / (4 * slower)):.6f}",
            "validation_loss": f"{0.2 + 0.5 * np.exp(-epoch / (5 * slower)) + 0.02 * fold:.6f}",
        }
        for epoch in range(14)
    ]
    return History(arm, fold, 0, rows)


def _make_record(step: str, n: int) -> dict[str, object]:
    return {
        "step": step,
        "version": "0.0.0",
        "seed": n,
        "device": "cpu",
        "software": {"python": "3.11", "numpy": "2.1"},
        "reads": {},
        "writes": {f"{step}/metrics.tsv": f"{n}" * 64, f"{step}/manifest.tsv": "f" * 64},
    }


def make_grids(
    n: int, *, shape: tuple[int, int, int] = (64, 64, 24), masked: bool = True
) -> CaseGrids:
    """Return a chest-like volume with a bright ball, maps around it, and its mask."""
    rng = np.random.default_rng(n)
    i, j, k = np.indices(shape)
    centre = np.array([0.33, 0.6, 0.55]) * shape
    distance = np.sqrt((i - centre[0]) ** 2 + (j - centre[1]) ** 2 + (2 * (k - centre[2])) ** 2)
    body = ((i / shape[0] - 0.5) / 0.45) ** 2 + ((j / shape[1] - 0.5) / 0.36) ** 2 < 1
    lungs = (((abs(i / shape[0] - 0.5) - 0.2) / 0.14) ** 2 + ((j / shape[1] - 0.5) / 0.25) ** 2) < 1
    image = np.where(body, 40.0, -1000.0)
    image[lungs] = -820
    image[distance < 4.5] = 60
    image += rng.normal(0, 25, shape)
    glow = np.exp(-((distance / 7) ** 2))
    maps = {
        "integrated_gradients": (0.4 * glow * rng.normal(0.5, 1, shape)),
        "layer_gradcam": 2.5 * np.exp(-((distance / 13) ** 2)) - 0.3,
        "occlusion": glow - 0.25 * np.roll(glow, 20, axis=0),
    }
    return CaseGrids(
        image=image.astype(np.float32),
        affine=np.diag([3.0, 3.0, 5.0, 1.0]),
        maps={name: grid.astype(np.float32) for name, grid in maps.items()},
        mask=(distance < 4.5).astype(np.float32) if masked else None,
        has_geometry=True,
        window=(-1000.0, 200.0),
        units="HU",
    )
