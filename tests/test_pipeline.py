"""How `TwoStage` recalls, fuses, reranks and cuts, and what it refuses."""

import asyncio
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parts import Backwards, Listed, both, ids

from runoff.errors import (
    InvalidArgument,
)
from runoff.filters import And, Eq
from runoff.fusion import RRF
from runoff.pipeline import TwoStage
from runoff.types import Document, Query


def test_reranked_window_comes_before_the_tail_in_fused_order():
    """The window is reranked, the tail keeps its fused order behind it, and top_k cuts."""
    pipeline = TwoStage({"a": Listed(*"abcdef")}, reranker=Backwards(), window=3)
    response = both(pipeline, "q", top_k=5)
    assert ids(response) == ["c", "b", "a", "d", "e"]
    assert [result.rerank_rank for result in response] == [1, 2, 3, None, None]
    assert [result.fusion_rank for result in response] == [3, 2, 1, 4, 5]
    assert response.trace.fate("f").kind == "cut"
    assert response.trace.fate("f").scoring == "tail"
    assert response.outcome.complete
    assert (response.outcome.scored, response.outcome.total) == (3, 3)


def test_two_sources_are_fused_by_the_papers_formula():
    """A document both sources place first scores 2/61, and its placements name both."""
    sources = {"a": Listed("x", "y"), "b": Listed("x", "z")}
    response = both(TwoStage(sources, RRF(), reranker=None), "q")
    assert ids(response) == ["x", "y", "z"]
    assert response[0].fusion_score == pytest.approx(2 / 61)
    assert [(one.source, one.rank) for one in response[0].placements] == [("a", 1), ("b", 1)]


def test_depth_and_window_reach_sources_and_reranker():
    """Sources are asked for `depth` hits, longer answers are cut, the reranker reads `window`."""
    source, reranker = Listed(*"abcdef"), Backwards()
    pipeline = TwoStage({"a": source}, reranker=reranker, depth=4, window=2)
    response = pipeline.search("q", top_k=9)
    assert source.asked[0][1] == 4
    assert reranker.read == [["a", "b"]]
    assert len(response) == 4
    assert len(pipeline.search("q", depth=2, window=9, top_k=9)) == 2


def test_filters_of_query_and_call_are_joined():
    """A filter given to `search` narrows the query's own."""
    source = Listed("a")
    query = Query("q", filters=Eq("x", 1))
    TwoStage({"a": source}, reranker=None).search(query, filters=Eq("y", 2))
    assert source.asked[0][0].filters == And(Eq("x", 1), Eq("y", 2))
    assert query.filters == Eq("x", 1)


def test_documents_without_own_ids_are_merged_by_text():
    """Made-up ids do not separate equal texts; the first-declared source's copy is used."""
    mine = Document("doc-1", "same words")
    theirs = Document("5a2e-uuid", "same words", own_id=False)
    pipeline = TwoStage({"bm25": Listed(mine), "store": Listed(theirs)}, reranker=None)
    response = both(pipeline, "q")
    assert ids(response) == ["doc-1"]
    assert len(response[0].placements) == 2


def test_same_id_with_different_text_is_reported():
    """The first-declared source's text is used, and the outcome says so."""
    pipeline = TwoStage(
        {"a": Listed(Document("1", "old")), "b": Listed(Document("1", "new"))}, reranker=None
    )
    response = both(pipeline, "q")
    assert response[0].text == "old"
    assert "different texts for '1'" in response.outcome.notes[0]


def test_id_of_decides_identity():
    """`id_of` overrides ids and texts, and must return a string."""
    first, second = Document("1", "x", {"url": "u"}), Document("2", "y", {"url": "u"})
    sources = {"a": Listed(first), "b": Listed(second)}
    pipeline = TwoStage(sources, reranker=None, id_of=lambda one: one.metadata["url"])
    assert ids(both(pipeline, "q")) == ["1"]
    with pytest.raises(InvalidArgument, match="id_of"):
        TwoStage(sources, reranker=None, id_of=lambda one: None).search("q")


def test_one_source_merges_nothing():
    """Two documents of one source with the same text, even the same id, both come back."""
    same = [Document.without_id("twice"), Document.without_id("twice")]
    assert len(both(TwoStage({"a": Listed(*same)}, reranker=Backwards()), "q")) == 2


def test_images_keep_their_place_and_empty_texts_follow():
    """An image without text stays at its fused rank; an empty text is never sent to be scored."""
    image = Document("img", "", image=True)
    reranker = Backwards()
    source = Listed("a", image, Document("empty", " \n"), "b", "c")
    response = both(TwoStage({"a": source}, reranker=reranker), "q")
    assert ids(response) == ["c", "img", "b", "a", "empty"]
    assert reranker.read[0] == ["a", "b", "c"]
    assert response.trace.fate("img").scoring == "image"
    assert response.trace.fate("empty").scoring == "empty"


def test_nothing_found_is_an_answer():
    """No hits: an empty, complete response; the reranker is not called."""
    reranker = Backwards()
    response = both(TwoStage({"a": Listed()}, reranker=reranker), "q")
    assert len(response) == 0
    assert response.outcome.complete
    assert reranker.read == []


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), unique=True), min_size=1, max_size=3))
def test_every_candidate_has_exactly_one_fate(lists):
    """Whatever sources return, no candidate is lost or doubled, and ranks have no gaps."""
    sources = {f"s{index}": Listed(*found) for index, found in enumerate(lists)}
    response = TwoStage(sources, reranker=Backwards(), window=3).search("q", top_k=4)
    told = [fate.candidate.document.doc_id for fate in response.trace.fates]
    assert sorted(told) == sorted(set().union(*lists))
    assert [fate.rank for fate in response.trace.fates] == list(range(1, len(told) + 1))
    assert ids(response) == told[:4]


@given(st.permutations([0, 1, 2]))
def test_the_order_of_sources_changes_no_rank(order):
    """Sources declared in another order give the same documents in the same order."""
    found = ["abcdef", "badgfe", "fghab"]
    sources = {f"s{index}": Listed(*found[index]) for index in order}
    expected = {f"s{index}": Listed(*found[index]) for index in range(3)}
    assert ids(TwoStage(sources, reranker=None).search("q")) == ids(
        TwoStage(expected, reranker=None).search("q")
    )


@pytest.mark.parametrize(
    ("argument", "kwargs"),
    [
        ("sources", {"sources": {}}),
        ("sources", {"sources": Listed("a")}),
        ("sources['a']", {"sources": {"a": object()}}),
        ("sources", {"sources": {1: Listed("a")}}),
        ("fusion", {"fusion": RRF}),
        ("depth", {"depth": 0}),
        ("depth", {"depth": -1}),
        ("depth", {"depth": 1.5}),
        ("window", {"window": 0}),
        ("window", {"window": True}),
        ("on_error", {"on_error": "ignore"}),
        ("reranker", {"reranker": object()}),
        ("reranker", {"reranker": Backwards}),
    ],
)
def test_a_wrong_argument_is_named(argument, kwargs):
    """The error names the argument and is a ValueError too."""
    with pytest.raises(InvalidArgument) as caught:
        TwoStage(**({"sources": {"a": Listed("a")}, "reranker": None} | kwargs))
    assert caught.value.argument == argument
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("argument", "kwargs"),
    [
        ("query", {"query": ""}),
        ("query", {"query": " \n\t"}),
        ("query", {"query": None}),
        ("top_k", {"top_k": 0}),
        ("top_k", {"top_k": "5"}),
        ("depth", {"depth": 0}),
        ("window", {"window": -1}),
        ("timeout", {"timeout": -1}),
        ("timeout", {"timeout": float("nan")}),
        ("timeout", {"timeout": "1"}),
    ],
)
def test_a_wrong_search_argument_is_named(argument, kwargs):
    """`search` and `asearch` refuse the same arguments in the same words."""
    pipeline = TwoStage({"a": Listed("a")}, reranker=None)
    kwargs = {"query": "q"} | kwargs
    with pytest.raises(InvalidArgument) as caught:
        pipeline.search(**kwargs)
    assert caught.value.argument == argument
    with pytest.raises(InvalidArgument, match=re.escape(str(caught.value))):
        asyncio.run(pipeline.asearch(**kwargs))


def test_top_k_above_everything_returns_everything():
    """A top_k above the number of candidates returns all of them."""
    assert len(both(TwoStage({"a": Listed(*"abc")}, reranker=Backwards()), "q", top_k=10**9)) == 3


def test_a_long_query_is_passed_on_whole():
    """A query of a megabyte reaches the source as it is and is shown shortened in errors."""
    source = Listed("a")
    text = "words " * 200_000
    TwoStage({"a": source}, reranker=None).search(text)
    assert source.asked[0][0].text == text
    with pytest.raises(InvalidArgument) as caught:
        Query(" " * 1_000_000)
    assert len(str(caught.value)) < 200
