"""What a directory of observations says at a glance: counts, latencies, changes and drift."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from runoff._util.display import html_by
from runoff._util.messages import number_of, visible
from runoff.errors import MissingExtra
from runoff.evaluation._health.health import health
from runoff.evaluation._health.observations import finding_lines
from runoff.live._table import Counts
from runoff.live._tally import Tally, Youngest

try:
    import pyarrow.compute as pc
except ModuleNotFoundError as missing:
    raise MissingExtra("pyarrow", "eval") from missing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from runoff.evaluation._health.observations import Finding
    from runoff.live._observation import Observation
    from runoff.live._shards import Shard
    from runoff.live._store import Store

VERSION = 1
_FEW = 20  # observations; fewer are not compared
_MOST = 2000  # observations of each side that are compared, the youngest


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

    _repr_html_ = html_by("said_html", "_notebook")

    def __repr__(self) -> str:
        """Show how many there are, and what is odd."""
        names = ", ".join(one.check for one in self.odd) or "nothing odd"
        return f"Summary({number_of(self.observations, 'observation')}: {names})"

    def __str__(self) -> str:
        """Return the figures as lines."""
        lines = [
            (
                f"{number_of(self.observations, 'observation')} of "
                f"{number_of(self.seen, 'answer')} in {self.path}"
            ),
            f"dropped {self.dropped:,}, failed writes {self.failed:,}",
        ]
        if self.observations:
            lines += self._figures()
        return visible("\n".join([*lines, *finding_lines(self.findings)]))

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
                f"the shadow would change {self.shadow_changed:.1%} of "
                f"{number_of(self.shadows, 'answer')}"
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


def summarize(store: Store, recent: float, since: float = 0.0) -> Summary:
    """Return the figures of a directory of observations.

    Args:
        store: the directory.
        recent: how many seconds before the youngest count as lately.
        since: only observations from this time on.

    Raises:
        RecordingDamaged, RecordingTooNew: a shard cannot be read.
    """
    shards = store.counts()
    total = sum((counts for _, counts in shards if counts.last >= since), Counts())
    split = total.last - recent
    tally, now, then = Tally(), Youngest(_MOST), Youngest(_MOST)
    for shard, table in store.tables(Tally.COLUMNS):
        with store.intact(shard):
            found = table.filter(pc.greater_equal(table["time"], since))
            tally.add(found)
            times = found["time"].to_numpy()
            now.add(times[times >= split])
            then.add(times[times < split])
    return Summary(
        path=str(store.path),
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
        latencies={stage: _latency(one.values) for stage, one in tally.latencies.items()},
        usage=dict(tally.usage),
        findings=_findings(store, shards, now.times, then.times),
        recent=recent,
    )


def _findings(
    store: Store,
    shards: Sequence[tuple[Shard, Counts]],
    now: NDArray[np.float64],
    then: NDArray[np.float64],
) -> tuple[Finding, ...]:
    """Return what is odd about the observations of some times, and what changed since others."""

    def youngest(times: NDArray[np.float64]) -> Iterator[Observation]:
        return islice(store.between(times.min(), times.max(), shards), _MOST)

    if len(now) < _FEW:
        return ()
    reference = youngest(then) if len(then) >= _FEW else None
    return health(youngest(now), reference=reference).findings


def _latency(values: NDArray[np.float64]) -> Latency:
    found = [float(one) for one in np.percentile(values, (50, 95, 99))]
    return Latency(len(values), *found)
