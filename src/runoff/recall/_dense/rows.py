"""Documents and their vectors: one thread writes at a time, any number read without a lock."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from runoff.recall._dense.packed import Packed, packed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from runoff.recall._dense.packed import Stored
    from runoff.types import Document

_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class View:
    """What a search reads; it never changes, even when the rows do.

    Attributes:
        documents: one for each row; documents beyond the last row were added later.
        packed: n vectors.
        lengths: the Euclidean length of each, shape (n,).
    """

    documents: Sequence[Document] = ()
    packed: Packed = field(default_factory=lambda: Packed.joined((), "float32", 0))
    lengths: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))


class Rows:
    """Documents by id, most of them with a vector.

    Rows are appended in place behind those that readers see, in buffers that double when full, so
    adding one by one stays cheap. Replacing and deleting copies the remaining rows. The caller must
    make sure that only one thread writes at a time.

    Args:
        unit: whether vectors are scaled to length 1.
        stored: the type of their numbers.
    """

    def __init__(self, *, unit: bool, stored: Stored) -> None:
        self._unit = unit
        self.stored: Stored = stored
        self._documents: list[Document] = []
        self._packed = Packed.joined((), stored, 0)
        self._lengths = np.zeros(0)
        self._row: dict[str, int] = {}
        self._without: dict[str, Document] = {}
        self.view = View()

    def __len__(self) -> int:
        """Return the number of documents, with a vector or without."""
        return len(self._row) + len(self._without)

    def __contains__(self, doc_id: object) -> bool:
        return doc_id in self._row or doc_id in self._without

    def get(self, document: Document) -> Document | None:
        """Return the stored document of the same id."""
        row = self._row.get(document.doc_id)
        return self._without.get(document.doc_id) if row is None else self._documents[row]

    def packed(self, vectors: NDArray[np.floating]) -> Packed:
        """Return vectors as they are stored."""
        return packed(vectors, self.stored, unit=self._unit)

    def put(
        self,
        documents: Sequence[Document],
        vectors: Packed,
        *,
        same_vector: Sequence[Document] = (),
        without: Sequence[Document] = (),
    ) -> None:
        """Add documents or replace those with the same id; no id occurs twice.

        Args:
            documents: documents with new vectors.
            vectors: their vectors, made by `packed`.
            same_vector: documents that keep their stored vector, or have none as before.
            without: documents without a vector.
        """
        renewed = {self._row[one.doc_id]: one for one in same_vector if one.doc_id in self._row}
        bare = [*without, *(one for one in same_vector if one.doc_id in self._without)]
        gone = {one.doc_id for one in (*documents, *without)} & self._row.keys()
        if renewed or gone:
            self._rebuild(gone, renewed)
        for one in documents:
            self._without.pop(one.doc_id, None)
        self._without |= {one.doc_id: one for one in bare}
        if len(documents):
            self._append(documents, vectors)
        self._publish()

    def drop(self, doc_ids: set[str]) -> int:
        """Delete documents by id, and return how many were deleted."""
        before = len(self)
        gone = doc_ids & self._row.keys()
        if gone:
            self._rebuild(gone, {})
            self._publish()
        for doc_id in doc_ids & self._without.keys():
            del self._without[doc_id]
        return before - len(self)

    def copy(self) -> Rows:
        """Return the same rows in buffers of their own, without room for more."""
        copy = Rows(unit=self._unit, stored=self.stored)
        view = self.view
        copy._documents = list(self._documents[: len(view.lengths)])
        copy._packed = view.packed.each(np.copy)
        copy._lengths = view.lengths.copy()
        copy._row, copy._without = dict(self._row), dict(self._without)
        copy._publish()
        return copy

    def __deepcopy__(self, memo: object) -> Rows:
        return self.copy()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore pickled rows; a view is of the buffers, not a second copy of them."""
        vars(self).update(state)
        self._publish()

    def __getstate__(self) -> dict[str, Any]:
        return {name: one for name, one in vars(self).items() if name != "view"}

    def _rebuild(self, gone: set[str], renewed: dict[int, Document]) -> None:
        left = [
            row
            for row, one in enumerate(self._documents)
            if row in renewed or one.doc_id not in gone
        ]
        count = len(self._documents)
        self._documents = [renewed.get(row, self._documents[row]) for row in left]
        self._packed = self._packed.each(lambda one: one[:count][left])
        self._lengths = self._lengths[:count][left]
        self._row = {one.doc_id: row for row, one in enumerate(self._documents)}

    def _append(self, documents: Sequence[Document], new: Packed) -> None:
        start, end = len(self._documents), len(self._documents) + len(documents)
        if start == 0:
            self._packed, self._lengths = new, np.empty(end)
        elif end > len(self._lengths):
            room = max(end, 2 * start)
            self._packed = self._packed.each(lambda one: _with_room(one, start, room))
            self._lengths = _with_room(self._lengths, start, room)
        for column, added in zip(self._packed, new, strict=True):
            column[start:end] = added
        for first in range(start, end, _AT_ONCE):
            part = slice(first, min(first + _AT_ONCE, end))
            wide = self._packed.each(itemgetter(part)).wide()
            self._lengths[part] = np.sqrt((wide * wide).sum(axis=1))
        self._documents.extend(documents)
        self._row |= {one.doc_id: row for row, one in enumerate(documents, start)}

    def _publish(self) -> None:
        count = len(self._documents)
        vectors = self._packed.each(itemgetter(slice(count)))
        self.view = View(self._documents, vectors, self._lengths[:count])


def _with_room(column: NDArray[Any], count: int, room: int) -> NDArray[Any]:
    """Return a larger column with the same first rows."""
    larger = np.empty((room, *column.shape[1:]), column.dtype)
    larger[:count] = column[:count]
    return larger
