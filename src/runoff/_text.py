"""Texts without a tokenizer: what a word is, and how a text is shown on one line."""

from __future__ import annotations

import re

__all__ = ["snippet", "units", "words"]

_LONGEST = 16  # characters; longer ones are no words: identifiers, or a script not named below
# scripts that put no spaces between words: Thai to Khmer, kana, ideographs
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_ALONE = re.compile(f"([{_UNSPACED}])")
_UNIT = re.compile(rf"(?:[{_UNSPACED}]|[^\s{_UNSPACED}]{{1,{_LONGEST}}})\s*")


def words(text: str) -> list[str]:
    """Return the words of a text; a letter of a script without spaces is one by itself."""
    return text.split() if text.isascii() else _ALONE.sub(r" \1 ", text).split()


def units(text: str) -> list[int]:
    """Return where the words of a text begin; one longer than 16 characters counts as several."""
    return [found.start() for found in _UNIT.finditer(text)]


def snippet(text: str, length: int) -> str:
    """Return the start of a text on one line, with nothing in it that a terminal would act on."""
    line = "".join(letter if letter.isprintable() else " " for letter in text[: length * 4])
    line = " ".join(line.split())
    return line if len(line) <= length and len(text) <= length * 4 else f"{line[: length - 1]}…"
