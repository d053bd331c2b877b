"""Does interleaving say which of two systems users prefer, how often, and with how many answers?

Users are simulated: they look at rank r with a chance of 1/r, and click by grade and by mistake.
The two lists of a query are those of real systems. All lists that the coins can make of them are
drafted by `Experiment`'s own code; an answer then is a query, one of these lists, and clicks.
"""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from harness import Report, Requirement, Skipped, Table, say
from live_orders import orders_of
from live_streams import CUTOFF, Traffic

from runoff.live._betting import first_proof
from runoff.live._interleaving import team_draft

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness import Options
    from numpy.typing import NDArray

__all__ = ["run"]

COLLECTIONS = ("cranfield", "xquad-en", "xquad-de")
_MOST = 300  # queries of a collection
_STREAMS, _ANSWERS, _FEWER = 400, 10_000, 2_000
_LEVEL = 0.05
_LOOKED = 1 / np.arange(1, CUTOFF + 1)
_CLICKED = np.array([0.08, 0.3, 0.5, 0.6])  # by grade
_BLIND = np.full(4, 0.3)
_RIGHT, _SIDE = 0.95, 1.645  # the normal distribution is below this many deviations in 95%
_COINS = list(product((True, False), repeat=CUTOFF // 2))
_SHORT, _MOST_NEEDED = 3, 100_000


class Drafts(NamedTuple):
    """All lists that coins can make of two systems' results.

    Attributes:
        grades: of the results, shape (queries, coins, cutoff).
        sides: -1 for a result of the first system, 1 for one of the second, else 0.
        weights: name of a credit to the weight of each result.
    """

    grades: NDArray[np.int64]
    sides: NDArray[np.int64]
    weights: dict[str, NDArray[np.float64]]


def run(options: Options) -> Report:
    """Measure how often the sign is right, what that takes, other credits, and false claims."""
    traffic, notes = [], []
    for name in options.collections or COLLECTIONS:
        try:
            orders = orders_of(name, 20 if options.quick else options.queries or _MOST)
        except Skipped as missing:
            notes.append(f"skipped {name}: {missing}")
        else:
            traffic.append(Traffic(orders))
    if not traffic:
        raise Skipped("; ".join(notes))
    size = (4, 200, 100) if options.quick else (_STREAMS, _ANSWERS, _FEWER)
    tables, required = [], []
    for part in (_signs, _credits, _alike):
        table, bounds = part(traffic, *size)
        tables.append(table)
        required += bounds
    return Report(tables, () if options.quick else required, notes)


def _signs(
    traffic: Sequence[Traffic], streams: int, answers: int, fewer: int
) -> tuple[Table, list[Requirement]]:
    rows: list[Sequence[object]] = []
    required = []
    for one in traffic:
        lowest = min(one.values, key=one.values.__getitem__)
        for before, after in ((lowest, "reranked"), ("bm25", "reranked")):
            say(f"{one.name}: users compare {before} with {after}")
            drawn = {
                how: np.array([make() for _ in range(streams)])
                for how, make in _streams(one, before, after, answers).items()
            }
            values = {how: found[:, 0] for how, found in drawn.items()}
            sign = math.copysign(1, one.values[after] - one.values[before])
            right = {
                (how, many): float((sign * found[:, :many].mean(axis=1) > 0).mean())
                for how, found in values.items()
                for many in (fewer, answers)
            }
            rows.append(
                (
                    one.name,
                    f"{before}, {after}",
                    one.values[after] - one.values[before],
                    right["interleaved", fewer],
                    right["interleaved", answers],
                    right["split", fewer],
                    right["split", answers],
                    _needed(sign * values["interleaved"]),
                    _needed(sign * values["split"]),
                    *(_proof(sign * found[:, 0], found[:, 1]) for found in drawn.values()),
                )
            )
            many = fewer if before == lowest else answers
            what = f"{one.name}, {before} and {after}: the sign is right after {many:,}"
            found = right["interleaved", many]
            required.append(Requirement(what, found, _RIGHT, at_least=True))
    title = f"How often the sign is right, and after how many answers, in {streams} streams"
    columns = (
        "collection",
        "systems",
        "nDCG@10",
        f"after {fewer:,}",
        f"after {answers:,}",
        f"split: {fewer:,}",
        f"split: {answers:,}",
        "right in 95% after",
        "split: right in 95% after",
        "proven after",
        "as in 2008: proven after",
        "split: proven after",
    )
    note = (
        "Right in 95%: by the mean and the variance of an answer. Proven: the median; the interval "
        f"leaves out 0 at one of the {answers:,} looks."
    )
    return Table(title, columns, rows, note), required


def _streams(
    traffic: Traffic, before: str, after: str, answers: int
) -> dict[str, Callable[[], NDArray[np.float64]]]:
    """Return what draws a stream: values, and the most that each could be; shape (2, answers)."""
    lists = traffic.found[before], traffic.found[after]
    rng = np.random.default_rng(len(traffic.name) + len(before))
    grades = [_graded(traffic, found) for found in lists]

    def interleaved(drafts: Drafts) -> NDArray[np.float64]:
        values = np.sign(_credited(drafts, answers, rng))
        return np.stack([values, np.ones(answers)])

    def split() -> NDArray[np.float64]:
        query, side = rng.integers(0, len(traffic.ids), answers), rng.random(answers) < 1 / 2
        shown = np.where(side[:, None], grades[1][query], grades[0][query])
        liked = (rng.random(shown.shape) < _LOOKED * _CLICKED[shown]).any(axis=1)
        usual = (2 + np.cumsum(liked) - liked) / (4 + np.arange(answers))
        values = 2 * np.where(side, 1, -1) * (liked - usual)
        return np.stack([values, 2 * np.maximum(usual, 1 - usual)])

    ours, plain = (_drafts(traffic, *lists, plain=one) for one in (False, True))
    return {
        "interleaved": lambda: interleaved(ours),
        "plain": lambda: interleaved(plain),
        "split": split,
    }


def _graded(traffic: Traffic, found: dict[str, list[str]] | object) -> NDArray[np.int64]:
    rows = [
        [traffic.grades[one].get(doc_id, 0) for doc_id in found[one][:CUTOFF]]  # type: ignore[index] # by query
        for one in traffic.ids
    ]
    return np.array([row + [0] * (CUTOFF - len(row)) for row in rows])


def _drafts(
    traffic: Traffic,
    before: object,
    after: object,
    *,
    plain: bool = False,
    short: int = CUTOFF,
) -> Drafts:
    """Draft the lists of every query by every sequence of coins."""
    shape = len(traffic.ids), len(_COINS), CUTOFF
    grades, sides = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    weights = {name: np.zeros(shape) for name in _WEIGHTS}
    for row, query_id in enumerate(traffic.ids):
        a, b = before[query_id][:short], after[query_id][:CUTOFF]  # type: ignore[index] # by query
        for column, coins in enumerate(_COINS):
            toss = iter((*coins, *coins)).__next__
            drafted = team_draft(a, b, CUTOFF, toss, plain=plain)
            for at, (doc_id, team) in enumerate(drafted):
                grades[row, column, at] = traffic.grades[query_id].get(doc_id, 0)
                sides[row, column, at] = {"a": -1, "b": 1, "": 0}[team]
        if not plain:
            _weigh(weights, row, a, b)
    return Drafts(grades, sides, weights)


_WEIGHTS: dict[str, Callable[[int], float]] = {
    "each click 1": lambda rank: 1.0,  # noqa: ARG005 - of no rank
    "by discount": lambda rank: 1 / math.log2(rank + 1),
    "by inverse rank": lambda rank: 1 / rank,
}


def _weigh(
    weights: dict[str, NDArray[np.float64]], row: int, a: Sequence[str], b: Sequence[str]
) -> None:
    """Set the weight of each pair: how much the two systems differ about its two results.

    A pair is made of the same two results whichever way its coin falls.
    """
    first, second = (team_draft(a, b, CUTOFF, lambda side=side: side) for side in (True, False))
    at = 0
    while at < len(first):
        if not first[at][1]:
            at += 1
            continue
        x, y = first[at][0], second[at][0]
        for name, value in _WEIGHTS.items():
            given = 1.0
            if name != "each click 1":
                of = [{doc_id: value(rank) for rank, doc_id in enumerate(ids, 1)} for ids in (a, b)]
                given = (of[1].get(y, 0) - of[1].get(x, 0) + of[0].get(x, 0) - of[0].get(y, 0)) / 2
            weights[name][row, :, at : at + 2] = given
        at += 2


def _credited(
    drafts: Drafts,
    answers: int,
    rng: np.random.Generator,
    *,
    weights: NDArray[np.float64] | None = None,
    clicked: NDArray[np.float64] = _CLICKED,
) -> NDArray[np.float64]:
    """Return the second system's clicks less the first's, in each answer."""
    query = rng.integers(0, len(drafts.grades), answers)
    coins = rng.integers(0, len(_COINS), answers)
    grades, sides = drafts.grades[query, coins], drafts.sides[query, coins]
    clicks = rng.random(grades.shape) < _LOOKED * clicked[grades]
    return (sides * clicks * (1 if weights is None else weights[query, coins])).sum(axis=1)


def _credits(
    traffic: Sequence[Traffic], streams: int, answers: int, fewer: int
) -> tuple[Table, list[Requirement]]:
    del fewer
    rows: list[Sequence[object]] = []
    for one in traffic:
        for before, after in (("bm25", "fused"), ("bm25", "reranked"), ("dense", "reranked")):
            say(f"{one.name}: credits for {before} and {after}")
            drafts = _drafts(one, one.found[before], one.found[after])
            rng = np.random.default_rng(0)
            sign = math.copysign(1, one.values[after] - one.values[before])
            many = streams * answers // 10
            credited = {
                name: sign * _credited(drafts, many, rng, weights=weights)
                for name, weights in drafts.weights.items()
            }
            winner = np.sign(credited["each click 1"])
            difference = abs(one.values[after] - one.values[before])
            rows.append(
                (
                    one.name,
                    f"{before}, {after}",
                    difference,
                    *map(_needed, (winner, *credited.values())),
                )
            )
    title = "Answers until the sign is right in 95% of streams, by credit"
    columns = ("collection", "systems", "nDCG@10", "the winner", *_WEIGHTS)
    note = (
        "The weights: how much the discounts, or the inverse ranks, that the two systems give the "
        "two results of a pair differ."
    )
    return Table(title, columns, rows, note), []


def _alike(
    traffic: Sequence[Traffic], streams: int, answers: int, fewer: int
) -> tuple[Table, list[Requirement]]:
    del fewer
    rows: list[Sequence[object]] = []
    required = []
    exchanged, blind = "the two exchanged at random", "clicks by position alone"
    uneven = f"the same, one list of {_SHORT} results"
    for at, one in enumerate(traffic):
        rng = np.random.default_rng(at)
        lists = one.found["bm25"], one.found["reranked"]
        whole, short = _drafts(one, *lists), _drafts(one, *lists, short=_SHORT)
        shares: list[float] = []
        for what, drafts, clicked, mixed in (
            (exchanged, whole, _CLICKED, True),
            (blind, whole, _BLIND, False),
            (uneven, short, _BLIND, False),
        ):
            say(f"{one.name}: {what}")
            values = np.array(
                [
                    np.sign(_credited(drafts, answers, rng, clicked=clicked))
                    * (rng.choice([-1, 1], answers) if mixed else 1)
                    for _ in range(streams)
                ]
            )
            false = sum(
                (first_proof(side * values, -1.0, 0.0, level=_LEVEL / 2) > 0) for side in (1, -1)
            )
            shares.append(float((np.asarray(false) > 0).mean()))
            required.append(Requirement(f"{one.name}, {what}: false claims", shares[-1], _LEVEL))
        rows.append((one.name, *shares))
    title = f"Streams of {answers:,} answers without a preference that ever claim one"
    return Table(title, ("collection", exchanged, blind, uneven), rows), required


def _needed(values: NDArray[np.float64]) -> str:
    """Return after how many values like these the mean is above 0 in 95% of streams."""
    mean, spread = float(values.mean()), float(values.std())
    needed = (_SIDE * spread / mean) ** 2 if mean > 0 else math.inf
    return f"{needed:,.0f}" if needed <= _MOST_NEEDED else f"over {_MOST_NEEDED:,}"


def _proof(values: NDArray[np.float64], most: NDArray[np.float64]) -> str:
    """Return after how many values a mean above 0 is proven, the median of the streams."""
    found = np.array(
        [
            int(first_proof(one[None], -bound, 0.0, level=_LEVEL / 2)[0]) or math.inf
            for one, bound in zip(values, most, strict=True)
        ]
    )
    middle = float(np.median(found))
    return f"{middle:,.0f}" if math.isfinite(middle) else "not found"
