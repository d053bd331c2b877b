"""Documents as an index receives and stores them."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import merge
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar, overload

from runoff.recall._bm25.spool import Spool
from runoff.types import Document

if TYPE_CHECKING:
    from runoff.recall._bm25.bm25 import BM25

_T = TypeVar("_T")


def taken_over(bm25: BM25, documents: Sequence[Document]) -> tuple[int, int]:
    """Make an index hold exactly these documents; return how many were (added, removed).

    Documents whose text or metadata has changed are replaced.
    """
    there = {one.doc_id for one in documents}
    gone = [one.doc_id for one in bm25.documents() if one.doc_id not in there]
    changed, new = [], 0
    for one in documents:
        known = bm25.get(one.doc_id)
        new += known is None
        if known is None or known.text != one.text or dict(known.metadata) != dict(one.metadata):
            changed.append(one)
    bm25.update(changed)
    bm25.delete(gone)
    return new, len(gone)


class Documents(Sequence[Document]):
    """Documents in the order of their ids, in memory or read from a file on access.

    Args:
        entries: documents, or places in `stored`.
        stored: the documents of a saved index, or those that were spooled.
    """

    __slots__ = ("entries", "stored")

    def __init__(
        self, entries: Sequence[Document | int], stored: Sequence[Document] | None = None
    ) -> None:
        self.entries = entries
        self.stored = stored

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the documents themselves, not the file that they are read from."""
        if isinstance(self.stored, Spool):
            return _spooled, ([*self], self.stored)
        return type(self), ([*self],)

    def __len__(self) -> int:
        return len(self.entries)

    @overload
    def __getitem__(self, index: int) -> Document: ...
    @overload
    def __getitem__(self, index: slice) -> Documents: ...
    def __getitem__(self, index: int | slice) -> Document | Documents:
        if isinstance(index, slice):
            return Documents(self.entries[index], self.stored)
        entry = self.entries[index]
        if isinstance(entry, Document):
            return entry
        assert self.stored is not None  # noqa: S101 - for mypy: only a stored corpus has places
        return self.stored[entry]

    def at(self, rows: Sequence[int]) -> list[Document]:
        if self.stored is None:
            return [*map(self.entries.__getitem__, rows)]  # type: ignore[list-item]
        return [self[row] for row in rows]

    def spooled(self, spool: Spool) -> Documents:
        """Return the same documents, kept in a file."""
        return _spooled(self, spool)

    def rearranged(self, order: Sequence[int]) -> Documents:
        return Documents([self.entries[one] for one in order], self.stored)

    def spliced(
        self,
        gone: Sequence[int],
        before: Sequence[int],
        others: Sequence[Documents],
        joining: Sequence[tuple[int, int]],
    ) -> Documents:
        """Return the documents without those at the places `gone`, with others inserted.

        Args:
            gone: ascending.
            before: the place here before which each of the others is inserted, ascending.
            others: documents in memory, or stored where these are.
            joining: which of the others, and its place there.
        """
        stored = next((one.stored for one in (self, *others) if one.stored is not None), None)
        new = [others[one].entries[place] for one, place in joining]
        return Documents(spliced(self.entries, gone, before, new), stored)


def _spooled(documents: Sequence[Document], spool: Spool) -> Documents:
    """Return documents that are kept in a file; pickles name this function."""
    return Documents([spool.append(one) for one in documents], spool)


def spliced(
    old: Sequence[_T], gone: Sequence[int], before: Sequence[int], new: Sequence[_T]
) -> list[_T]:
    """Return `old` without the places `gone`, with `new[i]` inserted before the place `before[i]`.

    Both lists of places ascend. Whole stretches are copied at once, so few changes are made fast.
    """
    inserted = ((place, False, one) for place, one in zip(before, new, strict=True))
    removed = ((place, True, None) for place in gone)
    made: list[_T] = []
    start = 0
    for place, is_removed, one in merge(inserted, removed, key=itemgetter(0, 1)):
        made.extend(old[start:place])
        start = place + is_removed
        if not is_removed:
            made.append(one)  # type: ignore[arg-type]
    made.extend(old[start:])
    return made
