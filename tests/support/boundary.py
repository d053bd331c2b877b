"""A corpus of three tenants, and scorers and sources over it, for draws of filters."""

import threading
import time

import numpy as np

from runoff.rerank import Fallback, MemoryCache, Pointwise
from runoff.scores import ModelIdentity, PairScores, ScoreKind, Usage
from runoff.types import Document, Hit

CACHE = MemoryCache()
WORDS = ["oil", "gas", "coal", "wind"]
ROWS = [
    (
        f"{WORDS[number % 4]} report {number} about {WORDS[number % 3]} and {WORDS[number % 2]}",
        {"tenant": "abc"[number % 3], "grade": number // 3 % 3, "parent_id": f"p{number // 4}"},
    )
    for number in range(36)
]


class Lengths:
    """Scores a pair by the text's length, in no time."""

    model = cache_key = "lengths"
    keeps_deadline = True

    def score(self, pairs, *, deadline=None):
        values = np.array([len(text) / 1000 for _, text in pairs], dtype=np.float32)
        yes = np.ones(len(pairs), dtype=bool)
        return PairScores(
            values, yes, ~yes, ScoreKind.PROBABILITY, ModelIdentity("lengths"),
            Usage(pairs=len(pairs)),
        )  # fmt: skip


class Late:
    """Scores nothing: it takes too long."""

    model = "late"
    keeps_deadline = True

    def score(self, pairs, *, deadline=None):
        time.sleep(0.03)
        raise TimeoutError


class Leaky:
    """A source that ignores filters, and may answer late."""

    def __init__(self, wait=0.0):
        self.wait = wait

    def retrieve(self, query, *, depth, deadline=None):
        threading.Event().wait(self.wait)
        return [
            Hit(Document(str(number), text, dict(metadata)), 1 / (1 + number))
            for number, (text, metadata) in enumerate(ROWS)
        ][:depth]


def second_stage(chance):
    """Return one of several second stages."""
    return chance.choice(
        [None, Lengths(), Pointwise(Lengths(), cache=CACHE), Fallback([Lengths(), Lengths()])]
    )


def vector(text):
    """Return counts of the words of the corpus."""
    return [1e-3 + text.lower().count(word) for word in WORDS] + [1e-2 + len(text) / 1e4]
