"""Is the second stage worth it: recall alone, hybrids and two-stage searches over judged queries.

Orders come from real pipelines; pair scores and document embeddings are kept on disk, so seconds
are measured apart, by searches that compute everything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import Report, Requirement, Skipped, Table, percentile, say
from judged import Collection, Remembered, bootstrap, mean, measured
from recalled import live_sources, sources

from runoff import TwoStage
from runoff.fusion import RRF, Convex
from runoff.rerank import CrossEncoder, Pointwise

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness import Options
    from judged import Runs, Values

    from runoff.protocols import Fusion, RecallSource, Reranker

__all__ = ["run"]

COLLECTIONS = ("scifact", "nfcorpus", "msmarco-dl19-pool")
MEASURES = ("nDCG@10", "RR@10", "R@100", "Judged@10")
DEPTH = 100
WINDOW = 50
WINDOWS = {"msmarco-dl19-pool": 100}  # as published: the whole BM25 top 100 is reranked
_TIMED = 40
_QUICK = 5


def run(options: Options) -> Report:
    """Measure quality on every collection, and seconds on the first that is searched live."""
    tables: list[Table] = []
    requirements: list[Requirement] = []
    notes: list[str] = []
    limit = _QUICK if options.quick else options.queries
    for name in options.collections or COLLECTIONS:
        try:
            collection = Collection.load(name, limit)
        except Skipped as missing:
            notes.append(f"skipped {name}: {missing}")
            continue
        values = {
            system: measured(orders, collection, MEASURES)
            for system, orders in _orders(collection).items()
        }
        tables += [_quality(collection, values), _gains(collection, values)]
        if name == "scifact" and limit is None:
            requirements += _required(values)
        if not collection.given:
            tables.append(_seconds(collection, _QUICK if options.quick else _TIMED))
    if not tables:
        raise Skipped("; ".join(notes))
    return Report(tables, requirements, notes)


def _systems(
    found: Mapping[str, RecallSource], scorer: Remembered, window: int
) -> dict[str, TwoStage]:
    blended, alone = Pointwise(scorer), Pointwise(scorer, blend=None)
    lexical = {"bm25": found["bm25"]}

    def made(over: Mapping[str, RecallSource], fusion: Fusion, second: Reranker | None) -> TwoStage:
        return TwoStage(over, fusion, second, depth=DEPTH, window=window)

    return {
        "BM25": made(lexical, RRF(), None),
        "dense": made({"dense": found["dense"]}, RRF(), None),
        "RRF": made(found, RRF(), None),
        "Convex": made(found, Convex(normalizer="minmax"), None),
        "BM25 > reranker, default blend": made(lexical, RRF(), blended),
        "BM25 > reranker alone": made(lexical, RRF(), alone),
        "RRF > reranker, default blend": made(found, RRF(), blended),
        "RRF > reranker alone": made(found, RRF(), alone),
        "Convex > reranker, default blend": made(found, Convex(normalizer="minmax"), blended),
        "Convex > reranker alone": made(found, Convex(normalizer="minmax"), alone),
    }


_BASELINES = {
    "BM25 > reranker, default blend": "BM25",
    "BM25 > reranker alone": "BM25",
    "RRF > reranker, default blend": "RRF",
    "RRF > reranker alone": "RRF",
    "Convex > reranker, default blend": "Convex",
    "Convex > reranker alone": "Convex",
}


def _orders(collection: Collection) -> dict[str, Runs]:
    found = sources(collection, DEPTH)
    scorer = Remembered(CrossEncoder(), collection.name)
    systems = _systems(found, scorer, WINDOWS.get(collection.name, WINDOW))
    orders: dict[str, Runs] = {name: {} for name in systems}
    for at, (query_id, text) in enumerate(collection.queries.items()):
        for name, pipeline in systems.items():
            response = pipeline.search(text, top_k=DEPTH)
            orders[name][query_id] = [result.doc_id for result in response]
        if at % 25 == 0:
            scorer.save()
            say(f"{collection.name}: {at} of {len(collection.queries)} queries")
    scorer.save()
    return orders


def _quality(collection: Collection, values: Mapping[str, Values]) -> Table:
    return Table(
        f"Quality on {collection.name}",
        ("system", *MEASURES),
        [(name, *(mean(one[measure]) for measure in MEASURES)) for name, one in values.items()],
        f"{len(collection.documents)} documents, {len(collection.qrels)} judged queries, depth "
        f"{DEPTH}, window {WINDOWS.get(collection.name, WINDOW)}.",
    )


def _gains(collection: Collection, values: Mapping[str, Values]) -> Table:
    rows: list[tuple[object, ...]] = []
    for name, baseline in _BASELINES.items():
        one = bootstrap(values[name]["nDCG@10"], values[baseline]["nDCG@10"])
        rows.append((name, baseline, one.mean, one.low, one.high, one.wins, one.ties, one.losses))
    return Table(
        f"nDCG@10 of the second stage minus its own first stage on {collection.name}",
        ("system", "minus", "difference", "low", "high", "wins", "ties", "losses"),
        rows,
        "Interval: 95%, percentile bootstrap over queries, 10,000 resamples.",
    )


def _seconds(collection: Collection, queries: int) -> Table:
    pipeline = TwoStage(live_sources(collection), depth=DEPTH, window=WINDOW)
    pipeline.warmup()
    texts = list(collection.queries.values())
    taken: dict[str, list[float]] = {}
    for text in texts[:: max(1, len(texts) // queries)][:queries]:
        response = pipeline.search(text)
        for stage in response.trace.stages:
            name = f"{stage.stage} {stage.source}".strip()
            taken.setdefault(name, []).append(stage.latency_ms)
        taken.setdefault("whole search", []).append(response.outcome.spent_ms)
    return Table(
        f"Milliseconds of a two-stage search on {collection.name}",
        ("stage", "p50", "p95"),
        [(name, percentile(one, 50), percentile(one, 95)) for name, one in taken.items()],
        f"{len(taken['whole search'])} queries one after another, everything computed; sources run "
        "at the same time.",
    )


def _required(values: Mapping[str, Values]) -> list[Requirement]:
    def of(system: str, measure: str) -> float:
        return mean(values[system][measure])

    return [
        Requirement("SciFact, BM25 nDCG@10", of("BM25", "nDCG@10"), 0.675, at_least=True),
        Requirement("SciFact, BM25 R@100", of("BM25", "R@100"), 0.91, at_least=True),
        Requirement(
            "SciFact, dense int8 nDCG@10 away from fp32's .645",
            abs(of("dense", "nDCG@10") - 0.645),
            0.01,
        ),
    ]
