"""Texts: their identity, their words without a tokenizer, and the start of one on a line."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from runoff._util.messages import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_LONGEST = 16  # characters; a longer run is an identifier or of a script not listed below
# scripts that put no spaces between words: Thai to Khmer, kana, ideographs
_RANGES = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x3040, 0x30FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
)
_UNSPACED = "".join(f"{chr(first)}-{chr(last)}" for first, last in _RANGES)
_LAST_SPACE = 0x3000
# compiled when first used: that takes a tenth of this package's import time
_ALONE = f"([{_UNSPACED}])"
_UNIT = rf"(?:[{_UNSPACED}]|[^\s{_UNSPACED}]{{1,{_LONGEST}}})\s*"


def text_key(text: str) -> str:
    """Return the identity of a text: `"text:"` and 32 hexadecimal digits of its SHA-256.

    Lone surrogates are hashed as they are.
    """
    import hashlib  # noqa: PLC0415 - a tenth of this package's import time

    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"text:{digest[:32]}"


def given_id(query_id: str, text: str) -> str:
    """Return a query's id; an empty one if it was derived from the text and says nothing."""
    return "" if text and query_id == text_key(text) else query_id


def utf8(text: str) -> str:
    """Return a text that UTF-8 can hold: lone surrogates become question marks."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def words(text: str) -> list[str]:
    """Return the words of a text; in scripts without spaces, each letter counts as a word."""
    return text.split() if text.isascii() else " ".join(re.split(_ALONE, text)).split()


def gaps(
    letters: NDArray[np.uint8] | NDArray[np.uint32],
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which code points are white space, and which count as words by themselves."""
    space, alone = _kinds()
    known = letters if letters.dtype == np.uint8 else np.minimum(letters, len(space) - 1)
    return space[known], alone[known]


@cache
def _kinds() -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the same for each code point; the last one stands for all higher ones."""
    space = np.zeros(_RANGES[-1][1] + 2, np.bool_)
    space[: _LAST_SPACE + 1] = [chr(at).isspace() for at in range(_LAST_SPACE + 1)]
    alone = np.zeros_like(space)
    for first, last in _RANGES:
        alone[first : last + 1] = True
    return space, alone


def units(text: str) -> Iterator[int]:
    """Yield where the words of a text begin; a word of over 16 characters counts as several."""
    return (found.start() for found in re.finditer(_UNIT, text))


def word_starts(text: str) -> Iterator[int]:
    """Yield where the words of a text begin, as `units` does, but nothing within a long word."""
    before = 0
    for start in units(text):
        if start - before < _LONGEST or text[start - 1].isspace():
            yield start
        before = start


def snippet(text: str, length: int) -> str:
    """Return the start of a text on one line, without control characters."""
    start = visible(text[: length * 4])
    line = "".join(letter if letter.isprintable() else " " for letter in start)
    line = " ".join(line.split())
    return line if len(line) <= length and len(text) <= length * 4 else f"{line[: length - 1]}…"
