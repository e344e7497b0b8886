"""A run is sealed when its records close, and not otherwise."""

import json
from pathlib import Path

import pytest
from forgeries import flip
from studies import IMAGES, configure, seal_study, write_cohort, write_explain, write_report

from medvision.audit.contents import choose_copied, is_copied
from medvision.audit.manifest import parse_manifest
from medvision.errors import AuditError, ConfigError
from medvision.layout import Layout
from medvision.runtime.files import hash_file, write_json


def edit_record(root: Path, step: str, **changes: object) -> None:
    path = root / step / "record.json"
    value = json.loads(path.read_text())
    for key, change in changes.items():
        value[key] = value[key] | change if isinstance(change, dict) else change
    write_json(path, value)


def read_tree(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_sealing_twice_gives_the_same_bytes(study: Path, keys) -> None:
    seal_study(study, f"audit.signing_key={keys[0]}")
    first = read_tree(study / "audit")
    seal_study(study, f"audit.signing_key={keys[0]}")
    assert read_tree(study / "audit") == first


def test_the_bundle_says_nothing_of_where_it_was_made(sealed: Path) -> None:
    for path, content in read_tree(sealed / "audit").items():
        assert str(sealed).encode() not in content, path


def test_pixels_and_secrets_are_referred_to_and_never_copied(sealed: Path) -> None:
    manifest = parse_manifest((sealed / "audit/bundle/manifest.json").read_bytes())
    referenced = {entry.path: entry for entry in manifest.referenced}
    for path in (
        f"ingest/images/{IMAGES[0]}.nii.gz",
        f"cohort/masks/{IMAGES[1]}.nii.gz",
        "preprocess/arrays-1-of-1.npy",
        "secret/pseudonym.key",
        "phantom/pseudonym.key",
        "phantom/archive/a1",
        "phantom/labels.csv",
        "train/scratch/fold-0/seed-0/tensorboard/events.out",
    ):
        assert referenced[path].sha256 == hash_file(sealed / path)
        assert referenced[path].n_bytes == (sealed / path).stat().st_size
        assert not (sealed / "audit/bundle/study" / path).exists()


@pytest.mark.parametrize(
    ("path", "copied"),
    [
        ("phantom/record.json", True),
        ("explain/maps/a/occlusion.nii.gz", True),
        ("report/figures/roc.png", True),
        ("train/scratch/fold-0/seed-0/model.safetensors", True),
        ("secret/notes.json", False),
        ("phantom/truth.json", False),
        ("ingest/images/a.nii.gz", False),
        ("cohort/masks/a.nii.gz", False),
        ("explain/maps/a/picture.dcm", False),
        ("train/resume.pt", False),
        ("report/new.kind", False),
    ],
)
def test_only_known_kinds_of_files_are_copied(path: str, copied: bool) -> None:
    assert is_copied(path) is copied


def test_of_sidecars_only_those_of_explained_images_are_copied() -> None:
    files = [
        *(f"ingest/images/{name}{end}" for name in "ab" for end in (".json", ".nii.gz")),
        *("explain/maps/b/occlusion.nii.gz", "explain/summary.json", "cohort/summary.json"),
    ]
    assert list(filter(choose_copied(files), files)) == [
        *("ingest/images/b.json", "explain/maps/b/occlusion.nii.gz"),
        *("explain/summary.json", "cohort/summary.json"),
    ]
    assert not choose_copied([])("ingest/images/a.json")


def test_the_record_of_the_audit_holds_the_root_digest(sealed: Path) -> None:
    record = json.loads((sealed / "audit" / "record.json").read_text())
    manifest = parse_manifest((sealed / "audit/bundle/manifest.json").read_bytes())
    assert record["facts"]["root_digest"] == manifest.root_digest
    assert record["facts"]["signed"] is True
    for step, digest in record["facts"]["records"].items():
        assert digest == hash_file(sealed / step / "record.json")


@pytest.mark.parametrize(
    "step", ["phantom", "cohort", "pretrain", "train/scratch/fold-1", "evaluate", "report"]
)
def test_a_missing_step_is_named(step: str, study: Path) -> None:
    (study / step / "record.json").unlink()
    with pytest.raises(AuditError, match=f"step {step}: .* must be present"):
        seal_study(study)


def test_a_step_of_another_configuration_is_named(study: Path) -> None:
    with pytest.raises(AuditError, match=r"step train/scratch/fold-0: .* must be absent"):
        seal_study(study, "train.compare_scratch=false")


def test_a_changed_setting_is_named_with_both_values(study: Path) -> None:
    with pytest.raises(AuditError, match=r"cohort: parameters.cohort.seed must be 9, got 1\."):
        seal_study(study, "cohort.seed=9")


def test_a_record_of_another_version_is_named(study: Path) -> None:
    edit_record(study, "cohort", version="0.0.1")
    with pytest.raises(AuditError, match=r"step cohort: version must be .*, got 0\.0\.1"):
        seal_study(study)


@pytest.mark.parametrize(
    ("step", "path"),
    [
        ("ingest", f"ingest/images/{IMAGES[0]}.nii.gz"),
        ("preprocess", "preprocess/arrays-1-of-1.npy"),
        ("predict", "predict/predictions.tsv"),
        ("report", "report/report.html"),
    ],
)
def test_a_file_changed_after_its_step_is_named_with_both_digests(
    step: str, path: str, study: Path
) -> None:
    before = hash_file(study / path)
    flip(study / path)
    with pytest.raises(AuditError) as caught:
        seal_study(study)
    assert f"step {step}: {path} must be {before}, got {hash_file(study / path)}." in str(
        caught.value
    )


def test_a_file_removed_after_its_step_is_named(study: Path) -> None:
    (study / "explain/summary.json").unlink()
    with pytest.raises(AuditError, match=r"step explain: explain/summary.json must be present"):
        seal_study(study)


def test_a_read_that_nobody_wrote_is_named(study: Path) -> None:
    edit_record(study, "predict", reads={"elsewhere/model.safetensors": "0" * 64})
    with pytest.raises(AuditError, match=r"elsewhere/model.safetensors as read must be written by"):
        seal_study(study)


def test_a_declared_source_needs_no_writer(study: Path) -> None:
    edit_record(study, "report", reads={"source:words": "0" * 64})
    seal_study(study)


def test_a_step_run_again_alone_leaves_a_gap_that_is_named(study: Path) -> None:
    settings = configure(study)
    layout = Layout(study)
    write_explain(settings, layout)
    seal_study(study)  # the same bytes again: nothing is out of date
    edit_record(study, "preprocess", writes={"preprocess/meta.json": "0" * 64})
    with pytest.raises(AuditError, match=r"preprocess/meta.json must be 0000"):
        seal_study(study)


def test_an_upstream_rerun_with_other_results_is_found(study: Path, monkeypatch) -> None:
    import studies

    monkeypatch.setattr(studies, "LABELS", ("positive", "negative") * 3)
    write_cohort(configure(study), Layout(study))
    with pytest.raises(AuditError, match=r"step preprocess: cohort/cohort.tsv as read must be"):
        seal_study(study)


def test_a_path_written_twice_is_named(study: Path) -> None:
    digest = hash_file(study / "evaluate/metrics.json")
    edit_record(study, "report", writes={"evaluate/metrics.json": digest})
    with pytest.raises(AuditError, match=r"evaluate/metrics.json must be written by one step"):
        seal_study(study)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"step":"cohort"}', "\x00"],
    ids=["empty", "list", "no", "few", "0"],
)
def test_a_malformed_record_is_an_audit_error(content: str, study: Path) -> None:
    (study / "cohort" / "record.json").write_text(content)
    with pytest.raises(AuditError, match=r"cohort/record.json"):
        seal_study(study)


@pytest.mark.parametrize("path", ["../outside", "/etc/hostname", "a\\b", "a//b", "./a", "", "C:a"])
def test_a_record_that_points_outside_is_refused(path: str, study: Path) -> None:
    edit_record(study, "cohort", writes={path: "0" * 64})
    with pytest.raises(AuditError, match="must map safe paths"):
        seal_study(study)


def test_a_failed_seal_leaves_the_old_bundle_and_nothing_half_made(study: Path) -> None:
    seal_study(study)
    before = read_tree(study / "audit" / "bundle")
    flip(study / "report" / "report.html")
    with pytest.raises(AuditError):
        seal_study(study)
    assert read_tree(study / "audit" / "bundle") == before
    assert [path.name for path in (study / "audit").iterdir()] == ["bundle"]


def test_a_seal_that_cannot_sign_leaves_the_old_bundle(study: Path) -> None:
    seal_study(study)
    before = read_tree(study / "audit" / "bundle")
    with pytest.raises(ConfigError, match=r"audit.signing_key"):
        seal_study(study, f"audit.signing_key={study / 'report/report.html'}")
    assert read_tree(study / "audit" / "bundle") == before
    assert [path.name for path in (study / "audit").iterdir()] == ["bundle"]


def test_a_seal_killed_between_the_renames_is_repaired_by_the_next(study: Path) -> None:
    seal_study(study)
    before = read_tree(study / "audit" / "bundle")
    (study / "audit" / "bundle").rename(study / "audit" / ".bundle-old")
    (study / "audit" / ".bundle-new").mkdir()
    (study / "audit" / ".bundle-new" / "half").write_text("x")
    seal_study(study)
    assert read_tree(study / "audit" / "bundle") == before
    assert {p.name for p in (study / "audit").iterdir()} == {"bundle", "record.json"}


def test_a_new_report_changes_the_root_digest(study: Path) -> None:
    seal_study(study)
    first = parse_manifest((study / "audit/bundle/manifest.json").read_bytes()).root_digest
    other = configure(study, "report.title=Another")
    write_report(other, Layout(study))
    seal_study(study, "report.title=Another")
    second = parse_manifest((study / "audit/bundle/manifest.json").read_bytes()).root_digest
    assert first != second
