"""Awkward images from ingestion to the store: each has a stated result, and the good ones go on."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import bad_images as bad
import numpy as np
import pytest
from bad_inputs import check_refusal, step, write_labels
from dicoms import Plan, make_volume, write_series

from medvision.io.reasons import FLAGS
from medvision.io.tables import Row, read_table
from medvision.layout import Layout

N_GOOD = 6


@dataclass(frozen=True)
class Case:
    """How an image is made, and what is expected of it.

    Args:
        build: Makes the image.
        flags: Of the manifest.
        reject: Of preprocessing: reason and detail; None where the image goes on.
    """

    build: bad.Build
    flags: str = ""
    reject: tuple[str, str] | None = None


CASES = {
    "unplaced": Case(bad.build_unplaced, "no-orientation"),
    "conflicting": Case(bad.build_conflicting, "sform-qform-differ"),
    "fourdee": Case(bad.build_4d, "one-of-many"),
    "colour": Case(bad.build_colour, "colour-to-luminance"),
    "bytes": Case(bad.build_int8),
    "spacingless": Case(bad.build_spacing_none, "no-orientation,no-spacing"),
    "anisotropic": Case(bad.build_anisotropic),
    "sagittal": Case(bad.build_thin_i),
    "holes": Case(bad.build_nan, "nan", ("not-finite", "NaN or infinity in 3 of 1680 voxels")),
    "infinite": Case(
        bad.build_infinite, "nan", ("not-finite", "NaN or infinity in 1 of 1680 voxels")
    ),
    "single": Case(
        bad.build_thin_k,
        reject=("other-dimensions", "shape 14x12x1 in a cohort of mostly 3D images"),
    ),
    "dark": Case(bad.build_dark, reject=("empty-crop", ", threshold 0.05")),
}
"""All that is read; a file without extent along an axis is not, see below."""

FLAT = "flat"
"""The subject whose file is refused at ingestion."""

CROP = ("preprocess.crop_foreground=true", "preprocess.intensity=window", "preprocess.workers=2")


@dataclass(frozen=True)
class Outcome:
    """What the way through left, by the names that the test gave."""

    layout: Layout
    output: str
    images: dict[str, Row]
    rejects: dict[str, Row]
    stored: dict[str, np.ndarray]


def write_cohort(folder: Path) -> None:
    names = [f"good{n}" for n in range(N_GOOD)]
    builds = dict.fromkeys(names, bad.build_good) | {n: case.build for n, case in CASES.items()}
    builds[FLAT] = bad.build_good
    for seed, (name, build) in enumerate(builds.items()):
        bad.write_file(folder / "archive" / f"{name}.nii.gz", build, seed=10 * seed)
    bad.flatten_sform(folder / "archive" / f"{FLAT}.nii.gz")
    labels = [{"subject": n, "label": ("well", "sick")[k % 2]} for k, n in enumerate(builds)]
    write_labels(folder, labels)


def name_subjects(folder: Path, layout: Layout) -> dict[str, str]:
    """Return the pseudonym of each subject to the test's own name."""
    from medvision.io.deidentify import Pseudonymiser, read_key

    names = Pseudonymiser(read_key(layout.pseudonym_key))
    files = (folder / "archive").iterdir()
    return {names.subject(name): name for name in (file.name.split(".")[0] for file in files)}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    folder = tmp_path_factory.mktemp("awkward")
    write_cohort(folder)
    check_refusal(
        step("ingest", folder, *CROP),
        13,
        "must have a reason that is accepted, got 1 bad-affine.",
        "ingest.accept: [bad-affine]",
    )
    output = ""
    for command in ("ingest", "measure", "cohort", "preprocess"):
        result = step(command, folder, *CROP, "ingest.accept=[bad-affine]")
        assert result.exit_code == 0, result.output
        output += result.output
    layout = Layout(folder / "results")
    own = name_subjects(folder, layout)
    manifest = read_table(layout.manifest)
    by_image = {row["image_id"]: own[row["subject"]] for row in manifest}
    array = np.load(layout.array_shard("1-of-1"))
    index = read_table(layout.array_index)
    return Outcome(
        layout=layout,
        output=output,
        images={by_image[row["image_id"]]: row for row in manifest},
        rejects={by_image[row["image_id"]]: row for row in read_table(layout.preprocess_rejects)},
        stored={by_image[row["image_id"]]: array[int(row["row"])] for row in index},
    )


@pytest.mark.parametrize("name", CASES)
def test_each_image_has_its_stated_result(name: str, outcome: Outcome) -> None:
    case = CASES[name]
    assert outcome.images[name]["flags"] == case.flags
    assert not case.flags or set(case.flags.split(",")) <= set(FLAGS)
    if case.reject is None:
        assert name in outcome.stored
        assert name not in outcome.rejects
        return
    assert name not in outcome.stored
    row = outcome.rejects[name]
    assert row["reason"] == case.reject[0]
    assert row["detail"].endswith(case.reject[1])


def test_the_good_ones_go_on_and_every_image_is_accounted_for(outcome: Outcome) -> None:
    left = {name for name, case in CASES.items() if case.reject is None}
    assert set(outcome.stored) == left | {f"good{n}" for n in range(N_GOOD)}
    assert set(outcome.rejects) == set(CASES) - left
    assert np.isfinite(np.stack(list(outcome.stored.values()))).all()


def test_a_file_without_extent_is_refused_with_the_spacing_that_it_states(outcome: Outcome) -> None:
    (row,) = read_table(outcome.layout.rejects)
    assert row["reason"] == "bad-affine"
    assert row["detail"] == "NIfTI: spacing must be above 0 mm, got 0 x 3 x 5"
    assert FLAT not in outcome.images
    (lost,) = read_table(outcome.layout.unmatched)
    assert lost["kind"] == "label-without-image"
    assert lost["detail"] == "refused at ingestion: bad-affine"


def test_the_log_counts_flags_and_says_what_reasons_mean(outcome: Outcome) -> None:
    flags = Counter(flag for case in CASES.values() for flag in case.flags.split(",") if flag)
    counted = ", ".join(
        f"{n} {flag}" for flag, n in sorted(flags.items(), key=lambda pair: (-pair[1], pair[0]))
    )
    assert f"flagged: {counted}; see " in outcome.output
    assert "2 left out: not-finite, the image holds NaN or infinity (see" in outcome.output
    assert "1 left out: empty-crop, no voxel is above preprocess.foreground_above" in outcome.output
    assert "Traceback" not in outcome.output


def test_nothing_is_left_half_written(outcome: Outcome) -> None:
    folder = outcome.layout.step("preprocess")
    names = {path.name for path in folder.iterdir()}
    assert names == {
        *("arrays-1-of-1.npy", "index.tsv", "meta.json", "rejects.tsv", "record.json"),
    }


def test_bytes_with_a_scale_are_stored_as_the_values_that_they_mean(outcome: Outcome) -> None:
    # In order as SHAPE: air that was stored as -100 comes back as -1000 HU, which is 0.
    array = outcome.stored["bytes"].astype(np.float64)
    assert array.min() == 0.0
    assert abs(array[array > 0.5].mean() - (40 + 1000) / 1200) < 0.02


def test_only_the_first_of_several_volumes_is_stored(outcome: Outcome) -> None:
    assert outcome.images["fourdee"]["volume"] == "1"
    assert outcome.images["fourdee"]["n_volumes"] == "3"


def test_a_plane_in_another_axis_is_a_volume_of_one_voxel(outcome: Outcome) -> None:
    held = np.flatnonzero(outcome.stored["sagittal"][0].any(axis=(1, 2)))
    assert len(held) == 1


def test_colour_beside_grey_is_left_out_where_colours_are_kept(tmp_path: Path) -> None:
    write_cohort(tmp_path)
    options = (*CROP, "ingest.accept=all", "ingest.colour=rgb")
    for command in ("ingest", "measure", "cohort", "preprocess"):
        assert step(command, tmp_path, *options).exit_code == 0
    layout = Layout(tmp_path / "results")
    reasons = {row["reason"]: row["detail"] for row in read_table(layout.preprocess_rejects)}
    assert reasons["other-channels"] == "a colour image in a cohort of mostly grey ones"


def test_one_plane_goes_on_among_volumes_where_three_dimensions_are_asked_for(
    tmp_path: Path,
) -> None:
    write_cohort(tmp_path)
    options = (*CROP, "ingest.accept=all", "data.dimensions=3")
    for command in ("ingest", "measure", "cohort", "preprocess"):
        assert step(command, tmp_path, *options).exit_code == 0
    layout = Layout(tmp_path / "results")
    reasons = {row["reason"] for row in read_table(layout.preprocess_rejects)}
    assert reasons == {"not-finite", "empty-crop"}


def test_a_dicom_series_twenty_times_as_thick_as_wide_goes_on(tmp_path: Path) -> None:
    labels = []
    for n in range(6):
        shape, spacing, step_mm = ((60, 60, 6), (0.5, 0.5), 10.0) if n == 0 else SERIES
        plan = Plan(make_volume(shape, seed=n), spacing=spacing, step=step_mm)
        plan = Plan(
            **{**vars(plan), "subject": f"P-{n}", "study": f"1.2.{n}", "series": f"1.2.{n}.1"}
        )
        write_series(tmp_path / "archive" / str(n), plan)
        labels.append({"subject": f"P-{n}", "label": ("well", "sick")[n % 2]})
    write_labels(tmp_path, labels)
    for command in ("ingest", "measure", "cohort", "preprocess"):
        result = step(command, tmp_path, "data.kind=dicom")
        assert result.exit_code == 0, result.output
    layout = Layout(tmp_path / "results")
    assert "0.5x0.5x10" in {row["spacing_mm"] for row in read_table(layout.manifest)}
    assert read_table(layout.preprocess_rejects) == []
    assert len(read_table(layout.array_index)) == 6


SERIES = ((14, 12, 10), (3.0, 3.0), 5.0)
"""Shape, pixel spacing and step of the other series."""
