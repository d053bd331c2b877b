"""Finds the nearest rows of a matrix exactly; the order of rows changes no bit of a score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["SCORE_RANGES", "Similarity", "direction", "nearest"]

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


def direction(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    """Scale each row to length 1, in float64; a row of zeros stays as it is."""
    wide = rows.astype(np.float64)
    # first by the largest entry: squares of very small or large entries are beyond float64
    largest = np.abs(wide).max(axis=-1)
    wide /= np.where(largest > 0, largest, 1.0)[..., None]
    length = np.sqrt((wide * wide).sum(axis=-1))
    wide /= np.where(length > 0, length, 1.0)[..., None]
    return wide


def nearest(
    matrix: NDArray[np.float32],
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
        matrix: shape (n, d), finite; for `"cosine"` rows of length 1 or 0.
        lengths: the Euclidean length of each row, shape (n,).
        query: shape (d,), finite; for `"cosine"` of length 1.
        similarity: what the score is.
        depth: how many rows to return at most.
        name: the id of a row.
        keep: returns whether a row may be returned; called at most once for a row, best first.
    """
    rough, error = _rough(matrix, lengths, query, similarity)
    floor, kept = _floor(rough - error, depth, keep)
    rows = np.flatnonzero(rough + error >= floor)
    if keep is not None:
        rows = np.array([row for row in rows.tolist() if kept(row)], dtype=np.intp)
    scores = np.concatenate(
        [
            _score(matrix[rows[start : start + _ROWS_AT_ONCE]], query, similarity)
            for start in range(0, max(len(rows), 1), _ROWS_AT_ONCE)
        ]
    ).tolist()
    found = sorted(zip(rows.tolist(), scores, strict=True), key=lambda one: (-one[1], name(one[0])))
    return found[:depth]


def _rough(
    matrix: NDArray[np.float32],
    lengths: NDArray[np.float64],
    query: NDArray[np.float64],
    similarity: Similarity,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return values that order the rows as their scores do, and their largest errors."""
    count = matrix.shape[1] + 4
    # scaled to a largest entry of 1, since very small entries are below float32
    scale = float(np.abs(query).max()) or 1.0
    scaled = query / scale
    with np.errstate(over="ignore", invalid="ignore"):
        products = (matrix @ scaled.astype(np.float32)).astype(np.float64)
    if not np.isfinite(products).all():
        products = matrix.astype(np.float64) @ scaled
    error = count * (_FLOAT32_UNIT * float(np.sqrt((scaled * scaled).sum())) * lengths + _UNDERFLOW)
    if similarity != "l2":
        return products, error
    squares = lengths * lengths
    wide_error = count * _FLOAT64_UNIT * (1.0 + squares + float((query * query).sum()))
    return products * scale - squares / 2, error * scale + wide_error


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
    rows: NDArray[np.float32], query: NDArray[np.float64], similarity: Similarity
) -> NDArray[np.float64]:
    wide = rows.astype(np.float64)
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
