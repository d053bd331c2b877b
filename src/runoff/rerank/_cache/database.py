"""The open SQLite file of a cache: safe for threads, forks and several processes."""

from __future__ import annotations

import atexit
import os
import sqlite3
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from runoff._util.stored import open_stored
from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MAGIC = b"SQLite format 3\0"
_APPLICATION = 0x72754E66  # "ruNf", in the file's header where SQLite keeps a place for it
_FORMAT = 1
OPENING = 1_000  # milliseconds to wait for another process that makes the file
_QUEUE = 0.5  # seconds to wait for other threads, each of which takes a few milliseconds
_SHUT = 0.25  # seconds to do without a file that another process held for too long
_WAL_PAGES = 250  # written to the log before they are moved to the file
_LOG_BYTES = 1_000_000  # of the write-ahead log, which is cut to this size

_SCHEMA = (
    "CREATE TABLE scores (used INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, "
    "entry BLOB NOT NULL, mark INTEGER NOT NULL)"
)


def check_header(path: Path) -> None:
    """Refuse a file that is not a cache of scores; a missing or empty one is fine.

    Raises:
        InvalidArgument: it is something else, or of a newer version.
    """
    try:
        with open_stored(path) as stream:
            header = stream.read(100)
    except FileNotFoundError:
        return
    except OSError as error:
        raise InvalidArgument("path", path, f"cannot be read: {error.strerror}") from error
    if not header:
        return
    application, version = (int.from_bytes(header[at : at + 4]) for at in (68, 60))
    if not header.startswith(_MAGIC) or application != _APPLICATION:
        raise InvalidArgument("path", path, "is not a cache of scores: name another file")
    if version > _FORMAT:
        raise InvalidArgument(
            "path", path, "was made by a newer runoff: update runoff, or name another file"
        )


@contextmanager
def named(path: str | Path) -> Iterator[None]:
    """Make SQLite's errors OSErrors that name the file."""
    try:
        yield
    except sqlite3.OperationalError as error:  # locked, full, read-only, unreadable
        raise OSError(f"{path}: {error}") from error
    except (sqlite3.Error, ValueError, TypeError, OverflowError) as error:
        # a damaged file also holds text that is not UTF-8, and other types than were written
        raise OSError(f"{path}: {error}: delete the file") from error


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write everything in the block or nothing, while no other process writes."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


class Connection:
    """One connection, used by one thread at a time and closed before a fork."""

    def __init__(self, path: Path) -> None:
        self.lock = threading.Lock()
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._shut_until = 0.0

    @contextmanager
    def open(self, patience_ms: int) -> Iterator[sqlite3.Connection]:
        """Lend the connection, waiting up to `patience_ms` milliseconds for other processes.

        After a wait that failed, the next callers fail at once for a while: they do not wait one
        after another.
        """
        if not self.lock.acquire(timeout=_QUEUE):
            raise sqlite3.OperationalError("too many threads are waiting for it")
        try:
            yield self._ready(patience_ms)
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
                self._shut_until = time.monotonic() + _SHUT
            raise
        finally:
            self.lock.release()

    def _ready(self, patience_ms: int) -> sqlite3.Connection:
        if time.monotonic() < self._shut_until:
            raise sqlite3.OperationalError("database is locked")
        if self._connection is None:
            self._connection = _connect(self._path)
        self._connection.execute(f"PRAGMA busy_timeout = {patience_ms}")
        return self._connection

    def close(self) -> None:
        """Close it; the caller holds the lock."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _connect(path: Path) -> sqlite3.Connection:
    if _is_read_only(path):
        # as nothing can write to it, SQLite needs neither locks nor the files beside it
        address = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        return sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=OPENING / 1000, isolation_level=None,
                                 check_same_thread=False)  # fmt: skip
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        if application == 0:
            with transaction(connection):
                _create(connection)
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if (application, version) != (_APPLICATION, _FORMAT):
            raise sqlite3.DatabaseError("another file has taken its place")  # noqa: TRY301 - closed below
        # a file that cannot be switched now works too, but readers and writers wait
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
    except BaseException:
        connection.close()
        raise
    return connection


def _is_read_only(path: Path) -> bool:
    """Whether a cache exists and this process can write neither to it nor to its folder."""
    if not path.is_file() or os.access(path, os.W_OK) or os.access(path.parent, os.W_OK):
        return False
    log = path.with_name(f"{path.name}-wal")
    return not log.exists() or log.stat().st_size == 0


def _create(connection: sqlite3.Connection) -> None:
    """Make a cache of an empty file, in the transaction of the caller."""
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not tables:
        connection.execute(_SCHEMA)
        connection.execute(f"PRAGMA user_version = {_FORMAT}")
        connection.execute(f"PRAGMA application_id = {_APPLICATION}")


class Database:
    """The connections of this process to one file."""

    def __init__(self, path: Path) -> None:
        self.reading, self.writing = Connection(path), Connection(path)
        self.touched: dict[bytes, None] = {}
        self.lock = threading.Lock()

    def touch(self, keys: Iterable[bytes]) -> int:
        """Note that entries were used; return how many notes there are."""
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
        for one in (self.reading, self.writing):
            with one.lock:
                one.close()


_databases: dict[str, Database] = {}
_registry = threading.Lock()


def database_of(path: str | Path) -> Database:
    """Return this process's connections to a file, which open on first use."""
    with _registry:
        found = _databases.get(str(path))
        if found is None:
            found = _databases[str(path)] = Database(Path(path))
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
