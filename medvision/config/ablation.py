"""The section of the ablation: what synthetic images add, on how many subjects."""

from typing import Annotated, Literal, Protocol

from pydantic import Field

from medvision.config.sections import AugmentSection, Section, Seed
from medvision.config.synthesise import SynthesiseSection

FEWEST_SEEDS = 5
"""Seeds that a claim needs; with fewer the result says so."""

MILD = AugmentSection(shift_voxels=2, rotate_degrees=10.0, zoom=0.1, gain=0.1)
"""Random changes of the classical variant where a study's own section changes nothing; no flips,
which only somebody who knows the anatomy can allow."""

Share = Annotated[float, Field(gt=0, le=1)]


class AblationSection(Section):
    """Trainings without and with synthetic images, which run wherever some are drawn."""

    run: Literal["auto", "off"] = Field(
        "auto",
        description="auto compares training without additions, with the changes of augment (mild "
        "ones where it has none), with synthetic images and with both, where synthesise.generator "
        "is set; off does not.",
    )
    shares: Annotated[tuple[Share, ...], Field(min_length=1)] = Field(
        (0.1, 0.25, 0.5, 1.0),
        description="Shares of a fold's train subjects, nested, drawn anew for each seed. The "
        "generator learns from the same share.",
    )
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = Field(
        (0, 1, 2, 3, 4),
        description="One generator per seed, share and fold, and four networks; a claim needs five "
        "or more.",
    )
    folds: Literal["all", "first"] = Field(
        "all", description="Test every subject, or those of the first fold alone, which costs less."
    )
    gate: Literal["obey", "ignore"] = Field(
        "obey",
        description="obey adds only images that the gate accepts, and none where it is shut; "
        "ignore adds all that were drawn. What the gate says is kept either way; its criterion of "
        "the explanations is not asked, which takes trainings of its own.",
    )
    seed: Seed = Field(43, description="Seed of the choice of train subjects.")

    def list_folds(self, n_fits: int) -> list[int]:
        """Return the trainings of the cohort that the ablation uses.

        Args:
            n_fits: Number of trainings that the cohort's folds make.
        """
        return [0] if self.folds == "first" else list(range(n_fits))


class Sections(Protocol):
    """Of the whole configuration, what is looked at here."""

    @property
    def augment(self) -> AugmentSection:
        """What is changed at random."""

    @property
    def synthesise(self) -> SynthesiseSection:
        """What is drawn."""

    @property
    def ablation(self) -> AblationSection:
        """What is compared."""


def is_ablated(study: Sections) -> bool:
    """Tell whether the study's synthetic images are held against none.

    Args:
        study: The whole configuration.
    """
    return study.synthesise.is_on and study.ablation.run == "auto"


def name_share(share: float) -> str:
    """Return a share's name in steps and folders."""
    return f"share-{share:g}"


def choose_changes(study: Sections) -> AugmentSection:
    """Return the random changes of the classical variant: the study's own, or mild ones.

    Args:
        study: The whole configuration.
    """
    return study.augment if any(dict(study.augment).values()) else MILD


def check_ablation(study: Sections) -> None:
    """Refuse shares or seeds that are named twice.

    Args:
        study: The whole configuration.

    Raises:
        ValueError: With the field and its rule; the configuration's own error is made of it.
    """
    for field in ("shares", "seeds"):
        values = getattr(study.ablation, field)
        if len(set(values)) < len(values):
            raise ValueError(f"ablation.{field} must each be named once, got {list(values)}")
