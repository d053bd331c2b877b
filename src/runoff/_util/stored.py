"""JSON and paths from outside, read on the assumption that they may be damaged or hostile."""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from runoff._util.nesting import is_deeper
from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable
    from io import BufferedReader, BufferedWriter

_DEEPEST = 64  # levels of lists and objects that a file of ours can have


def parse_json(raw: bytes | str, *, deepest: int = _DEEPEST) -> Any:  # noqa: ANN401 - any JSON
    """Return what JSON says.

    Args:
        raw: the JSON.
        deepest: how many levels of lists and objects are allowed.

    Raises:
        ValueError: it is not JSON, has a number of thousands of digits, or is nested too deeply.
    """
    try:
        value = json.loads(raw)
    except RecursionError:
        value, opening = None, deepest + 1
    else:
        opening = (
            raw.count("[") + raw.count("{")
            if isinstance(raw, str)
            else raw.count(b"[") + raw.count(b"{")
        )
    # few brackets cannot be nested deeply, so that most files need no second pass
    if opening > deepest and (value is None or is_deeper([value], deepest, _inner)):
        raise ValueError(f"lists and objects are nested more than {deepest} levels deep")
    return value


def _inner(outer: list[Any] | dict[str, Any]) -> Iterable[Any]:
    """Return the lists and objects that one contains."""
    values = outer.values() if isinstance(outer, dict) else outer
    return (one for one in values if isinstance(one, list | dict))


def is_count(value: object, least: int = 0, most: int = 2**63 - 1) -> TypeGuard[int]:
    """Whether it is a whole number within bounds, and not True or False."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def is_finite(value: object) -> TypeGuard[float]:
    """Whether it is a number that a float can hold: not NaN, infinite, True or False."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) <= sys.float_info.max  # type: ignore[arg-type] # as checked


def is_text(*values: object) -> bool:
    """Whether all of them are strings."""
    return all(isinstance(value, str) for value in values)


def open_stored(path: Path) -> BufferedReader:
    """Open a file to read it; a pipe is refused, since reading it may block forever.

    Raises:
        OSError: it cannot be opened, or is not a file.
    """
    return open(path, "rb", opener=_open_file)  # that of a path takes no opener


def open_to_append(path: Path) -> BufferedWriter:
    """Open a file to append to or to lock, created if missing; a pipe is refused.

    Raises:
        OSError: it cannot be opened, or is not a file.
    """
    return open(path, "ab", opener=_open_file)


def _open_file(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o666)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):  # `open` itself refuses a directory
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "Not a regular file", path)


def read_stored(path: Path) -> bytes:
    """Return the content of a file; see `open_stored`."""
    with open_stored(path) as file:
        return file.read()


def path_of(argument: str, value: object) -> Path:
    """Return a path that a caller gave.

    Raises:
        InvalidArgument: it is not a path, is blank, contains a NUL character, or cannot be written.
    """
    if not isinstance(value, str | os.PathLike):
        raise InvalidArgument(argument, value, "must be a path")
    path = os.fspath(value)
    if not isinstance(path, str) or not path.strip():
        raise InvalidArgument(argument, value, "must be a path")
    if "\0" in path:
        raise InvalidArgument(argument, value, "must be a path without NUL characters")
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        remedy = "must be a path of characters that the file system can write"
        raise InvalidArgument(argument, value, remedy) from None
    return Path(path)
