"""How a vector store searches: by vectors, by words, or by both; and what follows from it."""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from runoff.langchain._kinds import kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.vectorstores import VectorStore

_logger = logging.getLogger("runoff")
_told: WeakSet[Any] = WeakSet()


def mode_of(store: VectorStore, arguments: Mapping[str, Any]) -> str:
    """Return what a store's search is called: `"dense"`, `"sparse"` or `"hybrid"`."""
    known: Any = store
    kind = kind_of(store)
    if kind == "qdrant":
        mode = arguments.get("retrieval_mode") or getattr(known, "retrieval_mode", "dense")
        return str(getattr(mode, "value", mode))
    if kind == "pgvectorstore":
        return "dense" if _config(known, arguments) is None else "hybrid"
    if kind == "elasticsearch":
        return "hybrid" if scoreless(store) else "dense"
    if kind == "milvus":
        vectors = getattr(known, "_vector_field", "")
        return "hybrid" if isinstance(vectors, list) and len(vectors) > 1 else "dense"
    return "hybrid" if kind == "weaviate" else "dense"


def scoreless(store: VectorStore) -> bool:
    """Whether a store refuses to give scores: Elasticsearch's does in its hybrid mode."""
    strategy = getattr(getattr(store, "_store", None), "retrieval_strategy", None)
    return kind_of(store) == "elasticsearch" and bool(getattr(strategy, "hybrid", False))


def _config(store: Any, arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401
    inner = getattr(store, "_PGVectorStore__vs", store)  # the synchronous one wraps the other
    return arguments.get("hybrid_search_config", getattr(inner, "hybrid_search_config", None))


def widened_mode(store: VectorStore, arguments: dict[str, Any], depth: int) -> dict[str, Any]:
    """Return search arguments whose hybrid mode returns up to `depth` documents.

    That of `PGVectorStore` fuses `primary_top_k` and `secondary_top_k` rows, 4 each, whatever `k`
    is; and it writes the first question into the configuration, for all that follow. So each
    request has a configuration of its own.
    """
    if kind_of(store) != "pgvectorstore" or (given := _config(store, arguments)) is None:
        return arguments
    config = dataclasses.replace(
        given,
        primary_top_k=max(given.primary_top_k, depth),
        secondary_top_k=max(given.secondary_top_k, depth),
        fusion_function_parameters=dict(given.fusion_function_parameters),
    )
    return {**arguments, "hybrid_search_config": config}


def tell_short(name: str, store: VectorStore, found: int, depth: int, held: int | None) -> None:
    """Log, once for each store, that it returns fewer documents than asked for and has more."""
    if held is None or found >= min(depth, held) or store in _told:
        return
    _told.add(store)
    _logger.warning(
        "%s (%s) returned %d documents for a depth of %d, although it has %d: raise the limit of "
        "its own search (num_candidates, ef_search, nprobe, a hybrid mode's top_k)",
        name, type(store).__name__, found, depth, held,
    )  # fmt: skip
