"""`medvision ingest`: raw files to checked, de-identified images."""

from pathlib import Path

import click

from medvision.cli._inputs import find_key, find_labels, find_source, read_labels
from medvision.cli._run import Step, open_step, study_command
from medvision.config.model import Study
from medvision.errors import StaleOutputError
from medvision.layout import Layout

_KINDS = {"dicom": ("dicom",), "nifti": ("nifti",), "phantom": ("dicom", "nifti")}


@study_command(
    "ingest",
    help="Turn raw DICOM and NIfTI into checked, de-identified volumes. Every input file is "
    "accounted for in sources.tsv; what is refused stands in rejects.tsv with its reason.",
    example="medvision ingest --set data.kind=dicom --set data.path=scans "
    "--set data.labels=labels.csv",
)
def command(study: Study, layout: Layout) -> None:
    """Ingest the input folder."""
    from medvision.io.ingest.run import describe_counts, ingest_folder

    is_phantom = study.data.kind == "phantom"
    source = find_source(study, layout)
    settings = {**dict(study.ingest), "key": find_key(study, layout)}
    # Before the step is opened: a bad table must not cost the images of an earlier run.
    masks = _find_masks(study, layout)
    with open_step("ingest", study, upstream=("phantom",) if is_phantom else ()) as step:
        summary = ingest_folder(
            source,
            layout,
            **settings,
            kinds=frozenset(_KINDS[study.data.kind]),
            masks=masks,
        )
        if is_phantom:
            _check_archive(step, layout)
        elif study.data.labels is not None and study.data.labels.is_file():
            step.source("labels", study.data.labels)
        for path in (layout.manifest, layout.rejects, layout.sources):
            step.write(path)
        for image_id in summary.image_ids:
            step.write(layout.image(image_id))
            step.write(layout.sidecar(image_id))
        step.facts["key_id"] = summary.key_id
        step.facts["verdicts"] = dict(summary.verdicts)
        step.facts["refused"] = dict(summary.refused)
    click.echo(
        f"ingest: {summary.n_images} images of {summary.n_subjects} subjects "
        f"from {summary.n_files} files ({describe_counts(summary.verdicts)})",
        err=True,
    )
    if summary.refused:
        click.echo(f"refused: {describe_counts(summary.refused)}; see {layout.rejects}", err=True)


def _find_masks(study: Study, layout: Layout) -> frozenset[Path]:
    """Return the files that the table of labels names as masks: they are no images."""
    labels = find_labels(study, layout)
    if not labels.is_file():
        return frozenset()
    rows = read_labels(labels, data=study.data)
    return frozenset(labels.parent / row["mask"] for row in rows if row.get("mask"))


def _check_archive(step: Step, layout: Layout) -> None:
    """Refuse an archive that is not what the phantom step wrote."""
    from medvision.io.tables import read_table

    listing = step.read(layout.archive_listing)
    step.read(layout.phantom_labels)
    step.read(layout.phantom_key)
    written = sorted(row["digest"] for row in read_table(listing))
    found = sorted(row["digest"] for row in read_table(layout.sources))
    if written != found:
        raise StaleOutputError(
            f"{layout.archive.name}: files must be as the phantom step wrote them, got others.",
            "run `medvision phantom` again.",
        )
