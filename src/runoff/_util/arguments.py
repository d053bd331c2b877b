"""Checks of arguments that many parts take."""

from __future__ import annotations

import inspect
import math
import operator

from runoff.errors import InvalidArgument


def count(argument: str, value: object) -> int:
    """Return a whole number of 1 or more.

    Raises:
        InvalidArgument: names the argument.
    """
    remedy = "must be a whole number, 1 or more"
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise InvalidArgument(argument, value, remedy) from None
    if isinstance(value, bool) or number < 1:
        raise InvalidArgument(argument, value, remedy)
    return number


def is_share(value: object) -> bool:
    """Return whether a value is a number from 0 to 1."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def seconds(argument: str, value: object, *, zero: bool = False) -> None:
    """Refuse anything but a finite number of seconds above 0, or 0 if `zero` is set.

    Raises:
        InvalidArgument: names the argument.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and (0 < value < math.inf or (zero and value == 0)):  # type: ignore[operator] # as checked
        return
    remedy = "must be seconds, 0 or more" if zero else "must be seconds, above 0"
    raise InvalidArgument(argument, value, remedy)


class SignatureOfInit:
    """Is `__signature__` of a class whose `__new__` takes anything, as it only chooses a class."""

    def __get__(self, instance: object, owner: type) -> inspect.Signature:
        """Return the signature of the class's `__init__`, without `self`."""
        whole = inspect.signature(owner.__init__)  # type: ignore[misc] # each class's own
        return whole.replace(parameters=list(whole.parameters.values())[1:])
