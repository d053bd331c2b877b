"""What happens inside one search, as the columns of a recording."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from runoff._util.faults import lacks
from runoff._util.names import name_of
from runoff._waiting.drive import run
from runoff.deadline import Deadline
from runoff.evaluation._groups import groups_of
from runoff.evaluation._recording import Content, FateCode, Origin, RecordedQuery
from runoff.rerank._inner import asked
from runoff.scores import ModelIdentity, ScoreKind, Usage
from runoff.trace import FateKind, Scoring
from runoff.types import Reranking

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from runoff.evaluation._setup import Setup
    from runoff.grouping import Grouping
    from runoff.protocols import Fusion, Reranker
    from runoff.rerank._inner import StageAnswer
    from runoff.trace import Fate, Trace
    from runoff.types import Candidate, Document, Dropped, Hit, Outcome, Query, Ranked

__all__ = ["Reader", "Tap", "read_query", "step_scores"]

_CODES = {
    Scoring.RERANKED: FateCode.RERANKED,
    Scoring.TAIL: FateCode.TAIL,
    Scoring.IMAGE: FateCode.IMAGE,
    Scoring.EMPTY: FateCode.EMPTY,
    Scoring.OFF: FateCode.OFF,
}


class Tap:
    """A fusion that does what another does and keeps what it was given, for one search."""

    def __init__(self, fusion: Fusion) -> None:
        self._fusion = fusion
        self.rankings: Mapping[str, Sequence[Hit]] = {}

    def fuse(self, rankings: Mapping[str, Sequence[Hit]]) -> Mapping[str, float]:
        """Fuse, and keep the rankings."""
        self.rankings = rankings
        return self._fusion.fuse(rankings)


class Reader:
    """A second stage of which every stage reads every candidate, for one search.

    The answer is the last stage's, and degraded where any stage lacks a score.
    """

    def __init__(self, stages: Sequence[Reranker]) -> None:
        self._stages = stages
        self.came: list[StageAnswer] = []

    @property
    def name(self) -> str:
        """The names of the stages, first to last."""
        return " > ".join(map(name_of, self._stages))

    def rerank(
        self, query: Query, candidates: Sequence[Candidate], *, deadline: Deadline | None = None
    ) -> Reranking:
        """Let each stage read all candidates.

        Raises:
            Exception: a stage's error.
        """
        whole = deadline or Deadline()
        self.came = []
        for stage in self._stages:
            came = run(asked(stage, query, candidates, whole.branch()))
            if came.error is not None:
                raise came.error
            self.came.append(came)
        last = self.came[-1].reranking
        if len(self.came) == 1:
            return last
        traces = tuple(came.trace for came in self.came)
        missing = [found for came in self.came if (found := lacks(came.reranking))[0]]
        return Reranking(
            last.ordered,
            last.unscored,
            last.dropped,
            last.kind,
            last.model,
            sum((one.usage for one in traces), Usage()),
            missing[0][0] if missing else "",
            "; ".join(detail for _, detail in missing),
            sum(one.load_ms for one in traces),
            tuple(dict.fromkeys(note for came in self.came for note in came.reranking.notes)),
            last.thresholded,
            traces,
        )


def read_query(  # noqa: PLR0913 - all that one search leaves behind
    query_id: str,
    text: str,
    setup: Setup,
    fates: Sequence[Fate],
    rankings: Mapping[str, Sequence[Hit]],
    reader: Reader | None,
    *,
    outcome: Outcome,
    trace: Trace | None = None,
    grouping: Grouping | None = None,
) -> RecordedQuery:
    """Return one search as a recorded query."""
    fates = sorted(fates, key=lambda fate: fate.candidate.fusion_rank)
    candidates = [fate.candidate for fate in fates]
    documents = [one.document for one in candidates]
    keys = tuple(one.key for one in candidates)
    row = {key: at for at, key in enumerate(keys)}
    came = reader.came if reader is not None else []
    answers = [one.reranking for one in came] + [Reranking(())] * (len(setup.steps) - len(came))
    steps = [
        step_scores(answer, row, pointwise=step.pointwise)
        for answer, step in zip(answers, setup.steps, strict=True)
    ]
    why = tuple(_why(fate) for fate in fates)
    group, twin, near, under = groups_of(grouping, candidates)
    return RecordedQuery(
        query_id=query_id,
        text=text,
        doc_ids=tuple(one.doc_id for one in documents),
        keys=keys,
        origins={name: _origin(rankings.get(name, ()), row) for name in setup.sources},
        fusion_score=_floats([one.fusion_score for one in candidates]),
        pair_score=_floats([fate.pair_score for fate in fates]),
        rerank_score=_floats([fate.rerank_score for fate in fates]),
        rerank_rank=np.array([fate.rerank_rank or 0 for fate in fates], np.int32),
        truncated=np.array([fate.truncated for fate in fates], np.bool_),
        fate=np.array([_fate_code(fate) for fate in fates], np.uint8),
        why=why if any(why) else (),
        content=np.array([_content(one) for one in documents], np.uint8),
        text_length=np.array([len(one.text) for one in documents], np.int32),
        group=group,
        twin=twin,
        near=near,
        grouped_under=under,
        steps=tuple(scores for scores, _ in steps),
        step_truncated=tuple(cut for _, cut in steps),
        stages=() if trace is None else trace.stages,
        outcome=outcome,
        model=ModelIdentity("") if trace is None else trace.model,
        kind=ScoreKind.UNKNOWN if trace is None else trace.kind,
        texts=tuple(one.text for one in documents) if setup.texts else (),
    )


def _floats(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([math.nan if one is None else one for one in values], np.float64)


def _origin(hits: Sequence[Hit], row: Mapping[str, int]) -> Origin:
    many = len(row)
    rank = np.zeros(many, np.int32)
    score, low, high = (np.full(many, math.nan) for _ in range(3))
    for at, hit in enumerate(hits, 1):
        place = row[hit.key]
        rank[place], score[place] = at, hit.score
        least, most = hit.score_range
        low[place] = math.nan if least is None else least
        high[place] = math.nan if most is None else most
    return Origin(rank, score, low, high)


def step_scores(
    answer: Reranking, row: Mapping[str, int], *, pointwise: bool
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the scores that one stage gave, by row, and whether text was lost."""
    scores = np.full(len(row), math.nan)
    truncated = np.zeros(len(row), np.bool_)
    every: list[Ranked | Dropped] = [*answer.ordered, *answer.dropped]
    for one in every:
        score = one.pair_score if pointwise else one.rerank_score
        if score is not None:
            scores[row[one.candidate.key]] = score
        truncated[row[one.candidate.key]] = one.truncated
    return scores, truncated


def _fate_code(fate: Fate) -> FateCode:
    if fate.kind is FateKind.DROPPED:
        return FateCode.DROPPED
    return _CODES.get(fate.scoring, FateCode.UNSCORED)


def _why(fate: Fate) -> str:
    return fate.grouped_under or fate.reason


def _content(document: Document) -> Content:
    if document.text.strip():
        return Content.TEXT
    return Content.IMAGE if document.image else Content.EMPTY
