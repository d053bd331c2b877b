"""LangChain's indexing writes to both halves of a hybrid retriever; `sync` takes over the rest."""

import asyncio

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.indexing import InMemoryRecordManager, aindex, index
from langchain_core.runnables import ConfigurableField
from langchain_core.vectorstores import InMemoryVectorStore

from runoff.errors import InvalidArgument
from runoff.langchain import HybridRetriever, two_stage

QUERY = "how do rankers use a query"


@pytest.fixture
def hybrid(embeddings):
    return HybridRetriever.from_documents([], embeddings, reranker=None, top_n=20)


@pytest.fixture
def records():
    manager = InMemoryRecordManager("tests")
    manager.create_schema()
    return manager


def sourced(documents):
    return [Document(one.page_content, metadata={"source": one.id}) for one in documents]


def texts(hybrid):
    return {one.page_content for one in hybrid.invoke(QUERY)}


@pytest.mark.parametrize("awaited", [False, True])
def test_langchains_indexing_fills_and_cleans_both(hybrid, records, documents, awaited):
    """`index` adds to BM25 and the store, skips what it knows, and deletes what is gone."""

    def run(given):
        how = {"cleanup": "full", "source_id_key": "source", "key_encoder": "blake2b"}
        if awaited:
            return asyncio.run(aindex(given, records, hybrid, **how))
        return index(given, records, hybrid, **how)

    given = sourced(documents)
    assert run(given)["num_added"] == 10
    assert len(hybrid.bm25) == len(hybrid.vectorstore.store) == 10
    assert run(given)["num_skipped"] == 10
    assert run(given[:4])["num_deleted"] == 6
    assert len(hybrid.bm25) == len(hybrid.vectorstore.store) == 4
    assert texts(hybrid) == {one.page_content for one in given[:4]}


def test_what_a_document_index_answers(hybrid, documents):
    """`upsert`, `get` and `delete` answer as LangChain's `DocumentIndex` says."""
    assert hybrid.upsert(documents)["succeeded"] == [one.id for one in documents]
    assert [one.page_content for one in hybrid.get(["tea", "none"])] == [documents[6].page_content]
    hybrid.get(["tea"])[0].metadata["topic"] = "changed"
    assert hybrid.get(["tea"])[0].metadata["topic"] == "life"
    deleted = hybrid.delete(["tea", "none"])
    assert (deleted["succeeded"], deleted["num_deleted"], deleted["num_failed"]) == (["tea"], 1, 0)
    with pytest.raises(ValueError, match="ids"):
        hybrid.delete()
    with pytest.raises(InvalidArgument, match="everything"):
        hybrid.delete(["tea"], everything=True)


def test_sync_takes_over_what_changed_in_the_store(hybrid, documents):
    """Documents added, changed and deleted in the store alone are so in BM25 after `sync`."""
    hybrid.add_documents(documents)
    store = hybrid.vectorstore
    store.delete(["otter", "tea"])
    store.add_documents([Document("zebra", id="new")])
    store.add_documents([documents[1].model_copy(update={"metadata": {"topic": "other"}})])
    assert hybrid.sync() == (1, 2)
    assert "new" in hybrid.bm25
    assert "tea" not in hybrid.bm25
    assert hybrid.bm25.get(documents[1].id).metadata == {"topic": "other"}
    assert hybrid.sync() == (0, 0)


def warned(caplog):
    return [one.message for one in caplog.records if one.levelname == "WARNING"]


@pytest.mark.parametrize("awaited", [False, True])
def test_a_store_changed_alone_is_told(hybrid, documents, caplog, awaited):
    """Documents deleted from the store alone do not come back, and a warning says it, once."""
    hybrid.add_documents(documents)
    hybrid.invoke(QUERY)
    assert warned(caplog) == []
    hybrid.vectorstore.delete(["query", "bm25"])
    for _ in range(2):
        found = asyncio.run(hybrid.ainvoke(QUERY)) if awaited else hybrid.invoke(QUERY)
        assert not {"query", "bm25"} & {one.id for one in found}
    told = [one for one in warned(caplog) if "changed without BM25" in one]
    assert len(told) == 1
    assert "sync()" in told[0]


@pytest.mark.parametrize("awaited", [False, True])
def test_refresh_auto_takes_changes_over(embeddings, documents, caplog, awaited):
    """With `refresh="auto"` a search first takes over what was changed in the store alone."""
    hybrid = HybridRetriever.from_documents(
        documents, embeddings, reranker=None, top_n=20, refresh="auto"
    )
    hybrid.vectorstore.delete(["query"])
    hybrid.vectorstore.add_documents([Document("rankers", id="r"), Document("query", id="q")])
    found = asyncio.run(hybrid.ainvoke(QUERY)) if awaited else hybrid.invoke(QUERY)
    assert {"r", "q"} <= {one.id for one in found}
    assert "query" not in hybrid.bm25
    assert "r" in hybrid.bm25
    assert warned(caplog) == []


def test_ids_that_do_not_overlap_are_told(store, documents, caplog):
    """BM25 over documents with other ids than the store's is warned about."""
    others = [one.model_copy(update={"id": f"whole-{one.id}"}) for one in documents]
    HybridRetriever.from_vectorstore(store, documents, reranker=None)
    assert warned(caplog) == []
    HybridRetriever.from_vectorstore(store, others, reranker=None)
    assert any("10 of 10 ids in BM25, such as 'whole-apple'" in one for one in warned(caplog))


@pytest.mark.parametrize(
    "again",
    [
        lambda one: one.configurable_fields(k=ConfigurableField("k")).with_config(
            configurable={"k": 3}
        ),
        lambda one: one.model_copy(update={"top_n": 3}),
        lambda one: two_stage(one, reranker=None),
    ],
    ids=["configured", "copied", "two_stage"],
)
def test_a_copy_notices_what_was_changed_before_it_was_made(again, caplog):
    """LangChain makes a configured retriever again for each call; the store's change is seen."""
    for refresh in ("auto", "manual"):
        store = InMemoryVectorStore(DeterministicFakeEmbedding(size=8))
        store.add_documents([Document(id="a", page_content="oil")])
        made = HybridRetriever.from_vectorstore(store, reranker=None, refresh=refresh)
        store.add_documents([Document(id="b", page_content="zebra")])
        caplog.clear()
        assert again(made).invoke("zebra")
        assert ("b" in made.bm25) is (refresh == "auto")
        assert ("was changed without BM25" in caplog.text) is (refresh == "manual")
