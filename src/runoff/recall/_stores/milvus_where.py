"""Translates a filter to Milvus's boolean expressions, which keep all that the filter keeps.

An expression may keep more: `Milvus` checks every hit with `Filter.matches`. Fields of the schema
have a type, so that most conditions on them, and their negations, are exact. Values in JSON, of a
JSON field or of the dynamic field, may be of any type; a comparison there is false, and so is its
negation, where the value is absent or of another type, so that negations are left to the check.

This relies on facts about Milvus 2.4 to 2.6 and Milvus Lite 3.2: JSON's whole numbers and floats
compare by value, but `json_contains` distinguishes them; `FLOAT` fields compare as 32 bits.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from runoff.filters import Range
from runoff.recall._stores.clauses import LARGEST_EXACT, bounds_of, clause_of, values_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from runoff.filters import Filter, Scalar
    from runoff.recall._stores.clauses import Leaf

Kind: TypeAlias = Literal["json", "string", "integer", "single", "double", "bool", "other"]
"""How Milvus compares a field; `"single"` is a number of 32 bits."""

_KINDS: dict[str, Kind] = {
    "BOOL": "bool",
    **dict.fromkeys(("INT8", "INT16", "INT32", "INT64"), "integer"),
    "FLOAT": "single",
    "DOUBLE": "double",
    "VARCHAR": "string",
    "STRING": "string",
    "JSON": "json",
}
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDS = {"and", "empty", "exists", "false", "in", "is", "like", "not", "null", "or", "true"}
_LARGEST_WHOLE = 2**63
_MOST_VALUES = 500


@dataclass(frozen=True, slots=True)
class Place:
    """Where a metadata field is in an expression.

    Attributes:
        name: how the expression names it.
        kind: how it is compared; of an array, its elements.
        array: whether it is a typed array.
        nullable: whether it may be absent.
    """

    name: str
    kind: Kind
    array: bool = False
    nullable: bool = True


def place_of(field: Mapping[str, Any]) -> Place:
    """Return the place of a field, as `describe_collection` describes it."""
    kind = name_of(field["type"])
    array = kind == "ARRAY"
    known = _KINDS.get(name_of(field.get("element_type")) if array else kind, "other")
    kept = "other" if array and known == "json" else known
    return Place(field["name"], kept, array, nullable=bool(field.get("nullable")))


def name_of(kind: object) -> str:
    """Return the name of one of pymilvus's types, which are enumerations."""
    return str(getattr(kind, "name", kind))


def place_among(places: Mapping[str, Place], name: str, *, dynamic: bool) -> Place | None:
    """Return where a metadata field is among a collection's fields; None if no record has it."""
    if name in places or not dynamic:
        return places.get(name)
    return Place(name, "json" if is_plain(name) else "other")


def is_plain(name: str) -> bool:
    """Whether an expression can name a key of the dynamic field as it is."""
    return bool(_PLAIN.fullmatch(name)) and name.lower() not in _WORDS


def milvus_expression(wanted: Filter, place: Callable[[str], Place | None]) -> str | bool:
    """Return the expression for a filter; True keeps everything, False nothing.

    Args:
        wanted: the filter.
        place: says where a field is; None for a field that no record has.
    """

    def leaf(one: Leaf, positive: bool) -> str | bool:  # noqa: FBT001 - as `clause_of` calls it
        found = place(one.field)
        if found is None:
            return not positive
        if found.kind == "other":
            return True
        if isinstance(one, Range):
            return _range(one, found, positive=positive)
        return _one_of(values_of(one), found, positive=positive)

    return clause_of(wanted, leaf, _joined)


def quoted(text: str) -> str | None:
    """Return a text as a literal, or None if Milvus could not read it."""
    return json.dumps(text, ensure_ascii=False) if text.isprintable() else None


def _one_of(values: Sequence[Scalar], place: Place, *, positive: bool) -> str | bool:
    if not values:
        return not positive
    if len(values) > _MOST_VALUES or (not positive and not _is_exact(place)):
        return True
    groups: dict[type, dict[str, None]] = {}  # Milvus Lite refuses lists of several types
    for value in values:
        forms = _forms(value, place.kind)
        if forms is None:
            return True
        kind = type(value) if isinstance(value, str | bool) else float
        groups.setdefault(kind, {}).update(dict.fromkeys(forms))
    lists = [f"[{', '.join(group)}]" for group in groups.values() if group]
    if not lists:
        return not positive  # no value of this type equals any
    if place.array:
        return f"array_contains_any({place.name}, {lists[0]})"
    if place.kind == "json":
        each = [f"{place.name} == {one}" for group in groups.values() for one in group]
        return _joined("OR", each + [f"json_contains_any({place.name}, {one})" for one in lists])
    return f"{place.name} {'in' if positive else 'not in'} {lists[0]}"


def _forms(value: Scalar, kind: Kind) -> list[str] | None:
    """Return the literals that a field of this kind may equal; None if Milvus cannot say it."""
    if isinstance(value, date):
        return None
    if isinstance(value, str):
        literal = quoted(value)
        if literal is None:
            return None if kind in {"json", "string"} else []
        return [literal] if kind in {"json", "string"} else []
    if isinstance(value, bool):
        return [str(value).lower()] if kind in {"json", "bool"} else []
    if kind in {"string", "bool"}:
        return []
    if abs(value) >= LARGEST_EXACT and (kind != "integer" or isinstance(value, float)):
        return None
    if kind == "integer":
        whole = value == int(value) and abs(value) < _LARGEST_WHOLE
        return [str(int(value))] if whole else []
    forms = [repr(float(value))]
    return [str(int(value)), *forms] if kind == "json" and value == int(value) else forms


def _range(one: Range, place: Place, *, positive: bool) -> str | bool:
    given = bounds_of(one)
    if place.array:
        return not positive  # a list is never within a range
    if any(isinstance(bound, date) for bound in given.values()):
        return True if place.kind in {"json", "string"} else not positive
    if place.kind in {"string", "bool"}:
        return not positive
    if any(abs(bound) >= LARGEST_EXACT for bound in given.values()):
        return True
    if not positive and not _is_exact(place):
        return True
    within = _joined("AND", [_compared(how, float(bound), place) for how, bound in given.items()])
    return within if positive else f"not ({within})"


def _compared(how: str, bound: float, place: Place) -> str:
    if place.kind == "integer":
        # the whole numbers that are within the bound
        bound = math.floor(bound) if how in {">", "<="} else math.ceil(bound)
    elif place.kind == "single":
        how = f"{how[0]}="
    return f"{place.name} {how} {bound!r}"


def _is_exact(place: Place) -> bool:
    """Whether the negation of what is said of a field keeps all that the filter's does."""
    return not (place.nullable or place.array or place.kind in {"json", "single"})


def _joined(how: str, parts: Iterable[str]) -> str:
    parts = list(parts)
    return parts[0] if len(parts) == 1 else f"({f' {how.lower()} '.join(parts)})"
