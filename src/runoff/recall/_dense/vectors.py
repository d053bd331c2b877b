"""Checks the vectors that embedding callables return, and embeds queries."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from runoff._util.messages import number_of
from runoff._util.numbers import as_array
from runoff._waiting import workers
from runoff._waiting.drive import ask, run
from runoff.deadline import Deadline
from runoff.errors import EmbeddingError, InvalidArgument
from runoff.recall._arguments import check_callable
from runoff.types import Query

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from runoff._waiting.drive import Asking

Embed: TypeAlias = "Callable[[list[str]], ArrayLike]"
EmbedQuery: TypeAlias = "Callable[[str], ArrayLike]"
AsyncEmbedQuery: TypeAlias = "Callable[[str], Awaitable[ArrayLike]]"

_FRAMEWORK_METHODS = (
    ("LangChain", "embed_documents"),
    ("LlamaIndex", "get_text_embedding_batch"),
)

_LARGEST = float(np.finfo(np.float32).max)
_MATRIX = 2


def as_matrix(value: object, names: Sequence[str], dimension: int | None) -> NDArray[np.floating]:
    """Return a value as an array, after checking that it has one finite vector for each name.

    Args:
        value: an array or nested sequence of shape (n, d), or an iterator over n vectors.
        names: what the n vectors are for, as the error says it, such as `"document 'a'"`.
        dimension: the d it must have; None accepts any.

    Raises:
        EmbeddingError: the shape is wrong, or a value is not a finite float32; names the first.
    """
    try:
        matrix = as_array(value)
    except (TypeError, ValueError) as error:
        msg = f"the embedding of {_listed(names)} is not an array of numbers: {error}"
        raise EmbeddingError(msg) from error
    if matrix.dtype.kind not in "fiu" or matrix.ndim != _MATRIX or matrix.shape[1] == 0:
        raise EmbeddingError(
            f"the embedding of {_listed(names)} has shape {matrix.shape} and type {matrix.dtype}; "
            "expected numbers of shape (texts, dimensions)"
        )
    if len(matrix) != len(names):
        msg = (
            f"embed returned {number_of(len(matrix), 'vector')} for "
            f"{number_of(len(names), 'text')} "
            f"({_listed(names)})"
        )
        raise EmbeddingError(msg)
    if dimension is not None and matrix.shape[1] != dimension:
        raise EmbeddingError(
            f"the embedding of {_listed(names)} has "
            f"{number_of(matrix.shape[1], 'dimension')}, but the index "
            f"has {dimension}: embed queries and documents with the same model"
        )
    if matrix.dtype not in {np.dtype(np.float32), np.dtype(np.float64)}:
        matrix = matrix.astype(np.float64)
    fits = (np.abs(matrix) <= _LARGEST).all(axis=1)
    if not fits.all():
        name = names[int(np.argmin(fits))]
        msg = f"the embedding of {name} contains NaN, infinity or a number too large for float32"
        raise EmbeddingError(msg)
    return matrix


def as_vector(value: object, name: str, dimension: int | None) -> NDArray[np.float64]:
    """Return a value as a vector, after checking that it is finite, of shape (d,) or (1, d).

    Raises:
        EmbeddingError: as `as_matrix`.
    """
    try:
        array = as_array(value)
    except (TypeError, ValueError) as error:
        msg = f"the embedding of {name} is not an array of numbers: {error}"
        raise EmbeddingError(msg) from error
    rows = array[None, :] if array.ndim == 1 else array
    vector: NDArray[np.float64] = as_matrix(rows, (name,), dimension)[0].astype(np.float64)
    return vector


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]}{more}" if names else "no texts"


@dataclass(frozen=True, slots=True)
class QueryEmbedder:
    """Makes the vector that a dense source searches with.

    `Query.embedding` is used as it is. Otherwise each of `Query.embedding_texts`, or else the text,
    is embedded by `embed_query`, or by `embed` without one, and the mean of the vectors is used.
    Blank texts are not embedded; if all are blank, there is no vector.

    If `embed` has deadline-aware methods `embed_query` and `aembed_query`, as
    `runoff.recall.Embedder` does, they are the defaults. Callables that accept `deadline=` get it,
    so that loading a model does not count against it.

    Raises:
        InvalidArgument: one of the three cannot be called.
    """

    embed: Embed
    embed_query: EmbedQuery | None = None
    aembed_query: AsyncEmbedQuery | None = None

    def __post_init__(self) -> None:
        """Check that they can be called, and set the defaults."""
        remedy = "must be a callable (list of n texts) -> (n, d) numbers"
        for framework, method in _FRAMEWORK_METHODS:
            if hasattr(self.embed, method):
                raise InvalidArgument("embed", self.embed, f"{remedy}: pass {framework}'s {method}")
        check_callable("embed", self.embed, remedy)
        if self.embed_query is not None:
            check_callable("embed_query", self.embed_query, "must be a callable (text) -> (d,)")
        elif self.aembed_query is None and has_query_methods(self.embed):
            object.__setattr__(self, "embed_query", getattr(self.embed, "embed_query", None))
            object.__setattr__(self, "aembed_query", getattr(self.embed, "aembed_query", None))
        if self.aembed_query is not None:
            remedy = "must be an async callable (text) -> (d,)"
            check_callable("aembed_query", self.aembed_query, remedy)

    def vector(
        self, query: Query, dimension: int | None, deadline: Deadline | None = None
    ) -> Asking[NDArray[np.float64] | None]:
        """Return the query's vector, shape (d,), or None where there is nothing to embed.

        Awaited, it uses `aembed_query`, or a worker thread where there is none.

        Raises:
            EmbeddingError: the vector is not finite, or its dimension is not the one expected.
        """
        if query.embedding is not None:
            return as_vector(query.embedding, "the query (Query.embedding)", dimension)
        texts = [text for text in query.embedding_texts or (query.text,) if text.strip()]
        if not texts:
            return None
        wait = partial(self._embed, texts, dimension, deadline)
        wait_async = partial(self._embed_async, texts, dimension, deadline)
        return (yield from ask(wait, wait_async))

    def _embed(
        self, texts: list[str], dimension: int | None, deadline: Deadline | None
    ) -> NDArray[np.float64]:
        if self.embed_query is None:
            options = _options(self.embed, deadline)
            found = self.embed(texts, **options)
            return _mean(as_matrix(found, [_named(one) for one in texts], dimension))
        options = _options(self.embed_query, deadline)
        return _mean_of([self.embed_query(one, **options) for one in texts], texts, dimension)

    async def _embed_async(
        self, texts: list[str], dimension: int | None, deadline: Deadline | None
    ) -> NDArray[np.float64]:
        import asyncio  # noqa: PLC0415 - heavy, and only async callers need it

        if self.aembed_query is None:
            call = partial(self._embed, texts, dimension, deadline)
            return await workers.run_async(call, deadline, "recall")
        options = _options(self.aembed_query, deadline)
        vectors = (self.aembed_query(one, **options) for one in texts)
        return _mean_of(await asyncio.gather(*vectors), texts, dimension)

    def warmup(self) -> None:
        """Call the `warmup` of `embed`, or embed a word if it has none."""
        warm = getattr(self.embed, "warmup", None)
        if callable(warm):
            warm()
        else:
            run(self.vector(Query("warmup"), None))


def has_query_methods(embed: object) -> bool:
    """Return whether `embed` has its own methods for queries that accept a deadline.

    The deadline distinguishes them from methods of other libraries with the same names.
    """
    own = (getattr(embed, "embed_query", None), getattr(embed, "aembed_query", None))
    return all(callable(one) and _options(one, Deadline()) for one in own)


def _options(call: Callable[..., object], deadline: Deadline | None) -> dict[str, Any]:
    try:
        takes = "deadline" in inspect.signature(call).parameters
    except (TypeError, ValueError):  # a callable written in C may have no signature
        takes = False
    return {"deadline": deadline} if takes else {}


def _named(text: str) -> str:
    shortened = text if len(text) <= 40 else f"{text[:39]}…"  # noqa: PLR2004 - a line's worth
    return f"the query text {shortened!r}"


def _mean_of(
    found: Sequence[object], texts: Sequence[str], dimension: int | None
) -> NDArray[np.float64]:
    rows: list[NDArray[np.float64]] = []
    for one, text in zip(found, texts, strict=True):
        rows.append(as_vector(one, _named(text), dimension))
        dimension = len(rows[0])
    return _mean(np.stack(rows))


def _mean(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = rows.mean(axis=0, dtype=np.float64)
    return mean
