"""`replay`: what a system would have answered with other settings, from its recorded scores."""

from __future__ import annotations

import enum
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

import numpy as np

from runoff._util.arguments import count, is_share
from runoff.errors import InvalidArgument
from runoff.evaluation._fused import Prepared
from runoff.evaluation._groups import grouped
from runoff.evaluation._recording import Recording
from runoff.evaluation._rereading import Read, final, readable, reread
from runoff.evaluation._rescoring import other_reads, scored_reads
from runoff.evaluation._setup import fusion_of, told_threshold
from runoff.fusion._as_fusion import as_fusion
from runoff.fusion._convex import Convex
from runoff.fusion._rrf import RRF
from runoff.fusion._weights import rrf_weights, shares
from runoff.scores import Threshold

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from runoff.evaluation._recording import RecordedQuery
    from runoff.evaluation._setup import GroupSetup, Setup, StepSetup
    from runoff.protocols import Fusion

__all__ = [
    "AS_RECORDED",
    "AsRecorded",
    "Ranking",
    "Runs",
    "Settings",
    "configured",
    "prepared",
    "replay",
]

_KEPT = 1_000_000  # pairs of a recording that stay prepared for the next replay, some 200 MB


class AsRecorded(enum.Enum):
    """The type of `AS_RECORDED`."""

    AS_RECORDED = "as recorded"


AS_RECORDED = AsRecorded.AS_RECORDED
_Same: TypeAlias = Literal[AsRecorded.AS_RECORDED]


class Ranking(Sequence[str]):
    """The answer to one query: document ids, best first, with their scores.

    Attributes:
        rows: int64, where each document stands in the recorded query.
        rerank_score: float64, what the reranker ordered it by; NaN where it was not reranked.
        fusion_score: float64.
        pairs: how many candidates the second stage was given.
    """

    __slots__ = ("_doc_ids", "fusion_score", "pairs", "rerank_score", "rows")

    def __init__(
        self,
        doc_ids: Sequence[str],
        rows: NDArray[np.int64],
        rerank_score: NDArray[np.float64],
        fusion_score: NDArray[np.float64],
        pairs: int,
    ) -> None:
        self._doc_ids = doc_ids
        self.rows = rows
        self.rerank_score = rerank_score
        self.fusion_score = fusion_score
        self.pairs = pairs

    def __len__(self) -> int:
        """Return the number of documents."""
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        """Return the id at a position, from 0."""
        if isinstance(index, slice):
            return [self._doc_ids[row] for row in self.rows[index].tolist()]
        return self._doc_ids[int(self.rows[index])]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the ids, best first."""
        return iter(self[:])

    def __repr__(self) -> str:
        """Show the first ids."""
        more = ", ..." if len(self) > 3 else ""  # noqa: PLR2004 - a few
        return f"Ranking({', '.join(map(repr, self[:3]))}{more})"


class Runs(Mapping[str, Ranking]):
    """The answers of a replay by query id: a run, for any measure."""

    def __init__(self, rankings: Mapping[str, Ranking]) -> None:
        self._rankings = dict(rankings)

    def __getitem__(self, query_id: str) -> Ranking:
        """Return the answer to one query."""
        return self._rankings[query_id]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the query ids."""
        return iter(self._rankings)

    def __len__(self) -> int:
        """Return the number of queries."""
        return len(self._rankings)

    def __repr__(self) -> str:
        """Show how much there is."""
        return f"Runs({len(self)} queries)"


@dataclass(frozen=True, slots=True)
class Settings:
    """One configuration.

    Attributes:
        fusion: None for the recorded scores.
        weights: what `Prepared.fused` takes.
    """

    depth: int
    window: int
    top_k: int | None
    fusion: Fusion | None
    weights: dict[str, float]
    steps: tuple[StepSetup, ...]
    group: GroupSetup | None


def replay(  # noqa: PLR0913 - every setting has a default
    recording: Recording,
    *,
    depth: int | _Same = AS_RECORDED,
    window: int | _Same = AS_RECORDED,
    top_k: int | _Same | None = AS_RECORDED,
    fusion: Fusion | _Same = AS_RECORDED,
    weights: Mapping[str, float] | _Same | None = AS_RECORDED,
    blend: float | _Same | None = AS_RECORDED,
    threshold: Threshold | _Same | None = AS_RECORDED,
    margin: float | _Same | None = AS_RECORDED,
    group: _Same | None = AS_RECORDED,
    reranker: object = AS_RECORDED,
) -> Runs:
    """Return what the system would answer with other settings; nothing is searched or scored.

    Every setting left out is as the system is configured. The answer is the live pipeline's, id for
    id, as long as a source asked for fewer hits gives the first of those it gave, none of them
    twice, and the reranker scores pairs by themselves; of any other reranker (`StepSetup.pointwise`
    is False) the order it gave when it read everything is kept. Queries recorded degraded answer
    without what they lack.

    Args:
        recording: what `record` made.
        depth: hits of each source, at most the recorded depth.
        window: candidates the reranker reads.
        top_k: results; None for all.
        fusion: makes one order of the sources' hits.
        weights: of the sources, for `RRF` and `Convex`.
        blend: the weight of the pair scores in the last stage; None leaves fusion out.
        threshold: of the last stage; None for none.
        margin: of every stage of a cascade but the last; None never skips.
        group: None groups nothing.
        reranker: None leaves the second stage out; another recording of the same queries lends its
            scores and configuration; a scorer reads the texts now, where they were recorded.

    Raises:
        InvalidArgument: an argument has a value it cannot have, or asks for what was not recorded.
        ScoreKindMismatch: the threshold was made for other scores.
    """
    reads, settings = configured(
        recording,
        depth=depth,
        window=window,
        top_k=top_k,
        fusion=fusion,
        weights=weights,
        blend=blend,
        threshold=threshold,
        margin=margin,
        group=group,
        reranker=reranker,
    )
    return Runs({one.query.query_id: _one(one, reads, settings) for one in prepared(recording)})


def configured(  # noqa: PLR0913 - as `replay`
    recording: Recording,
    *,
    depth: int | _Same = AS_RECORDED,
    window: int | _Same = AS_RECORDED,
    top_k: int | _Same | None = AS_RECORDED,
    fusion: Fusion | _Same = AS_RECORDED,
    weights: Mapping[str, float] | _Same | None = AS_RECORDED,
    blend: float | _Same | None = AS_RECORDED,
    threshold: Threshold | _Same | None = AS_RECORDED,
    margin: float | _Same | None = AS_RECORDED,
    group: _Same | None = AS_RECORDED,
    reranker: object = AS_RECORDED,
) -> tuple[Callable[[RecordedQuery], Read], Settings]:
    """Return what reads a recorded query, and the settings, checked; the arguments are `replay`'s.

    Raises:
        InvalidArgument: an argument has a value it cannot have, or asks for what was not recorded.
    """
    setup = recording.setup
    reads, steps = _second(recording, reranker)
    fused, shares = _fusion(setup, fusion, weights, _depth(setup, depth))
    return reads, Settings(
        depth=_depth(setup, depth),
        window=setup.window if window is AS_RECORDED else count("window", window),
        top_k=_top_k(setup, top_k),
        fusion=fused,
        weights=shares,
        steps=_steps(steps, blend, threshold, margin),
        group=setup.group if group is AS_RECORDED else None,
    )


def _one(one: Prepared, reads: Callable[[RecordedQuery], Read], settings: Settings) -> Ranking:
    query = one.query
    fused = one.fused(settings.fusion, settings.weights, settings.depth)
    heads, _ = grouped(query, settings.group, fused.order)
    given, made = heads[:0], None
    if settings.steps:
        given = readable(heads, query.content, settings.window)
        made = reread(reads(query), settings.steps, given, fused.score)
    order, scores = final(heads, query.content, settings.window, made)
    rows, scores = order[: settings.top_k], scores[: settings.top_k]
    return Ranking(query.doc_ids, rows, scores, fused.score[rows], len(given))


_ready: weakref.WeakKeyDictionary[Recording, list[Prepared]] = weakref.WeakKeyDictionary()


def prepared(recording: Recording) -> Iterator[Prepared]:
    """Return the queries prepared for replaying, kept for the next time where they are few."""
    kept = _ready.get(recording)
    if kept is None and recording.pairs <= _KEPT:
        kept = _ready[recording] = [Prepared(query) for query in recording]
    return iter(kept) if kept is not None else map(Prepared, recording)


def _recorded(query: RecordedQuery) -> Read:
    cut = np.logical_or.reduce((np.zeros(len(query), np.bool_), *query.step_truncated))
    return Read(query.steps, query.fate, query.kind, query.model, not query.degraded, cut)


def _second(
    recording: Recording, reranker: object
) -> tuple[Callable[[RecordedQuery], Read], tuple[StepSetup, ...]]:
    if reranker is AS_RECORDED:
        return _recorded, recording.setup.steps
    if reranker is None:
        return _recorded, ()
    if isinstance(reranker, Recording):
        return other_reads(recording, reranker), reranker.setup.steps
    return scored_reads(recording, reranker)


def _depth(setup: Setup, depth: int | _Same) -> int:
    if depth is AS_RECORDED:
        return setup.depth
    found = count("depth", depth)
    if found > setup.recorded_depth:
        remedy = f"is more than the {setup.recorded_depth} that were recorded of each source"
        raise InvalidArgument("depth", depth, remedy)
    return found


def _top_k(setup: Setup, top_k: int | _Same | None) -> int | None:
    if top_k is AS_RECORDED:
        return setup.top_k
    return None if top_k is None else count("top_k", top_k)


def _fusion(
    setup: Setup,
    fusion: Fusion | _Same,
    weights: Mapping[str, float] | _Same | None,
    depth: int,
) -> tuple[Fusion | None, dict[str, float]]:
    """Return the fusion, None for the recorded scores, and the weight of each source."""
    chosen: Any = fusion_of(setup.fusion) if fusion is AS_RECORDED else fusion
    if chosen is None:
        if fusion is not AS_RECORDED:
            as_fusion(fusion)
        if weights is AS_RECORDED and depth == setup.recorded_depth:
            return None, {}
        remedy = (
            f"must be given: {setup.fusion['is']} cannot be made again from the recording, which "
            f"has its scores at depth {setup.recorded_depth} alone"
        )
        raise InvalidArgument("fusion", setup.fusion["is"], remedy)
    chosen = as_fusion(chosen)
    if weights is not AS_RECORDED:
        if not isinstance(chosen, RRF | Convex):
            raise InvalidArgument("weights", weights, "are taken by RRF and Convex alone")
        chosen = replace(chosen, weights=weights)
    nothing: dict[str, Any] = dict.fromkeys(setup.sources, ())
    chosen.fuse(nothing)  # weights may name no other source
    if type(chosen) is RRF:
        return chosen, rrf_weights(chosen.weights, setup.sources)
    if type(chosen) is Convex:
        return chosen, shares(chosen.weights, setup.sources)
    return chosen, {}


def _steps(
    steps: tuple[StepSetup, ...],
    blend: float | _Same | None,
    threshold: Threshold | _Same | None,
    margin: float | _Same | None,
) -> tuple[StepSetup, ...]:
    given = {"blend": blend, "threshold": threshold, "margin": margin}
    for name, value in given.items():
        if value is not AS_RECORDED and value is not None and not steps:
            raise InvalidArgument(name, value, "needs a second stage, and this has none")
    if not steps:
        return steps
    *earlier, last = steps
    if blend is not AS_RECORDED or threshold is not AS_RECORDED:
        last = _last(last, blend, threshold)
    if margin is not AS_RECORDED:
        if margin is not None:
            if not earlier:
                raise InvalidArgument("margin", margin, "needs a cascade of several stages")
            if isinstance(margin, bool) or not 0 < margin < np.inf:
                remedy = "must be standard deviations, above 0, or None"
                raise InvalidArgument("margin", margin, remedy)
        earlier = [replace(step, margin=margin) for step in earlier]
    if last.threshold is not None and any(step.margin is not None for step in earlier):
        remedy = "would skip the last stage and its threshold: set one or the other"
        raise InvalidArgument("margin", margin, remedy)
    return (*earlier, last)


def _last(
    last: StepSetup, blend: float | _Same | None, threshold: Threshold | _Same | None
) -> StepSetup:
    for name, value in (("blend", blend), ("threshold", threshold)):
        if value is not AS_RECORDED and value is not None and not last.pointwise:
            raise InvalidArgument(name, value, f"applies to scorers; {last.name} is none")
    if blend is not AS_RECORDED:
        if blend is not None and not is_share(blend):
            raise InvalidArgument("blend", blend, "must be within 0 and 1, or None")
        last = replace(last, blend=blend)
    if threshold is not AS_RECORDED:
        if threshold is not None and not isinstance(threshold, Threshold):
            remedy = "must be a Threshold, which says what kind of score it was chosen on"
            raise InvalidArgument("threshold", threshold, remedy)
        last = replace(last, threshold=told_threshold(threshold))
    return last
