"""`medvision report`: the tables of all stages become one page that people can read."""

import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from medvision import __version__
from medvision.cli._report.cases import build_views, write_layers
from medvision.cli._report.generators import (
    list_generators,
    read_generator_histories,
    read_generator_sheets,
)
from medvision.cli._report.side_by_side import old_name, side_by_side
from medvision.cli._report.study_record import write_study_record
from medvision.cli._run import Step, open_step, read_record, study_command
from medvision.cli._searches import chosen_path, list_searches
from medvision.cli._steps import (
    list_explained,
    list_folds,
    list_predicted,
    list_scorecards,
    list_trained,
)
from medvision.config.ablation import is_ablated
from medvision.config.model import Study
from medvision.config.shortcuts import is_audited
from medvision.domain.record import JsonValue
from medvision.io.reasons import REFUSED
from medvision.io.tables import Row, read_table, write_table
from medvision.layout import STEPS, Layout
from medvision.runtime.files import read_json, write_bytes, write_json, write_text

if TYPE_CHECKING:
    from medvision.report.facts import Facts
    from medvision.report.sheet import GreyPicture
    from medvision.report.sources import History, Sources

_REQUIRED = ("ingest", "measure", "cohort")
_OPTIONAL = ("preprocess", "predict", "evaluate", "plan", "explain")
_TABLES = {
    "ingest": ("manifest", "rejects", "sources"),
    "measure": ("measures",),
    "cohort": ("cohort", "folds", "balance", "leakage", "unmatched", "quality", "headers"),
    "predict": ("predictions", "temperatures"),
    "evaluate": ("metrics", "seeds", "comparison", "warnings"),
    "explain": ("selection", "attributions", "checks", "influence"),
}
_EVALUATE_TABLES = {
    **dict.fromkeys(
        ("classification", "multilabel"),
        (
            *("roc", "calibration", "confusion", "thresholds", "subgroups", "tests", "decision"),
            *("scaling", "calibration_before", "abstention", "risk_coverage", "uncertainty"),
        ),
    ),
    "regression": ("errors",),
}
"""Task to the further tables of its evaluation."""

_SECTIONS = (
    *("data", "phantom", "cohort", "preprocess", "model", "pretrain"),
    *("augment", "tune", "synthesise", "gate", "train", "predict", "evaluate", "explain"),
    *("scorecard", "compute"),
)
_COMMAND = "snakemake --cores all --configfile config/config.yaml"

_log = logging.getLogger(__name__)


@study_command(
    "report",
    help="Write the report: one HTML file that needs no network, the same facts as JSON, a model "
    "card, reporting checklists, and the figures as PNG.",
    example="medvision report --config config/config.yaml --set report.title='Lung nodules'",
)
def _write(study: Study, layout: Layout) -> None:
    """Gather what the stages wrote and render it."""
    from medvision.report.checklist import CHECKLISTS_COLUMNS, list_checklist_rows
    from medvision.report.facts import build_facts
    from medvision.report.page import build_report

    done = _list_done(study, layout)
    with open_step("report", study, upstream=done) as step:
        named = study.report
        facts = build_facts(_read_sources(step, done), title=named.title, author=named.author)
        views, viewer = build_views(step, facts)
        report = build_report(
            facts, views=views, pictures=_read_pictures(step, facts), viewer=viewer
        )
        # A figure of an earlier run would be a file that no record accounts for.
        shutil.rmtree(layout.figures, ignore_errors=True)
        write_text(step.write(layout.report_html), report.html)
        write_json(step.write(layout.report_json), report.facts)
        write_text(step.write(layout.model_card), report.model_card)
        write_json(step.write(layout.model_card.with_suffix(".json")), report.model_card_json)
        write_table(
            step.write(layout.table("report", "checklists")),
            list_checklist_rows(report.checklists),
            columns=CHECKLISTS_COLUMNS,
        )
        for name, png in report.figures.items():
            write_bytes(step.write(layout.figures / name), png)
        write_layers(step, views)
        write_study_record(step, report.figures)


@click.pass_context
def _start(context: click.Context, /, **options: object) -> None:
    """Write the report, unless a command below was named."""
    if context.invoked_subcommand is None and _write.callback is not None:
        _write.callback(**options)


command = click.Group(
    "report",
    callback=_start,
    params=_write.params,
    help=_write.help,
    invoke_without_command=True,
    commands=[side_by_side, old_name],
)


def _list_done(study: Study, layout: Layout) -> tuple[str, ...]:
    """Return the steps to read: those that a report needs, and the others as far as they ran."""
    has_folds = layout.folds.is_file()
    trained = list_trained(study, layout) if has_folds else ()
    trained = (*(list_searches(study, layout) if has_folds else ()), *trained)
    trained += list_generators(study, layout) if has_folds else ()
    trained += list_predicted(study, layout) if has_folds else ()
    trained += list_explained(study)
    scorecard = (
        *list_scorecards(study, layout),
        *(("compare",) if study.scorecard.sources else ()),
    )
    scorecard += ("ablation",) if is_ablated(study) else ()
    shortcuts = ("shortcuts",) if is_audited(study.shortcuts, study.control) else ()
    asked = (*_OPTIONAL, *trained, *scorecard, *shortcuts)
    done = [name for name in asked if layout.record(name).is_file()]
    for name in set(asked) - set(done):
        _log.warning("report: step %s was not run, so its part is left out.", name)
    return (*_REQUIRED, *done)


def _read_sources(step: Step, done: tuple[str, ...]) -> "Sources":
    """Read every table and document of the steps that were run."""
    from medvision.report.sources import Sources

    layout, study = step.layout, step.study
    settings = cast(dict[str, dict[str, JsonValue]], study.all_settings())
    return Sources(
        tables={
            **{
                name: read_table(step.read(layout.table(stage, name)))
                for stage, names in _list_tables(study, layout)
                if stage in done
                for name in names
            },
            "preprocess_rejects": _read_rejects(step, done),
            **read_generator_histories(step, done),
        },
        documents=_read_documents(step, done),
        histories=_read_histories(step, done),
        searches=[
            cast(dict[str, JsonValue], read_json(step.read(chosen_path(layout, name))))
            for name in list_searches(study, layout)
            if name in done
        ],
        settings={name: settings[name] for name in _SECTIONS if name in settings},
        records=_read_records(layout, done),
        version=__version__,
        command=_COMMAND,
        reasons=REFUSED,
    )


def _list_tables(study: Study, layout: Layout) -> list[tuple[str, tuple[str, ...]]]:
    """Return the tables of each stage, of the task's evaluation and of an external cohort's."""
    record = read_record(layout, "evaluate")
    written = record.writes if record else {}
    names = tuple(
        path.name.removesuffix(".tsv")
        for path in map(Path, written)
        if path.name.startswith("external-") or path.name == "cohorts.tsv"
    )
    return [*_TABLES.items(), ("evaluate", (*_EVALUATE_TABLES[study.data.task], *names))]


def _read_rejects(step: Step, done: tuple[str, ...]) -> list[Row]:
    """Read which images preprocessing could not use."""
    if "preprocess" not in done:
        return []
    return read_table(step.read(step.layout.preprocess_rejects))


def _read_documents(step: Step, done: tuple[str, ...]) -> dict[str, dict[str, JsonValue]]:
    """Read the stages' summaries."""
    layout = step.layout
    paths = {"cohort_summary": ("cohort", layout.cohort_summary)}
    paths["explain_summary"] = ("explain", layout.explain_summary)
    paths["array_meta"] = ("preprocess", layout.array_meta)
    paths["shortcuts"] = ("shortcuts", layout.step("shortcuts") / "shortcuts.json")
    paths["ablation"] = ("ablation", layout.step("ablation") / "ablation.json")
    paths["scorecard"] = ("compare", layout.step("compare") / "scorecard.json")
    return {
        name: cast(dict[str, JsonValue], read_json(step.read(path)))
        for name, (stage, path) in paths.items()
        if stage in done
    }


def _read_histories(step: Step, done: tuple[str, ...]) -> list["History"]:
    """Read the history of every model that was trained."""
    from medvision.report.sources import History

    layout, study = step.layout, step.study
    models = [
        (arm, fold, seed)
        for arm in study.arms
        for fold in list_folds(layout)
        if layout.fold_step(arm, fold) in done
        for seed in study.train.seeds
    ]
    return [
        History(arm, fold, seed, read_table(step.read(layout.history(arm, fold, seed=seed))))
        for arm, fold, seed in models
    ]


def _read_records(layout: Layout, done: tuple[str, ...]) -> list[dict[str, JsonValue]]:
    """Read the steps' records in the order of the work."""
    early = [
        name for name in ("phantom", "pull", "fetch", "pretrain") if layout.record(name).is_file()
    ]
    ordered = sorted({*done, *early}, key=_rank_step)
    return [cast(dict[str, JsonValue], read_json(layout.record(name))) for name in ordered]


def _rank_step(name: str) -> tuple[int, bool, str]:
    """Rank a step by its place in the work, the parts of a stage before the step of all."""
    stage, _, within = name.partition("/")
    return STEPS.index(stage), not within, name


def _read_pictures(step: Step, facts: "Facts") -> dict[str, "GreyPicture"]:
    """Read the pictures of the contact sheet and of leaking pairs, and no others."""
    import numpy as np

    from medvision.runtime.npz import map_npz_array, read_npz_names

    path = step.read(step.layout.pictures)
    places = {name: n for n, name in enumerate(read_npz_names(path, "image_id"))}
    strange = [image.image_id for image in facts.novelty.images]
    paired = [name for pair in facts.cohort.leakage for name in (pair.image_a, pair.image_b)]
    paired += facts.influence.images
    names = [
        name
        for name in dict.fromkeys([*facts.quality.tiles, *paired, *facts.errors.images, *strange])
        if name in places
    ]
    pictures = map_npz_array(path, "picture")
    tiles = {name: np.asarray(pictures[places[name]], dtype=np.uint8) for name in names}
    return tiles | read_generator_sheets(step, facts.generators)
