"""A small output folder with every step's record, made without any network or image."""

import json
import math
import struct
from pathlib import Path
from typing import cast

import numpy as np

from medvision.audit.canonical import write_rfc8785
from medvision.cli._cohort.summary import read_classes
from medvision.cli._explained.influence import COLUMNS as INFLUENCE_COLUMNS
from medvision.cli._explained.influence import Influences
from medvision.cli._explained.peaks import COLUMNS as PEAK_COLUMNS
from medvision.cli._explained.peaks import describe_peak
from medvision.cli._recompute.summary import compute_summary
from medvision.cli._recompute.told import (
    ATTRIBUTIONS,
    CASCADE,
    CHECKS,
    INFLUENCE,
    PEAKS,
    SELECTION,
    STABILITY,
    VERDICTS,
    Told,
    build_case,
)
from medvision.cli._report.study_record import gather_record
from medvision.cli._run import Step, open_step
from medvision.cli.audit import seal
from medvision.cli.evaluate import command as evaluate
from medvision.cli.plan import command as plan
from medvision.cli.predict import PREDICTION_COLUMNS, TEMPERATURE_COLUMNS
from medvision.cli.predict import command as predict
from medvision.config.model import Study, load_study
from medvision.domain.attribution import Check
from medvision.domain.explanation.plan import CASE_KEYS, PLAN
from medvision.domain.record import JsonValue
from medvision.domain.split import FOLD_COLUMNS
from medvision.explain.checks import SOURCES, About
from medvision.explain.names import EDGE, RANDOM, name_randomised
from medvision.explain.tables import (
    ATTRIBUTION_COLUMNS,
    CASCADE_COLUMNS,
    CHECK_COLUMNS,
    STABILITY_COLUMNS,
    VERDICT_COLUMNS,
    list_checks,
    list_verdicts,
)
from medvision.io.nifti.write import write_nifti
from medvision.io.tables import Cell, write_table
from medvision.layout import Layout
from medvision.report.study_inputs import STUDY_RECORD
from medvision.runtime.files import hash_file, write_bytes, write_json, write_text

METHODS = ("integrated_gradients", "occlusion")
SUBJECTS = tuple(f"sub-{n:010x}" for n in range(6))
IMAGES = tuple(f"{subject}_img-{n:012x}" for n, subject in enumerate(SUBJECTS))
LABELS = ("negative", "positive") * 3
N_FOLDS = 2
EXPLAIN_SEED = 1
EXPLAINED = (IMAGES[4], IMAGES[1])
"""The images that are drawn with that seed: the most uncertain one, then a true positive."""

UNEXPLAINED = IMAGES[0]
AFFINE = np.array([[0.0, -2, 0, 9], [1.5, 0, 0, -7], [0, 0, 5, 40], [0, 0, 0, 1]])
"""Of every image: axes exchanged and turned round, voxels of three sizes."""

MACHINE: dict[str, JsonValue] = {"processor": "none", "instructions": "NONE", "threads": 1}
BASELINE = "b" * 64
"""Digest of what the fake study's integrated gradients are measured against."""

Rows = list[dict[str, Cell]]


def configure(root: Path, *overrides: str) -> Study:
    """Return the configuration of a fake study at `root`."""
    return load_study(
        json.dumps(
            {
                "output": {"path": str(root)},
                "cohort": {"folds": N_FOLDS},
                "evaluate": {"n_resamples": 100, "calibration_bins": 2},
                "explain": {
                    "methods": METHODS,
                    "images": 2,
                    "seed": EXPLAIN_SEED,
                    "stability_images": 0,
                    "cascade_images": 0,
                    "influence": 0,
                },
                "control": {"trainings": []},
                "shortcuts": {"probes": [], "columns": []},
            }
        ),
        overrides=overrides,
    )


def write_study(root: Path, *overrides: str) -> Study:
    """Write every step's files and record below `root`, the audit step's left out."""
    study = configure(root, *overrides)
    layout = Layout(root)
    write_phantom(study, layout)
    write_ingest(study, layout)
    write_measure(study, layout)
    write_cohort(study, layout)
    write_preprocess(study, layout)
    write_pretrain(study, layout)
    for arm in study.arms:
        for fold in range(N_FOLDS):
            write_train(study, layout, arm=arm, fold=fold)
    write_predict(study, layout)
    write_evaluate(study)
    write_plan(study)
    write_explain(study, layout)
    write_report(study, layout)
    return study


def list_folds() -> Rows:
    """Return folds.tsv: each image is tested in one fold."""
    rows: Rows = []
    for fold in range(N_FOLDS):
        for n, (image, subject) in enumerate(zip(IMAGES, SUBJECTS, strict=True)):
            tested = n // 2 % N_FOLDS == fold
            split = "test" if tested else "validation" if n // 2 == 1 - fold else "train"
            rows.append({"fold": fold, "image_id": image, "subject": subject, "split": split})
            rows[-1] |= {"label": LABELS[n], "repeat": 0, "part": fold, "inner": 0}
    return rows


def write_phantom(study: Study, layout: Layout) -> None:
    with open_step("phantom", study) as step:
        for name in ("a1", "b2"):
            write_bytes(step.write(layout.archive / name), b"raw " + name.encode())
        write_text(step.write(layout.phantom_labels), "subject,label\nphantom-1,positive\n")
        write_bytes(step.write(layout.phantom_key), b"published key")
        write_json(step.write(layout.step("phantom") / "truth.json"), {"nodules": []})


def write_ingest(study: Study, layout: Layout) -> None:
    with open_step("ingest", study, upstream=["phantom"]) as step:
        step.read(layout.archive / "a1")
        write_bytes(step.write(layout.pseudonym_key), b"secret key")
        rows: Rows = []
        for n, image in enumerate(IMAGES):
            write_bytes(step.write(layout.image(image)), f"voxels {n}".encode())
            sidecar: dict[str, JsonValue] = {"image_id": image, "Affine": AFFINE.tolist()}
            write_json(step.write(layout.images / f"{image}.json"), sidecar)
            digest = hash_file(layout.image(image))
            rows.append({"image_id": image, "subject": SUBJECTS[n], "image_digest": digest})
        columns = ("image_id", "subject", "image_digest")
        write_table(step.write(layout.manifest), rows, columns=columns)
        write_table(step.write(layout.rejects), [], columns=("file", "reason"))


def write_measure(study: Study, layout: Layout) -> None:
    with open_step("measure", study, upstream=["ingest"]) as step:
        step.read(layout.manifest)
        columns = ("image_id", "reason", "minimum", "maximum")
        rows: Rows = [{"image_id": image, "minimum": 0.0, "maximum": 1.0} for image in IMAGES]
        write_table(step.write(layout.table("measure", "measures")), rows, columns=columns)


def write_cohort(study: Study, layout: Layout) -> None:
    with open_step("cohort", study, upstream=["phantom", "ingest"]) as step:
        step.read(layout.manifest)
        step.source("labels", layout.phantom_labels)
        write_bytes(step.write(layout.mask(IMAGES[1])), b"mask")
        rows: Rows = [
            {"image_id": image, "subject": SUBJECTS[n], "group": SUBJECTS[n], "label": LABELS[n]}
            for n, image in enumerate(IMAGES)
        ]
        rows[1]["mask"] = hash_file(layout.mask(IMAGES[1]))
        columns = ("image_id", "subject", "group", "label", "mask")
        write_table(step.write(layout.cohort), rows, columns=columns)
        write_table(step.write(layout.folds), list_folds(), columns=FOLD_COLUMNS)
        write_json(
            step.write(layout.cohort_summary),
            {"n_folds": N_FOLDS, "classes": ["negative", "positive"], "positive": "positive"},
        )


def write_preprocess(study: Study, layout: Layout) -> None:
    with open_step("preprocess", study, upstream=["ingest", "cohort"]) as step:
        rows = [
            {
                "image_id": image,
                "source_shape": "2x3x4",
                "source_affine": json.dumps(AFFINE.tolist()),
                "tensor_affine": json.dumps(AFFINE.tolist()),
            }
            for image in IMAGES
        ]
        columns = ("image_id", "source_shape", "source_affine", "tensor_affine")
        write_table(step.write(layout.array_index), rows, columns=columns)
        step.read(layout.cohort)
        for image in IMAGES:
            step.read(layout.image(image))
        write_bytes(step.write(layout.array_shard("1-of-1")), b"\x93NUMPY arrays")
        write_json(step.write(layout.array_meta), {"spatial_dims": 3})
        columns = ("image_id", "reason", "detail")
        write_table(step.write(layout.preprocess_rejects), [], columns=columns)


def write_pretrain(study: Study, layout: Layout) -> None:
    with open_step("pretrain", study) as step:
        write_bytes(step.write(layout.pretrained), fake_weights(0))


def write_train(study: Study, layout: Layout, *, arm: str, fold: int) -> None:
    upstream = ["cohort", "preprocess", "pretrain"]
    with open_step(layout.fold_step(arm, fold), study, upstream=upstream) as step:
        step.read(layout.folds)
        step.read(layout.array_shard("1-of-1"))
        if arm == "transfer":
            step.read(layout.pretrained)
        model = layout.model(arm, fold, seed=0)
        write_bytes(step.write(model), fake_weights(len(arm) + fold))
        rows: Rows = [{"epoch": 0, "loss": 0.5}]
        write_table(step.write(layout.history(arm, fold, seed=0)), rows, columns=("epoch", "loss"))
        events = layout.seed(arm, fold, seed=0) / "tensorboard" / "events.out"
        write_bytes(step.write(events), b"events")


def fake_weights(seed: int) -> bytes:
    """Return a safetensors file with one number."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return struct.pack("<Q", len(header)) + header + struct.pack("<f", seed)


def _read_models(step: Step, study: Study, layout: Layout) -> None:
    """Register every checkpoint as read."""
    for arm in study.arms:
        for fold in range(N_FOLDS):
            step.read(layout.model(arm, fold, seed=0))


def _list_upstream(study: Study, layout: Layout, *further: str) -> list[str]:
    """Return the training steps and some more."""
    folds = [layout.fold_step(arm, fold) for arm in study.arms for fold in range(N_FOLDS)]
    return [*further, *folds]


def write_predict(study: Study, layout: Layout) -> None:
    """Write what each arm and fold predicts, and gather it by the real command."""
    for arm in study.arms:
        for fold in range(N_FOLDS):
            _write_predicted(study, layout, arm=arm, fold=fold)
    predict.main(["--quiet", "--config", study.model_dump_json()], standalone_mode=False)


def _write_predicted(study: Study, layout: Layout, *, arm: str, fold: int) -> None:
    """Write the predictions of one arm and fold."""
    upstream = ("cohort", "preprocess", layout.fold_step(arm, fold))
    name = layout.fold_step(arm, fold, stage="predict")
    with open_step(name, study, upstream=upstream) as step:
        step.read(layout.model(arm, fold, seed=0))
        step.read(layout.folds)
        rows: Rows = []
        for row in list_folds():
            if row["split"] != "train" and row["fold"] == fold:
                given = _predict(str(row["image_id"]), str(row["label"]))
                rows.append({**row, "arm": arm, "seed": 0, **given})
        columns = PREDICTION_COLUMNS
        columns += ("logit_negative", "logit_positive")
        columns += ("probability_negative", "probability_positive")
        write_table(step.write(layout.table(name, "predictions")), rows, columns=columns)
        write_table(step.write(layout.table(name, "temperatures")), [], columns=TEMPERATURE_COLUMNS)


def _predict(image: str, label: str) -> dict[str, Cell]:
    """Return logits, mostly right, and their softmax."""
    logit = (1.5 if label == "positive" else -1.0) + 0.3 * IMAGES.index(image)
    positive = 1 / (1 + math.exp(-logit))
    return {
        "predicted": "positive" if logit > 0 else "negative",
        "logit_negative": 0.0,
        "logit_positive": logit,
        "probability_negative": 1 - positive,
        "probability_positive": positive,
    }


def write_evaluate(study: Study) -> None:
    """Run the real command, so that the statistics follow from the predictions."""
    evaluate.main(["--quiet", "--config", study.model_dump_json()], standalone_mode=False)


def write_plan(study: Study) -> None:
    """Run the real command, so that the selection follows from the predictions."""
    plan.main(["--quiet", "--config", study.model_dump_json()], standalone_mode=False)


def write_explain(study: Study, layout: Layout) -> None:
    upstream = _list_upstream(study, layout, "ingest", "cohort", "preprocess", "predict", "plan")
    with open_step("explain", study, upstream=upstream) as step:
        _read_models(step, study, layout)
        step.read(layout.predictions)
        plan = json.loads(step.read(layout.root / PLAN).read_text())
        write_explained(study, step, plan)
        step.facts["machine"] = MACHINE


def write_explained(study: Study, step: Step, plan: dict[str, JsonValue]) -> None:
    """Write maps and tables that follow from one another, by the functions that the step uses."""
    layout, shown = step.layout, cast("Rows", plan["cases"])
    cases = [build_case({key: str(value) for key, value in row.items()}) for row in shown]
    maps = [_write_map(step, layout, row, method) for row in shown for method in METHODS]
    checks = [row for case in cases for row in _check_maps(case.image_id)]
    told = Told(
        locate=lambda path: layout.root / path,
        section=study.explain,
        classes=read_classes(layout.cohort_summary),
        cases=cases,
        checks=checks,
        tables={
            ATTRIBUTIONS: [{key: str(value) for key, value in row.items()} for row, _ in maps],
            CASCADE: [],
            STABILITY: [],
        },
        summary={},
        selection=plan["selection"],
        facts={},
    )
    for path, rows, columns in (
        (ATTRIBUTIONS, [row for row, _ in maps], ATTRIBUTION_COLUMNS),
        (SELECTION, shown, CASE_KEYS),
        (CHECKS, list_checks(cases, checks), CHECK_COLUMNS),
        (VERDICTS, list_verdicts(cases, checks), VERDICT_COLUMNS),
        (PEAKS, [peak for _, own in maps for peak in own], PEAK_COLUMNS),
        (CASCADE, [], CASCADE_COLUMNS),
        (STABILITY, [], STABILITY_COLUMNS),
        (INFLUENCE, [], INFLUENCE_COLUMNS),
    ):
        write_table(step.write(layout.root / path), rows, columns=columns)
    beside = Influences().summarise(study.explain.influence)
    write_json(step.write(layout.explain_summary), compute_summary(told) | {"influence": beside})


def _check_maps(image_id: str) -> list[Check]:
    """Return rows of which one applies: the methods' maps of an image pass rank accuracy."""
    names = [*METHODS, EDGE, RANDOM, *map(name_randomised, METHODS)]
    rows = [
        About(image_id, name).row(check, "NOT APPLICABLE", reason="no network is here")
        for name in names
        for check in SOURCES
        if name not in METHODS or check != "rank_accuracy"
    ]
    reason = "0.5 of the 2 strongest voxels in the mask, 0.1 by chance"
    figures = {"statistic": 0.5, "comparator": 0.1, "threshold": 0.25, "n": 400}
    return rows + [
        About(image_id, name).row("rank_accuracy", "PASS", reason=reason, **figures)
        for name in METHODS
    ]


def _write_map(
    step: Step, layout: Layout, row: dict[str, Cell], method: str
) -> tuple[dict[str, Cell], Rows]:
    """Write one map and return its row, and that of its peak."""
    image = str(row["image_id"])
    path = step.write(layout.attribution(image, method))
    values = np.random.default_rng([IMAGES.index(image), METHODS.index(method)])
    grid = values.random((2, 3, 4), dtype=np.float32)
    write_nifti(path, grid, affine=AFFINE, is_placed=True)
    told: dict[str, Cell] = {
        "image_id": image,
        "method": method,
        "layer": "",
        "parameters": "{}",
        "minimum": float(grid.min()),
        "maximum": float(grid.max()),
        "baseline_digest": BASELINE if method == "integrated_gradients" else None,
        "map_digest": hash_file(path),
        "verdict": "PASS",
        "reason": "passed: rank_accuracy",
    }
    return told, describe_peak(image, method, grid=grid, affine=AFFINE, sidecar={})


def write_report(study: Study, layout: Layout) -> None:
    with open_step("report", study, upstream=["evaluate", "explain"]) as step:
        step.read(layout.metrics)
        step.read(layout.attributions)
        write_text(step.write(layout.report_html), "<!doctype html><p>research use only</p>")
        write_json(step.write(layout.report_json), {"title": study.report.title})
        write_text(step.write(layout.step("report") / "model_card.md"), "# Model card\n")
        write_bytes(step.write(layout.figures / "roc.png"), b"\x89PNG picture")
        record, _ = gather_record(layout.root, {"roc.png": b"\x89PNG picture"})
        content = write_rfc8785(record, where=STUDY_RECORD)
        write_bytes(step.write(layout.root / STUDY_RECORD), content)


def seal_study(root: Path, *overrides: str, workflow: Path | None = None) -> None:
    """Run the real command on a study below `root`."""
    config = configure(root, *overrides).model_dump_json()
    further = [] if workflow is None else ["--workflow", str(workflow)]
    seal.main(["--quiet", "--config", config, *further], standalone_mode=False)
