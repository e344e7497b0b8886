"""What preprocessing did to intensities, in words, read from the steps as they were done."""

from collections.abc import Iterator, Mapping

from medvision.domain.record import JsonValue
from medvision.report.words import show_minus

N4 = "N4BiasFieldCorrection"
"""Name of the step that corrects the bias field."""

_SCALING = {
    "ScaleIntensityRange": ("window", "a_min", "a_max"),
    "ScaleIntensityRangePercentiles": ("percentile", "lower", "upper"),
    "NormalizeIntensity": ("zscore",),
    "VOILUT": ("voi",),
}
"""Step of preprocessing to its kind, and the parameters that hold its bounds."""

_INTENSITY = {
    "window": "intensities from {0:g} to {1:g} were scaled to the unit range",
    "percentile": "intensities between percentiles {0:g} and {1:g} were scaled to the unit range",
    "zscore": "intensities were scaled to zero mean and unit variance",
    "voi": "intensities were scaled to the unit range as each image's header asks",
    "voi-or-percentile": "intensities were scaled to the unit range by the window or table in each "
    "image's header, and by percentiles where there is none",
    "none": "intensities were left as they were",
}


def describe_scaling(meta: Mapping[str, JsonValue]) -> str:
    """Say how intensities were scaled: as done, not as asked for.

    Args:
        meta: Content of `preprocess/meta.json`.
    """
    for name, parameters in _list_steps(meta):
        if name in _SCALING:
            kind, *keys = _SCALING[name]
            kind = "voi-or-percentile" if parameters.get("otherwise") else kind
            held = [parameters.get(key) for key in keys]
            bounds = [value for value in held if isinstance(value, int | float)]
            return show_minus(_INTENSITY[kind].format(*(bounds or (0, 0))))
    return _INTENSITY["none"]


def list_early(meta: Mapping[str, JsonValue]) -> list[str]:
    """Return what ran on the source: `N4`, and plug-ins by module:function, in their order.

    Args:
        meta: Content of `preprocess/meta.json`.
    """
    return [
        str(parameters.get("function", name))
        for name, parameters in _list_steps(meta)
        if name in {N4, "Plugin"}
    ]


def _list_steps(meta: Mapping[str, JsonValue]) -> Iterator[tuple[str, dict[str, JsonValue]]]:
    """Yield name and parameters of each step."""
    steps = meta.get("steps")
    for step in steps if isinstance(steps, list) else []:
        parameters = step.get("parameters") if isinstance(step, dict) else None
        if isinstance(step, dict) and isinstance(parameters, dict):
            yield str(step.get("name")), parameters
