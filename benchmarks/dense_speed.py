"""Dense beside faiss: exact search over 100,000 vectors of 384 dimensions, one query a call.

runoff's `Dense` keeps float32 or int8, and scores the best rows again in float64; faiss is
`IndexFlatIP` (float32) and `IndexScalarQuantizer` (8 bits), which return rows and scores. Vectors
are made up: 1,000 clusters, as texts have topics, or directions at random, which no index can
guess. All use one thread, and times are the processor's.
"""

from __future__ import annotations

import os
import statistics
import time
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from harness import Report, Requirement, Skipped, Table, interleaved, ratio, say

from runoff import Document, Query
from runoff.recall import Dense

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness import Options

__all__ = ["measured", "run"]

DEPTH = 100
_SIZE, _DIMENSION = 100_000, 384
_KINDS = {"in clusters": 1000, "at random": 0}
_STORED: tuple[Literal["float32", "int8"], ...] = ("float32", "int8")
_FLAT = "faiss, flat"
_BYTES = {"runoff, float32": 5, "runoff, int8": 1, _FLAT: 4, "faiss, 8 bits": 1}
_QUERIES = 10
_AT_ONCE = 4096  # vectors


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
    rows: list[tuple[object, ...]] = []
    required = []
    for kind, clusters in _KINDS.items():
        say(f"dense: {size:,} vectors {kind}")
        seconds, found = _searched(faiss, size, clusters, rounds)
        for name, taken in seconds.items():
            ratios = [one / other for one, other in zip(taken, seconds[_FLAT], strict=True)]
            share = statistics.mean(
                len(one & other) / DEPTH
                for one, other in zip(found[name], found[_FLAT], strict=True)
            )
            milliseconds = statistics.median(taken) / _QUERIES * 1000
            spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
            memory = _BYTES[name] * _DIMENSION * size / 1e6
            rows.append(
                (kind, name, milliseconds, statistics.median(ratios), spread, memory, share)
            )
        required += [
            Requirement(
                f"time of {stored}, {kind}, times faiss flat's", ratio(seconds, name, _FLAT), 1
            )
            for stored in _STORED
            if (name := f"runoff, {stored}")
        ]
    columns = (
        "vectors",
        "index",
        "a search, CPU ms",
        "times faiss flat's",
        "from, to",
        "kept, MB",
        f"of its best {DEPTH}",
    )
    note = (
        f"{size:,} vectors, {_QUERIES} queries, depth {DEPTH}, medians of {rounds} rounds in turn."
    )
    return Report([Table("Exact search over dense vectors", columns, rows, note)], required)


def _searched(
    faiss: Any,  # noqa: ANN401 - it has no types
    size: int,
    clusters: int,
    rounds: int,
) -> tuple[dict[str, list[float]], dict[str, list[set[int]]]]:
    """Return the seconds of each index's rounds, and the rows that it finds for each query."""
    vectors, asked = _vectors(size, clusters)
    documents = [Document(f"d{at}", "") for at in range(size)]
    ours = {one: Dense(documents, _no_texts, embeddings=vectors, stored=one) for one in _STORED}
    flat = faiss.IndexFlatIP(_DIMENSION)
    rounded = faiss.IndexScalarQuantizer(
        _DIMENSION, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    rounded.train(vectors)
    for one in (flat, rounded):
        one.add(vectors)
    del vectors
    queries = [Query("?", embedding=tuple(one.tolist())) for one in asked]

    def of_ours(index: Dense) -> Callable[[int], set[int]]:
        return lambda at: {int(hit.doc_id[1:]) for hit in index.retrieve(queries[at], depth=DEPTH)}

    def of_theirs(index: Any) -> Callable[[int], set[int]]:  # noqa: ANN401 - as above
        return lambda at: set(index.search(asked[at : at + 1], DEPTH)[1][0].tolist())

    finds = {f"runoff, {stored}": of_ours(index) for stored, index in ours.items()}
    finds |= {_FLAT: of_theirs(flat), "faiss, 8 bits": of_theirs(rounded)}
    every = range(_QUERIES)
    calls = {name: lambda find=find: [find(at) for at in every] for name, find in finds.items()}
    seconds = interleaved(rounds, calls, clock=time.process_time)
    return seconds, {name: [find(at) for at in every] for name, find in finds.items()}


def _vectors(size: int, clusters: int) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors of length 1, around so many centres if any, and queries near some of them."""
    random = np.random.default_rng(0)
    vectors = random.standard_normal((size, _DIMENSION), np.float32)
    if clusters:
        centres = random.standard_normal((clusters, _DIMENSION), np.float32)
        group = random.integers(0, clusters, size)
        for start in range(0, size, _AT_ONCE):
            here = slice(start, start + _AT_ONCE)
            vectors[here] += centres[group[here]]
    asked = vectors[random.integers(0, size, _QUERIES)]
    asked = asked + 0.5 * random.standard_normal(asked.shape, np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors, asked / np.linalg.norm(asked, axis=1, keepdims=True)


def _no_texts(texts: list[str]) -> np.ndarray:
    raise NotImplementedError(texts)
