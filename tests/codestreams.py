"""JPEG written plainly from its standard, and HTJ2K written elsewhere, with known pixels.

No library that writes JPEG in Python does 12 bits, predictors other than the first, or breaks the
standard on request.
"""

import base64
import struct
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

_EOI = b"\xff\xd9"


def _segment(marker: int, content: bytes) -> bytes:
    """A marker with its length and content."""
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _flat_table(kind: int, n_symbols: int) -> bytes:
    """A Huffman table in which symbols 0, 1, … have the codes 0, 1, … of five bits."""
    return bytes([kind]) + bytes([0, 0, 0, 0, n_symbols, *[0] * 11]) + bytes(range(n_symbols))


def _code(difference: int) -> str:
    """A difference as category and extra bits (ISO 10918-1 F.1.2.1, H.1.2.2)."""
    size = int(abs(difference)).bit_length()
    extra = difference if difference > 0 else difference + (1 << size) - 1
    is_bare = size in (0, 16)
    return format(size, "05b") + ("" if is_bare else format(extra, f"0{size}b"))


def _pack(bits: Iterable[str]) -> bytes:
    """Bits as bytes, filled with ones; a byte of ones is followed by zero."""
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\x00")


def encode_lossless(plane: NDArray[np.unsignedinteger], *, predictor: int, precision: int) -> bytes:
    """JPEG lossless (process 14) of a grey plane with any predictor (ISO 10918-1 H.1)."""
    rows, columns = plane.shape
    x = plane.astype(int)
    bits = []
    for r in range(rows):
        for c in range(columns):
            left, above = x[r, c - 1], x[r - 1, c]
            corner = x[r - 1, c - 1]
            if r == 0 and c == 0:
                guess = 1 << (precision - 1)
            elif r == 0:
                guess = left
            elif c == 0:
                guess = above
            else:
                guess = [
                    0,
                    left,
                    above,
                    corner,
                    left + above - corner,
                    left + ((above - corner) >> 1),
                    above + ((left - corner) >> 1),
                    (left + above) >> 1,
                ][predictor]
            difference = (x[r, c] - guess) & 0xFFFF
            bits.append(_code(difference - 0x10000 if difference > 0x8000 else int(difference)))
    frame = struct.pack(">BHHB", precision, rows, columns, 1) + bytes([1, 0x11, 0])
    return (
        b"\xff\xd8"
        + _segment(0xC3, frame)
        + _segment(0xC4, _flat_table(0, 17))
        + _segment(0xDA, bytes([1, 1, 0, predictor, 0, 0]))
        + _pack(bits)
        + _EOI
    )


def encode_blocks(
    levels: NDArray[np.integer], *, precision: int, spectrum: bytes = b"\x00\x3f\x00"
) -> bytes:
    """JPEG (DCT) of 8x8 blocks of one level each, which any decoder gives back exactly.

    Baseline where `precision` is 8, extended where it is 12. A constant block has one coefficient,
    8 (level - middle); quantised by 8 it is the level itself (ISO 10918-1 A.3.3). `spectrum` is
    what the scan's header selects.
    """
    rows, columns = (8 * size for size in levels.shape)
    frame = struct.pack(">BHHB", precision, rows, columns, 1) + bytes([1, 0x11, 0])
    before, bits = 0, []
    for level in levels.ravel():
        value = int(level) - (1 << (precision - 1))
        bits += [_code(value - before), "00000"]  # then the end of the block
        before = value
    return (
        b"\xff\xd8"
        + _segment(0xDB, bytes([0, *[8] * 64]))
        + _segment(0xC0 if precision == 8 else 0xC1, frame)
        + _segment(0xC4, _flat_table(0x00, 12 if precision == 8 else 16))
        + _segment(0xC4, _flat_table(0x10, 1))
        + _segment(0xDA, bytes([1, 1, 0]) + spectrum)
        + _pack(bits)
        + _EOI
    )


def encode_rle(planes: list[NDArray[np.unsignedinteger]]) -> bytes:
    """Run-length coding of samples, plane by plane, in literal runs alone (PS3.5 Annex G)."""
    segments = []
    for plane in planes:
        columns = plane.astype(plane.dtype.newbyteorder(">")).reshape(-1, 1).view(np.uint8)
        for column in columns.T:
            raw = column.tobytes()
            runs = [raw[k : k + 128] for k in range(0, len(raw), 128)]
            body = b"".join(bytes([len(run) - 1]) + run for run in runs)
            segments.append(body + b"\0" * (len(body) % 2))
    places = 64 + np.cumsum([0, *map(len, segments)])[:-1]
    head = struct.pack(f"<{len(segments) + 1}I", len(segments), *places)
    return head.ljust(64, b"\0") + b"".join(segments)


_Y, _X = np.mgrid[:20, :24]

HTJ2K_IMAGES: dict[str, NDArray[np.generic]] = {
    "unsigned 16 bits": ((_Y * 7 + _X * 13) * 9).astype(np.uint16),
    "signed 16 bits": ((_Y * 7 - _X * 13) * 9).astype(np.int16),
    "colour": np.stack(
        [(_Y * 5 + _X * 3) % 256, (_Y * _X) % 256, 255 - _Y * 3 - _X], axis=-1
    ).astype(np.uint8),
}
"""What the high-throughput codestreams below hold."""

HTJ2K_STREAMS = {
    "unsigned 16 bits": base64.b64decode(
        "/0//UQApQAAAAAAYAAAAFAAAAAAAAAAAAAAAGAAAABQAAAAAAAAAAAABDwEB/1AACAACAAAACv9SAAwAAgABAAUE"
        "BEAB/1wAEyCIkJCQkJCQkJCQkJCQiIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAKgAAf+TwAAm"
        "b/QFB3QAwAASwAATAKoDB3QAFPgDB3QAwAATQAATAIWFAQt0AGH4AAI0AMAAFVAABOAqVEGFgo/ii3YA4xgAJHdV"
        "AMAAFbAABXgMGDBgwODcgjpyAncAGjVq1KhR4/QY3jGBvrgAwAAtKAAFsGg0Go1Go9Fo9PP6enp6cQJ5AHye53me"
        "53me5/9MAQge/YQge/YQgey/AP/Z"
    ),
    "signed 16 bits": base64.b64decode(
        "/0//UQApQAAAAAAYAAAAFAAAAAAAAAAAAAAAGAAAABQAAAAAAAAAAAABjwEB/1AACAACAAAACv9SAAwAAgABAAUE"
        "BEAB/1wAEyCIkJCQkJCQkJCQkJCQiIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAKcAAf+TwAAl"
        "kwIHdADAABLAABMAqQMHdAAU+AMHdADAABNAABMAhIQBC3QAYfgAAjQAwAAVUAAE4CtcYYWCj+KLdgDjGAAkd1UA"
        "wAAVsAAFeA0aNGjQ4NyCOnICdwAaNWrUqFHj9BjeMYG+uADAAC0oAAWw6XQ6nU6n0+n08/p6enpxAnkAfJ7neZ7n"
        "eZ7n/0wBCB79hCB79hCB7L8A/9k="
    ),
    "colour": base64.b64decode(
        "/0//UQAvQAAAAAAYAAAAFAAAAAAAAAAAAAAAGAAAABQAAAAAAAAAAAADBwEBBwEBBwEB/1AACAACAAAAA/9SAAwA"
        "AgABAQUEBEAB/1wAEyBQWFhYWFhYWFhYWFhYUFBQ/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAyUA"
        "Af+TwBKA6wAHdADAEoBAAYd0AMASAP4ncwDACWAEsAJQiAEHdACCAQd0AJ4BB3QAwAlgBLACUA8Bh3QARQGHdABD"
        "AYd0AMAJYASwAlCHAQd0APsAB3QAQQGHdADACaAE0AJQGfoAC3QAmfwAAjQA8wAHdADACaAE0AJQtOYAi3QAuPEA"
        "IjQA6gCHdADACaAE0AJQsOgAi3QAsvQAIjQA6gCHdADACsgBNACoIxDAX/4AiWfS99cA4/wyb9QASVD+AGT31QDA"
        "CtgBUwAqAAAZlp7zAQQC66TnWACAAmz+AATnVQASgvEIIPfVAMAKyAFTACoAxCs98AEEAuMk99gAgQF8/gAE51UA"
        "EoPxCCD31QDACvgBaEALRFCZdBmwNsjWfj+Q4VJYAGOomQOFSGq+6LIqsQl4WABTAB7B8mAQGv7oW6oQ5hBYAMAL"
        "SgBaUALSUwrQXDMBXjGT1Cfj+PABclkACKChxtzqLS9ghetiqximAFgAKALxFl6CQCiM+OlutRjmIFgAwAtOAFpQ"
        "AtKcAjSzXgAtzODQCftUIPABUVoACKChxpwlCQuEYetiqximAFgAKALxFl6CQCiM+OlutRjmIFgAwBbsAXcwBdoA"
        "5Ib33O89CgOQ4+cdAE7+89gxZluDKQRtCxujzgAAAAAAAAAAAAA0AAwAAAqAwJod1AAACEAAFugFggEkAAVYABkg"
        "aCiCBKSQGgiQAGgABoqVKlSttwH/f/9//3//f/9BIAj+PwiCIMDn8YIgCP7A5/1BEMIWthtZ2FwIkBoIUABoAAaK"
        "lSpUrbYBwBdBAF0cAWsAlXqs/vv8P0+mg58PwP8DhOXz2DlmWyllII3hY3J6XwAeX/945en7eCodlV0/XD9lKa3Y"
        "/wYCuuQ+6TOWCDWeFECwAb7/f+/P/3//f/8HACk2EIXbCChCfQDAF0EAXQwBawBQnpr/Pv6fJ1LBzwfg/wGy7vPY"
        "5ZlspZSCN4VDdHlfAB5f/3jl6ft4QJumH7afqoxO6P8GK6ZDnR1+CDWeFEC/AL7/f+/P/3//f/8HACk2EIXbCChC"
        "fQD/2Q=="
    ),
}
"""Written losslessly by OpenJPH, which no test needs to be installed."""
