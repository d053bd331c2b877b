"""Filters of a request: what users may write, and what vector stores understand.

A filter is honoured exactly or refused by name; none is ignored. Whatever a store returns is
checked again, so that no excluded document gets through a difference in meaning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_core.vectorstores import InMemoryVectorStore, VectorStore

from runoff.errors import FilterNotSupported, InvalidArgument
from runoff.filters import And, Eq, Filter, In, Not, Or, Range
from runoff.langchain.qdrant import condition_of
from runoff.langchain.stores import is_chroma, is_faiss, is_qdrant
from runoff.recall.chroma_where import where_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_core.documents import Document as LangChainDocument

__all__ = ["Translate", "as_filter", "store_kwargs"]

Translate: TypeAlias = "Callable[[Filter], Mapping[str, Any]]"


def as_filter(value: object) -> Filter | None:
    """Return a filter for a filter, or for a dict of fields and the values they must equal.

    Raises:
        InvalidArgument: it is neither; operators in a dict are refused, since every store means
            something else by them.
    """
    if value is None or isinstance(value, Eq | In | Range | And | Or | Not):
        return value
    remedy = (
        'must be a filter of runoff.filters, such as Range("year", gte=2020), or a dict of fields '
        "and the values they must equal"
    )
    if not isinstance(value, dict) or not value:
        raise InvalidArgument("filter", value, remedy)
    if any(not isinstance(one, str | int | float) for one in value.values()) or any(
        str(name).startswith("$") for name in value
    ):
        raise InvalidArgument("filter", value, remedy)
    equals = [Eq(name, one) for name, one in value.items()]
    return equals[0] if len(equals) == 1 else And(*equals)


def store_kwargs(
    store: VectorStore,
    given: Mapping[str, Any],
    wanted: Filter,
    translate: Translate | None,
    source: str,
) -> dict[str, Any] | None:
    """Return a store's search arguments with a filter added; None when nothing can pass it.

    What the store then returns includes every document that the filter keeps, and may include
    more: the caller checks each.

    Args:
        store: the vector store; `InMemoryVectorStore`, Chroma, FAISS and Qdrant are known.
        given: its search arguments so far.
        wanted: the filter of this request.
        translate: makes search arguments of a filter, for any other store.
        source: what to call the store in an error.

    Raises:
        FilterNotSupported: the store is not known and nothing translates for it, or it already has
            a filter that cannot be combined with this one.
    """
    if translate is not None:
        added = dict(translate(wanted))
        both = sorted(added.keys() & given.keys())
        if both:
            remedy = f"{source} has a {both[0]} of its own, and the two cannot be combined"
            raise FilterNotSupported("filter", wanted, remedy)
        return {**given, **added}
    known = given.get("filter")
    if isinstance(store, InMemoryVectorStore):
        return {**given, "filter": _predicate(wanted, known)}
    if is_faiss(store):
        # its search looks at the nearest fetch_k and filters those
        count = store.index.ntotal  # type: ignore[attr-defined] # known by its name
        return {**given, "filter": _on_metadata(store, wanted, known), "fetch_k": count}
    if is_qdrant(store):
        condition = condition_of(wanted, store.metadata_payload_key)  # type: ignore[attr-defined] # as above
        if isinstance(condition, bool):
            return dict(given) if condition else None
        return {**given, "filter": _with_qdrants(condition, known)}
    if is_chroma(store):
        where = where_of(wanted, lists=_chroma_knows_lists())
        if where is False:
            return None
        if where is True:
            return dict(given)
        return {**given, "filter": {"$and": [known, where]} if known else where}
    remedy = (
        f"{source} ({type(store).__name__}) is no store whose filters are known here: pass "
        "translate_filter=, which makes search arguments of a filter"
    )
    raise FilterNotSupported("filter", wanted, remedy)


def _predicate(
    wanted: Filter, known: Callable[[LangChainDocument], bool] | None
) -> Callable[[LangChainDocument], bool]:
    def keeps(document: LangChainDocument) -> bool:
        return wanted.matches(document.metadata) and (known is None or known(document))

    return keeps


def _on_metadata(
    store: Any,  # noqa: ANN401 - FAISS
    wanted: Filter,
    known: Any,  # noqa: ANN401 - a callable or one of its dicts
) -> Callable[[dict[str, Any]], bool]:
    own = None if known is None else store._create_filter_func(known)  # noqa: SLF001 - theirs reads their dicts

    def keeps(metadata: dict[str, Any]) -> bool:
        return wanted.matches(metadata) and (own is None or own(metadata))

    return keeps


def _with_qdrants(condition: Any, known: Any) -> Any:  # noqa: ANN401 - qdrant-client's filters
    from qdrant_client import models  # noqa: PLC0415 - here where a store of it is

    both = [condition] if known is None else [condition, known]
    return models.Filter(must=both)


def _chroma_knows_lists() -> bool:
    """Whether this chromadb can say that a list contains a value."""
    from chromadb.api.types import validate_where  # noqa: PLC0415 - here where a store of it is

    try:
        probe: Any = {"field": {"$contains": 1}}
        validate_where(probe)
    except ValueError:
        return False
    return True
