"""Writes a new generation and makes it the current one."""

from __future__ import annotations

import json
import secrets
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from runoff._util.generations.files import NewGeneration, force, force_path
from runoff._util.generations.pointer import (
    GENERATIONS,
    LOCK,
    NAME,
    OURS,
    POINTER,
    Kind,
    checksum,
)
from runoff._util.lock import lock
from runoff._util.stored import open_to_append, parse_json, path_of, read_stored
from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from pathlib import Path


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
        with _locked(root / LOCK):
            _clear(root, keep=_counting(root))
            new = NewGeneration(root / GENERATIONS / secrets.token_hex(16))
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


def _prepare(root: Path) -> None:
    """Make the directory, and refuse one with other content."""
    if root.exists() and not root.is_dir():
        raise InvalidArgument("path", str(root), "is a file: pass a directory")
    if root.is_dir():
        names = {one.name for one in root.iterdir()}
        if POINTER not in names and not names <= OURS:
            raise InvalidArgument(
                "path", str(root), "contains other files and no index: pass an empty directory"
            )
        if (root / GENERATIONS).is_symlink():
            raise InvalidArgument(
                "path",
                str(root),
                f"contains a symbolic link named {GENERATIONS!r}, where an index has a folder: "
                "remove the link, or name an empty directory",
            )
    new = not root.exists()
    (root / GENERATIONS).mkdir(parents=True, exist_ok=True)
    if new:
        force_path(root.parent)


def _point(root: Path, kind: Kind, new: NewGeneration) -> None:
    """Force a generation to the disk and make it the current one."""
    pointer: dict[str, Any] = {
        "runoff": kind.name,
        "version": kind.version,
        "generation": new.folder.name,
        "facts": new.facts,
        "files": new.files,
    }
    pointer["checksum"] = checksum(pointer)
    draft = new.folder / POINTER
    with draft.open("xb") as file:
        file.write(json.dumps(pointer, indent=1).encode("ascii"))
        force(file)
    for folder in (new.folder, root / GENERATIONS, root):
        force_path(folder)
    draft.replace(root / POINTER)
    force_path(root)


def _counting(root: Path) -> str | None:
    """Return the name of the current generation, or None if the pointer has none."""
    try:
        pointer = parse_json(read_stored(root / POINTER))
    except (FileNotFoundError, ValueError):
        return None
    name = pointer.get("generation") if isinstance(pointer, dict) else None
    return name if isinstance(name, str) else None


def _clear(root: Path, keep: str | None) -> None:
    """Remove every generation but one; what cannot be removed now is left for the next writer."""
    if keep is None or (root / GENERATIONS).is_symlink():
        return
    for folder in (root / GENERATIONS).iterdir():
        if folder.name != keep and _is_generation(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _is_generation(folder: Path) -> bool:
    """Whether a folder has the name of a generation and holds, as one does, files alone."""
    if not NAME.fullmatch(folder.name) or folder.is_symlink() or not folder.is_dir():
        return False
    return all(one.is_file() and not one.is_symlink() for one in folder.iterdir())


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that is released when the process ends."""
    with open_to_append(path) as file:
        lock(file, wait=True)
        yield
