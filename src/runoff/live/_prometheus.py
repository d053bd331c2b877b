"""A summary in Prometheus' text format (version 0.0.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runoff._util.messages import visible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runoff.live._summary import Summary


def exposition(found: Summary) -> str:
    """Return the figures of a summary as gauges: they fall when old observations are deleted."""
    lines: list[str] = []

    def gauge(
        name: str, help_text: str, values: Mapping[tuple[tuple[str, str], ...], float]
    ) -> None:
        lines.append(f"# HELP runoff_{name} {help_text}")
        lines.append(f"# TYPE runoff_{name} gauge")
        for labels, value in values.items():
            said = ",".join(f'{key}="{_escaped(one)}"' for key, one in labels)
            lines.append(
                f"runoff_{name}{{{said}}} {value!r}" if said else f"runoff_{name} {value!r}"
            )

    gauge("answers", "Answers of watched pipelines.", {(): found.seen})
    gauge("observations", "Observations kept.", {(): found.observations})
    gauge("observations_dropped", "Sampled answers that were lost.", {(): found.dropped})
    gauge("observation_writes_failed", "Writes that failed.", {(): found.failed})
    gauge("observations_complete", "Observations of complete answers.", {(): found.complete})
    gauge(
        "observations_degraded",
        "Observations of degraded answers, by what is missing.",
        {(("reason", reason),): many for reason, many in found.degraded.items()},
    )
    gauge(
        "observations_by_model",
        "Observations by the model that reranked.",
        {(("model", model),): many for model, many in found.models.items()},
    )
    gauge(
        "answers_changed_ratio",
        "Share of reranked answers whose results are not those of fusion.",
        {(): found.changed},
    )
    gauge(
        "results_replaced_ratio",
        "Share of results that fusion alone would not have returned.",
        {(): found.replaced},
    )
    gauge("documents_truncated", "Candidates that lost text.", {(): found.truncated})
    quantiles = (("0.5", "p50_ms"), ("0.95", "p95_ms"), ("0.99", "p99_ms"))
    gauge(
        "latency_seconds",
        "Latency of a stage.",
        {
            (("stage", stage), ("quantile", share)): getattr(one, name) / 1000
            for stage, one in found.latencies.items()
            for share, name in quantiles
        },
    )
    gauge(
        "usage",
        "What all stages used.",
        {(("unit", name),): value for name, value in found.usage.items()},
    )
    gauge(
        "finding_odd",
        "1 where a check of health or drift finds something odd.",
        {(("check", one.check),): int(bool(one.odd)) for one in found.findings},
    )
    return "\n".join(lines) + "\n"


def _escaped(value: str) -> str:
    return visible(value).replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
