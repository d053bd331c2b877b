"""A look into the directory of a saved index, and a directory in memory to save it in."""

import json
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

from runoff.recall import _generations


def pointer(path):
    return json.loads((path / "runoff.json").read_bytes())


def point(path, **changes):
    """Rewrite the pointer with a proper checksum."""
    said = pointer(path) | changes
    del said["checksum"]
    said["checksum"] = _generations._checksum(said)
    (path / "runoff.json").write_text(json.dumps(said))


def generation_count(path):
    return len([*(path / "generations").iterdir()])


@contextmanager
def memory():
    """Give a directory in memory where there is one: a disk is slower, and no different."""
    shared = Path("/dev/shm")
    where = shared if os.access(shared, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=where) as path:
        yield Path(path)
