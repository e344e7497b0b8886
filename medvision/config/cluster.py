"""The section of the cluster: what jobs ask of a scheduler, which no result depends on."""

from pathlib import Path

from pydantic import Field

from medvision.config.sections import Section


class ClusterSection(Section):
    """What jobs ask of a cluster's scheduler; a change here runs no step again."""

    site: Path | None = Field(
        None,
        description="Site file: partitions, account, constraint and GPU type of the cluster, as "
        "config/sites/*.yaml; when omitted the scheduler chooses.",
    )
