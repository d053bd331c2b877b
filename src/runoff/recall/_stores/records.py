"""Reads a document out of an engine's record, as users and the frameworks' stores write it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runoff.errors import BadReply, InvalidArgument
from runoff.types import Document

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_NODE = "_node_content"
# what LlamaIndex writes beside a node's metadata
_OF_NODE = frozenset({_NODE, "_node_type", "document_id", "doc_id", "ref_doc_id"})
TEXTS = ("text", "page_content", "content", "document")
"""What users and the frameworks' stores call the text, the most usual name first."""
_METADATA = ("metadata", "metadata_")


@dataclass(frozen=True, slots=True)
class Names:
    """The names of a table's columns as the user gave them; None where they are recognised."""

    vector: str | None = None
    text: str | None = None
    id: str | None = None
    metadata: str | Sequence[str] | None = None


def pick(argument: str, given: str | None, known: Iterable[str], columns: Iterable[str]) -> str:
    """Return a table's column of the name that was given, or else of the first name known.

    Raises:
        InvalidArgument: there is none; names the columns that there are.
    """
    columns = list(columns)
    for name in known if given is None else (given,):
        if name in columns:
            return name
    raise InvalidArgument(argument, given, f"must name a column of {', '.join(columns)}")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a record has what makes up a document.

    Attributes:
        text: the field with the text; empty for LlamaIndex's node, which is JSON.
        metadata: the field that holds the metadata; empty if it is all other fields.
        others: fields that are not metadata, such as vectors.
        doc_id: the field with the document's id; empty for the engine's own.
    """

    text: str
    metadata: str
    others: frozenset[str] = frozenset()
    doc_id: str = ""

    def document(self, own_id: object, record: Mapping[str, Any]) -> Document:
        """Return the document of a record.

        Raises:
            BadReply: the record has no id, or its text is not a string.
        """
        found = record.get(self.doc_id) if self.doc_id else own_id
        if found is None or found == "":
            raise BadReply(f"the record {own_id!r} has no id in its field {self.doc_id!r}")
        held: Any = record.get(self.metadata) if self.metadata else record
        # the check against an abstract class is the slowest step here, so it comes last
        is_mapping = type(held) is dict or isinstance(held, Mapping)
        metadata: dict[str, Any] = dict(held) if is_mapping else {}
        node = metadata.get(_NODE)
        text = record.get(self.text) if self.text else _text_of(node)
        if text is not None and not isinstance(text, str):
            raise BadReply(f"the field {self.text!r} of the record {own_id!r} is not a text")
        if not self.metadata:
            for name in (self.text, self.doc_id, *self.others):
                metadata.pop(name, None)
        if node is not None:
            for name in _OF_NODE:
                metadata.pop(name, None)
        return Document(str(found), text or "", metadata)

    def is_other(self, name: str) -> bool:
        """Whether a field beside the metadata has this name."""
        if self.metadata:
            return False
        return name in self.others or name in {self.text, self.doc_id}

    def may_hide(self, name: str) -> bool:
        """Whether a document may lack this field of its record, so that no filter may use it."""
        return self.is_other(name) or name in _OF_NODE


def layout_of(
    record: Mapping[str, Any],
    *,
    text: str | None,
    metadata: str | None,
    doc_id: str | None = None,
    others: Iterable[str] = (),
) -> Layout:
    """Return the layout of a record; fields that are not given are recognised.

    Recognised are what LangChain's and LlamaIndex's stores write, and records with the text in
    `text`, `page_content`, `content` or `document` and the metadata in `metadata`, or beside it.
    """
    if metadata is None:
        nested = (one for one in _METADATA if isinstance(record.get(one), Mapping))
        metadata = next(nested, "")
    if text is None:
        named = (one for one in TEXTS if isinstance(record.get(one), str))
        text = next(named, "")
    if not text:
        held = record.get(metadata) if metadata else record
        text = "" if isinstance(held, Mapping) and _NODE in held else TEXTS[0]
    return Layout(text, metadata, frozenset(others), doc_id or "")


def _text_of(node: object) -> Any:  # noqa: ANN401 - its caller checks that it is a text
    """Return the text of a LlamaIndex node that was stored as JSON."""
    if not isinstance(node, str):
        return None
    try:
        read = json.loads(node)
    except ValueError as error:
        raise BadReply(f"a record's {_NODE} is not JSON: {error}") from error
    if not isinstance(read, Mapping):
        return None
    resource = read.get("text_resource")
    return read.get("text") or (resource.get("text") if isinstance(resource, Mapping) else None)
