"""What is odd about a collection's queries, judgments and documents, as sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runoff._labels.relevance import as_documents
from runoff._util.messages import number_of, short_repr
from runoff._util.text import given_id

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

    from runoff._labels.collection import Collection

_EXAMPLES = 3  # in a note


def oddities(
    queries: Mapping[str, str],
    qrels: Mapping[str, Mapping[str, int]],
    documents: Container[str] | None,
) -> Iterator[str]:
    """Yield what is odd about the data, as sentences."""
    unjudged = [query_id for query_id in queries if query_id not in qrels]
    if unjudged:
        names = _examples([query_name(one, queries) for one in unjudged], "query")
        yield f"Left out, since they are not judged: {names}."
    without = [one for one, grades in qrels.items() if max(grades.values()) <= 0]
    if without:
        names = _examples([query_name(one, queries) for one in without], "query")
        yield f"Always 0, since they have no relevant document: {names}."
    absent = [] if documents is None else unlisted(qrels, documents)
    if absent:
        yield f"Judged but not among the documents: {_examples(absent, 'document')}."


def lasting(collection: Collection) -> list[str]:
    """Return the notes of a collection that stay true when its judgments or parents change."""
    documents = collection.documents
    known = None if documents is None else as_documents(collection.parents, documents)
    passing = set(oddities(collection.queries, collection.qrels, known))
    return [note for note in collection.notes if note not in passing]


def query_name(query_id: str, queries: Mapping[str, str]) -> str:
    """Return what a user knows a query by: its id, or its text where the id was derived from it."""
    text = queries.get(query_id, "")
    return given_id(query_id, text) or short_repr(text)


def unlisted(qrels: Mapping[str, Mapping[str, int]], ids: Container[str]) -> list[str]:
    """Return the judged documents that are not among these ids, in order."""
    judged = dict.fromkeys(doc_id for grades in qrels.values() for doc_id in grades)
    return [doc_id for doc_id in judged if doc_id not in ids]


def _examples(ids: list[str], one: str) -> str:
    more = ", ..." if len(ids) > _EXAMPLES else ""
    return f"{number_of(len(ids), one)} ({', '.join(ids[:_EXAMPLES])}{more})"
