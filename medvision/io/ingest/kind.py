"""What a file is by its first bytes, never by its name."""

import zlib

DICOM = "dicom"
NIFTI = "nifti"
NIFTI_PAIR = "nifti-pair"
ZIP = "zip"
TAR = "tar"
GZIP = "gzip"
BZIP2 = "bzip2"
XZ = "xz"

ARCHIVES = frozenset({ZIP, TAR, GZIP, BZIP2, XZ})
"""Kinds that hold files; of a compressed one only unpacking tells whether it holds a tar."""

HEAD_BYTES = 4096
"""How much of a file is looked at."""

_GZIP = b"\x1f\x8b"
_SIGNATURES = (
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", ZIP),
    (_GZIP, GZIP),
    (b"BZh", BZIP2),
    (b"\xfd7zXZ\x00", XZ),
    (b"7z\xbc\xaf\x27\x1c", "archive-not-opened"),
    (b"Rar!\x1a\x07", "archive-not-opened"),
    (b"\x89PNG", "other-format"),
    (b"\xff\xd8\xff", "other-format"),
    (b"II*\x00", "other-format"),
    (b"MM\x00*", "other-format"),
    (b"BM", "other-format"),
    (b"GIF8", "other-format"),
    (b"NRRD", "other-format"),
    (b"ObjectType", "other-format"),
    (b"\x89HDF", "other-format"),
    (b"CDF\x01", "other-format"),
    (b"CDF\x02", "other-format"),
)
_NIFTI_SIZES = (b"\x5c\x01\x00\x00", b"\x00\x00\x01\x5c")
_NIFTI2_MAGIC = b"\r\n\x1a\n"
_BLOCK = 512


def classify_head(head: bytes) -> str:
    """Tell what a file is by its head.

    Args:
        head: The first HEAD_BYTES bytes, fewer where the file has no more.

    Returns:
        DICOM, NIFTI, NIFTI_PAIR for the header of a pair, one of ARCHIVES, or a code of
        reasons.REFUSED or reasons.NON_IMAGE.
    """
    if not head:
        return "empty-file"
    if is_dicom(head):
        return DICOM
    plain = _inflate(head) if head.startswith(_GZIP) else head
    nifti = _find_nifti(plain)
    if nifti:
        return nifti
    signed = next((code for start, code in _SIGNATURES if head.startswith(start)), "")
    return signed or (TAR if is_tar(head) else "not-an-image")


def _find_nifti(plain: bytes) -> str:
    """Return the kind of a NIfTI or Analyze header, nothing for other bytes."""
    if plain[:4] in _NIFTI_SIZES:
        return NIFTI if plain[344:347] == b"n+1" else NIFTI_PAIR
    if plain[4:7] in (b"n+2", b"ni2") and plain[8:12] == _NIFTI2_MAGIC:
        return NIFTI if plain[4:7] == b"n+2" else NIFTI_PAIR
    return ""


def is_dicom(head: bytes) -> bool:
    """Say whether a head is DICOM: by its prefix, or by a first element of a likely group.

    Source:
        PS3.10 7.1; files without preamble begin with group 0002 or 0008 at their first byte.
    """
    if head[128:132] == b"DICM":
        return True
    group_element = head[:4]
    little = group_element[:2] in (b"\x02\x00", b"\x08\x00") and group_element[3:4] == b"\x00"
    big = group_element[:2] in (b"\x00\x02", b"\x00\x08") and group_element[2:3] == b"\x00"
    return len(head) >= 16 and (little or big)


def is_tar(head: bytes) -> bool:
    """Say whether a head is that of a tar: its first block holds its own checksum.

    Source:
        IEEE Std 1003.1, pax, ustar interchange format.
    """
    block = head[:_BLOCK]
    if len(block) < _BLOCK or not block[0]:
        return False
    held = block[148:156].strip(b" \0")
    return bool(held) and held.isdigit() and held.lstrip(b"0") == _sum_block(block)


def _sum_block(block: bytes) -> bytes:
    """Return a tar header's checksum in octal digits, without leading zeros."""
    return f"{sum(block) - sum(block[148:156]) + 8 * 0x20:o}".encode()


def _inflate(head: bytes) -> bytes:
    """Return what the head of a gzip file unpacks to, or nothing."""
    try:
        return zlib.decompressobj(wbits=31).decompress(head, 2 * HEAD_BYTES)
    except zlib.error:
        return b""
