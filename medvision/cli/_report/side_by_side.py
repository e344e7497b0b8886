"""`medvision report side-by-side`: two studies, paired on the subjects both tested."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from medvision import __version__
from medvision.cli._cohort.summary import read_classes
from medvision.cli._run import read_record
from medvision.cli.main import set_up_logging
from medvision.domain.record import JsonValue, Record
from medvision.errors import DataError
from medvision.io.tables import read_table
from medvision.layout import Layout
from medvision.runtime.files import hash_file, write_json, write_text

if TYPE_CHECKING:
    from medvision.domain.evaluation.sharing import StudyTest
    from medvision.domain.resampling.settings import Settings
    from medvision.report.unlike import StudyFacts

_HELP = """Compare two studies: settings, cohorts, and figures on the test subjects both share.

A and B are output folders of two runs that predict the same: classes, findings or a value. Refused
where no test image is shared.

\b
Example:
  medvision report side-by-side results ../other/results --output comparison
"""
_DEPTHS = ("*/record.json", "*/*/*/record.json")


@click.command("side-by-side", help=_HELP)
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path("comparison"),
    show_default=True,
    metavar="DIR",
    help="Folder of comparison.html and comparison.json.",
)
@click.option("--quiet", "-q", is_flag=True, help="Show warnings and errors only.")
def side_by_side(a: Path, b: Path, *, output: Path, quiet: bool) -> None:
    """Read two studies, compare them, and write the page."""
    from medvision.domain.evaluation.pairing import compare_studies
    from medvision.report.comparing import build_comparison
    from medvision.report.facts import to_json
    from medvision.report.render import render_comparison

    set_up_logging(quiet=quiet)
    records = [_read_records(folder) for folder in (a, b)]
    tests = [
        _read_test(folder, held, name=name)
        for folder, held, name in zip((a, b), records, "AB", strict=True)
    ]
    settings = _read_settings(records[0])
    facts = build_comparison(
        *(
            _describe(folder, held, name=name)
            for folder, held, name in zip((a, b), records, "AB", strict=True)
        ),
        compared=compare_studies(*tests, settings=settings),
        classes=tests[0].classes,
        confidence=settings.confidence,
        n_resamples=settings.n_resamples,
        version=__version__,
    )
    write_text(output / "comparison.html", render_comparison(facts))
    write_json(output / "comparison.json", to_json(asdict(facts)))
    if not quiet:
        click.echo("\n".join([f"Comparison: {output / 'comparison.html'}", *facts.sentences]))


def _run_by_old_name(**options: object) -> None:
    """Name the new name, and do the same."""
    click.echo(
        "notice: `medvision report compare` is called `medvision report side-by-side` now; the old "
        "name works as before. `medvision compare` compares starting weights.",
        err=True,
    )
    cast(Callable[..., None], side_by_side.callback)(**options)


old_name = click.Command(
    "compare",
    params=side_by_side.params,
    callback=_run_by_old_name,
    hidden=True,
    help="Old name of `medvision report side-by-side`.",
)
"""Kept for scripts that know it."""


def _read_records(folder: Path) -> dict[str, Record]:
    """Read the records of a study's steps.

    Raises:
        DataError: It is no folder of a study that was evaluated.
    """
    layout = Layout(folder)
    paths = sorted(path for depth in _DEPTHS for path in folder.glob(depth))
    steps = [path.parent.relative_to(folder).as_posix() for path in paths]
    records = {step: record for step in steps if (record := read_record(layout, step))}
    missing = sorted({"cohort", "predict", "evaluate"} - set(records))
    if missing:
        raise DataError(
            f"{folder}: study must have run the steps cohort, predict and evaluate, got no record "
            f"of {', '.join(missing)}.",
            "name the output folder of a run (output.path), such as results.",
        )
    return records


def _read_test(folder: Path, records: dict[str, Record], *, name: str) -> "StudyTest":
    """Read what a study predicted, and its groups and classes."""
    from medvision.domain.evaluation.sharing import StudyTest
    from medvision.domain.metrics.operating import choose_rule

    layout = Layout(folder)
    for step, path in (
        ("predict", layout.predictions),
        ("cohort", layout.cohort),
        ("cohort", layout.cohort_summary),
    ):
        _check_written(path, records[step], folder=folder)
    return StudyTest(
        name=name,
        rows=read_table(layout.predictions),
        groups={row["image_id"]: row["group"] for row in read_table(layout.cohort)},
        classes=read_classes(layout.cohort_summary),
        rule=choose_rule(_read_settings(records)),
    )


def _check_written(path: Path, record: Record, *, folder: Path) -> None:
    """Refuse a file that is not what its step wrote."""
    told = record.writes.get(path.relative_to(folder).as_posix())
    if not path.is_file() or hash_file(path) != told:
        raise DataError(
            f"{path}: file must be as step {record.step} wrote it, got none or other bytes.",
            f"run the step {record.step} of that study again.",
        )


def _read_settings(records: dict[str, Record]) -> "Settings":
    """Return how a study was evaluated."""
    from medvision.config.evaluate import EvaluateSection
    from medvision.domain.resampling.settings import Settings

    section = EvaluateSection.model_validate(records["evaluate"].parameters["evaluate"])
    return Settings(**dict(section))


def _join_fields(held: JsonValue, more: JsonValue) -> JsonValue:
    """Return the fields of a section that some step obeys; no step need obey all."""
    both = isinstance(held, dict) and isinstance(more, dict)
    return {**held, **more} if both else more  # type: ignore[dict-item]  # asked just before


def _describe(folder: Path, records: dict[str, Record], *, name: str) -> "StudyFacts":
    """Gather a study's settings, software and cohort."""
    from medvision.report.unlike import StudyFacts

    settings: dict[str, JsonValue] = {}
    software: dict[str, str] = {}
    for record in records.values():
        for section, values in record.parameters.items():
            settings[section] = _join_fields(settings.get(section), values)
        software |= record.software
    report = settings.get("report")
    title = report.get("title") if isinstance(report, dict) else None
    return StudyFacts(
        name=name,
        title=str(title or "report not run"),
        version=records["evaluate"].version,
        settings=settings,
        software=software,
        cohort=read_table(Layout(folder).cohort),
    )
