"""`TwoStage`: recall, fuse, window, rerank, cut.

`search` and `asearch` run the same steps (`TwoStage._steps`): one waits, the other awaits.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeVar

from runoff._util.arguments import count
from runoff._util.display import html_by
from runoff._util.faults import OnError, check_on_error
from runoff._util.gained import gained
from runoff._util.messages import is_default, kind_of, short_repr
from runoff._waiting import workers
from runoff._waiting.drive import ask, run, run_async
from runoff._waiting.turns import turn
from runoff._waiting.watch import Watch
from runoff.deadline import Deadline
from runoff.errors import InvalidArgument, PoolFull
from runoff.fusion._as_fusion import as_fusion
from runoff.fusion._default import default_fusion, following
from runoff.pipeline._boundary import joined
from runoff.pipeline._observers import tell
from runoff.pipeline._recall import Recall
from runoff.pipeline._search import Reply, Search
from runoff.pipeline._sources import Given
from runoff.pipeline._stages import as_grouping
from runoff.protocols import (
    Fusion,
    PairScorer,
    RecallSource,
    Reranker,
    Warmable,
)
from runoff.rerank._as_reranker import DEFAULT_RERANKER, as_reranker
from runoff.rerank._inner import reranked
from runoff.types import Query

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from runoff._waiting.drive import Asking
    from runoff.filters import Filter
    from runoff.grouping import Grouping
    from runoff.pipeline._observers import Observer
    from runoff.types import Candidate, Document, Response

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, eq=False)
class TwoStage:
    """Two-stage retrieval: sources nominate candidates, a reranker decides.

    Args:
        sources: first-stage retrievers by name, such as `{"bm25": bm25, "dense": dense}`. The
            first-declared one's copy of a document is used where several have it.
        fusion: combines the hits of several sources into one order; by default the mean of their
            z-scores, or `RRF()` for a search in which a source gave no scores.
        reranker: the second stage: a reranker, a pair scorer, or the name of a cross-encoder;
            `"default"` is `LateInteraction()` with the embedded model, None recall alone.
        depth: hits asked of each source.
        window: candidates the reranker reads; those below follow in fused order.
        on_error: `"transient"` degrades the answer for faults that may pass and raises all others,
            except that a source which raises an error that is not from runoff is left out if
            another source answered; `"degrade"` degrades the answer for every fault of a source or
            the reranker; `"raise"` raises every fault.
        id_of: returns what identifies a document across sources, if neither ids nor texts do.
        group: which candidates are grouped before the reranker reads them: a metadata field such as
            `"parent_id"`, a callable from document to group, or a `runoff.grouping.Grouping`, which
            finds duplicates too; None groups nothing.
        filters: which documents any search may return, in addition to those of the search.
        observer: called with every response, in the thread that searched, before it is returned.
            What it raises is logged, and the response is returned all the same; see
            `runoff.live.watch`.

    Raises:
        InvalidArgument: names the argument, its value and what to pass instead.
    """

    sources: Mapping[str, RecallSource]
    fusion: Fusion = field(default_factory=default_fusion)
    reranker: Reranker | PairScorer | str | None = DEFAULT_RERANKER
    depth: int = 100
    window: int = 50
    on_error: OnError = "transient"
    id_of: Callable[[Document], str] | None = None
    group: Grouping | str | Callable[[Document], object] | None = None
    filters: Filter | None = None
    observer: Observer | None = field(default=None, repr=False)
    _second: Reranker | None = field(init=False, repr=False, default=None)

    __setstate__ = gained("filters", "observer")

    def __post_init__(self) -> None:
        """Check every argument, and turn `reranker` into a `Reranker`."""
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
        object.__setattr__(self, "fusion", following(self.fusion, sources))
        as_fusion(self.fusion).fuse(dict.fromkeys(sources, ()))  # weights may name no other source
        object.__setattr__(self, "sources", sources)
        object.__setattr__(self, "depth", count("depth", self.depth))
        object.__setattr__(self, "window", count("window", self.window))
        check_on_error(self.on_error)
        as_grouping(self.group)
        if self.filters is not None:
            joined(self.filters)  # refuses anything but a filter
        if self.id_of is not None and not callable(self.id_of):
            remedy = "must be callable with a document, and return what identifies it"
            raise InvalidArgument("id_of", self.id_of, remedy)
        if self.observer is not None and not callable(self.observer):
            raise InvalidArgument("observer", self.observer, "must be callable with a response")
        object.__setattr__(self, "_second", as_reranker(self.reranker))

    _repr_html_ = html_by("configured_html", "_notebook")

    def __repr__(self) -> str:
        """Show the sources by their class, the second stage, and what differs from the defaults."""
        sources = ", ".join(f"{name!r}: {kind_of(one)}" for name, one in self.sources.items())
        shown = [f"{{{sources}}}"]
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name == "fusion" and value == following(default_fusion(), self.sources):
                continue
            if one.name == "reranker" or (
                one.repr and one.name != "sources" and not is_default(value, one)
            ):
                shown.append(f"{one.name}={short_repr(value)}")
        return f"TwoStage({', '.join(shown)})"

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

        Recall may use half of the budget once a source has answered. The hits of a late source are
        still used if the second stage returns no score at all.

        Args:
            query: the question.
            top_k: results to return, 1 or more; fewer come back where fewer were found.
            timeout: seconds for the whole search; None for no limit. The answer is the best one
                possible in that time; `Response.outcome` says what was left out.
            filters: which documents may be returned, in addition to `query.filters`.
            depth: hits asked of each source, for this search.
            window: candidates the reranker reads, for this search.

        Raises:
            InvalidArgument: an argument has a value it cannot have.
            RecallFailed: no source answered.
            PermanentError: trying again cannot help (unless `on_error` is `"degrade"`).
        """
        return self._observed(run(self._steps(query, top_k, timeout, filters, depth, window)))

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
        steps = self._steps(query, top_k, timeout, filters, depth, window)
        return self._observed(await run_async(steps))

    def warmup(self) -> None:
        """Load every model of the sources and the reranker, and run each one once."""
        for part in (*self.sources.values(), self._second):
            if isinstance(part, Warmable):
                part.warmup()

    def _observed(self, response: Response) -> Response:
        """Show the observer a response, and return it whatever the observer does."""
        tell(self.observer, response)
        return response

    def _steps(
        self,
        query: str | Query,
        top_k: int,
        timeout: float | None,
        filters: Filter | None,
        depth: int | None,
        window: int | None,
    ) -> Asking[Response]:
        """Recall, fuse, rerank and respond; `search` waits at each step and `asearch` awaits."""
        asked = _joined(_joined(query, self.filters), filters)
        search = Search(
            asked,
            tuple(self.sources),
            self.fusion,
            self._second,
            self.depth if depth is None else count("depth", depth),
            self.window if window is None else count("window", window),
            count("top_k", top_k),
            Deadline(timeout),
            self.on_error,
            self.id_of,
            as_grouping(self.group),
            () if timeout is None else _unread(self.sources, asked.text),
            isolated=not all(isinstance(one, Given) for one in self.sources.values()),
        )
        with Recall(self.sources, search.query, search.depth, search.deadline) as recall:
            answers = yield from recall.ask_all()
            heavy = cache(partial(search.is_heavy, answers))
            nominated = yield from _compute(partial(search.nominate, answers), heavy)
            readable = nominated.split.readable
            if search.second is None or not readable:
                return (yield from _compute(partial(search.respond, nominated, None), heavy))
            reply = yield from _rerank(search.second, search.query, readable, search.deadline)
            if search.scored_nothing(nominated, reply) and (late := recall.late_answers()):
                again = partial(search.nominate_again, late, reply)
                nominated, reply = yield from _compute(again, partial(search.is_heavy, late))
            return (yield from _compute(partial(search.respond, nominated, reply), heavy))


def searching(pipeline: TwoStage, query: str | Query, **how: Any) -> Asking[Response]:  # noqa: ANN401 - as `search`
    """Search as a step of other code: `search` where that waits, `asearch` where it awaits."""
    search, asearch = (
        partial(pipeline.search, query, **how),
        partial(pipeline.asearch, query, **how),
    )
    return (yield from ask(search, asearch))


def _unread(sources: Mapping[str, RecallSource], text: str) -> tuple[str, ...]:
    """Return a sentence for each source that reads only the start of the query."""
    limits = {name: getattr(source, "query_characters", None) for name, source in sources.items()}
    return tuple(
        f"{name} reads the first {limit} characters of the query, which has {len(text)}"
        for name, limit in limits.items()
        if isinstance(limit, int) and len(text) > limit
    )


def _joined(query: str | Query, filters: Filter | None) -> Query:
    """Return the query with these filters joined to its own."""
    asked = query if isinstance(query, Query) else Query(query)
    return asked if filters is None else replace(asked, filters=joined(asked.filters, filters))


def _rerank(
    second: Reranker, query: Query, candidates: Sequence[Candidate], deadline: Deadline
) -> Asking[Reply]:
    """Ask the second stage; an error counts as a reply."""
    watch = Watch(deadline)
    try:
        reranking = yield from reranked(second, query, candidates, deadline, "rerank")
    except Exception as error:  # noqa: BLE001 - `Search.respond` degrades the answer or raises it
        return Reply(None, error, *watch.read())
    return Reply(reranking, None, *watch.read())


def _compute(step: Callable[[], _T], heavy: Callable[[], bool]) -> Asking[_T]:
    """Compute, and keep an event loop free: in a turn of its own, or in a thread when heavy."""

    async def aside() -> _T:
        if heavy():
            with suppress(PoolFull):
                return await workers.run_async(step, None, "fusion")
        async with turn():
            return step()

    return (yield from ask(step, aside))
