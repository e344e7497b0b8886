"""What is said of an output folder that does not fit the configuration."""

from medvision.domain.record import JsonValue
from medvision.layout import Layout


def name_command(step: str) -> str:
    """Return the command line that runs a step."""
    command, *places = step.split("/")
    arm = f" --arm {places[0]}" if len(places) > 1 else ""
    if command == "ablate":
        arm = f" --share {places[0].removeprefix('share-')}"
    kind, _, number = places[-1].partition("-") if places else ("", "", "")
    number = number.replace("-of-", "/")
    options = f"{arm} --{kind} {number}" if places else ""
    return f"medvision {command}{options}"


def say_again(step: str) -> str:
    """Name both ways out of an output folder that does not fit."""
    return (
        f"run `{name_command(step)}` again with this configuration (snakemake does so by itself), "
        "or set output.path to another folder."
    )


def describe_difference(
    layout: Layout, earlier: str, *, section: str, held: JsonValue, values: JsonValue
) -> str:
    """Name the first setting in which the output folder and the configuration differ.

    Args:
        layout: The output folder.
        earlier: Step whose record was read.
        section: Section of the configuration in which they differ.
        held: Its values in the record.
        values: Its values in force.
    """
    old = held if isinstance(held, dict) else {}
    new = values if isinstance(values, dict) else {}
    name = next(key for key in [*new, *old] if old.get(key) != new.get(key))
    shown = [str(new.get(name)), str(old.get(name))]
    note = "; paths are shown as digests" if any(text.startswith("path-") for text in shown) else ""
    return (
        f"{layout.root.name}: step {earlier} must have {section}.{name} {shown[0]}, "
        f"got {shown[1]} (the folder holds another configuration{note})."
    )
