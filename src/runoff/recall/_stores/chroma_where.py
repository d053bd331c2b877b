"""Translates a filter to Chroma's `where`, which keeps every document that the filter keeps.

The clause may keep more than the filter: Chroma cannot express `Not(Range(...))` for documents
without the field, nor some values. `Chroma` checks every hit with `Filter.matches`, so a clause
that keeps too much costs time, while one that keeps too little would lose documents. Negations are
first pushed down to the leaves; after that, every clause that Chroma cannot express exactly is
replaced by "everything".

This relies on facts about chromadb 1.0 to 1.5: `$ne` and `$nin` keep records without the field;
numbers compare by value, int or float, but not near 2**53 and beyond; booleans and numbers never
compare; operators other than `$contains` and `$not_contains` ignore lists, and those two look only
into lists and distinguish int from float; fields starting with `#`, `$` or `chroma:` are reserved.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, TypeAlias

from runoff.filters import And, Eq, Not, Or, Range

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from runoff.filters import Filter, Scalar

__all__ = ["Where", "where_of"]

Where: TypeAlias = "dict[str, Any] | bool"
"""A clause; True keeps everything, False nothing."""

_LARGEST_EXACT = 2**51
_OWN_FIELDS = ("#", "$", "chroma:")
# SQLite, below Chroma, refuses 32,767 values and expressions 1,000 deep; nested clauses add more
# than one level each, and far beyond the limit the process crashes
_MOST_CLAUSES = 200
_MOST_VALUES = 8192
_DEEPEST = 16


def where_of(wanted: Filter, *, lists: bool) -> Where:
    """Return the clause for a filter.

    Args:
        wanted: the filter.
        lists: whether this Chroma supports lists in metadata, and so `$contains`.
    """
    return _Translation(lists=lists).of(wanted, positive=True, depth=0)


class _Translation:
    """The translation of one filter, which counts what it uses of Chroma's limits."""

    def __init__(self, *, lists: bool) -> None:
        self._lists = lists
        self._clauses = 0
        self._values = 0

    def of(self, one: Filter, *, positive: bool, depth: int) -> Where:
        if isinstance(one, Not):
            return self.of(one.filter, positive=not positive, depth=depth)
        if isinstance(one, And | Or):
            if depth >= _DEEPEST:
                return True
            parts = [self.of(inner, positive=positive, depth=depth + 1) for inner in one.filters]
            return _all(parts) if isinstance(one, And) == positive else _any(parts)
        if one.field.startswith(_OWN_FIELDS) or not _is_exact(one.field):
            return True
        if isinstance(one, Range):
            return self._range(one) if positive else True
        values = (one.value,) if isinstance(one, Eq) else one.values
        return self._one_of(one.field, values, positive=positive)

    def _one_of(self, name: str, values: Sequence[Scalar], *, positive: bool) -> Where:
        if not values:
            return not positive
        if len(values) > _MOST_VALUES or not all(map(_is_exact, values)):
            return True
        clauses: list[Where] = []
        for group in _by_type(values):
            operator = "$in" if positive else "$nin"
            clauses.append({name: {operator: group}})
        if self._lists:
            operator = "$contains" if positive else "$not_contains"
            clauses += [{name: {operator: value}} for value in _forms(values)]
        if not self._affordable(len(clauses), len(values)):
            return True
        return _any(clauses) if positive else _all(clauses)

    def _range(self, one: Range) -> Where:
        bounds = {"$gt": one.gt, "$gte": one.gte, "$lt": one.lt, "$lte": one.lte}
        clauses: list[Where] = [
            {one.field: {operator: bound}}
            for operator, bound in bounds.items()
            if bound is not None and _is_exact(bound)
        ]
        return _all(clauses) if self._affordable(len(clauses), len(clauses)) else True

    def _affordable(self, clauses: int, values: int) -> bool:
        fits = (
            self._clauses + clauses <= _MOST_CLAUSES
            and self._values + clauses + values <= _MOST_VALUES
        )
        if fits:
            self._clauses += clauses
            self._values += clauses + values
        return fits


def _is_exact(value: Scalar) -> bool:
    """Return whether Chroma compares a value exactly as `Filter.matches` does; it has no times."""
    if isinstance(value, date):
        return False
    if isinstance(value, str):
        return value.encode("utf-8", "ignore").decode() == value
    return isinstance(value, bool) or abs(value) <= _LARGEST_EXACT


def _by_type(values: Iterable[Scalar]) -> list[list[Scalar]]:
    """Return one list for each of Chroma's types, without repeats, with numbers as floats."""
    groups: dict[type, dict[Scalar, None]] = {}
    for value in values:
        plain = value if isinstance(value, bool | str | date) else float(value)
        groups.setdefault(type(plain), {})[plain] = None
    return [list(group) for group in groups.values()]


def _forms(values: Iterable[Scalar]) -> list[Scalar]:
    """Return the values as they may occur in a list: whole numbers as both int and float."""
    forms: dict[tuple[type, Scalar], Scalar] = {}
    for value in values:
        both: tuple[Scalar, ...] = (value,)
        if not isinstance(value, bool | str | date) and float(value).is_integer():
            both = (int(value), float(value))
        forms |= {(type(one), one): one for one in both}
    return list(forms.values())


def _all(parts: Iterable[Where]) -> Where:
    return _joined("$and", parts, neutral=True)


def _any(parts: Iterable[Where]) -> Where:
    return _joined("$or", parts, neutral=False)


def _joined(operator: str, parts: Iterable[Where], *, neutral: bool) -> Where:
    """Join clauses, flattened: one that decides the result replaces all, neutral ones go."""
    clauses: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, bool):
            if part != neutral:
                return part
        elif operator in part:
            clauses += part[operator]
        else:
            clauses.append(part)
    if not clauses:
        return neutral
    return clauses[0] if len(clauses) == 1 else {operator: clauses}
