"""How often intervals contain the truth, on real differences, where all queries change or few.

The queries of a collection, with their differences between BM25 and embeddings, are the population;
samples of them are drawn with replacement. Sparse populations replace 95, 97 or 99% by queries that
are alike. A system against itself gives each difference a random sign. The percentile bootstrap of
version 0.1.0 stands beside for comparison. Choices among made-up settings and windows follow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from harness import Report, Requirement, Skipped, Table, say
from judged import Collection
from recalled import sources

from runoff import Query
from runoff.evaluation import Evaluator
from runoff.evaluation._curve import recommended
from runoff.evaluation._measures.choice import argmax, cheapest_of_the_best, held_out
from runoff.evaluation._measures.differences import Compared, compare_means, regret_ends
from runoff.evaluation._measures.power import more_queries
from runoff.evaluation._tune import gained

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness import Options
    from numpy.typing import NDArray

__all__ = ["run"]

# most queries change on the first three; on the last, the others are 63%
COLLECTIONS = ("cranfield", "nfcorpus", "msmarco-dl19-pool", "squad2-dev")
SIZES = (30, 50, 100, 200)
ALIKE = (None, 0.95, 0.97, 0.99)
BETWEEN = ((30, 0.63), (50, 0.63), (50, 0.8), (100, 0.9), (200, 0.95))
_QUERIES = 700  # of a collection at most
_ROUNDS = 1000
_MORE = 10  # times the samples
_AT_ONCE = 1000  # columns, for memory's sake
_PARTS = ("p", "adjusted", "intervals", "worst")
_BOUND = 0.01
_SETTINGS = 12
_WINDOWS = np.array([0, 5, 10, 15, 20, 30, 40, 50, 75, 100])
_COVERED, _WIDER, _CHANCE, _REGRET, _HIDDEN, _SAME = 0.93, 1.05, 0.03, 0.9, 0.025, 0.02


def run(options: Options) -> Report:
    """Measure coverage, width, rare harm, predictions, and choices by chance."""
    samples = 40 if options.quick else 1000
    rows: list[Sequence[object]] = []
    enough: list[Sequence[object]] = []
    required: list[Requirement] = []
    notes: list[str] = []
    for name in options.collections or COLLECTIONS:
        try:
            collection = Collection.load(name, 8 if options.quick else options.queries or _QUERIES)
            found = _differences(collection)
        except Skipped as missing:
            notes.append(f"skipped {name}: {missing}")
            continue
        if not found.any():
            notes.append(f"skipped {name}: both sources answer every query equally well")
            continue
        say(f"{name}: {len(found)} differences")
        rows += _coverage(name, found, samples, required)
        enough.append((name, *_enough(found, 6 * samples)))
    if not rows:
        raise Skipped("; ".join(notes))
    sizes = [f"{one} queries" for one in SIZES]
    say("rare harm, predictions, choices")
    return Report(
        [
            Table(
                "Share of 95% intervals that contain the true mean, and how wide they are",
                ("collection", "alike", *sizes),
                rows,
                f"Before -> after, x width of before; {samples} samples, "
                f"and {_MORE} times as many of differences as found. By chance: share of "
                f"samples in which a system differs from itself; below {_SAME:g} of sparse ones.",
            ),
            Table(
                f"Coverage before, and by what its width must be multiplied to cover {_COVERED:g}",
                (
                    "collection",
                    *(f"{queries} queries, {alike:.0%} alike" for queries, alike in BETWEEN),
                ),
                enough,
                f"Of the percentile bootstrap, about its mean; {6 * samples} samples.",
            ),
            _rare(samples, required),
            _more(4 if options.quick else 30),
            _choices(20 if options.quick else 400, required),
            _regrets(10 if options.quick else 60, required),
        ],
        required if not options.quick else (),
        notes,
    )


def _differences(collection: Collection) -> NDArray[np.float64]:
    """Return every query's nDCG@10 by embeddings minus that by BM25."""
    evaluator = Evaluator(collection, ["nDCG@10"])
    values = []
    for source in sources(collection, 10).values():
        run = {
            query_id: [hit.doc_id for hit in source.retrieve(Query(text), depth=10)]
            for query_id, text in collection.queries.items()
        }
        values.append(evaluator.evaluate(run).values["nDCG@10"])
    return np.asarray(values[1] - values[0])


def _coverage(
    name: str, found: NDArray[np.float64], samples: int, required: list[Requirement]
) -> list[Sequence[object]]:
    rng = np.random.default_rng(1)
    changed = found[found != 0]
    rows: list[Sequence[object]] = []
    for alike in ALIKE:
        cells, chance = [], []
        for queries in SIZES:
            shape = (queries, samples)
            if alike is None:
                # near the bound, where a thousand samples leave it to chance
                shape = (queries, _MORE * samples)
                deltas, truth = rng.choice(found, shape), float(found.mean())
                what = f"{(found == 0).mean():.0%}, as found"
            else:
                deltas = rng.choice(changed, shape) * (rng.random(shape) >= alike)
                truth, what = float((1 - alike) * changed.mean()), f"{alike:.0%}"
            before, after = _bootstrap(deltas), _compared(deltas)
            wide = (after.intervals[:, 1] - after.intervals[:, 0]).mean()
            wider = float(wide / (before[1] - before[0]).mean())
            shares = [_inside(ends, truth) for ends in (before, after.intervals.T)]
            cells.append(f"{shares[0]:.3f} -> {shares[1]:.3f}, x {wider:.2f}")
            aside = f"on {name}, {what} alike, {queries} queries"
            required.append(Requirement(f"coverage {aside}", shares[1], _COVERED, at_least=True))
            if alike is None and (found == 0).mean() < 0.5:  # noqa: PLR2004 - most change
                required.append(Requirement(f"width {aside}", wider, _WIDER))
            own = _compared(deltas * rng.choice((-1.0, 1.0), shape))
            wrong = float((own.p <= 1 - _COVERED - 0.02).mean())
            chance.append(f"{wrong:.3f}")
            if alike is not None:
                required.append(Requirement(f"differs by chance {aside}", wrong, _SAME))
            excludes = (own.intervals[:, 0] > 0) | (own.intervals[:, 1] < 0)
            if (excludes != (own.adjusted <= 1 - _COVERED - 0.02)).any():
                msg = "an interval and its test contradict each other"
                raise RuntimeError(msg)
        rows.append((name, what, *cells))
        if alike is None:
            rows.append((name, f"{what}, by chance", *chance))
        say(f"{name}, {what} alike: {'; '.join(cells)}")
    return rows


def _enough(found: NDArray[np.float64], samples: int) -> list[str]:
    """Return how wide an interval must be where some, but not most, queries change."""
    rng = np.random.default_rng(5)
    changed = found[found != 0]
    cells = []
    for queries, alike in BETWEEN:
        shape = (queries, samples)
        deltas = rng.choice(changed, shape) * (rng.random(shape) >= alike)
        truth, mean = float((1 - alike) * changed.mean()), deltas.mean(axis=0)
        ends = _bootstrap(deltas)
        side = np.where(truth < mean, mean - ends[0], ends[1] - mean)
        # where nothing changed, no multiple is wide enough
        factor = np.full(samples, np.inf)
        np.divide(np.abs(truth - mean), side, out=factor, where=side > 0)
        cells.append(f"{_inside(ends, truth):.3f}, x {np.quantile(factor, _COVERED):.2f}")
    return cells


def _compared(deltas: NDArray[np.float64]) -> Compared:
    parts = [
        compare_means(part, np.ones(part.shape, np.bool_), np.ones(part.shape[1]), rounds=_ROUNDS)
        for part in np.array_split(deltas, -(-deltas.shape[1] // _AT_ONCE), axis=1)
    ]
    return Compared(*(np.concatenate([getattr(one, name) for one in parts]) for name in _PARTS))


def _bootstrap(deltas: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the percentile bootstrap's intervals, shape (2, samples)."""
    queries = len(deltas)
    counts = np.random.default_rng(0).multinomial(
        queries, np.full(queries, 1 / queries), size=_ROUNDS
    )
    means = np.sort(counts @ deltas / queries, axis=0)
    # the same order statistics as those of the intervals that it stands beside
    outside = int(0.025 * (_ROUNDS + 1))
    return means[[outside - 1, _ROUNDS - outside]]


def _inside(ends: NDArray[np.float64], truth: float) -> float:
    slack = 1e-12
    return float(((ends[0] <= truth + slack) & (truth - slack <= ends[1])).mean())


def _rare(samples: int, required: list[Requirement]) -> Table:
    """Let few queries lose much, and see whether that is called no effect."""
    rng = np.random.default_rng(2)
    rows = []
    for share, loss in ((0.015, 1.0), (0.02, 0.75), (0.05, 0.3)):
        cells = []
        for queries in (100, 200, 400):
            deltas = -loss * (rng.random((queries, samples)) < share)
            ends, worst = _bootstrap(deltas), _compared(deltas).worst
            before = float(((ends[0] >= -_BOUND) & (ends[1] <= _BOUND)).mean())
            after = float((np.abs(worst).max(axis=1) <= _BOUND).mean())
            cells.append(f"{before:.3f} -> {after:.3f}")
            what = f"no effect where {share:.1%} of {queries} queries lose {loss:g}"
            required.append(Requirement(what, after, _HIDDEN))
        rows.append((f"{share:.1%} lose {loss:g}", share * loss, *cells))
        say(f"{share:.1%} lose {loss:g}: {cells}")
    return Table(
        "Share of samples in which rare harm is called no effect (bound .01), before -> after",
        ("harm", "true loss", "100 queries", "200 queries", "400 queries"),
        rows,
    )


def _more(samples: int) -> Table:
    """Predict how many more queries decide, add them, and see."""
    rng = np.random.default_rng(3)
    rows: list[Sequence[object]] = []
    for spread in (0.04, 0.1):
        for queries in (30, 50, 100):
            said: list[tuple[int, int]] = []
            decided: list[float] = []
            for seed in range(samples):
                first = rng.normal(-0.007, spread, (queries, 1))
                found = (
                    None if _decided(first) else more_queries(first[:, 0], bound=_BOUND, seed=seed)
                )
                if found is None:
                    continue
                said.append(found)
                more = rng.normal(-0.007, spread, (min(found[1], 2000), 1))
                decided.append(float(_decided(np.vstack([first, more]))))
            low, high = np.median(said, axis=0) if said else (np.nan, np.nan)
            share = np.mean(decided) if said else np.nan
            rows.append((spread, queries, len(said) / samples, low, high, share))
            say(f"spread {spread:g}, {queries} queries: {rows[-1][2:]}")
    return Table(
        "How many more queries decide, for a true difference of -.007",
        ("spread", "queries", "said in", "from", "to", "decided with the upper number"),
        rows,
        f"Share of {samples} samples in which a range is said (in the others it cannot be, or the "
        "first queries decide), medians of its ends, and how often the upper end was enough.",
    )


def _decided(deltas: NDArray[np.float64]) -> bool:
    found = _compared(deltas)
    return bool(found.p[0] <= 0.05 or np.abs(found.worst).max() <= _BOUND)  # noqa: PLR2004 - the level


def _choices(samples: int, required: list[Requirement]) -> Table:
    """Choose among settings that are equally good, and among some that are not."""
    rng = np.random.default_rng(4)
    rows: list[Sequence[object]] = []
    rank = np.zeros(_SETTINGS, np.int64)
    for apart in (0.0, 0.02, 0.04):
        for queries in (20, 30, 50, 100, 200):
            figures: list[tuple[float, float]] = []
            for seed in range(samples if apart == 0 else samples // 4):
                true = rng.normal(0, apart, _SETTINGS)
                noise = rng.normal(0, 0.15, (_SETTINGS, queries))
                noise *= rng.random(noise.shape) < 0.5  # noqa: PLR2004 - half of the queries change
                values = rng.beta(0.6, 0.5, queries) + noise
                values = np.clip(values, 0, 1) if apart == 0 else values + true[:, None]
                chosen = cheapest_of_the_best(values, rank)
                if chosen == 0:
                    continue
                ahead = held_out(values, rank, folds=5, rounds=4, seed=seed)
                gain, _, proven = gained(values, chosen, ahead.values, seed=seed)
                if proven:
                    figures.append((gain, float(true[chosen] - true[0])))
            share = len(figures) / (samples if apart == 0 else samples // 4)
            promised, real = np.mean(figures, axis=0) if figures else (np.nan, np.nan)
            rows.append((apart, queries, share, promised, real if apart else 0.0))
            say(f"settings {apart:g} apart, {queries} queries: {rows[-1][2:]}")
            if apart == 0:
                what = f"better by chance, {queries} queries"
                required.append(Requirement(what, share, _CHANCE))
    return Table(
        f"How often tune says better, of {_SETTINGS} settings, and what it then promises",
        ("settings apart by", "queries", "better", "promised gain", "true gain"),
        rows,
        "The settings' true means have this standard deviation; with 0 all are equally good.",
    )


def _regrets(samples: int, required: list[Requirement]) -> Table:
    """Recommend a window on made-up queries of which all windows' true means are known."""
    rows: list[Sequence[object]] = []
    for kind, decoys in (("peaks", 0.02), ("rises", 0.0005), ("hardly changes", 0.2)):
        rng = np.random.default_rng(5)
        every = _by_window(rng, decoys, flat=kind == "hardly changes")
        means = every.mean(axis=1)
        for queries in SIZES:
            inside, widths = [], []
            for seed in range(samples):
                values = every[:, rng.integers(0, every.shape[1], queries)]
                chosen = recommended(values)
                regret = means.max() - means[chosen]
                ranks = np.arange(len(values))
                held = held_out(values, ranks, folds=5, rounds=2, seed=seed, tolerance=0.0025)
                own = float((values[argmax(values)] - held.values).mean())
                low, high = regret_ends(values, chosen, seed=seed)
                inside.append(min(low, own) - 1e-12 <= regret <= max(high, own) + 1e-12)
                widths.append(max(high, own))
            share = float(np.mean(inside))
            rows.append((kind, queries, share, float(np.mean(widths))))
            say(f"a curve that {kind}, {queries} queries: {rows[-1][2:]}")
            what = f"regret intervals that hold, curve that {kind}, {queries} queries"
            required.append(Requirement(what, share, _REGRET, at_least=True))
    return Table(
        "Share of regret intervals that contain the true regret",
        ("curve", "queries", "share", "mean upper end"),
        rows,
    )


def _by_window(rng: np.random.Generator, decoys: float, *, flat: bool) -> NDArray[np.float64]:
    """Return values of 3,000 queries: a wider window finds more, and meets more decoys."""
    count = 3000
    rank = rng.geometric(0.05, count)
    before = np.where(rank <= 10, 1 / np.log2(1 + rank), 0.0)  # noqa: PLR2004 - nDCG@10
    finds, decoy = rng.random(count) < 0.8, rng.geometric(decoys, count)  # noqa: PLR2004 - most
    slight = rng.normal(0, 0.02, count)
    values = []
    for window in _WINDOWS.tolist():
        if flat:
            values.append(before + np.where(decoy <= window, slight, 0.0))
            continue
        found = np.where((rank <= window) & finds, np.maximum(before, 0.9), before)
        values.append(np.where(decoy <= window, 0.3 * found, found))
    return np.array(values)
