"""What is odd about answers as a whole, in sentences: ids that nobody judged, degraded ones."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from runoff._util.messages import short_repr
from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from runoff.evaluation._recording import Recording

__all__ = ["check_judged", "check_recorded", "degraded", "foreign"]

_DETAIL = 300  # characters of an error


def check_judged(collection: object) -> None:
    """Refuse what has no queries with judgments.

    Raises:
        InvalidArgument: such as for a plain dictionary of grades.
    """
    if not (hasattr(collection, "qrels") and hasattr(collection, "queries")):
        remedy = "must have queries and qrels, as a Collection(queries, qrels) has"
        raise InvalidArgument("collection", collection, remedy)


def check_recorded(recording: Recording, qrels: Mapping[str, object]) -> None:
    """Refuse a recording that lacks judged queries, such as one that was stopped.

    Raises:
        InvalidArgument: one was not recorded.
    """
    recorded = set(recording.query_ids)
    absent = [query_id for query_id in qrels if query_id not in recorded]
    if absent:
        remedy = f"lacks {len(absent)} judged queries, such as {absent[0]!r}: record them first"
        raise InvalidArgument("recording", recording, remedy)


def foreign(
    found: Mapping[str, Collection[str]], qrels: Mapping[str, Mapping[str, int]]
) -> Iterator[str]:
    """Yield a sentence where queries or documents seem to bear other ids than the judged ones.

    Args:
        found: query id to the ids of the documents found.
        qrels: the judgments.
    """
    if found and not any(query_id in qrels for query_id in found):
        judged = next(iter(qrels))
        made = ", made of the text for want of one" if judged.startswith("text:") else ""
        yield (
            "None of the queries answered is judged: their ids are such as "
            f"{short_repr(next(iter(found)))}, those judged such as {short_repr(judged)}{made}."
        )
        return
    answered = {one: doc_ids for one, doc_ids in found.items() if one in qrels and doc_ids}
    if answered and all(qrels[one].keys().isdisjoint(ids) for one, ids in answered.items()):
        query_id, doc_ids = next(iter(answered.items()))
        yield (
            "No query has a judged document among its results. Are the ids the same? Found were "
            f"such as {short_repr(next(iter(doc_ids)))}, judged such as "
            f"{short_repr(next(iter(qrels[query_id])))} (query {query_id!r})."
        )


def degraded(recording: Recording) -> Iterator[str]:
    """Yield a sentence where recorded answers had to do without something."""
    ids = recording.degraded
    if ids:
        lacking = [one for query_id in ids for one in recording[query_id].outcome.degraded]
        places = Counter((one.stage, one.source, one.reason) for one in lacking)
        place = places.most_common(1)[0][0]
        detail = next(one.detail for one in lacking if (one.stage, one.source, one.reason) == place)
        yield (
            f"{len(ids)} of {len(recording)} answers are degraded, and the figures are of what was "
            f"left of them; mostly {' '.join(place)}: {detail[:_DETAIL]}"
        )
