"""Conditions on a document's metadata, with one meaning in every source.

- A field that is absent, or None, satisfies no `Eq`, `In` or `Range`; `Not` is true exactly where
  its inner filter is false, so `Not(Eq("year", 2020))` keeps documents without a year.
- Numbers compare by value (`1 == 1.0`, NumPy's too), booleans only with booleans, strings only with
  strings.
- Times compare by the moment: a date is its first moment, a time without a zone is in UTC, and a
  text in ISO 8601, such as `2026-11-29` or `2026-11-29T12:00:00Z`, is a time beside a datetime.
- A list in the metadata satisfies `Eq` and `In` when one of its elements does, and never a `Range`.

Filters that keep the same documents by these rules are equal: `Eq("a", 1)` equals `Eq("a", 1.0)`,
but not `Eq("a", True)`. A source that cannot honour a filter exactly raises `FilterNotSupported`;
no source ignores a filter. Filters are nested at most 100 levels deep; `And` and `Or` take any
number of filters side by side.
"""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from runoff._util.arguments import check_list
from runoff._util.nesting import DEEPEST_FILTER, is_deeper
from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["And", "Eq", "Filter", "In", "Not", "Or", "Range", "Scalar"]

Scalar: TypeAlias = "str | int | float | bool | date"
"""A value that a filter compares; a datetime is a date."""

_Bound: TypeAlias = "float | date | str"
_Meaning: TypeAlias = "tuple[bool, Scalar]"

# `isinstance` is called for every document; creating a union each time would double its cost
_SCALARS = (str, int, float)
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}(?!\d)").match
_SEVERAL = (list, tuple, set, frozenset)


def _check_field(name: object) -> None:
    if not isinstance(name, str) or not name:
        raise InvalidArgument("field", name, "must be the non-empty name of a metadata field")


def _plain(value: object) -> object:
    """Return Python's own number or time for one of NumPy's."""
    if isinstance(value, np.datetime64):
        return value.astype("datetime64[us]").item()  # nanoseconds would become a whole number
    return value.item() if isinstance(value, np.generic) else value


def _scalar(argument: str, value: object) -> Scalar:
    value = _plain(value)
    if not isinstance(value, (*_SCALARS, date)) or (
        isinstance(value, float) and not math.isfinite(value)
    ):
        remedy = "must be a string, a finite number, a boolean, a date or a datetime"
        raise InvalidArgument(argument, value, remedy)
    return value


def _meaning(value: object) -> _Meaning | None:
    """Return what a value is compared by, which distinguishes True from 1; None equals nothing."""
    kind = type(value)
    if kind is str or kind is int or kind is float:
        return False, value  # type: ignore[return-value]  # what `kind` is narrows nothing
    value = _plain(value)
    if isinstance(value, date):
        return False, _time(value)
    return (isinstance(value, bool), value) if isinstance(value, _SCALARS) else None


def _time(value: date) -> datetime:
    """Return a moment with a time zone: UTC if it has none; a date is its first moment."""
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return value.replace(tzinfo=UTC) if value.utcoffset() is None else value


def _read_time(text: str) -> datetime | None:
    """Return the moment that an ISO 8601 text names, such as `2026-11-29`, or None."""
    if not _ISO(text):
        return None
    try:
        return _time(datetime.fromisoformat(text))
    except ValueError:
        return None


class _Wanted:
    """The values that `Eq` and `In` keep; a time is recognised as a datetime and as ISO 8601 text.

    A datetime equals a text that names the same moment, and a text that names a moment equals that
    datetime; two texts are equal only letter by letter.
    """

    __slots__ = ("meanings", "texts", "times")

    def __init__(self, values: Iterable[Scalar] = ()) -> None:
        self.meanings = frozenset(map(_meaning, values))
        said = [one[1] for one in self.meanings if one is not None]
        self.times = frozenset(one for one in said if isinstance(one, datetime))
        read = [_read_time(one) for one in said if isinstance(one, str)]
        self.texts = frozenset(one for one in read if one is not None)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Wanted) and self.meanings == other.meanings

    def __hash__(self) -> int:
        return hash(self.meanings)

    def keeps(self, value: object) -> bool:
        """Whether a value is wanted."""
        meaning = _meaning(value)
        if meaning in self.meanings:
            return True
        if meaning is None or not (self.times or self.texts):
            return False
        said = meaning[1]
        if isinstance(said, datetime):
            return said in self.texts
        return isinstance(said, str) and bool(self.times) and _read_time(said) in self.times


def _read(self: Eq | In | Not, state: Sequence[Any]) -> None:
    """Read a pickle, check it and recompute what is compared: 0.1.0 stored that differently."""
    for one, value in zip(dataclasses.fields(self)[:2], state, strict=False):
        object.__setattr__(self, one.name, value)
    self.__post_init__()


@dataclass(frozen=True, slots=True)
class Eq:
    """The field equals a value.

    Raises:
        InvalidArgument: the field is not a name, or the value is not a string, a finite number, a
            boolean, a date or a datetime.
    """

    field: str
    value: Scalar = dataclasses.field(compare=False)
    _wanted: _Wanted = dataclasses.field(default=_Wanted(), init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the field and the value."""
        _check_field(self.field)
        object.__setattr__(self, "value", _scalar("value", self.value))
        object.__setattr__(self, "_wanted", _Wanted((self.value,)))

    __setstate__ = _read

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        """Whether a document with this metadata is kept."""
        value, keeps = metadata.get(self.field), self._wanted.keeps
        return any(map(keeps, value)) if isinstance(value, _SEVERAL) else keeps(value)


@dataclass(frozen=True, slots=True)
class In:
    """The field equals one of several values; with no values it keeps nothing.

    Raises:
        InvalidArgument: as for `Eq`, or `values` is a string.
    """

    field: str
    values: tuple[Scalar, ...] = dataclasses.field(compare=False)
    _wanted: _Wanted = dataclasses.field(default=_Wanted(), init=False, repr=False)

    if TYPE_CHECKING:  # any iterable becomes a tuple

        def __init__(self, field: str, values: Iterable[Scalar]) -> None: ...

    def __post_init__(self) -> None:
        """Check the field and every value, and keep them as a tuple."""
        _check_field(self.field)
        check_list("values", self.values, "values")
        values = tuple(_scalar("values", value) for value in self.values)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "_wanted", _Wanted(values))

    __setstate__ = _read

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        """Whether a document with this metadata is kept."""
        value, keeps = metadata.get(self.field), self._wanted.keeps
        return any(map(keeps, value)) if isinstance(value, _SEVERAL) else keeps(value)


@dataclass(frozen=True, slots=True)
class Range:
    """The field is a number, or a moment in time, within bounds; a bound left out is open.

    Bounds that are dates, datetimes or ISO 8601 texts such as `"2026-11-29"` become datetimes with
    a time zone, and keep documents whose field is any of these.

    Raises:
        InvalidArgument: no bound is given, both `gt` and `gte` or both `lt` and `lte` are, one is
            a number and the other a time, or a bound is neither a finite number nor a time.
    """

    field: str
    gt: _Bound | None = None
    gte: _Bound | None = None
    lt: _Bound | None = None
    lte: _Bound | None = None

    def __post_init__(self) -> None:
        """Check the field and the bounds."""
        _check_field(self.field)
        bounds = {"gt": self.gt, "gte": self.gte, "lt": self.lt, "lte": self.lte}
        given = {name: value for name, value in bounds.items() if value is not None}
        if not given or {"gt", "gte"} <= given.keys() or {"lt", "lte"} <= given.keys():
            raise InvalidArgument(
                "bounds",
                given,
                "needs a lower bound (gt or gte), an upper bound (lt or lte), or one of each",
            )
        made = {name: _bound(name, value) for name, value in given.items()}
        if len({isinstance(one, datetime) for one in made.values()}) > 1:
            raise InvalidArgument("bounds", given, "must both be numbers, or both be times")
        for name, bound in made.items():
            object.__setattr__(self, name, bound)

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        """Whether a document with this metadata is kept."""
        value: Any = _plain(metadata.get(self.field))
        low = self.gte if self.gt is None else self.gt
        if isinstance(self.lt if low is None else low, datetime) or isinstance(self.lte, datetime):
            value = _moment(value)
            if value is None:
                return False
        elif isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return (
            (self.gt is None or value > self.gt)
            and (self.gte is None or value >= self.gte)
            and (self.lt is None or value < self.lt)
            and (self.lte is None or value <= self.lte)
        )


def _moment(value: object) -> datetime | None:
    if isinstance(value, date):
        return _time(value)
    return _read_time(value) if isinstance(value, str) else None


def _bound(name: str, bound: object) -> float | datetime:
    value = _plain(bound)
    time = _moment(value)
    if time is not None:
        return time
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or (isinstance(value, float) and not math.isfinite(value))
    ):
        remedy = 'must be a finite number, a date, a datetime or an ISO text such as "2026-11-29"'
        raise InvalidArgument(name, value, remedy)
    return value


class _Combined:
    """What `And` and `Or` share: any number of filters, at least one."""

    __slots__ = ("filters",)
    filters: tuple[Filter, ...]
    _deepest = DEEPEST_FILTER - 1  # of what it contains

    def __init__(self, *filters: Filter) -> None:
        if not filters:
            raise InvalidArgument("filters", filters, "needs at least one filter")
        for one in filters:
            _check_filter(one, self._deepest)
        object.__setattr__(self, "filters", filters)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: make a new one")

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
        InvalidArgument: there is no inner filter, one is not a filter, or they are nested too
            deeply.
    """

    __slots__ = ()
    _deepest = DEEPEST_FILTER  # so that any filter can be joined to those of a query

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        """Whether a document with this metadata is kept."""
        return all(one.matches(metadata) for one in self.filters)


class Or(_Combined):
    """At least one inner filter keeps the document: `Or(Eq("a", 1), Eq("b", 2))`.

    Raises:
        InvalidArgument: as for `And`.
    """

    __slots__ = ()

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        """Whether a document with this metadata is kept."""
        return any(one.matches(metadata) for one in self.filters)


@dataclass(frozen=True, slots=True)
class Not:
    """The inner filter does not keep the document.

    Raises:
        InvalidArgument: the inner filter is not a filter, or is nested too deeply.
    """

    filter: Filter

    def __post_init__(self) -> None:
        """Check the inner filter."""
        _check_filter(self.filter, DEEPEST_FILTER - 1)

    __setstate__ = _read

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        """Whether a document with this metadata is kept."""
        return not self.filter.matches(metadata)


Filter: TypeAlias = Eq | In | Range | And | Or | Not
"""Any of the filters: what every `filters=` takes."""


def _check_filter(one: object, deepest: int) -> None:
    """Refuse anything but a filter, and one with too many levels.

    Raises:
        InvalidArgument: it is not a filter, or is nested too deeply.
    """
    if not isinstance(one, Filter):
        raise InvalidArgument("filter", one, "must be one of Eq, In, Range, And, Or and Not")
    if is_deeper(one, deepest, _inner):
        remedy = (
            f"filters are nested more than {DEEPEST_FILTER} levels deep: put them side by side, "
            "as in And(one, two, three)"
        )
        raise InvalidArgument("filter", one, remedy)


def _inner(one: Filter) -> Sequence[Filter]:
    if isinstance(one, Not):
        return (one.filter,)
    return one.filters if isinstance(one, And | Or) else ()
