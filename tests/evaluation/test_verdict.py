"""The verdict claims what the figures prove, and no more."""

import json

import numpy as np
import pytest

from runoff.errors import InvalidArgument
from runoff.evaluation import Collection, Comparison, Verdict, evaluate, verdict


def _values(numbers, measure="nDCG@10"):
    return {measure: {f"q{at}": float(value) for at, value in enumerate(numbers)}}


def _shifted(size, queries=100, seed=1, spread=0.1):
    """Return values before and after of which the mean differs by about `size`."""
    rng = np.random.default_rng(seed)
    before = rng.uniform(0.3, 0.7, queries)
    return _values(before), _values(before + rng.normal(size, spread, queries))


def test_figures_by_hand():
    """Means, difference, wins, ties, losses and the most changed queries are correct."""
    found = verdict(_values([0.5, 0.5, 0.5, 1.0]), _values([1.0, 0.75, 0.5, 0.5]))
    main = found.main
    assert (main.measure, main.slice, main.queries) == ("nDCG@10", None, 4)
    assert (main.before, main.after, main.difference) == (0.625, 0.6875, 0.0625)
    assert (main.wins, main.ties, main.losses) == (2, 1, 1)
    assert [(one.query_id, one.before, one.after) for one in found.helped] == [
        ("q0", 0.5, 1.0),
        ("q1", 0.5, 0.75),
    ]
    assert [one.query_id for one in found.hurt] == ["q3"]
    assert found.decision == "undecided"
    assert found.comparisons == (main,)


@pytest.mark.parametrize(
    ("size", "decision", "better"), [(0.05, "keep", True), (-0.05, "remove", False)]
)
def test_keep_and_remove(size, decision, better):
    """A proven gain means keep, and a proven loss means remove."""
    found = verdict(*_shifted(size))
    assert found.decision == decision
    assert (found.main.interval[0] > 0) is better
    assert found.main.adjusted_p <= 0.05
    assert found.more_queries is None
    assert "is proven" in found.reason


def test_sides_are_alike():
    """Changing sides turns gains into losses of the same size, with the same p."""
    before, after = _shifted(0.05)
    there, back = verdict(before, after), verdict(after, before)
    assert (there.decision, back.decision) == ("keep", "remove")
    assert back.main.difference == pytest.approx(-there.main.difference)
    assert back.main.p == there.main.p
    assert (back.main.wins, back.main.losses) == (there.main.losses, there.main.wins)
    assert back.main.interval == pytest.approx(
        [-end for end in there.main.interval[::-1]], abs=1e-9
    )


def test_no_effect_needs_the_worst_case_within_the_bound():
    """No effect is claimed if even rare changes that were not seen leave it within the bound."""
    small = _shifted(0.002, queries=600, spread=0.02)
    found = verdict(*small, rounds=2000)
    assert found.decision == "no effect"
    assert -0.01 <= found.main.worst[0] <= found.main.interval[0]
    assert found.main.interval[1] <= found.main.worst[1] <= 0.01
    assert verdict(*small, bound=0.001).decision != "no effect"


@pytest.mark.parametrize(("queries", "decision"), [(355, "undecided"), (380, "no effect")])
def test_no_change_on_too_few_queries_is_undecided(queries, decision):
    """Without a change, 1% of queries may still lose 1.0 up to 367 queries (Clopper, Pearson)."""
    same = _values([0.5] * queries)
    found = verdict(same, same)
    assert found.decision == decision
    exact = 1 - 0.025 ** (1 / queries)
    assert found.main.worst == pytest.approx((-exact, exact), rel=0.05)
    assert verdict(same, same, bound=0.02).decision == "no effect"


def test_rare_harm_is_not_called_no_effect():
    """1.5% of queries that lose 1.0, or 2% that lose .75, are no effect in at most 2% of samples.

    0.1.0 said so in 20% and 12% of the samples of 100 queries.
    """
    rng = np.random.default_rng(6)
    for share, loss in ((0.015, 1.0), (0.02, 0.75)):
        called = 0
        for queries in (100, 200):
            for seed in range(12):
                after = 1 - loss * (rng.random(queries) < share)
                given = _values(np.ones(queries)), _values(after)
                called += verdict(*given, rounds=500, seed=seed).decision == "no effect"
        assert called / 24 <= 0.02


@pytest.mark.parametrize("spread", [0.02, 0.2])
def test_interval_and_decision_never_contradict(spread):
    """The interval excludes 0 exactly if the difference is proven, also at a share of the level."""
    rng = np.random.default_rng(8)
    for seed in range(30):
        queries = int(rng.integers(8, 80))
        change = rng.normal(0.3 * spread, spread, queries) * (rng.random(queries) < rng.random())
        before = {"nDCG@10": dict.fromkeys(map(str, range(queries)), 0.5)}
        after = {"nDCG@10": {str(at): 0.5 + value for at, value in enumerate(change.tolist())}}
        slices = {"third": {str(at): at % 3 for at in range(queries)}} if seed % 2 else None
        found = verdict(before, after, slices=slices, rounds=999, seed=seed)
        for one in found.comparisons:
            low, high = one.interval
            assert (not low <= 0 <= high) == (one.adjusted_p <= 0.05)
        assert found.decision != "keep" or found.main.interval[0] > 0
        assert found.decision != "remove" or found.main.interval[1] < 0


def test_a_proven_difference_within_the_bound_is_no_effect():
    """A proven gain that is within the bound even in the worst case counts as no effect."""
    found = verdict(*_shifted(0.005, queries=2000, spread=0.02), rounds=2000)
    assert found.main.adjusted_p <= 0.05
    assert found.main.interval[0] > 0
    assert found.decision == "no effect"


def test_no_change_at_all_says_what_could_be_unseen():
    """If no query changed, a note says which share of queries could still change."""
    same = _values([0.5] * 100)
    assert "up to 3.0% of all queries" in verdict(same, same).notes[0]


def test_undecided_says_between_which_numbers_of_queries_decide():
    """An undecided verdict gives a range of more queries; with the upper end it is decided."""
    found = verdict(*_shifted(0.003, queries=100, seed=5, spread=0.04))
    assert found.decision == "undecided"
    few, many = found.more_queries
    assert 1 <= few < many <= 10 * (few + 100)
    assert f"{few:,} to {many:,} more judged queries" in found.reason
    decided = [
        verdict(*_shifted(0.003, 100 + many, seed, 0.04), rounds=500).decision
        for seed in range(100, 110)
    ]
    assert decided.count("undecided") <= 1


def test_undecided_says_when_nothing_can_be_said():
    """With 30 noisy queries no number is given: 0.1.0 predicted from 153 to 9,864 by chance."""
    found = verdict(*_shifted(0.007, queries=30, seed=3, spread=0.2))
    assert (found.decision, found.more_queries) == ("undecided", None)
    assert "cannot show how many more would decide" in found.reason


def test_few_queries_that_agree():
    """Four queries cannot prove a gain: six that agree would, as 2 / 2**6 is below .05."""
    found = verdict(_values([0.5] * 4), _values([0.6] * 4))
    assert found.decision == "undecided"
    assert verdict(_values([0.5] * 6), _values([0.6] * 6)).decision == "keep"
    assert verdict(_values([0.5]), _values([0.6])).detectable is None  # one query has no spread


def _two_kinds(help_by, harm_by, queries=200):
    rng = np.random.default_rng(5)
    before = rng.uniform(0.3, 0.7, queries)
    kinds = {f"q{at}": "en" if at % 2 else "de" for at in range(queries)}
    change = np.where(np.arange(queries) % 2, help_by, harm_by) + rng.normal(0, 0.05, queries)
    return _values(before), _values(before + change), kinds


def test_keep_for_the_slices_it_helps():
    """A system that helps English as much as it harms German is kept for English only."""
    before, after, kinds = _two_kinds(0.08, -0.08)
    assert verdict(before, after).decision in {"undecided", "no effect"}
    found = verdict(before, after, slices={"language": kinds})
    assert found.decision == "keep for these slices"
    assert found.keep_for == (("language", "en"),)
    assert found.remove_for == (("language", "de"),)
    assert "keep it for language=en; it harms language=de" in found.reason


def test_a_gain_that_harms_a_slice():
    """A system that helps on the whole but harms a slice is kept for the other slices."""
    before, after, kinds = _two_kinds(0.2, -0.04)
    found = verdict(before, after, slices={"language": kinds.get})
    assert found.decision == "keep for these slices"
    assert (found.keep_for, found.remove_for) == ((("language", "en"),), (("language", "de"),))


def test_a_harm_on_the_whole_is_one_though_a_slice_gains():
    """A proven loss on all queries is harm, even if one slice is helped and none harmed."""
    before, after, kinds = _two_kinds(0.06, -0.2)
    english = {one: kind for one, kind in kinds.items() if kind == "en"}
    found = verdict(before, after, slices={"language": english})
    assert (found.decision, found.remove_for) == ("keep for these slices", ())
    assert found.harms
    assert not verdict(*_shifted(-0.002, queries=2000, spread=0.01)).harms  # proven, and no effect


def test_a_harmed_slice_forbids_no_effect():
    """A slice that is proven harmed is named, even if the whole does not change."""
    rng = np.random.default_rng(8)
    before = rng.uniform(0.3, 0.7, 600)
    rare = np.arange(600) < 40
    after = before + np.where(rare, -0.08, 0.0055) + rng.normal(0, 0.03, 600)
    slices = {"kind": lambda one: "rare" if int(one[1:]) < 40 else None}
    found = verdict(_values(before), _values(after), slices=slices)
    assert verdict(_values(before), _values(after)).decision == "no effect"
    assert (found.decision, found.remove_for) == ("undecided", (("kind", "rare"),))
    assert "it harms kind=rare" in found.reason


def test_a_gain_everywhere_is_kept_everywhere():
    """If all slices are helped the decision is keep, and they are named."""
    before, after, kinds = _two_kinds(0.08, 0.08)
    found = verdict(before, after, slices={"language": kinds})
    assert found.decision == "keep"
    assert set(found.keep_for) == {("language", "en"), ("language", "de")}


def test_slices_are_compared_on_their_own_queries():
    """A slice's figures are those of a verdict on its queries alone, except the adjusted p."""
    before, after, kinds = _two_kinds(0.08, -0.02)
    whole = verdict(before, after, slices={"language": kinds})
    english = {one.slice: one for one in whole.comparisons}["language", "en"]
    chosen = [
        {"nDCG@10": {one: x for one, x in given["nDCG@10"].items() if kinds[one] == "en"}}
        for given in (before, after)
    ]
    alone = verdict(*chosen).main
    for name in ("queries", "before", "after", "difference", "wins", "ties", "losses"):
        assert getattr(english, name) == pytest.approx(getattr(alone, name))
    assert english.interval == pytest.approx(alone.interval, abs=0.004)
    assert english.adjusted_p >= english.p


def test_small_slices_are_not_tested():
    """Slices of fewer than `smallest` queries are left out with a note, and so is one of all."""
    before, after = _shifted(0.05)
    kinds = {f"q{at}": "rare" if at < 9 else "common" for at in range(100)}
    found = verdict(before, after, slices={"kind": kinds, "same": lambda _: "x"})
    assert [one.slice for one in found.comparisons] == [None, ("kind", "common")]
    assert "1 slice of 'kind' has fewer than 10 queries" in found.notes[0]
    assert len(verdict(before, after, slices={"kind": kinds}, smallest=9).comparisons) == 3


def test_more_questions_need_more_proof():
    """The main question gets .8 of the level, and the others share the rest."""
    before, after = _shifted(0.03)
    for given in (before, after):
        given["RR@10"] = given["nDCG@10"]
    found = verdict(before, after)
    main, other = found.comparisons
    assert main.p == other.p
    assert main.adjusted_p == pytest.approx(main.p / 0.8)
    assert other.adjusted_p == pytest.approx(max(main.p / 0.8, main.p))
    assert verdict(_shifted(0.03)[0], _shifted(0.03)[1]).main.adjusted_p == main.p


def test_too_few_rounds_for_so_many_questions_are_noted():
    """If the rounds are too few to prove any of the comparisons, a note says so."""
    before, after = _shifted(0.05)
    kinds = {f"q{at}": at % 5 for at in range(100)}
    found = verdict(before, after, slices={"kind": kinds}, rounds=300)
    assert any("300 rounds are too few" in note for note in found.notes)
    assert verdict(before, after, slices={"kind": kinds}).notes == ()


def test_same_seed_same_verdict():
    """The same seed gives the same verdict, and another nearly the same."""
    before, after = _shifted(0.03)
    one, same, other = (verdict(before, after, seed=seed) for seed in (0, 0, 1))
    assert one == same
    assert other.main.interval != one.main.interval
    assert other.main.p == pytest.approx(one.main.p, abs=0.02)


def test_order_of_queries_does_not_matter():
    """Values are paired by query id, not by their order."""
    before, after = _shifted(0.05)
    turned = {"nDCG@10": dict(reversed(after["nDCG@10"].items()))}
    assert verdict(before, turned) == verdict(before, after)


def test_as_json_and_as_text():
    """`to_dict` survives JSON, and the text names the decision and the figures."""
    before, after, kinds = _two_kinds(0.08, -0.08)
    found = verdict(before, after, slices={"language": kinds})
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain["decision"] == found.decision
    assert plain["main"]["interval"] == list(found.main.interval)
    text = str(found)
    assert text.startswith("keep for these slices: nDCG@10")
    assert "language=en (100)" in text
    assert f"helped {found.helped[0].query_id}" in text
    assert isinstance(found, Verdict)
    assert isinstance(found.main, Comparison)


@pytest.mark.parametrize(
    ("before", "after", "options", "message"),
    [
        (_values([1, 2]), _values([1, 2, 3]), {}, "'q2': is a query with a missing value"),
        (_values([1, 2]), _values([1, 2], "RR@10"), {}, "measures as `before`, .'nDCG@10'."),
        (_values([1, np.nan]), _values([1, 2]), {}, r"before\['nDCG@10'\].*finite.*'q1'"),
        ({}, {}, {}, "before=.*at least one measure and one query"),
        (_values([]), _values([]), {}, "before=.*at least one measure and one query"),
        (_values([1]), _values([1]), {"level": 0}, "level=0"),
        (_values([1]), _values([1]), {"level": 1.0}, "level=1.0"),
        (_values([1]), _values([1]), {"bound": -0.1}, "bound=-0.1"),
        (_values([1]), _values([1]), {"rounds": 0}, "rounds=0"),
        (_values([1]), _values([1]), {"slices": {"s": 3}}, r"slices\['s'\]=3"),
        (
            _values([1]),
            _values([1]),
            {"slices": {"s": {"x": 1}}},
            "no slice for any of the queries",
        ),
    ],
)
def test_what_cannot_be_compared(before, after, options, message):
    """Different queries or measures, non-finite values and invalid options are refused by name."""
    with pytest.raises(InvalidArgument, match=message):
        verdict(before, after, **options)


def test_judged_shares_and_their_caution():
    """Every comparison shows Judged@k, and a gap between the two systems adds a caution."""
    pytest.importorskip("ir_measures")
    from runoff.evaluation import evaluate

    queries = {f"q{at}": f"question {at}" for at in range(40)}
    collection = Collection(queries, {one: {f"{one}-a": 1, f"{one}-b": 0} for one in queries})
    before = evaluate({one: [f"{one}-a", f"{one}-b"] for one in queries}, collection)
    after = evaluate({one: ["new", f"{one}-a"] for one in queries}, collection)
    found = verdict(before, after)
    assert found.decision == "undecided"  # the new document may be relevant
    assert verdict(before, after, unjudged=0).decision == "remove"
    assert found.main.judged == (1.0, 0.5)
    assert "judged 1.00 -> 0.50" in str(found.main)
    assert "Fewer results of `after` were judged (100% before, 50% after)" in found.notes[0]
    assert found.hurt[0].text.startswith("question")
    assert [one.measure for one in found.comparisons] == ["nDCG@10", "RR@10", "R@100"]


def test_a_question_asked_many_times_is_one_question():
    """Sixty ids of one text prove nothing that one does not; sixty texts do."""
    ids = [f"q{at}" for at in range(60)]
    documents = [f"d{at}" for at in range(9)]
    grades = {one: {**dict.fromkeys(documents, 0), "d3": 1} for one in ids}
    after = {key: ["d3", "d0", "d1"] for key in ids}

    def decided(texts):
        collection = Collection(texts, grades)
        runs = (dict.fromkeys(ids, documents), after)
        return verdict(*(evaluate(run, collection, ["nDCG@10"]) for run in runs), rounds=1000)

    apart = decided({one: f"how {one}?" for one in ids})
    assert apart.decision == "keep"
    again = decided({one: "How?" if at % 2 else " how? " for at, one in enumerate(ids)})
    assert again.decision == "undecided"
    assert again.main.queries == 1
    assert again.main.difference == pytest.approx(apart.main.difference)
    assert any("59 of 60 queries repeat the text of another" in note for note in again.notes)
    assert len(again.changes) == len(ids)


def test_judgments_without_a_relevant_document_prove_nothing():
    """Every value is 0 whatever a system returns, which is not "no effect"."""
    ids = [f"q{at}" for at in range(3000)]
    collection = Collection(
        {one: f"how {one}?" for one in ids}, {key: {"d1": 0, "d2": 0} for key in ids}
    )
    runs = ({key: ["d1", "d2"] for key in ids}, {key: ["d2", "d1"] for key in ids})
    found = verdict(*(evaluate(run, collection, ["nDCG@10"]) for run in runs), rounds=100)
    assert found.decision == "undecided"
    assert "all of documents that are not relevant" in found.reason
