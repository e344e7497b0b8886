"""One seed of the ablation on one share: a generator, its gate, and a network per variant."""

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from medvision.cli._ablation.gate import Draw, Gatekeeper, judge_draw
from medvision.cli._scorecard.fit import Table, predict_test, read_kept, restrict_job
from medvision.cli._synthetic.mix import Drawn, mix_images
from medvision.cli._training.fitting import Job, Trained, Watch, fit_seed
from medvision.cli._training.learning import LearningData, hash_settings
from medvision.cli.synthesise import describe_gan, open_real
from medvision.config.ablation import choose_changes
from medvision.config.model import Study
from medvision.config.sections import AugmentSection
from medvision.domain.record import JsonValue
from medvision.domain.scorecard.subsets import Subset
from medvision.domain.split import Assignment
from medvision.domain.synthesis.ablation import BOTH, CLASSICAL, PLAIN, SYNTHETIC, VARIANTS
from medvision.domain.synthesis.synthetic import (
    check_enough_subjects,
    check_learnt_from,
    count_wanted,
    name_image,
)
from medvision.errors import ConfigError
from medvision.runtime.files import write_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medvision.synthesis.train import Trained as TrainedGenerator

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What is kept of one training: a row of its table, predictions, and what the gate asked."""

    training: dict[str, JsonValue]
    predictions: Table
    gates: Table


@dataclass(frozen=True)
class Task:
    """One seed on one share.

    Args:
        job: Fold and settings, with the data of the whole fold.
        subset: Who is trained on, by the generator and by every network.
        seed: Seed of generator and networks.
        keeper: Judges what the generator draws.
    """

    job: Job
    subset: Subset
    seed: int
    keeper: Gatekeeper

    @property
    def place(self) -> dict[str, JsonValue]:
        """Which seed of which share it is, as columns of the tables."""
        return {"fold": self.job.fold, "fraction": self.subset.fraction, "seed": self.seed}

    @property
    def folder(self) -> Path:
        """Where it is kept until the job is done."""
        step = self.job.step
        return step.layout.step(step.name) / "resume" / f"seed-{self.seed}"


def run_task(task: Task) -> list[Outcome]:
    """Train every variant, or take what an earlier run of the same job has done already.

    Args:
        task: What is to be trained.

    Returns:
        One outcome per variant, in their order.

    Raises:
        TrainingError: The images cannot be trained on, or a training is not finite.
        WeightsError: The starting weights do not fit.
        StoppedError: The run was told to stop; the state is kept.
    """
    job = restrict_job(task.job, task.subset)
    draw: Draw | None = None
    outcomes = []
    for variant in VARIANTS:
        digest = _hash(task, variant)
        path = task.folder / f"{variant}.json"
        held = read_kept(path, digest=digest)
        if held is None:
            if variant in (SYNTHETIC, BOTH):
                draw = draw or _draw(task, job)
            held = vars(_train(task, job, variant=variant, draw=draw))
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, {"settings": digest, **held})
        training = cast(dict[str, JsonValue], held["training"])
        gates = cast(Table, held["gates"])
        outcomes.append(Outcome(training, cast(Table, held["predictions"]), gates))
    return outcomes


def _hash(task: Task, variant: str) -> str:
    """Return the digest of all that one training depends on."""
    job = task.job
    parts: dict[str, JsonValue] = {
        **task.place,
        "variant": variant,
        "n_shown": _count_shown(task),
        "subjects": cast(JsonValue, list(task.subset.subjects)),
        "weights": job.start.digest,
        "form": job.start.describe(),
        "extractor": task.keeper.extractor.digest,
    }
    return hash_settings(job.step, parts)


def _train(task: Task, job: Job, *, variant: str, draw: Draw | None) -> Outcome:
    """Fit one variant's network, and predict the fold's test images."""
    used = draw if variant in (SYNTHETIC, BOTH) else None
    own, trained = _fit(task, job, variant=variant, draw=used)
    trained.model.load_state_dict(trained.fit.tensors)
    place: dict[str, JsonValue] = {"variant": variant, **task.place}
    asked = used.criteria if used is not None and variant == SYNTHETIC else ()
    return Outcome(
        training={**place, **_describe(task, own, trained, draw=used)},
        predictions=predict_test(own, trained, place=place),
        gates=[{**task.place, **row} for row in asked],
    )


def _fit(task: Task, job: Job, *, variant: str, draw: Draw | None) -> tuple[Job, Trained]:
    """Fit one variant's network, or take up the one that is kept; return its job too."""
    from medvision.learn.epochs import State
    from medvision.runtime.stopping import heed_stop

    settings = _choose_settings(job.settings, variant)
    data = job.data if draw is None else mix_images(job.data, draw.added, fold=job.fold)
    # An epoch of every variant on every share shows as many images: the train list again and again,
    # cut at that number.
    passes, n_extra = divmod(_count_shown(task), len(data.select(job.fold, "train")))
    own = replace(job, data=data, settings=settings, passes=passes, n_extra=n_extra)
    what = f"{variant}, fold {job.fold}, {task.subset.fraction:.0%}, seed {task.seed}"
    with heed_stop() as should_stop:
        watch = Watch(
            f"ablation {what}",
            state=State(task.folder / f"{variant}.pt", _hash(task, variant)),
            should_stop=should_stop,
        )
        return own, fit_seed(own, task.seed, watch=watch)


def _choose_settings(study: Study, variant: str) -> Study:
    """Return the study with the random changes of a variant, or with none."""
    changes = choose_changes(study) if variant in (CLASSICAL, BOTH) else AugmentSection()
    return study.model_copy(update={"augment": changes})


def _count_shown(task: Task) -> int:
    """Return how many images an epoch of every variant on every share shows.

    All of the fold's train images with what would be drawn for them, whatever was drawn, refused
    or left out: an epoch has as many steps for all, and nothing is ahead for a longer one. Early
    stopping may still end one training before another.
    """
    job = task.job
    counts = Counter(item.label for item in job.data.select(job.fold, "train"))
    wanted = count_wanted(counts, job.step.study.synthesise.ratio)
    return counts.total() + sum(wanted.values())


def _describe(task: Task, job: Job, trained: Trained, *, draw: Draw | None) -> dict[str, JsonValue]:
    """Return the training in a few numbers."""
    from medvision.learn.dataset import count_batches

    fit = trained.fit
    n_images, n_shown = len(job.data.select(job.fold, "train")), _count_shown(task)
    best: Mapping[str, JsonValue] = fit.history[fit.best_epoch - 1]
    n_batches = count_batches(n_shown, job.settings.train.batch_size)
    return {
        "n_subjects": len(task.subset.subjects),
        "n_images": len(task.subset.image_ids),
        "is_exceeded": task.subset.is_exceeded,
        "n_drawn": 0 if draw is None else draw.n_drawn,
        "n_refused": 0 if draw is None else draw.n_refused,
        "n_added": 0 if draw is None else len(draw.added),
        "reason": "" if draw is None else draw.reason,
        "gate": "" if draw is None else draw.gate,
        "gate_reason": "" if draw is None else draw.gate_reason,
        "passes": round(n_shown / n_images, 4) if job.n_extra else job.passes,
        "n_steps": n_batches * len(fit.history),
        "epochs": len(fit.history),
        "best_epoch": fit.best_epoch,
        "validation_loss": best["validation_loss"],
        "validation_auc": best["validation_auc"],
    }


def _draw(task: Task, job: Job) -> Draw:
    """Train the share's generator, draw, and have the network without additions judge it."""
    chosen = job.data.select(job.fold, "train")
    section = job.step.study.synthesise
    check_learnt_from(chosen, job.data.assignments)
    try:
        check_enough_subjects(
            chosen, job.data.classes, minimum=section.minimum_subjects, fold=job.fold
        )
    except ConfigError as error:
        _log.warning("ablation, %.0f %%: %s", 100 * task.subset.fraction, error.message)
        return Draw(_draw_none(job.data), 0, "too few subjects of a class for a generator")
    drawn = _draw_images(task, job, chosen)
    # It was trained before, and its last state is still there.
    own, plain = _fit(task, job, variant=PLAIN, draw=None)
    draw = judge_draw(task.keeper, own, plain, drawn)
    what = f"fold {job.fold}, {task.subset.fraction:.0%}, seed {task.seed}"
    _log.info("ablation, gate of %s: %s, %s", what, draw.gate, draw.gate_reason)
    return draw


def _draw_none(data: LearningData) -> Drawn:
    """Return no images, of the store's shape."""
    import numpy as np

    return Drawn(np.empty((0, *data.store.array.shape[1:]), np.float32), (), ())


def _draw_images(task: Task, job: Job, chosen: list[Assignment]) -> Drawn:
    """Train the generator of one seed on one share, or go on training it, and draw."""
    import numpy as np

    from medvision.runtime.seeds import derive_seed
    from medvision.synthesis.sample import draw_image

    place = (job.fold, f"{task.subset.fraction:g}", task.seed, job.step.study.synthesise.seed)
    trained = _train_generator(task, job, chosen, seed=derive_seed("ablation-generator", *place))
    counts = Counter(item.label for item in chosen)
    classes = job.data.classes
    wanted = count_wanted({name: counts[name] for name in classes}, job.step.study.synthesise.ratio)
    rows = [(label, n) for label, name in enumerate(classes) for n in range(wanted[name])]
    images: NDArray[np.float32] = np.stack(
        [
            draw_image(
                trained.generator,
                trained.scale,
                label=label,
                seed=derive_seed("ablation-image", *place, label, number),
            )
            for label, number in rows
        ]
    )
    return Drawn(
        images,
        tuple(name_image(job.fold, label, number=number) for label, number in rows),
        tuple(classes[label] for label, _ in rows),
    )


def _train_generator(
    task: Task, job: Job, chosen: list[Assignment], *, seed: int
) -> "TrainedGenerator":
    """Train the generator of one seed on one share, or go on training it."""
    from medvision.runtime.stopping import heed_stop
    from medvision.synthesis.course import State
    from medvision.synthesis.train import Watch as GanWatch
    from medvision.synthesis.train import train_gan

    share = f"{task.subset.fraction:.0%}"
    with heed_stop() as should_stop:
        return train_gan(
            open_real(job.data, chosen),
            settings=describe_gan(job.step.study),
            seed=seed,
            device=job.device,
            state=State(task.folder / "generator.pt", _hash(task, "generator")),
            watch=GanWatch(
                f"ablation generator, fold {job.fold}, {share}, seed {task.seed}",
                should_stop=should_stop,
            ),
        )
