"""What preprocessing reads, written without the earlier commands; and the command run on it."""

import json

import numpy as np
from click.testing import CliRunner, Result

from medvision.cli._run import open_step
from medvision.cli.main import main
from medvision.config.model import load_study
from medvision.io.nifti.write import as_colour, write_nifti
from medvision.io.tables import write_table
from medvision.layout import Layout
from medvision.runtime.arrays import read_array_store

SIZE = "preprocess.size=[10, 10, 6]"


def make_image(number, *, shape=(12, 11, 5)):
    rng = np.random.default_rng(number)
    affine = np.diag([-3.0, -3.0, 6.0, 1.0])
    affine[:3, 3] = [40.0 + number, 30.0, -60.0]
    return rng.normal(-400, 300, size=shape).astype(np.float32), affine


def write_upstream(root, images, *, labels=("no", "yes"), flags=()):
    """Write what preprocessing reads; a last axis of 3 makes an image colour."""
    study = load_study(json.dumps({"output": {"path": str(root)}}))
    layout = Layout(root)
    with open_step("ingest", study) as step:
        for image_id, (grid, affine) in images.items():
            array = as_colour(grid) if is_colour(grid) else grid
            write_nifti(step.write(layout.image(image_id)), array, affine=affine, is_placed=True)
        manifest = [
            {
                "image_id": name,
                "flags": dict(flags).get(name, ""),
                "shape": "x".join(map(str, grid.shape[:3])),
            }
            for name, (grid, _) in images.items()
        ]
        write_table(step.write(layout.manifest), manifest, columns=("image_id", "flags", "shape"))
    with open_step("cohort", study) as step:
        rows = [
            {
                "image_id": image_id,
                "label": labels[number % len(labels)],
                "shape": "x".join(map(str, grid.shape[:3])),
            }
            for number, (image_id, (grid, _)) in enumerate(images.items())
        ]
        write_table(step.write(layout.cohort), rows, columns=("image_id", "label", "shape"))


def is_colour(grid):
    return grid.ndim == 4


def preprocess(root, *overrides, arguments=()) -> Result:
    values = [f"output.path={root}", SIZE, *overrides]
    settings = [part for value in values for part in ("--set", value)]
    return CliRunner().invoke(main, ["preprocess", *settings, *arguments])


def read_store(root):
    layout = Layout(root)
    return read_array_store([layout.array_shard("1-of-1")], layout.array_index, layout.array_meta)
