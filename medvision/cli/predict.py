"""`medvision predict`: probabilities of the images held out, from every checkpoint."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from medvision.cli._inference import Predicted, predict_study
from medvision.cli._learning import LearningData, prepare_device, read_learning_data
from medvision.cli._novelty import SPLITS
from medvision.cli._outputs import describe_outputs, list_output_columns
from medvision.cli._run import open_step, study_command
from medvision.cli._steps import list_trained
from medvision.config.model import Study
from medvision.domain.arms import write_seed
from medvision.domain.intended_use import INTENDED_USE, RESEARCH_USE
from medvision.domain.novelty import COLUMNS
from medvision.io.tables import Cell, write_table
from medvision.layout import Layout

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
    "fold and seed: over several views, at a fitted temperature and over all seeds where asked.",
    example="medvision predict --config config/config.yaml --set 'predict.views=[shift, zoom]'",
)
def command(study: Study, layout: Layout) -> None:
    """Predict with every checkpoint of the study."""
    with open_step(
        "predict", study, upstream=("cohort", "preprocess", *list_trained(study, layout))
    ) as step:
        device = prepare_device(step)
        data = read_learning_data(step)
        results = list(predict_study(step, data, device=device))
        columns = [*PREDICTION_COLUMNS, *list_output_columns(data), *COLUMNS, INTENDED_USE]
        rows = [row for result in results for row in _list_rows(result, data)]
        write_table(step.write(layout.predictions), rows, columns=columns)
        write_table(
            step.write(layout.table("predict", "temperatures")),
            _list_temperatures(results),
            columns=TEMPERATURE_COLUMNS,
        )
        step.facts["n_predictions"] = len(rows)


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
