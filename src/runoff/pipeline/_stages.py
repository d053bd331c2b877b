"""The pure steps of a search, shared by `TwoStage.search` and `TwoStage.asearch`.

Nothing here waits, calls a model or looks at a clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from runoff._util.faults import OnError, degrades, is_permanent
from runoff._util.messages import error_text
from runoff.errors import BadReply, RecallFailed
from runoff.pipeline._boundary import isolate
from runoff.trace import Fate, FateKind, Scoring, StageTrace
from runoff.types import (
    Candidate,
    Degradation,
    Dropped,
    Hit,
    Placement,
    Ranked,
    Reranking,
    Result,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from runoff.grouping import Grouping
    from runoff.pipeline._recall import Answer
    from runoff.protocols import Fusion
    from runoff.scores import Passage
    from runoff.types import Document


@dataclass(frozen=True, slots=True, eq=False)
class Recalled:
    """What all sources together returned.

    Attributes:
        rankings: the hits of every source that answered, in the order declared.
        stages: one trace for each source, whether it answered or not.
        degraded: one entry for each source that was left out.
    """

    rankings: dict[str, Sequence[Hit]]
    stages: tuple[StageTrace, ...]
    degraded: tuple[Degradation, ...]


def collect(answers: Mapping[str, Answer], depth: int, on_error: OnError) -> Recalled:
    """Return the hits of the sources that answered, and what is missing from the answer.

    Raises:
        RecallFailed: no source answered.
        Exception: a source's own error, when `on_error` is `"raise"`, or when it is an error that
            trying again cannot help and `on_error` is not `"degrade"`.
    """
    rankings: dict[str, Sequence[Hit]] = {}
    failures: dict[str, BaseException] = {}
    stages, degraded = [], []
    for name, answer in answers.items():
        error, hits = answer.error, answer.hits
        problem = ""
        if hits is not None:
            rankings[name] = hits
        elif error is not None:
            if not isinstance(error, Exception) or on_error == "raise":
                raise error
            if is_permanent(error) and on_error != "degrade":
                raise error
            failures[name] = error
            problem = error_text(error)
            degraded.append(Degradation("recall", name, degrades(error, "degrade"), problem))
        left = len(rankings.get(name, ()))
        stages.append(
            StageTrace(
                "recall", name, answer.latency_ms, depth, left, answer.load_ms, error=problem
            )
        )
    if not rankings:
        raise RecallFailed(failures) from next(iter(failures.values()))
    return Recalled(rankings, tuple(stages), tuple(degraded))


def fuse(rankings: Mapping[str, Sequence[Hit]], fusion: Fusion) -> list[Candidate]:
    """Make one list of candidates, best first.

    Equal fusion scores are ordered by the best rank in any source, then by key.

    Raises:
        BadReply: the fusion left a hit without a finite score.
    """
    scores = fusion.fuse(rankings)
    documents: dict[str, Document] = {}
    placements: dict[str, tuple[Placement, ...]] = {}
    best: dict[str, int] = {}
    for name, hits in rankings.items():
        for rank, hit in enumerate(hits, 1):
            key = hit.key
            placement = (Placement(name, rank, hit.score),)
            if key in documents:
                placements[key] += placement
                best[key] = min(best[key], rank)
            else:
                documents[key] = hit.document
                placements[key] = placement
                best[key] = rank
    _check_finite(fusion, scores, documents)
    ranked = sorted([(-scores[key], place, key) for key, place in best.items()])
    return [
        Candidate(documents[key], key, scores[key], rank, placements[key])
        for rank, (_, _, key) in enumerate(ranked, 1)
    ]


def _check_finite(fusion: Fusion, scores: Mapping[str, float], keys: Iterable[str]) -> None:
    """Raise BadReply if a key has no finite score."""
    try:
        if all(map(math.isfinite, map(scores.__getitem__, keys))):
            return
        unfit = next(key for key in keys if not math.isfinite(scores[key]))
    except KeyError as missing:
        unfit = missing.args[0]
    msg = f"{type(fusion).__name__} must give every hit a finite score, but gave {unfit!r} none"
    raise BadReply(msg)


def as_grouping(given: object) -> Grouping | None:
    """Return a `Grouping` as it was given, or one with this `by`; None means no grouping.

    Raises:
        InvalidArgument: it is neither a `Grouping`, a metadata field, a callable nor None.
    """
    if given is None:
        return None
    from runoff.grouping import Grouping  # noqa: PLC0415 - keeps `import runoff` quick

    if isinstance(given, Grouping):
        return given
    return Grouping(given)  # type: ignore[arg-type] # it checks


def grouped_fates(candidates: Sequence[Candidate]) -> tuple[Fate, ...]:
    """Return the fates of the candidates that these stand for."""
    return tuple(
        Fate(one, FateKind.GROUPED, None, Scoring.GROUPED, grouped_under=head.key)
        for head in candidates
        for one in head.grouped
    )


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Candidates by what the second stage can do with them, each list in fused order.

    Attributes:
        readable: in the window and with text: what the reranker is given.
        empty: in the window, without text and without an image.
        images: images without text, wherever they stand.
        tail: below the window.
    """

    readable: list[Candidate]
    empty: list[Candidate]
    images: list[Candidate]
    tail: list[Candidate]


def split(candidates: Sequence[Candidate], window: int) -> Split:
    """Split candidates in fused order; the first `window` of them are the window."""
    parts = Split([], [], [], [])
    for position, candidate in enumerate(candidates):
        text = candidate.document.text
        blank = not text or text.isspace()
        if blank and candidate.document.image:
            parts.images.append(candidate)
        elif position >= window:
            parts.tail.append(candidate)
        elif blank:
            parts.empty.append(candidate)
        else:
            parts.readable.append(candidate)
    return parts


def undo_threshold(reranking: Reranking) -> Reranking:
    """Return a reranking in which what a threshold dropped is back in its place by score."""
    kept = [one for one in reranking.dropped if one.rerank_score is None]
    back = [
        Ranked(one.candidate, one.rerank_score, one.pair_score, one.truncated, one.passages)
        for one in reranking.dropped
        if one.rerank_score is not None
    ]
    ordered = sorted(
        (*reranking.ordered, *back),
        key=lambda one: (
            (1, 0.0, 0)  # an earlier stage's order, already sorted
            if one.rerank_score is None
            else (0, -one.rerank_score, one.candidate.fusion_rank)
        ),
    )
    return replace(reranking, ordered=tuple(ordered), dropped=tuple(kept), thresholded=False)


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """The results, and the fate of every candidate."""

    results: tuple[Result, ...]
    fates: tuple[Fate, ...]


_UNSCORED_BY_THRESHOLD = "without a score, where the second stage removes candidates"


class _Read(NamedTuple):
    """A candidate with what the second stage made of it; a named tuple, for its speed."""

    candidate: Candidate
    scoring: Scoring
    reason: str = ""
    rerank_rank: int | None = None
    # the last fields of Fate and Result: rerank_score, pair_score, truncated, passages
    scores: tuple[float | None, float | None, bool, tuple[Passage, ...]] = (None, None, False, ())


def order(
    parts: Split,
    reranking: Reranking | None,
    reason: str,
    *,
    off: bool,
    top_k: int,
    isolated: bool = True,
) -> Order:
    """Order all candidates and cut the results at `top_k`.

    Scored candidates come in the reranker's order; all others follow in fused order, or are dropped
    where a threshold is set. Images without text keep their fused place.

    Args:
        parts: what `split` made.
        reranking: what the reranker made of `parts.readable`; None without an answer.
        reason: why it did not answer; empty when it was not asked.
        off: whether there is no reranker.
        top_k: results to return.
        isolated: whether results have metadata of their own; False where the caller copies it.
    """
    final: list[_Read] = []
    dropped: list[tuple[Dropped, Scoring]] = []

    def unread(candidates: Sequence[Candidate], scoring: Scoring, why: str = "") -> list[_Read]:
        how = Scoring.OFF if off else scoring
        return [_Read(one, how, why) for one in candidates]

    if reranking is None:
        unscored = unread(parts.readable, Scoring.UNSCORED, reason)
    else:
        for rank, one in enumerate(reranking.ordered, 1):
            if reranking.thresholded and one.rerank_score is None:
                gone = Dropped(one.candidate, _UNSCORED_BY_THRESHOLD)
                dropped.append((gone, Scoring.RERANKED))
                continue
            scores = (one.rerank_score, one.pair_score, one.truncated, one.passages)
            final.append(_Read(one.candidate, Scoring.RERANKED, "", rank, scores))
        why = reranking.reason or "no score"
        unscored = unread(reranking.unscored, Scoring.UNSCORED, why)
        dropped += [(one, Scoring.RERANKED) for one in reranking.dropped]
    unscored += unread(parts.empty, Scoring.EMPTY)
    unscored += unread(parts.tail, Scoring.TAIL)
    if reranking is not None and reranking.thresholded:
        dropped += [
            (Dropped(one.candidate, _UNSCORED_BY_THRESHOLD), one.scoring) for one in unscored
        ]
    else:
        final += sorted(unscored, key=attrgetter("candidate.fusion_rank"))
    if parts.images:
        every = (*parts.readable, *parts.empty, *parts.images, *parts.tail)
        ranks = sorted(candidate.fusion_rank for candidate in every)  # grouping leaves gaps
        for image in unread(parts.images, Scoring.IMAGE):
            final.insert(ranks.index(image.candidate.fusion_rank), image)
    return _cut(final, dropped, top_k, isolated=isolated)


def _cut(
    final: Sequence[_Read],
    dropped: Sequence[tuple[Dropped, Scoring]],
    top_k: int,
    *,
    isolated: bool,
) -> Order:
    fates, results = [], []
    kind = FateKind.RETURNED
    for rank, (candidate, scoring, reason, rerank_rank, scores) in enumerate(final, 1):
        if rank <= top_k:
            if isolated:
                candidate = isolate(candidate)  # noqa: PLW2901 - the same candidate
            results.append(Result(rank, candidate, rerank_rank, *scores))
        else:
            kind = FateKind.CUT
        fates.append(Fate(candidate, kind, rank, scoring, reason, "", rerank_rank, *scores))
    for gone, scoring in dropped:
        fates.append(
            Fate(
                gone.candidate, FateKind.DROPPED, None, scoring, gone.reason,
                pair_score=gone.pair_score, truncated=gone.truncated, passages=gone.passages,
            )
        )  # fmt: skip
    return Order(tuple(results), tuple(fates))
