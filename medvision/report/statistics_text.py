"""The paragraph of the methods on statistics: figures, intervals, tests and curves."""

from collections.abc import Callable

from medvision.domain.record import JsonValue
from medvision.report.searching import SEARCHED, is_searched
from medvision.report.sources import Sources, list_unique
from medvision.report.words import join_words

Cite = Callable[[str], str]
"""Gives a citation's number, and remembers that it was used."""

CITATIONS = {
    "delong": "DeLong ER, DeLong DM, Clarke-Pearson DL. Comparing the areas under two or more "
    "correlated receiver operating characteristic curves. Biometrics 1988;44:837-845. "
    "doi:10.2307/2531595.",
    "obuchowski": "Obuchowski NA. Nonparametric analysis of clustered ROC curve data. Biometrics "
    "1997;53:567-578. doi:10.2307/2533958.",
    "mcnemar": "Fagerland MW, Lydersen S, Laake P. The McNemar test for binary matched-pairs data: "
    "mid-p and asymptotic are better than exact conditional. BMC Med Res Methodol 2013;13:91. "
    "doi:10.1186/1471-2288-13-91.",
    "calibration": "Van Calster B et al. Calibration: the Achilles heel of predictive analytics. "
    "BMC Med 2019;17:230. doi:10.1186/s12916-019-1466-7.",
    "decision": "Vickers AJ, Elkin EB. Decision curve analysis: a novel method for evaluating "
    "prediction models. Med Decis Making 2006;26:565-574. doi:10.1177/0272989X06295361.",
}


def write_statistics(sources: Sources, cite: Cite) -> str:
    """Say how figures, intervals and tests were made.

    Args:
        sources: Settings of the statistics, and the tables that they filled.
        cite: Gives a citation's number.
    """
    level = _get(sources, "evaluate.confidence")
    percent = f"{100 * level:g}%" if isinstance(level, int | float) else "stated"
    task = str(sources.setting("data", "task"))
    if task == "regression":
        operating = f"Errors are summed up by bias and limits of agreement {cite('agreement')}."
    elif not sources.table("thresholds"):
        operating = f"The most probable class was predicted.{_say_prevalence(sources)}"
    else:
        of_each = " of each finding, for each model," if task == "multilabel" else " of each model"
        rule, own = _say_rule(sources), "was fixed on its validation subjects"
        operating = f"The threshold{of_each} {own}, {rule}.{_say_prevalence(sources)}"
    figures = "All figures are of held-out test subjects"
    seeds = sources.setting("train", "seeds")
    if isinstance(seeds, list) and len(seeds) > 1:
        figures += f", means over the {len(seeds)} seeds, none of them chosen"
    return (
        f"{figures}. {operating} Intervals are {percent} and come from "
        f"{_get(sources, 'evaluate.n_resamples')} bootstrap resamples of subjects "
        f"{cite('bootstrap')}{_say_interval(sources, cite)}, so that several images of one subject "
        f"do not count as independent.{_say_tests(sources, cite)}{_say_curves(sources, cite)}"
    )


def _say_interval(sources: Sources, cite: Cite) -> str:
    """Say how resamples became an interval, where not by their quantiles as they are."""
    is_corrected = _get(sources, "evaluate.interval") == "bca"
    return f", corrected for bias and skewness (BCa {cite('bca')})" if is_corrected else ""


def _say_rule(sources: Sources) -> str:
    """Say what thresholds were fitted for."""
    target, cost = _get(sources, "evaluate.operating_target"), _get(sources, "evaluate.miss_cost")
    return {
        "sensitivity": f"as the highest that reached a sensitivity of {target} there",
        "specificity": f"as the lowest that reached a specificity of {target} there",
        "cost": f"for the least expected cost, a miss costing {cost} false alarms",
    }.get(str(_get(sources, "evaluate.operating_point")), "by the Youden index")


def _say_prevalence(sources: Sources) -> str:
    """Say at which prevalence predictive values hold, where one is given."""
    share = sources.setting("evaluate", "prevalence")
    if isinstance(share, dict):
        each = join_words([f"{value} of {name}" for name, value in share.items()])
        return f" Predictive values are for prevalences of {each}."
    return "" if share is None else f" Predictive values are for a prevalence of {share}."


def _say_tests(sources: Sources, cite: Cite) -> str:
    """Say how two networks were tested against each other; nothing where none was."""
    rows = sources.table("tests")
    methods = [row["method"] for row in rows]
    parts = []
    if any(row["kind"] == "areas" for row in rows):
        several = any("Obuchowski" in method for method in methods)
        area = f"areas under the curve by DeLong's method {cite('delong')}"
        form = f" for several images of a subject {cite('obuchowski')}" if several else ""
        parts.append(f"{area}{form}")
    if any(row["kind"] == "decisions" for row in rows):
        parts.append(f"right predictions by McNemar's test (mid-p {cite('mcnemar')})")
    if not parts:
        return ""
    return (
        f" Networks were compared on the same subjects, two-sided: {join_words(parts)}; p-values "
        f"of each kind were corrected by Holm's method {cite('holm')}."
    )


def _say_curves(sources: Sources, cite: Cite) -> str:
    """Say what calibration, decision curves and subgroups are."""
    text = ""
    if sources.table("calibration"):
        text += (
            f" Calibration was assessed in {_get(sources, 'evaluate.calibration_bins')} bins of "
            f"equal count, and by the slope and intercept of a logistic recalibration "
            f"{cite('calibration')}."
        )
    if sources.table("decision"):
        text += f" Net benefit was computed as in decision curve analysis {cite('decision')}."
    columns = list_unique(row["variable"] for row in sources.table("subgroups"))
    if columns:
        text += (
            f" Subgroups by {join_words(columns)} were held against all other test images, "
            "without correction for their number."
        )
    return text


def _get(sources: Sources, key: str) -> JsonValue:
    """Return `section.field` of the settings, or that it was searched."""
    if is_searched(sources, key):
        return SEARCHED
    section, _, name = key.partition(".")
    return sources.setting(section, name)
