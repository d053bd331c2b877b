"""Translates conditions to clauses of Elasticsearch's and OpenSearch's query language.

With the mapping that both make of new fields, words are in `field.keyword`, numbers and booleans in
`field`; with a mapping of the user's own, words may be in `field` itself. A clause matches a list
if one of its values matches. Longer words than 256 characters are not indexed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runoff.filters import Eq, In, Range
from runoff.recall._stores.fold import one_by_one

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["all_of", "any_of", "clause"]

_LONGEST = 256


def all_of(clauses: Sequence[Any]) -> dict[str, Any]:
    """Return a clause for several that must all match."""
    return {"bool": {"filter": list(clauses)}}


def any_of(clauses: Sequence[Any]) -> dict[str, Any]:
    """Return a clause for several of which one must match."""
    return {"bool": {"should": list(clauses), "minimum_should_match": 1}}


def clause(one: Eq | In | Range, *, under: str = "metadata") -> dict[str, Any] | None:
    """Return the clause for a condition; None if it cannot be said, as with times.

    Args:
        one: the condition.
        under: the object that holds the metadata.
    """
    name = f"{under}.{one.field}"
    if isinstance(one, Range):
        bounds = {"gt": one.gt, "gte": one.gte, "lt": one.lt, "lte": one.lte}
        given = {sign: bound for sign, bound in bounds.items() if bound is not None}
        numbers = all(isinstance(bound, int | float) for bound in given.values())
        return {"range": {name: given}} if numbers else None
    made: list[Any] = []
    for value in (each.value for each in one_by_one(one)):
        if isinstance(value, str) and len(value) <= _LONGEST:
            made += [{"term": {f"{name}.keyword": value}}, {"term": {name: value}}]
        elif isinstance(value, int | float):
            made.append({"term": {name: value}})
        else:
            return None
    return made[0] if len(made) == 1 else any_of(made)
