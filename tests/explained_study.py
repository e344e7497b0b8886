"""A tiny study up to its predictions, made without training, to be explained."""

import json
from pathlib import Path

import numpy as np
import torch
from click.testing import CliRunner
from explain_nets import SIDE, make_lesion_image

from medvision import __version__
from medvision.cli._run import open_step
from medvision.cli.main import main
from medvision.config.model import Study, build_study
from medvision.domain.split import FOLD_COLUMNS
from medvision.io.nifti.write import write_nifti
from medvision.io.tables import write_table
from medvision.layout import Layout
from medvision.learn.backbones import build_backbone
from medvision.runtime.arrays import ARRAY_INDEX_COLUMNS
from medvision.runtime.checkpoint import ModelMeta, save_model
from medvision.runtime.files import hash_file, write_json

CLASSES = ("benign", "nodule")
N_IMAGES = 8
IMAGES = [f"sub-{n:010x}_img-{n:012x}" for n in range(N_IMAGES)]
TENSOR_AFFINE = np.diag([3.0, 3.0, 5.0, 1.0])
SOURCE_AFFINE = np.array([[0, 0, -5.0, 75], [-3.0, 0, 0, 45], [0, 3.0, 0, 0], [0, 0, 0, 1.0]])
"""The source's axes are j', k', i' of the array: a sagittal stack."""


def configure(root: Path, *, images=N_IMAGES) -> Study:
    return build_study(
        {
            "output": {"path": str(root)},
            "cohort": {"folds": 2},
            "model": {"weights": "none"},
            "train": {"compare_scratch": False},
            "compute": {"device": "cpu"},
            "explain": {
                "images": images,
                "steps": 8,
                "occlusion_window": [8, 8, 8],
                "occlusion_stride": [8, 8, 8],
                "random_orders": 10,
                "deletion_steps": 4,
            },
        }
    )


def write_study(root: Path) -> Study:
    """Write what explain reads, each file by the step that owns it."""
    study = configure(root)
    layout = Layout(root)
    _write_images(study, layout)
    for fold in (0, 1):
        for arm in study.arms:
            with open_step(layout.fold_step(arm, fold), study) as step:
                torch.manual_seed(fold)
                network = build_backbone("small", spatial_dims=3, channels=1, n_classes=2)
                meta = ModelMeta("small", 3, 1, CLASSES, __version__)
                path = step.write(layout.model(arm, fold, seed=0))
                save_model(path, network.state_dict(), meta=meta)
    with open_step("predict", study) as step:
        rows = [_predict(study.arms[0], n) for n in range(N_IMAGES)]
        write_table(step.write(layout.predictions), rows, columns=tuple(rows[0]))
    return study


def _write_images(study: Study, layout: Layout) -> None:
    """Write manifest, cohort with one mask, folds and arrays."""
    pairs = [make_lesion_image(n, positive=n % 2 == 1) for n in range(N_IMAGES)]
    labels = [CLASSES[n % 2] for n in range(N_IMAGES)]
    with open_step("ingest", study) as step:
        rows = [{"image_id": name, "geometry": "full"} for name in IMAGES]
        write_table(step.write(layout.manifest), rows, columns=("image_id", "geometry"))
        for name in IMAGES:
            sidecar = {
                "Shape": [SIDE] * 3,
                "SOPInstanceUIDs": [f"2.25.{k + 1}" for k in range(SIDE)],
                "FrameNumbers": [1] * SIDE,
                "SourceFiles": [f"file-{k + 1:012x}" for k in range(SIDE)],
            }
            write_json(step.write(layout.sidecar(name)), sidecar)
    with open_step("cohort", study) as step:
        mask = np.transpose(pairs[1][1].astype(np.uint8), (1, 2, 0))
        path = step.write(layout.mask(IMAGES[1]))
        write_nifti(path, mask, affine=SOURCE_AFFINE, is_placed=True)
        rows = [
            {"image_id": name, "label": label, "mask": "digest" if n == 1 else ""}
            for n, (name, label) in enumerate(zip(IMAGES, labels, strict=True))
        ]
        write_table(step.write(layout.cohort), rows, columns=("image_id", "label", "mask"))
        rows = [
            {
                "fold": fold,
                "repeat": 0,
                "part": fold,
                "inner": 0,
                "image_id": name,
                "subject": name.partition("_")[0],
                "label": labels[n],
                "split": ["train", "test"][n // 2 % 2 == fold],
            }
            for fold in (0, 1)
            for n, name in enumerate(IMAGES)
        ]
        write_table(step.write(layout.folds), rows, columns=FOLD_COLUMNS)
        summary = {"classes": list(CLASSES), "positive": "nodule"}
        write_json(step.write(layout.cohort_summary), summary)
    with open_step("preprocess", study) as step:
        np.save(step.write(layout.array_shard("1-of-1")), np.stack([array for array, _ in pairs]))
        rows = [
            {
                "row": row,
                "shard": "1-of-1",
                "image_id": name,
                "scale": 1,
                "offset": 0,
                "source_shape": "x".join([str(SIDE)] * 3),
                "source_affine": json.dumps(SOURCE_AFFINE.tolist()),
                "tensor_affine": json.dumps(TENSOR_AFFINE.tolist()),
            }
            for row, name in enumerate(IMAGES)
        ]
        write_table(step.write(layout.array_index), rows, columns=ARRAY_INDEX_COLUMNS)
        write_json(step.write(layout.array_meta), {"spatial_dims": 3, "channels": 1})


def _predict(arm: str, n: int) -> dict[str, str | int]:
    """A prediction row; the last two images are predicted wrongly."""
    label = CLASSES[n % 2]
    predicted = label if n < N_IMAGES - 2 else CLASSES[1 - n % 2]
    share = 0.8 if predicted == "nodule" else 0.2
    return {
        "arm": arm,
        "fold": n // 2 % 2,
        "repeat": 0,
        "part": n // 2 % 2,
        "inner": 0,
        "seed": 0,
        "split": "test",
        "image_id": IMAGES[n],
        "subject": IMAGES[n].partition("_")[0],
        "label": label,
        "predicted": predicted,
        "probability_benign": str(1 - share),
        "probability_nodule": str(share),
    }


def run(study: Study, folder: Path, *options: str):
    config = folder / "study.json"
    config.write_text(study.model_dump_json())
    planned = CliRunner().invoke(main, ["plan", "--config", str(config), "--quiet", *options])
    if planned.exit_code:
        return planned
    return CliRunner().invoke(main, ["explain", "--config", str(config), "--quiet", *options])


def digest_outputs(layout: Layout) -> dict[str, str]:
    folder = layout.step("explain")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in files}
