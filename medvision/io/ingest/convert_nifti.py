"""One NIfTI file converted, and what became of it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from medvision.domain.record import JsonValue
from medvision.domain.volume import NumberGrid
from medvision.io.bids.facts import NiftiFacts, read_facts, read_gradients
from medvision.io.ingest.choose import choose_volumes
from medvision.io.ingest.image import Image, write_image
from medvision.io.ingest.verdict import Outcome, Verdict, refuse_with
from medvision.io.ingest.workshop import Workshop
from medvision.io.nifti.read import NiftiImage, read_nifti
from medvision.io.reasons import RefusalError


@dataclass(frozen=True)
class NiftiFile:
    """A NIfTI file to be converted.

    Args:
        file: Pseudonymous id.
        path: Path below the source folder.
        partner: Pseudonymous id of the .img that belongs to a .hdr; empty where there is none.
    """

    file: str
    path: str
    partner: str = ""

    @property
    def files(self) -> tuple[str, ...]:
        """Ids of the files that the image is made of."""
        return (self.file, self.partner) if self.partner else (self.file,)


def convert_nifti(job: NiftiFile, workshop: Workshop) -> Outcome:
    """Convert one NIfTI file; what is wrong with it ends in a verdict, not in an exception."""
    try:
        return _convert(job, workshop)
    except RefusalError as refusal:
        verdict = refuse_with(refusal)
    except OSError as error:
        verdict = Verdict(
            "refused", "unreadable", f"file must stay readable, got {type(error).__name__}"
        )
    except MemoryError:
        verdict = Verdict("refused", "unreadable", "image must fit into memory, got none left")
    return Outcome(files=dict.fromkeys(job.files, verdict))


def _convert(job: NiftiFile, workshop: Workshop) -> Outcome:
    """Convert one NIfTI file."""
    read = read_nifti(_open(job, workshop))
    if read.is_colour and workshop.settings.colour == "luminance":
        flags = (*read.flags, "colour-to-luminance")
        read = replace(read, array=read.as_grid(), is_colour=False, flags=flags)
    rows = tuple(
        write_image(
            _describe(job, read, array=array, volume=volume, workshop=workshop),
            workshop.layout,
            compression=workshop.settings.compression,
        )
        for volume, array in _choose_volumes(read, workshop)
    )
    return Outcome(
        rows,
        files=dict.fromkeys(job.files, Verdict("converted")),
        images=dict.fromkeys(job.files, rows[0]["image_id"]),
        digests=dict(zip(job.files, (read.digest, read.partner_digest), strict=False)),
    )


def _open(job: NiftiFile, workshop: Workshop) -> Path | bytes:
    """Return what the reader takes: a path, or the bytes of a member of an archive."""
    if workshop.is_member(job.path):
        return workshop.read_file(job.path)
    return workshop.source / job.path


def _choose_volumes(read: NiftiImage, workshop: Workshop) -> Iterator[tuple[str, NumberGrid]]:
    """Yield what goes on of the volumes, each with its name in the manifest."""
    if read.n_volumes == 1:
        yield "", read.array
        return
    yield from choose_volumes(read.array, mode=workshop.settings.volume)


def _describe(
    job: NiftiFile, read: NiftiImage, *, array: NumberGrid, volume: str, workshop: Workshop
) -> Image:
    """Give a NIfTI image, or one volume of it, its pseudonyms and facts."""
    names = workshop.pseudonymiser
    subject = names.subject(guess_subject(job.path))
    session = re.search(r"(?:^|[/_])ses-([A-Za-z0-9]+)", job.path)
    name = f"{job.path}/{volume}" if volume.isdecimal() and volume != "1" else job.path
    facts = read_facts(workshop.source, job.path)
    origin = _describe_origin(job, read, facts=facts, workshop=workshop)
    return Image(
        image_id=names.image_id(name, subject=subject),
        subject=subject,
        subject_key=subject,
        study=names.uid(f"{subject}/{session.group(1) if session else ''}"),
        series=names.uid(job.path),
        source="nifti",
        modality=facts.modality,
        units="none",
        image_key=names.image_key(job.path),
        array=array,
        affine=read.affine,
        is_placed=read.is_placed,
        n_files=len(job.files),
        flags=read.flags if volume in ("", "all") else (*read.flags, "one-of-many"),
        origin=origin,
        role=facts.role,
        part=facts.part,
        axis=str(origin.get("Axis", "")),
        n_volumes=read.n_volumes,
        volume=volume,
        is_colour=read.is_colour,
        step_s=read.step_s if volume == "all" else None,
    )


def _describe_origin(
    job: NiftiFile, read: NiftiImage, *, facts: NiftiFacts, workshop: Workshop
) -> dict[str, JsonValue]:
    """Return what the files beside the image say of it, and what its volumes differ in."""
    origin: dict[str, JsonValue] = dict(facts.fields)
    if read.n_volumes == 1:
        return origin
    path = workshop.source / job.path
    return {
        **origin,
        "Axis": read.axis,
        **read_gradients(path, read.affine, n_volumes=read.n_volumes),
    }


def guess_subject(relative_path: str) -> str:
    """Guess whose image a NIfTI file is, by its path below the source folder.

    Returns:
        The BIDS entity `sub-<label>` without its prefix; else the first folder; else the file's
        name without suffix.
    """
    entity = re.search(r"(?:^|[/!])sub-([A-Za-z0-9]+)(?=[/_.])", relative_path)
    if entity:
        return entity.group(1)
    path = PurePosixPath(relative_path)
    return path.parts[0] if len(path.parts) > 1 else _strip_suffix(path)


def _strip_suffix(path: PurePosixPath) -> str:
    """Return a file's name without .nii, .nii.gz, .hdr or .img."""
    name = path.name.removesuffix(".gz")
    for suffix in (".nii", ".hdr", ".img"):
        name = name.removesuffix(suffix)
    return name
