"""From a filter to Qdrant's, which keeps every document that the filter keeps.

It may keep more, since the caller checks each: what Qdrant cannot say exactly stands aside as
"everything". Negations are pushed down to the leaves first. Facts it rests on, of Qdrant 1.9 to
1.20 and the local mode of its client: a condition on a list holds when it does for one element;
strings and booleans match exactly; numbers compare by value in a range, where the local mode takes
a boolean for a number; a key with dots or brackets is a path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from runoff.filters import And, Eq, Not, Or, Range

if TYPE_CHECKING:
    from runoff.filters import Filter, In

__all__ = ["Condition", "condition_of"]

Condition: TypeAlias = "Any"
"""A `Filter` or `FieldCondition` of qdrant-client; True keeps everything, False nothing."""

_PATHS = set('.[]"')


def condition_of(wanted: Filter, prefix: str) -> Condition:
    """Return the condition for a filter on metadata that is kept below a payload key."""
    return _of(wanted, prefix, positive=True)


def _of(one: Filter, prefix: str, *, positive: bool) -> Condition:
    if isinstance(one, Not):
        return _of(one.filter, prefix, positive=not positive)
    if isinstance(one, And | Or):
        parts = [_of(inner, prefix, positive=positive) for inner in one.filters]
        return _all(parts) if isinstance(one, And) == positive else _any(parts)
    if not _PATHS.isdisjoint(one.field):
        return True
    key = f"{prefix}.{one.field}"
    if isinstance(one, Range):
        return _range(key, one) if positive else True
    return _one_of(key, one, positive=positive)


def _range(key: str, one: Range) -> Condition:
    from qdrant_client import models  # noqa: PLC0415 - here where a store of it is

    return models.FieldCondition(
        key=key, range=models.Range(gt=one.gt, gte=one.gte, lt=one.lt, lte=one.lte)
    )


def _one_of(key: str, one: Eq | In, *, positive: bool) -> Condition:
    from qdrant_client import models  # noqa: PLC0415 - as above

    values = (one.value,) if isinstance(one, Eq) else one.values
    words = [value for value in values if isinstance(value, str)]
    truths = [value for value in values if isinstance(value, bool)]
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    parts: list[Condition] = []
    if words:
        parts.append(models.FieldCondition(key=key, match=models.MatchAny(any=words)))
    parts += [
        models.FieldCondition(key=key, match=models.MatchValue(value=truth)) for truth in truths
    ]
    if positive:
        parts += [
            models.FieldCondition(key=key, range=models.Range(gte=number, lte=number))
            for number in numbers
        ]
        return _any(parts)
    return models.Filter(must_not=parts) if parts else True


def _all(parts: list[Condition]) -> Condition:
    from qdrant_client import models  # noqa: PLC0415 - as above

    if any(part is False for part in parts):
        return False
    told = [part for part in parts if part is not True]
    return models.Filter(must=told) if told else True


def _any(parts: list[Condition]) -> Condition:
    from qdrant_client import models  # noqa: PLC0415 - as above

    if any(part is True for part in parts):
        return True
    told = [part for part in parts if part is not False]
    return models.Filter(should=told) if told else False
