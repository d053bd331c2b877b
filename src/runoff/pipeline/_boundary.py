"""Filters are a boundary: every hit is checked once more before fusion, and results are isolated.

A source may ignore `query.filters`, or honour them by metadata that is out of date. What does not
match is left out here, and the user is told which source returned it.
"""

from __future__ import annotations

import logging
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any

from runoff._util.isolated import isolated
from runoff._util.messages import number_of
from runoff.errors import BadReply
from runoff.types import Candidate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runoff.filters import Filter
    from runoff.types import Document, Hit, Reranking

logger = logging.getLogger("runoff")


def joined(*filters: Filter | None) -> Filter | None:
    """Return the filter that keeps what all of them keep; None if there are no filters.

    Raises:
        InvalidArgument: one of them is something else.
    """
    given = [one for one in filters if one is not None]
    if not given:
        return None
    from runoff.filters import And, Filter  # noqa: PLC0415 - keeps `import runoff` quick

    parts: dict[Filter, None] = {}
    for one in given:
        if not isinstance(one, Filter):
            And(one)  # says what a filter is
        parts |= dict.fromkeys(one.filters if isinstance(one, And) else (one,))
    return next(iter(parts)) if len(parts) == 1 else And(*parts)


def within(
    rankings: Mapping[str, Sequence[Hit]], wanted: Filter
) -> tuple[dict[str, Sequence[Hit]], list[str]]:
    """Return the hits that match a filter, and a note about each source that returned others.

    Where two sources disagree about the metadata of one document, it is left out of both: one of
    them is out of date. A copy without any metadata says nothing about the other source's copy.
    """
    kept: dict[str, list[Hit]] = {}
    leaked: dict[str, int] = {}
    outside: set[str] = set()
    for name, hits in rankings.items():
        kept[name] = []
        for hit in hits:
            document = hit.document
            if wanted.matches(document.metadata):
                kept[name].append(hit)
                continue
            leaked[name] = leaked.get(name, 0) + 1
            if document.own_id and document.metadata:
                outside.add(document.doc_id)
    notes = [_leak(name, count) for name, count in leaked.items()]
    for name, hits in kept.items() if outside else ():
        left = [hit for hit in hits if not (hit.document.own_id and hit.doc_id in outside)]
        if len(left) < len(hits):
            notes.append(_stale(name, len(hits) - len(left)))
            kept[name] = left
    for note in notes:
        logger.warning("%s", note)
    return {**kept}, notes


def _leak(name: str, count: int) -> str:
    return (
        f"source {name!r} returned {number_of(count, 'document')} outside the filter, which "
        f"{'was' if count == 1 else 'were'} left out: the source must honour query.filters and "
        "return the metadata that they read"
    )


def _stale(name: str, count: int) -> str:
    return (
        f"{number_of(count, 'document')} of source {name!r} left out: another source has "
        "metadata for "
        f"{'it' if count == 1 else 'them'} that is outside the filter, so that {name!r} may be out "
        "of date"
    )


def check_documents(
    reranking: Reranking, given: Sequence[Candidate], wanted: Filter | None
) -> None:
    """Check what the second stage returned in place of the documents that it was given.

    It may rewrite a document's text, but not replace the document by another, nor change its
    metadata so that the filter no longer keeps it.

    Raises:
        BadReply: a document is another one, or is outside the filter.
    """
    documents = {one.key: one.document for one in given}
    returned = [one.candidate for one in reranking.ordered]
    returned += [one.candidate for one in reranking.dropped]
    for candidate in (*returned, *reranking.unscored):
        document, known = candidate.document, documents[candidate.key]
        if document is known:
            continue
        if document.doc_id != known.doc_id:
            msg = f"the reranker was given {known.doc_id!r} and returned {document.doc_id!r}"
            raise BadReply(msg)
        if wanted is not None and not wanted.matches(document.metadata):
            msg = f"the reranker returned {document.doc_id!r} with metadata outside the filter"
            raise BadReply(msg)


def isolate(candidate: Candidate) -> Candidate:
    """Return a candidate whose metadata, and that of those grouped under it, is its own copy."""
    grouped = candidate.grouped
    return Candidate(
        _copy(candidate.document), candidate.key, candidate.fusion_score, candidate.fusion_rank,
        candidate.placements, tuple(map(isolate, grouped)) if grouped else (),
    )  # fmt: skip


def _copy(document: Document) -> Document:
    """Return a document with metadata of its own; its fields were checked when it was made."""
    kind: Any = type(document)
    own: Document = object.__new__(kind)
    for read, write in _slots(kind):
        write(own, read(document))
    if hasattr(document, "__dict__"):  # of a subclass without slots
        own.__dict__.update(document.__dict__)
    object.__setattr__(own, "metadata", isolated(document.metadata))
    return own


@cache
def _slots(kind: Any) -> tuple[tuple[Any, Any], ...]:  # noqa: ANN401 - a dataclass
    """Return the functions that read and write each slot of a kind of document but `metadata`."""
    names = [one.name for one in fields(kind) if one.name != "metadata"]
    slots: list[Any] = [getattr(kind, name, None) for name in names]
    return tuple((one.__get__, one.__set__) for one in slots if hasattr(one, "__set__"))
