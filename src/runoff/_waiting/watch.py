"""How long a stage took, without what it spent on loading models."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runoff.deadline import Deadline


class Watch:
    """Measures milliseconds from its creation, model loading separately."""

    __slots__ = ("_deadline", "_paused", "_started")

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._paused = deadline.paused_for
        self._started = time.perf_counter()

    def read(self) -> tuple[float, float]:
        """Return the milliseconds that passed without pauses, and those spent in pauses."""
        load_ms = (self._deadline.paused_for - self._paused) * 1000
        return max(0.0, (time.perf_counter() - self._started) * 1000 - load_ms), load_ms
