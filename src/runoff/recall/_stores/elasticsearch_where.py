"""Translates a filter to the query language of Elasticsearch and OpenSearch.

A query keeps all that the filter keeps and may keep more: `Elasticsearch` checks every hit with
`Filter.matches`. What is indexed is not what was stored, by rules that the documentation gives for
each type of field: `long` cuts 2.5 to 2 and reads "2", `float` rounds to 32 bits, `keyword` writes
1 as "1" and leaves out texts beyond `ignore_above`, `date` keeps milliseconds. So bounds are
widened to what is indexed, and of negations only those of texts that no number or boolean could
have become are asked of the engine. If nobody has read the mapping, as behind a framework's store,
texts are looked for in `field.keyword` and in `field`, and numbers as if they were cut or not.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from runoff.filters import Range
from runoff.recall._stores.clauses import LARGEST_EXACT, bounds_of, clause_of, values_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from runoff.filters import Filter, Scalar
    from runoff.recall._stores.clauses import Leaf

Clause: TypeAlias = "dict[str, Any]"

_UNREAD: Mapping[str, Any] = {}  # a mapping that nobody has read
_WHOLE = {"long": 2**63, "integer": 2**31, "short": 2**15, "byte": 2**7}
_LARGEST_SINGLE = float(np.finfo(np.float32).max)
_LONGEST = 256  # characters of a text that the usual mapping indexes
_MOST_VALUES = 10_000
_MOST_GUESSED = 400
_DEEPEST = 20  # Elasticsearch allows 30 levels
# what nanoseconds since 1970, in 63 bits, can tell, to a millisecond
_FIRST_NANO = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_NANO = datetime(2262, 4, 11, 23, 47, 16, 853000, tzinfo=UTC)
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNINDEXED = 2**31 - 1
# what a number or a boolean may have been before a `keyword` field made it a text
_NOT_ONLY_TEXT = re.compile(r"true|false|[-+]?[\d.]+(?:e[-+]?\d+)?", re.IGNORECASE)


def fields_in(properties: Mapping[str, Any], under: str = "") -> dict[str, Mapping[str, Any]]:
    """Return the fields of a mapping by their whole names; those in `nested` ones are left out."""
    found: dict[str, Mapping[str, Any]] = {}
    for name, field in properties.items():
        if "properties" in field:
            if field.get("type") != "nested":
                found |= fields_in(field["properties"], f"{under}{name}.")
        else:
            found[under + name] = field
    return found


def unread(name: str) -> tuple[str, Mapping[str, Any]] | None:
    """Return where the frameworks' stores have a metadata field, for `elasticsearch_query`."""
    return (f"metadata.{name}", _UNREAD) if _PLAIN.fullmatch(name) else None


def elasticsearch_query(
    wanted: Filter, field: Callable[[str], tuple[str, Mapping[str, Any]] | None]
) -> Clause | bool:
    """Return the query for a filter; True keeps everything, False nothing.

    Args:
        wanted: the filter.
        field: returns the whole name and the mapping of a metadata field; None if the mapping does
            not say how it is indexed. `unread` is one for a mapping that nobody has read.
    """

    def leaf(one: Leaf, positive: bool) -> Clause | bool:  # noqa: FBT001 - as `clause_of` calls it
        found = field(one.field)
        if found is None or found[1].get("index") is False:
            return True
        if found[1] is _UNREAD:
            return _guessed(one, found[0]) if positive else True
        if isinstance(one, Range):
            return _range(one, *found) if positive else True
        values = values_of(one)
        if not values:
            return not positive
        if len(values) > _MOST_VALUES:
            return True
        return _one_of(values, *found) if positive else _none_of(one.field, values, *found)

    return clause_of(wanted, leaf, _joined, deepest=_DEEPEST)


def _guessed(one: Leaf, name: str) -> Clause | bool:
    """Return a query for a field of any of the usual mappings."""
    if isinstance(one, Range):
        return _between(name, bounds_of(one))
    parts: list[Clause] = []
    for value in values_of(one):
        if isinstance(value, date) or (isinstance(value, str) and len(value) > _LONGEST):
            return True
        if isinstance(value, str | bool):
            parts.append({"term": {name: value}})
        else:
            between = _between(name, {">=": value, "<=": value})
            if isinstance(between, bool):
                return True
            parts.append(between)
        if isinstance(value, str):
            parts.append({"term": {f"{name}.keyword": value}})
    if not 0 < len(parts) <= _MOST_GUESSED:
        return bool(parts)
    return _joined("OR", parts)


def _between(name: str, bounds: Mapping[str, Any]) -> Clause | bool:
    """Return a range that also finds numbers which a whole-number field has cut."""
    if any(isinstance(one, date) or abs(one) >= LARGEST_EXACT for one in bounds.values()):
        return True
    wide = {
        "gte" if sign[0] == ">" else "lte": (math.floor if sign[0] == ">" else math.ceil)(bound)
        for sign, bound in bounds.items()
    }
    return {"range": {name: wide}}


def _one_of(values: Sequence[Scalar], name: str, field: Mapping[str, Any]) -> Clause | bool:
    kind = field.get("type")
    if all(isinstance(value, str) for value in values):
        words = _words(name, field)
        if words is None or any(len(str(value)) > words[1] for value in values):
            return True
        return {"terms": {words[0]: list(values)}}
    if all(isinstance(value, bool) for value in values):
        return {"terms": {name: list(values)}} if kind == "boolean" else True
    if any(isinstance(value, str | bool | date) for value in values):
        return True
    ranges = []
    for value in values:
        bound = _indexed(value, str(kind))  # type: ignore[arg-type]  # only numbers are left
        if bound is None:
            return True
        ranges.append({"range": {name: {"gte": bound, "lte": bound}}})
    return _joined("OR", ranges)


def _none_of(
    asked: str, values: Sequence[Scalar], name: str, field: Mapping[str, Any]
) -> Clause | bool:
    words = _words(name, field)
    if words is None or "." in asked or field.get("null_value") is not None:
        return True
    if field.get("normalizer") is not None:
        return True
    # other values are left to the check
    texts = [one for one in values if isinstance(one, str) and not _NOT_ONLY_TEXT.fullmatch(one)]
    texts = [one for one in texts if one and len(one) <= words[1]]
    return {"bool": {"must_not": [{"terms": {words[0]: texts}}]}} if texts else True


def _words(name: str, field: Mapping[str, Any]) -> tuple[str, int] | None:
    """Return the field that has texts unanalysed, and the longest text that it has."""
    if field.get("type") == "keyword":
        return name, int(field.get("ignore_above", _UNINDEXED))
    for inner, one in (field.get("fields") or {}).items():
        if one.get("type") == "keyword" and one.get("normalizer") is None:
            return f"{name}.{inner}", int(one.get("ignore_above", _UNINDEXED))
    return None


def _range(one: Range, name: str, field: Mapping[str, Any]) -> Clause | bool:
    kind = str(field.get("type"))
    low = one.gt if one.gte is None else one.gte
    high = one.lt if one.lte is None else one.lte
    bounds: dict[str, Any] = {}
    for how, bound in (("gte", low), ("lte", high)):
        if bound is None:
            continue
        if isinstance(bound, datetime):
            if kind not in {"date", "date_nanos"}:
                return True
            bounds[how] = _moment(bound, up=how == "lte", nanos=kind == "date_nanos")
            bounds["format"] = "strict_date_optional_time"
        else:
            indexed = _indexed(bound, kind)  # type: ignore[arg-type]  # no date is left
            if indexed is None:
                return True
            bounds[how] = indexed
    return {"range": {name: bounds}}


def _indexed(value: float, kind: str) -> float | None:
    """Return a number as it is indexed; None if the engine might refuse it or lose others."""
    if abs(value) >= LARGEST_EXACT:
        return None
    if kind in _WHOLE:
        whole = math.trunc(value)
        return whole if abs(whole) < _WHOLE[kind] else None
    if kind == "double":
        return float(value)
    return float(value) if kind == "float" and abs(value) <= _LARGEST_SINGLE else None


def _moment(bound: datetime, *, up: bool, nanos: bool) -> str:
    """Return a moment in milliseconds of UTC, at or before it, or at or after it.

    A field of nanoseconds has none beyond its first and last moment, and refuses such bounds.
    """
    moment = bound.astimezone(UTC)
    if nanos:
        moment = min(max(moment, _FIRST_NANO), _LAST_NANO)
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    if up:
        moment += timedelta(milliseconds=1)
    return moment.isoformat(timespec="milliseconds")


def _joined(how: str, parts: Sequence[Clause]) -> Clause:
    if len(parts) == 1:
        return parts[0]
    if how == "AND":
        return {"bool": {"filter": list(parts)}}
    return {"bool": {"should": list(parts), "minimum_should_match": 1}}
