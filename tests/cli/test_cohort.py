"""`medvision cohort` on NIfTI images that ingestion itself converted."""

import csv
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from medvision.cli.main import main
from medvision.io.nifti.write import write_nifti
from medvision.io.tables import read_table
from medvision.layout import Layout
from medvision.runtime.packs import INDEX, read_file

N_SUBJECTS = 12
COPY = "Doe11"
"""This subject's image is that of the first."""

Rows = Sequence[dict[str, str]]
Cohort = Callable[..., Result]


def list_subjects() -> list[str]:
    return [f"Doe{n:02d}" for n in range(N_SUBJECTS)]


def list_labels() -> list[dict[str, str]]:
    """Return a good table: odd subjects are sick, all but the copy, which is as its origin."""
    return [
        {"subject": name, "label": "sick" if n % 2 and name != COPY else "well", "site": "A"}
        for n, name in enumerate(list_subjects())
    ]


def write_labels(path: Path, rows: Rows) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def call(command: str, folder: Path, *overrides: str) -> Result:
    values = [
        f"output.path={folder / 'results'}",
        "data.kind=nifti",
        f"data.path={folder / 'archive'}",
        f"data.labels={folder / 'labels.csv'}",
        "ingest.workers=1",
        *overrides,
    ]
    arguments = [part for value in values for part in ("--set", value)]
    return CliRunner().invoke(main, [command, *arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of small volumes, ingested once."""
    folder = tmp_path_factory.mktemp("study")
    for n, name in enumerate(list_subjects()):
        rng = np.random.default_rng(0 if name == COPY else n)
        grid = rng.normal(size=(6, 5, 4)).astype(np.float32)
        write_nifti(
            folder / "archive" / f"{name}.nii.gz",
            grid,
            affine=np.diag([2.0, 2.0, 5.0, 1.0]),
            is_placed=True,
        )
    write_labels(folder / "labels.csv", list_labels())
    for command in ("ingest", "measure"):
        result = call(command, folder)
        assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def cohort(folder: Path) -> Cohort:
    """Run the command on a table of labels, from a clean folder."""

    def run(rows: Rows, *overrides: str) -> Result:
        shutil.rmtree(folder / "results" / "cohort", ignore_errors=True)
        write_labels(folder / "labels.csv", rows)
        return call("cohort", folder, *overrides)

    return run


def test_a_good_cohort_is_split_with_its_copy_kept_together(cohort: Cohort, folder: Path) -> None:
    result = cohort(list_labels())
    assert result.exit_code == 0, result.output
    layout = Layout(folder / "results")
    rows, folds = read_table(layout.cohort), read_table(layout.folds)
    assert len(rows) == N_SUBJECTS
    assert list(rows[0])[-1] == "site"
    (pair,) = read_table(layout.leakage)
    assert (pair["kind"], pair["action"]) == ("same-pixels", "grouped")
    joined = [row["image_id"] for row in rows if row["group"].startswith("joint-")]
    assert sorted(joined) == sorted([pair["image_a"], pair["image_b"]])
    for fold in "012":
        splits = {r["split"] for r in folds if r["fold"] == fold and r["image_id"] in joined}
        assert len(splits) == 1
    summary = json.loads(layout.cohort_summary.read_text())
    assert summary["classes"] == ["sick", "well"]
    assert (summary["positive"], summary["n_folds"], summary["n_groups"]) == ("well", 3, 11)
    assert summary["leakage"]["overridden"] is False
    balance = read_table(layout.balance)
    assert {row["variable"] for row in balance} == {"label", "site"}
    counts = [int(row["n_images"]) for row in balance if row["variable"] == "label"]
    assert sum(counts) == 3 * N_SUBJECTS
    assert layout.record("cohort").is_file()


def test_no_name_of_a_person_or_file_reaches_the_output(cohort: Cohort, folder: Path) -> None:
    rows = [*list_labels(), {"subject": "Stranger", "label": "sick", "site": "B"}]
    result = cohort(rows)
    text = result.output + "".join(
        path.read_text() for path in (folder / "results" / "cohort").glob("*.*")
    )
    assert "Doe" not in text
    assert "Stranger" not in text
    assert str(folder) not in text


def test_equal_input_gives_equal_bytes_whatever_the_order_of_rows(
    cohort: Cohort, folder: Path
) -> None:
    def read() -> dict[str, bytes]:
        paths = (folder / "results" / "cohort").glob("*.*")
        # The record names the table's digest, which the order of its rows does change.
        return {path.name: path.read_bytes() for path in paths if path.name != "record.json"}

    cohort(list_labels())
    first = read()
    cohort(list_labels()[::-1])
    assert read() == first


def test_an_unknown_subject_is_reported_with_its_line_and_the_rest_goes_on(
    cohort: Cohort, folder: Path
) -> None:
    rows = list_labels()
    rows[2] = {**rows[2], "subject": "Stranger"}
    result = cohort(rows)
    assert result.exit_code == 0
    assert "1 label-without-image" in result.output
    assert "1 image-without-label" in result.output
    listed = read_table(Layout(folder / "results").unmatched)
    assert [(row["kind"], row["labels_row"]) for row in listed] == [
        ("image-without-label", ""),
        ("label-without-image", "4"),
    ]


def rename(rows: Rows, old: str, new: str) -> Rows:
    return [{new if key == old else key: value for key, value in row.items()} for row in rows]


@pytest.mark.parametrize(
    ("rows", "exit_code", "message", "hint"),
    [
        (rename(list_labels(), "label", "Label"), 4, "column label must be", "did you mean Label?"),
        (
            [{**row, "subject": f"X{n}"} for n, row in enumerate(list_labels())],
            4,
            "without one match",
            "letter by letter",
        ),
        ([{**row, "label": "sick"} for row in list_labels()], 4, "two or more, got 1", "second"),
        (list_labels()[:2], 5, "at least cohort.folds = 3, got 2", "lower cohort.folds"),
        ([*list_labels(), list_labels()[0]], 4, "got duplicate rows", "remove one"),
        (
            [*list_labels()[:-1], {"subject": COPY, "label": "sick", "site": "A"}],
            5,
            "1 conflicting-label",
            "cohort/leakage.tsv",
        ),
    ],
)
def test_a_bad_table_ends_with_its_message_and_exit_code(
    cohort: Cohort, folder: Path, *, rows: Rows, exit_code: int, message: str, hint: str
) -> None:
    result = cohort(rows)
    assert result.exit_code == exit_code, result.output
    assert message in result.output
    assert hint in result.output
    assert not Layout(folder / "results").record("cohort").exists()


def test_a_missing_table_is_a_label_error(folder: Path) -> None:
    (folder / "labels.csv").unlink(missing_ok=True)
    result = call("cohort", folder)
    assert result.exit_code == 4
    assert "labels.csv" in result.output


def give_split(rows: Rows) -> list[dict[str, str]]:
    """Split by row, so that the copy and its origin come apart."""
    splits = ["train"] * 6 + ["validation"] * 3 + ["test"] * 3
    return [{**row, "split": split} for row, split in zip(rows, splits, strict=True)]


def test_a_given_split_that_leaks_stops_and_shows_where(cohort: Cohort, folder: Path) -> None:
    result = cohort(give_split(list_labels()), "cohort.folds=1")
    assert result.exit_code == 5
    assert "1 same-pixels" in result.output
    assert "cohort.on_leakage to report" in result.output
    (pair,) = read_table(Layout(folder / "results").leakage)
    assert {pair["split_a"], pair["split_b"]} == {"train", "test"}


def test_a_leaking_split_goes_on_when_told_to_and_is_marked(cohort: Cohort, folder: Path) -> None:
    result = cohort(give_split(list_labels()), "cohort.folds=1", "cohort.on_leakage=report")
    assert result.exit_code == 0, result.output
    summary = json.loads(Layout(folder / "results").cohort_summary.read_text())
    assert summary["leakage"]["overridden"] is True
    assert (summary["given_split"], summary["n_folds"]) == (True, 1)
    folds = read_table(Layout(folder / "results").folds)
    assert [row["split"] for row in folds].count("train") == 6


def give_sites(rows: Rows, external: Sequence[str]) -> list[dict[str, str]]:
    return [{**row, "site": "B" if row["subject"] in external else "A"} for row in rows]


OUTSIDE = ("cohort.external_column=site", "cohort.external_values=[B]")


def test_an_external_cohort_is_in_every_fold_and_in_no_count_of_the_study(
    cohort: Cohort, folder: Path
) -> None:
    rows = give_sites(list_labels(), ["Doe02", "Doe03", "Doe05"])
    result = cohort(rows, *OUTSIDE)
    assert result.exit_code == 0, result.output
    layout = Layout(folder / "results")
    external = [row for row in read_table(layout.cohort) if row["given_split"] == "external"]
    assert {row["site"] for row in external} == {"B"}
    folds, names = read_table(layout.folds), {row["image_id"] for row in external}
    assert {row["image_id"] for row in folds if row["split"] == "external"} == names
    assert sum(row["split"] == "external" for row in folds) == 3 * 3
    summary = json.loads(layout.cohort_summary.read_text())
    assert summary["external"] == {
        "n_images": 3,
        "n_subjects": 3,
        "n_groups": 3,
        "n_images_by_class": {"sick": 2, "well": 1},
    }
    assert (summary["n_images"], summary["n_images_by_class"]) == (9, {"sick": 3, "well": 6})
    assert (summary["given_split"], summary["missing_class"]) == (False, None)
    balance = read_table(layout.balance)
    assert {row["split"] for row in balance} == {"train", "validation", "test"}
    assert {row["value"] for row in balance if row["variable"] == "site"} == {"A"}


def test_external_images_have_no_say_in_what_is_an_outlier_among_the_others(
    cohort: Cohort, folder: Path
) -> None:
    rows, strict = list_labels(), ("quality.outlier_z=1.5", "quality.minimum_group=3")
    table = Layout(folder / "results").table("cohort", "quality")
    assert cohort([row for row in rows if row["subject"] < "Doe06"], *strict).exit_code == 0
    alone = read_table(table)
    assert alone, "without a finding nothing could differ"
    outside = give_sites(rows, [row["subject"] for row in rows if row["subject"] >= "Doe06"])
    assert cohort(outside, *strict, *OUTSIDE, "cohort.on_leakage=report").exit_code == 0
    names = {row["image_id"] for row in read_table(Layout(folder / "results").cohort)}
    external = {
        row["image_id"]
        for row in read_table(Layout(folder / "results").cohort)
        if row["given_split"] == "external"
    }
    assert len(external) == 6 == len(names) - 6
    assert [row for row in read_table(table) if row["image_id"] not in external] == alone


def test_a_copy_in_the_external_cohort_stops_the_run(cohort: Cohort, folder: Path) -> None:
    result = cohort(give_sites(list_labels(), [COPY]), *OUTSIDE)
    assert result.exit_code == 5
    assert "1 same-pixels" in result.output
    assert "external cohort must share nothing" in " ".join(result.output.split())
    (pair,) = read_table(Layout(folder / "results").leakage)
    assert sorted([pair["split_a"], pair["split_b"]]) == ["", "external"]


def test_external_may_be_a_word_of_the_column_split(cohort: Cohort, folder: Path) -> None:
    rows = [row for row in give_split(list_labels()) if row["subject"] != COPY]
    rows = [{**row, "split": "external"} if row["subject"] in "Doe01" else row for row in rows]
    result = cohort(rows, "cohort.folds=1")
    assert result.exit_code == 0, result.output
    folds = read_table(Layout(folder / "results").folds)
    assert [row["split"] for row in folds].count("external") == 1
    assert json.loads(Layout(folder / "results").cohort_summary.read_text())["given_split"] is True


def test_an_external_class_of_its_own_is_refused(cohort: Cohort) -> None:
    rows = give_sites(list_labels(), ["Doe03"])
    rows = [{**row, "label": "odd"} if row["site"] == "B" else row for row in rows]
    result = cohort(rows, *OUTSIDE)
    assert result.exit_code != 0
    assert "class that is trained on (sick, well), got 1 of odd" in " ".join(result.output.split())


def test_a_search_for_altered_copies_bears_a_cohort_without_2d_images(
    cohort: Cohort, folder: Path
) -> None:
    result = cohort(list_labels(), "cohort.near_duplicates=search")
    assert result.exit_code == 0, result.output
    assert {row["kind"] for row in read_table(Layout(folder / "results").leakage)} == {
        "same-pixels"
    }


def test_masks_are_aligned_or_refused_with_the_reason(cohort: Cohort, folder: Path) -> None:
    inside = np.zeros((6, 5, 4), dtype=np.uint8)
    inside[1:3, 2, 1] = 3
    affine = np.diag([2.0, 2.0, 5.0, 1.0])
    write_nifti(folder / "good.nii.gz", inside, affine=affine, is_placed=True)
    write_nifti(folder / "empty.nii.gz", inside * 0, affine=affine, is_placed=True)
    (folder / "broken.nii.gz").write_bytes(b"no image")
    names = ["good.nii.gz", "empty.nii.gz", "broken.nii.gz", "absent.nii.gz"]
    rows = [
        {**row, "mask": names[n] if n < len(names) else ""} for n, row in enumerate(list_labels())
    ]
    result = cohort(rows)
    assert result.exit_code == 0, result.output
    layout = Layout(folder / "results")
    (marked,) = [row for row in read_table(layout.cohort) if row["mask"]]
    refused = {row["labels_row"]: row["detail"] for row in read_table(layout.unmatched)}
    assert set(refused) == {"3", "4", "5"}
    assert "must hold a voxel" in refused["3"]
    assert "must be a file" in refused["5"]
    import nibabel

    written = nibabel.load(layout.mask(marked["image_id"]))
    assert written.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(np.asarray(written.dataobj), inside > 0)
    cohort(list_labels())
    assert not layout.mask(marked["image_id"]).exists()


def write_masks(folder: Path) -> Rows:
    """Write three masks, the last of them empty; returns the labels that name them."""
    rng = np.random.default_rng(0)
    affine = np.diag([2.0, 2.0, 5.0, 1.0])
    for n in range(3):
        grid = (rng.random((6, 5, 4)) > 0.5).astype(np.uint8) * (n < 2)
        write_nifti(folder / f"mask-{n}.nii.gz", grid, affine=affine, is_placed=True)
    return [{**r, "mask": f"mask-{n}.nii.gz" if n < 3 else ""} for n, r in enumerate(list_labels())]


def test_masks_of_packed_images_lie_in_one_pack_with_the_bytes_of_files(
    cohort: Cohort, folder: Path
) -> None:
    key = f"ingest.key={folder / 'results/secret/pseudonym.key'}"
    packed = (f"output.path={folder / 'packed'}", key, "ingest.images=packs")
    for command in ("ingest", "measure"):
        assert call(command, folder, *packed).exit_code == 0
    rows = write_masks(folder)
    for options in (packed, ()):
        result = cohort(rows, *options)
        assert result.exit_code == 0, result.output
    files, packs = Layout(folder / "results"), Layout(folder / "packed")
    names = sorted(path.name for path in files.masks.iterdir())
    assert len(names) == 2
    assert sorted(path.name for path in packs.masks.iterdir()) == ["pack-1-of-1.zip", INDEX]
    for name in names:
        assert read_file(packs.masks / name) == (files.masks / name).read_bytes()
    assert packs.cohort.read_bytes() == files.cohort.read_bytes()
    own, other = (json.loads(one.record("cohort").read_text()) for one in (packs, files))
    assert own["writes"] == other["writes"]
    assert {f"cohort/masks/{name}" for name in names} <= own["writes"].keys()
    # Another run makes the same again, and none where none is named any more.
    before = {path: path.read_bytes() for path in packs.masks.iterdir()}
    assert cohort(rows, *packed).exit_code == 0
    assert {path: path.read_bytes() for path in packs.masks.iterdir()} == before
    assert cohort(list_labels(), *packed).exit_code == 0
    assert not packs.masks.exists() or not list(packs.masks.iterdir())


def test_masks_follow_the_images_from_files_to_a_pack_and_back(
    cohort: Cohort, folder: Path
) -> None:
    rows, found = write_masks(folder), []
    turned = f"output.path={folder / 'turned'}"
    for kind in ("files", "packs", "files"):
        for command in ("ingest", "measure"):
            assert call(command, folder, turned, f"ingest.images={kind}").exit_code == 0
        result = cohort(rows, turned, f"ingest.images={kind}")
        assert result.exit_code == 0, result.output
        found.append(sorted(path.name for path in Layout(folder / "turned").masks.iterdir()))
    assert found[0] == found[2]
    assert found[1] == ["pack-1-of-1.zip", INDEX]


def test_the_command_wants_ingestion_first(tmp_path: Path) -> None:
    write_labels(tmp_path / "labels.csv", list_labels())
    result = call("cohort", tmp_path)
    assert result.exit_code == 12
    assert "medvision ingest" in result.output


def test_a_column_is_spread_evenly_and_counted_in_the_table(cohort: Cohort, folder: Path) -> None:
    rows = [{**row, "site": "AB"[n // 2 % 2]} for n, row in enumerate(list_labels())]
    result = cohort(rows, "cohort.folds=2", "cohort.stratify_by=[site]", "cohort.repeats=2")
    assert result.exit_code == 0, result.output
    layout = Layout(folder / "results")
    folds = read_table(layout.folds)
    assert {(r["fold"], r["repeat"], r["part"], r["inner"]) for r in folds} == {
        *(("0", "0", "0", "0"), ("1", "0", "1", "0")),
        *(("2", "1", "0", "0"), ("3", "1", "1", "0")),
    }
    tested = [r for r in read_table(layout.balance) if r["split"] == "test"]
    for repeat in "01":
        for site in "AB":
            sizes = [
                int(r["n_subjects"])
                for r in tested
                if (r["repeat"], r["variable"], r["value"]) == (repeat, "site", site)
            ]
            # The copy and its origin count once, and stay together.
            assert max(sizes) - min(sizes) <= 2
            assert sum(sizes) == 6
    summary = json.loads(layout.cohort_summary.read_text())
    assert (summary["n_folds"], summary["n_parts"], summary["n_repeats"]) == (4, 2, 2)


def test_a_column_that_is_not_there_is_a_label_error(cohort: Cohort) -> None:
    result = cohort(list_labels(), "cohort.stratify_by=[scanner]")
    assert result.exit_code == 4
    assert "column must be one of site, got scanner" in result.output


def run_anew(folder: Path, rows: Rows, *overrides: str) -> Result:
    """Run the stages up to the cohort with other settings of the data."""
    write_labels(folder / "labels.csv", rows)
    shutil.rmtree(folder / "results" / "cohort", ignore_errors=True)
    results = [call(command, folder, *overrides) for command in ("ingest", "measure", "cohort")]
    return results[-1]


def test_an_age_that_is_predicted_is_capped_as_any_other(folder: Path) -> None:
    rows = [
        {"subject": row["subject"], "age": "96.5" if n in (0, 11) else str(60 + n)}
        for n, row in enumerate(list_labels())
    ]
    result = run_anew(folder, rows, "data.task=regression", "data.label_column=age")
    assert result.exit_code == 0, result.output
    labels = sorted(row["label"] for row in read_table(Layout(folder / "results").cohort))
    assert labels == sorted(["90", "90", *(str(60 + n) for n in range(1, 11))])
    summary = json.loads((folder / "results" / "cohort" / "summary.json").read_text())
    assert summary["values"]["high"] == 90


def test_findings_of_columns_are_counted_with_what_is_not_known(folder: Path) -> None:
    rows = [
        {"subject": row["subject"], "Effusion": str(n % 2), "Mass": "" if n == 4 else str(n // 6)}
        for n, row in enumerate(list_labels())
    ]
    rows[11] |= {"Effusion": "0", "Mass": "0"}
    wanted = ("data.task=multilabel", "data.findings=[Effusion, Mass]", "cohort.folds=2")
    result = run_anew(folder, rows, *wanted)
    assert result.exit_code == 0, result.output
    summary = json.loads((folder / "results" / "cohort" / "summary.json").read_text())
    assert summary["n_unknown"] == {"Effusion": 0, "Mass": 1}
    assert summary["n_images_by_class"] == {"Effusion": 5, "Mass": 5, "No Finding": 3}
    assert summary["missing_class"] is None
    table = read_table(Layout(folder / "results").cohort)
    assert not {"Effusion", "Mass"} & set(table[0])
    assert sorted(row["label"] for row in table)[-1] == "No Finding"
