"""`medvision shortcuts`: can the label be predicted from what should not tell it?"""

import logging
from dataclasses import replace
from pathlib import Path

from medvision.cli._cohort_summary import read_classes
from medvision.cli._learning import LearningData, read_learning_data
from medvision.cli._run import Step, open_step, study_command
from medvision.cli._shortcut_judged import (
    PROBE_COLUMNS,
    compute_facts,
    list_answer_columns,
    list_answers,
)
from medvision.cli._shortcut_views import SHOWN_COLUMNS, View, build_views
from medvision.config.model import Study
from medvision.domain.labels import EXTERNAL
from medvision.domain.shortcut.answers import ask_probe
from medvision.errors import ConfigError
from medvision.io.tables import write_table
from medvision.layout import Layout
from medvision.runtime.files import write_json
from medvision.runtime.progress import track

_log = logging.getLogger(__name__)


@study_command(
    "shortcuts",
    help="Ask whether the label can be predicted from scanner, size, site, background or border "
    "alone: a small model for each, fitted and tested on the study's own folds.",
    example="medvision shortcuts --set 'shortcuts.columns=[site, sex]'",
)
def command(study: Study, layout: Layout) -> None:
    """Fit, ask and judge every probe."""
    if not study.shortcuts.is_asked:
        raise ConfigError(
            "shortcuts: something to look at must be named, got none.",
            "name probes in shortcuts.probes, or columns in shortcuts.columns.",
        )
    with open_step(
        "shortcuts", study, upstream=("ingest", "cohort", "preprocess", "predict")
    ) as step:
        step.seed = study.evaluate.seed
        data = read_learning_data(step)
        # An external cohort has no part in what is asked of the study's own folds.
        own = tuple(item for item in data.assignments if item.split != EXTERNAL)
        data, used = replace(data, assignments=own), {item.image_id for item in own}
        image_ids = [name for name in data.store.image_ids if name in used]
        views = build_views(step, image_ids)
        _ask(step, views, data=data, image_ids=image_ids)
        facts, rows = compute_facts(lambda path: _find(step, path), section=study.evaluate)
        write_table(step.write(layout.table("shortcuts", "probes")), rows, columns=PROBE_COLUMNS)
        write_json(step.write(layout.step("shortcuts") / "shortcuts.json"), facts)
        step.facts |= {"sentences": facts["sentences"], "warnings": facts["warnings"]}
        for row in rows:
            level = logging.WARNING if row["verdict"] == "found" else logging.INFO
            _log.log(level, "shortcuts: %s", row["words"])


def _find(step: Step, path: str) -> Path:
    """Return where a file lies, registered as read unless this step has just written it."""
    whole = step.layout.root / path
    return whole if path.startswith(f"{step.name}/") else step.read(whole)


def _ask(step: Step, views: list[View], *, data: LearningData, image_ids: list[str]) -> None:
    """Write what each probe was shown, and what it answers about the test images."""
    layout = step.layout
    classes = read_classes(layout.cohort_summary)
    answers = [
        answer
        for view in track(views, "asking probes")
        if view.state == "asked"
        for answer in ask_probe(view.probe, image_ids, data.assignments, classes=classes)
    ]
    write_table(
        step.write(layout.table("shortcuts", "shown")),
        [dict(view.describe()) for view in views],
        columns=SHOWN_COLUMNS,
    )
    write_table(
        step.write(layout.table("shortcuts", "answers")),
        list_answers(answers, classes),
        columns=list_answer_columns(classes),
    )
