"""What the report reads of the generators of synthetic images."""

from typing import TYPE_CHECKING

from medvision.cli._run import Step
from medvision.cli._steps import list_folds
from medvision.config.model import Study
from medvision.domain.synthesis.synthetic import name_gate, name_step
from medvision.io.tables import Row, read_table
from medvision.layout import Layout

if TYPE_CHECKING:
    from medvision.report.generators import GeneratorFacts
    from medvision.report.sheet import GreyPicture


def list_generators(study: Study, layout: Layout) -> tuple[str, ...]:
    """Return the steps that draw and judge synthetic images; none where none are asked for.

    Args:
        study: The configuration in force.
        layout: Its output folder, whose cohort says which folds there are.

    Raises:
        DataError: There is no table of folds.
    """
    folds = list_folds(layout) if study.synthesise.is_on else []
    return (*map(name_step, folds), *map(name_gate, folds))


def read_generator_histories(step: Step, done: tuple[str, ...]) -> dict[str, list[Row]]:
    """Read what generators and gates came to, as tables `generator-<fold>` and `gate-<fold>`.

    Args:
        step: The running step; what is read is registered with it.
        done: The steps that were run.
    """
    tables = {"synthesise": ("generator", "history"), "gate": ("gate", "criteria")}
    found = {}
    for name in done:
        stage, _, place = name.partition("/")
        if stage in tables:
            kind, table = tables[stage]
            path = step.read(step.layout.table(name, table))
            found[f"{kind}-{place.rpartition('-')[2]}"] = read_table(path)
    return found


def read_generator_sheets(step: Step, facts: "GeneratorFacts") -> dict[str, "GreyPicture"]:
    """Read the pictures of samples that the page shows, by name.

    Args:
        step: The running step; what is read is registered with it.
        facts: Says which ones.
    """
    import numpy as np
    from PIL import Image

    sheets = {}
    for sheet in facts.sheets:
        folder = step.layout.step(name_step(sheet.fold)) / "grids"
        with Image.open(step.read(folder / f"step-{sheet.n_steps:07d}.png")) as image:
            sheets[sheet.name] = np.asarray(image, dtype=np.uint8)
    return sheets
