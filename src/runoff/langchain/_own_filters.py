"""The filters and arguments that LangChain's retrievers have already, bound or in their fields."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableBinding
from langchain_core.runnables.config import merge_configs
from langchain_core.runnables.configurable import DynamicRunnable

from runoff.errors import FilterNotSupported, InvalidArgument
from runoff.langchain._binding import Bound
from runoff.langchain._filters import BOUND, as_filter, filters_of, own_filters
from runoff.langchain._widen import parts_of
from runoff.pipeline._boundary import joined

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from langchain_core.documents import Document as LangChainDocument
    from langchain_core.runnables import RunnableConfig

    from runoff.filters import Filter


def with_bound(name: str, given: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return a vector store's search arguments with bound ones, which replace them.

    Raises:
        FilterNotSupported: both have a filter, and one would replace the other.
    """
    own, bound = own_filters(given), own_filters(arguments)
    if own and bound and own != bound:
        remedy = (
            f"{name} has {next(iter(own))}= in search_kwargs too, which this would replace: "
            "pass one of them as filters= instead, so that both apply"
        )
        raise FilterNotSupported(next(iter(bound)), next(iter(bound.values())), remedy)
    return {**given, **arguments}


def check_own_filters(
    parts: Mapping[str, Any], config: RunnableConfig, shared: Filter | None
) -> None:
    """Refuse several retrievers, or one that combines several, if a filter does not reach all.

    Args:
        parts: the retrievers and sources by name.
        config: the call's config.
        shared: the filter that reaches all of them anyway.

    Raises:
        InvalidArgument: names the filter and its retriever.
        FilterNotSupported: a retriever has a filter that one bound to it would replace.
    """
    leaves = [leaf for name, part in parts.items() for leaf in _leaves(name, part, config, shared)]
    if len(leaves) > 1 and any(own != leaves[0][1] for _, own in leaves):
        name, own = next(leaf for leaf in leaves if leaf[1])
        argument, value = next(iter(own.items()))
        remedy = (
            "filters only this retriever and not those beside it: pass filters= instead, which "
            "reaches all of them"
        )
        raise InvalidArgument(f"{name}: {argument}", value, remedy)


def _leaves(
    name: str,
    part: Any,  # noqa: ANN401
    config: RunnableConfig,
    shared: Filter | None,
    outer: Mapping[str, Any] = MappingProxyType({}),
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the retrievers that are asked in the end, by name, with the filters they have.

    Arguments that are bound to a retry or to fallbacks reach the retrievers inside.
    """
    if not isinstance(part, Runnable):
        yield name, {}
        return
    retriever, config, arguments = resolved(part, config)
    here, around = own_filters(arguments), own_filters(outer)
    if here and around and here != around:
        remedy = (
            f"{name} has {next(iter(here))}= bound to it too, which LangChain would replace by "
            "this: pass one of them as filters= instead, so that both apply"
        )
        raise FilterNotSupported(next(iter(around)), next(iter(around.values())), remedy)
    arguments = {**arguments, **outer}
    if isinstance(retriever, BaseRetriever) and not retriever._expects_other_args:  # noqa: SLF001
        for argument, value in own_filters(arguments).items():
            remedy = f"{name} ({type(retriever).__name__}) ignores it when bound: pass filters="
            raise FilterNotSupported(argument, value, remedy)
    inner = [one for several in parts_of(retriever).values() for one in several]
    if inner:
        for one in inner:
            yield from _leaves(f"{name} ({type(one).__name__})", one, config, shared, arguments)
    elif getattr(retriever, "takes_depth", False):
        bound = [as_filter(arguments.get(one)) for one in ("filter", "filters", BOUND)]
        own = joined(filters_of(retriever), *bound)
        yield name, {} if own is None or own == shared else {"filters": own}
    else:
        given = getattr(retriever, "search_kwargs", {})
        yield name, own_filters(with_bound(name, given, arguments))


def resolved(
    retriever: Runnable[str, list[LangChainDocument]], config: RunnableConfig
) -> tuple[Runnable[str, list[LangChainDocument]], RunnableConfig, dict[str, Any]]:
    """Return the retriever inside bindings and configurable fields, and the config they add."""
    arguments: dict[str, Any] = {}
    while True:
        if isinstance(retriever, DynamicRunnable):
            retriever, config = retriever.prepare(config)
        elif (
            isinstance(retriever, RunnableBinding)
            and type(retriever) in {RunnableBinding, Bound}
            and not retriever.config_factories
        ):
            config = merge_configs(retriever.config, config)
            arguments = {**retriever.kwargs, **arguments}
            retriever = retriever.bound
        else:
            return retriever, config, arguments
