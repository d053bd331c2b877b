"""`verdict`: compare two systems query by query, and decide."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from runoff._util.arguments import count, is_share
from runoff._util.display import html_by, pretty
from runoff._util.lazy import import_name
from runoff._util.messages import visible
from runoff._util.text import snippet, text_key
from runoff.errors import InvalidArgument
from runoff.evaluation import _statistics as statistics
from runoff.evaluation._bounds import in_doubt
from runoff.evaluation._measures import Measured
from runoff.evaluation._pairing import paired, questions
from runoff.evaluation._unjudged import doubt_of, pooled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from altair import LayerChart
    from numpy.typing import NDArray

    from runoff.evaluation._bounds import Unjudged
    from runoff.evaluation._pairing import Pair, Question, Slice, Slicing, Values
    from runoff.evaluation._unjudged import Extent

__all__ = ["Change", "Comparison", "Decision", "Rival", "Verdict", "verdict"]

Decision = Literal["keep", "remove", "keep for these slices", "no effect", "undecided"]

_TIE = 1e-9
_MAIN_SHARE = 0.8  # of the level, for the question that decides most
_JUDGED_GAP = 0.05
_LISTED = 5
_LINE, _NOTE = 120, 1000  # characters shown of a line and of a note


@dataclass(frozen=True, slots=True, repr=False)
class Comparison:
    """One measure, on all queries or on a slice of them.

    Attributes:
        measure: its name.
        slice: (name, value) of the slice; None means all queries.
        queries: how many.
        before: mean of the first system.
        after: mean of the second.
        difference: mean of after minus before.
        interval: 95% bootstrap interval of the difference.
        p: of the two-sided permutation test.
        adjusted_p: the same, adjusted for all tests (Holm).
        wins: queries on which the second system is better.
        ties: queries without a difference.
        losses: queries on which the second system is worse.
        judged: mean Judged@k of the first and of the second system; None if unknown.
    """

    measure: str
    slice: Slice | None
    queries: int
    before: float
    after: float
    difference: float
    interval: tuple[float, float]
    p: float
    adjusted_p: float
    wins: int
    ties: int
    losses: int
    judged: tuple[float, float] | None = None

    def __repr__(self) -> str:
        """Show the line that `str` returns."""
        return f"Comparison({self})"

    def __str__(self) -> str:
        """Return the comparison in one line."""
        where = "all queries" if self.slice is None else snippet("=".join(self.slice), _LINE)
        low, high = self.interval
        judged = "" if self.judged is None else "  judged {:.2f} -> {:.2f}".format(*self.judged)
        return visible(
            f"{self.measure:<8} {where} ({self.queries}): {self.before:.4f} -> {self.after:.4f}  "
            f"{self.difference:+.4f} [{low:+.4f}, {high:+.4f}]  p {self.adjusted_p:.4f}  "
            f"{self.wins} better, {self.ties} unchanged, {self.losses} worse{judged}"
        )


@dataclass(frozen=True, slots=True)
class Change:
    """What one query gained or lost by the first measure."""

    query_id: str
    text: str
    before: float
    after: float

    @property
    def delta(self) -> float:
        """After minus before."""
        return self.after - self.before

    def __str__(self) -> str:
        """Return the change in one line, without an id that was derived from the text."""
        derived = bool(self.text) and self.query_id == text_key(self.text)
        name = "" if derived else f"{self.query_id}: "
        return snippet(f"{name}{self.before:.3f} -> {self.after:.3f} {self.text}", _LINE)


@dataclass(frozen=True, slots=True)
class Rival:
    """A simple system that the second one has to beat.

    Attributes:
        name: a source's, `"fused"`, or `"best first stage"`.
        value: its mean of the first measure.
        difference: mean of the second system minus that.
        interval: 95% interval of the difference.
        beaten: whether the second system is proven better, at least on a slice.
        ms: median milliseconds of a search; None if unknown.
        setting: for the best first stage, the setting that was chosen most often.
    """

    name: str
    value: float
    difference: float
    interval: tuple[float, float]
    beaten: bool
    ms: float | None = None
    setting: str = ""

    def __str__(self) -> str:
        """Return the rival in one line."""
        spent = "" if self.ms is None else f", {self.ms:.0f} ms"
        low, high = self.interval
        return visible(
            f"against {snippet(self.name, 60)} ({self.value:.4f}{spent}): {self.difference:+.4f} "
            f"[{low:+.4f}, {high:+.4f}]"
        )


@dataclass(frozen=True, slots=True, repr=False)
class Verdict:
    """What a comparison of two systems shows.

    Attributes:
        decision: `"keep"` if the second system is better, `"remove"` if it is worse, `"keep for
            these slices"` if it is better on some slices only, `"no effect"` if the difference is
            shown to be within the bound on 100 queries or more, else `"undecided"`.
        reason: why, in a sentence.
        main: the first measure on all queries; it decides.
        comparisons: every measure on all queries, then the first measure on every slice.
        keep_for: the slices that it is proven to help; if it helps on the whole but harms a slice,
            the slices that it does not harm.
        remove_for: the slices that it is proven to harm.
        helped: the queries that gained most.
        hurt: the queries that lost most.
        more_queries: how many more judged queries would decide with a power of .9, if the
            difference and its spread stay as they are; None if decided.
        detectable: the smallest difference that this many queries detect with a power of .9; None
            for a single query, which has no spread.
        bound: smaller differences count as no effect.
        level: the chance of a false finding, over all tests.
        rounds: random draws of each test and interval.
        seed: of the random draws.
        notes: caveats, as sentences.
        changes: every query, the largest gain first; left out of `to_dict`.
        unjudged: what the counted results that nobody judged could do; None if all were judged.
        rivals: the simple systems that a recorded one was compared with, the strongest first.
        ms: median milliseconds of a search of the second system; None if unknown.
    """

    decision: Decision
    reason: str
    main: Comparison
    comparisons: tuple[Comparison, ...]
    keep_for: tuple[Slice, ...]
    remove_for: tuple[Slice, ...]
    helped: tuple[Change, ...]
    hurt: tuple[Change, ...]
    more_queries: int | None
    detectable: float | None
    bound: float
    level: float
    rounds: int
    seed: int
    notes: tuple[str, ...] = ()
    changes: tuple[Change, ...] = field(default=(), repr=False)
    unjudged: Unjudged | None = None
    rivals: tuple[Rival, ...] = ()
    ms: float | None = None

    @property
    def harms(self) -> bool:
        """Whether the second system is proven worse, on all queries or on a slice.

        A proven loss that is shown to be within the bound is no harm, and neither is one that
        judgments still missing could turn.
        """
        mains = [self.main]
        if self.unjudged is not None:
            mains += [self.unjudged.worst, self.unjudged.best]
        worse = all(one.adjusted_p <= self.level and one.difference < 0 for one in mains)
        return self.decision != "no effect" and (worse or bool(self.remove_for))

    _repr_pretty_ = pretty

    _repr_html_ = html_by("verdict_html")

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the single queries' changes as plain values for JSON."""
        plain = asdict(replace(self, changes=()))
        del plain["changes"]
        return plain

    def plot(self) -> LayerChart:
        """Return the gains and losses of all queries, sorted, as an Altair chart.

        Raises:
            MissingExtra: Altair is not installed.
        """
        chart: LayerChart = import_name("runoff.report._plots", "verdict_plot")(self)
        return chart

    def __repr__(self) -> str:
        """Show the decision and the main comparison; `str` has the rest."""
        main = self.main
        low, high = main.interval
        return (
            f"Verdict({self.decision}, {main.measure} {main.difference:+.4f} [{low:+.4f}, "
            f"{high:+.4f}], {main.queries} queries)"
        )

    def __str__(self) -> str:
        """Return the decision, every comparison, the queries that changed most, and the notes."""
        lines = [snippet(f"{self.decision}: {self.reason}", _NOTE), *map(str, self.comparisons)]
        lines += map(str, self.rivals[1:])
        if self.unjudged is not None:
            lines.append(str(self.unjudged))
        for title, changes in (("helped", self.helped), ("hurt", self.hurt)):
            lines += [f"{title} {one}" for one in changes]
        return visible("\n".join([*lines, *(snippet(note, _NOTE) for note in self.notes)]))


def verdict(  # noqa: PLR0913 - every setting has a default
    before: Measured | Values,
    after: Measured | Values,
    *,
    slices: Mapping[str, Slicing] | None = None,
    bound: float = 0.01,
    level: float = 0.05,
    smallest: int = 10,
    rounds: int = 10_000,
    seed: int = 0,
    unjudged: float | None = None,
) -> Verdict:
    """Compare two systems on the same judged queries and decide.

    The first measure decides, on all queries and on each slice; the other measures are reported on
    all queries. Differences are tested by permutation and their intervals are bootstrapped; Holm's
    procedure keeps the chance of any false finding within `level`: .8 of it goes to the first
    measure on all queries and the rest is shared evenly.

    Counted results that nobody judged are uncertainty: the decision has to hold for the worst and
    for the best judgments that they could have, else it is undecided, and `Verdict.unjudged` lists
    the documents to judge.

    Args:
        before: one system's values, such as `evaluate(...)` of the run without a reranker.
        after: the other system's values, of the same queries and measures.
        slices: name to slicing, such as `by_length(queries)` or `collection.slices(label)`.
        bound: a difference whose 95% interval lies within plus or minus this is no effect.
        level: the accepted chance of a false finding.
        smallest: slices of fewer queries are not tested.
        rounds: random draws of each test and interval.
        seed: of the random draws; the same seed gives the same verdict.
        unjudged: the highest chance that a counted result without a judgment is relevant, 0 to 1.
            With 1 such results may be anything, and with 0 they are not relevant. None takes 1 if
            more than 2% of the judgments say "not relevant"; else the judgments list the relevant
            documents, every other document is not relevant, and it takes 0.

    Raises:
        InvalidArgument: the two have different queries or measures, a value is not finite, or a
            number is out of its range.
    """
    rounds, smallest = count("rounds", rounds), count("smallest", smallest)
    for name, value, most in (("bound", bound, math.inf), ("level", level, 1.0)):
        if not 0 < value < most:
            raise InvalidArgument(name, value, f"must be above 0 and below {most:g}")
    if unjudged is not None and not is_share(unjudged):
        raise InvalidArgument("unjudged", unjudged, "must be a chance within 0 and 1, or None")

    def decided(pair: Pair) -> Verdict:
        return _decided(pair, slices or {}, bound, level, smallest, rounds, seed)

    pair = paired(before, after)
    found, extent = decided(pair), _extent(before, after, pair, unjudged)
    return found if extent is None else in_doubt(pair, extent, decided, found)


def _extent(
    before: Measured | Values, after: Measured | Values, pair: Pair, chance: float | None
) -> Extent | None:
    """Return what unjudged documents could do to the first measure; None if nothing, or unknown."""
    if chance == 0 or not (isinstance(before, Measured) and isinstance(after, Measured)):
        return None
    # values that were not measured by `evaluate`, or by other judgments, have no common documents
    if not before.qrels or before.qrels != after.qrels or before.query_ids != after.query_ids:
        return None
    if chance is None and not pooled(before.qrels):
        return None
    return doubt_of(before, after, pair.measures[0], 1.0 if chance is None else chance)


def _decided(
    pair: Pair,
    slices: Mapping[str, Slicing],
    bound: float,
    level: float,
    smallest: int,
    rounds: int,
    seed: int,
) -> Verdict:
    """Return the verdict on two systems' values as they are."""
    asked, notes = questions(pair, slices, smallest)
    shares = np.full(len(asked), (1 - _MAIN_SHARE) / max(1, len(asked) - 1))
    shares[0] = 1.0 if len(asked) == 1 else _MAIN_SHARE
    compared = _compared(pair, asked, shares, rounds, seed)
    if shares.min() * level * (rounds + 1) < 1:
        notes.append(f"{rounds} rounds are too few to prove one of {len(asked)} comparisons.")
    main, main_level = compared[0], float(level * shares[0])
    several = main.queries > 1
    deviation = float(pair.deltas[0].std(ddof=1)) if several else 0.0
    decision, keep_for, remove_for = _decision(compared, bound, level)
    changes = _changes(pair)
    more = None
    if decision == "undecided":
        needed = statistics.queries_needed(
            main.difference, deviation, bound=bound, level=main_level, fewest=statistics.FEWEST
        )
        more = max(1, needed - main.queries)
    return Verdict(
        decision,
        _reason(decision, main, keep_for, remove_for, more, bound),
        main,
        tuple(compared),
        keep_for,
        remove_for,
        tuple(one for one in changes[:_LISTED] if one.delta > _TIE),
        tuple(one for one in changes[: -_LISTED - 1 : -1] if one.delta < -_TIE),
        more,
        statistics.detectable(deviation, main.queries, level=main_level) if several else None,
        bound,
        level,
        rounds,
        seed,
        (*notes, *pair.notes, *_cautions(main, decision, level)),
        changes,
    )


def _compared(
    pair: Pair, asked: Sequence[Question], shares: NDArray[np.float64], rounds: int, seed: int
) -> list[Comparison]:
    members = np.array([one.members for one in asked]).T
    rows = pair.deltas[[one.measure for one in asked]].T
    deltas = np.where(members, rows, 0.0)
    p = statistics.permutation_p(deltas, rounds=rounds, seed=seed)
    adjusted = statistics.holm(p, shares)
    ends = statistics.bootstrap_intervals(deltas, members, rounds=rounds, seed=seed)
    compared = []
    for at, one in enumerate(asked):
        inside = rows[one.members, at]
        compared.append(
            Comparison(
                pair.measures[one.measure],
                one.slice,
                len(inside),
                float(pair.before[one.measure, one.members].mean()),
                float(pair.after[one.measure, one.members].mean()),
                float(inside.mean()),
                (float(ends[at, 0]), float(ends[at, 1])),
                float(p[at]),
                float(adjusted[at]),
                int((inside > _TIE).sum()),
                int((np.abs(inside) <= _TIE).sum()),
                int((inside < -_TIE).sum()),
                pair.judged_shares(one.measure, one.members),
            )
        )
    return compared


def _decision(
    compared: Sequence[Comparison], bound: float, level: float
) -> tuple[Decision, tuple[Slice, ...], tuple[Slice, ...]]:
    """Return the decision and the slices proven to be helped (or spared) and harmed."""
    main = compared[0]
    sliced = {one.slice: one for one in compared if one.slice is not None}
    proven = {name: one for name, one in sliced.items() if one.adjusted_p <= level}
    helped = tuple(name for name, one in proven.items() if one.difference > 0)
    harmed = tuple(name for name, one in proven.items() if one.difference < 0)
    better = main.adjusted_p <= level and main.difference > 0
    worse = main.adjusted_p <= level and main.difference < 0
    low, high = main.interval
    shown = main.queries >= statistics.FEWEST and -bound <= low <= high <= bound
    if shown and not helped and not harmed:
        return "no effect", (), ()
    if better and harmed:
        names = {name for name, _ in harmed}
        spared = tuple(one for one in sliced if one[0] in names and one not in harmed)
        return "keep for these slices", spared, harmed
    if better:
        return "keep", helped, ()
    if helped:
        return "keep for these slices", helped, harmed
    return ("remove" if worse else "undecided"), (), harmed


def _reason(
    decision: Decision,
    main: Comparison,
    keep_for: tuple[Slice, ...],
    remove_for: tuple[Slice, ...],
    more: int | None,
    bound: float,
) -> str:
    low, high = main.interval
    found = (
        f"{main.measure} {main.difference:+.4f} [{low:+.4f}, {high:+.4f}] on {main.queries} queries"
    )
    kept = ", ".join(map("=".join, keep_for))
    removed = ", ".join(map("=".join, remove_for))
    harm = f"; it harms {removed}" if removed else ""
    if decision == "no effect":
        return f"{found} is within {bound:g} either way."
    if decision == "keep for these slices":
        return f"{found}; keep it for {kept or 'the queries that it does not harm'}{harm}."
    if decision != "undecided":
        return f"{found} is proven (p {main.adjusted_p:.4f}){harm}."
    return f"{found}; about {more} more judged queries like these would decide{harm}."


def _changes(pair: Pair) -> tuple[Change, ...]:
    """Return what every query gained by the first measure, the largest gain first."""
    before, after = pair.before[0].tolist(), pair.after[0].tolist()
    order = np.argsort(pair.deltas[0], kind="stable")[::-1].tolist()
    ids = pair.query_ids
    return tuple(
        Change(ids[at], pair.texts.get(ids[at], ""), before[at], after[at]) for at in order
    )


def _cautions(main: Comparison, decision: Decision, level: float) -> Iterator[str]:
    if decision == "no effect" and main.ties == main.queries:
        unseen = 1 - level ** (1 / main.queries)
        yield (
            f"No query changed, but a system that changes up to {unseen:.1%} of all queries could "
            "show the same."
        )
    if main.judged is not None and abs(main.judged[1] - main.judged[0]) > _JUDGED_GAP:
        fewer = "after" if main.judged[1] < main.judged[0] else "before"
        yield (
            f"Fewer results of `{fewer}` were judged ({main.judged[0]:.0%} before, "
            f"{main.judged[1]:.0%} after). Unjudged results count as not relevant, so the "
            f"comparison is unfair to `{fewer}`."
        )
