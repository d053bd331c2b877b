"""One time budget for a whole search, shared by its stages and threads."""

from __future__ import annotations

import math
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runoff._util.arguments import is_real, is_share
from runoff.errors import DeadlineExceeded, InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

__all__ = ["Branch", "Deadline"]


class Deadline:
    """A point in time after which a stage returns what it has.

    Loading a model stops the clock (`paused`), so that it does not count against the first call.

    Args:
        timeout: seconds from now; None or infinity for no limit.
        clock: a monotonic clock in seconds, replaceable in tests.

    Raises:
        InvalidArgument: `timeout` is negative, NaN or not a number.
    """

    def __init__(
        self, timeout: float | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        unlimited = timeout is None or (isinstance(timeout, float) and timeout == math.inf)
        if not unlimited and not (is_real(timeout) and timeout >= 0):  # type: ignore[operator] # as checked
            raise InvalidArgument("timeout", timeout, "must be seconds, 0 or more, or None")
        if not callable(clock):
            raise InvalidArgument("clock", clock, "must be callable, and return seconds")
        self._clock = clock
        self._start = clock()
        self._budget = math.inf if timeout is None else float(timeout)
        self._lock = threading.Lock()
        self._pauses = 0
        self._paused_at = 0.0
        self._paused_for = 0.0

    @property
    def budget(self) -> float:
        """The whole budget in seconds; infinity when there is none."""
        return self._budget

    @property
    def finite(self) -> bool:
        """Whether there is a budget at all."""
        return math.isfinite(self._budget)

    def spent(self) -> float:
        """Return the seconds spent so far, without pauses."""
        with self._lock:
            now = self._paused_at if self._pauses else self._clock()
            return now - self._start - self._paused_for

    def remaining(self) -> float:
        """Return the seconds left, never below 0; infinity when there is no budget."""
        return max(0.0, self._budget - self.spent()) if self.finite else math.inf

    @property
    def expired(self) -> bool:
        """Whether no time is left."""
        return self.remaining() <= 0.0

    def check(self, stage: str) -> None:
        """Raise when no time is left.

        Raises:
            DeadlineExceeded: names the stage and the budget.
        """
        if self.expired:
            raise DeadlineExceeded(f"{stage}: the budget of {self._budget * 1000:.0f} ms is spent")

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the clock while a model loads; pauses of several threads may overlap."""
        self._stop()
        try:
            yield
        finally:
            self._resume()

    def _stop(self) -> None:
        with self._lock:
            if self._pauses == 0:
                self._paused_at = self._clock()
            self._pauses += 1

    def _resume(self) -> None:
        with self._lock:
            self._pauses -= 1
            if self._pauses == 0:
                self._paused_for += self._clock() - self._paused_at

    def branch(self, share: float = 1.0) -> Branch:
        """Return a deadline for one of several calls: the same clock, its own count of pauses.

        Args:
            share: the share of the remaining budget that the call may use, above 0 and at most 1.
        """
        return Branch(self, self._clock, share)

    @property
    def paused_for(self) -> float:
        """Seconds spent in pauses that have ended."""
        with self._lock:
            return self._paused_for

    @property
    def stopped(self) -> bool:
        """Whether the clock is stopped now."""
        return self._pauses > 0

    def __repr__(self) -> str:
        """Show the budget and what is left of it."""
        if not self.finite:
            return "Deadline(None)"
        return f"Deadline({self._budget:g}, remaining={self.remaining():.3f})"


class Branch(Deadline):
    """The deadline of one call among several that share a budget.

    Its pauses stop the clock for all calls until the call is abandoned; after that, loading a model
    in it no longer stops the clock.
    """

    def __init__(self, whole: Deadline, clock: Callable[[], float], share: float = 1.0) -> None:
        if not isinstance(whole, Deadline):
            raise InvalidArgument("whole", whole, "must be a Deadline")
        if not is_share(share):
            raise InvalidArgument("share", share, "must be a number from 0 to 1")
        kept = (1 - share) * whole.remaining() if whole.finite else 0.0
        super().__init__(max(0.0, whole.budget - kept), clock=clock)
        self._whole = whole
        self._holding: list[AbstractContextManager[None]] = []
        self._left = False

    def spent(self) -> float:
        """Return the seconds that all calls have spent so far, without pauses."""
        return self._whole.spent()

    def leave(self) -> None:
        """Abandon the call: from now on its pauses no longer stop the clock."""
        with self._lock:
            self._left = True
            while self._holding:
                self._holding.pop().__exit__(None, None, None)

    def _stop(self) -> None:
        super()._stop()
        with self._lock:
            if not self._left:
                pause = self._whole.paused()
                pause.__enter__()
                self._holding.append(pause)

    def _resume(self) -> None:
        super()._resume()
        with self._lock:
            if self._holding:
                self._holding.pop().__exit__(None, None, None)
