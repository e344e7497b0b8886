"""Every command shares its options, its errors, and the way in which a step is recorded."""

import json
import os
import shutil
import subprocess
import sys
import types
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from medvision import errors
from medvision.cli._run import open_step
from medvision.cli.main import COMMANDS, main
from medvision.config.model import Study, load_study
from medvision.errors import DataError, StaleOutputError, StorageError
from medvision.layout import Layout
from medvision.runtime.files import PARTIAL_PREFIX, hash_bytes, write_bytes, write_text


def configure(root: Path, *overrides: str) -> Study:
    return load_study(None, overrides=[f"output.path={root}", *overrides])


def write_ingest(study: Study, content: str = "image_id\n") -> Layout:
    layout = Layout(study.output.path)
    with open_step("ingest", study) as step:
        write_text(step.write(layout.manifest), content)
    return layout


def write_cohort(study: Study) -> None:
    layout = Layout(study.output.path)
    with open_step("cohort", study, upstream=["ingest"]) as step:
        step.read(layout.manifest)
        write_text(step.write(layout.cohort), "image_id\n")


def read_record(layout: Layout, step: str) -> dict:
    return json.loads(layout.record(step).read_text())


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return configure(tmp_path / "results")


# Steps and their records.


def test_a_record_holds_the_digests_of_what_was_read_and_written(
    study: Study, tmp_path: Path
) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("subject,label\n")
    layout = write_ingest(study)
    with open_step("cohort", study, upstream=["ingest"]) as step:
        step.read(layout.manifest)
        step.source("labels", labels)
        step.seed = 4
        step.facts["n"] = 2
        write_text(step.write(layout.cohort), "rows\n")
    record = read_record(layout, "cohort")
    assert record["reads"] == {
        "ingest/manifest.tsv": hash_bytes(b"image_id\n"),
        "source:labels": hash_bytes(b"subject,label\n"),
    }
    assert record["writes"] == {"cohort/cohort.tsv": hash_bytes(b"rows\n")}
    assert (record["seed"], record["facts"]) == (4, {"n": 2})
    assert set(record["parameters"]) == {"data", "cohort", "quality"}


def test_equal_runs_in_other_places_leave_equal_records(tmp_path: Path) -> None:
    records = []
    for name in ("one", "other"):
        layout = write_ingest(configure(tmp_path / name))
        records.append(layout.record("ingest").read_bytes())
    assert records[0] == records[1]


def test_a_record_names_no_place_and_no_person(tmp_path: Path) -> None:
    archive, labels = tmp_path / "DOE^JANE" / "scans", tmp_path / "DOE^JANE" / "labels.csv"
    archive.mkdir(parents=True)
    labels.write_text("subject,label\n")
    study = configure(
        tmp_path / "results",
        *("data.kind=dicom", f"data.path={archive}", f"data.labels={labels}"),
    )
    layout = Layout(study.output.path)
    with open_step("ingest", study) as step:
        step.source("labels", labels)
        write_text(step.write(layout.manifest), "")
    text = layout.record("ingest").read_text()
    assert "DOE" not in text
    assert str(tmp_path) not in text


def test_a_step_that_fails_has_no_record(study: Study) -> None:
    layout = write_ingest(study)

    def fail() -> None:
        with open_step("ingest", study) as step:
            write_text(step.write(layout.manifest), "half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert not layout.record("ingest").exists()


def test_a_step_run_again_keeps_nothing_of_the_run_before(study: Study) -> None:
    layout = Layout(study.output.path)
    with open_step("ingest", study) as step:
        write_text(step.write(layout.manifest), "")
        write_bytes(step.write(layout.image("sub-1_img-1")), b"voxels")
    (layout.images / f"{PARTIAL_PREFIX}left.nii.gz").write_bytes(b"half")
    (layout.step("ingest") / "note.txt").write_text("the user's own")
    write_ingest(study)
    assert not layout.image("sub-1_img-1").exists()
    assert not list(layout.images.iterdir())
    assert (layout.step("ingest") / "note.txt").exists()
    assert set(read_record(layout, "ingest")["writes"]) == {"ingest/manifest.tsv"}


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"writes": 3}', "\x00"])
def test_a_record_spoilt_by_a_crash_does_not_stop_the_step_from_running_again(
    content: str, study: Study
) -> None:
    layout = write_ingest(study)
    layout.record("ingest").write_text(content)
    write_ingest(study)
    assert read_record(layout, "ingest")["step"] == "ingest"


@pytest.mark.parametrize("kind", ["up", "absolute"])
def test_a_forged_record_cannot_have_files_elsewhere_removed(
    kind: str, study: Study, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("")
    layout = write_ingest(study)
    record = read_record(layout, "ingest")
    record["writes"] = {"../precious" if kind == "up" else str(precious): "0" * 64}
    layout.record("ingest").write_text(json.dumps(record))
    write_ingest(study)
    assert precious.exists()


def test_a_missing_earlier_step_is_named_with_its_command(study: Study) -> None:
    with pytest.raises(StaleOutputError, match="step ingest must be complete") as caught:
        write_cohort(study)
    assert "`medvision ingest`" in caught.value.hint
    assert not Layout(study.output.path).record("cohort").exists()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"version": 1}', "\x00"])
def test_a_spoilt_record_of_an_earlier_step_asks_for_that_step(content: str, study: Study) -> None:
    layout = write_ingest(study)
    layout.record("ingest").write_text(content)
    with pytest.raises(StaleOutputError, match="step ingest must"):
        write_cohort(study)


def test_an_earlier_step_of_another_version_is_stale(study: Study) -> None:
    layout = write_ingest(study)
    record = read_record(layout, "ingest") | {"version": "0.0.1"}
    layout.record("ingest").write_text(json.dumps(record))
    with pytest.raises(StaleOutputError, match=r"step ingest must be of version .*, got 0\.0\.1"):
        write_cohort(study)


def test_an_earlier_step_of_other_settings_is_stale_and_both_values_are_named(
    study: Study,
) -> None:
    write_ingest(study)
    other = configure(study.output.path, "ingest.gap_tolerance=0.25")
    with pytest.raises(
        StaleOutputError, match=r"must have ingest\.gap_tolerance 0\.25, got 0\.1 \(the folder"
    ):
        write_cohort(other)


def test_a_stale_setting_that_is_a_path_is_not_shown(study: Study, tmp_path: Path) -> None:
    write_ingest(study)
    other = configure(study.output.path, f"ingest.key={tmp_path / 'DOE^JANE' / 'key'}")
    with pytest.raises(StaleOutputError, match=r"ingest\.key path-") as caught:
        write_cohort(other)
    assert "DOE" not in str(caught.value)


def test_a_setting_of_another_step_does_not_matter(study: Study) -> None:
    write_ingest(study)
    write_cohort(configure(study.output.path, "train.epochs=2", "report.title=Other"))


def test_a_file_changed_between_two_steps_is_stale(study: Study) -> None:
    layout = write_ingest(study)
    layout.manifest.write_text("edited\n")
    with pytest.raises(
        StaleOutputError, match=r"ingest/manifest.tsv: file must be as an earlier step wrote it"
    ):
        write_cohort(study)
    assert not layout.record("cohort").exists()


def test_a_read_that_no_named_step_wrote_is_refused(study: Study) -> None:
    layout = write_ingest(study)
    (layout.root / "ingest" / "stray.tsv").write_text("")
    with (
        pytest.raises(StaleOutputError, match=r"ingest/stray.tsv"),
        open_step("cohort", study, upstream=["ingest"]) as step,
    ):
        step.read(layout.root / "ingest" / "stray.tsv")


def test_an_output_folder_that_is_a_file_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("")
    with pytest.raises(StorageError, match="has a file where a folder must be"):
        write_ingest(configure(tmp_path / "results"))


# Options, errors and exit codes.


def test_an_unknown_key_is_named_with_the_one_that_was_meant() -> None:
    result = run("config", "--set", "train.epoch=3")
    assert result.exit_code == 2
    assert "train.epoch: key must be known, got epoch. Did you mean epochs?" in result.output
    assert "hint:" in result.output


def test_an_unknown_section_is_named_with_the_one_that_was_meant() -> None:
    result = run("config", "--set", "trian.epochs=3")
    assert result.exit_code == 2
    assert "Did you mean train?" in result.output


def test_a_key_of_another_section_is_sent_there() -> None:
    result = run("config", "--set", "model.epochs=3")
    assert "It belongs to section" in result.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "train.epochs"], "override must be section.field=value"),
        (["--set", "train.epochs=many"], "train.epochs: value must be a valid integer"),
        (["--set", "train.epochs=0"], "train.epochs: value must be greater than or equal to 1"),
        (["--config", "none.yaml"], "file must be readable YAML"),
        (["--config", "{"], "text must be readable JSON"),
        (["--set", "data.kind=dicom"], "data.path and data.labels must be given for kind dicom"),
    ],
)
def test_a_bad_configuration_exits_with_2(words: list[str], message: str) -> None:
    result = run("config", *words)
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output


def test_a_configuration_may_come_as_a_file_or_as_text(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("train:\n  epochs: 3\n")
    by_file = run("config", "--config", str(tmp_path / "c.yaml"))
    by_text = run("config", "--config", '{"train": {"epochs": 3}}')
    assert by_file.output == by_text.output
    assert "epochs: 3" in by_file.output


def test_a_command_obeys_the_configuration_of_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yaml").write_text("train:\n  epochs: 3\n")
    monkeypatch.chdir(tmp_path)
    assert "epochs: 3" in run("config").output
    assert "epochs: 4" in run("config", "--config", '{"train": {"epochs": 4}}').output
    monkeypatch.chdir(tmp_path / "config")
    assert "epochs: 18" in run("config").output


FAMILIES = [
    item
    for item in vars(errors).values()
    if isinstance(item, type) and issubclass(item, errors.MedvisionError)
]


def plant(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Make `medvision status` a command that raises."""

    @click.command()
    def command() -> None:
        raise error

    module = types.ModuleType("medvision.cli.status")
    module.command = command  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "medvision.cli.status", module)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_each_family_exits_with_its_code_and_shows_message_and_hint(
    family: type[errors.MedvisionError], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, family("x: y must be z, got w."))
    result = run("status")
    assert result.exit_code == family.exit_code
    assert result.output == f"error: x: y must be z, got w.\nhint: {family.default_hint}\n"


def test_an_unknown_error_shows_its_traceback_and_exits_with_70(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant(monkeypatch, ZeroDivisionError("planted"))
    result = run("status")
    assert result.exit_code == errors.UNKNOWN_ERROR_EXIT_CODE == 70
    assert "Traceback" in result.output
    assert "ZeroDivisionError: planted" in result.output
    assert "please report it" in result.output


@pytest.mark.parametrize("word", ["--help", "config", "doctor", "status"])
def test_a_command_whose_reader_has_seen_enough_ends_quietly(word: str, tmp_path: Path) -> None:
    end, start = os.pipe()
    os.close(end)
    done = subprocess.run(
        [sys.executable, "-m", "medvision", word],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=start,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(start)
    assert (done.returncode, done.stderr) == (1, b"")


def test_another_pipe_that_broke_is_an_error_like_others(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, BrokenPipeError("planted"))
    assert run("status").exit_code == errors.UNKNOWN_ERROR_EXIT_CODE


def test_an_unknown_command_is_refused() -> None:
    assert run("sing").exit_code == 2


def test_help_lists_every_command_without_importing_one() -> None:
    result = run("--help")
    assert result.exit_code == 0
    for name, line in COMMANDS.items():
        assert name in result.output
        assert line.split()[0] in result.output
    assert "Not a medical device" in result.output


def test_a_record_is_kept_when_the_folder_is_moved(study: Study, tmp_path: Path) -> None:
    write_ingest(study)
    moved = Path(shutil.move(study.output.path, tmp_path / "moved"))
    write_cohort(configure(moved))


def test_a_registered_file_that_was_not_written_is_an_error(study: Study) -> None:
    layout = Layout(study.output.path)
    with pytest.raises((FileNotFoundError, DataError)), open_step("ingest", study) as step:
        step.write(layout.manifest)
    assert not layout.record("ingest").exists()
