"""`Statement`: helps, harms, no difference above x, or undecided; valid at every look."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from runoff._util.display import html_by, pretty
from runoff._util.messages import number_of, visible
from runoff.live._betting import Interval, interval, shortest, trend

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from runoff.live._ppi import Corrected

Decision = Literal["helps", "harms", "no difference", "undecided"]

_LOOKS = 40
_UNITS = {"answers": "answer", "queries": "query", "users": "user"}
_TOO_MANY = 100  # times what there is: no forecast reaches that far


class Look(NamedTuple):
    """What was known at one time.

    Attributes:
        queries: how many queries counted then.
        time: of the last of them, in seconds since 1970, UTC.
        difference: the estimate.
        low: the lower end of the interval.
        high: the upper end.
    """

    queries: int
    time: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Found:
    """What one slice of the queries shows.

    Attributes:
        decision: as in `Statement`.
        difference: the estimate.
        interval: the confidence sequence, at the level divided by the number of slices.
        queries: how many.
    """

    decision: Decision
    difference: float
    interval: tuple[float, float]
    queries: int


@dataclass(frozen=True, slots=True, repr=False)
class Statement:
    """What the traffic so far proves about a difference; it may be looked at as often as you like.

    Attributes:
        decision: `"helps"` or `"harms"` if the interval leaves out 0, `"no difference"` if it is
            within the bound, else `"undecided"`.
        measure: what is compared, such as `"SDCG@10"`.
        difference: the estimate; positive if the second system is better.
        interval: the confidence sequence: at no look so far was a mean outside it possible.
        queries: how many queries or answers count.
        changed: the share of them in which the two systems differ; of a split's users, the share
            with a result that was liked.
        labels: how many grades of people, or how many answers with feedback, are behind it.
        bound: differences up to this, either way, count as none.
        level: the chance that the sequence ever leaves out the true mean, at most.
        more: roughly how many more queries decide, if things stay as they are; None if decided, or
            if that cannot be foreseen.
        more_labels: the same in labels.
        trend: the estimate and the interval over time.
        slices: name and value of a slice, such as `"language=de"`, to what it shows.
        unit: what is counted.
        of: whose mean it is, such as `"people's grades"` or `"the judge's grades"`.
        notes: caveats, as sentences.
    """

    decision: Decision
    measure: str
    difference: float
    interval: tuple[float, float]
    queries: int
    changed: float
    labels: int
    bound: float
    level: float
    more: int | None = None
    more_labels: int | None = None
    trend: tuple[Look, ...] = field(default=(), repr=False)
    slices: Mapping[str, Found] = field(default_factory=dict)
    unit: str = "queries"
    of: str = ""
    notes: tuple[str, ...] = ()

    @property
    def alarm(self) -> bool:
        """Whether harm is proven, on all queries or on a slice."""
        return "harms" in {self.decision, *(one.decision for one in self.slices.values())}

    _repr_pretty_ = pretty

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        plain = asdict(self)
        plain["difference"] = self.difference if self.queries else None  # JSON has no NaN
        plain["trend"] = [one._asdict() for one in self.trend]
        return plain | {"alarm": self.alarm}

    @property
    def sentence(self) -> str:
        """The decision and its figures."""
        if not self.queries:
            return f"Undecided: there are no {self.unit} to count yet."
        low, high = self.interval
        if low > high:
            return (
                f"Undecided, since it changed over time: {self.measure} was above {low:+.4f} at "
                f"one time and below {high:+.4f} at another, {self.difference:+.4f} over all "
                f"{self.queries:,} {self.unit}. The trend shows when."
            )
        what = {
            "helps": "It helps",
            "harms": "It harms",
            "no difference": f"No difference above {self.bound:g}",
            "undecided": "Undecided",
        }[self.decision]
        return (
            f"{what}: {self.measure} {self.difference:+.4f} [{low:+.4f}, {high:+.4f}] on "
            f"{number_of(self.queries, _UNITS[self.unit])}, {self.changed:.0%} of them "
            + ("with a result that was liked" if self.unit == "users" else "changed")
            + (f"; the mean of {self.of}" if self.of else "")
            + "."
        )

    _repr_html_ = html_by("said_html", "_notebook")

    def __repr__(self) -> str:
        """Show the decision and its figures; `str` has the rest."""
        return f"Statement({self.sentence})"

    def __str__(self) -> str:
        """Return the decision, what more it takes, the slices and the notes."""
        lines = [self.sentence]
        if self.more is not None:
            labels = f" with {number_of(self.more_labels, 'label')}" if self.more_labels else ""
            lines.append(
                f"Roughly {number_of(self.more, f'more {_UNITS[self.unit]}')}{labels} will "
                "decide if they are like these."
            )
        lines += [
            f"  {name}: {one.decision}, {one.difference:+.4f} [{one.interval[0]:+.4f}, "
            f"{one.interval[1]:+.4f}] on {number_of(one.queries, 'query')}"
            for name, one in self.slices.items()
        ]
        return visible("\n".join([*lines, *self.notes]))


def decided(found: Interval, bound: float) -> Decision:
    """Return what an interval proves; a difference within the bound is no difference.

    An interval that ends below its beginning holds no mean: the difference changed over time.
    """
    if found.low > found.high:
        return "undecided"
    if -bound < found.low and found.high < bound:
        return "no difference"
    if found.low > 0:
        return "helps"
    return "harms" if found.high < 0 else "undecided"


def stated(
    values: Corrected,
    *,
    times: Sequence[float],
    slices: Sequence[Mapping[str, str]],
    changed: NDArray[np.bool_],
    bound: float,
    level: float,
    about: Mapping[str, Any],
) -> Statement:
    """Return what the values of all queries prove.

    Args:
        values: of each query, in the order in which they count.
        times: when each was answered.
        slices: of each query, name to value.
        changed: whether the two systems differ in it.
        bound: as in `Statement`.
        level: as in `Statement`.
        about: further fields of the statement; `labels` sets what more labels it takes.
    """
    many = len(values.middle)
    bounds = values.worst, values.best
    found = interval(values.low, values.high, bounds, level=level)
    decision = decided(found, bound)
    more = None
    if decision == "undecided" and many and found.low <= found.high:
        more = _more(values, bound, level)
    labels = int(about.get("labels", 0))
    looks = np.unique(np.geomspace(1, max(many, 1), _LOOKS).round().astype(np.int64))
    means = np.cumsum(values.middle) / np.arange(1, many + 1)
    shown = trend(values.low, values.high, bounds, looks, level=level) if many else []
    return Statement(
        decision=decision,
        difference=float(means[-1]) if many else math.nan,
        interval=(found.low, found.high),
        queries=many,
        changed=float(changed.mean()) if many else 0.0,
        bound=bound,
        level=level,
        more=more,
        more_labels=math.ceil(more * labels / many) if more and labels else None,
        trend=tuple(
            Look(int(at), float(times[at - 1]), float(means[at - 1]), one.low, one.high)
            for at, one in zip(looks, shown, strict=False)
        ),
        slices=_sliced(values, slices, bound, level),
        **about,
    )


def _sliced(
    values: Corrected, slices: Sequence[Mapping[str, str]], bound: float, level: float
) -> dict[str, Found]:
    places: dict[str, list[int]] = {}
    for at, given in enumerate(slices):
        for name, value in given.items():
            places.setdefault(f"{name}={value}", []).append(at)
    found = {}
    for name, rows in sorted(places.items()):
        low, high, worst, best = (
            one[rows] for one in (values.low, values.high, values.worst, values.best)
        )
        one = interval(low, high, (worst, best), level=level / len(places))
        middle = float(values.middle[rows].mean())
        found[name] = Found(decided(one, bound), middle, (one.low, one.high), len(rows))
    return found


def _more(values: Corrected, bound: float, level: float) -> int | None:
    """Return roughly how many more values like these decide."""
    up, down = (values.low, values.worst), (-values.high, -values.best)
    above, below = (shortest(*side, 0.0, level=level / 2) for side in (up, down))
    inside = max(shortest(*side, -bound, level=level / 2) for side in (up, down))
    more = min(above, below, inside)
    return math.ceil(more) if more <= _TOO_MANY * len(values.low) else None
