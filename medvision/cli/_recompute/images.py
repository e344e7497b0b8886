"""Source pixels sent through preprocessing again, by the settings that a bundle records."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from medvision.audit.findings import Finding
from medvision.cli._extensions import find_passed_by
from medvision.cli._images import INVERTED, Images, is_external
from medvision.cli._recompute.request import Request
from medvision.cli._recompute.sealed import read_parameters
from medvision.config.preprocess import PreprocessSection
from medvision.domain.geometry import Affine
from medvision.domain.record import JsonValue
from medvision.domain.volume import FloatVolume, parse_shape
from medvision.errors import AuditError
from medvision.io.tables import Row, read_table
from medvision.layout import Layout
from medvision.runtime.files import hash_fast, read_json

if TYPE_CHECKING:
    from medvision.preprocess.encoding import Dtype
    from medvision.preprocess.recipe import Recipe
    from medvision.preprocess.voi import Display

INDEX = "preprocess/index.tsv"


class PluginError(AuditError):
    """Arrays went through code of the user's own, which an audit never runs."""


@dataclass(frozen=True)
class Prepared:
    """One source image, preprocessed again.

    Args:
        array: (C, I, J[, K]) float32, as readers of the store see it.
        tensor_affine: (4, 4) of the array, RAS+ mm.
        source_affine: (4, 4) of the source.
        source_shape: Voxels (i, j, k) of the source.
        findings: What the table of arrays says otherwise of geometry.
        is_same: The array has the digest that the table says, to the bit.
    """

    array: FloatVolume
    tensor_affine: Affine
    source_affine: Affine
    source_shape: tuple[int, int, int]
    findings: tuple[Finding, ...]
    is_same: bool


class Preparation:
    """The preprocessing of a bundle, ready for any of its images."""

    def __init__(self, request: Request) -> None:
        """Read settings and tables.

        Raises:
            PluginError: A plug-in is among the settings.
            MedvisionError: A file is missing or cannot be read.
        """
        parameters = read_parameters(request.locate, "preprocess")
        section = PreprocessSection.model_validate(parameters["preprocess"])
        if section.plugins:
            raise PluginError(
                f"arrays went through the plug-in {section.plugins[0]}, and code is never run"
            )
        meta = cast(Mapping[str, JsonValue], read_json(request.locate("preprocess/meta.json")))
        self._dtype = cast("Dtype", meta["dtype"])
        self._rows = {row["image_id"]: row for row in read_table(request.locate(INDEX))}
        dimensions = cast(Mapping[str, JsonValue], parameters["data"])["dimensions"]
        self._images = _describe_images(request, dimensions=dimensions)
        self._request = request
        self._recipe = self._build_recipe(section)

    def prepare(self, image_id: str) -> Prepared:
        """Send one source image through the pipeline, and hold it against the table of arrays.

        Raises:
            MissingSourceError: The image is not in the auditor's folder.
            OtherSourceError: It is another image.
            UnusableImageError: Nothing can be made of it.
            LookupError: The table has no row of it.
        """
        from medvision.domain.volume import format_shape
        from medvision.preprocess.encoding import decode, encode
        from medvision.preprocess.recipe import run_one
        from medvision.preprocess.rows import format_affine

        held = self._rows[image_id]
        source, result, plan = run_one(image_id, self._recipe)
        array = result.array if plan.spatial_dims == 3 else result.array[..., 0]
        encoded = encode(array, self._dtype)
        i, j, k = source.array.shape[1:]
        found = {
            "source_shape": format_shape((i, j, k)),
            "source_affine": format_affine(source.affine),
            "tensor_affine": format_affine(result.affine),
            "shape": format_shape(array.shape),
        }
        return Prepared(
            array=decode(encoded),
            tensor_affine=np.array(json.loads(found["tensor_affine"])),
            source_affine=np.array(json.loads(found["source_affine"])),
            source_shape=(i, j, k),
            findings=tuple(
                Finding(f"{INDEX} {image_id}", name, f"{value}, computed again", held[name])
                for name, value in found.items()
                if not _is_same_geometry(value, held[name])
            ),
            is_same=hash_fast(encoded.array.tobytes()) == held["digest"],
        )

    def _build_recipe(self, section: PreprocessSection) -> "Recipe":
        """Return how the images are computed; nothing is kept or stored."""
        from medvision.cli.preprocess import build_section_plan
        from medvision.preprocess.recipe import Recipe

        plan = build_section_plan(section, self._images)
        return Recipe(
            load=self._load,
            find_display=self._find_display,
            passed_by=find_passed_by(self._images, plan),
            plan=plan,
            dtype=section.dtype,
            max_rounding=section.max_rounding,
            keep_after=None,
            journal=Path(),
            kept=Path(),
        )

    def _load(self, image_id: str) -> tuple[FloatVolume, Affine]:
        """Read a source image whose digest is that of the manifest."""
        from medvision.io.nifti.read import read_nifti
        from medvision.preprocess.channels import put_channels_first

        path = self._request.find_source(self._request.name_image(image_id))
        image = read_nifti(path)
        is_inverted = image_id in self._images.inverted
        return (
            put_channels_first(image.array, is_colour=image.is_colour, is_inverted=is_inverted),
            image.affine,
        )

    def _find_display(self, image_id: str) -> "Display | None":
        """Return what an image's sidecar asks for, where it has a window or table."""
        from medvision.domain.voi import decode_voi
        from medvision.preprocess.voi import Display

        if image_id not in self._images.shown:
            return None
        path = self._request.find_source(f"ingest/images/{image_id}.json")
        sidecar = cast(Mapping[str, JsonValue], read_json(path))
        return Display(
            decode_voi(sidecar.get("VOI")), is_inverted=image_id in self._images.inverted
        )


def _describe_images(request: Request, *, dimensions: JsonValue) -> Images:
    """Return what the plan of the cohort depends on, by its tables alone."""
    from medvision.preprocess.dimensions import choose_dimensions

    cohort = read_table(request.locate("cohort/cohort.tsv"), required=("image_id", "shape"))
    shapes = {row["image_id"]: parse_shape(row["shape"]) for row in cohort}
    spatial_dims, others = choose_dimensions(
        shapes,
        dimensions=cast(int, dimensions),  # type: ignore[arg-type]  # auto, 2 or 3, as recorded
        uncounted=frozenset(row["image_id"] for row in cohort if is_external(row)),
    )
    rejects = read_table(request.locate("preprocess/rejects.tsv"))
    gone = {row["image_id"] for row in rejects if row["reason"] == "other-channels"}
    held = shapes.keys() - gone - {rejection.image_id for rejection in others}
    manifest = read_table(request.locate("ingest/manifest.tsv"), required=("image_id", "flags"))
    return Images(
        layout=Layout(Path()),
        kept=tuple(sorted(held)),
        digests=request.digests,
        inverted=frozenset(r["image_id"] for r in manifest if INVERTED in r["flags"].split(",")),
        shown=frozenset(r["image_id"] for r in manifest if r.get("voi")) & held,
        modality={r["image_id"]: _read_modality(r) for r in manifest if r["image_id"] in held},
        spatial_dims=spatial_dims,
        channels=1,
        rejections=(),
    )


def _read_modality(row: Row) -> str:
    """Return an image's modality."""
    return row.get("modality", "unknown")


def _is_same_geometry(wanted: str, held: str) -> bool:
    """Compare a shape, or an affine to what its last digits may differ in from machine to machine.

    An affine of nine digits may differ in the last.
    """
    if wanted == held or not wanted.startswith("["):
        return wanted == held
    one, other = np.array(json.loads(wanted)), np.array(json.loads(held))
    return one.shape == other.shape and bool(np.allclose(one, other, rtol=1e-7, atol=1e-7))
