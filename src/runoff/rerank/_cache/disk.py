"""Scores kept in a SQLite file that several processes may use at once.

```
scores(used, key, entry, mark)    used: the order of last use, the row's own number
                                  key: SHA-256 of what the score depends on
                                  entry: JSON
                                  mark: CRC-32 of key and entry
```

The file is in write-ahead mode: reading never waits for a writer, and a process killed while it
writes leaves what was there before. A row whose mark differs is not read.
"""

from __future__ import annotations

import json
import zlib
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, TypeVar

from runoff._util.arguments import is_whole, plain_numbers
from runoff._util.messages import number_of
from runoff._util.stored import is_count, is_finite, is_text, parse_json, path_of
from runoff.errors import InvalidArgument
from runoff.rerank._cache.database import OPENING, check_header, database_of, named, transaction
from runoff.rerank._cache.entry import Entry, Found
from runoff.scores import ModelIdentity, Passage, ScoreKind

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Hashable, Iterable, Iterator, Mapping
    from pathlib import Path

_T = TypeVar("_T")

_BATCH = 500
_LEAST_BYTES = 1_000_000
_TOUCHED = 1_000  # uses noted before they are written by themselves

_PUT = (
    "INSERT INTO scores (used, key, entry, mark) VALUES (?, ?, ?, ?) ON CONFLICT (key) "
    "DO UPDATE SET used = excluded.used, entry = excluded.entry, mark = excluded.mark"
)
_EVICT = "DELETE FROM scores WHERE used IN (SELECT used FROM scores ORDER BY used LIMIT ?)"


@dataclass(frozen=True, slots=True)
class DiskCache:
    """Scores kept in a file across processes; the least recently used are discarded first.

    The file contains hashes and scores, no text; it and its folder are made on first use. A file
    that is locked, damaged or on a full disk never fails a search: see `Cached`.

    Attributes:
        path: the file; while it is in use there are two more beside it, named `-wal` and `-shm`. It
            must be on a disk of this machine, as SQLite's locks do not hold across a network.
        max_bytes: about how large the file may grow, 1 MB or more.

    Raises:
        InvalidArgument: the file is something else or of a newer version; it is not changed.
    """

    path: str | Path
    max_bytes: int = 256_000_000

    def __post_init__(self) -> None:
        """Check the arguments, and that the file, if there is one, is a cache of scores."""
        path = path_of("path", self.path).expanduser().absolute()
        object.__setattr__(self, "path", path)
        most = self.max_bytes
        if not is_whole(most, _LEAST_BYTES):
            raise InvalidArgument("max_bytes", most, f"must be {_LEAST_BYTES:,} or more")
        check_header(path)
        plain_numbers(self, "max_bytes")

    @property
    def scope(self) -> Hashable:
        """What tells this cache from others."""
        return str(self.path)

    def __len__(self) -> int:
        with named(self.path), database_of(self.path).reading.open(OPENING) as connection:
            (count,) = connection.execute("SELECT count(*) FROM scores").fetchone()
        return int(count)

    def __bool__(self) -> bool:
        """Return True: an empty cache is a cache."""
        return True

    def get(self, keys: Iterable[bytes], patience: float = 0.05) -> dict[bytes, Entry]:
        """Return the entries there are; damaged ones are left out, and counted in a note.

        Args:
            keys: of the pairs wanted.
            patience: seconds to wait for the file at most.

        Raises:
            OSError: the file cannot be read now.
        """
        database, found, damaged = database_of(self.path), Found(), 0
        with named(self.path), database.reading.open(_milliseconds(patience)) as connection:
            for batch in _batches(keys):
                marks = ",".join("?" * len(batch))
                asked = f"SELECT key, entry, mark FROM scores WHERE key IN ({marks})"  # noqa: S608 - only question marks
                for key, entry, mark in connection.execute(asked, batch):
                    kept = _decoded(key, entry, mark)
                    if kept is None:
                        damaged += 1
                    else:
                        found[key] = kept
        if damaged:
            found.note = (
                f"{number_of(damaged, 'entry')} in the cache of scores {self.path} "
                f"{'is damaged and was' if damaged == 1 else 'are damaged and were'} not "
                "used; the pairs "
                "are scored again"
            )
        if database.touch(found) >= _TOUCHED:
            with suppress(OSError):  # the scores were read; only the order of use is lost
                self.put({}, patience)
        return found

    def put(self, entries: Mapping[bytes, Entry], patience: float = 0.05) -> None:
        """Keep entries, and note what was used since the last time.

        Args:
            entries: by key.
            patience: seconds to wait for the file at most.

        Raises:
            OSError: the file cannot be written now.
        """
        database = database_of(self.path)
        rows = [(key, encoded := _encoded(one), zlib.crc32(encoded, zlib.crc32(key)))
                for key, one in entries.items()]  # fmt: skip
        with named(self.path), database.writing.open(_milliseconds(patience)) as connection:
            touched = database.touched_since()
            for batch in _batches(chain(touched, rows)):
                with transaction(connection):
                    (used,) = connection.execute("SELECT max(used) FROM scores").fetchone()
                    for number, one in enumerate(batch, (used or 0) + 1):
                        if isinstance(one, bytes):
                            note = "UPDATE scores SET used = ? WHERE key = ?"
                            connection.execute(note, (number, one))
                        else:
                            connection.execute(_PUT, (number, *one))
                    self._evict(connection)

    def clear(self) -> None:
        """Forget every score.

        Raises:
            OSError: the file cannot be written now.
        """
        writing = database_of(self.path).writing
        with (
            named(self.path),
            writing.open(OPENING) as connection,
            transaction(connection),
        ):
            connection.execute("DELETE FROM scores")

    def close(self) -> None:
        """Write down what was used last, and close the file; the next use opens it again.

        Raises:
            OSError: the file cannot be written now.
        """
        database = database_of(self.path)
        if database.touched:
            self.put({})
        database.close()

    def _evict(self, connection: sqlite3.Connection) -> None:
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        while True:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            (free,) = connection.execute("PRAGMA freelist_count").fetchone()
            if (pages - free) * size <= self.max_bytes:
                return
            (count,) = connection.execute("SELECT count(*) FROM scores").fetchone()
            if not count:
                return
            if connection.execute(_EVICT, (max(1, count // 8),)).rowcount < 1:
                return  # a damaged file counts rows that it cannot find


def _encoded(entry: Entry) -> bytes:
    model, passages = entry.model, entry.passages
    values = [
        float(entry.value), bool(entry.truncated), str(entry.kind),
        model.name, model.revision, model.precision,
        *((one.start, one.end, float(one.score)) for one in passages),
    ]  # fmt: skip
    return json.dumps(values, separators=(",", ":")).encode("ascii")


def _decoded(key: object, entry: object, mark: object) -> Entry | None:
    """Return what a row keeps, or None where it is not what `put` wrote."""
    if (
        not isinstance(key, bytes)
        or not isinstance(entry, bytes)
        or mark != zlib.crc32(entry, zlib.crc32(key))
    ):
        return None
    try:
        value, truncated, kind, *model_and_passages = parse_json(entry)
        name, revision, precision, *passages = model_and_passages
        found = tuple(Passage(*one) for one in passages)
        known = ScoreKind(kind)
    except (ValueError, TypeError):
        return None
    whole = (
        is_finite(value)
        and isinstance(truncated, bool)
        and is_text(name, revision, precision)
        and all(
            is_count(one.start) and is_count(one.end, one.start) and is_finite(one.score)
            for one in found
        )
    )
    if not whole:
        return None
    return Entry(value, truncated, known, ModelIdentity(name, revision, precision), found)


def _batches(values: Iterable[_T]) -> Iterator[list[_T]]:
    rest = iter(values)
    while batch := list(islice(rest, _BATCH)):
        yield batch


def _milliseconds(patience: float) -> int:
    return max(1, int(patience * 1000))
