"""Measures are those of ir-measures, for every judged query, computed from ranks only."""

import ast
import math
import sys

import pytest
from beir import folder

from runoff import Query
from runoff.errors import InvalidArgument, MissingExtra
from runoff.evaluation import Collection, Evaluator, evaluate, read_run, write_run

ir_measures = pytest.importorskip("ir_measures")

COLLECTION = Collection(
    {"q1": "one", "q2": "two", "q3": "three"},
    {"q1": {"a": 2, "b": 1, "c": 0}, "q2": {"a": 1}, "q3": {"z": 0}},
)


def test_by_hand():
    """nDCG, RR, recall and Judged of a small run equal values computed by hand."""
    run = {"q1": ["x", "b", "a"], "q2": ["a"]}
    found = evaluate(run, COLLECTION, ["nDCG@10", "RR@10", "R@2"])
    ideal = 2 + 1 / math.log2(3)
    assert found.by_query("nDCG@10") == {
        "q1": pytest.approx((1 / math.log2(3) + 2 / 2) / ideal),
        "q2": 1.0,
        "q3": 0.0,
    }
    assert found.by_query("RR@10") == {"q1": 0.5, "q2": 1.0, "q3": 0.0}
    assert found.by_query("R@2") == {"q1": 0.5, "q2": 1.0, "q3": 0.0}
    assert found.judged["nDCG@10"][0] == pytest.approx(2 / 3)
    assert found.judged["R@2"][0] == 0.5
    assert found.mean("RR@10") == 0.5


def test_a_query_without_results_counts_as_zero():
    """Judged queries that a run lacks, or has without results, are zeros in the mean and noted."""
    found = evaluate({"q1": ["a"], "q2": []}, COLLECTION, ["RR@10"])
    assert found.by_query("RR@10") == {"q1": 1.0, "q2": 0.0, "q3": 0.0}
    assert found.mean("RR@10") == pytest.approx(1 / 3)
    assert found.judged_share("RR@10") == 1.0
    assert found.notes[-1] == "2 of 3 judged queries have no results and count as zero."
    nothing = evaluate({}, COLLECTION)
    assert nothing.mean("nDCG@10") == 0.0
    assert math.isnan(nothing.judged_share("nDCG@10"))


def test_unjudged_queries_are_left_out():
    """A query without judgments changes no figure and is noted."""
    run = {"q1": ["a"], "q2": ["a"], "q3": ["z"]}
    plain, more = evaluate(run, COLLECTION), evaluate({**run, "q9": ["a"]}, COLLECTION)
    assert more.by_query("nDCG@10") == plain.by_query("nDCG@10")
    assert more.notes[-1] == "1 query of the run has no judgments and is left out."


def test_names_and_objects():
    """Measures are named or given as objects; the same one twice counts once."""
    given = ["NDCG@10", ir_measures.nDCG @ 10, "P(rel=2)@1", ir_measures.AP]
    evaluator = Evaluator(COLLECTION, given)
    assert evaluator.measures == ("nDCG@10", "P(rel=2)@1", "AP")
    found = evaluator.evaluate({"q1": ["b", "a"]})
    assert found.by_query("P(rel=2)@1")["q1"] == 0.0
    assert found.by_query("AP")["q1"] == 1.0
    assert evaluate({"q1": ["a"]}, COLLECTION, "RR@10").mean("RR@10") == pytest.approx(1 / 3)
    assert "Judged@10 1.000" in str(found)
    with pytest.raises(InvalidArgument, match="must be one of the measures"):
        found.mean("RR@10")


@pytest.mark.parametrize(
    ("measures", "message"),
    [
        (["nDGC@10"], "a measure of ir-measures"),
        (["nDCG(foo=1)@10"], "a measure of ir-measures"),
        (["nDCG@0"], "cutoff of 1 or more"),
        (["R"], "a measure of ir-measures"),
        (["nDCG(10)"], "a measure of ir-measures"),
        (["nDCG(**{'cutoff': 10})"], "a measure of ir-measures"),
        (["nDCG@10@10"], "a measure of ir-measures"),
        (["nDCG@"], "a measure of ir-measures"),
        (["nDCG@10; P@5"], "a measure of ir-measures"),
        (["nDCG@f()"], "a measure of ir-measures"),
        (["__import__('os')"], "a measure of ir-measures"),
        ([10], "a name such as"),
        ([], "at least one measure"),
    ],
)
def test_bad_measures(measures, message):
    """Unknown measures are refused by name, and so is a cutoff of 0, which crashes trec_eval."""
    with pytest.raises(InvalidArgument, match=message):
        Evaluator(COLLECTION, measures)


@pytest.mark.parametrize(
    ("order", "message"), [(["a", "b", "a"], "'a': is repeated"), ([1], "ids"), ("ab", "ids")]
)
def test_bad_runs(order, message):
    """Repeated documents and results that are not lists of ids are refused, naming the query."""
    with pytest.raises(InvalidArgument, match=f"{message}.*'q1'"):
        evaluate({"q1": order}, COLLECTION)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "name",
    ["nDCG@10", "AP", "P(rel=2)@5", " RR@10 ", "NDCG@3", "nDCG(dcg='exp-log2')@10", "SetF(beta=.5)",
     "IPrec@.2", "nDCG(judged_only=True)@10", "nDCG(gains={0: 1, 1: 3})@10", "R(cutoff=7)"],
)  # fmt: skip
def test_names_are_read_as_ir_measures_reads_them(name):
    """Its own parser, which no longer works on the newest Python, gives the same measure."""
    if not hasattr(ast, "Num"):
        pytest.skip("ir-measures cannot parse on this Python")
    (measure,) = Evaluator(COLLECTION, [name]).measures
    assert measure == str(ir_measures.parse_measure(name.strip()))


def test_values_cannot_be_changed():
    """The returned arrays are read-only."""
    found = evaluate({"q1": ["a"]}, COLLECTION)
    with pytest.raises(ValueError, match="read-only"):
        found.values["nDCG@10"][0] = 1.0


def test_without_ir_measures(monkeypatch):
    """Without ir-measures the error names the pip command."""
    monkeypatch.setitem(sys.modules, "ir_measures", None)
    with pytest.raises(MissingExtra, match=r"runoff\[eval\]"):
        evaluate({}, COLLECTION)


@pytest.mark.data
@pytest.mark.parametrize(
    "name",
    [
        "cranfield",
        pytest.param("scifact", marks=pytest.mark.slow("3 s: another collection")),
        pytest.param("nfcorpus", marks=pytest.mark.slow("2 s: another collection")),
    ],
)
def test_agreement_with_trec_eval(name, tmp_path):
    """On a BM25 run our figures are trec_eval's to 1e-12, query by query, through a run file too.

    trec_eval reads the file as written, with scores made equal in pairs before, so that its own
    order of ties would differ.
    """
    pytrec_eval = pytest.importorskip("pytrec_eval")
    from runoff.recall import BM25

    collection = Collection.from_beir(folder(name))
    bm25 = BM25(list(collection.documents.values()))
    scored = {}
    for query_id, text in collection.queries.items():
        hits = bm25.retrieve(Query(text), depth=100)
        tied = [(hit.document.doc_id, hits[at - at % 2].score) for at, hit in enumerate(hits)]
        scored[query_id] = tied
    write_run(tmp_path / "run", scored)
    run = {query_id: [doc_id for doc_id, _ in hits] for query_id, hits in scored.items()}
    assert read_run(tmp_path / "run") == {one: order for one, order in run.items() if order}
    names = {"nDCG@10": "ndcg_cut_10", "R@100": "recall_100", "AP": "map", "RR": "recip_rank"}
    ours = evaluate(run, collection, names)
    with (tmp_path / "run").open() as stream:
        read = pytrec_eval.parse_run(stream)
    qrels = {query_id: dict(grades) for query_id, grades in collection.qrels.items()}
    theirs = pytrec_eval.RelevanceEvaluator(qrels, set(names.values())).evaluate(read)
    for measure, trec in names.items():
        for query_id, value in ours.by_query(measure).items():
            expected = theirs[query_id][trec] if query_id in theirs else 0.0
            assert value == pytest.approx(expected, abs=1e-12)
    assert len(theirs) > 0.9 * len(collection)
    assert ours.mean("nDCG@10") > 0.25
