"""An existing Qdrant collection as a source."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from runoff._waiting import workers
from runoff._waiting.drive import ask
from runoff.errors import BadReply, EmbeddingError, FilterNotSupported, InvalidArgument
from runoff.filters import And
from runoff.recall._arguments import check_callable
from runoff.recall._stores.engine import AsyncEngineSource, Client, EngineSource, is_async
from runoff.recall._stores.qdrant_filter import qdrant_filter
from runoff.recall._stores.records import Layout, fields_of, layout_of
from runoff.types import Hit

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

    from runoff._waiting.drive import Asking
    from runoff.deadline import Deadline
    from runoff.filters import Filter
    from runoff.recall._dense.vectors import AsyncEmbedQuery, Embed, EmbedQuery
    from runoff.recall._stores.engine import Search
    from runoff.types import Document, Query

__all__ = ["Qdrant", "SparseEmbed"]

SparseEmbed: TypeAlias = "Callable[[str], tuple[ArrayLike, ArrayLike]]"

_RANGES: dict[str, tuple[float | None, float | None]] = {
    "Cosine": (-1.0, 1.0),
    "Dot": (None, None),
    "Euclid": (None, 1.0),
    "Manhattan": (None, 0.0),
    "sparse": (None, None),
}


@dataclass(frozen=True, slots=True)
class _Collection:
    """What Qdrant says about a collection: the vector searched, its distance, its payload."""

    vector: str
    distance: str
    dimension: int | None
    layout: Layout
    empty: bool


class Qdrant(EngineSource[_Collection]):
    """A source over an existing Qdrant collection: local, or a server over HTTP or gRPC.

    `search="dense"` asks for the nearest vectors. Scores are cosines, inner products, 1 - distance
    ** 2 / 2 for a Euclidean collection, which is the cosine for vectors of length 1, and minus the
    distance for a Manhattan one. `search="text"` asks by the sparse vector that `sparse_embed`
    makes; with the collection's IDF modifier Qdrant weighs it as BM25 does. For both, make two
    sources: a pipeline fuses them. Equal scores are ordered by id.

    Filters are translated to Qdrant's, and every hit is checked with `Filter.matches`. A part of a
    filter that Qdrant cannot express exactly, such as a time, is checked alone, and more and more
    points are fetched until `depth` of them pass. Qdrant's index is approximate: `exact=True`
    compares every vector.

    An `AsyncQdrantClient` is accepted too: `asearch` awaits it, and `search` refuses it.

    Args:
        client: a `QdrantClient` or an `AsyncQdrantClient`.
        collection: the collection's name.
        search: `"dense"` or `"text"`.
        embed: a callable, list of n texts -> (n, d) numbers, with the model that made the vectors.
        embed_query: a callable, text -> (d,) numbers, for models that embed queries differently.
        aembed_query: the same, async, for an async client.
        sparse_embed: for `"text"`, a callable, text -> (indices, values), with what made the sparse
            vectors; or the name of a model that the client or the server runs, such as
            `"Qdrant/bm25"`.
        vector: the name of the vector, if the collection has several.
        text: the payload key with the text.
        metadata: the payload key with the metadata; empty if it is the payload itself.
        id: a payload key with the document's id, in place of the point's.
        exact: compare every vector instead of using the index.

    Without `text` and `metadata`, what LangChain's and LlamaIndex's stores write is recognised.

    Raises:
        InvalidArgument: `client` is not a client of Qdrant, or an option is missing or wrong.
    """

    _engine = "Qdrant"

    def __new__(  # noqa: PYI034 - it may be the class below
        cls, client: object = None, *_args: object, **_options: object
    ) -> Qdrant:
        """Choose the awaitable class for an async client."""
        awaitable = is_async(client, "query_points")
        return object.__new__(_AsyncQdrant if cls is Qdrant and awaitable else cls)

    def __init__(  # noqa: PLR0913 - all but two by name
        self,
        client: Client,
        collection: str,
        *,
        search: Search = "dense",
        embed: Embed | None = None,
        embed_query: EmbedQuery | None = None,
        aembed_query: AsyncEmbedQuery | None = None,
        sparse_embed: SparseEmbed | str | None = None,
        vector: str | None = None,
        text: str | None = None,
        metadata: str | None = None,
        id: str | None = None,  # noqa: A002 - as all engines call it
        exact: bool = False,
    ) -> None:
        if not all(hasattr(client, one) for one in ("query_points", "scroll")):
            remedy = "must be a QdrantClient or an AsyncQdrantClient"
            raise InvalidArgument("client", client, remedy)
        super().__init__(
            client,
            collection,
            search=search,
            embed=embed,
            embed_query=embed_query,
            aembed_query=aembed_query,
        )
        if search == "text" and not isinstance(sparse_embed, str):
            remedy = (
                'search="text" needs a callable (text) -> (indices, values), or the name of a '
                'model such as "Qdrant/bm25"'
            )
            check_callable("sparse_embed", sparse_embed, remedy)
        if search == "dense" and sparse_embed is not None:
            raise InvalidArgument("sparse_embed", sparse_embed, 'is used by search="text" only')
        self._sparse_embed = sparse_embed
        self._vector = vector
        self._layout_of = partial(layout_of, text=text, metadata=metadata, doc_id=id)
        self._exact = exact

    def _describe(self, deadline: Deadline | None) -> Asking[_Collection]:
        info = yield from self._ask(
            lambda _seconds: self._client.get_collection(self._name), deadline
        )
        vector, distance, dimension = self._vector_of(info.config.params)
        points, _ = yield from self._scroll(None, 1, deadline)
        layout = self._layout_of(points[0].payload or {} if points else {})
        return _Collection(vector, distance, dimension, layout, empty=not points)

    def _vector_of(self, params: Any) -> tuple[str, str, int | None]:  # noqa: ANN401 - of qdrant_client
        """Return the name, the distance and the dimension of the vector that is searched."""
        if self._search_kind == "text":
            return self._chosen(params.sparse_vectors or {}, "sparse"), "sparse", None
        dense = params.vectors or {}
        if not isinstance(dense, Mapping):
            dense = {"": dense}
        named = {name: one for name, one in dense.items() if one.multivector_config is None}
        name = self._chosen(named, "dense")
        distance = named[name].distance
        return name, str(getattr(distance, "value", distance)), named[name].size

    def _chosen(self, named: Mapping[str, object], kind: str) -> str:
        wanted = self._vector
        if wanted is None and len(named) == 1:
            return next(iter(named))
        if wanted is None or wanted not in named:
            listed = ", ".join(map(repr, sorted(named))) or "none"
            remedy = f"must be the name of a {kind} vector of {self._name!r}, which has {listed}"
            raise InvalidArgument("vector", wanted, remedy)
        return wanted

    def _is_settled(self, description: _Collection) -> bool:
        return not description.empty

    def _has_cosines(self, description: _Collection) -> bool:
        return description.distance == "Cosine"

    def _question(
        self, query: Query, description: _Collection, deadline: Deadline | None
    ) -> Asking[Any]:
        if self._embedder is not None:
            found = yield from self._embedder.vector(query, description.dimension, deadline)
            if found is None or (description.distance == "Cosine" and not found.any()):
                return None
            return found.astype(np.float32).tolist()
        if not query.text.strip():
            return None
        from qdrant_client import models  # noqa: PLC0415 - the client comes from there

        if isinstance(self._sparse_embed, str):
            return models.Document(text=query.text, model=self._sparse_embed)
        call = partial(_sparse, self._sparse_embed, query.text)
        indices, values = yield from ask(call, lambda: workers.run_async(call, deadline, "recall"))
        return models.SparseVector(indices=indices, values=values) if indices else None

    def _clause(self, wanted: Filter, description: _Collection) -> Any:  # noqa: ANN401 - of qdrant_client
        """Return the parts of the filter that Qdrant expresses exactly; None for no part."""
        parts = []
        for part in wanted.filters if isinstance(wanted, And) else (wanted,):
            if any(map(description.layout.may_hide, fields_of(part))):
                continue
            try:
                parts.append(qdrant_filter(part, under=description.layout.metadata))
            except FilterNotSupported:
                continue
        if not parts:
            return None
        from qdrant_client import models  # noqa: PLC0415 - as above

        return models.Filter.model_validate(parts[0] if len(parts) == 1 else {"must": parts})

    def _fetch(
        self,
        description: _Collection,
        question: Any,  # noqa: ANN401 - of qdrant_client
        clause: Any,  # noqa: ANN401 - as above
        count: int,
        deadline: Deadline | None,
    ) -> Asking[list[Hit]]:
        from qdrant_client import models  # noqa: PLC0415 - as above

        reply = yield from self._ask(
            lambda seconds: self._client.query_points(
                self._name,
                query=question,
                using=description.vector or None,
                query_filter=clause,
                limit=count,
                with_payload=True,
                search_params=models.SearchParams(exact=True) if self._exact else None,
                timeout=_whole(seconds),
            ),
            deadline,
        )
        score_range = _RANGES[description.distance]
        return [
            Hit(
                description.layout.document(point.id, point.payload or {}),
                self._score(point.id, point.score, description.distance),
                score_range,
            )
            for point in reply.points
        ]

    def _score(self, point: object, found: float, distance: str) -> float:
        if not math.isfinite(found):
            msg = f"{self!r} returned score {found} for {point!r}: its vector is damaged"
            raise BadReply(msg)
        if distance == "Euclid":
            return 1.0 - found * found / 2
        if distance == "Manhattan":
            return -found
        # rounding takes a cosine some 1e-7 beyond its range
        return max(-1.0, min(1.0, found)) if distance == "Cosine" else found

    def _page(
        self,
        description: _Collection,
        cursor: Any,  # noqa: ANN401 - the id of a point
        size: int,
    ) -> Asking[tuple[list[Document], object]]:
        points, following = yield from self._scroll(cursor, size, None)
        layout = description.layout
        return [layout.document(one.id, one.payload or {}) for one in points], following

    def _scroll(self, offset: object, limit: int, deadline: Deadline | None) -> Asking[Any]:
        return (
            yield from self._ask(
                lambda seconds: self._client.scroll(
                    self._name,
                    limit=limit,
                    offset=offset,
                    with_payload=True,
                    timeout=_whole(seconds),
                ),
                deadline,
            )
        )


class _AsyncQdrant(AsyncEngineSource[_Collection], Qdrant):
    """A source over an `AsyncQdrantClient`; `Qdrant` chooses it."""


def _whole(seconds: float | None) -> int | None:
    """Return a timeout as Qdrant takes it: whole seconds, 1 or more."""
    return None if seconds is None else max(1, math.ceil(seconds))


def _sparse(embed: Any, text: str) -> tuple[list[int], list[float]]:  # noqa: ANN401 - checked here
    """Return a text's sparse vector, after checking it."""
    try:
        indices, values = (np.asarray(one) for one in embed(text))
    except (TypeError, ValueError) as error:
        msg = f"sparse_embed must return (indices, values): {error}"
        raise EmbeddingError(msg) from error
    if indices.ndim != 1 or indices.shape != values.shape:
        msg = f"sparse_embed returned shapes {indices.shape} and {values.shape}; expected (n,) both"
        raise EmbeddingError(msg)
    if indices.size and indices.dtype.kind not in "iu":
        msg = f"sparse_embed returned indices of type {indices.dtype}; expected whole numbers"
        raise EmbeddingError(msg)
    if not np.isfinite(values.astype(np.float64)).all():
        msg = "sparse_embed returned values with NaN or infinity"
        raise EmbeddingError(msg)
    return indices.tolist(), values.astype(np.float64).tolist()
