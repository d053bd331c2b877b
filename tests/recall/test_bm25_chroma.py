"""BM25 made from a Chroma collection."""

import pytest

from runoff import Query
from runoff.errors import InvalidArgument
from runoff.filters import Eq
from runoff.recall import BM25


@pytest.fixture
def collection(make_collection):
    return make_collection()


def fill(collection, count):
    collection.add(
        ids=[f"c{n:03}" for n in range(count)],
        documents=[f"text number{n} about planets" for n in range(count)],
        metadatas=[{"even": n % 2 == 0} for n in range(count)],
        embeddings=[[float(n), 1.0] for n in range(count)],
    )


@pytest.mark.parametrize("batch", [1, 7, 25, 1000])
def test_every_record_is_read(collection, batch):
    """All records come over with id, text and metadata, however many are fetched at a time."""
    fill(collection, 25)
    index = BM25.from_chroma(collection, batch=batch)
    assert len(index) == 25
    (hit,) = index.retrieve(Query("number17"), depth=5)
    assert hit.doc_id == "c017"
    assert hit.document.text == "text number17 about planets"
    assert hit.document.metadata == {"even": False}
    assert len(index.retrieve(Query("planets", filters=Eq("even", value=True)), depth=99)) == 13


def test_records_without_a_document_are_counted(collection):
    """Records that have no document are left out with a warning that counts them."""
    fill(collection, 3)
    collection.add(ids=["x", "y"], embeddings=[[0.0, 1.0], [1.0, 1.0]])
    with pytest.warns(UserWarning, match=r"2 of 5 records .* have no document"):
        index = BM25.from_chroma(collection, batch=2)
    assert len(index) == 3


def test_records_without_metadata(collection):
    """A record without metadata becomes a document without metadata."""
    collection.add(ids=["a"], documents=["some text"], embeddings=[[1.0, 0.0]])
    assert BM25.from_chroma(collection).get("a").metadata == {}


def test_an_empty_collection(collection):
    """An empty collection makes an empty index."""
    index = BM25.from_chroma(collection)
    assert len(index) == 0
    assert index.retrieve(Query("anything"), depth=3) == []


def test_options_are_those_of_bm25(collection):
    """Analyzer, engine and parameters are given as to BM25 itself."""
    fill(collection, 2)
    index = BM25.from_chroma(collection, analyzer="german", k1=0.9)
    assert "analyzer='german', k1=0.9" in repr(index)


@pytest.mark.parametrize("batch", [0, -1, 1.5, None, True])
def test_batch_must_be_a_whole_number(collection, batch):
    """A batch below 1 is refused."""
    with pytest.raises(InvalidArgument, match="batch="):
        BM25.from_chroma(collection, batch=batch)
