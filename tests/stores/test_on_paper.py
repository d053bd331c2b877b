"""Stores that need a server: stand-ins read their filters as their documentation says."""

from types import SimpleNamespace

import pytest

pytest.importorskip("langchain_core")
pytest.importorskip("llama_index.core")

import paper
import shelf
from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStore
from llama_index.core import VectorStoreIndex
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores.types import BasePydanticVectorStore, VectorStoreQueryResult
from store_rows import LEAVES, check_filters, rows

from runoff.langchain._filters import store_kwargs
from runoff.langchain._scoring import gives_scores
from runoff.langchain._stores import content
from runoff.llama_index._convert import Reading
from runoff.llama_index._pushed import pushed
from runoff.llama_index._sources import index_source
from runoff.pipeline._systems import as_system

SCHEMA = [{"name": "tenant", "type": "tag"}, {"name": "year", "type": "numeric"}]
# store to its module, its class, the argument that takes its filter, and what reads it
LANGCHAIN = {
    "elasticsearch": ("langchain_elasticsearch", "ElasticsearchStore", "filter", paper.elastic),
    "opensearch": (
        "langchain_community", "OpenSearchVectorSearch", "efficient_filter", paper.elastic,
    ),
    "weaviate": ("langchain_weaviate", "WeaviateVectorStore", "filters", paper.weaviate),
    "redis": ("langchain_redis", "RedisVectorStore", "filter", paper.redis),
    "mongodb": ("langchain_mongodb", "MongoDBAtlasVectorSearch", "pre_filter", paper.mongo),
}  # fmt: skip
NEEDS = {"weaviate": "weaviate", "redis": "redisvl"}


class Paper(VectorStore):
    """A store that applies its filter as `reads` says."""

    config = SimpleNamespace(metadata_schema=SCHEMA)
    argument, reads = "filter", None

    def similarity_search_with_score(self, query, k=4, **kwargs):
        asked = kwargs.get(self.argument)
        clauses = asked if isinstance(asked, list) else [] if asked is None else [asked]
        question = shelf.vector(query)
        found = [
            (Document(id=one, page_content=text, metadata=dict(data)), _dot(question, text))
            for one, text, data in rows()
            if all(type(self).reads(each, data) for each in clauses)
        ]
        return sorted(found, key=lambda one: -one[1])[:k]

    def similarity_search(self, query, k=4, **kwargs):
        return [one for one, _ in self.similarity_search_with_score(query, k, **kwargs)]

    @classmethod
    def from_texts(cls, texts, embedding, metadatas=None, **kwargs):
        raise NotImplementedError


def _dot(question, text):
    return sum(a * b for a, b in zip(question, shelf.vector(text), strict=True))


def langchain_store(kind):
    if kind in NEEDS:
        pytest.importorskip(NEEDS[kind])
    module, name, argument, reads = LANGCHAIN[kind]
    body = {"__module__": module, "argument": argument, "reads": staticmethod(reads)}
    return type(name, (Paper,), body)()


@pytest.mark.parametrize("kind", LANGCHAIN)
def test_langchains_filters(kind):
    """The store is asked for a part of every filter at most, and the answer is exact."""
    store = langchain_store(kind)
    source = next(iter(as_system(store.as_retriever()).pipeline.sources.values()))
    check_filters(source, 30, lambda hit: hit.document.doc_id)
    asked = {name for name, one in LEAVES.items() if store_kwargs(store, {}, one, None, "x").pushed}
    assert asked == {"text", "number", "range", "or"}


@pytest.mark.parametrize("kind", LANGCHAIN)
def test_langchains_own_filters_stay(kind):
    """A filter in the search arguments holds beside that of a query, or is left to the store."""
    store = langchain_store(kind)
    own = store_kwargs(store, {}, LEAVES["number"], None, "x").arguments
    both = store_kwargs(store, own, LEAVES["text"], None, "x").arguments
    found = {one.metadata["year"] for one in store.similarity_search("oil", 60, **both)}
    assert found == {2011}


def test_a_hybrid_without_scores_is_asked_for_none():
    """Elasticsearch's store raises in hybrid mode when it is asked for scores."""
    store = langchain_store("elasticsearch")
    assert gives_scores(store.as_retriever())
    store._store = SimpleNamespace(retrieval_strategy=SimpleNamespace(hybrid=True))
    assert not gives_scores(store.as_retriever())
    assert list(as_system(store.as_retriever()).pipeline.sources) == ["hybrid"]


class TestLists:
    """Stores list their documents through their clients."""

    EXPECTED = {(one, text): data for one, text, data in rows(5)}  # noqa: RUF012 - read only

    def check(self, store):
        listed = {(one.id, one.page_content): one.metadata for one in content(store)}
        assert listed == self.EXPECTED

    def test_mongodb(self):
        """A row holds the text, the vector and the metadata side by side."""
        store = langchain_store("mongodb")
        store._text_key, store._embedding_key = "text", "embedding"
        held = [{"_id": one, "text": text, **data} for one, text, data in rows(5)]
        store.collection = SimpleNamespace(find=lambda query, without: held)
        self.check(store)

    def test_weaviate(self):
        """Properties hold the text and the metadata."""
        store = langchain_store("weaviate")
        store._text_key, store._index_name = "text", "Index"
        held = [
            SimpleNamespace(uuid=one, properties={"text": text, **data})
            for one, text, data in rows(5)
        ]
        collection = SimpleNamespace(iterator=lambda: held)
        store._client = SimpleNamespace(collections=SimpleNamespace(get=lambda name: collection))
        self.check(store)

    @pytest.mark.parametrize("kind", ["elasticsearch", "opensearch"])
    def test_elasticsearch(self, kind, monkeypatch):
        """Hits are scanned page by page."""
        module = {"elasticsearch": "elasticsearch", "opensearch": "opensearchpy"}[kind]
        helpers = pytest.importorskip(f"{module}.helpers")
        held = [
            {"_id": one, "_source": {"text": text, "metadata": data}} for one, text, data in rows(5)
        ]
        monkeypatch.setattr(helpers, "scan", lambda client, **_: iter(held))
        store = langchain_store(kind)
        store.client, store.index_name = None, "index"
        store._store = SimpleNamespace(
            client=None, index="index", text_field="text", metadata_field="metadata",
            retrieval_strategy=None,
        )  # fmt: skip
        self.check(store)


def _elastic(filters, kwargs, data):
    from llama_index.vector_stores.elasticsearch.base import _to_elasticsearch_filter

    clauses = kwargs.get("es_filter") or []
    if filters is not None:
        clauses = [_to_elasticsearch_filter(filters)]
    return all(paper.elastic(one, data) for one in clauses)


def _opensearch(filters, kwargs, data):
    from llama_index.vector_stores.opensearch import OpensearchVectorClient

    client = OpensearchVectorClient.__new__(OpensearchVectorClient)
    client._os_client = client._os_async_client = None
    return all(paper.elastic(one, data) for one in client._parse_filters(filters))


def _weaviate(filters, kwargs, data):
    from llama_index.vector_stores.weaviate.base import _to_weaviate_filter

    return filters is None or paper.weaviate(_to_weaviate_filter(filters), data)


def _mongodb(filters, kwargs, data):
    from llama_index.vector_stores.mongodb.pipelines import filters_to_mql

    return filters is None or paper.mongo(filters_to_mql(filters), data, "metadata.")


LLAMA_INDEX = {
    "elasticsearch": ("ElasticsearchStore", _elastic),
    "opensearch": ("OpensearchVectorStore", _opensearch),
    "weaviate": ("WeaviateVectorStore", _weaviate),
    "mongodb": ("MongoDBAtlasVectorSearch", _mongodb),
}


class PaperNodes(BasePydanticVectorStore):
    """A store of LlamaIndex's kind that applies its filters as the real one's code says."""

    stores_text: bool = True

    @property
    def client(self):
        return None

    def add(self, nodes, **kwargs):
        return [one.node_id for one in nodes]

    def delete(self, ref_doc_id, **kwargs):
        raise NotImplementedError

    def query(self, query, **kwargs):
        found = sorted(
            (
                (sum(a * b for a, b in zip(query.query_embedding, shelf.vector(text), strict=True)),
                 TextNode(id_=one, text=text, metadata=dict(data)))
                for one, text, data in rows()
                if type(self)._keeps(query.filters, kwargs, data)
            ),
            key=lambda one: -one[0],
        )[: query.similarity_top_k]  # fmt: skip
        return VectorStoreQueryResult(
            nodes=[node for _, node in found],
            ids=[node.node_id for _, node in found],
            similarities=[score for score, _ in found],
        )


@pytest.mark.parametrize("kind", LLAMA_INDEX)
def test_llama_indexs_filters(kind):
    """What the store's own code makes of a filter is exact, with what is checked here."""
    pytest.importorskip(f"llama_index.vector_stores.{kind}")
    name, keeps = LLAMA_INDEX[kind]
    made = type(name, (PaperNodes,), {"__module__": __name__, "_keeps": staticmethod(keeps)})
    index = VectorStoreIndex.from_vector_store(made(), embed_model=shelf.NodeVectors())
    check_filters(index_source(index, Reading()), 30, lambda hit: hit.document.doc_id)
    asked = {name for name, one in LEAVES.items() if pushed(index.as_retriever(), one) is not None}
    assert asked == {"text", "number", "range", "or"}


def test_llama_indexs_redis_is_asked_for_no_either_or():
    """It drops a condition on a field outside its schema, which would lose nodes of an or."""

    class RedisVectorStore(PaperNodes):
        @staticmethod
        def _keeps(filters, kwargs, data):
            return True

    index = VectorStoreIndex.from_vector_store(RedisVectorStore(), embed_model=shelf.NodeVectors())
    check_filters(index_source(index, Reading()), 20, lambda hit: hit.document.doc_id)
    assert pushed(index.as_retriever(), LEAVES["or"]) is None
