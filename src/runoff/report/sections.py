"""Findings of an evaluation as pieces of HTML: a table, a plot and a sentence for each.

Every text is escaped, whether it comes from a query, a document, a label or a name.
"""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING

import numpy as np

from runoff.evaluation.ledger import CEILINGS, ENTRIES
from runoff.evaluation.recording import Fate
from runoff.evaluation.stagewise import spent_ms
from runoff.report import svg
from runoff.report.evaluated import compared_rows
from runoff.report.explain import snippet
from runoff.report.notebook import framed, table_html

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from runoff.evaluation.curves import Curve
    from runoff.evaluation.findings import Health
    from runoff.evaluation.ledger import Ledger
    from runoff.evaluation.recording import Recording
    from runoff.evaluation.verdicts import Verdict

__all__ = [
    "curve_section",
    "deltas_section",
    "health_section",
    "latency_section",
    "ledger_html",
    "ledger_section",
    "paragraphs",
    "scores_section",
    "verdict_html",
    "verdict_section",
]

_LISTED = 20
_BINS = 30
_LONG = 1000
_WHOLE = 100  # milliseconds from which no fraction is shown


def verdict_html(found: Verdict) -> str:
    """Return a verdict for a notebook."""
    return framed(verdict_section(found))


def ledger_html(ledger: Ledger) -> str:
    """Return a ledger of losses for a notebook."""
    return framed(ledger_section(ledger))


def paragraphs(texts: Iterable[str], kind: str = "") -> str:
    """Return one escaped paragraph for each text."""
    opened = f'<p class="{kind}">' if kind else "<p>"
    return "".join(f"{opened}{html.escape(snippet(one, _LONG))}</p>" for one in texts)


def verdict_section(found: Verdict) -> str:
    """Return the decision, every comparison, and the queries that changed most."""
    rows: list[tuple[str, ...]] = [("", "before", "after", "query", "text")]
    for title, changes in (("helped", found.helped), ("hurt", found.hurt)):
        for one in changes:
            values = f"{one.before:.3f}", f"{one.after:.3f}"
            rows.append((title, *values, snippet(one.query_id, 60), snippet(one.text, 200)))
    return (
        f"<p><strong>{html.escape(found.decision)}</strong>: {html.escape(found.reason)}</p>"
        f"{table_html(compared_rows(found))}"
        f"{table_html(rows) if len(rows) > 1 else ''}{paragraphs(found.notes)}"
    )


def deltas_section(deltas: Sequence[float], measure: str) -> str:
    """Return what every query gained or lost, from the most helped to the most hurt."""
    ordered = sorted(deltas, reverse=True)
    changed = sum(one != 0 for one in ordered)
    said = f"{len(ordered)} queries, of which {changed} changed."
    if not changed:
        return paragraphs([said])
    title = f"Change of {measure} of every query, from the most helped to the most hurt"
    return svg.bars(ordered, title=title, names=("queries", measure)) + paragraphs([said])


def ledger_section(ledger: Ledger) -> str:
    """Return where quality is lost as a waterfall, the moves, and the documents concerned."""
    steps, level = [("ideal", 0.0, ledger.ideal)], ledger.ideal
    for name, loss in ledger.entries.items():
        if loss:
            steps.append((ENTRIES[name], level, level - loss))
            level -= loss
    steps.append(("achieved", 0.0, ledger.achieved))
    title = f"{ledger.measure}: from the ideal to what is achieved"
    moves: list[tuple[str, ...]] = [("next move", "is lost there", "brings at most", "brings")]
    for one in ledger.moves:
        gain = "-" if one.brings is None else f"{one.brings:+.3f}"
        moves.append((one.action, f"{one.loss:.3f}", f"{one.at_most:.3f}", gain))
    ceilings = [("the best that is left", ledger.measure)]
    ceilings += [(CEILINGS[name], f"{best:.4f}") for name, best in ledger.ceilings.items()]
    texts = {one.query_id: one.text for one in ledger.queries}
    lost: list[tuple[str, ...]] = [("loss", "document", "where", "query", "text")]
    lost += [
        (
            f"{one.loss:.3f}",
            snippet(one.doc_id, 60),
            snippet(one.where, 200),
            snippet(one.query_id, 60),
            snippet(texts[one.query_id], 200),
        )
        for one in ledger.documents()[:_LISTED]
    ]
    return (
        svg.waterfall(steps, title=title)
        + (table_html(moves) if len(moves) > 1 else "")
        + _folded("the best that is left after each stage", ceilings)
        + _folded("the documents that cost most", lost)
        + paragraphs(ledger.notes)
    )


def curve_section(curve: Curve) -> str:
    """Return quality against the window, with a recommendation."""
    measure = curve.measures[0]
    points = [(one.window, one.values[measure], *one.intervals[measure]) for one in curve.points]
    marks = {"in use": curve.configured, "recommended": curve.recommended}
    if curve.configured == curve.recommended:
        marks = {"in use and recommended": curve.configured}
    rows: list[tuple[str, ...]] = [
        ("window", *curve.measures, "gain", "95%", "per 10 candidates", "ms", "p95 ms", "cost")
    ]
    for one in curve.points:
        low, high = one.gain_interval
        rows.append(
            (
                str(one.window),
                *(f"{one.values[name]:.4f}" for name in curve.measures),
                f"{one.gain:+.4f}",
                f"{low:+.4f} to {high:+.4f}",
                "-" if one.per_10_candidates is None else f"{one.per_10_candidates:+.4f}",
                f"{one.ms:.0f}",
                f"{one.p95_ms:.0f}",
                "-" if one.cost is None else f"{one.cost:.4g}",
            )
        )
    low, high = curve.regret_interval
    said = (
        f"{curve.shape}: a window of {curve.recommended} is recommended ({curve.configured} is in "
        f"use); on held-out queries it loses {curve.regret:.4f} [{low:+.4f}, {high:+.4f}] against "
        "the best."
    )
    plot = svg.lines(
        points, title=f"{measure} by window", names=("candidates read", measure), marks=marks
    )
    return plot + paragraphs([said]) + table_html(rows) + paragraphs(curve.notes)


def health_section(found: Health) -> str:
    """Return what is odd about the second stage, the odd first, with what to try."""
    marks = {True: "look", False: "fine", None: "-"}
    rows: list[tuple[str, ...]] = [("", "check", "found")]
    for one in found.findings:
        advice = f" Try: {one.advice}" if one.advice else ""
        rows.append((marks[one.odd], one.check, snippet(f"{one.sentence}{advice}", _LONG)))
    return table_html(rows)


def scores_section(recording: Recording, qrels: Mapping[str, Mapping[str, int]]) -> str:
    """Return how the reranker's scores are distributed over relevant documents and all others."""
    found: dict[bool, list[float]] = {True: [], False: []}
    kinds = set()
    for query in recording:
        grades = qrels.get(query.query_id, {})
        kinds.add(str(query.kind))
        for row in np.flatnonzero(query.fate == Fate.RERANKED).tolist():
            score = float(query.pair_score[row])
            if math.isfinite(score):
                found[grades.get(query.doc_ids[row], 0) > 0].append(score)
    both = np.array(found[True] + found[False])
    if not both.size:
        return paragraphs(["No second stage scored anything."])
    low, high = float(both.min()), float(both.max())
    edges = np.linspace(low, high if high > low else low + 1.0, _BINS + 1)
    counts = {
        "relevant": np.histogram(found[True], edges)[0].tolist(),
        "all others": np.histogram(found[False], edges)[0].tolist(),
    }
    plot = svg.histogram(
        counts,
        edges.tolist(),
        title="Scores of relevant documents and of all others",
        names=(f"score ({', '.join(sorted(kinds))})", "share"),
    )
    said = f"{len(found[True])} pairs with a relevant document, {len(found[False])} others."
    return plot + paragraphs([said])


def latency_section(recording: Recording) -> str:
    """Return p50 and p95 of every stage as they were recorded, at the recorded width."""
    rows = [(name, *_percentiles(ms)) for name, ms in spent_ms(recording).items()]
    setup = recording.setup
    said = (
        f"Recorded with a depth of {setup.recorded_depth} and {setup.recorded_window} candidates "
        f"scored, where the system itself asks for {setup.depth} and {setup.window}; queries that "
        "were recorded side by side took longer than one alone."
    )
    plot = svg.spans(
        [(name, low, high, f"{_ms(low)} to {_ms(high)}") for name, low, high in rows],
        title="Milliseconds of every stage, p50 to p95",
    )
    return plot + paragraphs([f"Milliseconds, p50 to p95. {said}"])


def _ms(value: float) -> str:
    return f"{value:.1f}" if value < _WHOLE else f"{value:.0f}"


def _percentiles(values: Sequence[float]) -> tuple[float, float]:
    low, high = np.percentile(values, (50, 95)).tolist()
    return low, high


def _folded(title: str, rows: Sequence[tuple[str, ...]]) -> str:
    if len(rows) == 1:
        return ""
    return f"<details><summary>{html.escape(title)}</summary>{table_html(rows)}</details>"
