import dataclasses
import math
import pickle

import numpy as np
import pytest

from runoff import protocols
from runoff.errors import InvalidArgument
from runoff.fusion import RRF


def test_paper_arithmetic(ranking):
    """A document scores 1 / (60 + rank) in each list, ranks from 1, as in the paper."""
    fused = RRF().fuse({"bm25": ranking(("a", 9), ("b", 8)), "dense": ranking(("b", 0.7))})
    assert fused == {"a": 1 / 61, "b": math.fsum([1 / 62, 1 / 61])}


def test_weights_and_constant(ranking):
    """A weight multiplies its source's share, a source without one weighs 1."""
    fused = RRF({"bm25": 3}, rank_constant=1).fuse(
        {"bm25": ranking(("a", 9), ("b", 8)), "dense": ranking(("b", 0.7))}
    )
    assert fused == {"a": 3 / 2, "b": 3 / 3 + 1 / 2}


def test_scores_are_not_read(ranking):
    """Scores that are NaN or in the wrong order change nothing: only positions count."""
    fused = RRF().fuse({"s": ranking(("a", math.nan), ("b", -math.inf), ("c", 5.0))})
    assert fused == {"a": 1 / 61, "b": 1 / 62, "c": 1 / 63}


def test_duplicates_count_once(ranking):
    """A key that a list holds twice counts at its better rank alone; others keep their rank."""
    fused = RRF().fuse({"s": ranking(("a", 9), ("a", 8), ("b", 7))})
    assert fused == {"a": 1 / 61, "b": 1 / 63}


def test_keys_identify(ranking):
    """Hits are merged by key, whatever their ids are."""
    left, right = ranking(("a", 9)), ranking(("uuid", 0.3))
    fused = RRF().fuse(
        {
            "left": [dataclasses.replace(left[0], key="text:1")],
            "right": [dataclasses.replace(right[0], key="text:1")],
        }
    )
    assert fused == {"text:1": 2 / 61}


def test_source_order_changes_no_bit(ranking):
    """Sums whose plain addition depends on the order of sources are the same bit by bit."""
    fill = [(f"x{i}", -i) for i in range(30)]
    lists = {
        "one": ranking(*fill[:2], ("a", -50)),
        "two": ranking(*fill[:6], ("a", -50)),
        "three": ranking(*fill[:0], ("a", -50)),
    }
    plain = {
        1 / (60 + order[0])
        + 1 / (60 + order[1])
        + 1 / (60 + order[2])  # sum() compensates since 3.12
        for order in ((3, 7, 1), (7, 3, 1), (1, 7, 3), (3, 1, 7), (7, 1, 3), (1, 3, 7))
    }
    backwards = dict(reversed(lists.items()))
    assert len(plain) > 1
    assert RRF().fuse(lists) == RRF().fuse(backwards)


def test_nothing_found(ranking):
    """No source, empty lists and a lone list are answered without ado."""
    assert RRF().fuse({}) == {}
    assert RRF({"s": 2}).fuse({"s": [], "t": []}) == {}
    assert RRF().fuse({"s": [], "t": ranking(("a", 1))}) == {"a": 1 / 61}


def test_weightless_source_keeps_its_documents(ranking):
    """A source with weight 0 adds nothing, but its documents are still candidates."""
    fused = RRF({"s": 0}).fuse({"s": ranking(("a", 1)), "t": ranking(("b", 1))})
    assert fused == {"a": 0.0, "b": 1 / 61}


def test_unknown_name_lists_known_ones(ranking):
    """A weight for a source that does not exist is refused, and the message lists those that do."""
    with pytest.raises(InvalidArgument, match=r"'bm52'.*which are: 'bm25', 'dense'"):
        RRF({"bm52": 1}).fuse({"bm25": ranking(("a", 1)), "dense": []})


def test_all_zero_weights(ranking):
    """Weights that are 0 for every source are refused when they meet the sources."""
    with pytest.raises(InvalidArgument, match="0 for every source"):
        RRF({"s": 0, "t": 0.0}).fuse({"s": ranking(("a", 1)), "t": []})


@pytest.mark.parametrize("bad", [-1, math.nan, math.inf, "1", None, True, 10**400])
def test_bad_weight(bad):
    """A weight that is negative, not finite or no number is refused at construction, by name."""
    with pytest.raises(InvalidArgument, match="dense"):
        RRF({"bm25": 1, "dense": bad})


@pytest.mark.parametrize("bad", [[0.5, 0.5], "bm25", {1: 0.5}, {"a": 1.5e308, "b": 1.5e308}])
def test_bad_weights(bad):
    """Weights that are no mapping from names to numbers that add up are refused."""
    with pytest.raises(InvalidArgument, match="weights"):
        RRF(bad)


@pytest.mark.parametrize("bad", [-1, math.nan, math.inf, "60", None, True])
def test_bad_rank_constant(bad):
    """A rank constant that is negative, not finite or no number is refused."""
    with pytest.raises(InvalidArgument, match="rank_constant"):
        RRF(rank_constant=bad)


def test_configuration_is_frozen():
    """It cannot be changed, not even through the caller's own dict; it can be hashed and copied."""
    given = {"bm25": np.float32(2)}
    fusion = RRF(given, rank_constant=10)
    given["bm25"] = -1
    with pytest.raises(TypeError):
        fusion.weights["bm25"] = 5
    with pytest.raises(AttributeError):
        fusion.weights._by_name = {}
    with pytest.raises(dataclasses.FrozenInstanceError):
        fusion.rank_constant = 3
    assert repr(fusion) == "RRF(weights={'bm25': 2.0}, rank_constant=10)"
    assert pickle.loads(pickle.dumps(fusion)) == fusion == RRF({"bm25": 2}, rank_constant=10)
    assert dataclasses.replace(fusion, rank_constant=60) == RRF({"bm25": 2})
    assert hash(fusion) == hash(RRF({"bm25": 2}, rank_constant=10))
    assert isinstance(fusion, protocols.Fusion)
