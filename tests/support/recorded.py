"""A small real pipeline with ties, images, empty texts and groups, and queries for it."""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from runoff import Document, TwoStage
from runoff.recall import BM25
from runoff.scores import ModelIdentity, PairScores, ScoreKind, Usage
from runoff.types import Hit

WORDS = [
    "tide",
    "moon",
    "sea",
    "dough",
    "bread",
    "rises",
    "cold",
    "warm",
    "star",
    "ship",
    "clock",
    "bridge",
]


@dataclass(frozen=True)
class Questions:
    """The part of a collection that `record` needs."""

    queries: dict[str, str]


@dataclass(frozen=True)
class Hashed:
    """A scorer that hashes the texts to a few values, so that many pairs tie."""

    levels: int = 7
    name: str = "hashed"
    default_blend: float | None = None
    log: str | None = None
    wait: float = 0.0
    keeps_deadline = True

    def score(self, pairs, *, deadline=None):
        values = [digest(query, text) % self.levels / self.levels for query, text in pairs]
        if self.log is not None:
            with Path(self.log).open("a") as stream:
                stream.writelines(f"{query}\n" for query, text in pairs)
            time.sleep(self.wait)
        return PairScores(
            np.array(values, np.float32),
            np.ones(len(pairs), np.bool_),
            np.array([len(text) > 60 for _, text in pairs], np.bool_),
            ScoreKind.LOGIT,
            ModelIdentity(self.name, "1"),
            Usage(pairs=len(pairs), tokens=10 * len(pairs)),
        )


def digest(*texts):
    return int(hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12], 16)


class Noise:
    """A source with its own order for every query, over the same documents."""

    def __init__(self, documents, levels=20):
        self.documents = documents
        self.levels = levels

    def retrieve(self, query, *, depth, deadline=None):
        scored = [
            Hit(
                one, digest(query.text, one.doc_id, "noise") % self.levels / self.levels, (0.0, 1.0)
            )
            for one in self.documents
        ]
        return sorted(scored, key=lambda hit: -hit.score)[:depth]


def documents(many=60, seed=0):
    draw = np.random.default_rng(seed)
    made = []
    for at in range(many):
        words = draw.choice(WORDS, draw.integers(3, 14)).tolist()
        text, image = " ".join(words), False
        if at % 17 == 5:
            text, image = "", True
        elif at % 19 == 7:
            text = "  "
        elif at % 13 == 3 and at > 13:
            text = made[at - 10].text.upper()
        made.append(Document(f"d{at:02}", text, {"parent": f"p{at // 3}"}, image=image))
    return made


def questions(many=6, seed=1):
    draw = np.random.default_rng(seed)
    return Questions(
        {f"q{at}": f"{' '.join(draw.choice(WORDS, 4, replace=False))} {at}" for at in range(many)}
    )


def pipeline(reranker=None, many=60, **options):
    given = documents(many)
    sources = {"bm25": BM25(given), "noise": Noise(given)}
    options = {"depth": 30, "window": 20, **options}
    return TwoStage(sources, reranker=Hashed() if reranker is None else reranker, **options)
