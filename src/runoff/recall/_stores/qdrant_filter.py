"""Translates a filter to Qdrant's, which keeps every document that the filter keeps.

This relies on facts about qdrant-client 1.19 and 1.20 in local mode, and about the server's engine
(qdrant-edge 0.9): a match distinguishes integers, floats and booleans, so numbers are compared by a
range of one value, which booleans are not in (before 1.19 local mode took them for numbers); a
condition on a list is true if it is true of one element; `field[]` looks only into lists, which
lets a `Range` skip them, but reads every payload; `must_not` keeps points without the field. A
range rounds to a float: whole numbers from 2**53 on are matched as integers, and floats and bounds
as large keep everything, as times and names with a double quote do, which Qdrant cannot express.

A range asks the field's index if that is of integers, which has no fractions, or of times, which
has texts that are times, as numbers. What the indexes lack changes with every write, so whoever
translates reads them again after `INDEXES_HOLD` seconds.
"""

from __future__ import annotations

import math
import re
import sys
import time
from datetime import date
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakKeyDictionary

from runoff.filters import And, Not, Or, Range
from runoff.recall._stores.clauses import LARGEST_EXACT, bounds_of, clause_of, values_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from runoff.filters import Filter, Scalar
    from runoff.recall._stores.clauses import Leaf

_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
Indexes: TypeAlias = "Callable[[str], str | None]"
"""Returns what the index of a payload key is, if it may lack numbers: see `qdrant_filter`."""

INDEXES_HOLD = 1.0
"""How many seconds what was read of the indexes is relied on."""

_LARGEST_INTEGER = 2**64
_BOUNDS = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}


# by client and name: when they were read, and what they lack
_known: WeakKeyDictionary[Any, dict[str, tuple[float, Indexes]]] = WeakKeyDictionary()


def lacking(info: Any) -> Indexes:  # noqa: ANN401 - of qdrant_client
    """Return which indexes may lack numbers, as `qdrant_filter` takes it."""
    found: dict[str, str] = {}
    for key, one in (info.payload_schema or {}).items():
        kind = str(getattr(one.data_type, "value", one.data_type))
        if kind == "integer" and one.points >= (info.points_count or 0):
            kind = "whole"
        if kind in {"datetime", "integer", "whole"}:
            # Qdrant puts other names in quotes than runoff
            found[key.replace('"', "")] = kind
    return lambda key: found.get(key.replace('"', ""))


def numbers_left_out(store: Any) -> Indexes:  # noqa: ANN401 - a framework's store
    """Return the `index_of` for a framework's store, which fetches nothing in place of what lacks.

    It is asked for no number in a field whose index may lack some. If the indexes cannot be read,
    or the store has no synchronous client, it is asked for no number at all.
    """

    def index_of(key: str) -> str | None:
        client, name = store.client, store.collection_name
        if client is None:
            return "datetime"
        known = _known.setdefault(client, {})
        read, found = known.get(name, (-math.inf, None))
        now = time.monotonic()
        if found is None or now - read > INDEXES_HOLD:
            try:
                found = lacking(client.get_collection(name))
            except Exception:  # noqa: BLE001 - the search itself says what is wrong
                return "datetime"
            known[name] = now, found
        kind = found(key)
        return "datetime" if kind == "integer" else kind

    return index_of


def has_number(wanted: Filter) -> bool:
    """Whether a filter asks for a number, which an index may lack."""
    if isinstance(wanted, Not):
        return has_number(wanted.filter)
    if isinstance(wanted, And | Or):
        return any(map(has_number, wanted.filters))
    asked = bounds_of(wanted).values() if isinstance(wanted, Range) else values_of(wanted)
    return any(isinstance(value, int | float) and not isinstance(value, bool) for value in asked)


def qdrant_filter(
    wanted: Filter,
    *,
    under: str = "",
    hidden: Callable[[str], bool] = lambda _name: False,
    checked: bool = False,
    index_of: Indexes = lambda _key: None,
) -> dict[str, Any] | bool:
    """Return a filter as what `qdrant_client.models.Filter.model_validate` takes.

    Args:
        wanted: the filter.
        under: the payload key that contains the metadata; empty if it is the payload itself.
        hidden: whether documents may lack a field that their payload has.
        checked: whether what the filter keeps is checked, and more is fetched in its place; then a
            `Range` keeps lists too, which spares reading payloads.
        index_of: what a payload key's index may lack, if it may lack numbers: `"whole"`, only the
            fractions of lists, which are looked up in the payloads; `"integer"`, and all that is
            not in it is kept; `"datetime"`, and numbers keep everything.

    Returns:
        The filter; True if Qdrant cannot express any of it; False if it keeps nothing.
    """

    def leaf(one: Leaf, positive: bool) -> dict[str, Any] | bool:  # noqa: FBT001 - as `clause_of` calls it
        if '"' in one.field or hidden(one.field):
            return True
        name = one.field if _PLAIN.fullmatch(one.field) else f'"{one.field}"'
        key = f"{under}.{name}" if under else name
        index = index_of(key) if has_number(one) else None
        if index == "datetime":
            return True
        index = index if positive else None
        if isinstance(one, Range):
            made = _range(key, one, lists=checked and positive, lacking=index == "integer")
        else:
            made = _one_of(key, values_of(one), wide=checked and positive, index=index)
        if isinstance(made, bool):
            return made or not positive
        return made if positive else {"must_not": [made]}

    return clause_of(
        wanted, leaf, lambda word, parts: {"must" if word == "AND" else "should": list(parts)}
    )


def _range(key: str, one: Range, *, lists: bool, lacking: bool) -> dict[str, Any] | bool:
    bounds = {_BOUNDS[sign]: bound for sign, bound in bounds_of(one).items()}
    if any(isinstance(one, date) or abs(one) >= LARGEST_EXACT for one in bounds.values()):
        return True
    found: dict[str, Any] = {"key": key, "range": bounds}
    if lacking:
        found = {"should": [found, _without_number(key)]}
    if lists:
        return found if lacking else {"must": [found]}
    return {"must": [found], "must_not": [{"key": f"{key}[]", "range": bounds}]}


def _without_number(key: str) -> dict[str, Any]:
    """Return a filter that keeps values which the index of a key's numbers lacks."""
    every = {"gte": -sys.float_info.max, "lte": sys.float_info.max}
    return {"must_not": [{"key": key, "range": every}, {"is_empty": {"key": key}}]}


def _one_of(
    key: str, values: Iterable[Scalar], *, wide: bool, index: str | None
) -> dict[str, Any] | bool:
    words: list[str] = []
    conditions: list[dict[str, Any]] = []
    for value in values:
        if isinstance(value, str):
            words.append(value)
        elif isinstance(value, date):
            return True
        elif isinstance(value, bool) or (isinstance(value, int) and abs(value) >= LARGEST_EXACT):
            conditions.append({"key": key, "match": {"value": value}})
            if wide and LARGEST_EXACT <= abs(value) < _LARGEST_INTEGER:  # it may be a float there
                rounded = float(value)
                conditions.append({"key": key, "range": {"gte": rounded, "lte": rounded}})
        elif abs(value) >= LARGEST_EXACT:
            return True
        else:
            conditions.append({"key": key, "range": {"gte": value, "lte": value}})
            if index is not None and value != int(value):  # in a list beside whole numbers
                conditions.append({"key": f"{key}[]", "range": {"gte": value, "lte": value}})
    if index == "integer" and any("range" in one for one in conditions):
        conditions.append(_without_number(key))
    if words:
        conditions.append({"key": key, "match": {"any": words}})
    return {"should": conditions} if conditions else False
