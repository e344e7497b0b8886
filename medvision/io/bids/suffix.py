"""Which BIDS suffix an image has, by physics: what its header measures, never what it is called."""

from collections.abc import Mapping
from dataclasses import dataclass

from medvision.domain.record import JsonValue
from medvision.io.bids.fields import split_terms

_MOST_REPETITION_S = 10.0
_FEWEST_TIMES = 100
"""A gradient-echo EPI series as long is functional, where ImageType names no perfusion."""

_PET_REQUIRED = ("InjectedRadioactivity", "Manufacturer", "TracerName", "TracerRadionuclide")


@dataclass(frozen=True)
class Suffix:
    """Where an image stands in a BIDS dataset.

    Args:
        folder: anat, func, dwi or pet.
        name: The suffix, such as T1w.
        task: Label of the entity `task`, empty where there is none.
    """

    folder: str
    name: str
    task: str = ""


@dataclass(frozen=True)
class Facts:
    """What the choice of a suffix rests on.

    Args:
        modality: DICOM's, such as MR.
        role: What the image is for.
        axis: What the fourth axis is, empty for one volume.
        n_volumes: Volumes of its source.
        volume: Which of them it is: empty for an only one, all, or one chosen.
        part: Name of a part to its value, as texts.
        fields: What `check_bids_fields` lets pass of the sidecar.
    """

    modality: str
    role: str
    axis: str
    n_volumes: int
    volume: str
    part: Mapping[str, str]
    fields: Mapping[str, JsonValue]

    def number(self, name: str) -> float:
        """Return a number of the sidecar, 0 where it is not stated."""
        value = self.fields.get(name)
        return float(value) if isinstance(value, int | float) else 0.0


def choose_suffix(facts: Facts) -> Suffix | str:
    """Choose the suffix that an image has by rule.

    Free text (names of series, protocols, tasks) is not read, so what only it could tell stays
    without a suffix: gradient echoes without inversion, angiography, perfusion, field maps.

    Args:
        facts: What is known of the image.

    Returns:
        The suffix; or the reason why it has none.

    Source:
        BIDS 1.10, modality-specific files. Weighting by echo, repetition and inversion time:
        own definition, after Bernstein, King, Zhou, Handbook of MRI Pulse Sequences, 2004.
    """
    if facts.role != "original":
        return f"role-{facts.role}"
    if facts.volume not in ("", "all"):
        return "one-of-several-volumes"
    if facts.modality == "PT":
        return _choose_pet(facts)
    if facts.modality != "MR":
        return "modality-without-suffix"
    if facts.n_volumes > 1:
        return _choose_series(facts)
    return _choose_anatomy(facts)


def _choose_pet(facts: Facts) -> Suffix | str:
    """PET needs its tracer and dose, which few archives state."""
    if any(not facts.fields.get(name) for name in _PET_REQUIRED):
        return "pet-without-tracer"
    return Suffix("pet", "pet")


def _choose_series(facts: Facts) -> Suffix | str:
    """Diffusion by its b-values; function by a long series of gradient-echo EPI."""
    if facts.axis == "b-value":
        return Suffix("dwi", "dwi")
    sequence = split_terms(facts.fields.get("ScanningSequence"))
    image_type = split_terms(facts.fields.get("ImageType"))
    repetition_s = facts.number("RepetitionTime")
    is_function = bool(
        facts.axis == "time"
        and {"EP", "GR"} <= sequence
        and not {"PERFUSION", "ASL"} & image_type
        and ("FMRI" in image_type or (image_type and facts.n_volumes >= _FEWEST_TIMES))
        and 0 < repetition_s <= _MOST_REPETITION_S
    )
    return Suffix("func", "bold", task="unknown") if is_function else "series-of-unknown-purpose"


def _choose_anatomy(facts: Facts) -> Suffix | str:
    """Several echoes by their kind, one by its weighting."""
    sequence = split_terms(facts.fields.get("ScanningSequence"))
    if facts.part.keys() - {"component", "echo-time-ms", "echo-number"}:
        return "part-without-entity"
    if "EP" in sequence:
        return "echo-planar-of-one-volume"
    if "echo-time-ms" in facts.part:
        return _choose_echoes(sequence)
    weight = _weigh(facts, sequence)
    return Suffix("anat", weight) if weight else "weighting-not-told"


def _choose_echoes(sequence: frozenset[str]) -> Suffix | str:
    """Several echoes of one series."""
    if sequence == {"GR"}:
        return Suffix("anat", "MEGRE")
    if sequence == {"SE"}:
        return Suffix("anat", "MESE")
    return "weighting-not-told"


def _weigh(facts: Facts, sequence: frozenset[str]) -> str:
    """Return the suffix of a weighting, nothing where the times do not tell."""
    echo_s, repetition_s = facts.number("EchoTime"), facts.number("RepetitionTime")
    inversion_s = facts.number("InversionTime")
    if not echo_s or not repetition_s or not sequence & {"SE", "GR", "IR"}:
        return ""
    variant = split_terms(facts.fields.get("SequenceVariant"))
    if "GR" in sequence:
        is_prepared = bool(inversion_s) and ("IR" in sequence or "MP" in variant)
        # MP2RAGE repeats after 5 s or so; its first inversion would look the same.
        is_t1 = is_prepared and 0.4 <= inversion_s <= 1.5 and echo_s < 0.012 and repetition_s < 4
        return "T1w" if is_t1 else ""
    if inversion_s or "IR" in sequence:
        return _weigh_inversion(echo_s, repetition_s, inversion_s)
    return _weigh_spin_echo(echo_s, repetition_s)


def _weigh_inversion(echo_s: float, repetition_s: float, inversion_s: float) -> str:
    """Fluid nulled and late echo: FLAIR. Half nulled and early echo: T1w."""
    if 1.5 <= inversion_s <= 3.5 and echo_s >= 0.07 and repetition_s >= 4:
        return "FLAIR"
    if 0.5 <= inversion_s <= 1.4 and echo_s <= 0.03 and repetition_s <= 4:
        return "T1w"
    return ""


def _weigh_spin_echo(echo_s: float, repetition_s: float) -> str:
    """Short and short: T1w. Late echo after long recovery: T2w; early echo: PDw."""
    if repetition_s <= 1.2:
        return "T1w" if echo_s <= 0.03 else ""
    if repetition_s < 1.5:
        return ""
    if echo_s >= 0.07:
        return "T2w"
    return "PDw" if echo_s <= 0.045 else ""
