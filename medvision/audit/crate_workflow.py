"""What the crate says of the workflow: its profiles, its language, its sources and its run."""

from collections.abc import Iterable, Mapping

from medvision.audit.manifest import CONFIG
from medvision.audit.workflow import MAIN, is_workflow_path
from medvision.domain.record import JsonValue

WORKFLOW_CRATE = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
RUN = "#run"

_PROCESS = ("https://w3id.org/ro/wfrun/process/0.5", "Process Run Crate", "0.5")
_OF_WORKFLOWS = (
    ("https://w3id.org/ro/wfrun/workflow/0.5", "Workflow Run Crate", "0.5"),
    (WORKFLOW_CRATE, "Workflow RO-Crate", "1.0"),
)
_LANGUAGE = "https://w3id.org/workflowhub/workflow-ro-crate#snakemake"
_LICENSE = "https://spdx.org/licenses/Apache-2.0"
_CODE = (".smk", "Snakefile")

Entity = dict[str, JsonValue]


def list_profiles(*, has_workflow: bool) -> list[Entity]:
    """Return the profiles that the crate keeps to.

    Args:
        has_workflow: The bundle holds the workflow that ran the steps.

    Source:
        Workflow Run Crate 0.5, "Requirements": the root names its profile, and should name those of
        Process Run Crate and Workflow RO-Crate.
    """
    profiles = (_PROCESS, *_OF_WORKFLOWS) if has_workflow else (_PROCESS,)
    return [
        {"@id": uri, "@type": "CreativeWork", "name": name, "version": version}
        for uri, name, version in profiles
    ]


def describe_language() -> Entity:
    """Return Snakemake, as Workflow RO-Crate 1.0 ("Supported Workflow Types") spells it."""
    return {
        "@id": _LANGUAGE,
        "@type": "ComputerLanguage",
        "name": "Snakemake",
        "identifier": {"@id": "https://doi.org/10.1093/bioinformatics/bts480"},
        "url": {"@id": "https://snakemake.readthedocs.io"},
    }


def describe_sources(paths: Iterable[str], *, version: str) -> dict[str, Entity]:
    """Return what is to be said of the workflow's code besides name, size and digest, by path.

    Args:
        paths: All files of the bundle, by their paths.
        version: Version of medvision, whose workflow it is.

    Source:
        Workflow RO-Crate 1.0, "Main Workflow": three types, and the language.
    """
    code = [path for path in sorted(paths) if is_workflow_path(path) and path.endswith(_CODE)]
    told: Entity = {
        "@type": ["File", "SoftwareSourceCode"],
        "encodingFormat": "text/plain",
        "programmingLanguage": {"@id": _LANGUAGE},
        "license": {"@id": _LICENSE},
        "version": version,
    }
    main: Entity = {
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
        "name": "medvision",
        "hasPart": [{"@id": path} for path in code if path != MAIN],
    }
    return {path: told | (main if path == MAIN else {}) for path in code}


def describe_run(
    names: Mapping[str, str], *, sources: Iterable[str], made: Iterable[str]
) -> Entity:
    """Return the run of the workflow, from settings and sources to all that its steps made.

    Args:
        names: Path below the output folder, or of an own file of the bundle, to identifier.
        sources: Identifiers of what was read and is no file of the study.
        made: Paths below the output folder that the steps wrote.

    Source:
        Workflow Run Crate 0.5, "Overview": the main workflow is the action's instrument. Process
        Run Crate 0.5, "Referencing configuration files": the settings are among its objects.
    """
    return {
        "@id": RUN,
        "@type": "CreateAction",
        "name": "Run of the workflow",
        "description": "All steps that left a record, by the settings in config.json. When it "
        "began and ended is not known: a bundle has no clock.",
        "instrument": {"@id": MAIN},
        "object": [{"@id": name} for name in (CONFIG, *sources)],
        "result": [{"@id": names[path]} for path in sorted({*made}) if path in names],
    }
