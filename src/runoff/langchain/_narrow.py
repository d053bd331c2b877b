"""Copies of LangChain's retrievers that honour one more filter, for one request.

A filter is passed on to every vector store and every retriever of runoff's inside a composite, so
that they find what it keeps; all results are checked afterwards, since a composite may return
documents (parents, another retriever's) that no store was asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.vectorstores import VectorStoreRetriever
from pydantic import BaseModel

from runoff.errors import InvalidArgument
from runoff.langchain._filters import PARTS, filters_of, own_filters, store_kwargs
from runoff.langchain._widen import changed_copy, parts_of, replaced_parts, search_kwargs, widened
from runoff.pipeline._boundary import joined

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable

    from runoff.filters import Filter
    from runoff.langchain._filters import Translate


def narrowed(
    retriever: Runnable[Any, Any],
    wanted: Filter,
    depth: int,
    *,
    translate: Translate | None,
    name: str,
) -> Runnable[Any, Any] | None:
    """Return a copy that finds `depth` documents, if possible within a filter.

    Its results must be checked. None if the retriever cannot be asked for more documents.

    Raises:
        FilterNotSupported: a vector store inside it has a filter that cannot be combined with what
            `translate` makes.
    """
    if getattr(retriever, "takes_depth", False) and isinstance(retriever, BaseModel):
        both = joined(filters_of(retriever), wanted)
        changes = {"filters": both, "filter": None, "top_n": depth, "depth": depth}
        return changed_copy(retriever, changes)
    if isinstance(retriever, VectorStoreRetriever):
        wide = search_kwargs(retriever.search_kwargs, retriever.search_type, depth)
        asked = store_kwargs(retriever.vectorstore, wide, wanted, translate, name)
        # a filter that no document can pass: whatever is found is removed by the check
        given = wide if asked is None else asked.arguments
        return retriever.model_copy(update={"search_kwargs": given})
    parts = parts_of(retriever)
    if not parts:
        return widened(retriever, depth)
    made = {}
    for field, several in parts.items():
        inner = [narrowed(one, wanted, depth, translate=translate, name=name) for one in several]
        if any(one is None for one in inner):
            return None
        made[field] = inner
    return replaced_parts(retriever, made)


def check_self_query(retriever: object) -> None:
    """Refuse a filter in the search arguments of a retriever that writes filters itself.

    Raises:
        InvalidArgument: LangChain replaces the filter by the one that its model writes.
    """
    for several in parts_of(retriever).values():
        for one in several:
            check_self_query(one)
    if not hasattr(retriever, "structured_query_translator"):
        return
    for name, value in own_filters(getattr(retriever, "search_kwargs", {})).items():
        if name in PARTS:
            continue  # it stays beside what the model writes
        remedy = (
            f"{type(retriever).__name__} replaces it with the filter that its model writes: pass "
            "filters= to the two-stage retriever instead"
        )
        raise InvalidArgument(f"search_kwargs[{name!r}]", value, remedy)


def counts_what_it_finds(retriever: object) -> bool:
    """Return whether fewer documents than asked for mean that there are no more.

    That is not so where documents are merged into their parents, or removed by a compressor.
    """
    fields = getattr(type(retriever), "model_fields", {})
    if {"docstore", "id_key"} <= fields.keys() or "base_compressor" in fields:
        return False
    return all(
        counts_what_it_finds(one) for several in parts_of(retriever).values() for one in several
    )


def compresses(retriever: object) -> bool:
    """Return whether a compressor inside may remove documents, and call a model for each."""
    if "base_compressor" in getattr(type(retriever), "model_fields", {}):
        return True
    return any(compresses(one) for several in parts_of(retriever).values() for one in several)
