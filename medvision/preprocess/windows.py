"""Named windows of CT: the intensities in HU that are mapped to 0 and 1."""

from medvision.errors import ConfigError

Bounds = tuple[float, float]
"""(low, high), low < high: intensities or percentiles, as the function says."""

WINDOW_PRESETS: dict[str, Bounds] = {
    "lung": (-1350.0, 150.0),
    "mediastinum": (-125.0, 225.0),
    "soft-tissue": (-150.0, 250.0),
    "abdomen": (-150.0, 250.0),
    "liver": (-45.0, 105.0),
    "brain": (0.0, 80.0),
    "stroke": (20.0, 60.0),
    "bone": (-500.0, 1300.0),
}
"""Name to (low, high) in HU: level minus and plus half the width.

Source:
    Levels and widths in clinical use, as listed by A. Murphy et al., "Windowing (CT)",
    Radiopaedia.org, 2017, doi:10.53347/rID-52108: lung W1500 L-600, mediastinum W350 L50, soft
    tissues and abdomen W400 L50, liver W150 L30, brain W80 L40, stroke W40 L40, bone W1800 L400.
"""

AIR_HU = -1000.0
"""Air by the definition of the Hounsfield scale."""


def find_window(window: Bounds | str) -> Bounds:
    """Return the bounds that a preset's name, or a pair of bounds, means.

    Raises:
        ConfigError: No preset has this name.
    """
    if not isinstance(window, str):
        return window
    if window not in WINDOW_PRESETS:
        known = ", ".join(WINDOW_PRESETS)
        raise ConfigError(f"preprocess.window: name must be one of {known}, got {window}.")
    return WINDOW_PRESETS[window]


def scale_air(window: Bounds) -> float:
    """Return where a window puts air: -1000 HU between 0 and 1, clipped."""
    low, high = window
    return min(max((AIR_HU - low) / (high - low), 0.0), 1.0)
