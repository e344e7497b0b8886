"""Saliency in the gate: the explanations of a network trained with the images, beside others'."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from medvision.cli._explained.case_images import load_case_image
from medvision.cli._gate.saliency_table import COLUMNS, TABLE, read_gauge, write_gauge
from medvision.cli._scorecard.fit import read_kept
from medvision.cli._synthetic.mix import Drawn, mix_images
from medvision.cli._training.fitting import Job, Trained, Watch, fit_seed
from medvision.cli._training.learning import hash_settings, read_groups
from medvision.config.model import Study
from medvision.domain.attribution import Check
from medvision.domain.record import JsonValue
from medvision.domain.split import Assignment
from medvision.domain.synthesis.criterion import DESCRIBED, Criterion
from medvision.domain.synthesis.gauges import MIXED, PLAIN, SIGNS, Gauge
from medvision.domain.synthesis.saliency import NAME, judge_saliency
from medvision.domain.synthesis.sample import Rules
from medvision.domain.synthesis.synthetic import check_real
from medvision.io.tables import read_table, write_table
from medvision.runtime.files import hash_bytes, write_json

if TYPE_CHECKING:
    from medvision.explain.bench import Hands
    from medvision.explain.case import Case, CaseImage
    from medvision.explain.case import Trained as Explainable
    from medvision.explain.work import Plan


@dataclass(frozen=True)
class _Ask:
    """Whose predictions are explained, and which images have masks."""

    job: Job
    chosen: tuple[Assignment, ...]
    masked: frozenset[str]
    rules: Rules


def ask_saliency(job: Job, plain: Trained, drawn: Drawn, *, rules: Rules) -> list[Criterion]:
    """Ask whether a network that is trained with the images explains itself worse.

    Trains it, with the seed of `plain`, and networks of real images alone with other seeds;
    explains the same validation predictions by each, and writes what the checks measured. Run
    again after an interruption, it goes on.

    Args:
        job: The fold and its real images.
        plain: Network of the study's first seed, of real images alone.
        drawn: Synthetic images that would be trained on.
        rules: How to judge.

    Returns:
        Rows of the criteria.

    Raises:
        TrainingError: A network cannot be trained, or its loss is not finite.
        ExplanationError: A network cannot be explained.
        StoppedError: The run was told to stop; the state is kept.
    """
    section = job.step.study.gate
    if not section.explained:
        return [_tell_unasked()]
    ask = _open(job, rules)
    first, *others = list_seeds(job.step.study)
    gauges = _gauge(ask, PLAIN, first, trained=plain)
    for seed in others:
        gauges += _gauge(ask, PLAIN, seed)
    gauges += _gauge(ask, MIXED, first, drawn=drawn)
    path = job.step.layout.step(job.step.name) / TABLE
    write_table(job.step.write(path), map(write_gauge, gauges), columns=COLUMNS)
    return judge_saliency(gauges, rules)


def list_seeds(study: Study) -> tuple[int, ...]:
    """Return the seeds of the networks of real images: the study's, and as many more as it needs.

    Args:
        study: The configuration; its first seed is also that of the network with the images.
    """
    own = list(study.train.seeds)
    spare = (seed for seed in range(max(own) + study.gate.real_networks) if seed not in own)
    return tuple([*own, *spare][: study.gate.real_networks])


def _tell_unasked() -> Criterion:
    """Say that the configuration does not ask."""
    nan = float("nan")
    return Criterion(
        *(NAME, "all methods", "checks that can tell", nan, nan, nan, 0, nan, nan),
        *("none", DESCRIBED, "not asked: gate.explained is 0"),
    )


def _open(job: Job, rules: Rules) -> _Ask:
    """Draw the validation subjects, one image of each, class by class in turn."""
    rows = read_table(job.step.read(job.step.layout.cohort), required=("image_id",))
    groups = read_groups(job.step)
    pool = job.data.select(job.fold, "validation")
    check_real([{"image_id": item.image_id} for item in pool], where=f"fold {job.fold}, validation")
    chosen = choose_explained(
        pool, groups, n=job.step.study.gate.explained, seed=job.step.study.gate.seed
    )
    masked = frozenset(row["image_id"] for row in rows if row.get("mask"))
    for item in chosen:
        # Registered even where an earlier run has measured them: the record must say the same.
        if item.image_id in masked:
            job.step.read(job.step.layout.mask(item.image_id))
    return _Ask(job, chosen, masked, rules)


def choose_explained(
    pool: Sequence[Assignment], groups: dict[str, str], *, n: int, seed: int
) -> tuple[Assignment, ...]:
    """Draw images by seed, at most one of each group of subjects, the classes by turns.

    Args:
        pool: Validation images.
        groups: Image to the subject, or the subjects joined, that it is of.
        n: How many at most.
        seed: Of the draw.
    """
    from medvision.runtime.seeds import derive_seed

    queue = sorted(pool, key=lambda own: derive_seed("gate-explained", seed, own.image_id))
    chosen: list[Assignment] = []
    while queue and len(chosen) < n:
        counts = {item.label: 0 for item in queue}
        counts |= {name: sum(own.label == name for own in chosen) for name in counts}
        best = min(queue, key=lambda own: counts[own.label])
        chosen.append(best)
        queue = [own for own in queue if groups[own.image_id] != groups[best.image_id]]
    return tuple(chosen)


def _gauge(
    ask: _Ask,
    network: str,
    seed: int,
    *,
    trained: Trained | None = None,
    drawn: Drawn | None = None,
) -> list[Gauge]:
    """Train a network and measure its explanations, or take what an earlier run has measured."""
    job = ask.job
    digest = _hash(ask, network, seed, drawn=drawn)
    folder = job.step.layout.step(job.step.name) / "resume" / f"saliency-{network}-{seed}"
    held = read_kept(folder / "gauges.json", digest=digest)
    if held is not None:
        return [read_gauge(row) for row in cast(list[dict[str, str]], held["gauges"])]
    trained = trained or _train(job, seed, drawn=drawn, folder=folder, digest=digest)
    gauges = _explain(ask, trained, network=network, seed=seed)
    rows = [{name: str(cell) for name, cell in write_gauge(own).items()} for own in gauges]
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "gauges.json", {"settings": digest, "gauges": cast(JsonValue, rows)})
    return gauges


def _hash(ask: _Ask, network: str, seed: int, *, drawn: Drawn | None) -> str:
    """Return the digest of all that a network and its explanations depend on."""
    job = ask.job
    parts: dict[str, JsonValue] = {
        "network": network,
        "seed": seed,
        "weights": job.start.digest,
        "form": job.start.describe(),
        "explained": [item.image_id for item in ask.chosen],
        "drawn": _hash_drawn(drawn) if drawn else "",
    }
    return hash_settings(job.step, parts)


def _hash_drawn(drawn: Drawn) -> str:
    """Return a digest of synthetic images with their names and labels."""
    names = "\n".join((*drawn.names, *drawn.labels)).encode()
    return hash_bytes(names + drawn.images.tobytes())


def _train(job: Job, seed: int, *, drawn: Drawn | None, folder: Path, digest: str) -> Trained:
    """Train one network as the study trains its own, or go on training it."""
    from medvision.learn.epochs import State
    from medvision.runtime.stopping import heed_stop

    data = mix_images(job.data, drawn, fold=job.fold) if drawn else job.data
    said = "with synthetic images" if drawn else "real images alone"
    with heed_stop() as should_stop:
        watch = Watch(
            f"gate, fold {job.fold}, {said}, seed {seed}",
            state=State(folder / "state.pt", digest),
            should_stop=should_stop,
        )
        return fit_seed(replace(job, data=data), seed, watch=watch)


def _explain(ask: _Ask, trained: Trained, *, network: str, seed: int) -> list[Gauge]:
    """Explain the label's logit of every chosen image, and measure it."""
    from medvision.explain.checked import check_cases

    job = ask.job
    trained.model.load_state_dict(trained.fit.tensors)
    cases = [_build_case(job, item, seed=seed) for item in ask.chosen]
    checks = check_cases(
        cases,
        hands=_build_hands(ask, trained),
        plan=_build_plan(job.step.study),
        description=f"explaining validation images, {network} {seed}",
    )
    by_image = {item.image_id: item for item in ask.chosen}
    return [
        _read_check(row, by_image[row.image_id], network=network, seed=seed)
        for row in checks
        if row.check in SIGNS
        and row.method in job.step.study.gate.methods
        and row.verdict != "NOT APPLICABLE"
    ]


def _read_check(row: Check, item: Assignment, *, network: str, seed: int) -> Gauge:
    """Return a check's row as the criterion reads it."""
    return Gauge(
        *(row.image_id, item.subject, item.label, network, seed),
        *(row.method, row.check, row.statistic, row.comparator),
    )


def _build_case(job: Job, item: Assignment, *, seed: int) -> "Case":
    """Return an image as a case: what speaks for its own label is explained, right or wrong."""
    from medvision.explain.case import Case

    return Case(
        image_id=item.image_id,
        subject=item.subject,
        arm=job.arm,
        fold=job.fold,
        seed=seed,
        label=item.label,
        predicted="",
        target=item.label,
        rule="gate",
    )


def _build_hands(ask: _Ask, trained: Trained) -> "Hands":
    """Introduce the real images and one network to the methods; maps are not kept."""
    from medvision.explain.bench import Hands
    from medvision.explain.case import Trained as Explainable
    from medvision.explain.checked import forget_map
    from medvision.learn.backbones import gradcam_layer

    job = ask.job
    layer = gradcam_layer(job.settings.model.backbone)

    def load_image(case: "Case") -> "CaseImage":
        return load_case_image(job.step, job.data.store, case.image_id, masked=ask.masked)

    def load_network(_: "Case") -> "Explainable":
        return Explainable(trained.model, job.data.classes, layer)

    return Hands(load_image, load_network, forget_map, job.device)


def _build_plan(study: Study) -> "Plan":
    """Return the methods of the gate with the settings of the study's own explanations."""
    from dataclasses import fields

    from medvision.explain.methods import Settings
    from medvision.explain.work import Plan

    section = study.explain
    values = {own.name: getattr(section, own.name) for own in fields(Settings)}
    return Plan(
        study.gate.methods,
        Settings(**values),
        section.seed,
        section.random_orders,
        section.deletion_steps,
    )
