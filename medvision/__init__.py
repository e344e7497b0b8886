"""medvision: from raw medical images to a classifier whose explanations can be checked."""

__version__ = "0.1.0"
