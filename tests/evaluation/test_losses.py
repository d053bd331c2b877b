"""The ledger books every loss on the stage that caused it, and its bounds hold."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledgers import Dropping, Listed, Told, ledger
from recorded import Hashed, pipeline, questions

from runoff.errors import InvalidArgument
from runoff.evaluation import Collection, evaluate, record, replay
from runoff.fusion import RRF, Convex
from runoff.grouping import Grouping
from runoff.rerank import Pointwise
from runoff.scores import ScoreKind, Threshold

SECOND = 1 / math.log2(3)  # what rank 2 is worth
THIRD = 0.5
IDEAL_21 = 2 + SECOND  # the best gain of a grade of 2 and one of 1
SIGNED = {"dropped", "degraded", "filtered"}


def threshold(scores, value, **options):
    return Pointwise(Told(scores), threshold=Threshold(value, ScoreKind.LOGIT), **options)


# each: judgments, sources, reranker, other arguments, and the entries that are not 0
BY_HAND = {
    "nothing is lost": ({"a": 1}, {"s": "a b c"}, None, {}, {}),
    "no source has it": ({"x": 1}, {"s": "a b c"}, None, {}, {"not_retrieved": 1}),
    "it is deeper than asked": ({"c": 1}, {"s": "a b c"}, None, {"depth": 2}, {"below_depth": 1}),
    "fusion puts it third, and nothing reads": (
        {"c": 1}, {"s": "a b c"}, None, {}, {"fused_low": 1 - THIRD},
    ),
    "it is one below the window": (
        {"c": 1}, {"s": "a b c"}, Told({"b": 1}), {"window": 2}, {"fused_low": 1 - THIRD},
    ),
    "it is far below the window": (
        {"d": 1}, {"s": "a b c d"}, Told({"b": 1}), {"window": 2}, {"fused_low": 1},
    ),
    "the reranker puts it second": (
        {"a": 1}, {"s": "a b"}, Told({"b": 1}), {}, {"demoted": 1 - SECOND},
    ),
    "the reranker reads half of it": (
        {"a": 1}, {"s": "a b"}, Told({"b": 1}, truncated="a"), {}, {"truncated": 1 - SECOND},
    ),
    "half of what is demoted was cut": (
        {"a": 1, "b": 1}, {"s": "a b c d"}, Told({"c": 1, "d": 1}, truncated="b"), {},
        # the third place is left to a; of 1 + SECOND, a loses 1 - THIRD and b all it had
        {
            "demoted": (1 - THIRD) / (1 + SECOND),
            "truncated": SECOND / (1 + SECOND),
        },
    ),
    "the threshold is above it": (
        {"a": 1}, {"s": "a b"}, threshold({"a": 1, "b": 0.5}, 2), {}, {"filtered": 1},
    ),
    "it is demoted and then filtered": (
        {"a": 1}, {"s": "a b"}, threshold({"a": 1, "b": 3}, 2), {},
        {"demoted": 1 - SECOND, "filtered": SECOND},
    ),
    "another of its group stands for it": (
        {"a2": 1}, {"s": "a1 a2 b"}, None, {"group": "parent"}, {"grouped": 1},
    ),
    "the reranker drops it": ({"a": 1}, {"s": "a b"}, Dropping("a"), {}, {"dropped": 1}),
    "what the reranker drops lets it rise": (
        # the window of 1 leaves it second at best, and it comes first
        {"b": 1}, {"s": "a b"}, Dropping("a"), {"window": 1},
        {"fused_low": 1 - SECOND, "dropped": SECOND - 1},
    ),
    "the reranker fails": (
        {"b": 1}, {"s": "a b"}, Told({"b": 1}, fails=True), {}, {"degraded": 1 - SECOND},
    ),
    "the source that has it fails": (
        {"x": 1}, {"s": "a b", "t": Listed("x", fails=True)}, None, {}, {"degraded": 1},
    ),
    "it is an image, kept at its place": (
        {"b": 1}, {"s": "a b c"}, Told({}), {"images": "b"}, {"fused_low": 1 - SECOND},
    ),
    "the better of two is not there and the other comes second": (
        {"x": 2, "a": 1}, {"s": "a b"}, Told({"b": 1}), {},
        {"not_retrieved": 1 - 1 / IDEAL_21, "demoted": (1 - SECOND) / IDEAL_21},
    ),
    "nothing is relevant": ({"a": 0, "b": -1}, {"s": "a b"}, Told({"b": 1}), {}, {}),
}  # fmt: skip


@pytest.mark.parametrize("case", BY_HAND)
def test_ledger_by_hand(case):
    """Each entry is what was worked out by hand, and every other entry is 0."""
    qrels, sources, reranker, options, expected = BY_HAND[case]
    given_sources = {
        name: one if isinstance(one, Listed) else Listed(one) for name, one in sources.items()
    }
    found = ledger(qrels, given_sources, reranker, **options)
    told = {name: loss for name, loss in found.entries.items() if abs(loss) > 1e-12}
    assert told == pytest.approx(expected)
    assert found.ideal == (1 if max(qrels.values()) > 0 else 0)
    assert found.achieved == pytest.approx(found.ideal - sum(expected.values()))


def test_ceilings_fall_by_hand():
    """The ceilings fall from stage to stage, down to the value of the answer."""
    found = ledger({"x": 1, "a": 1}, {"s": Listed("b c a d")}, Told({"b": 1, "c": 1}))
    top = 1 / (1 + SECOND)
    assert found.ceilings == pytest.approx(
        {"judged": 1, "recorded": top, "depth": top, "grouping": top, "window": top, "kept": top}
        | {"scored": top, "reranked": THIRD * top, "answered": THIRD * top}
    )


def test_documents_say_where_they_were_lost():
    """Every lost document has an entry and a place, and the shares of an entry sum to it."""
    qrels = {"x": 2, "b": 1, "d": 1, "a": 1, "e": 1}
    found = ledger(
        qrels, {"s": Listed("a b c d e")}, Told({"c": 3, "a": 1}, truncated="b"), depth=4, window=3
    )
    told = {one.doc_id: (one.entry, one.where) for one in found.documents()}
    assert told["x"] == ("not_retrieved", "")
    assert told["b"] == ("truncated", "rank 3, its text cut")
    assert told["a"] == ("demoted", "rank 2")
    for entry, loss in found.entries.items():
        shares = math.fsum(one.loss for one in found.documents(entry))
        assert shares == pytest.approx(loss, abs=1e-12)
    deep = ledger({"c": 1}, {"s": Listed("a b c"), "t": Listed("a b d c")}, depth=2)
    assert deep.documents()[0].where == "rank 3 of s, rank 4 of t"
    group = ledger({"a2": 1}, {"s": Listed("a1 a2")}, group="parent")
    assert group.documents()[0].where == "under a1"
    below = ledger({"d": 1}, {"s": Listed("a b c d")}, Told({}), window=2)
    assert below.documents()[0].where == "place 4 after fusion"


QUESTIONS = questions(5)
RECORDED = {}


def recorded(group, levels=7):
    """Record the small pipeline once for each grouping and scorer."""
    if (group, levels) not in RECORDED:
        grouping = None if group is None else Grouping("parent", duplicates=group)
        scorer = Hashed(levels, name=f"hashed {levels}")
        made = pipeline(scorer, group=grouping, depth=20, window=10)
        RECORDED[group, levels] = record(made, QUESTIONS, 40, progress=False)
    return RECORDED[group, levels]


GRADES = st.dictionaries(
    st.integers(0, 65).map("d{:02}".format), st.integers(-1, 3), min_size=1, max_size=12
)
COLLECTIONS = st.fixed_dictionaries(dict.fromkeys(QUESTIONS.queries, GRADES)).map(
    lambda qrels: Collection(QUESTIONS.queries, qrels)
)
SETTINGS = st.fixed_dictionaries(
    {
        "depth": st.integers(1, 40),
        "window": st.integers(1, 60),
        "fusion": st.sampled_from((RRF(), RRF({"bm25": 3.0}), Convex())),
        "blend": st.sampled_from((None, 0.3)),
        "threshold": st.sampled_from((None, Threshold(0.4, ScoreKind.LOGIT))),
    }
)


@given(
    collection=COLLECTIONS,
    chosen=SETTINGS,
    other=SETTINGS,
    group=st.sampled_from((None, 0.5)),
    cutoff=st.sampled_from((1, 3, 10)),
)
def test_losses_sum_and_bounds_hold(collection, chosen, other, group, cutoff):
    """Losses sum to ideal - achieved to 1e-9, and no change of settings gains more than a bound."""
    recording = recorded(group)
    found = recording.losses(collection, cutoff=cutoff, **chosen)
    measured = evaluate(replay(recording, top_k=None, **chosen), collection, [f"nDCG@{cutoff}"])
    achieved = measured.by_query(f"nDCG@{cutoff}")
    for one in found.queries:
        assert one.achieved == pytest.approx(achieved[one.query_id], abs=1e-12)
        assert math.fsum(one.entries.values()) == pytest.approx(one.ideal - one.achieved, abs=1e-9)
        assert all(loss >= 0 for entry, loss in one.entries.items() if entry not in SIGNED)
    assert math.fsum(found.entries.values()) == pytest.approx(found.ideal - found.achieved)
    for move in found.moves:
        assert (move.brings or 0) <= move.at_most + 1e-9
    within = {"depth": "a depth of", "grouping": "no grouping", "fusion": "another fusion"}
    most = {name: _most(found, action) for name, action in within.items()}
    fixes = {
        "fusion": chosen | {name: other[name] for name in ("fusion", "window", "blend")},
        "depth": other,
        "grouping": chosen | {"group": None},
    }
    for name, fix in fixes.items():
        if most[name] is not None:
            gain = recording.losses(collection, cutoff=cutoff, **fix).achieved - found.achieved
            assert gain <= most[name] + 1e-9
    if (better := _most(found, "a better reranker")) is not None:
        for levels in (2, 31):
            fix = chosen | {"reranker": recorded(group, levels), "threshold": None}
            gain = recording.losses(collection, cutoff=cutoff, **fix).achieved - found.achieved
            assert gain <= better + 1e-9


def _most(found, action):
    return next((one.at_most for one in found.moves if one.action.startswith(action)), None)


def test_moves_tell_what_is_known_and_what_is_only_bounded():
    """Moves that can be replayed state their gain; all others only an upper bound."""
    found = ledger(
        {"x": 1, "c": 1, "e": 1}, {"s": Listed("a b c d e")}, Told({"e": 2, "c": 1}),
        window=2, depth=4,
    )  # fmt: skip
    moves = {one.action: one for one in found.moves}
    whole = found.ideal - found.achieved
    assert moves["a better first stage"].at_most == pytest.approx(whole)
    assert moves["a better first stage"].brings is None
    # read at depth 4, c comes first instead of third
    assert moves["a window of 8"].brings == pytest.approx((1 - THIRD) / (1 + SECOND + THIRD))
    losses = [one.loss for one in found.moves]
    assert losses == sorted(losses, reverse=True)


def test_fusion_is_a_move_only_where_there_are_sources_to_fuse():
    """With one source no fusion changes the order, so the move asks for a better first stage."""
    judged, texts = {"c": 1}, {"s": Listed("a b c")}
    alone = ledger(judged, texts, Told({"a": 1}), window=1)
    both = ledger(judged, texts | {"t": Listed("a b c")}, Told({"a": 1}), window=1)
    order, fusion = "a better order of the first stage", "another fusion or other weights"
    assert (_most(alone, order), _most(alone, fusion)) == (pytest.approx(1 - THIRD), None)
    assert (_most(both, order), _most(both, fusion)) == (None, pytest.approx(1 - THIRD))


@pytest.mark.parametrize(("listed", "gain"), [("a b c d", THIRD), ("a b d e c", 0)])
def test_a_greater_depth_is_bounded_by_what_was_recorded(listed, gain):
    """A deeper recall is bounded by the recorded documents in the best order; its gain is stated.

    Of c and x only c was retrieved, below the depth of 2: the rest could place it first at best.
    """
    found = ledger({"c": 1, "x": 1}, {"s": Listed(listed)}, depth=2)
    (move,) = [one for one in found.moves if one.action == "a depth of 8"]
    assert move.loss == pytest.approx(1 / (1 + SECOND))
    assert move.at_most == pytest.approx(1 / (1 + SECOND))
    assert move.brings == pytest.approx(gain / (1 + SECOND))


def test_no_depth_is_a_move_where_nothing_lies_deeper():
    """A source that has no more hits cannot be asked for them."""
    found = ledger({"c": 1, "x": 1}, {"s": Listed("a b")}, depth=2)
    assert [one.action for one in found.moves] == ["a better first stage"]


def test_no_second_stage_is_a_move_where_it_harms():
    """For a harmful reranker, a move is to remove it, with the exact gain."""
    found = ledger({"a": 1}, {"s": Listed("a b")}, Told({"b": 1}))
    (move,) = [one for one in found.moves if one.action == "no second stage"]
    assert move.brings == move.at_most == pytest.approx(1 - SECOND)
    good = ledger({"b": 1}, {"s": Listed("a b")}, Told({"b": 1}))
    assert "no second stage" not in [one.action for one in good.moves]


def test_a_second_stage_is_a_move_where_there_is_none():
    """Without a second stage, the most that one could bring is the window in its best order."""
    found = ledger({"b": 1, "x": 1}, {"s": Listed("a b c")})
    (move,) = [one for one in found.moves if one.action == "a second stage"]
    assert move.at_most == pytest.approx((1 - SECOND) / (1 + SECOND))
    assert found.entries["fused_low"] == pytest.approx(move.at_most)


def test_ledger_is_told_as_text_and_json():
    """The table names what was lost, and `to_dict` has the same figures after JSON."""
    found = ledger({"x": 1, "a": 1}, {"s": Listed("a b")}, Told({"b": 1}))
    told = str(found)
    assert "found by no source" in told
    assert "a better reranker" in told
    assert "grouped under" not in told  # nothing was
    back = json.loads(json.dumps(found.to_dict()))
    assert back["entries"] == dict(found.entries)
    assert back["queries"][0]["documents"][0]["doc_id"] == "x"
    assert repr(found).startswith("Ledger(nDCG@3 0.")
    assert found["q"].query_id == "q"


def test_queries_must_be_recorded_and_those_without_judgments_are_left_out():
    """A judged query that was not recorded is an error; an unjudged one is only noted."""
    recording = recorded(None)
    more = Collection({**QUESTIONS.queries, "new": "who"}, {"new": {"d00": 1}})
    with pytest.raises(InvalidArgument, match="lacks 1 judged query, such as 'new'"):
        recording.losses(more)
    fewer = Collection(QUESTIONS.queries, {"q0": {"d00": 1}, "q1": {"d00": 0}})
    found = recording.losses(fewer)
    assert len(found.queries) == 2
    assert found.notes[: len(fewer.notes)] == fewer.notes
    assert len(found.notes) == len(fewer.notes) + 2
    with pytest.raises(InvalidArgument, match="pass cutoff="):
        recording.losses(fewer, top_k=3)
