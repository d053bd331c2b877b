"""Dense beside faiss: exact search over 100,000 vectors of 384 dimensions, one query a call.

runoff's `Dense` keeps float32 or int8, and scores the best rows again in float64; faiss is
`IndexFlatIP` (float32) and `IndexScalarQuantizer` (8 bits), which return rows and scores. Vectors
are made up: 1,000 clusters, as texts have topics. All use one thread.
"""

from __future__ import annotations

import os
import statistics
from typing import TYPE_CHECKING, Any

import numpy as np
from harness import Report, Requirement, Skipped, Table, interleaved, ratio

from runoff import Query
from runoff.recall import Dense

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness import Options

__all__ = ["measured", "run"]

DEPTH = 100
_SIZE, _DIMENSION, _CLUSTERS = 100_000, 384, 1000
_QUERIES = 10


def run(options: Options) -> Report:
    """Measure a search of each."""
    return measured(2000 if options.quick else _SIZE, 2 if options.quick else 9)


def measured(size: int, rounds: int) -> Report:
    """Measure a search of each among so many vectors."""
    try:
        import faiss  # noqa: PLC0415 - need not be installed
    except ImportError:
        msg = "faiss is not installed: pip install faiss-cpu"
        raise Skipped(msg) from None
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":
        msg = "set OPENBLAS_NUM_THREADS=1, so that all use one thread"
        raise Skipped(msg)
    faiss.omp_set_num_threads(1)
    vectors, asked = _vectors(size)
    texts = [(f"d{at}", "") for at in range(size)]
    ours = {
        stored: Dense(texts, _no_texts, embeddings=vectors, stored=stored)
        for stored in ("float32", "int8")
    }
    flat = faiss.IndexFlatIP(_DIMENSION)
    rounded = faiss.IndexScalarQuantizer(
        _DIMENSION, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    rounded.train(vectors)
    for one in (flat, rounded):
        one.add(vectors)
    queries = [Query("?", embedding=tuple(one.tolist())) for one in asked]

    def each(call: Callable[[int], object]) -> Callable[[], None]:
        return lambda: [call(at) for at in range(_QUERIES)] and None

    calls: dict[str, Callable[[], None]] = {
        f"runoff, {stored}": each(
            lambda at, stored=stored: ours[stored].retrieve(queries[at], depth=DEPTH)  # type: ignore[misc]
        )
        for stored in ours
    }
    calls["faiss, flat"] = each(lambda at: flat.search(asked[at : at + 1], DEPTH))
    calls["faiss, 8 bits"] = each(lambda at: rounded.search(asked[at : at + 1], DEPTH))
    seconds = interleaved(rounds, calls)
    best = [set(flat.search(asked[at : at + 1], DEPTH)[1][0].tolist()) for at in range(_QUERIES)]
    found: dict[str, Any] = {
        name: [
            {int(hit.doc_id[1:]) for hit in ours[name.split(", ")[1]].retrieve(one, depth=DEPTH)}
            for one in queries
        ]
        for name in ("runoff, float32", "runoff, int8")
    }
    found["faiss, flat"] = best
    found["faiss, 8 bits"] = [
        set(rounded.search(asked[at : at + 1], DEPTH)[1][0].tolist()) for at in range(_QUERIES)
    ]
    memory = {"runoff, float32": 4, "runoff, int8": 1, "faiss, flat": 4, "faiss, 8 bits": 1}
    rows = [
        (
            name,
            statistics.median(taken) / _QUERIES * 1000,
            ratio(seconds, name, "faiss, flat"),
            memory[name] * _DIMENSION * size / 1e6,
            statistics.mean(
                len(one & other) / DEPTH for one, other in zip(found[name], best, strict=True)
            ),
        )
        for name, taken in seconds.items()
    ]
    columns = ("index", "a search, ms", "times faiss flat's", "vectors, MB", f"of its best {DEPTH}")
    note = f"{size:,} vectors, {_QUERIES} queries, depth {DEPTH}, medians of interleaved rounds."
    return Report(
        [Table("Exact search over dense vectors", columns, rows, note)],
        [
            Requirement(
                "time of float32, times faiss flat's",
                ratio(seconds, "runoff, float32", "faiss, flat"),
                1.5,
            )
        ],
    )


def _vectors(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors of length 1, and queries near some of them."""
    random = np.random.default_rng(0)
    centres = random.standard_normal((_CLUSTERS, _DIMENSION), np.float32)
    vectors = centres[random.integers(0, _CLUSTERS, size)]
    vectors += random.standard_normal(vectors.shape, np.float32)
    asked = vectors[random.integers(0, size, _QUERIES)]
    asked = asked + 0.5 * random.standard_normal(asked.shape, np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors, asked / np.linalg.norm(asked, axis=1, keepdims=True)


def _no_texts(texts: list[str]) -> np.ndarray:
    raise NotImplementedError(texts)
