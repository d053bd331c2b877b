"""Whether a reranker reads candidates together, so that its order holds only for those it read."""

from __future__ import annotations

import itertools
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from runoff._recording.capture import Stage, check_unlimited, leaves_of
from runoff._recording.setup import StepSetup
from runoff._util.faults import lacks
from runoff._util.messages import error_text, name_of
from runoff._waiting.drive import run
from runoff.deadline import Deadline
from runoff.pipeline._second_stage import Wrapped
from runoff.pipeline._stages import split
from runoff.rerank._fallback import Fallback
from runoff.rerank._foreign import is_order_only
from runoff.rerank._inner import Composed, as_inner, asked, parts_of
from runoff.rerank._pointwise import Pointwise

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from runoff._recording.shards import Folder
    from runoff.pipeline._systems import System
    from runoff.protocols import Reranker
    from runoff.types import Candidate, Query, Reranking

READ = 8  # candidates that are read at least, where the system itself reads fewer
_SEARCHED = 10  # queries
_ASKED = 3  # queries with enough candidates
_LEAST = 4
_NEAR = 0.01  # of the spread of the scores: closer ones may change places
_ROUNDING = 1e-6

logger = logging.getLogger("runoff")

Readings = tuple["Query", "Sequence[Candidate]"]


def reads_together(
    known: System,
    stages: Sequence[Stage],
    depth: int,
    asked: Mapping[str, Query],
    begun: Folder | None,
) -> bool:
    """Return whether a stage that is not listwise by itself reads candidates together.

    Args:
        known: the system.
        stages: of its reranker.
        depth: hits asked of each source while recording.
        asked: the queries.
        begun: the recording that is resumed: if it says so, or has all queries, nobody is asked.
    """
    if known_together(stages):
        return True
    unknown = suspects(stages)
    if begun is not None and unknown:
        if any(step.listwise for step in begun.setup.steps):
            return True
        done = set(begun.query_ids) - set(begun.degraded)
        asked = {query_id: query for query_id, query in asked.items() if query_id not in done}
    readings = _readings(known, depth, asked.values())
    return found_together(unknown, readings, moving=len(known.pipeline.sources) > 1)


def _readings(known: System, depth: int, queries: Iterable[Query]) -> Iterator[Readings]:
    """Yield what the system reads for queries, or a few more; the first that can be searched."""
    pipeline = known.pipeline
    plain = replace(pipeline, reranker=None, group=None, observer=None)
    depth = max(pipeline.depth, min(READ, depth))
    for query in itertools.islice(queries, _SEARCHED):
        try:
            response = plain.search(query, filters=known.filters, depth=depth, top_k=1)
        except Exception as error:  # noqa: BLE001 - recording the query will tell
            logger.debug("no candidates to ask the reranker about twice: %s", error_text(error))
            continue
        found = [fate.candidate for fate in response.trace.fates]
        found.sort(key=lambda one: one.fusion_rank)
        yield query, split(found, max(pipeline.window, READ)).readable


def suspects(stages: Iterable[Stage]) -> list[Reranker]:
    """Return the rerankers of stages of which only asking can tell."""
    unknown = [one.reranker for one in stages if not one.setup.pointwise | one.setup.listwise]
    return [one for one in unknown if _alone(one) is None]


def known_together(stages: Iterable[Stage]) -> bool:
    """Return whether a stage is known to read candidates together without being asked.

    That is a `Fallback` of scorers that are blended with fusion scores, or of a cascade.
    """
    return any(
        _alone(one.reranker) is False
        for one in stages
        if not one.setup.pointwise | one.setup.listwise
    )


def found_together(
    rerankers: Sequence[Reranker], readings: Iterator[Readings], *, moving: bool
) -> bool:
    """Ask rerankers about all candidates and then about every second one, for a few queries.

    An answer that fails or is degraded says nothing.

    Args:
        rerankers: what to ask.
        readings: queries with what is read of each, in fused order; no more than needed are taken.
        moving: whether other settings can change the fused order of the same candidates, as they
            can with several sources.

    Returns:
        Whether one placed, scored or dropped some of them otherwise the second time.
    """
    if not rerankers:
        return False
    enough = (one for one in readings if len(one[1]) >= _LEAST)
    return any(
        _differs(one, query, candidates, moving=moving)
        for query, candidates in itertools.islice(enough, _ASKED)
        for one in rerankers
    )


def as_one(given: object) -> Stage:
    """Return a whole second stage as one that reads several candidates at once.

    Raises:
        InvalidArgument: it has a threshold that a replay could not apply.
    """
    reranker = as_inner("reranker", given)
    name = name_of(reranker)
    leaves = [*leaves_of(reranker)]
    check_unlimited(leaves, f"inside {name}, which orders candidates by each other")
    return Stage(reranker, StepSetup(name, pointwise=False, listwise=True))


def _alone(reranker: object) -> bool | None:
    """Return whether one scores each candidate alone; None if only asking can tell."""
    if isinstance(reranker, Wrapped):
        reranker = reranker.inner
    if isinstance(reranker, Pointwise):
        return reranker.weight in (None, 1)
    if not isinstance(reranker, Composed):
        return None
    if not isinstance(reranker, Fallback):
        return False  # what the later stages of a cascade read depends on the others
    every = {_alone(one) for one in parts_of(reranker)}
    return False if False in every else None if None in every else True


def _differs(
    reranker: Reranker, query: Query, candidates: Sequence[Candidate], *, moving: bool
) -> bool:
    whole = _asked(reranker, query, candidates)
    part = None
    if whole is not None:
        part = _asked(reranker, query, _part(candidates, moving=moving))
    if whole is None or part is None:
        return False
    return _scores_differ(whole, part) or _dropped(whole) & _keys(part) != _dropped(part)


def _part(candidates: Sequence[Candidate], *, moving: bool) -> list[Candidate]:
    """Return every second candidate with other fusion scores, as other settings give them."""
    half = candidates[::2]
    scores = [one.fusion_score / 2 + 1 for one in half]
    if moving:
        half, scores = half[::-1], [-score for score in reversed(scores)]
    return [
        replace(one, fusion_score=score, fusion_rank=rank)
        for rank, (one, score) in enumerate(zip(half, scores, strict=True), 1)
    ]


def _asked(reranker: Reranker, query: Query, candidates: Sequence[Candidate]) -> Reranking | None:
    """Return a complete answer, or None."""
    answer = run(asked(reranker, query, candidates, Deadline().branch()))
    return None if answer.error is not None or lacks(answer.reranking)[0] else answer.reranking


def _dropped(answer: Reranking) -> set[str]:
    return {one.candidate.key for one in answer.dropped}


def _keys(answer: Reranking) -> set[str]:
    return {one.candidate.key for one in answer.ordered} | _dropped(answer)


def _scores_differ(whole: Reranking, part: Reranking) -> bool:
    """Return whether candidates that both keep are scored or ordered otherwise."""
    first, second = _scores(whole), _scores(part)
    common = [key for key in second if key in first]
    if first and second and None not in (*first.values(), *second.values()):
        near = max(_spread(first), _spread(second)) * _NEAR + _ROUNDING
        return any(abs(first[key] - second[key]) > near for key in common)  # type: ignore[operator] # no None
    place = {key: at for at, key in enumerate(first)}
    return [place[key] for key in common] != sorted(place[key] for key in common)


def _scores(answer: Reranking) -> dict[str, float | None]:
    """Return the rerank scores in order; None for each where only the order counts."""
    scores = {one.candidate.key: one.rerank_score for one in answer.ordered}
    return dict.fromkeys(scores) if is_order_only([*scores.values()]) else scores


def _spread(scores: Mapping[str, float | None]) -> float:
    known = [score for score in scores.values() if score is not None]
    return max(known) - min(known)
