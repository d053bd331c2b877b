"""What a deadline costs in quality: nDCG@10 by timeout, over BM25 alone and over a hybrid.

With `RUNOFF_BENCH_PLOTS` the curves are drawn into that folder (`pip install altair
vl-convert-python`).
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import Report, Requirement, Skipped, Table, percentile, say
from judged import Collection, bootstrap, mean, measured
from recalled import live_sources, sources

from runoff import TwoStage
from runoff.errors import MissingExtra
from runoff.rerank import CrossEncoder, Pointwise

if TYPE_CHECKING:
    from harness import Options

    from runoff.protocols import RecallSource

__all__ = ["run"]

TIMEOUTS = (0.025, 0.05, 0.1, 0.2, 0.4, 0.8)
_QUERIES = 60
_COLLECTIONS = ("scifact", "msmarco-dl19-pool")
_BLENDS = {"blended": "auto", "scores alone": None}


def run(options: Options) -> Report:
    """Search with every timeout in turn, query by query."""
    logging.getLogger("runoff").setLevel(logging.ERROR)  # degraded answers are what is measured
    tables, requirements, points = [], [], []
    for name in options.collections or _COLLECTIONS:
        try:
            found = _measured(name, options)
        except (Skipped, MissingExtra) as missing:
            say(str(missing))
            continue
        tables += found[0]
        requirements += found[1]
        points += found[2]
    if not tables:
        msg = "neither collection nor model is there"
        raise Skipped(msg)
    if folder := os.environ.get("RUNOFF_BENCH_PLOTS"):
        _plot(points, Path(folder) / "anytime.svg")
    return Report(tables, requirements)


Found = tuple[list[Table], list[Requirement], list[dict[str, Any]]]


def _measured(name: str, options: Options) -> Found:
    collection = Collection.load(name, 3 if options.quick else options.queries or _QUERIES)
    both = sources(collection) if collection.given else live_sources(collection)
    tables: list[Table] = []
    requirements: list[Requirement] = []
    points: list[dict[str, Any]] = []
    for recall, parts in (("BM25", {"bm25": both["bm25"]}), ("hybrid", both)):
        table, bound, drawn = _curve(collection, recall, parts)
        tables.append(table)
        requirements.append(bound)
        points += drawn
    return tables, requirements, points


def _curve(
    collection: Collection, recall: str, parts: dict[str, RecallSource]
) -> tuple[Table, Requirement, list[dict[str, Any]]]:
    pipelines = {
        blend: TwoStage(parts, reranker=Pointwise(CrossEncoder(), blend=weight))  # type: ignore[arg-type] # "auto" or None
        for blend, weight in _BLENDS.items()
    }
    for pipeline in pipelines.values():
        pipeline.warmup()
    alone = TwoStage(parts, reranker=None)
    first = _ndcg(
        {one: _ids(alone.search(text)) for one, text in collection.queries.items()}, collection
    )
    rows: list[tuple[object, ...]] = [("first stage alone", "", mean(first), "", "", "")]
    points = []
    worst = 1.0
    title = f"{collection.name} over {recall}"
    for timeout in TIMEOUTS:
        for blend, pipeline in pipelines.items():
            runs, scored, over = {}, [], []
            for query_id, text in collection.queries.items():
                response = pipeline.search(text, timeout=timeout)
                outcome = response.outcome
                runs[query_id] = _ids(response)
                scored.append(outcome.scored / max(1, outcome.total))
                over.append(max(0.0, outcome.spent_ms - timeout * 1000))
            values = _ndcg(runs, collection)
            gain = bootstrap(values, first)
            if blend == "blended":
                worst = min(worst, gain.high)
            rows.append(
                (
                    f"{timeout * 1000:.0f} ms",
                    blend,
                    mean(values),
                    f"{gain.mean:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})",
                    sum(scored) / len(scored),
                    percentile(over, 99),
                )
            )
            points.append(
                {
                    "title": title,
                    "ms": timeout * 1000,
                    "blend": blend,
                    "gain": gain.mean,
                    "low": gain.low,
                    "high": gain.high,
                }
            )
        say(f"{title}: measured {timeout * 1000:.0f} ms")
    table = Table(
        f"nDCG@10 by timeout: {title}, runoff-mini, window 50",
        (
            "timeout",
            "second stage",
            "nDCG@10",
            "above the first stage",
            "scored",
            "overrun p99, ms",
        ),
        rows,
        f"{len(collection.queries)} queries"
        + (", recall's hits ready." if collection.given else ", everything computed."),
    )
    what = f"{title}: upper end of the blended gain's interval, at its lowest"
    return table, Requirement(what, worst, 0.0, at_least=True), points


def _ids(response: Any) -> list[str]:  # noqa: ANN401 - a Response
    return [one.doc_id for one in response]


def _ndcg(runs: dict[str, list[str]], collection: Collection) -> dict[str, float]:
    return measured(runs, collection, ["nDCG@10"])["nDCG@10"]


def _plot(points: list[dict[str, Any]], path: Path) -> None:
    import altair as alt  # noqa: PLC0415 - for who wants the picture

    axis = alt.Axis(values=[timeout * 1000 for timeout in TIMEOUTS])
    base = alt.Chart(alt.Data(values=points)).encode(
        x=alt.X("ms:Q", scale=alt.Scale(type="log"), title="timeout, ms", axis=axis),
        color=alt.Color("blend:N", title=None),
    )
    gain = alt.Y("low:Q", title="nDCG@10 above the first stage")
    band = base.mark_area(opacity=0.2).encode(y=gain, y2="high:Q")
    line = base.mark_line(point=True).encode(y="gain:Q")
    zero = alt.Chart().mark_rule(strokeDash=[4, 4]).encode(y=alt.datum(0))
    layers = alt.layer(band, line, zero, data=alt.Data(values=points))
    chart = layers.properties(width=280, height=180)
    chart.facet(alt.Facet("title:N", title=None), columns=2).save(str(path))
