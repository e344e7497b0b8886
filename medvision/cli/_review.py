"""`medvision audit review`: record a decision on a bundle, beside what is sealed."""

from pathlib import Path

import click

from medvision.audit.inventory import take_inventory
from medvision.audit.manifest import MANIFEST, parse_manifest
from medvision.audit.reviews import DECISIONS, Decision, append_review, is_review_path
from medvision.errors import ConfigError

_HELP = """Record a decision on a bundle, signed, as the next file of its folder `reviews`.

Nothing is overwritten: to change your mind, add another. The rationale is kept as it is written and
goes wherever the bundle goes: name no patient in it.

\b
Example:
  medvision audit review results/audit/bundle --decision accept --rationale 'maps fit' --key k.pem
"""


@click.command("review", help=_HELP)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--decision", type=click.Choice(DECISIONS), required=True, help="What you decide.")
@click.option("--rationale", required=True, metavar="TEXT", help="Why; @FILE reads it from a file.")
@click.option(
    "--key", type=click.Path(path_type=Path), required=True, metavar="PEM", help="Your private key."
)
@click.option("--reviewer", default="", metavar="ROLE", help="Who you are, such as radiologist.")
def review(bundle: Path, *, decision: str, rationale: str, key: Path, reviewer: str) -> None:
    """Append a signed decision and say where it is."""
    inventory = take_inventory(bundle)
    manifest = parse_manifest(inventory.read(MANIFEST))
    earlier = {path: inventory.read(path) for path in inventory.sizes if is_review_path(path)}
    path = append_review(
        bundle,
        Decision(decision, _read_rationale(rationale), reviewer),
        root_digest=manifest.root_digest,
        key=key.expanduser(),
        earlier=earlier,
    )
    click.echo(f"{path}: {decision}")


def _read_rationale(text: str) -> str:
    """Return the rationale, from a file where one is named."""
    try:
        words = Path(text[1:]).read_text("utf-8") if text.startswith("@") else text
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "--rationale: file must be readable text, got one that is not."
        ) from error
    if not words.strip():
        raise ConfigError("--rationale: text must say why, got nothing.")
    return words.strip()
