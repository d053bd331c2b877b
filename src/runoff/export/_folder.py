"""A model's folder that is there whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from runoff._onnx.files import CHECKSUMS, checksum
from runoff.errors import InvalidArgument, RunoffError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["appearing", "check_absent", "write_checksums", "write_json"]


def check_absent(out: Path) -> None:
    """Refuse a folder that exists, and one whose parent does not.

    Raises:
        InvalidArgument: always names it `out`.
    """
    if out.exists() or out.is_symlink():
        raise InvalidArgument("out", str(out), "exists already: remove it, or name another folder")
    if not out.parent.is_dir():
        raise InvalidArgument("out", str(out), f"there is no folder {out.parent} to write it in")


@contextmanager
def appearing(out: Path) -> Iterator[Path]:
    """Fill a folder in the block; under its own name it appears when the block has ended well.

    It is filled beside its place, in a hidden folder whose name ends in `.partial`, forced to the
    disk and then renamed. A process that is killed leaves that hidden folder at most.

    Raises:
        InvalidArgument: as `check_absent`, before and after the block.
        RunoffError: something cannot be written.
    """
    check_absent(out)
    try:
        folder = Path(tempfile.mkdtemp(suffix=".partial", prefix=f".{out.name}-", dir=out.parent))
        try:
            yield folder
            folder.chmod(0o755)  # it was made for this user alone
            for path in (*folder.iterdir(), folder):
                _force(path)
            check_absent(out)  # renaming would replace an empty folder
            folder.rename(out)
            _force(out.parent)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    except OSError as error:
        msg = f"{out}: it cannot be written: {error.strerror or error}"
        raise RunoffError(msg) from error


def write_json(path: Path, value: object) -> None:
    """Write a JSON file for people to read."""
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def write_checksums(folder: Path, names: list[str]) -> None:
    """Write the SHA-256 of files to `checksums.json`, where loading a model looks for it."""
    write_json(folder / CHECKSUMS, {name: checksum(folder / name) for name in sorted(names)})


def _force(path: Path) -> None:
    """Force a file, or the names in a folder, to the disk; Windows does the latter by itself."""
    if path.is_dir() and os.name != "posix":
        return
    number = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(number)
    finally:
        os.close(number)
