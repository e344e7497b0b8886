"""Files that were refused at ingestion: an error, unless the configuration accepts the reason."""

import difflib

from medvision.cli._run import read_record
from medvision.config.model import Study
from medvision.errors import ConfigError, RefusedInputError
from medvision.layout import Layout


def check_refusals(study: Study, layout: Layout) -> None:
    """Refuse a study that lost files for reasons that nobody has accepted.

    The counts stand in the record of ingestion; without one there is nothing to refuse here.

    Args:
        study: The configuration in force.
        layout: Its output folder.

    Raises:
        RefusedInputError: There are such files.
    """
    record = read_record(layout, "ingest")
    counts = record.facts.get("refused") if record else None
    if not isinstance(counts, dict) or _accepts_all(study):
        return
    left = {code: n for code, n in counts.items() if code not in study.ingest.accept}
    if not left:
        return
    described = ", ".join(f"{n} {code}" for code, n in sorted(left.items()))
    raise RefusedInputError(
        f"{layout.rejects}: every refused file must have a reason that is accepted, "
        f"got {described}.",
        "read this table (`medvision locate` tells the files) and mend the input, or accept the "
        f"loss: ingest.accept: [{', '.join(sorted({*study.ingest.accept, *left}))}].",
    )


def check_accepted(study: Study) -> None:
    """Refuse reasons that no file can ever have: a typing error would accept nothing.

    Raises:
        ConfigError: With the code that was probably meant.
    """
    from medvision.io.reasons import REFUSED

    if study.ingest.accept == "all":
        return
    for code in study.ingest.accept:
        if code not in REFUSED:
            close = difflib.get_close_matches(code, REFUSED, n=1)
            raise ConfigError(
                f"ingest.accept: codes must be of refused files, got {code}."
                + (f" Did you mean {close[0]}?" if close else ""),
                "see docs/reference/outputs.md for all codes.",
            )


def _accepts_all(study: Study) -> bool:
    """Say whether any loss is accepted; the phantom's faults were planted."""
    return study.ingest.accept == "all" or study.data.kind == "phantom"
