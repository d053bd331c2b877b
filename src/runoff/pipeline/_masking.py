"""Messages without the texts that a search was about: logs and provenance contain none of them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_MASK = "***"
_SHORTEST = 3  # letters of a query in ASCII; a shorter one is not looked for
_WINDOW, _STRIDE = 24, 12  # characters of a document that a message must not repeat
_READ = 20_000  # characters of a document; errors quote the start of a text
_READ_OF_QUERY = 100_000  # characters at either end


def without_texts(message: str, queries: Iterable[str], documents: Iterable[str]) -> str:
    """Return a message with each query, and each part of a document it repeats, as `***`.

    Args:
        message: such as that of a foreign error, which may quote what it was called with.
        queries: masked wherever they occur, also as JSON or `repr` would write them; and parts of
            them as parts of documents are. Of a huge query, parts of its two ends are looked for.
        documents: masked where the message repeats 36 characters or more.
    """
    for text in dict.fromkeys(queries):
        if len(text) <= len(message):  # as no form of it is shorter
            message = _without_whole(message, text)
        message = _without_parts(message, text[:_READ_OF_QUERY])
        message = _without_parts(message, text[_READ_OF_QUERY:][-_READ_OF_QUERY:])
    if len(message) >= _WINDOW:
        for text in documents:
            message = _without_parts(message, text[:_READ])
    return message


def _without_whole(message: str, text: str) -> str:
    for written in (text, repr(text)[1:-1], json.dumps(text)[1:-1]):
        if len(written) >= _SHORTEST or (written and not written.isascii()):
            left = r"\b" if _is_letter(written[0]) else ""
            right = r"\b" if _is_letter(written[-1]) else ""
            message = re.sub(f"{left}{re.escape(written)}{right}", _MASK, message)
    return message


def _is_letter(character: str) -> bool:
    return character.isascii() and character.isalnum()


def _without_parts(message: str, text: str) -> str:
    """Mask what a message repeats of a text: every 36 characters contain a whole window."""
    start = 0
    while start + _WINDOW <= len(message):
        end = start + _WINDOW
        if message[start:end] not in text:
            start += _STRIDE
            continue
        while end < len(message) and message[start : end + 1] in text:
            end += 1
        while start > 0 and message[start - 1 : end] in text:
            start -= 1
        message = f"{message[:start]}{_MASK}{message[end:]}"
        start += len(_MASK)
    return message
