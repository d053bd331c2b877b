"""What `health` looks at of one answer, whether it was recorded or given live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from runoff.errors import InvalidArgument
from runoff.evaluation._recording import Recording
from runoff.evaluation._replay import configured, prepared
from runoff.evaluation._traversal import traverse
from runoff.trace import FateKind, Scoring, Trace
from runoff.types import Response

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from runoff.evaluation._traversal import Traversal
    from runoff.scores import ScoreKind

__all__ = ["Observation", "observations"]


@dataclass(frozen=True, slots=True)
class Promoted:
    """A result that fusion alone would not have returned: its fused place and its sources."""

    place: int
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """One answer.

    Attributes:
        query: the question; empty where it is not known.
        read: the lowest fused place that the second stage ordered, from 1; 0 for none.
        place: int64, the fused place of each candidate that its last stage scored, from 1.
        score: float64, the last stage's own score of each.
        truncated: bool, whether text of each was lost.
        kind: the scale of the scores.
        model: the model's name.
        answer: document ids returned.
        first: the document that fusion has first; empty without candidates.
        promoted: the results that fusion alone would not have returned.
        top: fused place and text of the first three results that it ordered; a text is None where
            it was not kept.
        degraded: what the answer had to do without, each as stage, source and reason.
    """

    query: str
    read: int
    place: NDArray[np.int64]
    score: NDArray[np.float64]
    truncated: NDArray[np.bool_]
    kind: ScoreKind
    model: str
    answer: tuple[str, ...]
    first: str
    promoted: tuple[Promoted, ...]
    top: tuple[tuple[int, str | None], ...]
    degraded: tuple[str, ...]


_TOP = 3


def observations(
    name: str,
    seen: Recording | Iterable[Response | Trace],
    texts: Mapping[str, str] | None = None,
) -> list[Observation]:
    """Return what there is to see of a recording or of live answers.

    Args:
        name: what messages call it.
        seen: the recording or the answers.
        texts: document id to text, for a recording without texts.

    Raises:
        InvalidArgument: it is neither, or there is no answer.
    """
    if isinstance(seen, Recording):
        found = list(_recorded(seen, texts or {}))
    else:
        remedy = "must be a recording, or responses or traces"
        if isinstance(seen, Response | Trace):
            seen = [seen]
        try:
            given: Sequence[object] = list(seen)
        except TypeError:
            raise InvalidArgument(name, seen, remedy) from None
        found = []
        for one in given:
            if not isinstance(one, Response | Trace):
                raise InvalidArgument(name, one, remedy)
            found.append(_live(one))
    if not found:
        raise InvalidArgument(name, seen, "has no answer to look at")
    return found


def _recorded(recording: Recording, texts: Mapping[str, str]) -> Iterator[Observation]:
    reads, settings = configured(recording)
    for one in prepared(recording):
        walked = traverse(one, reads, settings)
        yield _walked(walked, settings.top_k or len(walked.answer), settings.depth, texts)


def _walked(
    walked: Traversal, top_k: int, depth: int, known_texts: Mapping[str, str]
) -> Observation:
    query, heads = walked.query, walked.heads
    place = np.zeros(len(query), np.int64)
    place[heads] = np.arange(1, len(heads) + 1)
    made = walked.unthresholded
    ordered = heads[:0] if made is None else made.ordered
    scored = ordered if made is None else ordered[np.isfinite(made.score)]
    own = walked.read.steps[-1][scored] if len(scored) else np.zeros(0)
    answer = walked.answer[:top_k].tolist()
    known = np.isin(walked.answer[:top_k], ordered).tolist()
    texts: Sequence[str | None] = query.texts or [*map(known_texts.get, query.doc_ids)]
    return Observation(
        query=query.text,
        read=int(place[ordered].max(initial=0)),
        place=place[scored],
        score=own,
        truncated=walked.read.truncated[scored],
        kind=walked.read.kind,
        model=walked.read.model.name,
        answer=tuple(query.doc_ids[row] for row in answer),
        first=query.doc_ids[int(heads[0])] if len(heads) else "",
        promoted=tuple(
            Promoted(
                int(place[row]),
                tuple(name for name, ranks in query.ranks.items() if 0 < ranks[row] <= depth),
            )
            for row, read in zip(answer, known, strict=True)
            if read and place[row] > top_k
        ),
        top=tuple(
            (int(place[row]), texts[row])
            for row, read in zip(answer[:_TOP], known, strict=False)
            if read
        ),
        degraded=tuple(f"{d.stage} {d.source} {d.reason}".strip() for d in query.outcome.degraded),
    )


def _live(one: Response | Trace) -> Observation:
    trace = one.trace if isinstance(one, Response) else one
    whole = [fate for fate in trace.fates if fate.kind is not FateKind.GROUPED]
    heads = sorted(whole, key=lambda fate: fate.candidate.fusion_rank)
    place = {fate.candidate.key: at for at, fate in enumerate(heads, 1)}
    told = [
        (fate, fate.rerank_score if fate.pair_score is None else fate.pair_score)
        for fate in heads
        # without a rerank_score, an earlier stage of a cascade placed it
        if fate.rerank_score is not None or fate.kind is FateKind.DROPPED
    ]
    scored = [(fate, score) for fate, score in told if score is not None]
    answer = sorted(
        (fate for fate in whole if fate.kind is FateKind.RETURNED), key=lambda fate: fate.rank or 0
    )
    read = [fate for fate in answer if fate.scoring is Scoring.RERANKED]
    if isinstance(one, Response):
        degraded = [f"{d.stage} {d.source} {d.reason}".strip() for d in one.outcome.degraded]
    else:
        degraded = [f"{s.stage} {s.source}: {s.error}" for s in trace.stages if s.error]
    return Observation(
        query=one.query.text if isinstance(one, Response) else "",
        read=max(
            (place[fate.candidate.key] for fate in heads if fate.scoring is Scoring.RERANKED),
            default=0,
        ),
        place=np.array([place[fate.candidate.key] for fate, _ in scored], np.int64),
        score=np.array([score for _, score in scored], np.float64),
        truncated=np.array([fate.truncated for fate, _ in scored], np.bool_),
        kind=trace.kind,
        model=trace.model.name,
        answer=tuple(fate.candidate.document.doc_id for fate in answer),
        first=heads[0].candidate.document.doc_id if heads else "",
        promoted=tuple(
            Promoted(
                place[fate.candidate.key],
                tuple(placed.source for placed in fate.candidate.placements),
            )
            for fate in read
            if place[fate.candidate.key] > trace.top_k
        ),
        top=tuple(
            (place[fate.candidate.key], fate.candidate.document.text)
            for fate in answer[:_TOP]
            if fate.scoring is Scoring.RERANKED
        ),
        degraded=tuple(degraded),
    )
