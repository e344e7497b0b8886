"""Scans and masks as compressed NIfTI, equal bytes for equal voxels."""

import gzip

import nibabel
import numpy as np

from medvision.phantom.render import MaskGrid
from medvision.phantom.scan import Scan


def encode_scan(scan: Scan) -> bytes:
    """Return a scan as .nii.gz: stored integers, slope and intercept to HU, a telling header.

    Source:
        NIfTI-1 (scl_slope, scl_inter, sform); db_name and descrip hold what converters leave.
    """
    scanner = scan.subject.scanner
    image = nibabel.Nifti1Image(scan.stored, scan.grid.affine, dtype=scan.stored.dtype)
    image.header.set_slope_inter(scanner.slope, scanner.intercept)
    image.header["descrip"] = f"{scan.subject.name} {scan.subject.birth_date}".encode()
    image.header["db_name"] = scan.subject.name.split("^")[0].encode()
    image.header.set_xyzt_units("mm")
    return _compress(image)


def encode_mask(mask: MaskGrid, scan: Scan) -> bytes:
    """Return a mask on its scan's own grid as .nii.gz, uint8."""
    image = nibabel.Nifti1Image(mask, scan.grid.affine, dtype=np.uint8)
    image.header.set_xyzt_units("mm")
    return _compress(image)


def _compress(image: nibabel.Nifti1Image) -> bytes:
    """Return the gzip of an image without name or time."""
    image.set_sform(image.affine, code="scanner")
    image.set_qform(image.affine, code="scanner")
    return gzip.compress(image.to_bytes(), compresslevel=6, mtime=0)
