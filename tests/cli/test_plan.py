"""`medvision plan` comes first, and `medvision explain` obeys nothing else."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from studies import EXPLAINED, configure, write_study

from medvision.audit.canonical import write_canonical, write_rfc8785
from medvision.audit.signing import write_key_pair
from medvision.cli.main import main
from medvision.domain.explanation.plan import PLAN, PLAN_SIGNATURE
from medvision.layout import Layout
from medvision.runtime.files import read_json

EXPLAIN = Path("explain/record.json")


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("planned") / "results"
    write_study(root)
    return root


@pytest.fixture
def study(planned: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(planned, tmp_path / "results"))


def run(command: str, root: Path, *overrides: str) -> Result:
    config = configure(root, *overrides).model_dump_json()
    return CliRunner().invoke(main, [command, "--quiet", "--config", config])


def edit(root: Path, change) -> None:
    path = root / PLAN
    value = json.loads(path.read_text())
    change(value)
    path.write_bytes(write_rfc8785(value, where="plan"))


def test_the_plan_names_cases_rule_seed_methods_checks_and_files(planned: Path) -> None:
    plan = read_json(planned / PLAN)
    assert [case["image_id"] for case in plan["cases"]] == list(EXPLAINED)
    assert plan["cases"][0]["rule"] == "uncertain"
    assert plan["selection"]["eligible"] == 6
    assert sum(plan["selection"]["eligible_by_stratum"].values()) == 6
    assert plan["methods"] == plan["settings"]["methods"]
    assert all(check["passes_when"] and check["source"] for check in plan["checks"])
    record = read_json(planned / "plan/record.json")
    assert plan["models"].items() <= record["reads"].items()
    assert plan["predictions"].items() <= record["reads"].items()
    assert not [path for path in record["reads"] if path.startswith(("explain/", "report/"))]


def test_two_plans_of_one_study_have_the_same_bytes(study: Path) -> None:
    before = (study / PLAN).read_bytes()
    assert run("plan", study).exit_code == 0
    assert (study / PLAN).read_bytes() == before


def test_a_key_that_is_set_signs_the_plan(study: Path, tmp_path: Path) -> None:
    write_key_pair(tmp_path / "auditor.pem")
    assert run("plan", study, f"audit.signing_key={tmp_path}/auditor.pem").exit_code == 0
    assert read_json(study / PLAN_SIGNATURE)["signs"] == PLAN
    assert read_json(study / "plan/record.json")["facts"] == {"signed": True}
    assert run("plan", study).exit_code == 0
    assert not (study / PLAN_SIGNATURE).exists(), "no key, no signature of before"


def test_explaining_without_a_plan_names_the_command(study: Path) -> None:
    Layout(study).record("plan").unlink()
    done = run("explain", study)
    assert done.exit_code == 12
    assert "run `medvision plan` first" in done.output


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda plan: plan["cases"].pop(), "got another: cases."),
        (lambda plan: plan["cases"].reverse(), "got another: cases."),
        (lambda plan: plan["methods"].pop(), "got another: methods."),
        (lambda plan: plan["checks"][0].update(passes_when="always"), "got another: checks."),
    ],
)
def test_a_plan_that_was_edited_is_not_obeyed(change, named: str, study: Path) -> None:
    edit(study, change)
    done = run("explain", study)
    assert done.exit_code == 12
    assert named in done.output
    assert "run `medvision plan` again" in done.output
    assert not (study / EXPLAIN).exists()


def test_a_plan_in_another_spelling_is_not_obeyed(study: Path) -> None:
    (study / PLAN).write_bytes(write_canonical(read_json(study / PLAN)) + b"\n")
    done = run("explain", study)
    assert done.exit_code == 12
    assert "must be spelt as RFC 8785 says" in done.output


def test_a_plan_of_other_predictions_is_not_obeyed(study: Path) -> None:
    path = Layout(study).predictions
    path.write_text(path.read_text().replace("0.8", "0.7", 1))
    done = run("explain", study)
    assert done.exit_code == 12
    assert "predictions" in done.output


def test_a_plan_of_other_settings_is_not_obeyed(study: Path) -> None:
    done = run("explain", study, "explain.images=1")
    assert done.exit_code == 12
    assert "step plan must have explain.images 1, got 2" in done.output
