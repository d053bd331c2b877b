"""Which vector store an object is, told by its class: none of them is imported for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_core.vectorstores import VectorStore

_KINDS = {
    ("langchain_core", "InMemoryVectorStore"): "memory",
    ("langchain_chroma", "Chroma"): "chroma",
    ("langchain_community", "FAISS"): "faiss",
    ("langchain_qdrant", "QdrantVectorStore"): "qdrant",
    ("langchain_postgres", "PGVector"): "pgvector",
    ("langchain_postgres", "PGVectorStore"): "pgvectorstore",
    ("langchain_milvus", "Milvus"): "milvus",
    ("langchain_community", "LanceDB"): "lancedb",
    ("langchain_elasticsearch", "ElasticsearchStore"): "elasticsearch",
    ("langchain_elasticsearch", "AsyncElasticsearchStore"): "elasticsearch",
    ("langchain_community", "OpenSearchVectorSearch"): "opensearch",
    ("langchain_weaviate", "WeaviateVectorStore"): "weaviate",
    ("langchain_redis", "RedisVectorStore"): "redis",
    ("langchain_mongodb", "MongoDBAtlasVectorSearch"): "mongodb",
    ("langchain_community", "DuckDB"): "duckdb",
    ("langchain_community", "SQLiteVec"): "sqlitevec",
}


def kind_of(store: VectorStore) -> str | None:
    """Return which of these stores it is, by its class or a base class; None for another store."""
    classes = ((one.__module__.split(".")[0], one.__name__) for one in type(store).__mro__)
    return next((_KINDS[one] for one in classes if one in _KINDS), None)
