"""What `medvision doctor` asks of a study that draws synthetic images, before hours are spent."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from medvision.cli._doctor.findings import Finding
from medvision.config.model import Study
from medvision.domain.labels.rows import LabelRow
from medvision.errors import ConfigError
from medvision.synthesis.grids import check_size


def check_generator(study: Study, rows: Sequence[LabelRow]) -> Iterator[Finding]:
    """Yield what would keep a generator from being trained; nothing where none is asked for.

    Args:
        study: The configuration in force.
        rows: Of the table of labels; none where there is no table, as of the phantom cohort.
    """
    if not study.synthesise.is_on:
        return
    faults = [*_find_size(study), *_find_subjects(study, rows)]
    yield from faults
    if not faults:
        yield Finding("Generator", "ok", f"{study.synthesise.steps} steps for each fold")
    yield _tell_training(study)


def _tell_training(study: Study) -> Finding:
    """Say what the images add to the study's own trainings, all of them accepted."""
    ratio = study.synthesise.ratio
    if not study.synthesise.is_taken:
        return Finding("Training", "ok", "on real images alone: synthesise.use is none")
    most = max(ratio.values(), default=0.0) if isinstance(ratio, dict) else ratio
    found = f"up to {1 + most:g} times the steps an epoch, where a gate accepts every image"
    return Finding("Training", "ok", found)


def _find_size(study: Study) -> Iterator[Finding]:
    """Yield a finding where the arrays are larger or smaller than a generator supports."""
    known = 3 if study.data.kind == "phantom" else study.data.dimensions
    for dims in (2, 3) if known == "auto" else (int(known),):
        try:
            check_size(study.preprocess.size[:dims])
        except ConfigError as error:
            found = error.message.removeprefix("synthesise: ").rstrip(".")
            yield Finding("Generator", "warn" if known == "auto" else "fail", found, error.hint)


def _find_subjects(study: Study, rows: Sequence[LabelRow]) -> Iterator[Finding]:
    """Yield a finding for each class with fewer subjects than one fold's training must have."""
    subjects: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        subjects[row.label].add(row.subject)
    least = study.synthesise.minimum_subjects
    for name, held in sorted(subjects.items()):
        if len(held) < least:
            yield Finding(
                "Generator",
                "fail",
                f"synthesise.minimum_subjects is {least}, class {name} has {len(held)} in all",
                "add subjects, or set synthesise.generator to none.",
            )
