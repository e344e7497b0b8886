"""What a file was found to hold, and what became of a series, as compact JSON and back."""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields

from medvision.domain.study import Frame, Instance, PixelLayout
from medvision.io.ingest.verdict import Outcome, Verdict

Content = Instance | Verdict | None
"""A DICOM image, the verdict on what is no image, or nothing where only the path counts."""

_INSTANCE = tuple(item.name for item in fields(Instance) if item.name not in ("file", "path"))
_FRAME = tuple(item.name for item in fields(Frame))
_PIXELS = tuple(item.name for item in fields(PixelLayout))
_FRAMES_AT, _PIXELS_AT = _INSTANCE.index("frames"), _INSTANCE.index("pixels")

SHAPE = ",".join((*_INSTANCE, *_FRAME, *_PIXELS))
"""Names of all that is stored of an instance: what was stored under other names is of no use."""

# What JSON holds cannot be typed field by field: these take it as it comes.
_make_instance: Callable[..., Instance] = Instance
_make_frame: Callable[..., Frame] = Frame

_write = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def encode_content(content: Content) -> str:
    """Return what a file holds as JSON; an instance without its id and path, which stand apart."""
    if isinstance(content, Instance):
        values = [getattr(content, name) for name in _INSTANCE]
        values[_FRAMES_AT] = [[getattr(item, name) for name in _FRAME] for item in content.frames]
        if content.pixels is not None:
            values[_PIXELS_AT] = [getattr(content.pixels, name) for name in _PIXELS]
        return _write(values)
    if isinstance(content, Verdict):
        return _write({"v": [content.verdict, content.reason, content.detail]})
    return ""


def decode_instance(text: str, *, file: str, path: str) -> Instance:
    """Return an instance from its JSON.

    Args:
        text: As `encode_content` wrote it.
        file: Pseudonymous id of the file.
        path: Path below the source folder.

    Raises:
        ValueError: The text is no instance.
    """
    values = json.loads(text)
    if not isinstance(values, list) or len(values) != len(_INSTANCE):
        raise ValueError("instance must have as many values as it has fields.")
    frames, pixels = values[_FRAMES_AT], values[_PIXELS_AT]
    values[_FRAMES_AT] = values[_PIXELS_AT] = None
    held = dict(zip(_INSTANCE, map(_freeze, values), strict=True))
    held["frames"] = tuple(_make_frame(*map(_freeze, frame)) for frame in frames)
    held["pixels"] = None if pixels is None else PixelLayout(*pixels)
    return _make_instance(file=file, path=path, **held)


def decode_verdict(text: str) -> Verdict:
    """Return a verdict from its JSON.

    Raises:
        ValueError: The text is no verdict.
    """
    values = json.loads(text)
    if not isinstance(values, dict):
        raise ValueError("verdict must be an object.")
    return Verdict(*values["v"])


def encode_outcome(outcome: Outcome) -> str:
    """Return an outcome as JSON; equal outcomes give equal text."""
    return _write(
        [
            [dict(sorted(row.items())) for row in outcome.rows],
            {
                file: [held.verdict, held.reason, held.detail]
                for file, held in sorted(outcome.files.items())
            },
            _sort(outcome.images),
            _sort(outcome.digests),
        ]
    )


def decode_outcome(text: str) -> Outcome:
    """Return an outcome from its JSON.

    Raises:
        ValueError: The text is no outcome.
    """
    rows, files, images, digests = json.loads(text)
    return Outcome(
        rows=tuple(rows),
        files={file: Verdict(*held) for file, held in files.items()},
        images=images,
        digests=digests,
    )


def _sort(values: Mapping[str, str]) -> dict[str, str]:
    """Return a mapping in the order of its keys."""
    return dict(sorted(values.items()))


def _freeze(value: object) -> object:
    """Return a value with tuples where JSON has lists."""
    if not isinstance(value, list):
        return value
    # Written out, since a million headers come this way: most of their lists hold no other.
    return tuple([_freeze(item) if type(item) is list else item for item in value])
