"""Indexes in memory are copied, pickled and sent to other processes."""

import copy
import multiprocessing
import pickle

import pytest

from runoff import Document, Query, TwoStage
from runoff.recall import BM25, Dense

DOCUMENTS = [
    Document("a", "green tea", {"kind": "drink", "tags": ["hot"]}),
    Document("b", "black tea and bread", {"kind": "meal"}),
    Document("c", "bread", {"kind": "food"}),
]


def lengths(texts):
    return [[float(len(text)), text.count("e") + 1.0] for text in texts]


def words(text):
    return text.split()


def bm25(tmp_path):
    return BM25(DOCUMENTS)


def bm25_by_a_callable(tmp_path):
    return BM25(DOCUMENTS, analyzer=words, method="bm25+", delta=0.7)


def bm25_on_disk(tmp_path):
    BM25(DOCUMENTS).save(tmp_path / "index")
    return BM25.load(tmp_path / "index")


def dense(tmp_path):
    return Dense(DOCUMENTS, lengths)


def dense_awaited(tmp_path):
    return Dense(DOCUMENTS, lengths, embed_query=one_length, aembed_query=one_length_awaited)


def one_length(text):
    return lengths([text])[0]


async def one_length_awaited(text):
    return lengths([text])[0]


MAKE = [bm25, bm25_by_a_callable, bm25_on_disk, dense, dense_awaited]


def found(source, query="green bread"):
    return [
        (hit.document.doc_id, hit.document.text, dict(hit.document.metadata), hit.score)
        for hit in source.retrieve(Query(query), depth=10)
    ]


@pytest.mark.parametrize("again", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
@pytest.mark.parametrize("make", MAKE, ids=lambda make: make.__name__)
def test_a_copy_answers_alike_and_is_apart(make, again, tmp_path):
    """A pickled or deeply copied index answers as the original, and changes without it."""
    source = make(tmp_path)
    other = again(source)
    assert type(other) is type(source)
    assert found(other) == found(source)
    assert found(other, "and") == found(source, "and")  # a stop word
    assert repr(other) == repr(source)
    before = found(source)
    other.add([Document("d", "green bread")])
    other.delete(["a"])
    assert {one[0] for one in found(other)} >= {"d"}
    assert "a" not in other
    assert found(source) == before


@pytest.mark.parametrize("make", MAKE, ids=lambda make: make.__name__)
def test_changes_that_wait_are_pickled(make, tmp_path):
    """Documents added and deleted since the last search are in the pickle, too."""
    source = make(tmp_path)
    source.add([Document("d", "green bread and more")])
    source.delete(["c"])
    other = pickle.loads(pickle.dumps(source))
    assert "d" in other
    assert "c" not in other
    assert found(other) == found(source)


def test_another_process_searches():
    """A pipeline over an index is sent to a process that was spawned."""
    pipeline = TwoStage({"bm25": BM25(DOCUMENTS)})
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        results = pool.map(pipeline.search, ["green tea"])
    assert [one.doc_id for one in results[0]] == [
        one.doc_id for one in pipeline.search("green tea")
    ]


def test_a_pickle_has_no_room_for_more():
    """Buffers grow ahead of the documents; a pickle has the vectors alone."""
    large = Dense([], lengths)
    for number in range(520):
        large.add([(f"{number}", f"text {number}")])
    exact = Dense([(f"{number}", f"text {number}") for number in range(520)], lengths)
    assert abs(len(pickle.dumps(large)) - len(pickle.dumps(exact))) < 100
