"""Does the second stage help? Record the queries once, then answer every question from that.

Names are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runoff._util.lazy import lazily

if TYPE_CHECKING:
    from runoff._labels.collection import Collection
    from runoff._recording.query import Content, FateCode, RecordedQuery
    from runoff._recording.record import record
    from runoff._recording.recording import Recording
    from runoff._recording.replay import Runs, replay
    from runoff._recording.runs import by_stage, read_run, write_run
    from runoff.evaluation._curve import Curve, curve
    from runoff.evaluation._grid import Setting
    from runoff.evaluation._health.health import health
    from runoff.evaluation._health.observations import Health
    from runoff.evaluation._health.overlap import rank_biased_overlap
    from runoff.evaluation._ledger import Ledger
    from runoff.evaluation._losses import losses
    from runoff.evaluation._measures.measures import Evaluator, Measured, evaluate
    from runoff.evaluation._tune import Tuning, tune
    from runoff.evaluation._verdict.result import Comparison, Verdict
    from runoff.evaluation._verdict.slices import by_agreement, by_length, by_margin, by_script
    from runoff.evaluation._verdict.verdict import verdict


__all__ = [
    "Collection",
    "Comparison",
    "Content",
    "Curve",
    "Evaluator",
    "FateCode",
    "Health",
    "Ledger",
    "Measured",
    "RecordedQuery",
    "Recording",
    "Runs",
    "Setting",
    "Tuning",
    "Verdict",
    "by_agreement",
    "by_length",
    "by_margin",
    "by_script",
    "by_stage",
    "curve",
    "evaluate",
    "health",
    "losses",
    "rank_biased_overlap",
    "read_run",
    "record",
    "replay",
    "tune",
    "verdict",
    "write_run",
]

# those that `__all__` lacks were public once, and can still be imported
_HOMES = {
    "AS_RECORDED": "._recording.replay",
    "Collection": "._labels.collection",
    "Comparison": "_verdict.result",
    "Content": "._recording.query",
    "Curve": "_curve",
    "Evaluator": "_measures.measures",
    "FateCode": "._recording.query",
    "Finding": "_health.observations",
    "Health": "_health.observations",
    "Ledger": "_ledger",
    "LostDocument": "_ledger",
    "Measured": "_measures.measures",
    "Move": "_ledger",
    "Point": "_curve",
    "QueryLedger": "_ledger",
    "Ranking": "._recording.replay",
    "RecordedQuery": "._recording.query",
    "Recording": "._recording.recording",
    "Runs": "._recording.replay",
    "Setting": "_grid",
    "Trial": "_tune",
    "Tuning": "_tune",
    "Verdict": "_verdict.result",
    "by_agreement": "_verdict.slices",
    "by_length": "_verdict.slices",
    "by_margin": "_verdict.slices",
    "by_script": "_verdict.slices",
    "by_stage": "._recording.runs",
    "curve": "_curve",
    "evaluate": "_measures.measures",
    "health": "_health.health",
    "losses": "_losses",
    "rank_biased_overlap": "_health.overlap",
    "read_run": "._recording.runs",
    "read_scored_run": "._recording.runs",
    "record": "._recording.record",
    "replay": "._recording.replay",
    "tune": "_tune",
    "verdict": "_verdict.verdict",
    "write_run": "._recording.runs",
}

if not TYPE_CHECKING:  # a type checker then knows the names above, and no others
    __getattr__, __dir__ = lazily(__name__, _HOMES)
