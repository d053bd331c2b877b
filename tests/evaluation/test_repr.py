"""What a prompt shows of collections, recordings and results: a line or two, with the figures."""

import pytest

from runoff import Document
from runoff.evaluation import Collection, curve, evaluate, health, losses, replay, tune, verdict

pytest.importorskip("ir_measures", reason="the eval extra is not installed")
from tunable import Judge, collection, recording

LENGTH = 200  # two lines of a terminal


@pytest.fixture(scope="module")
def results():
    """One of everything, of 30 queries and their 1,500 recorded candidates."""
    made, judged = recording(Judge(), many=30), collection(30)
    first, second = (
        evaluate(replay(made, **options), judged) for options in ({"reranker": None}, {})
    )
    compared, curved = verdict(first, second), curve(made, judged)
    tuned, lost = tune(made, judged, grid={"window": [0, 10]}), losses(made, judged)
    every = [
        judged, made, made["q3"], replay(made), replay(made)["q3"], second, compared,
        compared.main, curved, curved.points[-1], tuned, tuned.recommended, lost, lost["q3"],
        lost.moves[0], health(made), health(made)["ties"],
    ]  # fmt: skip
    return {type(one).__name__: one for one in every}


KINDS = (
    "Collection", "Recording", "RecordedQuery", "Runs", "Ranking", "Measured", "Verdict",
    "Comparison", "Curve", "Point", "Tuning", "Trial", "Ledger", "QueryLedger", "Move", "Health",
    "Finding",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_repr_names_its_class_on_two_lines_at_most(results, kind):
    """However many queries there are, a repr is short and begins with the class."""
    shown = repr(results[kind])
    assert shown.startswith(f"{kind}(")
    assert len(shown) <= LENGTH
    assert "\n" not in shown


def test_the_figures_that_decide_are_in_the_repr(results):
    """A verdict shows its decision and interval, a curve and a tuning what they recommend."""
    found = results["Verdict"]
    low, high = found.main.interval
    interval = f"[{low:+.4f}, {high:+.4f}]"
    assert repr(found) == (
        f"Verdict({found.decision}, nDCG@10 {found.main.difference:+.4f} {interval}, 30 queries)"
    )
    assert f"recommended {results['Curve'].recommended}" in repr(results["Curve"])
    assert str(results["Tuning"].recommended.setting) in repr(results["Tuning"])
    assert f"nDCG@10 {results['Measured'].mean('nDCG@10'):.4f}" in repr(results["Measured"])


def test_a_collection_counts_what_it_has():
    """Its repr has the name and the numbers of queries, judgments, documents, labels and notes."""
    queries = {f"q{at}": f"question {at}" for at in range(14)}
    qrels = {one: {f"d{at}": 1 for at in range(30)} for one in queries}
    documents = {f"d{at}": Document(f"d{at}", "text") for at in range(29)}
    labels = {"q1": {"language": "de", "kind": "short"}}
    assert repr(Collection(queries, qrels)) == (
        "Collection('collection', 14 queries, 420 judgments)"
    )
    assert repr(Collection(queries, qrels, documents, labels, "mine")) == (
        "Collection('mine', 14 queries, 420 judgments, 29 documents, labels kind, language, "
        "1 notes)"
    )
