"""What the advice says to do next."""

import pytest
from parts import Fixed, Listed
from tunable import Judge, collection, recording

from runoff import TwoStage
from runoff.evaluation import Collection, record
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
    assert "1 of 1 answers are degraded" in str(advice)
