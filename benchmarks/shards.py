"""What a shard of ingestion costs before its first series: CPU seconds to find its own work.

An index of N files, made up, 100 to a series; then one shard of few and of many plans its jobs,
of which all are due. A constant cost per series of the shard is what lets shards be many.

    python benchmarks/shards.py [--files 1000000] [--shards 10 100 1000]
"""

import argparse
import hashlib
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from medvision.io.ingest.database import open_database
from medvision.io.ingest.entry import Entry
from medvision.io.ingest.index import _SCHEMA, Index
from medvision.io.ingest.places import Places
from medvision.io.ingest.plan import plan_jobs
from medvision.io.ingest.store import Shard, Store

PER_SERIES = 100
BATCH = 5000


def main() -> None:
    """Print a row per number of shards."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--shards", type=int, nargs="+", default=[10, 100, 1000])
    arguments = parser.parse_args()
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
