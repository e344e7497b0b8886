"""What the methods text says of weights that were trained here before any label was seen."""

from collections.abc import Callable

from medvision.report.sources import Sources

CITATIONS = {
    "contrastive": "Chen T et al. A simple framework for contrastive learning of visual "
    "representations. ICML 2020. arXiv:2002.05709.",
    "masked": "He K et al. Masked autoencoders are scalable vision learners. CVPR 2022. "
    "doi:10.1109/CVPR52688.2022.01553.",
}

_TASKS = {
    "contrastive": "telling random views of an image from those of others",
    "masked": "filling in hidden blocks of images",
}
_WHOSE = {
    "untested": "No image of a test subject was among them.",
    "all": "Images of test subjects, without their labels, were among them, so that scores may "
    "flatter the network.",
}


def describe_pretraining(sources: Sources, cite: Callable[[str], str]) -> str:
    """Say on what the starting weights were trained, and whether test subjects were among it.

    Args:
        sources: The settings in force.
        cite: Gives a citation's number.
    """
    task = str(sources.setting("pretrain", "task"))
    epochs, seed = (sources.setting("pretrain", name) for name in ("epochs", "seed"))
    course = f"(epochs: {epochs}, seed {seed})"
    if task not in _TASKS:
        images = sources.setting("pretrain", "images")
        return (
            f"It started from weights trained here on a synthetic source task of {images} images "
            f"{course}."
        )
    whose = _WHOSE[str(sources.setting("pretrain", "subjects"))]
    return (
        f"It started from weights trained here without labels on the archive's own images, by "
        f"{_TASKS[task]} {cite(task)} {course}. {whose}"
    )
