"""Ways of naming a filter that once leaked, in both frameworks, each with the right answer."""

import logging
from random import Random
from typing import ClassVar

import pytest

pytest.importorskip("langchain_core")
pytest.importorskip("llama_index.core")
pytest.importorskip("langchain_classic")
pytest.importorskip("langchain_community", reason="the peers group is not installed")

from boundary import Lengths
from boundary_langchain import (
    Claims,
    Vectors,
    children_of,
    documents,
    hybrid_of,
    self_query,
    store_of,
)
from boundary_llama_index import hybrid_of as node_hybrid_of
from boundary_llama_index import index_of, nodes
from langchain_classic.retrievers import ContextualCompressionRetriever
from langchain_community.retrievers import BM25Retriever as LangChainBM25
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.runnables import ConfigurableField
from langchain_core.vectorstores import InMemoryVectorStore
from llama_index.core import VectorStoreIndex
from llama_index.core.llms import MockLLM
from llama_index.core.postprocessor import PrevNextNodePostprocessor
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.storage.docstore import SimpleDocumentStore

from runoff.errors import FilterNotSupported, InvalidArgument
from runoff.filters import And, Eq, Not
from runoff.langchain import HybridRetriever, TwoStageRetriever, two_stage
from runoff.langchain import RunoffRerank as Compressor
from runoff.llama_index import FilteredQueryBundle, RunoffRerank
from runoff.llama_index import HybridRetriever as NodeHybrid
from runoff.llama_index import TwoStageRetriever as NodeRetriever
from runoff.llama_index import two_stage as two_stage_of
from runoff.pipeline import TwoStage
from runoff.recall import BM25
from runoff.types import Document as OurDocument

Q = "oil report"
A, B = Eq("tenant", "a"), Eq("tenant", "b")


def tenants(found):
    """Return the tenants of what was found, in either framework."""
    return {getattr(one, "node", one).metadata["tenant"] for one in found}


class TestNames:
    """A1 and A2: a filter is applied under every name, or refused by name."""

    @pytest.mark.parametrize("name", ["filter", "filters"])
    @pytest.mark.parametrize("make", [two_stage, HybridRetriever.from_vectorstore])
    def test_a_constructor_filter_applies(self, make, name):
        """Both names of a constructor's filter reach every source."""
        made = make(store_of("memory"), reranker=None, top_n=50, **{name: {"tenant": "a"}})
        assert tenants(made.invoke(Q)) == {"a"}

    @pytest.mark.parametrize("name", ["search_kwargs", "where", "metadata_filter"])
    def test_an_unknown_name_is_refused(self, name):
        """A filter under a name that is not an option is refused by name."""
        with pytest.raises(InvalidArgument, match=name):
            two_stage(store_of("memory"), reranker=None, **{name: {"filter": {"tenant": "a"}}})

    def test_search_kwargs_of_a_hybrid_are_refused_by_a_config_too(self):
        """A hybrid's search arguments may hold no filter, even if a config sets them."""
        made = hybrid_of("memory").configurable_fields(search_kwargs=ConfigurableField(id="x"))
        given = {"configurable": {"x": {"filter": {"tenant": "a"}}}}
        with pytest.raises(InvalidArgument, match=r"search_kwargs\['filter'\]"):
            made.invoke(Q, given)

    def test_both_names_at_once_are_joined(self):
        """A constructor given filter= and filters= keeps what both keep."""
        made = two_stage(store_of("memory"), reranker=None, top_n=50, filter=A, filters=B)
        assert made.filters == And(B, A)
        assert made.invoke(Q) == []

    @pytest.mark.parametrize("name", ["filter", "filters"])
    def test_a_configured_filter_reaches_both_halves_and_adds_up(self, name):
        """A filter set by a config is added to the constructor's and reaches BM25 and the store."""
        hybrid = hybrid_of("memory")
        field = {name: ConfigurableField(id="tenant")}
        config = {"configurable": {"tenant": {"tenant": "a"}}}
        assert tenants(hybrid.configurable_fields(**field).invoke(Q, config)) == {"a"}
        mine = two_stage(hybrid, reranker=None, filter=B).configurable_fields(**field)
        assert mine.invoke(Q, config) == []
        assert tenants(mine.invoke(Q)) == {"b"}

    def test_a_second_config_keeps_a_configured_filter(self):
        """Tags that are added later do not drop a configured filter."""
        made = hybrid_of("memory").configurable_fields(filter=ConfigurableField(id="tenant"))
        mine = made.with_config(configurable={"tenant": A}).with_config(tags=["x"])
        assert tenants(mine.invoke(Q)) == {"a"}

    def test_the_pipeline_keeps_the_filters(self):
        """The pipeline behind a retriever has its filters, in both frameworks."""
        for made in (
            two_stage(store_of("memory"), reranker=None, filter=A),
            two_stage_of(index_of("simple"), reranker=None, filters=A),
        ):
            found = made.pipeline.search(Q, top_k=50)
            assert {one.document.metadata["tenant"] for one in found} == {"a"}

    def test_the_core_takes_filters_once_for_all(self):
        """`TwoStage(filters=...)` joins its filters to those of every search."""
        rows = [OurDocument(one.id, one.page_content, one.metadata) for one in documents()]
        pipeline = TwoStage({"bm25": BM25(rows)}, reranker=None, filters=A)
        assert {one.document.metadata["tenant"] for one in pipeline.search(Q)} == {"a"}
        assert len(pipeline.search(Q, filters=B)) == 0
        with pytest.raises(InvalidArgument, match="filter"):
            TwoStage({"bm25": BM25(rows)}, reranker=None, filters={"tenant": "a"})


class TestBindings:
    """A3: filters that are bound stay, whatever is bound or passed later."""

    def test_a_bound_hybrid_inside_another(self):
        """A filter bound to a retriever inside applies without a filter and with another."""
        inside = TwoStageRetriever(
            retriever=hybrid_of("memory").bind(filter=A), reranker=None, top_n=50
        )
        assert tenants(inside.invoke(Q)) == {"a"}
        assert inside.invoke(Q, filter=B) == []

    @pytest.mark.parametrize("wrap", [
        lambda one: one,
        lambda one: one.with_config(tags=["x"]),
        lambda one: one.with_listeners(on_start=lambda _: None),
        lambda one: one.with_types(input_type=str),
        lambda one: one.bind(top_n=50),
    ])  # fmt: skip
    def test_a_call_adds_to_what_is_bound(self, wrap):
        """A filter of a call does not replace the one that is bound, nor does a second one."""
        bound = wrap(hybrid_of("memory")).bind(filter=A)
        assert tenants(bound.invoke(Q)) == {"a"}
        assert bound.invoke(Q, filter=B) == []
        assert bound.bind(filters=B).invoke(Q) == []

    def test_a_store_with_two_filters_is_refused(self):
        """A filter bound to a store's retriever may not replace the one in search_kwargs."""
        mine = store_of("chroma").as_retriever(search_kwargs={"filter": {"tenant": "a"}})
        made = two_stage(mine.bind(filter={"tenant": "b"}), reranker=None)
        with pytest.raises(FilterNotSupported, match="search_kwargs"):
            made.invoke(Q)

    def test_a_filter_of_one_of_several_is_refused(self):
        """A filter that reaches one of several retrievers alone is refused by name."""
        words = BM25([OurDocument("1", Q, {"tenant": "b"})])
        dense = store_of("chroma").as_retriever(search_kwargs={"filter": {"tenant": "a"}})
        made = TwoStageRetriever(retrievers={"bm25": words, "dense": dense}, reranker=None)
        with pytest.raises(InvalidArgument, match=r"dense: filter.*filters="):
            made.invoke(Q)
        with pytest.raises(InvalidArgument, match=r"dense: filters.*filters="):
            NodeRetriever(
                {"bm25": words, "dense": two_stage_of(index_of("simple"), filters=A)}, reranker=None
            )

    def test_the_same_filter_everywhere_is_accepted(self):
        """Retrievers that all have the filter are used together."""
        inner = two_stage(store_of("memory"), reranker=None, filter=A)
        made = TwoStageRetriever(
            retrievers={"x": inner, "y": store_of("memory")}, reranker=None, filter=A
        )
        assert tenants(made.invoke(Q)) == {"a"}


def test_a_filter_bound_around_another_is_refused():
    """LangChain would replace the inner one, in a composite as in a retry."""
    inner = store_of("faiss").as_retriever().bind(filter={"tenant": "a"})
    compressed = ContextualCompressionRetriever(base_compressor=_Picky(), base_retriever=inner)
    for outer in (compressed, inner.with_fallbacks([inner])):
        made = TwoStageRetriever(outer.bind(filter={"tenant": "b"}), reranker=None)
        with pytest.raises(FilterNotSupported, match="bound to it too"):
            made.invoke(Q)
        same = TwoStageRetriever(outer.bind(filter={"tenant": "a"}), reranker=None)
        assert tenants(same.invoke(Q)) == {"a"}


class _Picky(BaseDocumentCompressor):
    """A compressor that costs something, and removes every other document."""

    calls: ClassVar[list] = []  # of all copies

    def compress_documents(self, documents, query, callbacks=None):
        self.calls.append(len(documents))
        return list(documents)[::2]


@pytest.mark.parametrize(("honoured", "calls"), [(True, 1), (False, 2)])
def test_a_compressor_is_called_again_only_for_the_filter(honoured, calls):
    """What a compressor removed is not asked for again; what the filter removed is."""
    store = store_of("memory")
    base = store.as_retriever() if honoured else LangChainBM25.from_documents(documents())
    picky = _Picky()
    picky.calls.clear()
    compressed = ContextualCompressionRetriever(base_compressor=picky, base_retriever=base)
    made = TwoStageRetriever(compressed, filters=A, reranker=None)
    assert tenants(made.invoke(Q)) == {"a"}
    assert len(picky.calls) == calls


class TestIsolation:
    """A4: results, indexes and what they were made of share no mutable state."""

    def test_langchain(self):
        """Changes to a result or to the given documents change no later answer."""
        given = [Document(id="1", page_content=Q, metadata={"tenant": "a", "acl": ["a"]})]
        made = HybridRetriever.from_documents(given, Vectors(), reranker=None)
        given[0].metadata["acl"].append("b")
        given[0].metadata["tenant"] = "b"
        for _ in range(2):
            (found,) = made.invoke(Q, filter={"tenant": "a", "acl": "a"})
            assert found.metadata["acl"] == ["a"]
            found.metadata["acl"].append("b")
            found.metadata["tenant"] = "b"
            (core,) = made.pipeline.search(Q)
            core.document.metadata["tenant"] = "b"
        assert made.invoke(Q, filter={"acl": "b"}) == []

    def test_a_vector_store_and_bm25_share_nothing(self):
        """Documents read from a store are copied into BM25."""
        store = InMemoryVectorStore(Vectors())
        store.add_documents([Document(id="1", page_content=Q, metadata={"acl": ["a"]})])
        made = HybridRetriever.from_vectorstore(store, reranker=None)
        made.invoke(Q)[0].metadata["acl"].append("b")
        assert made.bm25.get("1").metadata == {"acl": ["a"]}
        assert store.get_by_ids(["1"])[0].metadata == {"acl": ["a"]}

    def test_llama_index(self):
        """Changes to a result or to the given nodes change no later answer."""
        given = [TextNode(id_="1", text=Q, metadata={"tenant": "a", "acl": ["a"]})]
        made = NodeHybrid.from_defaults(nodes=given, embed_model=Vectors_(), reranker=None)
        given[0].metadata["acl"].append("b")
        for _ in range(2):
            (found,) = made.retrieve(FilteredQueryBundle(Q, filters=Eq("tenant", "a")))
            assert found.node.metadata["acl"] == ["a"]
            found.node.metadata["acl"].append("b")
            found.node.metadata["tenant"] = "b"
        assert made.bm25.get("1").metadata["acl"] == ["a"]

    def test_rerankers(self):
        """What RunoffRerank returns shares nothing with what it was given."""
        given = [Document(id=one, page_content=Q, metadata={"acl": ["a"]}) for one in "12"]
        wrapped = [TextNode(id_=one, text=Q, metadata={"acl": ["a"]}) for one in "12"]
        found = Compressor(reranker=Lengths()).compress_documents(given, Q)
        ranked = RunoffRerank(reranker=Lengths()).postprocess_nodes(
            [NodeWithScore(node=one, score=1.0) for one in wrapped], query_str=Q
        )
        for one in (*found, *(one.node for one in ranked)):
            one.metadata["acl"].append("b")
        assert [one.metadata for one in (*given, *wrapped)] == [{"acl": ["a"]}] * 4


def Vectors_():  # noqa: N802 - LlamaIndex's embedding of the same name
    """Return LlamaIndex's embedding."""
    from boundary_llama_index import Vectors as NodeVectors

    return NodeVectors()


class TestMoved:
    """A6: where BM25 and the store differ, the store says who may see a document."""

    @pytest.mark.parametrize("kind", ["memory", "chroma", "faiss"])
    def test_langchain(self, kind, caplog, tmp_path):
        """A document that moved to another tenant in the store is not found for the first."""
        store = _fresh_store(kind, tmp_path)
        made = HybridRetriever.from_vectorstore(store, reranker=None, top_n=50)
        first = documents()[0]
        store.delete([first.id])
        store.add_documents(
            [first.model_copy(update={"metadata": {"tenant": "b"}})], ids=[first.id]
        )
        with caplog.at_level(logging.WARNING, "runoff"):
            found = made.invoke(Q, filter=A)
        assert first.id not in {one.id for one in found}
        assert len(found) == 11
        assert "out of date" in caplog.text

    def test_llama_index(self):
        """A node that moved to another tenant in the index is not found for the first."""
        index = VectorStoreIndex(nodes(), embed_model=Vectors_())
        made = NodeHybrid.from_defaults(index=index, reranker=None, top_n=50)
        moved = nodes()[0]
        moved.metadata["tenant"] = "b"
        index.delete_nodes([moved.node_id], delete_from_docstore=True)
        index.insert_nodes([moved])
        found = made.retrieve(FilteredQueryBundle(Q, filters=A))
        assert moved.node_id not in {one.node_id for one in found}
        assert len(found) == 11


def _fresh_store(kind, folder):
    if kind == "memory":
        store = InMemoryVectorStore(Vectors())
        store.add_documents(documents())
        return store
    if kind == "faiss":
        from langchain_community.vectorstores import FAISS

        return FAISS.from_documents(documents(), Vectors(), ids=[one.id for one in documents()])
    from langchain_chroma import Chroma

    return Chroma.from_documents(documents(), Vectors(), persist_directory=str(folder))


@pytest.fixture
def rare():
    """Return an index of 400 nodes, of which 3 belong to a rare tenant."""
    few = {390, 395, 399}
    made = [
        TextNode(
            id_=str(number),
            text="coal and gas" if number in few else Q,
            metadata={"tenant": "rare" if number in few else "common"},
        )
        for number in range(400)
    ]
    return VectorStoreIndex(made, embed_model=Vectors_())


class TestEngines:
    """A7: an engine's recall honours the filters of one query."""

    @pytest.mark.parametrize("again", [False, True])
    async def test_a_rare_tenant_is_found(self, rare, again):
        """Three matching nodes of 400 are found, awaited or not."""
        engine = two_stage_of(rare.as_query_engine(llm=MockLLM()), reranker=Lengths(), top_n=5)
        if again:
            with pytest.warns(UserWarning, match="already has a RunoffRerank"):
                engine = two_stage_of(engine, reranker=Lengths(), top_n=5)
        bundle = FilteredQueryBundle(Q, filters=Eq("tenant", "rare"))
        for found in (engine.query(bundle), await engine.aquery(bundle)):
            assert {one.node_id for one in found.source_nodes} == {"390", "395", "399"}
        assert len(engine.query(Q).source_nodes) == 5

    def test_a_postprocessor_behind_a_plain_retriever_says_what_it_removed(self, rare, caplog):
        """`RunoffRerank` alone removes what is outside, and logs that the recall ignored it."""
        rerank = RunoffRerank(reranker=Lengths(), top_n=5)
        engine = rare.as_query_engine(
            llm=MockLLM(), similarity_top_k=9, node_postprocessors=[rerank]
        )
        engine.query(FilteredQueryBundle(Q, filters=Eq("tenant", "rare")))
        assert "outside the filter" in caplog.text

    def test_neighbours_are_checked(self):
        """Nodes that a later postprocessor adds are checked, too."""
        docstore = SimpleDocumentStore()
        docstore.add_documents(nodes())
        near = PrevNextNodePostprocessor(docstore=docstore, num_nodes=2, mode="both")
        engine = index_of("simple").as_query_engine(llm=MockLLM(), node_postprocessors=[near])
        found = two_stage_of(engine, reranker=Lengths()).query(FilteredQueryBundle(Q, filters=A))
        assert tenants(found.source_nodes) == {"a"}


class TestComposites:
    """A8: a filter of one request reaches retrievers that take none."""

    @pytest.mark.parametrize("told", [True, False])
    def test_parents_of_children(self, told):
        """All parents of a tenant are found, whether or not children carry its name."""
        made = two_stage(children_of(told=told), reranker=None, top_n=50)
        assert len(made.invoke(Q, filter=A)) == 12

    def test_a_retriever_of_words(self):
        """LangChain's BM25Retriever is asked for more until enough pass."""
        from langchain_community.retrievers import BM25Retriever

        words = BM25Retriever.from_documents(documents(), k=2)
        found = two_stage(words, reranker=None, top_n=4, depth=4).invoke(Q, filter=A)
        assert len(found) == 4
        assert tenants(found) == {"a"}

    def test_a_self_query_may_not_replace_a_filter(self):
        """A filter that a self-query retriever would replace by its own is refused by name."""
        made = two_stage(self_query(store_of("memory"), {"filter": {"tenant": "a"}}, Random(1)))
        with pytest.raises(InvalidArgument, match=r"search_kwargs\['filter'\].*replaces it"):
            made.invoke(Q)

    def test_documents_without_metadata_are_refused(self):
        """A retriever whose documents have no metadata is refused by name."""

        class Bare(Claims):
            def _get_relevant_documents(self, query, *, run_manager):
                return [Document(page_content=Q)]

        with pytest.raises(FilterNotSupported, match="without metadata"):
            two_stage(Bare(), reranker=None).invoke(Q, filter=A)

    def test_a_store_without_metadata_keeps_what_a_negation_keeps(self):
        """A vector store's documents without metadata pass a `Not`, as everywhere."""
        store = InMemoryVectorStore(Vectors())
        store.add_documents([Document(id="1", page_content=Q)])
        made = two_stage(store, reranker=None)
        assert [one.id for one in made.invoke(Q, filter=Not(A))] == ["1"]
        assert made.invoke(Q, filter=A) == []

    def test_two_stages_of_nodes_inside_each_other(self):
        """A filter of one query reaches a two-stage retriever inside another."""
        made = NodeRetriever(node_hybrid_of("simple"), reranker=None, top_n=50)
        found = made.retrieve(FilteredQueryBundle(Q, filters=A))
        assert len(found) == 12
        assert tenants(found) == {"a"}
