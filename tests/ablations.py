"""Small ablations of synthetic images, for tests of what they compare and obey."""

from pathlib import Path

from click.testing import CliRunner
from toy_study import make_study

from medvision.cli.main import main
from medvision.io.tables import read_table
from medvision.layout import Layout

SHARES, SEEDS = (0.5, 1.0), (0, 1)
GAN = {
    "generator": "gan",
    "steps": 6,
    "checkpoint_steps": 2,
    "grid_steps": 2,
    "width": 8,
    "latent": 8,
    "batch_size": 4,
    "minimum_subjects": 3,
}


def make(root: Path, *, ablation=(), gan=(), **sections):
    """A study of 32 toy images in two folds that draws images."""
    values = {
        "evaluate": {"n_resamples": 200},
        "train": {"epochs": 1},
        "gate": {"repeats": 20},
        **sections,
    }
    return make_study(
        root / "results",
        n_images=32,
        spatial_dims=2,
        synthesise={**GAN, **dict(gan)},
        ablation={"shares": SHARES, "seeds": SEEDS, **dict(ablation)},
        **values,
    )


def call(study, *words: str):
    return CliRunner().invoke(main, [words[0], "--config", study.model_dump_json(), *words[1:]])


def ablate(study, share: float, fold: int = 0):
    return call(study, "ablate", "--share", f"{share:g}", "--fold", str(fold))


def run_all(study) -> None:
    for share in study.ablation.shares:
        for fold in study.ablation.list_folds(2):
            result = ablate(study, share, fold)
            assert result.exit_code == 0, f"{result.output}\n{result.exception}"
    result = call(study, "ablation")
    assert result.exit_code == 0, f"{result.output}\n{result.exception}"


def folder(study, share: float, fold: int = 0) -> Path:
    return Layout(study.output.path).step(f"ablate/share-{share:g}/fold-{fold}")


def read(study, share: float, name: str, fold: int = 0):
    return read_table(folder(study, share, fold) / f"{name}.tsv")
