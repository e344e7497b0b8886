"""Values of compressed frames where codestream and header disagree on bits or sign."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from medvision.domain.study import PixelLayout
from medvision.io.pixels.bits import Values, choose_sign, extract_values, find_range
from medvision.io.pixels.codestream import JPEG_2000, Codestream
from medvision.io.reasons import RefusalError

Samples = NDArray[np.integer]
"""(rows, columns), as a decoder gives it."""

SIGN_CORRECTED = "sign-corrected"
PRECISION_DIFFERS = "precision-differs"


def settle_values(
    decoded: Samples, codestream: Codestream, layout: PixelLayout, *, is_lossless: bool
) -> tuple[Values, tuple[str, ...]]:
    """Turn decoded samples into values, by codestream and header together.

    Words coded whole and without loss are read by the header, as native words are: they may hold
    an overlay, or be shifted. Otherwise the codestream's precision counts, since lossy coding may
    overshoot the stored bits. Only JPEG 2000 states a sign; where it is not the header's, the
    codestream's is taken, unless the plane would be torn by it.

    Args:
        decoded: One grey plane.
        codestream: Its header.
        layout: The header's bits.
        is_lossless: The samples are those that were encoded.

    Returns:
        (values, flags): flags sign-corrected, precision-differs and those of extract_values.

    Raises:
        RefusalError: `bit-layout-not-supported`.

    Source:
        PS3.5 8.2.4 and A.4.4: the codestream's precision and sign should be the header's.
    """
    has_sign = codestream.coding == JPEG_2000
    precision = codestream.precision
    is_disputed = (
        codestream.is_signed != layout.is_signed
        if has_sign
        else layout.is_signed and precision < layout.bits_stored
    )
    is_whole = is_lossless and precision == layout.bits_allocated
    by_header, flags = _read(decoded, layout, precision=precision, is_whole=is_whole)
    if not is_disputed:
        return by_header, flags
    other = replace(layout, is_signed=not layout.is_signed)
    by_stream, stream_flags = _read(decoded, other, precision=precision, is_whole=is_whole)
    if np.array_equal(by_header, by_stream):
        return by_stream, (*flags, SIGN_CORRECTED) if has_sign else flags
    unsigned, signed = (by_stream, by_header) if layout.is_signed else (by_header, by_stream)
    is_signed = choose_sign(
        unsigned,
        signed,
        n_bits=_count_bits(layout, precision, is_whole=is_whole),
        prefer_signed=codestream.is_signed,
    )
    if is_signed == layout.is_signed:
        return by_header, (*flags, SIGN_CORRECTED)
    return by_stream, (*stream_flags, SIGN_CORRECTED)


def _count_bits(layout: PixelLayout, precision: int, *, is_whole: bool) -> int:
    """Return how many bits a value has: the header's in whole words, else at most the stream's."""
    return layout.bits_stored if is_whole else min(precision, layout.bits_stored)


def _read(
    decoded: Samples, layout: PixelLayout, *, precision: int, is_whole: bool
) -> tuple[Values, tuple[str, ...]]:
    """Read samples with the layout's sign."""
    if is_whole:
        values, flags = extract_values(decoded, layout)
        return values, tuple(flag for flag in flags if flag != "sign-extended")
    words = 8 * decoded.dtype.itemsize
    if precision > words:
        raise RefusalError(
            "bit-layout-not-supported", f"precision must fit {words} bits, got {precision}"
        )
    values = _take_bits(decoded, precision, is_signed=layout.is_signed)
    if precision <= layout.bits_stored:
        return values, ()
    # More bits than the header states: those of the header count where no value needs more.
    narrow = _take_bits(decoded, layout.bits_stored, is_signed=layout.is_signed)
    low, high = find_range(layout.bits_stored, is_signed=False)
    unsigned = _take_bits(decoded, precision, is_signed=False)
    if low <= int(unsigned.min()) and int(unsigned.max()) <= high:
        return narrow, ()
    low, high = find_range(layout.bits_stored, is_signed=layout.is_signed)
    is_within = low <= int(values.min()) and int(values.max()) <= high
    return values, () if is_within else (PRECISION_DIFFERS,)


def _take_bits(decoded: Samples, n_bits: int, *, is_signed: bool) -> Values:
    """Read the lowest bits of samples, whatever sign they were given."""
    layout = PixelLayout("", None, None, n_bits, n_bits, n_bits - 1, is_signed, False, False)
    return extract_values(decoded, layout)[0]
