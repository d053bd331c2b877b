"""LangChain's retrievers as sources of a runoff pipeline."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_core.documents import Document as LangChainDocument
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable
from langchain_core.runnables.config import patch_config
from langchain_core.vectorstores import VectorStore, VectorStoreRetriever

from runoff._util.messages import error_text, number_of
from runoff._waiting import workers
from runoff._waiting.drive import ask, run, run_async
from runoff.errors import FilterNotSupported, InvalidArgument, RunoffError
from runoff.langchain._convert import carried
from runoff.langchain._filters import BOUND, Asked, as_filter, own_filters, store_kwargs
from runoff.langchain._modes import tell_short, widened_mode
from runoff.langchain._narrow import (
    check_self_query,
    compresses,
    counts_what_it_finds,
    narrowed,
)
from runoff.langchain._own_filters import resolved, with_bound
from runoff.langchain._scoring import (
    ScoredRetriever,
    gives_scores,
    oriented,
    scored,
    searches_natively_async,
)
from runoff.langchain._stores import id_field, size
from runoff.langchain._widen import search_kwargs, widened
from runoff.pipeline._boundary import joined
from runoff.types import Hit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_core.callbacks import BaseCallbackManager
    from langchain_core.runnables import RunnableConfig

    from runoff._waiting.drive import Asking
    from runoff.deadline import Deadline
    from runoff.langchain._filters import Translate
    from runoff.protocols import RecallSource
    from runoff.types import Query

_WIDEN = 4
_MOST = 10_000  # documents asked for to find what a filter keeps

RetrieverLike = Runnable[str, list[LangChainDocument]]
_One: TypeAlias = "RetrieverLike | VectorStore | RecallSource"
Retrievers: TypeAlias = "_One | Mapping[str, _One] | Sequence[_One]"


def as_retriever(argument: str, part: object) -> RetrieverLike:
    """Return a retriever: as given, or made of a vector store.

    Raises:
        InvalidArgument: it is not a retriever, a runnable or a vector store.
    """
    if isinstance(part, VectorStore):
        return part.as_retriever()
    if isinstance(part, Runnable):
        return part
    remedy = (
        "must be a LangChain retriever, a runnable from str to documents, a vector store, or "
        "several of them in a list or by name"
    )
    raise InvalidArgument(argument, part, remedy)


@dataclass(frozen=True, slots=True)
class _Asking:
    """A retriever, ready to be called: the copy, its config and its arguments."""

    retriever: RetrieverLike
    config: RunnableConfig
    arguments: dict[str, Any]
    filtered: bool = False
    sifted: bool = False
    compressed: bool = False
    pushed: bool = False
    known: bool = True


@dataclass(frozen=True, slots=True)
class RetrieverSource:
    """One retriever for one call, under that call's config.

    Attributes:
        name: what the pipeline calls it.
        retriever: the retriever; a widened copy of it is called.
        config: the call's config; its tags, metadata and `configurable` reach the retriever.
        callbacks: makes the callbacks of the retriever's own run.
        acallbacks: the same for a run that is awaited.
        id_key: the metadata field that holds a document's id; None for `Document.id`.
        translate: makes search arguments of a filter, for stores without built-in filters.
    """

    name: str
    retriever: RetrieverLike
    config: RunnableConfig
    callbacks: Callable[[], BaseCallbackManager]
    acallbacks: Callable[[], BaseCallbackManager]
    id_key: str | None = None
    translate: Translate | None = None

    def retrieve(
        self, query: Query, *, depth: int, deadline: Deadline | None = None
    ) -> Sequence[Hit]:
        """Return up to `depth` documents of the retriever; see `RecallSource.retrieve`.

        Raises:
            FilterNotSupported: the request has a filter this retriever cannot honour exactly.
            InvalidArgument: the retriever did not return a list of documents.
        """
        return run(self._found(query, depth, deadline))

    async def aretrieve(
        self, query: Query, *, depth: int, deadline: Deadline | None = None
    ) -> Sequence[Hit]:
        """Do the same without blocking the loop.

        Retrievers that only search synchronously run in runoff's bounded pool of daemon threads.
        """
        asking = self._asking(replace(query, filters=None), depth)  # a filter may ask the store
        if asking is not None and not _natively_async(asking.retriever):
            return await workers.run_async(
                lambda: self.retrieve(query, depth=depth, deadline=deadline), deadline, self.name
            )
        return await run_async(self._found(query, depth, deadline))

    def _found(self, query: Query, depth: int, deadline: Deadline | None) -> Asking[list[Hit]]:
        """Return the hits that pass the query's filter.

        A store that fails with a filter, or drops what it should keep, is asked without it.
        """
        hits = yield from self._answers(query, depth, deadline, push=True)
        if hits is None:
            hits = yield from self._answers(query, depth, deadline, push=False)
        return (hits or [])[:depth]

    def _answer(
        self, asking: _Asking, query: Query, deadline: Deadline | None
    ) -> Asking[list[LangChainDocument] | Exception]:
        """Ask a retriever; an error is returned, since another question may follow it."""
        if deadline is not None:
            deadline.check(self.name)

        def wait() -> list[LangChainDocument]:
            config = patch_config(asking.config, callbacks=self.callbacks())
            return asking.retriever.invoke(query.text, config, **asking.arguments)

        async def wait_async() -> list[LangChainDocument]:
            config = patch_config(asking.config, callbacks=self.acallbacks())
            return await asking.retriever.ainvoke(query.text, config, **asking.arguments)

        try:
            return (yield from ask(wait, wait_async))
        except Exception as error:  # noqa: BLE001 - the caller raises it, or asks otherwise
            return error

    def _answers(
        self, query: Query, depth: int, deadline: Deadline | None, *, push: bool
    ) -> Asking[list[Hit] | None]:
        """Ask for more and more documents, until enough pass the filter or there are no more.

        Only a filtered answer is asked for again. A composite may return fewer documents than it
        was asked for although there are more: it is asked until its answer no longer grows. One
        with a compressor, which may call a model for each document, is asked again only if the
        filter removed something. A store that cannot apply the filter is asked for up to 10,000
        documents.

        Returns:
            The hits; None if the store cannot be trusted with the filter.
        """
        wide, before = depth, 0
        while True:
            asking = yield from self._ready(query, wide, deadline, push=push)
            if asking is None:
                return []
            found = yield from self._answer(asking, query, deadline)
            if isinstance(found, Exception):
                self._check_refusal(asking, found, query, before)
                return None
            hits = self._hits(asking, found, query)
            if len(hits) >= depth or not asking.filtered:
                self._check_number(asking, len(found), depth)
                return hits
            if asking.compressed and len(hits) == len(found):
                return hits
            if len(found) <= before if asking.sifted else len(found) < wide:
                hidden = not asking.known and (yield from self._hides(query, depth, deadline, hits))
                return None if hidden else hits
            wide, before = wide * _WIDEN, len(found)
            if not asking.pushed and before >= _MOST:
                remedy = (
                    f"{self.name} does not apply it itself, and only {len(hits)} of "
                    f"{number_of(before, 'document')} pass it: give translate_filter=, a function "
                    "from a filter to the store's search arguments"
                )
                raise FilterNotSupported("filter", query.filters, remedy)

    def _ready(
        self, query: Query, depth: int, deadline: Deadline | None, *, push: bool
    ) -> Asking[_Asking | None]:
        """Do what `_asking` does; for a filter it may ask a store, which must not block a loop."""
        if query.filters is None:
            return self._asking(query, depth, push=push)
        return (
            yield from workers.aside(
                lambda: self._asking(query, depth, push=push), deadline, self.name
            )
        )

    def _check_refusal(self, asking: _Asking, error: Exception, query: Query, before: int) -> None:
        """Raise an error that the filter cannot have caused.

        Stores raise various errors, from `ValueError` to those of their database; what has another
        reason is raised again by the question without a filter.
        """
        if asking.pushed and not isinstance(error, RunoffError | OSError):
            return
        if asking.filtered and before and not asking.pushed:
            remedy = f"too few of {before} documents pass it, and asking for more fails: "
            raise FilterNotSupported("filter", query.filters, remedy + error_text(error)) from error
        raise error

    def _check_number(self, asking: _Asking, found: int, depth: int) -> None:
        """Warn if a store returned fewer documents than asked for, and has more."""
        retriever = asking.retriever
        if found >= depth or asking.filtered or not isinstance(retriever, VectorStoreRetriever):
            return
        own = own_filters(retriever.search_kwargs)
        if not own and retriever.search_type == "similarity":
            store = retriever.vectorstore
            tell_short(self.name, store, found, depth, size(store))

    def _hides(
        self, query: Query, depth: int, deadline: Deadline | None, hits: Sequence[Hit]
    ) -> Asking[bool]:
        """Return whether a store that was asked for a filter dropped a document that passes it.

        Asked of stores whose filters were not tested, where the filter's answer is short.
        """
        asking = self._asking(query, depth, push=False)
        if asking is None:
            return False
        found = yield from self._answer(asking, query, deadline)
        if isinstance(found, Exception):
            raise found
        known = {hit.document.doc_id for hit in hits}
        return any(hit.document.doc_id not in known for hit in self._hits(asking, found, query))

    def _asking(self, query: Query, depth: int, *, push: bool = True) -> _Asking | None:
        """Return the copy to call and how; None if no document can pass the filter.

        Bindings and configurable fields are resolved first, so that what they hold can be widened
        and filtered. Without `push`, a vector store is not asked to apply the filter.
        """
        retriever, config, arguments = resolved(self.retriever, self.config)
        wanted = query.filters
        if getattr(retriever, "takes_depth", False):  # another one of ours
            bound = [as_filter(arguments.pop(name, None)) for name in ("filter", "filters", BOUND)]
            arguments |= {"top_n": depth, "k": depth, "depth": depth}
            arguments["filters"] = joined(*bound, wanted)
            return _Asking(retriever, config, arguments)
        if isinstance(retriever, VectorStoreRetriever):
            given = with_bound(self.name, retriever.search_kwargs, arguments)
            given = search_kwargs(given, retriever.search_type, depth)
            given = widened_mode(retriever.vectorstore, given, depth)
            asked: Asked | None = Asked(given, pushed=False)
            if wanted is not None and push:
                store = retriever.vectorstore
                asked = store_kwargs(store, given, wanted, self.translate, self.name)
            if asked is None:
                return None
            copy = scored(retriever) if gives_scores(retriever) else retriever.model_copy()
            copy.search_kwargs = asked.arguments
            filtered = wanted is not None
            return _Asking(
                copy, config, {}, filtered=filtered, pushed=asked.pushed, known=asked.known
            )
        check_self_query(retriever)
        if wanted is None:
            return _Asking(widened(retriever, depth) or retriever, config, arguments)
        narrow = narrowed(retriever, wanted, depth, translate=self.translate, name=self.name)
        if narrow is None:
            remedy = (
                f"{self.name} ({type(retriever).__name__}) takes no filter per request, and it "
                "cannot be asked for more documents to choose from; give the retriever its own "
                "filter, or use its vector store"
            )
            raise FilterNotSupported("filter", wanted, remedy)
        sifted = not counts_what_it_finds(retriever)
        return _Asking(
            narrow, config, arguments, filtered=True, sifted=sifted, compressed=compresses(narrow)
        )

    def _hits(self, asking: _Asking, found: object, query: Query) -> list[Hit]:
        retriever = asking.retriever
        if not isinstance(found, list | tuple) or not all(
            isinstance(one, LangChainDocument) for one in found
        ):
            remedy = f"returned {type(found).__name__}, not a list of documents"
            raise InvalidArgument(f"retrievers[{self.name!r}]", self.retriever, remedy)
        scores: Sequence[float] | None = None
        if isinstance(retriever, ScoredRetriever) and len(retriever.scores) == len(found):
            if retriever.search_type == "similarity":
                scores = oriented(retriever.vectorstore, retriever.scores)
            else:
                scores = retriever.scores
        if scores is None:
            scores = [math.nan] * len(found)  # the order alone counts
        wanted = query.filters
        honours = asking.pushed or hasattr(retriever, "takes_depth")
        bare = found and not any(document.metadata for document in found)
        if wanted is not None and bare and not honours:
            remedy = f"{self.name} returned documents without metadata, which a filter cannot check"
            raise FilterNotSupported("filter", wanted, remedy)
        id_key = self.id_key
        if id_key is None and isinstance(retriever, VectorStoreRetriever):
            id_key = id_field(retriever.vectorstore)
        return [
            Hit(carried(document, id_key), score)
            for document, score in zip(found, scores, strict=True)
            if wanted is None or wanted.matches(document.metadata)
        ]


def _natively_async(retriever: RetrieverLike) -> bool:
    if isinstance(retriever, VectorStoreRetriever):
        own = type(retriever)._aget_relevant_documents  # noqa: SLF001
        if isinstance(retriever, ScoredRetriever):
            return searches_natively_async(retriever, scores=True)
        if own is VectorStoreRetriever._aget_relevant_documents:  # noqa: SLF001
            return searches_natively_async(retriever, scores=False)
    if isinstance(retriever, BaseRetriever):
        default = BaseRetriever._aget_relevant_documents  # noqa: SLF001
        return (
            type(retriever)._aget_relevant_documents is not default  # noqa: SLF001
            or type(retriever).ainvoke is not BaseRetriever.ainvoke
        )
    return True
