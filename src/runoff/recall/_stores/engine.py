"""What the sources over search engines share: paging, sifting, deadlines, async clients.

A source of an engine is a subclass that says how its client describes a collection, searches it
and lists it; everything is asked through generators, so that an async client needs no second body.
"""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    Literal,
    Protocol,
    Self,
    TypeAlias,
    TypeVar,
    get_args,
)

import numpy as np

from runoff._util.arguments import SignatureOfInit
from runoff._util.display import html_by
from runoff._waiting import exits
from runoff._waiting.drive import ask, run, run_async
from runoff.errors import BadReply, FilterNotSupported, InvalidArgument, PermanentError
from runoff.recall._arguments import check_question
from runoff.recall._dense.vectors import AsyncEmbedQuery, Embed, EmbedQuery, QueryEmbedder
from runoff.recall._stores.engine_errors import named
from runoff.types import Query

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence

    from runoff._waiting.drive import Asking
    from runoff.deadline import Deadline
    from runoff.filters import Filter
    from runoff.types import Document, Hit

Client: TypeAlias = Any
"""An object of an engine's own client, which is an optional package."""
Form: TypeAlias = Any
"""A question, a clause or a cursor, in an engine's own form."""
Page: TypeAlias = "tuple[list[Document], object]"
"""Some documents, and where the next page begins; None for no more."""
Search: TypeAlias = Literal["dense", "text"]

_WIDEN = 4
_PAGE = 500


class _Described(Protocol):
    """What every engine says about a collection."""

    @property
    def dimension(self) -> int | None:
        """The dimension of its vectors, if it is known."""


_L = TypeVar("_L", bound=_Described)


class EngineSource(ABC, Generic[_L]):
    """A source over one collection of a search engine.

    `_L` is what the engine says about the collection; it is read with the first search, and again
    after a permanent error.
    """

    _engine = ""
    _noun = "collection"
    _argument = "client"
    _searches: tuple[str, ...] = get_args(Search)
    _client_is = ""  # what the client must be
    _methods: tuple[str, ...] = ()  # that it must have; the first one is awaited if it is async
    _most = 2**31 - 1  # records that the engine returns at once
    __signature__ = SignatureOfInit()
    _asynchronous: type[EngineSource[Any]]

    def __new__(cls, client: object = None, *_args: object, **options: object) -> Self:
        """Choose the class that is awaited for an async client."""
        awaited = _is_async(options.get(cls._argument, client), cls._methods[0])
        made: Self = object.__new__(vars(cls).get("_asynchronous", cls) if awaited else cls)
        return made

    def __init__(
        self,
        client: Client,
        name: str,
        search: str,
        embed: Embed | None,
        embed_query: EmbedQuery | None,
        aembed_query: AsyncEmbedQuery | None,
    ) -> None:
        if self._client_is and not all(hasattr(client, one) for one in self._methods):
            raise InvalidArgument(self._argument, client, f"must be {self._client_is}")
        if not isinstance(name, str) or not name:
            raise InvalidArgument(self._noun, name, "must be its name, a non-empty string")
        if search not in self._searches:
            raise InvalidArgument("search", search, f"must be one of {', '.join(self._searches)}")
        callables = {"embed": embed, "embed_query": embed_query, "aembed_query": aembed_query}
        for argument, given in callables.items():
            if search != "dense" and given is not None:
                raise InvalidArgument(argument, given, 'applies only to search="dense"')
        self._client = client
        self._name = name
        self._search_kind = search
        self._embedder: QueryEmbedder | None = None
        if search == "dense":
            # a QueryEmbedder refuses None
            self._embedder = QueryEmbedder(embed, embed_query, aembed_query)  # type: ignore[arg-type]
        self._description: _L | None = None

    @property
    def score_spread(self) -> float | None:
        """The usual deviation of a query's 100 best cosines, if what embeds knows it.

        None once the first search has read that the collection's scores are not cosines.
        """
        if self._embedder is None:
            return None
        known = self._description
        spread: float | None = getattr(self._embedder.embed, "score_spread", None)
        return spread if known is None or self._has_cosines(known) else None

    def retrieve(
        self, query: Query, *, depth: int, deadline: Deadline | None = None
    ) -> Sequence[Hit]:
        """Return the `depth` best documents for the query, best first.

        What is left of the deadline is the timeout of every request.

        Raises:
            InvalidArgument: an argument is of a wrong kind, or the client is async.
            FilterNotSupported: the filter cannot be pushed down, and too few of the records that
                the engine can return at once pass it.
            EmbeddingError: the query's vector has another dimension than the collection, or
                contains NaN or infinity.
            IndexNotFound: there is no such collection.
            AuthenticationFailed: the server refuses the client's key.
            ConnectionFailed, ServerFailed, DeadlineExceeded: the server cannot be reached, fails,
                or does not answer in time.
            BadReply: a score is not finite.
        """
        check_question(query, depth)
        return run(self._search(query, depth, deadline))

    def documents(self) -> Iterator[Document]:
        """Iterate over all documents of the collection, read page by page.

        Raises:
            InvalidArgument: the client is async.
            IndexNotFound, AuthenticationFailed, ConnectionFailed, ServerFailed: as `retrieve`.
        """
        return self._pages()

    def warmup(self) -> None:
        """Load the embedding model, and search the collection once."""
        if self._embedder is not None:
            self._embedder.warmup()
        self.retrieve(Query("warmup"), depth=1)

    _repr_html_ = html_by("repr_html", "_notebook")

    def __repr__(self) -> str:
        name = type(self).__name__.removeprefix("_Async")
        return f"{name}({self._name!r}, search={self._search_kind!r})"

    def _pages(self) -> Iterator[Document]:
        cursor: Any = None
        while True:
            found, cursor = run(self._next_page(cursor))
            yield from found
            if cursor is None:
                return

    def _next_page(self, cursor: object) -> Asking[Page]:
        description = yield from self._described(None)
        return (yield from self._page(description, cursor, _PAGE))

    def _search(self, query: Query, depth: int, deadline: Deadline | None) -> Asking[list[Hit]]:
        """Ask the engine, for more records until enough pass the filter."""
        description = yield from self._described_for(query, deadline)
        question = yield from self._question(query, description, deadline)
        if question is None:
            return []
        clause = None if query.filters is None else self._clause(query.filters, description)
        if clause is False:
            return []
        clause = None if clause is True else clause
        asked = min(depth, self._most)
        while True:
            found = yield from self._fetch(description, question, clause, asked, deadline)
            kept: dict[str, Hit] = {}
            for hit in sorted(found, key=lambda hit: (-hit.score, hit.doc_id)):
                if query.filters is None or query.filters.matches(hit.document.metadata):
                    kept.setdefault(hit.doc_id, hit)
            if len(kept) >= depth or len(found) < asked:
                return list(kept.values())[:depth]
            if asked == self._most:
                if query.filters is None:
                    return list(kept.values())
                remedy = (
                    f"{self._engine} cannot apply it exactly, and of the {asked} records that it "
                    f"returns at once only {len(kept)} pass: ask for less, or filter by strings"
                )
                raise FilterNotSupported("filters", query.filters, remedy)
            asked = min(asked * _WIDEN, self._most)

    def _described(self, deadline: Deadline | None) -> Asking[_L]:
        description = self._description
        if description is None:
            description = yield from self._describe(deadline)
            if self._is_settled(description):
                self._description = description
        return description

    def _described_for(self, query: Query, deadline: Deadline | None) -> Asking[_L]:
        """Return what is known of the collection, as it is needed for a query."""
        del query  # what its filter asks may need more
        return self._described(deadline)

    def _is_settled(self, description: _L) -> bool:
        """Whether what was read will not change; an empty collection shows no record yet."""
        return not getattr(description, "empty", False)

    def _question(self, query: Query, description: _L, deadline: Deadline | None) -> Asking[Any]:
        """Return the vector or the text that is searched by; None finds nothing."""
        if self._embedder is None:
            return query.text if query.text.strip() else None
        found = yield from self._embedder.vector(query, description.dimension, deadline)
        if found is None or (self._refuses_zeros(description) and not found.any()):
            return None
        return found.astype(np.float32).tolist()

    def _refuses_zeros(self, description: _L) -> bool:
        """Whether nothing is near a vector of zeros, as for cosines."""
        return self._has_cosines(description)

    def _chosen(self, named: Collection[str], what: str) -> str:
        """Return the vector that the argument `vector` names, or the only one.

        Raises:
            InvalidArgument: there is none of this name, or several.
        """
        wanted: str | None = getattr(self, "_vector", None)
        if wanted is None and len(named) == 1:
            return next(iter(named))
        if wanted is None or wanted not in named:
            listed = ", ".join(map(repr, sorted(named))) or "none"
            remedy = f"must be the name of a {what}; {self._name!r} has {listed}"
            raise InvalidArgument("vector", wanted, remedy)
        return wanted

    def _finite(self, found: float | None, record: object) -> float:
        """Return a score or a distance, after checking it.

        Raises:
            BadReply: it is none, NaN or infinite.
        """
        if found is None or not math.isfinite(found):
            raise BadReply(f"{self!r} returned {found} for {record!r}: its vector is damaged")
        return float(found)

    def _known(self, error: Exception) -> Exception:
        """Return runoff's error for one of the client's; an unknown error is returned as it is."""
        return named(error, f"{self._engine} {self._noun} {self._name!r}")

    def _ask(self, send: Callable[[float | None], Any], deadline: Deadline | None) -> Asking[Any]:
        """Send one request with the seconds that are left, and name its errors.

        Args:
            send: sends it; given the seconds, or None for no limit.
            deadline: of the whole search.
        """
        seconds: float | None = None
        if deadline is not None and deadline.finite:
            deadline.check("recall")
            seconds = deadline.remaining()

        def wait() -> object:
            with exits.Native():
                return send(seconds)

        async def wait_async() -> object:
            import asyncio  # noqa: PLC0415 - half of this package's import time

            return await asyncio.wait_for(send(seconds), seconds)

        try:
            return (yield from ask(wait, wait_async))
        except Exception as error:
            known = self._known(error)
            if isinstance(known, PermanentError):
                self._description = None
            if known is error:
                raise
            raise known from error

    @abstractmethod
    def _describe(self, deadline: Deadline | None) -> Asking[_L]:
        """Ask what the collection looks like."""

    @abstractmethod
    def _has_cosines(self, description: _L) -> bool:
        """Whether scores are cosines."""

    @abstractmethod
    def _clause(self, wanted: Filter, description: _L) -> Form:
        """Return a clause that keeps at least what the filter keeps; True all, False nothing."""

    @abstractmethod
    def _fetch(
        self,
        description: _L,
        question: Form,  # as `_question` returned it
        clause: Form,  # as `_clause` returned it, or None
        count: int,
        deadline: Deadline | None,
    ) -> Asking[list[Hit]]:
        """Return the `count` best records that the clause keeps."""

    @abstractmethod
    def _page(self, description: _L, cursor: Form, size: int) -> Asking[Page]:
        """Return about `size` documents from a cursor, which is None for the first page."""


class AsyncEngineSource(EngineSource[_L]):
    """A source over an async client: `asearch` awaits it, and `search` refuses it.

    A class that derives from this one and from a source is what the source's class makes.
    """

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        cls.__bases__[-1]._asynchronous = cls  # type: ignore[attr-defined]  # noqa: SLF001 - see above

    def retrieve(
        self, query: Query, *, depth: int, deadline: Deadline | None = None
    ) -> Sequence[Hit]:
        """Refuse: an async client can only be awaited."""
        check_question(query, depth)
        del deadline
        raise self._refusal("asearch()")

    async def aretrieve(
        self, query: Query, *, depth: int, deadline: Deadline | None = None
    ) -> Sequence[Hit]:
        """Do what `retrieve` does and await the client."""
        check_question(query, depth)
        return await run_async(self._search(query, depth, deadline))

    def documents(self) -> Iterator[Document]:
        """Refuse: an async client can only be awaited."""
        raise self._refusal("adocuments()")

    async def adocuments(self) -> AsyncIterator[Document]:
        """Do what `documents` does and await the client."""
        cursor: object = None
        while True:
            found, cursor = await run_async(self._next_page(cursor))
            for one in found:
                yield one
            if cursor is None:
                return

    def warmup(self) -> None:
        if self._embedder is not None:
            self._embedder.warmup()

    def _refusal(self, instead: str) -> InvalidArgument:
        remedy = f"is async: use {instead}, which awaits it"
        return InvalidArgument(self._argument, self._client, remedy)


def _is_async(client: object, method: str) -> bool:
    if any(kind.__name__.startswith("Async") for kind in type(client).__mro__):
        return True
    return inspect.iscoroutinefunction(getattr(client, method, None))
