"""`curve`: what each further candidate in the window gains and costs, and how many to read."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from runoff._labels.remarks import check_recording
from runoff._recording.query import Content
from runoff._recording.replay import plan_replay, traversals
from runoff._util.arguments import between, check_list, check_seed, count
from runoff._util.display import html_by, pretty
from runoff._util.lazy import import_name
from runoff._util.messages import number_of, visible
from runoff.errors import InvalidArgument
from runoff.evaluation._grid import own_setting
from runoff.evaluation._measures.choice import argmax, cheapest_of_the_best, held_out
from runoff.evaluation._measures.differences import mean_intervals, regret_ends
from runoff.evaluation._measures.permutation import holm, permutation_p
from runoff.evaluation._measures.power import FEWEST
from runoff.evaluation._trials import run_trials

if TYPE_CHECKING:
    from collections.abc import Sequence

    from altair import LayerChart
    from numpy.typing import NDArray

    from runoff._recording.recording import Recording
    from runoff.evaluation._measures.measures import Judged
    from runoff.evaluation._trials import Trials
    from runoff.rerank._cost import Price

Shape = Literal[
    "saturates", "still rises", "peaks then falls", "falls from the start", "flat", "undecided"
]

Axis = Literal["window", "pairs", "ms", "p95_ms", "cost"]
"""What quality can be plotted against."""

_WINDOWS = (5, 10, 15, 20, 30, 40, 50, 75, 100, 150, 200, 300, 400, 500, 750, 1000)
_LEVEL = 0.05
_TOLERANCE = 0.0025  # of the measure: half of the promised regret


@dataclass(frozen=True, slots=True, repr=False)
class Point:
    """The quality and cost of one window.

    Attributes:
        window: candidates read at most; 0 is the first stage alone.
        values: measure to its mean.
        intervals: measure to the 95% interval of the mean.
        gain: mean of the first measure minus that of the first stage alone.
        gain_interval: 95% interval of the gain, query by query: far narrower than those of the
            means, since hard queries are hard with every window.
        pairs: mean pairs read.
        ms: mean milliseconds of the whole search.
        p95_ms: milliseconds that one search in twenty exceeds.
        cost: mean money; None if no price is known.
        per_10_candidates: gain of the first measure over the point before, for 10 more pairs read;
            None if no more are read.
        per_ms: the same for each millisecond; None if it takes no longer.
        per_unit_of_money: the same for each unit of the price's currency; None if it costs no more
            or no price is known.
    """

    window: int
    values: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    gain: float
    gain_interval: tuple[float, float]
    pairs: float
    ms: float
    p95_ms: float
    cost: float | None
    per_10_candidates: float | None
    per_ms: float | None
    per_unit_of_money: float | None

    def __repr__(self) -> str:
        """Show the window, the means, the gain and the latency."""
        means = ", ".join(f"{name} {value:.4f}" for name, value in self.values.items())
        return f"Point(window {self.window}: {means}, gain {self.gain:+.4f}, {self.ms:.0f} ms)"


@dataclass(frozen=True, slots=True, repr=False)
class Curve:
    """Quality against the window.

    Attributes:
        points: by window, from 0.
        shape: what is proven of it, corrected for all comparisons of the curve. `"saturates"`: it
            helps, and some window before the last is shown, on 100 queries or more, to lose no more
            than the bound against the last. `"still rises"`: it helps, and every narrower window is
            proven worse than the last. `"peaks then falls"`: it helps, and the last window is
            proven worse than a narrower one. `"falls from the start"`: some window is proven worse
            than the first stage alone and none better. `"flat"`: every window is shown, on 100
            queries or more, to be within the bound of the first stage alone. Else `"undecided"`.
        recommended: the window to read, at most the recorded one.
        configured: the window in use; 0 without a second stage.
        regret: what the recommendation loses against the best window, on queries that were not used
            for it. The best window is chosen with all queries, so this is rather too high.
        regret_interval: what the recommendation may lose against the window that is best in truth,
            at 95%: from 0, unless some window is proven better, to the most that any may be better.
        agreement: share of the folds that recommend the same window.
        measures: their names; the first decides.
        queries: how many.
        bound: smaller differences count as no effect.
        seed: of all random draws.
        notes: caveats, as sentences.
    """

    points: tuple[Point, ...]
    shape: Shape
    recommended: int
    configured: int
    regret: float
    regret_interval: tuple[float, float]
    agreement: float
    measures: tuple[str, ...]
    queries: int
    bound: float
    seed: int
    notes: tuple[str, ...] = ()

    def point(self, window: int) -> Point:
        """Return one point.

        Raises:
            InvalidArgument: the curve has no such window.
        """
        for one in self.points:
            if one.window == window:
                return one
        windows = [one.window for one in self.points]
        raise InvalidArgument(
            "window", window, f"must be one of the windows on the curve, {windows}"
        )

    _repr_pretty_ = pretty

    _repr_html_ = html_by("curve_html")

    def plot(self, measure: str | None = None, *, against: Axis = "window") -> LayerChart:
        """Return quality against the window, or against its cost, as an Altair chart.

        Args:
            measure: one of `measures`; None takes the first.
            against: `"window"`, `"pairs"`, `"ms"`, `"p95_ms"` or `"cost"`, as a `Point` has them.

        Raises:
            InvalidArgument: the curve has no such measure, or `against` is unknown or was not
                recorded.
            MissingExtra: Altair is not installed.
        """
        shown = self.measures[0] if measure is None else measure
        chart: LayerChart = import_name("runoff.report._plots", "curve_plot")(self, shown, against)
        return chart

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        return asdict(self)

    def __repr__(self) -> str:
        """Show the shape and the recommendation; `str` has the table."""
        return (
            f"Curve({self.shape}, {number_of(len(self.points), 'window')}, recommended "
            f"{self.recommended}, "
            f"{number_of(self.queries, 'query')})"
        )

    def __str__(self) -> str:
        """Return the shape, a line for each window, the recommendation and the notes."""
        low, high = self.regret_interval
        first = self.measures[0]
        lines = [f"{self.shape}: {first} against the window, {number_of(self.queries, 'query')}"]
        for one in self.points:
            marks = "*" if one.window == self.recommended else " "
            marks += "=" if one.window == self.configured else " "
            means = "  ".join(f"{name} {one.values[name]:.4f}" for name in self.measures)
            cost = "" if one.cost is None else f"  cost {one.cost:.4g}"
            ten = "" if one.per_10_candidates is None else f"  {one.per_10_candidates:+.4f} per 10"
            lines.append(
                f"{marks} {one.window:>4}  {means}  {one.gain:+.4f} "
                f"[{one.gain_interval[0]:+.4f}, {one.gain_interval[1]:+.4f}]{ten}  "
                f"{one.ms:.0f} ms, p95 {one.p95_ms:.0f} ms{cost}"
            )
        lines.append(
            f"* recommended: {self.recommended} (= in use: {self.configured}); regret on held-out "
            f"queries {self.regret:+.4f} [{low:+.4f}, {high:+.4f}], {self.agreement:.0%} of folds "
            "agree"
        )
        return visible("\n".join([*lines, *self.notes]))


def curve(  # noqa: PLR0913 - every setting has a default
    recording: Recording,
    collection: Judged,
    *,
    windows: Sequence[int] | None = None,
    measures: Sequence[object] = ("nDCG@10", "R@10"),
    price: Price | None = None,
    bound: float = 0.005,
    folds: int = 5,
    rounds: int = 10,
    seed: int = 0,
) -> Curve:
    """Measure every window on recorded scores and recommend one; nothing is searched or scored.

    Everything but the window stays as configured. The recommendation is the narrowest window within
    one standard error of the best, and at most .0025 below it.

    Args:
        recording: what `record` returned.
        collection: the judgments of its queries.
        windows: the windows to measure, up to the recorded one; 0, the first stage alone, is always
            added. A window that needs pairs that were not scored is left out, with a note. None
            takes a ladder from 5 to the widest window that changes anything, and the one in use.
        measures: as ir-measures names them; the first decides.
        price: of the reranker, if the recorded usage has no cost.
        bound: smaller differences count as no effect, in the first measure's units.
        folds: parts to hold out in turn, 2 or more.
        rounds: divisions into folds.
        seed: of all random draws; the same seed gives the same answer.

    Raises:
        InvalidArgument: an argument has an invalid value, the system has no second stage, a judged
            query was not recorded, or no window can be replayed.
        ScoreKindMismatch: the threshold was made for other scores.
        MissingExtra: ir-measures is not installed.
    """
    check_recording(recording)
    own = own_setting(recording.setup)
    if not own.window:
        raise InvalidArgument(
            "recording", recording, "must be a recording of a system with a second stage"
        )
    between("bound", bound)
    check_seed(seed)
    if count("folds", folds) == 1:
        raise InvalidArgument("folds", folds, "must be 2 or more")
    measured = _ladder(recording) if windows is None else _checked(recording, windows)
    without = replace(own, window=0, blend=None, threshold=None)
    settings = [without, *(replace(own, window=one) for one in measured)]
    trials = run_trials(recording, collection, settings, measures, price)
    if len(trials.settings) == 1:
        raise InvalidArgument("windows", measured, f"cannot be replayed: {trials.notes[0]}")
    return curve_of(
        trials, own.window, bound=bound, folds=folds, rounds=count("rounds", rounds), seed=seed
    )


def curve_of(
    trials: Trials,
    window: int,
    *,
    bound: float = 0.005,
    folds: int = 5,
    rounds: int = 10,
    seed: int = 0,
) -> Curve:
    """Return the curve of trials whose settings differ only in the window; see `curve`.

    Args:
        trials: the narrowest window first.
        window: the window in use.
        bound: as `curve` takes it.
        folds: as `curve` takes it.
        rounds: as `curve` takes it.
        seed: as `curve` takes it.
    """
    values = trials.quality
    rank = np.arange(len(values))
    chosen = recommended(values)
    held = held_out(values, rank, folds=folds, rounds=rounds, seed=seed, tolerance=_TOLERANCE)
    # a difference by rounding is no regret
    regrets = np.round(values[argmax(values)] - held.values, 12) + 0.0
    regret = float(regrets.mean())
    low, high = regret_ends(values, chosen, seed=seed)
    return Curve(
        # no second stage gains nothing over itself, on any queries
        _points(trials, [(0.0, 0.0), *_intervals(values[1:] - values[0], seed)], seed),
        _shape(values, bound, seed),
        trials.settings[chosen].window,
        window,
        regret,
        (min(low, regret), max(high, regret)),
        held.chosen.count(chosen) / len(held.chosen),
        trials.measures,
        values.shape[1],
        bound,
        seed,
        trials.notes,
    )


def recommended(values: NDArray[np.float64]) -> int:
    """Return the index of the window to read.

    Args:
        values: shape (windows, queries), the narrowest first.
    """
    return cheapest_of_the_best(values, np.arange(len(values)), tolerance=_TOLERANCE)


def _ladder(recording: Recording) -> list[int]:
    setup = recording.setup
    widest = min(_last_readable(recording), setup.recorded_window)
    ladder = {one for one in _WINDOWS if one < widest} | {widest}
    return sorted(ladder | ({setup.window} if setup.window < setup.recorded_window else set()))


def _last_readable(recording: Recording) -> int:
    """Return the widest window that changes anything: the lowest place of a text, or 1."""
    last = 1
    for one in traversals(recording, plan_replay(recording, reranker=None)):
        places = np.flatnonzero(one.query.content[one.heads] == Content.TEXT)
        last = max([last, *(places[-1:] + 1).tolist()])
    return last


def _checked(recording: Recording, windows: Sequence[int]) -> list[int]:
    check_list("windows", windows, "windows")
    found = sorted({count("windows", one) for one in windows if one is not False and one != 0})
    widest = recording.setup.recorded_window
    if not found or found[-1] > widest:
        remedy = f"must list windows from 1 to {widest}, the recorded window"
        raise InvalidArgument("windows", windows, remedy)
    return found


def _intervals(rows: NDArray[np.float64], seed: int) -> list[tuple[float, float]]:
    ends = mean_intervals(np.ascontiguousarray(rows.T), seed=seed)
    return [(low, high) for low, high in ends.tolist()]


def _points(
    trials: Trials, gain_ends: Sequence[tuple[float, float]], seed: int
) -> tuple[Point, ...]:
    means = {name: rows.mean(axis=1).tolist() for name, rows in trials.values.items()}
    ends = {name: _intervals(rows, seed) for name, rows in trials.values.items()}
    quality: list[float] = means[trials.measures[0]]
    pairs, ms = trials.pairs.mean(axis=1).tolist(), trials.ms.mean(axis=1).tolist()
    slow = np.percentile(trials.ms, 95, axis=1).tolist()
    cost = None if trials.cost is None else trials.cost.mean(axis=1).tolist()

    def each(amounts: Sequence[float] | None, at: int, unit: float = 1.0) -> float | None:
        if amounts is None or not at or amounts[at] - amounts[at - 1] <= 0:
            return None
        return (quality[at] - quality[at - 1]) * unit / (amounts[at] - amounts[at - 1])

    return tuple(
        Point(
            one.window,
            {name: found[at] for name, found in means.items()},
            {name: found[at] for name, found in ends.items()},
            quality[at] - quality[0],
            gain_ends[at],
            pairs[at],
            ms[at],
            slow[at],
            None if cost is None else cost[at],
            each(pairs, at, 10.0),
            each(ms, at),
            each(cost, at),
        )
        for at, one in enumerate(trials.settings)
    )


def _shape(values: NDArray[np.float64], bound: float, seed: int) -> Shape:
    """Return what is proven: every window against none and against the last, by Holm.

    The intervals that show a difference to be within the bound are widened for their number
    (Bonferroni). Fewer than 100 queries show no such thing, since rare changes may be missing.
    """
    last = len(values) - 1
    over_none = values[1:] - values[0]
    over_last = values[1:last] - values[last]
    deltas = np.ascontiguousarray(np.vstack([over_none, over_last]).T)
    p = permutation_p(deltas, seed=seed)
    proven = holm(p, np.ones(len(p))) <= _LEVEL
    means = deltas.mean(axis=0)
    better, worse = proven & (means > 0), proven & (means < 0)
    level = _LEVEL / len(p)
    low, high = mean_intervals(deltas, unseen=False, level=level, seed=seed).T
    enough = len(deltas) >= FEWEST
    if enough and (low[:last] >= -bound).all() and (high[:last] <= bound).all():
        return "flat"
    if not better[:last].any():
        return "falls from the start" if worse[:last].any() else "undecided"
    if better[last:].any():
        return "peaks then falls"
    if enough and (low[last:] >= -bound).any():
        return "saturates"
    return "still rises" if last > 1 and worse[last:].all() else "undecided"
