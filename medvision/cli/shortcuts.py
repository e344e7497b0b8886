"""`medvision shortcuts`: can the label be predicted from what should not tell it?"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from medvision.cli._cohort.summary import read_classes
from medvision.cli._run import Step, open_step, study_command
from medvision.cli._shortcut.control_judged import CONTROL_COLUMNS
from medvision.cli._shortcut.judged import (
    PROBE_COLUMNS,
    compute_facts,
    list_answer_columns,
    list_answers,
)
from medvision.cli._shortcut.views import SHOWN_COLUMNS, View, build_views
from medvision.cli._steps import list_controls
from medvision.cli._training.learning import LearningData, read_learning_data
from medvision.config.model import Study
from medvision.config.shortcuts import is_audited
from medvision.domain.labels.rows import EXTERNAL
from medvision.domain.shortcut.answers import ask_probe
from medvision.errors import ConfigError
from medvision.io.tables import write_table
from medvision.layout import Layout
from medvision.runtime.files import write_json
from medvision.runtime.progress import track

_UPSTREAM = ("ingest", "cohort", "preprocess", "predict")

_log = logging.getLogger(__name__)


@study_command(
    "shortcuts",
    help="Ask whether the label can be predicted from scanner, size, site, background or border "
    "alone: a small model for each, fitted and tested on the study's own folds. Then judge the "
    "controls that were trained.",
    example="medvision shortcuts --set 'shortcuts.columns=[site, sex]'",
)
def command(study: Study, layout: Layout) -> None:
    """Fit and ask every probe, and judge probes and controls."""
    if not is_audited(study.shortcuts, study.control):
        raise ConfigError(
            "shortcuts: something to look at must be named, got none.",
            "name probes in shortcuts.probes, columns in shortcuts.columns, or control.trainings.",
        )
    controls = list_controls(study, layout)
    with open_step("shortcuts", study, upstream=(*_UPSTREAM, *controls)) as step:
        step.seed = study.evaluate.seed
        _ask(step)
        _judge(step, controls)


def _ask(step: Step) -> None:
    """Write what each probe was shown, and what it answered about the test images."""
    data = read_learning_data(step)
    # An external cohort has no part in what is asked of the study's own folds.
    own = tuple(item for item in data.assignments if item.split != EXTERNAL)
    data, used = replace(data, assignments=own), {item.image_id for item in own}
    image_ids = [name for name in data.store.image_ids if name in used]
    views = build_views(step, image_ids)
    write_table(
        step.write(step.layout.table("shortcuts", "shown")),
        [dict(view.describe()) for view in views],
        columns=SHOWN_COLUMNS,
    )
    _write_answers(step, views, data=data, image_ids=image_ids)


def _write_answers(
    step: Step, views: Sequence[View], *, data: LearningData, image_ids: Sequence[str]
) -> None:
    """Fit each probe of which there is something to see, and write its answers."""
    classes = read_classes(step.layout.cohort_summary)
    answers = [
        answer
        for view in track(views, "asking probes")
        if view.state == "asked"
        for answer in ask_probe(view.probe, image_ids, data.assignments, classes=classes)
    ]
    write_table(
        step.write(step.layout.table("shortcuts", "answers")),
        list_answers(answers, classes),
        columns=list_answer_columns(classes),
    )


def _judge(step: Step, controls: Sequence[str]) -> None:
    """Write what probes and controls say, and warn."""
    layout = step.layout
    facts, probes, trained = compute_facts(
        lambda path: _find(step, path), controls=controls, section=step.study.evaluate
    )
    tables = (("probes", probes, PROBE_COLUMNS), ("controls", trained, CONTROL_COLUMNS))
    for name, rows, columns in tables:
        write_table(step.write(layout.table("shortcuts", name)), rows, columns=columns)
    write_json(step.write(layout.step("shortcuts") / "shortcuts.json"), facts)
    step.facts |= {"sentences": facts["sentences"], "warnings": facts["warnings"]}
    warnings = set(cast(list[str], facts["warnings"]))
    for row in (*probes, *trained):
        level = logging.WARNING if row["words"] in warnings else logging.INFO
        _log.log(level, "shortcuts: %s", row["words"])


def _find(step: Step, path: str) -> Path:
    """Return where a file lies, registered as read unless this step has just written it."""
    whole = step.layout.root / path
    return whole if path.startswith(f"{step.name}/") else step.read(whole)
