"""The plan of the explanations as a study's files give it, and whether one still fits them."""

from medvision import __version__
from medvision.audit.canonical import read_rfc8785, write_rfc8785
from medvision.cli._cohort.summary import read_classes
from medvision.cli._run import Step
from medvision.cli.predict import PREDICTION_COLUMNS
from medvision.domain.explanation.plan import PLAN
from medvision.domain.record import JsonValue
from medvision.domain.synthesis.synthetic import check_real
from medvision.errors import AuditError, StaleOutputError
from medvision.io.tables import read_table
from medvision.runtime.files import hash_file

_AGAIN = "run `medvision plan` again, then explain; a plan is never edited by hand."


def describe_plan(step: Step) -> bytes:
    """Return the text of the plan that configuration, predictions and models give.

    Args:
        step: The step at work; what is read is registered with it.

    Raises:
        ExplanationError: There is no test prediction, or no such finding or class.
        CohortError: An image predicted is synthetic.
    """
    from medvision.explain.planning import build_plan
    from medvision.explain.selection import select_cases

    section, layout = step.study.explain, step.layout
    paths = (layout.predictions, layout.cohort_summary)
    names = [path.relative_to(layout.root).as_posix() for path in paths]
    digests = [hash_file(path) for path in paths]
    for path, digest in zip(paths, digests, strict=True):
        step.read(path, digest=digest)
    predictions = read_table(layout.predictions, required=PREDICTION_COLUMNS)
    check_real(predictions, where=names[0])
    selection = select_cases(
        predictions,
        classes=read_classes(layout.cohort_summary),
        images=section.images,
        seed=section.seed,
        finding=section.finding,
        target=section.target,
    )
    settings = step.study.settings("plan")["explain"]
    plan = build_plan(
        selection,
        settings if isinstance(settings, dict) else {},
        version=__version__,
        predictions={names[0]: digests[0]},
        classes={names[1]: digests[1]},
        models=_hash_models(step, sorted({(c.arm, c.fold, c.seed) for c in selection.cases})),
    )
    return write_rfc8785(plan, where=PLAN)


def check_plan(step: Step) -> None:
    """Refuse to explain anything but what was planned.

    Args:
        step: The step that explains.

    Raises:
        StaleOutputError: The plan does not fit the configuration, the predictions or the models,
            or was edited; the message names what differs.
    """
    path = step.read(step.layout.root / PLAN)
    content, wanted = path.read_bytes(), describe_plan(step)
    if content == wanted:
        return
    try:
        held = read_rfc8785(content, where=PLAN)
    except AuditError as error:
        raise StaleOutputError(error.message, _AGAIN) from error
    due = read_rfc8785(wanted, where=PLAN)
    raise StaleOutputError(
        f"{PLAN}: plan must be the one that configuration, predictions and models give, "
        f"got another: {', '.join(_name_differences(due, held))}.",
        _AGAIN,
    )


def _hash_models(step: Step, places: list[tuple[str, int, int]]) -> dict[str, str]:
    """Return path to sha256 of the models that are explained."""
    digests = {}
    for arm, fold, seed in places:
        path = step.layout.model(arm, fold, seed=seed)
        digest = hash_file(path)
        digests[step.read(path, digest=digest).relative_to(step.layout.root).as_posix()] = digest
    return digests


def _name_differences(due: JsonValue, held: JsonValue) -> list[str]:
    """Name the parts of two plans that are not the same."""
    if not isinstance(due, dict) or not isinstance(held, dict):
        return ["content"]
    return [name for name in sorted({*due, *held}) if due.get(name) != held.get(name)]
