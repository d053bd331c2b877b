"""Translates a filter to a condition of SQL, which keeps every row that the filter keeps.

Metadata is compared as jsonb: numbers compare there by value, booleans and strings only with their
like, and an array contains (`@>`) each of its elements, as in `Filter.matches`. A column of times
is compared as a moment. Values never enter the SQL: they are parameters.

Two conditions keep more than the filter: times beside texts, which SQL compares by their date, two
days more on either side; and numbers beyond 2**53, which keep everything.
"""

from __future__ import annotations

import contextlib
import json
import math
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from runoff.errors import InvalidArgument
from runoff.filters import Eq, In, Range
from runoff.recall._stores.clauses import LARGEST_EXACT, bounds_of, clause_of, values_of
from runoff.recall._stores.postgres_table import LAYOUT, quoted, readable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runoff.filters import Filter, Scalar
    from runoff.recall._stores.clauses import Leaf
    from runoff.recall._stores.postgres_table import Table

Part: TypeAlias = "tuple[str, tuple[Any, ...]]"
"""SQL with a `%s` for each of the parameters."""

_FEW = 16  # values that an index on the whole metadata finds one by one
_TIMES = {
    "timestamptz": "{}",
    "timestamp": "({} AT TIME ZONE 'UTC')",
    "date": "({}::timestamp AT TIME ZONE 'UTC')",
}
_TEXTS = {"text", "varchar"}
_INTEGERS = {"int2", "int4", "int8"}
_SLACK = timedelta(days=2)  # zones differ by less


def postgres_where(wanted: Filter, table: Table) -> Part | bool:
    """Return the condition for a filter; True keeps every row, False none."""
    return clause_of(wanted, lambda leaf, positive: _leaf(leaf, table, positive=positive), _joined)


def _joined(operator: str, parts: Sequence[Part]) -> Part:
    if len(parts) == 1:
        return parts[0]
    said = f" {operator} ".join(one for one, _ in parts)
    return f"({said})", tuple(value for _, values in parts for value in values)


def _leaf(one: Leaf, table: Table, *, positive: bool) -> Part | bool:
    kind = table.columns.get(one.field)
    if LAYOUT.may_hide(one.field):
        return True  # a document may lack it
    if (kind is None and table.json is None) or not _is_storable(one.field):
        found: Part | Literal[False] | None = False  # no row has the field
    elif kind in _TIMES:
        found = _of_times(one, quoted(one.field), _TIMES[kind])
    elif kind in _INTEGERS:
        found = _of_integers(one, quoted(one.field), positive=positive)
    elif kind in _TEXTS and positive and not isinstance(one, Range) and not _times(one):
        texts = [value for value in _values(one) if isinstance(value, str)]
        found = (f"{quoted(one.field)} = ANY(%s::text[])", (texts,))
    elif kind is not None:
        found = _of_json(one, (f"to_jsonb({quoted(one.field)})", ()), positive=positive)
    else:
        found = _in_json(one, table, positive=positive)
    if found is None:
        return True
    if found is False:
        return not positive
    return found if positive else (f"({found[0]}) IS NOT TRUE", found[1])


def _is_storable(text: str) -> bool:
    """Return whether PostgreSQL can hold a text: it has no NUL and no half of a pair."""
    return "\0" not in text and text.encode("utf-8", "ignore").decode() == text


def _is_exact(value: Scalar) -> bool:
    return isinstance(value, str | date) or abs(value) <= LARGEST_EXACT


def _values(one: Eq | In) -> list[Scalar]:
    return [value for value in values_of(one) if not isinstance(value, str) or _is_storable(value)]


def _times(one: Eq | In) -> list[date]:
    return [value for value in _values(one) if isinstance(value, date)]


def _has_times(one: Range) -> bool:
    return any(isinstance(bound, datetime) for bound in bounds_of(one).values())


def _of_times(one: Leaf, column: str, form: str) -> Part | Literal[False]:
    """Return the condition on a column of times; a text in ISO 8601 is a time beside them."""
    moment = form.format(column)
    within: Part = (readable(column), ())
    if isinstance(one, Range):
        if not _has_times(one):
            return False
        bounds = bounds_of(one).items()
        return _joined("AND", [within, *((f"{moment} {sign} %s", (at,)) for sign, at in bounds)])
    moments = [one for one in map(_moment, _values(one)) if one is not None]
    same: Part = (f"{moment} = ANY(%s::timestamptz[])", (moments,))
    return _joined("AND", [within, same]) if moments else False


def _of_integers(one: Leaf, column: str, *, positive: bool) -> Part | Literal[False] | None:
    """Return the condition on a column of whole numbers, in which an index may serve."""
    if isinstance(one, Range):
        bounds = _numbers(one, positive=positive)
        if not isinstance(bounds, list):
            return bounds
        # beside whole numbers, a fraction bounds as the next whole number does
        whole = [
            (sign, math.floor(bound) if sign in {">", "<="} else math.ceil(bound))
            for sign, bound in bounds
        ]
        return _joined("AND", [(f"{column} {sign} %s::int8", (bound,)) for sign, bound in whole])
    numbers = [
        value
        for value in _values(one)
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    if not all(map(_is_exact, numbers)):
        return None
    same = [int(value) for value in numbers if value == int(value)]
    return (f"{column} = ANY(%s::int8[])", (same,)) if same else False


def _numbers(one: Range, *, positive: bool) -> list[tuple[str, float]] | Literal[False] | None:
    """Return the bounds of a range of numbers, without those that only widen it."""
    if _has_times(one):
        return False
    bounds = bounds_of(one)
    exact = [(sign, bound) for sign, bound in bounds.items() if _is_exact(bound)]
    return exact if len(exact) == len(bounds) or (exact and positive) else None


def _in_json(one: Leaf, table: Table, *, positive: bool) -> Part | Literal[False] | None:
    """Return the condition on a field of the column of JSON."""
    if table.json_kind == "jsonb" and positive and not isinstance(one, Range):
        values = _values(one)
        if len(values) <= _FEW and all(map(_is_exact, values)) and not _times(one):
            # the form that an index on the whole column serves
            held = [json.dumps({one.field: form}) for v in values for form in (v, [v])]
            parts: list[Part] = [(f"{table.json} @> %s::jsonb", (text,)) for text in held]
            return _joined("OR", parts) if parts else False
    return _of_json(one, (f"({table.json}::jsonb -> %s::text)", (one.field,)), positive=positive)


def _of_json(one: Leaf, value: Part, *, positive: bool) -> Part | Literal[False] | None:
    """Return the condition on a value of type jsonb, or NULL."""
    said, given = value
    parts: list[Part]
    if isinstance(one, Range):
        if _has_times(one):
            return _on_days(value, [*bounds_of(one).items()]) if positive else None
        bounds = _numbers(one, positive=positive)
        if not isinstance(bounds, list):
            return bounds
        parts = [(f"jsonb_typeof({said}) = 'number'", given)]
        parts += [
            (f"{said} {sign} %s::jsonb", (*given, json.dumps(bound))) for sign, bound in bounds
        ]
        return _joined("AND", parts)
    values, times = _values(one), _times(one)
    if not all(map(_is_exact, values)) or (times and not positive):
        return None
    plain = [json.dumps(value) for value in values if not isinstance(value, date)]
    parts = [(f"{said} @> ANY(%s::text[]::jsonb[])", (*given, plain))] if plain else []
    if times:
        parts.append((f"jsonb_typeof({said}) = 'array'", given))
        moments = filter(None, map(_moment, times))
        parts += [_on_days(value, [(">=", moment), ("<=", moment)]) for moment in moments]
    return _joined("OR", parts) if parts else False


def _on_days(value: Part, bounds: Sequence[tuple[str, datetime]]) -> Part:
    """Return a wide condition that a text is a time within bounds: only its date is compared."""
    said, given = value
    parts: list[Part] = [(f"jsonb_typeof({said}) = 'string'", given)]
    for sign, moment in bounds:
        days = -_SLACK if sign.startswith(">") else _SLACK
        with contextlib.suppress(OverflowError):  # no date lies before the year 1
            day = (moment + days).date().isoformat()
            parts.append(
                (f"left({said} #>> '{{}}', 10) COLLATE \"C\" {sign[0]}= %s", (*given, day))
            )
    return _joined("AND", parts)


def _moment(value: Scalar) -> datetime | None:
    """Return the moment that a filter takes a value for, if it is one."""
    try:
        bound = Range("time", gte=value).gte
    except InvalidArgument:
        return None
    return bound if isinstance(bound, datetime) else None
