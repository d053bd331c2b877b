"""The part of the systems' replies that a user of an experiment is shown."""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from runoff._util.display import html_by
from runoff._util.messages import error_text, number_of
from runoff.live._interleaving import team_draft

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from runoff.live._interleaving import Team
    from runoff.types import Response, Result

logger = logging.getLogger("runoff")


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """What a user is shown.

    Attributes:
        response_id: to be passed to `feedback`; empty for an answer that does not count, as one
            system failed or nothing could be written.
        results: best first; each keeps the rank that its own system gave it.
    """

    response_id: str
    results: tuple[Result, ...] = ()

    _repr_html_ = html_by("answer_html", "_notebook")

    def __repr__(self) -> str:
        """Show the id and how many results there are."""
        return f"Answer({self.response_id!r}, {number_of(len(self.results), 'result')})"

    def __iter__(self) -> Iterator[Result]:
        """Iterate over the results, best first."""
        return iter(self.results)

    def __len__(self) -> int:
        """Return the number of results."""
        return len(self.results)


class Shown(NamedTuple):
    """What a user is shown.

    Attributes:
        arm: `"both"` for an interleaved list, else the system that answered.
        teams: document ids with their systems, in the order shown.
        results: in that order.
        counts: whether the answer says anything about the two systems.
    """

    arm: str
    teams: Sequence[tuple[str, Team]]
    results: tuple[Result, ...]
    counts: bool


def shown_of(replies: Mapping[str, Response | BaseException], top_k: int, *, bot: bool) -> Shown:
    """Return what is shown: one system's results, or both interleaved.

    If a system failed, or its answer is degraded, the other's results are shown and do not count.

    Args:
        replies: of each system that was asked, its response or its error.
        top_k: results to show.
        bot: whether the user is one, whose answers do not count.

    Raises:
        BaseException: every system failed, or was cancelled; this is the first one's error.
    """
    found = {arm: one for arm, one in replies.items() if not isinstance(one, BaseException)}
    failed = {arm: one for arm, one in replies.items() if isinstance(one, BaseException)}
    for _, error in sorted(failed.items(), key=itemgetter(0)):
        if not found or not isinstance(error, Exception):
            raise error
    for name, error in failed.items():
        logger.warning("experiment: system %s failed: %s", name, error_text(error))
    complete = {arm: one for arm, one in found.items() if one.outcome.complete}
    if len(complete) == len(replies) > 1:
        return _interleaved(complete, top_k)
    usable = complete or found
    arm: Team = "a" if "a" in usable else "b"
    response = usable[arm]
    teams: list[tuple[str, Team]] = [(one.doc_id, arm) for one in response]
    counts = len(complete) == len(replies) and not bot
    return Shown(arm, teams, response.results, counts)


def _interleaved(found: Mapping[str, Response], top_k: int) -> Shown:
    results = {name: {one.doc_id: one for one in found[name]} for name in ("a", "b")}
    teams = team_draft(
        list(results["a"]), list(results["b"]), top_k, lambda: bool(secrets.randbits(1))
    )
    either = {**results["b"], **results["a"]}
    # each as its own system returned it
    shown = tuple(results.get(team, either)[doc_id] for doc_id, team in teams)
    return Shown("both", teams, shown, counts=True)
