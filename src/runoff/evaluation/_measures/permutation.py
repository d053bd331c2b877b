"""Whether differences are real: a permutation test, and Holm's correction for many questions.

Differences have one row per query and one column per question (a measure, or a measure on a slice);
the same random draws serve all columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROUNDING = 1e-10
"""Sums that differ by less, relative to what is summed, are equal."""

_CELLS = 2_000_000  # random draws held at once: 16 MB


def permutation_p(
    deltas: NDArray[np.float64], *, rounds: int = 10_000, seed: int = 0
) -> NDArray[np.float64]:
    """Return the two-sided p-value of each column's mean by flipping signs at random.

    If the two systems are equally good, each query's difference is equally likely to have either
    sign. If b of n random assignments of signs have a mean at least as far from 0 as the observed
    one, p = (b + 1) / (n + 1), which is never 0 and keeps its level exactly (Phipson and Smyth
    2010). The same signs serve every column.

    Args:
        deltas: shape (queries, columns); 0 where a query is not in a column's slice.
        rounds: how many assignments, n.
        seed: of the random signs.

    Returns:
        shape (columns,), each within 1 / (rounds + 1) and 1.
    """
    rng = np.random.default_rng(seed)
    queries, columns = deltas.shape
    total = deltas.sum(axis=0)
    bound = np.abs(total) - ROUNDING * np.abs(deltas).sum(axis=0)
    extreme = np.zeros(columns, np.int64)
    for size in chunks(rounds, queries):
        packed = rng.integers(0, 256, (size, -(-queries // 8)), np.uint8)
        kept = np.unpackbits(packed, axis=1, count=queries).astype(np.float64)
        # the differences that keep their sign minus those that change it
        extreme += (np.abs(2 * (kept @ deltas) - total) >= bound).sum(axis=0)
    return ((extreme + 1) / (rounds + 1)).astype(np.float64)


def chunks(rounds: int, queries: int) -> list[int]:
    """Return how many rounds to draw at a time, so that memory stays bounded."""
    most = max(1, _CELLS // max(1, queries))
    return [most] * (rounds // most) + ([rounds % most] if rounds % most else [])


def holm(p: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return p-values adjusted for the number of questions, by Holm's weighted procedure.

    The chance of any false finding stays below the level that the adjusted values are compared
    with, however the questions depend on each other (Holm 1979, section 4). With equal shares it is
    the well-known step-down: the smallest of m p-values times m, the next times m - 1, and so on.

    Args:
        p: shape (m,).
        shares: shape (m,), above 0: how much of the level each question gets, in any unit.

    Returns:
        shape (m,), each at least its p and at most 1.
    """
    order = np.argsort(p / shares, kind="stable")
    # the share of the questions that are left
    left = np.cumsum(shares[order][::-1])[::-1]
    stepped = np.maximum.accumulate(np.minimum(1.0, left * p[order] / shares[order]))
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum(stepped, p[order])
    return adjusted
