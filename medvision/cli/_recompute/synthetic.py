"""Level 1 of an audit, synthetic images: which were to be drawn, let through and trained on.

Nothing but the bundle is needed, and no network library is imported.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from medvision.audit.findings import Finding
from medvision.audit.verify import Locate
from medvision.cli._recompute.compared import compare_values
from medvision.cli._recompute.gate import find_verdict_faults
from medvision.cli._synthetic.accepted import VERDICT, describe_accepted
from medvision.cli._synthetic.files import describe_drawn, list_drawn
from medvision.cli._synthetic.read import IMAGES, TABLE
from medvision.config.synthesise import SynthesiseSection
from medvision.domain.arms import ARMS
from medvision.domain.record import JsonValue
from medvision.domain.split import Assignment, build_assignments
from medvision.domain.synthesis.accepted import Chosen, choose_accepted
from medvision.domain.synthesis.synthetic import count_wanted, name_gate, name_step
from medvision.errors import MedvisionError
from medvision.io.tables import Cell, Row, read_table
from medvision.runtime.files import hash_file, read_json

Table = Mapping[str, JsonValue]


@dataclass(frozen=True)
class Fold:
    """One fold of a bundle that draws images.

    Args:
        number: Of the training.
        train: Its real train images, by image id.
        classes: The study's classes.
        record: Of its generator.
        section: The settings that it was trained with.
    """

    number: int
    train: Sequence[Assignment]
    classes: tuple[str, ...]
    record: Table
    section: SynthesiseSection

    @property
    def wanted(self) -> dict[str, int]:
        """Class to the images that were to be drawn."""
        counts = Counter(item.label for item in self.train)
        return count_wanted({name: counts[name] for name in self.classes}, self.section.ratio)


def find_synthetic_faults(locate: Locate) -> list[Finding]:
    """Hold every fold's synthetic images against its folds, settings, gate and trainings.

    Args:
        locate: Returns where a file of the study lies in the bundle.

    Returns:
        What differs: an image that was not to be drawn so, a verdict that does not follow from its
        criteria, a training whose record tells of other images than its gate let through.

    Raises:
        MedvisionError: A file is missing or cannot be read.
        LookupError, ValueError: A table or a record is incomplete.
    """
    findings = []
    for fold in list_drawing(locate):
        findings += _find_drawn_faults(locate, fold)
        if _read_record(locate, name_gate(fold.number)) is None:
            continue
        chosen, told = _read_gate(locate, fold)
        findings += _find_gate_faults(locate, fold)
        findings += _find_training_faults(locate, fold, chosen=chosen, told=told)
    return findings


def list_drawing(locate: Locate) -> Iterator[Fold]:
    """Yield the folds of a bundle that have a generator; none where nothing was drawn.

    Args:
        locate: Returns where a file of the study lies in the bundle.

    Raises:
        MedvisionError: A file is missing or cannot be read.
        LookupError, ValueError: A table or a record is incomplete.
    """
    folds = build_assignments(read_table(locate("cohort/folds.tsv")))
    numbers = sorted({item.fold for item in folds})
    records = {number: _read_record(locate, name_step(number)) for number in numbers}
    if not any(records.values()):
        return
    held = {row["image_id"] for row in read_table(locate("preprocess/index.tsv"))}
    summary = cast(Table, read_json(locate("cohort/summary.json")))
    classes = tuple(cast(list[str], summary["classes"]))
    for number, record in records.items():
        own = [
            item
            for item in folds
            if (item.fold, item.split) == (number, "train") and item.image_id in held
        ]
        own.sort(key=lambda item: item.image_id)
        if record is not None:
            yield Fold(number, own, classes, record, _read_section(record))


def _read_record(locate: Locate, step: str) -> Table | None:
    """Return a step's record; none where the step was not run, which the closure judges."""
    try:
        path = locate(f"{step}/record.json")
    except MedvisionError:
        return None
    return cast(Table, read_json(path))


def _read_section(record: Table) -> SynthesiseSection:
    """Return the settings of synthetic images that a step obeyed."""
    return SynthesiseSection.model_validate(cast(Table, record["parameters"])["synthesise"])


def _find_drawn_faults(locate: Locate, fold: Fold) -> list[Finding]:
    """Hold the generator's tables and sidecar against folds and settings."""
    step, section = name_step(fold.number), fold.section
    drawn = list_drawn(fold.classes, fold.wanted, fold=fold.number, seed=section.seed)
    learnt: list[dict[str, Cell]] = [
        {"image_id": item.image_id, "subject": item.subject, "label": item.label}
        for item in fold.train
    ]
    findings = _compare_rows(f"{step}/{TABLE}", [*drawn], read_table(locate(f"{step}/{TABLE}")))
    path = f"{step}/sources.tsv"
    findings += _compare_rows(path, learnt, read_table(locate(path)))
    meta = cast(Table, read_json(locate("preprocess/meta.json")))
    sidecar = describe_drawn(
        section,
        fold.wanted,
        fold=fold.number,
        classes=fold.classes,
        shape=(sum(fold.wanted.values()), *cast(list[int], meta["shape"])[1:]),
        generator_digest=hash_file(locate(f"{step}/generator.safetensors")),
    )
    held = cast(dict[str, JsonValue], read_json(locate(f"{step}/images.json")))
    # The version is that of the run, and asked of all records elsewhere.
    sidecar["medvision_version"] = held.get("medvision_version")
    return findings + _compare(f"{step}/images.json", sidecar, held)


def _read_gate(locate: Locate, fold: Fold) -> tuple[Chosen, Table]:
    """Return what the gate's own tables let through, and its verdict."""
    step = name_gate(fold.number)
    told = cast(Table, read_json(locate(f"{step}/{VERDICT}")))
    chosen = choose_accepted(
        read_table(locate(f"{name_step(fold.number)}/{TABLE}")),
        read_table(locate(f"{step}/{TABLE}")),
        is_open=told["is_open"] is True,
        fold=fold.number,
        classes=fold.classes,
    )
    return chosen, told


def _find_gate_faults(locate: Locate, fold: Fold) -> list[Finding]:
    """Hold the verdict against its own tables, and ask what was read for it."""
    step = name_gate(fold.number)
    record = _read_record(locate, step)
    reads = cast(Table, (record or {}).get("reads", {}))
    findings = find_verdict_faults(locate, fold.number)
    return findings + _find_unread(step, reads, fold=fold, steps=(name_step(fold.number),))


def _find_training_faults(
    locate: Locate, fold: Fold, *, chosen: Chosen, told: Table
) -> list[Finding]:
    """Hold what the trainings of a fold say they were trained on against the gate."""
    findings = []
    for arm in ARMS:
        step = f"train/{arm}/fold-{fold.number}"
        record = _read_record(locate, step)
        if record is None:
            continue
        is_taken = _read_section(record).is_taken
        facts = cast(Table, record["facts"])
        wanted = describe_accepted(
            chosen, fold.classes, is_open=told["is_open"] is True, reason=str(told["reason"])
        )
        held = {name: facts[name] for name in wanted if name in facts}
        findings += _compare(f"{step}/record.json", wanted if is_taken else {}, held)
        counts: dict[str, JsonValue] = {"n_training": len(fold.train)}
        counts |= {"n_synthetic": len(chosen)} if is_taken else {}
        for seed in cast(list[int], facts["seeds"]):
            path = f"{step}/seed-{seed}/summary.json"
            own = cast(Table, read_json(locate(path)))
            names = [name for name in ("n_training", "n_synthetic") if name in own]
            findings += _compare(path, counts, {name: own[name] for name in names})
        if is_taken:
            reads = cast(Table, record["reads"])
            steps = (name_step(fold.number), name_gate(fold.number))
            findings += _find_unread(step, reads, fold=fold, steps=steps)
    return findings


def _find_unread(step: str, reads: Table, *, fold: Fold, steps: Sequence[str]) -> list[Finding]:
    """Name what a step must have read and did not; digests are asked of all records elsewhere."""
    drawn, judged = name_step(fold.number), name_gate(fold.number)
    wanted = {drawn: (IMAGES, TABLE), judged: (TABLE, VERDICT)}
    return [
        Finding(f"{step}/record.json", "reads", f"{each}/{name} among them", "none")
        for each in steps
        for name in wanted[each]
        if f"{each}/{name}" not in reads
    ]


def _compare_rows(
    where: str, wanted: Sequence[Mapping[str, Cell]], held: Sequence[Row]
) -> list[Finding]:
    """Name the rows of a table that are not those that the settings ask for."""
    if len(wanted) != len(held):
        return [Finding(where, "rows", f"{len(wanted)}", f"{len(held)}")]
    findings = []
    for number, (one, other) in enumerate(zip(wanted, held, strict=True)):
        for name, cell in one.items():
            text = str(cell).lower() if isinstance(cell, bool) else str(cell)
            if other.get(name) != text:
                place = f"{name} of row {number}"
                findings.append(Finding(where, place, text, str(other.get(name))))
    return findings


def _compare(where: str, wanted: Table, held: Table) -> list[Finding]:
    """Return where two JSON objects differ."""
    found = compare_values("", wanted=dict(wanted), held=dict(held))
    return [replace(finding, where=where) for finding in found]
