"""Sources as users hand them over: one, several in a list, or several by name; or ready hits."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runoff.errors import InvalidArgument
from runoff.protocols import Warmable

if TYPE_CHECKING:
    from collections.abc import Callable

    from runoff.deadline import Deadline
    from runoff.protocols import RecallSource
    from runoff.types import Hit, Query

logger = logging.getLogger("runoff")
_WIDEN = 4


@dataclass(frozen=True, slots=True)
class Given:
    """Hits that were passed to a reranker, in the order given.

    Results of a pipeline over these alone share their metadata with what was given: the adapter
    that made the hits returns copies of its framework's own objects.

    Attributes:
        hits: the hits, best first.
    """

    hits: Sequence[Hit]
    keeps_deadline = True

    def retrieve(
        self,
        query: Query,
        *,
        depth: int,
        deadline: Deadline | None = None,  # noqa: ARG002 - the hits are there already
    ) -> Sequence[Hit]:
        """Return the first `depth` hits that match the query's filters."""
        if query.filters is None:
            return self.hits[:depth]
        kept = [hit for hit in self.hits if query.filters.matches(hit.document.metadata)]
        if len(kept) < len(self.hits):
            logger.warning(
                "%d of %d documents given to the reranker were outside the filter and were left "
                "out: apply the filter in recall too, or use two_stage(...), which does",
                len(self.hits) - len(kept),
                len(self.hits),
            )
        return kept[:depth]

    async def aretrieve(
        self, query: Query, *, depth: int, deadline: Deadline | None = None
    ) -> Sequence[Hit]:
        """Do what `retrieve` does; nothing is waited for."""
        return self.retrieve(query, depth=depth, deadline=deadline)


@dataclass(frozen=True, slots=True)
class Current:
    """A source beside a store of the same documents, whose metadata decides who may see them.

    A document whose metadata was changed in the store alone is still found by the source's old
    metadata; it is left out if the store's are outside the filter. Documents that the store does
    not know by their id cannot be checked.

    Attributes:
        source: the source, such as a BM25 index.
        stored: returns the store's metadata by id, for the ids that it can be asked about.
    """

    source: RecallSource
    stored: Callable[[list[str]], Mapping[str, Mapping[str, Any]]]

    def retrieve(
        self, query: Query, *, depth: int, deadline: Deadline | None = None
    ) -> Sequence[Hit]:
        """Return at most `depth` hits of the source, best first."""
        wanted, wide = query.filters, depth
        while True:
            hits = self.source.retrieve(query, depth=wide, deadline=deadline)
            if wanted is None or not hits:
                return hits
            there = self.stored([hit.doc_id for hit in hits])
            kept = [
                hit for hit in hits if hit.doc_id not in there or wanted.matches(there[hit.doc_id])
            ]
            if len(kept) == len(hits) or len(kept) >= depth or len(hits) < wide:
                break
            wide *= _WIDEN
        if len(kept) < len(hits):
            logger.warning(
                "%d documents found by BM25 were left out: by their metadata in the vector store "
                "they are outside the filter, so BM25's metadata is out of date; update both "
                "together",
                len(hits) - len(kept),
            )
        return kept[:depth]

    def warmup(self) -> None:
        if isinstance(self.source, Warmable):
            self.source.warmup()


def by_name(argument: str, given: Any, name_of: Callable[[object], str]) -> dict[str, Any]:  # noqa: ANN401 - the adapter checks the parts
    """Return what a user gave as a dict of names and parts.

    Args:
        argument: what the user knows it by.
        given: one part, several in a list or tuple, or a mapping of names to parts.
        name_of: names a part that has none; a second part of that name gets `-2`.

    Raises:
        InvalidArgument: there are no parts, or a name is not a non-empty string.
    """
    if isinstance(given, Mapping):
        named = dict(given)
        wrong = next((name for name in named if not isinstance(name, str) or not name), None)
        if wrong is not None or "" in named:
            raise InvalidArgument(argument, wrong, "a name must be a non-empty string")
    elif isinstance(given, list | tuple):
        named = {}
        for part in given:
            name, seen = name_of(part), 1
            while name in named:
                seen += 1
                name = f"{name_of(part)}-{seen}"
            named[name] = part
    else:
        named = {name_of(given): given}
    if not named:
        raise InvalidArgument(argument, given, "needs at least one retriever")
    return named


def cannot_widen(name: str, retriever: object, depth: int) -> str:
    """Return the warning for a retriever that cannot be asked for more than it returns now."""
    kind = type(retriever).__name__
    which = kind if name == kind else f"{name!r} ({kind})"
    return (
        f"the recall of {which} cannot be widened to {depth} documents: configure it to return "
        "more, or the second stage has few to choose from"
    )
