"""Arguments of a wrong kind: every error names the argument, and none comes from the inside."""

import numpy as np
import pytest

from runoff import Deadline, Document, Query, TwoStage
from runoff.errors import InvalidArgument
from runoff.evaluation import (
    Collection,
    by_length,
    by_script,
    by_stage,
    curve,
    evaluate,
    losses,
    rank_biased_overlap,
    read_run,
    record,
    replay,
    tune,
    verdict,
    write_run,
)
from runoff.filters import Eq
from runoff.provenance import decode
from runoff.recall import BM25, Dense
from runoff.report import advise
from runoff.rerank import Cap, Circuit, Price, Retries
from runoff.scores import ModelIdentity, PairScores, ScoreKind, Threshold
from runoff.types import Hit

HUGE = 10**400
TWO = np.array([1.0, 2.0])
SURROGATE = "folder/\ud800"
DOCUMENTS = [Document("a", "oil", {"tenant": "a"}), Document("b", "oil", {"tenant": "b"})]


def embed(texts):
    return np.ones((len(texts), 4), np.float32)


def pipeline(**options):
    return TwoStage({"bm25": BM25(DOCUMENTS)}, **({"reranker": None} | options))


def scores(**changes):
    made = {"values": np.zeros(1, np.float32), "scored": np.ones(1, bool)}
    made |= {"truncated": np.zeros(1, bool), "kind": ScoreKind.UNKNOWN}
    return PairScores(**(made | {"model": ModelIdentity("m")} | changes))


CALLS = {
    "timeout": [lambda: Deadline(HUGE), lambda: pipeline().search("oil", timeout=HUGE)],
    "clock": [lambda: Deadline(1.0, clock=5)],
    "embedding_texts": [
        lambda: Query("oil", embedding_texts=None),
        lambda: Query("oil", embedding_texts=5),
        lambda: Query("oil", embedding_texts={"a": 1}),
    ],
    "filter": [
        lambda: pipeline().search("oil", filters={"tenant": "a"}),
        lambda: pipeline().search("oil", filters=[Eq("tenant", "a")]),
        lambda: pipeline(filters={"tenant": "a"}),
    ],
    "id_of": [lambda: pipeline(id_of="doc_id")],
    "on_error": [lambda: pipeline(on_error=TWO), lambda: pipeline(on_error=["raise"])],
    "document": [lambda: Hit(None, 1.0), lambda: Hit("a", 1.0)],
    "score": [lambda: Hit(DOCUMENTS[0], HUGE)],
    "values": [lambda: scores(values=[0.5]), lambda: scores(values=None)],
    "scored": [lambda: scores(scored=[True])],
    "value": [
        lambda: Threshold(HUGE, ScoreKind.UNKNOWN),
        lambda: Threshold(value=True, kind="unknown"),
    ],
    "pairs": [lambda: Cap(pairs=HUGE)],
    "per_1k_pairs": [lambda: Price(per_1k_pairs=HUGE)],
    "first_pause": [lambda: Retries(first_pause=HUGE)],
    "cooldown": [lambda: Circuit(cooldown=HUGE)],
    "engine": [lambda: BM25(DOCUMENTS, engine=["bm25s"])],
    "method": [lambda: BM25(DOCUMENTS, method=TWO)],
    "texts": [lambda: BM25(DOCUMENTS, texts={})],
    "doc_id": [lambda: BM25(DOCUMENTS).get(5), lambda: BM25(DOCUMENTS).get(["a"])],
    "doc_ids": [lambda: Dense(DOCUMENTS, embed).delete(None)],
    "similarity": [lambda: Dense(DOCUMENTS, embed, similarity=["cosine"])],
    "stored": [lambda: Dense(DOCUMENTS, embed, stored=TWO)],
    "recording": [
        lambda: replay("recording/"),
        lambda: by_stage(None),
        lambda: curve(None, None),
        lambda: tune(None, None),
        lambda: losses(5, Collection({"q": "oil"}, {"q": {"a": 1}})),
        lambda: advise(None, None),
    ],
    "queries": [lambda: by_length(["oil"]), lambda: by_script(None)],
    "one": [lambda: rank_biased_overlap(None, ["a"]), lambda: rank_biased_overlap({"a"}, ["a"])],
    "persistence": [lambda: rank_biased_overlap(["a"], ["a"], persistence="high")],
    "run": [lambda: write_run("run.txt", None), lambda: write_run("run.txt", ["a"])],
    "tag": [lambda: write_run("run.txt", {}, tag=5)],
    "path": [
        lambda: BM25(DOCUMENTS).save(SURROGATE),
        lambda: read_run(SURROGATE),
        lambda: Collection.from_jsonl(SURROGATE),
    ],
}


@pytest.mark.parametrize(
    ("argument", "call"),
    [(argument, call) for argument, calls in CALLS.items() for call in calls],
)
def test_the_error_names_the_argument(argument, call):
    """What cannot be is refused by name, with its value and what is right."""
    with pytest.raises(InvalidArgument, match=rf"^{argument}="):
        call()


def test_no_metadata_has_no_provenance():
    """Provenance of nothing, or of what is no mapping, is None."""
    assert decode(None) is decode(5) is decode("text") is None


@pytest.fixture(scope="module")
def recording():
    pytest.importorskip("ir_measures")
    judged = Collection({"q": "oil", "r": "oil"}, {"q": {"a": 1}, "r": {"b": 1}})
    return record(pipeline(reranker="runoff-mini"), judged, depth=100)


def test_numbers_of_an_evaluation_are_checked(recording, tmp_path):
    """Bounds, seeds and measures of a wrong kind are refused by name."""
    judged = Collection({"q": "oil", "r": "oil"}, {"q": {"a": 1}, "r": {"b": 1}})
    found = evaluate({"q": ["a", "b"], "r": ["b"]}, judged)
    for wrong in (None, "x", HUGE, float("nan"), -1, 0, True, TWO):
        with pytest.raises(InvalidArgument, match=r"^bound="):
            verdict(found, found, bound=wrong)
        with pytest.raises(InvalidArgument, match=r"^bound="):
            curve(recording, judged, bound=wrong)
        with pytest.raises(InvalidArgument, match=r"^bound="):
            tune(recording, judged, bound=wrong)
    for wrong in (None, "x", -1, 1.5, float("nan"), TWO):
        with pytest.raises(InvalidArgument, match=r"^seed="):
            verdict(found, found, seed=wrong)
        with pytest.raises(InvalidArgument, match=r"^seed="):
            curve(recording, judged, seed=wrong)
    with pytest.raises(InvalidArgument, match=r"^measures="):
        evaluate({"q": ["a"]}, judged, 5)
    with pytest.raises(InvalidArgument, match=r"^path="):
        recording.report(None)
    with pytest.raises(InvalidArgument, match=r"^collection="):
        advise(recording, 5)
    assert losses(recording, judged, cutoff=2**60).queries == losses(recording, judged).queries
