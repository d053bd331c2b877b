"""The same as `live` for `judge(measure="nDCG")`, and both measures with the same labels.

The unit is the query: people grade both lists of those picked, 12 or 13 documents on average.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from harness import Table, say
from live_streams import right_in, stream

from live import Setting, median, proven, run_with, share
from runoff.live._betting import interval
from runoff.live._ppi import corrected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness import Options, Report, Requirement
    from live_streams import Traffic

__all__ = ["run"]

_EFFECT, _QUERIES = 0.05, 5000
_LABELS = (60, 300, 1500)


def run(options: Options) -> Report:
    """Measure false statements, power, coverage, the gain of the judge, and what labels buy."""
    work = "people grade about 0.3 documents for each query, all of a query or none"
    return run_with(options, Setting("nDCG", 0.3, 1500, work, 0.95), _same_labels)


def _same_labels(
    traffic: Sequence[Traffic],
    setting: Setting,
    few: bool,  # noqa: FBT001 - a part of `run_with`
) -> tuple[Table, list[Requirement]]:
    """Compare both measures at the same labels, on a difference of one size."""
    del setting
    streams = 2 if few else 20
    rows: list[Sequence[object]] = []
    for at, one in enumerate(traffic):
        for labels in _LABELS:
            say(f"{one.name}: both measures with {labels:,} labels")
            row: list[object] = [one.name, f"{labels:,}"]
            for measure in ("SDCG", "nDCG"):
                pair, rng = one.largest(measure), np.random.default_rng(300 + at)
                mixed = _EFFECT / pair.ndcg
                truth = pair.truth() * mixed
                when, widths = [], []
                for _ in range(streams):
                    sheet = stream(
                        pair, _QUERIES, rng, judge=right_in(0.95), rate=labels / _QUERIES,
                        mixed=mixed,
                    )  # fmt: skip
                    values = corrected(sheet)
                    when.append(proven(values)[0] or np.inf)
                    ends = interval(values.low, values.high, (values.worst, values.best))
                    widths.append((ends.high - ends.low) / truth)
                row += [float(np.mean(widths)), share(when), median(when)]
            rows.append(row)
    what = ("width / difference", "found", "after queries")
    columns = (
        "collection",
        "labels",
        *(f"{measure}: {one}" for measure in ("SDCG", "nDCG") for one in what),
    )
    title = f"The same labels: a difference of {_EFFECT:g} nDCG@10 in {_QUERIES:,} queries"
    return Table(title, columns, rows, f"{streams} streams of each."), []
