"""What makes an engine honour the filters of one query: in its recall, and after its last step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.indices.query.query_transform.base import BaseQueryTransform
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import QueryBundle

from runoff._util.adapters.options import brief_repr
from runoff._waiting import workers
from runoff.llama_index._convert import (
    FilteredQueryBundle,
    Reading,
    plain_node,
    to_query,
)
from runoff.llama_index._filters import as_filter
from runoff.llama_index._shown import described
from runoff.llama_index._sources import AwaitableSource, RetrieverSource
from runoff.llama_index._widen import awaitable, check_own_filters, widened
from runoff.pipeline._boundary import joined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core.prompts.mixin import PromptDictType, PromptMixinType
    from llama_index.core.schema import NodeWithScore

    from runoff.filters import Filter
    from runoff.llama_index._shown import Settings
    from runoff.types import Hit


class BundleRetriever(BaseRetriever):
    """A retriever that honours the filters of a `FilteredQueryBundle`; LlamaIndex's ignore them.

    Without filters, queries go to the retriever as they are.

    Args:
        retriever: the retriever.
        depth: how many nodes it is to return.
        filters: which nodes any query may return.
    """

    def __init__(self, retriever: BaseRetriever, depth: int, filters: Filter | None = None) -> None:
        check_own_filters({type(retriever).__name__: retriever}, filters)
        self._retriever = retriever
        self._depth = depth
        self._filters = filters
        super().__init__(
            callback_manager=retriever.callback_manager, object_map=retriever.object_map
        )

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._retriever, name)

    @property
    def filters(self) -> Filter | None:
        """Which nodes any query may return."""
        return self._filters

    def _settings(self) -> Settings:
        """Return what is shown of it in an engine."""
        found = {**described(self._retriever), "depth": (str(self._depth), False)}
        if self._filters is not None:
            found["filters"] = brief_repr(self._filters), False
        return found

    def widened(self, depth: int) -> BaseRetriever:
        """Return a copy that returns `depth` nodes."""
        wide = widened(self._retriever, depth) or self._retriever
        return BundleRetriever(wide, depth, self._filters)

    def narrowed(self, filters: Filter) -> BaseRetriever:
        """Return a copy with one more filter."""
        return BundleRetriever(self._retriever, self._depth, joined(self._filters, filters))

    def retrieve(self, str_or_query_bundle: str | QueryBundle) -> list[NodeWithScore]:
        bundle = _bundle(str_or_query_bundle)
        wanted = joined(self._filters, _filters_of(bundle))
        if wanted is None:
            return self._retriever.retrieve(bundle)
        query = to_query(_with(bundle, wanted))
        source = RetrieverSource(self._retriever, Reading())
        return _nodes(source.retrieve(query, depth=self._depth))

    async def aretrieve(self, str_or_query_bundle: str | QueryBundle) -> list[NodeWithScore]:
        """Return the nodes that pass the filters, without blocking the event loop."""
        bundle = _bundle(str_or_query_bundle)
        wanted = joined(self._filters, _filters_of(bundle))
        if wanted is None:
            return await self._retriever.aretrieve(bundle)
        if not awaitable(self._retriever):
            return await workers.run_async(lambda: self.retrieve(bundle), None, "recall")
        query = to_query(_with(bundle, wanted))
        source = AwaitableSource(self._retriever, Reading())
        return _nodes(await source.aretrieve(query, depth=self._depth))

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return self.retrieve(query_bundle)

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await self.aretrieve(query_bundle)


class KeepsFilters(BaseQueryTransform):
    """A query transform whose bundles keep the filters of the query; LlamaIndex's drop them.

    Args:
        transform: the transform.
    """

    def __init__(self, transform: BaseQueryTransform) -> None:
        self._transform = transform

    def run(
        self,
        query_bundle_or_str: str | QueryBundle,
        metadata: dict[str, Any] | None = None,
    ) -> QueryBundle:
        """Return the transformed bundle, with the filters of the given one."""
        made = self._transform.run(query_bundle_or_str, metadata)
        wanted = _filters_of(_bundle(query_bundle_or_str))
        return made if wanted is None else _with(made, wanted)

    def _run(self, query_bundle: QueryBundle, metadata: dict[str, Any]) -> QueryBundle:
        return self.run(query_bundle, metadata)

    def _get_prompts(self) -> PromptDictType:
        return self._transform._get_prompts()  # noqa: SLF001

    def _update_prompts(self, prompts: PromptDictType) -> None:
        self._transform._update_prompts(prompts)  # noqa: SLF001

    def _get_prompt_modules(self) -> PromptMixinType:
        return self._transform._get_prompt_modules()  # noqa: SLF001


class WithinFilters(BaseNodePostprocessor):
    """Removes what earlier postprocessors added from outside the filters.

    Attributes:
        filters: the retriever's own filter, in addition to those of a query.
    """

    filters: Any = None

    @classmethod
    def class_name(cls) -> str:
        """Return the name that serialised components carry."""
        return "WithinFilters"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        asked = None if query_bundle is None else _filters_of(query_bundle)
        wanted = joined(self.filters, asked)
        if wanted is None:
            return nodes
        return [one for one in nodes if wanted.matches(one.node.metadata)]


def _bundle(given: str | QueryBundle) -> QueryBundle:
    return QueryBundle(given) if isinstance(given, str) else given


def _filters_of(bundle: QueryBundle) -> Filter | None:
    return as_filter(bundle.filters) if isinstance(bundle, FilteredQueryBundle) else None


def _with(bundle: QueryBundle, wanted: Filter) -> FilteredQueryBundle:
    """Return a bundle with these filters in place of its own."""
    return FilteredQueryBundle(
        bundle.query_str,
        image_path=bundle.image_path,
        custom_embedding_strs=bundle.custom_embedding_strs,
        embedding=bundle.embedding,
        filters=wanted,
    )


def _nodes(hits: Sequence[Hit]) -> list[NodeWithScore]:
    return [plain_node(hit.document) for hit in hits]
