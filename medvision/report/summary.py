"""The study in a few sentences, and in three lines for a terminal."""

from medvision.domain.arms import base_arm, is_ensemble
from medvision.report.explanation import POINTING, ExplanationFacts
from medvision.report.external import ExternalFacts, say_external
from medvision.report.flow import CohortFacts
from medvision.report.metric import Metric
from medvision.report.performance import PerformanceFacts
from medvision.report.spread import SpreadFacts, say_spread
from medvision.report.trust import Rate
from medvision.report.words import ARMS, join_words, say, say_count, say_number, say_within


def summarise(
    cohort: CohortFacts,
    performance: PerformanceFacts,
    *,
    external: ExternalFacts | None,
    spread: SpreadFacts,
    explanation: ExplanationFacts,
) -> tuple[str, ...]:
    """Return the summary: data, performance here and outside, comparison, explanations, safeguards.

    Args:
        cohort: Counts of files, images, subjects.
        performance: Metrics and comparisons of the arms.
        external: Those of the external cohort, where there is one.
        spread: The metrics seed by seed.
        explanation: Cases and matrix.

    Returns:
        Up to five points, six with an external cohort; a part that was not run has none.
    """
    points = [
        _say_data(cohort),
        _join(
            _say_performance(performance),
            _say_ensembles(performance),
            _say_spread(spread, performance),
        ),
        say_external(external),
        _say_comparison(performance),
        _say_explanations(explanation),
        _say_leakage(cohort),
    ]
    return tuple(point for point in points if point)


def _join(*sentences: str) -> str:
    """Return the sentences that there are as one text."""
    return " ".join(text for text in sentences if text)


def summarise_briefly(
    cohort: CohortFacts,
    performance: PerformanceFacts,
    *,
    external: ExternalFacts | None,
    spread: SpreadFacts,
    explanation: ExplanationFacts,
) -> tuple[str, ...]:
    """Return three lines: performance, explanations, refusals and leakage."""
    first = _join(
        _say_performance(performance),
        _say_spread(spread, performance),
        _say_ensembles(performance),
        say_external(external),
        _say_comparison(performance),
    )
    last = f"{say_count(cohort.n_refused, 'file')} of {cohort.n_files} refused. "
    last += _say_leakage(cohort)
    return (
        first or "No performance was computed.",
        _say_explanations(explanation) or "No prediction was explained.",
        last,
    )


def _say_data(cohort: CohortFacts) -> str:
    """What was analysed."""
    images, subjects = say_count(cohort.n_images, "image"), say_count(cohort.n_subjects, "subject")
    files = say_count(cohort.n_files, "input file")
    verb = "was" if cohort.n_refused == 1 else "were"
    return (
        f"{images} of {subjects} {cohort.target} were analysed, out of {files}, of which "
        f"{cohort.n_refused} {verb} refused with a stated reason."
    )


def say_interval(metric: Metric, *, confidence: float, digits: int = 2) -> str:
    """Return an interval in words, such as `95% interval 0.86 to 0.98`."""
    if metric.low is None or metric.high is None:
        return "no interval"
    low, high = (say_number(value, digits=digits) for value in (metric.low, metric.high))
    return f"{100 * confidence:g}% interval {low} to {high}"


def _say_performance(performance: PerformanceFacts) -> str:
    """How well held-out subjects were classified."""
    parts = _list_main(performance, are_ensembles=False)
    if not parts:
        return ""
    n_subjects = performance.main[0].n_subjects
    held_out = f" on {say_count(n_subjects, 'held-out subject')}" if n_subjects else ""
    return f"The {_say_metric(performance.main_words)} was {join_words(parts)}{held_out}."


def _say_ensembles(performance: PerformanceFacts) -> str:
    """How well the networks of all seeds do together, where that was asked for."""
    parts = _list_main(performance, are_ensembles=True)
    if not parts:
        return ""
    return f"The networks of all seeds together reached {join_words(parts)}."


def _list_main(performance: PerformanceFacts, *, are_ensembles: bool) -> list[str]:
    """Return the main figure of each arm with its interval."""
    digits = performance.digits if performance.task == "regression" else 2
    return [
        f"{say_number(m.value, digits=digits)} ("
        f"{say_interval(m, confidence=performance.confidence, digits=digits)}) "
        f"{_say_arm(m.arm)}"
        for m in performance.main
        if is_ensemble(m.arm) is are_ensembles
    ]


def _say_spread(spread: SpreadFacts, performance: PerformanceFacts) -> str:
    """How far the main figure moves from seed to seed."""
    arms = {row.arm: _say_arm(row.arm) for row in spread.rows}
    words = _say_metric(performance.main_words)
    digits = performance.digits if performance.task == "regression" else 2
    return say_spread(spread, performance.main_metric, words=words, arms=arms, digits=digits)


def _say_metric(words: str) -> str:
    """Return a figure as it stands before a verb; an apposition is closed by its comma."""
    return f"{say_within(words)}," if "," in words else say_within(words)


def _say_arm(arm: str) -> str:
    """Return an arm as it stands within a sentence."""
    words = {"transfer": "with transfer learning", "scratch": "from scratch"}
    return words.get(base_arm(arm), f"for {say(arm, ARMS).lower()}")


def _say_comparison(performance: PerformanceFacts) -> str:
    """Whether one arm was better, as far as the interval says."""
    found = [c for c in performance.comparisons if c.metric == performance.main_metric]
    if not found:
        return ""
    held = found[0]
    metric = _say_metric(held.words)
    if held.is_ensemble:
        metric = f"{say_within(held.words)} between the ensemble and its single networks"
    return (
        f"Paired on the same subjects, the difference in {metric} was "
        f"{say_number(held.difference, signed=True)}. {held.verdict}"
    )


def _say_explanations(explanation: ExplanationFacts) -> str:
    """Which methods passed their checks, and whether they point at the lesion."""
    if not explanation.cases:
        return ""
    methods = [row for row in explanation.matrix if not row.is_control]
    checked = join_words([f"{say_within(row.words)} in {_of(row.every_check)}" for row in methods])
    text = f"Of {say_count(len(explanation.cases), 'explained test image')}, every check was "
    text += f"passed by {checked}" if checked else "left out"
    pointing = [
        f"{say_within(row.words)} in {_of(row.rates[POINTING])}"
        for row in methods
        if POINTING in row.rates and row.rates[POINTING].n
    ]
    return f"{text}; the lesion was hit by {join_words(pointing)}." if pointing else f"{text}."


def _of(rate: Rate) -> str:
    return f"{rate.passed} of {rate.n}"


def _say_leakage(cohort: CohortFacts) -> str:
    """What the leakage check found and what was done."""
    n = cohort.n_leakage
    if n == 0:
        return "No image was found under two subjects, and no subject is in two splits of a fold."
    found = f"The leakage check found {say_count(n, 'pair')} of images that must not be separated"
    if cohort.n_unequal_labels:
        found += f" ({cohort.n_unequal_labels} with unequal labels)"
    if cohort.leakage_is_overridden:
        left = cohort.leakage_left_words
        return f"{found}; the configuration let {left} stay in different splits."
    return f"{found}, and kept {'both in one split' if n == 1 else 'each in one split'}."
