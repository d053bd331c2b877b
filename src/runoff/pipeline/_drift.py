"""Whether a store was changed without the BM25 index beside it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from collections.abc import Set as AbstractSet

    from runoff.deadline import Deadline
    from runoff.protocols import RecallSource
    from runoff.types import Document, Hit, Query

Refresh: TypeAlias = Literal["manual", "auto"]

_logger = logging.getLogger("runoff")
_SAMPLE = 50
_REMEDY = 'call sync(), or make the retriever with refresh="auto"'


@dataclass(slots=True)
class Drift:
    """How many more documents a store has than BM25; if that changes, only one of them was updated.

    Attributes:
        more: the difference when both were last known to agree; None for a store that cannot be
            counted at no cost.
    """

    more: int | None = None

    def agree(self, stored: int | None, indexed: int) -> None:
        """Note that both hold the same documents now."""
        self.more = None if stored is None else stored - indexed

    def has_come(self, stored: int | None, indexed: int, refresh: Refresh) -> bool:
        """Whether to update BM25 now; if `refresh` is "manual", log a warning instead."""
        if self.more is None or stored is None or stored - indexed == self.more:
            return False
        if refresh == "manual":
            _logger.warning(
                "the store was changed without BM25: it has %s documents, and BM25 has %d; %s",
                stored, indexed, _REMEDY,
            )  # fmt: skip
            self.agree(stored, indexed)  # one warning for each change
        return refresh == "auto"


_known: WeakKeyDictionary[Any, WeakKeyDictionary[Any, Drift]] = WeakKeyDictionary()


def drift_between(index: object, store: object) -> Drift:
    """Return what is known of an index and a store.

    It is one for both, whichever retriever asks: frameworks copy a retriever, or make it again for
    every call, and the copy must not take what has come meanwhile for what was agreed.
    """
    return _known.setdefault(index, WeakKeyDictionary()).setdefault(store, Drift())


@dataclass(frozen=True, slots=True)
class Present:
    """A source without the documents that are no longer in the store beside it.

    Attributes:
        source: the source.
        absent: returns which of these ids the store does not have.
    """

    source: RecallSource
    absent: Callable[[list[str]], AbstractSet[str]]

    def retrieve(
        self, query: Query, *, depth: int, deadline: Deadline | None = None
    ) -> Sequence[Hit]:
        """Return the source's hits that are still in the store, at most `depth`."""
        hits = self.source.retrieve(query, depth=depth, deadline=deadline)
        gone = self.absent([hit.doc_id for hit in hits])
        if not gone:
            return hits
        _logger.warning(
            "%d documents found by BM25 were left out: they are no longer in the store; %s",
            len(gone), _REMEDY,
        )  # fmt: skip
        return [hit for hit in hits if hit.doc_id not in gone]

    def warmup(self) -> None:
        warmup = getattr(self.source, "warmup", None)
        if callable(warmup):
            warmup()


def check_overlap(
    indexed: Sequence[Document], absent: Callable[[list[str]], AbstractSet[str]]
) -> None:
    """Log a warning if BM25's ids are not the store's, as when one holds chunks of the other's.

    Args:
        indexed: BM25's documents; the first ids are looked up.
        absent: returns which of these ids the store does not have.
    """
    sample = [one.doc_id for one in indexed[:_SAMPLE]]
    gone = absent(sample)
    if not sample or len(gone) <= len(sample) // 2:
        return
    _logger.warning(
        "%d of %d ids in BM25, such as %r, are not in the store: if BM25 holds whole documents "
        "and the store holds chunks of them, an answer can contain both; index the same nodes in "
        "both",
        len(gone), len(sample), min(gone),
    )  # fmt: skip
