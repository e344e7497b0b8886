"""`medvision predict`: probabilities of the images held out, a part for each arm and fold."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

import click

from medvision.cli._inference import Predicted, predict_fold
from medvision.cli._novelty import SPLITS
from medvision.cli._outputs import describe_outputs, list_output_columns
from medvision.cli._run import check_upstream, open_step, study_command
from medvision.cli._steps import list_folds, list_predicted, list_trained
from medvision.cli._training.learning import LearningData, prepare_device, read_learning_data
from medvision.cli._up_to_date import is_up_to_date
from medvision.config.model import Study
from medvision.domain.arms import ARMS, write_seed
from medvision.domain.intended_use import INTENDED_USE, RESEARCH_USE
from medvision.domain.novelty.distance import COLUMNS
from medvision.errors import ConfigError
from medvision.io.tables import Cell, join_tables, write_table
from medvision.layout import Layout

PREDICTIONS, TEMPERATURES = "predictions", "temperatures"

PREDICTION_COLUMNS = (
    *("arm", "fold", "repeat", "part", "inner", "seed", "split"),
    *("image_id", "subject", "label", "predicted"),
)
TEMPERATURE_COLUMNS = (
    *("arm", "fold", "seed", "finding", "temperature", "nll_before", "nll_after", "n_images"),
    "rule",
)


@study_command(
    "predict",
    help="Compute logits and probabilities of validation, test and external images, of every arm, "
    "fold and seed: over several views, at a fitted temperature and over all seeds where asked. "
    "What is up to date of an arm and fold is not computed again.",
    example="medvision predict --config config/config.yaml --set 'predict.views=[shift, zoom]'",
)
@click.option(
    "--arm",
    type=click.Choice(ARMS),
    help="Predict with the networks of this arm alone, on one fold; a run without gathers all.",
)
@click.option("--fold", type=click.IntRange(min=0), help="The fold, where --arm is given.")
def command(study: Study, layout: Layout, *, arm: str | None, fold: int | None) -> None:
    """Predict with the networks of one arm and fold, or with what is left to do, and gather all."""
    if arm is not None and fold is not None:
        _predict_part(study, layout, arm=arm, fold=fold)
        return
    if arm is not None or fold is not None:
        raise ConfigError(
            f"--arm, --fold: options must be given together, got {arm or f'fold {fold}'} alone.",
            "give both for one part, or neither for everything.",
        )
    # All of them first: what is missing is said before hours are spent on the others.
    for trained in list_trained(study, layout):
        check_upstream(layout, study, earlier=trained)
    _predict_missing(study, layout)
    _gather(study, layout)


def _name_part(layout: Layout, arm: str, fold: int) -> tuple[str, tuple[str, ...]]:
    """Return the step of one arm and fold, and the steps that it stands on."""
    upstream = ("cohort", "preprocess", layout.fold_step(arm, fold))
    return layout.fold_step(arm, fold, stage="predict"), upstream


def _predict_missing(study: Study, layout: Layout) -> None:
    """Predict with the networks of every arm and fold that is not up to date."""
    for arm in study.arms:
        for fold in list_folds(layout):
            name, upstream = _name_part(layout, arm, fold)
            if not is_up_to_date(layout, study, name, upstream=upstream):
                _predict_part(study, layout, arm=arm, fold=fold)


def _predict_part(study: Study, layout: Layout, *, arm: str, fold: int) -> None:
    """Predict with the networks of one arm and fold."""
    name, upstream = _name_part(layout, arm, fold)
    with open_step(name, study, upstream=upstream) as step:
        device = prepare_device(step)
        data = read_learning_data(step)
        results = list(predict_fold(step, data, arm=arm, fold=fold, device=device))
        columns = [*PREDICTION_COLUMNS, *list_output_columns(data), *COLUMNS, INTENDED_USE]
        rows = [row for result in results for row in _list_rows(result, data)]
        write_table(step.write(layout.table(name, PREDICTIONS)), rows, columns=columns)
        write_table(
            step.write(layout.table(name, TEMPERATURES)),
            _list_temperatures(results),
            columns=TEMPERATURE_COLUMNS,
        )
        step.facts["n_predictions"] = len(rows)


def _gather(study: Study, layout: Layout) -> None:
    """Join the tables of all arms and folds, in this order."""
    parts = list_predicted(study, layout)
    with open_step("predict", study, upstream=parts) as step:
        n_rows = {
            name: join_tables(
                step.write(layout.table("predict", name)),
                [step.read(layout.table(part, name)) for part in parts],
            )
            for name in (PREDICTIONS, TEMPERATURES)
        }
        step.facts["n_predictions"] = n_rows[PREDICTIONS]


def _list_rows(result: Predicted, data: LearningData) -> Iterator[dict[str, Cell]]:
    """Yield the rows of one result, in order of split and image."""
    for split in SPLITS:
        for row in _list_split(result, data, split=split):
            yield {"arm": result.arm, "fold": result.fold, "seed": write_seed(result.seed), **row}


def _list_split(result: Predicted, data: LearningData, *, split: str) -> Iterator[dict[str, Cell]]:
    """Yield one row per image of a split, which may be empty."""
    chosen = data.select(result.fold, split)
    if not chosen:
        return
    outputs = describe_outputs(data, chosen, logits=result.logits[split], scale=result.scale)
    distances = _list_distances(result, split, n_images=len(chosen))
    for item, cells, distance in zip(chosen, outputs, distances, strict=True):
        yield {
            "repeat": item.repeat,
            "part": item.part,
            "inner": item.inner,
            "split": split,
            "image_id": item.image_id,
            "subject": item.subject,
            "label": item.label,
            **cells,
            **distance,
            INTENDED_USE: RESEARCH_USE,
        }


def _list_distances(result: Predicted, split: str, *, n_images: int) -> list[dict[str, Cell]]:
    """Return how far each image lies from the train images; nothing where that is not known."""
    held = result.novelty.get(split)
    if held is None:
        return [{}] * n_images
    columns = zip(held.distances, held.likeness, held.limits, strict=True)
    return [dict(zip(COLUMNS, map(float, own), strict=True)) for own in columns]


def _list_temperatures(results: Sequence[Predicted]) -> list[dict[str, Cell]]:
    """List the fitted temperatures; none where none was asked for."""
    return [
        {
            "arm": result.arm,
            "fold": result.fold,
            "seed": write_seed(result.seed),
            "finding": finding,
            "temperature": held.value,
            "n_images": held.n,
            **{name: own for name, own in asdict(held).items() if name in TEMPERATURE_COLUMNS},
        }
        for result in results
        for finding, held in result.temperatures.items()
    ]
