"""Which keys of the user's configuration the job of each step is given: those it stands on."""

from collections.abc import Iterator, Mapping

from medvision.config.model import Study

_AFTER: dict[str, tuple[str, ...]] = {
    "ingest": ("phantom", "pull", "fetch"),
    "measure": ("ingest",),
    "cohort": ("measure",),
    "preprocess": ("cohort",),
    "pretrain": ("preprocess",),
    "tune": ("pretrain",),
    "synthesise": ("preprocess",),
    "gate": ("synthesise", "tune"),
    "train": ("tune", "gate"),
    "predict": ("train",),
    "evaluate": ("predict",),
    "plan": ("predict",),
    "explain": ("plan",),
    "scorecard": ("pretrain",),
    "compare": ("scorecard",),
    "control": ("tune",),
    "shortcuts": ("predict", "control"),
    "ablate": ("pretrain",),
    "ablation": ("ablate",),
    "report": ("evaluate", "explain", "compare", "shortcuts", "gate", "ablation"),
    "audit": ("report",),
    "publish": ("audit",),
}
"""Step to those whose files or settings it stands on, where a study has them."""

_ALWAYS = ("data", "output")


def select_config(
    config: Mapping[str, Mapping[str, object]], study: Study, step: str
) -> dict[str, dict[str, object]]:
    """Return the part of a user's configuration that a step stands on.

    A change in it reruns the step and what follows; a change elsewhere does not.

    Args:
        config: The user's own values; what is left out has its default.
        study: The same, checked.
        step: Its name, without places, such as `train`.
    """
    keys = list_keys(study, step)
    chosen = {
        name: {key: value for key, value in config[name].items() if key in keys[name]}
        for name in sorted(keys.keys() & config.keys())
    }
    return {name: values for name, values in chosen.items() if values}


def list_keys(study: Study, step: str) -> dict[str, set[str]]:
    """Return the fields of each section that a step stands on.

    Args:
        study: The configuration in force.
        step: Its name, without places.
    """
    keys = {name: set(Study.list_fields(name)) for name in _ALWAYS}
    for earlier in sorted(_list_earlier(study, step)):
        for section, fields in Study.list_keys(earlier).items():
            keys[section] = keys.get(section, set()) | fields
    for section, more in _list_besides(study, step):
        keys[section] = keys.get(section, set()) | more
    # Who may read results is told by a variable: a change of it computes nothing again.
    keys["output"].discard("umask")
    return keys


def _list_earlier(study: Study, step: str) -> set[str]:
    """Return a step and all that it stands on."""
    found = {step}
    for earlier in _AFTER.get(step, ()):
        # Images that no network sees are nothing to it.
        is_seen = earlier != "gate" or step != "train" or study.synthesise.is_taken
        found |= _list_earlier(study, earlier) if is_seen else set()
    return found - (set() if study.needs_pretraining else {"pretrain"})


def _list_besides(study: Study, step: str) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield what a command reads besides, and those that follow do not."""
    if step == "plan":
        # Its signature needs the key; what is planned does not.
        yield "audit", Study.list_fields("audit")
    if step in ("explain", "report", "audit"):
        # Which steps there are; no result depends on it.
        yield "explain", frozenset({"shards"})
    if step in ("pull", "fetch"):
        # Their tables bear pseudonyms.
        yield "ingest", frozenset({"key"})
    if step == "pretrain" and study.model.weights != "pretrain":
        # Then it is the scorecard that asks for it.
        yield "scorecard", frozenset({"sources"})
