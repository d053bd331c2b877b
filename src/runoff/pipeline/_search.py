"""The decisions of one search, which `TwoStage.search` and `asearch` share.

Nothing here waits or calls a source or a reranker.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runoff._util.faults import OnError, degrades, lacks
from runoff._util.messages import error_text, name_of, visible
from runoff._waiting.watch import Watch
from runoff.errors import BadReply, CapExceeded, DeadlineExceeded
from runoff.fusion._suited import suited
from runoff.pipeline import _stages as stages
from runoff.pipeline._boundary import check_documents, within
from runoff.pipeline._identity import identify
from runoff.pipeline._masking import without_texts
from runoff.pipeline._recall import Answer
from runoff.rerank._inner import check_reranking
from runoff.scores import ModelIdentity, ScoreKind, Usage
from runoff.trace import Scoring, StageTrace, Trace
from runoff.types import Degradation, Outcome, Reranking, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runoff.deadline import Deadline
    from runoff.grouping import Grouping
    from runoff.protocols import Fusion, Reranker
    from runoff.trace import Fate
    from runoff.types import Document, Query

logger = logging.getLogger("runoff")

# about five milliseconds of fusion, or of hashing the texts of documents without ids
_MANY_HITS = 500
_MUCH_TEXT = 4_000_000
_GROUPING = 0.25  # of the time left that finding duplicates may take
_NO_MODEL = ModelIdentity("")


@dataclass(frozen=True, slots=True, eq=False)
class Nominated:
    """What the first stage hands to the second.

    Attributes:
        recalled: what recall returned and what it left out.
        fusion: how fusion went.
        split: the candidates by what the second stage can do with them.
        grouped: the fates of the candidates that others stand for.
        notes: sentences for the user.
    """

    recalled: stages.Recalled
    fusion: StageTrace
    split: stages.Split
    grouped: tuple[Fate, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Reply:
    """What the second stage returned, unchecked, or the error it raised, and how long it took."""

    reranking: object
    error: Exception | None
    latency_ms: float
    load_ms: float


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """One search: its arguments, and the steps that compute.

    Attributes:
        query: the question, with every filter.
        sources: their names, in the order declared.
        fusion: makes one order out of several sources' hits.
        second: the second stage; None when there is none.
        depth: hits asked of each source.
        window: candidates the second stage reads.
        top_k: results to return.
        deadline: the budget of the whole search.
        on_error: which faults degrade the answer.
        id_of: what identifies a document across sources; None for ids or texts.
        grouping: which candidates are put under one of them; None groups nothing.
        notes: sentences for the user about the query.
        isolated: whether results have metadata of their own; False where the caller copies it.
    """

    query: Query
    sources: tuple[str, ...]
    fusion: Fusion
    second: Reranker | None
    depth: int
    window: int
    top_k: int
    deadline: Deadline
    on_error: OnError
    id_of: Callable[[Document], str] | None
    grouping: Grouping | None
    notes: tuple[str, ...] = ()
    isolated: bool = True

    def is_heavy(self, answers: Mapping[str, Answer]) -> bool:
        """Return whether fusing these answers would block an event loop for long."""
        if self.grouping is not None and self.grouping.duplicates is not None:
            return True
        lists = [answer.hits for answer in answers.values() if answer.hits is not None]
        if sum(map(len, lists)) > _MANY_HITS:
            return True
        return sum(len(hit.document.text) for hits in lists for hit in hits) > _MUCH_TEXT

    def nominate(self, answers: Mapping[str, Answer]) -> Nominated:
        """Fuse and group what the sources found, and split it for the second stage.

        Args:
            answers: by source; a source without one is late and is left out.

        Raises:
            RecallFailed: no source answered.
            Exception: a source's error that must not be hidden.
        """
        spent_ms = self.deadline.spent() * 1000
        late = Answer(None, DeadlineExceeded(f"no answer after {spent_ms:.0f} ms"), spent_ms)
        complete = {name: answers.get(name, late) for name in self.sources}
        recalled = stages.collect(complete, self.depth, self.on_error)
        watch = Watch(self.deadline)
        inside = recalled.rankings
        left_out: list[str] = []
        if self.query.filters is not None:
            inside, left_out = within(inside, self.query.filters)
        rankings, notes = identify(inside, self.id_of)
        every = {name: rankings.get(name, []) for name in self.sources}
        fusion, instead = suited(self.fusion, every)
        candidates = stages.fuse(every, fusion)
        heads = candidates
        if self.grouping is not None:
            share = self.deadline.remaining() * _GROUPING
            heads, skipped = self.grouping.group_within(candidates, share)
            notes += skipped
        split = stages.split(heads, self.window)
        entered = sum(map(len, rankings.values()))
        traced = StageTrace("fusion", name_of(fusion), watch.read()[0], entered, len(candidates))
        every_note = (*left_out, *notes, *filter(None, (instead,)))
        return Nominated(recalled, traced, split, stages.grouped_fates(heads), every_note)

    def scored_nothing(self, nominated: Nominated, reply: Reply) -> bool:
        """Return whether the second stage degrades the answer and scored no candidate at all."""
        if reply.error is not None:
            return bool(degrades(reply.error, self.on_error))
        made = reply.reranking
        if not isinstance(made, Reranking) or made.ordered or made.dropped:
            return False
        return len(made.unscored) == len(nominated.split.readable)  # else it is a bad reply

    def nominate_again(
        self, answers: Mapping[str, Answer], reply: Reply
    ) -> tuple[Nominated, Reply]:
        """Return candidates that include late answers, and the reply as if it were about them.

        The reply is one for which `scored_nothing` is True.
        """
        nominated = self.nominate(answers)
        if isinstance(reply.reranking, Reranking):
            unscored = tuple(nominated.split.readable)
            reply = replace(reply, reranking=replace(reply.reranking, unscored=unscored))
        return nominated, reply

    def respond(self, nominated: Nominated, reply: Reply | None) -> Response:
        """Return the answer.

        Raises:
            Exception: the second stage's error, when it must not be hidden.
        """
        recalled, split = nominated.recalled, nominated.split
        degraded, traced = [*recalled.degraded], [*recalled.stages, nominated.fusion]
        reranking, reason = None, ""
        if reply is not None:
            reranking, reason, detail = self._check(nominated, reply)
            traced.append(self._trace_rerank(nominated, reply, reranking, detail))
            if reason:
                degraded.append(Degradation("rerank", traced[-1].source, reason, detail))
        degraded = self._logged(degraded, nominated)
        off = self.second is None
        ordered = stages.order(
            split, reranking, reason, off=off, top_k=self.top_k, isolated=self.isolated
        )
        notes = [*self.notes, *nominated.notes, *(reranking.notes if reranking else ())]
        outcome = Outcome(
            tuple(degraded),
            [fate.scoring for fate in ordered.fates].count(Scoring.RERANKED),
            len(split.readable),
            self.deadline.budget * 1000 if self.deadline.finite else None,
            self.deadline.spent() * 1000,
            tuple(map(visible, notes)),
        )
        trace = Trace(
            tuple(traced),
            (*ordered.fates, *nominated.grouped),
            reranking.model if reranking else _NO_MODEL,
            reranking.kind if reranking else ScoreKind.UNKNOWN,
            self.depth,
            self.window,
            self.top_k,
            reranking.matcher if reranking else None,
        )
        return Response(self.query, ordered.results, outcome, trace)

    def _logged(self, degraded: list[Degradation], nominated: Nominated) -> list[Degradation]:
        """Log what is missing and why, and return it without the texts that errors repeat."""
        if not degraded:
            return degraded
        queries = (self.query.text, *self.query.embedding_texts)
        documents = [one.document.text for one in nominated.split.readable]
        safe = [
            replace(one, detail=visible(without_texts(one.detail, queries, documents)))
            for one in degraded
        ]
        for one in safe:
            said = f" ({one.detail})" if one.detail else ""
            place = visible(f"{one.stage} {one.source}")
            logger.warning("degraded answer: %s: %s%s", place, one.reason, said)
        return safe

    def _trace_rerank(
        self, nominated: Nominated, reply: Reply, reranking: Reranking | None, problem: str
    ) -> StageTrace:
        return StageTrace(
            "rerank",
            name_of(self.second),
            reply.latency_ms,
            len(nominated.split.readable),
            len(reranking.ordered) if reranking else 0,
            reply.load_ms,
            reranking.usage if reranking else Usage(),
            problem,
            reranking.parts if reranking else (),
        )

    def _check(self, nominated: Nominated, reply: Reply) -> tuple[Reranking | None, str, str]:
        """Return a reranking that can be trusted, and the reason and detail of what is missing.

        Raises:
            Exception: the second stage's error, when it must not be hidden.
        """
        error = reply.error
        if error is None:
            try:
                reranking = check_reranking(reply.reranking, nominated.split.readable)
                check_documents(reranking, nominated.split.readable, self.query.filters)
            except BadReply as bad:
                error = bad
            else:
                reason, detail = self._missing(reranking)
                if reranking.thresholded and (reason or nominated.recalled.degraded):
                    reranking = stages.undo_threshold(reranking)
                return reranking, reason, detail
        reason = degrades(error, self.on_error)
        if not reason:
            raise error
        return None, reason, error_text(error)

    def _missing(self, reranking: Reranking) -> tuple[str, str]:
        reason, detail = lacks(reranking)
        if reason and self.on_error == "raise":
            kinds = {"timeout": DeadlineExceeded, "cap": CapExceeded}
            raise kinds.get(reason, BadReply)(detail)
        return reason, detail
