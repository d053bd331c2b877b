"""Weights that follow the query: how far apart a source's scores lie, against its usual spread."""

import pickle
import statistics

import numpy as np
import pytest

from runoff import Document, TwoStage
from runoff._recording.setup import fusion_from_json, fusion_to_json
from runoff.errors import InvalidArgument
from runoff.evaluation import record, replay
from runoff.fusion import RRF, Convex
from runoff.recall import BM25, Dense, Function
from runoff.types import Hit

SPREADS = {"bm25": 2.0, "dense": 0.1}


def hits(**scores):
    return [Hit(Document(name, name), score) for name, score in scores.items()]


def following(**spreads):
    return Convex(normalizer="zscore", spreads=spreads)


@pytest.mark.parametrize(("scale", "share"), [(0.1, 0.5), (0.5, 0.5), (1.3, 1.3), (5.0, 2.0)])
def test_a_source_counts_as_its_scores_lie_apart(scale, share):
    """Its share is the deviation of the scores over the usual one, within 1/2 and 2."""
    scores = [scale * one for one in (4.0, 3.0, 1.0, 0.0)]
    usual = statistics.pstdev([4.0, 3.0, 1.0, 0.0])
    (normalized,) = [
        Convex(normalizer="zscore").normalizer.normalize(hits(a=4.0, b=3.0, c=1.0, d=0.0))
    ]
    assert following(one=usual).share("one", scores, normalized) == pytest.approx(share)
    assert following(other=usual).share("one", scores, normalized) == 1.0


def test_the_source_that_is_sure_decides():
    """Of two sources that contradict each other the one with the clearer scores wins."""
    fusion = following(**SPREADS)
    for bm25, dense, first in ((4.0, 0.05, "a"), (1.0, 0.2, "b")):
        fused = fusion.fuse(
            {"bm25": hits(a=bm25, b=0.0), "dense": hits(b=dense, a=0.0)}  # z-scores of 1 and -1
        )
        assert max(fused, key=fused.get) == first
    plain = Convex(normalizer="zscore").fuse(
        {"bm25": hits(a=4.0, b=0.0), "dense": hits(b=0.05, a=0.0)}
    )
    assert plain["a"] == plain["b"]


@pytest.mark.parametrize("scores", [{}, {"a": 3.0}, {"a": 3.0, "b": 3.0}])
def test_lists_that_say_nothing_are_fused(scores):
    """Empty lists, lone hits and equal scores give finite scores."""
    fused = following(**SPREADS).fuse({"bm25": hits(**scores), "dense": hits(c=0.4, d=0.1)})
    assert np.isfinite(list(fused.values())).all()
    assert set(fused) == {*scores, "c", "d"}


@pytest.mark.parametrize(
    "wrong",
    [{"bm25": 0}, {"bm25": -1.0}, {"bm25": float("nan")}, {"bm25": "wide"}, [1.0], {1: 1.0}],
)
def test_a_spread_is_a_number_above_0(wrong):
    """Anything else is refused by the argument's name."""
    with pytest.raises(InvalidArgument, match="spreads"):
        Convex(normalizer="zscore", spreads=wrong)
    with pytest.raises(InvalidArgument, match='needs normalizer="zscore"'):
        Convex(normalizer="minmax", spreads={"bm25": 1.0})


class Embed:
    """Letters counted, by a model that knows the usual spread of its cosines."""

    score_spread = 0.2

    def __call__(self, texts):
        return [[1.0 + text.count(letter) for letter in "aeinorst"] for text in texts]


TEXTS = [
    "cats and dogs", "a rat in a hat", "the sea at noon", "a note on trains", "stone and sand",
    "rare tea roses", "an order of toast", "noise in the stairs", "nine tired ants", "a torn tent",
]  # fmt: skip


def sources(embed):
    documents = [(str(at), text) for at, text in enumerate(TEXTS)]
    return {"bm25": BM25(documents), "dense": Dense(documents, embed)}


def test_the_default_follows_where_every_source_knows_its_spread():
    """A source that does not know it, and a fusion that was given, leave the weights equal."""
    pipeline = TwoStage(sources(Embed()), reranker=None)
    assert pipeline.fusion == following(bm25=1.06, dense=0.2)
    assert pickle.loads(pickle.dumps(pipeline.fusion)) == pipeline.fusion
    plain = Convex(normalizer="zscore")
    assert TwoStage(sources(Embed().__call__), reranker=None).fusion == plain
    assert (
        TwoStage(sources(Embed()), fusion=Convex(normalizer="zscore"), reranker=None).fusion
        == plain
    )
    assert TwoStage(sources(Embed()), fusion=RRF(), reranker=None).fusion == RRF()
    assert TwoStage({"bm25": BM25(TEXTS)}, reranker=None).fusion == plain
    other = {**sources(Embed()), "own": Function(lambda query: [])}
    assert TwoStage(other, reranker=None).fusion == plain


@pytest.mark.parametrize("options", [{"analyzer": "german"}, {"k1": 2.0}, {"method": "bm25+"}])
def test_bm25_knows_the_spread_of_what_was_measured(options):
    """Another analyzer or formula has scores of another scale."""
    assert BM25(TEXTS).score_spread == 1.06
    assert BM25(TEXTS, **options).score_spread is None
    assert Dense(TEXTS, Embed(), similarity="ip").score_spread is None


@pytest.mark.parametrize("depth", [10, 4])
def test_a_replay_follows_as_the_search_did(tmp_path, depth):
    """Scores and order are those of the search, to the last bit, at any depth."""
    pipeline = TwoStage(sources(Embed()), reranker=None)
    questions = {f"q{at}": text for at, text in enumerate(TEXTS[:6])}
    recording = record(pipeline, questions, depth=100, path=tmp_path / "recording")
    answers = replay(recording, depth=depth)
    for query_id, text in questions.items():
        live = pipeline.search(text, depth=depth, top_k=10).results
        replayed = answers[query_id]
        assert list(replayed) == [one.document.doc_id for one in live]
        assert replayed.fusion_score.tolist() == [one.fusion_score for one in live]


def test_a_recording_keeps_the_spreads():
    """The fusion of a recording is rebuilt with its spreads."""
    fusion = following(**SPREADS)
    assert fusion_from_json(fusion_to_json(fusion)) == fusion
    assert "spreads" not in fusion_to_json(Convex(normalizer="zscore"))
