"""Every engine that is installed, side by side: recall, latency, filters, and what runoff adds.

The documents, their vectors and metadata are drawn at random: recall is against brute force over
the same vectors, and a filter is held if the answer has as many hits as brute force has, all of
them within the filter. What runoff adds is processor time of the calling thread above the engine's
own client, asked in turns for the same rows with their texts and metadata. Each engine runs in a
process of its own. `--stages lancedb,pgserver` chooses engines, by their packages.
"""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING

import numpy as np
from engine_tables import filled, installed
from harness import Report, Requirement, Skipped, Table, percentile, say

from runoff import Document, Query
from runoff.filters import And, Eq, In, Not, Or, Range

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine_tables import Engine
    from harness import Options
    from numpy.typing import NDArray

    from runoff.filters import Filter

__all__ = ["run"]

DEPTH = 100
_SIZE = 128
_DOCUMENTS = 5000
_FEW = 500
_QUERIES = 50
_FILTERS = 1000
_ROUNDS = 100
_WORDS = 2000
_TOPICS = ("tea", "rivers", "clocks", "bread", "ships")
_MOST_MS = 2.0


def run(options: Options) -> Report:
    """Fill every engine in turn and ask it."""
    every: list[Found] = []
    for package in installed(options.stages):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            found = process.submit(_asked, package, options).result()
        say(f"engines: {found}")
        every += found
    if not every:
        raise Skipped("no engine is installed: make engines-matrix installs them")
    count, few, filters = _sizes(options)
    rows = [
        (
            one.name,
            "" if one.recall is None else one.recall,
            percentile(one.taken, 50),
            percentile(one.taken, 95),
            percentile(one.busy, 50),
            f"{one.held:,} of {filters:,}",
            "" if one.added is None else one.added,
        )
        for one in every
    ]
    recalls = [one.recall for one in every if one.recall is not None and one.exact]
    added = [one.added for one in every if one.added is not None]
    requirements = [
        Requirement(
            "share of random filters that the sources over engines hold",
            min(one.held for one in every) / filters,
            1,
            at_least=True,
        ),
        *(
            [Requirement("recall of exact searches by engines", min(recalls), 1, at_least=True)]
            if recalls
            else []
        ),
        *(
            [Requirement("processor ms above the engine's own client", max(added), _MOST_MS)]
            if added
            else []
        ),
    ]
    table = Table(
        f"{count:,} documents of {_SIZE} dimensions, depth {DEPTH}",
        (
            "Source",
            "recall",
            "p50 ms",
            "p95 ms",
            "processor ms",
            "filters held",
            "added ms",
        ),
        rows,
        f"{_QUERIES} queries. {filters:,} filters of 1 to 4 conditions on texts, numbers, booleans "
        f"and absent fields, at depth 10 among {few:,} documents. Words have no recall here: their "
        "scores are the engine's own. Processor time is the median of a search in this process, "
        "without a server's; what is added to the engine's own client is that of one thread.",
    )
    return Report([table], requirements)


@dataclass(frozen=True, slots=True)
class Found:
    """What was measured of one source; times in milliseconds."""

    name: str
    exact: bool
    held: int
    recall: float | None
    taken: list[float]
    busy: list[float]
    added: float | None


def _sizes(options: Options) -> tuple[int, int, int]:
    return (300, 100, 20) if options.quick else (_DOCUMENTS, _FEW, _FILTERS)


def _asked(package: str, options: Options) -> list[Found]:
    """Measure the sources over one engine: with all documents, and filters with a few."""
    count, few, filters = _sizes(options)
    generator = np.random.default_rng(0)
    documents = _documents(count, generator)
    # some structure, as embeddings have: points around centres
    centres = generator.standard_normal((50, _SIZE))
    spread = generator.standard_normal((count, _SIZE))
    vectors = (centres[generator.integers(50, size=count)] + spread).astype(np.float32)
    near = generator.integers(count, size=_QUERIES)
    asked = (vectors[near] + generator.standard_normal((_QUERIES, _SIZE)) / 2).astype(np.float32)
    words = [f"w{one} w{other}" for one, other in generator.integers(_WORDS, size=(_QUERIES, 2))]
    queries = [
        Query(text, embedding=tuple(map(float, vector)))
        for text, vector in zip(words, asked, strict=True)
    ]
    conditions = [_filter(generator, 2) for _ in range(filters)]
    held: dict[str, int] = {}
    with filled(package, documents[:few], vectors[:few]) as engines:
        for engine in engines:
            held[engine.name] = sum(
                _is_held(engine, documents[:few], queries[at % len(queries)], one)
                for at, one in enumerate(conditions)
            )
    with filled(package, documents, vectors) as engines:
        return [
            _measured(engine, held[engine.name], documents, vectors, queries, options)
            for engine in engines
        ]


def _documents(count: int, generator: np.random.Generator) -> list[Document]:
    words = (np.square(generator.random((count, 55))) * _WORDS).astype(int)
    return [
        Document(
            f"d{place:06}",
            " ".join(f"w{word}" for word in words[place]),
            {
                "topic": _TOPICS[generator.integers(len(_TOPICS))],
                "year": int(generator.integers(1990, 2027)),
                "draft": bool(generator.integers(2)),
                "rating": float(generator.integers(10)) / 2,
            },
        )
        for place in range(count)
    ]


def _filter(generator: np.random.Generator, levels: int) -> Filter:
    kind = generator.integers(8 if levels else 5)
    year = int(generator.integers(1985, 2030))
    rating = float(generator.integers(12)) / 2
    topics = [str(one) for one in generator.choice((*_TOPICS, "none"), 2)]
    if kind == 0:
        return Eq("topic", topics[0])
    if kind == 1:
        return In("topic", tuple(topics))
    if kind == 2:  # noqa: PLR2004 - one of eight
        return Range("year", gte=year, lt=year + 8)
    if kind == 3:  # noqa: PLR2004 - as above
        return Eq("draft", bool(generator.integers(2)))
    if kind == 4:  # noqa: PLR2004 - as above
        return Range("rating", gt=rating)
    if kind == 5:  # noqa: PLR2004 - as above
        return Not(_filter(generator, levels - 1))
    parts = _filter(generator, levels - 1), _filter(generator, levels - 1)
    return And(*parts) if kind == 6 else Or(*parts)  # noqa: PLR2004 - as above


def _measured(
    engine: Engine,
    held: int,
    documents: Sequence[Document],
    vectors: NDArray[np.float32],
    queries: Sequence[Query],
    options: Options,
) -> Found:
    source = engine.source
    source.retrieve(queries[0], depth=DEPTH)
    taken, busy, recalls = [], [], []
    for query in queries:
        started, worked = time.perf_counter(), time.process_time()
        hits = source.retrieve(query, depth=DEPTH)
        taken.append((time.perf_counter() - started) * 1000)
        busy.append((time.process_time() - worked) * 1000)
        best = _best(vectors, query)
        recalls.append(len({hit.doc_id for hit in hits} & {documents[at].doc_id for at in best}))
    recall = statistics.mean(recalls) / min(DEPTH, len(documents))
    return Found(
        engine.name,
        exact=bool(engine.exact),
        held=held,
        recall=None if engine.exact is None else recall,
        taken=taken,
        busy=busy,
        added=_added(engine, queries, 5 if options.quick else _ROUNDS),
    )


def _best(vectors: NDArray[np.float32], query: Query) -> NDArray[np.intp]:
    asked = np.asarray(query.embedding)
    cosines = vectors @ asked / np.linalg.norm(vectors, axis=1) / np.linalg.norm(asked)
    return np.argsort(-cosines, kind="stable")[:DEPTH]


def _is_held(
    engine: Engine, documents: Sequence[Document], query: Query, condition: Filter
) -> bool:
    """Whether the answer has only documents within the filter, and as many as there are."""
    wanted = 10
    filtered = Query(query.text, condition, query.embedding)
    hits = engine.source.retrieve(filtered, depth=wanted)
    if not all(condition.matches(hit.document.metadata) for hit in hits):
        return False
    words = set(query.text.split())
    within = (
        one
        for one in documents
        if condition.matches(one.metadata)
        and (engine.exact is not None or words & set(one.text.split()))
    )
    return len(hits) == sum(1 for _, _ in zip(range(wanted), within, strict=False))


def _added(engine: Engine, queries: Sequence[Query], rounds: int) -> float | None:
    """Return the median of what a query costs above the engine's own client, in processor ms."""
    if engine.alone is None:
        return None
    differences = []
    for at in range(rounds):
        query = queries[at % len(queries)]
        vector = np.asarray(query.embedding, np.float32)
        started = time.thread_time_ns()
        engine.source.retrieve(query, depth=DEPTH)
        between = time.thread_time_ns()
        engine.alone(vector, DEPTH)
        differences.append((2 * between - started - time.thread_time_ns()) / 1e6)
    return statistics.median(differences)
