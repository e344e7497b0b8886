"""Reproducibility as facts: software, devices, seeds, digests, and the command."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medvision.domain.record import JsonValue
from medvision.report.sources import JsonObject, Sources
from medvision.report.words import join_words, say_count

_VERIFY = "medvision audit verify audit/bundle"

_MAIN_ARTEFACTS = (
    "ingest/manifest.tsv",
    "cohort/cohort.tsv",
    "cohort/folds.tsv",
    "preprocess/index.tsv",
    "pretrain/model.safetensors",
    "predict/predictions.tsv",
    "evaluate/metrics.tsv",
    "explain/attributions.tsv",
    "explain/checks.tsv",
)


@dataclass(frozen=True)
class StepFacts:
    """One step's record in a line."""

    step: str
    version: str
    seed: int | None
    device: str
    n_read: int
    n_written: int


@dataclass(frozen=True)
class Artefact:
    """A file below the output folder and its sha256."""

    path: str
    digest: str


@dataclass(frozen=True)
class ProvenanceFacts:
    """What is needed to run the study again and to recognise its results."""

    software: dict[str, str]
    devices: tuple[str, ...]
    steps: tuple[StepFacts, ...]
    artefacts: tuple[Artefact, ...]
    digest: str
    command: str
    verify: str
    hardware: str
    settings: dict[str, JsonValue]


def build_provenance(sources: Sources) -> ProvenanceFacts:
    """Gather versions, devices, seeds and digests from the steps' records.

    Args:
        sources: Records of the steps that were run; settings; command.

    Returns:
        Facts in the order of the steps; equal runs give equal facts.
    """
    steps = tuple(_build_step(record) for record in sources.records)
    software: dict[str, str] = {}
    written: dict[str, str] = {}
    for record in sources.records:
        software |= _as_text(record.get("software"))
        written |= _as_text(record.get("writes"))
    devices = tuple(dict.fromkeys(step.device for step in steps))
    return ProvenanceFacts(
        software=dict(sorted(software.items())),
        devices=devices,
        steps=steps,
        artefacts=tuple(
            Artefact(path, digest)
            for path, digest in sorted(written.items(), key=_rank)
            if path in _MAIN_ARTEFACTS or path.endswith("model.safetensors")
        ),
        digest="SHA-256",
        command=sources.command,
        verify=_VERIFY,
        hardware=_say_hardware(sources, devices),
        settings={name: dict(values) for name, values in sources.settings.items()},
    )


def _say_hardware(sources: Sources, devices: Sequence[str]) -> str:
    """Say on what the steps were computed, and with which seeds."""
    named = ["the CPU" if device == "cpu" else device for device in devices if device]
    if not named:
        return ""
    threads, seeds = sources.setting("compute", "threads"), sources.setting("train", "seeds")
    text = f"Computed on {join_words(named)}"
    if isinstance(threads, int):
        text += f", each training with {say_count(threads, 'CPU thread')}"
    if isinstance(seeds, list) and seeds:
        text += f"; networks were trained with seed{'s' if len(seeds) > 1 else ''} "
        text += join_words([str(seed) for seed in seeds])
    return (
        f"{text}. The model of a CPU and the time that a step took are not recorded, so that equal "
        "runs have equal records."
    )


def _rank(item: tuple[str, str]) -> tuple[int, str]:
    """Order artefacts by step; models of the folds lie between the folds and predictions."""
    path = item[0]
    rank = _MAIN_ARTEFACTS.index(path) if path in _MAIN_ARTEFACTS else 4
    return rank, path


def _as_text(value: JsonValue) -> Mapping[str, str]:
    """Return a record's map of names to texts."""
    return {k: str(v) for k, v in value.items()} if isinstance(value, dict) else {}


def _build_step(record: JsonObject) -> StepFacts:
    """Return a record's line."""
    seed = record.get("seed")
    return StepFacts(
        step=str(record.get("step", "")),
        version=str(record.get("version", "")),
        seed=seed if isinstance(seed, int) else None,
        device=str(record.get("device", "")),
        n_read=len(_as_text(record.get("reads"))),
        n_written=len(_as_text(record.get("writes"))),
    )
