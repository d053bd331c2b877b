"""Findings as Altair charts for notebooks and slides; HTML reports do not need Altair."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from runoff._util.messages import number_of
from runoff.errors import InvalidArgument
from runoff.report import _figures as figures
from runoff.report._altair import (
    BLUE,
    GREY,
    ORANGE,
    ROW,
    TEXT,
    alt,
    beside,
    chart,
    colours,
    far,
    finished,
    inert,
    marks,
    row_names,
    tips,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runoff._recording.recording import Recording
    from runoff.evaluation import _curve as curves
    from runoff.evaluation import _tune as tuning
    from runoff.evaluation._ledger import Ledger
    from runoff.evaluation._measures.measures import Judged
    from runoff.evaluation._verdict.result import Verdict

_AXES = {
    "window": "window (most candidates reranked)",
    "pairs": "mean pairs scored per query",
    "ms": "mean milliseconds per search",
    "p95_ms": "p95 milliseconds per search",
    "cost": "mean cost per query",
}
_JUDGED = {"relevant": BLUE, "judged not relevant": ORANGE, "unjudged": GREY}
_CHANGED = {"value": GREY, "lost": ORANGE, "gained": BLUE}
_SEAMS = 300  # from this many bars on, gaps would only make them pale
_BY_CURVE = tuple(_AXES)
_BY_TUNING = ("p95_ms", "pairs", "cost")


def verdict_plot(found: Verdict) -> alt.LayerChart:
    """Return a bar for each query's change in the first measure; see `Verdict.plot`."""
    many, name = len(found.changes), inert(found.main.measure, 60)
    drawn = figures.thinned(many)
    edges = [*drawn, many]
    wide = 0.9 if many < _SEAMS else 1.0
    rows = [
        {
            "from": at,
            "to": at + wide * (after - at),
            "change": found.changes[at].delta,
            "before": found.changes[at].before,
            "after": found.changes[at].after,
            "query": inert(found.changes[at].query_id, 60),
            "text": inert(found.changes[at].text, 200),
        }
        for at, after in zip(drawn, edges[1:], strict=True)
    ]
    main = found.main
    said = (
        f"{main.wins} better, {main.ties} unchanged, {main.losses} worse of "
        f"{number_of(many, 'query')}"
    )
    if len(drawn) < many:
        said += f"; an evenly spread {len(drawn)} of them are drawn"
    bars = (
        chart(rows)
        .mark_rect()
        .encode(
            x=alt.X("from:Q", title="queries, from the most helped to the most hurt"),
            x2="to:Q",
            y=alt.Y("change:Q", title=f"change in {name}"),
            y2=alt.datum(0),
            color=alt.condition("datum.change > 0", alt.value(BLUE), alt.value(ORANGE)),
            tooltip=tips("query", "text", before=".4f", after=".4f", change="+.4f"),
        )
    )
    zero = chart([{}]).mark_rule(color=TEXT).encode(y=alt.datum(0))
    return finished([bars, zero], f"{found.decision}: change in {name} by query", said)


def ledger_plot(ledger: Ledger) -> alt.LayerChart:
    """Return a waterfall from the ideal to the achieved value; see `Ledger.plot`."""
    rows = []
    for step in figures.steps(ledger):
        kind = "value" if not step.start else "gained" if step.end > step.start else "lost"
        change = step.end - step.start
        rows.append(
            {
                "stage": step.name,
                "start": step.start,
                "end": step.end,
                "right": max(step.start, step.end),
                "kind": kind,
                "said": f"{change:.3f}" if kind == "value" else f"{change:+.3f}",
            }
        )
    base = chart(rows).encode(y=row_names("stage", rows))
    bars = base.mark_bar().encode(
        x=alt.X("start:Q", title=ledger.measure),
        x2="end:Q",
        color=colours("kind", _CHANGED, rows),
        tooltip=tips("stage", "kind", "said"),
    )
    texts = base.mark_text(align="left", dx=5, color=TEXT).encode(x="right:Q", text="said:N")
    return finished(
        [bars, texts],
        f"Where {ledger.measure} is lost",
        f"mean of {number_of(len(ledger.queries), 'query')}, from the ideal to the achieved value",
        len(rows) * ROW,
    )


def curve_plot(curve: curves.Curve, measure: str, against: str) -> alt.LayerChart:
    """Return quality against the cost of each window, with intervals; see `Curve.plot`.

    Raises:
        InvalidArgument: the measure or the axis is unknown.
    """
    if measure not in curve.measures:
        raise InvalidArgument("measure", measure, f"is not one of {list(curve.measures)}")
    _check(against, _BY_CURVE, curve.points)
    # the gain's interval is what decides: that of the mean holds the spread of the queries too
    first = measure == curve.measures[0]
    base_value = curve.points[0].values[measure]
    ends = [
        tuple(base_value + end for end in one.gain_interval) if first else one.intervals[measure]
        for one in curve.points
    ]
    rows = [
        {
            "x": getattr(one, against),
            "value": one.values[measure],
            "low": low,
            "high": high,
            "window": one.window,
            "gain": one.gain,
            "gain_low": one.gain_interval[0],
            "gain_high": one.gain_interval[1],
            "pairs": one.pairs,
            "p95_ms": one.p95_ms,
        }
        for one, (low, high) in zip(curve.points, ends, strict=True)
    ]
    scale = alt.Scale(zero=against == "window")
    base = chart(rows).encode(x=alt.X("x:Q", title=_AXES[against], scale=scale))
    y = alt.Y("low:Q", title=measure, scale=alt.Scale(zero=False))
    band = base.mark_area(color=BLUE, opacity=0.2).encode(y=y, y2="high:Q")
    if against != "window":  # windows with equal x would make no area
        band = base.mark_rule(color=BLUE, opacity=0.3, strokeWidth=3).encode(y=y, y2="high:Q")
    line = base.mark_line(color=BLUE).encode(y="value:Q", order="window:Q")
    dots = base.mark_point(color=BLUE, filled=True, size=45, opacity=1).encode(
        y="value:Q",
        tooltip=tips(
            window="d",
            value=(measure, ".4f"),
            low=("95% from", ".4f"),
            high=("95% to", ".4f"),
            gain=(f"gain, {curve.measures[0]}", "+.4f"),
            gain_low=("gain, 95% from", "+.4f"),
            gain_high=("gain, 95% to", "+.4f"),
            pairs=("pairs scored", ".0f"),
            p95_ms=("p95 ms", ".0f"),
        ),
    )
    places = {
        name: getattr(curve.point(window), against)
        for name, window in figures.window_marks(curve).items()
    }
    return finished(
        [band, line, *marks(places, far(rows)), dots],
        f"{measure} by window: {curve.shape}",
        f"{number_of(curve.queries, 'query')}, with the 95% interval of the "
        f"{'gain' if first else 'mean'}; "
        f"recommended window {curve.recommended}, in use {curve.configured}",
    )


def tuning_plot(found: tuning.Tuning, against: str) -> alt.LayerChart:
    """Return the quality of settings against what they cost; see `Tuning.plot`.

    Raises:
        InvalidArgument: the axis is unknown.
    """
    shown = figures.settings_shown(found)
    _check(against, _BY_TUNING, [one for _, one in shown])
    best, unbeaten = -math.inf, {}
    for _, one in sorted(shown, key=lambda item: (getattr(item[1], against), -item[1].quality)):
        unbeaten[repr(one)] = one.quality > best
        best = max(best, one.quality)
    rows = [
        {
            "x": getattr(one, against),
            "quality": one.quality,
            "called": called,
            "setting": inert(str(one.setting), 300),
            "unbeaten": unbeaten[repr(one)],
            "p95_ms": one.p95_ms,
            "pairs": one.pairs,
        }
        for called, one in shown
    ]
    base = chart(rows).encode(
        x=alt.X("x:Q", title=_AXES[against], scale=alt.Scale(zero=False)),
        y=alt.Y("quality:Q", title=f"{found.measure}, all queries", scale=alt.Scale(zero=False)),
        tooltip=tips(
            "setting",
            quality=(found.measure, ".4f"),
            p95_ms=("p95 ms", ".0f"),
            pairs=("pairs scored", ".0f"),
        ),
    )
    line = (
        base.transform_filter("datum.unbeaten")
        .mark_line(color=BLUE, interpolate="step-after", opacity=0.5)
        .encode(tooltip=alt.value(None))
    )
    dots = base.transform_filter("!datum.called").mark_point(
        color=BLUE, filled=True, size=45, opacity=0.8
    )
    named = base.transform_filter("datum.called")
    diamonds = named.mark_point(color=ORANGE, filled=True, size=130, opacity=1, shape="diamond")
    end = far(rows)
    texts = [
        named.transform_filter(f"{'' if left else '!'}(datum.x > {end!r})")
        .mark_text(color=TEXT, baseline="bottom", dy=-5, **beside(8, left=left))
        .encode(text="called:N")
        for left in (True, False)
    ]
    low, high = found.interval
    own = found.configured.quality
    held = chart(
        [
            {
                "x": getattr(found.chosen, against),
                "value": found.held_out,
                "low": own + low,
                "high": own + high,
            }
        ]
    ).encode(x="x:Q")
    tip = tips(value=("held-out queries", ".4f"), low=("95% from", ".4f"), high=("to", ".4f"))
    rule = held.mark_rule(color=ORANGE, strokeWidth=2).encode(y="low:Q", y2="high:Q", tooltip=tip)
    tick = held.mark_tick(color=ORANGE, thickness=2, size=16).encode(y="value:Q", tooltip=tip)
    return finished(
        [line, dots, rule, tick, diamonds, *texts],
        f"{found.decision}: {found.measure} against the cost of a search",
        f"best of {number_of(found.tried, 'setting')}, {number_of(found.queries, 'query')}; "
        "the vertical bar is the 95% "
        "interval of the chosen setting on held-out queries",
    )


def scores_plot(recording: Recording, collection: Judged) -> alt.LayerChart:
    """Return the distribution of scores by judgment; see `Recording.plot_scores`.

    Raises:
        InvalidArgument: nothing was scored.
    """
    found = figures.score_bins(recording, collection)
    if found is None:
        raise InvalidArgument("recording", recording, "has no scores of a second stage")
    rows = []
    for place, (group, counts) in enumerate(found.counts.items()):
        for left, right, count in zip(found.edges[:-1], found.edges[1:], counts, strict=True):
            part = (right - left) / len(found.counts)
            rows.append(
                {
                    "from": left + place * part,
                    "to": left + (place + 0.9) * part,
                    "share": count / sum(counts),
                    "group": group,
                    "count": count,
                    "bin": f"{left:.4g} to {right:.4g}",
                }
            )
    bars = (
        chart(rows)
        .mark_rect()
        .encode(
            x=alt.X("from:Q", title=f"score ({found.kind})", scale=alt.Scale(zero=False)),
            x2="to:Q",
            y=alt.Y("share:Q", title="share of the group", axis=alt.Axis(format="%")),
            y2=alt.datum(0),
            color=colours("group", _JUDGED, rows),
            tooltip=tips("group", "bin", count=("pairs", "d"), share=".1%"),
        )
    )
    pairs = ", ".join(f"{sum(counts)} {name}" for name, counts in found.counts.items())
    return finished([bars], "Scores by judgment of the document", f"pairs: {pairs}")


def latency_plot(recording: Recording) -> alt.LayerChart:
    """Return p50 and p95 of every stage; see `Recording.plot_latency`."""
    rows = [
        {
            "stage": inert(name, 60),
            "p50": p50,
            "p95": p95,
            "said": f"{figures.ms(p50)} to {figures.ms(p95)} ms",
        }
        for name, p50, p95 in figures.stage_spans(recording)
    ]
    base = chart(rows).encode(
        y=row_names("stage", rows),
        tooltip=tips("stage", p50=("p50 ms", ".1f"), p95=("p95 ms", ".1f")),
    )
    whole = base.mark_bar(color=BLUE, opacity=0.3).encode(
        x=alt.X("p95:Q", title="milliseconds: p50 (solid) and p95 (faint)")
    )
    half = base.mark_bar(color=BLUE).encode(x="p50:Q")
    texts = base.mark_text(align="left", dx=5, color=TEXT).encode(x="p95:Q", text="said:N")
    setup = recording.setup
    return finished(
        [whole, half, texts],
        "Milliseconds by stage",
        f"{number_of(len(recording), 'query')}, recorded with depth {setup.recorded_depth} and "
        f"window {setup.recorded_window}",
        len(rows) * ROW,
    )


def _check(against: str, known: Iterable[str], points: Iterable[object]) -> None:
    if against not in known:
        raise InvalidArgument("against", against, f"must be one of {list(known)}")
    if any(getattr(one, against) is None for one in points):
        raise InvalidArgument("against", against, "is unknown: pass `price=`")
