"""Texts in a temporary file instead of memory."""

import copy
import multiprocessing
import pickle
import threading
from datetime import date

import pytest

from runoff import Document, Query
from runoff.errors import DuplicateId, InvalidArgument
from runoff.filters import Eq
from runoff.recall import BM25
from runoff.recall._bm25 import spool as module
from runoff.recall._bm25.spool import Spool

DOCUMENTS = [
    Document("mars", "Mars is a cold red planet", {"moons": 2, "seen": date(2026, 1, 2)}),
    Document("saturn", "Saturn is a planet with rings 土星", {"moons": 146}),
    Document("\ud800", "a lone \udfff surrogate\0 and NUL"),
    Document.without_id("a text without an id"),
    Document("picture", "", {"width": 3}, image=True),
]
ASKED = [Query("red planet"), Query("土 text"), Query("planet", filters=Eq("moons", 2))]


def answers(index):
    return [index.retrieve(one, depth=9) for one in ASKED]


@pytest.fixture(autouse=True, params=[1 << 20, 1], ids=["buffered", "written at once"])
def buffered(request, monkeypatch):
    """Write documents when a megabyte waits, or each at once."""
    monkeypatch.setattr(module, "_BUFFERED", request.param)


@pytest.fixture
def index():
    return BM25(DOCUMENTS, texts="disk")


def test_answers_are_the_same(index):
    """Documents come back whole, with the scores they have in memory."""
    assert answers(index) == answers(BM25(DOCUMENTS))
    assert [*index.documents()] == sorted(DOCUMENTS, key=lambda one: one.doc_id)
    assert all(index.get(one.doc_id) == one for one in DOCUMENTS)
    assert "texts='disk'" in repr(index)


def test_no_text_stays_in_memory(index):
    """The index holds places in the file, and no document."""
    assert {*map(type, index._merged().main.documents.entries)} == {int}
    index.update([("mars", "red again"), ("venus", "hot")])
    index.retrieve(ASKED[0], depth=1)
    assert {*map(type, index._merged().main.documents.entries)} == {int}


def test_changes(index, tmp_path):
    """Added, replaced and deleted documents are those of an index in memory, also once saved."""
    expected = BM25(DOCUMENTS)
    for one in (index, expected):
        one.warmup()
        one.update([("mars", "the red one"), ("venus", "a hot planet")])
        one.delete(["picture"])
    assert answers(index) == answers(expected)
    index.save(tmp_path)
    assert answers(index) == answers(BM25.load(tmp_path)) == answers(expected)
    other = BM25.load(tmp_path)
    other.add([("pluto", "no planet any more")])
    other.save(tmp_path)
    assert index.refresh()
    assert answers(index) == answers(other)
    assert {*map(type, index._merged().main.documents.entries)} == {int}


def test_two_texts_for_one_id(index):
    """An id with two texts is refused; the same text again is one document."""
    with pytest.raises(DuplicateId, match="'a'"):
        BM25([("a", "one"), ("a", "two")], texts="disk")
    with pytest.raises(DuplicateId, match="'mars'"):
        index.add([("mars", "another")])
    assert index.add([DOCUMENTS[0]]) == 0


def test_metadata_that_no_file_can_hold(index):
    """Metadata that JSON cannot hold is refused when it is added, and nothing is."""
    with pytest.raises(InvalidArgument, match="'bad', key 'raw'"):
        index.add([Document("good", "text"), Document("bad", "text", {"raw": b"bytes"})])
    assert "good" not in index
    assert answers(index) == answers(BM25(DOCUMENTS))


def test_the_option_has_two_values():
    """Any other place is refused by name."""
    with pytest.raises(InvalidArgument, match="texts='tape'"):
        BM25(texts="tape")


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))]
)
def test_copies(index, copied):
    """A copy has the documents, and each can be changed on its own."""
    other = copied(index)
    other.add([("venus", "a hot planet")])
    index.add([("venus", "another planet")])
    assert answers(other) == answers(BM25([*DOCUMENTS, ("venus", "a hot planet")]))
    assert answers(index) == answers(BM25([*DOCUMENTS, ("venus", "another planet")]))
    assert "texts='disk'" in repr(other)


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this system"
)
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_processes_after_a_fork(index):
    """A forked process and its parent both append, and neither writes over the other's texts."""

    def add(name):
        index.add([(f"{name}{number}", f"planet {name} {number}") for number in range(50)])
        found = index.retrieve(Query(name), depth=100)
        assert sorted(hit.document.text for hit in found) == sorted(
            f"planet {name} {number}" for number in range(50)
        )
        assert index.get("mars") == DOCUMENTS[0]

    child = multiprocessing.get_context("fork").Process(target=add, args=("child",))
    child.start()
    add("parent")
    child.join(60)
    assert child.exitcode == 0
    assert index.get("parent7").text == "planet parent 7"


def test_threads_append_and_read():
    """Threads that append and read at once get what they wrote."""
    spool, wrong = Spool(), []

    def work(name):
        for number in range(200):
            document = Document(f"{name}", f"{name} {number}" * 9, {"n": number})
            if spool[spool.append(document)] != document:
                wrong.append(document)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert not wrong
    assert len(spool) == 800
