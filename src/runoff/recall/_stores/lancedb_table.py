"""What a table of LanceDB holds: its columns, by name or recognised, and its vector index."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runoff.errors import BadReply, InvalidArgument
from runoff.recall._stores.records import TEXTS, Layout, pick

if TYPE_CHECKING:
    from runoff.recall._stores.records import Names
    from runoff.types import Document

# columns as LangChain's and LlamaIndex's stores name them
_IDS = ("id", "doc_id", "_id")
_METADATA = ("metadata",)
_LAYOUT = Layout("text", "metadata")


@dataclass(frozen=True, slots=True)
class Column:
    """A field of the metadata.

    Attributes:
        said: the field as SQL.
        kind: `"text"`, `"whole"`, `"number"` or `"boolean"`; empty for any other type.
        listed: whether it is a list of these.
        bounds: the lowest and highest number that it can hold.
    """

    said: str
    kind: str
    listed: bool = False
    bounds: tuple[float, float] = (-math.inf, math.inf)


@dataclass(frozen=True, slots=True)
class Table:
    """The columns that a source reads.

    Attributes:
        id: the column of ids.
        text: the column of texts.
        vector: the column of vectors; None without one.
        dimension: their dimension, if they all have the same.
        others: the columns that are fields of the metadata.
        nested: the column that holds the other fields; None without one.
        is_json: whether it holds them as JSON, so that no filter can be pushed down.
        fields: how a filter finds each field; those it cannot be written for have no SQL.
        indexed: whether the vectors have an approximate index.
        space: the space that the index is made for.
    """

    id: str
    text: str
    vector: str | None
    dimension: int | None
    others: tuple[str, ...]
    nested: str | None
    is_json: bool
    fields: Mapping[str, Column] = field(default_factory=dict)
    indexed: bool = False
    space: str | None = None

    @property
    def columns(self) -> list[str]:
        return [self.id, self.text, *self.others, *([self.nested] if self.nested else [])]

    def may_hide(self, name: str) -> bool:
        """Whether a filter on this field cannot be pushed down."""
        return _LAYOUT.may_hide(name) or (self.is_json and name not in self.others)

    def document(self, row: Mapping[str, Any]) -> Document:
        """Return a row as a document; a column stands before a field of the same name in another.

        Raises:
            BadReply: the row has no id, or its metadata is not an object of JSON.
        """
        held = row.get(self.nested) if self.nested else None
        if isinstance(held, str):
            held = _read(held, self.nested)
        metadata = dict(held or {}) | {name: row[name] for name in self.others}
        present = {name: value for name, value in metadata.items() if value is not None}
        return _LAYOUT.document(row[self.id], {"text": row[self.text], "metadata": present})


def _read(text: str, column: str | None) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, Mapping):
        msg = f"column {column!r} is not a JSON object: pass a list of columns as metadata="
        raise BadReply(msg)
    return found


def read_table(
    schema: Any,  # noqa: ANN401 - of pyarrow, which comes with lancedb
    names: Names,
    *,
    dense: bool,
) -> Table:
    """Return what a schema says of a table.

    Raises:
        InvalidArgument: a column that was named is not there, or one that was not is not
            recognised.
    """
    import pyarrow as pa  # noqa: PLC0415 - it comes with lancedb

    types = pa.types
    kinds = {one.name: one.type for one in schema}
    id_name = pick("id", names.id, _IDS, kinds)
    text_name = pick("text", names.text, TEXTS, kinds)
    vectors = [
        name
        for name, kind in kinds.items()
        if types.is_fixed_size_list(kind) and types.is_floating(kind.value_type)
    ]
    vector = None
    if dense:
        known = vectors if len(vectors) == 1 else ("vector",)
        vector = pick("vector", names.vector, known, kinds)
        if vector not in vectors:
            remedy = "must be a column of vectors, a list of floats of a fixed size"
            raise InvalidArgument("vector", vector, remedy)
    given = names.metadata
    chosen: list[str]
    if given is None:
        chosen = [one for one in kinds if one not in {id_name, text_name, *vectors}]
    else:
        chosen = [given] if isinstance(given, str) else list(given)
        for name in chosen:
            pick("metadata", name, (), kinds)
    holding = _METADATA if given is None else (given,) if isinstance(given, str) else chosen
    nested = next((one for one in chosen if one in holding and types.is_struct(kinds[one])), None)
    if nested is None and not isinstance(given, list | tuple):
        texts = (one for one in chosen if one in holding and _is_text(types, kinds[one]))
        nested = next(texts, None)
    others = tuple(one for one in chosen if one != nested)
    is_json = nested is not None and not types.is_struct(kinds[nested])
    fields = {}
    if nested is not None and not is_json:
        held = kinds[nested]
        for place in range(held.num_fields):
            one = held.field(place)
            fields[one.name] = _column(types, (nested, one.name), one.type)
    fields |= {name: _column(types, (name,), kinds[name]) for name in others}
    return Table(
        id=id_name,
        text=text_name,
        vector=vector,
        dimension=kinds[vector].list_size if vector else None,
        others=others,
        nested=nested,
        is_json=is_json,
        fields=fields,
    )


def _is_text(types: Any, kind: Any) -> bool:  # noqa: ANN401 - of pyarrow
    return bool(types.is_string(kind) or types.is_large_string(kind))


def _column(types: Any, path: tuple[str, ...], kind: Any) -> Column:  # noqa: ANN401 - as above
    """Return how a filter finds a field; without a kind if it cannot."""
    said = ".".join(f"`{name}`" for name in path)
    if any("`" in name for name in path):
        return Column(said, "")
    if types.is_list(kind) or types.is_large_list(kind):
        held = kind.value_type
        # a literal's elements have the widest type
        widest = types.is_float64(held) or types.is_int64(held) or types.is_boolean(held)
        return Column(
            said, _kind(types, held) if widest or _is_text(types, held) else "", listed=True
        )
    if types.is_integer(kind):
        bits = kind.bit_width
        signed = types.is_signed_integer(kind)
        bounds = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        return Column(said, "whole", bounds=bounds)
    return Column(said, _kind(types, kind))


def _kind(types: Any, kind: Any) -> str:  # noqa: ANN401 - as above
    if _is_text(types, kind):
        return "text"
    if types.is_integer(kind):
        return "whole"
    if types.is_float32(kind) or types.is_float64(kind):
        return "number"
    return "boolean" if types.is_boolean(kind) else ""
