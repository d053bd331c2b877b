"""A scorer with known scores that counts its calls and pairs."""

import asyncio
import hashlib
import threading
import time

import numpy as np

from runoff.scores import ModelIdentity, PairScores, ScoreKind, Usage


def value(query, text, seed=0):
    """The score of a pair: 23 bits of a hash, so that float32 holds it exactly."""
    digest = hashlib.sha256(f"{seed}|{query}|{text}".encode("utf-8", "surrogatepass")).digest()
    return (int.from_bytes(digest[:3], "big") >> 1) / 2**20 - 4


def same(left, right):
    """Whether two answers are the same to the last bit, usage aside."""
    return (
        left.values.tobytes() == right.values.tobytes()
        and left.scored.tolist() == right.scored.tolist()
        and left.truncated.tolist() == right.truncated.tolist()
        and (left.kind, left.model, left.reason, left.passages)
        == (right.kind, right.model, right.reason, right.passages)
    )


class Counting:
    """Scores pairs by a hash of their texts.

    Args:
        seed: another seed is another model.
        wait: seconds each call takes.
        error: raised instead of scoring, as long as it is set.
        unscored: texts that get no score.
    """

    keeps_deadline = True
    default_blend = None

    def __init__(self, seed=0, wait=0.0, error=None, unscored=(), reason="bad_reply"):
        self.seed = seed
        self.wait = wait
        self.error = error
        self.unscored = unscored
        self.reason = reason
        self.calls = []
        self.revision = str(seed)
        self.lock = threading.Lock()

    @property
    def name(self):
        return "counting"

    @property
    def cache_key(self):
        return f"counting {self.seed}"

    @property
    def asked(self):
        return [pair for call in self.calls for pair in call]

    def score(self, pairs, *, deadline=None):
        self._note(pairs)
        end = time.monotonic() + self.wait
        while time.monotonic() < end and not (deadline and deadline.expired):
            time.sleep(0.002)
        return self._answer(pairs, late=time.monotonic() < end)

    async def ascore(self, pairs, *, deadline=None):
        self._note(pairs)
        await asyncio.sleep(self.wait)
        return self._answer(pairs)

    def _note(self, pairs):
        with self.lock:
            self.calls.append(list(pairs))

    def _answer(self, pairs, *, late=False):
        if self.error is not None:
            raise self.error
        values = np.array([value(*pair, self.seed) for pair in pairs], np.float32)
        scored = np.array([not late and text not in self.unscored for _, text in pairs], bool)
        return PairScores(
            values,
            scored,
            np.array([len(text) > 200 for _, text in pairs], bool),
            ScoreKind.LOGIT,
            ModelIdentity("counting", self.revision, "fp32"),
            Usage(pairs=int(scored.sum()), tokens=10 * len(pairs)),
            reason="" if scored.all() else "timeout" if late else self.reason,
        )
