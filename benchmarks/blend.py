"""Which fusion and which blend: the reranker's mix of its own scores with the fused ones.

For every fusion the reranker reads the first `window` fused candidates; their order is that of
`blend * z(pair_score) + (1 - blend) * z(fusion_score)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import Report, Skipped, Table, say
from judged import Collection, Remembered, bootstrap, mean, measured
from quality import COLLECTIONS, DEPTH, WINDOW, WINDOWS
from recalled import sources

from runoff import TwoStage
from runoff.fusion import RRF, Convex
from runoff.rerank import CrossEncoder, Pointwise

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness import Options
    from judged import Runs

    from runoff.protocols import Fusion, RecallSource

__all__ = ["run"]

BLENDS = (0.0, 0.25, 0.5, 0.75, 1.0)
FUSIONS: dict[str, Fusion] = {
    "RRF": RRF(),
    "Convex min-max": Convex(normalizer="minmax"),
    "Convex z-score": Convex(normalizer="zscore"),
    "Convex theoretical": Convex(normalizer="theoretical"),
}
_MEASURE = "nDCG@10"
_QUICK = 5


def run(options: Options) -> Report:
    """Measure nDCG@10 of every fusion with every blend."""
    tables: list[Table] = []
    notes: list[str] = []
    sums: dict[str, list[list[float]]] = {}
    for name in options.collections or (*COLLECTIONS, "cranfield", "wikiqa"):
        try:
            collection = Collection.load(name, _QUICK if options.quick else options.queries)
        except Skipped as missing:
            notes.append(f"skipped {name}: {missing}")
            continue
        grid = _grid(collection)
        tables += [_means(collection, grid), _against(collection, grid)]
        for system, by_blend in grid.items():
            means = [mean(measured(one, collection, [_MEASURE])[_MEASURE]) for one in by_blend]
            sums.setdefault(system, []).append(means)
    if not tables:
        raise Skipped("; ".join(notes))
    rows = [
        (system, *(sum(column) / len(column) for column in zip(*means, strict=True)))
        for system, means in sums.items()
    ]
    whole = Table(f"{_MEASURE}, mean over {len(tables) // 2} collections", _columns(), rows)
    return Report([*tables, whole], notes=notes)


def _columns() -> tuple[str, ...]:
    return ("first stage", *(f"blend {blend:g}" for blend in BLENDS))


def _grid(collection: Collection) -> dict[str, list[Runs]]:
    """Return the orders by first stage, one for each blend."""
    found = sources(collection, DEPTH)
    scorer = Remembered(CrossEncoder(), collection.name)
    window = WINDOWS.get(collection.name, WINDOW)
    stages: dict[str, tuple[Mapping[str, RecallSource], Fusion]] = {
        "BM25, by rank": ({"bm25": found["bm25"]}, RRF()),
        "BM25, by score": ({"bm25": found["bm25"]}, Convex(normalizer="minmax")),
        "dense, by rank": ({"dense": found["dense"]}, RRF()),
        "dense, by score": ({"dense": found["dense"]}, Convex(normalizer="minmax")),
    }
    stages |= {name: (found, fusion) for name, fusion in FUSIONS.items()}
    grid: dict[str, list[Runs]] = {name: [{} for _ in BLENDS] for name in stages}
    for at, (query_id, text) in enumerate(collection.queries.items()):
        for name, (over, fusion) in stages.items():
            for place, blend in enumerate(BLENDS):
                second = Pointwise(scorer, blend=blend)
                pipeline = TwoStage(over, fusion, second, depth=DEPTH, window=window)
                response = pipeline.search(text, top_k=10)
                grid[name][place][query_id] = [result.doc_id for result in response]
        if at % 25 == 0:
            scorer.save()
            say(f"{collection.name}: {at} of {len(collection.queries)} queries")
    scorer.save()
    return grid


def _means(collection: Collection, grid: Mapping[str, list[Runs]]) -> Table:
    return Table(
        f"{_MEASURE} on {collection.name} by blend",
        _columns(),
        [
            (name, *(mean(measured(one, collection, [_MEASURE])[_MEASURE]) for one in by_blend))
            for name, by_blend in grid.items()
        ],
        f"{len(collection.qrels)} judged queries, depth {DEPTH}, window "
        f"{WINDOWS.get(collection.name, WINDOW)}; blend 0 is the first stage alone. By rank: "
        "1 / (60 + rank); by score: the source's own, min-max normalised.",
    )


def _against(collection: Collection, grid: Mapping[str, list[Runs]]) -> Table:
    """Compare each fusion with RRF at the same blend."""
    rows: list[tuple[object, ...]] = []
    for name in list(FUSIONS)[1:]:
        for place, blend in enumerate(BLENDS):
            first = measured(grid[name][place], collection, [_MEASURE])[_MEASURE]
            second = measured(grid["RRF"][place], collection, [_MEASURE])[_MEASURE]
            one = bootstrap(first, second)
            rows.append((name, blend, one.mean, one.low, one.high, one.wins, one.losses))
    return Table(
        f"{_MEASURE} minus RRF at the same blend on {collection.name}",
        ("fusion", "blend", "difference", "low", "high", "wins", "losses"),
        rows,
    )
