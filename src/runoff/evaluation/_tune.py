"""`tune`: which setting to run, with a gain measured on queries not used to choose it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from runoff._labels.caveats import caveats_of, unsettled
from runoff._labels.remarks import check_recording
from runoff._util.arguments import between, check_seed, count
from runoff._util.display import html_by, pretty
from runoff._util.lazy import import_name
from runoff._util.messages import number_of, visible
from runoff.errors import InvalidArgument
from runoff.evaluation._grid import grid_settings
from runoff.evaluation._measures import choice
from runoff.evaluation._measures.differences import mean_intervals
from runoff.evaluation._measures.power import FEWEST
from runoff.evaluation._trials import run_trials

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from altair import LayerChart
    from numpy.typing import NDArray

    from runoff._recording.recording import Recording
    from runoff.evaluation._grid import Setting
    from runoff.evaluation._measures.measures import Judged
    from runoff.evaluation._trials import Trials
    from runoff.rerank._cost import Price

Axis = Literal["p95_ms", "pairs", "cost"]
"""What quality can be plotted against."""

_ONE_SIDED = 0.025
_FEWEST = 20  # with fewer queries, no change is recommended
_SHOWN = 10


@dataclass(frozen=True, slots=True, repr=False)
class Trial:
    """One setting measured on all judged queries.

    Attributes:
        setting: how the system is run.
        quality: mean of the measure. For the setting that was chosen as best, it is too high.
        p95_ms: of recall, fusion and reranking.
        pairs: mean pairs read.
        cost: mean money; None if no price is known.
    """

    setting: Setting
    quality: float
    p95_ms: float
    pairs: float
    cost: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the trial as plain values for JSON."""
        figures = {name: getattr(self, name) for name in ("quality", "p95_ms", "pairs", "cost")}
        return {"setting": self.setting.to_dict()} | figures

    def __repr__(self) -> str:
        """Show the line that `str` returns."""
        return f"Trial({self})"

    def __str__(self) -> str:
        """Return the trial in one line."""
        cost = "" if self.cost is None else f"  cost {self.cost:.4g}"
        return visible(
            f"{self.quality:.4f}  p95 {self.p95_ms:.0f} ms  "
            f"{number_of(round(self.pairs), 'pair')}{cost}  "
            f"{self.setting}"
        )


@dataclass(frozen=True, slots=True, repr=False)
class Tuning:
    """Which setting to run, and how sure that is.

    Attributes:
        decision: `"better"` if the choice is proven better on held-out queries; `"cheaper"` if it
            costs less and is shown, on 100 queries or more, to lose no more than the bound; else
            `"keep what you have"`.
        reason: why, in a sentence.
        recommended: the setting to run; the configured one if nothing is gained.
        configured: the setting in use.
        chosen: the setting that the rule chooses on all queries, recommended or not.
        held_out: the configured setting's mean plus the gain: what the choice can be expected to
            achieve on new queries.
        gain: mean gain under settings chosen without the query at hand; if the choice is proven
            better, less what such a gain owes to chance.
        interval: 95% interval of the gain; it is above 0 exactly if the choice is proven better.
        optimism: the chosen setting's mean on the queries it was chosen on, minus held_out.
        agreement: share of the folds that choose the same setting as all queries.
        front: the settings that no other beats in quality, p95 and usage, the worst first.
        measure: the measure that decides.
        queries: how many.
        tried: how many settings.
        bound: a loss up to this is accepted for a cheaper setting.
        folds: parts that were held out in turn.
        rounds: divisions into folds.
        seed: of all random draws.
        notes: caveats, as sentences.
    """

    decision: Literal["better", "cheaper", "keep what you have"]
    reason: str
    recommended: Trial
    configured: Trial
    chosen: Trial
    held_out: float
    gain: float
    interval: tuple[float, float]
    optimism: float
    agreement: float
    front: tuple[Trial, ...]
    measure: str
    queries: int
    tried: int
    bound: float
    folds: int
    rounds: int
    seed: int
    notes: tuple[str, ...] = ()

    _repr_pretty_ = pretty

    _repr_html_ = html_by("tuning_html")

    def plot(self, *, against: Axis = "p95_ms") -> LayerChart:
        """Return the quality of the front against its cost, as an Altair chart.

        Args:
            against: `"p95_ms"`, `"pairs"` or `"cost"`, as a `Trial` has them.

        Raises:
            InvalidArgument: `against` is unknown, or was not recorded.
            MissingExtra: Altair is not installed.
        """
        chart: LayerChart = import_name("runoff.report._plots", "tuning_plot")(self, against)
        return chart

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        trials = {name: plain[name].to_dict() for name in ("recommended", "configured", "chosen")}
        return plain | trials | {"front": [one.to_dict() for one in self.front]}

    def __repr__(self) -> str:
        """Show the decision and the recommendation; `str` has the rest."""
        return (
            f"Tuning({self.decision}, {number_of(self.tried, 'setting')}, "
            f"{number_of(self.queries, 'query')}, "
            f"recommended: {self.recommended.setting})"
        )

    def __str__(self) -> str:
        """Return the decision, the settings compared, the front and the notes."""
        low, high = self.interval
        gained = f"{self.gain:+.4f} [{low:+.4f}, {high:+.4f}] over the configured setting"
        lines = [
            f"{self.decision}: {self.reason}",
            f"configured   {self.configured}",
            f"recommended  {self.recommended}",
            f"{self.measure} on held-out queries {self.held_out:.4f}, {gained}",
            f"the choice looks {self.optimism:+.4f} better on the queries it was made on",
            (
                f"{number_of(self.tried, 'setting')}, {number_of(self.queries, 'query')}, "
                f"{self.agreement:.0%} of folds agree"
            ),
            "not beaten in quality, p95 and usage (on all queries, so the best look too good):",
            *(f"  {one}" for one in self.front[-_SHOWN:]),
        ]
        more = len(self.front) - _SHOWN
        return visible(
            "\n".join([*lines, *([f"  and {more} below"] if more > 0 else []), *self.notes])
        )


def tune(  # noqa: PLR0913 - every setting has a default
    recording: Recording,
    collection: Judged,
    *,
    grid: Mapping[str, Sequence[Any]] | None = None,
    measure: object = "nDCG@10",
    price: Price | None = None,
    bound: float = 0.01,
    folds: int = 5,
    rounds: int = 10,
    seed: int = 0,
) -> Tuning:
    """Try settings on recorded scores and recommend one; nothing is searched or scored.

    The choice is the cheapest setting within one standard error of the best. Cheaper means fewer
    pairs read, then fewer sources, then a smaller depth; among equals, the configured setting is
    preferred. The choice is made again without each fold and measured on that fold. Nothing else is
    fitted, so nested folds are not needed.

    Args:
        recording: what `record` returned.
        collection: the judgments of its queries.
        grid: `fusion`, `weights`, `depth`, `window` (0 for no second stage), `blend` and
            `threshold`, each with the values to try; names left out stay as configured. Weights
            are for `RRF` and `Convex`, and a weight of 0 leaves a source out. None takes a grid of
            a few hundred settings, with the configured fusion, `RRF` and the default fusion.
        measure: the measure that decides, as ir-measures names it.
        price: of the reranker, if the recorded usage has no cost.
        bound: the loss that is accepted for a cheaper setting, in the measure's units.
        folds: parts to hold out in turn, 2 or more.
        rounds: divisions into folds.
        seed: of all random draws; the same seed gives the same answer.

    Raises:
        InvalidArgument: an argument has an invalid value, a judged query was not recorded, or the
            configured setting cannot be replayed.
        ScoreKindMismatch: a threshold was made for other scores.
        MissingExtra: ir-measures is not installed.
    """
    check_recording(recording)
    settings = grid_settings(recording.setup, grid)
    check_seed(seed)
    _check(bound, folds, rounds)
    trials = run_trials(recording, collection, settings, [measure], price)
    found = choose(trials, bound=bound, folds=folds, rounds=rounds, seed=seed)
    return unsettled(found, caveats_of(collection))


def choose(
    trials: Trials, *, bound: float = 0.01, folds: int = 5, rounds: int = 10, seed: int = 0
) -> Tuning:
    """Choose among trials; see `tune`."""
    values, rank = trials.quality, cost_rank(trials)
    queries = values.shape[1]
    chosen = choice.cheapest_of_the_best(values, rank)
    ahead = choice.held_out(values, rank, folds=folds, rounds=rounds, seed=seed)
    gain, (low, high), proven = gained(values, chosen, ahead.values, seed=seed)
    cheaper = bool(rank[chosen] < rank[0])
    decision = _decision(chosen, queries, low, bound, proven=proven, cheaper=cheaper)
    recommended = 0 if decision == "keep what you have" else chosen
    every = _trials(trials)
    usage = trials.pairs.mean(axis=1) if trials.cost is None else trials.cost.mean(axis=1)
    best = choice.front(
        np.array([one.quality for one in every]),
        [np.array([one.p95_ms for one in every]), usage],
    )
    held = float(values[0].mean()) + gain
    return Tuning(
        decision,
        _reason(decision, trials, chosen, gain, (low, high), bound, cheaper=cheaper),
        every[recommended],
        every[0],
        every[chosen],
        held,
        gain,
        (low, high),
        every[chosen].quality - held,
        Counter(ahead.chosen)[chosen] / len(ahead.chosen),
        tuple(every[at] for at in best),
        trials.measures[0],
        queries,
        len(every),
        bound,
        folds,
        rounds,
        seed,
        trials.notes,
    )


def gained(
    values: NDArray[np.float64], chosen: int, ahead: NDArray[np.float64], *, seed: int = 0
) -> tuple[float, tuple[float, float], bool]:
    """Return what a choice gains, its interval, and whether the gain is proven.

    It is proven if the interval of the gain on held-out queries is above 0, and so is the gain of
    the setting itself, corrected for all that were tried: the held-out values alone are not
    enough, since the same queries take part in the choices of the other folds. The interval reaches
    0 unless the gain is proven.

    A gain that is proven is large by chance as well: what is promised is less, as `best_of` has it.

    Args:
        values: shape (settings, queries); the first row is the setting in use.
        chosen: the setting chosen on all queries.
        ahead: each query's value under settings chosen without it, shape (queries,).
        seed: of all random draws.
    """
    gains = ahead - values[0]
    low, high = mean_intervals(gains[:, None], seed=seed)[0].tolist()
    gain = float(gains.mean())
    p, left = choice.best_of(values, chosen, level=_ONE_SIDED, seed=seed)
    if low <= 0 or p > _ONE_SIDED:
        return gain, (min(low, 0.0), high), False
    return gain * left, (min(low, gain * left), high), True


def cost_rank(trials: Trials) -> NDArray[np.int64]:
    """Return every setting's rank by cost, the cheapest 0; equal costs share a rank.

    Latencies do not count: they are of one run on one machine, and chance would decide.
    """
    costs = [
        (round(pairs, 6), len(one.sources), one.depth)
        for one, pairs in zip(trials.settings, trials.pairs.mean(axis=1).tolist(), strict=True)
    ]
    place = {cost: at for at, cost in enumerate(sorted(set(costs)))}
    return np.array([place[cost] for cost in costs], np.int64)


def _check(bound: float, folds: int, rounds: int) -> None:
    between("bound", bound)
    if count("folds", folds) == 1:
        raise InvalidArgument("folds", folds, "must be 2 or more")
    count("rounds", rounds)


def _decision(
    chosen: int, queries: int, low: float, bound: float, *, proven: bool, cheaper: bool
) -> Literal["better", "cheaper", "keep what you have"]:
    if chosen == 0 or queries < _FEWEST:
        return "keep what you have"
    if proven:
        return "better"
    spared = cheaper and low >= -bound and queries >= FEWEST
    return "cheaper" if spared else "keep what you have"


def _reason(
    decision: str,
    trials: Trials,
    chosen: int,
    gain: float,
    interval: tuple[float, float],
    bound: float,
    *,
    cheaper: bool,
) -> str:
    found = (
        f"{trials.measures[0]} {gain:+.4f} [{interval[0]:+.4f}, {interval[1]:+.4f}] on held-out "
        f"queries"
    )
    if decision == "better":
        return f"{found} is proven."
    if decision == "cheaper":
        pairs = trials.pairs.mean(axis=1)
        return (
            f"it reads {number_of(round(pairs[chosen]), 'pair')} instead of {pairs[0]:.0f} "
            "and asks "
            f"{len(trials.settings[chosen].sources)} of "
            f"{number_of(len(trials.settings[0].sources), 'source')}; "
            f"{found} rules out a loss above {bound:g}."
        )
    if len(trials.query_ids) < _FEWEST:
        return (
            f"{number_of(len(trials.query_ids), 'query is', 'queries are')} too few to change "
            "anything."
        )
    if chosen == 0:
        return "no other setting is better by more than one standard error, or as good and cheaper."
    if cheaper and gain >= -bound:
        return (
            "the choice is not proven better, and "
            f"{number_of(len(trials.query_ids), 'query is', 'queries are')} too few to "
            f"show that it loses no more than the bound: {found}."
        )
    return f"the choice made on all queries fails on held-out ones: {found}."


def _trials(trials: Trials) -> list[Trial]:
    cost = None if trials.cost is None else trials.cost.mean(axis=1).tolist()
    figures = zip(
        trials.settings,
        trials.quality.mean(axis=1).tolist(),
        np.percentile(trials.ms, 95, axis=1).tolist(),
        trials.pairs.mean(axis=1).tolist(),
        strict=True,
    )
    return [Trial(*one, None if cost is None else cost[at]) for at, one in enumerate(figures)]
