"""The entry point: a group that imports a command only when it is needed."""

import importlib
import logging
import select
import sys
import traceback
from typing import TextIO

import click

from medvision import __version__
from medvision.errors import UNKNOWN_ERROR_EXIT_CODE, MedvisionError

COMMANDS = {
    "init": "Write a study folder ready to run on your own data.",
    "doctor": "Check config, data, weights, disk and GPU before hours are spent.",
    "weights": "List, fetch, place and verify published starting weights.",
    "config": "Show the configuration in force, checked and complete.",
    "phantom": "Write the embedded cohort with known answers.",
    "listen": "Receive studies that are pushed by C-STORE.",
    "pull": "Fetch a cohort from a PACS, every series counted.",
    "fetch": "Fetch a cohort from a bucket of S3.",
    "ingest": "Turn raw DICOM and NIfTI into checked, de-identified volumes.",
    "deidentify": "Copy DICOM images without what tells who somebody is.",
    "locate": "Find the local path behind a pseudonymous file id.",
    "trace": "Find the stored object, frame and pixel behind a voxel.",
    "measure": "Measure the quality of every image.",
    "cohort": "Join labels, find leakage, split subjects into folds.",
    "preprocess": "Compute the arrays that networks are trained on.",
    "pretrain": "Train starting weights on a source task.",
    "tune": "Search hyper-parameters of one tested part.",
    "synthesise": "Train a generator on one fold's train subjects, and draw images.",
    "gate": "Judge one fold's synthetic images before a training may have them.",
    "train": "Fine-tune one arm on one fold.",
    "predict": "Compute probabilities of validation and test images.",
    "evaluate": "Compute statistics with intervals on held-out subjects.",
    "plan": "Write down what will be explained and how it is judged.",
    "explain": "Attribute test predictions and check the attributions.",
    "scorecard": "Train one start on shares of the subjects of one fold.",
    "compare": "Compare the starts of the scorecard with none at all.",
    "control": "Train what must fail if nothing leaks, on one fold.",
    "shortcuts": "Ask whether the label shows in what should not tell it.",
    "ablate": "Train without and with synthetic images on one share of one fold.",
    "ablation": "Say what synthetic images added.",
    "report": "Write the one-file HTML report and the same facts as JSON.",
    "audit": "Seal a run into a bundle, or verify one.",
    "publish": "Put the sealed bundle into a bucket of S3.",
    "status": "Say what is done, failed or left, and how long it may take.",
    "cluster": "Run the workflow on SLURM, or cancel such a run.",
    "summary": "Say in three lines what was found.",
}
"""Command to its one-line help; the module medvision.cli.<command> holds `command`."""


class LazyGroup(click.Group):
    """A group whose commands are imported on use, and the one place where errors are shown."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"medvision.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """List the commands from the table, so that help imports none of them."""
        with formatter.section("Commands, in the order of the work"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; show a known error as message and hint, an unknown one whole."""
        try:
            return super().invoke(ctx)
        except MedvisionError as error:
            click.echo(f"error: {error.message}\nhint: {error.hint}", err=True)
            raise SystemExit(error.exit_code) from error
        except (click.ClickException, click.exceptions.Exit, click.Abort, SystemExit):
            raise
        except Exception as error:
            if isinstance(error, BrokenPipeError) and _is_unread(sys.stdout):
                # Whoever reads has seen enough, as `head` has: click ends quietly.
                raise
            traceback.print_exc()
            click.echo("error: this is a defect of medvision; please report it.", err=True)
            raise SystemExit(UNKNOWN_ERROR_EXIT_CODE) from error


def _is_unread(stream: TextIO) -> bool:
    """Tell whether a stream is a pipe whose reader has gone."""
    try:
        poll = select.poll()
        poll.register(stream, 0)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except (OSError, ValueError):
        return False


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="medvision")
def main() -> None:
    """From raw medical images to a classifier whose explanations can be checked.

    For research use only. Not a medical device.
    """


def set_up_logging(*, quiet: bool) -> None:
    """Send the package's log lines to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("medvision")
    logger.handlers = [handler]
    logger.setLevel(logging.WARNING if quiet else logging.INFO)
    logger.propagate = False
