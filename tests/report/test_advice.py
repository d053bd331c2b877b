"""What the advice says to do next."""

from dataclasses import replace

import pytest
from parts import Fixed, Listed
from tunable import Judge, collection, recording

from runoff import TwoStage
from runoff.evaluation import Collection, by_stage, record
from runoff.report._advice import advise
from runoff.types import Reranking


@pytest.mark.parametrize(
    ("judge", "sources", "first"),
    [
        (Judge(strength=2), {"good": 0.5}, "Keep the second stage: it is proven to help"),
        (Judge(strength=-2), {"good": 1.5}, "Remove the second stage or try another one: it is"),
        (Judge(strength=0.5), {"good": 0.5}, "more queries: these prove neither"),
    ],
)
def test_the_verdict_becomes_a_step(judge, sources, first):
    """Keep a stage that helps, remove one that harms, and judge more queries for want of proof."""
    many = 12 if judge.strength == 0.5 else 120
    advice = advise(recording(judge, sources, many=many), collection(many))
    said = [step for step in advice.next_steps if not step.startswith("The ")]  # of health
    assert first in said[0]
    assert f"NEXT STEPS 1. {advice.next_steps[0]}" in " ".join(str(advice).split())  # folded


def test_a_slice_that_is_harmed_is_named():
    """If a second stage is proven to harm a slice, the step names the slice to leave out."""
    judged = collection(120)
    kind = {one: "odd" if at % 2 else "even" for at, one in enumerate(judged.queries)}
    odd = {judged.queries[one] for one, value in kind.items() if value == "odd"}

    class Split(Judge):
        def score(self, pairs, *, deadline=None):
            made = super().score(pairs)
            signs = [-1.0 if query in odd else 1.0 for query, _ in pairs]
            return type(made)(
                made.values * signs, made.scored, made.truncated, made.kind, made.model, made.usage
            )

    advice = advise(
        recording(Split(strength=2), {"good": 0.7}, many=120), judged, slices={"kind": kind}
    )
    assert any("leave it out for kind=odd" in step for step in advice.next_steps)


def test_a_window_that_does_better_is_named_with_its_time():
    """If the curve recommends another window, one step has both windows and the latency."""
    advice = advise(recording(Judge(strength=2), many=120), collection(120))
    (step,) = [one for one in advice.next_steps if one.startswith("Set the window")]
    assert f"to {advice.curve.recommended} instead of 20" in step
    assert not any("Try a window" in one for one in advice.next_steps)


def test_other_ids_are_the_only_step():
    """If no result is a judged document, the only advice is to check the ids."""
    judged = Collection({"q1": "one"}, {"q1": {"doc-a": 1}})
    made = record(TwoStage({"list": Listed("a", "b")}, reranker=None), judged, progress=False)
    (step,) = advise(made, judged).next_steps
    assert "ids" in step


def test_failures_come_before_the_verdict():
    """A failing second stage is the first step, since its verdict means nothing until it works."""
    judged = Collection({"q1": "one"}, {"q1": {"a": 1}})
    pipeline = TwoStage({"list": Listed("x", "a")}, reranker=Fixed(lambda _: Reranking(())))
    advice = advise(record(pipeline, judged, progress=False), judged)
    assert advice.next_steps[0].startswith("100.0% of the answers are degraded, mostly rerank")
    assert "1 of 1 answer is degraded" in str(advice)


def _pool(made, judged):
    """Return the judgments of what the first stage found only."""
    first = by_stage(made)["fused"]
    return Collection(
        judged.queries,
        {one: {doc: judged.qrels[one].get(doc, 0) for doc in first[one][:10]} for one in first},
    )


def test_the_answer_comes_first_and_says_what_it_rests_on():
    """One sentence answers; three figures have the gain, the time, and the queries."""
    judged = collection(120)
    good, bad, harm = (
        recording(Judge(strength=strength), {"good": 0.7, "poor": 0.2}, many=120)
        for strength in (2, 0.7, -2)
    )
    answer = advise(good, judged).answer
    assert answer.sentence.startswith("Yes, the second stage earns its time: nDCG@10 is 0.9")
    assert "for the best system without it; a search takes" in answer.sentence
    assert [one.name for one in answer.figures] == [
        "nDCG@10 with and without it",
        "time of a search",
        "queries",
    ]
    assert advise(harm, judged).answer.sentence.startswith("No, the second stage does harm")
    weak = advise(bad, judged)
    assert weak.answer.sentence.split(",")[0].split(":")[0] in {
        "Not proven",
        "No",
    }
    assert any("Try another first stage, good" in step for step in weak.next_steps)


def test_what_was_not_judged_is_the_first_step():
    """If missing judgments decide, the answer is not known, and only they are the next step."""
    made = recording(Judge(strength=2), {"good": 0.7, "poor": 0.2}, many=60)
    advice = advise(made, _pool(made, collection(60)))
    assert advice.answer.sentence.startswith("Not known yet: ")
    assert advice.answer.figures[-1].name == "results never judged"
    steps = [step for step in advice.next_steps if "Judge these documents first" in step]
    assert steps == [advice.next_steps[0]]
    assert not any("window to" in step or "first stage" in step for step in advice.next_steps)
    assert not advice.evaluated.harmed
    assert advise(made, _pool(made, collection(60)), unjudged=0).evaluated.verdict.unjudged is None
    text = str(advice)
    assert text.index("ANSWER") < text.index("NEXT STEPS") < text.index("judged queries\n")


def test_judgments_that_prove_nothing_are_not_to_be_completed():
    """With a caveat more of the same judgments settle nothing: people have to judge some."""
    made = recording(Judge(strength=2), {"good": 0.7, "poor": 0.2}, many=60)
    doubtful = replace(_pool(made, collection(60)), caveat="clicks without positions")
    steps = advise(made, doubtful).next_steps
    assert not any("Judge these documents first" in step for step in steps)
    assert any("Have some queries judged by people" in step for step in steps)


def test_no_second_stage_that_does_better_is_a_step():
    """If window 0 is best but the harm is not proven, a step says what leaving it out gains."""
    made = recording(Judge(strength=0.4), {"good": 0.6}, many=20, window=20)
    advice = advise(made, collection(20))
    assert advice.curve.recommended == 0
    assert advice.evaluated.verdict.decision == "undecided"
    gain = -advice.curve.point(20).gain
    (step,) = [one for one in advice.next_steps if "without the second stage (window 0)" in one]
    assert f"{gain:+.3f}" in step
