"""`TwoStageRetriever`: any LlamaIndex retrievers with a second stage behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.prompts.mixin import PromptMixin
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.retrievers import VectorIndexRetriever
from llama_index.core.schema import MetadataMode

from runoff.errors import InvalidArgument
from runoff.fusion import RRF
from runoff.llama_index._convert import Reading, as_mode, to_nodes, to_query
from runoff.llama_index._events import dispatcher
from runoff.llama_index._filters import as_filter
from runoff.llama_index._groups import node_grouping
from runoff.llama_index._observed import observed
from runoff.llama_index._options import checked, second_stage
from runoff.llama_index._source import RetrieverSource, source_of
from runoff.pipeline import TwoStage
from runoff.protocols import RecallSource, Reranker

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from llama_index.core.callbacks import CallbackManager
    from llama_index.core.prompts.mixin import PromptDictType, PromptMixinType
    from llama_index.core.schema import NodeWithScore, QueryBundle
    from llama_index.core.vector_stores.types import MetadataFilters

    from runoff._util.faults import OnError
    from runoff.filters import Filter
    from runoff.llama_index._groups import Group
    from runoff.llama_index._options import Blend
    from runoff.protocols import Fusion
    from runoff.scores import Threshold
    from runoff.types import Document, Response

__all__ = ["Retrievers", "TwoStageRetriever"]

Retrievers = BaseRetriever | Mapping[str, BaseRetriever | RecallSource] | Sequence[BaseRetriever]
_FAMILIAR = {"VectorIndexRetriever": "dense", "BM25Retriever": "bm25"}


class TwoStageRetriever(BaseRetriever):
    """Recall wide from one or several retrievers, fuse, rerank, and return the best.

    ```python
    TwoStageRetriever({"bm25": bm25_retriever, "dense": index.as_retriever()}, top_n=5)
    ```

    Every retriever is asked, on a copy, for `depth` nodes; one that cannot be widened warns once.
    Nodes are reranked after index nodes were followed. `QueryBundle.embedding` and
    `custom_embedding_strs` reach the retrievers alone; the reranker reads `query_str`. Filters of a
    `FilteredQueryBundle` are honoured by every source or the query is refused.

    Awaited, it never blocks the event loop: a retriever whose own asynchronous method would (as
    LlamaIndex's default does) runs in a worker thread.

    Args:
        retriever: a retriever, several in a list, or several by name; sources of
            `runoff.recall` may stand among them.
        reranker: as for `RunoffRerank`; None fuses only.
        fusion: makes one order out of several retrievers' nodes; `RRF()` by default.
        top_n: nodes to return.
        depth: nodes asked of each retriever.
        window: candidates the reranker reads.
        timeout: seconds for one search; None for no limit.
        on_error: as for `RunoffRerank`, for the retrievers too.
        filters: which nodes may be returned by any query: LlamaIndex's `MetadataFilters` or one of
            `runoff.filters`; those of a `FilteredQueryBundle` come on top.
        threshold: as for `RunoffRerank`.
        blend: as for `RunoffRerank`.
        metadata_mode: as for `RunoffRerank`.
        text_template: as for `RunoffRerank`.
        id_of: what identifies a node across retrievers where its id does not.
        group: as for `RunoffRerank`.
        callback_manager: LlamaIndex's.
        verbose: LlamaIndex's.

    Raises:
        InvalidArgument: an argument has a value it cannot have.
    """

    def __init__(  # noqa: PLR0913 - every option has a default
        self,
        retriever: Retrievers,
        *,
        reranker: object = "runoff-mini",
        fusion: Fusion | None = None,
        top_n: int = 5,
        depth: int = 100,
        window: int = 50,
        timeout: float | None = None,
        on_error: OnError = "transient",
        filters: MetadataFilters | Filter | None = None,
        threshold: Threshold | None = None,
        blend: Blend = "auto",
        metadata_mode: MetadataMode | str = MetadataMode.EMBED,
        text_template: str | None = None,
        id_of: Callable[[Document], str] | None = None,
        group: Group = None,
        callback_manager: CallbackManager | None = None,
        verbose: bool = False,
    ) -> None:
        self._options = {
            "reranker": reranker,
            "fusion": fusion,
            "top_n": top_n,
            "depth": depth,
            "window": window,
            "timeout": timeout,
            "on_error": on_error,
            "filters": filters,
            "threshold": threshold,
            "blend": blend,
            "metadata_mode": metadata_mode,
            "text_template": text_template,
            "id_of": id_of,
            "group": group,
        }
        self.top_n: int = checked("top_n", top_n)
        self.timeout: float | None = checked("timeout", timeout)
        self._filters = as_filter(filters)
        self._target = retriever
        self._reading = Reading(as_mode(metadata_mode), text_template)
        self._pipeline = TwoStage(
            sources=self._sources(checked("depth", depth)),
            fusion=RRF() if fusion is None else fusion,
            reranker=second_stage(reranker, threshold, blend),
            depth=depth,
            window=window,
            on_error=on_error,
            id_of=id_of,
            group=node_grouping(group),
        )
        super().__init__(callback_manager=callback_manager, verbose=verbose)

    @property
    def pipeline(self) -> TwoStage:
        """The runoff pipeline behind it: search, explain or evaluate it."""
        return self._pipeline

    def replace(self, **changes: Any) -> Self:  # noqa: ANN401 - what the constructor takes
        """Return a copy with other options, as the constructor takes them."""
        made = self._remade(
            {
                "callback_manager": self.callback_manager,
                "verbose": self._verbose,
                **self._options,
                **changes,
            }
        )
        made.object_map = self.object_map
        return made

    def widened(self, depth: int) -> Self:
        """Return a copy that returns `depth` nodes, for when it is a source itself."""
        return self.replace(top_n=depth, depth=max(depth, self._pipeline.depth))

    def as_query_engine(self, **options: Any) -> RetrieverQueryEngine:  # noqa: ANN401 - LlamaIndex's
        """Return a query engine over it; options as for `RetrieverQueryEngine.from_args`."""
        return RetrieverQueryEngine.from_args(self, **options)

    def warmup(self) -> None:
        """Load every model and run it once, so that the first query is as fast as the second."""
        self._pipeline.warmup()

    def _remade(self, options: dict[str, Any]) -> Self:
        return type(self)(options.pop("retriever", self._target), **options)

    def _sources(self, depth: int) -> dict[str, RecallSource]:
        return _named_sources(self._target, self._reading, depth)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        response = self._told().search(
            to_query(query_bundle),
            top_k=self.top_n,
            timeout=self.timeout,
            filters=self._filters,
        )
        return self._nodes(response)

    @dispatcher.span
    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        response = await self._told().asearch(
            to_query(query_bundle),
            top_k=self.top_n,
            timeout=self.timeout,
            filters=self._filters,
        )
        return self._nodes(response)

    def _told(self) -> TwoStage:
        second = self._pipeline.reranker
        if not isinstance(second, Reranker):  # there is none
            return self._pipeline
        return replace(self._pipeline, reranker=observed(second, self.callback_manager, self.top_n))

    def _nodes(self, response: Response) -> list[NodeWithScore]:
        return to_nodes(response, len(self._pipeline.sources))

    def _handle_recursive_retrieval(
        self,
        query_bundle: QueryBundle,  # noqa: ARG002 - the base's
        nodes: list[NodeWithScore],
    ) -> list[NodeWithScore]:
        return nodes  # the sources followed their index nodes; to do it again would undo the order

    async def _ahandle_recursive_retrieval(
        self,
        query_bundle: QueryBundle,  # noqa: ARG002 - the base's
        nodes: list[NodeWithScore],
    ) -> list[NodeWithScore]:
        return nodes  # as above

    def _get_prompts(self) -> PromptDictType:
        return {}

    def _get_prompt_modules(self) -> PromptMixinType:
        return {
            name: source.retriever
            for name, source in self._pipeline.sources.items()
            if isinstance(source, RetrieverSource) and isinstance(source.retriever, PromptMixin)
        }

    def _update_prompts(self, prompts: PromptDictType) -> None:
        """Nothing of its own to update; LlamaIndex updates the sources'."""


def _named_sources(given: Retrievers, reading: Reading, depth: int) -> dict[str, RecallSource]:
    remedy = "must be a LlamaIndex retriever, several in a list, or several by name"
    if isinstance(given, Mapping):
        named: dict[str, Any] = dict(given)
    elif isinstance(given, BaseRetriever | RecallSource):
        named = {_name(given): given}
    elif isinstance(given, Sequence) and not isinstance(given, str | bytes):
        named = {}
        for one in given:
            name, count = _name(one), 1
            while name in named:
                count += 1
                name = f"{_name(one)}-{count}"
            named[name] = one
    else:
        raise InvalidArgument("retriever", given, remedy)
    if not named:
        raise InvalidArgument("retriever", given, remedy)
    sources: dict[str, RecallSource] = {}
    for name, one in named.items():
        if isinstance(one, BaseRetriever):
            sources[name] = source_of(one, reading, name, depth)
        elif isinstance(one, RecallSource) and not isinstance(one, type):
            sources[name] = one
        else:
            raise InvalidArgument(f"retriever[{name!r}]", one, remedy)
    return sources


def _name(retriever: object) -> str:
    kind = type(retriever).__name__
    if isinstance(retriever, VectorIndexRetriever):
        return "dense"
    return _FAMILIAR.get(kind, kind)
