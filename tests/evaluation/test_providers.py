"""Measures that ir-measures computes only for some ids and answers have the right values here."""

import pytest

from runoff.errors import InvalidArgument
from runoff.evaluation import Collection, evaluate

pytest.importorskip("ir_measures")

QUERIES = {"first query": "one", "q2": "two"}
QRELS = {"first query": {"doc a": 1, "d-b": 0, "c": 2}, "q2": {"x": 1}}
RUN = {"first query": ["d-b", "doc a", "c"], "q2": ["x"]}


def test_err_takes_ids_that_are_not_numbers():
    """ERR@20 is that of Chapelle (2009) for grades up to 4, worked out by hand."""
    found = evaluate(RUN, Collection(QUERIES, QRELS), ["ERR@20"]).by_query("ERR@20")
    gain = [0.0, 1 / 16, 3 / 16]
    by_hand = gain[1] / 2 + (1 - gain[1]) * gain[2] / 3
    assert found == pytest.approx({"first query": by_hand, "q2": 1 / 16}, abs=2e-5)


def test_err_stands_beside_other_measures():
    """Measures of several packages come back in one result, in their order."""
    found = evaluate(RUN, Collection(QUERIES, QRELS), ["nDCG@10", "ERR@5", "Accuracy@10"])
    assert list(found.values) == ["nDCG@10", "ERR@5", "Accuracy@10"]
    assert found.mean("nDCG@10") > 0.5


def test_err_of_grades_that_its_script_refuses_names_the_measure():
    """A grade above 4 is an error that names ERR and the limit."""
    judged = Collection({"q": "one"}, {"q": {"a": 5}})
    with pytest.raises(InvalidArgument, match=r"ERR@20.*grades up to 4"):
        evaluate({"q": ["a"]}, judged, ["ERR@20"])


@pytest.mark.parametrize(
    ("answer", "value"),
    [(["doc a", "c"], 1.0), (["doc a", "d-b", "c"], 0.5), (["d-b", "doc a"], 0.0), (["d-b"], 0.0)],
)
def test_accuracy_is_1_where_every_result_is_relevant(answer, value):
    """Without a result that is not relevant no pair is in the wrong order."""
    judged = Collection({"q": "one"}, {"q": QRELS["first query"]})
    found = evaluate({"q": answer}, judged, ["Accuracy@10"])
    assert found.mean("Accuracy@10") == value


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a\ud800", "a\ud801"),
        ("a\0x", "a\0y"),
        ("\ud800", "\U0010ffffeda080"),
        ("\u00e4", "b\udfff"),
    ],
)
def test_ids_that_c_code_cannot_read_are_ids_like_others(first, second):
    """Lone surrogates and NUL in ids of documents and queries change no measure."""
    measures = ["nDCG@10", "AP", "Judged@10", "Accuracy@10", "ERR@20"]

    def measured(one, two):
        judged = Collection({one: "x", two: "y"}, {one: {one: 1, two: 0}, two: {one: 1}})
        found = evaluate({one: [two, one], two: [two]}, judged, measures)
        return [list(found.by_query(name).values()) for name in measures]

    assert measured(first, second) == measured("one", "two")


@pytest.mark.parametrize("grade", [-1, -2, -1000])
def test_grades_below_0_alone_are_not_relevant(grade):
    """A query whose every grade is below 0 scores 0, and does not end the process."""
    judged = Collection(QUERIES, {"first query": {"doc a": grade}, "q2": {"x": 1}})
    found = evaluate({"first query": ["doc a"], "q2": ["x"]}, judged, ["nDCG@10", "AP", "P@1"])
    for measure in found.values:
        assert found.by_query(measure) == {"first query": 0.0, "q2": 1.0}


def test_a_grade_below_0_is_a_judgment():
    """Bpref counts a document with a grade below 0 as judged, as one with 0."""
    run = {"q": ["bad", "good"]}
    found = [
        evaluate(run, Collection({"q": "one"}, {"q": {"good": 1, "bad": grade}}), ["Bpref"])
        for grade in (0, -1)
    ]
    assert found[0].mean("Bpref") == found[1].mean("Bpref") == 0.0
