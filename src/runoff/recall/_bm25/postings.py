"""How often each term occurs in each document, as integer arrays.

Scores depend on document frequencies and the mean length, so every change of the corpus changes all
of them; the counts do not change. An index therefore keeps the counts, and joins and prunes them
when documents are added and deleted.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from runoff._waiting import exits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from runoff.recall._analyzers import Analyzer

Int32 = np.int32
Int64 = np.int64
_NUMBERED = 1 << 11  # pieces that become numbers in one call, while they are in the cache
_PIECES = 1 << 20  # that are sorted at once
_TABLE = 4  # cells of a table of all terms and documents, for each piece, up to which it is made
_POSTINGS = 1 << 20  # that are ordered at once
_TERMS = 1 << 14  # that are looked up in one call, during which no other thread runs


@dataclass(frozen=True, slots=True, eq=False)
class Postings:
    """The counts of n documents over v terms, ordered by term and within a term by document.

    Attributes:
        terms: the v terms; a term's place is its number.
        starts: int64, shape (v + 1,); term t owns the postings from `starts[t]` to `starts[t + 1]`.
        rows: int32, shape (p,); the document of each posting, ascending within a term.
        counts: shape (p,); how often the term occurs in that document, at least 1; of the smallest
            of the types uint8, uint16 and int32 that holds them all, or int32 where they are read
            from a file.
        lengths: int32, shape (n,); how many tokens each document has, repeats included.
    """

    terms: Sequence[str]
    starts: NDArray[np.int64]
    rows: NDArray[np.int32]
    counts: NDArray[np.integer]
    lengths: NDArray[np.int32]

    @property
    def frequencies(self) -> NDArray[np.int64]:
        """In how many documents each term occurs, int64, shape (v,)."""
        return np.diff(self.starts)


class _Part(NamedTuple):
    """Postings of some documents: term by term, with the number of postings of each term."""

    terms: NDArray[np.int64]
    frequencies: NDArray[np.int64]
    rows: NDArray[np.int32]
    counts: NDArray[np.integer]


class _Numbers(dict[str, int]):
    """Maps a piece of text to the number of its term; stop words count down from -1."""

    def __init__(self, analyzer: Analyzer) -> None:
        self._token = analyzer.token
        self.terms: dict[str, int] = {}
        self.stops: list[str] = []

    def __missing__(self, piece: str) -> int:
        token = self._token(piece)
        if token is None:
            self.stops.append(piece)
            number = -len(self.stops)
        else:
            number = self.terms.setdefault(token, len(self.terms))
        self[piece] = number
        return number


class Counts:
    """Counts the terms and the stop words of texts that are added one by one.

    Row i is the i-th text. Both are counted in one pass, and memory holds about a million pieces at
    a time beside the counts themselves.
    """

    def __init__(self, analyzer: Analyzer) -> None:
        self._analyzer = analyzer
        self._numbers = _Numbers(analyzer)
        self._waiting: list[list[str]] = []  # pieces of texts
        self._numbered: list[NDArray[np.int32]] = []
        self._pieces = 0  # how many wait
        self._sizes: list[int] = []  # of the texts since the last part
        self._first = 0
        self._parts: tuple[list[_Part], list[_Part]] = ([], [])
        nobody = np.empty(0, dtype=Int32)
        self._lengths: tuple[list[NDArray[np.int32]], ...] = ([nobody], [nobody])

    def add(self, text: str) -> None:
        """Add the next text.

        Raises:
            InvalidArgument: a callable analyzer returned anything but a list of strings.
        """
        pieces = self._analyzer.pieces(text)
        self._waiting.append(pieces)
        self._sizes.append(len(pieces))
        self._pieces += len(pieces) + 1  # one for the text itself, which may be empty
        if self._pieces >= _NUMBERED:
            self._number()

    def postings(self) -> tuple[Postings, Postings]:
        """Return the counts of the terms, and those of the stop words; call it once."""
        self._number()
        if self._sizes:
            self._close()
        numbers = self._numbers
        words: tuple[Sequence[str], ...] = (tuple(numbers.terms), tuple(numbers.stops))
        terms, stops = (
            _assembled(names, parts, np.concatenate(lengths))
            for names, parts, lengths in zip(words, self._parts, self._lengths, strict=True)
        )
        return terms, stops

    def _number(self) -> None:
        """Turn the waiting pieces into the numbers of their terms."""
        pieces = chain.from_iterable(self._waiting)
        size = sum(map(len, self._waiting))
        numbers = map(self._numbers.__getitem__, pieces)
        self._numbered.append(np.fromiter(numbers, dtype=Int32, count=size))
        self._waiting.clear()
        self._pieces = 0
        if len(self._numbered) >= _PIECES // _NUMBERED:
            self._close()

    def _close(self) -> None:
        """Count the numbered pieces by term and document."""
        size = len(self._sizes)
        numbers = np.concatenate(self._numbered)
        rows = np.repeat(np.arange(size, dtype=Int32), self._sizes)
        kept = numbers >= 0
        for kind, (terms, places) in enumerate(
            ((numbers[kept], rows[kept]), (~numbers[~kept], rows[~kept]))
        ):
            self._parts[kind].append(_counted(terms, places, size, self._first))
            self._lengths[kind].append(np.bincount(places, minlength=size).astype(Int32))
        self._first += size
        self._numbered.clear()
        self._sizes.clear()


def _counted(terms: NDArray[np.int32], rows: NDArray[np.int32], size: int, first: int) -> _Part:
    """Count terms by document; `terms[i]` is in document `rows[i]` of `size`, from `first` on."""
    bits = size.bit_length()
    keys = terms.astype(Int64) << bits | rows  # their order is that of the postings
    cells = (int(terms.max(initial=-1)) + 1) << bits
    if cells <= _TABLE * keys.size:  # few terms, as of stop words: no need to sort
        table = np.bincount(keys, minlength=cells)
        keys = table.nonzero()[0]
        counts = table[keys]
    else:
        keys.sort()
        starts = _changes(keys)
        keys, counts = keys[starts], np.diff(starts, append=keys.size)
    of_terms = keys >> bits
    starts = _changes(of_terms)
    return _Part(
        of_terms[starts],
        np.diff(starts, append=of_terms.size),
        ((keys & ((1 << bits) - 1)) + first).astype(Int32),
        _narrow(counts),
    )


def _changes(ordered: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where each new value begins."""
    new = np.ones(ordered.size, dtype=np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    return new.nonzero()[0]


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
    pieces: list[_Part] = []
    for part, new_rows in parts:
        kept = new_rows >= 0
        lengths[new_rows[kept]] = part.lengths[kept]
        of_term = np.empty(len(part.terms), dtype=Int64)
        for first in range(0, len(part.terms), _TERMS):
            some = part.terms[first : first + _TERMS]
            of_term[first : first + _TERMS] = np.fromiter(
                map(numbers.__getitem__, some), dtype=Int64, count=len(some)
            )
        pieces.extend(_moved(part, of_term, new_rows.astype(Int32), everything=bool(kept.all())))
    return _assembled(tuple(numbers), pieces, lengths)


def _moved(
    part: Postings, of_term: NDArray[np.int64], new_rows: NDArray[np.int32], *, everything: bool
) -> Iterator[_Part]:
    """Yield postings with new rows, some terms at a time; `everything` if no row is left out."""
    for first, last in blocks(part.starts):
        here = slice(int(part.starts[first]), int(part.starts[last]))
        rows, counts = new_rows[part.rows[here]], part.counts[here]
        frequencies = np.diff(part.starts[first : last + 1])
        if not everything:
            staying = rows >= 0
            rows, counts = rows[staying], counts[staying]
            ends = np.concatenate([[0], np.cumsum(staying)])
            frequencies = np.diff(ends[part.starts[first : last + 1] - here.start])
        yield _Part(of_term[first:last], frequencies, rows, _narrow(counts))


def _assembled(names: Sequence[str], parts: list[_Part], lengths: NDArray[np.int32]) -> Postings:
    """Join parts that have numbered their terms alike, without unused terms; empties `parts`."""
    frequencies = np.zeros(len(names), dtype=Int64)
    for one in parts:
        frequencies[one.terms] += one.frequencies
    starts = np.zeros(len(names) + 1, dtype=Int64)
    np.cumsum(frequencies, out=starts[1:])
    total = int(starts[-1])
    rows = np.empty(total, dtype=Int32)
    kinds = [one.counts.dtype for one in parts]
    counts = np.empty(total, dtype=np.result_type(np.uint8, *kinds))
    free = starts[:-1].copy()
    parts.reverse()
    while parts:  # each is let go of once it is copied
        one = parts.pop()
        before = np.cumsum(one.frequencies) - one.frequencies
        places = np.repeat(free[one.terms] - before, one.frequencies)
        places += np.arange(one.rows.size)
        rows[places], counts[places] = one.rows, one.counts
        free[one.terms] += one.frequencies
        exits.check()
    bits = lengths.size.bit_length()
    for first, last in blocks(starts):
        here = slice(int(starts[first]), int(starts[last]))
        _order(rows[here], counts[here], np.diff(starts[first : last + 1]), bits)
        exits.check()
    if not frequencies.all():
        used = frequencies > 0
        names = tuple(term for term, keep in zip(names, used.tolist(), strict=True) if keep)
        starts = np.concatenate([starts[:-1][used], starts[-1:]])
    return Postings(names, starts, rows, counts, lengths)


def _order(
    rows: NDArray[np.int32],
    counts: NDArray[np.integer],
    frequencies: NDArray[np.int64],
    bits: int,
) -> None:
    """Bring the rows of each term into ascending order, in place."""
    keys = np.repeat(np.arange(frequencies.size, dtype=Int64), frequencies) << bits
    keys |= rows
    if not (keys[1:] > keys[:-1]).all():
        order = np.argsort(keys)
        rows[:], counts[:] = rows[order], counts[order]


def blocks(starts: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield the first and the last term, exclusive, of blocks of about a million postings."""
    first, end = 0, starts.size - 1
    while first < end:
        last = int(np.searchsorted(starts, starts[first] + _POSTINGS))
        last = min(max(last, first + 1), end)
        yield first, last
        first = last


def _narrow(counts: NDArray[np.integer]) -> NDArray[np.integer]:
    """Return counts in the smallest type that holds them."""
    largest = int(counts.max()) if counts.size else 0
    kinds: Iterable[type[np.integer]] = (np.uint8, np.uint16)
    kind = next((one for one in kinds if largest <= np.iinfo(one).max), Int32)
    return counts.astype(kind, copy=False)
