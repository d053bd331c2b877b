"""Translates a filter to Chroma's `where`, which keeps every document that the filter keeps.

The clause may keep more than the filter: Chroma cannot express `Not(Range(...))` for documents
without the field, nor some values. `Chroma` checks every hit with `Filter.matches`, so a clause
that keeps too much costs time, while one that keeps too little would lose documents.

This relies on facts about chromadb 1.0 to 1.5: `$ne` and `$nin` keep records without the field;
numbers compare by value, int or float, but not near 2**53 and beyond, and a fraction is cut to a
whole number before a record's whole number is compared with it: 0 counts as equal to .3; booleans
and numbers never compare; operators other than `$contains` and `$not_contains` ignore lists, and
those two look only into lists and distinguish int from float; fields starting with `#`, `$` or
`chroma:` are reserved.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, TypeAlias

from runoff.filters import Range
from runoff.recall._stores.clauses import bounds_of, clause_of, values_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from runoff.filters import Filter, Scalar
    from runoff.recall._stores.clauses import Leaf

Where: TypeAlias = "dict[str, Any] | bool"
"""A clause; True keeps everything, False nothing."""

_BOUNDS = {">": "$gt", ">=": "$gte", "<": "$lt", "<=": "$lte"}
_LARGEST_EXACT = 2**51
_OWN_FIELDS = ("#", "$", "chroma:")
# SQLite, below Chroma, refuses 32,767 values and expressions 1,000 deep; nested clauses add more
# than one level each, and far beyond the limit the process crashes
_MOST_CLAUSES = 200
_MOST_VALUES = 8192
_DEEPEST = 16


def knows_lists() -> bool:
    """Return whether the installed chromadb can filter by a value in a list."""
    from chromadb.api import types  # noqa: PLC0415 - an optional package

    check: Callable[[Any], None] = types.validate_where
    try:
        check({"field": {"$contains": 1}})
    except ValueError:
        return False
    return True


def where_of(wanted: Filter, *, lists: bool) -> Where:
    """Return the clause for a filter.

    Args:
        wanted: the filter.
        lists: whether this Chroma supports lists in metadata, and so `$contains`.
    """
    clauses, values = _MOST_CLAUSES, _MOST_VALUES

    def leaf(one: Leaf, positive: bool) -> Where:  # noqa: FBT001 - as `clause_of` calls it
        nonlocal clauses, values
        if one.field.startswith(_OWN_FIELDS) or not _is_exact(one.field):
            return True
        if isinstance(one, Range):
            parts = _within(one) if positive else []
            of_values = len(parts)
        else:
            wanted = values_of(one)
            if not wanted:
                return not positive
            if len(wanted) > _MOST_VALUES or not all(map(_is_exact, wanted)):
                return True
            parts, of_values = _equals(wanted, positive=positive, lists=lists), len(wanted)
        if not parts or len(parts) > clauses or len(parts) + of_values > values:
            return True
        clauses, values = clauses - len(parts), values - len(parts) - of_values
        made = [{one.field: part} for part in parts]
        every = isinstance(one, Range) or not positive
        return made[0] if len(made) == 1 else _joined("AND" if every else "OR", made)

    return clause_of(wanted, leaf, _joined, deepest=_DEEPEST)


def _within(one: Range) -> list[dict[str, Any]]:
    parts = []
    for sign, bound in bounds_of(one).items():
        if _is_exact(bound):
            wider = f"{sign[0]}=" if is_fraction(bound) else sign
            parts.append({_BOUNDS[wider]: bound})
    return parts


def _equals(values: Sequence[Scalar], *, positive: bool, lists: bool) -> list[dict[str, Any]]:
    if not positive:
        values = [value for value in values if not is_fraction(value)]
    parts: list[dict[str, Any]] = [
        {"$in" if positive else "$nin": group} for group in _by_type(values)
    ]
    if lists:
        operator = "$contains" if positive else "$not_contains"
        parts += [{operator: value} for value in _forms(values)]
    return parts


def _is_exact(value: Scalar) -> bool:
    """Return whether Chroma compares a value exactly as `Filter.matches` does; it has no times."""
    if isinstance(value, date):
        return False
    if isinstance(value, str):
        return value.encode("utf-8", "ignore").decode() == value
    return isinstance(value, bool) or abs(value) <= _LARGEST_EXACT


def is_fraction(value: Scalar) -> bool:
    """Return whether Chroma cuts a number to a whole one where a record has a whole one."""
    return isinstance(value, float) and not value.is_integer()


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


def _joined(word: str, parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Join clauses, flattened."""
    operator = f"${word.lower()}"
    return {operator: [one for part in parts for one in part.get(operator, [part])]}
