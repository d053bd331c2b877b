"""Parquet files with the checksum of all their other bytes in their metadata."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING

from runoff.errors import MissingExtra

try:
    import pyarrow.parquet as pq
except ModuleNotFoundError as missing:
    raise MissingExtra("pyarrow", "eval") from missing

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

_MARK = b"runoff-sha256:"  # in the metadata, before the checksum
_BLANK = b"0" * 64


def encoded(table: pa.Table, metadata: Mapping[str, str] | None = None) -> bytes:
    """Return a table as a Parquet file with a checksum.

    Args:
        table: the table; its own metadata is replaced.
        metadata: more to keep beside the checksum.
    """
    out = io.BytesIO()
    marked = table.replace_schema_metadata({"runoff": _MARK + _BLANK, **(metadata or {})})
    pq.write_table(marked, out, compression="zstd", write_statistics=False)
    data = out.getvalue()
    at = data.rindex(_MARK) + len(_MARK)
    return data[:at] + _digest(data, at).encode("ascii") + data[at + len(_BLANK) :]


def mark_of(data: bytes, *, required: bool = True) -> bytes | None:
    """Compare the checksum of a file with its bytes, and return it.

    Args:
        data: the file.
        required: whether it must have one; recordings of version 0.1.0 have none.

    Raises:
        ValueError: it differs, or is missing where it is required.
    """
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    at = data.rfind(_MARK, max(0, footer)) + len(_MARK)
    if at < len(_MARK):
        if required:
            raise ValueError("it has no checksum")
        return None
    mark = data[at : at + len(_BLANK)]
    if mark != _digest(data, at).encode("ascii"):
        raise ValueError("it was altered: its checksum differs")
    return mark


def _digest(data: bytes, at: int) -> str:
    digest = hashlib.sha256(data[:at])
    digest.update(data[at + len(_BLANK) :])
    return digest.hexdigest()
