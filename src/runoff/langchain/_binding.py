"""Filters that are bound to a retriever stay, whatever is bound or passed later.

LangChain's own binding lets a later argument replace an earlier one of the same name, which would
let a caller leave the boundary that the retriever was handed over with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document as LangChainDocument
from langchain_core.runnables import Runnable, RunnableBinding
from langchain_core.runnables.config import merge_configs
from langchain_core.runnables.configurable import RunnableConfigurableFields

from runoff.langchain._filters import BOUND, as_filter
from runoff.pipeline._boundary import joined

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

_Documents = list[LangChainDocument]


def _kept(given: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Return bound arguments with more of them; the filters of both apply."""
    added = dict(more)
    named = [added.pop(name, None) for name in ("filter", "filters", BOUND)]
    wanted = joined(*map(as_filter, (given.get(BOUND), *named)))
    return {**given, **added} if wanted is None else {**given, **added, BOUND: wanted}


class Bound(RunnableBinding[str, _Documents]):
    """A retriever with bound arguments, whose filters add up."""

    def bind(self, **kwargs: Any) -> Runnable[str, _Documents]:  # noqa: ANN401
        """Bind arguments; filters are added to those bound before."""
        copy: Runnable[str, _Documents] = self.model_copy(
            update={"kwargs": _kept(dict(self.kwargs), kwargs)}
        )
        return copy


class Bindable(Runnable[str, _Documents]):
    """What is bound to such a retriever is a `Bound`."""

    def bind(self, **kwargs: Any) -> Runnable[str, _Documents]:  # noqa: ANN401
        """Bind arguments; a filter is added to the retriever's, and those of a call come on top."""
        return Bound(bound=self, kwargs=_kept({}, kwargs), config={})

    def with_config(
        self,
        config: RunnableConfig | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> Runnable[str, _Documents]:
        return _bound(super().with_config(config, **kwargs))

    def with_listeners(self, **kwargs: Any) -> Runnable[str, _Documents]:  # noqa: ANN401
        return _bound(super().with_listeners(**kwargs))

    def with_types(self, **kwargs: Any) -> Runnable[str, _Documents]:  # noqa: ANN401
        return _bound(super().with_types(**kwargs))


def _bound(made: Runnable[str, _Documents]) -> Runnable[str, _Documents]:
    if type(made) is not RunnableBinding:
        return made
    return Bound(
        bound=made.bound,
        kwargs=made.kwargs,
        config=made.config,
        config_factories=made.config_factories,
        custom_input_type=made.custom_input_type,
        custom_output_type=made.custom_output_type,
    )


class ConfigurableRetriever(Bindable, RunnableConfigurableFields[str, _Documents]):
    """A retriever with fields that are configured for each call."""

    def with_config(
        self,
        config: RunnableConfig | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> Runnable[str, _Documents]:
        """Add a config to the one it has; LangChain's own method would drop a configured filter."""
        return super().with_config(merge_configs(self.config, config), **kwargs)
