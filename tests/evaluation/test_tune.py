"""Which setting to run, chosen on recorded scores and evaluated on held-out queries."""

import gc
import json
import weakref

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from recorded import pipeline, questions
from tunable import Judge, Source, collection, recording

from runoff import TwoStage
from runoff.errors import InvalidArgument
from runoff.evaluation import Collection, Recording, Setting, record, replay, tune
from runoff.evaluation._grid import Answers, grid_settings, own_setting
from runoff.evaluation._measures.choice import cheapest_of_the_best, front, held_out
from runoff.evaluation._trials import Trials
from runoff.evaluation._tune import choose
from runoff.fusion import RRF, Convex
from runoff.fusion._default import default_fusion
from runoff.rerank import Price
from runoff.scores import ScoreKind, Threshold

pytest.importorskip("ir_measures")

CONSTANT = Judge(0.0, noise=0.0, decoys=0.0)
MIXES = [{"good": 1, "noise": 0}, {"good": 0, "noise": 1}, {"good": 3, "noise": 1}]


def test_equal_settings_keep_what_you_have():
    """If all settings answer and cost the same, the configured one stays, with no gain."""
    found = tune(recording(CONSTANT), collection(), grid={"blend": [0.3, 0.7]})
    assert found.tried == 3
    assert found.decision == "keep what you have"
    assert found.recommended == found.configured
    assert (found.gain, found.optimism, found.agreement) == (0, 0, 1)


def test_a_source_of_noise_gets_no_weight():
    """Of a good source and a random one, the good one alone is chosen."""
    made = recording(None, {"good": 1.0, "noise": 0.0})
    found = tune(made, collection(), grid={"weights": MIXES, "fusion": [RRF(), Convex()]})
    assert found.decision == "better"
    assert found.recommended.setting.sources == ("good",)
    assert found.interval[0] > 0


def test_two_good_sources_are_both_kept():
    """Sources that err in different places are fused: neither alone is chosen."""
    made = recording(None, {"one": 0.6, "two": 0.6})
    alone = [{"one": 1, "two": 0}, {"one": 0, "two": 1}]
    found = tune(made, collection(), grid={"weights": alone})
    assert found.decision == "keep what you have"
    assert found.recommended.setting.sources == ("one", "two")


def test_a_harmful_reranker_is_left_out():
    """With a harmful scorer, no second stage is chosen."""
    found = tune(recording(Judge(-1.0)), collection(), grid={"window": [0, 5, 20]})
    assert found.decision == "better"
    assert found.recommended.setting.window == 0
    assert found.recommended.pairs == 0


def test_a_useless_reranker_is_left_out_for_its_cost():
    """If the second stage changes nothing, the cheaper setting without it is chosen."""
    made, judged = recording(CONSTANT, many=120), collection(120)
    found = tune(made, judged, grid={"window": [0, 20]}, bound=0.04)
    assert found.decision == "cheaper"
    assert found.recommended.setting.window == 0
    assert "0 pairs instead of 20" in found.reason


def test_a_better_window_is_found():
    """With a strong scorer over a weak source, a wider window is chosen."""
    found = tune(recording(Judge(3.0), {"poor": 0.0}, window=5), collection())
    assert found.decision == "better"
    assert found.recommended.setting.window == 50
    assert found.held_out == pytest.approx(found.configured.quality + found.gain)


def test_few_queries_change_nothing():
    """With a handful of queries nothing is changed, however good another setting looks."""
    found = tune(recording(Judge(-3.0), many=8), collection(8), grid={"window": [0]})
    assert found.chosen.setting.window == 0
    assert found.decision == "keep what you have"
    assert "too few" in found.reason
    assert tune(recording(Judge(), many=1), collection(1)).gain == 0


def test_that_nothing_is_lost_takes_many_queries():
    """99 unchanged queries do not prove a cheaper setting safe: 3% of all may lose everything."""
    found = tune(recording(CONSTANT, many=99), collection(99), grid={"window": [0, 20]})
    assert (found.chosen.setting.window, found.decision) == (0, "keep what you have")
    assert "99 queries are too few to show that it loses no more" in found.reason
    assert found.interval == pytest.approx((-0.037, 0.037), abs=0.002)


def test_a_source_left_out_is_as_if_it_did_not_exist():
    """Answers without a source are those of the live pipeline without it, id for id."""
    made, judged = recording(Judge(), {"good": 0.5, "noise": 0.0}, many=8), collection(8)
    setting = Setting(("noise",), default_fusion(), 15, 20, 0.4)
    runs = Answers(made, list(judged.queries)).to(setting, 30)
    live = TwoStage(
        {"noise": Source(0.0, "noise")}, reranker=Judge(default_blend=0.4), depth=15, window=20
    )
    for query_id, text in judged.queries.items():
        assert list(runs[query_id]) == [one.doc_id for one in live.search(text, top_k=30)]


def test_a_setting_that_was_not_recorded_is_left_out_and_said():
    """A window beyond the recorded one is left out; a note says why."""
    made = recording(Judge(3.0), {"poor": 0.0}, recorded=20)
    found = tune(made, collection(), grid={"window": [10, 20, 50]})
    assert found.tried == 2
    assert "1 setting was left out" in found.notes[-1]
    assert found.recommended.setting.window <= 20


def test_thresholds_are_tried():
    """A threshold that drops everything is tried and not chosen."""
    limit = Threshold(100.0, ScoreKind.LOGIT)
    made = recording(Judge(3.0))
    found = tune(made, collection(), grid={"threshold": [None, limit]})
    assert found.decision == "keep what you have"
    assert found.tried == 2
    assert min(one.quality for one in found.front) > 0


def test_the_default_grid_holds_the_configured_values():
    """The default grid starts with the configured setting, and tries each source alone."""
    made = recording(Judge(default_blend=0.5), {"good": 0.5, "noise": 0.0}, many=3)
    every = grid_settings(made.setup)
    assert every[0] == own_setting(made.setup)
    assert len(set(map(repr, every))) == len(every) < 400
    assert {one.sources for one in every} == {("good", "noise"), ("good",), ("noise",)}
    alike = {one.fusion for one in every if not getattr(one.fusion, "weights", None)}
    assert alike == {Convex(normalizer="zscore"), RRF()}


@example(1, 11, 11)  # two are equally good, and rounding says otherwise
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(2, 30))
def test_the_rule_is_cheap_and_within_one_error(seed, many, queries):
    """The choice is within one standard error of the best, and nothing cheaper is."""
    rng = np.random.default_rng(seed)
    values, rank = rng.random((many, queries)).round(1), rng.integers(0, 4, many)
    chosen = cheapest_of_the_best(values, rank)
    best = values[int(values.mean(axis=1).round(9).argmax())]  # of equals, the first
    deficit = best - values
    error = deficit.std(axis=1, ddof=1) / np.sqrt(queries)
    near = deficit.mean(axis=1) <= error + 1e-9
    assert near[chosen]
    assert rank[chosen] == rank[near].min()


def test_held_out_queries_have_no_part_in_the_choice():
    """Settings that are each best on a single query gain nothing on held-out queries."""
    queries = 40
    values = np.vstack([np.full(queries, 0.5), np.eye(queries)])
    values[1:][np.eye(queries) == 0] = 0.49
    rank = np.arange(len(values))[::-1]
    ahead = held_out(values, rank, folds=queries, rounds=2, seed=0, errors=0.0)
    assert len(ahead.chosen) == 2 * queries
    assert (ahead.values[:, None] != 1).all()


@pytest.mark.slow("2 s: 40 draws of noise")
def test_chance_is_not_taken_for_gain():
    """Of 50 settings of pure noise the best looks better, but in 40 draws at most 3 are chosen."""
    looks, found = [], []
    for seed in range(40):
        values = np.random.default_rng(seed).normal(0.5, 0.2, (50, 100))
        one = Setting(("one",), RRF(), 10, 10)
        none = np.zeros(values.shape)
        trials = Trials((one,) * 50, tuple(map(str, range(100))), {"m": values}, none, none, None)
        looks.append(values.mean(axis=1).max() - values[0].mean())
        found.append(choose(trials, seed=seed))
    assert np.mean(looks) > 0.03
    assert sum(one.decision != "keep what you have" for one in found) <= 3
    assert abs(np.mean([one.held_out for one in found]) - 0.5) < 0.01


@given(st.integers(0, 2**32 - 1), st.integers(1, 25))
def test_the_front_is_what_nothing_beats(seed, many):
    """A setting is on the front if and only if no other is as good in all and better in one."""
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 4, (many, 3)).astype(float)
    gains, slow, usage = table.T
    kept = front(gains, [slow, usage])
    costs = np.column_stack([-gains, slow, usage])
    for at, row in enumerate(costs):
        beaten = ((costs <= row).all(axis=1) & (costs < row).any(axis=1)).any()
        alike = [one for one in kept if (costs[one] == row).all()]
        assert len(alike) == (0 if beaten else 1), at
    assert list(gains[kept]) == sorted(gains[kept])


def test_it_is_told_as_text_and_as_json():
    """The text starts with the decision, `to_dict` survives JSON, and a seed fixes the answer."""
    made = recording(Judge(3.0), {"good": 0.5, "noise": 0.0})
    options = {"grid": {"window": [0, 10, 20], "weights": MIXES}, "price": Price(per_1k_pairs=1.0)}
    found = tune(made, collection(), **options)
    assert str(found).startswith(f"{found.decision}: ")
    assert "good" in str(found.recommended)
    told = json.loads(json.dumps(found.to_dict()))
    assert told["recommended"]["cost"] == pytest.approx(found.recommended.pairs / 1000)
    assert told["front"][-1]["quality"] == max(one["quality"] for one in told["front"])
    assert tune(made, collection(), **options) == found


@pytest.mark.parametrize(
    "wrong",
    [
        {"grid": {"k": [1]}},
        {"grid": {"window": []}},
        {"grid": {"window": [-1]}},
        {"grid": {"depth": [0]}},
        {"grid": {"blend": [1.5]}},
        {"grid": {"threshold": [0.5]}},
        {"grid": {"fusion": [RRF]}},
        {"grid": {"weights": [{"other": 1}]}},
        {"grid": {"weights": [{"good": 0}]}},
        {"bound": 0},
        {"folds": 1},
        {"rounds": 0},
        {"price": 3},
    ],
)
def test_what_cannot_be_is_refused(wrong):
    """Invalid arguments are refused by name."""
    with pytest.raises(InvalidArgument):
        tune(recording(Judge(), many=3), collection(3), **wrong)


def test_settings_that_differ_are_told_apart():
    """No two settings of a grid have the same text, whichever part of the fusion differs."""
    fusions = [RRF(), RRF(rank_constant=1), Convex(), Convex(normalizer="minmax")]
    setup = recording(Judge(), {"one": 0.5, "two": 0.5}, many=2).setup
    told = [str(one) for one in grid_settings(setup, {"fusion": fusions, "depth": [10, 50]})]
    assert len(set(told)) == len(told)


def test_one_choice_of_sources_is_held(monkeypatch):
    """Only one recording with fewer sources is kept, so memory does not grow with their number."""
    held = []

    def watched(part, **options):
        held.append(weakref.ref(part))
        return replay(part, **options)

    monkeypatch.setattr("runoff.evaluation._grid.replay", watched)
    made = recording(Judge(), {"one": 0.5, "two": 0.5}, many=4)
    answers = Answers(made, list(made.query_ids))
    for sources in (("one",), ("two",), ("one", "two")):
        answers.to(Setting(sources, RRF(), 10, 5), 10)
    gc.collect()
    assert [part() is not None for part in held] == [False, False, True]


def test_every_shard_is_read_once(tmp_path, monkeypatch):
    """No shard is decoded twice, however the judged queries are spread over shards."""
    shards = pytest.importorskip("runoff._recording.shards")
    asked = questions(70)
    monkeypatch.setattr(shards, "_MERGED", 12)
    record(pipeline(), asked, 40, path=tmp_path / "made", progress=False)
    opened = Recording.open(tmp_path / "made")
    read, whole = [], shards.Folder._table

    def counted(folder, shard, columns=None):
        read.append(shard)
        return whole(folder, shard, columns)

    monkeypatch.setattr(shards.Folder, "_table", counted)
    ids = sorted(asked.queries, key=lambda one: one[::-1])
    assert [one.query_id for one in Answers(opened, ids).queries] == ids
    assert len(read) == len(set(read)) == 6  # five of twelve queries, and one of ten


def test_a_question_asked_many_times_counts_once():
    """A gain on one question is not proven by asking it again under other ids."""
    ids = [f"q{at}" for at in range(60)]
    texts = {one: f"moon and sea {at % 3}" for at, one in enumerate(ids)}
    judged = Collection(texts, {one: {"d01": 1, "d02": 0} for one in ids})
    made = record(pipeline(), judged, 30, progress=False)
    found = tune(made, judged, grid={"window": [0, 20]})
    assert found.queries == 3
    assert any("57 of 60 queries repeat the text" in note for note in found.notes)
    quality = np.vstack((np.zeros(60), np.linspace(0.2, 0.4, 60)))
    same = np.ones((2, 60))
    own = own_setting(made.setup)
    trials = Trials((own, own), tuple(ids), {"nDCG@10": quality}, same, same, None)
    assert choose(trials).decision == "better"
    assert choose(trials.once_each(dict.fromkeys(ids, "how?"))).decision == "keep what you have"
