"""Documents that were indexed together, and their counts; nothing in it changes."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import OrderedDict
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from runoff.errors import DuplicateId
from runoff.recall._arguments import as_documents
from runoff.recall._bm25.documents import Documents, spliced
from runoff.recall._bm25.postings import Counts, Postings, join

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from runoff.filters import Filter
    from runoff.recall._analyzers import Analyzer
    from runoff.recall._arguments import Given
    from runoff.recall._bm25.spool import Spool
    from runoff.types import Document

_MASKS = 64


class Segment:
    """Documents in the order of their ids, and how often their terms occur.

    Nothing but the cache of filter masks ever changes, so any number of threads may read it.

    Args:
        ids: ascending; row i is document i.
        documents: in the order of `ids`.
        postings: the counts of their terms.
        stops: the counts of stop words; an index saved without them has no terms here.
    """

    def __init__(
        self, ids: Sequence[str], documents: Documents, postings: Postings, stops: Postings
    ) -> None:
        self.ids = ids
        self.documents = documents
        self.postings = postings
        self.stops = stops
        self.numbers = {term: number for number, term in enumerate(postings.terms)}
        self.stop_numbers = {term: number for number, term in enumerate(stops.terms)}
        self._masks: OrderedDict[Filter, NDArray[np.bool_]] = OrderedDict()
        self._masks_lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ([*self.ids], self.documents, self.postings, self.stops)

    @classmethod
    def of(
        cls, documents: Iterable[Given], analyzer: Analyzer, spool: Spool | None = None
    ) -> Segment:
        """Analyze documents, and keep them in memory or in a spool.

        Raises:
            InvalidArgument: `documents` is not an iterable of documents, strings or pairs.
            DuplicateId: an id is given twice with different texts.
        """
        counts = Counts(analyzer)
        rows: dict[str, int] = {}
        entries: list[Document | int] = []
        kept = Documents(entries, spool)
        for document in as_documents(documents):
            row = rows.setdefault(document.doc_id, len(entries))
            if row == len(entries):
                entries.append(document if spool is None else spool.append(document))
                counts.add(document.text)
            elif kept[row].text != document.text:
                raise DuplicateId("doc_id", document.doc_id, "was given twice with different texts")
        ids, (postings, stops) = list(rows), counts.postings()
        if all(one < other for one, other in pairwise(ids)):
            return cls(ids, kept, postings, stops)
        order = sorted(range(len(ids)), key=ids.__getitem__)
        place = np.empty(len(ids), dtype=np.int64)
        place[order] = np.arange(len(ids))
        return cls(
            [ids[one] for one in order],
            kept.rearranged(order),
            join([(postings, place)], len(ids)),
            join([(stops, place)], len(ids)),
        )

    def __len__(self) -> int:
        return len(self.ids)

    def row(self, doc_id: str) -> int | None:
        row = bisect_left(self.ids, doc_id)
        return row if row < len(self.ids) and self.ids[row] == doc_id else None

    def document(self, doc_id: str) -> Document | None:
        """Return the document with this id, or None."""
        row = self.row(doc_id)
        return None if row is None else self.documents[row]

    def rows(self, ids: Collection[str]) -> NDArray[np.int32]:
        """Return the rows of the documents that have one of these ids, ascending."""
        return np.array(
            sorted({row for one in ids if (row := self.row(one)) is not None}), np.int32
        )

    def changed(
        self,
        batches: Sequence[Segment],
        added: Mapping[str, tuple[int, int]],
        gone: NDArray[np.int32],
    ) -> Segment:
        """Return this segment after documents are added, replaced and deleted.

        Args:
            batches: segments that have the added documents.
            added: the ids to add, each with its batch and its row there; other documents of a batch
                are ignored.
            gone: the rows here to leave out, ascending; those that are replaced among them.
        """
        names = sorted(added)
        before = np.array([bisect_left(self.ids, one) for one in names], dtype=np.int64)
        size = len(self.ids)
        left_out = np.zeros(size + 1, dtype=np.int64)
        left_out[gone] = 1
        lost = np.cumsum(left_out) - left_out  # how many are left out before each row
        place = before - lost[before] + np.arange(len(names))
        moved = np.arange(size) - lost[:-1]
        moved += np.cumsum(np.bincount(before, minlength=size + 1))[:size]
        moved[gone] = -1

        targets = [np.full(len(one), -1, dtype=np.int64) for one in batches]
        for name, target in zip(names, place.tolist(), strict=True):
            batch, row = added[name]
            targets[batch][row] = target
        total = size - gone.size + len(names)
        postings, stops = (
            join([(held, moved), *zip(new, targets, strict=True)], total)
            for held, new in (
                (self.postings, [one.postings for one in batches]),
                (self.stops, [one.stops for one in batches]),
            )
        )
        joining = [added[name] for name in names]
        return Segment(
            spliced(self.ids, gone.tolist(), before.tolist(), names),
            self.documents.spliced(
                gone.tolist(), before.tolist(), [one.documents for one in batches], joining
            ),
            postings,
            stops,
        )

    def mask(self, condition: Filter) -> NDArray[np.bool_]:
        """Return which documents a filter keeps, cached for the filters used last."""
        with self._masks_lock:
            mask = self._masks.get(condition)
            if mask is not None:
                self._masks.move_to_end(condition)
                return mask
        mask = np.fromiter(
            (condition.matches(one.metadata) for one in self.documents),
            dtype=np.bool_,
            count=len(self.documents),
        )
        with self._masks_lock:
            self._masks[condition] = mask
            if len(self._masks) > _MASKS:
                self._masks.popitem(last=False)
        return mask
