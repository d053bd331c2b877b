"""What is said of a recording without judgments."""

import csv
import json
import logging

import pytest
import recorded
from parts import Listed

from runoff import TwoStage
from runoff.errors import InvalidArgument
from runoff.evaluation import Collection, record
from runoff.report._changed import changed


@pytest.fixture(scope="module")
def recording():
    questions = recorded.questions(30).queries
    return record(recorded.pipeline(), questions, 40, texts=True, progress=False)


def test_how_often_and_how_far_the_order_changes(recording):
    """Shares are counted over the queries, from the fused to the reranked order first."""
    found = changed(recording)
    assert [(one.before, one.after) for one in found.overlaps] == [
        ("fused", "reranked"),
        ("bm25", "fused"),
        ("noise", "fused"),
    ]
    live = recorded.pipeline()
    texts = recorded.questions(30).queries
    firsts = []
    for text in texts.values():
        answer = live.search(text, top_k=10)
        fused = min(answer.trace.fates, key=lambda fate: fate.candidate.fusion_rank)
        firsts.append(answer[0].doc_id != fused.candidate.document.doc_id)
    assert found.overlaps[0].first == pytest.approx(sum(firsts) / 30)
    assert f"the first result of {sum(firsts) / 30:.0%} of 30 questions" in found.answer.sentence
    assert len(found.answer.figures) == 3
    one = found.examples[0]
    assert one.rank >= found.examples[-1].rank > 1
    assert one.texts[1] in recording[one.query_id].texts
    assert found.health is not None
    json.dumps(found.to_dict())
    assert str(found).startswith("ANSWER\nThe second stage changes")


def test_the_report_needs_no_judgments(recording, tmp_path):
    """`report(path)` writes the answer, examples, health and times; settings need a collection."""
    path = tmp_path / "report.html"
    found = recording.report(path)
    page = path.read_text("utf-8")
    assert found.answer.sentence in page
    for part in ("What to do next", "Examples of another first result", "Latency"):
        assert part in page
    assert "Where quality is lost" not in page
    with pytest.raises(InvalidArgument, match="unjudged=1: needs a collection"):
        recording.report(path, unjudged=1)


def test_what_to_judge_is_drawn_and_written(recording, tmp_path):
    """Every drawn query has the results of both orders, those of one order alone first."""
    found, path = changed(recording), tmp_path / "judge.csv"
    found.to_csv(path)
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["query_id"] for row in rows} == set(recording.query_ids)
    assert all(row["grade"] == "" and row["query"] for row in rows)
    one = rows[0]["query_id"]
    listed = [row["doc_id"] for row in rows if row["query_id"] == one]
    assert len(listed) == len(set(listed)) >= 10
    for at, row in enumerate(rows):
        row["grade"] = ("yes", "no", "")[at % 3]
    with path.open("w", newline="", encoding="utf-8-sig") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
    pytest.importorskip("ir_measures")
    judged = Collection.from_csv(path)
    assert len(judged) == 30
    assert not judged.labels
    assert recording.verdict(judged).main.queries == 30


def test_a_single_source_changes_nothing():
    """One source without a second stage has times, and nothing to compare."""
    made = record(TwoStage({"list": Listed("a", "b")}, reranker=None), ["one"], progress=False)
    found = changed(made)
    assert (found.overlaps, found.examples, found.health) == ((), (), None)
    assert "nothing changes its order" in found.answer.sentence


def test_questions_are_recorded_from_a_list_or_a_mapping(caplog):
    """A list gets ids from its texts and repeated questions are told; a mapping keeps its ids."""
    system = TwoStage({"list": Listed("a", "b")}, reranker=None)
    with caplog.at_level(logging.WARNING, "runoff"):
        made = record(system, ["one", "two", "one"], progress=False)
    assert [query.text for query in made] == ["one", "two"]
    assert "1 of 3 questions repeat another" in caplog.text
    again = record(system, iter(["one", "two"]), progress=False)
    assert again.query_ids == made.query_ids
    assert record(system, {"q7": "one"}, progress=False).query_ids == ["q7"]
    for wrong in ("one", 3, None, [], {}, [1]):
        with pytest.raises(InvalidArgument, match="collection="):
            record(system, wrong, progress=False)
