"""The paragraph of the methods on certainty: orders of images, distance from the train images."""

from collections.abc import Callable

from medvision.report.sources import Sources

Cite = Callable[[str], str]
"""Gives a citation's number, and remembers that it was used."""

CITATIONS = {
    "risk_coverage": "Geifman Y, Uziel G, El-Yaniv R. Bias-reduced uncertainty estimation for deep "
    "neural classifiers. ICLR 2019. arXiv:1805.08206.",
    "mutual_information": "Depeweg S et al. Decomposition of uncertainty in Bayesian deep learning "
    "for efficient and risk-sensitive learning. ICML 2018. arXiv:1710.07283.",
    "neighbours": "Sun Y et al. Out-of-distribution detection with deep nearest neighbors. ICML "
    "2022. arXiv:2204.06507.",
    "conformal": "Bates S et al. Testing for outliers with conformal p-values. Ann Stat "
    "2023;51:149-178. doi:10.1214/22-AOS2244.",
}


def write_certainty(sources: Sources, cite: Cite) -> str:
    """Say how certainty and distance were judged; empty where neither was.

    Args:
        sources: Tables `abstention`, `predictions` and `headers`; section `predict`.
        cite: Gives a citation's number.
    """
    told = [_say_orders(sources, cite), _say_distance(sources, cite), _say_headers(sources)]
    return " ".join(text for text in told if text)


def _say_orders(sources: Sources, cite: Cite) -> str:
    """Say by what test images were ordered."""
    scores = dict.fromkeys(row["score"] for row in sources.table("abstention"))
    if not scores:
        return ""
    by = (
        "the distance of their log-odds from the threshold"
        if next(iter(scores)) == "margin"
        else "the entropy of their probabilities"
    )
    others = ""
    if "disagreement" in scores:
        others = (
            " As a further order, the disagreement of the networks of all seeds was taken as the "
            "entropy of their mean probability minus their mean entropy "
            f"{cite('mutual_information')}."
        )
    return (
        f"Test images were ordered by {by}, as fixed beforehand, within fold, and the error rate "
        f"of those kept was followed from few to all {cite('risk_coverage')}; the area under this "
        f"curve was held against the error rate of all, which a random order gives.{others}"
    )


def _say_distance(sources: Sources, cite: Cite) -> str:
    """Say how the distance from the train images was judged."""
    if not any(row.get("distance") for row in sources.table("predictions")):
        return ""
    neighbours = sources.setting("predict", "novelty_neighbours")
    alarm = sources.setting("predict", "novelty_alarm")
    share = f"{100 * alarm:g}%" if isinstance(alarm, int | float) else "a stated share"
    return (
        "The distance of each held-out image from the train images was that to the train image "
        f"number {neighbours} in order of nearness {cite('neighbours')}, in the features that the "
        "network's last layer is given, each in standard deviations of the train images. An image "
        f"counts as unlike them where at most {share} of the validation images, or with few of "
        f"them none, are as far {cite('conformal')}; no image was left out for it."
    )


def _say_headers(sources: Sources) -> str:
    """Say what headers were compared by."""
    if not sources.table("headers"):
        return ""
    return (
        "Headers of held-out images were compared with those of the train images of their fold by "
        "modality, manufacturer, orientation, units, spacing, size and field strength."
    )
