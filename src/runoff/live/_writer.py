"""The one thread of a process that writes a directory of observations.

Answers wait in a bounded queue: one that finds it full is dropped and counted. The thread works in
steps of less than half a millisecond and sleeps between them: a thread that answers a query and
wants the interpreter's lock back gets it then. `time.sleep(0)` would not do, since the lock is
taken again before the other thread has woken up; it would wait for the switch interval, 5 ms.
"""

from __future__ import annotations

import atexit
import logging
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from runoff._util.messages import error_text, visible
from runoff._waiting import exits
from runoff.errors import RunoffError
from runoff.live._observation import Observation
from runoff.live._shards import new_writer
from runoff.live._store import Store
from runoff.live._table import Counts

if TYPE_CHECKING:
    from pathlib import Path

_logger = logging.getLogger("runoff")
_QUEUE = 256  # answers, each with the texts of its candidates
_ROWS = 256  # observations in a shard
_HELD = 4 * _ROWS  # observations kept in memory while they cannot be written
_EVERY = 5.0  # seconds after which fewer are written, too
_AGAIN = 5.0  # seconds after which a failed write is tried again
_TIDY = 600.0  # seconds between two looks at what is too old or too much
_QUIET = 60.0  # seconds between two warnings
_REST = 0.0002  # seconds between two steps
_AT_EXIT = 2.0  # seconds that the end of the process waits for the last shard


_Make: TypeAlias = Callable[[], Observation]


class Retention(NamedTuple):
    """How much is kept: days and megabytes; None for no limit."""

    days: float | None = 30.0
    megabytes: float | None = 1000.0


class Writer:
    """Writes one directory; see the module.

    Args:
        path: the directory.
    """

    def __init__(self, path: Path) -> None:
        self.retention = Retention()
        self._store = Store(path)
        self._id = new_writer()
        self._number = 0
        self._waiting: queue.SimpleQueue[_Make | threading.Event] = queue.SimpleQueue()
        self._rows: deque[Observation] = deque()
        self._lock = threading.Lock()
        self._seen = self._dropped = self._failed = 0
        self._thread: threading.Thread | None = None
        self._hurried = 0  # how many wait for everything to be written
        self._since = self._next = self._tidied = self._warned = 0.0

    def see(self) -> None:
        """Count an answer."""
        with self._lock:
            self._seen += 1

    def put(self, make: _Make) -> None:
        """Have an observation made and written; it is dropped if the queue is full.

        Args:
            make: makes it, in the writer's thread.
        """
        if self._waiting.qsize() >= _QUEUE or not self._running():
            self._drop(1)
            return
        self._waiting.put(make)

    def flush(self, seconds: float) -> bool:
        """Write everything that was put, and return whether that worked in time."""
        done = threading.Event()
        if not self._running():
            return not self._rows and self._waiting.empty()
        with self._lock:
            self._hurried += 1
        try:
            self._waiting.put(done)
            with exits.Waiting():
                return done.wait(seconds) and not self._rows
        finally:
            with self._lock:
                self._hurried -= 1

    def _running(self) -> bool:
        """Start the thread if it does not run, and return whether it does now."""
        thread = self._thread
        if thread is not None and thread.is_alive():
            return True
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                if exits.begun():
                    return False
                started = threading.Thread(target=self._work, name="runoff-watch", daemon=True)
                try:
                    started.start()
                except RuntimeError:  # no thread is left, or the interpreter is exiting
                    return False
                self._thread = started
        return True

    def _drop(self, many: int) -> None:
        with self._lock:
            self._dropped += many

    def _work(self) -> None:
        while True:
            given: _Make | threading.Event | None
            try:
                given = self._waiting.get(timeout=self._pause())
            except queue.Empty:
                given = None
            with exits.Native():  # pyarrow, and code of users
                self._step(given)
            del given

    def _pause(self) -> float | None:
        """Return how long to wait for the next answer."""
        if not self._rows:
            return None
        due = max(self._since + _EVERY, self._next)
        return max(0.01, due - time.monotonic())

    def _step(self, given: _Make | threading.Event | None) -> None:
        flushing = isinstance(given, threading.Event)
        if given is not None and not isinstance(given, threading.Event):
            self._make(given)
            self._rest()
        while self._rows and (flushing or self._due()):
            if not self._write():
                break
        if isinstance(given, threading.Event):
            given.set()

    def _rest(self) -> None:
        """Give way to threads that answer queries, unless somebody waits for this one."""
        if not self._hurried:
            time.sleep(_REST)

    def _due(self) -> bool:
        now = time.monotonic()
        return now >= self._next and (len(self._rows) >= _ROWS or now >= self._since + _EVERY)

    def _make(self, make: _Make) -> None:
        try:
            made = make()
        except Exception as error:  # noqa: BLE001 - a response that cannot be kept is dropped
            self._drop(1)
            self._warn("an answer could not be observed", error)
            return
        if not self._rows:
            self._since = time.monotonic()
        self._rows.append(made)
        if len(self._rows) > _HELD:
            self._rows.popleft()
            self._drop(1)

    def _write(self) -> bool:
        rows = [self._rows.popleft() for _ in range(min(_ROWS, len(self._rows)))]
        with self._lock:
            counts = Counts(self._seen, 0, self._dropped, self._failed)
            self._seen = self._dropped = self._failed = 0
        try:
            self._store.write(
                rows, counts, writer=self._id, number=self._number + 1, rest=self._rest
            )
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the disk, answers go on
            self._rows.extendleft(reversed(rows))
            with self._lock:
                self._seen += counts.seen
                self._dropped += counts.dropped
                self._failed += counts.failed + 1
            self._next = time.monotonic() + _AGAIN
            self._warn("observations cannot be written yet, and wait in memory", error)
            return False
        self._number += 1
        self._since = time.monotonic()
        self._keep_house()
        return True

    def _keep_house(self) -> None:
        """Merge small shards, and delete what is too old or too much."""
        try:
            self._store.merge(self._id, rest=self._rest)
            if time.monotonic() - self._tidied > _TIDY:
                self._tidied = time.monotonic()
                self._store.retain(*self.retention)
        except (OSError, RunoffError) as error:
            self._warn("observations cannot be merged or deleted", error)

    def _warn(self, what: str, error: Exception) -> None:
        now = time.monotonic()
        if not self._warned or now - self._warned > _QUIET:
            self._warned = now
            where = visible(str(self._store.path))
            _logger.warning("%s: %s (%s); answers are not affected", where, what, error_text(error))


_writers: dict[str, Writer] = {}
_lock = threading.Lock()


def writer_of(path: Path) -> Writer:
    """Return this process's writer of a directory."""
    name = os.fspath(path)
    found = _writers.get(name)
    if found is None:
        with _lock:
            found = _writers.setdefault(name, Writer(path))
    return found


def flush(path: Path, seconds: float) -> bool:
    """Write what this process holds of a directory, and return whether that worked in time."""
    found = _writers.get(os.fspath(path))
    return found is None or found.flush(seconds)


def _flush_all() -> None:
    until = time.monotonic() + _AT_EXIT
    for one in list(_writers.values()):
        one.flush(max(0.0, until - time.monotonic()))


def _after_fork() -> None:
    """Start afresh in a child: no thread crosses a fork, and the parent writes what it holds."""
    global _lock  # noqa: PLW0603 - another thread may have held it
    _lock = threading.Lock()
    _writers.clear()


atexit.register(_flush_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
