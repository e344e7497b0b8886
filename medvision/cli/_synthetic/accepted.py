"""The synthetic images that the gate let through, among the train images of their own fold."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from medvision.cli._run import Step
from medvision.cli._stale import say_again
from medvision.cli._synthetic.mix import Drawn, mix_images
from medvision.cli._synthetic.read import (
    IMAGES,
    TABLE,
    check_present,
    find_record,
    map_drawn,
    read_rows,
    read_written,
)
from medvision.cli._training.learning import LearningData
from medvision.config.model import Study
from medvision.domain.record import JsonValue, Record
from medvision.domain.synthesis.accepted import Chosen, choose_accepted
from medvision.domain.synthesis.synthetic import name_gate, name_step
from medvision.errors import DataError, StaleOutputError
from medvision.io.tables import read_table
from medvision.runtime.files import read_json

VERDICT = "gate.json"

_JUDGED = (IMAGES, TABLE)
"""What a gate must have read of its generator, to have judged these images and no others."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Accepted:
    """What a gate lets into the training of its fold.

    Args:
        drawn: The images; none where the gate is shut, or lets none through.
        chosen: Which they are, of how many.
        is_open: Whether the gate is open.
        reason: Why, in the gate's own words.
    """

    drawn: Drawn
    chosen: Chosen
    is_open: bool
    reason: str

    def say(self, classes: Sequence[str], *, n_real: int) -> str:
        """Return in words what is trained on.

        Args:
            classes: The study's classes.
            n_real: Real train images of the fold.
        """
        where = f"fold {self.chosen.fold}"
        if not self.is_open:
            return f"{where}: the gate is shut ({self.reason}); trained on real images alone"
        if not len(self.chosen):
            return f"{where}: the gate is open and accepts no image; trained on real images alone"
        told = ", ".join(f"{name} {n}" for name, n in self.chosen.count(classes).items())
        return (
            f"{where}: trained on {len(self.chosen)} synthetic images ({told}) beside {n_real} "
            f"real ones; the gate is open and refused {self.chosen.n_drawn - len(self.chosen)}"
        )


def describe_accepted(
    chosen: Chosen, classes: Sequence[str], *, is_open: bool, reason: str
) -> dict[str, JsonValue]:
    """Return what the record of a training says of its synthetic images; an audit asks it again.

    Args:
        chosen: Those that it was trained with.
        classes: The study's classes.
        is_open: Whether the gate is open.
        reason: Why, in the gate's own words.
    """
    return {
        "n_synthetic": {**chosen.count(classes)},
        "gate": {"is_open": is_open, "reason": reason},
    }


def list_added(study: Study, fold: int) -> tuple[str, ...]:
    """Return the steps that a training stands on for its synthetic images; none where it has none.

    Args:
        study: The configuration in force.
        fold: Number of the training.
    """
    return (name_step(fold), name_gate(fold)) if study.synthesise.is_taken else ()


def add_accepted(step: Step, data: LearningData, *, fold: int) -> LearningData:
    """Return the study's images with those that the gate accepts among the fold's train images.

    Args:
        step: The running training; what is read, and what came of it, is registered with it.
        data: The study's own images.
        fold: Number of the training.

    Returns:
        The same data, untouched, where the study takes no synthetic images.

    Raises:
        StaleOutputError: A file is not as its step wrote it, the gate judged other images, or one
            of both has seen another cohort or other arrays than lie there.
        CohortError: The tables of generator and gate do not tell of the same images.
        DataError: The images are not those of the tables, or cannot be read.
    """
    if not step.study.synthesise.is_taken:
        return data
    accepted = read_accepted(step, data, fold=fold)
    step.facts |= describe_accepted(
        accepted.chosen, data.classes, is_open=accepted.is_open, reason=accepted.reason
    )
    _log.info(accepted.say(data.classes, n_real=len(data.select(fold, "train"))))
    return mix_images(data, accepted.drawn, fold=fold)


def read_accepted(step: Step, data: LearningData, *, fold: int) -> Accepted:
    """Read what the gate of a fold lets through, and hold it against what the generator wrote.

    Args:
        step: The running step, which stands on generator and gate; what is read is registered.
        data: Names the classes, and the shape of an image.
        fold: Number of the training.

    Raises:
        StaleOutputError, CohortError, DataError: As `add_accepted`.
    """
    drawn_by, judged_by = (find_record(step, name) for name in (name_step(fold), name_gate(fold)))
    drawn = read_rows(step, data, record=drawn_by, fold=fold)
    check_present(step, judged_by)
    _check_judged(drawn_by, judged_by)
    verdict = read_json(read_written(step, judged_by, VERDICT))
    held = verdict if isinstance(verdict, dict) else {}
    if not isinstance(held.get("is_open"), bool):
        raise DataError(
            f"{judged_by.step}/{VERDICT}: is_open must be true or false, got "
            f"{held.get('is_open')}.",
            say_again(judged_by.step),
        )
    chosen = choose_accepted(
        drawn,
        read_table(read_written(step, judged_by, TABLE)),
        is_open=held["is_open"] is True,
        fold=fold,
        classes=data.classes,
    )
    images = map_drawn(step, data, record=drawn_by, n_images=chosen.n_drawn)
    # A copy of those kept only where some are not; else they stay on the disk, mapped.
    kept = images if len(chosen) == chosen.n_drawn else images[list(chosen.rows)]
    return Accepted(
        drawn=Drawn(kept, chosen.names, chosen.labels),
        chosen=chosen,
        is_open=held["is_open"] is True,
        reason=str(held.get("reason", "")),
    )


def _check_judged(drawn_by: Record, judged_by: Record) -> None:
    """Refuse a verdict on other images than those that lie there."""
    for name in _JUDGED:
        path = f"{drawn_by.step}/{name}"
        if judged_by.reads.get(path) != drawn_by.writes.get(path):
            raise StaleOutputError(
                f"{judged_by.step}: verdict must be on the images of {drawn_by.step}, got one on "
                f"another {name}.",
                say_again(judged_by.step),
            )
