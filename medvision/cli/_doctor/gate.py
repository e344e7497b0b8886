"""What `medvision doctor` says of the gate over synthetic images: its price, and its weights."""

from collections.abc import Iterator

from medvision.cli._doctor.findings import Finding
from medvision.config.model import Study
from medvision.errors import MedvisionError
from medvision.learn.registry import find_shelf
from medvision.learn.weights_path import check_kind, resolve_weights


def check_gate(study: Study) -> Iterator[Finding]:
    """Yield what the gate costs, or what would keep it from looking; nothing where none is drawn.

    Args:
        study: The configuration in force.
    """
    if not study.synthesise.is_on:
        return
    weights = study.gate.extractor
    fault = _find_fault(study, weights) if weights != "none" else None
    n_gates, section = study.cohort.n_fits, study.gate
    said = f"{n_gates} more trainings in {n_gates} jobs, on real images alone, to judge"
    if section.explained:
        said += (
            f"; where all else passes, {section.real_networks} more in each, one of them with the "
            f"images, and explanations of {section.explained} validation subjects by each"
        )
    yield fault or Finding("Gate", "ok", said)


def _find_fault(study: Study, weights: str) -> Finding | None:
    """Return what is wrong with the weights of the fixed network."""
    is_volume = study.data.kind == "phantom" or study.data.dimensions == 3
    if is_volume:
        found = f"gate.extractor is {weights}, which volumes cannot take"
        return Finding("Gate", "fail", found, "set gate.extractor to none.")
    try:
        check_kind(resolve_weights(weights, find_shelf())[0])
    except MedvisionError as error:
        said = [
            text.replace("model.weights", "gate.extractor") for text in (error.message, error.hint)
        ]
        return Finding("Gate", "fail", said[0].rstrip("."), said[1])
    return None
