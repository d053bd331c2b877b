"""The demo's evaluation: one recording that lasts, and the advice that it leads to."""

import pytest

from runoff.demo.evaluation import Kept, evaluate
from runoff.demo.questions import Question
from runoff.pipeline import TwoStage
from runoff.scores import ModelIdentity
from runoff.types import Document, Hit, Ranked, Reranking

pytest.importorskip("ir_measures", reason="the eval extra is not installed")
pytest.importorskip("pyarrow", reason="the eval extra is not installed")


class Source:
    def __init__(self, ids, fails_at=None):
        self.ids = ids
        self.fails_at = fails_at
        self.asked = []

    def retrieve(self, query, *, depth, deadline=None):
        if query.text == self.fails_at:
            raise KeyboardInterrupt
        self.asked.append(query.text)
        found = self.ids.get(query.text, "")
        return [Hit(Document(one, one), -float(at)) for at, one in enumerate(found)]


class Backwards:
    def rerank(self, query, candidates, *, deadline=None):
        ordered = tuple(Ranked(one, float(at)) for at, one in reversed(list(enumerate(candidates))))
        return Reranking(ordered, model=ModelIdentity("b"))


QUESTIONS = [
    Question("1", "first", {"a": 2, "c": 1}),
    Question("2", "second", {"x": 2}),
    Question("3", "third", {"b": 1}),
]
MADE = {"date": "today"}


def pipeline(fails_at=None):
    sources = {
        "bm25": Source({"first": "ab", "third": "bc"}),
        "dense": Source({"first": "ca"}, fails_at),
    }
    return TwoStage(sources, reranker=Backwards())


def found_in(tmp_path, made=MADE, key="key", system=None):
    return evaluate(system or pipeline(), QUESTIONS, made, Kept(tmp_path / "evaluation", key))


def test_every_stage_is_measured_and_advice_is_given(tmp_path):
    """Both sources, their fusion and the reranked order are measured; the page has it all."""
    found = found_in(tmp_path)
    measured = found.advice.evaluated.measured
    assert list(measured) == ["bm25", "dense", "fused", "reranked"]
    assert measured["bm25"].mean("RR@10") == pytest.approx(2 / 3)
    assert found.advice.ledger.entries["not_retrieved"] > 0
    assert found.alone[0] == "bm25"  # the better of the two by itself
    assert found.alone[1].main.before == pytest.approx(measured["bm25"].mean("nDCG@10"))
    page = found.page.read_text("utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "Where quality is lost" in page
    assert not found.earlier


def test_what_was_recorded_is_not_asked_again(tmp_path):
    """The second time the recording is read, with what was noted when it was made."""
    first = found_in(tmp_path)
    again = pipeline()
    found = found_in(tmp_path, {"date": "tomorrow"}, system=again)
    assert found.earlier
    assert found.made == MADE
    assert again.sources["bm25"].asked == []
    assert str(found.advice) == str(first.advice)


def test_a_recording_that_was_stopped_goes_on(tmp_path):
    """After an interruption only what is missing is asked."""
    with pytest.raises(KeyboardInterrupt):
        found_in(tmp_path, system=pipeline("third"))
    again = pipeline()
    found = found_in(tmp_path, system=again)
    assert set(again.sources["bm25"].asked) == {"third"}
    assert not found.earlier
    assert len(found.recording) == 3


def test_a_recording_of_something_else_is_made_anew(tmp_path):
    """Another index, another system and a damaged file each lead to a new recording."""
    found_in(tmp_path)
    assert not found_in(tmp_path, key="other").earlier
    narrow = TwoStage(pipeline().sources, reranker=Backwards(), window=1)
    assert not found_in(tmp_path, key="other", system=narrow).earlier
    (shard, *_) = (tmp_path / "evaluation" / "recording").glob("part-*")
    shard.write_bytes(b"no parquet")
    found = found_in(tmp_path, {"date": "later"}, key="other", system=narrow)
    assert not found.earlier
    assert found.made == {"date": "later"}


def test_where_nothing_can_be_kept_it_is_shown_all_the_same(tmp_path):
    """A folder that cannot be made costs the page and no more."""
    (tmp_path / "file").write_text("")
    found = evaluate(pipeline(), QUESTIONS, MADE, Kept(tmp_path / "file" / "evaluation", "key"))
    assert found.page is None
    assert len(found.recording) == 3
    assert found.advice.evaluated.verdict is not None
