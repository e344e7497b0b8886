"""Size and build time of the report at 100 and at 50,000 subjects, from made-up tables.

    python benchmarks/report.py --subjects 100 50000

No network is trained: the tables are those that the stages would have written, as large as the
cohort makes them, and the whole report is built from them. Each cohort is built in a process of
its own, so that the peak of its memory is its own. Pictures and explained cases are the bounded
number that a page shows. `--keep FOLDER` writes the pages, to be looked at.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from medvision.config.model import Study
from medvision.report.case import CaseGrids, CaseView, build_case_view
from medvision.report.facts import build_facts
from medvision.report.page import MAX_CASES, Report, build_report
from medvision.report.sources import History, Row, Sources

N_FOLDS = 5
N_FILES_AN_IMAGE = 4
ARMS = ("transfer", "scratch")
CLASSES = ("healthy", "nodule")
METHODS = ("integrated_gradients", "layer_gradcam", "occlusion")
CHECKS = ("completeness", "deletion", "weight_randomisation", "pointing")


def make_sources(n: int) -> Sources:
    """Return the tables of a study of `n` subjects, an image each."""
    rng = np.random.default_rng(0)
    study = Study()
    images = [f"sub-{k * 7919:010x}_img-{k * 104729:012x}" for k in range(n)]
    cohort: list[Row] = [
        {
            "image_id": name,
            "subject": name[:14],
            "label": CLASSES[k % 2],
            "modality": "CT",
            "site": f"site-{k % 12}",
        }
        for k, name in enumerate(images)
    ]
    tables = {
        **make_ingest(images),
        **make_cohort(cohort, rng),
        **make_evaluation(n, rng),
        **make_predictions(cohort, rng),
        **make_explanations(cohort[:24]),
    }
    sections = ("data", "cohort", "preprocess", "model", "pretrain", "train", "evaluate", "explain")
    return Sources(
        tables=tables,
        documents={"cohort_summary": {"classes": list(CLASSES), "positive": "nodule"}},
        histories=[make_history(arm, fold, rng) for arm in ARMS for fold in range(N_FOLDS)],
        settings={name: getattr(study, name).model_dump(mode="json") for name in sections},
        version="0",
        command="snakemake --cores all",
        reasons={"missing-slice": "the slices leave a gap"},
    )


def make_ingest(images: list[str]) -> dict[str, list[Row]]:
    """Every file's verdict: one in fifty refused."""
    sources: list[Row] = [
        {"file": f"file-{k}-{j}", "verdict": "converted", "reason": "", "image_id": name}
        for k, name in enumerate(images)
        for j in range(N_FILES_AN_IMAGE)
    ]
    rejects: list[Row] = [
        {"file": f"refused-{k}", "reason": "missing-slice"} for k in range(len(images) // 50)
    ]
    refused = [{**row, "verdict": "refused", "image_id": ""} for row in rejects]
    manifest: list[Row] = [{"image_id": name, "subject": name[:14]} for name in images]
    return {"sources": [*sources, *refused], "rejects": rejects, "manifest": manifest}


def make_cohort(cohort: list[Row], rng: np.random.Generator) -> dict[str, list[Row]]:
    """Folds, balance, findings and measures; a subgroup column of twelve sites and one of ages."""
    folds = [make_fold_row(row, k, fold) for fold in range(N_FOLDS) for k, row in enumerate(cohort)]
    measured = rng.normal(1, 0.1, (len(cohort), 4))
    measures: list[Row] = [
        {
            "image_id": row["image_id"],
            "reason": "",
            "plane_pixels": "512",
            "n_planes": "40",
            "noise_share": f"{a:.4f}",
            "sharpness": f"{b:.4f}",
            "border_share": f"{c:.4f}",
            "ghosting": f"{d:.4f}",
        }
        for row, (a, b, c, d) in zip(cohort, measured, strict=True)
    ]
    flagged: list[Row] = [
        {**row, "rule": "noise", "action": "flagged", "detail": "0.21 above 0.18"}
        for row in cohort[::25]
    ]
    return {
        "cohort": cohort,
        "folds": folds,
        "balance": make_balance(n_ages=min(len(cohort), 100)),
        "measures": measures,
        "quality": flagged,
        "leakage": [make_pair(a, b) for a, b in zip(cohort[:-1:50], cohort[1::50], strict=False)],
    }


def make_balance(*, n_ages: int) -> list[Row]:
    """One row per fold and value of a subgroup column."""
    values = [("site", f"site-{k}") for k in range(12)]
    values += [("age", str(k)) for k in range(n_ages)]
    return [
        {
            "fold": str(fold),
            "split": "test",
            "variable": variable,
            "value": value,
            "n_images": "7",
            "share": "0.08",
        }
        for fold in range(N_FOLDS)
        for variable, value in values
    ]


def make_fold_row(row: Row, k: int, fold: int) -> Row:
    """One image in one fold."""
    split = {0: "test", 1: "validation"}.get((k // 2 + fold) % N_FOLDS, "train")
    place = {"fold": str(fold), "part": str(fold), "repeat": "0", "inner": "0"}
    return {**row, **place, "split": split}


def make_pair(a: Row, b: Row) -> Row:
    """Two look-alikes that were kept together."""
    ends = {
        f"{name}_{side}": row[name]
        for side, row in (("a", a), ("b", b))
        for name in ("subject", "label")
    }
    return {
        "kind": "near-pixels",
        "image_a": a["image_id"],
        "image_b": b["image_id"],
        "action": "grouped",
        "similarity": "0.998",
        "alteration": "brightness",
        **ends,
    }


def make_evaluation(n: int, rng: np.random.Generator) -> dict[str, list[Row]]:
    """Figures and curves; the ROC has a point per subject, as many as it can have."""
    names = ("auc", "balanced_accuracy", "sensitivity", "specificity", "brier")
    counts = {"n_images": str(n), "n_subjects": str(n), "n_positive": str(n // 2)}
    metrics: list[Row] = [
        {"arm": arm, "metric": name, "value": "0.81", "low": "0.79", "high": "0.83"}
        | {**counts, "method": "percentile bootstrap"}
        for arm in ARMS
        for name in names
    ]
    places = np.sort(rng.random(n))
    roc: list[Row] = [
        {"arm": arm, "fpr": f"{x:.6g}", "tpr": f"{x**0.2:.6g}"} for arm in ARMS for x in places
    ]
    bins: list[Row] = [
        {"arm": arm, "predicted": f"{p:.2f}", "observed": f"{p:.2f}", "low": "0", "high": "1"}
        | {"n": str(n // 10)}
        for arm in ARMS
        for p in np.arange(0.05, 1, 0.1)
    ]
    return {"metrics": metrics, "roc": roc, "calibration": bins}


def make_predictions(cohort: list[Row], rng: np.random.Generator) -> dict[str, list[Row]]:
    """One row per arm and image in the fold that tests it, and one that validates on it."""
    rows: list[Row] = []
    for arm in ARMS:
        for k, (row, p) in enumerate(zip(cohort, rng.random(len(cohort)), strict=True)):
            held = {**row, "arm": arm, "seed": "0", "predicted": CLASSES[int(p > 0.5)]}
            held |= {"probability_healthy": f"{1 - p:.6g}", "probability_nodule": f"{p:.6g}"}
            test = (-(k // 2)) % N_FOLDS
            rows.append({**held, "split": "test", "fold": str(test)})
            rows.append({**held, "split": "validation", "fold": str((test + 1) % N_FOLDS)})
    return {"predictions": rows}


def make_explanations(chosen: list[Row]) -> dict[str, list[Row]]:
    """Maps and checks of the cases that were explained."""
    selection, maps, checks = [], [], []
    for k, row in enumerate(chosen):
        model = {"arm": "transfer", "fold": str((-(k // 2)) % N_FOLDS), "seed": "0"}
        told = {"predicted": "nodule", "target": "nodule", "rule": "uncertain"}
        selection.append({**row, **model, **told})
        for method in METHODS:
            held = {"image_id": row["image_id"], "method": method, "verdict": "PASS"}
            maps.append(
                {**held, "target": "nodule", "layer": "", "minimum": "-1", "maximum": "1"}
                | {"map_digest": "ab" * 32, "reason": ""}
            )
            figures = {"statistic": "0.95", "comparator": "0.5", "threshold": "0.95", "n": "20"}
            checks += [
                {**held, **figures, "check": check, "reason": "", "source": ""} for check in CHECKS
            ]
    return {"selection": selection, "attributions": maps, "checks": checks}


def make_history(arm: str, fold: int, rng: np.random.Generator) -> History:
    """A model's hundred epochs."""
    losses = 0.2 + np.exp(-np.arange(100) / 20) + rng.normal(0, 0.01, 100)
    rows: list[Row] = [
        {"epoch": str(k + 1), "train_loss": f"{x:.6f}", "validation_loss": f"{x + 0.05:.6f}"}
        for k, x in enumerate(losses)
    ]
    return History(arm, fold, 0, rows)


def make_view(image_id: str, seed: int) -> CaseView:
    """The pictures of one explained case."""
    rng = np.random.default_rng(seed)
    image = rng.normal(0, 1, (96, 96, 48)).astype(np.float32)
    maps = {name: rng.normal(0, 1, image.shape).astype(np.float32) for name in METHODS}
    grids = CaseGrids(
        image, np.diag([1.0, 1, 2, 1]), maps, None, has_geometry=True, window=None, units=""
    )
    return build_case_view(image_id, grids)


def build(n: int) -> tuple[Report, dict[str, float]]:
    """Build the report of `n` subjects, and measure it."""
    sources = make_sources(n)
    rng = np.random.default_rng(1)
    start = time.process_time()
    facts = build_facts(sources, title=f"{n} subjects", author=None)
    between = time.process_time()
    cases = facts.explanation.cases[:MAX_CASES]
    views = {case.image_id: make_view(case.image_id, k) for k, case in enumerate(cases)}
    paired = [name for pair in facts.cohort.leakage for name in (pair.image_a, pair.image_b)]
    names = dict.fromkeys([*facts.quality.tiles, *paired, *facts.errors.images])
    pictures = {name: rng.integers(0, 255, (96, 96)).astype(np.uint8) for name in names}
    drawn = time.process_time()
    report = build_report(facts, views=views, pictures=pictures)
    end = time.process_time()
    return report, {
        "subjects": n,
        "facts_cpu_s": between - start,
        "cases_cpu_s": drawn - between,
        "page_cpu_s": end - drawn,
        "html_mb": len(report.html.encode()) / 1e6,
        "json_mb": len(json.dumps(report.facts).encode()) / 1e6,
        "table_rows": report.html.count("<tr"),
        "pictures": report.html.count("<img"),
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }


def main() -> None:
    """Measure each cohort in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, nargs="+", default=[100, 50_000])
    parser.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    if len(arguments.subjects) > 1:
        keep = ["--keep", str(arguments.keep)] if arguments.keep else []
        for n in arguments.subjects:
            subprocess.run([sys.executable, __file__, "--subjects", str(n), *keep], check=True)
        return
    report, measured = build(arguments.subjects[0])
    if arguments.keep:
        path = arguments.keep / f"report-{arguments.subjects[0]}.html"
        path.write_text(report.html)
    print(", ".join(f"{name} {value:.4g}" for name, value in measured.items()))


if __name__ == "__main__":
    main()
