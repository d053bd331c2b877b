"""The path of one document through the stages of a search, step by step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from runoff._util.messages import number_of
from runoff.report._account import said
from runoff.report._response import ending, unscored
from runoff.report._text import number

if TYPE_CHECKING:
    from runoff.trace import Fate, StageTrace
    from runoff.types import Placement, Response


class Step(NamedTuple):
    """What one stage did with a document.

    Attributes:
        stage: the source's name, `"fusion"` or `"rerank"`.
        sentence: what happened there.
        rank: its place after the stage, from 1; None without one.
        score: the score that it was given there; None without one.
    """

    stage: str
    sentence: str
    rank: int | None = None
    score: float | None = None


class Way(NamedTuple):
    """What became of a document, and its steps; only left-out sources if none found it."""

    sentence: str
    steps: tuple[Step, ...]


def way(response: Response, doc_id: str) -> Way:
    """Return a document's path through the stages of an answer.

    Args:
        response: the answer.
        doc_id: the document; it need not be among the candidates.
    """
    trace = response.trace
    fate = trace.fate(doc_id)
    asked = [stage for stage in trace.stages if stage.stage == "recall"]
    if fate is None:
        failed = [
            Step(stage.source, f"left out ({said(stage.error)})") for stage in asked if stage.error
        ]
        return Way(f"no source found it within depth {trace.depth}.", tuple(failed))
    placed = {one.source: one for one in fate.candidate.placements}
    steps = [_recalled(stage, placed.get(stage.source)) for stage in asked]
    candidate = fate.candidate
    fused = (
        f"rank {candidate.fusion_rank} of {len(trace.fates)}, score "
        f"{number(candidate.fusion_score)}"
    )
    steps.append(Step("fusion", fused, candidate.fusion_rank, candidate.fusion_score))
    reranked = _reranked(fate, trace.window, trace.model.name)
    steps.append(Step("rerank", reranked, fate.rerank_rank, fate.rerank_score))
    return Way(f"{ending(fate, trace)}.", tuple(steps))


def _recalled(stage: StageTrace, one: Placement | None) -> Step:
    if one is not None:
        score = None if math.isnan(one.score) else one.score
        return Step(stage.source, f"rank {one.rank}, score {number(one.score)}", one.rank, score)
    if stage.error:
        return Step(stage.source, f"left out ({said(stage.error)})")
    return Step(stage.source, f"not among its {number_of(stage.left, 'hit')}")


def _reranked(fate: Fate, window: int, model: str) -> str:
    if fate.rerank_score is None and fate.pair_score is None:
        return unscored(fate, window, model)
    placed = model
    if fate.rerank_score is not None:
        change = moved(fate.candidate.fusion_rank, fate.rerank_rank or 0)
        placed += f" placed it {fate.rerank_rank} ({change}), score {number(fate.rerank_score)}"
    if fate.pair_score is not None and fate.pair_score != fate.rerank_score:
        placed += f", pair score {number(fate.pair_score)}"
    return placed + (", having read only part of it" if fate.truncated else "")


def moved(before: int, after: int) -> str:
    """Return how far a document moved between two ranks, in words."""
    up = before - after
    return f"up {up}" if up > 0 else f"down {-up}" if up else "unmoved"
