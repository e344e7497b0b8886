"""One training of the scorecard: a network on a share of the subjects, and what came of it."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from medvision.cli._training.fitting import Job, Trained, Watch, build_model, fit_seed
from medvision.cli._training.learning import LearningData, hash_settings
from medvision.domain.intended_use import INTENDED_USE, RESEARCH_USE
from medvision.domain.record import JsonValue
from medvision.domain.scorecard.similarity import compute_similarity
from medvision.domain.scorecard.subsets import Subset
from medvision.errors import DataError
from medvision.runtime.files import read_json, write_json

if TYPE_CHECKING:
    from medvision.learn.train import Fit

Table = list[dict[str, JsonValue]]

_MOST_COMPARED = 500
"""Validation images on which representations are compared, at most."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What is kept of one training: rows of the job's tables. The network itself is not kept."""

    training: dict[str, JsonValue]
    predictions: Table
    similarity: Table


@dataclass(frozen=True)
class Task:
    """One training that is to be done.

    Args:
        job: Arm, fold and settings, with the data of the whole fold.
        subset: Who is trained on.
        seed: Seed of the initial weights and of the training.
        compares: Whether what the training moved is measured.
    """

    job: Job
    subset: Subset
    seed: int
    compares: bool

    @property
    def place(self) -> dict[str, JsonValue]:
        """Which training it is, as columns of the tables."""
        return {
            "arm": self.job.arm,
            "fold": self.job.fold,
            "fraction": self.subset.fraction,
            "seed": self.seed,
        }

    @property
    def folder(self) -> Path:
        """Where it is kept until the job is done."""
        step = self.job.step
        name = f"share-{self.subset.fraction:g}-seed-{self.seed}"
        return step.layout.step(step.name) / "resume" / name


def run_task(task: Task) -> Outcome:
    """Train, or take what an earlier run of the same job has done already.

    Args:
        task: What is to be trained.

    Raises:
        TrainingError: The images cannot be trained on, or the loss is not finite.
        WeightsError: The starting weights do not fit.
        StoppedError: The run was told to stop; the state is kept.
    """
    job = _count_passes(task)
    parts: dict[str, JsonValue] = {
        **task.place,
        "subjects": cast(JsonValue, list(task.subset.subjects)),
        "passes": job.passes,
        "weights": job.start.digest,
        "form": job.start.describe(),
    }
    digest = hash_settings(job.step, parts)
    path = task.folder / "outcome.json"
    held = read_kept(path, digest=digest)
    if held is not None:
        return Outcome(
            training=cast(dict[str, JsonValue], held["training"]),
            predictions=cast(Table, held["predictions"]),
            similarity=cast(Table, held["similarity"]),
        )
    outcome = _train(task, job, digest=digest)
    kept = {name: getattr(outcome, name) for name in Outcome.__dataclass_fields__}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"settings": digest, **kept})
    return outcome


def _count_passes(task: Task) -> Job:
    """Return the job with the subset's train images, shown as often as the budget says."""
    job = restrict_job(task.job, task.subset)
    n_all, n_own = (len(held.data.select(job.fold, "train")) for held in (task.job, job))
    is_equal_steps = job.step.study.scorecard.budget == "steps"
    return replace(job, passes=max(1, round(n_all / n_own)) if is_equal_steps else 1)


def restrict_job(job: Job, subset: Subset) -> Job:
    """Return a job with the subset's train images alone; validation and test as they are.

    Args:
        job: Of one fold.
        subset: Who is trained on.
    """
    own = tuple(item for item in job.data.assignments if item.fold == job.fold)
    kept = tuple(i for i in own if i.split != "train" or i.image_id in subset.image_ids)
    return replace(job, data=replace(job.data, assignments=kept))


def read_kept(path: Path, *, digest: str) -> dict[str, JsonValue] | None:
    """Return what was kept of the same training; none of another one, or of a spoilt file.

    Args:
        path: Where a finished training of an unfinished job is kept.
        digest: Of all that the training depends on.
    """
    try:
        held = read_json(path)
    except DataError:
        return None
    if not isinstance(held, dict) or held.get("settings") != digest:
        return None
    return held


def _train(task: Task, job: Job, *, digest: str) -> Outcome:
    """Fit one network, and take from it what is wanted."""
    from medvision.learn.epochs import State
    from medvision.runtime.stopping import heed_stop

    what = f"{job.arm}, fold {job.fold}, {task.subset.fraction:.0%}, seed {task.seed}"
    with heed_stop() as should_stop:
        watch = Watch(
            f"scorecard {what}",
            state=State(task.folder / "state.pt", digest),
            should_stop=should_stop,
        )
        trained = fit_seed(job, task.seed, watch=watch)
    trained.model.load_state_dict(trained.fit.tensors)
    return Outcome(
        training=_describe(task, job, trained),
        predictions=predict_test(job, trained, place=task.place),
        similarity=_compare(task, job, trained) if task.compares else [],
    )


def _describe(task: Task, job: Job, trained: Trained) -> dict[str, JsonValue]:
    """Return the training in a few numbers."""
    from medvision.learn.dataset import count_batches

    fit: Fit = trained.fit
    n_images = len(task.subset.image_ids)
    n_batches = count_batches(n_images * job.passes, job.settings.train.batch_size)
    best: Mapping[str, JsonValue] = fit.history[fit.best_epoch - 1]
    return {
        **task.place,
        "n_subjects": len(task.subset.subjects),
        "n_images": n_images,
        "is_exceeded": task.subset.is_exceeded,
        "passes": job.passes,
        "n_steps": n_batches * len(fit.history),
        "epochs": len(fit.history),
        "best_epoch": fit.best_epoch,
        "is_stopped_early": fit.is_stopped_early,
        "validation_loss": best["validation_loss"],
        "validation_auc": best["validation_auc"],
        "weights_match": trained.report.match if trained.report is not None else None,
    }


def predict_test(job: Job, trained: Trained, *, place: Mapping[str, JsonValue]) -> Table:
    """Predict the fold's test images with the network that was trained.

    Args:
        job: The fold and its data.
        trained: The network, with the weights of its best epoch.
        place: Which training it is, as the first columns of each row.
    """
    from medvision.learn.predict import compute_probabilities, predict_logits

    data: LearningData = job.data
    chosen = data.select(job.fold, "test")
    model = trained.model.to(job.device)
    logits = predict_logits(model, data.examples(chosen), device=job.device)
    probabilities = compute_probabilities(logits)
    rows: Table = []
    for item, scores, shares in zip(chosen, logits, probabilities, strict=True):
        row: dict[str, JsonValue] = {
            **place,
            "repeat": item.repeat,
            "part": item.part,
            "inner": item.inner,
            "split": "test",
            "image_id": item.image_id,
            "subject": item.subject,
            "label": item.label,
            INTENDED_USE: RESEARCH_USE,
        }
        for name, score, share in zip(data.classes, scores, shares, strict=True):
            row |= {f"logit_{name}": float(score), f"probability_{name}": float(share)}
        rows.append(row)
    return rows


def _compare(task: Task, job: Job, trained: Trained) -> Table:
    """Hold each block's view of the validation images against that before the training."""
    from medvision.learn.activations import compute_activations
    from medvision.learn.backbones import blocks

    parts = blocks(job.settings.model.backbone)
    chosen = job.data.select(job.fold, "validation")
    # Evenly over the names: products of all pairs of images are held in memory.
    examples = job.data.examples(chosen[:: -(-len(chosen) // _MOST_COMPARED)])
    start, _ = build_model(job, task.seed, watch=Watch("start"))
    before, after = (
        compute_activations(model.to(job.device), examples, blocks=parts, device=job.device)
        for model in (start, trained.model)
    )
    rows: Table = []
    for number, (block, first, second) in enumerate(zip(parts, before, after, strict=True), 1):
        found = compute_similarity(first, second)
        rows.append(
            {
                **task.place,
                "block": number,
                "layer": block[-1],
                "cka": found.plain,
                "cka_debiased": found.debiased,
                "n_images": found.n_images,
            }
        )
    return rows
