"""Whether synthetic images help on few labels: PneumoniaMNIST through the ordinary commands.

As many images of each class are drawn of the published train part, and are all the labels there
are; validation images are drawn of the published validation part without those that equal a train
image, and all published test images are tested. They are written as NIfTI with a table of labels,
and taken through ingest, measure, cohort, preprocess, ablate and ablation: shares of 10, 25, 50 and
100 % of the labelled images, five seeds, for each a generator, its gate and four networks. An
interrupted run goes on when it is called again with the same options.

The network, its epochs and the generator's width and steps are those of the options, fixed before
the test images were looked at; nothing is chosen by the table that is printed.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from medvision.io.tables import read_table, write_table
from medvision.layout import Layout

CLASSES = ("normal", "pneumonia")
SPLITS = {"train": "train", "val": "validation", "test": "test"}
VALIDATION = 200
MAIN = "from medvision.cli.main import main; main()"

Part = list[tuple[str, int]]
"""(part of the published file, index in it)."""


def choose(path: Path, labelled: int) -> Part:
    """Draw the labelled images and the validation images, as many of each class, and all tested."""
    rng = np.random.default_rng(0)
    with np.load(path) as data:
        held = {name: data[name] for name in data}
    known = {image.tobytes() for image in held["train_images"]}
    fresh = [image.tobytes() not in known for image in held["val_images"]]
    chosen: Part = []
    for part, n, usable in (
        ("train", labelled, np.ones(len(held["train_labels"]), bool)),
        ("val", VALIDATION, np.array(fresh)),
    ):
        for label in range(len(CLASSES)):
            rows = np.flatnonzero((held[f"{part}_labels"][:, 0] == label) & usable)
            drawn = rng.choice(rows, n // len(CLASSES), replace=False)
            chosen += [(part, int(row)) for row in np.sort(drawn)]
    return chosen + [("test", row) for row in range(len(held["test_labels"]))]


def write_images(path: Path, folder: Path, chosen: Part) -> None:
    """Write images as NIfTI planes, and the table of labels."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rows = []
    with np.load(path) as data:
        held = {name: data[name] for name in data}
    for part, n in chosen:
        name = f"{part}{n:05d}"
        pixels: NDArray[np.uint8] = held[f"{part}_images"][n]
        # Columns run to the left, rows to the back.
        plane = np.ascontiguousarray(pixels.T[:, :, np.newaxis])
        image = nib.Nifti1Image(plane, np.diag([-1.0, -1.0, 1.0, 1.0]))
        nib.save(image, folder / "images" / f"{name}.nii.gz")
        label = CLASSES[int(held[f"{part}_labels"][n, 0])]
        row = {"subject": name, "label": label, "split": SPLITS[part], "image": f"{name}.nii.gz"}
        rows.append(row)
    write_table(folder / "labels.tsv", rows, columns=tuple(rows[0]))


def configure(folder: Path, options: argparse.Namespace) -> Path:
    """Write the study's configuration; return its path."""
    checkpoint = min(250, options.steps)
    values = {
        "output": {"path": str(folder / "results")},
        "data": {
            "kind": "nifti",
            "path": str(folder / "images"),
            "labels": str(folder / "labels.tsv"),
            "positive": "pneumonia",
        },
        "ingest": {"workers": 1},
        # The published parts hold near copies; they are counted and stay where they are.
        "cohort": {"folds": 1, "on_leakage": "report"},
        "preprocess": {"intensity": "percentile", "size": [28, 28, 1]},
        "model": {"weights": "none"},
        "train": {"epochs": options.epochs, "batch_size": 32, "learning_rate": 0.003},
        "compute": {"device": "cpu", "threads": 1},
        "synthesise": {
            "generator": "gan",
            "steps": options.steps,
            "width": options.width,
            "checkpoint_steps": checkpoint,
            "grid_steps": checkpoint,
        },
        "ablation": {
            "shares": options.shares,
            "seeds": list(range(options.seeds)),
            "folds": "first",
            "gate": options.gate,
        },
    }
    path = folder / "config.json"
    path.write_text(json.dumps(values, indent=1))
    return path


def run(config: Path, *words: str) -> None:
    """Run one command in a process of one thread, its log beside the configuration."""
    name = "-".join(word.strip("-") for word in words)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", MAIN, *words, "--config", str(config)]
    start = time.monotonic()
    with (config.parent / f"{name}.log").open("ab") as log:
        subprocess.run(command, stdout=log, stderr=log, check=True, env=environment)
    print(f"{' '.join(words)}: {time.monotonic() - start:.0f} s", flush=True)


def run_all(config: Path, shares: Sequence[float], *, jobs: int) -> Layout:
    """Run what is not done yet, the ablation's jobs side by side."""
    layout = Layout(config.parent / "results")
    for step in ("ingest", "measure", "cohort", "preprocess"):
        if not layout.record(step).is_file():
            run(config, step)
    due = [share for share in shares if not layout.record(_name(share)).is_file()]
    with ThreadPoolExecutor(jobs) as pool:
        # The largest first: all take as many steps.
        found = [
            pool.submit(run, config, "ablate", "--share", f"{share:g}", "--fold", "0")
            for share in sorted(due, reverse=True)
        ]
        for each in found:
            each.result()
    run(config, "ablation")
    return layout


def _name(share: float) -> str:
    """Return the step of a share."""
    return f"ablate/share-{share:g}/fold-0"


def report(layout: Layout) -> None:
    """Print the tables as Markdown, and the sentences."""
    folder = layout.step("ablation")
    facts = json.loads((folder / "ablation.json").read_text())
    print("\n| share | variant | train subjects | AUC | 95 % interval | sd over seeds |")
    print("|---|---|---|---|---|---|")
    for row in read_table(folder / "scores.tsv"):
        auc, low, high, sd = (_show(row[name]) for name in ("auc", "low", "high", "sd_over_seeds"))
        share = f"{100 * float(row['fraction']):g} %"
        n_subjects = f"{float(row['n_subjects']):g}"
        print(f"| {share} | {row['variant']} | {n_subjects} | {auc} | {low} to {high} | {sd} |")
    print("\n| share | added | to | difference | 95 % interval | p, Holm | ahead | verdict |")
    print("|---|---|---|---|---|---|---|---|")
    for row in read_table(folder / "differences.tsv"):
        cells = [f"{100 * float(row['fraction']):g} %", row["added"], row["to"]]
        cells += [_show(row["difference"]), f"{_show(row['low'])} to {_show(row['high'])}"]
        cells += [_show(row["p_holm"]), f"{row['n_seeds_ahead']} of {row['n_seeds']}"]
        print(f"| {' | '.join([*cells, row['verdict']])} |")
    print("\n| share | generators | gate open | kept shut by | drawn | refused | added |")
    print("|---|---|---|---|---|---|---|")
    for row in facts["added"]:
        shut = ", ".join(f"{own['criterion']} {own['n_generators']}" for own in row["shut_by"])
        cells = [f"{100 * row['fraction']:g} %", row["n_generators"], row["n_open"], shut]
        cells += [row[name] for name in ("n_drawn", "n_refused", "n_added")]
        print(f"| {' | '.join(map(str, cells))} |")
    print("\n" + "\n".join(facts["sentences"]))


def _show(text: str) -> str:
    """Return a number with three decimals; a dash where there is none."""
    return f"{float(text):.3f}" if text else "–"


def main() -> None:
    """Make the study, run it and print its table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path, help="pneumoniamnist.npz, 28×28")
    parser.add_argument("--labelled", type=int, default=300, help="train images, half of a class")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.1, 0.25, 0.5, 1.0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1500, help="of the generator")
    parser.add_argument("--width", type=int, default=16, help="of the generator")
    parser.add_argument("--epochs", type=int, default=20, help="of each network")
    parser.add_argument("--gate", choices=("obey", "ignore"), default="obey")
    parser.add_argument("--jobs", type=int, default=2, help="shares at once, a thread each")
    parser.add_argument("--folder", type=Path, default=Path("ablation"))
    options = parser.parse_args()
    folder = options.folder.resolve()
    if not (folder / "labels.tsv").is_file():
        write_images(options.file, folder, choose(options.file, options.labelled))
    report(run_all(configure(folder, options), options.shares, jobs=options.jobs))


if __name__ == "__main__":
    main()
