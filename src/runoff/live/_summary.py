"""What a directory of observations says at a glance: counts, latencies, changes and drift."""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from dataclasses import asdict, dataclass
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from runoff._util.messages import visible
from runoff.evaluation._health.health import health
from runoff.live._table import Counts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from runoff.evaluation._health.observations import Finding
    from runoff.live._observation import Observation
    from runoff.live._table import Rows

VERSION = 1
_FEW = 20  # observations; fewer are not compared
_MOST = 2000  # observations of each side that are compared, the youngest
_TICKS = 4096  # latencies of a stage that are kept, the youngest


@dataclass(frozen=True, slots=True)
class Latency:
    """How long a stage took: how often it ran, and milliseconds at the median and beyond."""

    count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True, repr=False)
class Summary:
    """The figures of a directory of observations.

    Attributes:
        path: the directory.
        observations: how many there are.
        first: time of the first, in seconds since 1970, UTC; 0 without any.
        last: time of the last.
        seen: answers of all watched processes, whether sampled or not.
        dropped: sampled answers that were lost.
        failed: writes that failed, and were tried again.
        pipelines: fingerprint to number of observations.
        models: name of the model to number of observations.
        degraded: `stage source reason` to number of observations; one may have several.
        complete: observations whose answer was complete.
        changed: of those that were reranked, the share whose results are not those of fusion.
        replaced: of the results of those, the share that fusion alone would not have returned.
        shadows: observations with a shadow's order.
        shadow_changed: the share of them whose results the shadow would have changed.
        truncated: candidates that lost text to a token limit.
        latencies: stage and source to how long they took, in the youngest 4096 observations.
        usage: pairs, tokens, requests, cached pairs and cost of all stages together.
        findings: what is odd, and what has changed lately; see `runoff.evaluation.health`.
        recent: how many seconds count as lately.
    """

    path: str
    observations: int
    first: float
    last: float
    seen: int
    dropped: int
    failed: int
    pipelines: Mapping[str, int]
    models: Mapping[str, int]
    degraded: Mapping[str, int]
    complete: int
    changed: float
    replaced: float
    shadows: int
    shadow_changed: float
    truncated: int
    latencies: Mapping[str, Latency]
    usage: Mapping[str, float]
    findings: tuple[Finding, ...]
    recent: float

    @property
    def odd(self) -> tuple[Finding, ...]:
        """The findings that are worth acting on."""
        return tuple(one for one in self.findings if one.odd)

    def __repr__(self) -> str:
        """Show how many there are, and what is odd."""
        names = ", ".join(one.check for one in self.odd) or "nothing odd"
        return f"Summary({self.observations} observations: {names})"

    def __str__(self) -> str:
        """Return the figures as lines."""
        lines = [
            f"{self.observations:,} observations of {self.seen:,} answers in {self.path}",
            f"dropped {self.dropped:,}, failed writes {self.failed:,}",
        ]
        if self.observations:
            lines += self._figures()
        return visible("\n".join([*lines, *map(str, self.findings)]))

    def _figures(self) -> list[str]:
        degraded = ", ".join(f"{what} {many:,}" for what, many in self.degraded.items())
        lines = [
            f"from {_when(self.first)} to {_when(self.last)}",
            f"complete {self.complete:,}" + (f"; degraded: {degraded}" if degraded else ""),
            "models: " + ", ".join(f"{one or 'none'} {n:,}" for one, n in self.models.items()),
        ]
        lines.append(
            f"the second stage changed {self.changed:.1%} of the answers it read, and "
            f"{self.replaced:.1%} of their results"
        )
        if self.shadows:
            lines.append(
                f"the shadow would change {self.shadow_changed:.1%} of {self.shadows:,} answers"
            )
        for stage, one in self.latencies.items():
            lines.append(
                f"{stage}: p50 {one.p50_ms:.1f} ms, p95 {one.p95_ms:.1f}, p99 {one.p99_ms:.1f}"
            )
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON, with the version of the format."""
        return {"version": VERSION, **asdict(self)}

    def to_prometheus(self) -> str:
        """Return the figures in Prometheus' text format, for a file that its exporter reads."""
        from runoff.live._prometheus import exposition  # noqa: PLC0415 - few need it

        return exposition(self)


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def summarize(
    path: str,
    parts: Iterable[tuple[Rows, Iterable[Observation]]],
    counts: Sequence[Counts],
    recent: float,
    since: float = 0.0,
) -> Summary:
    """Return the figures of observations.

    Args:
        path: where they are.
        parts: rows and their observations, in any order; they are read once.
        counts: those of the shards.
        recent: how many seconds before the youngest count as lately.
        since: only observations from this time on.
    """
    total = sum(counts, Counts())
    tally = _Tally(total.last - recent)
    for rows, made in parts:
        held = rows.copy()
        for at, one in enumerate(made):
            if one.time >= since:
                tally.add(one, held, at)
    return Summary(
        path=path,
        observations=tally.many,
        first=tally.first,
        last=tally.last,
        seen=total.seen,
        dropped=total.dropped,
        failed=total.failed,
        pipelines=dict(tally.pipelines.most_common()),
        models=dict(tally.models.most_common()),
        degraded=dict(tally.degraded.most_common()),
        complete=tally.complete,
        changed=tally.changed / max(1, tally.reranked),
        replaced=tally.replaced / max(1, tally.results),
        shadows=tally.shadows,
        shadow_changed=tally.shadow_changed / max(1, tally.shadows),
        truncated=tally.truncated,
        latencies={stage: _latency(one) for stage, one in tally.latencies.items()},
        usage=dict(tally.usage),
        findings=tally.findings(),
        recent=recent,
    )


class _Tally:
    """Sums over observations, in memory that does not grow with their number.

    Args:
        since: from when on an observation is recent.
    """

    def __init__(self, since: float) -> None:
        self._since = since
        # where they are: made into objects, some thousands would take hundreds of megabytes
        self._now: deque[tuple[Rows, int]] = deque(maxlen=_MOST)
        self._then: deque[tuple[Rows, int]] = deque(maxlen=_MOST)
        self.many = self.complete = self.truncated = self.shadows = self.shadow_changed = 0
        self.reranked = self.changed = self.results = self.replaced = 0
        self.first = self.last = 0.0
        self.pipelines: Counter[str] = Counter()
        self.models: Counter[str] = Counter()
        self.degraded: Counter[str] = Counter()
        self.usage: dict[str, float] = dict.fromkeys(
            ("pairs", "tokens", "billed_units", "requests", "cached", "cost"), 0
        )
        self.latencies: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_TICKS))

    def add(self, one: Observation, rows: Rows, at: int) -> None:
        """Count one observation, which is in these rows at this place."""
        self.many += 1
        self.first = min(self.first or one.time, one.time)
        self.last = max(self.last, one.time)
        self.pipelines[one.pipeline] += 1
        self.models[one.model.name] += 1
        self.complete += one.outcome.complete
        self.truncated += sum(one.truncated)
        for reason in {f"{it.stage} {it.source} {it.reason}" for it in one.outcome.degraded}:
            self.degraded[reason] += 1
        for stage in one.stages:
            self.latencies[f"{stage.stage} {stage.source}"].append(stage.latency_ms)
            for name in self.usage:
                self.usage[name] += getattr(stage.usage, name) or 0
        self.latencies["search"].append(one.outcome.spent_ms)
        before, after = one.fused[: one.top_k], one.reranked[: one.top_k]
        if one.outcome.scored:
            self.reranked += 1
            self.changed += before != after
            self.results += len(after)
            self.replaced += len({*after} - {*before})
        if one.shadow is not None:
            self.shadows += 1
            self.shadow_changed += one.shadowed[: one.top_k] != after
        (self._now if one.time >= self._since else self._then).append((rows, at))

    def findings(self) -> tuple[Finding, ...]:
        """Return what is odd lately, and what has changed since before."""
        if len(self._now) < _FEW:
            return ()
        enough = len(self._then) >= _FEW
        return health(_made(self._now), reference=_made(self._then) if enough else None).findings


def _made(places: Iterable[tuple[Rows, int]]) -> Iterator[Observation]:
    """Yield the observations at places that are in the order of their rows."""
    for rows, some in groupby(places, key=itemgetter(0)):
        wanted = {at for _, at in some}
        yield from (one for at, one in enumerate(rows) if at in wanted)


def _latency(values: deque[float]) -> Latency:
    found = [float(one) for one in np.percentile(list(values), (50, 95, 99))]
    return Latency(len(values), *found)
