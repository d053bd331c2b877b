"""Checks of arguments that many parts take."""

from __future__ import annotations

import operator

from runoff.errors import InvalidArgument

__all__ = ["count"]


def count(argument: str, value: object) -> int:
    """Return a whole number of 1 or more, or say which argument is not one."""
    remedy = "must be a whole number, 1 or more"
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise InvalidArgument(argument, value, remedy) from None
    if isinstance(value, bool) or number < 1:
        raise InvalidArgument(argument, value, remedy)
    return number
