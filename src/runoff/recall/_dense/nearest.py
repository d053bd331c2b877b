"""Finds the nearest rows of a matrix exactly; the order of rows changes no bit of a score."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from runoff.recall._dense.packed import Packed

Similarity: TypeAlias = Literal["cosine", "ip", "l2"]

SCORE_RANGES: dict[str, tuple[float | None, float | None]] = {
    "cosine": (-1.0, 1.0),
    "ip": (None, None),
    "l2": (None, 1.0),
}
_FLOAT32_UNIT = 2.0**-24
_FLOAT64_UNIT = 2.0**-52
_UNDERFLOW = 2.0**-125  # a product below float32's normal numbers may count as zero
_ROWS_AT_ONCE = 4096
_CONVERTED = 1024  # rows


def nearest(
    packed: Packed,
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

    A float32 product ranks all rows. Its error is at most `d * 2**-24 * |row| * |query|` (Higham,
    Accuracy and Stability of Numerical Algorithms, section 3.1), so every row that could be among
    the best by that bound is scored again in float64, row by row: neither the order of rows nor the
    linear algebra library decides a tie.

    Args:
        packed: n finite vectors of shape (d,); for `"cosine"` of length 1 or 0.
        lengths: the Euclidean length of each vector, shape (n,).
        query: shape (d,), finite; for `"cosine"` of length 1.
        similarity: what the score is.
        depth: how many rows to return at most.
        name: the id of a row.
        keep: returns whether a row may be returned; called at most once for a row, best first.
    """
    rough, error = _rough(packed, lengths, query, similarity)
    floor, kept = _floor(rough - error, depth, keep)
    rows = np.flatnonzero(rough + error >= floor)
    if keep is not None:
        rows = np.array([row for row in rows.tolist() if kept(row)], dtype=np.intp)
    scores = np.concatenate(
        [
            _score(
                packed.each(itemgetter(rows[start : start + _ROWS_AT_ONCE])).wide(),
                query,
                similarity,
            )
            for start in range(0, max(len(rows), 1), _ROWS_AT_ONCE)
        ]
    ).tolist()
    found = sorted(zip(rows.tolist(), scores, strict=True), key=lambda one: (-one[1], name(one[0])))
    return found[:depth]


def _rough(
    packed: Packed,
    lengths: NDArray[np.float64],
    query: NDArray[np.float64],
    similarity: Similarity,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return values that order the rows as their scores do, and their largest errors."""
    count = packed.rows.shape[1] + 4
    # scaled to a largest entry of 1, since very small entries are below float32
    scale = float(np.abs(query).max()) or 1.0
    scaled = query / scale
    with np.errstate(over="ignore", invalid="ignore"):
        products = _products(packed.rows, scaled.astype(np.float32)).astype(np.float64)
    if not np.isfinite(products).all():
        products = packed.rows.astype(np.float64) @ scaled
    products *= packed.scales
    size = float(np.sqrt((scaled * scaled).sum()))
    error = count * (_FLOAT32_UNIT * size * lengths + _UNDERFLOW * packed.scales)
    if similarity != "l2":
        return products, error
    squares = lengths * lengths
    wide_error = count * _FLOAT64_UNIT * (1.0 + squares + float((query * query).sum()))
    return products * scale - squares / 2, error * scale + wide_error


def _products(
    rows: NDArray[np.float32] | NDArray[np.int8], query: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the inner products of rows with a query in float32.

    Rows of int8 become float32 some at a time: so few stay in the processor's cache, and memory is
    read for one byte a number instead of four.
    """
    if rows.dtype != np.int8:
        products: NDArray[np.float32] = rows @ query
        return products
    products = np.empty(len(rows), np.float32)
    wide = np.empty((min(len(rows), _CONVERTED), rows.shape[1]), np.float32)
    for start in range(0, len(rows), _CONVERTED):
        here = slice(start, start + _CONVERTED)
        some = wide[: len(rows[here])]
        some[:] = rows[here]
        np.matmul(some, query, out=products[here])
    return products


def _floor(
    lower: NDArray[np.float64], depth: int, keep: Callable[[int], bool] | None
) -> tuple[float, Callable[[int], bool]]:
    """Return a lower bound of the depth-th best kept score, and `keep` with a cache."""
    count = len(lower)
    answers: dict[int, bool] = {}

    def kept(row: int) -> bool:
        if row not in answers:
            answers[row] = keep is None or keep(row)
        return answers[row]

    size = depth
    while size < count:
        best = np.argpartition(lower, count - size)[count - size :]
        if keep is not None:
            best = best[[kept(row) for row in best.tolist()]]
        if len(best) >= depth:
            return float(np.partition(lower[best], len(best) - depth)[len(best) - depth]), kept
        size *= 4
    return -np.inf, kept


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
