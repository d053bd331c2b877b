"""A program of the second stages as a user writes it: mypy reads it, nothing runs it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import assert_type

import numpy as np

from runoff import Deadline, Query
from runoff.export import export_cross_encoder, export_late_interaction
from runoff.protocols import (
    AsyncPairScorer,
    AsyncReranker,
    Cacheable,
    Estimating,
    PairScorer,
    Reranker,
    WindowedScorer,
)
from runoff.rerank import (
    AsYAML,
    Cached,
    Cap,
    Cascade,
    Circuit,
    CohereRerank,
    CrossEncoder,
    Dialect,
    DiskCache,
    Fallback,
    HTTPRerank,
    LateInteraction,
    ListwiseLLM,
    MemoryCache,
    Metered,
    Passages,
    Pointwise,
    Price,
    Retries,
    Step,
    TokenStore,
)
from runoff.scores import Match, ModelIdentity, PairScores, Passage, ScoreKind, Threshold, Usage
from runoff.types import Candidate, Dropped, Ranked, Reranking

MODEL = ModelIdentity("lengths", revision="1", precision="float32")


@dataclass(frozen=True)
class Lengths:
    """A scorer of one's own, with everything that is optional."""

    @property
    def cache_key(self) -> str:
        return "lengths 1"

    def score(
        self, pairs: Sequence[tuple[str, str]], *, deadline: Deadline | None = None
    ) -> PairScores:
        if deadline is not None and deadline.expired:
            return PairScores.none_of(len(pairs), ScoreKind.UNKNOWN, MODEL, "no time")
        return PairScores(
            values=np.array([len(text) for _, text in pairs], np.float32),
            scored=np.ones(len(pairs), np.bool_),
            truncated=np.zeros(len(pairs), np.bool_),
            kind=ScoreKind.UNKNOWN,
            model=MODEL,
            usage=self.estimate(pairs),
            passages=tuple((Passage(0, len(text), 1.0),) for _, text in pairs),
        )

    async def ascore(
        self, pairs: Sequence[tuple[str, str]], *, deadline: Deadline | None = None
    ) -> PairScores:
        return self.score(pairs, deadline=deadline)

    def estimate(self, pairs: Sequence[tuple[str, str]]) -> Usage:
        return Usage(pairs=len(pairs))

    def windows(
        self,
        query: str,
        texts: Sequence[str],
        *,
        length: int | None = None,
        overlap: int = 0,
        deadline: Deadline | None = None,
    ) -> Sequence[Iterator[tuple[int, int]]]:
        return [iter([(0, length or len(text))]) for text in texts]


@dataclass(frozen=True)
class Halves:
    """A reranker of one's own."""

    def rerank(
        self, query: Query, candidates: Sequence[Candidate], *, deadline: Deadline | None = None
    ) -> Reranking:
        half = len(candidates) // 2
        ordered = tuple(Ranked(one, one.fusion_score) for one in candidates[:half])
        dropped = tuple(Dropped(one, "below the middle") for one in candidates[half:])
        return Reranking(ordered, dropped=dropped)

    async def arerank(
        self, query: Query, candidates: Sequence[Candidate], *, deadline: Deadline | None = None
    ) -> Reranking:
        return self.rerank(query, candidates, deadline=deadline)


def protocols() -> list[object]:
    scorer: PairScorer = Lengths()
    awaited: AsyncPairScorer = Lengths()
    cacheable: Cacheable = Lengths()
    estimating: Estimating = Lengths()
    windowed: WindowedScorer = Lengths()
    reranker: Reranker = Halves()
    awaited_reranker: AsyncReranker = Halves()
    return [scorer, awaited, cacheable, estimating, windowed, reranker, awaited_reranker]


def scorers() -> list[PairScorer]:
    own = Dialect("mine", path="/rank", results=("data",), score="score")
    local = CrossEncoder("runoff-mini", precision="int8", max_length=256)
    assert_type(replace(local, max_length=512), CrossEncoder)
    return [
        local,
        CohereRerank("rerank-v4.0-fast", api_key="key", retries=Retries(2, first_pause=0.1)),
        HTTPRerank("http://localhost:8080", dialect="tei", circuit=Circuit(3, cooldown=1.0)),
        HTTPRerank("http://localhost:8081", dialect=own),
        Cached(local, store=MemoryCache(1000)),
        Metered(local, price=Price(per_1k_pairs=0.1), cap=Cap(pairs=100, on_exceed="raise")),
    ]


def rerankers() -> list[Reranker]:
    careful = Pointwise(
        Lengths(),
        blend=0.7,
        threshold=Threshold(-5.0, ScoreKind.LOGIT),
        text=AsYAML(("title",)),
        passages=Passages("max", overlap=16),
        cache=DiskCache("scores.sqlite"),
        price=Price(per_search_unit=0.002),
        cap=Cap(cost=0.01),
    )
    quick = Pointwise(CrossEncoder(), blend=None, passages="first", cache=True)
    return [
        Cascade([Step(quick, keep=20, margin=0.1), Step(careful)]),
        Cascade([(quick, 20), careful]),
        ListwiseLLM(lambda prompt: prompt[-3:], at_once=10, step=5, prompt=Path("prompt.txt")),
        Fallback([careful, quick], share=0.5, on_permanent="next"),
    ]


def check_threshold(scores: PairScores) -> None:
    Threshold(0.5, ScoreKind.PROBABILITY, "a model").check(scores.kind, scores.model)


def export() -> Path:
    return export_cross_encoder("cross-encoder/ms-marco-MiniLM-L6-v2", "model").folder


def late_interaction() -> None:
    """Token vectors: any encoder, a store of its own, and what met what."""
    store = TokenStore("tokens", max_bytes=10_000_000)
    scorer: PairScorer = LateInteraction("org/name", store=store, weights="idf", max_windows=2)
    late = replace(LateInteraction(), store="tokens")
    assert_type(late.matches("query", "document"), tuple[Match, ...])
    assert_type(late.default_blend, float)
    assert_type(store.delete(["text"]), int)
    assert_type(store.refresh(), bool)
    Cascade([(scorer, 20), CrossEncoder()])
    export_late_interaction("org/name", "out")
