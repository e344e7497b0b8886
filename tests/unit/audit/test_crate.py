"""The bundle's RO-Crate: read by another library, held to its profiles and to the bundle."""

import json
from pathlib import Path

import pytest
from forgeries import rehash, replace
from studies import seal_study

from medvision.audit.crate import CRATE, build_crate
from medvision.audit.manifest import Entry, parse_manifest
from medvision.audit.workflow import MAIN, is_workflow_path, list_workflow
from medvision.domain.record import Record
from medvision.errors import ConfigError

rocrate = pytest.importorskip("rocrate.rocrate")

PROCESS = "https://w3id.org/ro/wfrun/process/0.5"
WORKFLOW = "https://w3id.org/ro/wfrun/workflow/0.5"
WORKFLOW_CRATE = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"

Entity = dict
Graph = dict[str, Entity]


def read_graph(bundle: Path) -> Graph:
    graph = json.loads((bundle / CRATE).read_text())["@graph"]
    return {entity["@id"]: entity for entity in graph}


def as_list(value: object) -> list:
    return value if isinstance(value, list) else [value]


def follow(entity: Entity, key: str) -> list[str]:
    return [part["@id"] for part in as_list(entity[key])]


@pytest.fixture
def plain(study: Path) -> Path:
    """A bundle that was sealed outside the workflow."""
    seal_study(study)
    return study / "audit" / "bundle"


def test_another_library_reads_each_file_and_each_step(bundle: Path) -> None:
    crate = rocrate.ROCrate(bundle)
    held = {entity.id for entity in crate.data_entities}
    manifest = parse_manifest((bundle / "manifest.json").read_bytes())
    assert held == {entry.path for entry in manifest.files} - {CRATE}
    actions = {entity["name"]: entity for entity in crate.get_by_type("CreateAction")}
    records = {
        path.parent.relative_to(bundle / "study").as_posix() for path in bundle.rglob("record.json")
    }
    assert set(actions) == {*records, "Run of the workflow"}
    made = {part.id for part in actions["evaluate"]["result"]}
    assert "study/evaluate/metrics.json" in made
    read = {part.id for part in actions["evaluate"]["object"]}
    assert "study/predict/predictions.tsv" in read
    assert crate.mainEntity.id == MAIN


@pytest.mark.parametrize("kind", ["bundle", "plain"])
def test_each_reference_of_the_crate_leads_somewhere(
    kind: str, request: pytest.FixtureRequest
) -> None:
    graph = json.loads((request.getfixturevalue(kind) / CRATE).read_text())["@graph"]
    known = {entity["@id"] for entity in graph}
    assert len(known) == len(graph)
    named = {
        part["@id"]
        for entity in graph
        for value in entity.values()
        for part in as_list(value)
        if isinstance(part, dict)
    }
    assert {name for name in named - known if not name.startswith("https://")} == set()


# What the specifications say MUST be. Each is cited by document and section.


def find_breaches_of_the_root(graph: Graph) -> list[str]:
    """RO-Crate 1.1, "Root Data Entity" and "Direct properties of the Root Data Entity"."""
    itself, root = graph[CRATE], graph["./"]
    told = {
        "descriptor type": itself["@type"] == "CreativeWork",
        "descriptor about": follow(itself, "about") == ["./"],
        "descriptor conformsTo": "https://w3id.org/ro/crate/1.1" in follow(itself, "conformsTo"),
        "root type": root["@type"] == "Dataset",
        "root name": bool(root["name"]),
        "root description": bool(root["description"]),
        "root date": root["datePublished"].count("-") == 2,
        "root license": bool(root["license"]),
        "files are parts": {
            name for name, entity in graph.items() if "File" in as_list(entity["@type"])
        }
        == set(follow(root, "hasPart")),
    }
    return [name for name, holds in told.items() if not holds]


def find_breaches_of_processes(graph: Graph) -> list[str]:
    """Process Run Crate 0.5, "Requirements"."""
    actions = [each for each in graph.values() if each["@type"] == "CreateAction"]
    tools = {name for each in actions for name in follow(each, "instrument")}
    kinds = {"SoftwareApplication", "SoftwareSourceCode", "ComputationalWorkflow"}
    told = {
        "conformsTo": PROCESS in follow(graph["./"], "conformsTo"),
        "profile": graph[PROCESS]["@type"] == "CreativeWork",
        "actions": bool(actions),
        "tools": all(kinds & {*as_list(graph[name]["@type"])} for name in tools),
        "mentions": {each["@id"] for each in actions} == {*follow(graph["./"], "mentions")},
    }
    return [name for name, holds in told.items() if not holds]


def find_breaches_of_workflows(graph: Graph) -> list[str]:
    """Workflow RO-Crate 1.0, "Main Workflow" and "Crate"; Workflow Run Crate 0.5, "Overview"."""
    root = graph["./"]
    if WORKFLOW not in follow(root, "conformsTo"):
        return ["conformsTo"]
    (main,) = follow(root, "mainEntity")
    runs = [e for e in graph.values() if e["@type"] == "CreateAction" and e["@id"] == "#run"]
    language = graph[follow(graph[main], "programmingLanguage")[0]]
    told = {
        "profiles": {PROCESS, WORKFLOW, WORKFLOW_CRATE} <= {*follow(root, "conformsTo")},
        "descriptor": WORKFLOW_CRATE in follow(graph[CRATE], "conformsTo"),
        "profile": graph[WORKFLOW]["@type"] == "CreativeWork",
        "main types": {"File", "SoftwareSourceCode", "ComputationalWorkflow"}
        == {*graph[main]["@type"]},
        "main is a part": main in follow(root, "hasPart"),
        "language": language["@type"] == "ComputerLanguage" and language["name"] == "Snakemake",
        "license": bool(root["license"]),
        "run": bool(runs) and all(follow(run, "instrument") == [main] for run in runs),
        "settings": all("config.json" in follow(run, "object") for run in runs),
        # Nothing that fills no slot of the workflow may be said to fill one.
        "parameters": not any("exampleOfWork" in entity for entity in graph.values()),
    }
    return [name for name, holds in told.items() if not holds]


def test_the_musts_of_the_three_profiles_are_kept(bundle: Path) -> None:
    graph = read_graph(bundle)
    assert find_breaches_of_the_root(graph) == []
    assert find_breaches_of_processes(graph) == []
    assert find_breaches_of_workflows(graph) == []
    assert (bundle / MAIN).read_bytes().startswith(b"from snakemake")


def test_without_a_workflow_the_crate_is_of_processes_and_says_so(plain: Path, verify) -> None:
    graph = read_graph(plain)
    assert find_breaches_of_the_root(graph) == []
    assert find_breaches_of_processes(graph) == []
    assert find_breaches_of_workflows(graph) == ["conformsTo"]
    assert "is not in it" in graph["./"]["description"]
    assert not (plain / "workflow").exists()
    assert {check.status for check in verify(plain).checks} == {"PASS", "NOT CHECKED"}


@pytest.mark.parametrize(
    ("change", "breach"),
    [
        (lambda g: g["./"].update(mainEntity={"@id": "README.txt"}), "KeyError"),
        (lambda g: g[MAIN].update({"@type": ["File"]}), "main types"),
        (lambda g: g["#run"].update(instrument={"@id": "#medvision"}), "run"),
        (lambda g: g["#run"].update(object=[]), "settings"),
        (lambda g: g[CRATE].update(conformsTo=[{"@id": PROCESS}]), "descriptor"),
    ],
)
def test_a_crate_that_breaks_a_must_is_told_apart(change, breach: str, bundle: Path) -> None:
    graph = read_graph(bundle)
    change(graph)
    try:
        found = find_breaches_of_workflows(graph)
    except KeyError:
        found = ["KeyError"]
    assert breach in found


def test_the_run_begins_with_the_settings_and_ends_with_all_that_was_made(bundle: Path) -> None:
    graph = read_graph(bundle)
    run = graph["#run"]
    steps = [each for each in graph.values() if each["@id"].startswith("#step/")]
    made = {name for step in steps for name in follow(step, "result")}
    read = {name for step in steps for name in follow(step, "object")}
    assert {*follow(run, "result")} == made
    assert {*follow(run, "object")} == {"config.json"} | (read - made)


def test_each_word_of_the_crate_is_one_of_its_contexts(bundle: Path) -> None:
    """RO-Crate 1.1, "RO-Crate JSON-LD": a word that no context defines is dropped by a reader."""
    value = json.loads((bundle / CRATE).read_text())
    assert value["@context"] == [
        "https://w3id.org/ro/crate/1.1/context",
        "https://w3id.org/ro/terms/workflow-run/context",
    ]
    of_schema_org = {
        *("about", "conformsTo", "name", "description", "datePublished", "license", "hasPart"),
        *("mainEntity", "mentions", "version", "softwareVersion", "contentSize", "size"),
        *("encodingFormat", "programmingLanguage", "identifier", "url"),
        *("instrument", "object", "result"),
    }
    used = {key for entity in value["@graph"] for key in entity if not key.startswith("@")}
    assert used == of_schema_org | {"sha256"}


def test_no_path_of_this_machine_is_in_the_crate_or_the_workflow(
    bundle: Path, checkout: Path
) -> None:
    for path in (bundle / CRATE, *(bundle / "workflow").rglob("*")):
        text = path.read_text() if path.is_file() else ""
        for place in (bundle.parent, checkout, Path.home()):
            assert str(place) not in text


def test_profiles_links_and_other_files_of_a_workflow_stay_out(tmp_path: Path) -> None:
    for name in ("Snakefile", "rules/a.smk", "profiles/slurm/config.yaml", "envs/a.yaml", "x.key"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "rules/b.smk").symlink_to(tmp_path / "x.key")
    assert list(list_workflow(tmp_path)) == [
        "workflow/Snakefile",
        "workflow/envs/a.yaml",
        "workflow/rules/a.smk",
    ]
    assert not is_workflow_path("workflow/rules/../x.smk")
    (tmp_path / "Snakefile").unlink()
    with pytest.raises(ConfigError, match="must hold a Snakefile"):
        list_workflow(tmp_path)


def test_a_crate_that_tells_another_story_is_found_when_the_manifest_fits(
    bundle: Path, verify
) -> None:
    replace(bundle / CRATE, '"name":"evaluate"', '"name":"elevate"')
    rehash(bundle)
    found = {check.name for check in verify(bundle).checks if check.status == "FAIL"}
    assert "crate" in found


def make_record(step: str, **sides: dict[str, str]) -> Record:
    held = {"reads": {}, "writes": {}, **sides}
    return Record(step, "1", {}, held["reads"], held["writes"], 0, "cpu", {}, {})


def test_the_order_of_files_and_records_changes_nothing() -> None:
    records = {
        "predict": make_record("predict", reads={"source:x": "0" * 64}, writes={"a": "1" * 64}),
        "train": make_record("train", writes={"b c": "2" * 64}),
    }
    files = [Entry("study/a", "1" * 64, 3), Entry("study/b c", "2" * 64, 4)]
    one = build_crate("1", files=files, referenced=[], records=records)
    back = dict(reversed(records.items()))
    two = build_crate("1", files=files[::-1], referenced=[], records=back)
    assert one == two
    assert b"study/b%20c" in one
