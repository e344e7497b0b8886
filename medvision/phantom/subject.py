"""Who is in the cohort: identities, scanners and formats first, labels last."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.phantom.anatomy import Anatomy, draw_anatomy
from medvision.phantom.contents import Contents, draw_contents
from medvision.phantom.scanner import SCANNERS, Scanner
from medvision.phantom.streams import Generator, build_generator, build_name
from medvision.phantom.structures import Nodule, Tube

CLASS_NAMES = ("normal", "nodule")

WIDE_CHEST = "wide_chest"
WIDE_CHEST_MM = 174.0
"""Width from which a chest is wide: near the middle of what is drawn."""

TARGET_COLUMNS = ("findings", "chest_width_mm")
"""Columns of the labels for the other tasks: two findings joined by |, and a value."""

_GIVEN_NAMES = ("Alder", "Briar", "Cedar", "Fennel", "Hazel", "Juniper", "Laurel", "Rowan")
_FAMILY_NAMES = ("Zzphantom", "Zzmirage", "Zzfigment", "Zzshadow", "Zzechoes", "Zzreverie")


@dataclass(frozen=True)
class Subject:
    """One made-up subject, and how the archive holds it.

    Args:
        index: Number of the subject; its streams derive from it.
        identifier: PatientID, or the NIfTI file's stem, as the labels table has it.
        name: DICOM person name.
        birth_date: YYYYMMDD.
        study_date: YYYYMMDD.
        sex: F or M.
        age: Years at the study.
        scanner: Where it was scanned.
        source: dicom or nifti.
        label: normal or nodule.
    """

    index: int
    identifier: str
    name: str
    birth_date: str
    study_date: str
    sex: str
    age: int
    scanner: Scanner
    source: str
    label: str


@dataclass(frozen=True)
class Chest:
    """What a subject's scans show."""

    anatomy: Anatomy
    contents: Contents
    label: str

    @property
    def structures(self) -> tuple[Tube | Nodule, ...]:
        return self.contents.list_structures(label=self.label)

    @property
    def nodules(self) -> tuple[Nodule, ...]:
        return self.contents.nodules if self.label == "nodule" else ()

    @property
    def width_mm(self) -> float:
        """The body's width along x, which the image shows: what a regression can learn."""
        return round(float(2 * self.anatomy.body_mm[0]), 1)

    @property
    def findings(self) -> str:
        """Nodule and wide chest, of which neither tells the other, joined by `|`."""
        held = {CLASS_NAMES[-1]: bool(self.nodules), WIDE_CHEST: self.width_mm >= WIDE_CHEST_MM}
        return "|".join(name for name, there in held.items() if there) or "No Finding"


def draw_subjects(
    seed: int, *, subjects: int, prevalence: float, nifti_fraction: float
) -> tuple[Subject, ...]:
    """Draw a cohort whose labels follow from nothing that a header shows.

    Formats and scanners are dealt out like cards; then labels are dealt out in equal shares
    within each format and scanner, so that neither tells the label.

    Args:
        seed: Seed of the cohort.
        subjects: Number of subjects.
        prevalence: Share labelled `nodule`.
        nifti_fraction: Share handed over as NIfTI.

    Returns:
        Subjects in order of their index.
    """
    generator = build_generator(seed, "cohort")
    is_nifti = generator.permutation(subjects) < round(nifti_fraction * subjects)
    scanners = generator.permutation(subjects) % len(SCANNERS)
    order = np.lexsort((generator.permutation(subjects), scanners, is_nifti))
    ranks = np.empty(subjects, np.intp)
    ranks[order] = np.arange(subjects)
    labels = _deal_labels(ranks, prevalence=prevalence)
    return tuple(
        build_subject(
            seed,
            index,
            scanner=SCANNERS[int(scanners[index])],
            source="nifti" if is_nifti[index] else "dicom",
            label=labels[index],
        )
        for index in range(subjects)
    )


def build_subject(seed: int, index: int, *, scanner: Scanner, source: str, label: str) -> Subject:
    """Give a subject its identity; the label has no part in it.

    Args:
        seed: Seed of the cohort.
        index: Number of the subject.
        scanner: Where it was scanned.
        source: dicom or nifti.
        label: normal or nodule.
    """
    generator = build_generator(seed, "identity", index)
    age = int(generator.integers(35, 86))
    year = int(generator.integers(2001, 2010))
    number = int(build_name(seed, "number", index, length=8), 16) % 900_000 + 100_000
    stem = build_name(seed, "stem", index, length=10)
    return Subject(
        index=index,
        identifier=f"PHX-{number}" if source == "dicom" else stem,
        name=f"{_pick(generator, _FAMILY_NAMES)}^{_pick(generator, _GIVEN_NAMES)}",
        birth_date=f"{year - age}{_draw_day(generator, months=(1, 6))}",
        study_date=f"{year}{_draw_day(generator, months=(7, 12))}",
        sex=_pick(generator, ("F", "M")),
        age=age,
        scanner=scanner,
        source=source,
        label=label,
    )


def draw_chest(seed: int, subject: Subject) -> Chest:
    """Draw what a subject's scans show; the same at every call and for every label."""
    generator = build_generator(seed, "chest", subject.index)
    anatomy = draw_anatomy(generator)
    return Chest(anatomy, draw_contents(generator, anatomy), subject.label)


def _deal_labels(ranks: NDArray[np.intp], *, prevalence: float) -> list[str]:
    """Label every 1/prevalence-th rank, so that any run of ranks holds its fair share."""
    # The offset keeps both classes present in small cohorts.
    before = np.floor(ranks * prevalence + 0.5)
    after = np.floor((ranks + 1) * prevalence + 0.5)
    return [CLASS_NAMES[int(positive)] for positive in after - before]


def _draw_day(generator: Generator, *, months: tuple[int, int]) -> str:
    """Draw MMDD; days end at 28, which every month has."""
    return f"{generator.integers(months[0], months[1] + 1):02d}{generator.integers(1, 29):02d}"


def _pick(generator: Generator, words: tuple[str, ...]) -> str:
    """Draw one of the words."""
    return words[int(generator.integers(len(words)))]
