"""Checks that judgments fit the answers, and notes on what is odd about them, as sentences."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from runoff._labels.oddities import query_name
from runoff._util.messages import number_of, short_repr
from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from runoff._recording.recording import Recording
    from runoff.evaluation._measures.measures import Judged

_FEWEST = 10  # queries
_MANY = 0.5  # of the relevant documents
_DERIVED = "text:"  # of ids that `text_key` makes
_DETAIL = 300  # characters shown of an error


def check_judged(collection: object) -> None:
    """Raise unless it has queries with judgments.

    Raises:
        InvalidArgument: it has not, such as a plain dictionary of grades.
    """
    if not (hasattr(collection, "qrels") and hasattr(collection, "queries")):
        remedy = "must have `.queries` and `.qrels`, as a Collection(queries, qrels) has"
        raise InvalidArgument("collection", collection, remedy)


def check_recording(recording: object) -> None:
    """Raise unless it is a recording.

    Raises:
        InvalidArgument: it is something else, such as a path.
    """
    if not hasattr(recording, "setup"):
        remedy = "must be a recording, as `record` returns it and Recording.open(path) reads it"
        raise InvalidArgument("recording", recording, remedy)


def check_recorded(recording: Recording, collection: Judged) -> None:
    """Raise if a recording lacks judged queries, such as an interrupted one.

    Raises:
        InvalidArgument: a judged query was not recorded.
    """
    recorded = set(recording.query_ids)
    absent = [query_id for query_id in collection.qrels if query_id not in recorded]
    if absent:
        example = query_name(absent[0], collection.queries)
        example = repr(example) if example == absent[0] else example
        remedy = (
            f"lacks {number_of(len(absent), 'judged query')}, such as {example}: record them first"
        )
        raise InvalidArgument("recording", recording, remedy)


def check_queries(run: Mapping[str, object], qrels: Mapping[str, object]) -> None:
    """Raise if none of the answered queries is judged.

    Args:
        run: query id to its results.
        qrels: the judgments.

    Raises:
        InvalidArgument: none is, so every figure would be 0, which looks like a bad system.
    """
    if run and qrels and run.keys().isdisjoint(qrels):
        judged = next(iter(qrels))
        from_text = judged.startswith(_DERIVED)
        derived = ", derived from the text: add a column query_id" if from_text else ""
        remedy = (
            "is not judged, nor is any other answered query. Are the ids of the queries the same? "
            f"A judged one is {short_repr(judged)}{derived}"
        )
        raise InvalidArgument("run", next(iter(run)), remedy)


def foreign(
    found: Mapping[str, Collection[str]], qrels: Mapping[str, Mapping[str, int]]
) -> Iterator[str]:
    """Yield a sentence if ids of documents do not match the judged ones, or most do not.

    Args:
        found: query id to the ids of the documents found.
        qrels: the judgments.
    """
    answered = {one: doc_ids for one, doc_ids in found.items() if one in qrels and doc_ids}
    if answered and all(qrels[one].keys().isdisjoint(ids) for one, ids in answered.items()):
        query_id, doc_ids = next(iter(answered.items()))
        yield (
            "No query has a judged document among its results. Are the ids the same? A document "
            f"found is {short_repr(next(iter(doc_ids)))}, a judged one "
            f"{short_repr(next(iter(qrels[query_id])))}{_of(query_id)}."
        )
    yield from _absent(found, qrels)


def _of(query_id: str) -> str:
    """Return a query's id for a message, unless it was derived from the text."""
    return "" if query_id.startswith(_DERIVED) else f" (query {query_id!r})"


def _absent(
    found: Mapping[str, Collection[str]], qrels: Mapping[str, Mapping[str, int]]
) -> Iterator[str]:
    """Yield a sentence if most relevant documents are in no answer to any query.

    Args:
        found: query id to the ids of the documents found.
        qrels: the judgments.
    """
    held = {doc_id for ids in found.values() for doc_id in ids}
    relevant = {one for grades in qrels.values() for one, grade in grades.items() if grade > 0}
    missing = relevant - held
    if relevant & held and len(missing) > _MANY * len(relevant):
        yield (
            f"{len(missing) / len(relevant):.0%} of the relevant documents ({len(missing)} of "
            f"{len(relevant)}, such as {short_repr(min(missing))}) are in no answer at all. If "
            "their ids changed since they were judged, match_by_text() finds them again."
        )


def check_found(
    found: Iterable[Mapping[str, Collection[str]]], qrels: Mapping[str, Mapping[str, int]]
) -> None:
    """Raise if no answer to 10 or more judged queries holds a judged document.

    For fewer queries `foreign` says it: a few may well be too hard.

    Args:
        found: of each system, query id to the ids of the documents found.
        qrels: the judgments.

    Raises:
        InvalidArgument: none does, so no figure would mean anything.
    """
    every = list(found)
    answered = [(one, ids) for run in every for one, ids in run.items() if one in qrels and ids]
    many = len({one for one, _ in answered}) >= _FEWEST
    if many and all(qrels[one].keys().isdisjoint(ids) for one, ids in answered):
        query_id, ids = answered[0]
        shown, judged = next(iter(ids)), next(iter(qrels[query_id]))
        remedy = (
            f"no result is a judged document, so nothing can be said. Are the ids the same? A "
            f"document found is {short_repr(shown)}, a judged one {short_repr(judged)}"
            f"{_of(query_id)}. If the index was built anew, match_by_text() finds the texts in it; "
            "if documents are judged and their chunks found, counting(parent_of=) tells which is "
            "whose"
        )
        raise InvalidArgument("collection", judged, remedy)


def degraded(recording: Recording) -> Iterator[str]:
    """Yield a sentence if recorded answers lack sources or scores."""
    ids = recording.degraded
    if ids:
        lacking = [one for query_id in ids for one in recording[query_id].outcome.degraded]
        places = Counter((one.stage, one.source, one.reason) for one in lacking)
        place = places.most_common(1)[0][0]
        detail = next(one.detail for one in lacking if (one.stage, one.source, one.reason) == place)
        yield (
            f"{len(ids)} of {number_of(len(recording), 'answer')} "
            f"{'is' if len(ids) == 1 else 'are'} degraded, and the figures include them; "
            f"mostly {' '.join(place)}: {detail[:_DETAIL]}"
        )
