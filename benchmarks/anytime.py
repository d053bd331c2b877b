"""What a deadline costs in quality: nDCG@10 on SciFact at several timeouts."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from harness import Report, Skipped, Table, percentile, say
from judged import Collection, mean, measured
from recalled import live_sources

from runoff import TwoStage
from runoff.errors import MissingExtra

if TYPE_CHECKING:
    from harness import Options

__all__ = ["run"]

TIMEOUTS = (0.025, 0.05, 0.1, 0.2, 0.4, 0.8)
_QUERIES = 60


def run(options: Options) -> Report:
    """Search with every timeout in turn, query by query."""
    collection = Collection.load("scifact", 3 if options.quick else options.queries or _QUERIES)
    try:
        pipeline = TwoStage(live_sources(collection))
        pipeline.warmup()
    except MissingExtra as missing:
        raise Skipped(str(missing)) from missing
    logging.getLogger("runoff").setLevel(logging.ERROR)  # degraded answers are what is measured
    recall = TwoStage(pipeline.sources, pipeline.fusion, None)
    first = {
        query_id: [one.doc_id for one in recall.search(text)]
        for query_id, text in collection.queries.items()
    }
    runs: dict[float, dict[str, list[str]]] = {timeout: {} for timeout in TIMEOUTS}
    scored: dict[float, list[float]] = {timeout: [] for timeout in TIMEOUTS}
    over: dict[float, list[float]] = {timeout: [] for timeout in TIMEOUTS}
    for query_id, text in collection.queries.items():
        for timeout in TIMEOUTS:
            response = pipeline.search(text, timeout=timeout)
            outcome = response.outcome
            runs[timeout][query_id] = [one.doc_id for one in response]
            scored[timeout].append(outcome.scored / max(1, outcome.total))
            over[timeout].append(max(0.0, outcome.spent_ms - timeout * 1000))
    say("measured every timeout")

    def ndcg(run: dict[str, list[str]]) -> float:
        return mean(measured(run, collection, ["nDCG@10"])["nDCG@10"])

    rows: list[tuple[object, ...]] = [("first stage alone", ndcg(first), 0.0, "", "")]
    rows += [
        (
            f"{timeout * 1000:.0f} ms",
            ndcg(runs[timeout]),
            sum(scored[timeout]) / len(scored[timeout]),
            percentile(over[timeout], 50),
            percentile(over[timeout], 99),
        )
        for timeout in TIMEOUTS
    ]
    return Report(
        [
            Table(
                "nDCG@10 on SciFact by timeout: RRF of BM25 and dense, default reranker, window 50",
                ("timeout", "nDCG@10", "scored share", "overrun p50, ms", "overrun p99, ms"),
                rows,
                f"{len(collection.queries)} queries, everything computed.",
            )
        ]
    )
