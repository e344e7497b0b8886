"""One series, or one NIfTI file, converted; and what became of its files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from medvision.domain.study import Grid, Instance, Series, Slice, find_instances
from medvision.domain.volume import NumberGrid
from medvision.io.headers.translate import read_instance_fully
from medvision.io.ingest.choose import choose_volumes
from medvision.io.ingest.convert_nifti import NiftiFile, convert_nifti
from medvision.io.ingest.describe import describe_image, list_used
from medvision.io.ingest.image import write_image
from medvision.io.ingest.planes import PlaneReader, UnusableFileError
from medvision.io.ingest.verdict import Outcome, Verdict, merge_outcomes, refuse_with
from medvision.io.ingest.workshop import Workshop
from medvision.io.pixels.regions import blank, check_burned_in, find_regions
from medvision.io.pixels.text_detection import has_text
from medvision.io.reasons import SAME_PIXELS, RefusalError
from medvision.io.stacking.resample import resample
from medvision.io.stacking.series import check_grid, split_grids
from medvision.io.stacking.volumes import Arrangement, arrange

_NO_MEMORY = Verdict("refused", "unreadable", "image must fit into memory, got none left")


def convert(job: Series | NiftiFile, workshop: Workshop) -> Outcome:
    """Convert one series or file; what is wrong with it ends in verdicts, not in an exception.

    Args:
        job: All instances of one series, or one NIfTI file.
        workshop: What every conversion of the run needs.
    """
    if isinstance(job, NiftiFile):
        return convert_nifti(job, workshop)
    series = _confirm(job, workshop)
    return merge_outcomes(_convert_grid(grid, workshop) for grid in split_grids(series))


def refuse(job: Series | NiftiFile, verdict: Verdict) -> Outcome:
    """Give every file of a job the same verdict, except where a file has a fault of its own."""
    if isinstance(job, NiftiFile):
        return Outcome(files=dict.fromkeys(job.files, verdict))
    return Outcome(files=_list_refused(job.instances, verdict))


def _list_refused(instances: Sequence[Instance], verdict: Verdict) -> dict[str, Verdict]:
    """Return the verdict per file, a file's own fault before that of its series."""
    return {
        item.file: Verdict("refused", *item.fault) if item.fault else verdict for item in instances
    }


def _confirm(series: Series, workshop: Workshop) -> Series:
    """Parse in full what the bounded scan may not have told right, or not wholly.

    One file of every series is parsed in full. All of them are where it disagrees with the scan;
    where some were parsed in full already, since those alone would have private attributes; and
    where positions repeat, since private attributes may tell what sets the slices apart.
    """
    usable = [item for item in series.instances if not item.fault]
    partial = [item for item in usable if item.is_partial]
    if not partial:
        return series
    is_mixed = len(partial) < len(usable)
    if not is_mixed and not _has_repeats(series):
        whole = _read_fully(partial[0], workshop)
        if _is_confirmed(partial[0], whole):
            return series
    instances = [
        _read_fully(item, workshop) if item.is_partial and not item.fault else item
        for item in series.instances
    ]
    return replace(series, instances=tuple(instances))


def _read_fully(instance: Instance, workshop: Workshop) -> Instance:
    """Return an instance as a full parse tells it, with a fault where that fails."""
    try:
        content = workshop.read_file(instance.path)
        read = read_instance_fully(
            workshop.source / instance.path,
            file=instance.file,
            relative_path=instance.path,
            names=workshop.pseudonymiser,
            content=content,
        )
    except RefusalError as refusal:
        return replace(instance, fault=(refusal.reason, refusal.detail))
    if isinstance(read, str):
        return replace(instance, fault=("unreadable", "header must be an image's, got another"))
    # The run names the image: only it knows of another study with a series of the same UID.
    return replace(read, image_name=instance.image_name)


def _is_confirmed(scanned: Instance, whole: Instance) -> bool:
    """Say whether a full parse says what the scan said, private attributes aside."""
    frames = [replace(frame, variant=()) for frame in whole.frames]
    told = [replace(frame, variant=()) for frame in scanned.frames]
    return frames == told and replace(whole, is_partial=True, frames=()) == replace(
        scanned, frames=()
    )


def _has_repeats(series: Series) -> bool:
    """Say whether planes share a position."""
    places = [
        (frame.orientation, frame.position_mm)
        for instance in series.instances
        for frame in instance.frames
        if frame.position_mm is not None
    ]
    return len(set(places)) < len(places)


@dataclass(frozen=True)
class _Filled:
    """A grid with its pixels: which slices lie where, and their values (I, J, K, T[, 3])."""

    slices: list[Slice]
    arrangement: Arrangement
    values: NumberGrid


def _convert_grid(grid: Grid, workshop: Workshop) -> Outcome:
    """Convert the slices of one grid."""
    reader = PlaneReader(workshop)
    instances = find_instances(grid.slices)
    try:
        check_grid(grid)
        reader.flags |= _check_text(grid, workshop)
        filled = _fill(grid, reader, workshop)
        rows = tuple(_write_images(grid, filled, reader, workshop)) if filled else ()
        files, images = _judge_files(filled, rows)
    except RefusalError as refusal:
        rows, files, images = (), _list_refused(instances, refuse_with(refusal)), {}
    except MemoryError:
        rows, files, images = (), _list_refused(instances, _NO_MEMORY), {}
    reader.hash_rest(grid.slices)
    return Outcome(rows, files | reader.dropped, images, reader.digests)


def _check_text(grid: Grid, workshop: Workshop) -> set[str]:
    """Refuse pixels that may hold identifying text, or return what to flag."""
    settings = workshop.settings
    flags: set[str] = set()
    for instance in find_instances(grid.slices):
        is_blanked = bool(find_regions(settings.region_rules, instance))
        flags |= set(check_burned_in(instance, burned_in=settings.burned_in, is_blanked=is_blanked))
    return flags


def _fill(grid: Grid, reader: PlaneReader, workshop: Workshop) -> _Filled | None:
    """Arrange and read a grid, without the files that prove unusable; None where none is left."""
    settings = workshop.settings
    while slices := reader.open(grid.slices):
        arrangement = arrange(
            slices,
            digest=reader.hash_plane,
            gap_tolerance=settings.gap_tolerance,
            gaps=settings.gaps,
            tilt=settings.tilt,
        )
        chosen = arrangement.volumes[:1] if settings.volume == "first" else arrangement.volumes
        try:
            values = reader.read_volumes(slices, chosen)
        except UnusableFileError:
            continue
        return _Filled(slices, arrangement, values)
    return None


def _write_images(
    grid: Grid, filled: _Filled, reader: PlaneReader, workshop: Workshop
) -> Iterator[dict[str, str]]:
    """Write what the settings ask for of a grid's volumes."""
    is_colour = filled.values.ndim == 5
    values = _blank_regions(grid, filled.values, workshop)
    if workshop.settings.text_detection == "refuse" and has_text(values, is_colour=is_colour):
        raise RefusalError("burned-in-text", "pixels must hold no text, text was found")
    flags = set(reader.flags)
    if grid.is_incomplete or reader.dropped:
        flags.add("slice-dropped")
    for name, array in _choose_volumes(values, filled.arrangement, workshop):
        used = list_used(filled.slices, filled.arrangement, name)
        # Windows of a volume's slices differ, and colour has none.
        is_shown = len(used) == 1 and not is_colour
        voi, found = reader.read_voi(used[0]) if is_shown else (None, set())
        resampling = filled.arrangement.resampling
        image = describe_image(
            grid,
            filled.slices,
            filled.arrangement,
            array=array if resampling is None else resample(array, resampling),
            volume=name,
            is_colour=is_colour,
            flags=flags | found,
            names=workshop.pseudonymiser,
            voi=voi,
        )
        yield write_image(image, workshop.layout, compression=workshop.settings.compression)


def _blank_regions(grid: Grid, values: NumberGrid, workshop: Workshop) -> NumberGrid:
    """Blank the regions that a rule names for this kind of image."""
    regions = find_regions(workshop.settings.region_rules, grid.first)
    return blank(values, regions) if regions else values


def _choose_volumes(
    values: NumberGrid, arrangement: Arrangement, workshop: Workshop
) -> Iterator[tuple[str, NumberGrid]]:
    """Yield what goes on of the volumes, each with its name: empty for an only volume."""
    if len(arrangement.volumes) == 1:
        yield "", values[:, :, :, 0]
    else:
        yield from choose_volumes(values, mode=workshop.settings.volume)


def _judge_files(
    filled: _Filled | None, rows: Sequence[dict[str, str]]
) -> tuple[dict[str, Verdict], dict[str, str]]:
    """Return the verdict on each file of a converted grid, and its first image."""
    if filled is None:
        return {}, {}
    repeats = {filled.slices[index].instance.file for index in filled.arrangement.duplicates}
    used = {
        filled.slices[index].instance.file
        for volume in filled.arrangement.volumes
        for index in volume
    }
    files = dict.fromkeys(repeats, Verdict("duplicate", SAME_PIXELS))
    files |= dict.fromkeys(used, Verdict("converted"))
    return files, dict.fromkeys(files, rows[0]["image_id"])
