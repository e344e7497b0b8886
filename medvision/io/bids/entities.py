"""What a path of a BIDS dataset says of its file: role, part, modality; and what lies outside."""

import re
from pathlib import Path, PurePosixPath

from medvision.domain.study import Role, Value

DESCRIPTION = "dataset_description.json"
"""The file at the root that makes a folder a BIDS dataset."""

_OUTSIDE = frozenset(("code", "sourcedata", "stimuli"))
_DERIVED_SUFFIXES = frozenset(
    ("mask", "defacemask", "dseg", "probseg", "ADC", "FA", "S0map", "colFA", "expADC", "trace")
)
_MAP = re.compile(r"(?:map|UNIT1|MTsat|T1rho)$")
_ENTITY = re.compile(r"(?:^|_)([a-zA-Z]+)-([a-zA-Z0-9+]+)(?=_|\.|$)")
_COMPONENTS = {"mag": "M", "phase": "P", "real": "R", "imag": "I"}
_SUFFIXES = (".gz", ".nii", ".hdr", ".img", ".json")
_MODALITIES = {"anat": "MR", "func": "MR", "dwi": "MR", "fmap": "MR", "perf": "MR", "pet": "PT"}
_BY_SUFFIX = {
    **dict.fromkeys(("T1w", "T2w", "T2star", "T2starw", "FLAIR", "PDw", "PDT2", "UNIT1"), "MR"),
    **dict.fromkeys(("inplaneT1", "inplaneT2", "bold", "sbref", "dwi", "asl", "m0scan"), "MR"),
    **dict.fromkeys(("angio", "swi", "epi", "MEGRE", "MESE", "MP2RAGE", "VFA"), "MR"),
    "ct": "CT",
    "pet": "PT",
}


def is_bids(source: Path) -> bool:
    """Say whether a folder is the root of a BIDS dataset."""
    return (source / DESCRIPTION).is_file()


def is_outside(relative_path: str) -> bool:
    """Say whether a file of a BIDS dataset is no part of its images.

    Below `sourcedata/`, `code/` and `stimuli/` lie what the images were made from, programs and
    stimuli; their images would repeat the dataset's own.

    Args:
        relative_path: Path below the root, POSIX.

    Source:
        BIDS 1.10, common principles, "source vs. raw vs. derived data".
    """
    return PurePosixPath(relative_path).parts[:1] in {(name,) for name in _OUTSIDE}


def guess_role(relative_path: str) -> Role:
    """Return what a NIfTI file is for, by its path.

    Args:
        relative_path: Path below the source folder, POSIX.

    Returns:
        derived below a folder `derivatives`, with an entity `desc`, and for masks,
        segmentations and quantitative maps by their suffix; else original.
    """
    path = PurePosixPath(relative_path)
    suffix = read_suffix(path.name)
    is_derived = (
        "derivatives" in path.parts[:-1]
        or "desc" in dict(read_entities(path.name))
        or suffix in _DERIVED_SUFFIXES
        or ("_" in path.name and _MAP.search(suffix) is not None)
    )
    return "derived" if is_derived else "original"


def guess_part(relative_path: str) -> tuple[tuple[str, Value], ...]:
    """Return what sets a file apart from others of its acquisition, by its entities.

    Returns:
        (name of PARTS, value), sorted: `component` of `part-`, `echo-number` of `echo-`.
    """
    entities = dict(read_entities(PurePosixPath(relative_path).name))
    found: dict[str, Value] = {}
    if entities.get("part") in _COMPONENTS:
        found["component"] = _COMPONENTS[entities["part"]]
    if entities.get("echo", "").isdecimal():
        found["echo-number"] = float(entities["echo"])
    return tuple(sorted(found.items()))


def guess_modality(relative_path: str) -> str:
    """Return the modality that a BIDS suffix or folder stands for, unknown where there is none."""
    path = PurePosixPath(relative_path)
    folder = path.parent.name if "_" in path.name else ""
    return _BY_SUFFIX.get(read_suffix(path.name), _MODALITIES.get(folder, "unknown"))


def read_entities(name: str) -> list[tuple[str, str]]:
    """Return the entities of a file's name, such as (sub, 01), in their order."""
    return _ENTITY.findall(name)


def read_suffix(name: str) -> str:
    """Return what stands behind the last underscore of a file's name, without its extension."""
    for extension in _SUFFIXES:
        name = name.removesuffix(extension)
    return name.rpartition("_")[2]
