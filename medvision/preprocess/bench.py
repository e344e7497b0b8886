"""Computing rows: each image through the pipeline into the journal, here or in worker processes."""

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing

import numpy as np

from medvision.domain.geometry import Affine
from medvision.domain.volume import FloatGrid, FloatVolume, Volume, format_shape
from medvision.preprocess.early import cut_early, run_early
from medvision.preprocess.encoding import (
    DTYPES,
    Dtype,
    choose_own,
    encode,
    measure_rounding,
)
from medvision.preprocess.execute import build_executor
from medvision.preprocess.fused.planes import ArrayPlanes, Planes
from medvision.preprocess.fused.run import knows_image
from medvision.preprocess.journal import Journal
from medvision.preprocess.kept import KeptImages, Origin, split_plan
from medvision.preprocess.keys import Task
from medvision.preprocess.recipe import Recipe, find_display, load_image
from medvision.preprocess.rejection import UnusableImageError
from medvision.preprocess.rows import Refused, Row, format_affine
from medvision.preprocess.voi import (
    Display,
    fill_plan,
    fill_plan_plainly,
    find_mirror,
    has_voi_step,
)
from medvision.runtime.files import hash_fast
from medvision.runtime.workers import end_with_parent


class Bench:
    """A process's pipeline, built once."""

    def __init__(self, recipe: Recipe) -> None:
        """Choose who carries out the plan, cut where images are kept.

        Raises:
            ConfigError: `keep_after` names no step that images can be kept after.
        """
        self._recipe = recipe
        whole = fill_plan_plainly(recipe.plan)
        self._early, self._plain = cut_early(whole)
        self._whole = build_executor(self._plain)
        self._journal = Journal(recipe.journal, recipe.part)
        self._kept = KeptImages(recipe.kept)
        if recipe.keep_after is not None:
            first, rest = split_plan(whole, after=recipe.keep_after)
            self._kept = KeptImages(recipe.kept, plan=first.digest, part=recipe.part)
            self._first = build_executor(cut_early(first)[1])
            self._rest = build_executor(rest)

    def close(self) -> None:
        """Let go of the journal, and of what is kept."""
        self._journal.close()
        self._kept.close()

    def compute(self, task: Task, *, dtype: Dtype | None = None) -> None:
        """Compute one row, or the reason why there is none, into the journal.

        Args:
            task: Which image.
            dtype: How it is stored; None lets the settings and the image decide.

        Raises:
            StorageError: The journal cannot be written.
        """
        try:
            volume, origin = self._transform(task)
        except UnusableImageError as error:
            self._journal.write(Refused(task.image_id, task.key, error.reason, error.detail), b"")
            return
        self._journal.write(*self._describe(task, volume, origin=origin, dtype=dtype))

    def _transform(self, task: Task) -> tuple[Volume, Origin]:
        """Send an image through the plan, or through what is left of it for a kept one."""
        display = find_display(task.image_id, self._recipe)
        if has_voi_step(self._plain) or display is not None:
            return self._show(task.image_id, display)
        is_kept = self._recipe.keep_after is not None
        held = self._kept.read(task.kept_key) if is_kept else None
        if held is not None:
            volume, origin = held
            return self._rest(volume.array, volume.affine), origin
        source, origin, is_fused = self._open(task.image_id)
        halfway = self._go_halfway(source) if is_kept and is_fused else None
        if halfway is None:
            return self._whole.run(source), origin
        self._kept.keep(task.kept_key, halfway, origin=origin)
        return self._rest(halfway.array, halfway.affine), origin

    def _show(self, image_id: str, display: Display | None) -> tuple[Volume, Origin]:
        """Send an image through a plan of its own; 2D images are not kept half-way."""
        fill_plan(self._recipe.plan, display)
        image, affine, origin = self._load(image_id)
        mirror = find_mirror(image)
        image, affine = self._run_early(image_id, image, affine)
        plan = cut_early(fill_plan(self._recipe.plan, display, mirror=mirror))[1]
        # What goes through torch, a sheared volume, is held to one thread.
        self._is_fused(image, affine)
        return build_executor(plan)(image, affine), origin

    def _load(self, image_id: str) -> tuple[FloatGrid | FloatVolume, Affine, Origin]:
        """Read an image, and note where it comes from."""
        image, affine = load_image(image_id, self._recipe)
        return image, affine, Origin(format_shape(image.shape[-3:]), format_affine(affine))

    def _run_early(
        self, image_id: str, image: FloatGrid | FloatVolume, affine: Affine
    ) -> tuple[FloatGrid | FloatVolume, Affine]:
        """Send an image through the steps on the source that do not pass it by."""
        if not self._early:
            return image, affine
        others = self._recipe.passes_by(image_id)
        steps = tuple(step for step in self._early if step.name not in others)
        channels = image if image.ndim == 4 else image[np.newaxis]
        volume = run_early(steps, Volume(channels, affine))
        return volume.array, volume.affine

    def _open(self, image_id: str) -> tuple[Planes, Origin, bool]:
        """Return an image after the early steps, where it comes from, and whether it is fused."""
        planes = self._open_planes(image_id)
        if planes is not None:
            origin = Origin(format_shape(planes.shape), format_affine(planes.affine))
            return planes, origin, True
        image, affine, origin = self._load(image_id)
        image, affine = self._run_early(image_id, image, affine)
        is_fused = self._is_fused(image, affine)
        channels = image if image.ndim == 4 else image[np.newaxis]
        return ArrayPlanes(channels, affine), origin, is_fused

    def _open_planes(self, image_id: str) -> Planes | None:
        """Open an image that the one pass can take while its file is unpacked."""
        if self._recipe.open_planes is None or self._whole.kind != "fused" or self._early:
            return None
        planes = self._recipe.open_planes(image_id)
        if planes is None or not knows_image(self._plain, planes.shape, planes.affine):
            return None
        return planes

    def _is_fused(self, image: FloatGrid | FloatVolume, affine: Affine) -> bool:
        """Tell whether one pass carries out the plan; torch, if not, is held to one thread."""
        i, j, k = image.shape[-3:]
        if self._whole.kind == "fused" and knows_image(self._plain, (i, j, k), affine):
            return True
        from medvision.runtime.device import limit_threads

        # Sums depend on how they are split, and the record holds no thread count.
        limit_threads(1)
        return False

    def _go_halfway(self, source: Planes) -> Volume | None:
        """Return an image where it is kept, unless going on from there could end elsewhere.

        What is refused here may be refused for another reason by the whole plan. Mean and
        deviation are sums, which depend on the order of the axes in memory.
        """
        try:
            halfway = self._first.run(source)
        except UnusableImageError:
            return None
        sums = any(step.name == "NormalizeIntensity" for step in self._rest.plan.steps)
        return None if sums and _is_turned(source.affine, halfway.affine) else halfway

    def _describe(
        self, task: Task, volume: Volume, *, origin: Origin, dtype: Dtype | None
    ) -> tuple[Row, bytes]:
        """Measure what each type would lose, and store the array in one of them."""
        array = volume.array if self._recipe.plan.spatial_dims == 3 else volume.array[..., 0]
        errors = {name: measure_rounding(array, name) for name in DTYPES}
        limit = self._recipe.max_rounding
        dtype = dtype or choose_own(self._recipe.dtype, errors=errors, max_rounding=limit)
        encoded = encode(array, dtype)
        content = encoded.array.tobytes()
        return Row(
            image_id=task.image_id,
            key=task.key,
            shape=array.shape,
            dtype=dtype,
            scale=encoded.scale,
            offset=encoded.offset,
            error_float16=errors["float16"],
            error_int16=errors["int16"],
            digest=hash_fast(content),
            source_shape=origin.shape,
            source_affine=origin.affine,
            tensor_affine=format_affine(volume.affine),
        ), content


def compute_rows(
    tasks: Sequence[Task], recipe: Recipe, *, workers: int, dtype: Dtype | None = None
) -> Iterator[Task]:
    """Compute rows into the journal; how many processes do it never changes a byte.

    Args:
        tasks: What is missing there.
        recipe: How.
        workers: Processes; 1 computes in this one.
        dtype: How all are stored; None lets each decide.

    Yields:
        Each task when it is done, in the order given.

    Raises:
        ConfigError: `keep_after` names no step.
        StorageError: The journal cannot be written.
    """
    if workers == 1 or len(tasks) < 2:
        if tasks:
            with closing(Bench(recipe)) as bench:
                for task in tasks:
                    bench.compute(task, dtype=dtype)
                    yield task
        return
    # Not forked: a forked child of a process with threads may hang.
    context = multiprocessing.get_context("spawn")
    jobs = [(task, dtype) for task in tasks]
    with ProcessPoolExecutor(
        min(workers, len(tasks)), mp_context=context, initializer=_set_up, initargs=(recipe,)
    ) as pool:
        chunk = max(1, min(16, len(tasks) // (4 * workers)))
        try:
            yield from pool.map(_compute_there, jobs, chunksize=chunk)
        finally:
            pool.shutdown(cancel_futures=True)


_benches: list[Bench] = []
"""The bench of a worker process; the process that imports this has none."""


def _set_up(recipe: Recipe) -> None:
    """Build a worker's bench."""
    end_with_parent()
    _benches[:] = [Bench(recipe)]


def _compute_there(job: tuple[Task, Dtype | None]) -> Task:
    """Compute one row in a worker."""
    task, dtype = job
    _benches[0].compute(task, dtype=dtype)
    return task


def _is_turned(source: Affine, result: Affine) -> bool:
    """Tell whether an axis of the result runs along another axis of the source."""
    before, after = source[:3, :3], result[:3, :3]
    lengths = np.linalg.norm(before, axis=0) * np.linalg.norm(after, axis=0)
    return bool((np.abs((before * after).sum(axis=0)) < 0.99 * lengths).any())
