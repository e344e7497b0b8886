"""What comparisons cost beside the study's own training, said before hours are queued."""

from medvision.cli._doctor.findings import Finding
from medvision.config import ablation, scorecard
from medvision.config.model import Study
from medvision.domain.synthesis.ablation import VARIANTS


def cost_scorecard(study: Study) -> Finding:
    """Say how many trainings the scorecard is.

    Args:
        study: One that has a scorecard.
    """
    section = study.scorecard
    n_folds = len(section.list_folds(study.cohort.n_fits))
    n_seeds, n_shares = len(section.seeds), len(section.fractions)
    n_jobs = len(section.arms) * n_folds
    # In trainings on all subjects: with equal epochs a share of them costs its share.
    cost = n_shares if section.budget == "steps" else sum(section.fractions)
    found = (
        f"{n_jobs * n_shares * n_seeds} trainings in {n_jobs} jobs: {len(section.arms)} arms, "
        f"{n_folds} folds, {n_shares} shares, {n_seeds} seeds; about "
        f"{cost * n_jobs * n_seeds / _count_own(study):.3g} times the study's own training"
    )
    fewest = scorecard.FEWEST_SEEDS
    return _tell("Scorecard", found, field="scorecard.seeds", is_few=n_seeds < fewest)


def cost_ablation(study: Study) -> Finding:
    """Say how many generators and trainings the ablation is.

    Args:
        study: One that draws images and holds them against none.
    """
    section, ratio = study.ablation, study.synthesise.ratio
    n_folds = len(section.list_folds(study.cohort.n_fits))
    n_seeds, n_shares = len(section.seeds), len(section.shares)
    n_generators = n_folds * n_seeds * n_shares
    n_trainings = n_generators * len(VARIANTS)
    most = max(ratio.values(), default=0.0) if isinstance(ratio, dict) else ratio
    found = (
        f"{n_generators} generators, each judged by the gate, and {n_trainings} trainings in "
        f"{n_folds * n_shares} jobs: "
        f"{len(VARIANTS)} variants, {n_folds} folds, {n_shares} shares, {n_seeds} seeds; the "
        f"trainings about {n_trainings * (1 + most) / _count_own(study):.3g} times the study's own"
    )
    fewest = ablation.FEWEST_SEEDS
    return _tell("Ablation", found, field="ablation.seeds", is_few=n_seeds < fewest)


def _count_own(study: Study) -> int:
    """Return the study's own trainings."""
    return len(study.arms) * study.cohort.n_fits * len(study.train.seeds)


def _tell(name: str, found: str, *, field: str, is_few: bool) -> Finding:
    """Return the finding, with a warning where seeds are too few for a claim."""
    if not is_few:
        return Finding(name, "ok", found)
    hint = f"name {scorecard.FEWEST_SEEDS} or more in {field} before a claim is made of it."
    return Finding(name, "warn", f"{found}; few seeds", hint)
