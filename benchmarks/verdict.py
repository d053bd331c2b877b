"""How often the verdict is wrong, what it finds, where it fails to decide, and how long it takes.

A system is compared with itself, rerankers of known harm with none, and made-up differences of
known size are put before it.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from harness import Report, Requirement, Skipped, Table, data_root, say

from runoff import Query
from runoff.errors import InvalidArgument
from runoff.evaluation import Collection, Evaluator, by_length, verdict
from runoff.evaluation._measures.differences import compare_means
from runoff.recall import BM25

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness import Options
    from numpy.typing import NDArray

    from runoff import Document
    from runoff.evaluation import Measured, Verdict

__all__ = ["run"]

COLLECTIONS = ("scifact", "nfcorpus", "cranfield")
DECISIONS = ("keep", "remove", "keep for these slices", "no effect", "undecided")
SIZES = (50, 100, 200, 500)
_DEPTH = 50
_SAMPLE = 100  # queries of one comparison
_READINGS = 16  # of one system, each with other noise
_ROUNDS = 1000
_LEVEL, _BOUND = 0.05, 0.01  # those of `verdict`
_FALSE_BOUND, _POWER_BOUND, _HARM = 0.065, 0.9, 0.05
_LOST = 0.6  # by a query that a rare harm hits


def run(options: Options) -> Report:
    """Measure level, power, indecision and speed."""
    trials = {"alike": 5, "harm": 5, "made up": 3} if options.quick else {}
    level: list[tuple[str, *tuple[float, ...]]] = []
    power: list[Sequence[object]] = []
    required: list[Requirement] = []
    notes: list[str] = []
    for name in options.collections or COLLECTIONS:
        try:
            judged = _Judged(name)
        except InvalidArgument as missing:
            notes.append(f"skipped {name}: {missing}")
            continue
        say(f"{name}: a system against itself")
        level.append((name, *_level(judged, trials.get("alike", 1000))))
        required.append(Requirement(f"false findings on {name}", level[-1][-1], _FALSE_BOUND))
        say(f"{name}: known harms")
        for row in _power(judged, trials.get("harm", 100)):
            power.append((name, *row))
            if row[1] <= -_HARM:
                what = f"share of samples in which the {row[0]} reranker is removed on {name}"
                required.append(Requirement(what, row[-1], _POWER_BOUND, at_least=True))
    if not level:
        raise Skipped("; ".join(notes))
    say("made-up differences")
    unsure = _unsure(trials.get("made up", 100))
    return Report(
        [
            Table(
                f"A system against itself, {_SAMPLE} queries, three measures and thirds by length",
                ("collection", *DECISIONS, "false"),
                level,
                "BM25 with noise on its scores, against itself with other noise; shares of trials.",
            ),
            Table(
                f"Rerankers of known harm over BM25's first {_DEPTH}, {_SAMPLE} queries",
                ("collection", "reranker", "nDCG@10", "spread", *DECISIONS, "removed"),
                power,
                "Difference and standard deviation over all queries; shares of samples.",
            ),
            unsure,
            _speed(),
        ],
        required,
        notes,
    )


class _Judged:
    """A collection with BM25's first documents of every query."""

    def __init__(self, name: str) -> None:
        self.collection = Collection.from_beir(data_root() / name)
        bm25 = BM25(list((self.collection.documents or {}).values()))
        self.hits = {
            query_id: bm25.retrieve(Query(text), depth=_DEPTH)
            for query_id, text in self.collection.queries.items()
        }
        self.evaluator = Evaluator(self.collection)

    def measured(self, score: Callable[[str, Sequence[Document]], Sequence[float]]) -> Measured:
        """Return the measures of the hits in the order of their scores."""
        run = {}
        for query_id, hits in self.hits.items():
            documents = [hit.document for hit in hits]
            scores = score(self.collection.queries[query_id], documents)
            order = sorted(range(len(documents)), key=lambda at: -scores[at])
            run[query_id] = [documents[at].doc_id for at in order]
        return self.evaluator.evaluate(run)

    def noisy(self, seed: int) -> Measured:
        """Return the measures of BM25 with noise on its scores."""
        rng = np.random.default_rng(seed)
        run = {}
        for query_id, hits in self.hits.items():
            scores = np.array([hit.score for hit in hits])
            noise = rng.normal(0, 0.15 * scores.std(), len(hits)) if hits else 0.0
            order = np.argsort(-(scores + noise))
            run[query_id] = [hits[at].document.doc_id for at in order.tolist()]
        return self.evaluator.evaluate(run)


def _level(judged: _Judged, trials: int) -> list[float]:
    """Compare readings of one system: each query draws two at random."""
    rng = np.random.default_rng(0)
    readings = [judged.noisy(seed) for seed in range(_READINGS)]
    values = {
        measure: np.array([one.values[measure] for one in readings])
        for measure in judged.evaluator.measures
    }
    found = []
    for seed in range(trials):
        at = _drawn(rng, judged)
        sides = rng.permuted(np.tile(np.arange(_READINGS), (len(at), 1)), axis=1)[:, :2]
        before, after = (
            {one: _named(judged, at, table[sides[:, side], at]) for one, table in values.items()}
            for side in (0, 1)
        )
        found.append(_verdict(judged, before, after, seed))
    false = sum(
        one.decision not in {"no effect", "undecided"} or bool(one.remove_for) for one in found
    )
    return [*_shares(found), false / trials]


def _power(judged: _Judged, trials: int) -> list[tuple[str, float, float, *tuple[float, ...]]]:
    before = judged.measured(lambda _, documents: [0.0] * len(documents))
    rows: list[tuple[str, float, float, *tuple[float, ...]]] = []
    for name, score in _RERANKERS.items():
        after = judged.measured(score)
        deltas = after.values["nDCG@10"] - before.values["nDCG@10"]
        rng = np.random.default_rng(1)
        found = []
        for seed in range(trials):
            at = _drawn(rng, judged)
            sides = [
                {one: _named(judged, at, side.values[one][at]) for one in side.values}
                for side in (before, after)
            ]
            found.append(_verdict(judged, sides[0], sides[1], seed))
        shares = _shares(found)
        spread = float(deltas.std(ddof=1))
        rows.append((name, float(deltas.mean()), spread, *shares, shares[1]))
    return rows


def _reversing(_: str, documents: Sequence[Document]) -> list[float]:
    return [float(at) for at in range(len(documents))]


def _foreign(query: str, documents: Sequence[Document]) -> list[float]:
    return [random.Random(f"{query}\0{one.doc_id}").random() for one in documents]  # noqa: S311 - no secret


def _truncating(query: str, documents: Sequence[Document]) -> list[float]:
    words = set(query.lower().split())
    return [float(len(words & set(one.text.lower().split()[:5]))) for one in documents]


def _constant(_: str, documents: Sequence[Document]) -> list[float]:
    return [0.5] * len(documents)


_RERANKERS: dict[str, Callable[[str, Sequence[Document]], Sequence[float]]] = {
    "reversing": _reversing,
    "wrong-language": _foreign,
    "truncating": _truncating,
    "constant": _constant,
}


def _drawn(rng: np.random.Generator, judged: _Judged) -> NDArray[np.int64]:
    count = len(judged.collection)
    return rng.choice(count, min(_SAMPLE, count), replace=False)


def _named(judged: _Judged, at: NDArray[np.int64], values: NDArray[np.float64]) -> dict[str, float]:
    ids = judged.evaluator.query_ids
    return {ids[place]: float(value) for place, value in zip(at.tolist(), values, strict=True)}


def _verdict(
    judged: _Judged,
    before: Mapping[str, Mapping[str, float]],
    after: Mapping[str, Mapping[str, float]],
    seed: int,
) -> Verdict:
    texts = {one: judged.collection.queries[one] for one in before["nDCG@10"]}
    slices = {"length": by_length(texts)}
    return verdict(before, after, slices=slices, rounds=_ROUNDS, seed=seed)


def _shares(found: Sequence[Verdict]) -> list[float]:
    counted = Counter(one.decision for one in found)
    return [counted[decision] / len(found) for decision in DECISIONS]


def _unsure(trials: int) -> Table:
    """Put differences of known size before the verdict, one measure and no slices."""
    rng = np.random.default_rng(2)
    shapes: dict[str, Callable[[float, int], NDArray[np.float64]]] = {
        "every query a little, spread .1": lambda size, n: rng.normal(-size, 0.1, n),
        "every query a little, spread .2": lambda size, n: rng.normal(-size, 0.2, n),
        "every query a little, spread .3": lambda size, n: rng.normal(-size, 0.3, n),
        f"few queries lose {_LOST:g}": lambda size, n: -_LOST * (rng.random(n) < size / _LOST),
    }
    rows = []
    for size in (0.0, 0.005, 0.02, 0.05, 0.1):
        for shape, deltas in shapes.items():
            cells = [_cell(deltas, size, queries, trials) for queries in SIZES]
            rows.append((size, shape, *cells))
    return Table(
        "Where it fails to decide: made-up harms of known size",
        ("true loss", "how", *(f"{queries} queries" for queries in SIZES)),
        rows,
        f"Share of {trials} trials: remove / no effect / undecided; what is left of 1 is keep. "
        "A loss above .01 called no effect, and any keep of a loss, is an error.",
    )


def _cell(
    deltas: Callable[[float, int], NDArray[np.float64]], size: float, queries: int, trials: int
) -> str:
    changes = np.stack([deltas(size, queries) for _ in range(trials)], axis=1)
    members, span = np.ones(changes.shape, np.bool_), np.ones(trials)
    found = compare_means(changes, members, span, rounds=_ROUNDS)
    # as `verdict` decides on one measure without slices
    none = np.abs(np.hstack([found.worst, found.intervals])).max(axis=1) <= _BOUND
    proven = (found.adjusted <= _LEVEL) & ~none
    removed = proven & (changes.mean(axis=0) < 0)
    unsure = ~none & ~proven
    return f"{removed.mean():.2f} / {none.mean():.2f} / {unsure.mean():.2f}"


def _speed() -> Table:
    rng = np.random.default_rng(3)
    rows = []
    for queries, measures, slices in ((100, 1, 0), (1000, 1, 0), (1000, 3, 0), (1000, 3, 9)):
        ids = [f"q{at}" for at in range(queries)]
        before, after = (
            {
                f"measure {at}": dict(zip(ids, rng.uniform(0, 1, queries).tolist(), strict=True))
                for at in range(measures)
            }
            for _ in range(2)
        )
        sliced = {"ninth": {one: at % slices for at, one in enumerate(ids)}} if slices else None
        started = time.perf_counter()
        verdict(before, after, slices=sliced)
        rows.append((queries, measures, slices, time.perf_counter() - started))
    return Table(
        "Seconds of a verdict with 10,000 rounds",
        ("queries", "measures", "slices", "seconds"),
        rows,
    )
