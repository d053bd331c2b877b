"""Observations of live traffic: the answers that were kept, and what they prove over time."""

from __future__ import annotations

import heapq
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from runoff.evaluation._verdict.slices import by_script
from runoff.live._state import state
from runoff.live._store import Store
from runoff.report._explorer.judged import MEASURE
from runoff.report._explorer.params import NotThere
from runoff.report._explorer.table import Table
from runoff.types import Query, Response, Result

if TYPE_CHECKING:
    from runoff.live._observation import Observation
    from runoff.live._observations import Observations
    from runoff.report._explorer.params import Params


_MOST = 2000  # observations that are looked at, the youngest


class Observed:
    """A directory that `watch` writes, as it was when it was opened.

    Args:
        observations: the directory's reader.

    Raises:
        RecordingDamaged: a shard cannot be read.
    """

    def __init__(self, observations: Observations) -> None:
        self._observations = observations
        self.summary = observations.summary()
        found = Store(observations.path).youngest(_MOST)
        since = (one for one in found if one.time >= observations.since)
        youngest = heapq.nlargest(_MOST, since, key=lambda one: one.time)
        self.kept = {one.id: one for one in youngest}

    @property
    def title(self) -> str:
        """What is looked at."""
        return self._observations.path.name or str(self._observations.path)

    @cached_property
    def table(self) -> Table:
        """The observations as a table; nothing is judged."""
        found = list(self.kept.values())
        texts = [one.query or one.query_hash for one in found]
        scripts = by_script({one.id: one.query for one in found})
        unknown = np.full(len(found), np.nan)
        return Table(
            list(self.kept),
            texts,
            [one.slices.get("language", scripts[one.id] if one.query else "") for one in found],
            [tuple(f"{name}={value}" for name, value in one.slices.items()) for one in found],
            np.array([len(one.query.split()) for one in found], np.float64),
            unknown,
            unknown,
            unknown,
            unknown,
            np.zeros(len(found), np.bool_),
            np.array([not one.outcome.complete for one in found], np.bool_),
            np.array([one.outcome.spent_ms for one in found], np.float64),
            np.array([one.time for one in found], np.float64),
        )

    def rows(self, params: Params) -> dict[str, Any]:
        """Answer api/queries."""
        return self.table.answer(params, lambda _: {})

    def observation(self, query_id: str) -> Observation:
        """Return one observation.

        Raises:
            NotThere: it is not among the youngest.
        """
        found = self.kept.get(query_id)
        if found is None:
            raise NotThere(f"{query_id!r} is not among the {len(self.kept):,} latest observations")
        return found

    def response(self, query_id: str) -> Response:
        """Return an observation as the response it was."""
        one = self.observation(query_id)
        trace = one.trace
        ranked = sorted((it for it in trace.fates if it.rank), key=lambda it: it.rank or 0)
        results = tuple(
            Result(
                it.rank or 0, it.candidate, it.rerank_rank, it.rerank_score, it.pair_score,
                it.truncated,
            )
            for it in ranked[: one.top_k]
        )  # fmt: skip
        return Response(Query(one.query or one.query_hash), results, one.outcome, trace)

    def trend(self) -> dict[str, Any]:
        """Answer api/trend."""
        found, seen = state(self._observations.path), self.summary
        alarms = [
            f"{one.check}: {one.sentence}" + (f" Try: {one.advice}." if one.advice else "")
            for one in seen.odd
        ]
        if found is None:
            said = (
                "Nothing was graded yet, so whether the second stage helps is not known: call "
                "runoff.live.judge."
            )
            return {"statement": said, "alarms": alarms, "series": [], "slices": [], "notes": []}
        stated = found.statement
        slices = [
            {
                "name": name,
                "decision": one.decision,
                "value": one.difference,
                "low": one.interval[0],
                "high": one.interval[1],
                "n": one.queries,
            }
            for name, one in stated.slices.items()
        ]
        if stated.decision == "harms":
            alarms.insert(0, stated.sentence)
        elif harmed := [one["name"] for one in slices if one["decision"] == "harms"]:
            alarms.insert(0, f"It harms {', '.join(map(str, harmed))}.")
        points = [
            {
                "at": datetime.fromtimestamp(one.time, UTC).isoformat(),
                "value": one.difference,
                "low": one.low,
                "high": one.high,
                "n": one.queries,
            }
            for one in stated.trend
        ]
        return {
            "statement": stated.sentence,
            "alarms": alarms,
            "series": [
                {
                    "name": f"{stated.measure}, after minus before the second stage",
                    "points": points,
                    "confidence": 1 - stated.level,
                }
            ],
            "slices": slices,
            "notes": list(stated.notes),
        }

    def state(self) -> dict[str, Any]:
        """Return what api/state says of observations."""
        seen, table = self.summary, self.table
        notes = []
        if seen.observations > len(self.kept):
            notes.append(f"The latest {len(self.kept):,} of {seen.observations:,} are listed.")
        texts = any(one.query for one in self.kept.values())
        if not texts:
            notes.append(
                "Questions and documents were kept as hashes: watch(..., texts=True) keeps texts."
            )
        if not self.kept:
            notes.append("Nothing has been observed yet.")
        first = next(iter(self.kept.values()), None)
        return {
            "title": self.title,
            "has_texts": any(one.texts for one in self.kept.values()),
            "sources": [] if first is None else list(first.sources),
            "measure": MEASURE,
            "counts": {
                "queries": len(self.kept),
                "judged": 0,
                "degraded": int(table.degraded.sum()),
            },
            "slices": sorted({one for row in table.slices for one in row}),
            "languages": sorted({one for one in table.languages if one}),
            "settings": {
                "window": 0 if first is None else first.window,
                "blend": None,
                "weights": {},
                "threshold": None,
                "key": "",
                "fusion": "",
                "ranges": dict.fromkeys(("window", "blend", "weight", "threshold")),
                "replayable": False,
                "why_not": "Live traffic is shown as it was: replays need a recording.",
            },
            "notes": notes,
        }
