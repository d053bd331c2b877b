"""Which vector store an object is, recognised by its class without importing any of them."""

from __future__ import annotations

_KINDS = {
    "SimpleVectorStore": "simple",
    "ChromaVectorStore": "chroma",
    "QdrantVectorStore": "qdrant",
    "PGVectorStore": "postgres",
    "MilvusVectorStore": "milvus",
    "LanceDBVectorStore": "lancedb",
    "DuckDBVectorStore": "duckdb",
    "FaissVectorStore": "faiss",
    "ElasticsearchStore": "elasticsearch",
    "OpensearchVectorStore": "opensearch",
    "WeaviateVectorStore": "weaviate",
    "RedisVectorStore": "redis",
    "MongoDBAtlasVectorSearch": "mongodb",
}


def kind_of(store: object) -> str | None:
    """Return which of these stores it is, by its class or a base class; None for another store."""
    names = (one.__name__ for one in type(store).__mro__)
    return next((_KINDS[name] for name in names if name in _KINDS), None)
