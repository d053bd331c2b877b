"""Filters of a request: honoured exactly by built-in stores, refused by name by others."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore

from runoff.errors import FilterNotSupported, InvalidArgument
from runoff.filters import And, Eq, In, Not, Or, Range
from runoff.langchain import TwoStageRetriever, two_stage
from runoff.langchain._filters import as_filter

QUESTION = "documents of every year and topic"
FILTERS = [
    Eq("topic", "search"),
    In("year", (2011, 2013, 2019)),
    Range("year", gte=2012, lt=2016),
    And(Eq("topic", "life"), Range("year", gt=2014)),
    Or(Eq("year", 2010), Eq("topic", "search")),
    Not(Eq("topic", "search")),
    Not(Range("year", gte=2012)),
    Eq("absent", "x"),
    Not(Eq("absent", "x")),
    In("topic", ()),
]


@pytest.fixture(params=["memory", "chroma"])
def any_store(request, documents, embeddings):
    if request.param == "memory":
        store = InMemoryVectorStore(embeddings)
    else:
        chroma = pytest.importorskip("langchain_chroma")
        client = request.getfixturevalue("chroma_client")
        name = f"filters-{next(_names)}"
        store = chroma.Chroma(name, embedding_function=embeddings, client=client)
    store.add_documents(documents)
    return store


_names = itertools.count()


@pytest.mark.parametrize("wanted", FILTERS, ids=repr)
def test_filters_are_honoured_exactly(any_store, documents, overlap, wanted):
    """All documents that pass are returned, and no others."""
    results = two_stage(any_store, reranker=overlap, top_n=10).invoke(QUESTION, filter=wanted)
    expected = {one.id for one in documents if wanted.matches(one.metadata)}
    assert {one.id for one in results} == expected


@pytest.mark.parametrize("wanted", [Not(Range("year", gte=2012)), Range("year", gte=2017)])
def test_a_narrow_depth_is_filled_with_what_passes(any_store, documents, overlap, wanted):
    """A store that applies a filter roughly is asked again until the depth is filled."""
    retriever = TwoStageRetriever(retriever=any_store, reranker=overlap, k=2, depth=2)
    results = retriever.invoke(QUESTION, filter=wanted)
    assert len(results) == 2
    assert all(wanted.matches(one.metadata) for one in results)


async def test_awaited_filters_are_honoured_too(any_store, overlap):
    """Awaited, the same documents are returned."""
    retriever = two_stage(any_store, reranker=overlap, top_n=10)
    wanted = Range("year", gte=2015)
    assert await retriever.ainvoke(QUESTION, filter=wanted) == retriever.invoke(
        QUESTION, filter=wanted
    )


def test_a_filter_of_the_retriever_holds_besides(any_store, overlap):
    """A filter in the retriever's own search arguments and one of the request both hold."""
    own = (
        (lambda document: document.metadata["topic"] == "search")
        if isinstance(any_store, InMemoryVectorStore)
        else {"topic": "search"}
    )
    retriever = two_stage(
        any_store.as_retriever(search_kwargs={"filter": own}), reranker=overlap, top_n=10
    )
    results = retriever.invoke(QUESTION, filter=Range("year", lt=2013))
    assert sorted(one.metadata["year"] for one in results) == [2011, 2012]


def test_a_dict_means_equality(any_store, overlap):
    """A plain dict asks for equality of every field in it."""
    retriever = two_stage(any_store, reranker=overlap, top_n=10)
    results = retriever.invoke(QUESTION, filter={"topic": "search", "year": 2011})
    assert [one.metadata["year"] for one in results] == [2011]


@pytest.mark.parametrize(
    "wrong", [{}, {"year": {"$gt": 2011}}, {"$and": "x"}, {"year": [1, 2]}, "topic", 3]
)
def test_what_is_no_filter_is_refused(store, wrong):
    """Operators of some store's own, lists and strings raise InvalidArgument."""
    with pytest.raises(InvalidArgument, match="filter="):
        two_stage(store, reranker=None).invoke(QUESTION, filter=wrong)


@given(
    st.dictionaries(
        st.text(min_size=1).filter(lambda key: key[0] != "$" and key != "other"),
        st.integers(),
        min_size=1,
    )
)
def test_a_dict_filter_keeps_what_has_its_items(wanted):
    """The filter of a dict keeps metadata with these items, and not without one of them."""
    made = as_filter(wanted)
    assert made.matches({**wanted, "other": 1})
    for key in wanted:
        assert not made.matches({name: value for name, value in wanted.items() if name != key})


def test_translate_filter_serves_other_stores(store, documents, overlap, monkeypatch):
    """A function from filter to search arguments serves any store, and its answer is checked."""
    asked = []

    def translate(wanted):
        asked.append(wanted)
        return {"filter": lambda document: document.metadata["year"] >= 2012}  # keeps too much

    retriever = two_stage(store, reranker=overlap, top_n=10, translate_filter=translate)
    results = retriever.invoke(QUESTION, filter=Range("year", gte=2015))
    assert sorted(one.metadata["year"] for one in results) == [2015, 2016, 2017, 2018, 2019]
    assert asked
    assert set(asked) == {Range("year", gte=2015)}


def test_two_filters_that_cannot_be_combined_are_refused(store, overlap):
    """A translated filter does not silently replace the retriever's own."""
    retriever = two_stage(
        store.as_retriever(search_kwargs={"filter": lambda document: True}),
        reranker=overlap,
        translate_filter=lambda wanted: {"filter": None},
    )
    with pytest.raises(FilterNotSupported, match="cannot be combined"):
        retriever.invoke(QUESTION, filter={"year": 2011})


def test_who_cannot_filter_is_refused_by_name(documents, overlap):
    """A retriever that takes no filter and no count per request raises FilterNotSupported."""

    class Listing(BaseRetriever):
        def _get_relevant_documents(self, query, *, run_manager):
            return [Document(page_content="x", metadata={"year": 1})]

    with pytest.warns(UserWarning, match="cannot be widened"):
        retriever = TwoStageRetriever(retrievers={"list": Listing()}, reranker=overlap)
    with pytest.raises(FilterNotSupported, match=r"list \(Listing\) takes no filter per request"):
        retriever.invoke(QUESTION, filter={"year": 2011})


class Plain(VectorStore):
    """A store of another kind, which knows no filters; it may have no end of documents."""

    def __init__(self, documents=None):
        self.documents = documents
        self.asked = []

    def similarity_search(self, query, k=4, **kwargs):
        self.asked.append(k)
        if self.documents is not None:
            return self.documents[:k]
        return [Document(str(number), metadata={"year": 1}) for number in range(k)]

    @classmethod
    def from_texts(cls, texts, embedding, metadatas=None, **kwargs):
        raise NotImplementedError


def test_an_unknown_store_is_sifted(documents, overlap):
    """A store without built-in filters is asked for more until enough documents pass."""
    store = Plain(documents)
    found = two_stage(store, reranker=overlap, depth=5).invoke(QUESTION, filter={"year": 2018})
    assert [one.metadata["year"] for one in found] == [2018]
    assert store.asked == [5, 20]


def test_an_unknown_store_is_refused_by_name(overlap):
    """If 10,000 documents hold too few, the error names translate_filter as the remedy."""
    store = Plain()
    with pytest.raises(FilterNotSupported, match=r"dense does not apply.*translate_filter"):
        two_stage(store, reranker=overlap).invoke(QUESTION, filter={"year": 2011})
    assert max(store.asked) < 40_000
