"""How judgments count: of documents where chunks are found, any or all of several, caveats."""

import math
import pickle
from dataclasses import replace

import pytest
from parts import Listed
from tunable import Judge, collection, recording

from runoff import Document, TwoStage
from runoff.errors import InvalidArgument
from runoff.evaluation import Collection, curve, evaluate, record, tune, verdict

BOTH = Collection({"q": "text"}, {"q": {"a": 2, "b": 1, "x": 0}})
RUN = {"q": ["x", "b", "y", "a"]}


def values(found):
    return {name: found.mean(name) for name in found.values}


def test_any_of_several_documents_is_enough():
    """With `any`, the first relevant document is all of them, with the highest grade."""
    found = values(evaluate(RUN, BOTH.counting(relevance="any"), ["nDCG@10", "RR", "R@1", "R@2"]))
    assert found == pytest.approx({"nDCG@10": 1 / math.log2(3), "RR": 0.5, "R@1": 0.0, "R@2": 1.0})
    best = {"q": ["b", "x"]}
    assert evaluate(best, BOTH.counting(relevance="any")).mean("nDCG@10") == 1


def test_all_of_several_documents_are_needed():
    """With `all`, they are found where the last is, less those before it, and within the cutoff."""
    asked = BOTH.counting(relevance="all")
    found = values(evaluate(RUN, asked, ["nDCG@10", "RR@10", "R@3", "R@4", "nDCG@3"]))
    assert found == pytest.approx(
        {"nDCG@10": 1 / math.log2(4), "RR@10": 1 / 3, "R@3": 0.0, "R@4": 1.0, "nDCG@3": 0.0}
    )
    for order in (["a", "b"], ["b", "a", "x"]):
        assert values(evaluate({"q": order}, asked, ["nDCG@2", "RR"])) == {"nDCG@2": 1, "RR": 1}
    assert evaluate({"q": ["a", "x"]}, asked).mean("nDCG@10") == 0
    short = evaluate(RUN, asked, ["R@1"])
    assert short.mean("R@1") == 0
    assert "1 query needs more documents than any measure counts" in short.notes[0]


def test_chunks_count_as_their_document():
    """The first chunk of a document holds its place; the others take none."""
    run = {"q": ["x#1", "x#2", "b#7", "a#1", "b#8"]}
    by_name = BOTH.counting(parent_of=lambda one: one.partition("#")[0])
    by_map = BOTH.counting(parent_of={one: one[0] for one in run["q"]})
    chunks = [Document(one, "text", {"source": one[0]}) for one in run["q"]]
    by_field = BOTH.counting(parent_of="source", documents=chunks)
    plain = evaluate({"q": ["x", "b", "a"]}, BOTH, ["nDCG@3", "RR", "R@2"])
    for asked in (by_name, by_map, by_field):
        found = evaluate(run, asked, ["nDCG@3", "RR", "R@2"])
        assert values(found) == values(plain)
        assert found.judged_share("nDCG@3") == 1
    assert by_map.unknown(run["q"]) == []
    assert by_map.unknown(["x#1"]) == ["a", "b"]
    assert pickle.loads(pickle.dumps(by_map)) == by_map


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"relevance": "some"}, "relevance='some': must be 'each', 'any' or 'all'"),
        ({"relevant_from": 0}, "relevant_from=0"),
        ({"parent_of": 3}, "parent_of=3"),
        ({"parent_of": "source"}, "has no documents: pass documents="),
        (
            {"parent_of": "source", "documents": {"a": Document("a", "t", {"page": 1})}},
            r"such as \['page'\]",
        ),
    ],
)
def test_wrong_rules_are_refused(options, message):
    """An unknown rule, a wrong parent and a missing field are named."""
    with pytest.raises(InvalidArgument, match=message):
        BOTH.counting(**options)


def test_a_parent_that_is_no_id_is_refused():
    """A function that returns no id is an error that names the chunk."""
    with pytest.raises(InvalidArgument, match=r"parent_of=None.*chunk 'x'"):
        evaluate(RUN, BOTH.counting(parent_of=lambda _: None))


def test_from_which_grade_on_documents_are_relevant():
    """Measures without grades count from the grade that the collection says, and are named so."""
    found = evaluate(RUN, BOTH.counting(relevant_from=2), ["RR@10", "R(rel=1)@10", "nDCG@10"])
    assert values(found)["RR(rel=2)@10"] == 0.25
    assert values(found)["R@10"] == 1  # ir-measures' name for rel=1
    assert values(found)["nDCG@10"] == evaluate(RUN, BOTH).mean("nDCG@10")


@pytest.mark.parametrize("relevance", ["each", "any", "all"])
def test_the_ledger_and_tuning_count_as_the_measures_do(relevance):
    """Losses of chunks sum to ideal minus achieved, which is what `evaluate` gives."""
    chunks = [f"{name}#{at}" for at in range(2) for name in "xbyac"]
    pipeline = TwoStage({"list": Listed(*chunks)}, reranker=None)
    asked = BOTH.counting(parent_of=lambda one: one[0], relevance=relevance)
    made = record(pipeline, asked, progress=False)
    ledger = made.losses(asked, cutoff=3)
    found = evaluate({"q": chunks}, asked, ["nDCG@3"]).mean("nDCG@3")
    assert ledger["q"].achieved == pytest.approx(found)
    assert ledger["q"].ideal - sum(ledger.entries.values()) == pytest.approx(found)
    assert tune(made, asked, grid={"depth": [100]}, measure="nDCG@3").configured.quality == (
        pytest.approx(found)
    )


def test_positive_labels_alone_say_nothing_of_judged_results():
    """Without a judgment "not relevant", Judged@k is not shown, and no verdict is called unfair."""
    queries = {f"q{at}": f"query {at}" for at in range(40)}
    made = Collection(queries, {one: {"good": 1} for one in queries})
    bad = evaluate({one: ["good", *"abcdefghi"] for one in queries}, made)
    good = evaluate({one: ["good"] for one in queries}, made)
    assert math.isnan(bad.judged_share("nDCG@10"))
    assert "Judged" not in str(bad)
    found = verdict(bad, good)
    assert found.main.judged is None
    assert "judged" not in str(found).replace("judged queries", "")


def many(ids, grade=1):
    queries = {f"q{at}": f"query {at}" for at in range(20)}
    qrels = {query_id: {f"{ids}{at}": grade} for at, query_id in enumerate(queries)}
    return Collection(queries, qrels)


def test_ids_that_changed_are_refused():
    """Where no result of 10 queries or more is a judged document, no finding is made."""
    old, run = many("old"), {f"q{at}": [f"new{at}"] for at in range(20)}
    measured = evaluate(run, old)
    pipeline = TwoStage({"list": Listed("x", "y")}, reranker=None)
    known = collection(20)
    other = replace(known, qrels={one: {"else": 1} for one in known.qrels})
    for refused in (
        lambda: verdict(measured, measured),
        lambda: record(pipeline, old, progress=False).losses(old),
        lambda: tune(recording(Judge(), many=20), other, grid={"window": [0, 20]}),
        lambda: curve(recording(Judge(), many=20), other),
    ):
        with pytest.raises(InvalidArgument, match=r"no result is a judged.*match_by_text\(\)"):
            refused()


def test_the_share_of_judged_ids_that_no_answer_holds_is_told():
    """If most judged documents are in no answer, whichever the query, a note says how many."""
    old = many("old")
    run = {f"q{at}": [f"{'old' if at < 2 else 'new'}{at}"] for at in range(20)}
    (note,) = evaluate(run, old).notes
    assert "90% of the relevant documents (18 of 20, such as 'old10') are in no answer" in note
    assert note in verdict(evaluate(run, old), evaluate(run, old)).notes
    assert evaluate({one: [f"old{at}"] for at, one in enumerate(run)}, old).notes == ()


def test_notes_of_a_collection_reach_every_finding():
    """What is odd about the labels is told by measures, verdict, ledger, curve and tuning."""
    made = recording(Judge(), many=12)
    judged = replace(collection(12), notes=("Judged in a hurry.",))
    measured = evaluate({"q0": ["d01"]}, judged)
    for found in (
        measured,
        verdict(measured, measured),
        made.losses(judged),
        curve(made, judged),
        tune(made, judged, grid={"window": [0, 20]}),
    ):
        assert found.notes.count("Judged in a hurry.") == 1


def test_a_caveat_proves_nothing():
    """On judgments with a caveat, such as clicks, a verdict is undecided and no harm is found."""
    events = [(f"query {at}", "shown") for at in range(60)]
    clicks = Collection.from_clicks(events)
    first = evaluate({one: ["shown", "new"] for one in clicks.queries}, clicks)
    other = evaluate({one: ["new", "shown"] for one in clicks.queries}, clicks)
    for before, after in ((first, other), (other, first)):
        found = verdict(before, after)
        assert found.decision == "undecided"
        assert not found.harms
        assert "proves nothing: the judgments are clicks without the positions" in found.reason
        assert any("only documents that users were shown" in note for note in found.notes)
        assert pickle.loads(pickle.dumps(found)) == found
    sure = replace(clicks, caveat="")
    first = evaluate({one: ["shown", "new"] for one in clicks.queries}, sure)
    other = evaluate({one: ["new", "shown"] for one in clicks.queries}, sure)
    assert verdict(first, other).decision == "remove"


def test_tuning_on_a_caveat_keeps_what_there_is():
    """No setting is called better by judgments that prove nothing."""
    made, judged = recording(Judge(), many=60), collection(60)
    better = tune(made, judged, grid={"window": [0, 20]})
    kept = tune(made, replace(judged, caveat="guesses"), grid={"window": [0, 20]})
    assert kept.decision == "keep what you have"
    assert kept.recommended == kept.configured
    assert kept.gain == better.gain
