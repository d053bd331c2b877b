"""LlamaIndex's retrievers and indexes as sources of a runoff pipeline."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from runoff._util.messages import error_text
from runoff._waiting import workers
from runoff._waiting.drive import ask, run, run_async
from runoff.errors import FilterNotSupported, RunoffError
from runoff.llama_index._convert import Reading, to_bundle, to_hits
from runoff.llama_index._pushed import pushed
from runoff.llama_index._widen import (
    awaitable,
    narrowed,
    returns_all_it_finds,
    takes_filters,
    widened,
)
from runoff.pipeline._sources import cannot_widen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from llama_index.core.base.base_retriever import BaseRetriever
    from llama_index.core.indices.base import BaseIndex
    from llama_index.core.schema import NodeWithScore, QueryBundle

    from runoff._waiting.drive import Asking
    from runoff.deadline import Deadline
    from runoff.filters import Filter
    from runoff.types import Hit, Query

_WIDEN = 4
_MOST = 10_000  # nodes asked for to find what a filter keeps

_Nodes: TypeAlias = "list[NodeWithScore]"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, eq=False)
class RetrieverSource:
    """A LlamaIndex retriever as a source; the pipeline runs it in a worker thread.

    Its public `retrieve` is called, so that index nodes are followed before reranking. Every call
    gets its own query bundle and its own copy of the retriever.

    Attributes:
        retriever: the retriever.
        reading: how its nodes become text.
    """

    retriever: BaseRetriever
    reading: Reading = field(default_factory=Reading)

    def retrieve(
        self, query: Query, *, depth: int, deadline: Deadline | None = None
    ) -> Sequence[Hit]:
        """Return at most `depth` hits in the retriever's order.

        A store is asked for as much of a filter as it is known to answer; the rest is applied here
        to more and more nodes, until there are enough or no more. So it is with retrievers that
        take no filters, and with those that combine others.

        Raises:
            FilterNotSupported: the query has filters, and the retriever takes none and cannot be
                widened, or they keep too few of 10,000 nodes, or the nodes have no metadata.
        """
        return run(self._hits(query, depth, deadline))

    def _hits(self, query: Query, depth: int, deadline: Deadline | None) -> Asking[Sequence[Hit]]:
        return to_hits((yield from self._nodes(query, depth, deadline))[:depth], self.reading)

    def _nodes(self, query: Query, depth: int, deadline: Deadline | None) -> Asking[_Nodes]:
        """Return the nodes that pass the query's filter."""
        asking, wanted = _Question(to_bundle(query), deadline), query.filters
        if wanted is None:
            return _found((yield from asking.of(self._wide(depth) or self.retriever)))
        if not takes_filters(self.retriever):
            return (yield from self._sifted(asking, wanted, depth, push=True))
        kept = yield from self._pushed(asking, wanted, depth)
        return kept if kept is not None else (yield from self._sifted(asking, wanted, depth))

    def _pushed(self, asking: _Question, wanted: Filter, depth: int) -> Asking[_Nodes | None]:
        """Ask the store to apply the filter, or a part of it; return None if it cannot."""
        for wide in (depth, *_wider(depth)):
            retriever = self._wide(wide)  # one that takes filters can be widened
            # a store may be asked about itself, which must not block a loop
            narrow = yield from asking.aside(partial(pushed, retriever, wanted))
            if narrow is None or narrow.empty:
                return None if narrow is None else []
            answer = yield from asking.of(narrow.retriever)
            if isinstance(answer, Exception):
                if _is_refusal(answer):
                    return None
                raise answer
            kept = _kept(answer, wanted)
            if len(kept) >= depth:
                return kept
            if len(answer) < wide:
                hidden = not narrow.known and (yield from self._hides(asking, wanted, depth, kept))
                return None if hidden else kept
        return None

    def _hides(self, asking: _Question, wanted: Filter, depth: int, kept: _Nodes) -> Asking[bool]:
        """Return whether a store that was asked for a filter dropped a node that passes it.

        Asked of stores that runoff does not know, where the filter's answer is short.
        """
        answer = yield from asking.of(self._wide(depth))
        ids = {one.node.node_id for one in kept}
        return any(one.node.node_id not in ids for one in _kept(_found(answer), wanted))

    def _sifted(
        self, asking: _Question, wanted: Filter, depth: int, *, push: bool = False
    ) -> Asking[_Nodes]:
        """Ask for more and more nodes, until enough pass the filter or there are no more.

        Args:
            asking: the question.
            wanted: the filter.
            depth: how many nodes are wanted.
            push: whether the filter is passed on to the retrievers inside a composite.
        """
        before = -1
        for wide in (depth, *_wider(depth)):
            retriever = self._wide(wide)
            if retriever is None:
                remedy = (
                    f"{type(self.retriever).__name__} takes no filters, and cannot be asked for "
                    "more nodes to choose from: set them when you make it"
                )
                raise FilterNotSupported("filters", wanted, remedy)
            asked = retriever
            if push:  # as in `_pushed`
                asked = yield from asking.aside(partial(narrowed, retriever, wanted))
            answer = yield from asking.of(asked)
            if isinstance(answer, Exception) and push and _is_refusal(answer):
                push = False  # a store inside refuses it
                answer = yield from asking.of(retriever)
            if isinstance(answer, Exception) and before >= 0:
                remedy = f"too few of {before} nodes pass it, and asking for more fails: "
                raise FilterNotSupported("filters", wanted, remedy + error_text(answer)) from answer
            nodes = _found(answer)
            if nodes and not any(one.node.metadata for one in nodes):
                remedy = "the nodes have no metadata that a filter could check"
                raise FilterNotSupported("filters", wanted, remedy)
            kept = _kept(nodes, wanted)
            if len(kept) >= depth:
                return kept
            fewer = len(nodes) < wide
            if fewer if returns_all_it_finds(self.retriever) else len(nodes) <= before:
                return kept
            before = len(nodes)
        remedy = (
            f"{type(self.retriever).__name__} does not apply it itself, and only {len(kept)} of "
            f"{before} nodes pass it: ask for fewer, or filter by a field whose values are plain "
            "words"
        )
        raise FilterNotSupported("filters", wanted, remedy)

    def _wide(self, depth: int) -> Any:  # noqa: ANN401
        """Return a copy that returns `depth` nodes; None if there is none."""
        return widened(self.retriever, depth)


def _wider(depth: int) -> Iterator[int]:
    """Yield how many nodes to retrieve when the filter is applied afterwards."""
    while depth < _MOST:
        depth *= _WIDEN
        yield depth


@dataclass(frozen=True, slots=True)
class _Question:
    """What retrievers are asked, until time is up: they take no deadline themselves."""

    bundle: QueryBundle
    deadline: Deadline | None

    def of(self, retriever: BaseRetriever) -> Asking[_Nodes | Exception]:
        """Ask a retriever; an error is returned, since another question may follow it.

        Raises:
            DeadlineExceeded: no time is left to ask.
        """
        if self.deadline is not None:
            self.deadline.check("recall")
        bundle = self.bundle
        try:
            return (
                yield from ask(
                    lambda: retriever.retrieve(bundle), lambda: retriever.aretrieve(bundle)
                )
            )
        except Exception as error:  # noqa: BLE001 - the caller raises it, or asks otherwise
            return error

    def aside(self, call: Callable[[], _T]) -> Asking[_T]:
        """Make a call that must not block a loop."""
        return workers.aside(call, self.deadline, "recall")


def _kept(nodes: _Nodes, wanted: Filter) -> _Nodes:
    return [one for one in nodes if wanted.matches(one.node.metadata)]


def _found(answer: _Nodes | Exception) -> _Nodes:
    """Return the nodes of an answer.

    LlamaIndex 0.13 asserts, for its log, that a store is not empty; LanceDB's store raises a
    `Warning` if it finds nothing.
    """
    if not isinstance(answer, Exception):
        return answer
    last = answer.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    logging = last is not None and last.tb_frame.f_code.co_name == "log_vector_store_query_result"
    if (isinstance(answer, AssertionError) and logging) or type(answer) is Warning:
        return []
    raise answer


def _is_refusal(error: Exception) -> bool:
    """Whether an error may come from the filter: then the store is asked without it.

    Stores raise various errors, from `ValueError` to those of their database; what has another
    reason is raised again by the question without a filter.
    """
    return not isinstance(error, RunoffError | OSError)


@dataclass(frozen=True, slots=True, eq=False)
class AwaitableSource(RetrieverSource):
    """A LlamaIndex retriever whose `aretrieve` does not block the event loop."""

    async def aretrieve(
        self, query: Query, *, depth: int, deadline: Deadline | None = None
    ) -> Sequence[Hit]:
        return await run_async(self._hits(query, depth, deadline))


@dataclass(frozen=True, slots=True, eq=False)
class IndexSource(RetrieverSource):
    """A LlamaIndex index as a source, with a new retriever for each search.

    A retriever of an index over a store without text finds only the nodes that existed when it was
    made.

    Attributes:
        index: the index.
    """

    index: BaseIndex[Any] = field(kw_only=True)

    def _wide(self, depth: int) -> Any:  # noqa: ANN401
        return self.index.as_retriever(similarity_top_k=depth)


@dataclass(frozen=True, slots=True, eq=False)
class AwaitableIndexSource(IndexSource, AwaitableSource):
    """An index whose retrievers' `aretrieve` does not block the event loop."""


def index_source(index: BaseIndex[Any], reading: Reading) -> IndexSource:
    retriever = index.as_retriever()
    kind = AwaitableIndexSource if awaitable(retriever) else IndexSource
    return kind(retriever, reading, index=index)


def source_of(retriever: BaseRetriever, reading: Reading, name: str, depth: int) -> RetrieverSource:
    """Return a retriever as a source; warn if its recall cannot be widened."""
    if widened(retriever, depth) is None:
        warnings.warn(cannot_widen(name, retriever, depth), UserWarning, stacklevel=6)
    return (AwaitableSource if awaitable(retriever) else RetrieverSource)(retriever, reading)
