"""Replays of a recording with other settings: values of every query, verdict and latency."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import cached_property, partial
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np

from runoff._recording.first_stage import KEPT, Prepared, prepared
from runoff._recording.query import Stored
from runoff._recording.recording import Recording
from runoff._recording.replay import Runs, first_ranking, plan_replay, ranking
from runoff._recording.runs import FUSED, RERANKED
from runoff._recording.traverse import traverse
from runoff.errors import InvalidArgument
from runoff.evaluation._grid import Answers
from runoff.evaluation._measures.differences import compare_means, span_of
from runoff.evaluation._trials import Costs
from runoff.evaluation._verdict.rivals import against, contest
from runoff.evaluation._verdict.verdict import verdict
from runoff.report._answer import answer_of
from runoff.report._evaluated import Evaluated
from runoff.report._explorer.fitted import REMEDY, narrow, reach
from runoff.report._explorer.judged import CUTOFF, LEVEL, MEASURE
from runoff.report._explorer.kept import Kept
from runoff.report._explorer.params import NotThere
from runoff.report._explorer.settings import (
    fusion_name,
    own_settings,
    parsed_settings,
    setting_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from runoff._recording.query import RecordedQuery
    from runoff._recording.replay import Plan, Ranking
    from runoff._recording.traverse import Traversal
    from runoff.evaluation._grid import Setting
    from runoff.evaluation._measures.measures import Measured
    from runoff.evaluation._verdict.rivals import Contest
    from runoff.report._explorer.judged import Judgments
    from runoff.report._explorer.settings import Settings


_ROUGH = 1000  # rounds of a verdict while a slider moves
_AS_RECORDED = "as recorded"


class Replays:
    """Answers of a recorded system with any settings, and what they are worth.

    Args:
        recording: what `record` returned.
        judgments: of its queries.

    Attributes:
        setup: what was recorded.
        queries: query id to recorded query.
        own: the settings of the recorded system.
        lock: held while recorded queries are replayed, which keep their last fused order.
    """

    def __init__(self, recording: Recording, judgments: Judgments) -> None:
        self.setup = recording.setup
        self.judgments = judgments
        self._answers = Answers(recording, recording.query_ids)
        # each keeps what it prepared for the last sources: a weight may go to 0 and back
        self._fewer = Answers(
            Recording(self.setup, Stored(self._answers.queries)), recording.query_ids
        )
        # in memory, and another one than what `self._answers` replays: a contest takes no lock
        self._recording = Recording(self.setup, Stored(self._answers.queries))
        self.queries: Mapping[str, RecordedQuery] = {
            one.query_id: one for one in self._answers.queries
        }
        self.own = own_settings(self.setup)
        self._narrow = bool(self.setup.steps) and narrow(self._answers.queries)
        self._large = self._recording.pairs > KEPT
        self.lock = RLock()
        self._runs, self._measured, self._simple = Kept(12), Kept(12), Kept(12)
        self._reach = Kept(12)
        self._contest: tuple[int, Contest] | None = None
        self._contest_lock = RLock()
        self._costs = Costs(self._answers.queries, self.setup.steps)

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """Every pair score that was recorded."""
        found = [one.pair_score[np.isfinite(one.pair_score)] for one in self.queries.values()]
        return np.concatenate(found) if found else np.zeros(0)

    def setting(self, asked: Settings, window: int | None = None) -> Setting:
        """Return settings as the `Setting` that is replayed.

        Raises:
            InvalidArgument: a threshold is set, and no candidate has a score.
        """
        scored = next((one for one in self.queries.values() if one.model.name), None)
        if asked.threshold is not None and scored is None:
            raise InvalidArgument("threshold", asked.threshold, "no candidate has a score")
        kind, model = (None, "") if scored is None else (scored.kind, scored.model.name)
        return setting_of(asked, self.setup, kind, model, window=window)

    def asked(self, asked: Settings) -> tuple[Recording, dict[str, Any]]:
        """Return the recording with the sources of some settings, and what `replay` takes."""
        setting = self.setting(asked)
        recording, given = self._answers_to(setting).asked(setting)
        if self._large and asked.weights == self.own.weights:
            # the recorded scores serve at their depth; a small recording is fused for what the
            # next step of a weight finds ready
            given.pop("fusion", None)
        return recording, given

    def _answers_to(self, setting: Setting) -> Answers:
        return self._answers if setting.sources == self.setup.sources else self._fewer

    def reach(self, asked: Settings) -> int:
        """Return the widest window that can be replayed with the weights of some settings."""
        if not self._narrow or asked.weights == self.own.weights:
            return self.setup.recorded_window
        with self.lock:
            recording, given = self._answers_to(first := self.setting(asked, window=0)).asked(first)
            del given["reranker"]
            return self._reach.get(asked.weights, lambda: reach(recording, **given))

    def runs(self, asked: Settings) -> Runs:
        """Return the first results of every query."""
        with self.lock:
            return self._runs.get(asked, lambda: self._made([asked])[0])

    def ahead(self, several: Sequence[Settings]) -> None:
        """Make the first results of settings that differ in no weight, in one pass over all."""
        with self.lock:
            for asked, made in zip(several, self._made(several), strict=True):
                self._runs.get(asked, partial(Runs, made))

    def _made(self, several: Sequence[Settings]) -> list[Runs]:
        """Return the first results with each of some settings; those of the first stage are kept.

        Preparing a query takes longer than any of its replays, so that all share it.
        """
        found: list[dict[str, Ranking]] = [{} for _ in several]
        fused: dict[str, Ranking] = {}
        given = [self.asked(one) for one in several]
        plans = [plan_replay(recording, **{**own, "top_k": CUTOFF}) for recording, own in given]
        for query in prepared(given[0][0]):
            for at, plan in enumerate(plans):
                one = traverse(query, plan)
                found[at][one.query.query_id] = ranking(one, plan)
            fused[one.query.query_id] = first_ranking(one, plan)
        self._runs.get(("fused", several[0].weights), partial(Runs, fused))
        return [Runs(one) for one in found]

    def fused(self, asked: Settings) -> Runs:
        """Return the first results of the first stage alone, whose order the weights decide."""
        with self.lock:
            first, place = self.setting(asked, window=0), ("fused", asked.weights)
            return self._runs.get(place, lambda: self._answers_to(first).to(first, CUTOFF))

    def measured(self, asked: Settings, *, fused: bool = False) -> Measured | None:
        """Return the measure of every judged query; None without judgments.

        Args:
            asked: the settings.
            fused: whether that of the first stage alone is meant.
        """
        evaluator = self.judgments.evaluator
        if evaluator is None:
            return None
        runs = self.fused(asked) if fused else self.runs(asked)
        place = (fused, asked.weights if fused else asked, self.judgments.version)
        with self.lock:
            return self._measured.get(place, lambda: evaluator.evaluate(runs))

    def latency(self, asked: Settings) -> NDArray[np.float64]:
        """Return the milliseconds of every query, estimated from the recorded stages."""
        runs, used = self.runs(asked), self.setting(asked).sources
        return self._costs.of(used, [runs[one].pairs for one in self.queries]).ms

    def traversed(
        self, query_id: str, asked: Settings, top_k: int | None = None
    ) -> tuple[Traversal, Plan]:
        """Return one query taken through the stages, and the settings as a plan.

        Raises:
            NotThere: it was not recorded.
        """
        if query_id not in self.queries:
            raise NotThere(f"there is no query {query_id!r} in this recording")
        with self.lock:
            recording, given = self.asked(asked)
            plan = plan_replay(recording, top_k=top_k, **given)
            return traverse(Prepared(recording[query_id]), plan), plan

    def sliders(self) -> dict[str, Any]:
        """Return the settings of the recorded system, and how far each can be moved."""
        steps, own, scores = self.setup.steps, self.own, self.scores
        pointwise = bool(steps) and steps[-1].pointwise
        listwise = any(step.listwise for step in steps)
        most = self.setup.recorded_window
        window = [1, most] if steps and not listwise and most > 1 else None
        heaviest = max([1.0, *(weight for _, weight in own.weights)])
        weight = [0, heaviest] if own.weights and not listwise else None
        why = None
        if not steps and own.weights:
            why = "The recorded system has no second stage, so only weights can be changed."
        elif not steps:
            why = "The recorded system has one source and no second stage: nothing can be changed."
        elif listwise:
            why = (
                f"{steps[-1].name} orders several candidates at once, so its order holds only for "
                "those that it read: nothing can be changed here. Compare two recordings instead."
            )
        elif not pointwise:
            why = (
                f"{steps[-1].name} orders lists and scores no pairs, so only the window and the "
                "weights can be changed; other windows keep the order that it gave to all."
            )
        elif self._narrow:
            why = f"The window ends at {most}, since the recording has no scores beyond: {REMEDY}."
        limits = [float(scores.min()), float(scores.max())] if pointwise and len(scores) else None
        return {
            **own.to_dict(),
            "key": own.key,
            "fusion": fusion_name(self.setup),
            "ranges": {
                "window": window,
                "blend": [0, 1] if pointwise else None,
                "weight": weight,
                "threshold": limits,
            },
            "replayable": bool(steps or own.weights),
            "why_not": why,
        }

    def replay(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Answer api/replay.

        Raises:
            InvalidArgument: a setting has a value it cannot have.
        """
        began = time.perf_counter()
        full = body.get("full", False)
        if not isinstance(full, bool):
            raise InvalidArgument("full", full, "must be true or false")
        given = {name: value for name, value in body.items() if name != "full"}
        asked, limit = self._within(parsed_settings(given, self.setup))
        found, own = self.runs(asked), self.runs(self.own)
        changed = sum(not np.array_equal(found[one].rows, own[one].rows) for one in self.queries)
        measured = self.measured(asked)
        spent = self.latency(asked)
        p50, p95 = (float(one) for one in np.percentile(spent, (50, 95)))
        return {
            "settings": asked.key,
            "asked": asked.to_dict(),
            "summary": None if measured is None else self._summary(asked, measured, full=full),
            "limit": limit,
            "latency": {"p50": p50, "p95": p95, "estimated": True},
            "changed": changed,
            "took_ms": (time.perf_counter() - began) * 1000,
        }

    def _within(self, asked: Settings) -> tuple[Settings, str | None]:
        """Return settings that can be replayed, and why they are not those that were asked for.

        Raises:
            InvalidArgument: with these weights no window can be replayed.
        """
        most = self.reach(asked)
        if asked.window <= most:
            return asked, None
        if most == 0:
            remedy = f"would make the second stage read candidates without scores: {REMEDY}"
            raise InvalidArgument("weights", dict(asked.weights), remedy)
        said = (
            f"With these weights, there are scores only up to a window of {most}, which is "
            f"shown: {REMEDY}."
        )
        return replace(asked, window=most), said

    def contest(self) -> Contest | None:
        """Return what the system has to beat; None without a second stage or judgments.

        It takes seconds, and is kept until a grade changes.
        """
        judged = self.judgments.collection
        if judged is None or not self.setup.steps:
            return None
        with self._contest_lock:
            version = self.judgments.version
            if self._contest is None or self._contest[0] != version:
                self._contest = version, contest(self._recording, judged, [MEASURE])
            return self._contest[1]

    def _beaten(self, contest: tuple[int, Contest]) -> dict[str, Measured]:
        """Return the measures of the simple systems that a contest names, by today's grades."""
        made_at, found = contest
        evaluator = self.judgments.evaluator
        if evaluator is None:
            return {}
        names = [name for name in found.runs if name != RERANKED]
        made = {}
        for name in names:
            place = name, made_at, self.judgments.version
            runs = found.runs[name]
            with self.lock:
                made[name] = self._simple.get(place, partial(evaluator.evaluate, runs))
        return made

    def _summary(self, asked: Settings, measured: Measured, *, full: bool) -> dict[str, Any]:
        """Return what the settings are worth against the best system without a second stage."""
        share = measured.judged_share(MEASURE)
        made = {
            "measure": MEASURE,
            "before": None,
            "after": measured.mean(MEASURE),
            "gain": None,
            "low": None,
            "high": None,
            "unjudged": None if np.isnan(share) else 1 - share,
            "against": None,
            "full": full,
        }
        try:
            return made | (self._decided if full else self._rough)(asked, measured)
        except InvalidArgument as error:  # such as answers without any judged document
            return {**made, "sentence": str(error)}

    def _rough(self, _asked: Settings, measured: Measured) -> dict[str, Any]:
        """Return figures while a slider moves: the interval of fewer rounds, and no decision.

        They are against the strongest simple system alone, and unjudged documents count as not
        relevant.
        """
        before, first = self._opponent(measured)
        old, new = first.values[MEASURE], measured.values[MEASURE]
        deltas = (new - old)[:, None]
        members = np.ones(deltas.shape, np.bool_)
        found = compare_means(
            deltas, members, np.array([span_of(old, new)]), level=LEVEL, rounds=_ROUGH
        )
        low, high = (float(one) for one in found.intervals[0])
        return {
            "before": first.mean(MEASURE),
            "gain": float(deltas.mean()),
            "low": low,
            "high": high,
            "against": before,
            "sentence": f"{MEASURE} {new.mean():.3f}, against {old.mean():.3f} ({before}).",
        }

    def _opponent(self, measured: Measured) -> tuple[str, Measured]:
        """Return the strongest simple system, even if it was chosen before the last grade."""
        contest = self._contest
        if contest is not None:
            before = contest[1].compared[0]
            if set(measured.query_ids) <= contest[1].runs[before].keys():
                return before, self._beaten(contest)[before]
        return self._plain(measured)

    def _plain(self, measured: Measured) -> tuple[str, Measured]:
        """Return the recorded first stage, or the recorded system where it is the only one."""
        fused = bool(self.setup.steps)
        return FUSED if fused else _AS_RECORDED, self.measured(self.own, fused=fused) or measured

    def _decided(self, asked: Settings, measured: Measured) -> dict[str, Any]:
        """Return the verdict."""
        beaten = self.contest()
        if beaten is None:
            before, first = self._plain(measured)
            found = verdict(first, measured, level=LEVEL)
            sentence = found.reason
        else:
            before = beaten.compared[0]
            ms = {**beaten.ms, RERANKED: float(np.median(self.latency(asked)))}
            every = {**self._beaten((self.judgments.version, beaten)), RERANKED: measured}
            found = against(every, replace(beaten, ms=ms), level=LEVEL)
            sentence = answer_of(Evaluated("", every, beaten.compared, found)).sentence
        low, high = found.main.interval
        return {
            "before": found.main.before,
            "gain": found.main.difference,
            "low": low,
            "high": high,
            "against": before,
            "decision": found.decision,
            "sentence": sentence,
        }
