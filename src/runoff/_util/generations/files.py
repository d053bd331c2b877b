"""The files of one generation: written with their checksums, and read back against them."""

from __future__ import annotations

import hashlib
import json
import math
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from runoff._util.stored import is_count, open_stored, parse_json, read_stored
from runoff.errors import IndexDamaged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

_KINDS: dict[str, np.dtype[Any]] = {
    f"{order}{kind}": np.dtype(f"{order}{kind}") for order in "<>" for kind in ("i4", "i8", "f4")
}


@dataclass(slots=True)
class NewGeneration:
    """The files of a generation that is being written.

    Attributes:
        folder: the directory they are written to.
        facts: what the pointer will say about them; set them before the block ends.
        files: size and SHA-256 of each file written so far.
    """

    folder: Path
    facts: dict[str, Any] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)

    def write(self, name: str, chunks: Iterable[bytes | memoryview]) -> None:
        """Write a file of bytes."""
        with self._file(name) as out:
            for chunk in chunks:
                out.write(chunk)

    def write_json(self, name: str, value: object) -> None:
        """Write a JSON file in ASCII, so that lone surrogates survive."""
        self.write(name, (json.dumps(value).encode("ascii"),))

    def write_array(self, name: str, array: NDArray[Any]) -> None:
        """Write an array's numbers; the pointer has their type and shape.

        NumPy's own format has both as Python source, and CPython 3.11 fails when two threads parse
        source at once.
        """
        self.write(name, (np.ascontiguousarray(array).data.cast("B") if array.size else b"",))
        self.files[name] |= {"dtype": array.dtype.str, "shape": array.shape}

    @contextmanager
    def _file(self, name: str) -> Iterator[_Hashed]:
        with (self.folder / name).open("xb") as file:
            out = _Hashed(file)
            yield out
            force(file)
        self.files[name] = {"bytes": out.size, "sha256": out.digest.hexdigest()}


class _Hashed:
    """A file to write to, with the size and checksum of what was written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes | memoryview) -> None:
        self.digest.update(data)
        self.size += len(data)
        self._file.write(data)


@dataclass(frozen=True, slots=True)
class StoredGeneration:
    """Files of one generation, checked as they are read.

    Attributes:
        name: the generation's name.
        folder: the directory of the files.
        facts: what the pointer says about them.
        files: size and SHA-256 of each.
        verify: whether checksums are compared; sizes always are.
        mmap: whether `array` and `content` are memory-mapped.
    """

    name: str
    folder: Path
    facts: Mapping[str, Any]
    files: Mapping[str, Mapping[str, Any]]
    verify: bool
    mmap: bool

    def json(self, name: str) -> Any:  # noqa: ANN401 - any JSON
        """Return the content of a JSON file."""
        path = self._checked(name)
        try:
            return parse_json(read_stored(path))
        except ValueError as error:
            raise damaged(path, f"cannot be read as JSON ({error})") from error

    def array(self, name: str, kind: type[np.generic], dimensions: int = 1) -> NDArray[Any]:
        """Return an array of numbers, which cannot be written to.

        Args:
            name: the file's name.
            kind: the type that its numbers must have, in any byte order.
            dimensions: how many the array must have.
        """
        path = self._checked(name)
        recorded = self.files[name]
        shape, written = recorded.get("shape"), recorded.get("dtype")
        dtype = _KINDS.get(written) if isinstance(written, str) else None
        if (
            dtype is None
            or dtype.newbyteorder("=") != np.dtype(kind)
            or not isinstance(shape, list)
            or len(shape) != dimensions
            or not all(map(is_count, shape))
            or dtype.itemsize * math.prod(shape) != recorded["bytes"]
        ):
            raise damaged(path, "is not an array of the expected type and shape")
        array: NDArray[Any] = self._mapped(path).view(dtype)
        return array.reshape(shape)

    def content(self, name: str) -> NDArray[np.uint8]:
        """Return the bytes of a file, read-only."""
        return self._mapped(self._checked(name))

    def _mapped(self, path: Path) -> NDArray[np.uint8]:
        if self.mmap and path.stat().st_size:  # an empty file cannot be mapped
            return np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))
        content = np.fromfile(path, dtype=np.uint8)
        content.flags.writeable = False
        return content

    def _checked(self, name: str) -> Path:
        path = self.folder / name
        recorded = self.files.get(name)
        if recorded is None:
            raise damaged(path, "is not listed in runoff.json")
        with open_stored(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size != recorded["bytes"]:
                raise damaged(path, f"has {size} bytes instead of {recorded['bytes']}")
            if (
                self.verify
                and hashlib.file_digest(file, "sha256").hexdigest() != recorded["sha256"]
            ):
                raise damaged(path, "was altered: its checksum differs")
        return path


def damaged(path: Path, what: str) -> IndexDamaged:
    """Return an error that names the file, what is wrong with it, and the remedy."""
    return IndexDamaged(f"{path} {what}: restore the index from a copy, or build and save it again")


def force(file: IO[bytes]) -> None:
    """Force a file to the disk."""
    file.flush()
    os.fsync(file.fileno())


def force_path(path: Path) -> None:
    """Force a file, or the names in a folder, to the disk; Windows does the latter by itself."""
    if path.is_dir() and os.name != "posix":
        return
    number = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(number)
    finally:
        os.close(number)
