"""A directory of files that stays complete even if a process is killed while writing to it.

```
PATH/runoff.json          the pointer: kind, version, facts, and name, size and SHA-256 of every
                          file of the current generation
PATH/generations/NAME/    files that never change
PATH/.lock                held by the process that writes
```

A writer makes a new generation, forces it to the disk and replaces the pointer, which is one atomic
rename; then it removes the previous generation. A process killed at any moment leaves the old state
or the new one, and the next writer removes its leftovers. Readers that have an older generation
open keep it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import secrets
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

import numpy as np

from runoff._util.lock import lock
from runoff._util.stored import is_count, is_text, parse_json, path_of
from runoff.errors import IndexDamaged, IndexNotFound, IndexTooNew, InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from numpy.typing import NDArray

__all__ = [
    "Kind",
    "NewGeneration",
    "StoredGeneration",
    "current_generation",
    "damaged",
    "publish",
    "read",
]

_POINTER = "runoff.json"
_GENERATIONS = "generations"
_LOCK = ".lock"
_OURS = {_POINTER, _GENERATIONS, _LOCK}
_NAME = re.compile("[0-9a-f]{32}")  # of a generation
_ATTEMPTS = 100
_T = TypeVar("_T")
_KINDS: dict[str, np.dtype[Any]] = {
    f"{order}{kind}": np.dtype(f"{order}{kind}") for order in "<>" for kind in ("i4", "i8", "f4")
}


@dataclass(frozen=True, slots=True)
class Kind:
    """What a directory contains.

    Attributes:
        name: such as `"bm25"`.
        version: the version of the file format; a reader reads its own and all earlier ones.
    """

    name: str
    version: int


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
            _force(file)
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
            return parse_json(path.read_bytes())
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
        with path.open("rb") as file:
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


@contextmanager
def publish(path: str | os.PathLike[str], kind: Kind) -> Iterator[NewGeneration]:
    """Write a new generation in the block; it becomes current when the block ends without error.

    Writers wait for each other, in one process or several; the last one wins.

    Raises:
        InvalidArgument: the path is a file, or a directory with other content.
        OSError: something cannot be written, such as on a full disk; the previous generation stays
            current.
    """
    root = path_of("path", path)
    try:
        _prepare(root)
        with _locked(root / _LOCK):
            _clear(root, keep=_counting(root))
            new = NewGeneration(root / _GENERATIONS / secrets.token_hex(16))
            new.folder.mkdir()
            try:
                yield new
                _point(root, kind, new)
            except BaseException:
                shutil.rmtree(new.folder, ignore_errors=True)
                raise
            _clear(root, keep=new.folder.name)
    except OSError as error:
        why = f"not saved, and the previous save is unchanged: {error.strerror or error}"
        raise OSError(error.errno, why, str(root)) from error


def read(
    path: str | os.PathLike[str],
    kind: Kind,
    use: Callable[[StoredGeneration], _T],
    *,
    verify: bool,
    mmap: bool,
) -> _T:
    """Call `use` with the current generation, and again if it is replaced meanwhile.

    Raises:
        IndexNotFound: there is no index.
        IndexDamaged: the directory is foreign, incomplete or altered.
        IndexTooNew: a newer version of runoff wrote it.
    """
    root = path_of("path", path)
    for _ in range(_ATTEMPTS):
        pointer = _pointer(root, kind)
        name = pointer["generation"]
        folder = root / _GENERATIONS / name
        try:
            return use(
                StoredGeneration(
                    name, folder, pointer["facts"], pointer["files"], verify=verify, mmap=mmap
                )
            )
        except FileNotFoundError as error:
            if _pointer(root, kind)["generation"] == name:
                raise damaged(Path(error.filename or folder), "is missing") from error
        except OSError as error:
            what = f"cannot be read ({error.strerror or error})"
            raise damaged(Path(error.filename or folder), what) from error
    msg = f"{root} was replaced {_ATTEMPTS} times while it was read: try again"
    raise IndexDamaged(msg)


def current_generation(path: str | os.PathLike[str], kind: Kind) -> str:
    """Return the name of the current generation.

    Raises:
        IndexNotFound, IndexDamaged, IndexTooNew: as for `read`.
    """
    return str(_pointer(path_of("path", path), kind)["generation"])


def _pointer(root: Path, kind: Kind) -> dict[str, Any]:
    path = root / _POINTER
    try:
        raw = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _absent(root) from error
    except OSError as error:
        raise damaged(path, f"cannot be read ({error.strerror or error})") from error
    try:
        pointer = parse_json(raw)
    except ValueError as error:
        raise damaged(path, f"cannot be read as JSON ({error})") from error
    if not isinstance(pointer, dict) or pointer.get("runoff") != kind.name:
        raise damaged(path, f"does not describe a runoff {kind.name} index")
    version = pointer.get("version")
    if not is_count(version, 1):
        raise damaged(path, "does not state the version of its format")
    if version > kind.version:
        msg = (
            f"{root} has format {version}, and this version of runoff reads up to {kind.version}: "
            "pip install --upgrade runoff"
        )
        raise IndexTooNew(msg)
    checksum = pointer.pop("checksum", None)
    if checksum != _checksum(pointer):
        raise damaged(path, "was altered: its checksum differs")
    name, facts, files = (pointer.get(one) for one in ("generation", "facts", "files"))
    if (
        not isinstance(name, str)
        or not _NAME.fullmatch(name)
        or not isinstance(facts, dict)
        or not isinstance(files, dict)
        or not all(map(_describes, files.values()))
    ):
        raise damaged(path, "does not describe a generation of files")
    return pointer


def _describes(file: object) -> bool:
    return isinstance(file, dict) and is_count(file.get("bytes")) and is_text(file.get("sha256"))


def _absent(root: Path) -> IndexNotFound | IndexDamaged:
    if root.is_dir() and any(one.name not in _OURS for one in root.iterdir()):
        return IndexDamaged(f"{root} contains other files but no runoff index: check the path")
    what = "is a file" if root.is_file() else "contains no index"
    return IndexNotFound(f"{root} {what}: check the path, or save one there")


def _checksum(pointer: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(pointer, sort_keys=True).encode("ascii")).hexdigest()


def _prepare(root: Path) -> None:
    """Make the directory, and refuse one with other content."""
    if root.exists() and not root.is_dir():
        raise InvalidArgument("path", str(root), "is a file: pass a directory")
    if root.is_dir():
        names = {one.name for one in root.iterdir()}
        if _POINTER not in names and not names <= _OURS:
            raise InvalidArgument(
                "path", str(root), "contains other files and no index: pass an empty directory"
            )
        if (root / _GENERATIONS).is_symlink():
            raise InvalidArgument(
                "path",
                str(root),
                f"holds a symbolic link named {_GENERATIONS!r}, and an index has a folder there: "
                "remove the link, or name an empty directory",
            )
    new = not root.exists()
    (root / _GENERATIONS).mkdir(parents=True, exist_ok=True)
    if new:
        _force_folder(root.parent)


def _point(root: Path, kind: Kind, new: NewGeneration) -> None:
    """Force a generation to the disk and make it the current one."""
    pointer: dict[str, Any] = {
        "runoff": kind.name,
        "version": kind.version,
        "generation": new.folder.name,
        "facts": new.facts,
        "files": new.files,
    }
    pointer["checksum"] = _checksum(pointer)
    draft = new.folder / _POINTER
    with draft.open("xb") as file:
        file.write(json.dumps(pointer, indent=1).encode("ascii"))
        _force(file)
    for folder in (new.folder, root / _GENERATIONS, root):
        _force_folder(folder)
    draft.replace(root / _POINTER)
    _force_folder(root)


def _counting(root: Path) -> str | None:
    """Return the name of the current generation, or None if the pointer has none."""
    try:
        pointer = parse_json((root / _POINTER).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    name = pointer.get("generation") if isinstance(pointer, dict) else None
    return name if isinstance(name, str) else None


def _clear(root: Path, keep: str | None) -> None:
    """Remove every generation but one; what cannot be removed now is left for the next writer."""
    if keep is None or (root / _GENERATIONS).is_symlink():
        return
    for folder in (root / _GENERATIONS).iterdir():
        if folder.name != keep and _is_generation(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _is_generation(folder: Path) -> bool:
    """Whether a folder has the name of a generation and holds, as one does, files alone."""
    if not _NAME.fullmatch(folder.name) or folder.is_symlink() or not folder.is_dir():
        return False
    return all(one.is_file() and not one.is_symlink() for one in folder.iterdir())


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that is released when the process ends."""
    with path.open("ab") as file:
        lock(file, wait=True)
        yield


def _force(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _force_folder(folder: Path) -> None:
    """Force the names in a folder to the disk; Windows does this by itself."""
    if os.name == "posix":
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
