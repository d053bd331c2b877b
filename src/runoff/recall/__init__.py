"""Sources, the first stage: each finds documents for a query, one source per file.

The names below load when they are first used, so importing this package loads no index, model or
database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runoff._lazy import lazily

if TYPE_CHECKING:
    from runoff.recall.bm25 import BM25
    from runoff.recall.chroma import Chroma
    from runoff.recall.dense import Dense
    from runoff.recall.embedder import Embedder
    from runoff.recall.function import Function

__all__ = ["BM25", "Chroma", "Dense", "Embedder", "Function"]

_MODULES = {
    "BM25": "bm25",
    "Chroma": "chroma",
    "Dense": "dense",
    "Embedder": "embedder",
    "Function": "function",
}

__getattr__, __dir__ = lazily(__name__, _MODULES)
