"""Filters: what users may write, and how each vector store is asked for it.

A filter is honoured exactly or refused by name, never ignored. Every document that a store returns
is checked again, since stores differ in what a filter means.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, TypeAlias

from runoff.errors import FilterNotSupported, InvalidArgument
from runoff.filters import And, Eq, Filter
from runoff.langchain._kinds import kind_of
from runoff.langchain._pushed import pushed
from runoff.pipeline._boundary import joined

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_core.documents import Document as LangChainDocument
    from langchain_core.vectorstores import VectorStore

PARTS = frozenset({
    *("namespace", "tenant", "partition_name", "partition_names", "shard_key_selector"),
})  # fmt: skip
"""Search arguments that choose a part of a store: of Pinecone, Weaviate, Milvus and Qdrant."""
BOUND = "bound_filters"
"""The argument under which `bind` keeps filters, so that those of a call do not replace them."""

Filters: TypeAlias = "Filter | dict[str, Any]"
Translate: TypeAlias = "Callable[[Filter], Mapping[str, Any]]"


def as_filter(value: object) -> Filter | None:
    """Return a filter for a filter, or for a dict of fields and the values they must equal.

    Raises:
        InvalidArgument: it is neither; operators in a dict are refused, since their meaning differs
            from store to store.
    """
    if value is None or isinstance(value, Filter):
        return value
    remedy = (
        'must be a filter of runoff.filters, such as Range("year", gte=2020), or a dict of fields '
        "and the values they must equal"
    )
    if not isinstance(value, dict) or not value:
        raise InvalidArgument("filter", value, remedy)
    if any(not isinstance(one, str | int | float | date) for one in value.values()) or any(
        str(name).startswith("$") for name in value
    ):
        raise InvalidArgument("filter", value, remedy)
    equals = [Eq(name, one) for name, one in value.items()]
    return equals[0] if len(equals) == 1 else And(*equals)


def filters_of(retriever: object) -> Filter | None:
    """Return which documents one of runoff's retrievers may return, by both of its fields."""
    return joined(*(as_filter(getattr(retriever, name, None)) for name in ("filters", "filter")))


def is_filter_argument(name: str) -> bool:
    """Whether a vector store's search argument of this name says which documents it returns."""
    return "filter" in name or name in {"where", "where_document", "expr"} or name in PARTS


def own_filters(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the filters among a vector store's search arguments."""
    return {name: one for name, one in arguments.items() if is_filter_argument(name) and one}


@dataclass(frozen=True, slots=True)
class Asked:
    """Search arguments for one request with a filter.

    Attributes:
        arguments: the arguments.
        pushed: whether the store applies the filter, or a part of it.
        known: whether it is known to return every document that passes.
    """

    arguments: dict[str, Any]
    pushed: bool = True
    known: bool = True


def store_kwargs(
    store: VectorStore,
    given: Mapping[str, Any],
    wanted: Filter,
    translate: Translate | None,
    source: str,
) -> Asked | None:
    """Return a store's search arguments with a filter added; None if no document can pass it.

    The store then returns every document that the filter keeps, and perhaps others: the caller
    checks each. A store that cannot be asked gets its arguments back as they are.

    Args:
        store: the store.
        given: its search arguments so far.
        wanted: the filter of this request.
        translate: makes search arguments of a filter, in place of what is built in.
        source: what to call the store in an error.

    Raises:
        FilterNotSupported: the store already has a filter that cannot be combined with what
            `translate` makes.
    """
    if translate is not None:
        added = dict(translate(wanted))
        both = sorted(added.keys() & given.keys())
        if both:
            remedy = f"{source} already has {both[0]}=, and the two cannot be combined"
            raise FilterNotSupported("filter", wanted, remedy)
        return Asked({**given, **added})
    known = given.get("filter")
    kind = kind_of(store)
    if kind == "memory":
        return Asked({**given, "filter": _predicate(wanted, known)})
    if kind == "faiss":
        return Asked({**given, **_for_faiss(store, wanted, known)})
    asked = pushed(store, given, wanted)
    if isinstance(asked, bool):
        return Asked(dict(given), pushed=False) if asked else None
    return Asked(asked[0], known=asked[1])


def _predicate(
    wanted: Filter, known: Callable[[LangChainDocument], bool] | None
) -> Callable[[LangChainDocument], bool]:
    def keeps(document: LangChainDocument) -> bool:
        return wanted.matches(document.metadata) and (known is None or known(document))

    return keeps


def _for_faiss(store: Any, wanted: Filter, known: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return FAISS's arguments: it filters the first `fetch_k` rows, so all are fetched."""
    holds = None if known is None else store._create_filter_func(known)  # noqa: SLF001

    def keeps(metadata: dict[str, Any]) -> bool:
        return wanted.matches(metadata) and (holds is None or holds(metadata))

    return {"filter": keeps, "fetch_k": max(1, store.index.ntotal)}
