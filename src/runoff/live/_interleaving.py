"""Team-draft interleaving: two systems' results in one list, which users compare by using it.

In each round the system that a coin names picks its best result that is not yet in the list, then
the other does (Radlinski, Kurup and Joachims 2008, *How does clickthrough data reflect retrieval
quality?*). Both systems' results so stand at the same positions on average, and a user who clicks
blindly favours neither.

Where both would pick the same result at the start of a round, it belongs to neither system, and
uses up no pick. In the original it goes to the system that the coin names; a click on it then says
nothing but which side the coin fell on. What one list has after the end of the other belongs to
neither, too: otherwise blind clicks would favour the longer one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Team = Literal["a", "b", ""]
"""Whose result it is; empty for one of both."""


def team_draft(
    a: Sequence[str], b: Sequence[str], many: int, coin: Callable[[], bool], *, plain: bool = False
) -> list[tuple[str, Team]]:
    """Return document ids with their teams, best first.

    Args:
        a: one system's document ids, best first, each once.
        b: the other's.
        many: how long the list becomes at most.
        coin: True if `a` picks first in this round.
        plain: whether a result that both would pick next belongs to the first to pick, as in 2008.
    """
    lists: dict[Team, Sequence[str]] = {"a": a, "b": b}
    places: dict[Team, int] = {"a": 0, "b": 0}
    taken: set[str] = set()
    found: list[tuple[str, Team]] = []

    def next_of(team: Team) -> str | None:
        ids = lists[team]
        while places[team] < len(ids) and ids[places[team]] in taken:
            places[team] += 1
        return ids[places[team]] if places[team] < len(ids) else None

    def take(doc_id: str, team: Team) -> None:
        taken.add(doc_id)
        found.append((doc_id, team))

    turns: list[Team] = []
    while len(found) < many:
        heads = next_of("a"), next_of("b")
        if heads == (None, None):
            break
        if not turns and (None in heads or (heads[0] == heads[1] and not plain)):
            take(next(one for one in heads if one is not None), "")
            continue
        if not turns:
            turns = ["a", "b"] if coin() else ["b", "a"]
        team = turns.pop(0)
        doc_id = next_of(team)
        if doc_id is not None:
            take(doc_id, team)
    return found


def credit(teams: Sequence[tuple[str, Team]], liked: dict[str, int]) -> int:
    """Return which system a user preferred: 1 for `b`, -1 for `a`, 0 for neither.

    Each result with feedback counts once, and the system with more wins the answer, however many
    more they are (the preference that Chapelle, Joachims, Radlinski and Yue 2012 test, *Large-scale
    validation and analysis of interleaved search evaluation*).

    Args:
        teams: the results with their teams.
        liked: document id to 1 if the user liked it, -1 if not.
    """
    signs = {"a": -1, "b": 1, "": 0}
    total = sum(signs[team] * liked.get(doc_id, 0) for doc_id, team in teams)
    return (total > 0) - (total < 0)
