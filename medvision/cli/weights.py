"""`medvision weights`: sources of starting weights, fetched or placed by hand, and verified."""

from collections.abc import Callable
from pathlib import Path

import click

from medvision.cli._weights_text import describe_receipt, describe_source, describe_sources
from medvision.cli.main import set_up_logging
from medvision.errors import WeightsError
from medvision.learn.registry import Source, find_shelf, get_source, read_sources
from medvision.learn.shelf import Receipt, fetch_source, find_place, place_file, verify_placed
from medvision.learn.study_source import add_study


def _help(text: str, example: str) -> dict[str, str]:
    """Return click's help with an example below."""
    return {"help": f"{text}\n\n\b\nExample:\n  {example}"}


@click.group("weights")
def command() -> None:
    """Published starting weights: what there is, what is here, whether it is whole.

    Files lie in the folder that MEDVISION_WEIGHTS names, else in ~/.local/share/medvision/weights;
    descriptions of your own (NAME.yaml) lie there too. `model.weights: NAME` uses them.
    """


@command.command(
    "list",
    **_help("List the sources that are described, and which are here.", "medvision weights list"),
)
def list_command() -> None:
    """Print one line per source."""
    shelf = find_shelf()
    for line in describe_sources(list(read_sources(shelf).values()), shelf):
        click.echo(line)
    click.echo(f"\nFiles are kept in {shelf}. `medvision weights show NAME` says more.")


@command.command(
    "show",
    **_help(
        "Show all that is known of a source, and how to place its file by hand.",
        "medvision weights show resnet18-imagenet",
    ),
)
@click.argument("name")
def show(name: str) -> None:
    """Print the description of one source."""
    shelf = find_shelf()
    for line in describe_source(get_source(name, shelf), shelf):
        click.echo(line)


@command.command(
    "add",
    **_help(
        "Fetch a source's file, or place FILE, checked against its digest. FILE may also be "
        "another study's output folder or sealed model, which then becomes the source NAME.",
        "medvision weights add squeezenet1_1-imagenet",
    ),
)
@click.argument("name")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--sha256", "pin", metavar="DIGEST", help="Hold the file to this digest.")
def add(name: str, file: Path | None, *, pin: str | None) -> None:
    """Put one file on the shelf."""
    set_up_logging(quiet=False)
    shelf = find_shelf()
    _check_pin(pin)
    if file is not None and name not in read_sources(shelf):
        source, receipt = add_study(name, file, shelf, pin=pin)
    else:
        source = get_source(name, shelf)
        receipt = _put(source, file, shelf, pin=pin)
    click.echo(f"{source.name}: {find_place(source, shelf)}")
    click.echo(describe_receipt(receipt))


def _put(source: Source, file: Path | None, shelf: Path, *, pin: str | None) -> Receipt:
    """Fetch or place the file of a source that is described."""
    if file is None:
        return fetch_source(source, shelf, pin=pin)
    return place_file(source, file, shelf, pin=pin)


def _check_pin(pin: str | None) -> None:
    """Refuse a digest that is none."""
    if pin is not None and (len(pin) != 64 or set(pin.lower()) - set("0123456789abcdef")):
        raise WeightsError(f"--sha256: digest must be 64 hexadecimal digits, got {pin}.")


@command.command(
    "verify",
    **_help(
        "Compute the digests of the files here again; exit with 8 where one is another.",
        "medvision weights verify",
    ),
)
@click.argument("name", required=False)
def verify(name: str | None) -> None:
    """Verify one file, or all that are here."""
    shelf = find_shelf()
    sources = [get_source(name, shelf)] if name else list(read_sources(shelf).values())
    chosen = [source for source in sources if name or find_place(source, shelf).is_file()]
    if not chosen:
        click.echo(f"No weights in {shelf}.")
    faults = [fault for source in chosen if (fault := _verify(source, shelf, say=click.echo))]
    if faults:
        raise WeightsError(
            f"weights: files must be as they were placed, got {len(faults)} that are not: "
            f"{'; '.join(faults)}.",
            "remove the file and `medvision weights add` it again.",
        )


def _verify(source: Source, shelf: Path, *, say: Callable[[str], None]) -> str | None:
    """Say what became of one file, and return its fault, if any."""
    try:
        receipt = verify_placed(source, shelf)
    except WeightsError as error:
        say(f"FAIL {source.name}")
        return error.message.rstrip(".")
    say(f"PASS {source.name}: {describe_receipt(receipt)}")
    return None
