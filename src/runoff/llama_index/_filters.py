"""Conversion between LlamaIndex's metadata filters and runoff's: both keep the same nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)

from runoff._util.nesting import DEEPEST_FILTER, is_deeper
from runoff.errors import FilterNotSupported, InvalidArgument
from runoff.filters import And, Eq, Filter, In, Not, Or, Range

if TYPE_CHECKING:
    from collections.abc import Sequence

Filters: TypeAlias = "MetadataFilters | MetadataFilter | Filter"

_BOUNDS = {
    FilterOperator.GT: "gt",
    FilterOperator.GTE: "gte",
    FilterOperator.LT: "lt",
    FilterOperator.LTE: "lte",
}
_OPERATORS = {bound: operator for operator, bound in _BOUNDS.items()}


def as_filter(filters: Filters | None) -> Filter | None:
    """Return the runoff filter that keeps the same nodes in every source.

    Raises:
        FilterNotSupported: it has a text search or `is_empty`, which differ from store to store.
        InvalidArgument: it is not a filter, or is nested too deeply.
    """
    if filters is None or isinstance(filters, Filter):
        return filters
    if isinstance(filters, MetadataFilter):
        return _leaf(filters)
    if not isinstance(filters, MetadataFilters):
        remedy = "must be MetadataFilters or one of runoff.filters"
        raise InvalidArgument("filters", filters, remedy)
    if is_deeper(filters, DEEPEST_FILTER, lambda one: getattr(one, "filters", ())):
        remedy = f"MetadataFilters are nested more than {DEEPEST_FILTER} levels deep"
        raise InvalidArgument("filters", type(filters).__name__, remedy)
    inner = [one for one in map(as_filter, filters.filters) if one is not None]
    if not inner:
        return None
    if filters.condition is FilterCondition.NOT:
        return Not(Or(*inner))
    if len(inner) == 1:
        return inner[0]
    return Or(*inner) if filters.condition is FilterCondition.OR else And(*inner)


def _leaf(leaf: MetadataFilter) -> Filter:
    key, value, operator = leaf.key, leaf.value, FilterOperator(leaf.operator)
    if operator in _BOUNDS:
        if isinstance(value, str | list) or value is None:
            raise FilterNotSupported("filters", leaf, f"{operator.value} compares numbers only")
        return Range(key, **{_BOUNDS[operator]: value})
    if isinstance(value, list):
        if operator in {FilterOperator.IN, FilterOperator.ANY}:
            return In(key, tuple(value))
        if operator is FilterOperator.NIN:
            return Not(In(key, tuple(value)))
        if operator is FilterOperator.ALL and value:
            return And(*(Eq(key, one) for one in value))
    elif value is not None:
        if operator in {FilterOperator.EQ, FilterOperator.CONTAINS}:
            return Eq(key, value)
        if operator is FilterOperator.NE:
            return Not(Eq(key, value))
    remedy = f"{operator.value} with this value does not mean the same in every source"
    raise FilterNotSupported("filters", leaf, remedy)


def to_metadata_filters(one: Filter) -> MetadataFilters:
    """Return LlamaIndex's filters that keep the same nodes, with as little nesting as possible.

    Raises:
        FilterNotSupported: LlamaIndex cannot express it, such as a condition on a boolean.
    """
    if isinstance(one, And | Or):
        condition = FilterCondition.OR if isinstance(one, Or) else FilterCondition.AND
        parts: list[MetadataFilter | MetadataFilters] = []
        for inner in one.filters:
            part = to_metadata_filters(inner)
            if part.condition is condition or len(part.filters) == 1:
                parts += _unnegated(part)
            else:
                parts.append(part)
        return MetadataFilters(filters=parts, condition=condition)
    if isinstance(one, Not):
        return _negated(one.filter)
    return MetadataFilters(filters=_leaves(one), condition=FilterCondition.AND)


def _unnegated(part: MetadataFilters) -> Sequence[MetadataFilter | MetadataFilters]:
    return [part] if part.condition is FilterCondition.NOT else part.filters


def _negated(inner: Filter) -> MetadataFilters:
    if isinstance(inner, Eq):
        return MetadataFilters(filters=[_made(inner, FilterOperator.NE, inner.value)])
    if isinstance(inner, In) and inner.values:
        return MetadataFilters(filters=[_made(inner, FilterOperator.NIN, list(inner.values))])
    if isinstance(inner, Not):
        return to_metadata_filters(inner.filter)
    part = to_metadata_filters(inner)
    # NOT excludes what any of its filters keeps, so filters that must all hold stay together
    filters: list[MetadataFilter | MetadataFilters] = list(part.filters)
    if part.condition is FilterCondition.AND and len(filters) > 1:
        filters = [part]
    return MetadataFilters(filters=filters, condition=FilterCondition.NOT)


def _leaves(one: Eq | In | Range) -> list[MetadataFilter | MetadataFilters]:
    if isinstance(one, Eq):
        return [_made(one, FilterOperator.EQ, one.value)]
    if isinstance(one, In):
        return [_made(one, FilterOperator.IN, list(one.values))]
    bounds = {"gt": one.gt, "gte": one.gte, "lt": one.lt, "lte": one.lte}
    return [
        _made(one, _OPERATORS[name], value) for name, value in bounds.items() if value is not None
    ]


def _made(one: Eq | In | Range, operator: FilterOperator, value: Any) -> MetadataFilter:  # noqa: ANN401
    try:
        return MetadataFilter(key=one.field, value=value, operator=operator)
    except ValueError:
        remedy = "LlamaIndex's filters take strings, numbers and lists of one of these"
        raise FilterNotSupported("filters", one, remedy) from None
