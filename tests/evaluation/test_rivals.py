"""A second stage is compared with the best system that does without it."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("ir_measures", reason="the eval extra is not installed")

import recorded
from tunable import Judge, collection, drawn, recording

from runoff._recording import first_stage
from runoff.errors import InvalidArgument
from runoff.evaluation import Collection, by_stage, evaluate, record, verdict
from runoff.evaluation._verdict.rivals import _chosen, contest
from runoff.fusion import RRF


def test_a_contest_prepares_each_query_once_for_all_fusions_of_its_sources(monkeypatch):
    """A large recording keeps no prepared queries, and preparing takes longer than a replay."""
    made = recording(Judge(), {"good": 0.5, "poor": 0.1}, many=12)
    monkeypatch.setattr(first_stage, "KEPT", 0)
    whole, many = first_stage.Prepared.__init__, []

    def counted(self, query):
        many.append(query.query_id)
        whole(self, query)

    monkeypatch.setattr(first_stage.Prepared, "__init__", counted)
    contest(made, collection(12), ["nDCG@10"])
    assert len(many) == 12 * 4  # as recorded, both sources together, and each alone


def test_a_pipeline_that_one_of_its_sources_equals_is_not_kept():
    """A reranker that gives back a source's order beats the fused order, and is not kept."""

    class AsGood(Judge):
        def score(self, pairs, *, deadline=None):
            made = super().score(pairs)
            values = [
                2.0 * (made_value > 0.5) + drawn(query, text, "good")
                for made_value, (query, text) in zip(made.values, pairs, strict=True)
            ]
            return replace(made, values=np.array(values, np.float32))

    made = recording(
        AsGood(strength=1.0, noise=0.0),
        {"good": 2.0, "poor": 0.0},
        many=120,
        recorded=50,
        window=50,
        fusion=RRF(),
    )
    judged = collection(120)
    runs = by_stage(made)
    nearest = verdict(*(evaluate(runs[name], judged) for name in ("fused", "reranked")))
    assert nearest.decision == "keep"
    found = made.verdict(judged)
    assert found.decision in {"undecided", "no effect"}
    assert not found.harms
    good = next(one for one in found.rivals if one.name == "good")
    assert good.difference == pytest.approx(0.0, abs=0.02)
    assert not good.beaten


def test_a_second_stage_that_beats_them_all_is_kept():
    """A proven gain over each source alone, the fused order and the best fusion is kept."""
    made = recording(Judge(strength=3.0), {"good": 0.7, "poor": 0.2}, many=120)
    found = made.verdict(collection(120))
    assert found.decision == "keep"
    assert [one.name for one in found.rivals] == ["best first stage", "good", "poor", "fused"]
    assert all(one.beaten and one.interval[0] > 0 for one in found.rivals)
    assert found.rivals[0].value >= max(one.value for one in found.rivals[1:]) - 0.02
    assert f"It takes {found.ms:.1f} ms, the best first stage" in found.reason
    assert found.ms > found.rivals[0].ms >= 0
    assert any("first stages on the other queries, mostly" in note for note in found.notes)
    assert "against good (0." in str(found)


def test_the_best_is_chosen_on_other_queries():
    """Choosing among settings that are equally good gains nothing, and a better one is chosen."""
    rng = np.random.default_rng(0)
    gained, looks = [], []
    for _ in range(200):
        values = rng.uniform(0, 1, (12, 40))
        chosen = _chosen(values)
        gained.append(values[chosen, np.arange(40)].mean() - 0.5)
        looks.append(values.mean(axis=1).max() - 0.5)
    assert abs(np.mean(gained)) < 0.01
    assert np.mean(looks) > 0.05
    values[3] += 0.5
    assert set(_chosen(values)) == {3}
    assert _chosen(values[:, :1]) == [0]


def test_one_source_is_compared_with_the_rerankers_input():
    """With a single source there is one simple system, and the verdict is as on two runs."""
    questions = recorded.questions(12)
    qrels = {one: {f"d{at:02}": 1} for at, one in enumerate(questions.queries)}
    judged = Collection(questions.queries, qrels)
    live = recorded.pipeline()
    single = replace(live, sources={"bm25": live.sources["bm25"]})
    made = record(single, judged, 40, progress=False)
    runs = by_stage(made)
    found = made.verdict(judged)
    plain = verdict(evaluate(runs["bm25"], judged), evaluate(runs["reranked"], judged))
    assert (found.decision, found.main) == (plain.decision, plain.main)
    assert [one.name for one in found.rivals] == ["bm25"]
    without = record(replace(single, reranker=None), judged, 40, progress=False)
    with pytest.raises(InvalidArgument, match="a system with a second stage"):
        without.verdict(judged)
