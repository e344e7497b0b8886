"""What a shard of ingestion costs before its first series: CPU seconds to find its own work.

An index of N files, made up, 100 to a series; then one shard of few and of many plans its jobs,
of which all are due. A constant cost per series of the shard is what lets shards be many.

And what a shard of measuring or of preprocessing takes to read what concerns all images: CPU
seconds and memory, for so many images (for preprocessing also ingestion's record and the cohort).

    python benchmarks/shards.py [--files 1000000] [--shards 10 100 1000]
    python benchmarks/shards.py --images 100000 1000000
"""

import argparse
import hashlib
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

from medvision.domain.record import Record
from medvision.io.ingest.database import open_database
from medvision.io.ingest.entry import Entry
from medvision.io.ingest.image import MANIFEST_COLUMNS
from medvision.io.ingest.index import _SCHEMA, Index
from medvision.io.ingest.places import Places
from medvision.io.ingest.plan import plan_jobs
from medvision.io.ingest.store import Shard, Store
from medvision.io.tables import write_table
from medvision.layout import Layout
from medvision.runtime.files import write_json

PER_SERIES = 100
BATCH = 5000


def main() -> None:
    """Print a row per number of shards."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--shards", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--images", type=int, nargs="+", help="measure the reading of so many")
    arguments = parser.parse_args()
    if arguments.images:
        show_reading(arguments.images)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        connection = open_database(folder / "index.sqlite", _SCHEMA, meta={})
        with Index(connection, bytes(32)) as index:
            fill(index, arguments.files)
            size = (folder / "index.sqlite").stat().st_size
            print(f"{arguments.files} files, {size / arguments.files:.0f} bytes of index each")
            print("| shards | series in the shard | CPU s | CPU ms a series |\n|---|---|---|---|")
            for total in arguments.shards:
                n_series, cpu_s = plan(index, folder, total=total)
                print(f"| {total} | {n_series} | {cpu_s:.2f} | {1000 * cpu_s / n_series:.2f} |")


def show_reading(counts: list[int]) -> None:
    """Print what a shard takes to read about so many images."""
    print("| images | step | CPU s | memory MB |\n|---|---|---|---|")
    for count in counts:
        with tempfile.TemporaryDirectory() as name:
            write_upstream(Path(name), count)
            for step in (read_for_measure, read_for_preprocess):
                # A process of its own: memory that is given back stays with Python.
                with get_context("spawn").Pool(1) as pool:
                    cpu_s, peak_mb = pool.apply(step, (Path(name),))
                title = step.__name__.removeprefix("read_for_")
                print(f"| {count} | {title} | {cpu_s:.2f} | {peak_mb:.0f} |", flush=True)


def write_upstream(root: Path, count: int) -> None:
    """Write a manifest, a cohort and a record of ingestion of made-up CTs."""
    layout = Layout(root)
    names = [f"sub-{_name(f's{n}', 10)}_img-{_name(f'i{n}', 12)}" for n in range(count)]
    said = {
        "source": "dicom",
        "modality": "CT",
        "role": "original",
        "n_volumes": "1",
        "shape": "512x512x300",
        "n_channels": "1",
        "spacing_mm": "0.7x0.7x1",
        "units": "HU",
        "orientation": "LPS",
        "geometry": "full",
        "n_files": "300",
        "date": "20200101",
    }
    uids = ("study", "series", "frame_of_reference", "pixel_digest", "image_digest", "subject_key")
    rows = (
        {**said, "image_id": name, "subject": name[:14], **dict.fromkeys(uids, _name(name, 48))}
        for name in names
    )
    write_table(layout.manifest, rows, columns=MANIFEST_COLUMNS)
    columns = ("image_id", "subject", "group", "label", "shape", "spacing_mm", "modality")
    cohort = ({**said, "image_id": name, "label": "well"} for name in names)
    write_table(layout.cohort, cohort, columns=columns)
    paths = (path for name in names for path in (layout.image(name), layout.sidecar(name)))
    writes = {path.relative_to(root).as_posix(): _name(str(path), 64) for path in paths}
    write_json(layout.record("ingest"), Record("ingest", "", {}, {}, writes).as_dict())


def _name(text: str, n_digits: int) -> str:
    """Return a made-up digest."""
    return hashlib.sha256(text.encode()).hexdigest()[:n_digits]


def read_for_measure(root: Path) -> tuple[float, float]:
    """Choose the images of one of a thousand shards, as measuring does."""
    from medvision.cli.measure import _list_items  # noqa: PLC0415 - in the measured process

    before = _measure()
    _list_items(Layout(root), Layout(root).manifest, part=(1, 1000))
    return _subtract(before)


def read_for_preprocess(root: Path) -> tuple[float, float]:
    """Choose which images fit together, as preprocessing does before it takes those of a shard."""
    from medvision.cli._images import choose_images, read_cohort  # noqa: PLC0415 - as above
    from medvision.config.model import Study  # noqa: PLC0415 - as above

    before = _measure()
    choose_images(Study(), Layout(root), rows=read_cohort(Layout(root)))
    return _subtract(before)


def _measure() -> tuple[float, float]:
    """Return the CPU seconds so far, and the most memory in MB."""
    return time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _subtract(before: tuple[float, float]) -> tuple[float, float]:
    """Return what was added since."""
    cpu_s, peak_mb = _measure()
    return cpu_s - before[0], peak_mb - before[1]


def plan(index: Index, folder: Path, *, total: int) -> tuple[int, float]:
    """Return the series of the first shard, and the CPU seconds to plan them."""
    (folder / "shards").mkdir(exist_ok=True)
    with closing(Store(folder / "shards", Shard(1, total))) as store:
        start = time.process_time()
        places = Places(folder, "files")
        _, n_series = plan_jobs(index, store, source=folder, settings="", places=places)
        return n_series, time.process_time() - start


def fill(index: Index, n_files: int) -> None:
    """Put rows into an index as a walk would."""
    index.begin_walk()
    entries = list_entries(n_files)
    while batch := [entry for _, entry in zip(range(BATCH), entries, strict=False)]:
        index.put(batch)
    index.connection.execute("COMMIT")


def list_entries(n_files: int) -> Iterator[Entry]:
    """Yield made-up files of series of CT."""
    for n in range(n_files):
        series = hashlib.sha256(str(n // PER_SERIES).encode()).hexdigest()
        yield Entry(
            file=f"file-{hashlib.sha256(f'f{n}'.encode()).hexdigest()[:12]}{n % 97:02d}",
            parent="",
            path=bytes(60),
            n_bytes=525_000,
            mtime_ns=n,
            series=series[:24],
            partner="",
            subject=f"sub-{series[:10]}",
            image_key=f"img-{series[10:22]}",
            runs_codec=0,
            digest="",
            layout="",
            content="x" * 500,
        )


if __name__ == "__main__":
    main()
