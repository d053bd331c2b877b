"""Sources, the first stage: each finds documents for a query, one source per file.

The names below load when they are first used, so importing this package loads no index, model or
database.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

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


def __getattr__(name: str) -> object:
    """Load a name of `__all__` from its file."""
    module = _MODULES.get(name)
    if module is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value: object = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Show the names that are not loaded yet too."""
    return sorted({*globals(), *__all__})
