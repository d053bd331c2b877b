"""The parts of Parquet files: planned the same way each time, read, and written whole."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from typing import TYPE_CHECKING, NamedTuple

from runoff._util.generations.files import force
from runoff._util.messages import visible
from runoff._util.stored import is_count, open_stored, parse_json
from runoff.errors import InvalidArgument, MissingExtra

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ModuleNotFoundError as missing:
    raise MissingExtra("pyarrow", "eval") from missing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from runoff.bulk._tasks import Made

_COUNTS = b"runoff.counts"
_TEXT_TYPES = (pa.types.is_string, pa.types.is_large_string, pa.types.is_null)


class Part(NamedTuple):
    """Some rows of one row group.

    Attributes:
        number: of the part, from 0, in the order of files and rows.
        file: where the rows are.
        group: the row group in the file.
        start: the first row in the group.
        rows: how many rows.
    """

    number: int
    file: str
    group: int
    start: int
    rows: int

    @property
    def name(self) -> str:
        return f"part-{self.number:06}.parquet"


class Plan(NamedTuple):
    """All parts of the input, and a checksum of what they were planned from."""

    parts: tuple[Part, ...]
    checksum: str


class Counts(NamedTuple):
    """What became of the rows of a part; the fields are those of `Made`."""

    rows: int
    computed: int
    blank: int
    truncated: int
    reason: str
    notes: tuple[str, ...]

    @property
    def missing(self) -> int:
        """Rows without a result although they have texts."""
        return self.rows - self.computed - self.blank


def plan(path: Path, rows: int, read: Mapping[str, str], added: Sequence[str]) -> Plan:
    """Plan the parts of a Parquet file, or of the files in a directory, by name.

    Raises:
        InvalidArgument: there is no such file or directory, no Parquet in it, a column is missing
            or is no text, the output's columns exist already, or the files' columns differ.
    """
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        raise InvalidArgument("source", str(path), "must be a Parquet file, or a directory of them")
    parts: list[Part] = []
    digest = hashlib.sha256(f"{rows}".encode())
    first: pa.Schema | None = None
    for file in files:
        try:
            with pq.ParquetFile(file) as opened:
                metadata, schema = opened.metadata, opened.schema_arrow
        except (OSError, pa.ArrowException) as error:
            remedy = f"must be a Parquet file that can be read: {visible(str(error))}"
            raise InvalidArgument("source", str(file), remedy) from error
        _check(file, schema, read, added)
        if first is not None and not schema.equals(first):
            raise InvalidArgument("source", str(file), f"must have the columns of {files[0].name}")
        first = schema
        # the footer has the sizes, offsets and extremes of every column
        digest.update(f"{file.name}\0{json.dumps(metadata.to_dict(), default=str)}".encode())
        for group in range(metadata.num_row_groups):
            held = metadata.row_group(group).num_rows
            for start in range(0, held, rows):
                size = min(rows, held - start)
                parts.append(Part(len(parts), str(file.absolute()), group, start, size))
    return Plan(tuple(parts), digest.hexdigest())


def _check(file: Path, schema: pa.Schema, read: Mapping[str, str], added: Sequence[str]) -> None:
    for argument, name in read.items():
        at = schema.get_field_index(name)
        if at < 0:
            known = ", ".join(map(repr, schema.names)) or "none"
            remedy = f"must name a column of {file.name}, which has {known}"
            raise InvalidArgument(argument, name, remedy)
        kind = schema.field(at).type
        if not any(fits(kind) for fits in _TEXT_TYPES):
            raise InvalidArgument(
                argument, name, f"must contain strings in {file.name}, not {kind}"
            )
    for name in added:
        if name in schema.names:
            remedy = f"has a column {name!r} already, which would be added: rename or drop it"
            raise InvalidArgument("source", str(file), remedy)


class Reader:
    """Reads parts; the row group that was read last is kept, as its parts follow each other."""

    def __init__(self) -> None:
        self._held: tuple[tuple[str, int], pa.Table] | None = None

    def read(self, part: Part) -> pa.Table:
        """Return the rows of a part, with all their columns."""
        wanted = (part.file, part.group)
        if self._held is None or self._held[0] != wanted:
            self._held = None  # both row groups need not fit into memory
            with pq.ParquetFile(part.file) as opened:
                self._held = (wanted, opened.read_row_group(part.group))
        return self._held[1].slice(part.start, part.rows)


def write(folder: Path, part: Part, table: pa.Table, made: Made) -> Counts:
    """Write a part with its new columns; the file appears when it is whole and on the disk."""
    counts = Counts(len(table), *made[1:])
    for name, column in made.columns.items():
        table = table.append_column(name, column)
    metadata = {**(table.schema.metadata or {}), _COUNTS: json.dumps(counts).encode()}
    partial = folder / f".{part.name}.{secrets.token_hex(8)}.partial"
    try:
        with partial.open("xb") as file:
            pq.write_table(table.replace_schema_metadata(metadata), file)
            force(file)
        partial.replace(folder / part.name)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return counts


def finished(folder: Path, part: Part) -> Counts | None:
    """Return the counts of a part that was written, or None if it must be computed (again)."""
    try:
        with open_stored(folder / part.name) as file, pq.ParquetFile(file) as opened:
            rows, metadata = opened.metadata.num_rows, opened.schema_arrow.metadata or {}
        held, computed, blank, truncated, reason, notes = parse_json(metadata[_COUNTS])
        numbers = (held, computed, blank, truncated)
        counts = Counts(*numbers, str(reason), tuple(map(str, notes)))
    except (OSError, pa.ArrowException, KeyError, ValueError, TypeError):
        return None
    whole = all(map(is_count, numbers)) and rows == part.rows == counts.rows
    return counts if whole and not counts.missing else None


def sweep(folder: Path) -> None:
    """Remove what killed runs left half-written."""
    for partial in folder.glob(".part-*.partial"):
        if partial.is_dir() and not partial.is_symlink():
            continue  # somebody else's
        os.unlink(partial)  # noqa: PTH108 - a link of that name is removed, not followed
