"""Whether a study's plug-ins, and libraries of an extra, are there and as they were."""

from medvision.config.model import Study
from medvision.domain.record import Record
from medvision.errors import ConfigError, StaleOutputError


def check_extensions(study: Study) -> None:
    """Refuse a study whose plug-ins or extras are not there, before any work.

    Args:
        study: The configuration in force.

    Raises:
        ConfigError: A plug-in cannot be imported, or a library is not installed.
    """
    section = study.preprocess
    if section.bias_field is not None:
        from medvision.preprocess.bias import check_installed

        check_installed()
    if section.plugins:
        from medvision.preprocess.plugins import load_plugin

        for function in section.plugins:
            load_plugin(function)


def check_plugins_unchanged(record: Record) -> None:
    """Refuse arrays that were computed by plug-ins whose source has changed since.

    Args:
        record: Of preprocessing.

    Raises:
        StaleOutputError: A plug-in's source is another, or is gone.
    """
    held = record.facts.get("plugins")
    if not isinstance(held, dict):
        return
    from medvision.preprocess.plugins import identify_plugin

    for function, digest in held.items():
        try:
            found = identify_plugin(function).digest
        except ConfigError as error:
            raise StaleOutputError(error.message, error.hint) from error
        if found != digest:
            raise StaleOutputError(
                f"preprocess: plug-in {function} must be as it was when arrays were computed, got "
                "other source.",
                "run `medvision preprocess` again; only what the plug-in touches is computed.",
            )
