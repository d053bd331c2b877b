"""Clicks with positions give the verdict that the truth gives; without positions, none."""

import re

import numpy as np
import pytest

from runoff.errors import InvalidArgument, MalformedData
from runoff.evaluation import Collection, evaluate, verdict

SEEN = 1 / np.arange(1, 6) ** 0.8
CLICKED = (0.08, 0.6)  # of what is looked at: other and relevant documents


class World:
    """Queries with known relevance, a first stage that is shown, and a better second one."""

    def __init__(self, seed, queries=60, sessions=150):
        rng = np.random.default_rng(seed)
        self.names = [f"query {at}" for at in range(queries)]
        self.relevant = rng.random((queries, 5)) < [0.5, 0.4, 0.3, 0.3, 0.3]
        self.first = np.tile(np.arange(5), (queries, 1))
        noise = rng.normal(0, 0.7, self.relevant.shape)
        self.second = np.argsort(-(self.relevant + noise), axis=1)
        self.shown = np.zeros((queries, 5, 5), int)  # query, document, position
        self.clicks = np.zeros_like(self.shown)
        if not sessions:
            return
        order = np.tile(np.arange(5), (queries, sessions, 1))
        swap = rng.permuted(order, axis=2)[:, :, :2]
        swap[rng.random((queries, sessions)) > 0.3] = 0
        np.put_along_axis(order, swap, np.take_along_axis(order, swap[:, :, ::-1], 2), 2)
        each = np.arange(queries)[:, None, None]
        attractive = np.where(self.relevant[each, order], CLICKED[1], CLICKED[0])
        places = np.broadcast_to(np.arange(5), order.shape)
        np.add.at(self.shown, (each, order, places), 1)
        np.add.at(self.clicks, (each, order, places), rng.random(order.shape) < SEEN * attractive)

    def impressions(self):
        return [
            (self.names[query], f"d{doc}", int(place) + 1,
             int(self.clicks[query, doc, place]), int(self.shown[query, doc, place]))
            for query, doc, place in zip(*np.nonzero(self.shown), strict=True)
        ]  # fmt: skip

    def runs(self, collection):
        ids = {text: query_id for query_id, text in collection.queries.items()}
        return [
            {
                ids[name]: [f"d{one}" for one in row]
                for name, row in zip(self.names, rows, strict=True)
            }
            for rows in (self.first.tolist(), self.second.tolist())
        ]

    def gain(self):
        worth = 1 / np.log2(np.arange(2, 7))
        best = np.sort(self.relevant, axis=1)[:, ::-1] @ worth
        gained = np.take_along_axis(self.relevant, self.second, 1) @ worth - self.relevant @ worth
        return float(np.divide(gained, best, out=np.zeros_like(best), where=best > 0).mean())

    def verdict(self, collection, **options):
        before, after = self.runs(collection)
        measures = ["nDCG@10"]
        return verdict(
            evaluate(before, collection, measures), evaluate(after, collection, measures), **options
        )

    def truth(self):
        return Collection.from_pairs(
            (name, {f"d{at}": int(grade) for at, grade in enumerate(row)})
            for name, row in zip(self.names, self.relevant, strict=True)
        )


@pytest.fixture(scope="module")
def world():
    return World(1)


def test_clicks_with_positions_agree_with_the_truth(world):
    """The gain is that of the true relevance, where counted clicks hide or reverse it."""
    made = Collection.from_impressions(world.impressions())
    found, true = world.verdict(made), world.verdict(world.truth())
    assert found.decision == true.decision == "keep"
    assert found.main.difference == pytest.approx(true.main.difference, abs=0.01)
    assert made.relevant_from == 50
    assert made.caveat == ""
    counted = Collection.from_clicks(
        (name, doc) for name, doc, _, clicks, _ in world.impressions() for _ in range(clicks)
    )
    naive = world.verdict(counted)
    assert naive.main.difference < true.main.difference / 2
    assert naive.decision == "undecided"


def test_documents_never_shown_prove_no_harm(world):
    """A second stage that finds what users were never shown is in doubt, and not harmful."""
    made = Collection.from_impressions(world.impressions())
    before, after = world.runs(made)
    new = {one: ["new", *order[:4]] for one, order in after.items()}
    found = verdict(evaluate(before, made, ["nDCG@5"]), evaluate(new, made, ["nDCG@5"]))
    assert found.main.difference < -0.1
    assert found.decision == "undecided"
    assert not found.harms
    assert found.unjudged.judge[0].doc_id == "new"


def test_the_position_model_is_found(world):
    """Propensities and attractiveness are those of the simulation, and told with their limits."""
    made = Collection.from_impressions(world.impressions())
    fit, limits = made.notes[:2]
    told = dict(
        part.split(": ") for part in fit.split("chances ")[1].split(" (fitted)")[0].split(", ")
    )
    assert [float(told[str(at)]) for at in range(1, 6)] == pytest.approx(SEEN, abs=0.05)
    assert re.search(r"relevant documents are clicked in (5[5-9]|6[0-5])% of cases", fit)
    assert "0% of the documents were looked at too rarely" in limits
    assert "of equal weight" in limits
    given = Collection.from_impressions(world.impressions(), propensity=SEEN.tolist())
    assert "(as given)" in given.notes[0]
    assert world.verdict(given).main.difference == pytest.approx(
        world.verdict(made).main.difference, abs=0.01
    )


@pytest.mark.slow("6 s: 120 worlds of clicks")
def test_intervals_cover_the_truth():
    """Of 120 small worlds, at least .93 of the intervals hold the difference of all queries."""
    whole = World(999, queries=200_000, sessions=0).gain()
    held, signs = 0, 0
    for seed in range(120):
        world = World(seed, queries=40, sessions=150)
        made = Collection.from_impressions(world.impressions(), propensity=SEEN.tolist())
        main = world.verdict(made, rounds=500).main
        held += main.interval[0] <= whole <= main.interval[1]
        signs += main.difference > 0
    assert signs >= 118
    assert held >= 0.93 * 120


def test_documents_looked_at_too_rarely_are_not_judged():
    """With few impressions, documents far down have no judgment instead of a guess."""
    few = World(2, sessions=25)
    made = Collection.from_impressions(few.impressions(), propensity=SEEN.tolist())
    judged = {doc_id for grades in made.qrels.values() for doc_id in grades}
    assert "d0" in judged
    assert "d4" not in judged
    assert few.verdict(made).decision == "undecided"
    with pytest.raises(InvalidArgument, match="looked at often enough"):
        Collection.from_impressions([("one", "d1", 1, 1), ("one", "d2", 2, 0)], propensity=[1, 0.5])


def test_positions_that_never_varied_cannot_be_fitted():
    """Documents that always stood at one place do not tell position from relevance."""
    fixed = [one for one in World(4).impressions() if int(one[1][1]) + 1 == one[2]]
    with pytest.raises(InvalidArgument, match=r"cannot be fitted. Swap some results"):
        Collection.from_impressions(fixed)
    assert len(Collection.from_impressions(fixed, propensity=SEEN.tolist())) == 60


def test_positions_that_hardly_varied_prove_nothing():
    """Where few clicks tell the positions apart, no verdict is proven."""
    world = World(3)
    rows = [one for one in world.impressions() if int(one[1][1]) + 1 == one[2]]
    rows += [("query 0", "d0", 2, 1, 3), ("query 0", "d1", 1, 1, 3)]
    rows += [("query 0", f"d{at}", 1, 1, 2) for at in (2, 3, 4)]
    made = Collection.from_impressions(rows)
    assert "varied too little" in made.caveat
    assert world.verdict(made).decision == "undecided"


def test_a_log_as_a_table(world, tmp_path):
    """A table of single or counted impressions is read like the tuples."""
    lines = ["Query;DocID;Rank;Clicks;Impressions"]
    lines += [";".join(map(str, one)) for one in world.impressions()]
    (tmp_path / "log.csv").write_text("\n".join(lines))
    made = Collection.from_impressions(tmp_path / "log.csv")
    assert made.qrels == Collection.from_impressions(world.impressions()).qrels
    assert made.name == "log.csv"
    (tmp_path / "one.csv").write_text("query,doc_id,position,clicked\n" + "one,d1,1,yes\n" * 90)
    assert len(Collection.from_impressions(tmp_path / "one.csv", propensity={1: 1.0})) == 1


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ([("one", "d1", 0, 1)], {}, "positions start at 1"),
        ([("one", "d1", 1, 3, 2)], {}, "at most as often as it was shown"),
        ([("one", "d1", 1)], {}, "tuple of 4 or 5"),
        ([("one", "d1", 1.5, 1)], {}, "whole numbers"),
        ([("one", 3, 1, 1)], {}, "document id"),
        ([], {}, "at least one impression"),
        ([("one", "d1", 3, 1)], {"propensity": [1, 0.5]}, "lacks position 3"),
        ([("one", "d1", 1, 1)], {"propensity": [0]}, "above 0 and at most 1"),
        ([("one", "d1", 1, 1)], {"propensity": 0.5}, "must map positions"),
        ([("one", "d1", 1, 1)], {"clip": 2}, "clip=2"),
    ],
)
def test_what_is_no_log_is_refused(given, options, message):
    """Impossible positions, counts and propensities are named."""
    with pytest.raises((InvalidArgument, MalformedData), match=message):
        Collection.from_impressions(given, **options)


def test_grades_of_people_are_not_mistaken_for_percent(tmp_path):
    """Where grades are percent, a 1 or a "yes" of a person would say "not relevant": refused."""
    clicked = Collection.from_impressions(World(1).impressions())
    query_id = next(iter(clicked.queries))
    path = tmp_path / "judge.csv"
    for given in ("1", "yes", "2"):
        path.write_text(f"query_id,doc_id,grade\n{query_id},new,{given}\n{query_id},other,0\n")
        with pytest.raises(InvalidArgument, match=r"from 50 on.*give 100"):
            clicked.with_judgments(path)
    for given in ("100", "0"):
        path.write_text(f"query_id,doc_id,grade\n{query_id},new,{given}\n")
        assert clicked.with_judgments(path).qrels[query_id]["new"] == int(given)
