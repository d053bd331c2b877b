"""Searches that time the second stage, within an allowance of seconds and pairs."""

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


class Allowance:
    """The seconds and pairs that measuring may use, shared out among phases.

    Args:
        seconds: the seconds from now on.
        pairs: the most pairs; None for no limit.
    """

    def __init__(self, seconds: float, pairs: int | None = None) -> None:
        self._end = time.perf_counter() + seconds
        self._pairs = math.inf if pairs is None else pairs
        self._lock = threading.Lock()
        self.begin(1.0)

    def begin(self, share: float) -> None:
        """Begin a phase that may use this share of the remaining seconds and pairs."""
        now = time.perf_counter()
        self._until = now + max(0.0, self._end - now) * share
        self._left = self._pairs * share

    @property
    def left(self) -> float:
        """The phase's remaining seconds; 0 or less when time is up."""
        return self._until - time.perf_counter()

    def take(self, pairs: int) -> bool:
        """Take pairs from the phase's remaining ones; False if there are too few."""
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
        ms: wall-clock milliseconds of the whole search.
        pairs: the pairs scored.
        tokens: the tokens read; None if the reranker does not report them.
        truncated: the number of truncated documents.
    """

    ms: float
    pairs: int
    tokens: int | None
    truncated: int


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds of several searches.

    Attributes:
        count: the number of searches.
        p50: the median.
        p95: the 95th percentile; for fewer than twenty searches it is near the slowest.
    """

    count: int
    p50: float
    p95: float

    @classmethod
    def of(cls, searches: Sequence[Timed]) -> Times:
        """Return the times of one or more searches."""
        ms = [one.ms for one in searches]
        return cls(len(ms), percentile(ms, 50), percentile(ms, 95))


class _Drawn:
    """A source that returns random documents in no time."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._documents = documents
        self._chance = random.Random(0)  # noqa: S311 - no secret
        self._lock = threading.Lock()

    def retrieve(
        self,
        query: Query,  # noqa: ARG002 - any query
        *,
        depth: int,
        deadline: Deadline | None = None,  # noqa: ARG002 - it takes no time
    ) -> list[Hit]:
        """Return `depth` documents, or all of them if there are fewer."""
        with self._lock:
            drawn = self._chance.sample(self._documents, min(depth, len(self._documents)))
        return [Hit(document, 1 / rank) for rank, document in enumerate(drawn, 1)]


class Searches:
    """Searches over random documents, in which only the second stage takes time.

    Args:
        reranker: the second stage.
        queries: the queries, asked in turn.
        documents: the documents to draw from.

    Attributes:
        usage: what all searches consumed.
        degraded: reason to number of degraded searches, which are not timed.
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
        """Search once; None if the answer is degraded for another reason than `timeout`.

        Raises:
            RunoffError: an error that is permanent.
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
        outcome = response.outcome
        return Timed(outcome.spent_ms, outcome.scored, usage.tokens, response.trace.truncated)
