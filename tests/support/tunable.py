"""Judged queries, and sources and scorers that are as good, noisy or harmful as a test needs."""

from dataclasses import dataclass

import numpy as np
from recorded import digest

from runoff import Document, TwoStage
from runoff.evaluation import Collection, record
from runoff.scores import ModelIdentity, PairScores, ScoreKind, Usage
from runoff.types import Hit

DOCUMENTS = [Document(f"d{at:02}", f"document {at}") for at in range(40)]
DECOYS = [Document(f"x{at}", f"decoy {at}") for at in range(10)]


def drawn(*texts):
    return digest(*texts) % 10_000 / 10_000


def relevant(query, text):
    return not text.startswith("decoy") and drawn(query, text, "relevant") < 0.1


def collection(many=60):
    queries = {f"q{at}": f"question {at}" for at in range(many)}
    qrels = {
        query_id: {one.doc_id: int(relevant(text, one.text)) for one in DOCUMENTS}
        for query_id, text in queries.items()
    }
    return Collection(queries, qrels)


@dataclass(frozen=True)
class Source:
    """A source that ranks relevant documents higher the stronger it is; decoys come last."""

    strength: float
    name: str

    def retrieve(self, query, *, depth, deadline=None):
        hits = [
            Hit(
                one,
                self.strength * relevant(query.text, one.text)
                + drawn(query.text, one.text, self.name)
                - 2 * one.text.startswith("decoy"),
                (-3.0, 3.0),
            )
            for one in [*DOCUMENTS, *DECOYS]
        ]
        return sorted(hits, key=lambda hit: -hit.score)[:depth]


@dataclass(frozen=True)
class Judge:
    """A scorer that ranks relevant texts higher the stronger it is, and may prefer decoys."""

    strength: float = 1.0
    noise: float = 1.0
    decoys: float = -5.0
    billed: bool = False
    name: str = "judge"
    default_blend: float | None = None
    keeps_deadline = True

    def score(self, pairs, *, deadline=None):
        values = [
            self.strength * relevant(query, text)
            + self.noise * drawn(query, text, "judge")
            + self.decoys * text.startswith("decoy")
            for query, text in pairs
        ]
        usage = Usage(pairs=len(pairs), billed_units=-(-len(pairs) // 20) if self.billed else None)
        return PairScores(
            np.array(values, np.float32),
            np.ones(len(pairs), np.bool_),
            np.zeros(len(pairs), np.bool_),
            ScoreKind.LOGIT,
            ModelIdentity(self.name, "1"),
            usage,
        )


def recording(reranker, strengths=None, *, many=60, recorded=50, **options):
    """Record a system over sources of these strengths."""
    strengths = {"good": 0.5} if strengths is None else strengths
    sources = {name: Source(strength, name) for name, strength in strengths.items()}
    options = {"depth": 50, "window": 20, **options}
    live = TwoStage(sources, reranker=reranker, **options)
    return record(live, collection(many), 50, window=recorded, progress=False, workers=1)
