"""`losses`: where the quality that is missing from the answers was lost, stage by stage."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from runoff._util.arguments import count
from runoff.errors import InvalidArgument
from runoff.evaluation._ledger import CEILINGS, ENTRIES, Ledger, LostDocument, QueryLedger
from runoff.evaluation._moves import Bounds, bounds_of, moves_of
from runoff.evaluation._recording import Content, Recording
from runoff.evaluation._remarks import check_judged, check_recorded, degraded, foreign
from runoff.evaluation._replay import AS_RECORDED, AsRecorded, configured, prepared
from runoff.evaluation._traversal import by_gain, traverse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from runoff.evaluation._measures import Judged
    from runoff.evaluation._recording import RecordedQuery
    from runoff.evaluation._replay import Settings
    from runoff.evaluation._rereading import Read
    from runoff.evaluation._traversal import Traversal

__all__ = ["losses"]

_LEAST = 1e-12


def losses(
    recording: Recording,
    collection: Judged,
    *,
    cutoff: int = 10,
    **settings: Any,  # noqa: ANN401 - as `replay` has them
) -> Ledger:
    """Return where the difference between the ideal and the achieved nDCG was lost.

    Each stage leaves a ceiling, the best value that anything after it could still reach, and what
    the ceiling falls by is the loss of that stage; so the losses of a query sum to its ideal minus
    its achieved value. nDCG is trec_eval's: gain is the grade, discounted by log2(1 + rank). The
    whole order counts, whatever `top_k` is.

    A move's `at_most` is the ceiling before the stage it changes minus what is achieved, over the
    queries that it can touch: whatever the stages after it make of the change, it gains no more.
    That of the second stage holds for any that drops nothing; one that drops could also let the
    candidates below a window smaller than the cutoff rise.

    Args:
        recording: what `record` made.
        collection: has the judgments.
        cutoff: the measure is nDCG at this cutoff.
        **settings: as `replay` takes them, save `top_k`; those left out are as the system is
            configured.

    Raises:
        InvalidArgument: no query is judged, one that is was not recorded, a document stands twice
            among a query's candidates, or an argument has a value it cannot have.
    """
    cutoff = count("cutoff", cutoff)
    if "top_k" in settings:
        raise InvalidArgument("top_k", settings["top_k"], "cuts nothing here; cutoff= does")
    check_judged(collection)
    if not collection.qrels:
        raise InvalidArgument("collection", collection, "must judge a query or more")
    reads, chosen = configured(recording, **settings)
    check_recorded(recording, collection.qrels)
    if not isinstance(settings.get("reranker", AS_RECORDED), AsRecorded | Recording | None):
        reads = _once(reads)  # it scores now
    made: dict[str, QueryLedger] = {}
    bounds: list[Bounds] = []
    found: dict[str, Sequence[str]] = {}
    for one in prepared(recording):
        if (grades := collection.qrels.get(one.query.query_id)) is not None:
            found[one.query.query_id] = one.query.doc_ids
            judged = _Judged(one.query, grades, cutoff)
            walked = traverse(one, reads, chosen)
            own = made[one.query.query_id] = _of_query(walked, judged)
            bounds.append(bounds_of(walked, judged, own))
    queries = [made[query_id] for query_id in collection.qrels]
    entries = _means([one.entries for one in queries])

    def value(**changes: Any) -> float | None:  # noqa: ANN401 - of several types
        try:
            return _answered(recording, collection, cutoff, reads, replace(chosen, **changes))
        except InvalidArgument:  # it would read what was never scored
            return None

    achieved = _mean([one.achieved for one in queries])
    return Ledger(
        f"nDCG@{cutoff}",
        _mean([one.ideal for one in queries]),
        achieved,
        entries,
        _means([one.ceilings for one in queries]),
        moves_of(entries, bounds, chosen, recording.setup, value, achieved),
        tuple(queries),
        (*_notes(queries, len(recording)), *foreign(found, collection.qrels), *degraded(recording)),
    )


class _Judged:
    """The gains of one query.

    Attributes:
        cutoff: how many ranks count.
        gain: of every row of the recorded query, float64.
        ideal: the best value: 1, or 0 where nothing is relevant.
    """

    def __init__(self, query: RecordedQuery, grades: Mapping[str, int], cutoff: int) -> None:
        if len(set(query.doc_ids)) < len(query):
            twice = Counter(query.doc_ids).most_common(1)[0][0]
            remedy = (
                f"stands twice among the candidates of query {query.query_id!r}: with `id_of=` of "
                "`TwoStage` both count as one document"
            )
            raise InvalidArgument("recording", twice, remedy)
        self.cutoff = cutoff
        self.grades = {one: grade for one, grade in grades.items() if grade > 0}
        self.gain = np.array([self.grades.get(one, 0) for one in query.doc_ids], np.float64)
        self._discounts = 1 / np.log2(np.arange(2, cutoff + 2))
        best = sorted(self.grades.values(), reverse=True)[:cutoff]
        self._most = float(np.dot(best, self._discounts[: len(best)])) if best else 0.0
        self.ideal = 1.0 if best else 0.0

    def value(self, rows: NDArray[np.int64]) -> float:
        """Return the value of rows in this order."""
        if not self._most:
            return 0.0
        gains = self.gain[rows[: self.cutoff]]
        return float(np.dot(gains, self._discounts[: len(gains)])) / self._most

    def best(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return rows in the best order."""
        return by_gain(rows, self.gain)

    def shares(self, before: Sequence[str], after: Sequence[str]) -> dict[str, float]:
        """Return what relevant documents lose from one order of ids to another, where they do."""
        old, new = self._worth(before), self._worth(after)
        lost = {one: worth - new.get(one, 0.0) for one, worth in old.items()}
        return {one: loss for one, loss in lost.items() if loss > _LEAST}

    def _worth(self, order: Sequence[str]) -> dict[str, float]:
        near = zip(order, self._discounts.tolist(), strict=False)
        return {
            one: self.grades[one] * discount / self._most
            for one, discount in near
            if one in self.grades
        }


def _of_query(walked: Traversal, judged: _Judged) -> QueryLedger:
    query = walked.query
    gain, every = judged.gain, np.arange(len(query))
    kept = walked.readable[~np.isin(walked.readable, walked.dropped)]
    # the recorded fused order breaks ties, so that what stays keeps its order from stage to stage
    orders = {
        "recorded": judged.best(every),
        "depth": judged.best(np.sort(walked.found)),
        "grouping": judged.best(np.sort(walked.heads)),
        "window": walked.best(gain, walked.readable),
        "kept": walked.best(gain, kept),
        "scored": walked.best(gain, None),
        "reranked": walked.before,
        "answered": walked.answer,
    }
    ceilings = {"judged": judged.ideal}
    ceilings |= {stage: judged.value(rows) for stage, rows in orders.items()}
    told = {
        stage: [query.doc_ids[row] for row in rows[: judged.cutoff].tolist()]
        for stage, rows in orders.items()
    }
    told["judged"] = _first(judged.grades, told["recorded"])
    entries = dict.fromkeys(ENTRIES, 0.0)
    lost: list[LostDocument] = []
    stages = list(CEILINGS)
    for before, after in itertools.pairwise(stages):
        loss = ceilings[before] - ceilings[after]
        loss = loss if abs(loss) > _LEAST else 0.0
        shares = judged.shares(told[before], told[after]) if loss > 0 else {}
        whole = math.fsum(shares.values())
        cut = 0.0
        for doc_id, share in sorted(shares.items(), key=lambda item: -item[1]):
            entry, where = _told(walked, after, doc_id)
            own = loss * share / whole
            cut += own if entry == "truncated" else 0.0
            lost.append(
                LostDocument(query.query_id, doc_id, entry, judged.grades[doc_id], own, where)
            )
        entries[_entry(walked, after)] += loss - cut if abs(loss - cut) > _LEAST else 0.0
        entries["truncated"] += cut
    return QueryLedger(
        query.query_id,
        query.text,
        judged.ideal,
        ceilings["answered"],
        entries,
        ceilings,
        tuple(lost),
    )


_BOOKED = {
    "recorded": "not_retrieved",
    "depth": "below_depth",
    "grouping": "grouped",
    "window": "fused_low",
    "kept": "dropped",
    "scored": "degraded",
    "reranked": "demoted",
    "answered": "filtered",
}


def _entry(walked: Traversal, stage: str) -> str:
    # what a source that failed would have found is not known
    if stage == "recorded" and walked.query.failed_sources:
        return "degraded"
    return _BOOKED[stage]


def _told(walked: Traversal, stage: str, doc_id: str) -> tuple[str, str]:
    """Return the entry of a document that lost in a stage, and where it was lost."""
    query, entry = walked.query, _entry(walked, stage)
    if doc_id not in query.doc_ids:
        failed = query.failed_sources
        return entry, f"not found, and {' and '.join(failed)} did not answer" if failed else ""
    row = list(query.doc_ids).index(doc_id)
    if stage == "reranked" and walked.read.truncated[row]:
        return "truncated", f"rank {_place(walked.before, row)}, its text cut"
    return entry, _where(walked, stage, row)


def _where(walked: Traversal, stage: str, row: int) -> str:
    query = walked.query
    if stage == "depth":
        places = {name: int(ranks[row]) for name, ranks in query.ranks.items() if ranks[row]}
        return ", ".join(f"rank {rank} of {name}" for name, rank in places.items())
    if stage == "grouping":
        return f"under {query.doc_ids[walked.under[row]]}" if row in walked.under else ""
    if stage == "window":
        content = Content(int(query.content[row])).name.lower()
        unread = "" if content == "text" else f", not read ({content})"
        return f"place {_place(walked.heads, row)} after fusion{unread}"
    if stage in {"kept", "scored"}:
        told = query.why[row] if query.why else ""
        return told or ("dropped" if stage == "kept" else "no score")
    return f"rank {_place(walked.before, row)}"


def _place(rows: NDArray[np.int64], row: int) -> int:
    return int(np.flatnonzero(rows == row)[0]) + 1


def _first(grades: Mapping[str, int], found: Sequence[str]) -> list[str]:
    """Return the relevant documents in the best order, those found first among equals."""
    known = {one: at for at, one in enumerate(found)}
    return sorted(grades, key=lambda one: (-grades[one], known.get(one, len(known))))


def _means(found: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    return {name: _mean([one[name] for one in found]) for name in found[0]}


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _answered(
    recording: Recording,
    collection: Judged,
    cutoff: int,
    reads: Callable[[RecordedQuery], Read],
    settings: Settings,
) -> float:
    """Return the mean value of the answers with these settings."""
    found = []
    for one in prepared(recording):
        if (grades := collection.qrels.get(one.query.query_id)) is not None:
            judged = _Judged(one.query, grades, cutoff)
            found.append(judged.value(traverse(one, reads, settings).answer))
    return _mean(found)


def _once(reads: Callable[[RecordedQuery], Read]) -> Callable[[RecordedQuery], Read]:
    """Return the same function, which reads no query twice."""
    known: dict[str, Read] = {}

    def read(query: RecordedQuery) -> Read:
        if query.query_id not in known:
            known[query.query_id] = reads(query)
        return known[query.query_id]

    return read


def _notes(queries: Sequence[QueryLedger], recorded: int) -> Iterator[str]:
    empty = sum(not one.ideal for one in queries)
    if empty:
        yield f"{empty} queries have no relevant document: nothing can be lost there."
    if recorded > len(queries):
        left = recorded - len(queries)
        yield f"{left} recorded queries have no judgments and are left out."
