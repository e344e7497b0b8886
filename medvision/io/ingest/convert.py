"""One grid of DICOM slices, or one NIfTI file, converted; and what became of its files."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from medvision.domain.geometry import Affine
from medvision.domain.record import JsonValue
from medvision.domain.study import Grid, Slice
from medvision.io.deidentify import Pseudonymiser
from medvision.io.dicom.pixels import Decoded, Plane, read_planes
from medvision.io.ingest.image import Image, write_image
from medvision.io.nifti.read import read_nifti
from medvision.io.reasons import SAME_PIXELS, RefusalError
from medvision.io.stacking.series import check_grid
from medvision.io.stacking.stack import Placed, Stack, build_stack, find_duplicates

_BIDS_MODALITIES = {
    **dict.fromkeys(("T1w", "T2w", "T2star", "FLAIR", "PDw", "PDT2", "inplaneT1", "UNIT1"), "MR"),
    **dict.fromkeys(("bold", "sbref", "dwi", "asl", "m0scan", "angio", "swi", "epi"), "MR"),
    "ct": "CT",
    "pet": "PT",
}


@dataclass(frozen=True)
class Verdict:
    """What became of a file.

    Args:
        verdict: converted, duplicate, non-image or refused.
        reason: Controlled code, "" where the file was converted without remark.
        detail: `<thing> must be <rule>, got <value>`.
    """

    verdict: str
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Outcome:
    """The result of one conversion: at most one row of the manifest, and a verdict per file."""

    row: dict[str, str] | None
    files: dict[str, Verdict]


@dataclass(frozen=True)
class Workshop:
    """What every conversion of a run needs."""

    source: Path
    images: Path
    pseudonymiser: Pseudonymiser
    gap_tolerance: float


@dataclass(frozen=True)
class NiftiFile:
    """A NIfTI file to be converted: pseudonymous id, and path below the source folder."""

    file: str
    path: str


def convert(job: Grid | NiftiFile, workshop: Workshop) -> Outcome:
    """Convert one image; whatever is wrong with it ends in verdicts, never in an exception."""
    try:
        if isinstance(job, Grid):
            return _convert_grid(job, workshop)
        return _convert_nifti(job, workshop)
    except RefusalError as refusal:
        verdict = Verdict("refused", refusal.reason, refusal.detail)
    except FileNotFoundError:
        verdict = Verdict("refused", "unreadable", "file must stay in place, got none on reading")
    except MemoryError:
        verdict = Verdict("refused", "unreadable", "image must fit into memory, got none left")
    return refuse(job, verdict)


def refuse(job: Grid | NiftiFile, verdict: Verdict) -> Outcome:
    """Give every file of an image the same verdict, except where a file has a fault of its own."""
    if isinstance(job, NiftiFile):
        return Outcome(None, {job.file: verdict})
    faults = {
        item.instance.file: Verdict("refused", *item.instance.fault)
        for item in job.slices
        if item.instance.fault
    }
    return Outcome(None, dict.fromkeys(job.files, verdict) | faults)


def _convert_grid(grid: Grid, workshop: Workshop) -> Outcome:
    """Convert one grid of a DICOM series."""
    check_grid(grid)
    slices, planes, flags, dropped = _decode(grid, workshop)
    if not slices:
        return Outcome(None, dropped)
    placed = [Placed(item, _hash_plane(plane)) for item, plane in zip(slices, planes, strict=True)]
    kept, repeated = find_duplicates(placed)
    slices_kept = [slices[k] for k in kept]
    stack = (
        build_stack(slices_kept, gap_tolerance=workshop.gap_tolerance)
        if grid.is_stack
        else _lay_flat(slices_kept[0])
    )
    ordered = [kept[k] for k in stack.order]
    array: NDArray[np.number] = np.stack([planes[k].T for k in ordered], axis=2)
    image = _name_image(
        [slices[k] for k in ordered],
        array=array,
        stack=stack,
        flags=flags | ({"slice-dropped"} if dropped or grid.is_incomplete else set()),
        grid=grid,
        workshop=workshop,
    )
    row = write_image(image, workshop.images)
    files = {slices[k].instance.file: Verdict("duplicate", SAME_PIXELS) for k in repeated}
    files |= dict.fromkeys((slices[k].instance.file for k in kept), Verdict("converted"))
    return Outcome(row, files | dropped)


def _decode(
    grid: Grid, workshop: Workshop
) -> tuple[list[Slice], list[Plane], set[str], dict[str, Verdict]]:
    """Decode a grid's files, each once; a file that cannot be decoded is dropped with a verdict."""
    decoded: dict[str, Decoded] = {}
    dropped: dict[str, Verdict] = {}
    flags: set[str] = set()
    for instance in {item.instance.file: item.instance for item in grid.slices}.values():
        if instance.fault:
            dropped[instance.file] = Verdict("refused", *instance.fault)
            continue
        try:
            decoded[instance.file] = read_planes(workshop.source / instance.path, instance)
        except RefusalError as refusal:
            dropped[instance.file] = Verdict("refused", refusal.reason, refusal.detail)
            continue
        flags |= {*instance.flags, *decoded[instance.file].flags}
    slices = [item for item in grid.slices if item.instance.file in decoded]
    planes = [decoded[item.instance.file].planes[item.frame.index] for item in slices]
    return slices, planes, flags, dropped


def _hash_plane(plane: Plane) -> str:
    """Return the digest of a plane's modality values."""
    digest = hashlib.sha256(repr(plane.shape).encode())
    digest.update(np.ascontiguousarray(plane, dtype=np.float64).tobytes())
    return digest.hexdigest()


def _lay_flat(item: Slice) -> Stack:
    """Return the grid of a 2D image without geometry: columns run left, rows to the back."""
    spacing_mm = item.frame.spacing_mm
    row_mm, column_mm = spacing_mm or (1.0, 1.0)
    affine: Affine = np.diag([-column_mm, -row_mm, 1.0, 1.0])
    return Stack((0,), affine, () if spacing_mm else ("no-spacing",))


def _name_image(
    slices: list[Slice],
    *,
    array: NDArray[np.number],
    stack: Stack,
    flags: set[str],
    grid: Grid,
    workshop: Workshop,
) -> Image:
    """Give a converted grid its pseudonyms."""
    names = workshop.pseudonymiser
    first = grid.first
    subject = names.subject(first.subject)
    units = {item.instance.units for item in slices}
    return Image(
        image_id=names.image_id(f"{first.series_uid}/{grid.index}", subject=subject),
        subject=subject,
        study=names.uid(first.study_uid),
        series=names.uid(first.series_uid),
        source="dicom",
        modality=first.modality,
        units=units.pop() if len(units) == 1 else "none",
        image_key=names.image_key(first.series_uid),
        array=array,
        affine=stack.affine,
        is_placed=grid.is_stack,
        n_files=len({item.instance.file for item in slices}),
        flags=(*flags, *stack.flags),
        origin=_describe_slices(slices, names),
    )


def _describe_slices(slices: list[Slice], names: Pseudonymiser) -> dict[str, JsonValue]:
    """Tell which instance each slice came from, in slice order, and how it was rescaled."""
    rescales = sorted({(item.frame.slope, item.frame.intercept) for item in slices})
    return {
        "Manufacturer": slices[0].instance.manufacturer or None,
        "Rescale": [list(pair) for pair in rescales] if len(rescales) == 1 else "varies by slice",
        "SOPInstanceUIDs": [names.uid(item.instance.sop_uid) for item in slices],
        "FrameNumbers": [item.frame.index + 1 for item in slices],
    }


def _convert_nifti(job: NiftiFile, workshop: Workshop) -> Outcome:
    """Convert one NIfTI file."""
    read = read_nifti(workshop.source / job.path)
    names = workshop.pseudonymiser
    subject = names.subject(guess_subject(job.path))
    session = re.search(r"(?:^|[/_])ses-([A-Za-z0-9]+)", job.path)
    image = Image(
        image_id=names.image_id(job.path, subject=subject),
        subject=subject,
        study=names.uid(f"{subject}/{session.group(1) if session else ''}"),
        series=names.uid(job.path),
        source="nifti",
        modality=_guess_modality(job.path),
        units="none",
        image_key=names.image_key(job.path),
        array=read.array,
        affine=read.affine,
        is_placed=read.is_placed,
        n_files=1,
        flags=read.flags,
        origin={},
    )
    return Outcome(write_image(image, workshop.images), {job.file: Verdict("converted")})


def guess_subject(relative_path: str) -> str:
    """Guess whose image a NIfTI file is, by its path below the source folder.

    Returns:
        The BIDS entity `sub-<label>` without its prefix; else the first folder; else the file's
        name without suffix.
    """
    entity = re.search(r"(?:^|/)sub-([A-Za-z0-9]+)(?=[/_.])", relative_path)
    if entity:
        return entity.group(1)
    path = PurePosixPath(relative_path)
    return path.parts[0] if len(path.parts) > 1 else _strip_suffix(path)


def _strip_suffix(path: PurePosixPath) -> str:
    """Return a file's name without .nii or .nii.gz."""
    return path.name.removesuffix(".gz").removesuffix(".nii")


def _guess_modality(relative_path: str) -> str:
    """Return the modality that a BIDS suffix stands for."""
    suffix = _strip_suffix(PurePosixPath(relative_path)).rpartition("_")[2]
    return _BIDS_MODALITIES.get(suffix, "unknown")
