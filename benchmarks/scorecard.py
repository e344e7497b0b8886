"""The transfer scorecard on real radiographs and on phantoms, by the pipeline's own commands.

`pneumoniamnist`: SqueezeNet 1.1 with ImageNet weights on some train images of PneumoniaMNIST, its
validation and test images of the official split, enlarged to 64×64. Each image is a subject. Images
that are alike under two names are reported and let through, as the data set was published.
`phantom`: the small network on phantom volumes, from weights of the synthetic source task.

One rate, one schedule for all arms, set beforehand. Prints the finding, the table and the CPU
seconds of each command; the output folder holds the rest.
"""

import argparse
import csv
import os
import resource
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import yaml

from medvision.config.model import build_study

CODE = "from medvision.cli.main import main; main()"
SOURCE, FILE = "squeezenet1_1-imagenet-copy", "squeezenet1_1_imagenet_torchvision.pt"
N_OF_CLASS = {"train": 80, "val": 50, "test": 100}
SPLITS = {"train": "train", "val": "validation", "test": "test"}
SCORECARD = {"policies": ["linear", "full"], "seeds": [0, 1, 2, 3, 4], "folds": "first"}

Values = dict[str, dict[str, object]]


def write_radiographs(folder: Path, data: Path) -> Path:
    """Write the first images of each class and part as NIfTI; return the table of labels."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rows = []
    with np.load(data / "pneumoniamnist" / "pneumoniamnist.npz") as held:
        for part, n in N_OF_CLASS.items():
            images, labels = held[f"{part}_images"], held[f"{part}_labels"][:, 0]
            for index in np.concatenate([np.flatnonzero(labels == k)[:n] for k in (0, 1)]):
                name = f"{part}{index:05d}"
                grid = np.ascontiguousarray(images[index].T[:, :, np.newaxis])
                picture = nibabel.Nifti1Image(grid, np.diag([-1.0, -1.0, 1.0, 1.0]))
                picture.to_filename(folder / "images" / f"{name}.nii.gz")
                label = ("normal", "pneumonia")[labels[index]]
                rows.append((name, label, SPLITS[part], f"{name}.nii.gz"))
    path = folder / "labels.csv"
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([("subject", "label", "split", "image"), *rows])
    return path


def write_key(folder: Path) -> Path:
    """Write the secret of the pseudonyms, always the same: names decide who is drawn."""
    path = folder / "pseudonym.key"
    path.touch(mode=0o600)
    path.write_text(64 * "7" + "\n")
    return path


def configure_radiographs(folder: Path, data: Path) -> Values:
    """Return the settings of the study of radiographs, whose weights lie on a shelf of its own."""
    labels = write_radiographs(folder, data)
    os.environ["MEDVISION_WEIGHTS"] = str(folder / "shelf")
    run(["weights", "add", SOURCE, str(data / "weights" / FILE)])
    return {
        "data": {"kind": "nifti", "path": str(folder / "images"), "labels": str(labels)},
        "ingest": {"workers": 1, "key": str(write_key(folder))},
        "cohort": {"folds": 1, "on_leakage": "report"},
        "preprocess": {"intensity": "percentile", "sizing": "resize", "size": [64, 64, 1]},
        "model": {"backbone": "squeezenet1_1", "weights": "none"},
        "train": {"epochs": 8, "batch_size": 16, "learning_rate": 0.0005, "monitor": "auc"},
        "scorecard": {**SCORECARD, "sources": [SOURCE]},
    }


def configure_phantom() -> Values:
    """Return the settings of the phantom study: half of the subjects are tested."""
    return {
        "phantom": {"faults": False},
        "ingest": {"workers": 1},
        "cohort": {"folds": 2, "near_duplicates": "off"},
        "model": {"backbone": "small", "weights": "none"},
        "pretrain": {"images": 1200},
        "train": {"epochs": 8},
        "scorecard": {**SCORECARD, "sources": ["pretrain"], "fractions": [0.25, 1.0]},
    }


def run(arguments: list[str]) -> float:
    """Run one command of medvision in a process of its own; return its CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [
            sys.executable,
            "-c",
            CODE,
            *arguments,
        ],
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def list_commands(values: Values) -> list[list[str]]:
    """Return the commands up to the comparison."""
    study = build_study(values)
    names = ["ingest", "measure", "cohort", "preprocess"]
    names = [*(["phantom"] if study.data.kind == "phantom" else []), *names]
    names += ["pretrain"] if study.needs_pretraining else []
    jobs = [["scorecard", "--arm", arm.name, "--fold", "0"] for arm in study.scorecard.arms]
    return [*([name] for name in names), *jobs, ["compare"]]


def print_table(folder: Path) -> None:
    """Print score, difference and saving of each cell as Markdown."""
    tables = {}
    for name in ("scorecard", "differences", "savings"):
        with (folder / "compare" / f"{name}.tsv").open(newline="") as stream:
            rows = list(csv.DictReader(stream, delimiter="\t"))
        tables[name] = {(row["arm"], row["fraction"]): row for row in rows}
    print("| train subjects | arm | AUC | less scratch | p, Holm | scratch needs |")
    print("|---|---|---|---|---|---|")
    for key, row in sorted(tables["scorecard"].items(), key=lambda item: float(item[0][1])):
        gap, saving = tables["differences"].get(key, {}), tables["savings"].get(key, {})
        auc = "{auc:.3f} ({low:.3f} to {high:.3f}) ± {sd_over_seeds:.3f}".format(
            **{name: float(text) for name, text in row.items() if name not in ("arm",)}
        )
        less, p = "", ""
        if gap.get("low"):
            ends = [float(gap[name]) for name in ("difference", "low", "high")]
            less, p = "{:+.3f} ({:+.3f} to {:+.3f})".format(*ends), f"{float(gap['p_holm']):.2g}"
        words = saving.get("words", "").removeprefix("For that AUC scratch needs ")
        print(f"| {float(row['n_subjects']):g} | {key[0]} | {auc} | {less} | {p} | {words} |")


def main() -> None:
    """Run one study and print what it found and cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", choices=("pneumoniamnist", "phantom"))
    parser.add_argument("--out", type=Path, required=True, help="an empty folder")
    parser.add_argument("--data", type=Path, help="folder of pneumoniamnist/ and weights/")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    is_phantom = given.study == "phantom"
    if not is_phantom and given.data is None:
        parser.error("pneumoniamnist needs --data")
    values = configure_phantom() if is_phantom else configure_radiographs(given.out, given.data)
    values |= {"output": {"path": str(given.out / "results")}, "compute": {"device": "cpu"}}
    config = given.out / "config.yaml"
    config.write_text(yaml.safe_dump(values))
    seconds = {}
    for words in list_commands(values):
        seconds[" ".join(words)] = run([*words, "--config", str(config)])
    print_table(given.out / "results")
    for name, used_s in seconds.items():
        print(f"{name}: {used_s:.0f} CPU s")
    print(f"in all: {sum(seconds.values()):.0f} CPU s")


if __name__ == "__main__":
    main()
