"""`judge(measure="nDCG")`: the judge grades both lists, people whole queries, and all is shared."""

import csv

import numpy as np
import pytest
from ir_measures import Qrel, ScoredDoc, nDCG
from traffic import graded, keep, observation, stream

from runoff import TwoStage
from runoff.errors import InvalidArgument
from runoff.evaluation import record, tune
from runoff.live import judge
from runoff.live._state import state
from runoff.recall import BM25


@pytest.fixture(scope="module")
def helped():
    """Return answers whose second stage helps."""
    return stream(150, better=0.8)


def counted(asked):
    """Return a perfect judge that notes what it is asked."""

    def by(query, text):
        asked.append((query, text))
        return graded(query, text)

    return by


def difference(seen, k=5):
    """Return the difference in nDCG@k with the documents of both lists, by ir-measures."""
    lists = [[seen.doc_ids[at] for at in order[:k]] for order in (seen.fused, seen.reranked)]
    qrels = [Qrel("q", one, 2 ** graded("", one) - 1) for one in {*lists[0], *lists[1]}]
    before, after = (
        (nDCG @ k).calc_aggregate(qrels, [ScoredDoc("q", one, -at) for at, one in enumerate(order)])
        for order in lists
    )
    return after - before


def test_the_statement_is_the_mean_difference_in_ndcg(tmp_path, helped):
    """By a judge alone, with the documents of both lists as the ideal; and that is said."""
    found = judge(keep(tmp_path / "obs", helped), graded, measure="nDCG")
    assert found.statement.measure == "nDCG@5"
    assert found.statement.difference == pytest.approx(np.mean([difference(one) for one in helped]))
    assert found.statement.decision == "helps"
    assert "The ideal of nDCG@5 is the best order of the documents of either list." in found.notes
    shares = judge(tmp_path / "obs", graded).precision
    assert found.precision.difference == pytest.approx(shares.difference)


def test_both_lists_are_graded_where_they_differ(tmp_path):
    """A document at the same rank counts in the ideal; a query with one list twice needs none."""
    seen = [
        observation("q", ["same", "b", "c", "d"], ["same", "c", "b", "d"], top_k=3),
        observation("r", ["x", "y"], ["x", "y"], at=1, top_k=3),
    ]
    asked = []
    judge(keep(tmp_path / "obs", seen), lambda *pair: asked.append(pair) or 1, measure="nDCG")
    assert sorted(asked) == [("q", "b"), ("q", "c"), ("q", "same")]


def test_equal_lists_make_no_difference(tmp_path):
    """Without a query that changed, nobody is asked, and none of it can differ."""
    seen = [observation(f"q{at}", ["a", "b"], ["a", "b"], at=at) for at in range(300)]
    found = judge(keep(tmp_path / "obs", seen), graded, people=graded, measure="nDCG")
    assert found.statement.decision == "no difference"
    assert found.usage.pairs == found.for_people == 0


def test_queries_of_which_people_can_say_nothing_prove_nothing(tmp_path, helped):
    """Each counts as the worst and the best that any grades make."""
    folder = keep(tmp_path / "obs", helped)
    found = judge(folder, graded, people=lambda *_: None, measure="nDCG", labels=300)
    assert found.statement.queries == 150
    assert found.statement.labels == 0
    assert found.statement.decision == "undecided"


def test_people_grade_whole_queries_in_an_order_of_chance(tmp_path, helped):
    """About as many documents as asked for, and a table that shows neither list's order."""
    table = tmp_path / "labels.csv"
    found = judge(keep(tmp_path / "obs", helped), graded, people=table, measure="nDCG", labels=300)
    with table.open(encoding="utf-8", newline="") as rows:
        given = list(csv.DictReader(rows))
    assert 150 < len(given) == found.for_people < 450
    by_query = {one.query: one for one in helped}
    orders, queries = [], {row["query"] for row in given}
    for query in queries:
        one, shown = by_query[query], [row["doc_id"] for row in given if row["query"] == query]
        assert {*shown} == {
            one.doc_ids[at] for order in (one.fused, one.reranked) for at in order[:5]
        }
        orders.append([one.doc_ids.index(doc_id) for doc_id in shown])
    assert sum(order == sorted(order) for order in orders) < len(orders) / 10


def test_people_correct_the_judge(tmp_path):
    """A judge that likes what was moved up is wrong, and what people say is not."""
    seen = stream(250, better=0.0)
    risen = {one.texts[at] for one in seen for at in range(len(one)) if one.ranks[at] < at + 1}

    def partial(query, text):
        return 3 if text in risen else graded(query, text)

    found = judge(keep(tmp_path / "obs", seen), partial, people=graded, measure="nDCG", labels=1000)
    assert found.alone.decision == "helps"
    assert found.statement.decision != "helps"
    low, high = found.statement.interval
    assert low < np.mean([difference(one) for one in seen]) < high
    assert found.statement.labels == found.quality.documents > 500
    assert found.quality.biases["origin"].proven
    assert sum(found.quality.biases["origin"].documents) < found.quality.documents
    shares = found.precision.interval
    assert shares[0] < 0 < shares[1]


def test_both_measures_share_the_grades_of_one_directory(tmp_path, helped):
    """Nothing is asked twice, each statement stays what it was, and `state` shows the latest."""
    folder, asked, heard = keep(tmp_path / "obs", helped), [], []
    by, people = counted(asked), counted(heard)
    given = {"people": people, "labels": 200}
    sums = judge(folder, by, **given)
    ndcg = judge(folder, by, measure="nDCG", **given)
    assert len(asked) == len({*asked})
    assert len(heard) == len({*heard})
    many = len(asked), len(heard)
    assert state(folder).statement == ndcg.statement != sums.statement
    assert judge(folder, by, **given).statement == sums.statement
    assert state(folder).statement == sums.statement
    assert judge(folder, by, measure="nDCG", **given).statement == ndcg.statement
    assert (len(asked), len(heard)) == many


def test_one_table_serves_both_measures(tmp_path, helped):
    """What both want is in it once, and what was graded for one is no work for the other."""
    folder, table = keep(tmp_path / "obs", helped), tmp_path / "labels.csv"
    for measure in ("SDCG", "nDCG"):
        judge(folder, graded, people=table, measure=measure, labels=200)
    with table.open(encoding="utf-8", newline="") as rows:
        given = list(csv.reader(rows))
    keys = [(row[0], row[2]) for row in given]
    assert len(keys) == len({*keys})
    for at, row in enumerate(given[1:]):
        row[3] = "?" if at == 100 else str(graded(row[1], row[4]))
    with table.open("w", encoding="utf-8", newline="") as rows:
        csv.writer(rows).writerows(given)
    for measure in ("SDCG", "nDCG"):
        found = judge(folder, graded, people=table, measure=measure, labels=200)
        assert found.for_people == 0
        assert found.statement.queries == 150


def test_a_query_waits_until_people_graded_all_of_it(tmp_path, helped):
    """It and those after it do not count before."""
    folder, table = keep(tmp_path / "obs", helped), tmp_path / "labels.csv"
    judge(folder, graded, people=table, measure="nDCG", labels=300)
    with table.open(encoding="utf-8", newline="") as rows:
        given = list(csv.reader(rows))
    first, second = list(dict.fromkeys(row[1] for row in given[1:]))[:2]
    ends = [at for at, row in enumerate(given) if row[1] == second]
    for row in given[1 : ends[-1]]:  # all but the last of the second query
        row[3] = str(graded(row[1], row[4]))
    with table.open("w", encoding="utf-8", newline="") as rows:
        csv.writer(rows).writerows(given)
    found = judge(folder, graded, people=table, measure="nDCG", labels=300)
    assert found.statement.queries == int(second.split()[1])
    assert found.statement.labels == sum(row[1] == first for row in given)


def test_a_reply_without_a_grade_widens_the_judges_statement_a_little(tmp_path, helped):
    """It allows for any grade of that document, given the others."""

    def by(query, text):
        return "I cannot say." if text.split()[2] == "1" else graded(query, text)

    found = judge(keep(tmp_path / "obs", helped), by, measure="nDCG").statement
    plain = judge(keep(tmp_path / "plain", helped), graded, measure="nDCG").statement
    assert found.interval[0] < plain.interval[0]
    assert found.interval[1] > plain.interval[1]
    assert np.ptp(found.interval) < 1


@pytest.mark.parametrize("measure", ["SDCG", "nDCG"])
def test_the_grades_judge_another_pipeline(tmp_path, helped, measure):
    """Its recording has losses, and settings are tuned on it; a note says what was graded."""
    found = judge(keep(tmp_path / "obs", helped[:40]), graded, measure=measure)
    collection = found.collection()
    what = {"SDCG": "that differ between two orders", "nDCG": "in the first results of two orders"}
    assert f"only documents {what[measure]}" in collection.notes[0]
    texts = {text for one in helped[:40] for text in one.texts}
    pipeline = TwoStage({"bm25": BM25([(one, one) for one in texts])}, reranker=None, depth=20)
    made = record(pipeline, collection, progress=False)
    assert len(made.losses(collection).queries) == len(collection)
    assert tune(made, collection, grid={"window": [0]}, folds=2).queries == len(collection)


def test_an_unknown_measure_is_refused(tmp_path, helped):
    """It names the two."""
    with pytest.raises(InvalidArgument, match=r"^measure.*SDCG.*nDCG"):
        judge(keep(tmp_path / "obs", helped[:5]), graded, measure="ndcg")
