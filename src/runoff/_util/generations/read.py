"""Reads the current generation, even while another is published."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from runoff._util.generations.files import StoredGeneration, damaged
from runoff._util.generations.pointer import GENERATIONS, Kind, read_pointer
from runoff._util.stored import path_of
from runoff.errors import IndexDamaged

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

_ATTEMPTS = 100
_T = TypeVar("_T")


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
        pointer = read_pointer(root, kind)
        name = pointer["generation"]
        folder = root / GENERATIONS / name
        try:
            return use(
                StoredGeneration(
                    name, folder, pointer["facts"], pointer["files"], verify=verify, mmap=mmap
                )
            )
        except FileNotFoundError as error:
            if read_pointer(root, kind)["generation"] == name:
                raise damaged(Path(error.filename or folder), "is missing") from error
        except OSError as error:
            what = f"cannot be read ({error.strerror or error})"
            raise damaged(Path(error.filename or folder), what) from error
    raise IndexDamaged(f"{root} was replaced {_ATTEMPTS} times while it was read: try again")


def current_generation(path: str | os.PathLike[str], kind: Kind) -> str:
    """Return the name of the current generation.

    Raises:
        IndexNotFound, IndexDamaged, IndexTooNew: as for `read`.
    """
    return str(read_pointer(path_of("path", path), kind)["generation"])
