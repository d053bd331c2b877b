"""Token vectors in int8, and the best matches between those of a query and of documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_MOST = 127  # of int8, with the same bound on both sides
_AT_ONCE = 2048  # tokens whose vectors are float32 at the same time
# products of this size OpenBLAS computes in the calling thread: its others wait for each other by
# spinning, and where the cores are busy, .5 ms become 300
_SINGLE = 2**18


@dataclass(frozen=True, slots=True, eq=False)
class TokenVectors:
    """The vectors of one document's tokens.

    A vector is `codes * scale`, of length 1.

    Attributes:
        codes: int8, shape (tokens, dims).
        scales: float32, shape (tokens,); 0 for a vector of zeros.
        ids: of the tokens in the vocabulary, int32, shape (tokens,).
        truncated: whether text was lost to the token limit.
    """

    codes: NDArray[np.int8]
    scales: NDArray[np.float32]
    ids: NDArray[np.int32]
    truncated: bool = False

    @property
    def nbytes(self) -> int:
        """The bytes of the arrays."""
        return self.codes.nbytes + self.scales.nbytes + self.ids.nbytes


@dataclass(frozen=True, slots=True, eq=False)
class QueryVectors:
    """The vectors of one query's tokens.

    Attributes:
        vectors: float32, of length 1, shape (tokens, dims).
        ids: of the tokens in the vocabulary, int32, shape (tokens,).
        truncated: whether text was lost to the token limit.
        tokens: tokens read, special tokens included.
    """

    vectors: NDArray[np.float32]
    ids: NDArray[np.int32]
    truncated: bool
    tokens: int


def product(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the matrix product, computed in the calling thread.

    Args:
        left: shape (n, d).
        right: shape (d, m).
    """
    rows = max(1, _SINGLE // right.size)
    made = np.empty((len(left), right.shape[1]), np.float32)
    for start in range(0, len(left), rows):
        np.matmul(left[start : start + rows], right, out=made[start : start + rows])
    return made


def quantised(vectors: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return vectors as int8, and the scale of each.

    Each is stretched until its largest entry is 127, and rounded; the scale makes the rounded one
    as long as 1, so that a product with it is a cosine.

    Args:
        vectors: finite, shape (n, dims); only their directions are kept.

    Returns:
        Codes, shape (n, dims), and scales, shape (n,).
    """
    largest = np.abs(vectors).max(axis=1, initial=0.0)
    stretch = np.divide(_MOST, largest, out=np.zeros_like(largest), where=largest > 0)
    codes = np.rint(vectors * stretch[:, None])
    lengths = np.sqrt((codes * codes).sum(axis=1, dtype=np.float32))
    scales = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return codes.astype(np.int8), scales.astype(np.float32)


def cosines(query: NDArray[np.float32], document: TokenVectors) -> NDArray[np.float32]:
    """Return the cosine of every query token with every document token.

    Args:
        query: vectors of length 1, shape (m, dims).
        document: n tokens.

    Returns:
        Within -1 and 1, shape (m, n).
    """
    made = (query @ document.codes.astype(np.float32).T) * document.scales
    clipped: NDArray[np.float32] = np.clip(made, -1.0, 1.0)
    return clipped


def maxsim(
    query: NDArray[np.float32], weights: NDArray[np.float32], documents: Sequence[TokenVectors]
) -> NDArray[np.float32]:
    """Return for each document the weighted mean, over query tokens, of the best cosine.

    The sum over query tokens of weight times the best cosine among the document's tokens (MaxSim:
    Khattab and Zaharia, "ColBERT", 2020), divided by the sum of the weights.

    Args:
        query: vectors of length 1, shape (m, dims).
        weights: of the query tokens, 0 or more, not all 0, shape (m,).
        documents: n of them, each with a token or more.

    Returns:
        Within -1 and 1, shape (n,).
    """
    best = np.empty((len(documents), len(query)), np.float32)
    sizes = np.array([len(one.scales) for one in documents])
    turned = np.ascontiguousarray(query.T)
    rows = max(1, _SINGLE // turned.size)
    room = -(-max(_AT_ONCE, int(sizes.max(initial=0))) // rows) * rows
    block = np.zeros((room, len(turned)), np.float32)
    start = 0
    while start < len(documents):
        ends = np.cumsum(sizes[start:])
        ends = ends[: int(np.searchsorted(ends, room, "right"))]  # whole documents, as many as fit
        part = documents[start : start + len(ends)]
        for one, end in zip(part, ends.tolist(), strict=True):
            block[end - len(one.scales) : end] = one.codes
        used = -(-int(ends[-1]) // rows)
        small = np.matmul(block[: used * rows].reshape(used, rows, -1), turned)
        products = small.reshape(used * rows, -1)[: ends[-1]]
        products *= np.concatenate([one.scales for one in part])[:, None]
        begins = ends - sizes[start : start + len(ends)]
        np.maximum.reduceat(products, begins, axis=0, out=best[start : start + len(ends)])
        start += len(ends)
    share = weights.astype(np.float64) / weights.sum(dtype=np.float64)
    scores: NDArray[np.float32] = (np.clip(best, -1.0, 1.0) @ share).astype(np.float32)
    return scores
