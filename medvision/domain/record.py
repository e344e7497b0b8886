"""What a step did: its name, parameters, software, and the digests of what it read and wrote."""

from dataclasses import asdict, dataclass, field

JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]

SOURCE_PREFIX = "source:"
"""A read path with this prefix is a declared source, not the work of an earlier step."""


@dataclass(frozen=True)
class Record:
    """One step's account of itself.

    Holds no clock and no absolute path, so that equal runs leave equal records.

    Args:
        step: Step name, such as `cohort` or `train/transfer/fold-0`.
        version: Version of medvision.
        parameters: The configuration sections that this step obeys.
        reads: Path below the output folder (or `source:` name) to sha256.
        writes: Path below the output folder to sha256.
        seed: Seed of the step, where it draws random numbers.
        device: cpu or the name of the GPU.
        software: Distribution name to version.
        facts: Further results worth keeping, such as draws or certificates.
    """

    step: str
    version: str
    parameters: dict[str, JsonValue]
    reads: dict[str, str]
    writes: dict[str, str]
    seed: int | None = None
    device: str = "cpu"
    software: dict[str, str] = field(default_factory=dict)
    facts: dict[str, JsonValue] = field(default_factory=dict)

    def as_dict(self) -> dict[str, JsonValue]:
        """Return the record as plain JSON types."""
        return asdict(self)
