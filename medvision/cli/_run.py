"""What every command of a study shares: its options, and the record of its step."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click

from medvision import __version__
from medvision.audit.graph import parse_record
from medvision.cli._plugin_check import check_plugins_unchanged
from medvision.cli._software import list_software
from medvision.cli._stale import describe_difference, name_command, say_again
from medvision.cli.main import set_up_logging
from medvision.config.model import Study, load_study
from medvision.domain.record import SOURCE_PREFIX, JsonValue, Record
from medvision.errors import AuditError, StaleOutputError
from medvision.layout import Layout
from medvision.runtime.access import obeying_umask
from medvision.runtime.files import PARTIAL_PREFIX, hash_file, storage_faults, write_json
from medvision.runtime.packs import say_remedy
from medvision.runtime.team import check_alone

DEFAULT_CONFIG = Path("config/config.yaml")
CONFIG_HELP = (
    "YAML file (or a JSON object as text); when omitted config/config.yaml if it is there, else "
    "the defaults."
)

StudyBody = Callable[..., None]


def study_command(name: str, *, help: str, example: str) -> Callable[[StudyBody], click.Command]:
    """Make a command of a function `(study, layout, **own options)`.

    Args:
        name: The command's name.
        help: One or two sentences.
        example: A command line that works, shown below the help.
    """

    def decorate(body: StudyBody) -> click.Command:
        def callback(
            config: str | None, overrides: tuple[str, ...], quiet: bool, **options: object
        ) -> None:
            set_up_logging(quiet=quiet)
            check_alone(name)
            study = load_study(find_config(config), overrides=overrides)
            with obeying_umask(study.output.umask):
                body(study, find_layout(study), **options)

        return click.Command(
            name,
            callback=callback,
            params=[*_common_options(), *getattr(body, "__click_params__", [])[::-1]],
            help=f"{help}\n\n\b\nExample:\n  {example}",
        )

    return decorate


def find_layout(study: Study) -> Layout:
    """Return where a study's files lie."""
    return Layout(study.output.path, image_suffix=study.ingest.image_suffix)


def find_config(config: str | None) -> str | None:
    """Return the configuration that a command obeys: the one given, else that of the folder.

    So that a command typed in a study's folder obeys what the workflow obeys there.

    Args:
        config: Value of --config, or None.

    Returns:
        The value, the path of the folder's own file, or None for the defaults.
    """
    if config is None and DEFAULT_CONFIG.is_file():
        return str(DEFAULT_CONFIG)
    return config


def _common_options() -> list[click.Parameter]:
    """The options that every command of a study takes."""
    return [
        click.Option(
            ["--config", "-c"],
            metavar="FILE",
            help=CONFIG_HELP,
        ),
        click.Option(
            ["--set", "overrides"],
            multiple=True,
            metavar="SECTION.FIELD=VALUE",
            help="Override one value; may be repeated.",
        ),
        click.Option(["--quiet", "-q"], is_flag=True, help="Show warnings and errors only."),
    ]


@dataclass
class Step:
    """A step while it runs: collects what its record will say."""

    name: str
    study: Study
    layout: Layout
    upstream: tuple[str, ...]
    seed: int | None = None
    device: str = "cpu"
    facts: dict[str, JsonValue] = field(default_factory=dict)
    _reads: dict[Path, str | None] = field(default_factory=dict)
    _writes: dict[Path, str | None] = field(default_factory=dict)
    _sources: dict[str, Path] = field(default_factory=dict)

    def read(self, path: Path, *, digest: str | None = None) -> Path:
        """Register a file of an earlier step that this step reads.

        Args:
            path: The file.
            digest: Its sha256, where that was computed when it was read.
        """
        self._reads[path] = digest
        return path

    def write(self, path: Path, *, digest: str | None = None) -> Path:
        """Register a file that this step writes, and make its folder.

        Args:
            path: The file.
            digest: Its sha256, where that is known since it was written.
        """
        with storage_faults(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        self._writes[path] = digest
        return path

    def source(self, name: str, path: Path) -> Path:
        """Register a file from outside the output folder."""
        self._sources[name] = path
        return path

    def close(self) -> None:
        """Hash what was read and written, and write the record, last of all."""
        reads = {
            self._relative(path): digest or hash_file(path)
            for path, digest in sorted(self._reads.items())
        }
        self._check_reads(reads)
        for name, path in sorted(self._sources.items()):
            reads[SOURCE_PREFIX + name] = hash_file(path)
        record = Record(
            step=self.name,
            version=__version__,
            parameters=self.study.settings(self.name),
            reads=reads,
            writes={
                self._relative(path): digest or hash_file(path)
                for path, digest in sorted(self._writes.items())
            },
            seed=self.seed,
            device=self.device,
            software=list_software(),
            facts=self.facts,
        )
        write_json(self.layout.record(self.name), record.as_dict())

    def _relative(self, path: Path) -> str:
        """Return a path as records name it."""
        return path.relative_to(self.layout.root).as_posix()

    def _check_reads(self, reads: dict[str, str]) -> None:
        """Refuse a file that is not what the earlier step wrote."""
        written: dict[str, str] = {}
        for name in self.upstream:
            record = read_record(self.layout, name)
            written |= record.writes if record else {}
        for path, digest in reads.items():
            if written.get(path) != digest:
                raise StaleOutputError(
                    f"{path}: file must be as an earlier step wrote it, got other bytes.",
                    say_remedy(self.layout.root / path, path.partition("/")[0]),
                )


@contextmanager
def open_step(
    name: str, study: Study, *, upstream: Sequence[str] = (), keeps: Path | None = None
) -> Iterator[Step]:
    """Run a step: check what it stands on, then record what it did.

    The stale record is removed first and the new one written last, so that a step which was
    interrupted anywhere has no record and nothing downstream uses its files.

    Args:
        name: Step name, such as `cohort` or `train/transfer/fold-0`.
        study: The configuration in force.
        upstream: Steps whose files this step reads.
        keeps: Folder in which files of an earlier run stay, for the step itself to judge.

    Raises:
        StaleOutputError: An earlier step is missing, or was run with other settings.
    """
    layout = find_layout(study)
    for earlier in upstream:
        check_upstream(layout, study, earlier=earlier)
    record = layout.record(name)
    with storage_faults(record):
        record.parent.mkdir(parents=True, exist_ok=True)
        _clear_earlier_run(layout, name, keeps=keeps)
    step = Step(name, study, layout, tuple(upstream))
    with storage_faults(record):
        yield step
    step.close()


def read_record(layout: Layout, name: str) -> Record | None:
    """Return a step's record; one that is missing, or was spoilt by a crash, is none.

    Args:
        layout: Where the study lies.
        name: Step name, such as `cohort` or `train/transfer/fold-0`.
    """
    path = layout.record(name)
    try:
        return parse_record(path.read_bytes(), path=f"{name}/{path.name}")
    except (FileNotFoundError, NotADirectoryError, AuditError):
        return None


def _clear_earlier_run(layout: Layout, name: str, *, keeps: Path | None) -> None:
    """Remove what an earlier run of this step wrote, and what a killed one left half-written."""
    held = read_record(layout, name)
    layout.record(name).unlink(missing_ok=True)
    for path in held.writes if held else ():
        if keeps is None or not (layout.root / path).is_relative_to(keeps):
            (layout.root / path).unlink(missing_ok=True)
    for partial in layout.step(name).rglob(f"{PARTIAL_PREFIX}*"):
        shutil.rmtree(partial) if partial.is_dir() else partial.unlink(missing_ok=True)


def check_upstream(layout: Layout, study: Study, *, earlier: str) -> None:
    """Refuse an earlier step that did not finish or belongs to another configuration.

    Args:
        layout: Where the study lies.
        study: The configuration in force.
        earlier: Step name.

    Raises:
        StaleOutputError: With the command that runs the step.
    """
    record = read_record(layout, earlier)
    if record is None:
        raise StaleOutputError(
            f"{layout.root.name}: step {earlier} must be complete, got no record of it.",
            f"run `{name_command(earlier)}` first, or the whole workflow with snakemake.",
        )
    if record.version != __version__:
        raise StaleOutputError(
            f"{layout.root.name}: step {earlier} must be of version {__version__}, "
            f"got {record.version}.",
            say_again(earlier),
        )
    check_plugins_unchanged(record)
    for section, values in study.settings(earlier).items():
        held = record.parameters.get(section)
        if held != values:
            message = describe_difference(
                layout, earlier, section=section, held=held, values=values
            )
            raise StaleOutputError(message, say_again(earlier))
