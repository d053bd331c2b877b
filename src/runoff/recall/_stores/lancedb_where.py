"""Translates a filter to LanceDB's SQL, which keeps every row that the filter keeps.

LanceDB takes no parameters, so values become literals: quotes in texts are doubled, and names stand
between backticks. What cannot be written safely or compared exactly keeps everything: names with a
backtick, numbers beyond 2**53, times, and types other than texts, numbers, booleans and lists of
them. This relies on facts about lancedb 0.36 to 0.40: a literal has to fit the column's type, NaN
is larger than every number, and statements may be nested 50 levels deep.
"""

from __future__ import annotations

import math
from datetime import date
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from runoff.filters import Range
from runoff.recall._stores.clauses import LARGEST_EXACT, bounds_of, clause_of, values_of

if TYPE_CHECKING:
    from runoff.filters import Filter, Scalar
    from runoff.recall._stores.clauses import Leaf
    from runoff.recall._stores.lancedb_table import Column, Table

_Found: TypeAlias = "str | Literal[False] | None"
"""A condition, False for no row, or None where there is no exact one."""

_DEEPEST = 12
_MOST_VALUES = 10_000


def lancedb_where(wanted: Filter, table: Table) -> str | bool:
    """Return the condition for a filter; True keeps every row, False none."""
    return clause_of(
        wanted,
        lambda leaf, positive: _leaf(leaf, table, positive=positive),
        lambda operator, parts: f"({f' {operator} '.join(parts)})",
        deepest=_DEEPEST,
    )


def _leaf(one: Leaf, table: Table, *, positive: bool) -> str | bool:
    if table.may_hide(one.field):
        return True
    column = table.fields.get(one.field)
    found = False if column is None else _condition(one, column)
    if found is None:
        return True
    if found is False:
        return not positive
    return found if positive else f"({found}) IS NOT TRUE"


def _condition(one: Leaf, column: Column) -> _Found:
    if isinstance(one, Range):
        return _range(one, column)
    values = values_of(one)
    if column.kind == "text" and any(isinstance(value, date) for value in values):
        return None  # a text may name the moment
    if not column.kind or len(values) > _MOST_VALUES:
        return None
    fitting = [value for value in values if _fits(value, column.kind)]
    if not fitting:
        return False
    literals = [_literal(value, column) for value in fitting]
    if None in literals:
        return None
    listed = ", ".join(map(str, literals))
    if column.listed:
        return f"array_has_any({column.said}, make_array({listed}))"
    return f"{_comparable(column)} IN ({listed})"


def _range(one: Range, column: Column) -> _Found:
    given = bounds_of(one)
    if not column.kind:
        return None
    if column.listed:
        return False
    if any(isinstance(bound, date) for bound in given.values()):
        return None if column.kind == "text" else False
    if column.kind not in {"whole", "number"}:
        return False
    said = _comparable(column)
    parts = [f"NOT isnan({said})"] if column.kind == "number" else []
    for sign, bound in given.items():
        # beside whole numbers, a fraction bounds as the next whole number does
        nearest = math.floor if sign in {">", "<="} else math.ceil
        literal = _literal(nearest(bound) if column.kind == "whole" else bound, column)
        if literal is None:
            return None
        parts.append(f"{said} {sign} {literal}")
    return f"({' AND '.join(parts)})"


def _fits(value: Scalar, kind: str) -> bool:
    """Return whether a column of this kind may have a value that equals this one."""
    if kind == "text":
        # Arrow holds no half of a pair
        return isinstance(value, str) and value.encode("utf-8", "ignore").decode() == value
    if kind == "boolean" or isinstance(value, bool):
        return isinstance(value, bool) and kind == "boolean"
    if not isinstance(value, int | float):
        return False
    return kind == "number" or value == int(value)


def _literal(value: Any, column: Column) -> str | None:  # noqa: ANN401 - a scalar that fits
    """Return a value as a literal of the column's type, or None where it has none."""
    if column.kind == "text":
        return "'" + str(value).replace("'", "''") + "'"
    if column.kind == "boolean":
        return str(value).lower()
    low, high = column.bounds
    if abs(value) > LARGEST_EXACT or not low <= value <= high:
        return None
    return str(int(value)) if column.kind == "whole" else repr(float(value))


def _comparable(column: Column) -> str:
    """Return a field in a form that is compared exactly: single precision would round literals."""
    return f"CAST({column.said} AS DOUBLE)" if column.kind == "number" else column.said
