"""Filters bound to a retriever stay in force, even if others are bound or passed later.

LangChain's own binding lets a later argument replace an earlier one of the same name, which would
let a caller leave the boundary that the retriever was handed over with. What LangChain wraps around
a retriever, such as a retry, is made bindable in the same way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document as LangChainDocument
from langchain_core.runnables import Runnable, RunnableBinding, RunnableWithFallbacks
from langchain_core.runnables.config import merge_configs
from langchain_core.runnables.configurable import (
    RunnableConfigurableAlternatives,
    RunnableConfigurableFields,
)
from langchain_core.runnables.retry import RunnableRetry

from runoff._util.adapters.options import Plain, brief_repr
from runoff._util.display import html_by
from runoff.langchain._filters import BOUND, as_filter, filters_of
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


class Wrappable(Runnable[str, _Documents]):
    """A runnable that can still be bound after LangChain has wrapped it."""

    def with_listeners(self, **kwargs: Any) -> Any:  # noqa: ANN401
        """Bind listeners, as every runnable does."""
        return _rebuilt(super().with_listeners(**kwargs))

    def with_alisteners(self, **kwargs: Any) -> Any:  # noqa: ANN401
        """Bind asynchronous listeners, as every runnable does."""
        return _rebuilt(super().with_alisteners(**kwargs))

    def with_retry(self, **kwargs: Any) -> Any:  # noqa: ANN401
        """Try again after an error, as every runnable does."""
        return _rebuilt(super().with_retry(**kwargs))

    def with_fallbacks(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Ask others after an error, as every runnable does."""
        return _rebuilt(super().with_fallbacks(*args, **kwargs))

    def configurable_alternatives(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Choose among several by a config, as every runnable does."""
        made: Any = super()
        return _rebuilt(made.configurable_alternatives(*args, **kwargs))


class Bound(Wrappable, RunnableBinding[str, _Documents]):
    """A retriever with bound arguments, whose filters add up."""

    _repr_html_ = html_by("repr_html", "_notebook")

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        """Show the retriever and what is bound to it; objects by their class alone."""
        bound = [(name, Plain(brief_repr(value))) for name, value in self.kwargs.items()]
        if self.config:
            bound.append(("config", Plain(brief_repr(dict(self.config)))))
        return [(None, self.bound), *bound]

    def bind(self, **kwargs: Any) -> Runnable[str, _Documents]:  # noqa: ANN401
        """Bind arguments; filters are added to those bound before."""
        copy: Runnable[str, _Documents] = self.model_copy(
            update={"kwargs": _kept(dict(self.kwargs), kwargs)}
        )
        return copy

    def with_config(
        self,
        config: RunnableConfig | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> Runnable[str, _Documents]:
        """Bind a config; a filter that it configures is added to those configured before."""
        made: Any = super().with_config(config, **kwargs)
        if isinstance(self.bound, ConfigurableRetriever):
            made = made.model_copy(update={"bound": self.bound.with_config(config, **kwargs)})
        return made  # type: ignore[no-any-return] # it is a `Bound`


class Bindable(Wrappable):
    """A retriever whose `bind` returns a `Bound`."""

    def bind(self, **kwargs: Any) -> Runnable[str, _Documents]:  # noqa: ANN401
        """Bind arguments; a filter is added to the retriever's, and a call can add more."""
        return Bound(bound=self, kwargs=_kept({}, kwargs), config={})

    def with_config(
        self,
        config: RunnableConfig | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> Runnable[str, _Documents]:
        """Bind a config, as every runnable does."""
        made: Runnable[str, _Documents] = _rebuilt(super().with_config(config, **kwargs))
        return made

    def with_types(self, **kwargs: Any) -> Any:  # noqa: ANN401
        """Bind types, as every runnable does."""
        return _rebuilt(super().with_types(**kwargs))


class _Configurable(Bindable):
    """A retriever that depends on the config of each call."""

    config: Any

    def with_config(
        self,
        config: RunnableConfig | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> Runnable[str, _Documents]:
        """Add a config to the one it has; LangChain's own method would replace it."""
        return super().with_config(merge_configs(self.config, config), **kwargs)


class ConfigurableRetriever(_Configurable, RunnableConfigurableFields[str, _Documents]):
    """A retriever with fields that are configured for each call."""

    def with_config(
        self,
        config: RunnableConfig | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> Runnable[str, _Documents]:
        """Add a config to the one it has; a filter becomes the retriever's own, and stays."""
        copy: Any = super().with_config(config, **kwargs)
        names = [one.id for name, one in self.fields.items() if name == "filter"]
        given = merge_configs(config, kwargs).get("configurable", {})  # type: ignore[arg-type] # as LangChain has it
        wanted = joined(filters_of(self.default), *(as_filter(given.get(one)) for one in names))
        own: Any = self.default
        return copy.model_copy(  # type: ignore[no-any-return] # it is a `ConfigurableRetriever`
            update={"default": own.model_copy(update={"filters": wanted, "filter": None})}
        )


class _Alternatives(_Configurable, RunnableConfigurableAlternatives):  # type: ignore[type-arg] # with arguments, pydantic refuses a `Bound` in it
    """One of several retrievers, which a config chooses."""


class _Retry(Bindable, RunnableRetry[str, _Documents]):
    """A retriever that is asked again after an error."""


class _Fallbacks(Bindable, RunnableWithFallbacks[str, _Documents]):
    """A retriever with others that are asked after an error."""


_KINDS: dict[type[Any], type[Any]] = {
    RunnableBinding: Bound,
    RunnableConfigurableAlternatives: _Alternatives,
    RunnableRetry: _Retry,
    RunnableWithFallbacks: _Fallbacks,
}


def _rebuilt(made: Any) -> Any:  # noqa: ANN401
    """Return what LangChain made as the class here that stands for it."""
    kind = next((ours for theirs, ours in _KINDS.items() if _is_plainly(made, theirs)), None)
    if kind is None:
        return made
    return kind(**{name: getattr(made, name) for name in type(made).model_fields})


def _is_plainly(made: Any, kind: type[Any]) -> bool:  # noqa: ANN401
    """Whether it is of a class of LangChain's, or of one with type parameters."""
    return isinstance(made, kind) and type(made).__module__ == kind.__module__
