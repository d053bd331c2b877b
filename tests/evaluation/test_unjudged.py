"""Results that nobody judged are uncertainty, not proof of harm."""

import csv
import itertools
import json
import pickle

import numpy as np
import pytest

from runoff.errors import InvalidArgument, MalformedData
from runoff.evaluation import Collection, evaluate, verdict
from runoff.evaluation._verdict.unjudged import doubt_of

pytest.importorskip("ir_measures")

QUERIES = {f"q{at}": f"question {at}" for at in range(60)}


def _world(seed=0, rate=0.45):
    """Return true grades, a first system, and a second one that puts better documents first."""
    rng = np.random.default_rng(seed)
    truth, first, second = {}, {}, {}
    for one in QUERIES:
        old = {f"{one}-old{at}": int(rng.random() < 0.3) for at in range(10)}
        new = {f"{one}-new{at}": int(rng.random() < rate) for at in range(5)}
        truth[one] = old | new
        first[one] = list(old)
        second[one] = [*itertools.chain(*zip(new, list(old)[:5], strict=True))]
    return truth, first, second


def _judged(truth, *runs):
    """Return a collection that judges only what these runs found."""
    return Collection(
        QUERIES,
        {one: {doc: truth[one][doc] for run in runs for doc in run[one]} for one in QUERIES},
    )


def _verdict(collection, first, second, **options):
    return verdict(evaluate(first, collection), evaluate(second, collection), **options)


def test_a_gain_that_nobody_judged_is_no_harm():
    """Judge only the first system's results: a better second one is not removed but undecided."""
    truth, first, second = _world()
    pool = _judged(truth, first)
    assert _verdict(_judged(truth, first, second), first, second).decision == "keep"
    blind = _verdict(pool, first, second, unjudged=0)
    assert (blind.decision, blind.harms, blind.unjudged) == ("remove", True, None)
    found = _verdict(pool, first, second)
    assert (found.decision, found.harms) == ("undecided", False)
    assert str(found).startswith("undecided: judge these first: nDCG@10 -0.")
    assert found.more_queries is None
    assert found.unjudged.decides
    assert found.unjudged.documents == 5 * len(QUERIES)
    assert found.unjudged.worst.difference == pytest.approx(found.main.difference)
    assert found.unjudged.best.difference > 0
    assert found.unjudged.condensed > found.main.difference
    assert set(found.unjudged.beside) == {"Bpref", "infAP"}


def test_harm_is_proven_if_no_judgment_could_turn_it():
    """A second system that loses judged documents for few unjudged ones is still removed."""
    truth, first, _ = _world()
    second = {one: [*found[5:], *found[:5]] for one, found in first.items()}
    truth = {
        one: {doc: int(at < 4) for at, doc in enumerate(found)} for one, found in first.items()
    }
    for one in list(second)[::6]:
        second[one] = [*second[one][:9], f"{one}-new"]
    found = _verdict(_judged(truth, first), first, second)
    assert found.unjudged.documents == 10
    assert (found.decision, found.harms) == ("remove", True)
    assert not found.unjudged.decides
    assert found.unjudged.best.difference < 0


def test_full_judgments_change_nothing():
    """Where every counted result is judged, the verdict is the one without any bounds."""
    truth, first, second = _world()
    whole = _judged(truth, first, second)
    found = _verdict(whole, first, second)
    assert found.unjudged is None
    assert found == _verdict(whole, first, second, unjudged=0)


@pytest.mark.parametrize("measure", ["nDCG@5", "P@5", "R@5", "RR@5", "Success@5", "AP@5", "ERR@5"])
@pytest.mark.parametrize("seed", range(4))
def test_bounds_are_those_of_every_possible_judgment(measure, seed):
    """No choice of relevant documents leaves the bounds, and one reaches each of them."""
    rng = np.random.default_rng(seed)
    ids = [f"d{at}" for at in range(9)]
    first, second = ({"q": rng.permutation(ids)[:5].tolist()} for _ in range(2))
    grades = {doc: int(rng.integers(0, 2)) for doc in rng.permutation(ids)[:4].tolist()}
    grades |= {"elsewhere": 1, "nowhere": 0}
    pool = Collection({"q": "question"}, {"q": grades})
    before, after = (evaluate(run, pool, [measure]) for run in (first, second))
    extent = doubt_of(before, after, measure)
    unknown = sorted({*first["q"], *second["q"]} - set(grades))
    values = []
    for chosen in itertools.product((0, 1), repeat=len(unknown)):
        known = Collection(
            {"q": "question"}, {"q": grades | dict(zip(unknown, chosen, strict=True))}
        )
        sides = [evaluate(run, known, [measure]).values[measure][0] for run in (first, second)]
        values.append(sides[1] - sides[0])
    low, high = (float(ends[1, 0] - ends[0, 0]) for ends in (extent.low, extent.high))
    assert low >= min(values) - 1e-9
    assert high <= max(values) + 1e-9
    slack = 0.02 if measure in {"AP@5", "RR@5", "ERR@5"} else 1e-9
    assert low == pytest.approx(min(values), abs=slack)
    assert high == pytest.approx(max(values), abs=slack)


def test_a_document_of_both_has_one_judgment():
    """The same unjudged documents in the same places leave nothing in doubt."""
    truth, first, _ = _world()
    found = {one: [f"{one}-x", *order[:5]] for one, order in first.items()}
    changed = {one: [order[0], *order[:0:-1]] for one, order in found.items()}
    sides = [evaluate(run, _judged(truth, first), ["P@10"]) for run in (found, changed)]
    extent = doubt_of(*sides, "P@10")
    assert np.abs(np.diff(extent.high - extent.low, axis=0)).max() < 1e-12


def test_a_list_of_relevant_documents_leaves_nothing_unjudged():
    """Without judgments of "not relevant" every other document is not relevant, unless said."""
    truth, first, second = _world()
    listed = {
        one: {doc: 1 for doc in first[one] if truth[one][doc]} or {f"{one}-lost": 1}
        for one in QUERIES
    }
    collection = Collection(QUERIES, listed)
    assert _verdict(collection, first, second).unjudged is None
    assert _verdict(collection, first, second, unjudged=1).unjudged.decides


def test_a_known_chance_narrows_the_bounds():
    """If unjudged results are relevant in at most one of ten cases, the range is a tenth."""
    truth, first, second = _world()
    pool = _judged(truth, first)
    wide, narrow = (_verdict(pool, first, second, unjudged=one).unjudged.range for one in (1, 0.1))
    assert narrow[1] - narrow[0] == pytest.approx((wide[1] - wide[0]) / 10)
    assert _verdict(pool, first, second, unjudged=0.1).decision == "remove"
    for wrong in (-0.1, 1.1, "all", True):
        with pytest.raises(InvalidArgument, match="unjudged="):
            _verdict(pool, first, second, unjudged=wrong)


def test_what_is_likely_is_said_and_not_proven():
    """If a few unjudged results, as relevant as the judged ones, cannot turn it, that is said."""
    truth, first, _ = _world()
    rng = np.random.default_rng(1)
    second = {
        one: sorted(found, key=lambda doc, one=one: (-truth[one][doc], doc))
        if at % 3 == 0
        else [*found[1:3], found[0], *found[3:]]
        for at, (one, found) in enumerate(first.items())
    }
    pool = Collection(
        QUERIES,
        {
            one: {doc: truth[one][doc] for doc in first[one] if rng.random() > 0.25} | {"x": 0}
            for one in QUERIES
        },
    )
    found = _verdict(pool, first, second)
    assert (found.decision, found.unjudged.decides, found.unjudged.likely) == (
        "undecided",
        True,
        "keep",
    )
    judged = [grade for one in QUERIES for doc, grade in pool.qrels[one].items() if doc != "x"]
    assert found.unjudged.rate == pytest.approx(np.mean(judged))
    assert f"({found.unjudged.rate:.0%}), the decision is 'keep'." in found.reason
    assert _verdict(pool, first, second, unjudged=found.unjudged.rate).decision == "keep"


def test_the_first_documents_narrow_the_range_most():
    """Judging the first 40 as not relevant narrows the range more than judging the last 40."""
    truth, first, second = _world()
    pool = _judged(truth, first)
    found = _verdict(pool, first, second)

    def width(chosen):
        judged = {}
        for one in chosen:
            judged.setdefault(one.query_id, {})[one.doc_id] = 0
        low, high = _verdict(pool.with_judgments(judged), first, second).unjudged.range
        return high - low

    judge = found.unjudged.judge
    assert all(one.effect > 0 and one.after and not one.before for one in judge)
    assert width(judge[:40]) < width(judge[-40:]) - 0.1


def test_judgments_come_back_in_one_call(tmp_path):
    """The table of documents is filled in and read; what was left empty stays unjudged."""
    truth, first, second = _world()
    pool, path = _judged(truth, first), tmp_path / "judge.csv"
    found = _verdict(pool, first, second)
    first_new = found.unjudged.judge[0].doc_id
    found.unjudged.to_csv(path, {first_new: "a text, with a comma\nand a line"})
    with path.open(newline="") as stream:
        head, *rows = csv.reader(stream)
    assert head == list(found.unjudged.rows()[0])
    assert rows[0][4] == "a text, with a comma\nand a line"
    assert len(rows) == found.unjudged.documents
    for row in rows[:-2]:
        row[3] = str(truth[row[0]][row[2]])
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([head, *rows])
    more = pool.with_judgments(path)
    assert f"{len(rows) - 2} judgments were added." in more.notes
    assert "2 rows without a grade were left out: their documents stay unjudged." in more.notes
    again = _verdict(more, first, second)
    assert (again.decision, again.unjudged.documents) == ("keep", 2)


def test_further_judgments_are_checked_and_replace_old_ones(tmp_path):
    """Other queries, columns and grades are refused; a new grade replaces an old one."""
    pool = Collection({"q": "question"}, {"q": {"a": 1, "b": 0}}, labels={"q": {"kind": "x"}})
    more = pool.with_judgments({"q": {"a": 2, "c": 1}})
    assert (dict(more.qrels["q"]), more.slices("kind")) == ({"a": 2, "b": 0, "c": 1}, {"q": "x"})
    assert "1 judgment was replaced by a new one." in more.notes
    assert dict(pool.with_judgments(more).qrels["q"]) == dict(more.qrels["q"])
    with pytest.raises(InvalidArgument, match="judgments='other': is not a query"):
        pool.with_judgments({"other": {"a": 1}})
    with pytest.raises(InvalidArgument, match="must be a whole number"):
        pool.with_judgments({"q": {"a": "good"}})
    path = tmp_path / "judge.csv"
    path.write_text("query_id,grade\nq,1\n")
    with pytest.raises(MalformedData, match="missing: doc_id"):
        pool.with_judgments(path)


def test_a_slice_is_harmed_only_if_no_judgment_could_turn_it():
    """A harmed slice with unjudged results is not named, and one without still is."""
    truth, first, _ = _world()
    truth = {
        one: {doc: int(at < 4) for at, doc in enumerate(found)} for one, found in first.items()
    }
    kinds = {one: "sure" if at % 2 else "open" for at, one in enumerate(QUERIES)}
    second = {
        one: [f"{one}-{at}" for at in range(10)] if kinds[one] == "open" else found[::-1]
        for one, found in first.items()
    }
    pool, slices = _judged(truth, first), {"kind": kinds}
    blind = _verdict(pool, first, second, slices=slices, unjudged=0)
    assert (blind.decision, len(blind.remove_for)) == ("remove", 2)
    found = _verdict(pool, first, second, slices=slices)
    assert (found.decision, found.remove_for) == ("undecided", (("kind", "sure"),))
    assert found.harms


def test_values_without_results_have_no_bounds():
    """Plain values, and measures of judged documents only, say nothing of unjudged ones."""
    truth, first, second = _world()
    pool = _judged(truth, first)
    sides = [evaluate(run, pool).by_query("nDCG@10") for run in (first, second)]
    assert verdict(*({"nDCG@10": side} for side in sides)).unjudged is None
    condensed = [evaluate(run, pool, ["nDCG(judged_only=True)@10"]) for run in (first, second)]
    assert verdict(*condensed).unjudged is None


def test_a_verdict_in_doubt_survives_json_and_pickle():
    """`to_dict` has the range and the documents, and measured systems keep their results."""
    truth, first, second = _world()
    pool = _judged(truth, first)
    found = _verdict(pool, first, second)
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain["unjudged"]["best"]["difference"] == found.unjudged.best.difference
    assert plain["unjudged"]["judge"][0]["doc_id"] == found.unjudged.judge[0].doc_id
    sides = [pickle.loads(pickle.dumps(evaluate(run, pool))) for run in (first, second)]
    assert verdict(*sides).unjudged.range == found.unjudged.range


@pytest.mark.parametrize(("favoured", "other"), [("first", "second"), ("second", "first")])
def test_relevant_documents_marked_in_one_systems_results_are_noted(favoured, other):
    """A list of relevant documents that all stand in one system's results may come from there."""
    truth, *runs = _world()
    runs = runs if favoured == "first" else runs[::-1]
    marked = {"first": 0, "second": 1}[favoured]
    positives = Collection(
        QUERIES,
        {one: {doc: 1 for doc in runs[marked][one] if truth[one][doc]} for one in QUERIES},
    )
    found = _verdict(positives, *runs)
    note = next(one for one in found.notes if one.startswith("Each of the "))
    assert f"among the first 10 results of the {favoured} system, and not of the {other}" in note
    assert found.unjudged is None
    bounded = _verdict(positives, *runs, unjudged=1)
    assert bounded.decision == "undecided"
    assert not any(one.startswith("Each of the ") for one in bounded.notes)


def test_relevant_documents_from_elsewhere_are_not_noted():
    """A list that holds documents beyond either system's results was not made from them."""
    truth, first, second = _world()
    every = Collection(
        QUERIES, {one: {doc: 1 for doc, grade in truth[one].items() if grade} for one in QUERIES}
    )
    assert not any(one.startswith("Each of the ") for one in _verdict(every, first, second).notes)
    few = Collection({"q0": "question 0"}, {"q0": {first["q0"][0]: 1}})
    assert not any(one.startswith("Each of the ") for one in _verdict(few, first, second).notes)


@pytest.mark.parametrize(
    "table",
    [
        "query_id,doc_id,judge,grade\nq,a,Ann,yes\nq,a,Ben,no\nq,a,Cid,yes\nq,b,Ann,partly\n",
        "query_id,doc_id,grade Ann,grade Ben,grade Cid\nq,a,yes,no,yes\nq,b,partly,,\n",
    ],
)
def test_several_people_may_fill_in_the_table(tmp_path, table):
    """The table that returns is read like any other: several judges, and words of one's own."""
    path = tmp_path / "judge.csv"
    path.write_text(table)
    pool = Collection({"q": "question"}, {"q": {"c": 0}})
    more = pool.with_judgments(path, grades={"partly": 3})
    assert dict(more.qrels["q"]) == {"a": 1, "b": 3, "c": 0}
    assert any("3 judges; 1 document has several of them" in note for note in more.notes)
    assert any("'partly' is 3" in note for note in more.notes)
    mean = pool.with_judgments(path, grades={"partly": 3, "yes": 4}, judges="mean")
    assert mean.qrels["q"]["a"] == 3
    with pytest.raises(InvalidArgument, match="judges='vote'"):
        pool.with_judgments(path, judges="vote")
    with pytest.raises(MalformedData, match=r"line \d.*'partly'.*pass grades="):
        pool.with_judgments(path)
    path.write_text(table.replace("q,b,", ",b,"))
    with pytest.raises(MalformedData, match="query id must be a non-empty"):
        pool.with_judgments(path, grades={"partly": 3})
