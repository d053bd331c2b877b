"""What the retrievers of this package share: a LangChain retriever over the core's pipeline."""

from __future__ import annotations

from abc import abstractmethod
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.callbacks import CallbackManager
from langchain_core.retrievers import BaseRetriever, LangSmithRetrieverParams
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config, patch_config
from langchain_core.runnables.utils import ConfigurableFieldSpec, get_unique_config_specs
from pydantic import ConfigDict, Field, field_validator

from runoff._util.adapters.options import refuse_unknown
from runoff.errors import InvalidArgument
from runoff.fusion._default import default_fusion
from runoff.langchain._binding import Bindable, ConfigurableRetriever
from runoff.langchain._convert import answer
from runoff.langchain._filters import BOUND, as_filter, filters_of
from runoff.langchain._own_filters import check_own_filters
from runoff.langchain._settings import SecondStage
from runoff.langchain._sources import RetrieverSource
from runoff.pipeline import TwoStage
from runoff.pipeline._boundary import joined
from runoff.pipeline._second_stage import OnBlank, checked, is_skipped
from runoff.protocols import Fusion, RecallSource, Warmable
from runoff.types import Query

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_core.callbacks import (
        AsyncCallbackManagerForRetrieverRun,
        BaseCallbackManager,
        CallbackManagerForRetrieverRun,
    )
    from langchain_core.documents import Document as LangChainDocument
    from langchain_core.runnables.utils import AnyConfigurableField

    from runoff.langchain._filters import Filters
    from runoff.pipeline._second_stage import IdOf
else:  # the validators look at the values; pydantic need not
    Filters = IdOf = Any

# BaseRetriever hands on callbacks alone; `invoke` leaves the whole config here for the sources
_config: ContextVar[RunnableConfig | None] = ContextVar("runoff_langchain_config", default=None)
_PER_CALL = {"top_n", "k", "depth", "window", "timeout", "filters", "filter", BOUND}


class StagedRetriever(Bindable, SecondStage, BaseRetriever):
    """A LangChain retriever over the core's pipeline; subclasses name its sources."""

    model_config = ConfigDict(extra="forbid")  # LangChain's own would ignore unknown options

    takes_depth: ClassVar[bool] = True
    _aliases: ClassVar[dict[str, str]] = {"k": "top_n"}

    top_n: int = Field(default=5, description="Documents to return.")
    depth: int = Field(default=100, description="Documents asked of each retriever.")
    fusion: Fusion | None = None
    filters: Filters | None = None
    filter: Filters | None = None  # what a config or an assignment adds to `filters`
    id_of: IdOf = None
    on_blank: OnBlank = "empty"

    if not TYPE_CHECKING:  # type checkers know the fields

        def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401
            both = joined(*(as_filter(options.pop(name, None)) for name in ("filters", "filter")))
            super().__init__(*args, **options, filters=both)

    @field_validator("filters", "filter", mode="before")
    @classmethod
    def _check_filters(cls, value: object) -> object:
        return as_filter(value)

    @field_validator("translate_filter", check_fields=False)
    @classmethod
    def _check_translation(cls, value: object) -> object:
        if value is not None and not callable(value):
            remedy = "must be a function from a filter to search arguments"
            raise InvalidArgument("translate_filter", value, remedy)
        return value

    @abstractmethod
    def _parts(self) -> Mapping[str, Runnable[str, list[LangChainDocument]] | RecallSource]:
        """Return the retrievers and sources by name."""

    def _source(self, name: str, part: Any, **how: Any) -> RecallSource:  # noqa: ANN401
        """Return a part as a source of the core, for one call."""
        return RetrieverSource(name, part, **how) if isinstance(part, Runnable) else part

    if TYPE_CHECKING:  # so that type checkers take the other names too
        k: int = 5
    else:

        @property
        def k(self) -> int:
            """Another name for `top_n`, as LangChain's retrievers have it."""
            return self.top_n

    def _settings(self) -> dict[str, tuple[str, bool]]:
        """Return what `SecondStage` does; `filters` holds the filters under both names."""
        return {name: one for name, one in super()._settings().items() if name != "filter"}

    @property
    def pipeline(self) -> TwoStage:
        """The runoff pipeline behind it, with the retriever's filters: search, explain it."""

        def child(**_: Any) -> CallbackManager:  # noqa: ANN401
            return CallbackManager([])

        return replace(self._pipeline(child, child, self.top_n), reranker=self._unobserved())

    def configurable_fields(self, **kwargs: AnyConfigurableField) -> Any:  # noqa: ANN401
        """Make fields configurable at run time; `k` and `filter` are accepted too.

        A filter that is configured is added to the retriever's own and never replaces it.
        """
        names = {**self._aliases, "filters": "filter"}
        named = {names.get(name, name): field for name, field in kwargs.items()}
        made: Any = super().configurable_fields(**named)
        return ConfigurableRetriever(default=made.default, fields=made.fields)

    def warmup(self) -> None:
        """Load the models of the second stage and of runoff's own sources, and run each once."""
        super().warmup()
        for part in self._parts().values():
            if isinstance(part, Warmable):
                part.warmup()

    @property
    def config_specs(self) -> list[ConfigurableFieldSpec]:
        """The fields of the retrievers that can be configured at run time."""
        return get_unique_config_specs(
            spec
            for part in self._parts().values()
            if isinstance(part, Runnable)
            for spec in part.config_specs
        )

    def invoke(
        self,
        input: str,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> list[LangChainDocument]:
        """Retrieve documents.

        Args:
            input: the query.
            config: LangChain's; its callbacks, tags, metadata and `configurable` reach all
                retrievers.
            kwargs: for this call: `top_n` (or `k`), `depth`, `window`, `timeout` and `filters` (or
                `filter`; as for the constructor, in addition to those given there).

        Returns:
            At most `k` documents, best first.

        Raises:
            InvalidArgument: an argument has a value it cannot have.
            RecallFailed: no retriever answered.
            PermanentError: trying again cannot help (unless `on_error` is `"degrade"`).
        """
        refuse_unknown("invoke", kwargs, _PER_CALL)
        config = ensure_config(config)
        token = _config.set(config)
        try:
            return super().invoke(input, config, **kwargs)
        finally:
            _config.reset(token)

    async def ainvoke(
        self,
        input: str,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> list[LangChainDocument]:
        """Retrieve documents without blocking the event loop; see `invoke`."""
        refuse_unknown("invoke", kwargs, _PER_CALL)
        config = ensure_config(config)
        token = _config.set(config)
        try:
            return await super().ainvoke(input, config, **kwargs)
        finally:
            _config.reset(token)

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        **kwargs: Any,  # noqa: ANN401
    ) -> list[LangChainDocument]:
        if is_skipped(query, self.on_blank):
            return []
        asked, how = self._call(query, **kwargs)
        child = run_manager.get_child
        pipeline = self._pipeline(child, child, how["top_k"])
        return answer(
            pipeline.search(asked, **how),
            reranked=self.reranker is not None,
            marked=self.provenance,
        )

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        **kwargs: Any,  # noqa: ANN401
    ) -> list[LangChainDocument]:
        if is_skipped(query, self.on_blank):
            return []
        asked, how = self._call(query, **kwargs)
        child, achild = run_manager.get_sync().get_child, run_manager.get_child
        pipeline = self._pipeline(child, achild, how["top_k"])
        response = await pipeline.asearch(asked, **how)
        return answer(response, reranked=self.reranker is not None, marked=self.provenance)

    def _call(
        self,
        query: str,
        *,
        k: int | None = None,
        top_n: int | None = None,
        timeout: float | None = None,
        filter: object = None,  # noqa: A002 - as vector stores call it
        filters: object = None,
        bound_filters: object = None,
        **how: Any,  # noqa: ANN401
    ) -> tuple[Query, dict[str, Any]]:
        """Return the query and the arguments of one search."""
        if k is not None and top_n is not None and k != top_n:
            raise InvalidArgument(
                "k", k, f"is another name for top_n, which was given as {top_n}: pass one of them"
            )
        count = self.top_n if k is None and top_n is None else top_n if k is None else k
        wanted = joined(*map(as_filter, (bound_filters, filters, filter)))
        how |= {
            "top_k": checked("k" if top_n is None else "top_n", count),
            "timeout": self.timeout if timeout is None else timeout,
        }
        return Query(query, filters=wanted), how

    def _pipeline(
        self,
        child: Callable[..., BaseCallbackManager],
        achild: Callable[..., BaseCallbackManager],
        top_k: int,
    ) -> TwoStage:
        """Return the core's pipeline for one call.

        Its depth is never smaller than the number of documents to return.
        """
        config = ensure_config(_config.get())
        parts = self._parts()
        check_own_filters(parts, config, filters_of(self))

        def tagged(make: Callable[..., BaseCallbackManager], name: str) -> BaseCallbackManager:
            return make(tag=f"source:{name}")

        sources = {
            name: self._source(
                name,
                part,
                config=config,
                callbacks=lambda name=name: tagged(child, name),
                acallbacks=lambda name=name: tagged(achild, name),
            )
            for name, part in parts.items()
        }
        return TwoStage(
            sources=sources,
            fusion=default_fusion() if self.fusion is None else self.fusion,
            reranker=self._observed(patch_config(config, callbacks=achild())),
            depth=max(self.depth, top_k),
            window=self.window,
            on_error=self.on_error,
            id_of=self.id_of,
            group=self.group,
            filters=filters_of(self),
            observer=self.observer,
        )

    def _get_ls_params(self, **kwargs: Any) -> LangSmithRetrieverParams:  # noqa: ANN401
        params = super()._get_ls_params(**kwargs)
        for part in self._parts().values():
            if not isinstance(part, BaseRetriever):
                continue
            inner = part._get_ls_params()  # noqa: SLF001
            for key in ("ls_vector_store_provider", "ls_embedding_provider", "ls_embedding_model"):
                if key in inner and key not in params:
                    params[key] = inner[key]
        return params
