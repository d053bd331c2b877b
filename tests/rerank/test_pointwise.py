import asyncio
import copy
import dataclasses
import math
import pickle
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rerankers import Scorer, keys
from rerankers import fused_candidates as candidates

from runoff.deadline import Deadline
from runoff.errors import (
    BadReply,
    DeadlineExceeded,
    InvalidArgument,
    ScoreKindMismatch,
    ServerFailed,
)
from runoff.protocols import AsyncReranker, Reranker, Warmable
from runoff.rerank import Pointwise
from runoff.scores import ModelIdentity, ScoreKind, Threshold, Usage
from runoff.types import Query

QUERY = Query("what?")


class AsyncScorer(Scorer):
    async def ascore(self, pairs, *, deadline=None):
        await asyncio.sleep(0)
        return self.score(pairs, deadline=deadline)


def test_it_is_what_the_seams_ask_for():
    """A pointwise reranker reranks, can be awaited and warms up."""
    reranker = Pointwise(Scorer([]))
    for seam in (Reranker, AsyncReranker, Warmable):
        assert isinstance(reranker, seam)


def test_candidates_are_ordered_by_pair_score():
    """The best pair comes first, with its own score as rerank_score."""
    answer = Pointwise(Scorer([0.5, 2.0, -1.0])).rerank(QUERY, candidates([3, 2, 1]))
    assert keys(answer.ordered) == ["d2", "d1", "d3"]
    assert [one.rerank_score for one in answer.ordered] == [2.0, 0.5, -1.0]
    assert [one.pair_score for one in answer.ordered] == [2.0, 0.5, -1.0]
    assert (answer.unscored, answer.dropped, answer.reason, answer.detail) == ((), (), "", "")


def test_the_scorer_gets_query_text_document_text_and_deadline():
    """Pairs are (query text, document text) in fused order, with the deadline."""
    scorer, deadline = Scorer([1, 2]), Deadline(9)
    Pointwise(scorer).rerank(QUERY, candidates([2, 1]), deadline=deadline)
    assert scorer.seen == [([("what?", "text 1"), ("what?", "text 2")], deadline)]


def test_text_chooses_what_is_read():
    """A callable decides what the scorer reads of a document."""
    scorer = Scorer([1])
    Pointwise(scorer, text=lambda document: f"{document.doc_id}: {document.text}").rerank(
        QUERY, candidates([1])
    )
    assert scorer.seen[0][0] == [("what?", "d1: text 1")]


def test_ties_keep_fused_order():
    """Equal scores stay in the order fusion gave them."""
    answer = Pointwise(Scorer([1, 2, 1, 2, 1])).rerank(QUERY, candidates([5, 4, 3, 2, 1]))
    assert keys(answer.ordered) == ["d2", "d4", "d1", "d3", "d5"]


def test_what_the_scorer_says_is_passed_on():
    """Kind, model, usage, loading time, notes and truncation reach the reranking."""
    answer = Pointwise(Scorer([1, 2], truncated=[True, False])).rerank(QUERY, candidates([2, 1]))
    assert answer.kind is ScoreKind.LOGIT
    assert answer.model == ModelIdentity("fake", "1", "fp32")
    assert answer.usage == Usage(pairs=2, tokens=7)
    assert (answer.load_ms, answer.notes, answer.thresholded) == (3.0, ("a note",), False)
    assert {one.candidate.document.doc_id: one.truncated for one in answer.ordered} == {
        "d1": True,
        "d2": False,
    }


def test_the_unscored_follow_in_fused_order():
    """Candidates without a score are returned apart, with the reason."""
    scorer = Scorer([math.nan, 1, math.nan, 2], reason="timeout")
    answer = Pointwise(scorer).rerank(QUERY, candidates([4, 3, 2, 1]))
    assert keys(answer.ordered) == ["d4", "d2"]
    assert [one.document.doc_id for one in answer.unscored] == ["d1", "d3"]
    assert answer.reason == "timeout"
    assert answer.detail == "Scorer scored 2 of 4 before the deadline"


def test_a_missing_reason_is_a_bad_reply():
    """A scorer that leaves pairs unscored without a reason gave values that are not finite."""
    answer = Pointwise(Scorer([math.nan])).rerank(QUERY, candidates([1]))
    assert answer.reason == "bad_reply"
    assert answer.ordered == ()


def test_no_candidates_need_no_scorer():
    """Nothing to order asks nothing of the scorer."""
    scorer = Scorer([])
    assert Pointwise(scorer).rerank(QUERY, []).ordered == ()
    assert scorer.seen == []


finite = st.floats(-1e6, 1e6, width=32)


@given(rows=st.lists(st.tuples(finite | st.just(math.nan), finite), max_size=20))
def test_every_candidate_comes_back_once(rows):
    """Ordered, unscored and dropped partition the input."""
    given_candidates = candidates([fused for _, fused in rows])
    threshold = Threshold(0.0, ScoreKind.LOGIT)
    answer = Pointwise(Scorer([own for own, _ in rows]), blend=0.5, threshold=threshold).rerank(
        QUERY, given_candidates
    )
    back = [one.candidate for one in (*answer.ordered, *answer.dropped)] + list(answer.unscored)
    assert sorted(one.fusion_rank for one in back) == list(range(1, len(rows) + 1))
    assert all(math.isfinite(one.rerank_score) for one in answer.ordered)


def test_a_threshold_drops_by_pair_score():
    """Candidates below the threshold are dropped by their own score, whatever the blend."""
    threshold = Threshold(1.0, ScoreKind.LOGIT, "fake")
    answer = Pointwise(Scorer([0.5, 3.0, 1.0]), blend=0.1, threshold=threshold).rerank(
        QUERY, candidates([100, 2, 1])
    )
    assert sorted(keys(answer.ordered)) == ["d2", "d3"]
    assert [(one.candidate.key, one.reason, one.pair_score) for one in answer.dropped] == [
        ("d1", "below threshold", 0.5)
    ]
    assert answer.thresholded


def test_a_threshold_never_touches_a_degraded_answer():
    """When a pair could not be scored nothing is dropped, and the detail says so."""
    threshold = Threshold(1.0, ScoreKind.LOGIT)
    answer = Pointwise(Scorer([0.5, math.nan], reason="timeout"), threshold=threshold).rerank(
        QUERY, candidates([2, 1])
    )
    assert keys(answer.ordered) == ["d1"]
    assert answer.dropped == ()
    assert not answer.thresholded
    assert "threshold was not applied" in answer.detail


@pytest.mark.parametrize("values", [[1.0], [math.nan]])
@pytest.mark.parametrize(
    "threshold",
    [Threshold(0.5, ScoreKind.PROBABILITY), Threshold(0.5, ScoreKind.LOGIT, "another")],
)
def test_a_threshold_for_other_scores_is_refused(threshold, values):
    """A threshold made for another kind or model raises, even when nothing was scored."""
    with pytest.raises(ScoreKindMismatch):
        Pointwise(Scorer(values), threshold=threshold).rerank(QUERY, candidates([1]))


@pytest.mark.parametrize("count", [0, 1, 3])
def test_another_number_of_scores_is_a_bad_reply(count):
    """Scores are never paired with candidates by guessing."""
    with pytest.raises(BadReply, match=f"returned {count} scores? for 2 pairs"):
        Pointwise(Scorer([1.0] * count)).rerank(QUERY, candidates([2, 1]))


def test_a_scorer_that_returns_something_else_is_named():
    """A list of floats in place of PairScores is an error."""

    class Listing:
        def score(self, pairs, *, deadline=None):
            return [1.0 for _ in pairs]

    with pytest.raises(InvalidArgument, match="Listing must return PairScores"):
        Pointwise(Listing()).rerank(QUERY, candidates([1]))


async def test_errors_of_the_scorer_pass_through():
    """What a scorer raises is what the reranker raises, awaited or not."""

    class Failing:
        def score(self, pairs, *, deadline=None):
            raise ServerFailed("503")

    with pytest.raises(ServerFailed):
        Pointwise(Failing()).rerank(QUERY, candidates([1]))
    with pytest.raises(ServerFailed):
        await Pointwise(Failing()).arerank(QUERY, candidates([1]))


@pytest.mark.parametrize("kind", [Scorer, AsyncScorer])
async def test_awaiting_gives_the_same_order(kind):
    """With and without an async scorer, awaiting gives what calling gives."""
    reranker = Pointwise(kind([0.5, 2.0, -1.0]), blend=0.5)
    assert await reranker.arerank(QUERY, candidates([3, 2, 1])) == reranker.rerank(
        QUERY, candidates([3, 2, 1])
    )
    assert (await reranker.arerank(QUERY, [])).ordered == ()


async def test_a_sync_scorer_does_not_block_the_loop():
    """A scorer without `ascore` runs in another thread, and is left behind at the deadline."""
    threads, free = [], threading.Event()

    class Slow(Scorer):
        def score(self, pairs, *, deadline=None):
            threads.append(threading.current_thread())
            assert free.wait(30)
            return super().score(pairs, deadline=deadline)

    with pytest.raises(DeadlineExceeded):
        await Pointwise(Slow([1])).arerank(QUERY, candidates([1]), deadline=Deadline(0.05))
    free.set()  # not before: it was left behind
    assert threads != [threading.current_thread()]


async def test_a_scorer_that_keeps_the_deadline_is_waited_for():
    """A sync scorer that returns by itself what it has is not cut off."""

    class Punctual(Scorer):
        keeps_deadline = True

        def score(self, pairs, *, deadline=None):
            time.sleep(0.1)
            return super().score(pairs, deadline=deadline)

    reranker = Pointwise(Punctual([1]))
    assert reranker.keeps_deadline
    answer = await reranker.arerank(QUERY, candidates([1]), deadline=Deadline(0.02))
    assert keys(answer.ordered) == ["d1"]


def test_name_deadline_and_warmup_are_the_scorers():
    """The reranker has the name, deadline and warmup of its scorer."""

    class Named(Scorer):
        name = "special"
        warmed = False

        def warmup(self):
            self.warmed = True

    scorer = Named([])
    Pointwise(scorer).warmup()
    Pointwise(Scorer([])).warmup()
    assert scorer.warmed
    assert (Pointwise(scorer).name, Pointwise(Scorer([])).name) == ("special", "Scorer")
    assert not Pointwise(scorer).keeps_deadline


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("scorer", "runoff-mini"),
        ("scorer", None),
        ("blend", -0.1),
        ("blend", 1.1),
        ("blend", math.nan),
        ("blend", True),
        ("blend", "half"),
        ("blend", [0.5]),
        ("threshold", 0.5),
        ("text", "{text}"),
    ],
)
def test_wrong_arguments_are_refused_at_once(argument, value):
    """A wrong argument is named when the object is made."""
    with pytest.raises(InvalidArgument) as caught:
        Pointwise(**{"scorer": Scorer([]), argument: value})
    assert caught.value.argument == argument


def test_candidates_are_not_changed():
    """The list of candidates is as it was."""
    given_candidates = candidates([3, 2, 1])
    before = copy.deepcopy(given_candidates)
    Pointwise(Scorer([1, 2, 3]), blend=0.5).rerank(QUERY, given_candidates)
    assert given_candidates == before


def test_it_is_frozen_configuration(model):
    """It pickles, is replaced and compared by its arguments."""
    from runoff.rerank import CrossEncoder

    reranker = Pointwise(CrossEncoder(model), blend=0.5)
    assert pickle.loads(pickle.dumps(reranker)) == reranker
    assert dataclasses.replace(reranker, blend=None).blend is None
    with pytest.raises(dataclasses.FrozenInstanceError):
        reranker.blend = 1


def test_a_cross_encoder_and_its_blend_in_earnest(tiny, tmp_path):
    """The model's own default blend mixes its scores with the fusion scores."""
    from runoff.rerank import CrossEncoder

    config = {"kind": "cross-encoder", "max_length": 64, "default_blend": 0.0}
    scorer = CrossEncoder(tiny.save(tmp_path / "m", config=config))
    fused = candidates([5, 4, 3, 2, 1])
    assert keys(Pointwise(scorer).rerank(QUERY, fused).ordered) == ["d1", "d2", "d3", "d4", "d5"]
    own = scorer.score([(QUERY.text, one.document.text) for one in fused]).values
    by_model = [f"d{place + 1}" for place in np.argsort(-own, kind="stable")]
    assert keys(Pointwise(scorer, blend=None).rerank(QUERY, fused).ordered) == by_model
