"""Finds the nearest rows of a matrix exactly; the order of rows changes no bit of a score."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from runoff.recall._dense.kept import Vectors

Similarity: TypeAlias = Literal["cosine", "ip", "l2"]

SCORE_RANGES: dict[str, tuple[float | None, float | None]] = {
    "cosine": (-1.0, 1.0),
    "ip": (None, None),
    "l2": (None, 1.0),
}
_FLOAT64_UNIT = 2.0**-52
_ROWS_AT_ONCE = 4096
# rows that cost less to score than a more exact product of all: so many times the depth, or a share
_FEW = 4
_SHARE = 64


def nearest(
    vectors: Vectors,
    lengths: NDArray[np.float64],
    query: NDArray[np.float64],
    similarity: Similarity,
    *,
    depth: int,
    name: Callable[[int], str],
    keep: Callable[[int], bool] | None = None,
) -> list[tuple[int, float]]:
    """Return the `depth` most similar rows and their scores, best first, ties by id.

    Scores: `"cosine"` is the cosine of the angle, 0 for a row of zeros; `"ip"` the inner product;
    `"l2"` is `1 - d**2 / 2` for the Euclidean distance d, which for vectors of length 1 is their
    cosine.

    Rough products rank all rows. Every row that could be among the best by their largest error is
    scored again in float64, row by row: neither the order of rows nor the library that multiplies
    decides a tie. Where they leave too many rows, more exact products follow.

    Args:
        vectors: finite vectors of shape (d,); for `"cosine"` of length 1 or 0.
        lengths: the Euclidean length of each of the n rows to search.
        query: shape (d,), finite; for `"cosine"` of length 1.
        similarity: what the score is.
        depth: how many rows to return at most.
        name: the id of a row.
        keep: returns whether a row may be returned; called at most once for a row, best first.
    """
    kept = None if keep is None else cache(keep)
    rows = np.arange(0)
    for rough, error in _rough(vectors, lengths, query, similarity):
        rows = np.flatnonzero(rough + error >= _floor(rough - error, depth, kept))
        if len(rows) <= max(_FEW * depth, len(lengths) // _SHARE):
            break
    if kept is not None:
        rows = np.array([row for row in rows.tolist() if kept(row)], dtype=np.intp)
    scores = np.concatenate(
        [
            _score(vectors.take(rows[start : start + _ROWS_AT_ONCE]).wide(), query, similarity)
            for start in range(0, max(len(rows), 1), _ROWS_AT_ONCE)
        ]
    )
    if len(rows) > depth:
        best = np.flatnonzero(scores >= np.partition(scores, len(rows) - depth)[len(rows) - depth])
        rows, scores = rows[best], scores[best]
    pairs = zip(rows.tolist(), scores.tolist(), strict=True)
    return sorted(pairs, key=lambda one: (-one[1], name(one[0])))[:depth]


def _rough(
    vectors: Vectors,
    lengths: NDArray[np.float64],
    query: NDArray[np.float64],
    similarity: Similarity,
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Yield values that order the rows as their scores do, and their largest errors."""
    # scaled to a largest entry of 1, since very small entries are below float32
    scale = float(np.abs(query).max()) or 1.0
    for products, error in vectors.rough(query / scale, lengths):
        if similarity != "l2":
            yield products, error
            continue
        squares = lengths * lengths
        count = vectors.dimension + 4
        wide_error = count * _FLOAT64_UNIT * (1.0 + squares + float((query * query).sum()))
        yield products * scale - squares / 2, error * scale + wide_error


def _floor(lower: NDArray[np.float64], depth: int, keep: Callable[[int], bool] | None) -> float:
    """Return a lower bound of the depth-th best kept score."""
    count = len(lower)
    size = depth
    while size < count:
        best = np.argpartition(lower, count - size)[count - size :]
        if keep is not None:
            best = best[[keep(row) for row in best.tolist()]]
        if len(best) >= depth:
            return float(np.partition(lower[best], len(best) - depth)[len(best) - depth])
        size *= 4
    return -np.inf


def _score(
    wide: NDArray[np.float64], query: NDArray[np.float64], similarity: Similarity
) -> NDArray[np.float64]:
    if similarity == "l2":
        wide -= query
        distances: NDArray[np.float64] = 1.0 - (wide * wide).sum(axis=1) / 2
        return distances
    products: NDArray[np.float64] = (wide * query).sum(axis=1)
    if similarity == "cosine":
        lengths = np.sqrt((wide * wide).sum(axis=1))
        cosines = products / np.where(lengths > 0, lengths, 1.0)
        return np.clip(cosines, -1.0, 1.0)
    return products
