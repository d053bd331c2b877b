"""A scorer that can be pickled: its module can be imported by name."""

from dataclasses import dataclass

import numpy as np

from runoff.scores import ModelIdentity, PairScores, ScoreKind


@dataclass(frozen=True)
class Length:
    """Scores a pair by the length of its document."""

    name: str = "length"
    keeps_deadline: bool = True

    def score(self, pairs, *, deadline=None):
        count = len(pairs)
        return PairScores(
            np.array([len(text) for _, text in pairs], dtype=np.float32),
            np.ones(count, dtype=bool),
            np.zeros(count, dtype=bool),
            ScoreKind.LOGIT,
            ModelIdentity("length"),
        )
