"""What queries and judgments must be to make a collection, and what is odd about them."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import TYPE_CHECKING

from runoff._util.messages import short_repr
from runoff._util.text import text_key
from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from runoff.types import Document

__all__ = ["check_queries", "checked_grades", "oddities", "unlisted"]

_NAMED = 3  # examples in a note
_MOST = 1_000_000  # a grade


def check_queries(queries: Mapping[str, str]) -> None:
    """Refuse queries that are no texts by id.

    Raises:
        InvalidArgument: an id or a text is no non-empty string.
    """
    if not isinstance(queries, Mapping):
        raise InvalidArgument("queries", queries, "must map query ids to texts")
    for query_id, text in queries.items():
        if not isinstance(query_id, str) or not query_id:
            raise InvalidArgument("queries", query_id, "query ids must be non-empty strings")
        if not isinstance(text, str) or not text.strip():
            raise InvalidArgument("queries", text, f"must be a text (query {query_id!r})")


def checked_grades(query_id: str, judged: Mapping[str, int]) -> dict[str, int]:
    """Return the grades of one query as plain numbers.

    Raises:
        InvalidArgument: an id is no non-empty string, or a grade is no whole number within a
            million.
    """
    if not isinstance(judged, Mapping):
        raise InvalidArgument("qrels", judged, f"must map ids to grades (query {query_id!r})")
    found: dict[str, int] = {}
    for doc_id, grade in judged.items():
        if not isinstance(doc_id, str) or not doc_id:
            remedy = f"document ids must be non-empty strings (query {query_id!r})"
            raise InvalidArgument("qrels", doc_id, remedy)
        try:
            found[doc_id] = operator.index(grade)
        except TypeError:
            remedy = f"must be a whole number (query {query_id!r}, document {doc_id!r})"
            raise InvalidArgument("qrels", grade, remedy) from None
        # trec_eval counts every grade up to the highest, and overflows in the end
        if abs(found[doc_id]) > _MOST:
            remedy = f"must be within {_MOST:,} (query {query_id!r}, document {doc_id!r})"
            raise InvalidArgument("qrels", grade, remedy)
    return found


def oddities(
    queries: Mapping[str, str],
    qrels: Mapping[str, Mapping[str, int]],
    documents: Mapping[str, Document] | None,
) -> Iterator[str]:
    """Yield what is odd about the data, as sentences."""
    unjudged = [query_id for query_id in queries if query_id not in qrels]
    if unjudged:
        yield f"Left out as not judged: {_examples(_names(unjudged, queries), 'queries')}."
    hopeless = [one for one, grades in qrels.items() if max(grades.values()) <= 0]
    if hopeless:
        names = _examples(_names(hopeless, queries), "queries")
        yield f"Without a relevant document, so always 0: {names}."
    absent = [] if documents is None else unlisted(qrels, documents)
    if absent:
        yield f"Judged, but not among the documents: {_examples(absent, 'documents')}."


def _names(query_ids: list[str], queries: Mapping[str, str]) -> list[str]:
    # an id that is made of the text tells its owner nothing
    texts = [(one, queries[one]) for one in query_ids]
    return [short_repr(text) if one == text_key(text) else one for one, text in texts]


def unlisted(qrels: Mapping[str, Mapping[str, int]], ids: Container[str]) -> list[str]:
    """Return the judged documents that are not among these ids, in order."""
    judged = dict.fromkeys(doc_id for grades in qrels.values() for doc_id in grades)
    return [doc_id for doc_id in judged if doc_id not in ids]


def _examples(ids: list[str], what: str) -> str:
    more = ", ..." if len(ids) > _NAMED else ""
    return f"{len(ids)} {what} ({', '.join(ids[:_NAMED])}{more})"
