"""A folder put into a bucket: nothing there is overwritten, and what counts comes last."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from medvision.io.bucket.client import Bucket, Item
from medvision.runtime.files import hash_file
from medvision.runtime.progress import track


@dataclass(frozen=True)
class Published:
    """What was done.

    Args:
        sent: Files sent now.
        kept: Files that were there already, with the same bytes.
        n_bytes: Of all of them.
    """

    sent: int
    kept: int
    n_bytes: int


def publish_folder(
    bucket: Bucket,
    root: Path,
    *,
    sizes: Mapping[str, int],
    within: str,
    last: str,
    connections: int,
) -> Published:
    """Send the files of a folder that are not in the bucket yet.

    Args:
        bucket: Where to.
        root: The folder.
        sizes: Path below it, with size, of each file.
        within: Prefix below the bucket's own, with a slash at its end.
        last: The file without which the others are nothing: sent when all of them are there.
        connections: Files at a time.

    Returns:
        Counts.

    Raises:
        MedvisionError: Of the bucket's family: another object is there, or the server does not do
            as it is asked, or did not keep what it was sent.
    """
    held = _list_held(bucket, within)
    _check_others(bucket, held, sizes)
    digests = {path: hash_file(root / path) for path in sorted(sizes)}
    missing = [path for path in digests if path not in held]
    for path in digests.keys() & held.keys():
        if bucket.read_digest(within + path) != digests[path] or held[path].size != sizes[path]:
            raise _refuse(bucket, "another file")

    def send(path: str) -> None:
        is_free = bucket.put_file(within + path, root / path, digest=digests[path])
        # Where an answer was lost, it is what we sent ourselves.
        if not is_free and bucket.read_digest(within + path) != digests[path]:
            raise _refuse(bucket, "another file")

    with ThreadPoolExecutor(connections, thread_name_prefix="publish") as pool:
        early = [path for path in missing if path != last]
        for _ in track(pool.map(send, early), "sending files", total=len(early)):
            pass
    if last in missing:
        send(last)
    _check_kept(bucket, _list_held(bucket, within), sizes)
    return Published(len(missing), len(sizes) - len(missing), sum(sizes.values()))


def _list_held(bucket: Bucket, within: str) -> dict[str, Item]:
    """Return the objects that are there, by their path below the folder."""
    return {item.name.removeprefix(within): item for item in bucket.list_items(within)}


def _check_others(bucket: Bucket, held: Mapping[str, Item], sizes: Mapping[str, int]) -> None:
    """Refuse a place that holds what is not ours."""
    if n_others := len(held.keys() - sizes.keys()):
        raise _refuse(bucket, f"{n_others} further objects")


def _check_kept(bucket: Bucket, held: Mapping[str, Item], sizes: Mapping[str, int]) -> None:
    """Refuse a server that does not list what it was sent."""
    n_lost = sum(path not in held or held[path].size != size for path, size in sizes.items())
    if n_lost:
        message = f"{bucket.field}: the server must list all that it was sent, got {n_lost} less."
        raise bucket.family(message, "run the same command again; it sends what is missing.")


def _refuse(bucket: Bucket, found: str) -> Exception:
    """Return the error for a place that is taken."""
    message = f"{bucket.field}: the bundle's folder must be free or hold this bundle, got {found}."
    return bucket.family(message, "nothing is overwritten: name another target, or clear it.")
