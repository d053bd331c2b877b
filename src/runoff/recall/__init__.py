"""Sources, the first stage: each finds documents for a query.

The names below are imported on first use, so importing this package loads no index, model or
database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runoff._util.lazy import lazily

if TYPE_CHECKING:
    from runoff.recall._analyzers import Analyzer, make_analyzer
    from runoff.recall._bm25.bm25 import BM25
    from runoff.recall._dense.dense import Dense
    from runoff.recall._dense.embedder import Embedder
    from runoff.recall._function import Function
    from runoff.recall._stores.chroma import Chroma
    from runoff.recall._stores.elasticsearch import Elasticsearch
    from runoff.recall._stores.lancedb import LanceDB
    from runoff.recall._stores.milvus import Milvus
    from runoff.recall._stores.postgres import Postgres
    from runoff.recall._stores.qdrant import Qdrant

__all__ = [
    "BM25",
    "Analyzer",
    "Chroma",
    "Dense",
    "Elasticsearch",
    "Embedder",
    "Function",
    "LanceDB",
    "Milvus",
    "Postgres",
    "Qdrant",
    "make_analyzer",
]

# those that `__all__` lacks were public once, and can still be imported
_MODULES = {
    "BM25": "_bm25.bm25",
    "Analyze": "_analyzers",
    "Analyzer": "_analyzers",
    "make_analyzer": "_analyzers",
    "Progress": "_dense.dense",
    "Chroma": "_stores.chroma",
    "Elasticsearch": "_stores.elasticsearch",
    "Milvus": "_stores.milvus",
    "Qdrant": "_stores.qdrant",
    "Dense": "_dense.dense",
    "Embedder": "_dense.embedder",
    "Function": "_function",
    "LanceDB": "_stores.lancedb",
    "Postgres": "_stores.postgres",
}

if not TYPE_CHECKING:  # a type checker then knows the names above, and no others
    __getattr__, __dir__ = lazily(__name__, _MODULES)
