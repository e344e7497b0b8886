"""What a network's outputs become in the table of predictions: classes, findings, or a value."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from medvision.cli._training.learning import LearningData
from medvision.domain.labels.findings import name_findings, parse_findings
from medvision.domain.split import Assignment
from medvision.io.tables import Cell

_THRESHOLD = 0.5


def list_output_columns(data: LearningData) -> list[str]:
    """Return the columns that follow `label` and `predicted`.

    Args:
        data: Names the task and the outputs; a value needs no further column.
    """
    kinds = {
        "classification": ("logit", "probability"),
        "multilabel": ("label", "logit", "probability"),
        "regression": (),
    }[data.task]
    return [f"{kind}_{name}" for kind in kinds for name in data.classes]


def describe_outputs(
    data: LearningData,
    chosen: Sequence[Assignment],
    *,
    logits: NDArray[np.floating],
    scale: tuple[float, float] | None,
) -> Iterator[dict[str, Cell]]:
    """Yield the cells of each image: what is predicted, and how sure the network is.

    Args:
        data: Names the task and the outputs.
        chosen: The images.
        logits: (n, outputs), in their order.
        scale: Of a value, the (mean, standard deviation) that it was trained in.
    """
    if data.task == "multilabel":
        yield from _describe_findings(data, chosen, logits=logits)
    elif data.task == "regression":
        mean, sd = scale or (0.0, 1.0)
        for output in logits[:, 0].tolist():
            yield {"predicted": mean + sd * output}
    else:
        yield from _describe_classes(data, logits)


def _describe_classes(
    data: LearningData, logits: NDArray[np.floating]
) -> Iterator[dict[str, Cell]]:
    """Yield the most probable class, and each one's logit and probability."""
    from medvision.learn.predict import compute_probabilities

    probabilities = compute_probabilities(logits)
    for scores, shares in zip(logits, probabilities, strict=True):
        row: dict[str, Cell] = {"predicted": data.classes[int(scores.argmax())]}
        for name, score, share in zip(data.classes, scores, shares, strict=True):
            row |= {f"logit_{name}": float(score), f"probability_{name}": float(share)}
        yield row


def _describe_findings(
    data: LearningData, chosen: Sequence[Assignment], *, logits: NDArray[np.float32]
) -> Iterator[dict[str, Cell]]:
    """Yield the findings of probability 0.5 and more; of each label, logit and probability."""
    probabilities = 1 / (1 + np.exp(-logits.astype(np.float64)))
    truth = parse_findings([item.label for item in chosen], data.classes)
    for known, scores, shares in zip(truth, logits, probabilities, strict=True):
        pairs = zip(data.classes, shares, strict=True)
        row: dict[str, Cell] = {
            "predicted": name_findings([name for name, share in pairs if share >= _THRESHOLD])
        }
        for name, label, score, share in zip(data.classes, known, scores, shares, strict=True):
            row |= {
                f"label_{name}": None if np.isnan(label) else int(label),
                f"logit_{name}": float(score),
                f"probability_{name}": float(share),
            }
        yield row
