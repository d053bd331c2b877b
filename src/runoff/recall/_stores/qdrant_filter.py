"""Translates a filter to Qdrant's, which keeps every document that the filter keeps.

This relies on facts about qdrant-client 1.19 and 1.20 in local mode, and about the server's engine
(qdrant-edge 0.6 to 0.9): a match distinguishes integers, floats and booleans, so numbers are
compared by a range of one value, which booleans are not in (before 1.19 local mode took them for
numbers); a condition on a list is true if it is true of one element; `field[]` looks only into
lists, which lets a `Range` skip them, but reads every payload unless it has an index of its own;
`must_not` keeps points without the field. A range rounds to a float: whole numbers from 2**53 on
are matched as integers, and floats and bounds as large keep everything, as times and names with a
double quote do, which Qdrant cannot express.

A range asks the field's index if that has numbers, which may lack some: see `qdrant_indexes`. An
index of integers cuts fractional bounds to whole ones in older servers (qdrant-edge before 0.7).
"""

from __future__ import annotations

import math
import re
import sys
from datetime import date
from typing import TYPE_CHECKING, Any

from runoff.filters import Range
from runoff.recall._stores.clauses import LARGEST_EXACT, bounds_of, clause_of, values_of
from runoff.recall._stores.qdrant_indexes import Indexes, has_number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from runoff.filters import Filter, Scalar
    from runoff.recall._stores.clauses import Leaf

_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
_LARGEST_INTEGER = 2**63
_BOUNDS = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}
_Form = dict[str, Any]


def qdrant_filter(
    wanted: Filter,
    *,
    under: str = "",
    hidden: Callable[[str], bool] = lambda _name: False,
    checked: bool = False,
    indexes: Indexes | None = None,
) -> _Form | bool:
    """Return a filter as what `qdrant_client.models.Filter.model_validate` takes.

    Args:
        wanted: the filter.
        under: the payload key that contains the metadata; empty if it is the payload itself.
        hidden: whether documents may lack a field that their payload has.
        checked: whether a `Range` keeps lists too, which spares reading payloads; what comes back
            is checked.
        indexes: the collection's payload indexes; None for none.

    Returns:
        The filter, which keeps at least what `wanted` keeps; True if Qdrant cannot express any of
        it; False if it keeps nothing.

    Raises:
        FilterNotSupported: the collection's strict mode refuses a condition that is needed.
    """
    indexes = indexes or Indexes()

    def leaf(one: Leaf, positive: bool) -> _Form | bool:  # noqa: FBT001 - as `clause_of` calls it
        if '"' in one.field or hidden(one.field):
            return True
        name = one.field if _PLAIN.fullmatch(one.field) else f'"{one.field}"'
        key = f"{under}.{name}" if under else name
        index = indexes.of(key) if has_number(one) else None
        if index in {"datetime", "unknown"}:
            return True
        integers = index in {"integer", "whole"}
        if isinstance(one, Range):
            lists = checked and positive
            if not positive and indexes.of(f"{key}[]") in {"integer", "whole", "datetime"}:
                return True  # it may lack the elements by which lists are skipped
            made = _range(key, one, lists=lists, integers=integers, positive=positive)
        else:
            values = values_of(one)
            if positive and integers:
                sought = [value for value in values if _may_lack(value, indexes)]
                if sought and not indexes.finds_in_lists(key, one):
                    return True
            else:
                sought = []
            made = _one_of(key, values, sought, integers=integers, positive=positive)
        if isinstance(made, bool):
            return made or not positive
        if not positive:
            return {"must_not": [made]}
        return {"should": [made, _without_number(key)]} if index == "integer" else made

    return clause_of(
        wanted, leaf, lambda word, parts: {"must" if word == "AND" else "should": list(parts)}
    )


def _may_lack(value: Scalar, indexes: Indexes) -> bool:
    """Whether an index of integers may lack a value of a list while having others of that list."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return value != int(value) or not indexes.has_whole_floats


def _range(key: str, one: Range, *, lists: bool, integers: bool, positive: bool) -> _Form | bool:
    bounds = {_BOUNDS[sign]: bound for sign, bound in bounds_of(one).items()}
    if any(isinstance(one, date) or abs(one) >= LARGEST_EXACT for one in bounds.values()):
        return True
    found: _Form = {"key": key, "range": bounds}
    if integers and any(bound != int(bound) for bound in bounds.values()):
        # a negation must not leave out more, and the filter itself no less
        both = [found, {"key": key, "range": _within(bounds)}]
        found = {"should" if positive else "must": both}
    if lists:
        return {"must": [found]}
    return {"must": [found], "must_not": [{"key": f"{key}[]", "range": bounds}]}


def _within(bounds: Mapping[str, float]) -> dict[str, int]:
    """Return bounds that keep the same whole numbers, and are whole."""
    low, high = bounds.get("gt", bounds.get("gte")), bounds.get("lt", bounds.get("lte"))
    made = {}
    if low is not None:
        made["gte"] = math.floor(low) + 1 if "gt" in bounds else math.ceil(low)
    if high is not None:
        made["lte"] = math.ceil(high) - 1 if "lt" in bounds else math.floor(high)
    return made


def _without_number(key: str) -> _Form:
    """Return a filter that keeps values which the index of a key's numbers lacks."""
    every = {"gte": -sys.float_info.max, "lte": sys.float_info.max}
    return {"must_not": [{"key": key, "range": every}, {"is_empty": {"key": key}}]}


def _one_of(
    key: str, values: Sequence[Scalar], sought: Sequence[Scalar], *, integers: bool, positive: bool
) -> _Form | bool:
    """Return what keeps values; those that are sought are looked for in lists too."""
    words = [value for value in values if isinstance(value, str)]
    conditions: list[_Form] = []
    for value in values:
        if isinstance(value, str):
            continue
        made = _equals(key, value, integers=integers, positive=positive)
        if made is None:
            return True
        conditions += made
    if sought:
        conditions.append(_in_lists(key, sought))
    if words:
        conditions.append({"key": key, "match": {"any": words}})
    return {"should": conditions} if conditions else False


def _equals(key: str, value: Scalar, *, integers: bool, positive: bool) -> Sequence[_Form] | None:
    """Return the conditions of which one must hold; None if Qdrant cannot express it."""
    if isinstance(value, str | date) or abs(value) >= _LARGEST_INTEGER:
        return None
    if isinstance(value, bool):
        return [{"key": key, "match": {"value": value}}]
    if abs(value) < LARGEST_EXACT:
        cut = integers and value != int(value)  # 0.5 may be cut to 0, which a negation would drop
        return [] if cut and not positive else [_equal(key, value)]
    if isinstance(value, float):
        return None
    match = {"key": key, "match": {"value": value}}
    return [match, _equal(key, value)] if positive else [match]  # it may be a float there


def _equal(key: str, value: float) -> _Form:
    value = float(value) if abs(value) >= LARGEST_EXACT else value
    return {"key": key, "range": {"gte": value, "lte": value}}


def _in_lists(key: str, values: Sequence[Any]) -> _Form:
    """Return what finds numbers in lists; most payloads are read once for all of them."""
    each = [_equal(f"{key}[]", value) for value in values]
    if len(each) == 1:
        return each[0]
    span = {"gte": float(min(values)), "lte": float(max(values))}
    return {"must": [{"key": f"{key}[]", "range": span}, {"should": each}]}
