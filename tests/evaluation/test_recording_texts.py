"""Texts, ids and scores that a search takes, in the files of a recording."""

import math

import pytest
from parts import Listed

from runoff import Document, TwoStage
from runoff.errors import InvalidArgument
from runoff.evaluation import Collection, Recording, record, replay, write_run
from runoff.recall import BM25
from runoff.types import Hit

pytest.importorskip("pyarrow")


def pipeline(doc_id):
    return TwoStage({"bm25": BM25([Document(doc_id, "oil \ud800"), Document("b", "oil")])})


def test_a_lone_surrogate_in_a_text_becomes_a_question_mark(tmp_path):
    """A recording on disk has every query and document, and replays as the one in memory does."""
    asked = {"q": "oil \udfff", "plain": "oil"}
    kept = record(pipeline("a"), asked, path=tmp_path / "r", texts=True, progress=False)
    memory = record(pipeline("a"), asked, texts=True, progress=False)
    stored = Recording.open(tmp_path / "r")
    assert stored["q"].text == "oil ?"
    assert sorted(stored["q"].texts) == ["oil", "oil ?"]
    assert {one: list(found) for one, found in replay(stored).items()} == {
        one: list(found) for one, found in replay(memory).items()
    }
    assert len(record(pipeline("a"), asked, path=tmp_path / "r", texts=True, progress=False)) == 2
    assert len(kept) == 2


@pytest.mark.parametrize(
    ("doc_id", "query_id", "named"),
    [("a\ud800", "q", "doc_id='a"), ("a", "q\ud800", "query_id='q")],
)
def test_a_lone_surrogate_in_an_id_is_named(tmp_path, doc_id, query_id, named):
    """An id stays as it is or is refused, since another id would be another document."""
    asked = {query_id: "oil"}
    assert list(record(pipeline(doc_id), asked, progress=False)[query_id].doc_ids)
    with pytest.raises(InvalidArgument, match=f"{named}.*lone surrogate"):
        record(pipeline(doc_id), asked, path=tmp_path / "r", progress=False)


def test_tables_to_judge_hold_every_text(tmp_path):
    """Lone surrogates in questions and texts become question marks in both tables."""
    pytest.importorskip("ir_measures")
    asked = {"q": "oil \udfff"}
    recording = record(pipeline("a"), asked, texts=True, progress=False)
    recording.report(tmp_path / "changes.html").to_csv(tmp_path / "changes.csv")
    assert "oil ?" in (tmp_path / "changes.csv").read_text("utf-8")
    judged = Collection(asked, {"q": {"b": 1, "c": 0}})
    unjudged = recording.verdict(judged).unjudged
    unjudged.to_csv(tmp_path / "judge.csv", {"a": "oil \ud800"})
    assert "oil ?" in (tmp_path / "judge.csv").read_text("utf-8")


def test_ids_in_a_run_and_in_the_explorer_are_named(tmp_path):
    """A run file and the explorer's addresses hold no lone surrogate, and say so."""
    with pytest.raises(InvalidArgument, match="lone surrogate"):
        write_run(tmp_path / "run.trec", {"q": ["a\ud800"]})
    recording = record(pipeline("a"), {"q\ud800": "oil"}, texts=True, progress=False)
    with pytest.raises(InvalidArgument, match="lone surrogate"):
        recording.explore(tmp_path / "explorer.html")
    assert not list(tmp_path.iterdir())


def test_infinite_scores_of_a_source_are_recorded(tmp_path):
    """Fusion takes infinite scores, so a recording that has some opens and replays as live."""
    documents = [Document(name, f"oil {name}") for name in "abcd"]
    scores = [math.inf, math.inf, 1.0, -math.inf]
    odd = Listed(*(Hit(one, score) for one, score in zip(documents, scores, strict=True)))
    system = TwoStage({"odd": odd, "bm25": BM25(documents[::-1])})
    record(system, {"q": "oil"}, path=tmp_path / "r", progress=False)
    stored = Recording.open(tmp_path / "r")
    assert list(replay(stored)["q"]) == [one.doc_id for one in system.search("oil")]
