"""A filter is a boundary for whatever enters fusion, and results share no state with an index."""

import copy
import json
import pickle
from dataclasses import dataclass, replace

import numpy as np
import pytest
from parts import Backwards, Listed, both, ids

from runoff._util.isolated import frozen, isolated
from runoff.errors import BadReply
from runoff.filters import Eq
from runoff.grouping import Grouping
from runoff.pipeline import TwoStage
from runoff.recall import BM25, Dense, Function
from runoff.types import Document, Query, Ranked, Reranking

A, B = {"tenant": "a"}, {"tenant": "b"}
ONLY_A = Eq("tenant", "a")
QUERY = Query("oil", filters=ONLY_A)


def _documents():
    return [
        Document(f"{tenant}{number}", f"oil {number}", {"tenant": tenant, "acl": [tenant]})
        for tenant in "ab"
        for number in range(3)
    ]


def test_a_source_that_ignores_filters_leaks_nothing():
    """What a source returns outside the filter is left out, and a note says how many of which."""
    leaky = Listed(Document("1", "x", A), Document("2", "y", B), Document("3", "z"))
    response = both(TwoStage({"mine": leaky}, reranker=Backwards()), QUERY)
    assert ids(response) == ["1"]
    (note,) = response.outcome.notes
    assert "'mine'" in note
    assert "2 documents" in note


def test_a_false_claim_to_honour_filters_leaks_nothing():
    """A function that declares `honours_filters=True` is checked all the same."""
    claims = Function(lambda _query, _depth: _documents(), honours_filters=True)
    response = both(TwoStage({"f": claims}, reranker=None), QUERY)
    assert ids(response) == ["a0", "a1", "a2"]
    assert "'f'" in response.outcome.notes[0]


def test_honest_sources_leave_no_note():
    """Sources that honour the filter are not accused of anything."""
    response = both(TwoStage({"bm25": BM25(_documents())}, reranker=None), QUERY)
    assert ids(response) == ["a0", "a1", "a2"]
    assert response.outcome.notes == ()


def test_a_leak_is_logged(caplog):
    """A source that leaks is a defect that is logged as a warning."""
    TwoStage({"mine": Listed(Document("2", "y", B))}, reranker=None).search(QUERY)
    assert any("'mine'" in one.message for one in caplog.records if one.levelname == "WARNING")


def test_metadata_out_of_date_in_one_source_keeps_a_document_out():
    """Where two sources know a document and one has it outside the filter, it is left out."""
    stale = BM25([Document("moved", "oil", A), Document("kept", "oil", A)])
    store = Listed(Document("moved", "oil", B), Document("kept", "oil", A))
    response = both(TwoStage({"bm25": stale, "dense": store}, reranker=None), QUERY)
    assert ids(response) == ["kept"]
    assert any("'bm25'" in note and "out of date" in note for note in response.outcome.notes)


def test_texts_that_two_tenants_share_stay_apart():
    """A document without an id of its own is not left out because another has its text."""
    mine, theirs = (Document.without_id("oil", {"tenant": one}) for one in "ab")
    response = both(TwoStage({"x": Listed(mine), "y": Listed(theirs)}, reranker=None), QUERY)
    assert [one.document.metadata for one in response] == [A]


def test_late_answers_are_checked():
    """What a late source returns is checked, too, when the reranker scores nothing."""
    late = Listed(Document("late-b", "x", B), Document("late-a", "x", A), wait=0.15)
    sources = {"quick": Listed(Document("1", "x", A)), "late": late}
    slow = Backwards(wait=0.4, error=TimeoutError("no answer"))
    response = TwoStage(sources, reranker=slow).search(QUERY, timeout=0.2)
    assert "late-b" not in {fate.candidate.key for fate in response.trace.fates}
    assert set(ids(response)) == {"1", "late-a"}


class _Changing:
    """A reranker that returns other documents than it was given."""

    def __init__(self, **changes):
        self.changes = changes

    def rerank(self, _query, candidates, *, deadline=None):
        return Reranking(tuple(
            Ranked(replace(one, document=replace(one.document, **self.changes)), 1.0)
            for one in candidates
        ))  # fmt: skip


@pytest.mark.parametrize("changes", [{"metadata": B}, {"doc_id": "b0"}, {"metadata": {}}])
def test_a_reranker_brings_nothing_from_outside_the_filter(changes):
    """Documents that a reranker exchanges, or moves out of the filter, are a bad reply."""
    pipeline = TwoStage({"bm25": BM25(_documents())}, reranker=_Changing(**changes))
    response = both(pipeline, QUERY)
    assert ids(response) == ["a0", "a1", "a2"]
    assert {one.document.metadata["tenant"] for one in response} == {"a"}
    (missing,) = response.outcome.degraded
    assert (missing.stage, missing.reason) == ("rerank", "bad_reply")
    with pytest.raises(BadReply, match="the reranker"):
        replace(pipeline, on_error="raise").search(QUERY)


def test_a_reranker_may_rewrite_texts():
    """A document whose text alone differs is the same document."""
    pipeline = TwoStage({"bm25": BM25(_documents())}, reranker=_Changing(text="shorter"))
    response = both(pipeline, QUERY)
    assert response.outcome.complete
    assert {one.text for one in response} == {"shorter"}


def test_siblings_in_a_group_are_checked():
    """A document outside the filter is not kept in the group of one inside it."""
    sibling = Listed(Document("1", "x", {**A, "p": 1}), Document("2", "y", {**B, "p": 1}))
    pipeline = TwoStage({"mine": sibling}, reranker=None, group=Grouping("p"))
    response = both(pipeline, QUERY)
    assert response[0].candidate.grouped == ()


def _bm25(documents):
    return BM25(documents)


def _dense(documents):
    return Dense(documents, lambda texts: np.ones((len(texts), 2)))


def _function(documents):
    return Function(lambda _query, _depth: documents)


@pytest.mark.parametrize("make", [_bm25, _dense, _function])
def test_a_result_is_isolated_from_the_index(make):
    """Changes to a result's metadata, nested or not, change no later search."""
    pipeline = TwoStage({"s": make(_documents())}, reranker=None)
    for result in pipeline.search("oil"):
        result.document.metadata["tenant"] = "b"
        result.document.metadata["acl"].append("b")
    again = {one.doc_id: one.document.metadata for one in pipeline.search("oil")}
    assert again == {one.doc_id: one.metadata for one in _documents()}


@pytest.mark.parametrize("make", [_bm25, _dense])
def test_an_index_is_isolated_from_what_it_was_made_of(make):
    """Changes to the caller's documents after indexing change no search."""
    given = _documents()
    source = make(given)
    for one in given:
        one.metadata["tenant"] = "a"
        one.metadata["acl"].clear()
    found = {one.doc_id: one.document.metadata for one in source.retrieve(Query("oil"), depth=9)}
    assert found == {one.doc_id: one.metadata for one in _documents()}


@pytest.mark.parametrize("make", [_bm25, _dense])
def test_hits_of_an_index_cannot_be_changed(make):
    """Hits and the candidates of a trace refuse changes to what the index holds."""
    hit = make(_documents()).retrieve(Query("oil"), depth=1)[0]
    with pytest.raises(TypeError, match="cannot be changed"):
        hit.document.metadata["tenant"] = "b"
    with pytest.raises(TypeError, match="cannot be changed"):
        hit.document.metadata["acl"].append("b")


@dataclass(frozen=True, slots=True)
class _Filed(Document):
    """A document with a slot more."""

    shelf: str = ""


class _Noted(Document):
    """A document that is no dataclass of its own, and has attributes of its own."""


def test_documents_of_a_users_own_kind_are_isolated_whole():
    """A subclass of Document keeps its own fields and attributes when its metadata is copied."""
    filed, noted = _Filed("f", "oil", {"acl": ["a"]}, shelf="3"), _Noted("n", "oil", {"acl": ["a"]})
    object.__setattr__(noted, "note", "kept")
    response = both(TwoStage({"mine": Listed(filed, noted)}, reranker=None), "oil")
    one, two = (result.document for result in response)
    assert (type(one), one.shelf, one.text) == (_Filed, "3", "oil")
    assert (type(two), two.note, two.text) == (_Noted, "kept", "oil")
    for given, returned in ((filed, one), (noted, two)):
        returned.metadata["acl"].append("b")
        assert given.metadata == {"acl": ["a"]}


def test_grouped_documents_are_isolated():
    """Changes to a document listed under a result change no later search."""
    found = [Document(one, f"oil {one}", {"p": 1, "acl": ["a"]}) for one in "xy"]
    pipeline = TwoStage({"f": _function(found)}, reranker=None, group="p")
    pipeline.search("oil")[0].candidate.grouped[0].document.metadata["acl"].append("b")
    assert found[1].metadata == {"p": 1, "acl": ["a"]}


def test_frozen_metadata_compares_encodes_and_copies_as_before():
    """A frozen view equals the original in every format, and copies of it can be changed."""
    plain = {"a": [1, {"b": [2]}], "c": "x", "t": (1, [2])}
    view = frozen(plain)
    assert view == plain
    assert json.dumps(view) == json.dumps(plain)
    assert pickle.loads(pickle.dumps(view)) == plain
    for made in (copy.deepcopy(view), copy.copy(view), view.copy(), isolated(view)):
        made["a"][1]["b"].append(3)
        made["c"] = "y"
    assert view == plain


@pytest.mark.parametrize(
    "change",
    [
        lambda one: one.update(a=1), lambda one: one.pop("a"), lambda one: one.clear(),
        lambda one: one.setdefault("z", 1), lambda one: one.__delitem__("a"),
        lambda one: one.popitem(), lambda one: one.__ior__({"a": 1}),
        lambda one: one["a"].extend([1]),
        lambda one: one["a"].insert(0, 1), lambda one: one["a"].sort(), lambda one: one["a"].pop(),
        lambda one: one["a"].__iadd__([1]), lambda one: one["a"].__setitem__(0, 1),
        lambda one: one["a"].__delitem__(0), lambda one: one["a"].reverse(),
        lambda one: one["a"].remove(1), lambda one: one["a"].clear(),
        lambda one: one["a"].__imul__(2),
    ],
)  # fmt: skip
def test_frozen_metadata_refuses_every_change(change):
    """No method of a frozen dict or list changes it."""
    view = frozen({"a": [1, 2]})
    with pytest.raises(TypeError, match="cannot be changed"):
        change(view)
    assert view == {"a": [1, 2]}
