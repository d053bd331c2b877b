"""A reranker whose work LlamaIndex's callbacks and dispatcher hear of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llama_index.core.schema import NodeWithScore

from runoff._util.names import name_of
from runoff.llama_index._convert import plain_node, to_bundle
from runoff.llama_index._events import dispatcher, model_name, reranking
from runoff.protocols import AsyncReranker, Warmable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core.callbacks import CallbackManager

    from runoff.deadline import Deadline
    from runoff.protocols import Reranker
    from runoff.types import Candidate, Query, Reranking

__all__ = ["observed"]


def observed(reranker: Reranker, callback_manager: CallbackManager, top_n: int) -> ObservedReranker:
    """Return a reranker that does the same and is heard of."""
    kind = AwaitableObserved if isinstance(reranker, AsyncReranker) else ObservedReranker
    return kind(reranker, callback_manager, top_n)


@dataclass(frozen=True, slots=True, eq=False)
class ObservedReranker:
    """A reranker that sends LlamaIndex's reranking events around its work."""

    inner: Reranker
    callback_manager: CallbackManager
    top_n: int

    @property
    def name(self) -> str:
        """What traces call the reranker."""
        return name_of(self.inner)

    @property
    def keeps_deadline(self) -> bool:
        """Whether the reranker returns by itself when its deadline comes."""
        return bool(getattr(self.inner, "keeps_deadline", False))

    def warmup(self) -> None:
        """Load the reranker's model and run it once."""
        if isinstance(self.inner, Warmable):
            self.inner.warmup()

    @dispatcher.span
    def rerank(
        self, query: Query, candidates: Sequence[Candidate], *, deadline: Deadline | None = None
    ) -> Reranking:
        """Do what the reranker does."""
        model = model_name(self.inner)
        nodes = [_node(one, one.fusion_score) for one in candidates]
        with reranking(self.callback_manager, to_bundle(query), nodes, self.top_n, model) as came:
            made = self.inner.rerank(query, candidates, deadline=deadline)
            came += [_node(one.candidate, one.rerank_score) for one in made.ordered]
        return made


@dataclass(frozen=True, slots=True, eq=False)
class AwaitableObserved(ObservedReranker):
    """The same for a reranker that can be awaited."""

    @dispatcher.span
    async def arerank(
        self, query: Query, candidates: Sequence[Candidate], *, deadline: Deadline | None = None
    ) -> Reranking:
        """Do what the reranker does, awaited."""
        inner: Any = self.inner  # `observed` has seen that it can be awaited
        model = model_name(inner)
        nodes = [_node(one, one.fusion_score) for one in candidates]
        with reranking(self.callback_manager, to_bundle(query), nodes, self.top_n, model) as came:
            made = await inner.arerank(query, candidates, deadline=deadline)
            came += [_node(one.candidate, one.rerank_score) for one in made.ordered]
        return made  # type: ignore[no-any-return] # see `inner`


def _node(candidate: Candidate, score: float | None) -> NodeWithScore:
    given = None if score is None else float(score)
    return NodeWithScore(node=plain_node(candidate.document).node, score=given)
