"""The file that says that a directory holds observations, and in which format."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from runoff._util.stored import is_count, parse_json, read_stored
from runoff.errors import RecordingDamaged, RecordingTooNew
from runoff.live._table import VERSION

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST = "observations.json"
_FORMAT = "runoff-observations"


def manifest() -> bytes:
    """Return what the file says."""
    return json.dumps({"format": _FORMAT, "version": VERSION}).encode()


def is_stated(folder: Path) -> bool:
    """Return whether the file is there.

    Raises:
        RecordingDamaged: it cannot be read, or is of something else.
        RecordingTooNew: a newer version of runoff wrote it.
    """
    file = folder / MANIFEST
    try:
        said = parse_json(read_stored(file))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        raise RecordingDamaged(f"{file} cannot be read: {error}") from error
    version = said.get("version") if isinstance(said, dict) else None
    if not isinstance(said, dict) or said.get("format") != _FORMAT or not is_count(version, 1):
        raise RecordingDamaged(f"{file} is not what `watch` writes: choose another directory")
    if version > VERSION:
        msg = f"{folder} has format {version}, and this version of runoff reads up to {VERSION}"
        raise RecordingTooNew(f"{msg}: pip install --upgrade runoff")
    return True
