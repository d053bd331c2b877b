"""Checks that judgments fit the answers, and notes on what is odd about them, as sentences."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from runoff._util.messages import short_repr
from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from runoff.evaluation._recording import Recording

__all__ = ["check_judged", "check_recorded", "degraded", "foreign"]

_DETAIL = 300  # characters shown of an error


def check_judged(collection: object) -> None:
    """Raise unless it has queries with judgments.

    Raises:
        InvalidArgument: it has not, such as a plain dictionary of grades.
    """
    if not (hasattr(collection, "qrels") and hasattr(collection, "queries")):
        remedy = "must have `.queries` and `.qrels`, as a Collection(queries, qrels) has"
        raise InvalidArgument("collection", collection, remedy)


def check_recorded(recording: Recording, qrels: Mapping[str, object]) -> None:
    """Raise if a recording lacks judged queries, such as an interrupted one.

    Raises:
        InvalidArgument: a judged query was not recorded.
    """
    recorded = set(recording.query_ids)
    absent = [query_id for query_id in qrels if query_id not in recorded]
    if absent:
        remedy = f"lacks {len(absent)} judged queries, such as {absent[0]!r}: record them first"
        raise InvalidArgument("recording", recording, remedy)


def foreign(
    found: Mapping[str, Collection[str]], qrels: Mapping[str, Mapping[str, int]]
) -> Iterator[str]:
    """Yield a sentence if the ids of queries or documents do not match the judged ones.

    Args:
        found: query id to the ids of the documents found.
        qrels: the judgments.
    """
    if found and not any(query_id in qrels for query_id in found):
        judged = next(iter(qrels))
        derived = " (derived from the text)" if judged.startswith("text:") else ""
        yield (
            "None of the answered queries is judged. Are the ids the same? An answered query is "
            f"{short_repr(next(iter(found)))}, a judged one {short_repr(judged)}{derived}."
        )
        return
    answered = {one: doc_ids for one, doc_ids in found.items() if one in qrels and doc_ids}
    if answered and all(qrels[one].keys().isdisjoint(ids) for one, ids in answered.items()):
        query_id, doc_ids = next(iter(answered.items()))
        yield (
            "No query has a judged document among its results. Are the ids the same? A document "
            f"found is {short_repr(next(iter(doc_ids)))}, a judged one "
            f"{short_repr(next(iter(qrels[query_id])))} (query {query_id!r})."
        )


def degraded(recording: Recording) -> Iterator[str]:
    """Yield a sentence if recorded answers lack sources or scores."""
    ids = recording.degraded
    if ids:
        lacking = [one for query_id in ids for one in recording[query_id].outcome.degraded]
        places = Counter((one.stage, one.source, one.reason) for one in lacking)
        place = places.most_common(1)[0][0]
        detail = next(one.detail for one in lacking if (one.stage, one.source, one.reason) == place)
        yield (
            f"{len(ids)} of {len(recording)} answers are degraded, and the figures include them; "
            f"mostly {' '.join(place)}: {detail[:_DETAIL]}"
        )
