"""What `verdict` returns: a decision, with comparisons, changed queries, and systems to beat."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from runoff._util.display import html_by, pretty
from runoff._util.gained import gained
from runoff._util.lazy import import_name
from runoff._util.messages import number_of, visible
from runoff._util.text import given_id, snippet

if TYPE_CHECKING:
    from altair import LayerChart

    from runoff.evaluation._verdict.bounds import Unjudged
    from runoff.evaluation._verdict.pairing import Slice

Decision = Literal["keep", "remove", "keep for these slices", "no effect", "undecided"]

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
        interval: of the difference, at the confidence that `level` leaves this test: 95% if it is
            the only one, 96% for the first measure on all queries. It excludes 0 exactly if the
            difference is proven.
        p: two-sided; the larger of a permutation test's and of the interval's.
        adjusted_p: the same, adjusted for all tests (Holm).
        wins: queries on which the second system is better.
        ties: queries without a difference.
        losses: queries on which the second system is worse.
        judged: mean Judged@k of the first and of the second system; None if unknown.
        worst: bounds of the difference that hold even if queries unlike those measured change as
            much as the scale allows; "no effect" needs them within the bound.
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
    worst: tuple[float, float] = (-1.0, 1.0)

    __setstate__ = gained("worst")

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
        name = given_id(self.query_id, self.text)
        return snippet(
            f"{name}{': ' if name else ''}{self.before:.3f} -> {self.after:.3f} {self.text}", _LINE
        )


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
            within the bound even in the worst case that the data allow, else `"undecided"`.
        reason: why, in a sentence.
        main: the first measure on all queries; it decides.
        comparisons: every measure on all queries, then the first measure on every slice.
        keep_for: the slices that it is proven to help; if it helps on the whole but harms a slice,
            the slices that it does not harm.
        remove_for: the slices that it is proven to harm.
        helped: the queries that gained most.
        hurt: the queries that lost most.
        more_queries: how many more judged queries would decide, from and to; None if decided, or if
            these queries cannot say.
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
        caveat: why nothing can be proven by the judgments, such as clicks; empty if it can.
    """

    decision: Decision
    reason: str
    main: Comparison
    comparisons: tuple[Comparison, ...]
    keep_for: tuple[Slice, ...]
    remove_for: tuple[Slice, ...]
    helped: tuple[Change, ...]
    hurt: tuple[Change, ...]
    more_queries: tuple[int, int] | None
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
    caveat: str = ""

    __setstate__ = gained("unjudged", "rivals", "ms", "caveat")

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
        if self.caveat or self.decision == "no effect":
            return False
        return worse or bool(self.remove_for)

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
            f"{high:+.4f}], {number_of(main.queries, 'query')})"
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
