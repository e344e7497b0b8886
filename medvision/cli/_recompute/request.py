"""What an auditor asks to be computed again, and the source files that are handed over for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medvision.audit.findings import Check, Finding, Status
from medvision.audit.verify import Locate
from medvision.errors import AuditError
from medvision.io.tables import read_table
from medvision.runtime.files import hash_file
from medvision.runtime.packs import has_file

ATTRIBUTIONS = "explain/attributions.tsv"
IMAGES = "ingest/images/"

_MAX_TOLD = 3
"""Things not checked that are named one by one."""

Pair = tuple[str, str]
"""Image id and method."""


class MissingSourceError(AuditError):
    """A source file is not in the folder that the auditor gave."""


class OtherSourceError(AuditError):
    """A source file is there with other bytes than the manifest says."""


@dataclass(frozen=True)
class Request:
    """What an auditor asks for, and hands over.

    Args:
        locate: Returns where a file of the study lies in the bundle.
        digests: Path below the output folder to sha256, of files in the bundle and those left out.
        sources: Output folder of the run, or a folder with its images; None where none was given.
        sample: Number of maps that are drawn.
        seed: The auditor's own seed of the draw.
    """

    locate: Locate
    digests: Mapping[str, str]
    sources: Path | None
    sample: int
    seed: int

    def find_source(self, path: str) -> Path:
        """Return a file that was left out of the bundle, once its digest is that of the manifest.

        Args:
            path: Below the output folder of the run; it is looked for without the step's name too,
                and an image under its name alone.

        Raises:
            MissingSourceError: It is not there.
            OtherSourceError: It has other bytes, or the manifest does not name it.
        """
        if self.sources is None:
            raise MissingSourceError("no folder was given: add --study DIR or --images DIR")
        short = path.partition("/")[2]
        names = [path, short, *([short.partition("/")[2]] if path.startswith(IMAGES) else [])]
        places = [self.sources / name for name in names]
        found = next((place for place in places if has_file(place)), None)
        if found is None:
            raise MissingSourceError(
                f"{path} is not in {self.sources.name}: put it there, as {' or '.join(names)}"
            )
        wanted, held = self.digests.get(path, "one that the manifest names"), hash_file(found)
        if held != wanted:
            raise OtherSourceError(f"{path}: sha256 must be {wanted}, got {held}.")
        return found

    def name_image(self, image_id: str) -> str:
        """Return the path of an image below the output folder, as the manifest spells it.

        Raises:
            OtherSourceError: The manifest names no such image.
        """
        for suffix in (".nii.gz", ".nii"):
            if f"{IMAGES}{image_id}{suffix}" in self.digests:
                return f"{IMAGES}{image_id}{suffix}"
        raise OtherSourceError(f"{image_id}: image must be named by the manifest, got none.")


def draw_pairs(request: Request) -> list[Pair]:
    """Draw the maps that are computed again, by the auditor's own seed.

    Args:
        request: Its seed and number; all maps where there are fewer.

    Returns:
        Image and method of each, by image, so that each network and image is opened once.
    """
    rows = read_table(request.locate(ATTRIBUTIONS), required=("image_id", "method"))
    pairs = sorted({(row["image_id"], row["method"]) for row in rows})
    n = min(request.sample, len(pairs))
    chosen = np.random.default_rng(request.seed).choice(len(pairs), n, replace=False)
    return [pairs[index] for index in sorted(chosen)]


@dataclass
class Answer:
    """What comes together about one question.

    Args:
        findings: Faults.
        missed: What could not be asked, and what to do about it.
        notes: What a reader must know besides.
    """

    findings: list[Finding]
    missed: list[str]
    notes: list[str]

    def as_check(self, name: str, question: str) -> Check:
        """Return the check: FAIL with a fault, NOT CHECKED where something could not be asked."""
        status: Status = "FAIL" if self.findings else "NOT CHECKED" if self.missed else "PASS"
        missed = list(dict.fromkeys(self.missed))
        told = [f"not checked: {text}" for text in missed[:_MAX_TOLD]]
        if len(missed) > _MAX_TOLD:
            told.append(f"and {len(missed) - _MAX_TOLD} more such")
        note = "; ".join([*dict.fromkeys(self.notes), *told])
        return Check(name, question, status, tuple(self.findings), note)


def name_pairs(pairs: Sequence[Pair]) -> str:
    """Return how many maps of how many images, in words."""
    n_images = len({image_id for image_id, _ in pairs})
    return f"{len(pairs)} maps of {n_images} images drawn"
