"""Finds duplicate texts: equal ones, and ones that share most of their three-word sequences."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from itertools import chain, count, pairwise
from typing import TYPE_CHECKING

import numpy as np

from runoff._util.text import gaps, words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

_SHINGLE = 3  # words
_FIRST = 8  # letters of a word
_MASKS = np.array([(1 << 8 * size) - 1 for size in range(_FIRST + 1)], np.uint64)
_MIX = np.uint64(0x9E3779B97F4A7C15)  # odd, so that the upper bits depend on all
_BITS = 56  # of a shingle's number; the 8 above them say how common it is
_COMMONEST = 255
_PER_SECOND = 5_000_000  # characters: a third of what one core reads


class _Late(Exception):
    """Time is up; `left` texts were not compared."""

    def __init__(self, left: int) -> None:
        super().__init__(left)
        self.left = left


def alike(
    texts: Sequence[str], least: float, seconds: float = math.inf
) -> tuple[dict[int, int], int]:
    """Map the place of each duplicate to the place of the earlier text that stands for it.

    Two texts are alike when they have the same words, or, with `least` below 1, when their sets of
    three-word sequences have at least this Jaccard similarity. Each text is compared with the
    earlier ones that are kept, and is a duplicate of the first that it is like. A blank text is
    never a duplicate.

    Args:
        texts: in order of rank.
        least: the similarity, above 0 and at most 1.
        seconds: how long this may take. Texts that are too long for it, and the last ones when time
            is up, are compared with no other.

    Returns:
        the duplicates, and how many texts were not compared.
    """
    until = time.monotonic() + seconds
    room, read = seconds * _PER_SECOND, []
    for place, text in enumerate(texts):
        if len(text) <= room:
            room -= len(text)
            read.append(place)
    found, left = _alike([texts[place] for place in read], least, until)
    heads = {read[place]: read[head] for place, head in found.items()}
    return heads, left + len(texts) - len(read)


def _alike(texts: Sequence[str], least: float, until: float) -> tuple[dict[int, int], int]:
    split = _split(texts, least)
    first: dict[str, int] = {}
    heads: dict[int, int] = {}
    for place, found in split.items():
        if found and (head := first.setdefault(" ".join(found), place)) != place:
            heads[place] = head
    if least == 1:
        return heads, 0
    distinct = {place: split[place] for place in first.values()}
    moved: dict[int, int] = {}
    left = 0
    try:
        for head, place in _near(distinct, least, every=False, until=until):
            moved[place] = head  # noqa: PERF403 - what was found before time is up is kept
    except _Late as late:
        left = late.left
    return {place: moved.get(head, head) for place, head in heads.items()} | moved, left


def near_pairs(texts: Sequence[str], least: float) -> list[tuple[int, int]]:
    """Return the places of every two near texts, for a `least` below 1.

    Texts with the same three or more words are near too. Each pair has the earlier place first, and
    pairs are ordered by their later place.
    """
    return list(_near(_split(texts, least), least, every=True))


def _split(texts: Sequence[str], least: float) -> dict[int, list[str]]:
    """Return the words of the texts that may be like another, by place."""
    folded = [text.casefold() for text in texts]
    places = range(len(texts)) if least == 1 else _possible(folded, least)
    return {place: words(folded[place]) for place in places}


def _possible(texts: Sequence[str], least: float) -> list[int]:
    """Return the places of texts that may be like another; most have too many words of their own.

    This needs no splitting: words are compared by their first letters, so that equal words always
    count as equal, and some different ones do too.
    """
    numbers, owner = _numbers(texts)
    numbers, owner = _shingles(numbers, owner, _MIX)
    sizes = np.bincount(owner, minlength=len(texts))
    lone = np.bincount(owner[_counts(numbers) == 1], minlength=len(texts))
    possible: list[int] = np.flatnonzero(lone <= sizes - _needed(sizes, least)).tolist()
    return possible


def _numbers(texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the first 8 letters of each word, by a byte each, and the place of its text."""
    text = "\n".join(["", *texts, " " * _FIRST])
    if text.isascii():
        letters = np.frombuffer(text.encode(), np.uint8)
    else:
        letters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    gap, alone = gaps(letters)
    edge = gap[:-1] | gap[1:] | alone[:-1] | alone[1:]
    starts = np.flatnonzero(edge & ~gap[1:]) + 1
    sizes = np.flatnonzero(edge & ~gap[:-1]) + 1 - starts
    windows = np.lib.stride_tricks.sliding_window_view(letters.astype(np.uint8), _FIRST)
    numbers = windows[starts].view("<u8").ravel() & _MASKS[np.minimum(sizes, _FIRST)]
    begins = np.cumsum([1, *(len(one) + 1 for one in texts)])
    return numbers, np.searchsorted(begins, starts, side="right") - 1


def _near(  # noqa: C901 - one loop whose steps share their state
    texts: Mapping[int, Sequence[str]], least: float, *, every: bool, until: float = math.inf
) -> Iterator[tuple[int, int]]:
    """Yield earlier and later place of near texts: of all, or of each with the first that stays.

    Two sets this similar share one of the first few of either, in any order that is the same for
    all (Bayardo, Ma and Srikant 2007: prefix filtering), and enough can follow it in both (Xiao,
    Wang, Lin and Yu 2008: positional filtering). Here the rare come first; those that occur in only
    one text come before all others and are only counted.

    Raises:
        _Late: the monotonic clock reached `until`.
    """
    places = [place for place, found in texts.items() if len(found) >= _SHINGLE]
    split = [texts[place] for place in places]
    number: defaultdict[str, int] = defaultdict(count().__next__)
    said = np.fromiter(map(number.__getitem__, chain.from_iterable(split)), np.uint64)
    sizes = np.array([len(found) for found in split], np.int64)
    owner = np.repeat(np.arange(len(split)), sizes)
    shingles, owner = _shingles(said, owner, np.uint64(len(number)))
    seen = _counts(shingles)
    lone = np.bincount(owner[seen == 1], minlength=len(split))
    # exact up to 400,000 different words; beyond, two shingles in 2**56 are taken for one
    shingles &= np.uint64((1 << _BITS) - 1)
    shingles |= seen.clip(max=_COMMONEST).astype(np.uint64) << np.uint64(_BITS)
    shingles, owner = shingles[seen > 1], owner[seen > 1]
    for start, end in _bounds(owner, len(split)):
        shingles[start:end].sort()
    new = np.ones(len(shingles), np.bool_)
    new[1:] = (shingles[1:] != shingles[:-1]) | (owner[1:] != owner[:-1])
    shingles, owner = shingles[new], owner[new]

    totals = lone + np.bincount(owner, minlength=len(split))
    firsts = totals - _needed(totals, least) + 1 - lone
    stay: dict[int, tuple[NDArray[np.uint64], int]] = {}
    having: dict[int, list[tuple[int, int]]] = {}  # shingle: texts that stay, and how many are left
    for place, (start, end) in enumerate(_bounds(owner, len(split))):
        if time.monotonic() > until:
            raise _Late(len(split) - place)
        own, total = shingles[start:end], int(totals[place])
        few = own[: max(0, firsts[place])].tolist()
        most: dict[int, int] = {}  # that an earlier text can have in common with this one
        for follow, shingle in zip(range(len(own), 0, -1), few, strict=False):
            for rival, others in having.get(shingle, ()):
                most.setdefault(rival, min(follow, others))
        for rival in sorted(most):
            if time.monotonic() > until:
                raise _Late(len(split) - place)
            theirs, size = stay[rival]
            if _jaccard(most[rival], total, size) < least:
                continue
            both = np.intersect1d(own, theirs, assume_unique=True).size
            if _jaccard(both, total, size) >= least:
                yield places[rival], places[place]
                if not every:
                    break
        else:
            stay[place] = own, total
            for follow, shingle in zip(range(len(own), 0, -1), few, strict=False):
                having.setdefault(shingle, []).append((place, follow))


def _shingles(
    numbers: NDArray[np.uint64], owner: NDArray[np.int64], base: np.uint64
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return a number for each three words in a row of one text, and the place of that text."""
    mixed = numbers[: 1 - _SHINGLE]
    for place in range(1, _SHINGLE):
        mixed = mixed * base + numbers[place : len(mixed) + place]
    within = owner[: len(mixed)] == owner[_SHINGLE - 1 :]
    return mixed[within], owner[: len(mixed)][within]


def _counts(shingles: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return how often each one occurs, or a little more, since some share a bin."""
    shift = 64 - (4 * len(shingles)).bit_length()
    bins = (shingles * _MIX >> np.uint64(shift)).view(np.int64)
    counted: NDArray[np.int64] = np.bincount(bins)[bins]
    return counted


def _bounds(owner: NDArray[np.int64], texts: int) -> Iterator[tuple[int, int]]:
    """Return where the shingles of each text start and end."""
    return pairwise(np.searchsorted(owner, np.arange(texts + 1)).tolist())


def _needed(sizes: NDArray[np.int64], least: float) -> NDArray[np.int64]:
    """Return how many shingles of each of these sets another must have to be this similar."""
    both: NDArray[np.int64] = np.ceil(least * sizes - 1e-9).astype(np.int64)
    return both


def _jaccard(both: int, one: int, other: int) -> float:
    return both / (one + other - both)
