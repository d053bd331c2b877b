"""`TwoStage`: recall, fuse, window, rerank, cut.

`search` and `asearch` share every decision (`runoff.pipeline._stages`); they differ only in how
they wait.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from runoff._util.arguments import count
from runoff._util.faults import OnError, check_on_error
from runoff._waiting import workers
from runoff._waiting.drive import run, run_async
from runoff._waiting.turns import turn
from runoff.errors import InvalidArgument, PoolFull
from runoff.fusion._as_fusion import as_fusion
from runoff.fusion._rrf import RRF
from runoff.pipeline._grouping import as_grouping
from runoff.pipeline._recall import Recalling
from runoff.pipeline._search import Search
from runoff.protocols import (
    Fusion,
    PairScorer,
    RecallSource,
    Reranker,
    Warmable,
)
from runoff.rerank._as_reranker import as_reranker
from runoff.rerank._inner import reranked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runoff.filters import Filter
    from runoff.grouping import Grouping
    from runoff.types import Document, Query, Reranking, Response

__all__ = ["TwoStage"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, eq=False)
class TwoStage:
    """Two-stage retrieval: sources nominate candidates, a reranker decides.

    Args:
        sources: first-stage retrievers by name, such as `{"bm25": bm25, "dense": dense}`. The
            first-declared one's copy of a document is used where several have it.
        fusion: makes one order out of several sources' hits.
        reranker: the second stage: a reranker, a pair scorer, or the name of a cross-encoder; the
            embedded one by default; None for recall alone.
        depth: hits asked of each source.
        window: candidates the reranker reads; those below follow in fused order.
        on_error: `"transient"` degrades the answer for faults that may pass and raises the others,
            save that a source's errors that are not runoff's own leave it out as well when another
            source answered; `"degrade"` degrades it for every fault of a source or the reranker;
            `"raise"` raises every fault.
        id_of: what identifies a document across sources, where neither ids nor texts do.
        group: which candidates are put under one of them before the reranker reads any: a metadata
            field such as `"parent_id"`, a callable from document to group, or a
            `runoff.grouping.Grouping`, which finds duplicates too; None groups nothing.

    Raises:
        InvalidArgument: names the argument, its value and what would be right.
    """

    sources: Mapping[str, RecallSource]
    fusion: Fusion = field(default_factory=RRF)
    reranker: Reranker | PairScorer | str | None = "runoff-mini"
    depth: int = 100
    window: int = 50
    on_error: OnError = "transient"
    id_of: Callable[[Document], str] | None = None
    group: Grouping | str | Callable[[Document], object] | None = None
    _second: Reranker | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        """Check every argument and make a `Reranker` of what was given."""
        try:
            sources = dict(self.sources)
        except (TypeError, ValueError):
            remedy = 'must map names to sources, such as {"bm25": BM25(documents)}'
            raise InvalidArgument("sources", self.sources, remedy) from None
        if not sources:
            raise InvalidArgument("sources", sources, "needs at least one source")
        for name, source in sources.items():
            if not isinstance(name, str) or not name:
                raise InvalidArgument("sources", name, "a source's name must be a non-empty string")
            if isinstance(source, type) or not isinstance(source, RecallSource):
                remedy = "must have retrieve(query, *, depth, deadline)"
                raise InvalidArgument(f"sources[{name!r}]", source, remedy)
        as_fusion(self.fusion).fuse(dict.fromkeys(sources, ()))  # weights may name no other source
        object.__setattr__(self, "sources", sources)
        object.__setattr__(self, "depth", count("depth", self.depth))
        object.__setattr__(self, "window", count("window", self.window))
        check_on_error(self.on_error)
        as_grouping(self.group)
        object.__setattr__(self, "_second", as_reranker(self.reranker))

    def search(
        self,
        query: str | Query,
        *,
        top_k: int = 10,
        timeout: float | None = None,
        filters: Filter | None = None,
        depth: int | None = None,
        window: int | None = None,
    ) -> Response:
        """Answer a query.

        Recall may take half of the budget once a source has answered. What a late source found is
        used all the same when the second stage comes back without a single score.

        Args:
            query: the question.
            top_k: results to return, 1 or more; fewer come back where fewer were found.
            timeout: seconds for the whole search; None for no limit. The answer is the best that
                fits; `Response.outcome` says what had to be left out.
            filters: which documents may be returned, in addition to `query.filters`.
            depth: hits asked of each source, for this search.
            window: candidates the reranker reads, for this search.

        Raises:
            InvalidArgument: an argument has a value it cannot have.
            RecallFailed: no source answered.
            PermanentError: trying again cannot help (unless `on_error` is `"degrade"`).
        """
        search = self._start(query, top_k, timeout, filters, depth, window)
        with Recalling(self.sources, search) as recall:
            search.recalled(recall.wait())
            if search.second is None or not search.parts.readable:
                return search.finished(asked=False)
            came: Reranking | Exception
            try:
                came = run(reranked(search.second, *search.asked()))
            except Exception as error:  # noqa: BLE001 - `finished` degrades the answer or raises it
                came = error
            if search.unscored(came) and (answers := recall.late()):
                came = search.recalled_again(answers, came)
            return search.finished(came)

    async def asearch(
        self,
        query: str | Query,
        *,
        top_k: int = 10,
        timeout: float | None = None,  # noqa: ASYNC109 - the budget degrades; it does not cancel
        filters: Filter | None = None,
        depth: int | None = None,
        window: int | None = None,
    ) -> Response:
        """Answer a query without blocking the event loop; see `search`."""
        search = self._start(query, top_k, timeout, filters, depth, window)
        with Recalling(self.sources, search) as recall:
            answers = await recall.await_all()
            long = search.takes_long(answers)
            await _aside(partial(search.recalled, answers), long=long)
            if search.second is None or not search.parts.readable:
                return await _aside(partial(search.finished, asked=False), long=long)
            came: Reranking | Exception
            try:
                came = await run_async(reranked(search.second, *search.asked()))
            except Exception as error:  # noqa: BLE001 - `finished` degrades the answer or raises it
                came = error
            if search.unscored(came) and (answers := recall.late()):
                long = search.takes_long(answers)
                came = await _aside(partial(search.recalled_again, answers, came), long=long)
            return await _aside(partial(search.finished, came), long=long)

    def warmup(self) -> None:
        """Load every model of the sources and the reranker and run each once."""
        for part in (*self.sources.values(), self._second):
            if isinstance(part, Warmable):
                part.warmup()

    def _start(
        self,
        query: str | Query,
        top_k: int,
        timeout: float | None,
        filters: Filter | None,
        depth: int | None,
        window: int | None,
    ) -> Search:
        return Search(
            query,
            filters,
            sources=tuple(self.sources),
            fusion=self.fusion,
            second=self._second,
            depth=self.depth if depth is None else count("depth", depth),
            window=self.window if window is None else count("window", window),
            top_k=count("top_k", top_k),
            timeout=timeout,
            on_error=self.on_error,
            id_of=self.id_of,
            grouping=as_grouping(self.group),
        )


async def _aside(step: Callable[[], _T], *, long: bool) -> _T:
    """Do one of the pure steps in a turn of its own, or in a thread where it takes long."""
    if long:
        with suppress(PoolFull):
            return await workers.run_async(step, None, "fusion")
    async with turn():
        return step()
