"""Checks of arguments that many parts take."""

from __future__ import annotations

import inspect
import math
import operator
import sys
from collections.abc import Collection, Iterable, Mapping
from numbers import Integral, Real

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


def is_one_of(value: object, names: Collection[str]) -> bool:
    """Return whether a value is one of these names; a list, or an array, is not."""
    return isinstance(value, str) and value in names


def is_whole(value: object, least: int = 1) -> bool:
    """Return whether a value is a whole number, NumPy's too, of at least `least`, and no bool."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def plain_numbers(config: object, *names: str) -> None:
    """Put Python's whole numbers in the place of NumPy's, which JSON, SQLite and keys do not take.

    Args:
        config: a frozen dataclass whose values were checked.
        names: its fields.
    """
    for name in names:
        value = getattr(config, name)
        if isinstance(value, Integral) and not isinstance(value, int):
            object.__setattr__(config, name, int(value))


def is_real(value: object) -> bool:
    """Return whether a value is a finite number that a float can hold, NumPy's too, but no bool."""
    number = isinstance(value, Real) and not isinstance(value, bool)
    return number and abs(value) <= sys.float_info.max  # type: ignore[arg-type] # real


def between(argument: str, value: object, most: float = math.inf) -> None:
    """Refuse anything but a number above 0 and below `most`.

    Raises:
        InvalidArgument: names the argument.
    """
    if is_real(value) and 0 < value < most:  # type: ignore[operator] # as checked
        return
    limit = "and finite" if math.isinf(most) else f"and below {most:g}"
    raise InvalidArgument(argument, value, f"must be a number above 0 {limit}")


def check_seed(value: object) -> None:
    """Refuse anything but a seed: a whole number, 0 or more.

    Raises:
        InvalidArgument: names the argument.
    """
    try:
        fits = not isinstance(value, bool) and operator.index(value) >= 0  # type: ignore[arg-type]
    except TypeError:
        fits = False
    if not fits:
        raise InvalidArgument("seed", value, "must be a whole number, 0 or more")


def check_mapping(argument: str, value: object, what: str) -> None:
    """Refuse anything but a mapping.

    Raises:
        InvalidArgument: names the argument and what it maps.
    """
    if not isinstance(value, Mapping):
        raise InvalidArgument(argument, value, f"must map {what}")


def check_list(argument: str, value: object, what: str) -> None:
    """Refuse anything that is no iterable, or is a string.

    Raises:
        InvalidArgument: names the argument and what it lists.
    """
    if not is_listed(value):
        raise InvalidArgument(argument, value, f"must be a list of {what}")


def is_listed(value: object) -> bool:
    """Return whether a value can be iterated over; a string, or an array of one number, is not."""
    one = isinstance(value, str | bytes) or getattr(value, "ndim", 1) == 0
    return isinstance(value, Iterable) and not one


def is_share(value: object) -> bool:
    """Return whether a value is a number from 0 to 1."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def is_blend(value: object) -> bool:
    """Return whether a value is a weight of the rerank score, `"auto"` or None."""
    return value is None or is_share(value) or is_one_of(value, ("auto",))


def seconds(argument: str, value: object, *, zero: bool = False) -> None:
    """Refuse anything but a finite number of seconds above 0, or 0 if `zero` is set.

    Raises:
        InvalidArgument: names the argument.
    """
    if is_real(value) and (value > 0 or (zero and value == 0)):  # type: ignore[operator] # as checked
        return
    remedy = "must be seconds, 0 or more" if zero else "must be seconds, above 0"
    raise InvalidArgument(argument, value, remedy)


class SignatureOfInit:
    """The `__signature__` of a class whose `__new__` takes anything and only chooses a class."""

    def __get__(self, instance: object, owner: type) -> inspect.Signature:
        """Return the signature of the class's `__init__`, without `self`."""
        whole = inspect.signature(owner.__init__)  # type: ignore[misc] # each class's own
        return whole.replace(parameters=list(whole.parameters.values())[1:])
