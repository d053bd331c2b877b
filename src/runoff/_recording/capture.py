"""One search at full width, captured as a recorded query: every stage scores every candidate."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from runoff._recording.first_stage import group_recorded
from runoff._recording.query import Content, FateCode, Origin, RecordedQuery
from runoff._recording.setup import StepSetup, threshold_to_json
from runoff._util.faults import lacks
from runoff._util.messages import name_of
from runoff._util.text import text_key
from runoff._waiting.drive import run
from runoff.deadline import Deadline
from runoff.errors import InvalidArgument
from runoff.fusion._suited import suited
from runoff.pipeline._drift import Present
from runoff.pipeline._second_stage import Wrapped
from runoff.pipeline._sources import Current
from runoff.protocols import Cacheable
from runoff.rerank._as_reranker import as_reranker
from runoff.rerank._cascade import Cascade
from runoff.rerank._foreign import REMOVED_BY
from runoff.rerank._inner import Composed, asked, parts_of
from runoff.rerank._llm.listwise import ListwiseLLM
from runoff.rerank._pointwise import Pointwise
from runoff.rerank._wrapping import innermost
from runoff.scores import ModelIdentity, ScoreKind, Usage
from runoff.trace import FateKind, Scoring
from runoff.types import Dropped, Ranked, Reranking

if TYPE_CHECKING:
    from collections.abc import (
        Callable,
        Collection,
        Container,
        Iterable,
        Iterator,
        Mapping,
        Sequence,
    )

    from numpy.typing import NDArray

    from runoff._recording.setup import Setup
    from runoff.grouping import Grouping
    from runoff.protocols import Fusion, Reranker
    from runoff.rerank._inner import StageAnswer
    from runoff.trace import Fate, StageTrace, Trace
    from runoff.types import Candidate, Document, Hit, Outcome, Query

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_CODES = {
    Scoring.RERANKED: FateCode.RERANKED,
    Scoring.TAIL: FateCode.TAIL,
    Scoring.IMAGE: FateCode.IMAGE,
    Scoring.EMPTY: FateCode.EMPTY,
    Scoring.OFF: FateCode.OFF,
}


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a second stage, ready to score every candidate.

    Attributes:
        reranker: the stage's reranker, without its threshold.
        setup: the stage's configuration, with the threshold.
    """

    reranker: Reranker
    setup: StepSetup


def stages_of(given: object) -> list[Stage]:
    """Return the stages of a pipeline's reranker, cheapest first; an empty list for None.

    One with a `ListwiseLLM` is a single stage: what that reads depends on the stages before it.

    Raises:
        InvalidArgument: it has a threshold that a replay could not apply.
    """
    reranker = as_reranker(given)
    if reranker is None:
        return []
    leaves = [*leaves_of(reranker)]
    if any(isinstance(one, ListwiseLLM) for one in leaves):
        check_unlimited(leaves, "together with a ListwiseLLM")
        return [Stage(reranker, StepSetup(name_of(reranker), pointwise=False, listwise=True))]
    if isinstance(reranker, Cascade):
        steps = [(one.second, one.keep, one.margin) for one in reranker.steps]  # type: ignore[union-attr] # it made them so
    else:
        steps = [(reranker, None, None)]
    return [_stage(*step) for step in steps]


def check_unlimited(leaves: Iterable[object], where: str) -> None:
    """Refuse thresholds if a recording cannot say which answers they were applied to."""
    for one in leaves:
        if (limit := getattr(one, "threshold", None)) is not None:
            remedy = f"cannot be recorded {where}: remove the threshold"
            raise InvalidArgument("threshold", limit, remedy)


def check_unlimited_answer(answer: Reranking, step: StepSetup) -> None:
    """Refuse a threshold that a reranker applied itself.

    A recording would not say when it applies it, so other windows could not be replayed exactly.
    What a framework's reranker left out has a reason of its own, and is replayed.

    Raises:
        InvalidArgument: names the reranker.
    """
    if not answer.thresholded or step.listwise:
        return
    if not any(one.reason.startswith(REMOVED_BY) for one in answer.dropped):
        remedy = (
            "applied a threshold of its own, which a replay cannot apply: remove the threshold, "
            "or give the scorer to Pointwise(scorer, threshold=...)"
        )
        raise InvalidArgument("reranker", step.name, remedy)


def leaves_of(reranker: object) -> Iterator[object]:
    """Yield a reranker, or those that it is made of."""
    if isinstance(reranker, Wrapped):
        reranker = reranker.inner
    if not isinstance(reranker, Composed):
        yield reranker
        return
    for one in parts_of(reranker):
        yield from leaves_of(one)


def _stage(reranker: Reranker, keep: int | None, margin: float | None) -> Stage:
    name = name_of(reranker)
    if not isinstance(reranker, Pointwise):
        check_unlimited(leaves_of(reranker), f"inside {type(reranker).__name__}")
        return Stage(reranker, StepSetup(name, pointwise=False, keep=keep, margin=margin))
    setup = StepSetup(
        name,
        blend=reranker.weight,
        threshold=threshold_to_json(reranker.threshold),
        keep=keep,
        margin=margin,
    )
    return Stage(replace(reranker, threshold=None), setup)


def describe_part(part: object) -> str:
    """Describe a source or a reranker, without secrets, to notice when a system has changed.

    One of runoff's own is described by its configuration, a scorer by what its scores depend on,
    and a foreign part by its class.
    """
    if isinstance(part, Current | Present):  # an adapter's checks change with no configuration
        return describe_part(part.source)
    kind = f"{type(part).__module__}.{type(part).__qualname__}"
    if isinstance(part, Pointwise):
        scorer = innermost(part.scorer)
        key = scorer.cache_key if isinstance(scorer, Cacheable) else describe_part(scorer)
        text = getattr(part.text, "__qualname__", "") or _ADDRESS.sub("", repr(part.text))
        return f"{part.name} ({key}) passages={part.passages!r} text={text}"
    models = [one for one in leaves_of(part) if isinstance(one, ListwiseLLM)]
    if models:
        prompts = [text_key(one.prompt_text) for one in models]
        return " ".join([_ADDRESS.sub("", repr(part)), *prompts])
    inner = getattr(part, "retriever", None)
    if inner is not None:  # an adapter's source
        reading = getattr(part, "reading", "")
        return f"{kind} of {type(inner).__module__}.{type(inner).__qualname__} {reading}".strip()
    if kind.startswith("runoff.recall."):
        return _ADDRESS.sub("", repr(part))
    return kind


class FusionTap:
    """A fusion that does another's arithmetic and keeps the rankings of one search."""

    def __init__(self, fusion: Fusion) -> None:
        self._fusion = self._chosen = fusion
        self.rankings: Mapping[str, Sequence[Hit]] = {}

    @property
    def name(self) -> str:
        """The name of the fusion that was used."""
        return name_of(self._chosen)

    def suited(self, rankings: Mapping[str, Sequence[Hit]]) -> tuple[FusionTap, str]:
        """Use the fusion that takes its place for these hits."""
        self._chosen, note = suited(self._fusion, rankings)
        return self, note

    def fuse(self, rankings: Mapping[str, Sequence[Hit]]) -> Mapping[str, float]:
        """Fuse, and keep the rankings."""
        self.rankings = rankings
        return self._chosen.fuse(rankings)


Reads: TypeAlias = "Callable[[Sequence[Candidate]], Collection[str]]"
"""Says of candidates the keys of those that are read."""


class ScoreAll:
    """A reranker for one search, in which every stage scores every candidate.

    Its reranking is the last stage's, and is incomplete if any stage left a candidate unscored.

    Args:
        stages: the rerankers of the stages.
        reads: which candidates are read; None reads all.

    Attributes:
        answers: what each stage answered.
        unread: the keys of the candidates that were not read.
    """

    def __init__(self, stages: Sequence[Reranker], reads: Reads | None = None) -> None:
        self._stages = stages
        self._reads = reads
        self.answers: list[StageAnswer] = []
        self.unread: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The names of the stages, first to last."""
        return " > ".join(map(name_of, self._stages))

    def rerank(
        self, query: Query, candidates: Sequence[Candidate], *, deadline: Deadline | None = None
    ) -> Reranking:
        """Let each stage score all candidates, or those that are to be read.

        Raises:
            Exception: a stage's error.
        """
        if self._reads is None:
            return self._read(query, candidates, deadline or Deadline())
        chosen = self._reads(candidates)
        left = [one for one in candidates if one.key not in chosen]
        self.unread = frozenset(one.key for one in left)
        read = [one for one in candidates if one.key in chosen]
        made = self._read(query, read, deadline or Deadline()) if read else Reranking(())
        return replace(made, dropped=(*made.dropped, *(Dropped(one, "unread") for one in left)))

    def _read(self, query: Query, candidates: Sequence[Candidate], whole: Deadline) -> Reranking:
        self.answers = []
        for stage in self._stages:
            answer = run(asked(stage, query, candidates, whole.branch()))
            if answer.error is not None:
                raise answer.error
            self.answers.append(answer)
        last = self.answers[-1].reranking
        if len(self.answers) == 1:
            return last
        traces = tuple(one.trace for one in self.answers)
        missing = [found for one in self.answers if (found := lacks(one.reranking))[0]]
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
            tuple(dict.fromkeys(note for one in self.answers for note in one.reranking.notes)),
            last.thresholded,
            traces,
        )


def step_scores(
    answer: Reranking, row: Mapping[str, int], *, pointwise: bool
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the scores that one stage gave, by row, and whether text was lost.

    Args:
        answer: the stage's reranking.
        row: candidate key to row.
        pointwise: whether to take the pair scores; otherwise the rerank scores, and for those that
            an earlier stage of a cascade placed a number below, in their order.
    """
    scores = np.full(len(row), math.nan)
    truncated = np.zeros(len(row), np.bool_)
    every: list[Ranked | Dropped] = [*answer.ordered, *answer.dropped]
    least = min((one.rerank_score for one in every if one.rerank_score is not None), default=0.0)
    for place, one in enumerate(every):
        score = one.pair_score if pointwise else one.rerank_score
        if score is None and not pointwise and isinstance(one, Ranked):
            score = least - place - 1.0  # an earlier stage placed it behind all that have one
        if score is not None:
            scores[row[one.candidate.key]] = score
        truncated[row[one.candidate.key]] = one.truncated
    return scores, truncated


def capture(  # noqa: PLR0913 - everything that one search leaves behind
    query_id: str,
    text: str,
    setup: Setup,
    fates: Sequence[Fate],
    rankings: Mapping[str, Sequence[Hit]],
    reranker: ScoreAll | None,
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
    answers = [one.reranking for one in reranker.answers] if reranker is not None else []
    answers += [Reranking(())] * (len(setup.steps) - len(answers))
    for answer, step in zip(answers, setup.steps, strict=True):
        check_unlimited_answer(answer, step)
    steps = [
        step_scores(answer, row, pointwise=step.pointwise)
        for answer, step in zip(answers, setup.steps, strict=True)
    ]
    unread = reranker.unread if reranker is not None else frozenset()
    codes = [_fate_code(fate, unread) for fate in fates]
    outcome, traced = _as_read(outcome, () if trace is None else trace.stages, len(unread))
    why = tuple(
        "" if code is FateCode.TAIL else fate.grouped_under or fate.reason
        for fate, code in zip(fates, codes, strict=True)
    )
    group, twin, near, under = group_recorded(grouping, candidates)
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
        fate=np.array(codes, np.uint8),
        why=why if any(why) else (),
        content=np.array([_content(one) for one in documents], np.uint8),
        text_length=np.array([len(one.text) for one in documents], np.int32),
        group=group,
        twin=twin,
        near=near,
        grouped_under=under,
        steps=tuple(scores for scores, _ in steps),
        step_truncated=tuple(cut for _, cut in steps),
        stages=traced,
        outcome=outcome,
        model=ModelIdentity("") if trace is None else trace.model,
        kind=ScoreKind.UNKNOWN if trace is None else trace.kind,
        texts=tuple(one.text for one in documents) if setup.texts else (),
    )


def _as_read(
    outcome: Outcome, stages: tuple[StageTrace, ...], unread: int
) -> tuple[Outcome, tuple[StageTrace, ...]]:
    """Return what a search says of itself without the candidates that were not to be read."""
    if not unread:
        return outcome, stages
    scored, total = max(outcome.scored - unread, 0), outcome.total - unread
    last = replace(stages[-1], entered=stages[-1].entered - unread)
    return replace(outcome, scored=scored, total=total), (*stages[:-1], last)


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


def _fate_code(fate: Fate, unread: Container[str]) -> FateCode:
    if fate.scoring is Scoring.TAIL or fate.candidate.key in unread:
        return FateCode.TAIL
    if fate.kind is FateKind.DROPPED:
        return FateCode.DROPPED
    return _CODES.get(fate.scoring, FateCode.UNSCORED)


def _content(document: Document) -> Content:
    if document.text.strip():
        return Content.TEXT
    return Content.IMAGE if document.image else Content.EMPTY
