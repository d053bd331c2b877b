"""Changes that no search has seen yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runoff.errors import DuplicateId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from runoff.recall._bm25.segment import Segment
    from runoff.recall._bm25.snapshot import Snapshot
    from runoff.types import Document


class Pending:
    """Documents to add, replace and delete; the last change of an id counts."""

    def __init__(self) -> None:
        self._batches: list[Segment] = []
        self._added: dict[str, tuple[int, int]] = {}  # the batch and the row of a new document
        self._removed: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._batches or self._removed)

    def put(self, batch: Segment, rows: Sequence[int]) -> None:
        """Add these documents of a batch, or replace those with their ids."""
        self._added |= {batch.ids[row]: (len(self._batches), row) for row in rows}
        if rows:
            self._batches.append(batch)

    def remove(self, ids: Iterable[str]) -> None:
        for one in ids:
            self._added.pop(one, None)
            self._removed.add(one)

    def document(self, doc_id: str, snapshot: Snapshot) -> Document | None:
        """Return the document that has this id after the changes to a snapshot, or None."""
        if doc_id in self._added:
            batch, row = self._added[doc_id]
            return self._batches[batch].documents[row]
        return None if doc_id in self._removed else snapshot.document(doc_id)

    def has(self, doc_id: str, snapshot: Snapshot) -> bool:
        """Whether a document has this id after the changes to a snapshot."""
        return doc_id in self._added or (doc_id not in self._removed and doc_id in snapshot)

    def applied(self, snapshot: Snapshot) -> Snapshot:
        """Return a snapshot after the changes."""
        return snapshot.changed(self._batches, self._added, self._removed)


def new_rows(batch: Segment, get: Callable[[str], Document | None]) -> Iterator[int]:
    """Yield the rows of the documents that are not in an index.

    Raises:
        DuplicateId: an id is known with another text.
    """
    for row, doc_id in enumerate(batch.ids):
        known = get(doc_id)
        if known is None:
            yield row
        elif known.text != batch.documents[row].text:
            remedy = "is in the index with another text: use update() to replace it"
            raise DuplicateId("doc_id", doc_id, remedy)
