"""Which keys of the configuration a command reads, beside those that its rule hands it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import click
import pytest

from medvision.cli import _run
from medvision.config import model
from medvision.config.model import Study
from medvision.config.parts import list_keys
from medvision.config.sections import Section

SECTIONS = {field.annotation: name for name, field in Study.model_fields.items()}

NO_MATTER = {
    # Whoever asks where files lie is told how images are called, which these steps do not ask.
    *((step, "ingest", "compression") for step in ("phantom", "pull", "fetch")),
    # Whether a plug-in is there: asked early by hand, and by `preprocess` in any case.
    *(("ingest", "preprocess", name) for name in ("bias_field", "plugins")),
    # Of the steps it lists it leaves out the one that follows.
    ("audit", "publish", "target"),
}
"""Step, section and field that are read, and change nothing that the step writes."""


@contextmanager
def watching_keys() -> Iterator[set[str]]:
    """Yield what commands read that a job of theirs is not given; filled while they run here."""
    unheld: set[str] = set()
    given: dict[str, dict[str, set[str]]] = {}
    read, iterate = Section.__getattribute__, Section.__iter__
    load, build = _run.load_study, model.build_study

    def note(section: Section, names: set[str]) -> None:
        place, step = SECTIONS.get(type(section)), find_step()
        if place is None or step not in given:
            return
        held = given[step].get(place, set())
        unheld.update(
            f"{step}: {place}.{name}"
            for name in names - held
            if (step, place, name) not in NO_MATTER
        )

    def spy(self: Section, name: str) -> object:
        if name in type(self).model_fields:
            note(self, {name})
        return read(self, name)

    def spy_all(self: Section) -> object:
        note(self, set(type(self).model_fields))
        return iterate(self)

    def load_anew(*words: object, **how: object) -> Study:
        # What binds two sections is checked beforehand, on the whole configuration.
        given.clear()
        study = load(*words, **how)  # type: ignore[arg-type]  # as it was called
        keys = list_keys(study, find_step())
        # Who may read results is told to each job by a variable.
        keys["output"].add("umask")
        given[find_step()] = keys
        return study

    def build_unseen(values: Mapping[str, object]) -> Study:
        # With what a search chose: checked anew, which reads all and decides nothing.
        held = dict(given)
        given.clear()
        study = build(values)
        given.update(held)
        return study

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Section, "__getattribute__", spy)
        patch.setattr(Section, "__iter__", spy_all)
        patch.setattr(_run, "load_study", load_anew)
        patch.setattr(model, "build_study", build_unseen)
        yield unheld


def find_step() -> str:
    """Return the step whose command is running in this process; "" where none is."""
    context, names = click.get_current_context(silent=True), ["", ""]
    while context is not None:
        names.append(context.info_name or "")
        context = context.parent
    return names[-2]
