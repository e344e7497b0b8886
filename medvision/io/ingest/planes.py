"""The pixels of one grid: read or decoded once, turned into values, laid into volumes."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from medvision.domain.study import Instance, Slice, find_instances
from medvision.domain.voi import Voi
from medvision.domain.volume import NumberGrid
from medvision.io.ingest.scratch import find_scratch
from medvision.io.ingest.verdict import Verdict, refuse_with
from medvision.io.ingest.workshop import Workshop
from medvision.io.pixels.bits import extract_values
from medvision.io.pixels.plain import Encoding, cut_plane, find_encoding, rescale_all
from medvision.io.pixels.read import read_planes
from medvision.io.pixels.voi import UNUSABLE, read_voi
from medvision.io.reasons import RefusalError
from medvision.runtime.files import hash_fast

Volumes = tuple[tuple[int, ...], ...]
"""[t][k]: index of a slice."""


class UnusableFileError(Exception):
    """A file turned out to be unusable while volumes were filled; it is among the dropped."""


@dataclass
class PlaneReader:
    """Reads the planes of one grid, and remembers what it learned on the way.

    Args:
        workshop: Tells where the files are.
        digests: Digest of the bytes of every file read so far.
        dropped: Files that cannot be used, with the reason.
        flags: Codes of what is worth knowing of the pixels.
    """

    workshop: Workshop
    digests: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, Verdict] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)
    _decoded: dict[str, tuple[NumberGrid, ...]] = field(default_factory=dict)
    _last: tuple[str, bytes] = ("", b"")

    def open(self, slices: Sequence[Slice]) -> list[Slice]:
        """Decode every file that needs a decoder; return the slices whose files are usable."""
        for instance in find_instances(slices):
            if instance.fault:
                self.dropped[instance.file] = Verdict("refused", *instance.fault)
            elif _is_plain(instance) and instance.photometric == "MONOCHROME1":
                self.flags.add("monochrome1")
            elif instance.file not in self._decoded and not _is_plain(instance):
                self._decode(instance)
        return [item for item in slices if item.instance.file not in self.dropped]

    def _decode(self, instance: Instance) -> None:
        """Decode one file, or drop it."""
        try:
            content = self._read(instance)
            decoded = read_planes(content, instance, colour=self.workshop.settings.colour)
        except RefusalError as refusal:
            self.dropped[instance.file] = refuse_with(refusal)
            return
        self._decoded[instance.file] = decoded.planes
        self.flags |= set(decoded.flags)

    def _read(self, instance: Instance) -> bytes:
        """Return a file's bytes, and note their digest; the last file's are kept at hand."""
        if self._last[0] != instance.file:
            content = self.workshop.read_file(instance.path)
            self.digests[instance.file] = hash_fast(content)
            self._last = (instance.file, content)
        return self._last[1]

    def _read_once(self, instance: Instance) -> memoryview:
        """Return a file's bytes until the next call, and note their digest."""
        content = self.workshop.read_file_into(instance.path, find_scratch("file"))
        self.digests[instance.file] = hash_fast(content)
        return content

    def read_voi(self, item: Slice) -> tuple[Voi | None, set[str]]:
        """Return how a plane's header asks for it to be shown, or a flag: it makes no sense."""
        instance = item.instance
        is_at_hand = self._last[0] == instance.file
        try:
            # Its digest has been noted when its pixels were read.
            content = self._last[1] if is_at_hand else self.workshop.read_file(instance.path)
            return read_voi(content, instance, item.frame), set()
        except RefusalError:
            return None, {UNUSABLE}

    def hash_plane(self, item: Slice) -> str:
        """Return the digest of a plane's values: equal for equal pixels, however encoded."""
        values = self._read_values(item)
        kind = f"{values.shape}".encode()
        return hash_fast(kind + np.ascontiguousarray(values, dtype=np.float64).tobytes())

    def _read_values(self, item: Slice) -> NumberGrid:
        """Return one plane's modality values (rows, columns[, 3])."""
        instance = item.instance
        if instance.file in self._decoded:
            return self._decoded[instance.file][item.frame.index]
        encoding = find_encoding([item])
        if encoding is None or instance.pixels is None:
            raise RefusalError("undecodable", "pixels must be decoded before they are read")
        plane = cut_plane(self._read(instance), instance, item.frame, dtype=encoding.dtype)
        return self._compute_values(plane, instance, encoding)

    def _compute_values(
        self,
        stored: NDArray[np.integer],
        instance: Instance,
        encoding: Encoding,
        *,
        may_overwrite: bool = False,
    ) -> NumberGrid:
        """Turn stored samples that share an encoding into modality values."""
        native = stored.astype(stored.dtype.newbyteorder("="), copy=False)
        if instance.pixels is not None:
            native, flags = extract_values(native, instance.pixels)
            self.flags |= set(flags)
        return rescale_all(
            native,
            slope=encoding.slope,
            intercept=encoding.intercept,
            may_overwrite=may_overwrite,
        )

    def read_volumes(self, slices: Sequence[Slice], volumes: Volumes) -> NumberGrid:
        """Fill volumes with their planes.

        Args:
            slices: As `open` returned them.
            volumes: Which slice lies where; all volumes have as many.

        Returns:
            (I, J, K, T), or (I, J, K, T, 3) of colour, in Fortran's order where possible; it may
            lie in memory that the next grid's planes overwrite.

        Raises:
            UnusableFileError: A file has become unusable, and is dropped.
        """
        wanted = [slices[index] for volume in volumes for index in volume]
        encoding = find_encoding(wanted)
        planes = self._gather_values(wanted) if encoding is None else self._fill(wanted, encoding)
        grid = planes.reshape(len(volumes), len(volumes[0]), *planes.shape[1:])
        is_colour = grid.ndim == 5
        return grid.transpose(3, 2, 1, 0, 4) if is_colour else grid.transpose(3, 2, 1, 0)

    def _fill(self, wanted: Sequence[Slice], encoding: Encoding) -> NumberGrid:
        """Read plain pixels straight into place: (N, rows, columns)."""
        first = wanted[0].instance
        shape = (len(wanted), first.rows, first.columns)
        memory = find_scratch("volumes").take(math.prod(shape) * encoding.dtype.itemsize)
        planes = np.frombuffer(memory, encoding.dtype).reshape(shape)
        places: defaultdict[str, list[int]] = defaultdict(list)
        for place, item in enumerate(wanted):
            places[item.instance.file].append(place)
        for file, indices in places.items():
            instance = wanted[indices[0]].instance
            try:
                content = self._read_once(instance)
                for place in indices:
                    frame = wanted[place].frame
                    planes[place] = cut_plane(content, instance, frame, dtype=encoding.dtype)
            except RefusalError as refusal:
                self.dropped[file] = refuse_with(refusal)
        if self.dropped.keys() & places.keys():
            raise UnusableFileError
        return self._compute_values(planes, first, encoding, may_overwrite=True)

    def _gather_values(self, wanted: Sequence[Slice]) -> NumberGrid:
        """Lay planes of several encodings on top of each other, in a dtype that holds all."""
        planes = []
        for item in wanted:
            try:
                planes.append(self._read_values(item))
            except RefusalError as refusal:
                self.dropped[item.instance.file] = refuse_with(refusal)
                raise UnusableFileError from None
        return np.stack(planes)

    def hash_rest(self, slices: Sequence[Slice]) -> None:
        """Note the digests of the files whose pixels were not needed."""
        for instance in find_instances(slices):
            if instance.file in self.digests:
                continue
            try:
                self._read(instance)
            except RefusalError as refusal:
                self.dropped[instance.file] = refuse_with(refusal)


def _is_plain(instance: Instance) -> bool:
    """Say whether a file's pixels can be read without a decoder."""
    return instance.pixels is not None and instance.pixels.is_plain
