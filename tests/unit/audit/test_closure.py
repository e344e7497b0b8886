"""A graph is closed, or the fault is named."""

from medvision.audit.closure import find_graph_faults, find_setting_faults
from medvision.domain.record import JsonValue, Record

A, B, C = "a" * 64, "b" * 64, "c" * 64


def record(step: str, *, reads: dict[str, str], writes: dict[str, str]) -> Record:
    return Record(step, "1", {"cohort": {"seed": 1}}, reads, writes)


def faults(*records: Record, required: list[str] | None = None) -> list[str]:
    table = {item.step: item for item in records}
    return [str(f) for f in find_graph_faults(table, required=required or list(table))]


def test_a_chain_from_a_source_is_closed() -> None:
    ingest = record("ingest", reads={"source:images": A}, writes={"ingest/m": B})
    cohort = record("cohort", reads={"ingest/m": B}, writes={"cohort/c": C})
    assert faults(ingest, cohort) == []


def test_the_order_of_the_table_does_not_matter() -> None:
    ingest = record("ingest", reads={}, writes={"ingest/m": B})
    cohort = record("cohort", reads={"ingest/m": B}, writes={})
    assert faults(cohort, ingest) == []


def test_another_digest_than_was_written_is_a_fault() -> None:
    ingest = record("ingest", reads={}, writes={"ingest/m": B})
    cohort = record("cohort", reads={"ingest/m": A}, writes={})
    [fault] = faults(ingest, cohort)
    assert fault == (
        f"step cohort: ingest/m as read must be {B}, as step ingest wrote it, got {A}."
    )


def test_a_circle_of_two_folds_is_a_fault() -> None:
    one = record("train/a/fold-0", reads={"y": B}, writes={"x": A})
    two = record("train/a/fold-1", reads={"x": A}, writes={"y": B})
    [fault] = faults(one, two)
    assert "free of circles" in fault


def test_a_step_that_reads_its_own_work_is_a_fault() -> None:
    assert "free of circles" in faults(record("cohort", reads={"x": A}, writes={"x": A}))[0]


def test_a_read_from_a_later_step_is_a_fault() -> None:
    early = record("cohort", reads={"evaluate/m": A}, writes={})
    late = record("evaluate", reads={}, writes={"evaluate/m": A})
    [fault] = faults(early, late)
    assert "got the later step evaluate" in fault


def test_steps_are_those_that_are_required_no_fewer_and_no_more() -> None:
    found = faults(record("cohort", reads={}, writes={}), required=["ingest"])
    assert len(found) == 2
    assert found[0].startswith("step ingest: ingest/record.json must be present")
    assert found[1].startswith("step cohort: cohort/record.json must be absent")


def test_a_step_is_asked_for_the_fields_alone_that_it_obeys() -> None:
    settings: dict[str, JsonValue] = {"synthesise": {"use": "none", "seed": 1}}
    obeyed: dict[str, JsonValue] = {"synthesise": {"seed": 1}}
    for step, parameters in (("synthesise/fold-0", obeyed), ("gate/fold-0", settings)):
        held = {step: Record(step, "1", parameters, {}, {})}
        assert find_setting_faults(held, version="1", settings=settings) == []
    for parameters in (settings, {"synthesise": {}}):
        held = {"synthesise/fold-0": Record("synthesise/fold-0", "1", parameters, {}, {})}
        assert len(find_setting_faults(held, version="1", settings=settings)) == 1


def test_settings_are_compared_by_value_and_kind() -> None:
    held = {"cohort": record("cohort", reads={}, writes={})}
    assert find_setting_faults(held, version="1", settings={"cohort": {"seed": 1}}) == []
    for other in ({"seed": True}, {"seed": None}, {}, {"seed": 1, "folds": 3}, {"seed": "1"}):
        assert len(find_setting_faults(held, version="1", settings={"cohort": other})) == 1
    assert len(find_setting_faults(held, version="2", settings={"cohort": {"seed": 1}})) == 1
    assert len(find_setting_faults(held, version="1", settings={})) == 1


def test_the_order_of_the_keys_within_a_setting_is_no_difference() -> None:
    parameters = {"tune": {"space": {"b": {"y": 1, "x": 2}}}}
    records = {"tune": Record("tune", "1", parameters, {}, {})}
    settings = {"tune": {"space": {"b": {"x": 2, "y": 1}}}}
    assert find_setting_faults(records, version="1", settings=settings) == []
    changed = {"tune": {"space": {"b": {"x": 2, "y": 2}}}}
    assert len(find_setting_faults(records, version="1", settings=changed)) == 1


def test_a_step_of_the_shortcut_audit_that_the_settings_ask_for_must_be_there() -> None:
    settings = {"control": {"trainings": ["permuted"]}, "shortcuts": {"probes": [], "columns": []}}
    missing = [fault.where for fault in find_setting_faults({}, version="1", settings=settings)]
    assert missing == ["step control/permuted/fold-0", "step shortcuts"]
    settings["control"] = {"trainings": []}
    assert find_setting_faults({}, version="1", settings=settings) == []
    for asked in ({"probes": ["size"], "columns": []}, {"probes": [], "columns": None}):
        settings["shortcuts"] = asked
        assert len(find_setting_faults({}, version="1", settings=settings)) == 1
