"""Conditions on a document's metadata, with one meaning in every source.

- A field that is absent, or None, satisfies no `Eq`, `In` or `Range`; `Not` is true exactly where
  its inner filter is false, so `Not(Eq("year", 2020))` keeps documents without a year.
- Numbers compare by value (`1 == 1.0`, NumPy's too), booleans only with booleans, strings only with
  strings.
- A list in the metadata satisfies `Eq` and `In` when one of its elements does, and never a `Range`.

Filters that keep the same documents by these rules are equal: `Eq("a", 1)` equals `Eq("a", 1.0)`,
but not `Eq("a", True)`. A source that cannot honour a filter exactly raises `FilterNotSupported`;
no source ignores a filter.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["And", "Eq", "Filter", "In", "Not", "Or", "Range", "Scalar"]

Scalar: TypeAlias = "str | int | float | bool"
_Meaning: TypeAlias = "tuple[bool, Scalar]"

# `isinstance` is called for every document; creating a union each time would double its cost
_SCALARS = (str, int, float)
_SEVERAL = (list, tuple, set, frozenset)


def _check_field(name: object) -> None:
    if not isinstance(name, str) or not name:
        raise InvalidArgument("field", name, "must be the non-empty name of a metadata field")


def _plain(value: object) -> object:
    """Return Python's own number for one of NumPy's."""
    return value.item() if isinstance(value, np.generic) else value


def _scalar(argument: str, value: object) -> Scalar:
    value = _plain(value)
    if not isinstance(value, _SCALARS) or (isinstance(value, float) and not math.isfinite(value)):
        raise InvalidArgument(argument, value, "must be a string, a finite number or a boolean")
    return value


def _meaning(value: object) -> _Meaning | None:
    """Return what a value is compared by, which distinguishes True from 1; None equals nothing."""
    kind = type(value)
    if kind is str or kind is int or kind is float:
        return False, value  # type: ignore[return-value]  # what `kind` is narrows nothing
    value = _plain(value)
    return (isinstance(value, bool), value) if isinstance(value, _SCALARS) else None


@dataclass(frozen=True, slots=True)
class Eq:
    """The field equals a value.

    Raises:
        InvalidArgument: the field is not a name, or the value is not a string, a finite number or a
            boolean.
    """

    field: str
    value: Scalar
    _wanted: _Meaning | None = dataclasses.field(
        default=None, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        """Check the field and the value."""
        _check_field(self.field)
        object.__setattr__(self, "value", _scalar("value", self.value))
        object.__setattr__(self, "_wanted", _meaning(self.value))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Eq):
            return NotImplemented
        return (self.field, self._wanted) == (other.field, other._wanted)

    def __hash__(self) -> int:
        return hash((self.field, self._wanted))

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        """Whether a document with this metadata is kept."""
        value = metadata.get(self.field)
        if isinstance(value, _SEVERAL):
            return any(_meaning(one) == self._wanted for one in value)
        return _meaning(value) == self._wanted


@dataclass(frozen=True, slots=True)
class In:
    """The field equals one of several values; with no values it keeps nothing.

    Raises:
        InvalidArgument: as for `Eq`, or `values` is a string.
    """

    field: str
    values: tuple[Scalar, ...]
    _wanted: frozenset[_Meaning | None] = dataclasses.field(
        default=frozenset(), init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        """Check the field and every value, and keep them as a tuple."""
        _check_field(self.field)
        if isinstance(self.values, str | bytes) or not isinstance(self.values, Iterable):
            raise InvalidArgument("values", self.values, "must be a list of values")
        values = tuple(_scalar("values", value) for value in self.values)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "_wanted", frozenset(map(_meaning, values)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, In):
            return NotImplemented
        return (self.field, self._wanted) == (other.field, other._wanted)

    def __hash__(self) -> int:
        return hash((self.field, self._wanted))

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        """Whether a document with this metadata is kept."""
        value = metadata.get(self.field)
        if isinstance(value, _SEVERAL):
            return any(_meaning(one) in self._wanted for one in value)
        return _meaning(value) in self._wanted


@dataclass(frozen=True, slots=True)
class Range:
    """The field is a number within bounds; a bound left out is open.

    Raises:
        InvalidArgument: no bound is given, both `gt` and `gte` or both `lt` and `lte` are, or a
            bound is not a finite number.
    """

    field: str
    gt: float | None = None
    gte: float | None = None
    lt: float | None = None
    lte: float | None = None

    def __post_init__(self) -> None:
        """Check the field and the bounds."""
        _check_field(self.field)
        bounds = {"gt": self.gt, "gte": self.gte, "lt": self.lt, "lte": self.lte}
        given = {name: value for name, value in bounds.items() if value is not None}
        if not given or {"gt", "gte"} <= given.keys() or {"lt", "lte"} <= given.keys():
            raise InvalidArgument(
                "bounds", given, "give one of gt and gte, one of lt and lte, or one of each"
            )
        for name, bound in given.items():
            value = _plain(bound)
            if (
                isinstance(value, bool)
                or not isinstance(value, int | float)
                or (isinstance(value, float) and not math.isfinite(value))
            ):
                raise InvalidArgument(name, value, "must be a finite number")
            object.__setattr__(self, name, value)

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        """Whether a document with this metadata is kept."""
        value = _plain(metadata.get(self.field))
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return (
            (self.gt is None or value > self.gt)
            and (self.gte is None or value >= self.gte)
            and (self.lt is None or value < self.lt)
            and (self.lte is None or value <= self.lte)
        )


class _Combined:
    """What `And` and `Or` share: any number of filters, at least one."""

    __slots__ = ("filters",)
    filters: tuple[Filter, ...]

    def __init__(self, *filters: Filter) -> None:
        if not filters:
            raise InvalidArgument("filters", filters, "needs at least one filter")
        for one in filters:
            _check_filter(one)
        object.__setattr__(self, "filters", filters)

    def __setattr__(self, name: str, value: object) -> None:
        msg = f"{type(self).__name__} is immutable: make a new one"
        raise AttributeError(msg)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Combined) and (type(self), self.filters) == (
            type(other),
            other.filters,
        )

    def __hash__(self) -> int:
        return hash((type(self), self.filters))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.filters))})"

    def __reduce__(self) -> tuple[type[_Combined], tuple[Filter, ...]]:
        return type(self), self.filters


class And(_Combined):
    """Every inner filter keeps the document: `And(Eq("a", 1), Eq("b", 2))`.

    Raises:
        InvalidArgument: there is no inner filter, or one is not a filter.
    """

    __slots__ = ()

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        """Whether a document with this metadata is kept."""
        return all(one.matches(metadata) for one in self.filters)


class Or(_Combined):
    """At least one inner filter keeps the document: `Or(Eq("a", 1), Eq("b", 2))`.

    Raises:
        InvalidArgument: there is no inner filter, or one is not a filter.
    """

    __slots__ = ()

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        """Whether a document with this metadata is kept."""
        return any(one.matches(metadata) for one in self.filters)


@dataclass(frozen=True, slots=True)
class Not:
    """The inner filter does not keep the document.

    Raises:
        InvalidArgument: the inner filter is not a filter.
    """

    filter: Filter

    def __post_init__(self) -> None:
        """Check the inner filter."""
        _check_filter(self.filter)

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        """Whether a document with this metadata is kept."""
        return not self.filter.matches(metadata)


Filter: TypeAlias = "Eq | In | Range | And | Or | Not"


def _check_filter(one: object) -> None:
    """Refuse anything but a filter.

    Raises:
        InvalidArgument: it is not a filter.
    """
    if not isinstance(one, Eq | In | Range | And | Or | Not):
        raise InvalidArgument("filter", one, "must be one of Eq, In, Range, And, Or and Not")
