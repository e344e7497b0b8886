"""A workflow run whose plan is signed: Snakemake asks for the signature, and verify for its key."""

import shutil
import sys
from pathlib import Path

import pytest
from children import run_snakemake
from forgeries import edit_plan, refit
from pipeline import TINY, call, run, write_config

from medvision.layout import Layout

ROOT = Path(__file__).parents[2]
LATER = ("plan", "explain", "report", "audit", "logs", "benchmarks")


@pytest.fixture(scope="module")
def signed(tiny_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that Snakemake took from the predictions to the bundle, with a key."""
    folder = tmp_path_factory.mktemp("signed")
    # With their times: what stands before the plan is not made again.
    shutil.copytree(tiny_study, folder / "results", ignore=shutil.ignore_patterns(*LATER))
    run(["audit", "keygen", str(folder / "auditor.pem")])
    config = write_config(folder, {**TINY, "audit": {"signing_key": folder / "auditor.pem"}})
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--directory", str(folder), "--configfile", str(config)]
    command += ["--cores", "1", "--rerun-triggers", "mtime"]
    done = run_snakemake(command)
    assert done.returncode == 0, done.stdout + done.stderr
    words = [line.split() for line in (done.stdout + done.stderr).splitlines()]
    made = {line[0] for line in words if len(line) == 2 and line[1] == "1"}
    assert made == {"plan", "explain", "report", "audit", "default"}
    return folder


def verify(folder: Path, bundle: Path, *, key: str = "auditor.pub.pem"):
    words = ["audit", "verify", str(bundle), "--study", str(folder / "results")]
    return call([*words, "--public-key", str(folder / key)])


@pytest.mark.slow
def test_a_run_of_the_workflow_is_verified_with_the_signers_key(signed: Path) -> None:
    layout = Layout(signed / "results")
    assert (layout.bundle / "study/plan/signature.json").is_file()
    result = verify(signed, layout.bundle)
    assert result.exit_code == 0, result.output
    assert "signed by the key" in " ".join(result.output.split())


@pytest.mark.slow
def test_another_key_than_the_workflow_had_is_refused(signed: Path) -> None:
    run(["audit", "keygen", str(signed / "other.pem")])
    result = verify(signed, Layout(signed / "results").bundle, key="other.pub.pem")
    assert result.exit_code == 10
    assert "FAIL signature" in result.output
    assert "FAIL plan" in result.output


@pytest.mark.slow
def test_a_plan_edited_after_the_workflow_signed_it_is_found(signed: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(Layout(signed / "results").bundle, tmp_path / "bundle"))
    edit_plan(bundle, lambda plan: plan["settings"].update(random_orders=9))
    refit(bundle)
    result = verify(signed, bundle)
    assert result.exit_code == 10
    assert "FAIL plan" in result.output
