"""How often each term occurs in each document, as integer arrays.

Scores depend on document frequencies and the mean length, so every change of the corpus changes all
of them; the counts do not change. An index therefore keeps the counts, joins and prunes them when
documents are added and deleted, and recomputes the scores.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from runoff.recall._analyzers import Analyze

__all__ = ["Counts", "Postings", "count_terms", "join"]

Int32 = np.int32
Int64 = np.int64
_DENSE = 4  # cells of a table of all terms and rows, for each token, up to which it is made


@dataclass(frozen=True, slots=True, eq=False)
class Postings:
    """The counts of n documents over v terms, ordered by term and within a term by document.

    Attributes:
        terms: the v terms; a term's place is its number.
        starts: int64, shape (v + 1,); term t owns the postings from `starts[t]` to `starts[t + 1]`.
        rows: int32, shape (p,); the document of each posting, ascending within a term.
        counts: int32, shape (p,); how often the term occurs in that document, at least 1.
        lengths: int32, shape (n,); how many tokens each document has, repeats included.
    """

    terms: Sequence[str]
    starts: NDArray[np.int64]
    rows: NDArray[np.int32]
    counts: NDArray[np.int32]
    lengths: NDArray[np.int32]

    @property
    def frequencies(self) -> NDArray[np.int64]:
        """In how many documents each term occurs, int64, shape (v,)."""
        return np.diff(self.starts)


class Counts:
    """Counts the terms of texts that are added one by one; row i is the i-th text."""

    def __init__(self) -> None:
        self._numbers: defaultdict[str, int] = defaultdict()
        self._numbers.default_factory = self._numbers.__len__
        self._parts: list[NDArray[np.int32]] = []

    def add(self, tokens: list[str]) -> None:
        """Add the tokens of the next text."""
        numbers = map(self._numbers.__getitem__, tokens)
        self._parts.append(np.fromiter(numbers, dtype=Int32, count=len(tokens)))

    def postings(self) -> Postings:
        """Return the counts so far."""
        parts = self._parts
        lengths = np.fromiter((part.size for part in parts), dtype=Int32, count=len(parts))
        flat = np.concatenate(parts) if parts else np.empty(0, dtype=Int32)
        # one number per (term, row), so that a single sort groups and orders the postings
        width = max(1, lengths.size)
        keys = flat.astype(Int64) * width + np.repeat(np.arange(lengths.size, dtype=Int64), lengths)
        cells = len(self._numbers) * width
        if cells <= _DENSE * keys.size:  # few terms, as of stop words: no need to sort
            table = np.bincount(keys, minlength=cells)
            keys = np.flatnonzero(table)
            counts = table[keys]
        else:
            keys, counts = np.unique(keys, return_counts=True)
        return _grouped(tuple(self._numbers), keys, counts.astype(Int32), lengths)


def count_terms(texts: Iterable[str], analyze: Analyze) -> Postings:
    """Count the terms of texts; row i is the i-th text."""
    counts = Counts()
    for text in texts:
        counts.add(analyze(text))
    return counts.postings()


def join(parts: Sequence[tuple[Postings, NDArray[np.int64]]], size: int) -> Postings:
    """Join postings into those of one corpus.

    Args:
        parts: postings, each with the new row of every one of its rows: int64, shape (n,); -1
            leaves a document out. No new row occurs twice.
        size: how many documents there are afterwards.

    Terms that occur in no document any more are left out.
    """
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    lengths = np.zeros(size, dtype=Int32)
    keys, counts = [np.empty(0, dtype=Int64)], [np.empty(0, dtype=Int32)]
    for part, new_rows in parts:
        kept = new_rows >= 0
        lengths[new_rows[kept]] = part.lengths[kept]
        of_term = np.fromiter(
            map(numbers.__getitem__, part.terms), dtype=Int64, count=len(part.terms)
        )
        rows = new_rows[part.rows]
        key = np.repeat(of_term, part.frequencies) * max(1, size) + rows
        keys.append(key[rows >= 0])
        counts.append(part.counts[rows >= 0])
    key, count = np.concatenate(keys), np.concatenate(counts)
    # parts whose rows keep their order are sorted already: a merge sort passes over them once
    order = np.argsort(key, kind="stable")
    return _grouped(tuple(numbers), key[order], count[order], lengths)


def _grouped(
    terms: tuple[str, ...],
    keys: NDArray[np.int64],
    counts: NDArray[np.int32],
    lengths: NDArray[np.int32],
) -> Postings:
    """Make postings of sorted keys `term * max(1, n) + row`, without unused terms."""
    of_term, rows = np.divmod(keys, max(1, lengths.size))
    frequencies = np.bincount(of_term, minlength=len(terms))
    used = frequencies > 0
    if not used.all():
        terms = tuple(term for term, keep in zip(terms, used.tolist(), strict=True) if keep)
        frequencies = frequencies[used]
    starts = np.zeros(len(terms) + 1, dtype=Int64)
    np.cumsum(frequencies, out=starts[1:])
    return Postings(terms, starts, rows.astype(Int32), counts, lengths)
