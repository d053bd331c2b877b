"""Rerankers whose order and faults are known, and candidates for them."""

import asyncio
import time
from dataclasses import dataclass, field

import numpy as np

from runoff.scores import ModelIdentity, PairScores, ScoreKind, Usage
from runoff.types import Candidate, Document


def candidates(*ids):
    """Candidates with these ids in fused order; a document's text is its id."""
    return [Candidate(Document(one, one), one, 1 / rank, rank) for rank, one in enumerate(ids, 1)]


def keys(some):
    return [getattr(one, "candidate", one).key for one in some]


def fused_candidates(fused):
    """Candidates d1, d2, ... in fused order with these fusion scores."""
    return [
        Candidate(Document(f"d{rank}", f"text {rank}"), f"d{rank}", score, rank)
        for rank, score in enumerate(fused, 1)
    ]


@dataclass
class Scorer:
    """A scorer that gives the scores it was made with; NaN is unscored."""

    values: list
    reason: str = ""
    truncated: list | None = None
    seen: list = field(default_factory=list)

    def score(self, pairs, *, deadline=None):
        self.seen.append((list(pairs), deadline))
        values = np.array(self.values, np.float32)
        cut = np.zeros(len(values), bool) if self.truncated is None else np.array(self.truncated)
        return PairScores(
            values,
            ~np.isnan(values),
            cut,
            ScoreKind.LOGIT,
            ModelIdentity("fake", "1", "fp32"),
            Usage(pairs=len(values), tokens=7),
            load_ms=3.0,
            reason=self.reason,
            notes=("a note",),
        )


@dataclass(frozen=True)
class Table:
    """A scorer that looks scores up by text; a text without one stays unscored.

    With `wait` it takes that many seconds for all, and knows no deadline.
    """

    scores: dict
    name: str = "table"
    kind: ScoreKind = ScoreKind.LOGIT
    reason: str = ""
    wait: float = 0.0
    error: Exception | None = None
    notes: tuple = ()

    def score(self, pairs, *, deadline=None):
        time.sleep(self.wait)
        if self.error is not None:
            raise self.error
        values = np.array([self.scores.get(text, np.nan) for _, text in pairs], np.float32)
        return PairScores(
            values,
            ~np.isnan(values),
            np.zeros(len(pairs), bool),
            self.kind,
            ModelIdentity(self.name),
            Usage(pairs=len(pairs), tokens=10 * len(pairs)),
            reason=self.reason,
            notes=self.notes,
        )


@dataclass(frozen=True)
class AwaitedTable(Table):
    """The same, awaited."""

    async def ascore(self, pairs, *, deadline=None):
        await asyncio.sleep(self.wait)
        return Table(self.scores, self.name, self.kind, self.reason, 0.0, self.error).score(pairs)


@dataclass(frozen=True)
class Letters:
    """A scorer of how many words of the query a text has, times a factor."""

    factor: float = 1.0
    name: str = "letters"

    def score(self, pairs, *, deadline=None):
        values = [self.factor * len(set(q.split()) & set(text.split())) for q, text in pairs]
        return Table(dict(enumerate(values)), self.name).score(
            [(query, place) for place, (query, _) in enumerate(pairs)]
        )


async def both(reranker, query, some, seconds=None):
    """Rerank synchronously and asynchronously; the two must agree on everything but time."""
    from runoff.deadline import Deadline

    first = await asyncio.to_thread(
        lambda: reranker.rerank(query, some, deadline=Deadline(seconds))
    )
    second = await reranker.arerank(query, some, deadline=Deadline(seconds))
    assert told(first) == told(second)
    return first


def told(reranking):
    """Everything in a reranking that does not depend on time."""
    return (
        reranking.ordered,
        reranking.unscored,
        reranking.dropped,
        reranking.kind,
        reranking.model,
        reranking.usage,
        reranking.reason,
        reranking.notes,
        [(one.source, one.entered, one.left) for one in reranking.parts],
    )
