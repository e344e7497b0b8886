"""How the networks were trained, in words, from the settings in force."""

from collections.abc import Callable

from medvision.domain.record import JsonValue
from medvision.report.searching import SEARCHED, is_searched
from medvision.report.sources import Sources
from medvision.report.words import say_count

Cite = Callable[[str], str]

_SCHEDULES = {
    "one_cycle": "one cycle",
    "cosine": "falling along half a cosine",
    "constant": "held constant",
}


def write_training(sources: Sources, cite: Cite) -> str:
    """Say how the networks were trained.

    Args:
        sources: The settings in force.
        cite: Gives a citation's number.
    """

    def get(name: str) -> JsonValue:
        return SEARCHED if is_searched(sources, f"train.{name}") else sources.setting("train", name)

    seeds = get("seeds")
    n_seeds = len(seeds) if isinstance(seeds, list) else 1
    passes = get("accumulation")
    divided = f" in {passes} passes" if isinstance(passes, int) and passes > 1 else ""
    return " ".join(
        [
            f"Networks were trained with {_say_optimizer(get, cite)} for at most {get('epochs')} "
            f"epochs (batch {get('batch_size')}{divided}, peak learning rate "
            f"{get('learning_rate')}, weight decay {get('weight_decay')}, {_say_schedule(get)}), "
            f"stopping after {get('patience')} epochs without a better validation "
            f"{get('monitor')}; {say_count(n_seeds, 'seed')} per fold.",
            *_list_more(get, cite, task=str(sources.setting("data", "task"))),
            *_list_scratch(sources, cite),
        ]
    )


def _say_optimizer(get: Callable[[str], JsonValue], cite: Cite) -> str:
    """Name the optimiser."""
    if get("optimizer") == "sgd":
        return f"stochastic gradient descent with momentum {get('momentum')} {cite('sgd')}"
    return f"AdamW {cite('adamw')}"


def _say_schedule(get: Callable[[str], JsonValue]) -> str:
    """Say the course of the learning rate."""
    name, waited = str(get("schedule") or "one_cycle"), get("plateau_epochs")
    course = f"course {SEARCHED}" if name == SEARCHED else _SCHEDULES.get(name)
    if course is None:
        epochs = say_count(waited, "epoch") if isinstance(waited, int) else f"{waited} epochs"
        course = f"multiplied by {get('plateau_factor')} after {epochs} without improvement"
    warm_up = get("warm_up_epochs")
    length = f"{warm_up:g}" if isinstance(warm_up, int | float) else warm_up
    return f"{course} after a linear warm-up of {length} epochs" if warm_up else course


def _say_loss(get: Callable[[str], JsonValue], cite: Cite, *, task: str) -> str:
    """Name the loss, where it is not the usual one of classes."""
    loss = str(get("loss"))
    if loss == "focal":
        of_each = " of each finding" if task == "multilabel" else ""
        return (
            f"The focal loss{of_each} {cite('focal')} with gamma {get('focal_gamma')} was fitted."
        )
    if task == "multilabel":
        by = f"a loss {SEARCHED}" if loss == SEARCHED else "its binary cross-entropy"
        return (
            f"One logit per finding was fitted by {by}; findings not known of an image were left "
            "out of the loss."
        )
    if task == "regression":
        names = {"huber": f"Huber's loss {cite('huber')}"} if loss == "huber" else {}
        names |= {SEARCHED: f"a loss {SEARCHED}"}
        name = names.get(loss, "the mean squared error")
        return (
            f"One value was fitted by {name}, in standard deviations from the mean of the training "
            "images' values, which were undone in prediction."
        )
    return ""


def _say_imbalance(imbalance: str, task: str) -> str:
    """Name the remedy for what is rare; a value has none."""
    if task == "regression":
        return ""
    if imbalance == "weights" and task == "multilabel":
        return "Each finding's presence and absence were weighted by their rarity in the loss."
    return {
        "weights": "Classes were weighted by their rarity in the loss.",
        "sampling": "Classes were sampled equally often.",
    }.get(imbalance, "")


def _list_more(get: Callable[[str], JsonValue], cite: Cite, *, task: str) -> list[str]:
    """Say what is off unless it was asked for."""
    smoothing = get("label_smoothing")
    clip, ema = get("clip_norm"), get("ema")
    told = [
        _say_loss(get, cite, task=task),
        f"Labels were smoothed by {smoothing} {cite('smoothing')}." if smoothing else "",
        _say_imbalance(str(get("imbalance")), task),
        f"Gradients were clipped at norm {clip}." if clip else "",
        f"The weights' moving average (decay {ema}) was validated and kept {cite('ema')}."
        if ema
        else "",
    ]
    return [text for text in told if text]


def _list_scratch(sources: Sources, cite: Cite) -> list[str]:
    """Say what is so of one of two arms alone."""
    if sources.setting("model", "weights") == "none":
        return []
    told = []
    decay = sources.setting("train", "depth_decay")
    if isinstance(decay, int | float) and decay < 1:
        told.append(
            f"Learning rates fell by the factor {decay} from each block to the one below "
            f"{cite('depth')}."
        )
    if sources.setting("train", "compare_scratch"):
        told.append("The same network was also trained from random weights on the same folds.")
    return told
