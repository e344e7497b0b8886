"""Checks of a study: images, labels, weights, keys, and the disk that results go to."""

import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from medvision.cli._doctor.costs import cost_ablation, cost_scorecard
from medvision.cli._doctor.disk import check_disk
from medvision.cli._doctor.findings import Finding
from medvision.cli._doctor.gate import check_gate
from medvision.cli._doctor.generator import check_generator
from medvision.cli._inputs import choose_classes, read_labels
from medvision.cli._plugin_check import check_extensions
from medvision.config.ablation import is_ablated
from medvision.config.model import Study
from medvision.domain.labels.rows import Classes, LabelRow, build_label_rows
from medvision.domain.labels.values import parse_values
from medvision.domain.resampling.settings import Settings, check_settings
from medvision.domain.splits.enough import count_needed
from medvision.domain.splits.external import check_external_labels, mark_external, part_rows
from medvision.domain.splits.kinds import Kinds, name_kinds
from medvision.errors import MedvisionError
from medvision.learn.entrance import build_form
from medvision.learn.registry import find_shelf
from medvision.learn.weights_path import check_kind, resolve_weights
from medvision.runtime.files import is_exposed

_MOST_FILES_OPENED = 200
_MAGIC_OFFSET = 128
SMALLEST_SIDE = {("densenet121", 3): 17, ("squeezenet1_1", 2): 17, ("squeezenet1_1", 3): 17}
"""Backbone and dimensions to the fewest voxels per side of an array, where that is above 8."""

_ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")


_PRETRAINED = {
    "phantom": "trained here on phantoms",
    "contrastive": "trained here on views of the archive's images, without labels",
    "masked": "trained here on hidden blocks of the archive's images, without labels",
}


def check_study(study: Study) -> Iterator[Finding]:
    """Yield what the study stands on."""
    made = _say_made(study)
    folder = None if made else study.data.path
    files = [] if folder is None else _list_files(folder)
    if made:
        yield Finding("Images", "ok", made)
    if folder is not None:
        yield _check_images(folder, files, kind=study.data.kind)
    rows: list[LabelRow] = []
    if study.data.labels is not None:
        finding, rows = _check_labels(study, study.data.labels)
        yield finding
        if any(row.mask for row in rows):
            yield _check_masks(study.data.labels.parent, rows)
    yield _check_weights(study, study.model.weights)
    yield from _check_scorecard(study)
    if is_ablated(study):
        yield cost_ablation(study)
    yield from _check_extensions(study)
    yield from _check_size(study)
    yield from check_generator(study, rows)
    yield from check_gate(study)
    yield from _check_keys(study)
    if (study.fetch.source or study.publish.target) and find_spec("boto3") is None:
        yield Finding("Bucket", "fail", "boto3 is not installed", "pip install 'medvision[s3]'.")
    yield from _check_room(study, files, n_images=len(rows) or study.phantom.subjects)


def _say_made(study: Study) -> str:
    """Say how images come that lie in no folder of the user's; "" where they do."""
    if study.data.kind == "phantom":
        return f"{study.phantom.subjects} subjects are generated"
    if study.pacs.protocol != "none":
        return f"pulled by {study.pacs.protocol}"
    return "fetched from a bucket" if study.fetch.source else ""


def _check_room(study: Study, files: list[Path], *, n_images: int) -> Iterator[Finding]:
    """Look whether results can be written, and have room."""
    writable = _check_writable(study.output.path)
    yield writable
    if writable.status == "ok":
        folder = _find_existing(study.output.path)
        yield check_disk(study, files, folder=folder, n_images=n_images)


def _list_files(folder: Path) -> list[Path]:
    """Return all files below a folder, sorted."""
    return sorted(Path(root) / name for root, _, names in os.walk(folder) for name in names)


def _check_images(folder: Path, files: list[Path], *, kind: str) -> Finding:
    """Look whether the folder holds what it is said to hold."""
    if not folder.is_dir():
        hint = f"paths are relative to the working directory, {Path.cwd()}."
        return Finding("Images", "fail", f"data.path {folder} is no folder", hint)
    if not files:
        return Finding("Images", "fail", f"data.path {folder} is empty", "put the images there.")
    if kind == "nifti":
        return _judge_nifti(files)
    n_archives = sum(path.name.lower().endswith(_ARCHIVES) for path in files)
    if n_archives:
        return Finding("Images", "ok", f"{len(files)} files, {n_archives} of them archives")
    opened = files[:: -(-len(files) // _MOST_FILES_OPENED)]
    n_dicom = sum(_is_dicom(path) for path in opened)
    found = f"{len(files)} files; of {len(opened)} opened, {n_dicom} are DICOM"
    if n_dicom:
        return Finding("Images", "ok", found)
    hint = "check data.path and data.kind; files without the DICOM preamble are tried too."
    return Finding("Images", "warn", found, hint)


def _judge_nifti(files: list[Path]) -> Finding:
    """Count NIfTI files by their names."""
    n_nifti = sum(path.name.endswith((".nii", ".nii.gz", ".hdr", ".hdr.gz")) for path in files)
    found = f"{len(files)} files, {n_nifti} are NIfTI"
    if n_nifti:
        return Finding("Images", "ok", found)
    return Finding(
        "Images", "fail", found, "names must end in .nii, .nii.gz or .hdr; check data.kind."
    )


def _is_dicom(path: Path) -> bool:
    """Tell a DICOM file by its preamble (PS3.10 section 7.1)."""
    try:
        with path.open("rb") as stream:
            stream.seek(_MAGIC_OFFSET)
            return stream.read(4) == b"DICM"
    except OSError:
        return False


def _check_labels(study: Study, path: Path) -> tuple[Finding, list[LabelRow]]:
    """Read the table of labels by the rules that the cohort step applies."""
    try:
        every = build_label_rows(read_labels(path, data=study.data))
        every = mark_external(every, **study.cohort.external)
        rows, others = part_rows(every)
        classes = choose_classes(study.data, [row.label for row in rows])
        check_external_labels([row.label for row in others], classes)
        check_settings(Settings(**dict(study.evaluate)), classes=classes)
    except MedvisionError as error:
        return Finding("Labels", "fail", error.message, error.hint), []
    kinds = name_kinds([row.label for row in rows], classes)
    subjects: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        for name in kinds[row.label] or ("any",):
            subjects[name].add(row.subject)
    found = _count_labels(rows, classes, kinds=kinds) + _count_external(others)
    rarest = min(sorted(subjects), key=lambda name: len(subjects[name]))
    cohort = study.cohort
    unknown = [name for name in cohort.stratify_by if name not in rows[0].attributes]
    if unknown:
        hint = f"cohort.stratify_by may name {', '.join(rows[0].attributes) or 'no column here'}."
        return Finding("Labels", "fail", f"{found}; no column {unknown[0]}", hint), every
    needed = count_needed(
        folds=cohort.folds, held_out=cohort.held_out, inner_folds=cohort.inner_folds
    )
    if needed > len(subjects[rarest]):
        hint = "lower cohort.folds or inner_folds, or label more subjects."
        need = f"{cohort.folds} folds need {needed} subjects of each class"
        return Finding("Labels", "fail", f"{found}; {need}", hint), every
    if study.cohort.folds == 1 and rows[0].split is None:
        hint = "add a column split, or set cohort.folds to 2 or more."
        return Finding("Labels", "fail", f"{found}; 1 fold and no split column", hint), every
    return Finding("Labels", "ok", found), every


def _count_labels(rows: list[LabelRow], classes: Classes, *, kinds: Kinds) -> str:
    """Say how many rows and subjects have each class or finding, or where the values lie."""
    n_all = len({row.subject for row in rows})
    if classes.task == "regression":
        values = parse_values([row.label for row in rows])
        where = f"{classes.names[0]} {values.min():g} to {values.max():g}"
        return f"{where}, {len(rows)} rows of {n_all} subjects"
    told = []
    for name in classes.names:
        own = [row for row in rows if name in kinds[row.label]]
        told.append(f"{name} {len(own)} rows of {len({row.subject for row in own})} subjects")
    of_all = f"; {len(rows)} rows of {n_all} subjects in all"
    return ", ".join(told) + (of_all if classes.task == "multilabel" else "")


def _count_external(rows: list[LabelRow]) -> str:
    """Say how many rows and subjects are of the external cohort, where there is one."""
    n_subjects = len({row.subject for row in rows})
    return f"; external {len(rows)} rows of {n_subjects} subjects" if rows else ""


def _check_masks(home: Path, rows: list[LabelRow]) -> Finding:
    """Look whether the masks that the table names are there."""
    named = [row for row in rows if row.mask]
    lost = [row for row in named if not (home / (row.mask or "")).is_file()]
    if not lost:
        return Finding("Masks", "ok", str(len(named)))
    hint = f"line {lost[0].line}: the path must be relative to the table's folder."
    return Finding("Masks", "fail", f"{len(lost)} of {len(named)} are not there", hint)


def _check_weights(study: Study, weights: str) -> Finding:
    """Look whether starting weights are there."""
    if weights == "none":
        return Finding("Weights", "ok", "none: trained from scratch")
    if weights == "pretrain":
        return Finding("Weights", "ok", _PRETRAINED[study.pretrain.task])
    try:
        path, source = resolve_weights(weights, find_shelf())
        check_kind(path)
        if source is not None:
            # Channels are not known yet; one suits every source.
            build_form(source, intensity=study.preprocess.intensity, channels=1)
    except MedvisionError as error:
        return Finding("Weights", "fail", error.message, error.hint)
    if source is not None and source.backbone not in (None, study.model.backbone):
        hint = f"set model.backbone to {source.backbone}, or choose other weights."
        found = f"{weights} is for {source.backbone}, model.backbone is {study.model.backbone}"
        return Finding("Weights", "fail", found, hint)
    return Finding("Weights", "ok", weights if source is None else f"{weights}: {source.title}")


def _check_scorecard(study: Study) -> Iterator[Finding]:
    """Say what the scorecard costs and look for its weights, where it is asked for."""
    if not study.scorecard.sources:
        return
    for weights in study.scorecard.sources:
        if weights != study.model.weights:
            yield _check_weights(study, weights)
    yield cost_scorecard(study)


def _check_extensions(study: Study) -> Iterator[Finding]:
    """Look whether plug-ins can be imported and what they need is installed, where any is named."""
    section = study.preprocess
    named = [*section.plugins, *([section.bias_field] if section.bias_field else [])]
    if not named:
        return
    try:
        check_extensions(study)
    except MedvisionError as error:
        yield Finding("Plug-ins", "fail", error.message, error.hint)
    else:
        yield Finding("Plug-ins", "ok", ", ".join(named))


def _check_size(study: Study) -> Iterator[Finding]:
    """Yield a finding where the arrays are too small for a network that halves them."""
    size, backbone = study.preprocess.size, study.model.backbone
    known = 3 if study.data.kind == "phantom" else study.data.dimensions
    for dims in (2, 3) if known == "auto" else (int(known),):
        least = SMALLEST_SIDE.get((backbone, dims), 0)
        if min(size[:dims]) < least:
            found = (
                f"{backbone} needs {least} voxels or more per side of {dims}D images, got "
                f"preprocess.size {list(size[:dims])}"
            )
            hint = "enlarge preprocess.size, or choose another model.backbone."
            yield Finding("Size", "warn" if known == "auto" else "fail", found, hint)


def _check_keys(study: Study) -> Iterator[Finding]:
    """Look whether the secrets that the configuration names are there, and are secret."""
    named = {"ingest.key": study.ingest.key, "audit.signing_key": study.audit.signing_key}
    for field, path in named.items():
        if path is None:
            continue
        if not path.is_file():
            yield Finding("Keys", "fail", f"{field} {path} is not there", f"check {field}.")
        elif is_exposed(path):
            hint = f"chmod 600 {path}"
            yield Finding("Keys", "warn", f"{field} {path} may be read by others", hint)
        else:
            yield Finding("Keys", "ok", f"{field} {path}")


def _check_writable(folder: Path) -> Finding:
    """Write a file where the results will go, and remove it."""
    place = _find_existing(folder)
    try:
        with tempfile.TemporaryFile(dir=place) as stream:
            stream.write(b"medvision")
    except OSError as error:
        hint = "choose another output.path."
        return Finding("Output", "fail", f"{folder}: {error.strerror}", hint)
    return Finding("Output", "ok", f"{folder} can be written")


def _find_existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists."""
    resolved = folder.absolute()
    return next(place for place in (resolved, *resolved.parents) if place.exists())
