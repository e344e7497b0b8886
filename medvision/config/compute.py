"""The section of the machine: where and how the work runs."""

from typing import Literal

from pydantic import Field

from medvision.config.sections import Positive, Section


class ComputeSection(Section):
    """Where and how the work runs; results are bit-equal only at equal settings."""

    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto takes a GPU if any.")
    threads: Positive = Field(1, description="CPU threads of one training process.")
    processes_per_node: Positive = Field(
        1,
        description="Processes of each node that train one network together, each with a GPU of "
        "its own where there are some; `train` alone has several.",
    )
    nodes: Positive = Field(
        1, description="Nodes that train one network together; several in a SLURM job alone."
    )
