"""A recording on disk: a manifest and Parquet shards, each written whole or not at all.

Every query becomes a shard of its own as soon as it is scored, so a killed process loses only the
queries it was scoring. From time to time the small shards are merged. If a query is recorded again,
because its answer was degraded, the last record counts.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import runoff
from runoff._recording.query import Stored
from runoff._recording.setup import Setup
from runoff._util.generations.pointer import checksum
from runoff._util.lock import lock, unlock
from runoff._util.stored import is_count, open_to_append, parse_json, path_of, read_stored
from runoff.errors import (
    InvalidArgument,
    MissingExtra,
    RecordingDamaged,
    RecordingNotFound,
    RecordingTooNew,
)

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ModuleNotFoundError as missing:
    raise MissingExtra("pyarrow", "eval") from missing

from runoff._recording.columns import check_columns, check_heads, check_schema
from runoff._recording.marked import encoded, mark_of
from runoff._recording.parquet import queries_of, schema, table_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import Self

    from runoff._recording.query import RecordedQuery

VERSION = 1
_FORMAT = "runoff-recording"
_MANIFEST = "manifest.json"
_LOCK = "lock"
_SHARD = re.compile(r"part-(\d{8})-(\d{8})\.parquet")
_PARTIAL = re.compile(r"part-\d{8}-\d{8}\.partial")
_HEADS = ["query_id", "candidates", "degraded"]
_UNREADABLE = (OSError, pa.ArrowException, ValueError, TypeError, LookupError, MemoryError)
_MERGED = 64  # small shards from which they are merged


class Folder(Stored):
    """A recording in a directory; one shard is in memory at a time.

    Args:
        path: the directory.

    Raises:
        RecordingNotFound: the directory holds no recording.
        RecordingTooNew: a newer version of runoff wrote it.
        RecordingDamaged: a file cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path_of("path", path)
        self.setup, self._all_marked = _read_manifest(self.path)
        self._schema = schema(self.setup)
        self._index: dict[str, tuple[Path, int, bool, int]] = {}
        self._shards: list[Path] = []
        self._checked: set[bytes | None] = set()  # checksums of shards whose columns were checked
        self._next = 1
        self._held: tuple[Path, list[RecordedQuery]] | None = None
        self._list()

    def _list(self) -> None:
        """Index the shards; start again if a recorder merged one meanwhile."""
        self._index.clear()
        self._shards.clear()
        for shard in sorted(self.path.glob("part-*.parquet"), key=_span):
            try:
                self._add(shard, self._table(shard, _HEADS))
            except RecordingDamaged:
                if shard.exists() or shard.is_symlink():  # a link may lead nowhere
                    raise
                return self._list()
        return None

    @classmethod
    def prepare(cls, path: str | os.PathLike[str], setup: Setup) -> Self:
        """Open a recording to add to, or start one.

        Raises:
            RecordingMismatch: the recording is of another system or of other queries.
            InvalidArgument: the directory holds other files.
        """
        folder = path_of("path", path)
        manifest = folder / _MANIFEST
        if manifest.is_file():
            found = cls(folder)
            found.setup.check_same(setup, str(folder))
        else:
            _check_new(folder)
            folder.mkdir(parents=True, exist_ok=True)
            content: dict[str, Any] = {
                "format": _FORMAT,
                "version": VERSION,
                "runoff": runoff.__version__,
                "checksums": True,
                "setup": setup.to_json(),
            }
            content["checksum"] = checksum(content)
            partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
            partial.write_text(json.dumps(content, indent=1), encoding="utf-8")
            partial.replace(manifest)
            found = cls(folder)
        found._tidy()
        return found

    @classmethod
    def begun(cls, path: str | os.PathLike[str]) -> Self | None:
        """Open a recording if the directory has one, else return None."""
        folder = path_of("path", path)
        return cls(folder) if (folder / _MANIFEST).is_file() else None

    def _tidy(self) -> None:
        """Delete what a killed process left: half-written files and small shards already merged."""
        for left in self.path.glob("*.partial"):
            if _PARTIAL.fullmatch(left.name):
                left.unlink()
        for shard in self._shards:
            last, first = _span(shard)
            if first == last and self._is_merged(shard, first):
                shard.unlink()
        self._list()

    def _is_merged(self, shard: Path, number: int) -> bool:
        """Whether all queries of a small shard are in one that spans its number."""
        asked = set(self._table(shard, _HEADS)["query_id"].to_pylist())
        return any(
            first <= number <= last
            and first < last
            and asked <= set(self._table(other, _HEADS)["query_id"].to_pylist())
            for other in self._shards
            for last, first in (_span(other),)
        )

    def append(self, query: RecordedQuery) -> None:
        """Write one query; once this returns, the query survives a crash."""
        self._write(table_of([query], self.setup), self._next, self._next)
        small = [shard for shard in self._shards if len(set(_span(shard))) == 1]
        if len(small) >= _MERGED:
            self.merge()

    def merge(self) -> None:
        """Merge the small shards into one."""
        small = [shard for shard in self._shards if len(set(_span(shard))) == 1]
        if len(small) < 2:  # noqa: PLR2004 - nothing to merge
            return
        last = _span(small[-1])[0]
        whole = pa.concat_tables([self._table(shard) for shard in small])
        self._shards = [shard for shard in self._shards if shard not in set(small)]
        self._write(whole, last, _span(small[0])[1])
        for shard in small:
            shard.unlink()

    def _write(self, table: pa.Table, last: int, first: int) -> None:
        shard = self.path / f"part-{first:08}-{last:08}.parquet"
        partial = shard.with_suffix(".partial")
        try:
            partial.write_bytes(encoded(table))
        except OSError as error:
            raise OSError(error.errno, os.strerror(error.errno or 0), str(partial)) from error
        partial.replace(shard)
        self._add(shard, table.select(_HEADS))

    def _table(self, shard: Path, columns: Sequence[str] | None = None) -> pa.Table:
        """Read a shard, or some of its columns, and check them.

        Raises:
            RecordingDamaged: it cannot be read, or is not what was written.
        """
        try:
            data = read_stored(shard)
            mark = mark_of(data, required=self._all_marked)
            with pq.ParquetFile(pa.BufferReader(data)) as opened:
                check_schema(opened.schema_arrow, self._schema)
                # shards are small: threads would cost more than they save
                table = opened.read(None if columns is None else list(columns), use_threads=False)
            if columns is not None:
                check_heads(table)
            elif mark is None or mark not in self._checked:  # once for each content
                check_columns(table, self._schema, self.setup)
                self._checked.add(mark)
        except _UNREADABLE as error:
            raise _unreadable(shard, error) from error
        return table

    def _read(self, shard: Path) -> list[RecordedQuery]:
        """Return the queries of a shard.

        Raises:
            RecordingDamaged: as for `_table`.
        """
        table = self._table(shard)
        try:
            return list(queries_of(table, self.setup))
        except ValueError as error:
            raise _unreadable(shard, error) from error

    def _add(self, shard: Path, heads: pa.Table) -> None:
        for row, head in enumerate(heads.to_pylist()):
            where = (shard, row, bool(head["degraded"]), head["candidates"])
            self._index[head["query_id"]] = where
        self._shards.append(shard)
        self._next = max(self._next, _span(shard)[0] + 1)

    def __iter__(self) -> Iterator[RecordedQuery]:
        """Iterate over the queries, shard by shard."""
        for shard in list(self._shards):
            for row, query in enumerate(self._read(shard)):
                if self._index[query.query_id][:2] == (shard, row):
                    yield query

    def __len__(self) -> int:
        """Return the number of queries."""
        return len(self._index)

    def __getitem__(self, query_id: str) -> RecordedQuery:
        """Return one query; its shard stays in memory for the next call."""
        shard, row = self._index[query_id][:2]
        if self._held is None or self._held[0] != shard:
            self._held = shard, self._read(shard)
        return self._held[1][row]

    @property
    def query_ids(self) -> list[str]:
        """The ids of the queries."""
        return list(self._index)

    @property
    def degraded(self) -> list[str]:
        """The ids of the queries whose answer is degraded."""
        return [one for one, where in self._index.items() if where[2]]

    @property
    def pairs(self) -> int:
        """How many candidates all queries have together."""
        return sum(where[3] for where in self._index.values())


@contextmanager
def alone(path: str | os.PathLike[str]) -> Iterator[None]:
    """Lock a recording's directory for one recorder; create it if it does not exist.

    Raises:
        InvalidArgument: another process is recording into it, or it holds other files.
    """
    folder = path_of("path", path)
    if not (folder / _MANIFEST).is_file():
        _check_new(folder)
        folder.mkdir(parents=True, exist_ok=True)
    with open_to_append(folder / _LOCK) as file:
        if not lock(file, wait=False):
            remedy = (
                "is in use by another recorder: wait until it is done, or use another directory"
            )
            raise InvalidArgument("path", str(path), remedy)
        try:
            yield
        finally:
            unlock(file)


def _check_new(folder: Path) -> None:
    if folder.exists() and (
        not folder.is_dir() or any(one.name != _LOCK for one in folder.iterdir())
    ):
        remedy = "must be a new or empty directory, or a recording to resume"
        raise InvalidArgument("path", str(folder), remedy)


def _span(shard: Path) -> tuple[int, int]:
    """Return the last and the first number of a shard's queries; the highest number counts."""
    found = _SHARD.fullmatch(shard.name)
    if found is None:
        raise RecordingDamaged(f"{shard} does not belong to a recording: move it elsewhere")
    return int(found[2]), int(found[1])


def _unreadable(shard: Path, error: BaseException) -> RecordingDamaged:
    return RecordingDamaged(
        f"{shard} cannot be read ({error}): delete it and record again to restore its queries"
    )


def _read_manifest(path: Path) -> tuple[Setup, bool]:
    """Return the setup, and whether every shard has a checksum."""
    manifest = path / _MANIFEST
    try:
        stored = parse_json(read_stored(manifest))
    except (FileNotFoundError, NotADirectoryError):
        raise RecordingNotFound(f"{path} is not a recording: it has no {_MANIFEST}") from None
    except (OSError, ValueError) as error:
        raise RecordingDamaged(f"{manifest} cannot be read: {error}") from error
    if not isinstance(stored, dict) or stored.get("format") != _FORMAT:
        raise RecordingDamaged(f"{manifest} is not the manifest of a recording")
    version = stored.get("version")
    if not is_count(version, 1):
        msg = f"{manifest} does not state the version of its format: restore it from a copy"
        raise RecordingDamaged(msg)
    if version > VERSION:
        raise RecordingTooNew(
            f"{path} has recording format {version}, written by runoff "
            f"{stored.get('runoff', '(unknown)')}; this version reads formats up to {VERSION}: "
            "install a newer runoff"
        )
    if "checksum" in stored and stored.pop("checksum") != checksum(stored):
        msg = f"{manifest} was altered: its checksum differs; restore it from a copy"
        raise RecordingDamaged(msg)
    try:
        return Setup.from_json(stored["setup"]), stored.get("checksums") is True
    except (KeyError, TypeError, AttributeError, RuntimeError, ValueError) as error:
        raise RecordingDamaged(f"{manifest} has missing or wrong fields: {error!r}") from error
