"""What has changed between two sets of answers: models, scores, shares, ranks and answers."""

from __future__ import annotations

import math
from collections import Counter
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from runoff._util.messages import number_of
from runoff.errors import InvalidArgument
from runoff.evaluation._health.observations import SIGNALS, Finding, signals
from runoff.evaluation._health.overlap import rank_biased_overlap
from runoff.evaluation._measures.permutation import chunks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from runoff.evaluation._health.observations import Observation

# by chance, at most: scores .005, three shares .005 each, all signals .008, documents .005, and
# repeated canaries .008: no more than .041 together
_KOLMOGOROV = 1.731  # of two large samples of one distribution, .5% are further apart (Smirnov)
_CHANCE = 0.005
_SIGNALS, _LOST = 0.008, 0.005
_AT_ONCE = 500  # documents that are looked for at a time
_SOUGHT = 5000  # of the documents that several answers found, at most, the most frequent
_OVERLAP = 0.8
_EQUAL = 1e-7  # likelihoods that differ by less, relatively, are equal
_FEW = 8  # questions or answers; fewer cannot differ by more than chance
_ROUNDS, _EXCHANGES = 4000, 1000
_CELLS = 2_000_000  # answers times rounds, above which fewer rounds are drawn
_SEED = 0


def drifts(
    now: Sequence[Observation],
    then: Sequence[Observation],
    repeats: Sequence[Sequence[Observation]] = (),
) -> Iterator[Finding]:
    """Yield what differs between two sets of answers.

    The best scores of the queries are compared by the largest difference of the two cumulative
    distributions (Kolmogorov and Smirnov), and shares by their counts (Fisher's exact test). What
    the sources found and where the answers stood in their order is compared by permutation, for
    all signals at once. By chance at most 5% of comparisons find anything.

    Args:
        now: the answers to look at.
        then: the answers to compare with.
        repeats: the questions of `then` asked again of the unchanged system.

    Raises:
        InvalidArgument: a repeat has none of the questions.
    """
    # an answer without scores, such as a degraded one, names no model
    models = [
        {f"{one.model} ({one.kind})" for one in side if len(one.score)} for side in (then, now)
    ]
    if changed := all(models) and models[0] != models[1]:
        names = [" and ".join(sorted(side)) for side in models]
        yield Finding(
            "drift model", None, changed, f"The model was {names[0]} and is now {names[1]}.",
            "choosing thresholds again, and recording a new reference",
        )  # fmt: skip
    else:
        yield from _scores(now, then)
    rates: dict[str, Callable[[Observation], bool]] = {
        "degraded": lambda one: bool(one.degraded),
        "truncation": lambda one: bool(one.truncated.any()),
        "empty": lambda one: not one.answer,
    }
    for name, has in rates.items():
        yield _rate(name, [has(one) for one in now], [has(one) for one in then])
    groups = _groups(then, repeats)
    pairs = [(one, groups[one.query]) for one in now if one.query in groups]
    paired = len(pairs) >= len(now) / 2
    yield from _signals(now, then, pairs if paired else ())
    if not paired:
        yield _documents(now, then)
    yield _answers(pairs) if not repeats else _canaries(pairs)


def _groups(
    then: Sequence[Observation], repeats: Sequence[Sequence[Observation]]
) -> dict[str, list[Observation]]:
    """Return each question's answers, that of the reference first."""
    found = {one.query: [one] for one in then if one.query}
    for side in repeats:
        again = [one for one in side if one.query in found]
        if not again:
            remedy = "must ask the questions of `reference` again"
            raise InvalidArgument("repeats", [one.query for one in side][:3], remedy)
        for one in again:
            found[one.query].append(one)
    return found


def _scores(now: Sequence[Observation], then: Sequence[Observation]) -> Iterator[Finding]:
    best = [
        np.sort([float(one.score.max()) for one in side if len(one.score)]) for side in (now, then)
    ]
    sizes = [len(side) for side in best]
    if not all(sizes):
        yield Finding("drift scores", None, None, "One of the two sides has no scores.")
        return
    apart = _apart(*best)
    limit = _KOLMOGOROV * math.sqrt(sum(sizes) / math.prod(sizes))
    medians = [float(np.median(side)) for side in best]
    odd = apart > limit
    yield Finding(
        "drift scores", apart, odd,
        f"The median of the queries' best scores is {medians[0]:.3g}; it was {medians[1]:.3g}. The "
        f"distributions are {apart:.2f} apart (by chance up to {limit:.2f}).",
        "looking for different queries, a changed index or a changed model" if odd else "",
    )  # fmt: skip


def _apart(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    every = np.concatenate((one, other))
    steps = [np.searchsorted(side, every, side="right") / len(side) for side in (one, other)]
    return float(np.abs(steps[0] - steps[1]).max())


def _rate(name: str, now: Sequence[bool], then: Sequence[bool]) -> Finding:
    shares = [sum(side) / len(side) for side in (now, then)]
    odd = _chance(sum(now), len(now), sum(then), len(then)) < _CHANCE
    what = {
        "degraded": "are degraded",
        "truncation": "have a cut text",
        "empty": "are empty",
    }
    return Finding(
        f"drift {name}", shares[0] - shares[1], odd,
        f"{_percent(shares[0])} of the answers {what[name]}; it was {_percent(shares[1])}.",
        "finding out what changed in between" if odd else "",
    )  # fmt: skip


def _chance(now: int, of_now: int, then: int, of_then: int) -> float:
    """Return the p-value of two shares being equal (Fisher's exact test, two-sided)."""
    both = now + then
    parts = range(max(0, both - of_then), min(both, of_now) + 1)
    ways = [_log_ways(of_now, at) + _log_ways(of_then, both - at) for at in parts]
    most = max(ways)
    likely = [math.exp(one - most) for one in ways]
    own = likely[now - parts[0]] * (1 + _EQUAL)
    return math.fsum(one for one in likely if one <= own) / math.fsum(likely)


def _log_ways(of: int, some: int) -> float:
    return math.lgamma(of + 1) - math.lgamma(some + 1) - math.lgamma(of - some + 1)


def _signals(
    now: Sequence[Observation],
    then: Sequence[Observation],
    pairs: Sequence[tuple[Observation, Sequence[Observation]]],
) -> Iterator[Finding]:
    """Compare what the sources found and how answers were ordered, by question if there are pairs.

    Otherwise the answers of the two sides are compared as two samples.
    """
    told = {id(one): signals(one) for one in (*now, *then)}
    told |= {id(one): signals(one) for _, group in pairs for one in group[1:]}
    names = sorted({name for one in (*now, *then) for name in told[id(one)]})

    def values(one: Observation) -> NDArray[np.float64]:
        found = told[id(one)]
        return np.array([found.get(name, np.nan) for name in names], np.float64)

    if pairs:
        rows = [values(one) for one, _ in pairs]
        means = [np.mean([values(one) for one in group], axis=0) for _, group in pairs]
        columns = [np.array(rows), np.array(means)]
        p = _paired(columns[0] - columns[1])
    else:
        columns = [np.array([values(one) for one in side]) for side in (now, then)]
        p = _unpaired(*columns)
    few = min(len(columns[0]), len(columns[1])) < _FEW
    for check, (what, advice) in SIGNALS.items():
        own = [at for at, name in enumerate(names) if name[0] == check]
        if few or not own:
            why = f"Fewer than {_FEW} answers can be compared." if few else f"There is no {what}."
            yield Finding(check, None, None, why)
            continue
        lowest = float(p[own].min())
        odd = lowest <= _SIGNALS
        shown = sorted(own, key=lambda at: p[at])[:3]
        moved = "; ".join(
            f"{names[at][1]} {_mean(columns[0][:, at])} (it was {_mean(columns[1][:, at])})"
            for at in shown
        )
        yield Finding(
            check, lowest, odd,
            f"{what[:1].upper()}{what[1:]} {'differ' if odd else 'do not differ'} by more than "
            f"chance (p {lowest:.4f}, {len(columns[0])} "
            f"{'questions' if pairs else 'answers'}): {moved}.",
            advice if odd else "",
        )  # fmt: skip


def _documents(now: Sequence[Observation], then: Sequence[Observation]) -> Finding:
    """Look for documents that several answers found before and none finds now.

    Answers change sides at random: p is the share of exchanges after which one side misses as many
    more than the other.
    """
    both = (*now, *then)
    often = Counter(doc_id for one in both for doc_id in _found(one)).most_common(_SOUGHT)
    column = {doc_id: at for at, (doc_id, times) in enumerate(often) if times > 1}
    check = "drift documents"
    if min(len(now), len(then)) < _FEW or not column:
        return Finding(check, None, None, "No document was found by several answers.")
    places = [[column[doc_id] for doc_id in _found(one) if doc_id in column] for one in both]
    rows = np.repeat(np.arange(len(both)), [len(one) for one in places])
    columns = np.array([at for one in places for at in one])
    rng = np.random.default_rng(_SEED)
    exchanged = [
        _exchanged(rng, size, len(both), len(now)) for size in chunks(_EXCHANGES, len(both))
    ]
    # first the sides as they are
    sides = np.vstack([np.arange(len(both)) < len(now), *exchanged]).astype(np.float32)
    more, lost = np.zeros(len(sides)), 0
    for first in range(0, len(column), _AT_ONCE):
        some = (columns >= first) & (columns < first + _AT_ONCE)
        finds = np.zeros((len(both), min(_AT_ONCE, len(column) - first)), np.float32)
        finds[rows[some], columns[some] - first] = 1
        here = sides @ finds
        # few new answers find less than many old ones, which is no loss
        more += (here == 0).sum(axis=1) - (here == finds.sum(axis=0)).sum(axis=1)
        lost += int((here[0] == 0).sum())
    share, p = lost / len(column), float((more >= more[0]).sum()) / len(more)
    odd = p <= _LOST
    return Finding(
        check, share, odd,
        f"Of the documents that several answers found, {_percent(share)} were not found again, "
        f"{'more' if odd else 'no more'} often than by chance (p {p:.3f}).",
        "looking for documents that the index lost, or for different questions" if odd else "",
    )  # fmt: skip


def _found(one: Observation) -> set[str]:
    return {doc_id for ids, _ in one.sources.values() for doc_id in ids}


def _mean(values: NDArray[np.float64]) -> str:
    known = values[np.isfinite(values)]
    return f"{known.mean():.3g}" if len(known) else "unknown"


def _unpaired(now: NDArray[np.float64], then: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each signal's p, corrected for all of them.

    Signals are replaced by their ranks (Wilcoxon), and answers change sides at random: p is the
    share of exchanges after which the largest difference of any signal is as large (Westfall and
    Young 1993).
    """
    both = np.vstack([now, then])
    ranks = np.stack([_standard(column) for column in both.T], axis=1)
    rng = np.random.default_rng(_SEED)
    observed = np.abs(ranks[: len(now)].sum(axis=0))
    extreme = np.zeros(len(observed))
    rounds = min(_ROUNDS, max(_EXCHANGES, _CELLS // len(both)))
    for size in chunks(rounds, len(both)):
        sides = _exchanged(rng, size, len(both), len(now)).astype(np.float64)
        largest = np.abs(sides @ ranks).max(axis=1)
        extreme += (largest[:, None] >= observed - 1e-9).sum(axis=0)
    return np.asarray((extreme + 1) / (rounds + 1))


def _exchanged(rng: np.random.Generator, rounds: int, answers: int, now: int) -> NDArray[np.bool_]:
    """Return at random which answers are of the new side, shape (rounds, answers)."""
    place = rng.random((rounds, answers), np.float32)
    cut = np.partition(place, now - 1, axis=1)[:, [now - 1]]
    return np.asarray(place <= cut)


def _standard(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks with mean 0 and variance 1; 0 where there is no value."""
    known = np.isfinite(values)
    ranks = np.zeros(len(values))
    if known.any():
        _, places, counts = np.unique(values[known], return_inverse=True, return_counts=True)
        found = (np.cumsum(counts) - (counts - 1) / 2)[places]
        spread = found.std()
        ranks[known] = (found - found.mean()) / spread if spread > 0 else 0.0
    return ranks


def _paired(differences: NDArray[np.float64], *, rises: int = 0) -> NDArray[np.float64]:
    """Return each signal's p, corrected for all of them, by flipping the signs of questions.

    Args:
        differences: shape (questions, signals); NaN where a question has no value.
        rises: how many of the last columns count only if they are above 0.
    """
    known = np.nan_to_num(differences)
    # rounding is no difference
    known[np.abs(known) < 1e-9] = 0.0  # noqa: PLR2004 - rounding
    norms = np.sqrt((known**2).sum(axis=0))
    scaled = known / np.where(norms > 0, norms, 1.0)
    sides = np.ones(scaled.shape[1], np.bool_)
    sides[len(sides) - rises :] = False
    rng = np.random.default_rng(_SEED)

    def size_of(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(sides, np.abs(sums), sums)

    observed = size_of(scaled.sum(axis=0))
    extreme = np.zeros(len(observed))
    for size in chunks(_ROUNDS, len(scaled)):
        signs = rng.integers(0, 2, (size, len(scaled))) * 2.0 - 1
        largest = size_of(signs @ scaled).max(axis=1, initial=0.0)
        extreme += (largest[:, None] >= observed - 1e-9).sum(axis=0)
    return np.asarray((extreme + 1) / (_ROUNDS + 1))


def _answers(pairs: Sequence[tuple[Observation, Sequence[Observation]]]) -> Finding:
    if not pairs:
        why = "The two sides have no question in common."
        return Finding("drift answers", None, None, why)
    overlaps = [rank_biased_overlap(one.answer, group[0].answer) for one, group in pairs]
    mean = math.fsum(overlaps) / len(overlaps)
    odd = mean < _OVERLAP and len(pairs) >= _FEW
    return Finding(
        "drift answers", mean, odd,
        f"For the {number_of(len(pairs), 'question')} of both sides, the answers overlap by "
            f"{mean:.2f} "
        "(rank-biased, 1 is the same order).",
        "a `verdict` on judged queries, which says whether the change is for the better"
        if odd else "",
    )  # fmt: skip


def _canaries(pairs: Sequence[tuple[Observation, Sequence[Observation]]]) -> Finding:
    """Compare how far answers agree with repeated runs, and those runs with each other."""
    several = [(one, group) for one, group in pairs if len(group) > 1]
    if len(several) < _FEW:
        why = f"Fewer than {_FEW} questions were asked again."
        return Finding("drift answers", None, None, why)
    names = sorted({name for one, _ in several for name in one.sources})
    rows = [[_agreement(one, group, name) for name in ("", *names)] for one, group in several]
    agreement = np.array(rows)
    lost = agreement[:, :, 0] - agreement[:, :, 1]
    p = float(_paired(lost, rises=lost.shape[1]).min())
    odd = p <= _SIGNALS
    among, own = agreement[:, 0].mean(axis=0).tolist()
    return Finding(
        "drift answers", own, odd,
        f"For {number_of(len(several), 'question')} the answers overlap by {own:.2f} with "
            "those of the "
        f"reference, which overlap by {among:.2f} with each other (rank-biased; p {p:.4f}).",
        "a `verdict` on judged queries, which says whether the change is for the better"
        if odd else "",
    )  # fmt: skip


def _agreement(one: Observation, group: Sequence[Observation], source: str) -> tuple[float, float]:
    """Return the mean overlap within the group, and that of the answer with the group."""

    def ids(of: Observation) -> tuple[str, ...]:
        if not source:
            return of.answer
        return of.sources[source][0] if source in of.sources else ()

    among = [rank_biased_overlap(ids(a), ids(b)) for a, b in combinations(group, 2)]
    own = [rank_biased_overlap(ids(one), ids(each)) for each in group]
    return math.fsum(among) / len(among), math.fsum(own) / len(own)


def _percent(share: float) -> str:
    return f"{share:.1%}"
