"""From what embedding callables return to checked vectors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from runoff.errors import EmbeddingError
from runoff.recall.arguments import check_callable

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from runoff.types import Query

__all__ = ["AsyncEmbedQuery", "Embed", "EmbedQuery", "QueryEmbedder", "as_matrix", "as_vector"]

Embed: TypeAlias = "Callable[[list[str]], ArrayLike]"
EmbedQuery: TypeAlias = "Callable[[str], ArrayLike]"
AsyncEmbedQuery: TypeAlias = "Callable[[str], Awaitable[ArrayLike]]"

_LARGEST = float(np.finfo(np.float32).max)
_MATRIX = 2


def as_matrix(value: object, names: Sequence[str], dimension: int | None) -> NDArray[np.floating]:
    """Check that a value holds one finite vector for each name.

    Args:
        value: an array or nested sequence of shape (n, d), or an iterator over n vectors.
        names: what the n vectors are of, for the message, such as `"document 'a'"`.
        dimension: the d it must have; None accepts any.

    Raises:
        EmbeddingError: the shape differs, or a value is not a finite float32; names the first one.
    """
    try:
        matrix = np.asarray(list(value) if isinstance(value, Iterator) else value)
    except (TypeError, ValueError) as error:
        msg = f"the embedding of {_listed(names)} is no array of numbers: {error}"
        raise EmbeddingError(msg) from error
    if matrix.dtype.kind not in "fiu" or matrix.ndim != _MATRIX or matrix.shape[1] == 0:
        msg = (
            f"the embedding of {_listed(names)} has shape {matrix.shape} and type {matrix.dtype}; "
            "expected numbers of shape (texts, dimensions)"
        )
        raise EmbeddingError(msg)
    if len(matrix) != len(names):
        msg = f"{len(matrix)} vectors came back for {len(names)} texts ({_listed(names)})"
        raise EmbeddingError(msg)
    if dimension is not None and matrix.shape[1] != dimension:
        msg = (
            f"the embedding of {_listed(names)} has {matrix.shape[1]} dimensions, and the index "
            f"has {dimension}: embed queries and documents with the same model"
        )
        raise EmbeddingError(msg)
    if matrix.dtype.kind != "f":
        matrix = matrix.astype(np.float64)
    fits = (np.abs(matrix) <= _LARGEST).all(axis=1)
    if not fits.all():
        name = names[int(np.argmin(fits))]
        msg = f"the embedding of {name} has NaN, infinity or a number beyond float32 in it"
        raise EmbeddingError(msg)
    return matrix


def as_vector(value: object, name: str, dimension: int | None) -> NDArray[np.float64]:
    """Check that a value is one finite vector, of shape (d,) or (1, d).

    Raises:
        EmbeddingError: as `as_matrix`.
    """
    try:
        array = np.asarray(list(value) if isinstance(value, Iterator) else value)
    except (TypeError, ValueError) as error:
        msg = f"the embedding of {name} is no array of numbers: {error}"
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

    `Query.embedding` is taken as it is. Otherwise each of `Query.embedding_texts`, or else the
    text, is embedded by `embed_query`, or by `embed` where there is none, and the mean of the
    vectors is taken. Blank texts are not embedded; where nothing else is left, there is no vector.

    Raises:
        InvalidArgument: one of the three cannot be called.
    """

    embed: Embed
    embed_query: EmbedQuery | None = None
    aembed_query: AsyncEmbedQuery | None = None

    def __post_init__(self) -> None:
        """Check that they can be called."""
        remedy = "must be a callable (list of n texts) -> (n, d) numbers"
        if hasattr(self.embed, "embed_documents"):
            remedy += ", such as its `embed_documents`; its `embed_query` goes to embed_query="
        check_callable("embed", self.embed, remedy)
        if self.embed_query is not None:
            check_callable("embed_query", self.embed_query, "must be a callable (text) -> (d,)")
        if self.aembed_query is not None:
            remedy = "must be an async callable (text) -> (d,)"
            check_callable("aembed_query", self.aembed_query, remedy)

    def vector(self, query: Query, dimension: int | None) -> NDArray[np.float64] | None:
        """Return the query's vector, shape (d,), or None where there is nothing to embed.

        Raises:
            EmbeddingError: the vector has another dimension than asked for, or is not finite.
        """
        if query.embedding is not None:
            return as_vector(query.embedding, "the query (Query.embedding)", dimension)
        texts = _texts(query)
        if not texts:
            return None
        names = [_named(text) for text in texts]
        if self.embed_query is None:
            rows = as_matrix(self.embed(texts), names, dimension).astype(np.float64)
        else:
            rows = np.stack(
                [
                    as_vector(self.embed_query(text), name, dimension)
                    for text, name in zip(texts, names, strict=True)
                ]
            )
        return _mean(rows)

    async def avector(self, query: Query, dimension: int | None) -> NDArray[np.float64] | None:
        """Do what `vector` does with `aembed_query`, or in a thread where there is none."""
        import asyncio  # noqa: PLC0415 - heavy, and only async callers need it

        texts = _texts(query)
        if query.embedding is not None or not texts or self.aembed_query is None:
            return await asyncio.to_thread(self.vector, query, dimension)
        found = await asyncio.gather(*map(self.aembed_query, texts))
        return _mean(
            np.stack(
                [
                    as_vector(one, _named(text), dimension)
                    for one, text in zip(found, texts, strict=True)
                ]
            )
        )

    def warmup(self) -> None:
        """Load what embeds: its own `warmup` where it has one, else by embedding a word."""
        first = self.embed_query if self.embed_query is not None else self.embed
        warm = getattr(first, "warmup", None)
        if callable(warm):
            warm()
        elif self.embed_query is not None:
            self.embed_query("warmup")
        else:
            self.embed(["warmup"])


def _texts(query: Query) -> list[str]:
    return [text for text in query.embedding_texts or (query.text,) if text.strip()]


def _named(text: str) -> str:
    shortened = text if len(text) <= 40 else f"{text[:39]}…"  # noqa: PLR2004 - a line's worth
    return f"the query text {shortened!r}"


def _mean(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = rows.mean(axis=0)
    return mean
