"""What results depend on: the versions of this Python and of the packages that compute."""

import importlib.metadata
import platform
from functools import cache

_SOFTWARE = (
    *("numpy", "scipy", "pydicom", "nibabel", "torch", "monai", "captum", "safetensors"),
    *("blake3", "isal", "python-gdcm", "pylibjpeg-openjpeg", "pyjpegls", "pynetdicom", "urllib3"),
)


def list_software() -> dict[str, str]:
    """Return the versions of what the results depend on, by name; what is not there is left out."""
    found = {name: _find_version(name) for name in _SOFTWARE}
    known = {name: version for name, version in found.items() if version is not None}
    return {"python": platform.python_version(), **known}


@cache
def _find_version(name: str) -> str | None:
    """Return the version of a package that is installed, which no run changes."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
