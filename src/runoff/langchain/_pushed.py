"""What other vector stores of LangChain's are asked for a filter: each has a language of its own.

A store is asked for what it is known to answer without dropping a document that passes; all that it
returns is checked again. Facts about the stores, each tested in `tests/stores` where it can be run:

- `PGVector` compares by JSON paths, which look into lists; `PGVectorStore` compares a JSON field's
  text, so that every list passes, and casts it for numbers, which fails where some are none.
- LanceDB filters what it has found unless it is told to do it before.
- Elasticsearch and OpenSearch compare words in `field.keyword` or in the field itself; Redis knows
  the fields of its schema only; MongoDB and Redis separate nothing from plain words.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from runoff.filters import Eq, In, Range
from runoff.langchain._kinds import kind_of
from runoff.recall._stores.elastic_clauses import all_of, any_of, clause
from runoff.recall._stores.fold import folded, one_by_one

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

    from langchain_core.vectorstores import VectorStore

    from runoff.filters import Filter

__all__ = ["pushed"]

_Leaf = Eq | In | Range
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*").fullmatch
_PLAIN_TEXT = re.compile(r"[\w .@/+=-]*").fullmatch
_MOST_VALUES = 200


@dataclass(frozen=True, slots=True)
class _Language:
    """How a store is asked.

    Attributes:
        argument: the search argument that takes its filter.
        leaf: makes one condition for a store; None if the store would drop documents.
        every: joins conditions that must all hold.
        some: joins conditions of which one must hold.
        known: whether the store was tested with it.
        listed: whether the argument is a list of conditions, all of which must hold.
        extra: further search arguments.
    """

    argument: str
    leaf: Callable[[Any, _Leaf], Any]
    every: Callable[[Sequence[Any]], Any]
    some: Callable[[Sequence[Any]], Any]
    known: bool = False
    listed: bool = False
    extra: Mapping[str, Any] | None = None


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
    form = folded(wanted, partial(language.leaf, store), language.every, language.some)
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


def _conditions(one: _Leaf) -> list[tuple[str, Any]] | None:
    """Return the comparisons of a condition by operator; None if its name is not plain."""
    if not _PLAIN_NAME(one.field):
        return None
    if isinstance(one, Range):
        bounds = {"gt": one.gt, "gte": one.gte, "lt": one.lt, "lte": one.lte}
        return _numbers([(name, bound) for name, bound in bounds.items() if bound is not None])
    values = [same.value for same in one_by_one(one)]
    return [("eq", value) for value in values] if len(values) <= _MOST_VALUES else None


def _numbers(bounds: list[tuple[str, Any]]) -> list[tuple[str, Any]] | None:
    return bounds if all(isinstance(bound, int | float) for _, bound in bounds) else None


def _made(
    one: _Leaf,
    compare: Callable[[str, Any], Any],
    every: Callable[[Sequence[Any]], Any],
    some: Callable[[Sequence[Any]], Any],
) -> Any:  # noqa: ANN401 - in the store's language
    """Return a condition of comparisons; None if one of them cannot be made."""
    conditions = _conditions(one)
    if conditions is None:
        return None
    forms = [compare(operator, value) for operator, value in conditions]
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


def _pgvector(store: Any, one: _Leaf) -> Any:  # noqa: ANN401 - known by its name
    if not getattr(store, "use_jsonb", False):
        return None  # its older tables compare everything as text

    def compare(operator: str, value: Any) -> Any:  # noqa: ANN401 - as above
        return None if _is_time(value) else {one.field: {f"${operator}": value}}

    return _made(one, compare, _all_of, _any_of)


def _pgvectorstore(store: Any, one: _Leaf) -> Any:  # noqa: ANN401 - as above
    inner = getattr(store, "_PGVectorStore__vs", store)  # the synchronous one wraps the other
    column = one.field in inner.metadata_columns
    if not column and inner.metadata_json_column is None:
        return None

    def compare(operator: str, value: Any) -> Any:  # noqa: ANN401 - as above
        if _is_time(value):
            return None
        value = float(value) if _is_number(value) and not column else value
        return {one.field: {f"${operator}": value}}

    made = _made(one, compare, _all_of, _any_of)
    words = not isinstance(one, Range) and any(
        isinstance(v, str) for _, v in _conditions(one) or ()
    )
    if made is None or column or not words:
        return made
    return _any_of([made, {one.field: {"$like": "[%"}}])


def _mongodb(_: object, one: _Leaf) -> Any:  # noqa: ANN401 - as above
    def compare(operator: str, value: Any) -> Any:  # noqa: ANN401 - as above
        return None if _is_time(value) else {one.field: {f"${operator}": value}}

    return _made(one, compare, _all_of, _any_of)


# Elasticsearch and OpenSearch


def _clauses(_: object, one: _Leaf) -> Any:  # noqa: ANN401 - as above
    return None if _conditions(one) is None else clause(one)


# Milvus and LanceDB: expressions


def _and(forms: Sequence[str]) -> str:
    return " and ".join(f"({one})" for one in forms)


def _or(forms: Sequence[str]) -> str:
    return " or ".join(f"({one})" for one in forms)


_SIGNS = {"eq": "==", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_SCALAR_TYPES = {"BOOL", "INT8", "INT16", "INT32", "INT64", "FLOAT", "DOUBLE", "VARCHAR"}


def _milvus(store: Any, one: _Leaf) -> Any:  # noqa: ANN401 - as above
    collection = store.col
    if collection is None:
        return None
    types = {made.name: made.dtype.name for made in collection.schema.fields}
    if one.field not in types and not collection.schema.enable_dynamic_field:
        return None
    scalar = types.get(one.field) in _SCALAR_TYPES

    def compare(operator: str, value: Any) -> str | None:  # noqa: ANN401 - as above
        if _is_time(value) or isinstance(value, bool):
            return None
        written = json.dumps(value, ensure_ascii=False)
        form = f"{one.field} {_SIGNS[operator]} {written}"
        if operator != "eq" or scalar:
            return form
        return _or([form, f"json_contains({one.field}, {written})"])

    return _made(one, compare, _and, _or)


def _lancedb(_: object, one: _Leaf) -> Any:  # noqa: ANN401 - as above
    def compare(operator: str, value: Any) -> str | None:  # noqa: ANN401 - as above
        sign = _SIGNS[operator].replace("==", "=")
        if isinstance(value, str):
            quoted = value.replace("'", "''")
            return f"metadata.`{one.field}` {sign} '{quoted}'"
        return f"metadata.`{one.field}` {sign} {value!r}" if _is_number(value) else None

    return _made(one, compare, _and, _or)


# Weaviate and Redis: objects of their clients


def _weaviate(_: object, one: _Leaf) -> Any:  # noqa: ANN401 - as above
    from weaviate.classes.query import Filter as Clause  # noqa: PLC0415 - here is a store of it

    names = {
        "gt": "greater_than",
        "gte": "greater_or_equal",
        "lt": "less_than",
        "lte": "less_or_equal",
    }

    def compare(operator: str, value: Any) -> Any:  # noqa: ANN401 - as above
        if _is_time(value):
            return None
        clause = Clause.by_property(one.field)
        if operator != "eq":
            return getattr(clause, names[operator])(value)
        return clause.contains_any([value]) if isinstance(value, str) else clause.equal(value)

    return _made(one, compare, _weaviate_every, _weaviate_some)


def _weaviate_every(forms: Sequence[Any]) -> Any:  # noqa: ANN401 - as above
    from weaviate.classes.query import Filter as Clause  # noqa: PLC0415 - as above

    return Clause.all_of(list(forms))


def _weaviate_some(forms: Sequence[Any]) -> Any:  # noqa: ANN401 - as above
    from weaviate.classes.query import Filter as Clause  # noqa: PLC0415 - as above

    return Clause.any_of(list(forms))


def _redis(store: Any, one: _Leaf) -> Any:  # noqa: ANN401 - as above
    from redisvl.query.filter import Num, Tag  # noqa: PLC0415 - as above

    fields = getattr(getattr(store, "config", None), "metadata_schema", None) or []
    types = {declared["name"]: str(declared["type"]) for declared in fields}
    kind = types.get(one.field)

    def compare(operator: str, value: Any) -> Any:  # noqa: ANN401 - as above
        if operator == "eq" and kind == "tag" and _is_word(value) and value:
            return Tag(one.field) == value
        if kind != "numeric" or not _is_number(value):
            return None
        number = Num(one.field)
        return {
            "eq": number.__eq__,
            "gt": number.__gt__,
            "gte": number.__ge__,
            "lt": number.__lt__,
            "lte": number.__le__,
        }[operator](value)

    return _made(one, compare, _redis_every, _redis_some)


def _redis_every(forms: Sequence[Any]) -> Any:  # noqa: ANN401 - as above
    made = forms[0]
    for one in forms[1:]:
        made = made & one
    return made


def _redis_some(forms: Sequence[Any]) -> Any:  # noqa: ANN401 - as above
    made = forms[0]
    for one in forms[1:]:
        made = made | one
    return made


_LANGUAGES = {
    "pgvector": _Language("filter", _pgvector, _all_of, _any_of, known=True),
    "pgvectorstore": _Language("filter", _pgvectorstore, _all_of, _any_of, known=True),
    "mongodb": _Language("pre_filter", _mongodb, _all_of, _any_of),
    "elasticsearch": _Language("filter", _clauses, all_of, any_of, listed=True),
    "opensearch": _Language("efficient_filter", _clauses, all_of, any_of),
    "milvus": _Language("expr", _milvus, _and, _or, known=True),
    "lancedb": _Language("filter", _lancedb, _and, _or, known=True, extra={"prefilter": True}),
    "weaviate": _Language("filters", _weaviate, _weaviate_every, _weaviate_some),
    "redis": _Language("filter", _redis, _redis_every, _redis_some),
}
