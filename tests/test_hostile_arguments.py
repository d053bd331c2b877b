"""Every argument of the public callables, given what no argument should be: named, or as meant."""

import inspect
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from recorded import Hashed, pipeline

from runoff import Deadline, Document, Query, TwoStage
from runoff.context import pack
from runoff.deadline import Branch
from runoff.errors import InvalidArgument
from runoff.evaluation import (
    Collection,
    Evaluator,
    by_agreement,
    by_length,
    by_margin,
    by_script,
    health,
    rank_biased_overlap,
    write_run,
)
from runoff.filters import Eq, In, Not, Range
from runoff.fusion import RRF, Convex
from runoff.grouping import Grouping
from runoff.live import Experiment, signals, watch
from runoff.pipeline import System, register_system
from runoff.recall import BM25, Dense, Embedder, Function
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
from runoff.scores import ModelIdentity, PairScores, ScoreKind, Threshold
from runoff.types import Hit

DOCUMENTS = [Document("a", "oil is good"), Document("b", "tea time")]
HASHED = Hashed()
PIPELINE = pipeline(HASHED)
FOUND = PIPELINE.search("tide moon")
TRUE = np.ones(1, bool)[0]
HOSTILE = [
    *(np.array([0.5, 0.7]), np.array([]), np.array([3, 4]), np.array(0.5), np.array([[True]])),
    *(np.float64("nan"), float("nan"), float("inf"), np.datetime64("NaT", "s"), TRUE),
    *(Decimal("0.5"), Decimal("sNaN"), Fraction(1, 2), "0.5", "\ud800", b"x", True, 1j),
    *(-1, 0, 10**400, object(), [0.5], {"a": 1}, {1}, None),
]


def embed(texts):
    return np.ones((len(texts), 4), np.float32)


def answer(prompt):
    return "[1]"


CALLS = {
    Deadline: {},
    Branch: {"whole": Deadline(1), "clock": lambda: 0.0},
    Document: {"doc_id": "a", "text": "oil"},
    Query: {"text": "oil"},
    Hit: {"document": DOCUMENTS[0], "score": 1.0},
    TwoStage: {"sources": {"bm25": BM25(DOCUMENTS)}, "reranker": None},
    PIPELINE.search: {"query": "tide moon"},
    pack: {"results": list(FOUND), "budget": 100, "by": "parent"},
    Collection: {"queries": {"1": "oil"}, "qrels": {"1": {"a": 1}}},
    Evaluator: {"collection": Collection({"1": "oil"}, {"1": {"a": 1}})},
    by_agreement: {"query_ids": ["1"], "rankings": lambda _: [["a"], ["b"]]},
    by_margin: {"query_ids": ["1"], "scores": lambda _: [2, 1]},
    by_length: {"queries": {"1": "oil"}},
    by_script: {"queries": {"1": "oil"}},
    health: {"seen": [FOUND]},
    rank_biased_overlap: {"one": ["a"], "other": ["a"]},
    write_run: {"path": "a.run", "run": {"1": ["a"]}},
    Eq: {"field": "a", "value": 1},
    In: {"field": "a", "values": [1]},
    Range: {"field": "a", "gte": 1},
    Not: {"filter": Eq("a", 1)},
    Convex: {},
    RRF: {},
    Grouping: {"by": "parent"},
    BM25: {"documents": DOCUMENTS},
    BM25(DOCUMENTS).retrieve: {"query": Query("oil"), "depth": 3},
    Dense: {"documents": DOCUMENTS, "embed": embed},
    Embedder: {},
    Function: {"function": lambda _query, _depth: []},
    AsYAML: {},
    Cached: {"scorer": HASHED},
    Cap: {"pairs": 3},
    Cascade: {"steps": [(HASHED, 3), HASHED]},
    Circuit: {},
    CohereRerank: {"api_key": "key"},
    CrossEncoder: {},
    Dialect: {"name": "mine", "path": "/rerank"},
    DiskCache: {"path": "scores.db"},
    Fallback: {"rerankers": [HASHED]},
    HTTPRerank: {"url": "http://localhost:1", "dialect": "tei"},
    LateInteraction: {},
    ListwiseLLM: {"llm": answer},
    MemoryCache: {},
    Metered: {"scorer": HASHED, "price": Price(per_1k_pairs=1)},
    Passages: {},
    Pointwise: {"scorer": HASHED},
    Price: {"per_1k_pairs": 1},
    Retries: {},
    Step: {"reranker": HASHED},
    TokenStore: {},
    Threshold: {"value": 0.5, "kind": ScoreKind.LOGIT},
    PairScores: {
        "values": np.zeros(1, np.float32),
        "scored": np.ones(1, bool),
        "truncated": np.zeros(1, bool),
        "kind": ScoreKind.UNKNOWN,
        "model": ModelIdentity("m"),
    },
    System: {"pipeline": PIPELINE},
    register_system: {"name": "nothing", "matches": lambda _: False, "convert": System},
    Experiment: {"a": PIPELINE, "b": pipeline(None), "path": "experiment"},
    watch: {"target": PIPELINE, "path": "observations"},
    signals: {"target": PIPELINE},
}
GIVEN = [
    (call, name)
    for call in CALLS
    for name, one in inspect.signature(call).parameters.items()
    if one.kind not in {one.VAR_KEYWORD, one.VAR_POSITIONAL}
    # the pipeline gives the deadline, and vectors have an error of their own, with their shape
    and name not in {"deadline", "embeddings"}
]
WHOLE = [
    (TwoStage, "depth"), (TwoStage, "window"), (PIPELINE.search, "top_k"), (pack, "budget"),
    (pack, "per_document"), (by_agreement, "cutoff"), (BM25(DOCUMENTS).retrieve, "depth"),
    (Collection, "relevant_from"), (Embedder, "max_length"), (CrossEncoder, "max_length"),
    (LateInteraction, "max_windows"), (LateInteraction, "dimensions"),
    (MemoryCache, "max_entries"), (Passages, "overlap"), (Passages, "length"),
    (ListwiseLLM, "step"), (HTTPRerank, "batch"), (HTTPRerank, "timeout"),
    (CohereRerank, "priority"), (CohereRerank, "max_tokens_per_doc"), (TokenStore, "max_bytes"),
    (DiskCache, "max_bytes"), (Dialect, "batch"), (Deadline, "timeout"),
    (PIPELINE.search, "timeout"), (Retries, "attempts"), (Circuit, "cooldown"), (Step, "keep"),
]  # fmt: skip


SECONDS = {"timeout", "cooldown"}  # are computed with, and written nowhere


def named(call):
    return getattr(call, "__qualname__", str(call))


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("call", "name"), GIVEN, ids=[f"{named(c)}-{n}" for c, n in GIVEN])
@pytest.mark.filterwarnings("ignore")
def test_an_argument_is_refused_by_name_or_works(call, name):
    """No value, of whatever kind, brings out an error of another kind than `InvalidArgument`."""
    base = CALLS.get(call) or next(given for one, given in CALLS.items() if one == call)
    for value in HOSTILE:
        with suppress(InvalidArgument):
            call(**{**base, name: value})


@pytest.mark.parametrize(("call", "name"), WHOLE, ids=[f"{named(c)}-{n}" for c, n in WHOLE])
def test_numpy_integers_are_integers(call, name):
    """A count that NumPy computed is taken as Python's own, and becomes it."""
    base = next((given for one, given in CALLS.items() if named(one) == named(call)), {})
    found = call(**{**base, name: np.int64(3 if "bytes" not in name else 10**7)})
    assert not isinstance(getattr(found, name, None), np.generic) or name in SECONDS
    with pytest.raises(InvalidArgument, match=rf"^{name}="):
        call(**{**base, name: TRUE})
