"""Adding, updating and deleting leaves what a fresh build would have made."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from runoff import Document, Query
from runoff.errors import DuplicateId, InvalidArgument
from runoff.filters import Eq, Not
from runoff.recall import BM25

ENGINES = (
    {},
    {"texts": "disk"},
    {"method": "bm25+"},
    {"method": "robertson"},
    {"engine": "rank-bm25"},
)
ASKED = tuple(Query(text) for text in ("a", "b c", "a a d", "e f g", "h a b c d e f g"))

words = st.lists(st.sampled_from("abcdefgh"), max_size=8).map(" ".join)
names = st.sampled_from([f"d{n}" for n in range(12)])
documents = st.builds(
    lambda doc_id, text, tag: Document(doc_id, text, {"tag": tag}), names, words, st.integers(0, 2)
)


def answers(index, depth=100):
    plain = [index.retrieve(one, depth=depth) for one in ASKED]
    kept = [
        index.retrieve(Query(one.text, filters=Not(Eq("tag", 1))), depth=depth) for one in ASKED
    ]
    return plain + kept


class Changes(RuleBasedStateMachine):
    """Any mixture of changes and searches, beside a dictionary that says what should be there."""

    @initialize(options=st.sampled_from(ENGINES), given=st.lists(documents, max_size=8))
    def start(self, options, given):
        self.options = {"analyzer": "unicode", **options}
        self.expected = {one.doc_id: one for one in reversed(given)}
        self.index = BM25(self.expected.values(), **self.options)

    @rule(given=st.lists(documents, max_size=4))
    def add(self, given):
        new = {}
        clash = False
        for one in given:
            known = self.expected.get(one.doc_id) or new.setdefault(one.doc_id, one)
            clash = (
                clash
                or known.text != one.text
                or (one.doc_id in new and new[one.doc_id].text != one.text)
            )
        if clash:
            with pytest.raises(DuplicateId):
                self.index.add(given)
        else:
            assert self.index.add(given) == len(new)
            self.expected |= new

    @rule(given=st.lists(documents, max_size=4, unique_by=lambda one: one.doc_id))
    def update(self, given):
        replaced = sum(one.doc_id in self.expected for one in given)
        assert self.index.update(given) == replaced
        self.expected |= {one.doc_id: one for one in given}

    @rule(ids=st.lists(names, max_size=5))
    def delete(self, ids):
        present = {one for one in ids if one in self.expected}
        assert self.index.delete(ids) == len(present)
        for one in present:
            del self.expected[one]

    @rule(query=st.sampled_from(ASKED))
    def search(self, query):
        fresh = BM25(self.expected.values(), **self.options)
        assert self.index.retrieve(query, depth=3) == fresh.retrieve(query, depth=3)

    @invariant()
    def knows_its_documents(self):
        if hasattr(self, "expected"):
            for name in ("d0", "d5", "d11"):
                assert (name in self.index) == (name in self.expected)
                assert self.index.get(name) == self.expected.get(name)

    def teardown(self):
        if hasattr(self, "expected"):
            fresh = BM25(self.expected.values(), **self.options)
            assert answers(self.index) == answers(fresh)
            assert [*self.index.documents()] == sorted(
                self.expected.values(), key=lambda one: one.doc_id
            )
            assert len(self.index) == len(self.expected)


Changes.TestCase.settings = settings(stateful_step_count=12)
TestChanges = Changes.TestCase


@given(given=st.lists(documents, max_size=10, unique_by=lambda one: one.doc_id), data=st.data())
def test_order_and_steps_do_not_matter(given, data):
    """Documents given one by one in any order score bit for bit as all at once."""
    shuffled = data.draw(st.permutations(given))
    at_once, step_by_step = BM25(given, analyzer="unicode"), BM25(analyzer="unicode")
    for one in shuffled:
        step_by_step.add([one])
        if data.draw(st.booleans()):
            step_by_step.retrieve(ASKED[0], depth=1)
    assert answers(step_by_step) == answers(at_once)


def test_add_counts_what_is_new():
    """`add` counts the new documents; what is known stays as it is."""
    index = BM25([Document("a", "one", {"n": 1})])
    assert index.add([Document("a", "one", {"n": 2}), ("b", "two"), ("b", "two")]) == 1
    assert index.get("a").metadata == {"n": 1}
    assert len(index) == 2


@pytest.mark.parametrize("searched", [True, False])
def test_add_refuses_a_known_id_with_another_text(searched):
    """A known id with another text is refused by name, and nothing of the list is added."""
    index = BM25([("a", "one")])
    if searched:
        index.warmup()
    with pytest.raises(DuplicateId, match=r"'a'.*update\(\)"):
        index.add([("b", "two"), ("a", "other")])
    assert "b" not in index
    assert index.get("a").text == "one"


def test_update_replaces_text_and_metadata():
    """`update` replaces a document whole, adds what is unknown, and counts the replaced."""
    index = BM25([Document("a", "one", {"n": 1}), ("b", "two")])
    assert index.update([Document("a", "three", {"n": 2}), ("c", "four")]) == 1
    assert [hit.doc_id for hit in index.retrieve(Query("three four"), depth=9)] == ["a", "c"]
    assert index.retrieve(Query("one"), depth=9) == []
    assert index.get("a").metadata == {"n": 2}


def test_update_refuses_two_texts_for_one_id():
    """One id with two texts in one update is refused, and nothing changes."""
    index = BM25([("a", "one")])
    with pytest.raises(DuplicateId, match="'a'"):
        index.update([("a", "two"), ("a", "three")])
    assert index.get("a").text == "one"


def test_deleted_documents_can_come_back():
    """An id that was deleted is free for another text."""
    index = BM25([("a", "one")])
    index.delete(["a"])
    assert "a" not in index
    assert index.get("a") is None
    index.add([("a", "two")])
    index.delete(["a"])
    index.add([("a", "three")])
    assert [hit.document.text for hit in index.retrieve(Query("one two three"), depth=9)] == [
        "three"
    ]


def test_unknown_ids_are_passed_over():
    """Deleting what is not there is no error, and the count says so."""
    index = BM25([("a", "one")])
    assert index.delete(["x", "a", "a"]) == 1
    assert index.delete([]) == 0
    assert len(index) == 0
    assert index.retrieve(Query("one"), depth=1) == []


@pytest.mark.parametrize("ids", ["a", b"a", None, [1], [None], ["a", ("b",)]])
def test_ids_to_delete_must_be_strings(ids):
    """A lone string, or an id that is not a string, is refused, and nothing is deleted."""
    index = BM25([("a", "one")])
    with pytest.raises(InvalidArgument, match="ids="):
        index.delete(ids)
    assert "a" in index


def test_membership_of_what_is_no_id():
    """Only a string can be an id."""
    assert 3 not in BM25(["text"])
    assert BM25(["text"]).get("nothing") is None


def test_words_that_nobody_has_any_more_are_forgotten():
    """Deleting the last document with a word removes the word from the index."""
    index = BM25([("a", "zebra common"), ("b", "common")])
    index.warmup()
    index.delete(["a"])
    assert index._merged().main.postings.terms == ("common",)


def test_a_document_list_does_not_change_later():
    """A list of documents taken before a change still shows the state before it."""
    index = BM25([("a", "one")])
    before = index.documents()
    index.add([("b", "two")])
    assert [one.doc_id for one in before] == ["a"]
    assert [one.doc_id for one in index.documents()] == ["a", "b"]
