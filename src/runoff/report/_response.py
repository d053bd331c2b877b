"""A response of a pipeline, or one query of a recording, as an account."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from runoff._recording.query import FateCode
from runoff._util.messages import number_of
from runoff._util.text import snippet
from runoff.report._account import Account, Row, met, said, stage_rows
from runoff.trace import FateKind, Scoring

if TYPE_CHECKING:
    from collections.abc import Callable

    from runoff._recording.query import RecordedQuery
    from runoff.trace import Fate, Trace
    from runoff.types import Candidate, Outcome, Response

_FEW = 3  # pairs of words shown
_RECORDED = 10  # results of a recorded query that are shown
_WHY = {
    FateCode.TAIL: "below the recorded window",
    FateCode.UNSCORED: "left without a score by a fault",
    FateCode.DROPPED: "dropped",
    FateCode.IMAGE: "an image without text, so it keeps its fused rank",
    FateCode.EMPTY: "it has no text to read",
    FateCode.OFF: "there was no second stage",
}


def of_response(response: Response) -> Account:
    """Return what a response and its trace say."""
    trace = response.trace
    matcher = trace.matcher
    fates = {one.candidate.key: one for one in trace.fates}

    def row(candidate: Candidate, rank: int | None) -> Row:
        fate = fates.get(candidate.key)
        words = ""
        if rank is not None and matcher is not None and fate is not None and fate.rerank_rank:
            words = met(matcher(candidate.document), _FEW)
        return Row(
            candidate.document.doc_id,
            candidate.document.text,
            rank,
            {one.source: (one.rank, one.score) for one in candidate.placements},
            candidate.fusion_rank,
            candidate.fusion_score,
            None if fate is None else fate.rerank_rank,
            None if fate is None else fate.rerank_score,
            fate is not None and fate.truncated,
            words,
            "" if fate is None or rank is not None else ending(fate, trace),
        )

    returned = {one.candidate.key for one in response}
    return Account(
        headline(response),
        response.outcome.complete,
        tuple(row(one.candidate, one.rank) for one in response),
        tuple(stage.source for stage in trace.stages if stage.stage == "recall"),
        stage_rows(trace.stages),
        tuple(row(one.candidate, None) for one in trace.fates if one.candidate.key not in returned),
        words=matcher is not None,
    )


def headline(response: Response) -> str:
    """Return the question, what it took, and what is missing from the answer."""
    outcome, trace = response.outcome, response.trace
    budget = "" if outcome.budget_ms is None else f" of {outcome.budget_ms:.0f} ms"
    found = f"{len(response)} of {number_of(len(trace.fates), 'candidate')}"
    asked = repr(snippet(response.query.text, 100))
    lines = [f"{asked}: {found} in {outcome.spent_ms:.1f} ms{budget}"]
    if trace.load_ms:
        lines[0] += f", and {trace.load_ms:.0f} ms to load models"
    if outcome.complete:
        lines[0] += ", complete"
    lines += _missing(outcome)
    if trace.truncated:
        read = number_of(trace.truncated, "document was", "documents were")
        lines.append(f"{read} read only in part (token limit or deadline)")
    grouped = sum(fate.kind is FateKind.GROUPED for fate in trace.fates)
    if grouped:
        lines.append(
            f"{number_of(grouped, 'candidate is', 'candidates are')} grouped under another "
            f"one, which represents {'it' if grouped == 1 else 'them'}"
        )
    reasons = Counter(one.reason for one in trace.fates if one.kind is FateKind.DROPPED)
    lines += [
        f"{number_of(count, 'candidate was', 'candidates were')} dropped: {said(why)}"
        for why, count in reasons.items()
    ]
    return "\n".join([*lines, *(f"note: {said(note)}" for note in outcome.notes)])


def _missing(outcome: Outcome) -> list[str]:
    """Return what is missing from an answer, as lines."""
    lines = [
        f"degraded: {one.stage} {one.source}: {one.reason} ({said(one.detail)})"
        for one in outcome.degraded
    ]
    if lines and outcome.total and outcome.scored < outcome.total:
        lines.append(f"reranked only {outcome.scored} of {number_of(outcome.total, 'candidate')}")
    return lines


def fate_rows(trace: Trace, most: int) -> list[tuple[str, ...]]:
    """Return headings and one row for each candidate, up to so many."""
    rows: list[tuple[str, ...]] = [("fused", "rerank", "document", "what became of it")]
    for one in trace.fates[:most]:
        reranked = "-" if one.rerank_rank is None else str(one.rerank_rank)
        document = one.candidate.document.doc_id
        cells = str(one.candidate.fusion_rank), reranked, snippet(document, 60)
        rows.append((*cells, ending(one, trace)))
    return rows


def ending(fate: Fate, trace: Trace) -> str:
    """Return where a candidate ended, as a sentence without its full stop."""
    if fate.kind is FateKind.GROUPED:
        head = next(one for one in trace.fates if one.candidate.key == fate.grouped_under)
        named = said(head.candidate.document.doc_id)
        return f"grouped under {named}, which represents it: {ending(head, trace)}"
    if fate.kind is FateKind.RETURNED:
        return f"returned at rank {fate.rank}"
    if fate.kind is FateKind.CUT:
        return f"rank {fate.rank}, below the {number_of(trace.top_k, 'result')} asked for"
    return f"dropped: {said(fate.reason)}"


def unscored(fate: Fate, window: int, model: str) -> str:
    """Return why the second stage gave a candidate no score."""
    if fate.rerank_rank is not None:
        return f"placed {fate.rerank_rank} by an earlier stage; {model} did not score it"
    return {
        Scoring.TAIL: f"below the window of {window}, so it was never read",
        Scoring.UNSCORED: f"unscored: {said(fate.reason)}",
        Scoring.IMAGE: "an image without text, so it keeps its fused rank",
        Scoring.EMPTY: "it has no text to read",
        Scoring.OFF: "there is no second stage",
        Scoring.GROUPED: "the candidate that represents it was read instead",
    }.get(fate.scoring, fate.scoring)


def of_recorded(query: RecordedQuery) -> Account:
    """Return what was recorded of one query: every candidate, at full width."""
    placed = [at for at in range(len(query)) if query.rerank_rank[at] > 0]
    placed.sort(key=lambda at: int(query.rerank_rank[at]))
    order, how = (placed, "the second stage") if placed else (range(len(query)), "fusion")
    ranked = set(order)
    row = _recorded_row(query)
    rows = [row(at, rank) for rank, at in enumerate(order, 1)]
    shown = min(_RECORDED, len(rows))
    asked = snippet(query.text, 100)
    lines = [
        (
            f"{asked!r}: {number_of(len(query), 'candidate')} as recorded, the first {shown} in "
            f"the order of {how}"
        ),
        "window, threshold and grouping are not applied in a recording: `replay` applies them",
        *_missing(query.outcome),
        *(f"note: {said(note)}" for note in query.outcome.notes),
    ]
    return Account(
        "\n".join(lines),
        query.outcome.complete,
        tuple(rows[:shown]),
        tuple(query.origins),
        stage_rows(query.stages),
        (*rows[shown:], *(row(at, None) for at in range(len(query)) if at not in ranked)),
    )


def _recorded_row(query: RecordedQuery) -> Callable[[int, int | None], Row]:
    """Return what makes a row of a candidate and its place in the whole order."""

    def row(at: int, rank: int | None) -> Row:
        code = FateCode(int(query.fate[at]))
        fate = "" if code is FateCode.RERANKED else _WHY[code]
        if query.why and query.why[at]:
            fate = f"{fate}: {said(query.why[at])}"
        reranked = int(query.rerank_rank[at])
        return Row(
            query.doc_ids[at],
            query.texts[at] if query.texts else "",
            rank,
            {
                name: (int(one.rank[at]), float(one.score[at]))
                for name, one in query.origins.items()
                if one.rank[at] > 0
            },
            at + 1,
            float(query.fusion_score[at]),
            reranked or None,
            float(query.rerank_score[at]) if reranked else None,
            bool(query.truncated[at]),
            fate=fate,
        )

    return row
