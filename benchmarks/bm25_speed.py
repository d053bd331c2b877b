"""BM25 beside bm25s and rank-bm25: queries a second at depth 100 and seconds to index SciFact.

All three get the same tokens, one query at a time in one thread. bm25s and rank-bm25 return rows
and scores; runoff returns hits with their documents, and makes the query's tokens itself.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from harness import Report, Requirement, Skipped, Table, interleaved, ratio
from judged import Collection

from runoff import Query
from runoff.recall import BM25
from runoff.recall._analyzers import make_analyzer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness import Options

__all__ = ["run"]

DEPTH = 100
_K1, _B = 1.2, 0.75
_ROUNDS = 15
_SLOW_QUERIES = 20  # rank-bm25 walks the corpus for every one


def run(options: Options) -> Report:
    """Measure queries a second and indexing."""
    try:
        import bm25s  # noqa: PLC0415 - heavy
        from rank_bm25 import BM25Okapi  # noqa: PLC0415 - an extra
    except ImportError as error:
        msg = f"{error.name} is not installed"
        raise Skipped(msg) from None
    collection = Collection.load("scifact", 5 if options.quick else options.queries)
    texts = [one.text for one in collection.documents]
    analyzer = make_analyzer("english")
    started = time.perf_counter()
    tokens = [analyzer(text) for text in texts]
    analysis = time.perf_counter() - started
    asked = list(collection.queries.values())
    asked_tokens = [analyzer(text) for text in asked]

    ours = BM25(collection.documents)
    theirs = bm25s.BM25(k1=_K1, b=_B)
    theirs.index(tokens, show_progress=False)
    okapi = BM25Okapi(tokens, k1=_K1, b=_B)
    queries = [Query(text) for text in asked]
    depth = min(DEPTH, len(texts))

    def retrieve(query_tokens: list[list[str]]) -> Any:  # noqa: ANN401 - bm25s has no types
        return theirs.retrieve(query_tokens, k=depth, show_progress=False, n_threads=0)

    few = asked_tokens[:_SLOW_QUERIES]
    fast: dict[str, Callable[[], object]] = {
        "runoff": lambda: _each(lambda query: ours.retrieve(query, depth=depth), queries),
        "bm25s, tokens ready": lambda: _each(lambda one: retrieve([one]), asked_tokens),
        "bm25s, tokens made too": lambda: _each(lambda text: retrieve([analyzer(text)]), asked),
        "bm25s, tokens ready, all queries in one call": lambda: retrieve(asked_tokens),
    }
    rounds = 2 if options.quick else _ROUNDS
    seconds = interleaved(rounds, fast)
    slow = interleaved(
        2 if options.quick else 5,
        {
            "runoff": lambda: _each(
                lambda query: ours.retrieve(query, depth=depth), queries[: len(few)]
            ),
            "rank-bm25": lambda: _each(lambda one: _best(okapi.get_scores(one), depth), few),
        },
    )
    indexing = interleaved(
        1 if options.quick else 3,
        {
            "runoff": lambda: BM25(collection.documents).retrieve(queries[0], depth=1),
            "bm25s": lambda: _indexed(bm25s, texts, analyzer),
            "rank-bm25": lambda: BM25Okapi([analyzer(text) for text in texts], k1=_K1, b=_B),
        },
        warmups=0,
    )
    against_okapi = ratio(slow, "rank-bm25", "runoff")
    rows: list[tuple[object, ...]] = [
        (name, len(asked) / statistics.median(taken), ratio(seconds, name, "runoff"))
        for name, taken in seconds.items()
    ]
    rows.append(("rank-bm25", len(few) / statistics.median(slow["rank-bm25"]), against_okapi))
    same = _agreement(ours, queries, theirs, asked_tokens, depth)
    return Report(
        [
            Table(
                "BM25 on SciFact, depth 100, one thread",
                ("engine", "queries/s", "runoff is faster by"),
                rows,
                f"{len(texts)} documents, {len(asked)} queries, medians of {rounds} interleaved "
                f"rounds; rank-bm25 on {len(few)} queries. Largest difference between runoff's "
                f"and bm25s' scores at one rank: {same:.1e}.",
            ),
            Table(
                "Indexing SciFact from text",
                ("engine", "seconds", "runoff is faster by"),
                [
                    (name, statistics.median(taken), ratio(indexing, name, "runoff"))
                    for name, taken in indexing.items()
                ],
                f"The same analyzer for all; it alone took {analysis:.2f} s on first sight of the "
                "texts and remembers the words it has stemmed.",
            ),
        ],
        [
            Requirement(
                "BM25, depth 100: queries a second, times bm25s', one query a call",
                ratio(seconds, "bm25s, tokens ready", "runoff"),
                0.8,
                at_least=True,
            ),
            Requirement(
                "the same, times bm25s' in one call for all queries",
                ratio(seconds, "bm25s, tokens ready, all queries in one call", "runoff"),
            ),
            Requirement("the same, times rank-bm25's", against_okapi, 30.0, at_least=True),
        ],
    )


def _each(call: Callable[[Any], object], given: Sequence[object]) -> None:
    """Call it for each and let go of every answer, as a server does."""
    for one in given:
        call(one)


def _best(scores: np.ndarray, depth: int) -> np.ndarray:
    """Return the best rows, best first, the fast way (`get_top_n` sorts the whole corpus)."""
    rows = np.argpartition(scores, -depth)[-depth:]
    best: np.ndarray = rows[np.argsort(-scores[rows])]
    return best


def _indexed(bm25s: Any, texts: list[str], analyzer: Callable[[str], list[str]]) -> object:  # noqa: ANN401 - no types
    index = bm25s.BM25(k1=_K1, b=_B)
    index.index([analyzer(text) for text in texts], show_progress=False)
    return index


def _agreement(
    ours: BM25,
    queries: list[Query],
    theirs: Any,  # noqa: ANN401 - bm25s has no types
    asked_tokens: list[list[str]],
    depth: int,
) -> float:
    """Return the largest difference of scores rank by rank, so that like is compared with like."""
    largest = 0.0
    for query, tokens in zip(queries, asked_tokens, strict=True):
        mine = [hit.score for hit in ours.retrieve(query, depth=depth)]
        found = theirs.retrieve([tokens], k=depth, show_progress=False)[1][0][: len(mine)]
        largest = max([largest, *np.abs(np.array(mine) - found).tolist()])
    return largest
