"""A pipeline, a retriever or a reranker for a notebook: its parts and its settings."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Mapping
from typing import TYPE_CHECKING

from runoff._util.messages import is_default, short_repr, without_secrets
from runoff.report._notebook import folded_html, framed, table_html

if TYPE_CHECKING:
    from collections.abc import Iterator


def configured_html(part: object) -> str:
    """Return what a part is made of and what differs from its defaults; the rest is folded.

    A class of an adapter says it by `_settings`, name to value as a text and whether that is the
    default; a dataclass is read by its fields.
    """
    own = getattr(part, "_settings", None)
    found = own() if callable(own) else dict(_fields(part))
    shown = [(name, text) for name, (text, usual) in found.items() if not usual]
    rest = [(name, text) for name, (text, usual) in found.items() if usual]
    head = f'<div class="head"><strong>{html.escape(type(part).__name__)}</strong></div>'
    table = table_html([("setting", "value"), *shown]) if shown else ""
    return framed(head + table + folded_html("defaults", [("setting", "value"), *rest]))


def _fields(part: object) -> Iterator[tuple[str, tuple[str, bool]]]:
    """Yield name, value as a text, and whether it is of little interest; the parts one by one."""
    for place, one in enumerate(dataclasses.fields(part)):  # type: ignore[arg-type] # it is one
        if one.name.startswith("_"):
            continue
        value = getattr(part, one.name)
        if isinstance(value, Mapping) and value and one.name != "headers":
            for name, inner in value.items():
                yield f"{one.name}: {name}", (_text(inner), False)
        elif isinstance(value, tuple) and value:
            for at, inner in enumerate(value, 1):
                yield f"{one.name}: {at}", (_text(inner), False)
        else:
            usual = is_default(value, one) and place > 0 and one.name != "reranker"
            yield one.name, (_text(value), usual)


def _text(value: object) -> str:
    return without_secrets(value if isinstance(value, str) else short_repr(value))
