"""Translates a filter to Qdrant's, which keeps exactly the documents that the filter keeps.

This relies on facts about qdrant-client 1.19 and 1.20 in local mode, which mirrors the server: a
match distinguishes integers, floats and booleans, so numbers are compared by a range of one value,
which booleans are not in (before 1.19 local mode took them for numbers); a condition on a list is
true if it is true of one element; `field[]` looks only into lists, which lets a `Range` skip them;
`must_not` keeps points without the field, and an empty `has_id` keeps no point. A range rounds to a
float: whole numbers from 2**53 on are matched as integers, and other numbers as large are refused.
"""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Any

from runoff.errors import FilterNotSupported
from runoff.filters import And, Eq, In, Not, Or, Range

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from runoff.filters import Filter, Scalar

__all__ = ["qdrant_filter"]

_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
_LARGEST_EXACT = 2**53


def qdrant_filter(wanted: Filter, *, under: str = "") -> dict[str, Any]:
    """Return a filter as what `qdrant_client.models.Filter.model_validate` takes.

    Args:
        wanted: the filter.
        under: the payload key that contains the metadata; empty if it is the payload itself.

    Raises:
        FilterNotSupported: a field's name contains a double quote, which Qdrant cannot express, a
            value is a date or a datetime, or a float or a bound is 2**53 or beyond.
    """
    if isinstance(wanted, Not):
        return {"must_not": [qdrant_filter(wanted.filter, under=under)]}
    if isinstance(wanted, And | Or):
        clause = "must" if isinstance(wanted, And) else "should"
        return {clause: [qdrant_filter(one, under=under) for one in wanted.filters]}
    if any(isinstance(one, date) for one in _values(wanted)):
        remedy = "Qdrant compares times by rules of its own: store and compare numbers or strings"
        raise FilterNotSupported("filters", wanted, remedy)
    if any(_is_rounded(one, wanted) for one in _values(wanted)):
        remedy = f"Qdrant compares numbers beyond {_LARGEST_EXACT} as floats, which rounds them"
        raise FilterNotSupported("filters", wanted, remedy)
    key = _key(wanted, under)
    if isinstance(wanted, Eq):
        return {"should": _one_of(key, [wanted.value])}
    if isinstance(wanted, In):
        return {"should": _one_of(key, wanted.values)} if wanted.values else _nothing()
    bounds = {"gt": wanted.gt, "gte": wanted.gte, "lt": wanted.lt, "lte": wanted.lte}
    within = {name: bound for name, bound in bounds.items() if bound is not None}
    return {
        "must": [{"key": key, "range": within}],
        "must_not": [{"key": f"{key}[]", "range": within}],
    }


def _values(one: Eq | In | Range) -> Sequence[object]:
    if isinstance(one, Range):
        return one.gt, one.gte, one.lt, one.lte
    return (one.value,) if isinstance(one, Eq) else one.values


def _is_rounded(value: object, one: Eq | In | Range) -> bool:
    matched = isinstance(value, int) and not isinstance(one, Range)
    return isinstance(value, int | float) and not matched and abs(value) >= _LARGEST_EXACT


def _key(one: Eq | In | Range, under: str) -> str:
    if '"' in one.field:
        raise FilterNotSupported(
            "filters", one, "Qdrant does not support double quotes in field names"
        )
    name = one.field if _PLAIN.fullmatch(one.field) else f'"{one.field}"'
    return f"{under}.{name}" if under else name


def _one_of(key: str, values: Iterable[Scalar]) -> list[dict[str, Any]]:
    words: list[str] = []
    conditions: list[dict[str, Any]] = []
    for value in values:
        if isinstance(value, str):
            words.append(value)
        elif isinstance(value, bool) or (isinstance(value, int) and abs(value) >= _LARGEST_EXACT):
            conditions.append({"key": key, "match": {"value": value}})
        else:
            conditions.append({"key": key, "range": {"gte": value, "lte": value}})
    if words:
        conditions.append({"key": key, "match": {"any": words}})
    return conditions


def _nothing() -> dict[str, Any]:
    return {"must": [{"has_id": []}]}
