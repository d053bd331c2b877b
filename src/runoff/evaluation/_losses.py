"""`losses`: where the quality missing from the answers was lost, stage by stage."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from runoff._labels.relevance import View
from runoff._labels.remarks import check_found, check_judged, check_recorded, degraded, foreign
from runoff._recording.query import Content
from runoff._recording.replay import plan_replay, traversals
from runoff._util.arguments import count
from runoff._util.messages import number_of
from runoff.errors import InvalidArgument
from runoff.evaluation._ledger import (
    CEILINGS,
    ENTRIES,
    LEAST,
    Gains,
    Ledger,
    LostDocument,
    Move,
    QueryLedger,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from runoff._recording.recording import Recording
    from runoff._recording.replay import Plan
    from runoff._recording.setup import Setup
    from runoff._recording.traverse import Traversal
    from runoff.evaluation._measures.measures import Judged


def losses(
    recording: Recording,
    collection: Judged,
    *,
    cutoff: int = 10,
    **settings: Any,  # noqa: ANN401 - as `replay` takes them
) -> Ledger:
    """Return where the difference between the ideal and the achieved nDCG was lost.

    After each stage there is a ceiling: the best value that later stages could still reach. The
    loss of a stage is how much it lowers the ceiling, so the losses of a query sum to its ideal
    minus its achieved value. nDCG is trec_eval's: gain is the grade, discounted by log2(1 + rank).
    The whole order counts; `top_k` does not cut it.

    A move's `at_most` is the ceiling before the stage that it changes minus the achieved value,
    over the queries that it can change: it can gain no more, however later stages respond. The
    bound of the second stage holds for any that drops nothing; one that drops candidates could also
    let those below a window smaller than the cutoff rise.

    Args:
        recording: what `record` returned.
        collection: has the judgments.
        cutoff: the measure is nDCG at this cutoff.
        **settings: as `replay` takes them, except `top_k`; those left out are as the system is
            configured.

    Raises:
        InvalidArgument: no query is judged, a judged query was not recorded, a document is twice
            among a query's candidates, or an argument has an invalid value.
    """
    cutoff = count("cutoff", cutoff)
    if "top_k" in settings:
        raise InvalidArgument("top_k", settings["top_k"], "has no effect here; pass cutoff=")
    check_judged(collection)
    if not collection.qrels:
        raise InvalidArgument("collection", collection, "must have at least one judged query")
    plan = plan_replay(recording, **settings)
    check_recorded(recording, collection)
    view = View(collection)
    booked: dict[str, QueryLedger] = {}
    bounds: list[_Bounds] = []
    found: dict[str, Sequence[str]] = {}
    for one, gains in _judged(recording, view, cutoff, plan):
        query_id = one.query.query_id
        found[query_id] = view.documents(one.query.doc_ids)
        booked[query_id] = query_ledger(one, gains)
        bounds.append(_bounds(one, gains, booked[query_id]))
    check_found([found], view.judged)
    queries = [booked[query_id] for query_id in collection.qrels]
    entries = _means([one.entries for one in queries])
    achieved = _mean([one.achieved for one in queries])
    brought: dict[str, float | None] = {}
    for name, changes in _changes(plan, recording.setup).items():
        changed = _judged(recording, view, cutoff, replace(plan, **changes))
        try:
            brought[name] = _mean([gains.value(one.answer) for one, gains in changed]) - achieved
        except InvalidArgument:  # it needs scores that were not recorded
            brought[name] = None
    return Ledger(
        f"nDCG@{cutoff}",
        _mean([one.ideal for one in queries]),
        achieved,
        entries,
        _means([one.ceilings for one in queries]),
        _moves(entries, bounds, plan, recording.setup, brought),
        tuple(queries),
        (
            *getattr(collection, "notes", ()),
            *_notes(queries, len(recording)),
            *foreign(found, view.judged),
            *degraded(recording),
        ),
    )


def _judged(
    recording: Recording, view: View, cutoff: int, plan: Plan
) -> Iterator[tuple[Traversal, Gains]]:
    """Yield every judged query taken through the stages, with its gains."""
    for one in traversals(recording, plan):
        if one.query.query_id in view.qrels:
            yield one, Gains(one.query, view, cutoff)


def query_ledger(one: Traversal, gains: Gains) -> QueryLedger:
    """Return where one judged query's quality is lost, stage by stage."""
    query, given = one.query, one.given
    kept = given[~np.isin(given, one.dropped)]
    # the recorded fused order breaks ties, so that equal gains keep their order between stages
    orders = {
        "recorded": gains.best(np.arange(len(query))),
        "depth": gains.best(np.sort(one.fused.order)),
        "grouping": gains.best(np.sort(one.heads)),
        "window": _best_answer(one, gains, given),
        "kept": _best_answer(one, gains, kept),
        "scored": _best_answer(one, gains, None),
        "reranked": one.before_threshold,
        "answered": one.answer,
    }
    ceilings = {"judged": gains.ideal}
    ceilings |= {stage: gains.value(rows) for stage, rows in orders.items()}
    ids = {stage: gains.ids(rows) for stage, rows in orders.items()}
    ids["judged"] = _ideal_order(gains.grades, ids["recorded"])
    entries = dict.fromkeys(ENTRIES, 0.0)
    lost: list[LostDocument] = []
    stages = list(CEILINGS)
    for before, after in itertools.pairwise(stages):
        loss = ceilings[before] - ceilings[after]
        loss = loss if abs(loss) > LEAST else 0.0
        shares = gains.shares(ids[before], ids[after]) if loss > 0 else {}
        whole = math.fsum(shares.values())
        cut = 0.0
        for doc_id, share in sorted(shares.items(), key=lambda item: -item[1]):
            rows = range(len(query)) if before == "judged" else orders[before].tolist()
            entry, where = _where_lost(one, after, gains.row(doc_id, rows))
            own = loss * share / whole
            cut += own if entry == "truncated" else 0.0
            lost.append(
                LostDocument(query.query_id, doc_id, entry, gains.grades[doc_id], own, where)
            )
        entries[_entry(one, after)] += loss - cut if abs(loss - cut) > LEAST else 0.0
        entries["truncated"] += cut
    return QueryLedger(
        query.query_id,
        query.text,
        gains.ideal,
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


def _entry(one: Traversal, stage: str) -> str:
    # nobody knows what the failed source would have found
    if stage == "recorded" and one.query.failed_sources:
        return "degraded"
    return _BOOKED[stage]


def _where_lost(one: Traversal, stage: str, row: int | None) -> tuple[str, str]:
    """Return the ledger entry for a document that a stage lost, and where it was lost."""
    query, entry = one.query, _entry(one, stage)
    if row is None:
        failed = query.failed_sources
        return entry, f"not found, and {' and '.join(failed)} did not answer" if failed else ""
    if stage == "reranked" and one.scores.truncated[row]:
        return "truncated", f"rank {_place(one.before_threshold, row)}, its text cut"
    return entry, _where(one, stage, row)


def _where(one: Traversal, stage: str, row: int) -> str:
    query = one.query
    if stage == "depth":
        places = {name: int(ranks[row]) for name, ranks in query.ranks.items() if ranks[row]}
        return ", ".join(f"rank {rank} of {name}" for name, rank in places.items())
    if stage == "grouping":
        return f"under {query.doc_ids[one.under[row]]}" if row in one.under else ""
    if stage == "window":
        content = Content(int(query.content[row])).name.lower()
        unread = "" if content == "text" else f", not read ({content})"
        return f"place {_place(one.heads, row)} after fusion{unread}"
    if stage in {"kept", "scored"}:
        reason = query.why[row] if query.why else ""
        return reason or ("dropped" if stage == "kept" else "no score")
    return f"rank {_place(one.before_threshold, row)}"


def _best_answer(one: Traversal, gains: Gains, rows: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Return the whole answer with rows in the best order and the others where they are.

    Args:
        one: the traversal.
        gains: of its rows.
        rows: what the second stage orders; None takes the rows that it scored.
    """
    second = one.unthresholded
    if second is None:
        return one.answer
    if rows is None:
        return one.answer_if(gains.best(second.ordered), second.unscored)
    return one.answer_if(gains.best(rows), rows[:0])


def _place(rows: NDArray[np.int64], row: int) -> int:
    return int(np.flatnonzero(rows == row)[0]) + 1


def _ideal_order(grades: Mapping[str, int], found: Sequence[str]) -> list[str]:
    """Return the relevant documents in the best order; among equals, the found ones first."""
    known = {one: at for at, one in enumerate(found)}
    return sorted(grades, key=lambda one: (-grades[one], known.get(one, len(known))))


def _means(found: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    return {name: _mean([one[name] for one in found]) for name in found[0]}


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _notes(queries: Sequence[QueryLedger], recorded: int) -> Iterator[str]:
    empty = sum(not one.ideal for one in queries)
    if empty:
        yield (
            f"{number_of(empty, 'query has', 'queries have')} no relevant document, so nothing "
            "can be lost there."
        )
    if recorded > len(queries):
        left = recorded - len(queries)
        yield f"{left} recorded queries have no judgments and are left out."


@dataclass(frozen=True, slots=True)
class _Bounds:
    """The most that each kind of change can gain in one query, 0 if it changes nothing.

    Attributes:
        sources: other or better sources.
        depth: any depth up to the recorded one.
        grouping: no grouping, or a finer one.
        fusion: any fused order and any window.
        dropped: the reranker drops nothing.
        scored: no source and no score is missing.
        reranker: any second stage over this window that drops nothing.
        whole: the same reranker, reading whole texts.
    """

    sources: float
    depth: float
    grouping: float
    fusion: float
    dropped: float
    scored: float
    reranker: float
    whole: float


def _bounds(one: Traversal, gains: Gains, ledger: QueryLedger) -> _Bounds:
    """Return the bounds of one query."""
    ceilings, second = ledger.ceilings, _best_second_stage(one, gains, ledger)
    order = one.unthresholded
    unscored = not one.scores.whole or (order is not None and len(order.unscored) > 0)
    lost_source = bool(one.query.failed_sources)
    best = {
        "sources": ceilings["judged"],
        "depth": ceilings["recorded"] if len(one.query) > len(one.fused.order) else None,
        "grouping": ceilings["depth"] if one.under else None,
        "fusion": ceilings["depth"],
        "dropped": second if len(one.dropped) else None,
        "scored": ceilings["judged"] if lost_source else second if unscored else None,
        "reranker": second,
        "whole": second if one.scores.truncated[one.given].any() else None,
    }
    return _Bounds(
        **{
            name: 0.0 if most is None else max(0.0, most - ledger.achieved)
            for name, most in best.items()
        }
    )


def _best_second_stage(one: Traversal, gains: Gains, ledger: QueryLedger) -> float:
    """Return the best value of any second stage over this window that drops nothing.

    Blank texts and images in the window count too, since the second stage may place what it reads
    around them. With a threshold, all images count: they move up when it removes others.
    """
    content, heads, window = one.query.content, one.heads, one.window
    if not (content[heads[:window]] == Content.TEXT).any():
        return ledger.achieved
    inside = np.arange(len(heads)) < window
    whole = np.append(gains.best(heads[inside]), heads[~inside])
    kept = gains.best(heads[inside | (content[heads] == Content.IMAGE)])
    return max(gains.value(whole), gains.value(kept))


def _changes(plan: Plan, setup: Setup) -> dict[str, dict[str, Any]]:
    """Return the moves whose gain can be replayed, each as changes of the plan."""
    changes: dict[str, dict[str, Any]] = {}
    if plan.depth < setup.recorded_depth:
        changes["depth"] = {"depth": setup.recorded_depth}
    if plan.group is not None:
        changes["no grouping"] = {"group": None}
    if not plan.steps:
        return changes
    if plan.window < setup.recorded_window:
        changes["window"] = {"window": setup.recorded_window}
    *earlier, last = plan.steps
    if last.threshold is not None:
        changes["no threshold"] = {"steps": (*earlier, replace(last, threshold=None))}
    changes["no second stage"] = {"steps": ()}
    return changes


def _moves(
    entries: Mapping[str, float],
    bounds: Sequence[_Bounds],
    plan: Plan,
    setup: Setup,
    gains: Mapping[str, float | None],
) -> tuple[Move, ...]:
    """Return the possible next steps, the largest loss first.

    Args:
        entries: the mean losses.
        bounds: of every query.
        plan: the settings in use.
        setup: what was recorded.
        gains: the gain of each of `_changes`; None if it needs scores that were not recorded.
    """
    most = {
        one.name: math.fsum(getattr(bound, one.name) for bound in bounds) / len(bounds)
        for one in fields(_Bounds)
    }
    # with one source, fusion keeps its order
    several = len(setup.sources) > 1
    order = "another fusion or other weights" if several else "a better order of the first stage"
    possible: list[tuple[str, str, str, float | None]] = [
        ("a better first stage", "not_retrieved", "sources", None),
        (order, "fused_low", "fusion", None),
        ("a reranker that drops nothing", "dropped", "dropped", None),
        ("answers that are never degraded", "degraded", "scored", None),
        ("a better reranker", "demoted", "reranker", None),
        ("reading the whole text, by passages or with a longer limit", "truncated", "whole", None),
    ]
    if not plan.steps:
        possible.append(("a second stage", "fused_low", "reranker", None))
    for name, action, entry, bound in (
        ("depth", f"a depth of {setup.recorded_depth}", "below_depth", "depth"),
        ("no grouping", "no grouping", "grouped", "grouping"),
        ("window", f"a window of {setup.recorded_window}", "fused_low", "fusion"),
    ):
        if name in gains:
            possible.append((action, entry, bound, gains[name]))
    moves = [
        Move(action, entry, entries[entry], most[bound], gain)
        for action, entry, bound, gain in possible
        if entries[entry] > LEAST and most[bound] > LEAST
    ]
    for action, entry in (("no threshold", "filtered"), ("no second stage", "demoted")):
        gain = gains.get(action)
        if gain is not None and gain > LEAST:
            moves.append(Move(action, entry, entries[entry], gain, gain))
    return tuple(sorted(moves, key=lambda one: (-one.loss, -(one.brings or 0.0))))
