"""The masks of a cohort, each brought to the grid of its image, and kept as the images are."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from medvision.cli._cohort.labels import register_input
from medvision.cli._inputs import find_labels
from medvision.cli._run import Step
from medvision.domain.cohort import CohortImage
from medvision.domain.labels.candidates import Unmatched
from medvision.errors import DataError, GeometryError
from medvision.layout import Layout
from medvision.runtime.files import hash_bytes, write_bytes
from medvision.runtime.packing import writing_pack
from medvision.runtime.packs import has_packs

Put = Callable[[Path, bytes], None]
"""Writes the content of a mask under its path."""


@dataclass(frozen=True)
class Masks:
    """Masks written (image_id to digest), how each was aligned, and those refused."""

    digests: dict[str, str]
    alignments: tuple[str, ...]
    refused: tuple[Unmatched, ...]


def write_masks(step: Step, images: Sequence[CohortImage]) -> Masks:
    """Write each mask on its image's grid; list those that do not fit.

    Where the images lie in packs, so do the masks: in one, since one process writes them all.

    Args:
        step: The running step.
        images: The cohort; `mask` is a path relative to the table of labels.

    Raises:
        StorageError: The folder cannot be written, or its disk is full.
    """
    from medvision.runtime.progress import track

    shutil.rmtree(step.layout.masks, ignore_errors=True)
    digests, alignments, refused = {}, [], []
    marked = [image for image in images if image.mask]
    if not marked:
        return Masks({}, (), ())
    with _opening_shelf(step.layout) as put:
        for image in track(marked, "aligning masks"):
            try:
                digests[image.image_id], how = _write_mask(step, image, put=put)
                alignments.append(how)
            except (DataError, GeometryError) as error:
                detail = error.message.partition(": ")[2]
                refused.append(Unmatched("mask-refused", image.image_id, image.line, detail))
    return Masks(digests, tuple(alignments), tuple(refused))


@contextmanager
def _opening_shelf(layout: Layout) -> Iterator[Put]:
    """Yield what puts a mask where it shall lie: by itself, or in the pack of all."""
    if not has_packs(layout.images):
        yield write_bytes
        return
    with writing_pack(layout.masks) as pack:
        yield lambda path, content: pack.add(path.name, content)


def _write_mask(step: Step, image: CohortImage, *, put: Put) -> tuple[str, str]:
    """Write one mask; return its digest and how it was aligned."""
    from medvision.domain.mask import align_mask
    from medvision.io.nifti.read import read_nifti
    from medvision.io.nifti.write import encode_nifti

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
    register_input(step, f"mask-{image.image_id}", path=source)
    content = b"".join(
        encode_nifti(aligned.astype("uint8"), affine=target.affine, is_placed=target.is_placed)
    )
    path, digest = step.layout.mask(image.image_id), hash_bytes(content)
    put(step.write(path, digest=digest), content)
    return digest, how
