"""Findings as Altair charts, for notebooks and slides; the pages of `report` need none of this.

What they share, and how texts are kept from doing anything, is in `charting`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from runoff.errors import InvalidArgument
from runoff.report import _figures as figures
from runoff.report._charting import (
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

    from runoff.evaluation import _curve as curves
    from runoff.evaluation import _tune as tuning
    from runoff.evaluation._ledger import Ledger
    from runoff.evaluation._measures import Judged
    from runoff.evaluation._recording import Recording
    from runoff.evaluation._verdict import Verdict

__all__ = [
    "curve_plot",
    "latency_plot",
    "ledger_plot",
    "scores_plot",
    "tuning_plot",
    "verdict_plot",
]

_AXES = {
    "window": "window: candidates read at most",
    "pairs": "pairs read, mean of a query",
    "ms": "milliseconds of a search, mean",
    "p95_ms": "milliseconds of a search, p95",
    "cost": "cost of a query, mean",
}
_JUDGED = {"relevant": BLUE, "judged not relevant": ORANGE, "unjudged": GREY}
_CHANGED = {"value": GREY, "lost": ORANGE, "gained": BLUE}
_SEAMS = 300  # bars from which gaps between them would only make them pale
_BY_CURVE = tuple(_AXES)
_BY_TUNING = ("p95_ms", "pairs", "cost")


def verdict_plot(found: Verdict) -> alt.LayerChart:
    """Return a bar for every query's change of the first measure; see `Verdict.plot`."""
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
    said = f"{main.wins} better, {main.ties} alike, {main.losses} worse of {many} queries"
    if len(drawn) < many:
        said += f"; {len(drawn)} are drawn, evenly spread"
    bars = (
        chart(rows)
        .mark_rect()
        .encode(
            x=alt.X("from:Q", title="queries, from the most helped to the most hurt"),
            x2="to:Q",
            y=alt.Y("change:Q", title=f"change of {name}"),
            y2=alt.datum(0),
            color=alt.condition("datum.change > 0", alt.value(BLUE), alt.value(ORANGE)),
            tooltip=tips("query", "text", before=".4f", after=".4f", change="+.4f"),
        )
    )
    zero = chart([{}]).mark_rule(color=TEXT).encode(y=alt.datum(0))
    return finished([bars, zero], f"{found.decision}: change of {name}, query by query", said)


def ledger_plot(ledger: Ledger) -> alt.LayerChart:
    """Return a waterfall from the ideal to what is achieved; see `Ledger.plot`."""
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
        f"mean of {len(ledger.queries)} queries, from the ideal to what is achieved",
        len(rows) * ROW,
    )


def curve_plot(curve: curves.Curve, measure: str, against: str) -> alt.LayerChart:
    """Return quality against what a window takes, with its interval; see `Curve.plot`.

    Raises:
        InvalidArgument: the curve has no such measure or no such axis.
    """
    if measure not in curve.measures:
        raise InvalidArgument("measure", measure, f"is not one of {list(curve.measures)}")
    _check(against, _BY_CURVE, curve.points)
    rows = [
        {
            "x": getattr(one, against),
            "value": one.values[measure],
            "low": one.intervals[measure][0],
            "high": one.intervals[measure][1],
            "window": one.window,
            "gain": one.gain,
            "gain_low": one.gain_interval[0],
            "gain_high": one.gain_interval[1],
            "pairs": one.pairs,
            "p95_ms": one.p95_ms,
        }
        for one in curve.points
    ]
    scale = alt.Scale(zero=against == "window")
    base = chart(rows).encode(x=alt.X("x:Q", title=_AXES[against], scale=scale))
    y = alt.Y("low:Q", title=measure, scale=alt.Scale(zero=False))
    band = base.mark_area(color=BLUE, opacity=0.2).encode(y=y, y2="high:Q")
    if against != "window":  # windows that take as much as each other make no area
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
            pairs=("pairs read", ".0f"),
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
        f"{curve.queries} queries, with the 95% interval of the mean; a window of "
        f"{curve.recommended} is recommended, {curve.configured} is in use",
    )


def tuning_plot(found: tuning.Tuning, against: str) -> alt.LayerChart:
    """Return the quality of settings against what they take; see `Tuning.plot`.

    Raises:
        InvalidArgument: there is no such axis.
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
            pairs=("pairs read", ".0f"),
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
    told = tips(value=("held-out queries", ".4f"), low=("95% from", ".4f"), high=("to", ".4f"))
    rule = held.mark_rule(color=ORANGE, strokeWidth=2).encode(y="low:Q", y2="high:Q", tooltip=told)
    tick = held.mark_tick(color=ORANGE, thickness=2, size=16).encode(y="value:Q", tooltip=told)
    return finished(
        [line, dots, rule, tick, diamonds, *texts],
        f"{found.decision}: {found.measure} against what a search takes",
        f"the front of {found.tried} settings, {found.queries} queries; the upright bar is what "
        "the choice gives on held-out queries, 95%",
    )


def scores_plot(recording: Recording, collection: Judged) -> alt.LayerChart:
    """Return how scores are distributed by judgment; see `Recording.plot_scores`.

    Raises:
        InvalidArgument: nothing was scored.
    """
    found = figures.score_bins(recording, collection.qrels)
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
    told = ", ".join(f"{sum(counts)} {name}" for name, counts in found.counts.items())
    return finished([bars], "Scores by what was judged of the document", f"pairs: {told}")


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
        "Milliseconds of every stage",
        f"{len(recording)} queries, recorded with a depth of {setup.recorded_depth} and "
        f"{setup.recorded_window} candidates scored",
        len(rows) * ROW,
    )


def _check(against: str, known: Iterable[str], points: Iterable[object]) -> None:
    if against not in known:
        raise InvalidArgument("against", against, f"must be one of {list(known)}")
    if any(getattr(one, against) is None for one in points):
        raise InvalidArgument("against", against, "is not known: give `price=`")
