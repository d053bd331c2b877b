"""LangChain's multi-query retrievers: the answers to their queries are interleaved.

Such a retriever puts the answers to its queries behind each other. With 100 documents each, the
second stage would read those of the first query alone.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Any

from runoff.langchain._convert import carried

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.documents import Document
    from langchain_core.runnables import Runnable

_METHODS = ("generate_queries", "retrieve_documents", "aretrieve_documents", "unique_union")


def is_multi_query(retriever: object) -> bool:
    """Whether a retriever is LangChain's `MultiQueryRetriever` or derives from it.

    That class has moved between LangChain's packages, so it is recognised by its methods.
    """
    return all(callable(getattr(type(retriever), name, None)) for name in _METHODS)


def interleaved_queries(retriever: Runnable[Any, Any]) -> Runnable[Any, Any]:
    """Return a copy of a multi-query retriever whose answer begins with the best of every query."""
    copy: Any = retriever.model_copy()  # type: ignore[attr-defined] # it is a pydantic model
    object.__setattr__(copy, "__class__", _interleaving(type(retriever)))
    return copy  # type: ignore[no-any-return] # as above


@cache
def _interleaving(kind: Any) -> type:  # noqa: ANN401 - a class that is imported by the user alone
    def retrieve_documents(self: Any, queries: list[str], run_manager: Any) -> list[Document]:  # noqa: ANN401 - LangChain's
        lists = [kind.retrieve_documents(self, [query], run_manager) for query in queries]
        return _interleaved(lists)

    async def aretrieve_documents(
        self: Any,  # noqa: ANN401 - LangChain's
        queries: list[str],
        run_manager: Any,  # noqa: ANN401 - LangChain's
    ) -> list[Document]:
        lists = await asyncio.gather(
            *(kind.aretrieve_documents(self, [query], run_manager) for query in queries)
        )
        return _interleaved(lists)

    methods = {"retrieve_documents": retrieve_documents, "aretrieve_documents": aretrieve_documents}
    return type(kind.__name__, (kind,), {"__module__": __name__, **methods})


def _interleaved(lists: Sequence[Sequence[Document]]) -> list[Document]:
    """Return the documents of all lists, each once, by their best rank in any of them.

    Of documents with the same best rank, those that more queries found come first.
    """
    counts: Counter[str] = Counter()
    best: dict[str, tuple[int, int, Document]] = {}
    for number, found in enumerate(lists):
        keys = [carried(document).doc_id for document in found]
        counts.update(set(keys))
        for rank, (key, document) in enumerate(zip(keys, found, strict=True)):
            if key not in best or rank < best[key][0]:
                best[key] = (rank, number, document)
    order = sorted(best, key=lambda key: (best[key][0], -counts[key], best[key][1]))
    return [best[key][2] for key in order]
