"""Files of text: written whole or not at all, and tables."""

from __future__ import annotations

import csv
import io
import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from runoff._util.text import utf8

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a file in UTF-8 beside its place, and move it there once it is on disk.

    A process that is killed, or a full disk, leaves the file as it was. Its permissions stay.

    Raises:
        OSError: it cannot be written.
    """
    target = path.resolve()  # a link stays one
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, partial)
        partial.replace(target)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def write_table(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Write rows as CSV in UTF-8; lone surrogates become question marks.

    Raises:
        OSError: it cannot be written.
    """
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    path.write_text(utf8(text.getvalue()), encoding="utf-8")
