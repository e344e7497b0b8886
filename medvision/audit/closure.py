"""Is the graph of a study closed: does every digest read come from an earlier record?"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from medvision.audit.findings import Finding
from medvision.domain.obeyed import choose_fields
from medvision.domain.record import SOURCE_PREFIX, JsonValue, Record
from medvision.layout import STEPS

Records = Mapping[str, Record]
"""Step name to its record."""


def find_graph_faults(records: Records, *, required: Sequence[str]) -> list[Finding]:
    """Return what keeps a graph from being closed; an empty list when it is.

    Args:
        records: Step name to record.
        required: Steps that the configuration asks for: all of them, and no other.

    Returns:
        Steps that are missing or not asked for, paths written twice, digests read that no
        earlier step wrote, and circles.
    """
    return [
        *_find_step_faults(records, required),
        *_find_double_writes(records),
        *_find_open_reads(records),
        *_find_circles(records),
    ]


def find_setting_faults(
    records: Records, *, version: str, settings: Mapping[str, JsonValue]
) -> list[Finding]:
    """Return the records that were made by another version or with other settings, or are missing.

    Missing is a step of the shortcut audit that the settings ask for; others are read by steps that
    must be there.

    Args:
        records: Step name to record.
        version: The version that every record must name.
        settings: Configuration section to its values, as plain JSON types.
    """
    findings = [
        Finding(f"step {step}", "record", "in the bundle, as the settings ask for it", "none")
        for step in _list_shortcut_steps(settings)
        if step not in records
    ]
    for step, record in records.items():
        if record.version != version:
            findings.append(Finding(f"step {step}", "version", version, record.version))
        for section, held in record.parameters.items():
            wanted = _choose_obeyed(step, section, settings.get(section))
            findings += _compare_section(f"step {step}", section, held=held, wanted=wanted)
    return findings


def _list_shortcut_steps(settings: Mapping[str, JsonValue]) -> list[str]:
    """Return the steps of the shortcut audit that the settings ask for."""
    control, shortcuts = settings.get("control"), settings.get("shortcuts")
    trainings = control.get("trainings") if isinstance(control, dict) else None
    steps = [f"control/{name}/fold-0" for name in trainings] if isinstance(trainings, list) else []
    if isinstance(shortcuts, dict):
        is_asked = bool(shortcuts.get("probes")) or shortcuts.get("columns", []) != []
        steps += ["shortcuts"] if is_asked or steps else []
    return steps


def _choose_obeyed(step: str, section: str, values: JsonValue) -> JsonValue:
    """Return what a step must have obeyed of a section."""
    if not isinstance(values, dict):
        return values
    names = choose_fields(step.partition("/")[0], section, frozenset(values))
    return {name: values[name] for name in names}


def _compare_section(
    where: str, section: str, *, held: JsonValue, wanted: JsonValue
) -> list[Finding]:
    """Name each field in which a record and the configuration differ."""
    if not isinstance(held, dict) or not isinstance(wanted, dict):
        rule = "a section of the configuration"
        return [] if held == wanted else [Finding(where, f"parameters.{section}", rule, "another")]
    return [
        Finding(where, f"parameters.{section}.{key}", _show(wanted, key), _show(held, key))
        for key in sorted(held.keys() | wanted.keys())
        if _show(wanted, key) != _show(held, key)
    ]


def _show(values: dict[str, JsonValue], key: str) -> str:
    """Return a value as text; a missing one is told from null, and true from 1."""
    return repr(_in_order(values[key])) if key in values else "absent"


def _in_order(value: JsonValue) -> JsonValue:
    """Return a value whose objects have their keys in one order, as records have them."""
    if isinstance(value, dict):
        return {key: _in_order(value[key]) for key in sorted(value)}
    return [_in_order(item) for item in value] if isinstance(value, list) else value


def _find_step_faults(records: Records, required: Sequence[str]) -> list[Finding]:
    """Name the steps that are missing, and those of another configuration."""
    missing = [
        Finding(f"step {step}", f"{step}/record.json", "present, as the config asks", "no file")
        for step in required
        if step not in records
    ]
    strange = [
        Finding(f"step {step}", f"{step}/record.json", "absent: the config has no such step", "it")
        for step in records
        if step not in required
    ]
    return missing + strange


def _find_writers(records: Records) -> dict[str, list[str]]:
    """Return path to the steps that say they wrote it."""
    writers = defaultdict(list)
    for step, record in records.items():
        for path in record.writes:
            writers[path].append(step)
    return writers


def _find_double_writes(records: Records) -> list[Finding]:
    """Name the paths that two records claim."""
    return [
        Finding(f"step {steps[-1]}", path, "written by one step", f"writers {', '.join(steps)}")
        for path, steps in sorted(_find_writers(records).items())
        if len(steps) > 1
    ]


def _find_open_reads(records: Records) -> list[Finding]:
    """Name the reads that no earlier step's write answers."""
    writers = _find_writers(records)
    findings = []
    for step, record in records.items():
        for path, digest in record.reads.items():
            if path.startswith(SOURCE_PREFIX):
                continue
            findings += _find_open_read(records, step, path=path, digest=digest, writers=writers)
    return findings


def _find_open_read(
    records: Records, step: str, *, path: str, digest: str, writers: Mapping[str, list[str]]
) -> list[Finding]:
    """Hold one read against the record that wrote the path."""
    where, thing = f"step {step}", f"{path} as read"
    if path not in writers:
        rule = "written by an earlier step, or a declared source"
        return [Finding(where, thing, rule, "no record that wrote it")]
    writer = writers[path][0]
    if _rank(writer) > _rank(step):
        return [Finding(where, thing, "written by an earlier step", f"the later step {writer}")]
    wrote = records[writer].writes[path]
    if wrote != digest:
        return [Finding(where, thing, f"{wrote}, as step {writer} wrote it", digest)]
    return []


def _find_circles(records: Records) -> list[Finding]:
    """Name the first circle of steps, if there is one."""
    writers = _find_writers(records)
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for step, record in records.items():
        sorter.add(step, *(writers[path][0] for path in record.reads if path in writers))
    try:
        sorter.prepare()
    except CycleError as error:
        circle = list(error.args[1])
        return [Finding(f"step {circle[0]}", "reads", "free of circles", " <- ".join(circle))]
    return []


def _rank(step: str) -> int:
    """Return a step's place in the order of the work; a strange one comes last."""
    stage = step.partition("/")[0]
    return STEPS.index(stage) if stage in STEPS else len(STEPS)
