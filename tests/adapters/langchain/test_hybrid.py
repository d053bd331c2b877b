"""`HybridRetriever`: BM25 and vectors over the same documents, with the same ids."""

import copy
import itertools

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.runnables import ConfigurableField
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore

from runoff.errors import InvalidArgument
from runoff.filters import Range
from runoff.langchain import HybridRetriever, RunoffRerank, provenance

QUESTION = "which cascade passes few documents to an expensive model"
_names = itertools.count()


@pytest.fixture
def hybrid(documents, embeddings, overlap):
    return HybridRetriever.from_documents(documents, embeddings, reranker=overlap)


def test_both_sources_find_and_the_second_stage_decides(hybrid, overlap):
    """Results carry their rank in both sources and are in the reranker's order."""
    results = hybrid.invoke(QUESTION)
    told = provenance(results[0])
    assert set(told["sources"]) == {"bm25", "dense"}
    scores = [one.metadata["relevance_score"] for one in results]
    assert scores == sorted(scores, reverse=True)
    assert overlap.calls == [10]


def z_scores(told, source):
    """Return each result's z-score in a source that all of it is shown of; the worst if absent."""
    found = [one["sources"][source]["score"] for one in told if source in one["sources"]]
    values = ((np.array(found) - np.mean(found)) / np.std(found)).tolist()
    left = iter(values)
    return [next(left) if source in one["sources"] else min(values) for one in told]


def test_without_a_second_stage_it_is_the_mean_of_z_scores(documents, embeddings):
    """With reranker=None the order is the default fusion's, and no relevance score is made up."""
    hybrid = HybridRetriever.from_documents(documents, embeddings, reranker=None, k=20)
    results = hybrid.invoke(QUESTION)
    told = [provenance(one) for one in results]
    columns = zip(z_scores(told, "bm25"), z_scores(told, "dense"), strict=True)
    for one, (lexical, dense) in zip(told, columns, strict=True):
        assert one["fusion"] == "Convex"
        assert one["fusion_score"] == pytest.approx((lexical + dense) / 2)
    assert [one["fusion_score"] for one in told] == sorted(
        (one["fusion_score"] for one in told), reverse=True
    )
    assert not any("relevance_score" in one.metadata for one in results)


@pytest.mark.parametrize("kind", ["memory", "chroma"])
def test_documents_without_ids_get_one_id_in_both(documents, embeddings, kind, request):
    """Documents without ids get one id each, used by BM25 and the store, and stay unchanged."""
    bare = [one.model_copy(update={"id": None}) for one in documents]
    before = copy.deepcopy(bare)
    if kind == "memory":
        hybrid = HybridRetriever.from_documents(bare, embeddings, reranker=None, k=20)
    else:
        chroma = pytest.importorskip("langchain_chroma")
        client = request.getfixturevalue("chroma_client")
        store = chroma.Chroma(f"hybrid-{next(_names)}", embeddings, client=client)
        hybrid = HybridRetriever.from_vectorstore(store, reranker=None, k=20)
        hybrid.add_documents(bare)
    results = hybrid.invoke("documents query cascade")
    assert bare == before
    assert len({one.id for one in results}) == len(results) == 10
    both = [one for one in results if len(provenance(one)["sources"]) == 2]
    assert {one.page_content for one in both} >= {documents[1].page_content}


def test_same_text_twice_is_kept_twice(embeddings):
    """Two documents with one text and different metadata are two documents."""
    alike = [Document("one text", metadata={"n": n}) for n in (1, 2)]
    hybrid = HybridRetriever.from_documents(alike, embeddings, reranker=None)
    assert sorted(one.metadata["n"] for one in hybrid.invoke("text")) == [1, 2]


def test_add_replaces_and_delete_removes_in_both(hybrid):
    """Both sources find an added document and a replaced one's new text, and no deleted one."""
    (new,) = hybrid.add_documents([Document("Zebras graze at night")])
    (found,) = hybrid.invoke("zebras graze", k=1)
    assert found.id == new
    assert set(provenance(found)["sources"]) == {"bm25", "dense"}
    hybrid.add_documents([Document("Zebras sleep by day", id=new)])
    assert hybrid.invoke("zebras", k=1)[0].page_content == "Zebras sleep by day"
    assert hybrid.delete([new, "unknown"])["num_deleted"] == 1
    assert new not in {one.id for one in hybrid.invoke("zebras", k=20)}


async def test_awaited_changes_and_answers(hybrid, documents):
    """Adding, asking and deleting can be awaited."""
    (new,) = await hybrid.aadd_documents([Document("Zebras graze at night")])
    assert (await hybrid.ainvoke("zebras graze", k=1))[0].id == new
    assert (await hybrid.adelete([new]))["num_deleted"] == 1
    assert await hybrid.ainvoke(QUESTION) == hybrid.invoke(QUESTION)


def test_results_can_be_added_again(hybrid, request, embeddings):
    """Results can be added to a store again, Chroma too; their provenance is left out."""
    results = hybrid.invoke(QUESTION)
    hybrid.add_documents(results)
    assert [one.id for one in hybrid.invoke(QUESTION)] == [one.id for one in results]
    chroma = pytest.importorskip("langchain_chroma")
    client = request.getfixturevalue("chroma_client")
    store = chroma.Chroma(f"hybrid-{next(_names)}", embeddings, client=client)
    store.add_documents(
        RunoffRerank(reranker=hybrid.reranker).compress_documents(results, QUESTION)
    )
    assert store.get()["ids"]


def test_filters_hold_in_both_sources(hybrid, documents):
    """A request's filter is honoured by BM25 and by the store."""
    results = hybrid.invoke(QUESTION, filter=Range("year", gte=2015), k=20)
    assert {one.id for one in results} == {
        one.id for one in documents if one.metadata["year"] >= 2015
    }


@pytest.mark.parametrize("kind", ["memory", "chroma"])
def test_a_filled_store_gets_bm25_beside_it(documents, embeddings, overlap, kind, request):
    """`from_vectorstore` reads what the store holds, by the store's own ids."""
    if kind == "memory":
        store = InMemoryVectorStore(embeddings)
    else:
        chroma = pytest.importorskip("langchain_chroma")
        client = request.getfixturevalue("chroma_client")
        store = chroma.Chroma(f"hybrid-{next(_names)}", embeddings, client=client)
    held = store.add_documents([one.model_copy(update={"id": None}) for one in documents])
    hybrid = HybridRetriever.from_vectorstore(store, reranker=overlap)
    assert len(hybrid.bm25) == 10
    results = hybrid.invoke(QUESTION)
    assert results[0].id in held
    assert set(provenance(results[0])["sources"]) == {"bm25", "dense"}


def test_a_store_that_lists_nothing_needs_documents(documents):
    """A store that cannot list its content is named, and takes documents with ids instead."""

    class Closed(VectorStore):
        def similarity_search(self, query, k=4, **kwargs):
            return documents[:k]

        @classmethod
        def from_texts(cls, texts, embedding, metadatas=None, **kwargs):
            raise NotImplementedError

    with pytest.raises(InvalidArgument, match="Closed cannot list its documents"):
        HybridRetriever.from_vectorstore(Closed(), reranker=None)
    bare = [Document("no id")]
    with pytest.raises(InvalidArgument, match="the id that it has in the store"):
        HybridRetriever.from_vectorstore(Closed(), bare, reranker=None)
    hybrid = HybridRetriever.from_vectorstore(Closed(), documents, reranker=None, k=3)
    assert len(hybrid.invoke("cascade")) == 3


def test_k_is_configurable_and_indexes_are_kept(hybrid):
    """Configured per call, the retriever searches the same index with the same reranker."""
    retriever = hybrid.configurable_fields(k=ConfigurableField(id="k"))
    assert len(retriever.invoke(QUESTION, {"configurable": {"k": 2}})) == 2
    rebuilt, _ = retriever.prepare({"configurable": {"k": 2}})
    assert rebuilt.bm25 is hybrid.bm25
    assert rebuilt.vectorstore is hybrid.vectorstore


def test_wrong_arguments_are_named(hybrid, store):
    """Wrong documents, ids and indexes raise InvalidArgument."""
    with pytest.raises(InvalidArgument, match="documents='text'"):
        hybrid.add_documents(["text"])
    with pytest.raises(InvalidArgument, match="must be a list of ids"):
        hybrid.delete("otter")
    with pytest.raises(InvalidArgument, match="bm25="):
        HybridRetriever(bm25="bm25", vectorstore=store)
