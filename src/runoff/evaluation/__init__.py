"""Does the second stage help? Queries recorded once, and every question answered from that.

Names are imported when they are first used, so that nobody waits for a part they do not use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runoff._lazy import lazily

if TYPE_CHECKING:
    from runoff.evaluation.accounting import losses
    from runoff.evaluation.checks import health
    from runoff.evaluation.collection import Collection
    from runoff.evaluation.curves import Curve, Point, curve
    from runoff.evaluation.findings import Finding, Health
    from runoff.evaluation.ledger import Ledger, LostDocument, Move, QueryLedger
    from runoff.evaluation.measures import Evaluator, Measured, evaluate
    from runoff.evaluation.recorder import record
    from runoff.evaluation.recording import Content, Fate, RecordedQuery, Recording
    from runoff.evaluation.replays import AS_RECORDED, Ranking, Runs, replay
    from runoff.evaluation.runs import read_run, read_scored_run, write_run
    from runoff.evaluation.settings import Setting
    from runoff.evaluation.slices import by_agreement, by_length, by_margin, by_script
    from runoff.evaluation.stagewise import by_stage
    from runoff.evaluation.tuning import Trial, Tuning, tune
    from runoff.evaluation.verdicts import Comparison, Verdict, verdict


__all__ = [
    "AS_RECORDED",
    "Collection",
    "Comparison",
    "Content",
    "Curve",
    "Evaluator",
    "Fate",
    "Finding",
    "Health",
    "Ledger",
    "LostDocument",
    "Measured",
    "Move",
    "Point",
    "QueryLedger",
    "Ranking",
    "RecordedQuery",
    "Recording",
    "Runs",
    "Setting",
    "Trial",
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
    "read_run",
    "read_scored_run",
    "record",
    "replay",
    "tune",
    "verdict",
    "write_run",
]

_HOMES = {
    "AS_RECORDED": "replays",
    "Collection": "collection",
    "Comparison": "verdicts",
    "Content": "recording",
    "Curve": "curves",
    "Evaluator": "measures",
    "Fate": "recording",
    "Finding": "findings",
    "Health": "findings",
    "Ledger": "ledger",
    "LostDocument": "ledger",
    "Measured": "measures",
    "Move": "ledger",
    "Point": "curves",
    "QueryLedger": "ledger",
    "Ranking": "replays",
    "RecordedQuery": "recording",
    "Recording": "recording",
    "Runs": "replays",
    "Setting": "settings",
    "Trial": "tuning",
    "Tuning": "tuning",
    "Verdict": "verdicts",
    "by_agreement": "slices",
    "by_length": "slices",
    "by_margin": "slices",
    "by_script": "slices",
    "by_stage": "stagewise",
    "curve": "curves",
    "evaluate": "measures",
    "health": "checks",
    "losses": "accounting",
    "read_run": "runs",
    "read_scored_run": "runs",
    "record": "recorder",
    "replay": "replays",
    "tune": "tuning",
    "verdict": "verdicts",
    "write_run": "runs",
}

__getattr__, __dir__ = lazily(__name__, _HOMES)
