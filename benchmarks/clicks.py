"""What a verdict on clicks with positions says, against the relevance that made the clicks.

Queries have ten documents in the order of a first stage, and a second stage that gains, loses, or
changes nothing on the whole. Users see the first stage's order, with two results swapped in some
sessions, and click by position and relevance, or stop after their first click, which the model of
`Collection.from_impressions` does not know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from harness import Report, Requirement, Table, say

from runoff.errors import InvalidArgument
from runoff.evaluation import Collection, evaluate, verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness import Options
    from numpy.typing import NDArray

    from runoff.evaluation import Verdict

__all__ = ["run"]

_PLACES = 10
_SHARES = np.array([0.5, 0.4, 0.3, 0.25, 0.2, 0.2, 0.15, 0.15, 0.1, 0.1])  # of relevant documents
_SEEN = 1 / np.arange(1, _PLACES + 1) ** 0.8
_CLICKED = (0.08, 0.6)  # of what is looked at: other and relevant documents
_SWAPPED = 0.2  # of the sessions
_WORLDS, _FEW_WORLDS = 600, 40
_COVERAGE = 0.93
_SKILLS = {"gains": 2.0, "changes nothing": 0.35, "loses": -0.3}
_MEASURE = "nDCG@10"


@dataclass(frozen=True, slots=True)
class World:
    """Queries whose relevance is known, and the order of the second stage."""

    relevant: NDArray[np.bool_]
    second: NDArray[np.int64]

    @classmethod
    def drawn(cls, rng: np.random.Generator, queries: int, skill: float) -> World:
        """Return queries; the second stage orders by relevance times skill, with noise."""
        relevant = rng.random((queries, _PLACES)) < _SHARES
        scores = relevant * skill + rng.normal(0, 1, relevant.shape)
        if skill < 1:  # it knows of the first stage's order, too
            scores -= 0.5 * np.arange(_PLACES)
        return cls(relevant, np.argsort(-scores, axis=1))

    def gain(self) -> float:
        """Return the true difference in nDCG."""
        worth = 1 / np.log2(np.arange(2, _PLACES + 2))
        best = np.sort(self.relevant, axis=1)[:, ::-1] @ worth
        after = np.take_along_axis(self.relevant, self.second, 1) @ worth
        gained = after - self.relevant @ worth
        return float(np.divide(gained, best, out=np.zeros_like(best), where=best > 0).mean())

    def clicked(
        self, rng: np.random.Generator, sessions: int, *, stops: bool
    ) -> list[tuple[str, str, int, int, int]]:
        """Return what users saw and clicked."""
        queries = len(self.relevant)
        order = np.tile(np.arange(_PLACES), (queries, sessions, 1))
        swap = rng.permuted(order, axis=2)[:, :, :2]
        swap[rng.random((queries, sessions)) > _SWAPPED] = 0
        np.put_along_axis(order, swap, np.take_along_axis(order, swap[:, :, ::-1], 2), 2)
        each = np.arange(queries)[:, None, None]
        attractive = np.where(self.relevant[each, order], _CLICKED[1], _CLICKED[0])
        clicks = rng.random(order.shape) < _SEEN * attractive
        if stops:
            clicks &= np.cumsum(clicks, axis=2) <= 1
        shown = np.zeros((queries, _PLACES, _PLACES), np.int64)
        clicked = np.zeros_like(shown)
        at = (each, order, np.broadcast_to(np.arange(_PLACES), order.shape))
        np.add.at(shown, at, 1)
        np.add.at(clicked, at, clicks)
        return [
            (
                f"query {query}",
                f"d{doc}",
                int(place) + 1,
                int(clicked[query, doc, place]),
                int(many),
            )
            for query, doc, place in zip(*np.nonzero(shown), strict=True)
            if (many := shown[query, doc, place])
        ]

    def labels(self) -> Collection:
        """Return the true relevance."""
        return Collection.from_pairs(
            (f"query {query}", {f"d{at}": int(grade) for at, grade in enumerate(row)})
            for query, row in enumerate(self.relevant)
        )

    def verdict(self, judged: Collection) -> Verdict:
        """Return the verdict on the second stage by these judgments."""
        places = {one: int(text.removeprefix("query ")) for one, text in judged.queries.items()}
        first = {one: [f"d{at}" for at in range(_PLACES)] for one in places}
        second = {one: [f"d{at}" for at in self.second[place]] for one, place in places.items()}
        before, after = (evaluate(run, judged, [_MEASURE]) for run in (first, second))
        return verdict(before, after, rounds=1000)


def run(options: Options) -> Report:
    """Draw worlds and count what the verdicts on their clicks say."""
    rows: list[Sequence[object]] = []
    required: list[Requirement] = []
    many, few, populations = (3, 2, 2_000) if options.quick else (_WORLDS, _FEW_WORLDS, 200_000)
    for skill, strength in _SKILLS.items():
        whole = World.drawn(np.random.default_rng(0), populations, strength).gain()
        for queries, sessions, stops in (
            (50, 200, False),
            (200, 200, False),
            (200, 40, False),
            (200, 200, True),
        ):
            say(f"clicks: {skill}, {queries} queries, {sessions} sessions, stops={stops}")
            # with fewer sessions, most documents stay unjudged
            enough = sessions > 100 and not stops  # noqa: PLR2004 - as above
            worlds = many if enough else few
            found = _counted(worlds, queries, sessions, whole, strength, stops=stops)
            users = "stop after a click" if stops else "by position"
            rows.append((skill, users, queries, sessions, worlds, whole, *found))
            _, held, _, _, wrong = found
            if enough:
                what = f"coverage, {skill}, {queries} queries"
                required.append(Requirement(what, held, _COVERAGE, at_least=True))
            if not stops:
                what = f"wrong proven verdicts, {skill}, {queries} queries, {sessions} sessions"
                required.append(Requirement(what, wrong, 0.02))
    heads = ("second stage", "users", "queries", "sessions", "worlds", "true", "estimate")
    return Report(
        [
            Table(
                "Verdicts on clicks with positions",
                (*heads, "coverage", "with true labels", "proven", "wrong"),
                rows,
                f"{_MEASURE}; sessions of each query, with two results swapped in "
                f"{_SWAPPED:.0%} of them, and propensities fitted. Coverage is of the 95% interval "
                "with unjudged documents as not relevant. Proven and wrong: shares of verdicts "
                "that claim a gain, a loss or no effect, and of those that are not true.",
            )
        ],
        required,
    )


def _counted(
    worlds: int, queries: int, sessions: int, whole: float, skill: float, *, stops: bool
) -> tuple[float, float, float, float, float]:
    """Return mean estimate, coverage by clicks and labels, the shares of proven and wrong."""
    estimates, held, labelled, proven, wrong = [], 0, 0, 0, 0
    for seed in range(1, worlds + 1):
        rng = np.random.default_rng(seed)
        world = World.drawn(rng, queries, skill)
        try:
            judged = Collection.from_impressions(world.clicked(rng, sessions, stops=stops))
        except InvalidArgument:  # nothing was looked at often enough, and nothing is said
            continue
        found = world.verdict(judged)
        low, high = found.main.interval
        estimates.append(found.main.difference)
        held += low <= whole <= high
        low, high = world.verdict(world.labels()).main.interval
        labelled += low <= whole <= high
        proven += found.decision != "undecided"
        wrong += _wrong(found, whole)
    many = max(1, len(estimates))
    mean = float(np.mean(estimates)) if estimates else float("nan")
    return mean, held / many, labelled / many, proven / many, wrong / many


def _wrong(found: Verdict, whole: float) -> bool:
    if found.decision == "no effect":
        return abs(whole) > found.bound
    return (found.decision == "keep" and whole <= 0) or (found.decision == "remove" and whole >= 0)
