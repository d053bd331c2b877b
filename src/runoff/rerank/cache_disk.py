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

import atexit
import json
import os
import sqlite3
import threading
import zlib
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from runoff.errors import InvalidArgument
from runoff.rerank.cache_stores import Entry
from runoff.scores import ModelIdentity, Passage, ScoreKind

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping

__all__ = ["DiskCache"]

_T = TypeVar("_T")

_MAGIC = b"SQLite format 3\0"
_APPLICATION = 0x72754E66  # "ruNf", in the file's header where SQLite keeps a place for it
_FORMAT = 1
_BATCH = 500
_LEAST_BYTES = 1_000_000
_TOUCHED = 1_000  # uses noted before they are written by themselves
_OPENING = 1_000  # milliseconds to wait for another process that makes the file
_WAL_PAGES = 250

_SCHEMA = (
    "CREATE TABLE scores (used INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, "
    "entry BLOB NOT NULL, mark INTEGER NOT NULL)"
)
_PUT = (
    "INSERT INTO scores (used, key, entry, mark) VALUES (?, ?, ?, ?) ON CONFLICT (key) "
    "DO UPDATE SET used = excluded.used, entry = excluded.entry, mark = excluded.mark"
)
_EVICT = "DELETE FROM scores WHERE used IN (SELECT used FROM scores ORDER BY used LIMIT ?)"


@dataclass(frozen=True, slots=True)
class DiskCache:
    """Scores kept in a file for this process and the next; the least recently used leave first.

    It holds hashes and scores, no text. The file and its folder are made when first used. A file
    that is locked, damaged or on a full disk costs the cache and never a search: see `Cached`.

    Attributes:
        path: the file; two more lie beside it while it is in use, named `-wal` and `-shm`. It must
            be on a disk of this machine, as SQLite's locks do not hold across a network.
        max_bytes: about how large the file may grow, 1 MB or more.

    Raises:
        InvalidArgument: the path is no file of this kind, or of a newer version; it is left alone.
    """

    path: str | Path
    max_bytes: int = 256_000_000

    def __post_init__(self) -> None:
        """Check the arguments, and whose file it is if there is one."""
        if not isinstance(self.path, str | Path) or not str(self.path).strip():
            raise InvalidArgument("path", self.path, "must be the path of a file")
        path = Path(self.path).expanduser().absolute()
        object.__setattr__(self, "path", path)
        most = self.max_bytes
        if isinstance(most, bool) or not isinstance(most, int) or most < _LEAST_BYTES:
            raise InvalidArgument("max_bytes", most, f"must be {_LEAST_BYTES:,} or more")
        _check_header(path)

    @property
    def scope(self) -> Hashable:
        """What tells this cache from others."""
        return str(self.path)

    def __len__(self) -> int:
        """Return the number of pairs kept."""
        with _named(self.path), _database(self.path).reading.open(_OPENING) as connection:
            (count,) = connection.execute("SELECT count(*) FROM scores").fetchone()
        return int(count)

    def __bool__(self) -> bool:
        """Return True: an empty cache is a cache."""
        return True

    def get(self, keys: Iterable[bytes], patience: float = 0.05) -> dict[bytes, Entry]:
        """Return the entries there are.

        Args:
            keys: of the pairs wanted.
            patience: seconds to wait for the file at most.

        Raises:
            OSError: the file cannot be read now.
        """
        database, found = _database(self.path), {}
        with _named(self.path), database.reading.open(_milliseconds(patience)) as connection:
            for batch in _batches(keys):
                marks = ",".join("?" * len(batch))
                asked = f"SELECT key, entry, mark FROM scores WHERE key IN ({marks})"  # noqa: S608 - only question marks
                for key, entry, mark in connection.execute(asked, batch):
                    if mark == zlib.crc32(entry, zlib.crc32(key)):
                        found[key] = _decoded(entry)
        if database.touch(found) >= _TOUCHED:
            with suppress(OSError):  # what was read counts, not who remembers that it was
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
        database = _database(self.path)
        rows = [(key, encoded := _encoded(one), zlib.crc32(encoded, zlib.crc32(key)))
                for key, one in entries.items()]  # fmt: skip
        with _named(self.path), database.writing.open(_milliseconds(patience)) as connection:
            touched = database.touched_since()
            for batch in _batches(chain(touched, rows)):
                with _transaction(connection):
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
        writing = _database(self.path).writing
        with (
            _named(self.path),
            writing.open(_OPENING) as connection,
            _transaction(connection),
        ):
            connection.execute("DELETE FROM scores")

    def close(self) -> None:
        """Write down what was used last, and close the file; the next use opens it again.

        Raises:
            OSError: the file cannot be written now.
        """
        database = _database(self.path)
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
            connection.execute(_EVICT, (max(1, count // 8),))


def _encoded(entry: Entry) -> bytes:
    model, passages = entry.model, entry.passages
    told = [
        float(entry.value), bool(entry.truncated), str(entry.kind),
        model.name, model.revision, model.precision,
        *((one.start, one.end, float(one.score)) for one in passages),
    ]  # fmt: skip
    return json.dumps(told, separators=(",", ":")).encode("ascii")


def _decoded(entry: bytes) -> Entry:
    value, truncated, kind, name, revision, precision, *passages = json.loads(entry)
    return Entry(
        value,
        truncated,
        ScoreKind(kind),
        ModelIdentity(name, revision, precision),
        tuple(Passage(start, end, score) for start, end, score in passages),
    )


def _batches(values: Iterable[_T]) -> Iterator[list[_T]]:
    rest = iter(values)
    while batch := list(islice(rest, _BATCH)):
        yield batch


def _milliseconds(patience: float) -> int:
    return max(1, int(patience * 1000))


def _check_header(path: Path) -> None:
    """Refuse a file that is not ours; no file, and an empty one, will be.

    Raises:
        InvalidArgument: it is another's, or newer.
    """
    try:
        with path.open("rb") as stream:
            header = stream.read(100)
    except FileNotFoundError:
        return
    except OSError as error:
        raise InvalidArgument("path", path, f"cannot be read: {error.strerror}") from error
    if not header:
        return
    application, version = (int.from_bytes(header[at : at + 4]) for at in (68, 60))
    if not header.startswith(_MAGIC) or application != _APPLICATION:
        raise InvalidArgument("path", path, "is a file of something else: name another")
    if version > _FORMAT:
        raise InvalidArgument(
            "path", path, "was made by a newer runoff: update it, or name another"
        )


@contextmanager
def _named(path: str | Path) -> Iterator[None]:
    """Make SQLite's errors OSErrors that name the file."""
    try:
        yield
    except sqlite3.OperationalError as error:  # locked, full, read-only, unreadable
        msg = f"{path}: {error}"
        raise OSError(msg) from error
    except sqlite3.DatabaseError as error:
        msg = f"{path}: {error}: delete the file"
        raise OSError(msg) from error


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


class _Connection:
    """One connection, used by one thread at a time and closed before a fork."""

    def __init__(self, path: Path) -> None:
        self.lock = threading.Lock()
        self._path = path
        self._connection: sqlite3.Connection | None = None

    @contextmanager
    def open(self, patience_ms: int) -> Iterator[sqlite3.Connection]:
        """Lend the connection, waiting for other threads and processes so many milliseconds."""
        if not self.lock.acquire(timeout=patience_ms / 1000):
            msg = f"{self._path}: busy"
            raise OSError(msg)
        try:
            if self._connection is None:
                self._connection = _connect(self._path)
            self._connection.execute(f"PRAGMA busy_timeout = {patience_ms}")
            yield self._connection
        finally:
            self.lock.release()

    def close(self) -> None:
        """Close it; the caller holds the lock."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, _OPENING / 1000, isolation_level=None,
                                 check_same_thread=False)  # fmt: skip
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        if application == 0:
            with _transaction(connection):
                _found(connection)
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if (application, version) != (_APPLICATION, _FORMAT):
            raise sqlite3.DatabaseError("another file has taken its place")  # noqa: TRY301 - closed below
        # one that cannot be switched now works as well, but readers and writers wait
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {_LEAST_BYTES}")
    except BaseException:
        connection.close()
        raise
    return connection


def _found(connection: sqlite3.Connection) -> None:
    """Make an empty file ours; all of it in one transaction, or none."""
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not tables:
        connection.execute(_SCHEMA)
        connection.execute(f"PRAGMA user_version = {_FORMAT}")
        connection.execute(f"PRAGMA application_id = {_APPLICATION}")


class _Database:
    """What this process has open of one file."""

    def __init__(self, path: Path) -> None:
        self.reading, self.writing = _Connection(path), _Connection(path)
        self.touched: dict[bytes, None] = {}
        self.lock = threading.Lock()

    def touch(self, keys: Iterable[bytes]) -> int:
        """Note that entries were used; return how many are noted."""
        with self.lock:
            for key in keys:
                self.touched.pop(key, None)
                self.touched[key] = None
            return len(self.touched)

    def touched_since(self) -> list[bytes]:
        """Return what was used since the last time, in order."""
        with self.lock:
            keys, self.touched = list(self.touched), {}
        return keys

    def close(self) -> None:
        """Close both connections."""
        for one in (self.reading, self.writing):
            with one.lock:
                one.close()


_databases: dict[str, _Database] = {}
_registry = threading.Lock()


def _database(path: str | Path) -> _Database:
    with _registry:
        found = _databases.get(str(path))
        if found is None:
            found = _databases[str(path)] = _Database(Path(path))
        return found


def _before_fork() -> None:
    """Close every connection: SQLite's do not survive a fork."""
    _registry.acquire()
    for database in _databases.values():
        for one in (database.reading, database.writing):
            one.lock.acquire()
            one.close()
        database.lock.acquire()


def _after_fork() -> None:
    for database in _databases.values():
        for lock in (database.reading.lock, database.writing.lock, database.lock):
            lock.release()
    _registry.release()


def _at_exit() -> None:
    for database in list(_databases.values()):
        database.close()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork
    )
