"""The images that a generator draws, as one array with a table and a sidecar, and their marks."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from medvision import __version__
from medvision.cli._run import Step, read_record
from medvision.cli._training.learning import LearningData
from medvision.config.model import Study
from medvision.config.synthesise import SynthesiseSection
from medvision.domain.intended_use import INTENDED_USE, RESEARCH_USE
from medvision.domain.record import JsonValue
from medvision.domain.synthesis.synthetic import (
    SYNTHETIC_COLUMNS,
    check_marked,
    check_real,
    name_image,
)
from medvision.errors import CohortError, ConfigError
from medvision.io.tables import Cell, read_table, write_table
from medvision.layout import Layout
from medvision.runtime.files import hash_file, read_json, write_json, writing

if TYPE_CHECKING:
    from medvision.synthesis.images import Scale
    from medvision.synthesis.networks import Generator
    from medvision.synthesis.train import Trained

_DTYPE = "<f4"


def check_drawing(study: Study) -> None:
    """Refuse where no images are drawn.

    Raises:
        ConfigError: With the field that asks for them.
    """
    if not study.synthesise.is_on:
        raise ConfigError(
            "synthesise.generator: value must be gan for this step, got none.",
            "this study draws no images: go on with `medvision train`.",
        )


def write_drawn(
    step: Step,
    trained: "Trained",
    *,
    data: LearningData,
    wanted: Mapping[str, int],
    fold: int,
) -> None:
    """Draw the images of a fold and write them, every one marked as synthetic.

    Args:
        step: The running step; what is written is registered with it.
        trained: The generator.
        data: Names the classes and the shape.
        wanted: Class to images.
        fold: Whose train subjects the generator has seen.

    Raises:
        StorageError: The folder cannot be written, or its disk is full.
    """
    folder = step.layout.step(step.name)
    rows = list(list_drawn(data.classes, wanted, fold=fold, seed=step.study.synthesise.seed))
    shape = tuple(data.store.array.shape[1:])
    by = (trained.generator, trained.scale)
    write_array(step.write(folder / "images.npy"), by, rows, classes=data.classes, shape=shape)
    write_table(step.write(folder / "images.tsv"), rows, columns=SYNTHETIC_COLUMNS)
    sidecar = describe_drawn(
        step.study.synthesise,
        wanted,
        fold=fold,
        classes=data.classes,
        shape=(len(rows), *shape),
        generator_digest=hash_file(folder / "generator.safetensors"),
    )
    write_json(step.write(folder / "images.json"), sidecar)


def describe_drawn(
    section: SynthesiseSection,
    wanted: Mapping[str, int],
    *,
    fold: int,
    classes: Sequence[str],
    shape: tuple[int, ...],
    generator_digest: str,
) -> dict[str, JsonValue]:
    """Return the sidecar of a fold's images.

    Args:
        section: The settings that they were drawn with.
        wanted: Class to images.
        fold: Whose train subjects the generator has seen.
        classes: The study's classes, in their order.
        shape: (n, C, I, J[, K]) of all images.
        generator_digest: Sha256 of the generator's file.
    """
    return {
        "synthetic": True,
        "generator": section.generator,
        "generator_digest": generator_digest,
        "fold": fold,
        "seed": section.seed,
        "classes": list(classes),
        "n_images": dict(wanted),
        "shape": list(shape),
        "dtype": "float32",
        "space": "the study's preprocessed intensities, see preprocess/meta.json",
        "medvision_version": __version__,
        INTENDED_USE: RESEARCH_USE,
    }


def list_drawn(
    classes: Sequence[str], wanted: Mapping[str, int], *, fold: int, seed: int
) -> Iterator[dict[str, Cell]]:
    """Yield a row for each image, class by class, with the seed that it is drawn from.

    Args:
        classes: The study's classes, in their order.
        wanted: Class to images.
        fold: Whose train subjects the generator has seen.
        seed: `synthesise.seed`.
    """
    from medvision.runtime.seeds import derive_seed

    row = 0
    for label, name in enumerate(classes):
        for number in range(wanted[name]):
            yield {
                "image_id": name_image(fold, label, number=number),
                "row": row,
                "label": name,
                "seed": derive_seed("synthetic-image", seed, fold, label, number),
                "fold": fold,
                "synthetic": True,
            }
            row += 1


def write_array(
    path: Path,
    by: "tuple[Generator, Scale]",
    rows: Sequence[Mapping[str, Cell]],
    *,
    classes: Sequence[str],
    shape: tuple[int, ...],
) -> None:
    """Draw one image after another into a `.npy` file that can be mapped.

    With plain writes, as the array store: on a full disk a mapped page would kill the process.

    Args:
        path: The file.
        by: The generator, and its intensities.
        rows: As `list_drawn` yields them, or a table has them.
        classes: The study's classes, in their order.
        shape: (C, I, J[, K]) of one image.

    Raises:
        StorageError: The folder cannot be written, or its disk is full.
    """
    import numpy as np

    from medvision.runtime.progress import track
    from medvision.synthesis.sample import draw_image

    header = {"descr": _DTYPE, "fortran_order": False, "shape": (len(rows), *shape)}
    with writing(path) as temporary, temporary.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for row in track(rows, "drawing images", total=len(rows)):
            label, seed = classes.index(str(row["label"])), int(row["seed"] or 0)
            image = draw_image(*by, label=label, seed=seed)
            stream.write(image.astype(_DTYPE, copy=False).tobytes())


def check_sources_real(layout: Layout) -> None:
    """Refuse synthetic images among what a bundle is to vouch for as source data or as explained.

    Args:
        layout: Where the study lies.

    Raises:
        CohortError: One is in the manifest, in the cohort or among the explained images, or a
            table of synthetic images has lost its marks.
    """
    for path in (layout.manifest, layout.cohort, layout.array_index, layout.selection):
        if path.is_file():
            where = path.relative_to(layout.root).as_posix()
            check_real(read_table(path, required=("image_id",)), where=where)
    for path in sorted(layout.step("synthesise").glob("fold-*/images.tsv")):
        name = path.parent.relative_to(layout.root).as_posix()
        if read_record(layout, name) is None:
            continue
        check_marked(read_table(path), where=f"{name}/{path.name}")
        check_sidecar(path.with_suffix(".json"), where=f"{name}/images.json")


def check_sidecar(path: Path, *, where: str) -> None:
    """Refuse a sidecar that does not say what its images are.

    Args:
        path: The file.
        where: What it is called in a message.

    Raises:
        CohortError: It does not say that they are synthetic.
    """
    held = read_json(path)
    found = held.get("synthetic") if isinstance(held, dict) else None
    if found is not True:
        raise CohortError(
            f"{where}: synthetic must be true, got {found}.",
            f"run the step {where.rpartition('/')[0]} again; never edit its outputs.",
        )
