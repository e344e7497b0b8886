"""The scaling that a cohort's modality asks for."""

from collections.abc import Collection

from medvision.errors import ConfigError

_BY_MODALITY: dict[str, tuple[str, str]] = {
    "CT": ("window", "image"),
    "MR": ("zscore", "foreground"),
}
_OTHERWISE = ("voi-or-percentile", "image")


def resolve_intensity(
    intensity: str, *, modalities: Collection[str], has_voi: bool
) -> dict[str, str]:
    """Return what stands for auto: the same for every image, so that the record can hold it.

    CT has units, so that a window means the same everywhere; MR has none, and is scaled by the mean
    and deviation of its foreground; radiographs and all else by the window or table of the image's
    own header, and by percentiles of the image where that has none.

    Args:
        intensity: `preprocess.intensity`.
        modalities: DICOM modality codes of the images that are preprocessed.
        has_voi: The header of one of them at least has a window or table for display.

    Returns:
        `intensity` and `normalise_within`; nothing where the user chose another than auto.

    Raises:
        ConfigError: The images ask for different scalings.
    """
    if intensity != "auto":
        return {}
    ways = {_BY_MODALITY.get(modality, _OTHERWISE) for modality in modalities}
    if len(ways) > 1:
        found = ", ".join(sorted(set(modalities)))
        raise ConfigError(
            "preprocess.intensity: images must be of modalities that are scaled alike for auto, "
            f"got {found}.",
            "set preprocess.intensity to percentile or another scaling for all, or choose one "
            "modality by data.labels.",
        )
    resolved, within = ways.pop() if ways else _OTHERWISE
    if resolved == "voi-or-percentile" and not has_voi:
        resolved = "percentile"
    return {"intensity": resolved, "normalise_within": within}
