"""Observations made by hand."""

import itertools
import math
import time as clock

from runoff._util.text import text_key
from runoff.live._observation import Observation, SourceRanks
from runoff.scores import ModelIdentity, ScoreKind, Usage
from runoff.trace import FateKind, Scoring, StageTrace
from runoff.types import Outcome

_number = itertools.count()


def observation(asked, **changes):
    """Return an answer whose two documents the reranker swapped."""
    fields = {
        "id": f"{next(_number):032x}",
        "time": clock.time(),
        "sample": 0.5,
        "query_hash": text_key(asked),
        "query": "",
        "pipeline": "0" * 16,
        "depth": 100,
        "window": 50,
        "top_k": 1,
        "doc_ids": ("a", "b"),
        "text_hashes": (text_key("one"), text_key("two")),
        "texts": (),
        "fusion_scores": (2.0, 1.0),
        "ranks": (2, 1),
        "rerank_scores": (0.25, 0.75),
        "pair_scores": (0.25, math.nan),
        "truncated": (False, True),
        "scorings": (Scoring.RERANKED, Scoring.RERANKED),
        "fates": (FateKind.CUT, FateKind.RETURNED),
        "sources": {"bm25": SourceRanks((1, 2), (3.5, math.nan))},
        "stages": (
            StageTrace("recall", "bm25", 1.5, 100, 2),
            StageTrace("rerank", "mini", 9.0, 2, 2, usage=Usage(pairs=2, tokens=30)),
        ),
        "outcome": Outcome((), 2, 2, 250.0, 12.0),
        "model": ModelIdentity("mini", "r1", "int8"),
        "kind": ScoreKind.PROBABILITY,
    }
    return Observation(**{**fields, **changes})
