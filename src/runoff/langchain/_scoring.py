"""The scores of vector stores: whether they are distances or similarities.

LangChain's `similarity_search_with_score` returns a distance in one store (Chroma, FAISS) and a
similarity in another (`InMemoryVectorStore`), and does not say which. The order shows it: results
are sorted best first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from langchain_core.vectorstores import (
    InMemoryVectorStore,
    VectorStore,
    VectorStoreRetriever,
)
from pydantic import Field

from runoff._util.adapters.trend import trend
from runoff.langchain._modes import scoreless

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.callbacks import (
        AsyncCallbackManagerForRetrieverRun,
        CallbackManagerForRetrieverRun,
    )
    from langchain_core.documents import Document as LangChainDocument


class ScoredRetriever(VectorStoreRetriever):
    """A vector store retriever that keeps the scores of one call, in the order of its documents."""

    scores: list[float] = Field(default_factory=list, exclude=True, repr=False)

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002 - LangChain's signature
        **kwargs: Any,  # noqa: ANN401
    ) -> list[LangChainDocument]:
        arguments = {**self.search_kwargs, **kwargs}
        if self.search_type == "similarity":
            pairs = self.vectorstore.similarity_search_with_score(query, **arguments)
        else:
            pairs = self.vectorstore.similarity_search_with_relevance_scores(query, **arguments)
        return self._noted(pairs)

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,  # noqa: ARG002 - LangChain's signature
        **kwargs: Any,  # noqa: ANN401
    ) -> list[LangChainDocument]:
        arguments = {**self.search_kwargs, **kwargs}
        store = self.vectorstore
        if self.search_type == "similarity":
            pairs = await store.asimilarity_search_with_score(query, **arguments)
        else:
            pairs = await store.asimilarity_search_with_relevance_scores(query, **arguments)
        return self._noted(pairs)

    def _noted(self, pairs: Sequence[tuple[LangChainDocument, float]]) -> list[LangChainDocument]:
        self.scores[:] = [float(score) for _, score in pairs]
        return [document for document, _ in pairs]


def scored(retriever: VectorStoreRetriever) -> ScoredRetriever:
    """Return a copy of a vector store retriever that keeps scores, under the same name."""
    fields = {name: getattr(retriever, name) for name in type(retriever).model_fields}
    fields["name"] = retriever.get_name()
    return ScoredRetriever.model_construct(**fields, scores=[])


def gives_scores(retriever: VectorStoreRetriever) -> bool:
    """Whether a retriever searches as LangChain's own does, over a store that returns scores."""
    kind, store = type(retriever), type(retriever.vectorstore)
    plain = (
        kind._get_relevant_documents is VectorStoreRetriever._get_relevant_documents  # noqa: SLF001
        and kind._aget_relevant_documents is VectorStoreRetriever._aget_relevant_documents  # noqa: SLF001
    )
    if not plain or retriever.search_type == "mmr" or scoreless(retriever.vectorstore):
        return False
    if retriever.search_type == "similarity_score_threshold":
        return True
    return store.similarity_search_with_score is not VectorStore.similarity_search_with_score


def searches_natively_async(retriever: VectorStoreRetriever, *, scores: bool) -> bool:
    """Whether the store's asynchronous search is its own, not the synchronous one in a thread.

    `InMemoryVectorStore` awaits nothing: its asynchronous search computes on the event loop. A
    `PGVector` that was made with a synchronous connection cannot be awaited.
    """
    if isinstance(retriever.vectorstore, InMemoryVectorStore):
        return False
    if getattr(retriever.vectorstore, "_async_engine", retriever) is None:
        return False
    store = type(retriever.vectorstore)
    if not scores and retriever.search_type == "mmr":
        base: Any = VectorStore.amax_marginal_relevance_search
        return store.amax_marginal_relevance_search is not base
    if scores:
        return store.asimilarity_search_with_score is not VectorStore.asimilarity_search_with_score
    return store.asimilarity_search is not VectorStore.asimilarity_search


def oriented(store: VectorStore, scores: Sequence[float]) -> list[float] | None:
    """Return scores of which higher is better, or None if it is unclear what they mean.

    Scores that fall along the order are similarities and stay as they are; scores that rise are
    distances and are negated. If all are equal, the store's own function from score to relevance
    decides, if it has one. Scores in no order, or not finite, mean nothing.
    """
    course = trend(scores)
    if course == "level":
        course = _declared(store)
    if course == "falls":
        return list(scores)
    return [-score for score in scores] if course == "rises" else None


def _declared(store: VectorStore) -> Literal["falls", "rises"] | None:
    """Return whether a store's scores fall or rise along its order, if it says so."""
    if type(store) is InMemoryVectorStore:
        return "falls"  # it has no such function; its scores are cosines
    try:
        relevance = store._select_relevance_score_fn()  # noqa: SLF001
        near, far = relevance(0.25), relevance(0.75)
    except (NotImplementedError, ValueError):
        return None
    return "falls" if near < far else "rises" if near > far else None
