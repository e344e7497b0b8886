"""Which steps a study has: the folds that its cohort was split into, and the order of the work."""

from medvision.cli._searches import list_searches
from medvision.config.ablation import is_ablated, name_share
from medvision.config.control import CONTROLLED_FOLD
from medvision.config.division import number_jobs
from medvision.config.model import Study
from medvision.config.shortcuts import is_audited
from medvision.domain.synthesis.synthetic import name_gate, name_step
from medvision.errors import DataError
from medvision.layout import STEPS, Layout
from medvision.runtime.files import read_json


def list_steps(study: Study, layout: Layout) -> tuple[str, ...]:
    """Return the steps of a study in the order of the work, one per trained fold.

    Args:
        study: The configuration in force.
        layout: Its output folder, whose cohort says how many folds there are.

    Returns:
        Step names as their records have them.
    """
    skipped = set() if study.data.kind == "phantom" else {"phantom"}
    skipped |= {"pull"} if study.pacs.protocol == "none" else set()
    skipped |= set() if study.fetch.source else {"fetch"}
    skipped |= set() if study.publish.target else {"publish"}
    skipped |= set() if study.needs_pretraining else {"pretrain"}
    skipped |= set() if study.scorecard.sources else {"compare"}
    skipped |= set() if is_ablated(study) else {"ablation"}
    skipped |= set() if is_audited(study.shortcuts, study.control) else {"shortcuts"}
    folds = range(_count_folds(study, layout))
    many = {
        "tune": list_searches(study, layout),
        "synthesise": [name_step(fold) for fold in folds] if study.synthesise.is_on else [],
        "gate": [name_gate(fold) for fold in folds] if study.synthesise.is_on else [],
        "train": [layout.fold_step(arm, fold) for arm in study.arms for fold in folds],
        "predict": [
            *(layout.fold_step(arm, fold, stage="predict") for arm in study.arms for fold in folds),
            "predict",
        ],
        "explain": [*list_explained(study), "explain"],
        "scorecard": list_scorecards(study, layout),
        "control": list_controls(study, layout),
        "ablate": list_ablations(study, layout),
    }
    return tuple(step for name in STEPS if name not in skipped for step in many.get(name, (name,)))


def list_scorecards(study: Study, layout: Layout) -> tuple[str, ...]:
    """Return the steps that train for the scorecard, scratch first; none where it is not asked for.

    Args:
        study: The configuration in force.
        layout: Its output folder, whose cohort says how many folds there are.
    """
    folds = study.scorecard.list_folds(_count_folds(study, layout))
    return tuple(
        layout.fold_step(arm.name, fold, stage="scorecard")
        for arm in study.scorecard.arms
        for fold in folds
    )


def list_ablations(study: Study, layout: Layout) -> tuple[str, ...]:
    """Return the steps that train for the ablation; none where it is not asked for.

    Args:
        study: The configuration in force.
        layout: Its output folder, whose cohort says how many folds there are.
    """
    if not is_ablated(study):
        return ()
    folds = study.ablation.list_folds(_count_folds(study, layout))
    return tuple(
        layout.fold_step(name_share(share), fold, stage="ablate")
        for share in study.ablation.shares
        for fold in folds
    )


def list_controls(study: Study, layout: Layout) -> tuple[str, ...]:
    """Return the steps that train the controls of the shortcut audit; none where none is asked for.

    Args:
        study: The configuration in force.
        layout: Its output folder.
    """
    return tuple(
        layout.fold_step(name, CONTROLLED_FOLD, stage="control") for name in study.control.trainings
    )


def _count_folds(study: Study, layout: Layout) -> int:
    """Return the trainings that the folds made, or those asked for while there is no cohort."""
    try:
        summary = read_json(layout.cohort_summary)
    except DataError:
        return study.cohort.n_fits
    n_folds = summary.get("n_folds") if isinstance(summary, dict) else None
    return n_folds if isinstance(n_folds, int) else study.cohort.n_fits


def list_trained(study: Study, layout: Layout) -> tuple[str, ...]:
    """Return the training steps of the folds that the cohort's table holds.

    Raises:
        DataError: There is no such table.
    """
    return tuple(layout.fold_step(arm, fold) for arm in study.arms for fold in list_folds(layout))


def list_predicted(study: Study, layout: Layout) -> tuple[str, ...]:
    """Return the steps that predict with the networks of one arm and fold, as they are trained.

    Raises:
        DataError: There is no table of the cohort's folds.
    """
    return tuple(
        layout.fold_step(arm, fold, stage="predict")
        for arm in study.arms
        for fold in list_folds(layout)
    )


def list_explained(study: Study) -> tuple[str, ...]:
    """Return the steps that explain a share of the images each; none where one job does all.

    Args:
        study: The configuration in force.
    """
    total = study.explain.shards
    layout = Layout(study.output.path)
    return tuple(layout.explain_step(number, total) for number in number_jobs(total))


def list_folds(layout: Layout) -> list[int]:
    """Return the numbers of the folds that the cohort's table holds, rising.

    Raises:
        DataError: There is no such table.
    """
    from medvision.io.tables import read_table

    return sorted({int(row["fold"]) for row in read_table(layout.folds, required=("fold",))})
