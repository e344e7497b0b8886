"""Where a training can be watched: TensorBoard, and MLflow where it is asked for."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, cast

from medvision.cli._training.fitting import Job
from medvision.domain.record import JsonValue

if TYPE_CHECKING:
    from medvision.learn.resume import HistoryValue

_ID_LENGTH = 32


@contextmanager
def open_views(
    job: Job, seed: int, *, digest: str
) -> "Iterator[Callable[[Mapping[str, HistoryValue]], None] | None]":
    """Yield a function that shows an epoch's row, in the process that writes; None in others.

    Args:
        job: Arm, fold and settings.
        seed: Seed of the network.
        digest: Digest of all that the training depends on; its beginning is the run's id.

    Raises:
        ConfigError: MLflow is asked for and not installed, or cannot write.
    """
    from medvision.learn.board import open_board
    from medvision.learn.tracking import open_tracking

    if not job.team.is_first:
        yield None
        return
    place, run_id = job.step.study.train.mlflow, digest[:_ID_LENGTH]
    folder = job.step.layout.seed(job.arm, job.fold, seed=seed)
    with ExitStack() as stack:
        views = [stack.enter_context(open_board(folder / "tensorboard"))]
        if place is not None:
            runs = cast(dict[str, JsonValue], job.step.facts.setdefault("mlflow_runs", {}))
            runs[str(seed)] = run_id
            views.append(
                stack.enter_context(
                    open_tracking(
                        place,
                        run_id=run_id,
                        name=f"{job.arm} fold {job.fold} seed {seed}",
                        parameters=_list_parameters(job, seed),
                    )
                )
            )

        def show(row: "Mapping[str, HistoryValue]") -> None:
            for view in views:
                view(row)

        yield show


def _list_parameters(job: Job, seed: int) -> dict[str, str | int | float | bool | None]:
    """List arm, fold, seed and the settings that the training obeys; paths as digests."""
    sections = job.settings.settings(job.step.name)
    found: dict[str, str | int | float | bool | None] = {
        "arm": job.arm,
        "fold": job.fold,
        "seed": seed,
    }
    for section, fields in sections.items():
        for name, value in cast(dict[str, JsonValue], fields).items():
            is_plain = value is None or isinstance(value, str | int | float)
            found[f"{section}.{name}"] = value if is_plain else str(value)  # type: ignore[assignment]  # plain, as just told
    return found
