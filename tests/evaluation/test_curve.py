"""What a window gains and costs, computed from a recording."""

import json
from dataclasses import replace

import numpy as np
import pytest
import recorded
from hypothesis import given
from hypothesis import strategies as st
from tunable import Judge, collection, recording

from runoff._recording.setup import StepSetup
from runoff.errors import InvalidArgument
from runoff.evaluation import Collection, curve, evaluate, record, replay
from runoff.evaluation._curve import recommended
from runoff.evaluation._trials import Costs
from runoff.grouping import Grouping
from runoff.rerank import Cascade, Price, Step
from runoff.scores import Usage

pytest.importorskip("ir_measures")


def test_points_are_what_a_replay_measures():
    """Each value is that of a replay with that window, cut at the measure's cutoff."""
    made, judged = recording(Judge()), collection()
    found = curve(made, judged, windows=[5, 20, 50])
    assert [one.window for one in found.points] == [0, 5, 20, 50]
    for point in found.points:
        options = {"window": point.window} if point.window else {"reranker": None}
        measured = evaluate(replay(made, top_k=10, **options), judged, ["nDCG@10", "R@10"])
        assert point.values == {one: measured.mean(one) for one in ("nDCG@10", "R@10")}
        low, high = point.intervals["nDCG@10"]
        assert low <= point.values["nDCG@10"] <= high


def test_measures_of_judged_documents_look_past_the_others():
    """A `judged_only` measure skips unjudged documents, so answers are not cut at its cutoff."""
    made, judged = recording(Judge(0.0), many=12), collection(12)
    few = {
        one: {doc_id: grade for doc_id, grade in grades.items() if grade or doc_id > "d20"}
        for one, grades in judged.qrels.items()
    }
    judged = Collection(judged.queries, few)
    name = "nDCG(judged_only=True)@3"
    found = curve(made, judged, windows=[20], measures=[name])
    whole = evaluate(replay(made, top_k=None), judged, [name])
    assert found.points[1].values == {name: whole.mean(name)}
    assert whole.mean(name) > evaluate(replay(made, top_k=3), judged, [name]).mean(name)


def test_a_helping_reranker_saturates():
    """Over a good source, a scorer gains with the first candidates and then no more."""
    made = recording(Judge(3.0), many=120)
    found = curve(made, collection(120), windows=[5, 10, 20, 30, 40, 50])
    assert found.shape == "saturates"
    assert 0 < found.recommended < 50
    assert found.point(found.recommended).gain > 0.05


def test_a_curve_that_has_not_ended_still_rises():
    """Over a random source, a good scorer gains from every further candidate."""
    found = curve(recording(Judge(3.0), {"poor": 0.0}), collection(), windows=[5, 10, 20, 40])
    assert found.shape == "still rises"
    assert found.recommended == 40


def test_a_harmful_reranker_falls_from_the_start():
    """For a scorer that prefers irrelevant documents, window 0 is recommended."""
    found = curve(recording(Judge(-1.0)), collection())
    assert found.shape == "falls from the start"
    assert found.recommended == 0
    assert found.points[0].gain == 0


def test_far_candidates_that_fool_the_reranker_make_a_peak():
    """If the scorer prefers the candidates at the bottom, a window in between is best."""
    found = curve(recording(Judge(3.0, decoys=9.0)), collection(), windows=[5, 10, 20, 30, 40, 50])
    assert found.shape == "peaks then falls"
    assert 0 < found.recommended <= 40


def test_a_constant_reranker_is_flat():
    """A scorer that gives all the same score makes a flat curve, and window 0 is recommended."""
    judge = Judge(0.0, noise=0.0, decoys=0.0)
    found = curve(recording(judge, many=120), collection(120))
    assert found.shape == "flat"
    # as with a verdict of no effect, too few queries show nothing
    assert curve(recording(judge), collection()).shape == "undecided"
    assert found.recommended == 0
    assert found.regret == 0
    assert all(one.gain == 0 for one in found.points)


def test_few_queries_leave_the_shape_undecided():
    """Four queries and a scorer of noise prove nothing."""
    found = curve(recording(Judge(0.3), many=4), collection(4))
    assert found.shape == "undecided"


def test_below_a_hundred_queries_no_window_is_shown_to_lose_nothing():
    """99 unchanged queries do not prove a flat curve, since a rare change may be missing."""
    for many, shape in ((99, "undecided"), (100, "flat")):
        made = recording(Judge(0.0, noise=0.0, decoys=0.0), many=many, recorded=5)
        assert curve(made, collection(many)).shape == shape


def test_one_query_has_a_curve():
    """A single judged query proves nothing, and no other query can check the choice."""
    found = curve(recording(Judge(3.0), {"poor": 0.0}, many=1), collection(1))
    assert (found.queries, found.shape) == (1, "undecided")
    assert found.regret == pytest.approx(max(one.gain for one in found.points))
    assert found.regret > 0


@pytest.mark.parametrize("recorded", [1, 7, 25])
def test_the_recommendation_was_recorded(recorded):
    """No window above the recorded one is measured, however much it might gain."""
    found = curve(recording(Judge(3.0), {"poor": 0.0}, recorded=recorded), collection())
    assert max(one.window for one in found.points) == recorded
    assert found.recommended <= recorded
    with pytest.raises(InvalidArgument, match=f"windows from 1 to {recorded}"):
        curve(recording(Judge(), recorded=recorded), collection(), windows=[recorded + 1])


def test_marginal_gains_are_differences_over_what_more_is_spent():
    """Gains are per 10 pairs, per millisecond and per unit of money, from one point to the next."""
    made = recording(Judge())
    found = curve(made, collection(), windows=[10, 30], price=Price(per_1k_pairs=2.0))
    first, second, third = found.points
    assert (first.pairs, second.pairs, third.pairs) == (0, 10, 30)
    assert (first.per_10_candidates, first.per_ms, first.per_unit_of_money) == (None, None, None)
    step = third.values["nDCG@10"] - second.values["nDCG@10"]
    assert third.per_10_candidates == pytest.approx(step / 2)
    assert third.per_ms == pytest.approx(step / (third.ms - second.ms))
    assert third.cost == pytest.approx(0.06)
    assert third.per_unit_of_money == pytest.approx(step / 0.04)
    reads = [one.stages[-1].latency_ms / one.stages[-1].entered for one in made]
    assert third.ms - second.ms == pytest.approx(20 * np.mean(reads))
    assert curve(made, collection(), windows=[10]).point(10).cost is None


def test_pairs_are_those_that_a_live_search_reads():
    """Grouped candidates, images and blank texts do not count as pairs read."""
    live = recorded.pipeline(group=Grouping("parent"), depth=30, window=8)
    judged = Collection(recorded.questions().queries, {f"q{at}": {"d02": 1} for at in range(6)})
    found = curve(record(live, judged, 30, progress=False), judged)
    for point in found.points[1:]:
        asked = [live.search(text, window=point.window) for text in judged.queries.values()]
        assert point.pairs == np.mean([one.outcome.total for one in asked])
    asked = [live.search(text, window=1000) for text in judged.queries.values()]
    assert found.points[-1].pairs == np.mean([one.outcome.total for one in asked])
    assert found.points[-1].window < max(len(one.trace.fates) for one in asked)


def test_units_that_a_vendor_bills_are_whole():
    """If a billed unit covers 20 pairs, 5 pairs cost as much as 20, and 21 twice as much."""
    made = recording(Judge(billed=True), many=3, recorded=40)
    costs = Costs(made, made.setup.steps, Price(per_search_unit=1.0))
    found = [costs.of(("good",), [many] * 3).cost for many in (0, 5, 20, 21, 40)]
    assert [one.tolist() for one in found] == [[units] * 3 for units in (0, 1, 1, 2, 2)]


@pytest.mark.parametrize(
    ("pairs", "cached", "cost"), [(40, 0, 40.0), (120, 0, 120.0), (10, 30, 40.0), (30, 90, 120.0)]
)
def test_passages_and_cached_pairs_are_paid_for(pairs, cached, cost):
    """Three passages of a document cost three pairs; cached pairs are estimated like the rest."""
    (one, *_) = recording(Judge(), many=1, recorded=40)
    *others, rerank = one.stages
    usage = Usage(pairs=pairs, cached=cached, cost=float(pairs))
    one = replace(one, stages=(*others, replace(rerank, usage=usage)))
    costs = Costs([one], (StepSetup("judge"),))
    assert costs.of(("good",), [40]).cost == pytest.approx([cost])
    assert costs.of(("good",), [20]).cost == pytest.approx([cost / 2])


def test_a_cascade_is_paid_stage_by_stage_and_sources_by_the_slowest():
    """The first stage reads the window, the next what that keeps; sources run at the same time."""
    cascade = Cascade([Step(Judge(name="first"), 10), Judge(name="last")])
    made = recording(cascade, {"one": 0.5, "two": 0.5}, many=3)
    spent = Costs(made, made.setup.steps, Price(per_1k_pairs=1000)).of(("one", "two"), [30] * 3)
    for at, query in enumerate(made):
        one, two, fusion, rerank = query.stages
        first, last = rerank.parts
        each = first.latency_ms / first.entered, last.latency_ms / last.entered
        recall = max(one.latency_ms, two.latency_ms) + fusion.latency_ms
        assert spent.ms[at] == pytest.approx(recall + 30 * each[0] + 10 * each[1])
    assert spent.cost == pytest.approx([40, 40, 40])


@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(2, 40))
def test_a_recommendation_gives_up_little(seed, windows, queries):
    """On the queries it is made on, the recommended window is at most .0025 below the best."""
    values = np.random.default_rng(seed).random((windows, queries))
    means = values.mean(axis=1)
    chosen = recommended(values)
    assert means.max() - means[chosen] <= 0.0025 + 1e-9
    assert chosen <= int(means.argmax())


def test_it_is_told_as_text_and_as_json():
    """The text marks the recommended window and the one in use; `to_dict` survives JSON."""
    found = curve(recording(Judge(3.0)), collection(), windows=[5, 20, 50])
    text = str(found)
    assert text.startswith(found.shape)
    assert f"recommended: {found.recommended}" in text
    assert "in use: 20" in text
    told = json.loads(json.dumps(found.to_dict()))
    assert told["recommended"] == found.recommended
    assert len(told["points"]) == 4
    assert curve(recording(Judge(3.0)), collection(), windows=[5, 20, 50]).regret == found.regret


def test_what_cannot_be_is_refused():
    """Without a second stage, or with unrecorded queries, there is no curve."""
    with pytest.raises(InvalidArgument, match="a system with a second stage"):
        curve(recording(None, many=3), collection(3))
    with pytest.raises(InvalidArgument, match="record them first"):
        curve(recording(Judge(), many=3), collection(4))
    for wrong in ({"windows": [0]}, {"bound": 0}, {"folds": 1}, {"rounds": 0}):
        with pytest.raises(InvalidArgument):
            curve(recording(Judge(), many=3), collection(3), **wrong)
