"""The protocols that sources, fusions, scorers and rerankers follow, each with its contract.

`runoff.testing.contracts` holds a test class for each: subclass it to check an implementation.

The asynchronous protocols are optional. If a part lacks them, the pipeline runs its synchronous
method in a bounded pool of daemon threads, so an event loop is never blocked. `keeps_deadline` is
optional too: a part that sets it to True returns what it has by itself when the deadline comes; any
other part runs in the pool and is abandoned when time is up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from runoff.deadline import Deadline
    from runoff.scores import PairScores, Usage
    from runoff.types import Candidate, Hit, Query, Reranking

__all__ = [
    "AsyncPairScorer",
    "AsyncRecallSource",
    "AsyncReranker",
    "Cacheable",
    "Estimating",
    "Fusion",
    "PairScorer",
    "RecallSource",
    "Reranker",
    "Warmable",
    "WindowedScorer",
]


@runtime_checkable
class RecallSource(Protocol):
    """A first-stage retriever.

    It is called in any thread. One that must be called in the thread that searches, such as one
    with a `sqlite3` connection, has an attribute `thread = "caller"`. One that knows how far apart
    its scores usually lie has an attribute `score_spread`: the standard deviation of a query's 100
    best scores, as it is on average over queries; see `runoff.fusion.Convex`.
    """

    def retrieve(
        self, query: Query, *, depth: int, deadline: Deadline | None = None
    ) -> Sequence[Hit]:
        """Return at most `depth` hits, best first.

        Higher scores are better, on the source's own scale, or all are NaN: the order alone counts.
        Ids are unique; the list may be empty.
        `query.filters` are honoured exactly: a source that cannot raises `FilterNotSupported` and
        never ignores them. Nothing passed in is changed.
        """
        ...


@runtime_checkable
class AsyncRecallSource(Protocol):
    """A first-stage retriever that can be awaited."""

    async def aretrieve(
        self, query: Query, *, depth: int, deadline: Deadline | None = None
    ) -> Sequence[Hit]:
        """Do what `RecallSource.retrieve` does without blocking the event loop."""
        ...


@runtime_checkable
class Fusion(Protocol):
    """Combines the hits of several sources into one order."""

    def fuse(self, rankings: Mapping[str, Sequence[Hit]]) -> Mapping[str, float]:
        """Map the `key` of every hit to its fusion_score, higher is better.

        `rankings` has every source of the pipeline; a source that failed or found nothing has none.
        Pure arithmetic: the order in which sources are given changes nothing, not even the last
        bit. Every score is finite. The pipeline breaks ties: best rank in any source, then key.
        """
        ...


@runtime_checkable
class PairScorer(Protocol):
    """A model that reads (query, document) pairs."""

    def score(
        self, pairs: Sequence[tuple[str, str]], *, deadline: Deadline | None = None
    ) -> PairScores:
        """Score n pairs of (query text, document text), in input order.

        Pairs may span queries. A pair's score never depends on the pairs beside it (fp32: 1e-5,
        int8: 1e-3 of a standard deviation). Pairs left without a score are marked, never guessed.

        Raises:
            TransientError: nothing could be scored, and trying again may help.
            PermanentError: nothing could be scored, and trying again cannot help.
        """
        ...


@runtime_checkable
class AsyncPairScorer(Protocol):
    """A scorer that can be awaited."""

    async def ascore(
        self, pairs: Sequence[tuple[str, str]], *, deadline: Deadline | None = None
    ) -> PairScores:
        """Do what `PairScorer.score` does without blocking the event loop."""
        ...


@runtime_checkable
class Cacheable(Protocol):
    """A scorer whose scores may be cached.

    It may also have a method `remarks(pairs)`, which returns notes for the user that depend on the
    texts alone: they are added even when all scores come from a cache.
    """

    @property
    def cache_key(self) -> str:
        """Everything its scores depend on besides the two texts, as a string without secrets.

        For example a checksum of the model, its precision, the tokens it reads and the scale of its
        scores. Equal keys promise equal scores, in other processes too. Reading it may wait for a
        disk or a server, and need not load the model.
        """
        ...


@runtime_checkable
class Estimating(Protocol):
    """A scorer that can predict what a call will use."""

    def estimate(self, pairs: Sequence[tuple[str, str]]) -> Usage:
        """Return what scoring these pairs should use; fields that cannot be known are None.

        This is arithmetic: it never waits. More pairs never use less.
        """
        ...


@runtime_checkable
class WindowedScorer(Protocol):
    """A scorer that splits long texts by its own tokenizer."""

    def windows(
        self,
        query: str,
        texts: Sequence[str],
        *,
        length: int | None = None,
        overlap: int = 0,
        deadline: Deadline | None = None,
    ) -> Sequence[Iterator[tuple[int, int]]]:
        """Return for each text its windows, as start and end in characters, in order.

        A window fits the model beside the query, and has at most `length` tokens. Windows cover
        every character; each begins with at least the last `overlap` tokens of the one before, or
        half a window if that is less. A text that fits is one window. Windows are computed as the
        iterator is read.
        """
        ...


@runtime_checkable
class Reranker(Protocol):
    """The second stage."""

    def rerank(
        self, query: Query, candidates: Sequence[Candidate], *, deadline: Deadline | None = None
    ) -> Reranking:
        """Order candidates, which all have text and come in fused order.

        Each candidate is in exactly one of `ordered`, `unscored` and `dropped`; ties keep fused
        order. In a cascade, candidates come in the order of the stage before.

        Raises:
            TransientError: nothing could be ordered, and trying again may help.
            PermanentError: nothing could be ordered, and trying again cannot help.
        """
        ...


@runtime_checkable
class AsyncReranker(Protocol):
    """A second stage that can be awaited."""

    async def arerank(
        self, query: Query, candidates: Sequence[Candidate], *, deadline: Deadline | None = None
    ) -> Reranking:
        """Do what `Reranker.rerank` does without blocking the event loop."""
        ...


@runtime_checkable
class Warmable(Protocol):
    """A part that has a model or other data to load."""

    def warmup(self) -> None:
        """Load it and run it once, so that the first search is as fast as the second."""
        ...
