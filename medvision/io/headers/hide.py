"""Terms of the header that tell planes apart, without what may be free text in them."""

from dataclasses import replace
from functools import lru_cache

from medvision.domain.study import Frame, Value
from medvision.io.deidentify import Pseudonymiser
from medvision.io.dicom.terms import is_stack, is_term

_CACHED = 512
_KEPT = frozenset(("", "OTHER"))


def hide_terms(frames: tuple[Frame, ...], names: Pseudonymiser) -> tuple[Frame, ...]:
    """Replace terms that the standard does not define by their pseudonyms.

    Scanners write words of their own into ImageType, and people may write names there. They still
    tell planes apart, so they are not dropped: equal words have equal pseudonyms.

    Args:
        frames: Planes as a header tells them.
        names: Makes pseudonyms.

    Returns:
        The planes in the same order.
    """
    if not any(isinstance(value, str) for frame in frames for _, value in frame.variant):
        return frames
    return tuple(replace(frame, variant=_hide_variant(frame.variant, names)) for frame in frames)


@lru_cache(maxsize=_CACHED)
def _hide_variant(
    variant: tuple[tuple[str, Value], ...], names: Pseudonymiser
) -> tuple[tuple[str, Value], ...]:
    """Return what tells one plane apart, its terms hidden where they must be."""
    return tuple(
        (name, _hide_kind(value, names))
        if name in ("image-kind", "stack") and isinstance(value, str)
        else (name, value)
        for name, value in variant
    )


def _hide_kind(value: str, names: Pseudonymiser) -> str:
    """Return terms joined by `+`, each as it is or under a pseudonym."""
    return "+".join(
        term if term in _KEPT or is_term(term) or is_stack(term) else names.term(term)
        for term in value.split("+")
    )
