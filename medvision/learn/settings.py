"""How a network is fitted: all that does not change while it is."""

from dataclasses import dataclass
from typing import Literal

from medvision.domain.labels.rows import Task
from medvision.learn.dataset import Imbalance
from medvision.learn.losses import LossName
from medvision.learn.optimizers import OptimizerName
from medvision.learn.schedules import ScheduleName
from medvision.runtime.seeds import Kernels

Amp = Literal["auto", "off"]
Monitor = Literal["loss", "auc", "mae"]
Reuse = Literal["auto", "off"]
Switch = Literal["on", "off"]


@dataclass(frozen=True)
class TrainSettings:
    """The fields of the configuration's section `train`, one network at a time.

    Those with a default are off, or are what this package did before they could be chosen.

    Args:
        epochs: Most passes over the training images.
        batch_size: Images a step.
        learning_rate: Peak learning rate.
        weight_decay: Decay of the optimiser.
        imbalance: none, loss weights by class, or class-balanced sampling.
        monitor: Figure by which the best epoch is chosen; the loss decides ties.
        patience: Epochs without improvement before stopping.
        amp: auto takes mixed precision on a GPU.
        accumulation: Passes that each step's images are divided among; 1 is no division.
        loss: cross_entropy or focal; mse or huber of a value.
        focal_gamma: How much the focal loss turns from images that are right already.
        label_smoothing: Share of each label that is spread over all classes.
        optimizer: adamw or sgd.
        momentum: Momentum of sgd.
        schedule: one_cycle, cosine, constant or plateau.
        warm_up_epochs: Epochs of linear warm-up; one_cycle has its own.
        plateau_epochs: Epochs without improvement after which plateau lowers the rate.
        plateau_factor: What plateau multiplies the rate by.
        clip_norm: Largest norm of a step's gradient; 0 is no limit.
        ema: Decay of the moving average of the weights; 0 is none.
        depth_decay: Factor of the learning rate from one block to the next one below.
        reuse_features: auto computes a frozen backbone's features once where nothing is random.
        kernels: exact repeats itself to the bit on a CPU; fast lets a GPU choose the quickest.
        compile: on compiles the training steps, where that can be done.
        task: What the outputs are: logits of classes, a logit per finding, or one value.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    imbalance: Imbalance
    monitor: Monitor
    patience: int
    amp: Amp
    accumulation: int = 1
    loss: LossName = "cross_entropy"
    focal_gamma: float = 2.0
    label_smoothing: float = 0.0
    optimizer: OptimizerName = "adamw"
    momentum: float = 0.9
    schedule: ScheduleName = "one_cycle"
    warm_up_epochs: float = 0.0
    plateau_epochs: int = 3
    plateau_factor: float = 0.1
    clip_norm: float = 0.0
    ema: float = 0.0
    depth_decay: float = 1.0
    reuse_features: Reuse = "auto"
    kernels: Kernels = "exact"
    compile: Switch = "off"
    task: Task = "classification"
