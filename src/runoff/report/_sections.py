"""Findings as HTML, for the report and for notebooks: tables, plots and sentences.

Every text from outside (queries, documents, labels, names) is escaped.
"""

from __future__ import annotations

import html
import math
import re
from typing import TYPE_CHECKING

from runoff._util.messages import number_of
from runoff._util.text import given_id, snippet
from runoff.evaluation._ledger import CEILINGS
from runoff.report import _figures as figures
from runoff.report import _svg as svg
from runoff.report._evaluated import compared_rows, rival_rows
from runoff.report._notebook import folded_html, framed, table_html

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runoff._labels.collection import Collection
    from runoff._recording.recording import Recording
    from runoff._recording.setup import Setup
    from runoff.evaluation._curve import Curve
    from runoff.evaluation._health.observations import Health
    from runoff.evaluation._ledger import Ledger
    from runoff.evaluation._measures.measures import Judged, Measured
    from runoff.evaluation._tune import Tuning
    from runoff.evaluation._verdict.result import Verdict

_LISTED = 20
_LONG = 1000
_CODE = re.compile("`([^`]+)`")


def verdict_html(found: Verdict) -> str:
    """Return a verdict for a notebook, with the change of every query."""
    return framed(verdict_section(found) + deltas_section(found))


def ledger_html(ledger: Ledger) -> str:
    """Return the losses for a notebook."""
    return framed(ledger_section(ledger))


def curve_html(curve: Curve) -> str:
    """Return quality against the window for a notebook."""
    return framed(curve_section(curve))


def tuning_html(tuning: Tuning) -> str:
    """Return the outcome of tuning for a notebook."""
    return framed(tuning_section(tuning))


def health_html(found: Health) -> str:
    """Return the checks of a second stage for a notebook."""
    return framed(paragraphs([f"{number_of(found.queries, 'query')}."]) + health_section(found))


def measured_html(measured: Measured) -> str:
    """Return means for a notebook, with the share of judged results."""
    rows: list[tuple[str, ...]] = [("measure", "mean", "judged")]
    for name in measured.values:
        share = measured.judged_share(name)
        rows.append(
            (name, f"{measured.mean(name):.4f}", "-" if math.isnan(share) else f"{share:.3f}")
        )
    queries = f"{number_of(len(measured.query_ids), 'judged query')}."
    return framed(table_html(rows) + paragraphs([queries, *measured.notes]))


def recording_html(recording: Recording) -> str:
    """Return the size and the configuration of a recording for a notebook."""
    first = next(iter(recording), None)
    degraded = len(recording.degraded)
    rows: list[tuple[str, ...]] = [
        ("recorded", ""),
        ("queries", f"{len(recording)}, {degraded} of them degraded"),
        ("candidates", str(recording.pairs)),
    ]
    if first is not None and first.model.name:
        name = snippet(f"{first.model.name} {first.model.revision}", 200)
        rows.append(("model", f"{name} ({first.kind} scores)"))
    return framed(table_html([*rows, *parts_rows(recording.setup)]))


def collection_html(collection: Collection) -> str:
    """Return the size of a collection, its first queries, and how it was read, for a notebook."""
    qrels = collection.qrels.values()
    relevant = [sum(grade > 0 for grade in one.values()) for one in qrels]
    rows: list[tuple[str, ...]] = [
        (snippet(collection.name, 200), ""),
        ("judged queries", f"{len(collection):,}"),
        ("judgments", f"{sum(map(len, qrels)):,}"),
        ("relevant documents of a query", f"{sum(relevant) / len(relevant):.1f} on average"),
    ]
    if collection.documents is not None:
        rows.append(("documents", f"{len(collection.documents):,}"))
    labels = sorted({name for one in collection.labels.values() for name in one})
    if labels:
        rows.append(("labels", snippet(", ".join(labels), 200)))
    first = list(collection.queries.items())[:_LISTED]
    queries = [("query", "text"), *((snippet(one, 60), snippet(text, 60)) for one, text in first)]
    return framed(
        table_html(rows)
        + folded_html(
            f"the first {number_of(len(first), 'query')}", queries, [text for _, text in first]
        )
        + paragraphs(collection.notes)
    )


def paragraphs(texts: Iterable[str], kind: str = "") -> str:
    """Return one escaped paragraph for each text."""
    opened = f'<p class="{kind}">' if kind else "<p>"
    return "".join(f"{opened}{html.escape(snippet(one, _LONG))}</p>" for one in texts)


def numbered(texts: Iterable[str]) -> str:
    """Return the texts as a numbered list; each is escaped, and what is in backticks is code."""
    shown = (_CODE.sub(r"<code>\1</code>", html.escape(snippet(one, _LONG))) for one in texts)
    return f"<ol>{''.join(f'<li>{one}</li>' for one in shown)}</ol>"


def verdict_section(found: Verdict) -> str:
    """Return the decision, every comparison, and the queries that changed most."""
    rows: list[tuple[str, ...]] = [("", "before", "after", "query", "text")]
    for title, changes in (("helped", found.helped), ("hurt", found.hurt)):
        for one in changes:
            values = f"{one.before:.3f}", f"{one.after:.3f}"
            rows.append(
                (
                    title,
                    *values,
                    snippet(given_id(one.query_id, one.text), 60),
                    snippet(one.text, 200),
                )
            )
    return (
        f"<p><strong>{html.escape(found.decision)}</strong>: {html.escape(found.reason)}</p>"
        f"{table_html(compared_rows(found))}"
        f"{_rivals(found)}"
        f"{'' if found.unjudged is None else paragraphs([found.unjudged.sentence])}"
        f"{table_html(rows) if len(rows) > 1 else ''}{paragraphs(found.notes)}"
    )


def _rivals(found: Verdict) -> str:
    """Return the gain over each system that has to be beaten, with its interval."""
    if len(found.rivals) < 2:  # noqa: PLR2004 - one is the comparison above
        return ""
    plot = svg.intervals(
        [
            (f"against {one.name}", one.difference, *one.interval, one.beaten)
            for one in found.rivals
        ],
        title=f"Gain in {found.main.measure} with its 95% interval; filled where it is proven",
        name=f"gain in {found.main.measure}",
    )
    return plot + table_html(rival_rows(found))


def deltas_section(found: Verdict) -> str:
    """Return the change of every query, from the most helped to the most hurt."""
    deltas, main = [one.delta for one in found.changes], found.main
    said = f"{number_of(len(deltas), 'query')}; {main.wins + main.losses} of them changed."
    if not any(deltas):
        return paragraphs([said])
    drawn = figures.thinned(len(deltas))
    if len(drawn) < len(deltas):
        said += f" The plot shows an evenly spread {len(drawn)} of them."
    title = f"Change in {main.measure} by query, from the most helped to the most hurt"
    plot = svg.bars([deltas[at] for at in drawn], title=title, names=("queries", main.measure))
    return plot + paragraphs([said])


def ledger_section(ledger: Ledger) -> str:
    """Return the losses as a waterfall, what to try next, and the documents concerned."""
    title = f"{ledger.measure}: from the ideal to the achieved value"
    moves: list[tuple[str, ...]] = [("what to try", "lost there", "could gain up to", "gains")]
    for one in ledger.moves:
        gain = "-" if one.brings is None else f"{one.brings:+.3f}"
        moves.append((one.action, f"{one.loss:.3f}", f"{one.at_most:.3f}", gain))
    ceilings = [("best possible result", ledger.measure)]
    ceilings += [(CEILINGS[name], f"{best:.4f}") for name, best in ledger.ceilings.items()]
    texts = {one.query_id: one.text for one in ledger.queries}
    lost: list[tuple[str, ...]] = [("loss", "document", "where", "query", "text")]
    lost += [
        (
            f"{one.loss:.3f}",
            snippet(one.doc_id, 60),
            snippet(one.where, 200),
            snippet(given_id(one.query_id, texts[one.query_id]), 60),
            snippet(texts[one.query_id], 200),
        )
        for one in ledger.documents()[:_LISTED]
    ]
    return (
        svg.waterfall(figures.steps(ledger), title=title)
        + (table_html(moves) if len(moves) > 1 else "")
        + folded_html("Best possible result after each stage", ceilings)
        + folded_html("Documents with the largest losses", lost)
        + paragraphs(ledger.notes)
    )


def curve_section(curve: Curve) -> str:
    """Return quality against the window and the recommendation."""
    measure = curve.measures[0]
    points = [(one.window, one.gain, *one.gain_interval) for one in curve.points]
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
                figures.ms(one.ms),
                figures.ms(one.p95_ms),
                "-" if one.cost is None else f"{one.cost:.4g}",
            )
        )
    low, high = curve.regret_interval
    said = (
        f"{curve.shape}: the recommended window is {curve.recommended}, the one in use is "
        f"{curve.configured}. On held-out queries the recommended one scores {curve.regret:.4f} "
        f"[{low:+.4f}, {high:+.4f}] less than the best."
    )
    plot = svg.lines(
        points,
        title=f"Gain in {measure} over no second stage by window, with its 95% interval",
        names=("candidates reranked", f"gain in {measure}"),
        marks=figures.window_marks(curve),
    )
    return plot + paragraphs([said]) + table_html(rows) + paragraphs(curve.notes)


def health_section(found: Health) -> str:
    """Return the checks of the second stage, the failed ones first, with what to try."""
    marks = {True: "look", False: "fine", None: "-"}
    rows: list[tuple[str, ...]] = [("", "check", "finding")]
    for one in found.findings:
        advice = f" Try: {one.advice}" if one.advice else ""
        rows.append((marks[one.odd], one.check, snippet(f"{one.sentence}{advice}", _LONG)))
    return table_html(rows)


def tuning_section(tuning: Tuning) -> str:
    """Return which setting to run and the settings that no other one beats."""
    shown = figures.settings_shown(tuning)
    rows: list[tuple[str, ...]] = [("", tuning.measure, "p95 ms", "pairs", "cost", "setting")]
    for name, one in shown:
        cost = "-" if one.cost is None else f"{one.cost:.4g}"
        cells = f"{one.quality:.4f}", figures.ms(one.p95_ms), f"{one.pairs:.0f}", cost
        rows.append((name, *cells, snippet(str(one.setting), _LONG)))
    low, high = tuning.interval
    said = (
        f"On held-out queries the chosen setting has {tuning.measure} {tuning.held_out:.4f}, "
        f"{tuning.gain:+.4f} [{low:+.4f}, {high:+.4f}] against the setting in use. On the queries "
        f"it was chosen on it looks {tuning.optimism:+.4f} better. "
        f"{number_of(tuning.tried, 'setting')} and "
        f"{number_of(tuning.queries, 'query')}; {tuning.agreement:.0%} of the folds choose "
        "the same setting."
    )
    plot = svg.scatter(
        [(name, one.p95_ms, one.quality) for name, one in shown],
        title=f"{tuning.measure} against p95 latency of the settings that no other one beats",
        names=("p95 ms", tuning.measure),
    )
    return (
        f"<p><strong>{html.escape(tuning.decision)}</strong>: {html.escape(tuning.reason)}</p>"
        f"{paragraphs([said])}{plot}"
        f"{folded_html('Settings that no other one beats in quality, p95 and usage', rows)}"
        f"{paragraphs(tuning.notes)}"
    )


def scores_section(recording: Recording, collection: Judged) -> str:
    """Return the distribution of the second stage's scores by judgment."""
    found = figures.score_bins(recording, collection)
    if found is None:
        return paragraphs(["The system has no second stage, so nothing was scored."])
    plot = svg.histogram(
        found.counts,
        found.edges,
        title="Scores by judgment of the document",
        names=(f"score ({found.kind})", "share"),
    )
    pairs = ", ".join(f"{sum(counts)} {name}" for name, counts in found.counts.items())
    return plot + paragraphs([f"Pairs: {pairs}."])


def latency_section(recording: Recording) -> str:
    """Return the recorded p50 and p95 of every stage."""
    plot = svg.spans(
        [
            (name, low, high, f"{figures.ms(low)} to {figures.ms(high)}")
            for name, low, high in figures.stage_spans(recording)
        ],
        title="Milliseconds by stage, p50 to p95",
    )
    return plot + paragraphs([f"Milliseconds, p50 to p95. {figures.recorded_how(recording)}"])


def parts_rows(setup: Setup) -> list[tuple[str, ...]]:
    """Return a row for each part of the recorded system, with its depths and windows."""
    fusion = ", ".join(f"{name}={value}" for name, value in setup.fusion.items())
    return [
        *((snippet(name, 60), snippet(one, 400)) for name, one in setup.parts.items()),
        ("fusion", snippet(fusion, 400)),
        ("depth, window, results", f"{setup.depth}, {setup.window}, {setup.top_k}"),
        ("recorded depth and window", f"{setup.recorded_depth}, {setup.recorded_window}"),
    ]
