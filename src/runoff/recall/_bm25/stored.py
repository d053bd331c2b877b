"""Documents as bytes: a text in UTF-8, and the other fields as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import numpy as np

from runoff.errors import IndexDamaged, InvalidArgument
from runoff.types import Document

# a time in metadata is stored as a mapping with one of these as its only key
_DATE, _DATETIME, _TIMES = "$runoff.date", "$runoff.datetime", b'"$runoff.date'


def read_document(doc_id: str, text: bytes, extra: bytes) -> Document:
    """Return the document that was written as these bytes.

    Raises:
        IndexDamaged: they are not what was written.
    """
    try:
        words = text.decode("utf-8", "surrogatepass")
        if not extra:
            return Document(doc_id, words)
        said = json.loads(extra, object_hook=_timed if _TIMES in extra else None)
        _check_extra(said)
        return Document(doc_id, words, **said)
    except (ValueError, RecursionError) as error:
        msg = f"document {doc_id!r} cannot be read ({error}): build the index and save it again"
        raise IndexDamaged(msg) from error


def _timed(read: dict[str, Any]) -> Any:  # noqa: ANN401 - a time or a mapping
    """Return the time that a mapping stands for, else the mapping.

    Raises:
        ValueError: it does not name a time.
    """
    ((name, text),) = read.items() if len(read) == 1 else [("", None)]
    if name not in {_DATE, _DATETIME}:
        return read
    if not isinstance(text, str):
        msg = f"{name} is not a text"
        raise ValueError(msg)  # noqa: TRY004 - what is stored is wrong, not an argument
    return (date if name == _DATE else datetime).fromisoformat(text)


def _check_extra(said: object) -> None:
    """Check what a document has besides id and text.

    Raises:
        ValueError: it is not what `_extra` writes.
    """
    kinds = {"metadata": dict, "own_id": bool, "image": bool}
    if not isinstance(said, dict) or not all(
        isinstance(value, kinds.get(name, ())) for name, value in said.items()
    ):
        raise ValueError("its metadata is not a JSON object")


def text_bytes(document: Document) -> bytes:
    """Return a document's text as UTF-8; lone surrogates are kept."""
    return document.text.encode("utf-8", "surrogatepass")


def extra_bytes(document: Document) -> bytes:
    """Return a document's other fields as JSON, the arguments of `Document`; empty for defaults.

    Raises:
        InvalidArgument: its metadata cannot be written as JSON.
    """
    extra: dict[str, Any] = {}
    if document.metadata:
        extra["metadata"] = _plain(document.metadata, document.doc_id, "")
    if not document.own_id:
        extra["own_id"] = False
    if document.image:
        extra["image"] = True
    return json.dumps(extra).encode("ascii") if extra else b""


def _plain(value: Any, doc_id: str, key: str) -> Any:  # noqa: ANN401 - any metadata
    """Return a value that JSON can hold: tuples become lists, NumPy numbers Python numbers.

    Dates and datetimes become mappings, from which `_timed` makes them again.

    Raises:
        InvalidArgument: the value has another type.
    """
    if isinstance(value, np.datetime64):
        value = value.astype("datetime64[us]")  # nanoseconds would become a whole number
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, date):
        return {_DATETIME if isinstance(value, datetime) else _DATE: value.isoformat()}
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_plain(one, doc_id, key) for one in value]
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str) or name in {_DATE, _DATETIME}:
                remedy = f"document {doc_id!r}, key {key!r}: keys saved as JSON must be strings"
                if isinstance(name, str):
                    remedy = (
                        f"document {doc_id!r}, key {key!r}: this name is reserved for saved times"
                    )
                raise InvalidArgument("metadata", name, remedy)
        return {
            name: _plain(one, doc_id, f"{key}.{name}" if key else name)
            for name, one in value.items()
        }
    remedy = (
        f"document {doc_id!r}, key {key!r}: cannot be saved; use strings, numbers, booleans, "
        "dates, datetimes, None, and lists or mappings of them"
    )
    raise InvalidArgument("metadata", value, remedy)
