"""The section of the cluster: what jobs ask of a scheduler, which no result depends on."""

from pathlib import Path

from pydantic import Field

from medvision.config.sections import Positive, Section


class ClusterSection(Section):
    """What jobs ask of a cluster's scheduler; a change here runs no step again."""

    site: Path | None = Field(
        None,
        description="Site file: partitions, account, constraint and GPU type of the cluster, as "
        "config/sites/*.yaml; when omitted the scheduler chooses.",
    )
    nodes: Positive = Field(1, description="Nodes that train one network together.")
    gpus: Positive = Field(
        1, description="GPUs of each node, and processes, that train one network together."
    )
