"""An existing Chroma collection as a source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from runoff._util import optout
from runoff.errors import IndexNotFound, InvalidArgument, MissingExtra
from runoff.recall._stores.chroma_where import knows_lists, where_of
from runoff.recall._stores.engine import AsyncEngineSource, EngineSource
from runoff.recall._stores.engine_errors import named
from runoff.recall._stores.spaces import SCORE_RANGES, Space, similarity
from runoff.types import Document, Hit

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from runoff._waiting.drive import Asking
    from runoff.deadline import Deadline
    from runoff.filters import Filter
    from runoff.recall._dense.vectors import AsyncEmbedQuery, Embed, EmbedQuery
    from runoff.recall._stores.chroma_where import Where
    from runoff.recall._stores.engine import Form, Page
    from runoff.types import Query

_MOST_NAMES = 10


@dataclass(frozen=True, slots=True)
class _Collection:
    """What is known of a collection before it is searched; Chroma checks dimensions itself."""

    space: Space
    dimension: int | None = None


class Chroma(EngineSource[_Collection]):
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

    _engine = "Chroma"
    _argument = "collection"
    _methods = ("query", "name", "configuration_json")
    _client_is = "a collection, such as client.get_collection(name) returns"

    def __init__(
        self,
        collection: Any,  # noqa: ANN401 - chromadb is optional; what is needed of it is checked
        *,
        embed: Embed,
        embed_query: EmbedQuery | None = None,
        aembed_query: AsyncEmbedQuery | None = None,
        space: Space | None = None,
    ) -> None:
        name = getattr(collection, "name", "")
        super().__init__(collection, name, "dense", embed, embed_query, aembed_query)
        self._description = self._read = _Collection(_space(collection, space))
        self._lists = knows_lists()

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
        return self._read.space

    def __repr__(self) -> str:
        return f"{Chroma.__name__}({self._name!r}, {self.space!r})"

    def _describe(self, deadline: Deadline | None) -> Asking[_Collection]:
        del deadline
        yield from ()
        return self._read

    def _has_cosines(self, description: _Collection) -> bool:
        return description.space == "cosine"

    def _refuses_zeros(self, description: _Collection) -> bool:
        return description.space != "l2"

    def _clause(self, wanted: Filter, description: _Collection) -> Where:
        del description
        return where_of(wanted, lists=self._lists)

    def _search(self, query: Query, depth: int, deadline: Deadline | None) -> Asking[list[Hit]]:
        try:
            return (yield from super()._search(query, depth, deadline))
        except Exception as error:
            if not self._lists or "where clause" not in str(error):
                raise
            self._lists = False  # this server cannot filter on lists: ask without
        return (yield from super()._search(query, depth, deadline))

    def _fetch(
        self,
        description: _Collection,
        question: list[float],
        clause: dict[str, Any] | None,
        count: int,
        deadline: Deadline | None,
    ) -> Asking[list[Hit]]:
        reply = yield from self._ask(
            lambda _seconds: self._client.query(
                query_embeddings=[question],
                n_results=count,
                where=clause,
                include=["documents", "metadatas", "distances"],
            ),
            deadline,
        )
        columns = (reply[name][0] for name in ("ids", "documents", "metadatas", "distances"))
        space = description.space
        return [
            Hit(
                Document(doc_id, text or "", metadata or {}),
                similarity(space, self._finite(distance, doc_id)),
                SCORE_RANGES[space],
            )
            for doc_id, text, metadata, distance in zip(*columns, strict=True)
        ]

    def _page(self, description: _Collection, cursor: Form, size: int) -> Asking[Page]:
        del description
        start = cursor or 0
        reply = yield from self._ask(
            lambda _seconds: self._client.get(
                limit=size, offset=start, include=["documents", "metadatas"]
            ),
            None,
        )
        columns = (reply[name] for name in ("ids", "documents", "metadatas"))
        found = [
            Document(doc_id, text or "", metadata or {})
            for doc_id, text, metadata in zip(*columns, strict=True)
        ]
        return found, start + size if len(found) == size else None


class _AsyncChroma(AsyncEngineSource[_Collection], Chroma):
    """A source over an async collection; `Chroma` chooses it."""


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
        remedy = f"is not recorded: pass space= one of {', '.join(map(repr, get_args(Space)))}"
        raise InvalidArgument(name, None, remedy)
    if given is not None and given != space:
        raise InvalidArgument(
            "space", given, f"must be {space!r}, the space the collection was made with"
        )
    if space not in get_args(Space):
        raise InvalidArgument(name, space, f"must be one of {', '.join(get_args(Space))}")
    checked: Space = space
    return checked


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
