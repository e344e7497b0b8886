"""Cross-references: do the tables of a bundle agree with its files and with one another?"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from medvision.audit.findings import Finding
from medvision.domain.labels.rows import EXTERNAL

Row = Mapping[str, str]
Rows = Sequence[Row]
ReadTable = Callable[[str], Rows]
"""Return the rows of a table, by its path below the output folder; raises MedvisionError."""

COHORT = "cohort/cohort.tsv"
FOLDS = "cohort/folds.tsv"
PREDICTIONS = "predict/predictions.tsv"
SELECTION = "explain/selection.tsv"
ATTRIBUTIONS = "explain/attributions.tsv"
PREPROCESS_REJECTS = "preprocess/rejects.tsv"


@dataclass(frozen=True)
class Link:
    """A column of a table that holds the digest of a file.

    Args:
        table: Path of the table below the output folder.
        column: Column with the sha256; an empty cell refers to nothing.
        target: Path of the file, with columns of the table in braces.
    """

    table: str
    column: str
    target: str


LINKS = (
    Link("ingest/manifest.tsv", "image_digest", "ingest/images/{image_id}.nii.gz"),
    Link(COHORT, "mask", "cohort/masks/{image_id}.nii.gz"),
    Link(ATTRIBUTIONS, "map_digest", "explain/maps/{image_id}/{method}.nii.gz"),
)


def find_link_faults(read: ReadTable, digests: Mapping[str, str]) -> list[Finding]:
    """Return the cells whose digest is not that of the file they stand for.

    Args:
        read: Reads a table by its path below the output folder.
        digests: Path below the output folder to sha256, files in the bundle and those left out.
    """
    findings = []
    for link in LINKS:
        for row in read(link.table):
            wanted = row.get(link.column, "")
            target = link.target.format_map(defaultdict(str, row))
            held = digests.get(target, "no such file")
            if wanted and held != wanted:
                findings.append(Finding(target, f"sha256 in {link.table}", held, wanted))
    return findings


def find_stray_maps(read: ReadTable, paths: Iterable[str]) -> list[Finding]:
    """Return the attribution maps that no row of the table stands for."""
    known = {f"explain/maps/{r['image_id']}/{r['method']}.nii.gz" for r in read(ATTRIBUTIONS)}
    return [
        Finding(path, "map", f"a row of {ATTRIBUTIONS}", "none")
        for path in paths
        if path.startswith("explain/maps/") and path.endswith(".nii.gz") and path not in known
    ]


def find_row_faults(read: ReadTable) -> list[Finding]:
    """Return the rows in which tables contradict one another.

    Subject and label of an image must be the same in every table, each prediction must be of the
    split, repeat and part that the folds say, every test and external image that could be
    preprocessed must be predicted by every arm and seed, no subject may be in two splits of a
    fold, or external in one fold alone, and what is explained must have been predicted as a test
    image.
    """
    cohort = {row["image_id"]: (row["subject"], row["label"]) for row in read(COHORT)}
    places = {(row["fold"], row["image_id"]): _read_place(row) for row in read(FOLDS)}
    predictions = read(PREDICTIONS)
    tested = {(row["fold"], row["image_id"]) for row in predictions if row["split"] == "test"}
    folds = read(FOLDS)
    findings = [*_find_mixed_subjects(folds), *_find_part_external(folds), *_find_unpredicted(read)]
    for table in (FOLDS, PREDICTIONS, SELECTION):
        findings += _find_identity_faults(table, read(table), cohort=cohort)
    for row in predictions:
        wanted, held = places.get((row["fold"], row["image_id"]), "no row"), _read_place(row)
        if wanted != held:
            where = f"{PREDICTIONS} {row['image_id']}"
            findings.append(Finding(where, "split", f"{wanted} as in {FOLDS}", held))
    for row in read(SELECTION):
        if (row["fold"], row["image_id"]) not in tested:
            where = f"{SELECTION} {row['image_id']}"
            findings.append(Finding(where, "image", "predicted as a test image", "no such row"))
    return findings


def _read_place(row: Mapping[str, str]) -> str:
    """Return the split of an image, and whose training says so, in words."""
    numbers = ", ".join(f"{name} {row[name]}" for name in ("repeat", "part", "inner"))
    return f"{row['split']} of {numbers}"


def _find_identity_faults(
    table: str, rows: Rows, *, cohort: Mapping[str, tuple[str, str]]
) -> list[Finding]:
    """Hold the subject and the label of each row against the cohort's."""
    findings = []
    for row in rows:
        wanted = cohort.get(row["image_id"])
        if wanted != (row["subject"], row["label"]):
            rule = f"{' '.join(wanted)} as in {COHORT}" if wanted else f"an image of {COHORT}"
            got = f"{row['subject']} {row['label']}"
            findings.append(Finding(f"{table} {row['image_id']}", "subject and label", rule, got))
    return findings


def _find_unpredicted(read: ReadTable) -> list[Finding]:
    """Name the images held out that an arm and seed did not predict: no case may be left out."""
    rejected = {row["image_id"] for row in read(PREPROCESS_REJECTS)}
    owed = {
        (row["fold"], row["image_id"])
        for row in read(FOLDS)
        if row["split"] in ("test", EXTERNAL) and row["image_id"] not in rejected
    }
    done = defaultdict(set)
    for row in read(PREDICTIONS):
        done[row["arm"], row["seed"]].add((row["fold"], row["image_id"]))
    return [
        Finding(f"{PREDICTIONS} {arm} seed {seed} fold {fold}", image, "predicted", "no row")
        for (arm, seed), predicted in sorted(done.items())
        for fold, image in sorted(owed - predicted)
    ]


def _find_mixed_subjects(folds: Rows) -> list[Finding]:
    """Name the subjects that are in two splits of one fold."""
    splits = defaultdict(set)
    for row in folds:
        splits[row["fold"], row["subject"]].add(row["split"])
    return [
        Finding(f"{FOLDS} fold {fold} {subject}", "splits", "one", " and ".join(sorted(found)))
        for (fold, subject), found in sorted(splits.items())
        if len(found) > 1
    ]


def _find_part_external(folds: Rows) -> list[Finding]:
    """Name the subjects that are of the external cohort in some folds and in others are not."""
    splits = defaultdict(set)
    for row in folds:
        splits[row["subject"]].add(row["split"])
    return [
        Finding(f"{FOLDS} {subject}", "splits", "external alone", " and ".join(sorted(found)))
        for subject, found in sorted(splits.items())
        if EXTERNAL in found and len(found) > 1
    ]
