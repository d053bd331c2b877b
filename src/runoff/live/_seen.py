"""A response as an observation: ids, scores and hashes of texts."""

from __future__ import annotations

import math
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from runoff._util.messages import name_of
from runoff._util.text import text_key, utf8
from runoff._waiting.drive import run
from runoff.deadline import Deadline
from runoff.live._observation import Observation, Shadow, SourceRanks
from runoff.pipeline._stages import order, split
from runoff.rerank._inner import check_reranking, reranked
from runoff.trace import FateKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runoff.protocols import Reranker
    from runoff.trace import Fate, StageTrace
    from runoff.types import Response

_SHADOW = 30.0  # seconds that another reranker gets


def observed(
    response: Response,
    *,
    at: float,
    sample: float,
    pipeline: str,
    texts: bool,
    slices: Mapping[str, str],
) -> Observation:
    """Return what is kept of an answer.

    Args:
        response: the answer.
        at: when it was given, in seconds since 1970, UTC.
        sample: the probability with which it was kept.
        pipeline: the pipeline's fingerprint.
        texts: whether texts are kept.
        slices: what the user says about the query.
    """
    trace = response.trace
    fates = sorted(trace.fates, key=lambda fate: fate.candidate.fusion_rank)
    documents = [fate.candidate.document for fate in fates]
    outcome = response.outcome
    if not texts:  # what errors and models say may repeat a text
        bare = tuple(replace(one, detail="") for one in outcome.degraded)
        outcome = replace(outcome, degraded=bare, notes=())
    return Observation(
        id=uuid.uuid4().hex,
        time=at,
        sample=sample,
        query_hash=text_key(response.query.text),
        query=utf8(response.query.text) if texts else "",
        pipeline=pipeline,
        depth=trace.depth,
        window=trace.window,
        top_k=trace.top_k,
        doc_ids=tuple(utf8(one.doc_id) for one in documents),
        text_hashes=tuple(text_key(one.text) for one in documents),
        texts=tuple(utf8(one.text) for one in documents) if texts else (),
        fusion_scores=tuple(float(fate.candidate.fusion_score) for fate in fates),
        ranks=tuple(fate.rank or 0 for fate in fates),
        rerank_scores=tuple(_number(fate.rerank_score) for fate in fates),
        pair_scores=tuple(_number(fate.pair_score) for fate in fates),
        truncated=tuple(bool(fate.truncated) for fate in fates),
        scorings=tuple(fate.scoring for fate in fates),
        fates=tuple(fate.kind for fate in fates),
        sources=_sources(fates, trace.stages),
        stages=tuple(map(_quiet, trace.stages)),
        outcome=outcome,
        model=trace.model,
        kind=trace.kind,
        slices=slices,
    )


def _number(score: float | None) -> float:
    return math.nan if score is None else float(score)


def _quiet(stage: StageTrace) -> StageTrace:
    """Return a stage without the text of its error."""
    return replace(stage, error="", parts=tuple(map(_quiet, stage.parts)))


def _sources(fates: list[Fate], stages: tuple[StageTrace, ...]) -> dict[str, SourceRanks]:
    names = [one.source for one in stages if one.stage == "recall"]
    rank = {name: [0] * len(fates) for name in names}
    score = {name: [math.nan] * len(fates) for name in names}
    for at, fate in enumerate(fates):
        for placed in fate.candidate.placements:
            rank[placed.source][at] = placed.rank
            score[placed.source][at] = float(placed.score)
    return {name: SourceRanks(tuple(rank[name]), tuple(score[name])) for name in names}


def shadowed(response: Response, reranker: Reranker) -> Shadow:
    """Return the order that another reranker gives the candidates of an answer.

    Raises:
        Exception: what the reranker raises.
    """
    trace = response.trace
    fates = sorted(trace.fates, key=lambda fate: fate.candidate.fusion_rank)
    heads = [fate.candidate for fate in fates if fate.kind is not FateKind.GROUPED]
    parts, deadline = split(heads, trace.window), Deadline(_SHADOW)
    made = check_reranking(
        run(reranked(reranker, response.query, parts.readable, deadline, "shadow")), parts.readable
    )
    found = {
        one.candidate.key: one
        for one in order(parts, made, "", off=False, top_k=trace.top_k, isolated=False).fates
    }
    mine = [found.get(fate.candidate.key) for fate in fates]
    return Shadow(
        name_of(reranker),
        made.model,
        tuple(0 if one is None else one.rank or 0 for one in mine),
        tuple(math.nan if one is None else _number(one.rerank_score) for one in mine),
        not made.unscored,
        deadline.spent() * 1000,
        made.usage,
    )
