"""Ways to tamper with an audit bundle, from a slip to a forgery that fits itself."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from studies import EXPLAINED, IMAGES, SUBJECTS, UNEXPLAINED

from medvision.audit.canonical import write_canonical, write_rfc8785
from medvision.audit.crate import CRATE, build_crate
from medvision.audit.graph import build_graph, parse_record
from medvision.audit.manifest import Entry, build_manifest, parse_manifest
from medvision.audit.signing import sign_manifest, write_key_pair
from medvision.domain.record import SOURCE_PREFIX
from medvision.io.nifti.read import read_nifti
from medvision.io.nifti.write import write_nifti
from medvision.runtime.files import hash_bytes, hash_file, write_json

MAPS = "study/explain/maps"
PREDICTIONS = "study/predict/predictions.tsv"
COHORT = "study/cohort/cohort.tsv"

Grid = NDArray[np.float32]

Forgery = Callable[[Path], None]
"""Changes a bundle in place."""

KINDS = {
    "a table": PREDICTIONS,
    "a record": "study/evaluate/record.json",
    "the statistics": "study/evaluate/metrics.json",
    "model weights": "study/train/transfer/fold-1/seed-0/model.safetensors",
    "an attribution map": f"{MAPS}/{EXPLAINED[0]}/occlusion.nii.gz",
    "the report": "study/report/report.html",
    "the report's JSON": "study/report/report.json",
    "the model card": "study/report/model_card.md",
    "a picture": "study/report/figures/roc.png",
    "the settings": "config.json",
    "the graph": "graph.json",
    "the crate": "ro-crate-metadata.json",
    "a rule of the workflow": "workflow/rules/train.smk",
    "the words for the reader": "README.txt",
    "the manifest": "manifest.json",
    "the signature": "signature.json",
}


def flip(path: Path, offset: int | None = None) -> None:
    """Change one bit of one byte, in the middle unless told where."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if offset is None else offset] ^= 1
    path.write_bytes(bytes(content))


def swap(one: Path, other: Path) -> None:
    """Exchange two files or folders."""
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def replace(path: Path, old: str, new: str) -> None:
    """Replace text in a file, and insist that it was there."""
    text = path.read_text()
    assert old in text, (path, old)
    path.write_text(text.replace(old, new))


def swap_subjects(path: Path) -> None:
    """Exchange two subjects in a table, their images left where they are."""
    one, other = (f"\t{subject}\t" for subject in SUBJECTS[:2])
    text = path.read_text()
    assert one in text
    assert other in text
    path.write_text(text.replace(one, "\t?\t").replace(other, one).replace("\t?\t", other))


def drop_lines(path: Path, word: str) -> None:
    """Drop the lines of a table that hold a word."""
    lines = path.read_text().splitlines(keepends=True)
    kept = [line for line in lines if word not in line]
    assert len(kept) < len(lines)
    path.write_text("".join(kept))


def rehash(bundle: Path) -> None:
    """Write a manifest that fits what lies in the folder; leave the signature as it is."""
    held = parse_manifest((bundle / "manifest.json").read_bytes())
    unlisted = {bundle / "manifest.json", bundle / "signature.json"}
    files = []
    for path in sorted(bundle.rglob("*")):
        if path.is_file() and path not in unlisted:
            content = path.read_bytes()
            name = path.relative_to(bundle).as_posix()
            files.append(Entry(name, hash_bytes(content), len(content)))
    manifest = build_manifest(held.version, files=files, referenced=held.referenced)
    (bundle / "manifest.json").write_bytes(manifest.as_bytes())


def refit(bundle: Path) -> None:
    """Make records, graph and manifest fit the files, as a careful forger would."""
    study = bundle / "study"
    referenced = {
        e.path for e in parse_manifest((bundle / "manifest.json").read_bytes()).referenced
    }
    records = {}
    for path in sorted(study.rglob("record.json")):
        value = json.loads(path.read_text())
        for side in ("reads", "writes"):
            value[side] = _refit_digests(study, value[side], referenced)
        write_json(path, value)
        relative = path.relative_to(study).as_posix()
        records[value["step"]] = parse_record(path.read_bytes(), path=relative)
    required = json.loads((bundle / "graph.json").read_text())["required"]
    graph = build_graph(records, required=tuple(required))
    (bundle / "graph.json").write_bytes(write_canonical(graph))
    rehash(bundle)
    held = parse_manifest((bundle / "manifest.json").read_bytes())
    crate = build_crate(held.version, files=held.files, referenced=held.referenced, records=records)
    (bundle / CRATE).write_bytes(crate)
    rehash(bundle)


def _refit_digests(study: Path, said: dict[str, str], referenced: set[str]) -> dict[str, str]:
    return {
        path: digest
        if path in referenced or path.startswith(SOURCE_PREFIX)
        else hash_bytes((study / path).read_bytes())
        for path, digest in said.items()
        if path in referenced or path.startswith(SOURCE_PREFIX) or (study / path).is_file()
    }


def sign_anew(bundle: Path) -> None:
    """Sign with a key of the forger's own."""
    key = bundle.parent / "forger.pem"
    write_key_pair(key)
    content = (bundle / "manifest.json").read_bytes()
    (bundle / "signature.json").write_bytes(sign_manifest(content, key))


def _flip_in(path: str) -> Forgery:
    return lambda bundle: flip(bundle / path)


def _add_file(bundle: Path) -> None:
    (bundle / "study/report/notes.txt").write_text("x")


def _edit_metrics(bundle: Path) -> None:
    path = bundle / KINDS["the statistics"]
    value = json.loads(path.read_text())
    value["arms"]["scratch"]["metrics"]["auc"]["value"] = 0.987
    write_json(path, value)


def _edit_record(bundle: Path) -> None:
    replace(bundle / KINDS["a record"], '"device": "cpu"', '"device": "gpu"')


def _claim_other_digest(bundle: Path) -> None:
    path = bundle / KINDS["a record"]
    value = json.loads(path.read_text())
    value["writes"]["evaluate/metrics.json"] = "0" * 64
    write_json(path, value)


def _swap_maps(bundle: Path) -> None:
    one, other = (bundle / MAPS / image / "occlusion.nii.gz" for image in EXPLAINED)
    swap(one, other)


def _move_map(bundle: Path) -> None:
    _rewrite_map(bundle, lambda grid: grid, shift_mm=0.5)


def _crop_map(bundle: Path) -> None:
    _rewrite_map(bundle, lambda grid: grid[:-1], shift_mm=0.0)


def _rewrite_map(bundle: Path, change: Callable[[Grid], Grid], *, shift_mm: float) -> None:
    """Rewrite a map, and its digest in the table."""
    path = bundle / MAPS / EXPLAINED[0] / "occlusion.nii.gz"
    before, image = hash_file(path), read_nifti(path)
    affine = image.affine.copy()
    affine[0, 3] += shift_mm
    write_nifti(path, change(image.array), affine=affine, is_placed=True)
    replace(bundle / "study/explain/attributions.tsv", before, hash_file(path))


def _drop_case(bundle: Path) -> None:
    for name in ("attributions.tsv", "selection.tsv"):
        drop_lines(bundle / "study/explain" / name, EXPLAINED[0])
    shutil.rmtree(bundle / MAPS / EXPLAINED[0])


def _add_case(bundle: Path) -> None:
    source = bundle / MAPS / EXPLAINED[0]
    shutil.copytree(source, bundle / MAPS / UNEXPLAINED)


def edit_plan(bundle: Path, change: Callable[[dict], None]) -> None:
    """Change the plan and write it canonically, as one that was made so."""
    path = bundle / "study/plan/plan.json"
    value = json.loads(path.read_text())
    change(value)
    path.write_bytes(write_rfc8785(value, where="plan"))


def _forget_case(plan: dict) -> None:
    case = next(c for c in plan["cases"] if c["image_id"] == EXPLAINED[0])
    plan["cases"].remove(case)
    plan["selection"]["selected"] -= 1


def _drop_planned_case(bundle: Path) -> None:
    _drop_case(bundle)
    edit_plan(bundle, _forget_case)


def _ask_for_fewer_orders(bundle: Path) -> None:
    edit_plan(bundle, lambda plan: plan["settings"].update(random_orders=10))


def _drop_map(bundle: Path) -> None:
    drop_lines(bundle / "study/explain/attributions.tsv", "occlusion")
    for path in (bundle / MAPS).rglob("occlusion.nii.gz"):
        path.unlink()


def sign_plan_anew(bundle: Path) -> None:
    """Sign the plan with a key of the forger's own."""
    key = bundle.parent / "planner.pem"
    write_key_pair(key)
    content = (bundle / "study/plan/plan.json").read_bytes()
    path = bundle / "study/plan/signature.json"
    path.write_bytes(sign_manifest(content, key, signs="plan/plan.json"))


def _edit_study_record(bundle: Path) -> None:
    path = bundle / "study/report/study.json"
    replace(path, '"predicted":"positive"', '"predicted":"negative"')


def strike_step(bundle: Path, step: str = "evaluate") -> None:
    """Let the study record say that a step was no part of the run."""
    path = bundle / "study/report/study.json"
    value = json.loads(path.read_text())
    del value["provenance"][step]
    path.write_bytes(write_rfc8785(value, where="record"))


def _drop_step(bundle: Path) -> None:
    shutil.rmtree(bundle / "study/evaluate")


def _edit_rule(bundle: Path) -> None:
    replace(bundle / KINDS["a rule of the workflow"], "medvision train", "medvision  train")


def _add_profile(bundle: Path) -> None:
    path = bundle / "workflow/profiles/slurm/config.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("executor: slurm")


def _edit_manifest_path(bundle: Path) -> None:
    replace(bundle / "manifest.json", '"README.txt"', '"../README.txt"')


def _link(bundle: Path) -> None:
    path = bundle / PREDICTIONS
    outside = bundle.parent / "outside.tsv"
    path.rename(outside)
    path.symlink_to(outside)


def _then(*steps: Forgery) -> Forgery:
    def run(bundle: Path) -> None:
        for step in steps:
            step(bundle)

    return run


def _edit_verdict(bundle: Path) -> None:
    replace(bundle / "study/explain/attributions.tsv", "PASS", "FAIL")


def _edit_reason(bundle: Path) -> None:
    replace(bundle / "study/explain/checks.tsv", "0.5 of the 2 strongest", "0.9 of the 2 strongest")


def _edit_concluded(bundle: Path) -> None:
    replace(bundle / "study/explain/verdicts.tsv", "NOT APPLICABLE", "PASS")


def _edit_summary(bundle: Path) -> None:
    replace(bundle / "study/explain/summary.json", '"mean_statistic": 0.5', '"mean_statistic": 0.9')


def _edit_peak(bundle: Path) -> None:
    path = bundle / "study/explain/peaks.tsv"
    rows = [line.split("\t") for line in path.read_text().splitlines()]
    rows[1][rows[0].index("value")] = "0.123"
    path.write_text("".join("\t".join(row) + "\n" for row in rows))


def _edit_settings(bundle: Path) -> None:
    replace(bundle / "config.json", '"n_resamples":100', '"n_resamples":150')


def _reorder_folds(bundle: Path) -> None:
    replace(bundle / "study/cohort/folds.tsv", "train", "test")


def _move_part(bundle: Path) -> None:
    # The columns fold, repeat, part, inner and seed of the second fold's rows.
    replace(bundle / PREDICTIONS, "\t1\t0\t1\t0\t0\t", "\t1\t0\t0\t0\t0\t")


FORGERIES: dict[str, Forgery] = {
    **{f"one byte flipped in {kind}": _flip_in(path) for kind, path in KINDS.items()},
    "one file removed": lambda b: (b / KINDS["a picture"]).unlink(),
    "one file added": _add_file,
    "one file added and listed": _then(_add_file, rehash),
    "a rule of the workflow edited, the manifest made to fit": _then(_edit_rule, rehash),
    "a rule of the workflow edited, all digests made to fit": _then(_edit_rule, refit),
    "a profile put among the workflow's files, all digests made to fit": _then(_add_profile, refit),
    "a file replaced by a link": _link,
    "a listed path that leaves the folder": _edit_manifest_path,
    "two folders of maps exchanged": lambda b: swap(
        b / MAPS / EXPLAINED[0], b / MAPS / EXPLAINED[1]
    ),
    "the maps of two cases exchanged": _swap_maps,
    "the maps of two cases exchanged, all digests made to fit": _then(_swap_maps, refit),
    "a map's affine shifted, all digests made to fit": _then(_move_map, refit),
    "a map of another shape, all digests made to fit": _then(_crop_map, refit),
    "a record edited": _edit_record,
    "a record edited, the manifest made to fit": _then(_edit_record, rehash),
    "a record's digest edited, the manifest made to fit": _then(_claim_other_digest, rehash),
    "the statistics edited, the manifest made to fit": _then(_edit_metrics, rehash),
    "the statistics edited, all digests made to fit": _then(_edit_metrics, refit),
    "a verdict edited, all digests made to fit": _then(_edit_verdict, refit),
    "a reason of a check edited, all digests made to fit": _then(_edit_reason, refit),
    "a control's verdict edited, all digests made to fit": _then(_edit_concluded, refit),
    "a mean of the summary edited, all digests made to fit": _then(_edit_summary, refit),
    "a map's peak edited, all digests made to fit": _then(_edit_peak, refit),
    "settings edited, all digests made to fit": _then(_edit_settings, refit),
    "two subjects exchanged in the predictions, all digests made to fit": _then(
        lambda b: swap_subjects(b / PREDICTIONS), refit
    ),
    "a training image called a test image, all digests made to fit": _then(_reorder_folds, refit),
    "predictions moved to another part, all digests made to fit": _then(_move_part, refit),
    "a case's rows and maps dropped, all digests made to fit": _then(_drop_case, refit),
    "a case dropped from the plan as well, all digests made to fit": _then(
        _drop_planned_case, refit
    ),
    "a method's maps dropped, all digests made to fit": _then(_drop_map, refit),
    "the plan edited, all digests made to fit": _then(_ask_for_fewer_orders, refit),
    "the plan signed with another key, all digests made to fit": _then(sign_plan_anew, refit),
    "the study record edited, all digests made to fit": _then(_edit_study_record, refit),
    "a step struck from the study record, all digests made to fit": _then(strike_step, refit),
    "the plan's signature removed": lambda b: (b / "study/plan/signature.json").unlink(),
    "a case's maps added, all digests made to fit": _then(_add_case, refit),
    "a test image's predictions dropped, all digests made to fit": _then(
        lambda b: drop_lines(b / PREDICTIONS, IMAGES[3]), refit
    ),
    "a case dropped from the cohort, all digests made to fit": _then(
        lambda b: drop_lines(b / COHORT, IMAGES[3]), refit
    ),
    "a step dropped, all digests made to fit": _then(_drop_step, refit),
    "the signature removed": lambda b: (b / "signature.json").unlink(),
    "signed again with another key": sign_anew,
    "the statistics edited, all made to fit, signed with another key": _then(
        _edit_metrics, refit, sign_anew
    ),
}
