"""The error family: a message that says where, a hint that says what next, an exit code."""


class MedvisionError(Exception):
    """Base of every error a user can cause or cure.

    Args:
        message: `<where>: <thing> must be <rule>, got <value>.`
        hint: What to do next; the family's default hint when omitted.
    """

    exit_code = 1
    default_hint = "see docs/reference/errors.md."

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or self.default_hint

    def __str__(self) -> str:
        return f"{self.message} Hint: {self.hint}"


class ConfigError(MedvisionError):
    """The configuration is not one that can be run."""

    exit_code = 2
    default_hint = "compare with docs/reference/config.md, or run `medvision doctor`."


class DataError(MedvisionError):
    """The input images are missing, unreadable or hold nothing usable."""

    exit_code = 3
    default_hint = "check data.path, then read ingest/rejects.tsv in the output folder."


class LabelError(MedvisionError):
    """The table of labels does not fit its rules or the images."""

    exit_code = 4
    default_hint = (
        "the table needs the columns subject and label; see docs/how-to/your-own-data.md."
    )


class CohortError(MedvisionError):
    """Subjects cannot be split as asked, or a split would leak."""

    exit_code = 5
    default_hint = "read cohort/leakage.tsv and cohort/balance.tsv in the output folder."


class GeometryError(MedvisionError):
    """An affine, a spacing or a grid is impossible or does not fit another."""

    exit_code = 6
    default_hint = "inspect the image's affine; exclude the image if it cannot be repaired."


class TrainingError(MedvisionError):
    """Training cannot start or cannot go on."""

    exit_code = 7
    default_hint = "lower train.learning_rate or train.batch_size, then run again: it resumes."


class WeightsError(MedvisionError):
    """A weights file is missing, unsafe, or does not fit the network."""

    exit_code = 8
    default_hint = "check model.weights and model.backbone; only tensors are read, never code."


class ExplanationError(MedvisionError):
    """An attribution was asked for that this network or image cannot give."""

    exit_code = 9
    default_hint = "see docs/explanation/attribution.md for what applies to which network."


class AuditError(MedvisionError):
    """The record of the run is not closed, or a bundle does not verify."""

    exit_code = 10
    default_hint = "run the workflow again from the step named; never edit its outputs."


class StorageError(MedvisionError):
    """The output folder cannot be written, or its disk is full."""

    exit_code = 11
    default_hint = (
        "free space or choose another output.path; a rerun goes on where this one stopped."
    )


class StaleOutputError(MedvisionError):
    """The output folder holds results of another configuration or of an interrupted step."""

    exit_code = 12
    default_hint = "run the named step again, or choose another output.path."


class RefusedInputError(MedvisionError):
    """Files of the input were refused for reasons that the configuration does not accept."""

    exit_code = 13
    default_hint = "read ingest/rejects.tsv; mend the input, or accept the loss."


class ClusterError(MedvisionError):
    """The batch system does not answer, or a run on it cannot be led."""

    exit_code = 14
    default_hint = "try again when SLURM answers; see docs/how-to/survive-a-cluster.md."


class StoppedError(MedvisionError):
    """The run was asked to stop by a signal or its job's time limit, and kept where it was."""

    # EX_TEMPFAIL of sysexits.h: not a failure, to be tried again.
    exit_code = 75
    default_hint = "run the same command again: it goes on where this run stopped."


UNKNOWN_ERROR_EXIT_CODE = 70
