"""Where to split a text that is longer than a model reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenizers import Encoding

    from runoff._onnx.tokens import TextEncoder


def windows(encoder: TextEncoder, text: str, room: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Split a text into windows of at most `room` tokens that together cover every character.

    Each begins with at least the last `overlap` tokens of the one before. Windows begin and end
    between words, except where a word is longer than a window. Tokens are made window by window, so
    taking only the first few costs no more than these.

    Args:
        encoder: makes the tokens.
        text: what is split; an empty one has one empty window.
        room: tokens in a window, 1 or more. A single character that needs more is a window too.
        overlap: tokens, 0 or more and less than `room`.

    Yields:
        Start and end of each window, in characters.
    """
    start = 0
    while True:
        rest = text[start:] if start else text
        found, whole = encoder.head(rest, room)
        if whole and len(found) <= room:
            yield start, len(text)
            return
        at = _fitting(encoder, rest, found, room, overlap)
        end = _place(found, at) if at < len(found) else encoder.reach(rest, room)
        yield start, start + end
        if start + end >= len(text):
            return
        again = _between_words(found, at - overlap, 0)
        start += min(_place(found, again) or end, end)


def _fitting(encoder: TextEncoder, rest: str, found: Encoding, room: int, overlap: int) -> int:
    """Return how many tokens the window takes, checked on the window alone.

    Most tokenizers make the same tokens of a text's start alone; some do not inside a word.
    """
    limit = min(room, len(found))
    while True:
        at = _between_words(found, limit, overlap)
        if at >= len(found):
            return at
        alone = len(encoder.head(rest[: _place(found, at)], room)[0])
        if alone <= room or limit <= overlap + 1:
            return at
        limit = max(overlap + 1, min(limit, at) - (alone - room))


def _between_words(found: Encoding, at: int, least: int) -> int:
    """Return the nearest place at or before a token that splits no word, if beyond `least`."""
    back = at
    owners = found.word_ids
    while least < back < len(owners) and owners[back] == owners[back - 1]:
        back -= 1
    return back if back > least else at


def _place(found: Encoding, at: int) -> int:
    """Return the character at which a token begins; 0 only for the first token."""
    if at <= 0:
        return 0
    offsets = found.offsets
    while at < len(offsets) and offsets[at][0] <= offsets[at - 1][0]:
        at += 1  # several tokens of one character: it stays whole
    return offsets[at][0] if at < len(offsets) else offsets[-1][1]
