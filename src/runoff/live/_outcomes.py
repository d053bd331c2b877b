"""Turns answers and feedback into values: who counts, and which system won."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from runoff._util.messages import number_of
from runoff.live._interleaving import credit
from runoff.live._ppi import Corrected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from runoff.live._feedback import Read, Shown

_DAY = 86_400.0
_FIRST, _FIRST_MANY = 0.5, 4.0  # a usual share of successes, and how many users it counts as


@dataclass(frozen=True, slots=True)
class Rules:
    """Which answers count.

    Attributes:
        wait: seconds after which an answer counts: what users do later does not.
        repeat: seconds in which the same question of the same user counts once.
        daily: answers of one user on a day beyond which the user is taken for a bot.
    """

    wait: float = 1800.0
    repeat: float = 3600.0
    daily: int = 200


@dataclass(frozen=True, slots=True)
class Outcomes:
    """A value for each answer or user that counts.

    Attributes:
        values: with the bounds that a confidence sequence needs.
        times: of each.
        changed: whether feedback could prefer a system; for users, whether they liked a result.
        labels: how many have feedback.
        unit: what is counted, such as `"answers"`.
        notes: what does not count yet, as sentences.
    """

    values: Corrected
    times: Sequence[float]
    changed: NDArray[np.bool_]
    labels: int
    unit: str
    notes: tuple[str, ...] = ()


def kept(read: Read, rules: Rules, now: float) -> tuple[list[Shown], list[str]]:
    """Return the answers that count, in the order of time, and why others do not.

    Whether an answer counts depends on answers before it and never on feedback, so leaving some out
    favours neither system. Those that may still get feedback wait.
    """
    found: list[Shown] = []
    left: Counter[tuple[str, str, str]] = Counter()  # a verb for one and for several, and the rest
    last: dict[tuple[str, str], float] = {}
    daily: Counter[tuple[str, int]] = Counter()
    for one in read.shown:
        if one.time > now - rules.wait:
            left["is", "are", " too recent, and may still get feedback"] += 1
            continue
        if one.user:
            day = one.user, int(one.time // _DAY)
            daily[day] += 1
            if daily[day] > rules.daily:
                rest = f" one user's {rules.daily} a day, and may be a bot's"
                left["exceeds", "exceed", rest] += 1
                continue
            asked = one.user, one.query
            before = last.get(asked)
            last[asked] = one.time
            if before is not None and one.time - before < rules.repeat:
                left["repeats", "repeat", " a question of the same user"] += 1
                continue
        found.append(one)
    notes = [
        f"{number_of(count, f'answer {one}', f'answers {several}')}{rest}."
        for (one, several, rest), count in left.items()
    ]
    if read.unreadable:
        notes.append(
            f"{number_of(read.unreadable, 'line')} cannot be read: a process may have been killed."
        )
    if read.late:
        notes.append(
            f"{number_of(read.late, 'time')} feedback came more than {rules.wait:g} s later."
        )
    if read.strange:
        notes.append(
            f"{number_of(read.strange, 'time')} feedback named an unknown answer, or a "
            "document not in it."
        )
    return found, notes


def interleaved(shown: Sequence[Shown], read: Read) -> Outcomes:
    """Return -1, 0 or 1 for each answer: the system that the user preferred."""
    values = [credit(one.teams, read.liked.get(one.id, {})) for one in shown]
    found = np.array(values, np.float64)
    one = np.ones(len(found))
    return Outcomes(
        Corrected(found, found, found, -one, one, float("nan")),
        [one.time for one in shown],
        np.array([any(team for _, team in one.teams) for one in shown], np.bool_),
        sum(bool(read.liked.get(one.id)) for one in shown),
        "answers",
    )


def split(shown: Sequence[Shown], read: Read, now: float) -> Outcomes:
    """Return for each user how much better `b` is than `a`, unbiased whoever got which.

    A user's success is the share of answers with a result that was liked, in the day from the
    first. If s is 1 for a user of `b` and -1 for one of `a`, each with a chance of 1/2, then
    2 * s * (success - c) is the difference in expectation, for any c known before it. With
    the mean success of the users before as c, it varies least.
    """
    users: dict[str, list[Shown]] = {}
    for one in shown:
        if one.user:
            users.setdefault(one.user, []).append(one)
    rows: list[tuple[float, float, float]] = []
    waiting = 0
    for theirs in users.values():
        first = theirs[0].time
        if first + _DAY > now:
            waiting += 1
            continue
        day = [one for one in theirs if one.time < first + _DAY]
        share = sum(1 in read.liked.get(one.id, {}).values() for one in day) / len(day)
        rows.append((first + _DAY, 1.0 if day[0].arm == "b" else -1.0, share))
    rows.sort()
    _, sides, success = np.array(rows, np.float64).reshape(-1, 3).T
    before = np.cumsum(success) - success
    usual = (_FIRST * _FIRST_MANY + before) / (_FIRST_MANY + np.arange(len(rows)))
    found = 2 * sides * (success - usual)
    most = 2 * np.maximum(usual, 1 - usual)
    return Outcomes(
        Corrected(found, found, found, -most, most, float("nan")),
        [row[0] for row in rows],
        success > 0,
        int((success > 0).sum()),
        "users",
        (f"{number_of(waiting, 'user')} will count one day after their first answer.",)
        * bool(waiting),
    )
