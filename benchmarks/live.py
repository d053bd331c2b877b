"""Does `judge` say helps or harms only where it is so, with how many queries and labels?

Streams of queries are drawn from collections that four systems searched. A difference of known size
is made by exchanging the order for some of the queries only. Judges are simulated, from random to
perfect, and two biased ones. This is for SDCG; `live_ndcg` is the same for nDCG.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from harness import Report, Requirement, Skipped, Table, say
from live_orders import orders_of
from live_streams import JUDGES, Traffic, right_in, stream

from runoff.live._betting import growth, interval
from runoff.live._ppi import corrected

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness import Options

    from runoff.live._ppi import Corrected

    Part = Callable[[Sequence[Traffic], "Setting", bool], tuple[Table, list[Requirement]]]

__all__ = ["BY", "COLLECTIONS", "Setting", "median", "proven", "run", "run_with", "share"]

COLLECTIONS = ("cranfield", "xquad-en", "xquad-de")
_MOST = 300  # queries of a collection
_LEVEL = 0.05
_STREAMS, _QUERIES = 1000, 5000
_LONG = 20_000


@dataclass(frozen=True, slots=True)
class Setting:
    """What is estimated, and how many documents people grade.

    Attributes:
        measure: `"SDCG"` or `"nDCG"`.
        rate: documents for each query, in the streams without and with a difference.
        labels: documents on the 2,000 queries of each kind of judge.
        work: what people do, as the end of a sentence.
        narrower: the width that a perfect judge leaves, at most, in that of people alone.
    """

    measure: str
    rate: float
    labels: int
    work: str
    narrower: float


def run(options: Options) -> Report:
    """Measure false statements, power, coverage, and the gain of the judge."""
    work = "people grade about 3% of the queries, one document each"
    return run_with(options, Setting("SDCG", 0.03, 100, work, 0.8))


def run_with(options: Options, setting: Setting, *others: Part) -> Report:
    """Measure the same for a measure, and what else there is to it."""
    traffic, notes = [], []
    for name in options.collections or COLLECTIONS:
        try:
            traffic.append(
                Traffic(orders_of(name, 20 if options.quick else options.queries or _MOST))
            )
        except Skipped as missing:
            notes.append(f"skipped {name}: {missing}")
    if not traffic:
        raise Skipped("; ".join(notes))
    few = options.quick
    tables, required = [], []
    for part in (_alike, _power, _judges, *others):
        table, bounds = part(traffic, setting, few)
        tables.append(table)
        required += bounds
    return Report(tables, () if few else required, notes)


def proven(values: Corrected, mean: float = 0.0) -> tuple[int, int]:
    """Return after how many values a mean above, and one below, is proven; 0 for never."""
    found = []
    for side, worst, bound in (
        (values.low, values.worst, mean),
        (-values.high, -values.best, -mean),
    ):
        over = growth(side, worst, bound) >= -math.log(_LEVEL / 2)
        found.append(int(over.argmax()) + 1 if over.any() else 0)
    return found[0], found[1]


def _alike(
    traffic: Sequence[Traffic],
    setting: Setting,
    few: bool,  # noqa: FBT001 - a part of `run`
) -> tuple[Table, list[Requirement]]:
    streams = 5 if few else -(-_STREAMS // len(traffic))
    rows: list[Sequence[object]] = []
    required = []
    for at, one in enumerate(traffic):
        say(f"{one.name}: {streams} streams without a difference")
        pair, rng = one.largest(setting.measure), np.random.default_rng(at)
        false = {"judge": 0, "both": 0}
        for _ in range(streams):
            sheet = stream(pair, _QUERIES, rng, judge=right_in(0.8), rate=setting.rate, mixed=None)
            for by in false:
                false[by] += any(proven(corrected(sheet, by=by)))
        for by, many in false.items():
            rows.append((one.name, BY[by], streams, many / streams))
            what = f"{one.name}, {BY[by]}: share of streams without a difference that claim one"
            required.append(Requirement(what, many / streams, _LEVEL))
    title = f"{_QUERIES:,} queries without a difference, looked at after each"
    columns = ("collection", "grades", "streams", "ever say helps or harms")
    return Table(title, columns, rows), required


BY = {
    "judge": "judge alone",
    "both": "judge, corrected by people",
    "people": "people alone",
}


def _power(
    traffic: Sequence[Traffic],
    setting: Setting,
    few: bool,  # noqa: FBT001 - as above
) -> tuple[Table, list[Requirement]]:
    streams = 2 if few else 20
    rows: list[Sequence[object]] = []
    required = []
    wrong = many = 0
    for at, one in enumerate(traffic):
        pair, rng = one.largest(setting.measure), np.random.default_rng(100 + at)
        for effect in (-0.1, -0.05, -0.02, 0.02, 0.05, 0.1):
            mixed = abs(effect) / pair.ndcg
            if mixed > 1:
                continue
            say(f"{one.name}: {streams} streams with {effect:+.2f} nDCG@10")
            needed: dict[str, list[float]] = {"judge": [], "both": [], "people": []}
            for _ in range(streams):
                sheet = stream(
                    pair, _LONG, rng, judge=right_in(0.95), rate=setting.rate, mixed=mixed,
                    sign=math.copysign(1, effect),
                )  # fmt: skip
                for by, found in needed.items():
                    up, down = proven(corrected(sheet, by=by))
                    right, other = (up, down) if effect > 0 else (down, up)
                    found.append(right or math.inf)
                    if by != "judge":  # the judge has faults of its own
                        wrong, many = wrong + bool(other), many + 1
            rows.append(
                (
                    one.name,
                    f"{effect:+.2f}",
                    pair.truth() * mixed * math.copysign(1, effect),
                    *(median(found) for found in needed.values()),
                    median([value * setting.rate for value in needed["both"]]),
                    share(needed["both"]),
                )
            )
    required.append(
        Requirement(
            "streams that claim the opposite of the truth", wrong / max(many, 1), _LEVEL / 2
        )
    )
    title = f"Queries until a difference is found, the median of {streams} streams of {_LONG:,}"
    name = {"SDCG": "SDCG@10", "nDCG": "with the pooled ideal"}[setting.measure]
    columns = ("collection", "nDCG@10", name, *BY.values(), "labels of people", "found")
    note = f"The judge is right in 95% of the cases and grades at random else; {setting.work}."
    return Table(title, columns, rows, note), required


def _judges(
    traffic: Sequence[Traffic],
    setting: Setting,
    few: bool,  # noqa: FBT001 - as above
) -> tuple[Table, list[Requirement]]:
    streams, queries = (3, 300) if few else (40, 2000)
    labels = setting.labels // 2 if few else setting.labels
    rows: list[Sequence[object]] = []
    required = []
    for name, judge in JUDGES.items():
        say(f"judge: {name}")
        covered: dict[str, list[bool]] = {by: [] for by in BY}
        widths: dict[str, list[float]] = {by: [] for by in BY}
        errors: dict[str, list[float]] = {by: [] for by in BY}
        slopes = []
        for at, one in enumerate(traffic):
            pair, rng = one.largest(setting.measure), np.random.default_rng(200 + at)
            truth = pair.truth()
            for _ in range(streams):
                sheet = stream(pair, queries, rng, judge=judge, rate=labels / queries)
                for by in BY:
                    values = corrected(sheet, by=by)
                    covered[by].append(not any(proven(values, truth)))
                    ends = interval(values.low, values.high, (values.worst, values.best))
                    widths[by].append(ends.high - ends.low)
                    errors[by].append(float(values.middle.mean()) - truth)
                    if by == "both":
                        slopes.append(values.slope)
        spread = {by: float(np.sqrt(np.mean(np.square(found)))) for by, found in errors.items()}
        share = float(np.mean(covered["both"]))
        rows.append(
            (
                name,
                share,
                float(np.mean(covered["judge"])),
                float(np.mean(widths["both"])),
                float(np.mean(widths["both"]) / np.mean(widths["people"])),
                spread["both"] / spread["people"],
                float(np.mean(slopes)),
            )
        )
        what = f"judge {name}: the sequence covers the truth at every look"
        required.append(Requirement(what, share, 1 - _LEVEL, at_least=True))
        if name == "perfect":
            what = "perfect judge: width of the sequence, in that of people alone"
            required.append(Requirement(what, rows[-1][4], setting.narrower))  # type: ignore[arg-type] # a number
        if name in ("random", "contrary"):
            what = f"judge {name}: width of the sequence, in that of people alone"
            required.append(Requirement(what, rows[-1][4], 1.1))  # type: ignore[arg-type] # a number
    title = f"{labels:,} labels of people on {queries:,} queries, and judges of all kinds"
    columns = (
        "judge",
        "covered",
        "judge alone covers",
        "width",
        "width / people alone",
        "error / people alone",
        "slope",
    )
    note = f"{streams} streams of each collection; error is the root mean square."
    return Table(title, columns, rows, note), required


def median(values: Sequence[float]) -> str:
    """Return the median, where infinity stands for what was not found."""
    found = float(np.median(values))
    return f"{found:,.0f}" if math.isfinite(found) else "not found"


def share(values: Sequence[float]) -> float:
    """Return the share that was found."""
    return float(np.mean(np.isfinite(values)))
