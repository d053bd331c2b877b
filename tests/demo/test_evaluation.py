"""The demo's evaluation: four orders from one search, honest arithmetic, a record that lasts."""

import math

import pytest

from runoff.demo import evaluation
from runoff.demo.questions import Question
from runoff.pipeline import TwoStage
from runoff.scores import ModelIdentity
from runoff.types import Document, Hit, Ranked, Reranking

pytest.importorskip("ir_measures", reason="the eval extra is not installed")


class Source:
    def __init__(self, ids):
        self.ids = ids

    def retrieve(self, query, *, depth, deadline=None):
        found = self.ids.get(query.text, "")
        return [Hit(Document(one, one), -float(at)) for at, one in enumerate(found)]


class Backwards:
    def rerank(self, query, candidates, *, deadline=None):
        ordered = tuple(Ranked(one, float(at)) for at, one in reversed(list(enumerate(candidates))))
        return Reranking(ordered, model=ModelIdentity("b"))


QUESTIONS = [
    Question("1", "first", {"a": 2, "c": 1}),
    Question("2", "second", {"x": 2}),
]


@pytest.fixture
def found():
    sources = {"bm25": Source({"first": "ab"}), "dense": Source({"first": "ca"})}
    pipeline = TwoStage(sources, reranker=Backwards())
    return evaluation.evaluate(pipeline, QUESTIONS, {"date": "today"}, lambda done, total: None)


def test_four_orders_come_from_one_search(found):
    """BM25, dense, their fusion and the reranked order are each measured by their own order."""
    ideal = 2 + 1 / math.log2(3)
    assert found.values["BM25"]["nDCG@10"][0] == pytest.approx(2 / ideal)
    assert found.values["dense"]["nDCG@10"][0] == pytest.approx((1 + 2 / math.log2(3)) / ideal)
    assert found.values["hybrid"]["RR@10"][0] == 1
    assert found.values["two-stage"]["R@100"][0] == 1


def test_a_question_without_results_counts_as_zero(found):
    """The second question finds nothing and halves every mean."""
    assert found.values["hybrid"]["nDCG@10"][1] == 0
    assert found.mean("hybrid", "R@100") == 0.5


def test_a_comparison_counts_wins_ties_and_losses(found):
    """Wins, ties and losses add up, and the interval contains the mean."""
    one = found.compare("two-stage", "hybrid")
    assert (one.wins, one.ties, one.losses) == (0, 1, 1)
    assert one.interval[0] <= one.mean <= one.interval[1]
    assert one.hurt[0][0] == "first"
    assert one.helped == []


def test_the_record_is_read_back_and_bound_to_its_key(found, tmp_path):
    """What was saved is loaded for the same index only; anything else is no record."""
    path = tmp_path / "evaluation.json"
    evaluation.save(found, path, "key")
    assert evaluation.load(path, "key") == found
    assert evaluation.load(path, "other") is None
    path.write_text("{")
    assert evaluation.load(path, "key") is None
    assert evaluation.load(tmp_path / "absent", "key") is None
