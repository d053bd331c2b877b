"""`TwoStageRetriever`: any LlamaIndex retrievers with a second stage behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from inspect import signature
from typing import TYPE_CHECKING, Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.prompts.mixin import PromptMixin
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import MetadataMode

from runoff._util.adapters.options import Plain, brief_repr, strict_options
from runoff._util.display import html_by
from runoff._waiting.drive import run, run_async
from runoff.errors import InvalidArgument
from runoff.fusion._default import default_fusion
from runoff.llama_index._convert import Reading, to_nodes, to_query
from runoff.llama_index._filters import as_filter
from runoff.llama_index._settings import checked, node_grouping
from runoff.llama_index._shown import Settings, shown, source_name
from runoff.llama_index._sources import RetrieverSource, source_of
from runoff.llama_index._tracing import dispatcher, observed
from runoff.llama_index._widen import check_own_filters
from runoff.pipeline import TwoStage
from runoff.pipeline._boundary import joined
from runoff.pipeline._second_stage import is_skipped, model_name, second_stage
from runoff.pipeline._sources import by_name
from runoff.pipeline._two_stage import searching
from runoff.protocols import RecallSource, Reranker
from runoff.rerank._as_reranker import DEFAULT_RERANKER

if TYPE_CHECKING:
    from typing import Self

    from llama_index.core.callbacks import CallbackManager
    from llama_index.core.prompts.mixin import PromptDictType, PromptMixinType
    from llama_index.core.schema import NodeWithScore, QueryBundle

    from runoff._util.faults import OnError
    from runoff._waiting.drive import Asking
    from runoff.filters import Filter
    from runoff.llama_index._filters import Filters
    from runoff.pipeline._observers import Observer
    from runoff.pipeline._second_stage import Blend, Group, IdOf, OnBlank
    from runoff.protocols import Fusion
    from runoff.scores import Threshold
    from runoff.types import Response

Retrievers = (
    BaseRetriever
    | RecallSource
    | Mapping[str, BaseRetriever | RecallSource]
    | Sequence[BaseRetriever | RecallSource]
)
_REMEDY = "must be a LlamaIndex retriever, several in a list, or several by name"


class TwoStageRetriever(BaseRetriever):
    """Recall wide from one or several retrievers, fuse, rerank, and return the best.

    ```python
    TwoStageRetriever({"bm25": bm25_retriever, "dense": index.as_retriever()}, top_n=5)
    ```

    Each retriever is asked for `depth` nodes, through a copy; a retriever that cannot be widened is
    named in a warning. Index nodes are followed before reranking. `QueryBundle.embedding` and
    `custom_embedding_strs` reach the retrievers only; the reranker reads `query_str`. Every source
    honours the filters of a `FilteredQueryBundle`, or the query is refused.

    Awaited, it never blocks the event loop: a retriever whose own asynchronous method would block
    (as LlamaIndex's default does) runs in a worker thread.

    Args:
        retriever: a LlamaIndex retriever or a source of `runoff.recall`; several of them in a list,
            or several by name.
        retrievers: the same under another name, which reads better for several.
        reranker: as for `RunoffRerank`; None fuses only.
        fusion: makes one order out of several retrievers' nodes; None is
            `Convex()`, or `RRF()` where nodes have no scores.
        top_n: nodes to return.
        depth: nodes asked of each retriever.
        window: candidates the reranker reads.
        timeout: seconds for one search; None for no limit.
        on_error: as for `RunoffRerank`, for the retrievers too.
        filters: which nodes may be returned by any query: LlamaIndex's `MetadataFilters` or one of
            `runoff.filters`; those of a `FilteredQueryBundle` are added.
        threshold: as for `RunoffRerank`.
        blend: as for `RunoffRerank`.
        metadata_mode: as for `RunoffRerank`.
        text_template: as for `RunoffRerank`.
        id_of: what identifies a node across retrievers if its id does not.
        on_blank: what a blank query without an embedding or an image gets: `"empty"`, an empty list
            and a warning in the log, or `"raise"`, an `InvalidArgument`.
        group: as for `RunoffRerank`.
        provenance: as for `RunoffRerank`.
        observer: as for `RunoffRerank`.
        callback_manager: LlamaIndex's.
        verbose: LlamaIndex's.

    Raises:
        InvalidArgument: an argument has a value it cannot have.
    """

    @strict_options("TwoStageRetriever(retriever, top_n=5)")
    def __init__(  # noqa: PLR0913 - every option has a default
        self,
        retriever: Retrievers | None = None,
        *,
        retrievers: Retrievers | None = None,
        reranker: object = DEFAULT_RERANKER,
        fusion: Fusion | None = None,
        top_n: int = 5,
        depth: int = 100,
        window: int = 50,
        timeout: float | None = None,
        on_error: OnError = "transient",
        filters: Filters | None = None,
        threshold: Threshold | None = None,
        blend: Blend = "auto",
        metadata_mode: MetadataMode | str = MetadataMode.EMBED,
        text_template: str | None = None,
        id_of: IdOf = None,
        on_blank: OnBlank = "empty",
        group: Group = None,
        provenance: bool = True,
        observer: Observer | None = None,
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
            "on_blank": on_blank,
            "group": group,
            "provenance": provenance,
            "observer": observer,
        }
        options = {name: checked(name, value) for name, value in self._options.items()}
        self.top_n: int = options["top_n"]
        self.timeout: float | None = options["timeout"]
        self._on_blank: OnBlank = options["on_blank"]
        self._filters = as_filter(filters)
        self._target = _one_of(retriever, retrievers)
        self._reading = Reading(options["metadata_mode"], text_template)
        sources = self._sources(options["depth"])
        check_own_filters(
            {name: getattr(one, "retriever", one) for name, one in sources.items()}, self._filters
        )
        self._pipeline = TwoStage(
            sources=sources,
            fusion=default_fusion() if fusion is None else fusion,
            reranker=second_stage(reranker, threshold, blend),
            depth=options["depth"],
            window=options["window"],
            on_error=on_error,
            id_of=id_of,
            group=node_grouping(group),
            filters=self._filters,
            observer=options["observer"],
        )
        super().__init__(callback_manager=callback_manager, verbose=verbose)

    def __setattr__(self, name: str, value: Any) -> None:  # noqa: ANN401
        """Set `top_n` or `timeout`, checked as in the constructor; other options are refused."""
        made = vars(self)
        if "_pipeline" in made and name in self._options:
            if name not in made:
                remedy = f"is fixed once the retriever is made: use retriever.replace({name}=...)"
                raise InvalidArgument(name, value, remedy)
            value = checked(name, value)
            made["_options"] = {**self._options, name: value}  # copies share the old one
        super().__setattr__(name, value)

    @property
    def pipeline(self) -> TwoStage:
        """The runoff pipeline behind it, with the retriever's filters: search, explain it."""
        return self._pipeline

    @property
    def filters(self) -> Filter | None:
        """Which nodes may be returned by any query."""
        return self._filters

    def __repr__(self) -> str:
        """Show the retrievers, and what differs from the defaults; objects by their class alone."""
        found = self._settings()
        parts = found.pop("retriever")[0]
        options = "".join(f", {name}={text}" for name, (text, usual) in found.items() if not usual)
        return f"{type(self).__name__}({parts}{options})"

    _repr_html_ = html_by("configured_html", "_notebook")

    def _settings(self) -> Settings:
        """Return each option as a text, and whether it is the default and of little interest."""
        parts = {
            name: getattr(source, "retriever", getattr(source, "bm25", source))
            for name, source in self._pipeline.sources.items()
        }
        made = {"retriever": (brief_repr(parts), False)}
        defaults = signature(TwoStageRetriever.__init__).parameters
        for name in ("reranker", "top_n", *self._options):
            value = self._options[name]
            usual = name not in {"reranker", "top_n"} and value == defaults[name].default
            if name == "reranker" and value is not None:
                value = Plain(model_name(value))
            made[name] = brief_repr(value), usual
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the retrievers and the options; callbacks are left out."""
        return _unpickled, (type(self), self._pickled_parts(), self._options, self.object_map)

    def __copy__(self) -> Self:
        copy = object.__new__(type(self))
        vars(copy).update(vars(self))
        return copy

    def replace(self, **changes: Any) -> Self:  # noqa: ANN401
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
        """Return a copy that returns `depth` nodes, for use inside another retriever."""
        return self.replace(top_n=depth, depth=max(depth, self._pipeline.depth))

    def narrowed(self, filters: Filter) -> Self:
        """Return a copy with one more filter, for use inside another retriever."""
        return self.replace(filters=joined(self._filters, filters))

    def as_query_engine(self, **options: Any) -> RetrieverQueryEngine:  # noqa: ANN401
        """Return a query engine over it; options as for `RetrieverQueryEngine.from_args`."""
        return shown(RetrieverQueryEngine.from_args(self, **options))

    def warmup(self) -> None:
        """Load every model and run it once, so that the first query is as fast as the second."""
        self._pipeline.warmup()

    def _remade(self, options: dict[str, Any]) -> Self:
        retrievers = options.pop("retrievers", None)
        given = options.pop("retriever", self._target if retrievers is None else retrievers)
        return type(self)(given, **options)

    def _parts(self) -> dict[str, object]:
        """Return what it was made of, by the constructor's names."""
        return {"retriever": self._target}

    def _pickled_parts(self) -> dict[str, object]:
        return self._parts()

    def _sources(self, depth: int) -> dict[str, RecallSource]:
        return _named_sources(self._target, self._reading, depth)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return run(self._asking(query_bundle))

    @dispatcher.span
    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await run_async(self._asking(query_bundle))

    def _asking(self, query_bundle: QueryBundle) -> Asking[list[NodeWithScore]]:
        if self._skips(query_bundle):
            return []
        response = yield from searching(
            self._traced(), to_query(query_bundle), top_k=self.top_n, timeout=self.timeout
        )
        return self._nodes(response)

    def _skips(self, bundle: QueryBundle) -> bool:
        """Whether a bundle has no question in it, and is answered with an empty list."""
        if bundle.embedding is not None or bundle.custom_embedding_strs or bundle.image_path:
            return False
        return is_skipped(bundle.query_str, self._on_blank)

    def _traced(self) -> TwoStage:
        second = self._pipeline.reranker
        if not isinstance(second, Reranker):  # there is none
            return self._pipeline
        return replace(self._pipeline, reranker=observed(second, self.callback_manager, self.top_n))

    def _nodes(self, response: Response) -> list[NodeWithScore]:
        return to_nodes(
            response, len(self._pipeline.sources), marked=bool(self._options["provenance"])
        )

    def _handle_recursive_retrieval(
        self,
        query_bundle: QueryBundle,  # noqa: ARG002 - the base's
        nodes: list[NodeWithScore],
    ) -> list[NodeWithScore]:
        return nodes  # the sources have followed index nodes; doing it again would undo the order

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


def _unpickled(
    kind: type[TwoStageRetriever],
    parts: dict[str, Any],
    options: dict[str, Any],
    objects: dict[str, Any],
) -> TwoStageRetriever:
    """Make a retriever of what was pickled; pickles name this function."""
    made = kind(**parts, **options)
    made.object_map = objects
    return made


def _one_of(retriever: Retrievers | None, retrievers: Retrievers | None) -> Retrievers:
    if retriever is not None and retrievers is not None:
        raise InvalidArgument("retrievers", retrievers, "cannot be combined with retriever")
    given = retriever if retrievers is None else retrievers
    if given is None:
        raise InvalidArgument("retriever", None, _REMEDY)
    return given


def _named_sources(given: Retrievers, reading: Reading, depth: int) -> dict[str, RecallSource]:
    if isinstance(given, str | bytes):
        raise InvalidArgument("retriever", given, _REMEDY)
    named = by_name("retriever", given, source_name)
    lone = not isinstance(given, Mapping | list | tuple)
    sources: dict[str, RecallSource] = {}
    for name, one in named.items():
        if isinstance(one, BaseRetriever):
            sources[name] = source_of(one, reading, name, depth)
        elif isinstance(one, RecallSource) and not isinstance(one, type):
            sources[name] = one
        else:
            raise InvalidArgument("retriever" if lone else f"retriever[{name!r}]", one, _REMEDY)
    return sources
