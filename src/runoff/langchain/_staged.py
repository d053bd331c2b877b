"""What runoff's LangChain retrievers share: the call, its config, and the answer."""

from __future__ import annotations

from abc import abstractmethod
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.retrievers import BaseRetriever, LangSmithRetrieverParams
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config, patch_config
from langchain_core.runnables.utils import ConfigurableFieldSpec, get_unique_config_specs
from pydantic import AliasChoices, Field, field_validator

from runoff._util.arguments import count
from runoff.errors import InvalidArgument
from runoff.fusion._as_fusion import as_fusion
from runoff.fusion._rrf import RRF
from runoff.langchain._convert import answer
from runoff.langchain._filters import as_filter
from runoff.langchain._settings import SecondStage
from runoff.langchain._sources import RetrieverSource
from runoff.pipeline import TwoStage
from runoff.protocols import RecallSource, Warmable
from runoff.types import Query

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_core.callbacks import (
        AsyncCallbackManagerForRetrieverRun,
        BaseCallbackManager,
        CallbackManagerForRetrieverRun,
    )
    from langchain_core.documents import Document as LangChainDocument

__all__ = ["StagedRetriever"]

# BaseRetriever hands only callbacks on; `invoke` leaves the whole config here for the sources
_config: ContextVar[RunnableConfig | None] = ContextVar("runoff_langchain_config", default=None)


class StagedRetriever(SecondStage, BaseRetriever):
    """A LangChain retriever over the core's pipeline; subclasses name its sources."""

    takes_depth: ClassVar[bool] = True

    k: int = Field(
        default=5, validation_alias=AliasChoices("k", "top_n"), description="Documents to return."
    )
    depth: int = Field(default=100, description="Documents asked of each retriever.")
    fusion: Any = Field(default_factory=RRF)

    @field_validator("fusion", mode="before")
    @classmethod
    def _check_fusion(cls, value: object) -> object:
        return as_fusion(value)

    @abstractmethod
    def _parts(self) -> Mapping[str, Runnable[str, list[LangChainDocument]] | RecallSource]:
        """Return the retrievers and sources by name."""

    def _source(self, name: str, part: Any, **how: Any) -> RecallSource:  # noqa: ANN401 - either
        """Return a part as a source of the core, for one call."""
        return RetrieverSource(name, part, **how) if isinstance(part, Runnable) else part

    def warmup(self) -> None:
        """Load the models of the second stage and of runoff's own sources, and run each once."""
        super().warmup()
        for part in self._parts().values():
            if isinstance(part, Warmable):
                part.warmup()

    @property
    def config_specs(self) -> list[ConfigurableFieldSpec]:
        """What can be configured at run time: all that the retrievers declare."""
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
        **kwargs: Any,  # noqa: ANN401 - see Args
    ) -> list[LangChainDocument]:
        """Retrieve documents.

        Args:
            input: the question.
            config: LangChain's; callbacks, tags, metadata and `configurable` reach the retrievers.
            kwargs: for this call: `k` (or `top_n`), `depth`, `window`, `timeout` and `filter` (one
                of `runoff.filters`, or a dict of fields and the values they must equal).

        Returns:
            At most `k` documents, best first.

        Raises:
            InvalidArgument: an argument has a value it cannot have.
            RecallFailed: no retriever answered.
            PermanentError: trying again cannot help (unless `on_error` is `"degrade"`).
        """
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
        **kwargs: Any,  # noqa: ANN401 - see Args
    ) -> list[LangChainDocument]:
        """Retrieve documents without blocking the event loop; see `invoke`."""
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
        k: int | None = None,
        top_n: int | None = None,
        depth: int | None = None,
        window: int | None = None,
        timeout: float | None = None,
        filter: object = None,  # noqa: A002 - as vector stores call it
    ) -> list[LangChainDocument]:
        asked = Query(query, filters=as_filter(filter))
        top_k = self._count(k, top_n)
        pipeline = self._pipeline(run_manager.get_child, run_manager.get_child, top_k)
        response = pipeline.search(
            asked,
            top_k=top_k,
            timeout=self.timeout if timeout is None else timeout,
            depth=depth,
            window=window,
        )
        return answer(response, reranked=self.reranker is not None)

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        k: int | None = None,
        top_n: int | None = None,
        depth: int | None = None,
        window: int | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the budget degrades; it does not cancel
        filter: object = None,  # noqa: A002 - as above
    ) -> list[LangChainDocument]:
        asked = Query(query, filters=as_filter(filter))
        top_k = self._count(k, top_n)
        pipeline = self._pipeline(run_manager.get_sync().get_child, run_manager.get_child, top_k)
        response = await pipeline.asearch(
            asked,
            top_k=top_k,
            timeout=self.timeout if timeout is None else timeout,
            depth=depth,
            window=window,
        )
        return answer(response, reranked=self.reranker is not None)

    def _count(self, k: int | None, top_n: int | None) -> int:
        if k is not None and top_n is not None and k != top_n:
            raise InvalidArgument("top_n", top_n, f"is another name for k, which is {k}")
        if k is not None:
            return count("k", k)
        return self.k if top_n is None else count("top_n", top_n)

    def _pipeline(
        self,
        child: Callable[..., BaseCallbackManager],
        achild: Callable[..., BaseCallbackManager],
        top_k: int,
    ) -> TwoStage:
        """Return the core's pipeline for one call.

        Recall is never narrower than what the call is to return.
        """
        config = ensure_config(_config.get())

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
            for name, part in self._parts().items()
        }
        return TwoStage(
            sources=sources,
            fusion=self.fusion,
            reranker=self._observed(patch_config(config, callbacks=achild())),
            depth=max(self.depth, top_k),
            window=self.window,
            on_error=self.on_error,
            group=self.group,
        )

    def _get_ls_params(self, **kwargs: Any) -> LangSmithRetrieverParams:  # noqa: ANN401 - LangChain's
        params = super()._get_ls_params(**kwargs)
        for part in self._parts().values():
            if not isinstance(part, BaseRetriever):
                continue
            inner = part._get_ls_params()  # noqa: SLF001 - LangChain names it so
            for key in ("ls_vector_store_provider", "ls_embedding_provider", "ls_embedding_model"):
                if key in inner and key not in params:
                    params[key] = inner[key]
        return params
