"""A program of the core as a user writes it: mypy reads it, nothing runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import runoff
from runoff import Deadline, Document, Query, Response, Result, RunoffError, TwoStage
from runoff.context import LeftOut, Packed, Piece, pack
from runoff.deadline import Branch
from runoff.filters import And, Eq, Filter, In, Not, Or, Range, Scalar
from runoff.fusion import RRF, Convex, MinMax, Normalizer, TheoreticalMinMax, ZScore
from runoff.grouping import Grouping
from runoff.pipeline import System, as_system, register_system
from runoff.protocols import AsyncRecallSource, Fusion, RecallSource, Warmable
from runoff.provenance import decode
from runoff.recall import (
    BM25,
    Analyzer,
    Chroma,
    Dense,
    Elasticsearch,
    Embedder,
    Function,
    LanceDB,
    Milvus,
    Postgres,
    Qdrant,
    make_analyzer,
)
from runoff.report import explain
from runoff.scores import ScoreKind, Usage
from runoff.trace import Fate, FateKind, Scoring, StageTrace, Trace
from runoff.types import Candidate, Degradation, Hit, Outcome, Placement, Stage

DOCUMENTS = [
    Document("csv", "csv reads and writes files", {"module": "csv", "year": 1998}),
    Document.without_id("json encodes basic objects"),
]


@dataclass(frozen=True)
class Newest:
    """A source of one's own."""

    documents: Sequence[Document]

    def retrieve(
        self, query: Query, *, depth: int, deadline: Deadline | None = None
    ) -> Sequence[Hit]:
        if deadline is not None:
            deadline.check("recall")
        keep = query.filters
        found = [one for one in self.documents if keep is None or keep.matches(one.metadata)]
        return [Hit(one, 1 / rank, (0.0, 1.0)) for rank, one in enumerate(found[:depth], start=1)]

    async def aretrieve(
        self, query: Query, *, depth: int, deadline: Deadline | None = None
    ) -> Sequence[Hit]:
        return self.retrieve(query, depth=depth, deadline=deadline)

    def warmup(self) -> None: ...


@dataclass(frozen=True)
class First:
    """A fusion of one's own."""

    def fuse(self, rankings: Mapping[str, Sequence[Hit]]) -> Mapping[str, float]:
        return {hit.key: hit.score for hits in rankings.values() for hit in hits}


@dataclass(frozen=True)
class Flat:
    """A normalizer of one's own."""

    def normalize(self, hits: Sequence[Hit]) -> list[float]:
        return [1.0 for _ in hits]

    def missing(self, normalized: Sequence[float]) -> float:
        return min(normalized, default=0.0)


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    return np.ones((len(texts), 2), np.float32)


def by_words(text: str) -> list[str]:
    return text.split()


def found(query: Query, depth: int) -> list[tuple[Document, float]]:
    return [(DOCUMENTS[0], len(query.text) / depth)]


def show_progress(progress: Callable[[int, int], None]) -> None:
    progress(1, 2)


def sources(collection: object) -> dict[str, RecallSource]:
    analyzer: Analyzer = make_analyzer(by_words)
    own = Newest(DOCUMENTS)
    awaited: AsyncRecallSource = own
    warm: Warmable = own
    warm.warmup()
    assert isinstance(awaited, AsyncRecallSource)
    bm25 = BM25(DOCUMENTS, analyzer=analyzer, texts="disk")
    assert_type(bm25.add([("id", "text")]), int)
    bm25.save("index")
    assert_type(BM25.load("index"), BM25)
    return {
        "bm25": bm25,
        "dense": Dense(DOCUMENTS, Embedder("all-MiniLM-L6-v2")),
        "own embedding": Dense(DOCUMENTS, embed),
        "chroma": Chroma(collection, embed=embed),
        "qdrant": Qdrant(collection, "docs", search="text", sparse_embed="qdrant/bm25"),
        "milvus": Milvus(collection, "docs", embed=embed),
        "elasticsearch": Elasticsearch(collection, "docs", search="text"),
        "postgres": Postgres("dbname=docs", "docs", search="text", language="german"),
        "lancedb": LanceDB(collection, "docs", embed=embed, space="cosine"),
        "function": Function(found, score_range=(0.0, None)),
        "newest": own,
    }


def fusions(normalizer: Normalizer) -> list[Fusion]:
    return [
        RRF(weights={"bm25": 0.3, "dense": 0.7}),
        Convex(normalizer="zscore"),
        Convex(normalizer=normalizer),
        Convex(normalizer=MinMax()),
        Convex(normalizer=TheoreticalMinMax()),
        Convex(normalizer=ZScore()),
        Convex(normalizer=Flat()),
        First(),
    ]


def filters(year: Scalar) -> Filter:
    one: Filter = And(Eq("module", "csv"), Or(In("year", [1998, 2001]), Range("year", gte=1990)))
    return And(one, Not(Eq("year", year)))


def answer(collection: object) -> Response:
    pipeline = TwoStage(
        sources=sources(collection),
        fusion=fusions(ZScore())[0],
        reranker="runoff-mini",
        depth=100,
        window=50,
        on_error="degrade",
        group=Grouping(by="parent_id", duplicates=0.9),
    )
    pipeline.warmup()
    query = Query("parse a csv file", filters=filters(1991), embedding_texts=("a file of commas",))
    response = pipeline.search(query, top_k=5, timeout=0.25, filters=Eq("module", "csv"), window=20)
    assert_type(response, Response)
    assert_type(response.results, tuple[Result, ...])
    return response


async def awaited_answer(pipeline: TwoStage) -> str:
    response = await pipeline.asearch("parse a csv file")
    return explain(response) + response.explain(response.results[0].doc_id)


def read(response: Response) -> list[str]:
    lines = [f"runoff {runoff.__version__}: {response.query.text}"]
    for result in response.results:
        assert_type(result.rerank_score, float | None)
        placements: tuple[Placement, ...] = result.placements
        lines += [f"{one.source} {one.rank} {one.score:.3f}" for one in placements]
        assert_type(decode(result.document.metadata), dict[str, Any] | None)
    outcome: Outcome = response.outcome
    degraded: tuple[Degradation, ...] = outcome.degraded
    stages: list[Stage] = [one.stage for one in degraded]
    trace: Trace = response.trace
    parts: tuple[StageTrace, ...] = trace.stages
    fate: Fate | None = trace.fate("csv")
    if fate is not None:
        assert_type(fate.kind, FateKind)
        assert_type(fate.scoring, Scoring)
    usage: Usage = trace.usage
    kind: ScoreKind = trace.kind
    return [*lines, *stages, *(one.source for one in parts), str(fate), str(usage), kind.value]


def packed(response: Response, count: Callable[[str], int]) -> str:
    found = pack(response, budget=2_000, count=count, per_document=3, by="parent_id", order="ends")
    assert_type(found, Packed)
    pieces: tuple[Piece, ...] = found.pieces
    left_out: tuple[LeftOut, ...] = found.left_out
    ids = [key for one in pieces for key in one.ids] + [one.id for one in left_out]
    return found.text + " ".join(ids)


def group(candidates: Sequence[Candidate]) -> list[Candidate]:
    return Grouping("parent_id", duplicates=0.9).group(candidates)


def deadlines() -> float:
    deadline = Deadline(0.25)
    branch: Branch = deadline.branch(0.5)
    with deadline.paused():
        left = deadline.remaining()
    return branch.spent() + left


def record_my_own() -> System | None:
    register_system("a list of documents", lambda one: isinstance(one, list), as_list)
    try:
        return as_system(DOCUMENTS)
    except RunoffError:
        return None


def as_list(given: object) -> System:
    assert isinstance(given, list)
    return System(TwoStage({"newest": Newest(given)}, reranker=None), top_k=5)
