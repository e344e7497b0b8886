"""`medvision phantom`: the embedded default cohort, with its listing and its record."""

from medvision.cli._run import open_step, study_command
from medvision.config.model import Study
from medvision.layout import Layout

LISTING_COLUMNS = ("file", "digest")


@study_command(
    "phantom",
    help="Write the embedded default cohort: chest-CT-like subjects with known answers, as "
    "an archive of DICOM and NIfTI would hold them.",
    example="medvision phantom --set phantom.subjects=24 --set output.path=results",
)
def command(study: Study, layout: Layout) -> None:
    """Generate the cohort and list its archive."""
    from medvision.io.tables import write_table
    from medvision.phantom.cohort import generate_cohort

    with open_step("phantom", study) as step:
        truth = generate_cohort(layout.step("phantom"), **dict(study.phantom))
        write_table(
            step.write(layout.archive_listing),
            [{"file": name, "digest": digest} for name, digest in truth.archive_digests.items()],
            columns=LISTING_COLUMNS,
        )
        for path in (layout.phantom_labels, layout.step("phantom") / "truth.json"):
            step.write(path)
        step.write(layout.phantom_key)
        for row in truth.rows:
            if row["mask"]:
                step.write(layout.step("phantom") / row["mask"])
        step.seed = study.phantom.seed
        step.facts["n_files"] = len(truth.archive_digests)
        step.facts["n_subjects"] = len({row["subject"] for row in truth.rows})
        step.facts["n_faults"] = len(truth.faults)
