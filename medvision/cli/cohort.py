"""`medvision cohort`: labels joined, leakage found, subjects split into folds."""

import logging
import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from medvision.cli._cohort_quality import judge_quality
from medvision.cli._cohort_summary import Parts, summarise_cohort
from medvision.cli._inputs import find_labels, read_labels
from medvision.cli._leakage import find_near_pairs, write_leakage
from medvision.cli._refusals import check_refusals
from medvision.cli._run import Step, open_step, read_record, study_command
from medvision.config.model import Study
from medvision.domain.balance import BALANCE_COLUMNS, count_balance
from medvision.domain.candidates import Unmatched, build_archive_images
from medvision.domain.cohort import CohortImage, Matching, count_unmatched, match_labels
from medvision.domain.folds import build_folds
from medvision.domain.labels import LabelRow, build_classes, build_label_rows
from medvision.domain.leakage import (
    LeakagePair,
    check_group_sizes,
    check_leakage,
    find_leakage,
    join_groups,
)
from medvision.domain.split import FOLD_COLUMNS, Assignment
from medvision.errors import DataError, GeometryError, StaleOutputError
from medvision.io.deidentify import Pseudonymiser, cap_age, read_key
from medvision.io.tables import read_table, write_table
from medvision.layout import Layout
from medvision.runtime.files import write_json

COHORT_COLUMNS = (
    *("image_id", "subject", "group", "label", "shape", "spacing_mm", "modality"),
    *("pixel_digest", "mask", "given_split"),
)
UNMATCHED_COLUMNS = ("kind", "id", "labels_row", "detail")

_log = logging.getLogger(__name__)


@study_command(
    "cohort",
    help="Join labels with images, find leakage, split subjects into folds.",
    example="medvision cohort --config config/config.yaml --set cohort.folds=5",
)
def command(study: Study, layout: Layout) -> None:
    """Build the cohort and its folds."""
    made = ("phantom",) if study.data.kind == "phantom" else ()
    upstream = ("ingest", "measure", *made)
    with open_step("cohort", study, upstream=upstream) as step:
        check_refusals(study, layout)
        step.seed = study.cohort.seed
        labels = _read_labels(step)
        matching = _match(step, labels)
        judged = judge_quality(step, matching.images)
        classes = build_classes(
            [image.label for image in judged.images], positive=_choose_positive(study)
        )
        pairs = find_leakage(
            judged.images,
            on_leakage=study.cohort.on_leakage,
            near=find_near_pairs(step, judged.images),
        )
        # Written before anything is refused, so that the message can point at it.
        write_leakage(step, pairs)
        _write_unmatched(step, matching.unmatched)
        check_leakage(pairs)
        settings = {
            name: value
            for name, value in dict(study.cohort).items()
            if name not in ("on_leakage", "roles", "near_duplicates", "similarity")
        }
        images = join_groups(judged.images, pairs)
        check_group_sizes(images, folds=study.cohort.folds)
        folds = build_folds(images, **settings)
        masks = _write_masks(step, images)
        unmatched = [*matching.unmatched, *masks.refused]
        _write_unmatched(step, unmatched)
        _write_cohort(step, images, masks=masks.digests)
        _write_folds(step, folds, images=images)
        summary = summarise_cohort(
            Parts(len(labels), classes, pairs, images, folds, unmatched, masks.alignments),
            on_leakage=study.cohort.on_leakage,
        )
        summary["quality"] = judged.summarise()
        write_json(step.write(layout.cohort_summary), summary)
        _report(unmatched, pairs)


@dataclass(frozen=True)
class _Masks:
    """Masks written (image_id to digest), how each was aligned, and those refused."""

    digests: dict[str, str]
    alignments: tuple[str, ...]
    refused: tuple[Unmatched, ...]


def _choose_positive(study: Study) -> str | None:
    """Return the class that counts as positive, if anybody says so; the phantom cohort does."""
    if study.data.kind != "phantom" or study.data.positive:
        return study.data.positive
    from medvision.phantom.subject import CLASS_NAMES

    return CLASS_NAMES[-1]


def _read_labels(step: Step) -> list[LabelRow]:
    """Read the table of labels, its subjects and images under their pseudonyms."""
    path = find_labels(step.study, step.layout)
    _register(step, "labels", path=path)
    rows = build_label_rows(read_labels(path, data=step.study.data))
    names = _read_names(step)
    return [
        replace(
            row,
            subject=names.subject(row.subject),
            image=names.image_key(row.image.removeprefix("./")) if row.image else None,
            attributes={name: _cap_age(name, text) for name, text in row.attributes.items()},
        )
        for row in rows
    ]


def _cap_age(name: str, text: str) -> str:
    """Return an attribute as it is, unless it is an age that would point at a person."""
    if "age" not in re.split(r"[^a-z]+", name.lower()):
        return text
    try:
        age_years = float(text)
    except ValueError:
        return text
    capped = cap_age(age_years)
    return text if capped == age_years else f"{capped:g}"


def _read_names(step: Step) -> Pseudonymiser:
    """Return the pseudonyms of ingestion; with another key no label would find its image."""
    path = _find_key(step)
    hint = "put the key of ingestion back, or run `medvision ingest` again: all pseudonyms change."
    if not path.is_file():
        raise DataError(f"{path}: key of the pseudonyms must be a file, got none.", hint)
    names = Pseudonymiser(read_key(path))
    record = read_record(step.layout, "ingest")
    key_id = record.facts.get("key_id") if record else None
    if key_id not in (None, names.key_id):
        raise StaleOutputError(
            f"{path}: key of the pseudonyms must be {key_id}, with which the images were "
            f"ingested, got {names.key_id}.",
            hint,
        )
    return names


def _find_key(step: Step) -> Path:
    """Return the secret that ingestion used."""
    if step.study.data.kind == "phantom":
        return step.read(step.layout.phantom_key)
    return step.study.ingest.key or step.layout.pseudonym_key


def _register(step: Step, name: str, *, path: Path) -> None:
    """Register a file of the phantom cohort as read, and one of the user's as a source."""
    if step.study.data.kind == "phantom":
        step.read(path)
    elif path.is_file():
        step.source(name, path)


def _match(step: Step, labels: Sequence[LabelRow]) -> Matching:
    """Join labels with the manifest."""
    images = build_archive_images(read_table(step.read(step.layout.manifest)))
    reasons: defaultdict[str, set[str]] = defaultdict(set)
    for row in read_table(step.read(step.layout.rejects)):
        for name in (row["subject"], row["image_key"]):
            reasons[name].add(row["reason"])
    refused = {name: ", ".join(sorted(held)) for name, held in reasons.items() if name}
    return match_labels(labels, images, roles=step.study.cohort.roles, refused=refused)


def _write_masks(step: Step, images: Sequence[CohortImage]) -> _Masks:
    """Write each mask on its image's grid; list those that do not fit."""
    from medvision.runtime.progress import track

    shutil.rmtree(step.layout.masks, ignore_errors=True)
    digests, alignments, refused = {}, [], []
    marked = [image for image in images if image.mask]
    for image in track(marked, "aligning masks"):
        try:
            digests[image.image_id], how = _write_mask(step, image)
            alignments.append(how)
        except (DataError, GeometryError) as error:
            detail = error.message.partition(": ")[2]
            refused.append(Unmatched("mask-refused", image.image_id, image.line, detail))
    return _Masks(digests, tuple(alignments), tuple(refused))


def _write_mask(step: Step, image: CohortImage) -> tuple[str, str]:
    """Write one mask; return its digest and how it was aligned."""
    from medvision.domain.mask import align_mask
    from medvision.io.nifti.read import read_nifti
    from medvision.io.nifti.write import write_nifti

    source = find_labels(step.study, step.layout).parent / (image.mask or "")
    if not source.is_file():
        raise DataError(f"{image.image_id}: mask must be a file, got none.")
    mask = read_nifti(source)
    if mask.n_volumes > 1 or mask.is_colour:
        found = "colour" if mask.is_colour else f"{mask.n_volumes} volumes"
        raise DataError(f"{image.image_id}: mask must be one grey volume, got {found}.")
    target = read_nifti(step.read(step.layout.image(image.image_id)))
    aligned, how = align_mask(
        mask.array.astype("float32"),
        mask.affine,
        to_affine=target.affine,
        to_shape=target.shape,
        geometry=image.geometry,
        where=image.image_id,
    )
    _register(step, f"mask-{image.image_id}", path=source)
    digest = write_nifti(
        step.write(step.layout.mask(image.image_id)),
        aligned.astype("uint8"),
        affine=target.affine,
        is_placed=target.is_placed,
    )
    return digest, how


def _write_unmatched(step: Step, unmatched: Iterable[Unmatched]) -> None:
    """Write the table of what could not be joined."""
    rows = [asdict(item) | {"labels_row": item.line} for item in unmatched]
    write_table(step.write(step.layout.unmatched), rows, columns=UNMATCHED_COLUMNS)


def _write_cohort(step: Step, images: Sequence[CohortImage], *, masks: dict[str, str]) -> None:
    """Write one row per image, the user's further columns last."""
    attributes = tuple(images[0].attributes)
    own = [name for name in COHORT_COLUMNS if name != "mask"]
    rows = [
        # The user's columns first: none of them may replace one of ours.
        {**image.attributes, **{name: getattr(image, name) for name in own}}
        | {"mask": masks.get(image.image_id)}
        for image in images
    ]
    write_table(step.write(step.layout.cohort), rows, columns=(*COHORT_COLUMNS, *attributes))


def _write_folds(step: Step, folds: Sequence[Assignment], *, images: Sequence[CohortImage]) -> None:
    """Write the folds and their balance."""
    write_table(
        step.write(step.layout.folds), [asdict(item) for item in folds], columns=FOLD_COLUMNS
    )
    balance = count_balance(folds, images, stratify_by=step.study.cohort.stratify_by)
    rows = [asdict(item) for item in balance]
    write_table(step.write(step.layout.balance), rows, columns=BALANCE_COLUMNS)


def _report(unmatched: Sequence[Unmatched], pairs: Sequence[LeakagePair]) -> None:
    """Log what a user should look at, by count alone."""
    for kind, n in count_unmatched(unmatched).items():
        _log.warning("%d %s: see cohort/unmatched.tsv.", n, kind)
    for action, n in sorted(Counter(pair.action for pair in pairs).items()):
        _log.warning("%d pairs of images could leak, %s: see cohort/leakage.tsv.", n, action)
