"""What documents, queries and hits refuse to be."""

import pickle
import types

import pytest

from runoff.errors import InvalidArgument, shown
from runoff.filters import Eq
from runoff.pipeline import TwoStage
from runoff.recall import BM25
from runoff.types import Document, Hit, Query


@pytest.mark.parametrize("doc_id", [None, "", 7, b"a"])
def test_an_id_is_a_non_empty_string(doc_id):
    """Everything else is refused, numbers too: `"7"` and `7` would be two documents."""
    with pytest.raises(InvalidArgument, match=r"doc_id=.*must be a non-empty string"):
        Document(doc_id, "text")


@pytest.mark.parametrize("text", [None, 7, b"text"])
def test_a_text_is_a_string(text):
    """The error names the document."""
    with pytest.raises(InvalidArgument, match=r"text=.*must be a string \(id 'a'\)"):
        Document("a", text)


@pytest.mark.parametrize("metadata", [None, [("year", 2020)], "year"])
def test_metadata_is_a_mapping(metadata):
    """The error names the document, and not the filter that would fail on it later."""
    with pytest.raises(InvalidArgument, match=r"metadata=.*must map names to values \(id 'a'\)"):
        Document("a", "text", metadata)


def test_any_mapping_may_be_metadata():
    """It is kept as it was given."""
    metadata = types.MappingProxyType({"year": 2020})
    assert Document("a", "text", metadata).metadata is metadata


@pytest.mark.parametrize("filters", [{"year": 2020}, "year = 2020", Eq, [Eq("year", 2020)]])
def test_filters_are_filters(filters):
    """A filter of another library is refused before any source is asked."""
    with pytest.raises(InvalidArgument, match=r"filter=.*must be one of Eq"):
        Query("q", filters=filters)


@pytest.mark.parametrize("texts", ["one text", ("one", None)])
def test_embedding_texts_are_a_tuple_of_strings(texts):
    """One string is refused, whose letters would be embedded one by one."""
    with pytest.raises(InvalidArgument, match=r"embedding_texts=.*must be a tuple of strings"):
        Query("q", embedding_texts=texts)


def test_data_survives_pickling():
    """Queries, documents and hits come back equal."""
    hit = Hit(Document("\ud800", "text\0", {"year": 2020}, own_id=False), 1.0, (0.0, None), "key")
    query = Query("q", filters=Eq("year", 2020), embedding=(1.0, 2.0))
    assert pickle.loads(pickle.dumps((query, hit))) == (query, hit)


class Client:
    def __repr__(self):
        return "Client(api_key='sk-secret')"


def test_errors_name_foreign_objects_by_their_class():
    """A client handed to the wrong place does not tell its key."""
    with pytest.raises(InvalidArgument, match=r"Client object>: must be one of") as caught:
        TwoStage({"bm25": BM25(["text"])}, reranker=Client())
    assert "secret" not in str(caught.value)
    assert shown(7) == "7"
    assert shown({"a": 1}) == "{'a': 1}"
    assert shown(Eq("year", 2020)) == "Eq(field='year', value=2020)"
