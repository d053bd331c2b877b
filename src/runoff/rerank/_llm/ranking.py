"""Windows that slide over a list from its end, and the ranking in a model's reply."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from runoff._util.messages import short_repr
from runoff.errors import BadReply
from runoff.rerank._llm.reply import answer_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_RANKING = re.compile(
    r"[\s*_`#]*(?:(?:final\s+)?(?:ranking|order)[\s*_`]*:[\s*_`]*)?"
    r"(\[[0-9]{1,4}\](?:\s*>\s*\[[0-9]{1,4}\])*)[\s*_`.]*",
    re.IGNORECASE,
)


class Permutation(NamedTuple):
    """The order of some documents.

    Attributes:
        places: all places from 0, best first.
        missing: how many the reply does not name; they come last, in the order they had.
        repeated: how many numbers the reply names again.
    """

    places: list[int]
    missing: int
    repeated: int


def windows(many: int, at_once: int, step: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of windows over `many` places, from the end to the beginning.

    The last one is always the first `at_once` places, so that every place is in one.
    """
    start = max(0, many - at_once)
    yield start, many
    while start:
        start = max(0, start - step)
        yield start, start + at_once


def is_ranking(text: str) -> bool:
    """Whether a reply, without thoughts and fences, has a ranking."""
    return bool(_ranked(text))


def permutation(reply: object, many: int) -> Permutation:
    """Return the order in a reply: `[3] > [1] > [2]`, alone or as its last line.

    Several such lines must agree.

    Raises:
        BadReply: there is none, or it names a document that does not exist.
    """
    if not isinstance(reply, str):
        raise BadReply(f"the reply is {short_repr(reply)}, not a text")
    found = _ranked(answer_of(reply))
    if not found:
        raise BadReply("the reply has no ranking such as [3] > [1] > [2]")
    if wrong := [one for one in found if not 1 <= one <= many]:
        raise BadReply(f"the reply ranks document {wrong[0]} of only {many}")
    named = dict.fromkeys(one - 1 for one in found)
    left = [place for place in range(many) if place not in named]
    return Permutation([*named, *left], len(left), len(found) - len(named))


def _ranked(text: str) -> tuple[int, ...]:
    """Return the numbers of a ranking, best first; nothing if there is none."""
    if whole := _RANKING.fullmatch(text):
        return _numbers(whole)
    lines = [_RANKING.fullmatch(line) for line in text.splitlines() if line.strip().strip("`")]
    rankings = {_numbers(line) for line in lines if line}
    return rankings.pop() if lines and lines[-1] and len(rankings) == 1 else ()


def _numbers(ranking: re.Match[str]) -> tuple[int, ...]:
    return tuple(map(int, re.findall("[0-9]+", ranking[1])))
