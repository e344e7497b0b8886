"""The whole configuration, and its one way in: YAML or JSON, overrides, clear errors."""

import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Self, cast

from pydantic import ValidationError, model_validator
from pydantic_core import ErrorDetails

from medvision.config.ablation import AblationSection, check_ablation
from medvision.config.bucket import FetchSection, PublishSection, check_input
from medvision.config.cluster import ClusterSection
from medvision.config.cohort import CohortSection
from medvision.config.compute import ComputeSection
from medvision.config.control import ControlSection
from medvision.config.evaluate import EvaluateSection
from medvision.config.explain import ExplainSection
from medvision.config.gate import GateSection
from medvision.config.ingest import IngestSection
from medvision.config.pacs import PacsSection
from medvision.config.predict import PredictSection, check_predict
from medvision.config.preprocess import PreprocessSection
from medvision.config.pretrain import PretrainSection
from medvision.config.quality import QualitySection
from medvision.config.scorecard import ScorecardSection
from medvision.config.sections import (
    AuditSection,
    AugmentSection,
    DataSection,
    ModelSection,
    OutputSection,
    PhantomSection,
    ReportSection,
    Section,
    say_rule,
)
from medvision.config.shortcuts import ShortcutsSection
from medvision.config.steps import STEP_SECTIONS
from medvision.config.synthesise import SynthesiseSection, check_synthesise
from medvision.config.task import check_task
from medvision.config.train import TrainSection
from medvision.config.tune import SEARCHED_SECTIONS, TuneSection, check_space
from medvision.config.yaml_text import parse_yaml
from medvision.domain.obeyed import choose_fields
from medvision.domain.record import JsonValue
from medvision.errors import ConfigError
from medvision.runtime.files import hash_bytes

Arm = Literal["transfer", "scratch"]


class Study(Section):
    """All sections of one study."""

    data: DataSection = DataSection()
    output: OutputSection = OutputSection()
    phantom: PhantomSection = PhantomSection()
    pacs: PacsSection = PacsSection()
    fetch: FetchSection = FetchSection()
    ingest: IngestSection = IngestSection()
    cohort: CohortSection = CohortSection()
    quality: QualitySection = QualitySection()
    preprocess: PreprocessSection = PreprocessSection()
    model: ModelSection = ModelSection()
    pretrain: PretrainSection = PretrainSection()
    augment: AugmentSection = AugmentSection()
    tune: TuneSection = TuneSection()
    synthesise: SynthesiseSection = SynthesiseSection()
    gate: GateSection = GateSection()
    train: TrainSection = TrainSection()
    predict: PredictSection = PredictSection()
    evaluate: EvaluateSection = EvaluateSection()
    explain: ExplainSection = ExplainSection()
    scorecard: ScorecardSection = ScorecardSection()
    control: ControlSection = ControlSection()
    shortcuts: ShortcutsSection = ShortcutsSection()
    ablation: AblationSection = AblationSection()
    report: ReportSection = ReportSection()
    audit: AuditSection = AuditSection()
    publish: PublishSection = PublishSection()
    compute: ComputeSection = ComputeSection()
    cluster: ClusterSection = ClusterSection()

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        """Rules that bind two fields."""
        check_input(self.data, self.pacs, self.fetch)
        if self.train.schedule == "one_cycle" and self.train.warm_up_epochs:
            raise ValueError("train.warm_up_epochs must be 0 for one_cycle, which has its own")
        if self.train.loss == "focal" and self.train.label_smoothing:
            raise ValueError("train.label_smoothing must be 0 for loss focal")
        for name in ("window", "percentiles"):
            bounds = getattr(self.preprocess, name)
            if isinstance(bounds, str):
                continue
            low, high = bounds
            if not low < high:
                raise ValueError(f"preprocess.{name} must rise, got {low} to {high}")
        check_predict(self.predict, self.train, augment=self.augment, tune=self.tune)
        check_task(self)
        check_synthesise(self)
        check_ablation(self)
        check_space(self.tune, {name: getattr(self, name) for name in type(self).model_fields})
        return self

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The networks trained on each fold: transfer, scratch, or both."""
        if self.model.weights == "none":
            return ("scratch",)
        return ("transfer", "scratch") if self.train.compare_scratch else ("transfer",)

    @property
    def needs_pretraining(self) -> bool:
        """Whether some network starts from weights that are trained here."""
        return "pretrain" in (self.model.weights, *self.scorecard.sources)

    def with_values(self, values: Mapping[str, object]) -> "Study":
        """Return the study with other values of fields that a search chooses.

        Args:
            values: `section.field` to value, of the sections that may be searched.

        Raises:
            ConfigError: A value breaks its rule.
        """
        changed = self.model_dump()
        for key, value in values.items():
            section, _, field = key.partition(".")
            if section not in SEARCHED_SECTIONS or field not in changed[section]:
                raise ConfigError(f"tune: chosen field must be one to search, got {key}.")
            changed[section][field] = value
        return build_study(changed)

    def settings(self, step: str) -> dict[str, JsonValue]:
        """Return what a step obeys, section by section, as plain JSON types."""
        keys = self.list_keys(step.partition("/")[0])
        return cast(dict[str, JsonValue], _make_plain(self.model_dump(include=keys)))

    def all_settings(self) -> dict[str, JsonValue]:
        """Return every section that some step obeys, whole, as plain JSON types."""
        names = [name for sections in STEP_SECTIONS.values() for name in sections]
        dumped = {name: getattr(self, name).model_dump() for name in dict.fromkeys(names)}
        return cast(dict[str, JsonValue], _make_plain(dumped))

    @classmethod
    def list_keys(cls, step: str) -> dict[str, set[str]]:
        """Return the fields of each section that a step obeys; its name is without places."""
        sections = STEP_SECTIONS[step]
        return {name: choose_fields(step, name, cls.list_fields(name)) for name in sections}

    @classmethod
    def list_fields(cls, section: str) -> frozenset[str]:
        """Return the fields of a section."""
        model = cast(type[Section], cls.model_fields[section].annotation)
        return frozenset(model.model_fields)


def _make_plain(value: object) -> object:
    """Return JSON types; a path becomes a digest, since its folders may name people."""
    if isinstance(value, dict):
        return {key: _make_plain(held) for key, held in value.items()}
    if isinstance(value, tuple):
        return [_make_plain(held) for held in value]
    if isinstance(value, Path) or (isinstance(value, str) and "/" in value):
        return f"path-{hash_bytes(str(value).encode())[:12]}"
    return value


def load_study(source: str | Path | None, *, overrides: Sequence[str] = ()) -> Study:
    """Read and check a configuration.

    Args:
        source: A YAML file, a JSON object as text, or nothing for the defaults.
        overrides: `section.field=value` texts, the value in YAML.

    Raises:
        ConfigError: A key is unknown, a value breaks its rule, or the file cannot be read.
    """
    values = _read_source(source)
    for text in overrides:
        _apply_override(values, text)
    return build_study(values)


def build_study(values: Mapping[str, object]) -> Study:
    """Check plain values (as Snakemake holds them) against the models.

    Raises:
        ConfigError: As `load_study`.
    """
    try:
        return Study.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(_describe(detail) for detail in error.errors())) from error


def is_json(config: str) -> bool:
    """Tell whether a configuration is given as text, and not as a file's path."""
    return config.lstrip().startswith("{")


def _read_source(source: str | Path | None) -> dict[str, object]:
    """Return the plain values of a file or of JSON text."""
    if source is None:
        return {}
    text = str(source)
    try:
        values = json.loads(text) if is_json(text) else _read_yaml(Path(text))
    except ValueError as error:
        raise ConfigError(f"config: text must be readable JSON, got {error}.") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(
            f"config: file must hold sections, got a {type(values).__name__}.",
            "write `section:` lines with `  field: value` lines below them, as config/config.yaml.",
        )
    return values


def _read_yaml(path: Path) -> object:
    """Return what a configuration file holds."""
    return parse_yaml(_read_text(path), where=f"{path.name}: file")


def _read_text(path: Path) -> str:
    """Return a configuration file's text, or say in plain words why there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path.name}: file must be readable YAML, got another encoding than UTF-8.",
            "save it as plain text in UTF-8.",
        ) from error
    except OSError as error:
        found = (error.strerror or type(error).__name__).lower()
        raise ConfigError(
            f"--config: file must be readable YAML, got {path}: {found}.",
            f"paths are relative to the working directory, {Path.cwd()}; `medvision init DIR` "
            "writes a configuration.",
        ) from error


def _apply_override(values: dict[str, object], text: str) -> None:
    """Set `section.field=value` in place (the dict is this module's own)."""
    key, equals, value = text.partition("=")
    section, dot, field = key.strip().partition(".")
    if not (equals and dot and section and field):
        raise ConfigError(f"--set: override must be section.field=value, got {text}.")
    held = values.setdefault(section, {})
    if not isinstance(held, dict):
        raise ConfigError(f"--set {section}: section must hold fields, got {held}.")
    held[field] = parse_yaml(value, where=f"--set {key}: value")


def _describe(detail: ErrorDetails) -> str:
    """Return one line per fault: where, the rule, what was found, what was meant."""
    where = ".".join(str(part) for part in detail["loc"]) or "config"
    if detail["type"] == "extra_forbidden":
        return f"{where}: key must be known, got {detail['loc'][-1]}.{_did_you_mean(detail)}"
    if detail["type"] == "value_error":
        return f"config: {detail['msg'].removeprefix('Value error, ')}."
    if detail["type"] in ("model_type", "dict_type", "model_attributes_type"):
        found = "nothing" if detail["input"] is None else repr(detail["input"])
        return f"{where}: section must hold fields, `name: value`, got {found}."
    return f"{where}: value must {say_rule(detail['msg'])}, got {detail['input']!r}."


def _did_you_mean(detail: ErrorDetails) -> str:
    """Name the nearest known key at the place of an unknown one."""
    *above, last = [str(part) for part in detail["loc"]]
    model: type[Section] = Study
    for part in above:
        annotation = model.model_fields[part].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, Section)):
            return ""
        model = annotation
    close = difflib.get_close_matches(last, list(model.model_fields), n=1)
    if close:
        return f" Did you mean {close[0]}?"
    elsewhere = [n for n, f in Study.model_fields.items() if _holds(f.annotation, last)]
    return f" It belongs to section {elsewhere[0]}." if elsewhere else ""


def _holds(annotation: object, key: str) -> bool:
    """Tell whether a section has a field of this name."""
    return (
        isinstance(annotation, type)
        and issubclass(annotation, Section)
        and key in annotation.model_fields
    )
