"""An existing Chroma collection as a source."""

from __future__ import annotations

import inspect
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from runoff._util import optout
from runoff._waiting import exits
from runoff._waiting.drive import ask, run, run_async
from runoff.errors import BadReply, IndexNotFound, InvalidArgument, MissingExtra
from runoff.recall._arguments import check_question
from runoff.recall._dense.vectors import AsyncEmbedQuery, Embed, EmbedQuery, QueryEmbedder
from runoff.recall._stores.chroma_errors import named
from runoff.recall._stores.chroma_where import Where, where_of
from runoff.types import Document, Hit, Query

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from runoff._waiting.drive import Asking
    from runoff.deadline import Deadline

__all__ = ["Chroma", "Space"]

Space: TypeAlias = Literal["cosine", "l2", "ip"]
_Reply: TypeAlias = "Mapping[str, Any]"

_SCORE_RANGES: dict[str, tuple[float | None, float | None]] = {
    "cosine": (-1.0, 1.0),
    "l2": (None, 1.0),
    "ip": (None, None),
}
_MOST_RESULTS = 2**31 - 1
_WIDEN = 4
_MOST_NAMES = 10


class Chroma:
    """A source over an existing Chroma collection: embedded, persistent or over HTTP.

    Embeddings are always passed, so the collection's own embedding function never runs and nothing
    is downloaded. The collection's space says how distances become similarities: for `"cosine"` and
    `"ip"`, 1 - distance, which is the cosine or the inner product; for `"l2"`, Chroma's default,
    whose distance is squared, 1 - distance / 2, which is the cosine for vectors of length 1. Equal
    scores are ordered by id. A record without a document has an empty text. A query whose vector is
    zero finds nothing, except in `"l2"`.

    Chroma's index is approximate: with many records it may miss some of the nearest.

    Filters are translated to `where`, and every hit is checked with `Filter.matches`, so no hit is
    returned that a filter excludes. If Chroma cannot express a filter exactly, such as a `Not` of a
    `Range`, more and more records are fetched until `depth` of them pass.

    A collection of `chromadb.AsyncHttpClient` is accepted too: `asearch` awaits it, and `search`
    refuses it.

    Args:
        collection: the collection, of chromadb 1.0 or later.
        embed: a callable, list of n texts -> (n, d) numbers, with the model that made the vectors
            in the collection.
        embed_query: a callable, text -> (d,) numbers, for models that embed queries differently.
        aembed_query: the same, async, for an async collection.
        space: `"cosine"`, `"l2"` or `"ip"`, needed only if the collection does not record it, as on
            servers of chromadb 1.0.

    Raises:
        InvalidArgument: `collection` is not a collection, or its space is unknown or not `space`.
    """

    def __new__(  # noqa: PYI034 - it may be the class below
        cls, collection: object = None, **_options: object
    ) -> Chroma:
        """Choose the awaitable class for an async collection."""
        awaitable = inspect.iscoroutinefunction(getattr(collection, "query", None))
        return object.__new__(_AsyncChroma if cls is Chroma and awaitable else cls)

    def __init__(
        self,
        collection: Any,  # noqa: ANN401 - chromadb is optional; what is needed of it is checked
        *,
        embed: Embed,
        embed_query: EmbedQuery | None = None,
        aembed_query: AsyncEmbedQuery | None = None,
        space: Space | None = None,
    ) -> None:
        if not all(hasattr(collection, one) for one in ("query", "name", "configuration_json")):
            remedy = "must be a collection, such as client.get_collection(name) returns"
            raise InvalidArgument("collection", collection, remedy)
        self._collection = collection
        self._embedder = QueryEmbedder(embed, embed_query, aembed_query)
        self._space = _space(collection, space)
        self._lists = _supports_lists()

    @property
    def score_spread(self) -> float | None:
        """The usual deviation of a query's 100 best cosines, if what embeds knows it."""
        spread: float | None = getattr(self._embedder.embed, "score_spread", None)
        return spread if self._space == "cosine" else None

    @classmethod
    def from_path(
        cls,
        path: str | os.PathLike[str],
        collection: str,
        *,
        embed: Embed,
        embed_query: EmbedQuery | None = None,
        space: Space | None = None,
    ) -> Chroma:
        """Open a collection of a persistent Chroma directory; no telemetry is sent.

        Raises:
            MissingExtra: chromadb is not installed.
            IndexNotFound: there is no Chroma directory, or no such collection in it.
            InvalidArgument: this process has opened the directory with other settings.
        """
        chromadb, settings = _chromadb()
        if not (Path(path) / "chroma.sqlite3").is_file():
            msg = f"{path} is not the directory of a persistent Chroma: it has no chroma.sqlite3"
            raise IndexNotFound(msg)
        try:
            client = chromadb.PersistentClient(str(path), settings=settings)
        except ValueError as error:
            remedy = (
                "is open in this process with other settings: pass that client's collection to "
                "Chroma(...)"
            )
            raise InvalidArgument("path", str(path), remedy) from error
        found = _existing(client, collection, str(path))
        return cls(found, embed=embed, embed_query=embed_query, space=space)

    @classmethod
    def from_http(
        cls,
        collection: str,
        *,
        embed: Embed,
        embed_query: EmbedQuery | None = None,
        space: Space | None = None,
        host: str = "localhost",
        port: int = 8000,
        ssl: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> Chroma:
        """Open a collection of a Chroma server (`chroma run`); no telemetry is sent.

        Raises:
            MissingExtra: chromadb is not installed.
            ConnectionFailed: no Chroma server answers there.
            IndexNotFound: it has no such collection.
        """
        chromadb, settings = _chromadb()
        where = f"Chroma at {host}:{port}"
        try:
            client = chromadb.HttpClient(
                host=host,
                port=port,
                ssl=ssl,
                headers=dict(headers) if headers else None,
                settings=settings,
            )
        except Exception as error:
            known = named(error, where)
            if known is error:
                raise
            raise known from error
        found = _existing(client, collection, where)
        return cls(found, embed=embed, embed_query=embed_query, space=space)

    @property
    def space(self) -> Space:
        """The collection's distance: `"cosine"`, `"l2"` or `"ip"`."""
        return self._space

    def retrieve(
        self, query: Query, *, depth: int, deadline: Deadline | None = None
    ) -> Sequence[Hit]:
        """Return the `depth` records most similar to the query, best first.

        The query's vector is `Query.embedding`, else the mean of the embedded
        `Query.embedding_texts`, else the embedded text.

        Raises:
            InvalidArgument: `query` is not a `Query`, `depth` is not a whole number, 1 or more, or
                the collection is async.
            EmbeddingError: the query's vector has another dimension than the collection, or
                contains NaN or infinity.
            IndexNotFound: the collection was deleted.
            ConnectionFailed, ServerFailed, DeadlineExceeded: the server cannot be reached, fails,
                or does not answer in time.
            BadReply: a distance is not finite: a vector in the collection is damaged.
        """
        check_question(query, depth)
        if isinstance(self, _AsyncChroma):
            remedy = "is async: use asearch(), which awaits it"
            raise InvalidArgument("collection", self._collection, remedy)
        return run(self._search(query, depth, deadline))

    def warmup(self) -> None:
        """Load the embedding model, and query the collection once, which loads its index."""
        self._embedder.warmup()
        self.retrieve(Query("warmup"), depth=1)

    def __repr__(self) -> str:
        """Show the collection's name and space."""
        return f"{Chroma.__name__}({self._collection.name!r}, {self._space!r})"

    def _search(self, query: Query, depth: int, deadline: Deadline | None) -> Asking[list[Hit]]:
        """Embed the query and ask the collection, for more records until enough pass the filter."""
        vector = yield from self._embedder.vector(query, None, deadline)
        if vector is None or (self._space != "l2" and not vector.any()):
            return []
        asked = min(depth, _MOST_RESULTS)
        while True:
            where = self._where(query)
            if where is False:
                return []
            if deadline is not None:
                deadline.check("recall")
            try:
                reply = yield from self._ask(vector, asked, None if where is True else where)
            except Exception as error:
                if self._lists and "where clause" in str(error):
                    self._lists = False  # this server cannot filter on lists: ask without
                    continue
                known = named(error, f"collection {self._collection.name!r}")
                if known is error:
                    raise
                raise known from error
            found = self._hits(reply)
            hits = [
                hit
                for hit in found
                if query.filters is None or query.filters.matches(hit.document.metadata)
            ]
            if len(hits) >= depth or len(found) < asked or asked == _MOST_RESULTS:
                return hits[:depth]
            asked = min(asked * _WIDEN, _MOST_RESULTS)

    def _ask(
        self, vector: NDArray[np.float64], results: int, where: dict[str, Any] | None
    ) -> Asking[_Reply]:
        def call() -> Any:  # noqa: ANN401 - an async collection returns an awaitable
            with exits.Native():
                return self._collection.query(
                    query_embeddings=vector.astype(np.float32)[None, :],
                    n_results=results,
                    where=where,
                    include=["documents", "metadatas", "distances"],
                )

        # an async collection is always awaited, and any other never
        reply: _Reply = yield from ask(call, call)
        return reply

    def _where(self, query: Query) -> Where:
        return True if query.filters is None else where_of(query.filters, lists=self._lists)

    def _hits(self, reply: _Reply) -> list[Hit]:
        columns = (reply[name][0] for name in ("ids", "documents", "metadatas", "distances"))
        score_range = _SCORE_RANGES[self._space]
        hits = [
            Hit(
                Document(doc_id, text or "", metadata or {}),
                self._score(doc_id, distance),
                score_range,
            )
            for doc_id, text, metadata, distance in zip(*columns, strict=True)
        ]
        return sorted(hits, key=lambda hit: (-hit.score, hit.doc_id))

    def _score(self, doc_id: str, distance: float) -> float:
        if distance is None or not math.isfinite(distance):
            msg = f"{self!r} returned distance {distance} for {doc_id!r}: its vector is damaged"
            raise BadReply(msg)
        score = 1.0 - (float(distance) / 2 if self._space == "l2" else float(distance))
        # rounding takes a cosine some 1e-7 beyond its range
        return max(-1.0, min(1.0, score)) if self._space == "cosine" else score


class _AsyncChroma(Chroma):
    """A source over an async collection; `Chroma` chooses it."""

    async def aretrieve(
        self, query: Query, *, depth: int, deadline: Deadline | None = None
    ) -> Sequence[Hit]:
        """Do what `retrieve` does and await the collection."""
        check_question(query, depth)
        return await run_async(self._search(query, depth, deadline))

    def warmup(self) -> None:
        """Load the embedding model; the server has loaded its index."""
        self._embedder.warmup()


def _space(collection: Any, given: Space | None) -> Space:  # noqa: ANN401 - as in `Chroma`
    """Return the collection's space, from its configuration or from its older metadata.

    Servers of chromadb 1.0 write `hnsw_configuration` with a space that is always `"l2"`, even if
    the collection has another, so it is not read.
    """
    configuration = collection.configuration_json or {}
    parts = (configuration.get(kind) or {} for kind in ("hnsw", "spann"))
    known = [part["space"] for part in parts if part.get("space")]
    known += [space for space in [(collection.metadata or {}).get("hnsw:space")] if space]
    space: Any = known[0] if known else given
    name = f"space of collection {collection.name!r}"
    if space is None:
        remedy = f"is not recorded: pass space= one of {', '.join(map(repr, _SCORE_RANGES))}"
        raise InvalidArgument(name, None, remedy)
    if given is not None and given != space:
        raise InvalidArgument(
            "space", given, f"must be {space!r}, the space the collection was made with"
        )
    if space not in _SCORE_RANGES:
        raise InvalidArgument(name, space, f"must be one of {', '.join(_SCORE_RANGES)}")
    checked: Space = space
    return checked


def _supports_lists() -> bool:
    """Return whether the installed chromadb can filter by a value in a list."""
    from chromadb.api import types  # noqa: PLC0415 - an optional package

    check: Callable[[Any], None] = types.validate_where
    try:
        check({"field": {"$contains": 1}})
    except ValueError:
        return False
    return True


def _chromadb() -> tuple[Any, Any]:
    """Return chromadb and settings that send no telemetry."""
    optout.apply()
    try:
        import chromadb  # noqa: PLC0415 - an optional package of some 190 MB
        from chromadb.config import Settings  # noqa: PLC0415 - as above
    except ImportError as error:
        raise MissingExtra("chromadb", "chroma") from error
    return chromadb, Settings(anonymized_telemetry=False)


def _existing(client: Any, name: str, where: str) -> Any:  # noqa: ANN401 - as in `Chroma`
    try:
        # without an embedding function: embeddings are always passed
        return client.get_collection(name, embedding_function=None)
    except Exception as error:
        known = named(error, where)
        if not isinstance(known, IndexNotFound):
            if known is error:
                raise
            raise known from error
        listed = client.list_collections()
        names = sorted(getattr(one, "name", one) for one in listed)
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        listed_names = ", ".join(names[:_MOST_NAMES]) or "none"
        msg = f"{where} has no collection {name!r}; it has {listed_names}{more}"
        raise IndexNotFound(msg) from error
