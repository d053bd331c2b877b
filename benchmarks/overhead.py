"""What the pipeline and the adapters cost by themselves: sources and reranker answer at once."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from harness import Report, Requirement, Table, percentile

from runoff import Document, Query, TwoStage
from runoff.scores import ModelIdentity, PairScores, ScoreKind
from runoff.types import Hit, Ranked, Reranking

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from harness import Options

    from runoff.deadline import Deadline
    from runoff.types import Candidate

__all__ = ["run"]

_ROUNDS = 300
_WARMUPS = 10
_TEXT = "a passage of some thirty words, long enough to look like what people put in their indexes "
Sync: TypeAlias = "dict[str, Callable[[], object]]"
Taken: TypeAlias = "dict[str, tuple[list[float], list[float]]]"


class _Ready:
    """A source whose hits are made already."""

    def __init__(self, prefix: str, count: int) -> None:
        documents = [Document(f"{prefix}{at}", f"{at} {_TEXT * 2}") for at in range(count)]
        self.hits = [Hit(one, 1.0 - at / count) for at, one in enumerate(documents)]

    def retrieve(
        self, query: Query, *, depth: int, deadline: Deadline | None = None
    ) -> Sequence[Hit]:
        del query, deadline
        return self.hits[:depth]


class _FreeReranker:
    """Keeps the order it is given."""

    keeps_deadline = True

    def rerank(
        self, query: Query, candidates: Sequence[Candidate], *, deadline: Deadline | None = None
    ) -> Reranking:
        del query, deadline
        return Reranking(tuple(Ranked(one, float(-at), 1.0) for at, one in enumerate(candidates)))


class _FreeScorer:
    """Scores every pair at once, the later the higher, so that every candidate moves."""

    keeps_deadline = True
    name = "free"

    def score(
        self, pairs: Sequence[tuple[str, str]], *, deadline: Deadline | None = None
    ) -> PairScores:
        del deadline
        count = len(pairs)
        return PairScores(
            np.arange(count, dtype=np.float32),
            np.ones(count, np.bool_),
            np.zeros(count, np.bool_),
            ScoreKind.LOGIT,
            ModelIdentity(self.name),
        )

    async def ascore(
        self, pairs: Sequence[tuple[str, str]], *, deadline: Deadline | None = None
    ) -> PairScores:
        return self.score(pairs, deadline=deadline)


def run(options: Options) -> Report:
    """Measure the pipeline with 200 candidates and the adapters with 100."""
    rounds = 5 if options.quick else _ROUNDS
    pipeline, required = _pipeline(rounds)
    tables, requirements, notes = [pipeline], [required], []
    for name, measure in (("LlamaIndex", _llama_index), ("LangChain", _langchain)):
        try:
            table, bound = measure(rounds)
        except ImportError as error:
            notes.append(f"skipped {name}: {error.name} is not installed")
            continue
        tables.append(table)
        requirements.append(bound)
    return Report(tables, requirements, notes)


def _pipeline(rounds: int) -> tuple[Table, Requirement]:
    sources = {"a": _Ready("a", 100), "b": _Ready("b", 100)}
    free = TwoStage(sources, reranker=_FreeReranker(), window=200)
    scored = TwoStage(sources, reranker=_FreeScorer(), window=200)
    recall = TwoStage(sources, reranker=None)
    calls: Sync = {
        "search, free reranker": lambda: free.search("query"),
        "search, free reranker, timeout": lambda: free.search("query", timeout=10),
        "search, free scorer (Pointwise)": lambda: scored.search("query"),
        "search, no reranker": lambda: recall.search("query"),
    }
    awaited: dict[str, Callable[[], Awaitable[object]]] = {
        "asearch, free reranker": lambda: free.asearch("query"),
        "asearch, free reranker, timeout": lambda: free.asearch("query", timeout=10),
        "asearch, free scorer (Pointwise)": lambda: scored.asearch("query"),
    }
    taken = asyncio.run(_timed(calls, awaited, rounds))
    table = Table(
        "Milliseconds of a search with 200 candidates, all of them in the window",
        ("search", *_COLUMNS),
        _rows(taken),
        f"Two sources of 100 hits each without a shared document; {rounds} interleaved rounds.",
    )
    p50 = percentile(taken["search, free reranker"][0], 50)
    return table, Requirement("pipeline overhead, 200 candidates, p50 in ms", p50, 2.0)


def _llama_index(rounds: int) -> tuple[Table, Requirement]:
    from llama_index.core.schema import NodeWithScore, TextNode  # noqa: PLC0415 - an extra

    from runoff.llama_index import RunoffRerank  # noqa: PLC0415 - an extra

    nodes = [
        NodeWithScore(
            node=TextNode(text=f"{at} {_TEXT * 2}", id_=f"n{at}", metadata={"title": f"Page {at}"}),
            score=1.0 - at / 100,
        )
        for at in range(100)
    ]
    wide = RunoffRerank(reranker=_FreeScorer(), top_n=100, window=100)
    narrow = RunoffRerank(reranker=_FreeScorer(), top_n=10, window=100)
    return _adapter(
        "LlamaIndex's RunoffRerank",
        {
            "RunoffRerank, top_n=10": lambda: narrow.postprocess_nodes(nodes, query_str="query"),
            "RunoffRerank, top_n=100": lambda: wide.postprocess_nodes(nodes, query_str="query"),
        },
        {
            "RunoffRerank, async, top_n=10": lambda: narrow.apostprocess_nodes(
                nodes, query_str="query"
            )
        },
        rounds,
    )


def _langchain(rounds: int) -> tuple[Table, Requirement]:
    from langchain_core.documents import Document as Theirs  # noqa: PLC0415 - an extra

    from runoff.langchain import RunoffRerank  # noqa: PLC0415 - an extra

    documents = [
        Theirs(page_content=f"{at} {_TEXT * 2}", id=f"n{at}", metadata={"title": f"Page {at}"})
        for at in range(100)
    ]
    wide = RunoffRerank(reranker=_FreeScorer(), top_n=100, window=100)
    narrow = RunoffRerank(reranker=_FreeScorer(), top_n=10, window=100)
    return _adapter(
        "LangChain's RunoffRerank",
        {
            "RunoffRerank, top_n=10": lambda: narrow.compress_documents(documents, "query"),
            "RunoffRerank, top_n=100": lambda: wide.compress_documents(documents, "query"),
        },
        {
            "RunoffRerank, async, top_n=10": lambda: narrow.acompress_documents(documents, "query"),
        },
        rounds,
    )


def _adapter(
    title: str,
    calls: Sync,
    awaited: dict[str, Callable[[], Awaitable[object]]],
    rounds: int,
) -> tuple[Table, Requirement]:
    core = TwoStage({"a": _Ready("a", 100)}, reranker=_FreeScorer(), depth=100, window=100)
    base = "core, one source of 100 hits, top_k=10"
    taken = asyncio.run(_timed({base: lambda: core.search("query")} | calls, awaited, rounds))
    first = next(iter(calls))
    above = percentile(taken[first][0], 50) - percentile(taken[base][0], 50)
    return (
        Table(
            f"Milliseconds of {title} with 100 candidates",
            ("call", *_COLUMNS),
            _rows(taken),
            f"{rounds} interleaved rounds.",
        ),
        Requirement(f"{title}, 100 candidates, p50 in ms above the core", above, 3.0),
    )


async def _timed(
    calls: Sync, awaited: dict[str, Callable[[], Awaitable[object]]], rounds: int
) -> Taken:
    """Return milliseconds of every round; one event loop serves all awaited calls."""
    taken: Taken = {name: ([], []) for name in (*calls, *awaited)}
    for at in range(-_WARMUPS, rounds):
        for name in taken:
            wall, cpu = time.perf_counter(), time.process_time()
            if name in calls:
                calls[name]()
            else:
                await awaited[name]()
            if at >= 0:
                taken[name][0].append((time.perf_counter() - wall) * 1000)
                taken[name][1].append((time.process_time() - cpu) * 1000)
    return taken


_COLUMNS = ("p50", "p95", "least", "p50 of CPU time")


def _rows(taken: Taken) -> list[tuple[object, ...]]:
    return [
        (name, percentile(wall, 50), percentile(wall, 95), min(wall), percentile(cpu, 50))
        for name, (wall, cpu) in taken.items()
    ]
