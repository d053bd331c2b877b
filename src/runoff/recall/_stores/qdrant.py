"""An existing Qdrant collection as a source."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

from runoff._util.numbers import as_array
from runoff._waiting import workers
from runoff.errors import EmbeddingError, InvalidArgument
from runoff.recall._arguments import check_callable
from runoff.recall._dense.vectors import as_matrix
from runoff.recall._stores.engine import AsyncEngineSource, Client, EngineSource
from runoff.recall._stores.qdrant_filter import qdrant_filter
from runoff.recall._stores.qdrant_indexes import Indexes, has_number
from runoff.recall._stores.records import Layout, layout_of
from runoff.recall._stores.spaces import clamped, similarity
from runoff.types import Hit

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

    from runoff._waiting.drive import Asking
    from runoff.deadline import Deadline
    from runoff.filters import Filter
    from runoff.recall._dense.vectors import AsyncEmbedQuery, Embed, EmbedQuery
    from runoff.recall._stores.engine import Form, Page
    from runoff.types import Query

QdrantSearch: TypeAlias = Literal["dense", "text", "tokens"]
SparseEmbed: TypeAlias = "Callable[[str], tuple[ArrayLike, ArrayLike]]"
TokenEmbed: TypeAlias = "Callable[[str], ArrayLike]"

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
    indexes: Indexes = Indexes()  # noqa: RUF009 - it cannot be changed


class Qdrant(EngineSource[_Collection]):
    """A source over an existing Qdrant collection: local, or a server over HTTP or gRPC.

    `search="dense"` asks for the nearest vectors. Scores are cosines, inner products, 1 - distance
    ** 2 / 2 for a Euclidean collection, which is the cosine for vectors of length 1, and minus the
    distance for a Manhattan one. `search="text"` asks by the sparse vector that `sparse_embed`
    makes; with the collection's IDF modifier Qdrant weighs it as BM25 does. `search="tokens"` is
    late interaction in the engine, over the token vectors (multivectors) of the collection: the
    score is the mean, over the query's tokens, of the best cosine or inner product among the
    document's, as that of `LateInteraction` with equal weights. For several, make several sources:
    a pipeline fuses them. Equal scores are ordered by id.

    Filters are translated to Qdrant's, and every hit is checked with `Filter.matches`. A part of a
    filter that Qdrant cannot express exactly, such as a time, is checked alone, and more and more
    points are fetched until `depth` of them pass. Qdrant's index is approximate: `exact=True`
    compares every vector.

    An `AsyncQdrantClient` is accepted too: `asearch` awaits it, and `search` refuses it.

    Args:
        client: a `QdrantClient` or an `AsyncQdrantClient`.
        collection: the collection's name.
        search: `"dense"`, `"text"` or `"tokens"`.
        embed: a callable, list of n texts -> (n, d) numbers, with the model that made the vectors.
        embed_query: a callable, text -> (d,) numbers, for models that embed queries differently.
        aembed_query: the same, async, for an async client.
        sparse_embed: for `"text"`, a callable, text -> (indices, values), with what made the sparse
            vectors; or the name of a model that the client or the server runs, such as
            `"Qdrant/bm25"`.
        token_embed: for `"tokens"`, a callable, text -> (tokens, d) numbers, with the model that
            made the token vectors.
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
    _searches = get_args(QdrantSearch)
    _methods = ("query_points", "scroll")
    _client_is = "a QdrantClient or an AsyncQdrantClient"

    def __init__(  # noqa: PLR0913 - all but two by name
        self,
        client: Client,
        collection: str,
        *,
        search: QdrantSearch = "dense",
        embed: Embed | None = None,
        embed_query: EmbedQuery | None = None,
        aembed_query: AsyncEmbedQuery | None = None,
        sparse_embed: SparseEmbed | str | None = None,
        token_embed: TokenEmbed | None = None,
        vector: str | None = None,
        text: str | None = None,
        metadata: str | None = None,
        id: str | None = None,  # noqa: A002 - as all engines call it
        exact: bool = False,
    ) -> None:
        super().__init__(client, collection, search, embed, embed_query, aembed_query)
        if search == "text" and not isinstance(sparse_embed, str):
            remedy = (
                'search="text" needs a callable (text) -> (indices, values), or the name of a '
                'model such as "Qdrant/bm25"'
            )
            check_callable("sparse_embed", sparse_embed, remedy)
        if search == "tokens":
            remedy = 'search="tokens" needs a callable (text) -> (tokens, d)'
            check_callable("token_embed", token_embed, remedy)
        for kind, argument, given in (
            ("text", "sparse_embed", sparse_embed),
            ("tokens", "token_embed", token_embed),
        ):
            if given is not None and search != kind:
                raise InvalidArgument(argument, given, f'applies only to search="{kind}"')
        self._sparse_embed, self._token_embed = sparse_embed, token_embed
        self._vector = vector
        self._layout_of = partial(layout_of, text=text, metadata=metadata, doc_id=id)
        self._exact = exact

    def _describe(self, deadline: Deadline | None) -> Asking[_Collection]:
        info = yield from self._info(deadline)
        vector, distance, dimension = self._vector_of(info.config.params)
        points, _ = yield from self._scroll(None, 1, deadline)
        layout = self._layout_of(points[0].payload or {} if points else {})
        return _Collection(vector, distance, dimension, layout, not points)

    def _described_for(self, query: Query, deadline: Deadline | None) -> Asking[_Collection]:
        """Read the indexes for a filter on a number: each write may change what they lack."""
        description = yield from self._described(deadline)
        if query.filters is None or not has_number(query.filters):
            return description
        info = yield from self._info(deadline)
        return replace(description, indexes=Indexes(self._name, info))

    def _info(self, deadline: Deadline | None) -> Asking[Any]:
        return (
            yield from self._ask(lambda _seconds: self._client.get_collection(self._name), deadline)
        )

    def _vector_of(self, params: Any) -> tuple[str, str, int | None]:  # noqa: ANN401 - of qdrant_client
        """Return the name, the distance and the dimension of the vector that is searched."""
        if self._search_kind == "text":
            return self._chosen(params.sparse_vectors or {}, "sparse vector"), "sparse", None
        dense = params.vectors or {}
        if not isinstance(dense, Mapping):
            dense = {"": dense}
        tokens = self._search_kind == "tokens"
        named = {
            name: one
            for name, one in dense.items()
            if tokens == (one.multivector_config is not None)
        }
        name = self._chosen(named, "multivector" if tokens else "dense vector")
        distance = str(getattr(named[name].distance, "value", named[name].distance))
        if tokens and distance not in {"Cosine", "Dot"}:
            remedy = f"is compared by {distance}: token vectors need Cosine or Dot"
            raise InvalidArgument("vector", name, remedy)
        return name, distance, named[name].size

    def _has_cosines(self, description: _Collection) -> bool:
        return description.distance == "Cosine"

    def _question(
        self, query: Query, description: _Collection, deadline: Deadline | None
    ) -> Asking[Any]:
        question = yield from super()._question(query, description, deadline)
        if question is None or self._embedder is not None:
            return question
        from qdrant_client import models  # noqa: PLC0415 - the client comes from there

        if isinstance(self._sparse_embed, str):
            return models.Document(text=query.text, model=self._sparse_embed)
        call: Callable[[], Any] = partial(_sparse, self._sparse_embed, query.text)
        if self._search_kind == "tokens":
            call = partial(_tokens, self._token_embed, query.text, description.dimension)
        found = yield from workers.aside(call, deadline, "recall")
        if self._search_kind == "tokens":
            return found or None
        indices, values = found
        return models.SparseVector(indices=indices, values=values) if indices else None

    def _clause(self, wanted: Filter, description: _Collection) -> Any:  # noqa: ANN401 - of qdrant_client
        layout = description.layout
        found = qdrant_filter(
            wanted,
            under=layout.metadata,
            hidden=layout.may_hide,
            checked=True,
            indexes=description.indexes,
        )
        if isinstance(found, bool):
            return found
        from qdrant_client import models  # noqa: PLC0415 - as above

        return models.Filter.model_validate(found)

    def _fetch(
        self,
        description: _Collection,
        question: Form,  # of qdrant_client
        clause: Form,
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
        parts = len(question) if self._search_kind == "tokens" else 1  # of which it is the sum
        return [
            Hit(
                description.layout.document(point.id, point.payload or {}),
                self._score(point.id, point.score / parts, description.distance),
                score_range,
            )
            for point in reply.points
        ]

    def _score(self, point: object, found: float, distance: str) -> float:
        found = self._finite(found, point)
        if distance == "Euclid":
            return similarity("l2", found * found)
        if distance == "Manhattan":
            return -found
        return clamped(found) if distance == "Cosine" else found

    def _page(self, description: _Collection, cursor: Form, size: int) -> Asking[Page]:
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
        raise EmbeddingError(f"sparse_embed must return (indices, values): {error}") from error
    if indices.ndim != 1 or indices.shape != values.shape:
        msg = f"sparse_embed returned shapes {indices.shape} and {values.shape}; expected (n,) both"
        raise EmbeddingError(msg)
    if indices.size and indices.dtype.kind not in "iu":
        msg = f"sparse_embed returned indices of type {indices.dtype}; expected whole numbers"
        raise EmbeddingError(msg)
    if not np.isfinite(values.astype(np.float64)).all():
        raise EmbeddingError("sparse_embed returned values with NaN or infinity")
    return indices.tolist(), values.astype(np.float64).tolist()


def _tokens(embed: Any, text: str, dimension: int | None) -> list[list[float]]:  # noqa: ANN401 - checked here
    """Return the vectors of a query's tokens, after checking them; an empty list for no token."""
    try:
        rows = as_array(embed(text))
    except (TypeError, ValueError) as error:
        msg = f"token_embed must return numbers of shape (tokens, d): {error}"
        raise EmbeddingError(msg) from error
    if not rows.size:
        return []
    names = ["the query's tokens"] * len(np.atleast_1d(rows))
    found: list[list[float]] = as_matrix(rows, names, dimension).astype(np.float32).tolist()
    return found
