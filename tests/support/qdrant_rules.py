"""What a filter in Qdrant's words keeps, by the rules of its server, older ones among them.

A stand-in: whether an index of integers has whole floats, and cuts fractional bounds, depends on
the server that built it, and no package brings one of before February 2026.
"""

import math

__all__ = ["keeps"]

_SIGNS = {"gt": float.__gt__, "gte": float.__ge__, "lt": float.__lt__, "lte": float.__le__}


def keeps(clause, payload, types, *, older=False):
    """Whether a filter keeps a payload, given the types of the indexes by key."""
    if clause is True or clause is False:
        return clause

    def holds(one):
        if "is_empty" in one:
            return not [
                value for value in _values(payload, one["is_empty"]["key"]) if value is not None
            ]
        if "key" not in one:
            return keeps(one, payload, types, older=older)
        found = _values(payload, one["key"])
        if "range" in one:
            bounds = one["range"]
            if types.get(one["key"]) == "integer":
                found = [value for value in found if _has(value, older=older)]
                bounds = (
                    {name: math.trunc(bound) for name, bound in bounds.items()} if older else bounds
                )
            return any(_within(value, bounds) for value in found if _is_number(value))
        match = one["match"]
        wanted = match["any"] if "any" in match else [match["value"]]
        return any(
            type(value) is type(other) and value == other for value in found for other in wanted
        )

    return (
        all(map(holds, clause.get("must", ())))
        and (not clause.get("should") or any(map(holds, clause["should"])))
        and not any(map(holds, clause.get("must_not", ())))
    )


def _values(payload, key):
    name = key.removeprefix("metadata.").removesuffix("[]").strip('"')
    value = payload.get(name)
    if isinstance(value, list):
        return value
    return [] if key.endswith("[]") else [value]


def _is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)


def _has(value, *, older):
    """Whether an index of integers has a value."""
    if not _is_number(value) or isinstance(value, int):
        return _is_number(value)
    return not older and value.is_integer() and abs(value) < 2**63


def _within(value, bounds):
    return all(_SIGNS[name](float(value), float(bound)) for name, bound in bounds.items())
