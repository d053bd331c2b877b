"""Scorers that the processes of a cluster import."""

import os
import signal
from pathlib import Path

import numpy as np

from runoff.errors import ConnectionFailed
from runoff.scores import ModelIdentity, PairScores, ScoreKind


class KillsOnce:
    """Scores by length; the first process that comes to a certain text is killed."""

    cache_key = "kills once"

    def __init__(self, marker):
        self.marker = str(marker)

    def score(self, pairs, *, deadline=None):
        del deadline
        if any(text == "text 30" for _, text in pairs):
            try:
                Path(self.marker).touch(exist_ok=False)
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        values = np.array([len(text) for _, text in pairs], np.float32)
        every = np.ones(len(pairs), np.bool_)
        return PairScores(values, every, ~every, ScoreKind.LOGIT, ModelIdentity("kills once"))


class Down:
    """Can never be reached."""

    cache_key = "down"

    def score(self, pairs, *, deadline=None):
        raise ConnectionFailed("down")
