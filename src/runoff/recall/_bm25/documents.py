"""Documents as an index receives and stores them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

from runoff.errors import DuplicateId
from runoff.recall._arguments import as_documents
from runoff.types import Document

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from runoff.recall._arguments import Given
    from runoff.recall._bm25.bm25 import BM25

__all__ = ["Documents", "taken_over", "unique_documents"]


def unique_documents(documents: Iterable[Given]) -> list[Document]:
    """Return documents with each id once.

    Raises:
        InvalidArgument: `documents` is not an iterable of documents, strings or pairs.
        DuplicateId: an id is given twice with different texts.
    """
    unique: dict[str, Document] = {}
    for document in as_documents(documents):
        known = unique.setdefault(document.doc_id, document)
        if known.text != document.text:
            raise DuplicateId("doc_id", document.doc_id, "was given twice with different texts")
    return list(unique.values())


def taken_over(bm25: BM25, documents: Sequence[Document]) -> tuple[int, int]:
    """Make an index hold these documents alone; return how many were (added, removed).

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
        stored: the documents of a saved index.
    """

    __slots__ = ("_entries", "_stored")

    def __init__(
        self, entries: Sequence[Document | int], stored: Sequence[Document] | None = None
    ) -> None:
        self._entries = entries
        self._stored = stored

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the documents themselves, not the file that they are read from."""
        return type(self), ([*self],)

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, index: int) -> Document: ...
    @overload
    def __getitem__(self, index: slice) -> Documents: ...
    def __getitem__(self, index: int | slice) -> Document | Documents:
        if isinstance(index, slice):
            return Documents(self._entries[index], self._stored)
        entry = self._entries[index]
        if isinstance(entry, Document):
            return entry
        assert self._stored is not None  # noqa: S101 - for mypy: only a stored corpus has places
        return self._stored[entry]

    def at(self, rows: Sequence[int]) -> list[Document]:
        """Return the documents at these places."""
        if self._stored is None:
            return [*map(self._entries.__getitem__, rows)]  # type: ignore[list-item]
        return [self[row] for row in rows]

    def rearranged(
        self, rows: NDArray[np.int64], added: Sequence[Document], order: Sequence[int]
    ) -> Documents:
        """Return the documents at `rows`, then `added`, in the order given."""
        entries = [self._entries[row] for row in rows.tolist()]
        entries.extend(added)
        return Documents([entries[place] for place in order], self._stored)
