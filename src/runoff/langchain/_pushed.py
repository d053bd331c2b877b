"""Filters for LangChain's other vector stores, each in the store's own language.

A store is asked for what it is known to answer without dropping a document that passes; all that it
returns is checked again. Facts about the stores, each tested in `tests/stores` where it can be run:

- `PGVector` compares by JSON paths, which look into lists; `PGVectorStore` compares a JSON field's
  text, so that every list passes, and casts it for numbers, which fails where some are none.
- LanceDB filters what it has found unless it is told to do it before.
- Redis knows the fields of its schema only; MongoDB and Redis separate nothing from plain words.

The engines that `runoff.recall` knows are asked in the same words as by its own sources.
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from functools import partial, reduce
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from runoff.filters import Range
from runoff.langchain._kinds import kind_of
from runoff.recall._stores.chroma_where import knows_lists, where_of
from runoff.recall._stores.clauses import bounds_of, folded, values_of
from runoff.recall._stores.elasticsearch_where import elasticsearch_query, unread
from runoff.recall._stores.lancedb_table import read_table
from runoff.recall._stores.lancedb_where import lancedb_where
from runoff.recall._stores.milvus_where import Place, milvus_expression, place_among, place_of
from runoff.recall._stores.qdrant_filter import qdrant_filter
from runoff.recall._stores.qdrant_indexes import indexes_of
from runoff.recall._stores.records import Names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

    from langchain_core.vectorstores import VectorStore

    from runoff.filters import Filter
    from runoff.recall._stores.clauses import Leaf

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*").fullmatch
_PLAIN_TEXT = re.compile(r"[\w .@/+=-]*").fullmatch
_MOST_VALUES = 200
_described: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()  # what Milvus says of a collection
_OPERATORS = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}


@dataclass(frozen=True, slots=True)
class _Language:
    """How a store is asked.

    Attributes:
        argument: the search argument that takes its filter.
        made: makes a filter for a store; True if it cannot be asked, False if nothing can pass.
        every: joins filters that must all hold.
        known: whether the store was tested with it.
        listed: whether the argument is a list of filters, all of which must hold.
        extra: further search arguments.
    """

    argument: str
    made: Callable[[Any, Filter], Any]
    every: Callable[[Sequence[Any]], Any]
    known: bool = False
    listed: bool = False
    extra: Mapping[str, Any] | None = None


def _by_leaves(
    leaf: Callable[[Any, Leaf], Any],
    every: Callable[[Sequence[Any]], Any],
    some: Callable[[Sequence[Any]], Any],
) -> Callable[[Any, Filter], Any]:
    """Return what makes a filter of a store's conditions, which `leaf` makes; see `folded`."""
    return lambda store, wanted: folded(wanted, partial(leaf, store), every, some)


def pushed(
    store: VectorStore, given: Mapping[str, Any], wanted: Filter
) -> tuple[dict[str, Any], bool] | bool:
    """Return a store's search arguments with what it can be asked of a filter.

    Args:
        store: the store.
        given: its search arguments so far; a filter among them is kept.
        wanted: the filter.

    Returns:
        The arguments, and whether the store is known to return every document that passes; True if
        it cannot be asked; False if no document can pass.
    """
    language = _LANGUAGES.get(kind_of(store) or "")
    if language is None:
        return True
    form = language.made(store, wanted)
    if isinstance(form, bool):
        return form
    own = given.get(language.argument)
    if any("filter" in name and name != language.argument and given[name] for name in given):
        return True  # two filters, of which the store would take one
    if language.listed:
        form = [*(own or ()), form]
    elif own:
        if isinstance(own, str | dict) and type(own) is not type(form):
            return True  # they cannot be joined
        form = language.every([own, form])
    return {**given, **(language.extra or {}), language.argument: form}, language.known


def _conditions(one: Leaf) -> list[tuple[str, Any]] | None:
    """Return the comparisons of a condition by operator; None if its name is not plain."""
    if not _PLAIN_NAME(one.field):
        return None
    if isinstance(one, Range):
        bounds = [(_OPERATORS[sign], bound) for sign, bound in bounds_of(one).items()]
        return None if any(_is_time(bound) for _, bound in bounds) else bounds
    values = values_of(one)
    return [("eq", value) for value in values] if len(values) <= _MOST_VALUES else None


def _made(
    one: Leaf,
    compare: Callable[[str, Any], Any],
    every: Callable[[Sequence[Any]], Any],
    some: Callable[[Sequence[Any]], Any],
) -> Any:  # noqa: ANN401
    """Return a condition of comparisons; None if one of them cannot be made."""
    conditions = _conditions(one)
    if conditions is None:
        return None
    forms = [compare(said, value) for said, value in conditions]
    if any(form is None for form in forms):
        return None
    return forms[0] if len(forms) == 1 else (every if isinstance(one, Range) else some)(forms)


def _is_time(value: str | float | date) -> bool:
    return not isinstance(value, str | int | float)


def _is_word(value: object) -> bool:
    return isinstance(value, str) and _PLAIN_TEXT(value) is not None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


# PostgreSQL and MongoDB: dicts


def _all_of(forms: Sequence[Any]) -> dict[str, Any]:
    return {"$and": list(forms)}


def _any_of(forms: Sequence[Any]) -> dict[str, Any]:
    return {"$or": list(forms)}


def _pgvector(store: Any, one: Leaf) -> Any:  # noqa: ANN401
    if not getattr(store, "use_jsonb", False):
        return None  # its older tables compare everything as text
    return _mongodb(store, one)


def _pgvectorstore(store: Any, one: Leaf) -> Any:  # noqa: ANN401
    inner = getattr(store, "_PGVectorStore__vs", store)  # the synchronous one wraps the other
    column = one.field in inner.metadata_columns
    if not column and inner.metadata_json_column is None:
        return None

    def compare(said: str, value: Any) -> Any:  # noqa: ANN401
        if _is_time(value):
            return None
        value = float(value) if _is_number(value) and not column else value
        return {one.field: {f"${said}": value}}

    made = _made(one, compare, _all_of, _any_of)
    words = not isinstance(one, Range) and any(
        isinstance(v, str) for _, v in _conditions(one) or ()
    )
    if made is None or column or not words:
        return made
    return _any_of([made, {one.field: {"$like": "[%"}}])


def _mongodb(_: object, one: Leaf) -> Any:  # noqa: ANN401
    def compare(said: str, value: Any) -> Any:  # noqa: ANN401
        return None if _is_time(value) else {one.field: {f"${said}": value}}

    return _made(one, compare, _all_of, _any_of)


# engines that runoff asks itself


def _chroma(_: object, wanted: Filter) -> Any:  # noqa: ANN401
    return where_of(wanted, lists=knows_lists())


def _qdrant(store: Any, wanted: Filter) -> Any:  # noqa: ANN401
    from qdrant_client.models import Filter as QdrantFilter  # noqa: PLC0415 - here is a store of it

    under = store.metadata_payload_key
    made = qdrant_filter(wanted, under=under, indexes=indexes_of(store, wanted))
    return made if isinstance(made, bool) else QdrantFilter.model_validate(made)


def _qdrant_every(forms: Sequence[Any]) -> Any:  # noqa: ANN401
    from qdrant_client.models import Filter as QdrantFilter  # noqa: PLC0415 - as above

    return QdrantFilter(must=list(forms))


def _elasticsearch(_: object, wanted: Filter) -> Any:  # noqa: ANN401
    return elasticsearch_query(wanted, unread)


def _elasticsearch_every(forms: Sequence[Any]) -> dict[str, Any]:
    return {"bool": {"filter": list(forms)}}


def _milvus(store: Any, wanted: Filter) -> Any:  # noqa: ANN401
    collection = store.col  # the store keeps it, and newer ones without its types
    if collection is None:
        return True
    if collection not in _described:
        _described[collection] = store.client.describe_collection(store.collection_name)
    about = _described[collection]
    places = {one["name"]: place_of(one) for one in about["fields"]}
    dynamic = bool(about.get("enable_dynamic_field"))

    def place(name: str) -> Place:
        # a field that was added since then is checked here
        return place_among(places, name, dynamic=dynamic) or Place(name, "other")

    return milvus_expression(wanted, place)


def _lancedb(store: Any, wanted: Filter) -> Any:  # noqa: ANN401
    table = store.get_table()
    if table is None or "metadata" not in table.schema.names:
        return True
    names = Names(text=store._text_key, id=store._id_key, metadata="metadata")  # noqa: SLF001
    return lancedb_where(wanted, read_table(table.schema, names, dense=False))


def _and(forms: Sequence[str]) -> str:
    return " and ".join(f"({one})" for one in forms)


# Weaviate and Redis: objects of their clients


def _weaviate(_: object, one: Leaf) -> Any:  # noqa: ANN401
    from weaviate.classes.query import Filter as Clause  # noqa: PLC0415 - here is a store of it

    names = {
        "gt": "greater_than",
        "gte": "greater_or_equal",
        "lt": "less_than",
        "lte": "less_or_equal",
    }

    def compare(said: str, value: Any) -> Any:  # noqa: ANN401
        if _is_time(value):
            return None
        clause = Clause.by_property(one.field)
        if said != "eq":
            return getattr(clause, names[said])(value)
        return clause.contains_any([value]) if isinstance(value, str) else clause.equal(value)

    return _made(one, compare, _weaviate_every, _weaviate_some)


def _weaviate_every(forms: Sequence[Any]) -> Any:  # noqa: ANN401
    from weaviate.classes.query import Filter as Clause  # noqa: PLC0415 - as above

    return Clause.all_of(list(forms))


def _weaviate_some(forms: Sequence[Any]) -> Any:  # noqa: ANN401
    from weaviate.classes.query import Filter as Clause  # noqa: PLC0415 - as above

    return Clause.any_of(list(forms))


def _redis(store: Any, one: Leaf) -> Any:  # noqa: ANN401
    from redisvl.query.filter import Num, Tag  # noqa: PLC0415 - as above

    fields = getattr(getattr(store, "config", None), "metadata_schema", None) or []
    types = {declared["name"]: str(declared["type"]) for declared in fields}
    kind = types.get(one.field)

    def compare(said: str, value: Any) -> Any:  # noqa: ANN401
        if said == "eq" and kind == "tag" and _is_word(value) and value:
            return Tag(one.field) == value
        if kind != "numeric" or not _is_number(value):
            return None
        compared = {"gte": operator.ge, "lte": operator.le}.get(said) or getattr(operator, said)
        return compared(Num(one.field), value)

    return _made(one, compare, _redis_every, _redis_some)


def _redis_every(forms: Sequence[Any]) -> Any:  # noqa: ANN401
    return reduce(operator.and_, forms)


def _redis_some(forms: Sequence[Any]) -> Any:  # noqa: ANN401
    return reduce(operator.or_, forms)


_LANGUAGES = {
    "chroma": _Language("filter", _chroma, _all_of, known=True),
    "qdrant": _Language("filter", _qdrant, _qdrant_every, known=True),
    "pgvector": _Language("filter", _by_leaves(_pgvector, _all_of, _any_of), _all_of, known=True),
    "pgvectorstore": _Language(
        "filter", _by_leaves(_pgvectorstore, _all_of, _any_of), _all_of, known=True
    ),
    "mongodb": _Language("pre_filter", _by_leaves(_mongodb, _all_of, _any_of), _all_of),
    "elasticsearch": _Language("filter", _elasticsearch, _elasticsearch_every, listed=True),
    "opensearch": _Language("efficient_filter", _elasticsearch, _elasticsearch_every),
    "milvus": _Language("expr", _milvus, _and, known=True),
    "lancedb": _Language("filter", _lancedb, _and, known=True, extra={"prefilter": True}),
    "weaviate": _Language(
        "filters", _by_leaves(_weaviate, _weaviate_every, _weaviate_some), _weaviate_every
    ),
    "redis": _Language("filter", _by_leaves(_redis, _redis_every, _redis_some), _redis_every),
}
