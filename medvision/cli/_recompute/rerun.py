"""The sampled cases of a bundle, explained again by the very entrance that the run used."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from medvision.audit.findings import Finding
from medvision.cli._recompute.attributions import describe_software
from medvision.cli._recompute.images import PluginError
from medvision.cli._recompute.request import Answer, MissingSourceError, draw_pairs
from medvision.cli._recompute.scene import Scene
from medvision.domain.geometry import Affine
from medvision.domain.volume import FloatGrid
from medvision.errors import MedvisionError

if TYPE_CHECKING:
    from medvision.explain.bench import Finished, Hands
    from medvision.explain.case import Case, CaseImage
    from medvision.explain.one import Explained


@dataclass(frozen=True)
class Rerun:
    """What came of the sampled cases.

    Args:
        finished: Those that could be explained again.
        hands: How their images and networks are got.
        findings: Sources that are not what the manifest says.
        missed: Sources that are not there, and what to do about it.
        notes: What a reader must know.
    """

    finished: "Sequence[Finished]"
    hands: "Hands"
    findings: Sequence[Finding]
    missed: Sequence[str]
    notes: Sequence[str]

    @property
    def explained(self) -> "list[Explained]":
        """The cases."""
        return [done.explained for done in self.finished]

    @property
    def names(self) -> set[str]:
        """Their images."""
        return {done.case.image_id for done in self.explained}

    def open_answer(self) -> Answer:
        """Return an answer that says already what could not be had."""
        return Answer([*self.findings], [*self.missed], [*self.notes])


def rerun_sample(scene: Scene) -> Rerun:
    """Explain the cases of the sampled maps again, by all methods and with all controls.

    Args:
        scene: The bundle's explanations, and what the auditor handed over.

    Raises:
        MedvisionError: A table of the bundle cannot be read.
    """
    from medvision.explain.bench import explain_cases
    from medvision.explain.network import reference_precision

    answer = Answer([], [], describe_software(scene.record))
    images = {image_id for image_id, _ in draw_pairs(scene.request)}
    # In the order of the selection, which some checks of the cohort depend on.
    chosen = [name for name in scene.cases if name in images]
    cases = [scene.cases[name] for name in chosen if _can_load(scene, name, answer=answer)]
    hands = _open_hands(scene)
    with reference_precision():
        finished, _ = explain_cases(cases, hands=hands, plan=scene.plan)
    return Rerun(finished, hands, answer.findings, answer.missed, answer.notes)


def _can_load(scene: Scene, image_id: str, *, answer: Answer) -> bool:
    """Say whether an image and its mask are there; where not, note why."""
    try:
        scene.load_image(scene.cases[image_id], with_mask=True)
    except (MissingSourceError, PluginError) as error:
        answer.missed.append(error.message.removesuffix("."))
        return False
    except MedvisionError as error:
        answer.findings.append(Finding(image_id, "source", "that of the manifest", error.message))
        return False
    return True


def _open_hands(scene: Scene) -> "Hands":
    """Return how images and networks are got, computed again and of the bundle; no map is kept."""
    import torch

    from medvision.explain.bench import Hands

    def load(case: "Case") -> "CaseImage":
        return scene.load_image(case, with_mask=True)

    def keep_no_map(image_id: str, method: str, *, grid: FloatGrid, affine: Affine) -> str:  # noqa: ARG001 - the signature of a writer
        return ""

    return Hands(load, scene.load_network, keep_no_map, torch.device("cpu"), scene.is_exclusive)
