"""In how many documents each word piece occurs, and the query weights that follow."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Frequencies:
    """Document frequencies of a collection at one time.

    Attributes:
        documents: how many there are.
        counts: in how many of them each token occurs, by id, shape (highest id + 1,).
    """

    documents: int
    counts: NDArray[np.int64]

    @cached_property
    def digest(self) -> str:
        """A checksum."""
        said = hashlib.sha256(str(self.documents).encode())
        said.update(np.trim_zeros(self.counts, "b").astype("<i8").tobytes())
        return said.hexdigest()[:16]

    def weights(self, ids: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the square root of the inverse document frequency of tokens.

        That is `log(1 + (N - df + .5) / (df + .5))`, as in BM25 (Robertson and Spärck Jones):
        always above 0, and highest for a token that no document has. Its root lies between equal
        weights, which are better for questions, and the frequency itself, better for keywords; over
        32 collections, fused with BM25 and cosines, the root is best (docs/defaults.md).
        """
        known = ids < len(self.counts)
        counts = np.where(known, self.counts[np.where(known, ids, 0)] if self.counts.size else 0, 0)
        counts = np.minimum(counts, self.documents)
        idf = np.log1p((self.documents - counts + 0.5) / (counts + 0.5))
        return np.sqrt(idf).astype(np.float32)
