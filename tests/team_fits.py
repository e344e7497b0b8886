"""A training by several processes, each forked from this one with its rank in the environment.

Each case is a training of toy images; alone (no WORLD_SIZE) the same cases train in one process.
"""

import itertools
import os
import signal
import socket
import traceback
from pathlib import Path

import numpy as np
import torch
from children import wait
from fits import examples, fit
from toy_study import make_images

from medvision.augment.batch import apply_parameters, draw_parameters
from medvision.errors import MedvisionError
from medvision.learn.backbones import blocks, build_backbone
from medvision.learn.epochs import State
from medvision.learn.freezing import Freezing
from medvision.learn.norms import apart, share_norms
from medvision.runtime.team import NAMES, join_team

AUGMENT = {
    "flip_axes": (0,),
    "shift_voxels": 2,
    "rotate_degrees": 10.0,
    "zoom": 0.1,
    "noise_sd": 0.05,
    "gain": 0.1,
}


def change(images, generator, share=None):
    n_images = len(images) if share is None else share.n_images
    drawn = draw_parameters(generator, n_images=n_images, spatial_dims=2, **AUGMENT)
    return apply_parameters(images, drawn, rows=None if share is None else share.rows)


def build(name):
    torch.manual_seed(0)
    if name == "plain":
        return torch.nn.Sequential(
            torch.nn.Conv2d(1, 4, 3, stride=2),
            torch.nn.ReLU(),
            torch.nn.AdaptiveAvgPool2d(1),
            torch.nn.Flatten(),
            torch.nn.Linear(4, 2),
        )
    return build_backbone(name, spatial_dims=2, channels=1, n_classes=2)


def train(name, team, **changes):
    """17 images in eights leave one, which joins the step before; 10 leave a step of two."""
    n_images = changes.pop("n_images", 17)
    images = examples(*make_images(n_images, seed=0, spatial_dims=2))
    # Labels of unequal numbers: a mean of the processes' means would not be the step's.
    skewed = examples(images.arrays, images.labels * (images.rows % 3 == 1))
    freezing = Freezing((("0",),) if name == "plain" else blocks(name), "full")
    settings = {
        "freezing": freezing,
        "epochs": 2,
        "imbalance": "weights",
        "transform": change,
        "team": team,
        "model": build(name),
        **changes,
    }
    return fit(skewed, images, **settings)


def refuse(team, out):
    """An image that is no number lies in the last process's share alone."""
    images = examples(*make_images(8, seed=0, spatial_dims=2))
    images.arrays[7] = np.nan
    return fit(
        images,
        images,
        model=build("plain"),
        freezing=Freezing((("0",),), "full"),
        imbalance="none",
        team=team,
    )


def leave_apart(team, out):
    """The norms look at their own process's images alone."""
    model = build("small")
    share_norms(model, team)
    with apart(model):
        return train("small", team, model=model, optimizer="sgd", ema=0.9)


def stop(team, out):
    """SIGTERM comes to one process alone, and all go on later; dropout is drawn by each."""
    whole = train("efficientnet_b0", team)
    if team.is_first:
        torch.save({"tensors": whole.tensors, "history": list(whole.history)}, out / "whole-0.pt")
    asked = itertools.count()
    state = State(out / "state.pt", "digest")
    try:
        train(
            "efficientnet_b0",
            team,
            state=state,
            should_stop=lambda: team.rank == team.size - 1 and next(asked) >= 1,
        )
    except MedvisionError as error:
        (out / f"stop-{team.rank}.txt").write_text(f"{error.exit_code} {error.message}")
    return train("efficientnet_b0", team, state=state)


def fail(team, out):
    """One process dies between two steps."""

    def die():
        if team.rank == team.size - 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return False

    return train("small", team, should_stop=die)


CASES = {
    "plain": lambda team, _: train("plain", team, optimizer="sgd", clip_norm=0.5),
    "norm": lambda team, _: train("small", team, optimizer="sgd", ema=0.9),
    "idle": lambda team, _: train("small", team, optimizer="sgd", n_images=10),
    "passes": lambda team, _: train("small", team, optimizer="sgd", accumulation=2),
    "again": leave_apart,
    "refuse": refuse,
    "stop": stop,
    "fail": fail,
}


def run_cases(out: Path, names: tuple[str, ...]) -> None:
    """Train each case as the process of the team that the environment names."""
    torch.set_num_threads(1)
    with join_team() as team:
        for name in names:
            try:
                result = CASES[name](team, Path(out))
            except MedvisionError as error:
                Path(out, f"{name}-{team.rank}.txt").write_text(f"{error.exit_code} {error}")
                if name == "fail":
                    raise SystemExit(error.exit_code) from error
                continue
            held = {"tensors": result.tensors, "history": list(result.history)}
            torch.save(held, Path(out, f"{name}-{team.rank}.pt"))


def run_team(out, *cases, size):
    """Run cases by processes that wait for each other, and return their exit codes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    children = []
    for rank in range(size):
        ranks = (rank, size, rank, "127.0.0.1", port)
        own = dict(zip(NAMES, map(str, ranks), strict=True)) if size > 1 else {}
        if not (child := os.fork()):
            _end_as(own, out, cases)
        children.append(child)
    return [wait(child) for child in children]


def _end_as(ranks, out, cases) -> None:
    """Run the cases in this child, and end with their exit code."""
    code: object = 1
    try:
        for name in NAMES:
            os.environ.pop(name, None)
        os.environ.update(ranks)
        run_cases(Path(out), cases)
        code = 0
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 - whatever it is, the child ends here
        traceback.print_exc()
    finally:
        os._exit(code if isinstance(code, int) else 1)
