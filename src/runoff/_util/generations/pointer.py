"""The pointer, `runoff.json`: which generation of a directory is the current one."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runoff._util.generations.files import damaged
from runoff._util.stored import is_count, is_text, parse_json, read_stored
from runoff.errors import IndexDamaged, IndexNotFound, IndexTooNew

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

POINTER = "runoff.json"
GENERATIONS = "generations"
LOCK = ".lock"
OURS = {POINTER, GENERATIONS, LOCK}
NAME = re.compile("[0-9a-f]{32}")  # of a generation


@dataclass(frozen=True, slots=True)
class Kind:
    """What a directory contains.

    Attributes:
        name: such as `"bm25"`.
        version: the version of the file format; a reader reads its own and all earlier ones.
    """

    name: str
    version: int


def read_pointer(root: Path, kind: Kind) -> dict[str, Any]:
    """Return what the pointer of a directory says.

    Raises:
        IndexNotFound, IndexDamaged, IndexTooNew: as for `read`.
    """
    path = root / POINTER
    try:
        raw = read_stored(path)
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
        raise IndexTooNew(
            f"{root} has format {version}, and this version of runoff reads up to {kind.version}: "
            "pip install --upgrade runoff"
        )
    recorded = pointer.pop("checksum", None)
    if recorded != checksum(pointer):
        raise damaged(path, "was altered: its checksum differs")
    name, facts, files = (pointer.get(one) for one in ("generation", "facts", "files"))
    if (
        not isinstance(name, str)
        or not NAME.fullmatch(name)
        or not isinstance(facts, dict)
        or not isinstance(files, dict)
        or not all(map(_describes, files.values()))
    ):
        raise damaged(path, "does not describe a generation of files")
    return pointer


def _describes(file: object) -> bool:
    return isinstance(file, dict) and is_count(file.get("bytes")) and is_text(file.get("sha256"))


def _absent(root: Path) -> IndexNotFound | IndexDamaged:
    if root.is_dir() and any(one.name not in OURS for one in root.iterdir()):
        return IndexDamaged(f"{root} contains other files but no runoff index: check the path")
    what = "is a file" if root.is_file() else "contains no index"
    return IndexNotFound(f"{root} {what}: check the path, or save one there")


def checksum(pointer: Mapping[str, Any]) -> str:
    """Return the checksum of a pointer that has none yet."""
    return hashlib.sha256(json.dumps(pointer, sort_keys=True).encode("ascii")).hexdigest()
