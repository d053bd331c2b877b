"""Searches whose second stage is timed, within an allowance of seconds and pairs."""

from __future__ import annotations

import itertools
import math
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runoff.bench._machine import percentile
from runoff.pipeline import TwoStage
from runoff.scores import Usage
from runoff.types import Hit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runoff.deadline import Deadline
    from runoff.protocols import Reranker
    from runoff.types import Document, Query

__all__ = ["Allowance", "Searches", "Timed", "Times"]


class Allowance:
    """How long measuring may go on, and how many pairs it may have scored; it is parted in phases.

    Args:
        seconds: from now on.
        pairs: at most; None for as many as there is time for.
    """

    def __init__(self, seconds: float, pairs: int | None = None) -> None:
        self._end = time.perf_counter() + seconds
        self._pairs = math.inf if pairs is None else pairs
        self._lock = threading.Lock()
        self.begin(1.0)

    def begin(self, share: float) -> None:
        """Begin a phase that may use a share of the seconds and of the pairs that are left."""
        now = time.perf_counter()
        self._until = now + max(0.0, self._end - now) * share
        self._left = self._pairs * share

    @property
    def left(self) -> float:
        """Seconds left of the phase; 0 or less when time is up."""
        return self._until - time.perf_counter()

    def take(self, pairs: int) -> bool:
        """Take pairs from what is left of the phase; False where there are not so many."""
        with self._lock:
            if pairs > self._left:
                return False
            self._left -= pairs
            self._pairs -= pairs
            return True


@dataclass(frozen=True, slots=True)
class Timed:
    """One search.

    Attributes:
        ms: the whole search by the wall clock.
        pairs: that were scored.
        tokens: that were read; None where the reranker does not tell.
        truncated: documents that lost text to the reranker's limit.
    """

    ms: float
    pairs: int
    tokens: int | None
    truncated: int


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds of several searches.

    Attributes:
        count: how many.
        p50: the median; half took longer.
        p95: one in twenty took longer. Of fewer than twenty searches it lies near the slowest.
    """

    count: int
    p50: float
    p95: float

    @classmethod
    def of(cls, searches: Sequence[Timed]) -> Times:
        """Return what searches took, one or more."""
        ms = [one.ms for one in searches]
        return cls(len(ms), percentile(ms, 50), percentile(ms, 95))


class _Drawn:
    """A source that returns documents drawn at random: recall that takes no time."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._documents = documents
        self._chance = random.Random(0)  # noqa: S311 - no secret
        self._lock = threading.Lock()

    def retrieve(
        self,
        query: Query,  # noqa: ARG002 - whatever is asked
        *,
        depth: int,
        deadline: Deadline | None = None,  # noqa: ARG002 - it takes no time
    ) -> list[Hit]:
        """Return `depth` documents, or all there are."""
        with self._lock:
            drawn = self._chance.sample(self._documents, min(depth, len(self._documents)))
        return [Hit(document, 1 / rank) for rank, document in enumerate(drawn, 1)]


class Searches:
    """Searches over documents drawn at random, so that the second stage is all that takes time.

    Args:
        reranker: the second stage.
        queries: asked in turn.
        documents: what is drawn from.

    Attributes:
        usage: what all searches consumed.
        degraded: reasons of searches that were not complete, which are not timed, and how many.
    """

    def __init__(
        self, reranker: Reranker, queries: Sequence[str], documents: Sequence[Document]
    ) -> None:
        self.size = len(documents)
        self.usage = Usage()
        self.degraded: Counter[str] = Counter()
        self._pipeline = TwoStage({"drawn": _Drawn(documents)}, reranker=reranker)
        self._queries = itertools.cycle(queries)
        self._lock = threading.Lock()

    def run(self, window: int, timeout: float | None = None) -> Timed | None:
        """Search once; None where the answer was not complete, unless `timeout` was why.

        Raises:
            RunoffError: what trying again cannot help.
        """
        with self._lock:
            query = next(self._queries)
        response = self._pipeline.search(query, depth=window, window=window, timeout=timeout)
        usage = response.trace.usage
        with self._lock:
            self.usage += usage
            reasons = {one.reason for one in response.outcome.degraded}
            if reasons - ({"timeout"} if timeout is not None else set()):
                self.degraded.update(reasons)
                return None
        told = response.outcome
        return Timed(told.spent_ms, told.scored, usage.tokens, response.trace.truncated)
