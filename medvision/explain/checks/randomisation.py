"""Weight randomisation: the map changes when the network forgets what it learnt."""

from medvision.domain.attribution import Check
from medvision.explain.checks.row import About, judge

DEPTHS = {"weight_randomisation_top": "top", "weight_randomisation": "full"}
"""Check to the depth to which the weights are randomised."""


def check_randomisation(
    about: About, check: str, *, similarity: float, pair_similarity: float, n_pairs: int
) -> Check:
    """Hold the similarity to the map of a randomised network against that of other cases.

    Args:
        about: Image and method.
        check: `weight_randomisation_top` or `weight_randomisation`.
        similarity: SSIM of the maps of the trained and the randomised network.
        pair_similarity: Mean SSIM of the trained network's maps of different cases.
        n_pairs: Number of those pairs.

    Source:
        Adebayo 2018, arXiv:1810.03292; threshold: Arun 2021, doi:10.1148/ryai.2021200267.
    """
    if n_pairs == 0:
        reason = "fewer than two maps to compare with"
        return about.row(check, "INCONCLUSIVE", reason=reason, statistic=similarity, n=0)
    return about.row(
        check,
        judge(passed=similarity < pair_similarity),
        reason=f"SSIM {similarity:.3f} to the randomised map, {pair_similarity:.3f} between cases",
        statistic=similarity,
        comparator=pair_similarity,
        threshold=pair_similarity,
        n=n_pairs,
    )
