"""What a reranker drops by itself is dropped in a replay too, or the replay is refused."""

from dataclasses import replace

import pytest
from recorded import Hashed, pipeline, questions

from runoff._recording import capture
from runoff.errors import InvalidArgument
from runoff.evaluation import Recording, record, replay
from runoff.rerank import Cascade, Fallback, Pointwise
from runoff.scores import ScoreKind, Threshold
from runoff.types import Dropped, Ranked, Reranking

QUESTIONS = questions()
LIMIT = Threshold(0.5, ScoreKind.LOGIT)
LIMITED = Pointwise(Hashed(), threshold=LIMIT)


class Halving:
    """A reranker of a user's that scores all candidates and drops the lower ones."""

    def rerank(self, query, candidates, *, deadline=None):
        scored = Pointwise(Hashed()).rerank(query, candidates)
        kept = [one for one in scored.ordered if one.pair_score >= 0.5]
        left = [one for one in scored.ordered if one.pair_score < 0.5]
        return Reranking(
            tuple(Ranked(one.candidate, one.rerank_score) for one in kept),
            dropped=tuple(
                Dropped(one.candidate, "not good enough", None, one.rerank_score) for one in left
            ),
        )


def recorded(reranker, path=None, **options):
    return record(
        pipeline(reranker), QUESTIONS, 30, window=20, path=path, progress=False, **options
    )


@pytest.mark.parametrize("window", [20, 7])
def test_a_dropped_candidate_stays_out(window, tmp_path):
    """Id for id what the pipeline answers, also where the dropped candidates have scores."""
    made = recorded(Halving(), tmp_path / "recording")
    live = pipeline(Halving(), window=window)
    for one in (made, Recording.open(tmp_path / "recording")):
        runs = replay(one, window=window, top_k=100)
        for query_id, text in QUESTIONS.queries.items():
            found = live.search(text, top_k=100)
            assert list(runs[query_id]) == [two.doc_id for two in found]
            assert any(fate.reason == "not good enough" for fate in found.trace.fates)


@pytest.mark.parametrize(
    "reranker",
    [
        Fallback([LIMITED, Hashed()]),
        Fallback([Hashed(), Cascade([(Hashed(), 5), LIMITED])]),
        Cascade([(Hashed(), 12), Fallback([LIMITED])]),
    ],
    ids=["fallback", "cascade in it", "in a cascade"],
)
def test_a_threshold_inside_a_reranker_is_refused(reranker):
    """Whether it was applied depends on who answered, which a recording does not have."""
    with pytest.raises(InvalidArgument, match="threshold") as caught:
        recorded(reranker)
    assert "Fallback" in str(caught.value)
    with pytest.raises(InvalidArgument, match="threshold"):
        replay(recorded(Hashed(), texts=True), reranker=reranker)


class Limiting:
    """A reranker of a user's that says it applied a threshold, whatever it dropped."""

    def rerank(self, query, candidates, *, deadline=None):
        scored = Pointwise(Hashed()).rerank(query, candidates)
        return replace(scored, thresholded=True)


def test_a_threshold_of_a_users_reranker_is_refused():
    """No unscored candidate may follow then, and a recording does not say in which answers."""
    for reranker in (Limiting(), Cascade([(Hashed(), 12), Limiting()])):
        with pytest.raises(InvalidArgument, match="threshold of its own") as caught:
            recorded(reranker)
        assert "Limiting" in str(caught.value)
    with pytest.raises(InvalidArgument, match="threshold of its own"):
        replay(recorded(Hashed(), texts=True), reranker=Limiting())


def test_earlier_recordings_with_such_a_threshold_are_refused(monkeypatch):
    """They are not replayed with a second stage; without one, and with another, they are."""
    monkeypatch.setattr(capture, "check_unlimited", lambda *_: None)
    monkeypatch.setattr(capture, "check_unlimited_answer", lambda *_: None)
    made = recorded(Fallback([LIMITED]))
    monkeypatch.undo()
    with pytest.raises(InvalidArgument, match="threshold inside its reranker"):
        replay(made)
    plain = recorded(Hashed())
    with pytest.raises(InvalidArgument, match="threshold inside its reranker"):
        replay(plain, reranker=made)
    assert replay(made, reranker=None)
    assert replay(made, reranker=plain)
