"""What a verdict lists: comparisons of two systems, changed queries, and systems to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runoff._util.gained import gained
from runoff._util.messages import visible
from runoff._util.text import snippet, text_key

if TYPE_CHECKING:
    from runoff.evaluation._verdict.pairing import Slice

__all__ = ["Change", "Comparison", "Rival"]

_LINE = 120  # characters shown


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
