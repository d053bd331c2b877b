"""Translates a filter to Qdrant's, which keeps every document that the filter keeps.

This relies on facts about qdrant-client 1.19 and 1.20 in local mode, which mirrors the server: a
match distinguishes integers, floats and booleans, so numbers are compared by a range of one value,
which booleans are not in (before 1.19 local mode took them for numbers); a condition on a list is
true if it is true of one element; `field[]` looks only into lists, which lets a `Range` skip them;
`must_not` keeps points without the field. A range rounds to a float: whole numbers from 2**53 on
are matched as integers, and floats and bounds as large keep everything, as times and names with a
double quote do, which Qdrant cannot express.
"""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Any

from runoff.filters import Range
from runoff.recall._stores.clauses import LARGEST_EXACT, bounds_of, clause_of, values_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from runoff.filters import Filter, Scalar
    from runoff.recall._stores.clauses import Leaf

_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
_BOUNDS = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}


def qdrant_filter(
    wanted: Filter,
    *,
    under: str = "",
    hidden: Callable[[str], bool] = lambda _name: False,
) -> dict[str, Any] | bool:
    """Return a filter as what `qdrant_client.models.Filter.model_validate` takes.

    Args:
        wanted: the filter.
        under: the payload key that contains the metadata; empty if it is the payload itself.
        hidden: whether documents may lack a field that their payload has.

    Returns:
        The filter; True if Qdrant cannot express any of it; False if it keeps nothing.
    """

    def leaf(one: Leaf, positive: bool) -> dict[str, Any] | bool:  # noqa: FBT001 - as `clause_of` calls it
        if '"' in one.field or hidden(one.field):
            return True
        name = one.field if _PLAIN.fullmatch(one.field) else f'"{one.field}"'
        key = f"{under}.{name}" if under else name
        made = _range(key, one) if isinstance(one, Range) else _one_of(key, values_of(one))
        if isinstance(made, bool):
            return made or not positive
        return made if positive else {"must_not": [made]}

    return clause_of(
        wanted, leaf, lambda word, parts: {"must" if word == "AND" else "should": list(parts)}
    )


def _range(key: str, one: Range) -> dict[str, Any] | bool:
    bounds = {_BOUNDS[sign]: bound for sign, bound in bounds_of(one).items()}
    if any(isinstance(one, date) or abs(one) >= LARGEST_EXACT for one in bounds.values()):
        return True
    return {
        "must": [{"key": key, "range": bounds}],
        "must_not": [{"key": f"{key}[]", "range": bounds}],
    }


def _one_of(key: str, values: Iterable[Scalar]) -> dict[str, Any] | bool:
    words: list[str] = []
    conditions: list[dict[str, Any]] = []
    for value in values:
        if isinstance(value, str):
            words.append(value)
        elif isinstance(value, date):
            return True
        elif isinstance(value, bool) or (isinstance(value, int) and abs(value) >= LARGEST_EXACT):
            conditions.append({"key": key, "match": {"value": value}})
        elif abs(value) >= LARGEST_EXACT:
            return True
        else:
            conditions.append({"key": key, "range": {"gte": value, "lte": value}})
    if words:
        conditions.append({"key": key, "match": {"any": words}})
    return {"should": conditions} if conditions else False
