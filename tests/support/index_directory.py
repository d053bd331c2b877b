"""Read and damage the directory of a saved index; a directory in memory to save it in."""

import json
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

from runoff._util.generations.pointer import checksum


def pointer(path):
    return json.loads((path / "runoff.json").read_bytes())


def point(path, **changes):
    """Rewrite the pointer with a valid checksum."""
    said = pointer(path) | changes
    del said["checksum"]
    said["checksum"] = checksum(said)
    (path / "runoff.json").write_text(json.dumps(said))


def generation_count(path):
    return len([*(path / "generations").iterdir()])


@contextmanager
def memory():
    """Return a directory in memory if the machine has one: it is faster than a disk."""
    shared = Path("/dev/shm")
    where = shared if os.access(shared, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=where) as path:
        yield Path(path)
