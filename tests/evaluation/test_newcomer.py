"""Mistakes of a first day: ids that do not match, wrong formats, degraded answers."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from parts import Fixed, Listed
from tunable import Judge, collection, recording

from runoff import TwoStage
from runoff.cli._collection import open_collection
from runoff.errors import InvalidArgument, MalformedData
from runoff.evaluation import Collection, curve, evaluate, record, tune, verdict
from runoff.types import Reranking

JUDGED = Collection({"q1": "one", "q2": "two"}, {"q1": {"a": 1}, "q2": {"b": 2}}, name="two")


def table(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_documents_of_other_ids_are_noted_with_both():
    """If no result is judged, the notes quote an id of the results and one of the judgments."""
    measured = evaluate({"q1": ["doc-a"], "q2": ["doc-b"]}, JUDGED)
    (note,) = measured.notes
    assert "'doc-a'" in note
    assert "'a'" in note
    assert verdict(measured, measured).notes[0] == note


def test_one_judged_result_is_enough_for_no_such_note():
    """A single judged document among the results shows that the ids agree."""
    assert evaluate({"q1": ["a"], "q2": ["doc-b"]}, JUDGED).notes == ()


def test_a_run_of_other_queries_is_refused_with_both_ids():
    """It is not a system that finds nothing, of which a verdict would prove a harm."""
    judged = Collection.from_pairs({"question one": {"a": 1}})
    with pytest.raises(InvalidArgument, match="run='query 1': is not judged, nor is any") as caught:
        evaluate({"query 1": ["a"]}, judged)
    assert "A judged one is 'text:" in str(caught.value)
    assert "derived from the text" in str(caught.value)


def test_a_run_without_answers_finds_nothing():
    """An empty run has no ids that could be wrong."""
    right = evaluate({one: ["a"] for one in JUDGED.queries}, JUDGED)
    assert verdict(right, evaluate({}, JUDGED)).decision == "undecided"


def test_the_ledger_notes_other_ids():
    """If no source found any judged document, the ledger asks whether the ids are the same."""
    made = record(TwoStage({"list": Listed("x", "y")}, reranker=None), JUDGED, progress=False)
    (note,) = made.losses(JUDGED).notes
    assert "'x'" in note
    assert "Are the ids the same?" in note


@pytest.mark.parametrize("order", [{"a", "b"}, {"a": 0.1, "b": 0.9}, frozenset("ab"), "a", 3])
def test_results_without_an_order_are_refused(order):
    """A set, or a mapping to scores, does not say which document is best."""
    with pytest.raises(InvalidArgument, match="best first"):
        evaluate({"q1": order}, JUDGED)


def test_results_may_be_an_array():
    """NumPy strings are accepted as ids."""
    assert evaluate({"q1": np.array(["x", "a"])}, JUDGED, ["RR"]).by_query("RR")["q1"] == 0.5


def test_what_is_no_collection_is_refused_by_name():
    """A plain dictionary instead of a collection is an error that says what is expected."""
    pipeline = TwoStage({"list": Listed("a")}, reranker=None)
    made = record(pipeline, JUDGED, progress=False)
    calls = [
        lambda: evaluate({"q1": ["a"]}, {"q1": {"a": 1}}),
        lambda: evaluate([["a"]], JUDGED),
        lambda: record(pipeline, 3, progress=False),
        lambda: made.losses({"q1": {"a": 1}}),
    ]
    for call in calls:
        with pytest.raises(InvalidArgument, match="must"):
            call()


def test_degraded_answers_are_told_wherever_a_recording_is_judged():
    """If the second stage failed, verdict and ledger say so instead of reporting no effect."""
    empty = Fixed(lambda _: Reranking(()))
    made = record(TwoStage({"list": Listed("x", "a")}, reranker=empty), JUDGED, progress=False)
    for found in (made.verdict(JUDGED), made.losses(JUDGED)):
        assert "2 of 2 answers are degraded" in found.notes[-1]


def test_spaces_behind_commas_are_no_part_of_an_id(tmp_path):
    """A table typed by hand, `query, doc_id`, gives ids without the space."""
    made = Collection.from_csv(
        table(tmp_path / "judged.csv", 'query, doc_id, language\n"one, two", d1, de\n')
    )
    assert list(made.queries.values()) == ["one, two"]
    assert [list(one) for one in made.qrels.values()] == [["d1"]]
    assert list(made.slices("language").values()) == ["de"]


@pytest.mark.parametrize("grade", ["1.0", "1.", " 1", "+1"])
def test_whole_numbers_may_have_a_point(tmp_path, grade):
    """Grades such as 1.0, which spreadsheets write beside empty cells, count as whole numbers."""
    made = Collection.from_csv(table(tmp_path / "j.csv", f"query,doc_id,grade\none,d1,{grade}\n"))
    assert [dict(one) for one in made.qrels.values()] == [{"d1": 1}]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "query^doc_id\none^d1\n", "delimiter"),
        (
            "a.csv",
            "query,doc_id\n\u0434\u0432\u0430,d1\n".encode("cp1251"),
            "save the file as UTF-8",
        ),
        ("a.csv", "query,doc_id,grade\none,d1,1.5\n", "whole number"),
        ("a.jsonl", "[" * 100_000, "line 1"),
        ("a.csv", "", "a.csv"),
        ("a.jsonl", "\n", "a.jsonl"),
    ],
)
def test_an_unfit_file_is_named_with_its_remedy(tmp_path, name, content, message):
    """Each error about a file names the file and says what is expected."""
    with pytest.raises((MalformedData, InvalidArgument), match=message):
        open_collection(
            str(table(tmp_path / name, content)), split="test", topics=None, documents=False
        )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("A.CSV", "query,doc_id\none,d1\n"),
        ("a.tsv", "query\tdoc_id\none\td1\n"),
        ("a.ndjson", '{"query": "one", "relevant": ["d1"]}\n'),
        ("a.csv", b"\xef\xbb\xbfquery,doc_id\r\none,d1\r\n"),
    ],
)
def test_the_command_line_knows_a_table_by_any_usual_name(tmp_path, name, content):
    """Upper case, tabs, a byte order mark and Windows line ends are read correctly."""
    made = open_collection(
        str(table(tmp_path / name, content)), split="test", topics=None, documents=False
    )
    assert list(made.queries.values()) == ["one"]


def test_a_tsv_of_beir_judgments_stays_one(tmp_path):
    """A table of tabs is not taken for questions: `query-id corpus-id score` are judgments."""
    file = table(tmp_path / "test.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t1\n")
    made = open_collection(str(file), split="test", topics=None, documents=False)
    assert dict(made.qrels["q1"]) == {"d1": 1}


def test_a_query_without_an_id_is_named_by_its_text():
    """Notes and verdicts show a question instead of an id that was derived from it."""
    made = Collection.from_pairs([("what is new?", {"a": 0}), ("what is old?", ["b"])])
    assert "'what is new?'" in made.notes[0]
    new, old = made.queries
    found = verdict(
        evaluate({new: ["b"], old: ["a", "b"]}, made), evaluate({new: ["b"], old: ["b"]}, made)
    )
    assert "what is old?" in str(found)
    assert old not in str(found)


def test_results_of_an_evaluation_can_be_pickled():
    """Everything an evaluation returns can be pickled, and is equal afterwards."""
    made, judged = recording(Judge()), collection()
    measured = evaluate({"q1": ["d01"]}, judged)
    for one in (
        measured, verdict(measured, measured), made.losses(judged), curve(made, judged),
        tune(made, judged, grid={"window": [0, 20]}), made.health(),
    ):  # fmt: skip
        assert str(pickle.loads(pickle.dumps(one))) == str(one)


def test_a_document_listed_twice_is_an_error_that_says_what_helps():
    """If a source lists a document twice, `losses` names it and advises `id_of`, which helps."""
    pipeline = TwoStage({"list": Listed("a", "x", "a")}, reranker=None)
    with pytest.raises(InvalidArgument, match=r"'a'.*id_of"):
        record(pipeline, JUDGED, progress=False).losses(JUDGED)
    merged = TwoStage({"list": Listed("a", "x", "a")}, reranker=None, id_of=lambda one: one.doc_id)
    assert record(merged, JUDGED, progress=False).losses(JUDGED)["q1"].achieved == 1


def test_a_recording_of_failures_is_warned_of(caplog):
    """A source that fails for every query is reported in a warning, with its own message."""
    broken = Listed(error=RuntimeError("the index is gone"))
    record(TwoStage({"list": broken}, reranker=None), JUDGED, progress=False)
    (said,) = caplog.messages
    assert "2 of 2 answers are degraded" in said
    assert "recall list error: RuntimeError: the index is gone" in said


def test_a_store_or_a_source_is_refused_with_what_can_be_recorded():
    """If only a part of a system is given, the message says how to make a system of it."""
    store = SimpleNamespace(as_retriever=None)
    with pytest.raises(InvalidArgument, match=r"a LlamaIndex retriever.*pass its as_retriever\(\)"):
        record(store, JUDGED, progress=False)
    with pytest.raises(InvalidArgument, match=r"TwoStage\({'name': it}, reranker=None\)"):
        record(Listed("a"), JUDGED, progress=False)


def test_a_single_query_is_enough_for_every_answer():
    """With one judged query, verdict, curve, tuning and ledger work and claim nothing."""
    made, judged = recording(Judge(), many=1), collection(1)
    assert made.verdict(judged).decision == "undecided"
    found = curve(made, judged)
    assert found.shape == "undecided"
    best = max(one.values["nDCG@10"] for one in found.points)
    assert found.regret == pytest.approx(best - found.point(0).values["nDCG@10"])
    assert tune(made, judged, grid={"window": [0, 20]}).decision == "keep what you have"
    assert len(made.losses(judged).queries) == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: Collection.from_clicks([{"query": "one", "doc_id": "a"}]),
        lambda: Collection.from_clicks([("one",)]),
        lambda: Collection.from_clicks([("one", "a", 1, 1)]),
        lambda: Collection.from_pairs([("one", ["a"], "more")]),
        lambda: Collection.from_pairs(["ab"]),
        lambda: Collection.from_pandas([("one", ["a"])]),
        lambda: Collection({"q1": "one"}, None),
        lambda: Collection({"q1": "one"}, {"q1": ["a"]}),
        lambda: Collection({"q1": "one"}, {"q1": {1: 1}}),
        lambda: Collection({"q1": "one"}, {"q1": {"": 1}}),
        lambda: Collection({"q1": "one"}, {"q1": {"a": 2**40}}),
    ],
)
def test_what_has_another_form_is_refused(make):
    """A dictionary is not taken for its keys, and grades that trec_eval mistakes are refused."""
    with pytest.raises((MalformedData, InvalidArgument), match="must"):
        make()


def test_questions_may_map_to_their_documents():
    """A mapping of texts to relevant ids gives the same collection as its items."""
    given = {"one": ["a"], "two": {"b": 2}}
    assert Collection.from_pairs(given) == Collection.from_pairs(given.items())


@pytest.mark.parametrize("unfit", [{"q1": ["a"]}, "a", None, [1.0]])
def test_a_verdict_on_something_else_says_what_it_takes(unfit):
    """Runs, names and lists in place of measured values are refused, and slices likewise."""
    values = {"nDCG@10": {"q1": 1.0, "q2": 0.0}}
    with pytest.raises(InvalidArgument, match="what `evaluate` returned"):
        verdict(values, unfit)
    with pytest.raises(InvalidArgument, match="must map names to slicings"):
        verdict(values, values, slices=["language"])


def test_empty_cells_of_a_frame_are_no_labels():
    """No kind of empty cell becomes the value of a slice."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "query": ["one", "two"],
            "doc_id": ["a", "b"],
            "since": [pandas.Timestamp("2026-01-01"), pandas.NaT],
            "kind": pandas.array(["new", pandas.NA], dtype=object),
        }
    )
    made = Collection.from_pandas(frame)
    assert len(made.slices("since")) == len(made.slices("kind")) == 1


def test_no_query_acts_on_the_terminal():
    """Users' texts are printed on one short line, without control characters."""
    text = "a\x1b[2J\u202e b\nsecond line " + "x" * 3000
    made = Collection(
        {"q1": text, "q2": "b"}, {"q1": {"a": 1}, "q2": {"a": 1}}, labels={"q1": {"k": "\x1b[0m"}}
    )
    before = evaluate({"q1": ["a"], "q2": ["a"]}, made)
    after = evaluate({"q1": ["b", "a"], "q2": ["a"]}, made)
    shown = str(verdict(before, after, slices={"k": made.slices("k")}, smallest=1))
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert max(map(len, shown.splitlines())) < 250


def test_half_a_recording_gives_no_verdict():
    """Judged queries that were not recorded are an error; they do not count as zero."""
    with pytest.raises(InvalidArgument, match="lacks 2 judged queries"):
        recording(Judge(), many=10).verdict(collection(12))


def test_errors_name_queries_by_what_the_user_gave():
    """A query without an id is named by its text, since the id derived from it means nothing."""
    asked = record(TwoStage({"list": Listed("x")}), ["how does it work?"], progress=False)
    judged = Collection.from_pairs([("how does it work?", ["x"]), ("who made it?", ["x"])])
    with pytest.raises(InvalidArgument, match=r"such as 'who made it\?': record them first"):
        asked.losses(judged)
    apart = Collection.from_pairs([(f"question {at}", [f"book{at}"]) for at in range(10)])
    run = {query_id: ["book1#3"] for query_id in apart.queries}
    measured = evaluate(run, apart)
    with pytest.raises(InvalidArgument, match=r"'book1#3'.*counting\(parent_of=\)") as caught:
        verdict(measured, measured)
    assert "text:" not in str(caught.value)
