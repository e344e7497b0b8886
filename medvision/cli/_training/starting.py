"""Where a training starts: the file of weights, and the form of network that suits it."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from medvision.cli._run import Step
from medvision.cli._training.learning import LearningData
from medvision.cli._training.unlabelled import check_pretraining
from medvision.domain.network_form import PLAIN, NetworkForm
from medvision.domain.record import JsonValue
from medvision.errors import ConfigError
from medvision.learn.entrance import build_form
from medvision.learn.registry import Source, find_shelf
from medvision.learn.weights_path import SAFE_SUFFIX, check_kind, resolve_weights
from medvision.runtime.files import hash_file


@dataclass(frozen=True)
class Start:
    """What a network is built with before it is trained.

    Args:
        path: File of the starting weights; None from scratch.
        digest: sha256 of that file, or None.
        form: How images enter the network, and which of its layers are of another kind.
        source: Name of the source that describes the file, or None.
    """

    path: Path | None
    digest: str | None
    form: NetworkForm
    source: str | None

    def describe(self) -> JsonValue:
        """Return the form as JSON, or None where it is plain."""
        if self.form == PLAIN:
            return None
        return {name: _as_json(value) for name, value in asdict(self.form).items()}


def _as_json(value: object) -> JsonValue:
    """Return a tuple of numbers as a list, a word as it is."""
    return [float(item) for item in value] if isinstance(value, tuple) else str(value)


def find_start(step: Step, data: LearningData, *, arm: str) -> Start:
    """Find the starting weights of an arm, registered as read.

    Both arms have the same network: from scratch, images enter as they do for the weights, so that
    a difference between the arms is one of weights alone. Only a folded BatchNorm is the weights'
    own, since a network from scratch must learn its statistics.

    Args:
        step: The running step.
        data: The study's images.
        arm: transfer or scratch.

    Raises:
        ConfigError: The images cannot be brought to what the weights expect.
        WeightsError: The file is missing, unsafe or damaged.
    """
    weights = step.study.model.weights
    if weights == "none":
        return Start(None, None, PLAIN, None)
    if weights == "pretrain":
        path = step.read(step.layout.pretrained) if arm == "transfer" else None
        if path is not None:
            check_pretraining(step)
        return Start(path, hash_file(path) if path else None, PLAIN, None)
    path, source = resolve_weights(weights, find_shelf())
    form = find_form(step, data, path=path, source=source)
    name = source.name if source else None
    step.source("weights", path)
    if arm == "scratch":
        return Start(None, None, replace(form, norm="usual"), name)
    return Start(path, hash_file(path), form, name)


def find_form(step: Step, data: LearningData, *, path: Path, source: Source | None) -> NetworkForm:
    """Tell the form by the file's own word, or its source's description, and by its tensors.

    Args:
        step: The running step.
        data: The study's images.
        path: File of weights.
        source: What describes it, or None.

    Raises:
        ConfigError: The images cannot be brought to what the weights expect.
        WeightsError: The file is unsafe or damaged.
    """
    from medvision.learn.adapt import is_flat, is_folded
    from medvision.learn.sources import read_weights

    channels = data.channels
    form = _read_own_form(path)
    if form is None and source is not None:
        form = build_form(source, intensity=step.study.preprocess.intensity, channels=channels)
    tensors = read_weights(path)
    form = form or PLAIN
    if is_folded(tensors):
        form = replace(form, norm="folded")
    if form.mean and channels not in (1, len(form.mean)):
        raise ConfigError(
            f"model.weights: images must have 1 or {len(form.mean)} channels for these weights, "
            f"got {channels}."
        )
    is_volume = data.store.spatial_dims == 3
    if is_volume and is_flat(tensors) and step.study.model.adapt_3d == "acs":
        return replace(form, convolution="acs")
    return form if is_volume else replace(form, convolution="full")


def _read_own_form(path: Path) -> NetworkForm | None:
    """Return what a sealed model says of its own form; None for files of others."""
    from medvision.errors import WeightsError
    from medvision.runtime.checkpoint import parse_meta, read_header

    if check_kind(path) != SAFE_SUFFIX:
        return None
    try:
        return parse_meta(read_header(path), where=path.name).form
    except WeightsError:
        return None
