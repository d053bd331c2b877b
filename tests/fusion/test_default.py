"""The default fusion: what it is, and that odd lists do not lead it astray."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parts import Listed

from runoff import TwoStage
from runoff.fusion import RRF, Convex, ZScore
from runoff.fusion._default import default_fusion
from runoff.fusion._suited import suited
from runoff.types import Document, Hit

SOURCES = ("bm25", "dense", "graph")
TABLES = st.fixed_dictionaries(
    dict.fromkeys(SOURCES, st.dictionaries(st.sampled_from("abcdefgh"), st.integers(-99, 99)))
)


def hits(scores):
    ordered = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    return [Hit(Document(key, f"text of {key}"), score) for key, score in ordered]


def fused(table, fusion=None):
    fusion = fusion or default_fusion()
    return fusion.fuse({source: hits(scores) for source, scores in table.items()})


def order(table):
    """Search as a pipeline does, and return the ids in fused order."""
    sources = {source: Listed(*hits(scores)) for source, scores in table.items()}
    return [one.doc_id for one in TwoStage(sources, reranker=None).search("q", top_k=99)]


def same_order(one, other):
    """Whether no two keys that are clearly apart in one stand the other way round in the other."""
    return all(
        other[ahead] > other[behind] - 1e-9
        for ahead in one
        for behind in one
        if one[ahead] > one[behind] + 1e-9
    )


def test_the_default_is_z_score_with_equal_weights():
    """One default serves the core and, since they ask the same function, both adapters."""
    assert default_fusion() == TwoStage({"a": Listed("x")}).fusion
    assert default_fusion() == Convex(normalizer=ZScore())


@given(table=TABLES, scale=st.integers(1, 1000), shift=st.integers(-1000, 1000))
def test_affine_maps_keep_the_order(table, scale, shift):
    """One source's scores multiplied by a positive number and shifted: the same order."""
    mapped = {**table, "dense": {key: one * scale + shift for key, one in table["dense"].items()}}
    assert order(mapped) == order(table)


@given(table=TABLES, names=st.permutations(SOURCES))
def test_the_order_of_sources_keeps_the_order(table, names):
    """Whichever source is named first, the answer is the same."""
    assert order({name: table[name] for name in names}) == order(table)


@given(table=TABLES)
def test_a_source_that_finds_nothing_keeps_the_order(table):
    """An empty, late or failed source gives every candidate the same."""
    assert same_order(fused(table), fused({**table, "nothing": {}}))


@given(scores=st.dictionaries(st.sampled_from("abcdefgh"), st.integers(-99, 99)))
def test_one_source_keeps_its_order(scores):
    """With one source, or others that found nothing, the order is its own."""
    own = [hit.doc_id for hit in hits(scores)]
    assert order({"a": scores}) == own
    assert order({"a": scores, "b": {}}) == own


def test_a_failed_source_takes_no_share(caplog):
    """The answer without a failed source is in the order of the others, and says it lacks one."""
    left = {"a": Listed("x", "y", "z"), "b": Listed("y", "w")}
    alone = TwoStage(left, reranker=None).search("q")
    failed = Listed(error=TimeoutError("late"))
    response = TwoStage({**left, "c": failed}, reranker=None).search("q")
    assert [one.doc_id for one in response] == [one.doc_id for one in alone]
    assert [one.source for one in response.outcome.degraded] == ["c"]
    assert "degraded answer: recall c" in caplog.text


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"a": {"x": 7}, "b": {}}, "x"),  # a lone hit
        ({"a": {"x": 7}, "b": {"y": 0.1}}, "xy"),  # two lone hits are worth the same
        ({"a": {"x": 7}, "b": {"y": 3, "x": 2, "z": 2}}, "yxz"),  # a lone hit helps
        ({"a": {"x": 1, "y": 1, "z": 1}, "b": {}}, "xyz"),  # all equal
        ({"a": {"x": 1, "y": 1}, "b": {"z": 2, "y": 1}}, "zxy"),  # the worst of two as if not found
        ({"a": {"x": 2, "y": 1}, "b": {"y": 2, "x": 1}}, "xy"),  # a tie: by rank, then id
        ({"a": {"x": 9, "y": 8, "z": 1}, "b": {"y": 5, "w": 1}}, "yxwz"),
    ],
)
def test_tiny_lists(table, expected):
    """Lists of one to three hits give an order that a reader expects."""
    assert "".join(order(table)) == expected


def test_a_document_listed_twice_counts_once():
    """The worse copy neither scores again nor moves the mean of the list."""
    x, y, z = (Document(key, f"text of {key}") for key in "xyz")
    once = {"a": Listed(Hit(x, 3), Hit(y, 2)), "b": Listed(Hit(z, 1))}
    twice = {"a": Listed(Hit(x, 3), Hit(y, 2), Hit(x, 1)), "b": Listed(Hit(z, 1))}
    one, other = (TwoStage(each, reranker=None).search("q") for each in (once, twice))
    assert [(it.doc_id, it.fusion_score) for it in one] == [
        (it.doc_id, it.fusion_score) for it in other
    ]


def test_depths_that_differ():
    """Beside a list of 100, a list of 5 lifts its hits over others, and pushes none below them."""
    draw = random.Random(3)
    deep = {f"d{at}": draw.gauss(0, 1) for at in range(100)}
    short = {f"d{at}": 5.0 - at for at in range(5)}
    found = fused({"deep": deep, "short": short})
    alone = fused({"deep": deep, "short": {}})
    rank = {key: at for at, key in enumerate(sorted(found, key=found.get, reverse=True))}
    before = {key: at for at, key in enumerate(sorted(alone, key=alone.get, reverse=True))}
    rest = [key for key in deep if key not in short]
    assert all(rank[key] < rank[one] for key in short for one in rest if before[key] < before[one])
    assert sum(rank[key] for key in short) < sum(before[key] for key in short)
    assert sorted(rest, key=rank.get) == sorted(rest, key=before.get)


NAN = math.nan


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ((NAN, NAN, NAN), "b gave no scores"),
        ((3.0, NAN, 1.0), "b gave no score to 1 of 3 hits"),
        ((1.0, 2.0, 3.0), "the scores of b contradict the order of its hits"),
        ((3.0, 1.0, 2.0), "the scores of b contradict the order of its hits"),
    ],
)
@pytest.mark.parametrize("normalizer", ["zscore", "minmax", "theoretical"])
@pytest.mark.parametrize("weights", [None, {"a": 1.0, "b": 3.0}])
def test_without_comparable_scores_ranks_are_fused(scores, said, normalizer, weights):
    """RRF with the same weights takes the place of any Convex; trace, note and text say so."""
    a = Listed("x", "y")
    b = Listed(
        *(Hit(Document(key, f"text of {key}"), at) for key, at in zip("yzx", scores, strict=True))
    )
    convex = Convex(weights, normalizer=normalizer)
    by_rank, response = (
        TwoStage({"a": a, "b": b}, fusion, reranker=None).search("q")
        for fusion in (RRF(weights), convex)
    )
    assert [(it.doc_id, it.fusion_score) for it in response] == [
        (it.doc_id, it.fusion_score) for it in by_rank
    ]
    assert response.outcome.notes == (f"fused by rank (RRF) instead of by score: {said}",)
    assert response.outcome.complete
    assert [it.source for it in response.trace.stages if it.stage == "fusion"] == ["RRF"]
    assert said in response.explain()
    assert by_rank.outcome.notes == ()  # it was asked for


def test_comparable_scores_are_fused_by_score():
    """Scores that fall or stay equal, and empty lists, need no replacement."""
    sources = {"a": Listed(*hits({"x": 2, "y": 2, "z": 1})), "b": Listed()}
    response = TwoStage(sources, reranker=None).search("q")
    assert response.outcome.notes == ()
    assert [it.source for it in response.trace.stages if it.stage == "fusion"] == ["Convex"]


def test_another_fusion_is_asked_as_it_is():
    """A fusion without a method `suited` is used whatever the scores are."""

    class Longest:
        def fuse(self, rankings):
            return {hit.key: 1.0 for hits in rankings.values() for hit in hits}

    fusion = Longest()
    assert suited(fusion, {"a": [Hit(Document("x", "x"), NAN)]}) == (fusion, "")
    found = Listed(Hit(Document("x", "x"), NAN))
    response = TwoStage({"a": found}, fusion, reranker=None).search("q")
    assert [it.source for it in response.trace.stages if it.stage == "fusion"] == ["Longest"]
