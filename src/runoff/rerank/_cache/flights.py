"""Scoring in progress: a caller that needs a pair which another one is scoring waits for it.

A caller claims the pairs it will score, scores them, and lands: its scores go to all who wait.
Each scores its own pairs before it waits, so two callers never wait for each other. When a caller
gives up (cancelled, or out of time), one of those who wait takes over; when it fails, each scores
for itself.
"""

from __future__ import annotations

import concurrent.futures
import threading
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, NamedTuple

from runoff._util.fork import in_child
from runoff._waiting import exits, workers
from runoff._waiting.drive import awaitable, first_done

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping
    from contextlib import AbstractContextManager

    from runoff._waiting.drive import Asking
    from runoff.deadline import Deadline
    from runoff.rerank._cache.entry import Entry

_STALE = 60.0  # seconds after which a caller without deadline is waited for no more
_GRACE = 0.1  # seconds that a caller may be late
_LOOK = 0.05  # seconds between checks whether the other caller is loading a model


class Landed(NamedTuple):
    """The scores of a caller, and whether it gave up on the rest (it did not fail)."""

    entries: Mapping[bytes, Entry]
    gave_up: bool


class Flight:
    """One caller's scoring.

    Attributes:
        keys: the pairs it scores.
        deadline: its own.
    """

    def __init__(self, scope: Hashable, keys: list[bytes], deadline: Deadline) -> None:
        self.keys = keys
        self.deadline = deadline
        self._scope = scope
        self._started = time.monotonic()
        self._future: concurrent.futures.Future[Landed] = concurrent.futures.Future()
        self._future.set_running_or_notify_cancel()  # callers that wait cannot cancel it

    @property
    def late(self) -> bool:
        """Whether it has taken too long for others to go on waiting, or the interpreter exits."""
        return exits.begun() or self._left() <= 0

    def land(self, entries: Mapping[bytes, Entry], *, gave_up: bool = False) -> None:
        """Give the scores to all who wait; further calls change nothing."""
        with _lock:
            for key in self.keys:
                if _flights.get((self._scope, key)) is self:
                    del _flights[self._scope, key]
            if not self._future.done():
                self._future.set_result(Landed(entries, gave_up))

    def landed(self, deadline: Deadline) -> Asking[Landed | None]:
        """Wait until it lands; None when the deadline comes first or it is late."""
        future = yield from awaitable(self._future)
        try:
            while not self._future.done() and not deadline.expired and not self.late:
                with self._pause(deadline):
                    yield from first_done([future], self._step(deadline))
        finally:
            future.cancel()
        return self._future.result() if self._future.done() else None

    def _left(self) -> float:
        """Return the seconds it may still take."""
        if self.deadline.stopped:
            return _STALE
        if self.deadline.finite:
            return self.deadline.budget - self.deadline.spent() + _GRACE
        return self._started + self.deadline.paused_for + _STALE - time.monotonic()

    def _step(self, deadline: Deadline) -> float:
        longest = _LOOK if deadline.finite else _STALE
        return max(0.001, min(workers.pause(deadline), self._left(), longest))

    def _pause(self, deadline: Deadline) -> AbstractContextManager[None]:
        """Stop the waiting caller's clock while the model loads, as if it loaded it itself."""
        return deadline.paused() if self.deadline.stopped else nullcontext()


_lock = threading.Lock()
_flights: dict[tuple[Hashable, bytes], Flight] = {}


def claim(
    scope: Hashable, keys: Iterable[bytes], deadline: Deadline, *, join: bool
) -> tuple[Flight, dict[Flight, list[bytes]]]:
    """Claim the pairs that nobody is scoring, or all of them.

    Args:
        scope: what the keys belong to; equal scopes share.
        keys: the pairs wanted.
        deadline: the caller's.
        join: leave out those that another is scoring in time.

    Returns:
        The caller's flight, which must land, and others' flights with the pairs wanted of each.
    """
    mine: list[bytes] = []
    theirs: dict[Flight, list[bytes]] = {}
    with _lock:
        flight = Flight(scope, mine, deadline)
        for key in keys:
            other = _flights.get((scope, key))
            if join and other is not None and not other.late:
                theirs.setdefault(other, []).append(key)
            else:
                mine.append(key)
                _flights[scope, key] = flight
    return flight, theirs


@in_child
def _after_fork() -> None:
    global _lock  # noqa: PLW0603 - callers that were scoring are not in this process
    _lock = threading.Lock()
    _flights.clear()
