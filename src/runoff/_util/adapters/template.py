"""The layout of metadata and content that a reranker reads, such as `"{title}: {text}"`."""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runoff._util.provenance import KEY
from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping

_PLAIN = 'must be a string with plain placeholders, such as "{title}: {text}"'


@dataclass(frozen=True, slots=True)
class Template:
    r"""A format string over a document's content and metadata.

    Attributes:
        layout: such as `"{title}\n{text}"`: one placeholder is the content, the others are names of
            metadata fields; a field that a document lacks is empty.
        content: the names that stand for the content; the first one used in the layout does.

    Raises:
        InvalidArgument: it is not a string, has no placeholder for the content, or has placeholders
            that are not plain names of metadata fields.
    """

    layout: str
    content: tuple[str, ...] = ("text",)

    def __post_init__(self) -> None:
        names = self.names()
        if not any(name in names for name in self.content):
            places = " or ".join(f"{{{name}}}" for name in self.content)
            raise InvalidArgument("text_template", self.layout, f"must contain {places}")
        if KEY in names:
            remedy = f"must not contain {{{KEY}}}: that is provenance, not text"
            raise InvalidArgument("text_template", self.layout, remedy)

    def names(self) -> set[str]:
        """Return the placeholders.

        Raises:
            InvalidArgument: the layout is not a string with plain placeholders.
        """
        layout: object = self.layout
        if not isinstance(layout, str):
            raise InvalidArgument("text_template", layout, _PLAIN)
        try:
            parts = [part for part in string.Formatter().parse(layout) if part[1] is not None]
        except ValueError:
            raise InvalidArgument("text_template", layout, _PLAIN) from None
        names = {str(name) for _, name, _, _ in parts}
        formatted = any(form or conversion for _, _, form, conversion in parts)
        if formatted or not all(map(str.isidentifier, names)):
            raise InvalidArgument("text_template", layout, _PLAIN)
        return names

    def render(self, content: str, metadata: Mapping[str, Any]) -> str:
        """Return the layout filled with one document's content and metadata."""
        names = self.names()
        values = {name: metadata.get(name) for name in names}
        values[next(name for name in self.content if name in names)] = content
        return self.layout.format_map(
            {name: "" if value is None else value for name, value in values.items()}
        ).strip()
