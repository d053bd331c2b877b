"""The way of one document through the stages of a search, step by step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from runoff._util.text import snippet
from runoff.report._text import number
from runoff.trace import FateKind, Scoring

if TYPE_CHECKING:
    from runoff.trace import Fate, StageTrace, Trace
    from runoff.types import Placement, Response

__all__ = ["Step", "Way", "ending", "way"]

_SENTENCE = 500


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
    """Return a document's way through the stages of an answer.

    Args:
        response: the answer.
        doc_id: the document; it need not be among the candidates.
    """
    trace = response.trace
    fate = trace.fate(doc_id)
    asked = [stage for stage in trace.stages if stage.stage == "recall"]
    if fate is None:
        failed = [
            Step(stage.source, f"left out ({snippet(stage.error, _SENTENCE)})")
            for stage in asked
            if stage.error
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
    said = _reranked(fate, trace.window, trace.model.name)
    steps.append(Step("rerank", said, fate.rerank_rank, fate.rerank_score))
    return Way(ending(fate, trace), tuple(steps))


def _recalled(stage: StageTrace, one: Placement | None) -> Step:
    if one is not None:
        score = None if math.isnan(one.score) else one.score
        return Step(stage.source, f"rank {one.rank}, score {number(one.score)}", one.rank, score)
    if stage.error:
        return Step(stage.source, f"left out ({snippet(stage.error, _SENTENCE)})")
    return Step(stage.source, f"not among its {stage.left} hits")


def ending(fate: Fate, trace: Trace) -> str:
    """Return where a candidate ended, as a sentence without its subject."""
    if fate.kind is FateKind.GROUPED:
        head = next(one for one in trace.fates if one.candidate.key == fate.grouped_under)
        named = snippet(head.candidate.document.doc_id, _SENTENCE)
        return f"grouped under {named}, which represents it: {ending(head, trace)}"
    if fate.kind is FateKind.RETURNED:
        return f"returned at rank {fate.rank}."
    if fate.kind is FateKind.CUT:
        return f"rank {fate.rank}, below the {trace.top_k} results asked for."
    return f"dropped: {fate.reason}."


def _reranked(fate: Fate, window: int, model: str) -> str:
    if fate.rerank_score is None and fate.pair_score is None:
        if fate.rerank_rank is not None:
            return f"placed {fate.rerank_rank} by an earlier stage; {model} did not score it"
        return {
            Scoring.TAIL: f"below the window of {window}, so it was never read",
            Scoring.UNSCORED: f"unscored: {fate.reason}",
            Scoring.IMAGE: "an image without text, so it keeps its fused rank",
            Scoring.EMPTY: "it has no text to read",
            Scoring.OFF: "there is no second stage",
            Scoring.GROUPED: "the candidate that represents it was read instead",
        }.get(fate.scoring, fate.scoring)
    said = model
    if fate.rerank_score is not None:
        moved = fate.candidate.fusion_rank - (fate.rerank_rank or 0)
        change = f"up {moved}" if moved > 0 else f"down {-moved}" if moved else "unmoved"
        said += f" placed it {fate.rerank_rank} ({change}), score {number(fate.rerank_score)}"
    if fate.pair_score is not None and fate.pair_score != fate.rerank_score:
        said += f", pair score {number(fate.pair_score)}"
    return said + (", having read only part of it" if fate.truncated else "")
