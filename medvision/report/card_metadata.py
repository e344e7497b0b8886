"""What the Hugging Face hub reads of a model card: tags, and results as its index holds them."""

from collections.abc import Mapping

from medvision.domain.record import JsonValue
from medvision.report.facts import Facts
from medvision.report.metric import Metric
from medvision.report.words import ARMS, say

_HUB_METRICS = {"auc": "roc_auc", "auc_macro": "roc_auc", "brier": "brier_score"}
"""Our names to those of the hub, where they differ."""

_INTERNAL = {"name": "Held-out subjects", "type": "medvision-study", "split": "test"}
_EXTERNAL = {"name": "External cohort", "type": "medvision-study", "split": "external"}


def build_metadata(facts: Facts) -> dict[str, JsonValue]:
    """Return the head of a model card.

    Args:
        facts: All facts of the report.

    Returns:
        `library_name`, `pipeline_tag`, `tags`, `metrics` and, where there are figures,
        `model-index`; figures have three digits, each with its interval and counts in `args`.

    Source:
        The model card specification of huggingface/hub-docs.
    """
    kind = name_kind(facts)
    tags = ["medical-imaging", kind, "research-use-only"]
    metrics = [metric for metric in facts.performance.metrics if metric.value is not None]
    head: dict[str, JsonValue] = {
        "library_name": "medvision",
        "pipeline_tag": kind,
        "tags": [*tags, *(["synthetic-data"] if facts.is_phantom else [])],
        "metrics": [*dict.fromkeys(_name_metric(metric) for metric in metrics)],
    }
    results: list[JsonValue] = [_build_result(metrics, kind, of=_INTERNAL)]
    if facts.external:
        held = [m for m in facts.external.performance.metrics if m.value is not None]
        results += [_build_result(held, kind, of=_EXTERNAL)] if held else []
    index: JsonValue = [{"name": facts.title, "results": results}]
    return {**head, "model-index": index} if metrics else head


def name_kind(facts: Facts) -> str:
    """Return the hub's word for what is predicted; for a value it has none, and this is ours."""
    is_value = facts.cohort.task == "regression"
    return "image-regression" if is_value else "image-classification"


def _build_result(metrics: list[Metric], kind: str, *, of: Mapping[str, JsonValue]) -> JsonValue:
    """Return the figures on one data set as the hub's index holds them."""
    return {
        "task": {"type": kind},
        "dataset": dict(of),
        "metrics": [
            {
                "type": _name_metric(metric),
                "name": f"{metric.words} ({say(metric.arm, ARMS).lower()})",
                "value": _round(metric.value),
                "args": {
                    "interval": [_round(metric.low), _round(metric.high)],
                    "n_images": metric.n_images,
                    "n_subjects": metric.n_subjects,
                },
            }
            for metric in metrics
        ],
    }


def _name_metric(metric: Metric) -> str:
    return _HUB_METRICS.get(metric.metric, metric.metric)


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
