"""`medvision gate`: whether one fold's synthetic images may reach a training, and which."""

import logging
import shutil

import click

from medvision.cli._gate.extractor import open_extractor
from medvision.cli._gate.files import write_verdict
from medvision.cli._gate.judge import describe_rules, judge_drawn
from medvision.cli._gate.saliency import ask_saliency
from medvision.cli._run import Step, open_step, study_command
from medvision.cli._searches import find_search
from medvision.cli._synthetic.files import check_drawing
from medvision.cli._synthetic.mix import Drawn
from medvision.cli._synthetic.read import read_drawn
from medvision.cli._training.fitting import Job, Trained, Watch, fit_seed, list_upstream
from medvision.cli._training.learning import (
    hash_settings,
    prepare_device,
    read_groups,
    read_learning_data,
)
from medvision.cli._training.starting import find_start
from medvision.cli.train import choose_settings
from medvision.config.model import Study
from medvision.domain.synthesis.criterion import Verdict, close_gate
from medvision.domain.synthesis.synthetic import name_gate, name_step
from medvision.layout import Layout

_log = logging.getLogger(__name__)


@study_command(
    "gate",
    help="Judge one fold's synthetic images before a training may have them: quality and variety, "
    "memorisation, membership, class fidelity, each held against what real images do, and last "
    "whether a network trained with them explains itself worse. Trains the study's main network on "
    "the fold's real images for that. A gate that stays shut is a result "
    "and no error. Run again after an interruption, it goes on after the last complete epoch; told "
    "to stop (SIGTERM, SIGUSR1), it keeps where it is and exits with 75.",
    example="medvision gate --set synthesise.generator=gan --fold 0",
)
@click.option("--fold", required=True, type=click.IntRange(min=0))
def command(study: Study, layout: Layout, *, fold: int) -> None:
    """Judge the drawn images of one fold."""
    check_drawing(study)
    main = study.arms[0]
    searches = find_search(study, layout, arm=main, fold=fold)
    upstream = (*list_upstream(study, main), *searches, name_step(fold))
    with open_step(name_gate(fold), study, upstream=upstream) as step:
        _judge(step, fold, searches=searches)
        shutil.rmtree(layout.step(step.name) / "resume", ignore_errors=True)


def _judge(step: Step, fold: int, *, searches: tuple[str, ...]) -> None:
    """Read, train the network that judges, ask, write and say."""
    device = prepare_device(step)
    data = read_learning_data(step)
    # Before the training: images that have lost their marks must not cost one.
    drawn = read_drawn(step, data, fold=fold)
    extractor = open_extractor(step, data)
    arm = step.study.arms[0]
    start = find_start(step, data, arm=arm)
    job = Job(step, choose_settings(step, searches), data, arm, fold, device, start)
    step.seed = step.study.gate.seed
    plain = _train(job)
    held = read_groups(step)
    groups = {item.subject: held[item.image_id] for item in data.assignments}
    judged = judge_drawn(job, plain, drawn, extractor=extractor, groups=groups)
    verdict = _ask_last(job, plain, drawn, verdict=judged.verdict)
    write_verdict(step, verdict, drawn=drawn, networks=judged.networks)
    _say(verdict, fold=fold, n_drawn=len(drawn))


def _ask_last(job: Job, plain: Trained, drawn: Drawn, *, verdict: Verdict) -> Verdict:
    """Ask about saliency where all else has passed: it costs trainings."""
    accepted = verdict.list_accepted(len(drawn))
    if not accepted:
        return verdict
    rules = describe_rules(job.step.study.gate)
    criteria = ask_saliency(job, plain, drawn.take(accepted), rules=rules)
    return close_gate([*verdict.criteria, *criteria], verdict.refused)


def _train(job: Job) -> Trained:
    """Fit the study's main network on the fold's real images, or go on fitting it."""
    from medvision.learn.epochs import State
    from medvision.runtime.stopping import heed_stop

    step = job.step
    path = step.layout.step(step.name) / "resume" / "state.pt"
    parts = {"weights": job.start.digest, "form": job.start.describe()}
    with heed_stop() as should_stop:
        watch = Watch(
            f"gate, fold {job.fold}",
            state=State(path, hash_settings(step, parts)),
            should_stop=should_stop,
        )
        return fit_seed(job, job.settings.train.seeds[0], watch=watch)


def _say(verdict: Verdict, *, fold: int, n_drawn: int) -> None:
    """Say in words what came of it, and what each criterion that did not pass found."""
    word = "open" if verdict.is_open else "shut"
    n_refused = len(verdict.refused)
    _log.info(
        "gate of fold %d: %s, %s; %d of %d images refused one by one",
        *(fold, word, verdict.reason, n_refused, n_drawn),
    )
    for own in verdict.criteria:
        if own.is_closed:
            _log.warning(
                "%s in %s, %s: %s: %s",
                own.criterion,
                own.space,
                own.statistic,
                own.verdict,
                own.reason,
            )
