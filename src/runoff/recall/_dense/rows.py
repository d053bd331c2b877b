"""Documents and their vectors: one thread writes at a time, any number read without a lock."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from runoff.recall._dense.kept import kept
from runoff.recall._dense.packed import Packed, packed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from runoff.recall._dense.kept import Vectors
    from runoff.recall._dense.packed import Stored
    from runoff.types import Document

_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class View:
    """What a search reads; it never changes, even when the rows do.

    Attributes:
        documents: one for each row; documents beyond the last row were added later.
        vectors: n of them, and perhaps some that were added later.
        lengths: the Euclidean length of each, shape (n,).
    """

    documents: Sequence[Document] = ()
    vectors: Vectors = field(default_factory=lambda: _nothing("float32"))
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
        self._vectors = _nothing(stored)
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
        copy._vectors = view.vectors.first(len(view.lengths), len(view.lengths))
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
        chosen = [
            row
            for row, one in enumerate(self._documents)
            if row in renewed or one.doc_id not in gone
        ]
        left = np.array(chosen, np.intp)
        self._documents = [renewed.get(row, self._documents[row]) for row in chosen]
        self._vectors = self._vectors.chosen(left)
        self._lengths = self._lengths[left]
        self._row = {one.doc_id: row for row, one in enumerate(self._documents)}

    def _append(self, documents: Sequence[Document], new: Packed) -> None:
        start, end = len(self._documents), len(self._documents) + len(documents)
        if start == 0:
            self._vectors, self._lengths = kept(new, self.stored), np.empty(end)
        else:
            if end > self._vectors.room:
                room = max(end, 2 * start)
                self._vectors = self._vectors.first(start, room)
                self._lengths = np.concatenate([self._lengths[:start], np.empty(room - start)])
            self._vectors.put(start, new)
        for first in range(0, len(documents), _AT_ONCE):
            part = slice(first, first + _AT_ONCE)
            wide = new.each(itemgetter(part)).wide()
            self._lengths[start:end][part] = np.sqrt((wide * wide).sum(axis=1))
        self._documents.extend(documents)
        self._row |= {one.doc_id: row for row, one in enumerate(documents, start)}

    def _publish(self) -> None:
        count = len(self._documents)
        self.view = View(self._documents, self._vectors, self._lengths[:count])


def _nothing(stored: Stored) -> Vectors:
    return kept(Packed.joined((), stored, 0), stored)
