"""The section of the transfer scorecard: which starts are compared, on how many subjects."""

import re
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from medvision.config.sections import Section, Seed
from medvision.runtime.files import hash_bytes

SCRATCH = "scratch"
FEWEST_SEEDS = 5
"""Seeds that a claim about a start needs; with fewer the result says so."""

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")

Share = Annotated[float, Field(gt=0, le=1)]
Policy = Literal["full", "partial", "linear", "gradual"]


@dataclass(frozen=True)
class ScorecardArm:
    """One start: what the network begins with, and what of it is trained.

    Args:
        name: Name in tables and folders.
        weights: As `model.weights`.
        policy: As `model.policy`.
    """

    name: str
    weights: str
    policy: Policy

    @property
    def is_scratch(self) -> bool:
        """Whether it begins with random weights."""
        return self.name == SCRATCH


class ScorecardSection(Section):
    """Comparison of starting weights with none at all, on shares of the train subjects."""

    sources: tuple[str, ...] = Field(
        (),
        description="Starting weights to compare with none, each as model.weights: pretrain, a "
        "name, a file, a study's folder. Without any there is no scorecard.",
    )
    policies: Annotated[tuple[Policy, ...], Field(min_length=1)] = Field(
        ("linear", "full"),
        description="What of each source's network is trained, each as model.policy.",
    )
    fractions: Annotated[tuple[Share, ...], Field(min_length=1)] = Field(
        (0.1, 0.25, 0.5, 1.0),
        description="Shares of a fold's train subjects, nested, drawn anew for each seed; each "
        "class keeps one subject.",
    )
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = Field(
        (0, 1, 2, 3, 4),
        description="One network per seed, share, arm and fold; a claim needs five or more.",
    )
    folds: Literal["all", "first"] = Field(
        "all", description="Test every subject, or those of the first fold alone, which costs less."
    )
    budget: Literal["steps", "epochs"] = Field(
        "steps",
        description="What is equal between shares: steps, so that an epoch passes over a tenth of "
        "the images ten times, or epochs, which costs less and leaves small shares less trained.",
    )
    seed: Seed = Field(17, description="Seed of the choice of train subjects.")

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        """Arms have names of their own, and scratch is not a source."""
        if "none" in self.sources:
            raise ValueError("sources must name weights, got none: scratch is always compared")
        for field in ("sources", "policies", "fractions", "seeds"):
            values = getattr(self, field)
            if len(set(values)) < len(values):
                raise ValueError(f"{field} must each be named once, got {list(values)}")
        names = [arm.name for arm in self.arms]
        if len(set(names)) < len(names):
            raise ValueError(f"sources must have names of their own, got {names}")
        return self

    @property
    def arms(self) -> tuple[ScorecardArm, ...]:
        """All arms, scratch first; none where there is no source.

        Scratch has the network form of the first source: how images enter it.
        """
        if not self.sources:
            return ()
        return (
            ScorecardArm(SCRATCH, self.sources[0], "full"),
            *(
                ScorecardArm(f"{_name(weights)}-{policy}", weights, policy)
                for weights in self.sources
                for policy in self.policies
            ),
        )

    def list_folds(self, n_fits: int) -> list[int]:
        """Return the trainings of the cohort that the scorecard uses.

        Args:
            n_fits: Number of trainings that the cohort's folds make.
        """
        return [0] if self.folds == "first" else list(range(n_fits))


def _name(weights: str) -> str:
    """Return a source's name; a path shows as the digest that records show for it."""
    if _PLAIN.fullmatch(weights):
        return weights
    return f"path-{hash_bytes(weights.encode())[:12]}"
