"""What everything that leaves this project is for, and what it is not."""

RESEARCH_USE = "For research use only. Not a medical device."
"""In every page, prediction, image and model: pure ASCII, short enough for a NIfTI header."""

INTENDED_USE = "intended_use"
"""The name under which tables and models hold it."""
