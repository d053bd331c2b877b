"""The token vectors that one model made, in memory."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from runoff._tokens.frequencies import Frequencies

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from runoff._tokens.vectors import TokenVectors

OVERHEAD = 600  # bytes of one document besides its vectors
_RENEWED = 1.25  # frequencies are counted anew when a collection has grown or shrunk by this


def key_of(text: str) -> bytes:
    """Return what a text is stored under: 16 bytes of its SHA-256."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16]


class Counts:
    """In how many documents each token occurs, kept up to date.

    Args:
        documents: how many there are so far.
        counts: in how many of them each token occurs, by id; changed in place.
        last: what was shown before this.
    """

    def __init__(
        self,
        documents: int = 0,
        counts: NDArray[np.int64] | None = None,
        last: Counts | None = None,
    ) -> None:
        self.documents = documents
        self.counts = np.zeros(0, np.int64) if counts is None else counts
        self._shown: Frequencies | None = None if last is None else last._shown  # noqa: SLF001 - its own class

    def change(self, ids: NDArray[np.int32], by: int) -> None:
        """Count a document in (1) or out (-1)."""
        ordered = np.sort(ids)  # np.unique would import numpy.ma, which takes 20 ms
        found = ordered[np.flatnonzero(np.diff(ordered, prepend=-1))]
        if found.size and found[-1] >= len(self.counts):
            wider = np.zeros(max(int(found[-1]) + 1, 2 * len(self.counts)), np.int64)
            wider[: len(self.counts)] = self.counts
            self.counts = wider
        self.counts[found] += by
        self.documents += by

    def shown(self) -> Frequencies:
        """Return the frequencies, as they were until the collection has changed by a quarter.

        So scores do not move with every document, and a cache of scores remains of use.
        """
        held = self._shown
        if held is None or not (
            held.documents / _RENEWED < self.documents < held.documents * _RENEWED
        ):
            held = self._shown = Frequencies(self.documents, self.counts.copy())
        return held


class Shelf:
    """Documents by key, the least recently used first."""

    def __init__(self) -> None:
        self.held: OrderedDict[bytes, TokenVectors] = OrderedDict()
        self.counts = Counts()
        self.nbytes = 0

    def get(self, keys: Iterable[bytes]) -> list[TokenVectors | None]:
        """Return what there is under these keys."""
        found = []
        for key in keys:
            one = self.held.get(key)
            if one is not None:
                self.held.move_to_end(key)
            found.append(one)
        return found

    def put(self, entries: Mapping[bytes, TokenVectors]) -> None:
        """Add documents; those that are there stay as they are."""
        for key, one in entries.items():
            if key not in self.held:
                self.held[key] = one
                self.nbytes += one.nbytes + OVERHEAD
                self.counts.change(one.ids, 1)

    def drop(self, keys: Sequence[bytes]) -> int:
        """Delete documents, and return how many there were."""
        dropped = 0
        for key in keys:
            one = self.held.pop(key, None)
            if one is not None:
                dropped += 1
                self.nbytes -= one.nbytes + OVERHEAD
                self.counts.change(one.ids, -1)
        return dropped

    def frequencies(self) -> Frequencies:
        """Return in how many documents each token occurs."""
        return self.counts.shown()

    def __len__(self) -> int:
        """Return the number of documents."""
        return len(self.held)

    def shrink(self, most: int) -> int:
        """Delete the least recently used until at most so many bytes are left; return how many."""
        dropped = 0
        while self.nbytes > most and self.held:
            dropped += self.drop([next(iter(self.held))])
        return dropped
