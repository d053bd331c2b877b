"""What is bound, configured or set on a retriever stays, whatever LangChain wraps around it."""

import asyncio

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.runnables import ConfigurableField
from langchain_core.vectorstores import InMemoryVectorStore

from runoff import Document as CoreDocument
from runoff.errors import FilterNotSupported, InvalidArgument
from runoff.filters import Eq
from runoff.langchain import HybridRetriever, TwoStageRetriever, two_stage
from runoff.recall import BM25

A, B = {"tenant": "a"}, {"tenant": "b"}


def store():
    held = InMemoryVectorStore(DeterministicFakeEmbedding(size=8))
    held.add_documents([
        Document(id=f"{tenant}{n}", page_content=f"oil {n}", metadata={"tenant": tenant, "n": n})
        for tenant in "ab"
        for n in range(4)
    ])  # fmt: skip
    return held


RETRIEVERS = {
    "two_stage": lambda: two_stage(store(), reranker=None),
    "hybrid": lambda: HybridRetriever.from_vectorstore(store(), reranker=None),
}
WRAPPED = {
    "retry": lambda one: one.with_retry(),
    "fallbacks": lambda one: one.with_fallbacks([one]),
    "listeners": lambda one: one.with_alisteners(),
    "alternatives": lambda one: one.configurable_alternatives(ConfigurableField("x"), other=one),
    "fields": lambda one: one.configurable_fields(k=ConfigurableField("k")),
    "fields and retry": lambda one: one.configurable_fields(k=ConfigurableField("k")).with_retry(),
    "config": lambda one: one.with_retry().with_config(tags=["x"]),
    "bound": lambda one: one.bind(top_n=3).with_fallbacks([one]),
    "bound alternatives": lambda one: one.bind(top_n=3).configurable_alternatives(
        ConfigurableField("x"), other=one
    ),
    "retry of fallbacks": lambda one: one.with_fallbacks([one]).with_retry(),
}


def tenants(found):
    return {one.metadata["tenant"] for one in found}


@pytest.mark.parametrize("make", RETRIEVERS.values(), ids=RETRIEVERS)
@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_a_bound_filter_outlasts_what_is_wrapped_around(make, wrap):
    """A filter that is bound to a wrapped retriever is not replaced by a later one."""
    wrapped = wrap(make())
    assert tenants(wrapped.bind(filter=A).invoke("oil")) == {"a"}
    assert wrapped.bind(filter=A).invoke("oil", filter=B) == []
    assert wrapped.bind(filter=A).bind(filters=Eq("tenant", "b")).invoke("oil") == []
    assert asyncio.run(wrapped.bind(filter=A).ainvoke("oil", filter=B)) == []
    assert wrapped.bind(filter=A).with_retry().bind(filter=B).batch(["oil"]) == [[]]


@pytest.mark.parametrize("make", RETRIEVERS.values(), ids=RETRIEVERS)
def test_a_configured_filter_outlasts_a_later_config(make):
    """A filter of one config and a filter of the next hold together."""
    field = ConfigurableField("tenant")
    mine = make().configurable_fields(filter=field).with_config(configurable={"tenant": A})
    assert tenants(mine.invoke("oil")) == {"a"}
    assert tenants(mine.invoke("oil", {"configurable": {"tenant": A}})) == {"a"}
    assert mine.invoke("oil", {"configurable": {"tenant": B}}) == []
    assert mine.with_config(configurable={"tenant": B}).invoke("oil") == []
    assert mine.bind(top_n=3).with_config(configurable={"tenant": B}).invoke("oil") == []
    bound = make().configurable_fields(filter=field).bind(top_n=3)
    mine = bound.with_config(configurable={"tenant": A})
    assert mine.invoke("oil", {"configurable": {"tenant": B}}) == []


@pytest.mark.parametrize("make", RETRIEVERS.values(), ids=RETRIEVERS)
def test_a_filter_that_is_set_afterwards_applies(make):
    """`filter`, set as an attribute or on a copy, narrows the retriever as `filters` does."""
    changed = make()
    changed.filter = A
    assert tenants(changed.invoke("oil")) == {"a"}
    assert tenants(make().model_copy(update={"filter": A}).invoke("oil")) == {"a"}
    assert two_stage(changed, filter=B).invoke("oil") == []
    outer = TwoStageRetriever(
        retrievers={"inner": changed}, reranker=None
    )  # fmt: skip
    assert tenants(outer.invoke("oil")) == {"a"}
    assert outer.invoke("oil", filter=B) == []


@pytest.mark.parametrize(
    "name", ["namespace", "tenant", "partition_names", "shard_key_selector"]
)  # fmt: skip
def test_a_part_of_a_store_is_a_boundary(name):
    """A part of one store does not stand beside all of another: the documents would mix."""
    part = store().as_retriever(search_kwargs={name: "a"})
    words = BM25([CoreDocument("b0", "oil 0", {"tenant": "b"})])
    with pytest.raises((InvalidArgument, FilterNotSupported), match=name):
        two_stage({"dense": part, "bm25": words}, reranker=None).invoke("oil")
    with pytest.raises(InvalidArgument, match=f"{name}.*part"):
        HybridRetriever.from_vectorstore(store(), search_kwargs={name: "a"})
