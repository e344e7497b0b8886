"""A finished study's bundle that may be tampered with, and the levels of its audit."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medvision.audit.crosscheck import list_digests
from medvision.audit.findings import Check
from medvision.audit.manifest import parse_manifest
from medvision.cli._recompute.request import Request
from medvision.cli._recompute.scene import Scene, open_scene
from medvision.io.nifti.read import read_nifti
from medvision.io.nifti.write import write_nifti
from medvision.io.tables import read_table, write_table
from medvision.runtime.checkpoint import parse_meta, read_tensors, save_model

ALL = 99
"""More maps than a tiny study has."""


@dataclass(frozen=True)
class Audited:
    """A copy of a study's bundle, and the study that it was made of."""

    bundle: Path
    results: Path

    @property
    def study(self) -> Path:
        return self.bundle / "study"

    def request(self, *, sources="results", sample=ALL, seed=0) -> Request:
        manifest = parse_manifest((self.bundle / "manifest.json").read_bytes())
        folder = self.results if sources == "results" else sources
        return Request(lambda path: self.study / path, list_digests(manifest), folder, sample, seed)

    def open(self, **changes) -> Scene:
        return open_scene(self.request(**changes))

    def map_path(self, pair) -> Path:
        return self.study / "explain/maps" / pair[0] / f"{pair[1]}.nii.gz"

    def change_map(self, pair, change, *, shift_mm=0.0) -> None:
        """Rewrite a map, its geometry as it was unless it is shifted."""
        path = self.map_path(pair)
        image = read_nifti(path)
        grid = np.asarray(change(image.array.astype(np.float32)), dtype=np.float32)
        affine = image.affine.copy()
        affine[0, 3] += shift_mm
        write_nifti(path, grid, affine=affine, is_placed=image.is_placed)

    def change_rows(self, name, change, *, where) -> int:
        """Rewrite cells of the rows that answer; return how many there were."""
        path = self.study / name
        rows = read_table(path)
        hit = [row for row in rows if where(row)]
        new = [{**row, **change(row)} if where(row) else row for row in rows]
        write_table(path, new, columns=tuple(rows[0]))
        return len(hit)

    def change_json(self, name, change) -> None:
        path = self.study / name
        value = json.loads(path.read_text())
        change(value)
        path.write_text(json.dumps(value))

    def change_weight(self, case, factor) -> None:
        """Scale one of the smaller weights that lead to the logit that was explained."""
        path = self.study / f"train/{case.arm}/fold-{case.fold}/seed-{case.seed}/model.safetensors"
        tensors, text = read_tensors(path)
        meta = parse_meta(text, where=path.name)
        row = tensors["class_layers.out.weight"][meta.classes.index(case.target)]
        row[row.abs().argsort(descending=True)[int(0.8 * len(row))]] *= factor
        save_model(path, tensors, meta=meta)

    def silence_machine(self) -> None:
        """Make the record one of an unknown machine, to which the wider tolerance applies."""
        self.change_json("explain/record.json", lambda value: value["facts"].pop("machine", None))


def copy_bundle(results: Path, folder: Path) -> Audited:
    bundle = Path(shutil.copytree(results / "audit/bundle", folder / "bundle"))
    return Audited(bundle, results)


def find(checks: Sequence[Check], name: str) -> Check:
    (found,) = [check for check in checks if check.name == name]
    return found


def say(check: Check) -> str:
    return "\n".join(str(finding) for finding in check.findings)
