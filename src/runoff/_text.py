"""What a word is where a text is measured in words and no tokenizer is at hand."""

from __future__ import annotations

import re

__all__ = ["units", "words"]

_LONGEST = 16  # characters; longer ones are no words: identifiers, or a script not named below
# scripts that put no spaces between words: Thai to Khmer, kana, ideographs
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_ALONE = re.compile(f"([{_UNSPACED}])")
_UNIT = re.compile(rf"(?:[{_UNSPACED}]|[^\s{_UNSPACED}]{{1,{_LONGEST}}})\s*")


def words(text: str) -> list[str]:
    """Return the words of a text; a letter of a script without spaces is one by itself."""
    return text.split() if text.isascii() else " ".join(_ALONE.split(text)).split()


def units(text: str) -> list[int]:
    """Return where the words of a text begin; one longer than 16 characters counts as several."""
    return [found.start() for found in _UNIT.finditer(text)]
