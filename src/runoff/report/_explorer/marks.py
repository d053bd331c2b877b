"""The words of a text that are also in a query, as positions that JavaScript counts alike."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from runoff.recall._analyzers import make_analyzer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


_WORD = re.compile(r"[^\W_]+")
_MOST = 1000  # marks of one text
_ENGLISH = "english"


def marks(query: str, text: str) -> list[list[int]]:
    """Return [start, end] of each word of a text that the query has too, in UTF-16 units.

    Words are compared as BM25's English analyzer compares them: without their endings, and stop
    words do not count. In scripts without spaces, two neighbouring characters count as a word.

    Args:
        query: the question.
        text: the text to mark.
    """
    asked = _tokens(query)
    found = (span for word in _WORD.finditer(text) for span in _marked(word, asked))
    return utf16(text, _joined(found))


@lru_cache(maxsize=256)
def _tokens(text: str) -> frozenset[str]:
    return frozenset(make_analyzer(_ENGLISH)(text))


@lru_cache(maxsize=50_000)
def _word_tokens(word: str) -> tuple[str, ...]:
    return tuple(make_analyzer(_ENGLISH)(word))


def _marked(word: re.Match[str], asked: frozenset[str]) -> Iterator[tuple[int, int]]:
    """Yield the parts of a run of letters that the query has."""
    start, letters = word.start(), word[0]
    if len(letters) > 1 and len(_word_tokens(letters)) > 1:  # a script without spaces
        pairs = range(len(letters) - 1)
        yield from (
            (start + at, start + at + 2) for at in pairs if letters[at : at + 2].casefold() in asked
        )
    elif not asked.isdisjoint(_word_tokens(letters)):
        yield start, word.end()


def _joined(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans in order, those that overlap as one."""
    made: list[tuple[int, int]] = []
    for start, end in spans:
        if made and start < made[-1][1]:
            made[-1] = made[-1][0], max(end, made[-1][1])
        elif len(made) < _MOST:
            made.append((start, end))
        else:
            break
    return made


def utf16(text: str, spans: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Return spans of characters as spans of UTF-16 units; they are in order, without overlap."""
    if text.isascii():
        return [list(span) for span in spans]
    made, at, units = [], 0, 0
    for span in spans:
        ends = []
        for place in span:
            units += len(text[at:place].encode("utf-16-le", "surrogatepass")) // 2
            at = place
            ends.append(units)
        made.append(ends)
    return made


def span_of(word: str, text: str, start: int = 0) -> tuple[int, int] | None:
    """Return where a word stands in a text, whole and in any case, from a place on; or None."""
    pattern = rf"(?<!\w){re.escape(word)}(?!\w)"
    found = re.compile(pattern, re.IGNORECASE).search(text, start)
    if found is None:
        found = re.compile(re.escape(word), re.IGNORECASE).search(text, start)
    return None if found is None else found.span()
