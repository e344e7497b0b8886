"""Two studies of findings, or of a value, on the same subjects, made from scores."""

from dataclasses import replace

import numpy as np

from medvision.domain.evaluation.sharing import StudyTest
from medvision.domain.labels.findings import name_findings
from medvision.domain.labels.rows import Classes

N = 60
NAMES = ("Effusion", "Nodule")
FINDINGS = Classes(NAMES, None, "multilabel")
AGE = Classes(("age",), None, "regression")


def place(n, split="test"):
    base = {"arm": "transfer", "repeat": "0", "inner": "0", "seed": "0", "split": split}
    base |= {name: str(n % 3) for name in ("fold", "part")}
    return base | {"image_id": f"{split}-{n:03d}", "subject": f"{split}-s{n:03d}"}


def make_values(name, *, noise, seed):
    """A study of the age of N subjects, an image each."""
    rng, true = np.random.default_rng(seed), np.random.default_rng(9).normal(60, 12, N)
    predicted = true + rng.normal(0, noise, N)
    rows = [
        place(n) | {"label": f"{true[n]:.3f}", "predicted": f"{predicted[n]:.9g}"} for n in range(N)
    ]
    return StudyTest(name, rows, {}, AGE)


def make_findings(name, *, noise, seed, unknown=()):
    """A study of two findings; the second is not known of the images `unknown`."""
    truth = np.random.default_rng(9).random((N, 2)) < 0.45
    rng, rows = np.random.default_rng(seed), []
    for split in ("test", "validation"):
        for n in range(N):
            there = [
                each
                for k, each in enumerate(NAMES)
                if truth[n, k] and not (k == 1 and n in unknown)
            ]
            row = place(n, split)
            row["label"] = name_findings(there, [NAMES[1]] if n in unknown else [])
            row["predicted"] = ""
            for k, each in enumerate(NAMES):
                odds = (1.2 if truth[n, k] else -1.2) + noise * rng.normal()
                row[f"logit_{each}"] = f"{odds:.9g}"
                row[f"probability_{each}"] = f"{1 / (1 + np.exp(-odds)):.9g}"
            rows.append(row)
    return StudyTest(name, rows, {}, FINDINGS)


def copy_images(study):
    """The planted fault's study: every image of every subject once more."""
    again = [{**row, "image_id": f"{row['image_id']}-again"} for row in study.rows]
    return replace(study, rows=[*study.rows, *again])
