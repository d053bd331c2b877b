"""An answer, or one document's path through the stages, as plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runoff._util.messages import visible
from runoff._util.text import snippet
from runoff.report._text import number, table
from runoff.trace import FateKind, Scoring

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runoff.scores import Match, Usage
    from runoff.trace import Fate, StageTrace, Trace
    from runoff.types import Response

__all__ = ["explain", "headline", "result_table", "stage_table"]

_SNIPPET = 60
_SENTENCE = 500
_WORD = 20
_FEW, _MANY = 3, 12  # pairs of words shown


def explain(response: Response, doc_id: str | None = None) -> str:
    """Show what every stage did to an answer, or follow one document through the stages.

    Args:
        response: the answer.
        doc_id: the document to follow; None explains the whole answer.
    """
    if doc_id is not None:
        return visible(_follow(response, doc_id))
    parts = [headline(response), table(stage_table(response), align="<<><")]
    rows = result_table(response)
    words = 2 if response.trace.matcher is None else 3
    parts.append(table(rows, align=">" * (len(rows[0]) - words) + "<" * words))
    return visible("\n\n".join(parts))


def headline(response: Response) -> str:
    """Return the question, what it took, and what is missing from the answer."""
    outcome, trace = response.outcome, response.trace
    budget = "" if outcome.budget_ms is None else f" of {outcome.budget_ms:.0f} ms"
    found = f"{len(response)} of {len(trace.fates)} candidates"
    asked = repr(snippet(response.query.text, 100))
    lines = [f"{asked}: {found} in {outcome.spent_ms:.1f} ms{budget}"]
    if trace.load_ms:
        lines[0] += f", and {trace.load_ms:.0f} ms to load models"
    lines += [
        f"degraded: {one.stage} {one.source}: {one.reason} ({snippet(one.detail, _SENTENCE)})"
        for one in outcome.degraded
    ]
    if not outcome.degraded:
        lines[0] += ", complete"
    elif outcome.total and outcome.scored < outcome.total:
        lines.append(f"reranked only {outcome.scored} of {outcome.total} candidates")
    if trace.truncated:
        lines.append(
            f"{trace.truncated} documents were read only in part (token limit or deadline)"
        )
    grouped = sum(fate.kind is FateKind.GROUPED for fate in trace.fates)
    if grouped:
        lines.append(f"{grouped} candidates are grouped under another one, which represents them")
    lines += [f"note: {snippet(note, _SENTENCE)}" for note in outcome.notes]
    return visible("\n".join(lines))


def stage_table(response: Response) -> list[tuple[str, ...]]:
    """Return one row for each stage under a row of headings."""
    rows: list[tuple[str, ...]] = [("stage", "source", "ms", "what it did")]
    for stage in response.trace.stages:
        rows += _stage_rows(stage, "")
    return rows


def _stage_rows(stage: StageTrace, indent: str) -> list[tuple[str, ...]]:
    """Return a stage's row, then the rows of its own stages, marked with hyphens."""
    if stage.error:
        error = snippet(stage.error, _SENTENCE)
        did = f"left out: {error}" if not stage.left else f"failed in part: {error}"
    elif stage.stage == "recall":
        did = f"{stage.left} hits (depth {stage.entered})"
    elif stage.stage == "fusion":
        did = f"{stage.entered} hits became {stage.left} candidates"
    elif not stage.entered:
        did = "skipped"
    else:
        did = f"ordered {stage.left} of {stage.entered}"
    did += _used(stage.usage)
    if indent and stage.load_ms:  # the headline has the sum of the outer stages
        did += f", after {stage.load_ms:.0f} ms to load"
    row = (stage.stage, f"{indent}{stage.source}", f"{stage.latency_ms:.1f}", did)
    return [row, *(one for part in stage.parts for one in _stage_rows(part, f"{indent}- "))]


def _used(usage: Usage) -> str:
    """Return what a stage consumed, to end a sentence with; empty when nothing is known."""
    used = []
    if usage.cached:
        used.append(f"{usage.cached} from the cache")
    if usage.tokens is not None:
        used.append(f"{usage.tokens:,} tokens")
    if usage.billed_units is not None:
        used.append(f"{usage.billed_units:g} units billed")
    if usage.cost is not None:
        used.append(f"cost {usage.cost:.6g}")
    return "".join(f", {one}" for one in used)


def result_table(response: Response) -> list[tuple[str, ...]]:
    """Return one row for each result: its rank at every stage, its id and the start of its text.

    Where the model can say which words met, a column has the three pairs that count most.
    """
    matcher = response.trace.matcher
    sources = [stage.source for stage in response.trace.stages if stage.stage == "recall"]
    met = () if matcher is None else ("query ~ document",)
    rows: list[tuple[str, ...]] = [("#", "rerank", "fused", *sources, "document", *met, "text")]
    for result in response:
        placed = {one.source: f"{one.rank} ({number(one.score)})" for one in result.placements}
        words: tuple[str, ...] = ()
        if matcher is not None:
            words = (_met(matcher(result.document), _FEW) if result.rerank_rank else "",)
        reranked = "-"
        if result.rerank_score is not None:
            reranked = f"{result.rerank_rank} ({number(result.rerank_score)})"
        elif result.rerank_rank is not None:
            reranked = f"{result.rerank_rank} (-)"
        rows.append(
            (
                str(result.rank),
                reranked,
                f"{result.fusion_rank} ({number(result.fusion_score)})",
                *(placed.get(source, "-") for source in sources),
                snippet(result.doc_id, 40),
                *words,
                snippet(result.text, _SNIPPET) + (" [truncated]" if result.truncated else ""),
            )
        )
    return rows


def _met(matches: Sequence[Match], most: int) -> str:
    """Return the pairs of words that count most, with their cosines."""
    shown = (
        f"{snippet(one.query, _WORD)} ~ {snippet(one.document, _WORD)} {one.cosine:.2f}"
        for one in matches[:most]
    )
    return ", ".join(shown)


def _follow(response: Response, doc_id: str) -> str:
    trace = response.trace
    fate = trace.fate(doc_id)
    named = snippet(doc_id, _SENTENCE)
    asked = [stage for stage in trace.stages if stage.stage == "recall"]
    if fate is None:
        out = [f"{named}: no source found it within depth {trace.depth}."]
        out += [
            f"  {stage.source} was left out: {snippet(stage.error, _SENTENCE)}"
            for stage in asked
            if stage.error
        ]
        out.append("  Try a larger depth or another kind of source, and check that the document is")
        out.append("  indexed and passes the filters.")
        return "\n".join(out)
    candidate = fate.candidate
    placed = {one.source: one for one in candidate.placements}
    out = [f"{named}: {_ending(fate, trace)}"]
    for stage in asked:
        one = placed.get(stage.source)
        if one is not None:
            out.append(f"  {stage.source}: rank {one.rank}, score {number(one.score)}")
        elif stage.error:
            out.append(f"  {stage.source}: left out ({snippet(stage.error, _SENTENCE)})")
        else:
            out.append(f"  {stage.source}: not among its {stage.left} hits")
    out.append(
        f"  fusion: rank {candidate.fusion_rank} of {len(trace.fates)}, "
        f"score {number(candidate.fusion_score)}"
    )
    out.append(f"  rerank: {_reranked(fate, trace.window, trace.model.name)}")
    if fate.passages:
        best = fate.passages[0]
        out.append(
            f"  best passage: characters {best.start} to {best.end}, score {number(best.score)}: "
            + snippet(candidate.document.text[best.start : best.end], _SNIPPET)
        )
    if trace.matcher is not None and fate.rerank_rank is not None:
        met = _met(trace.matcher(candidate.document), _MANY)
        out.append(f"  words of the query ~ of the document: {met}")
    if candidate.grouped:
        ids = (snippet(one.document.doc_id, 40) for one in candidate.grouped)
        out.append(f"  represents: {', '.join(ids)}")
    return "\n".join(out)


def _ending(fate: Fate, trace: Trace) -> str:
    if fate.kind is FateKind.GROUPED:
        head = next(one for one in trace.fates if one.candidate.key == fate.grouped_under)
        named = snippet(head.candidate.document.doc_id, _SENTENCE)
        return f"grouped under {named}, which represents it: {_ending(head, trace)}"
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
