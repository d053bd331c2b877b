"""Changes are searched beside the main segment, with the scores of a fresh index."""

import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from index_directory import memory

from runoff import Document, Query
from runoff.filters import Eq, Not
from runoff.recall import BM25
from runoff.recall._bm25 import bm25 as module
from runoff.recall._bm25.snapshot import Snapshot

METHODS = ("lucene", "robertson", "atire", "bm25l", "bm25+")
ASKED = ("a", "b c", "a a d", "h z", "e f g b a", "the of", "of z")
WORDS = st.lists(st.sampled_from([*"abcdefgh", "the", "of"]), max_size=8).map(" ".join)
SINGLE = st.builds(
    lambda number, text, tag: Document(f"d{number:02}", text, {"tag": tag}),
    st.integers(0, 60),
    WORDS,
    st.integers(0, 2),
)
STEPS = st.lists(
    st.tuples(st.lists(SINGLE, max_size=3), st.lists(st.integers(0, 60), max_size=3)), max_size=4
)
BASE = [
    Document(f"d{number:02}", text, {"tag": number % 3})
    for number, text in enumerate(
        ["a b c d the", "a a b e of", "a f", "g the the", "", "a b b b h", "e e e", "c h of a"] * 5
    )
]


def answers(index, depth=100):
    questions = [Query(one) for one in ASKED]
    questions += [Query(one, filters=Not(Eq("tag", 1))) for one in ASKED]
    return [index.retrieve(one, depth=depth) for one in questions]


@pytest.fixture
def slow_merge(monkeypatch):
    """Return two events: a merge sets the first when it begins, and waits for the second."""
    began, go_on = threading.Event(), threading.Event()
    merged = Snapshot.merged

    def wait(self):
        began.set()
        assert go_on.wait(60)
        return merged(self)

    monkeypatch.setattr(Snapshot, "merged", wait)
    return began, go_on


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=10)
@given(steps=STEPS, depth=st.sampled_from([3, 100]))
def test_live_scores_are_those_of_a_fresh_index(method, steps, depth):
    """After any changes, each answer is that of a fresh index bit for bit, saved or not."""
    there = {one.doc_id: one for one in BASE}
    index = BM25(BASE, method=method)
    index.warmup()
    for documents, removed in steps:
        names = [f"d{number:02}" for number in removed]
        index.delete(names)
        there = {name: one for name, one in there.items() if name not in names}
        latest = {one.doc_id: one for one in documents}
        index.update(latest.values())
        there |= latest
        fresh = BM25(there.values(), method=method)
        assert answers(index, depth) == answers(fresh, depth)
    expected = answers(BM25(there.values(), method=method), depth)
    with memory() as path:
        index.save(path)
        assert answers(BM25.load(path), depth) == expected
    assert not index._current().changes
    assert answers(index, depth) == expected


def test_a_small_change_leaves_the_main_segment_alone():
    """A change of a few documents makes no new main segment; warming up, or saving, does."""
    index = BM25(BASE)
    index.warmup()
    main = index._current().main
    index.update([("d03", "a new text"), ("new", "another")])
    index.delete(["d05"])
    assert [hit.doc_id for hit in index.retrieve(Query("new another"), depth=9)] == ["new", "d03"]
    assert index._current().main is main
    assert index._current().changes == 4
    assert len(index) == 40
    index.warmup()
    assert not index._current().changes


def test_saving_keeps_what_was_not_merged(tmp_path):
    """An index with unmerged changes saves all of them, and has no unsaved change afterwards."""
    index = BM25(BASE)
    index.warmup()
    index.update([("d03", "zebra"), ("new", "zebra of")])
    index.delete(["d05"])
    index.retrieve(Query("a"), depth=1)
    index.save(tmp_path / "index")
    assert answers(BM25.load(tmp_path / "index")) == answers(index)
    assert not index.refresh()
    other = BM25.load(tmp_path / "index")
    other.add([("more", "zebra")])
    assert len(other.retrieve(Query("zebra"), depth=9)) == 3
    other.save(tmp_path / "index")
    assert index.refresh()
    assert answers(index) == answers(other)


def test_many_changes_are_merged_in_the_background(monkeypatch, slow_merge):
    """While a thread merges, searches and changes go on; the merged index has all of them."""
    monkeypatch.setattr(module, "_LIVE", 3)
    began, go_on = slow_merge
    index = BM25(BASE)
    index.warmup()
    main = index._current().main
    began.clear()
    index.add([(f"new{number}", "zebra") for number in range(4)])
    assert len(index.retrieve(Query("zebra"), depth=9)) == 4
    assert began.wait(60)
    index.update([("new1", "giraffe"), ("d03", "zebra")])
    index.delete(["new2", "d05", "d07"])
    index.add([("d05", "zebra zebra")])
    found = index.retrieve(Query("zebra"), depth=9)
    assert {hit.doc_id for hit in found} == {"new0", "new3", "d03", "d05"}
    assert index._current().main is main
    go_on.set()
    index._merger.join(60)
    assert index._current().main is not main
    assert 0 < index._current().changes < 9
    assert len(index) == len(BASE) + 3 - 1
    fresh = BM25(index.documents())
    assert index.retrieve(Query("zebra"), depth=9) == found
    assert answers(index) == answers(fresh)


def test_without_a_thread_nothing_is_merged(monkeypatch, caplog):
    """If no thread can be started, a warning says so, and every answer is right."""

    def refuse(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(module, "_LIVE", 1)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    index = BM25(BASE)
    index.warmup()
    index.add([("new", "zebra"), ("other", "zebra a")])
    assert len(index.retrieve(Query("zebra"), depth=9)) == 2
    assert (
        "2 changes of a BM25 index were not merged into its main part: can't start" in caplog.text
    )
    assert answers(index) == answers(BM25([*BASE, ("new", "zebra"), ("other", "zebra a")]))


def test_a_search_never_misses_a_change_that_another_applies(monkeypatch):
    """While one search applies changes, another sees them too, though it takes no lock."""
    index = BM25(BASE)
    index.warmup()
    seen = []
    put = BM25._put

    def look(self, snapshot):
        seen.append(bool(self._pending) or self._snapshot is snapshot)
        put(self, snapshot)
        seen.append(bool(self._pending) or self._snapshot is snapshot)

    monkeypatch.setattr(BM25, "_put", look)
    index.add([("new", "zebra")])
    assert index.retrieve(Query("zebra"), depth=9)
    assert seen == [True, True]


def test_two_merges_at_once(slow_merge):
    """If two threads merge, the first that ends counts, and both have every document."""
    began, go_on = slow_merge
    go_on.set()
    index = BM25(BASE)
    index.warmup()
    go_on.clear()
    began.clear()
    index.add([("new", "zebra")])
    found = []
    threads = [threading.Thread(target=lambda: found.append(index.documents())) for _ in range(2)]
    for one in threads:
        one.start()
    assert began.wait(60)
    go_on.set()
    for one in threads:
        one.join(60)
    assert (
        [*found[0]]
        == [*found[1]]
        == sorted([*BASE, Document("new", "zebra")], key=lambda one: one.doc_id)
    )
    assert "new" in index
    assert len(index) == len(BASE) + 1


def test_columns_that_are_not_kept_are_computed_again(monkeypatch):
    """Scores of terms asked for long ago are let go, and computed again when needed."""
    monkeypatch.setattr("runoff.recall._bm25.live._KEPT", 100)
    index = BM25(BASE)
    index.warmup()
    index.add([("new", "a b")])
    expected = answers(BM25([*BASE, ("new", "a b")]))
    for _ in range(2):
        assert answers(index) == expected
    (live,) = (one for stops, one in index._current()._computed.items() if not stops)
    assert len(live._columns) < 3


def test_a_merge_does_not_hinder_the_exit():
    """A process that ends while its index is merged ends at once, with its own code."""
    code = (
        "import sys, time\n"
        "from runoff import Query\n"
        "from runoff.recall import BM25\n"
        "from runoff.recall._bm25 import bm25, postings\n"
        "bm25._LIVE, check = 1, postings.exits.check\n"
        "postings.exits.check = lambda: (time.sleep(0.05), check())\n"
        "index = BM25((f'd{n}', f'word{n % 97} and') for n in range(3000))\n"
        "index.warmup()\n"
        "postings._POSTINGS = 8\n"
        "index.add([('new', 'word'), ('other', 'word')])\n"
        "assert len(index.retrieve(Query('word'), depth=9)) == 2\n"
        "assert index._merger.is_alive()\n"
        "sys.exit(7)\n"
    )
    began = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, timeout=120
    )
    assert (ended.returncode, ended.stderr) == (7, b"")
    assert time.monotonic() - began < 60  # the merge itself takes minutes
