"""A filter outlasts what rewrites a query, and a part of an index is a boundary too."""

import asyncio

import pytest
from llama_index.core import MockEmbedding, VectorStoreIndex
from llama_index.core.indices.query.query_transform import HyDEQueryTransform
from llama_index.core.indices.query.query_transform.base import StepDecomposeQueryTransform
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import TransformQueryEngine
from llama_index.core.retrievers import QueryFusionRetriever, VectorIndexRetriever
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores import MetadataFilter, MetadataFilters

from runoff.errors import InvalidArgument
from runoff.filters import Eq
from runoff.llama_index import (
    FilteredQueryBundle,
    HybridRetriever,
    TwoStageRetriever,
    two_stage,
)

FILTERS = MetadataFilters(filters=[MetadataFilter(key="tenant", value="a")])


@pytest.fixture(scope="module")
def index():
    nodes = [
        TextNode(id_=f"{tenant}{n}", text=f"oil {n}", metadata={"tenant": tenant})
        for tenant in "ba"
        for n in range(4)
    ]
    return VectorStoreIndex(nodes, embed_model=MockEmbedding(embed_dim=8))


def tenants(found):
    return {one.node.metadata["tenant"] for one in found}


TRANSFORMS = {
    "HyDE": lambda: HyDEQueryTransform(llm=MockLLM()),
    "steps": lambda: StepDecomposeQueryTransform(llm=MockLLM()),
}


@pytest.mark.parametrize("make", TRANSFORMS.values(), ids=TRANSFORMS)
def test_a_rewritten_query_keeps_its_filters(index, make):
    """LlamaIndex's transforms make a new bundle without filters; the engine's copy adds them."""
    engine = index.as_query_engine(llm=MockLLM())
    transform = make()
    whole = two_stage(TransformQueryEngine(engine, transform))
    asked = FilteredQueryBundle("oil", filters=FILTERS)
    assert tenants(whole.query(asked).source_nodes) == {"a"}
    assert tenants(asyncio.run(whole.aquery(asked)).source_nodes) == {"a"}
    assert tenants(whole.retrieve(asked)) == {"a"}
    assert tenants(whole.query("oil").source_nodes) == {"a", "b"}
    assert whole._query_transform.get_prompts().keys() == transform.get_prompts().keys()


def beside(index, options, *, fused):
    """A retriever of a part of an index, and one of all of it."""
    both = [VectorIndexRetriever(index, **options), index.as_retriever()]
    if fused:
        return QueryFusionRetriever(both, llm=MockLLM(), num_queries=1)
    return dict(zip(("part", "all"), both, strict=True))


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("node_ids", {"node_ids": ["a1"]}),
        ("doc_ids", {"doc_ids": ["x"]}),
        ("namespace", {"vector_store_kwargs": {"namespace": "a"}}),
        ("where", {"vector_store_kwargs": {"where": {"tenant": "a"}}}),
        ("es_filter", {"vector_store_kwargs": {"es_filter": [{"term": {"tenant": "a"}}]}}),
        ("shard_identifier", {"vector_store_kwargs": {"shard_identifier": "a"}}),
    ],
)
def test_a_part_of_an_index_is_a_boundary(index, name, options, fused):
    """A retriever of some nodes does not stand beside one of all: the nodes would mix."""
    with pytest.raises(InvalidArgument, match=name):
        TwoStageRetriever(beside(index, options, fused=fused), reranker=None)


def test_a_part_of_an_index_alone_is_kept(index):
    """One retriever of some nodes returns those, with a filter on top."""
    part = VectorIndexRetriever(index, node_ids=["a1", "b1", "b2"])
    found = two_stage(part, reranker=None, filters=Eq("tenant", "b")).retrieve("oil")
    assert {one.node_id for one in found} == {"b1", "b2"}


def test_a_copy_notices_what_was_changed_before_it_was_made(caplog):
    """A hybrid inside another retriever is copied for each call; the index's change is seen."""
    for refresh in ("auto", "manual"):
        made = VectorStoreIndex([TextNode(id_="a", text="oil")], embed_model=MockEmbedding(8))
        hybrid = HybridRetriever.from_defaults(index=made, reranker=None, refresh=refresh)
        made.insert_nodes([TextNode(id_="b", text="zebra")])
        caplog.clear()
        assert TwoStageRetriever({"inner": hybrid}, reranker=None).retrieve("zebra")
        assert ("b" in hybrid.bm25) is (refresh == "auto")
        assert ("was changed without BM25" in caplog.text) is (refresh == "manual")
