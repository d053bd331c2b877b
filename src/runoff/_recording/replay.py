"""`replay`: what a system would have answered with other settings, from its recorded scores."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

import numpy as np

from runoff._labels.remarks import check_recording
from runoff._recording.first_stage import prepared
from runoff._recording.recording import Recording
from runoff._recording.scores import recorded_scores, scores_by, scores_of_other
from runoff._recording.setup import fusion_from_json, threshold_to_json
from runoff._recording.traverse import traverse
from runoff._util.arguments import count, is_share
from runoff._util.display import html_by
from runoff._util.messages import number_of
from runoff.errors import InvalidArgument
from runoff.fusion._as_fusion import as_fusion
from runoff.fusion._convex import Convex
from runoff.fusion._rrf import RRF
from runoff.fusion._weights import rrf_weights, shares
from runoff.scores import Threshold

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from runoff._recording.scores import ScoresOf
    from runoff._recording.setup import GroupSetup, Setup, StepSetup
    from runoff._recording.traverse import Traversal
    from runoff.protocols import Fusion


class AsRecorded(enum.Enum):
    """The type of `AS_RECORDED`."""

    AS_RECORDED = "as recorded"


AS_RECORDED = AsRecorded.AS_RECORDED
_Same: TypeAlias = Literal[AsRecorded.AS_RECORDED]


class Ranking(Sequence[str]):
    """The answer to one query: document ids, best first, with their scores.

    Attributes:
        rows: int64, the row of each document in the recorded query.
        rerank_score: float64, what the reranker ordered it by; NaN if it was not reranked.
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
    """The answers of a replay: query id to ranking; a run that `evaluate` takes."""

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

    _repr_html_ = html_by("repr_html", "_notebook")

    def __repr__(self) -> str:
        """Show the number of queries."""
        return f"Runs({number_of(len(self), 'query')})"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a replay applies to every query.

    Attributes:
        depth: hits of each source.
        window: candidates that the reranker reads.
        top_k: results; None for all.
        fusion: how sources are fused; None for the recorded scores.
        weights: source name to its weight, as `Prepared.fused` takes them.
        steps: how the stages of the second stage are configured; empty without one.
        group: how candidates are grouped; None groups nothing.
        scores_of: gives the second stage's scores of a query.
    """

    depth: int
    window: int
    top_k: int | None
    fusion: Fusion | None
    weights: dict[str, float]
    steps: tuple[StepSetup, ...]
    group: GroupSetup | None
    scores_of: ScoresOf


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

    A setting that is left out stays as the system is configured. The answer is the live pipeline's,
    id for id, if two things hold: a source asked for fewer hits returns the first of those it
    returned, none of them twice; and the reranker scores each candidate by itself. Of one that
    `record` found to read candidates together, settings that give it others than the recorded ones
    are refused. Queries recorded degraded answer without the parts that they lack. Where sources
    hold different texts for one id, settings that would read another text than the one recorded
    are refused.

    Args:
        recording: what `record` returned.
        depth: hits of each source, at most the recorded depth.
        window: candidates the reranker reads.
        top_k: results; None for all.
        fusion: how the sources' hits become one order.
        weights: of the sources, for `RRF` and `Convex`.
        blend: the weight of the pair scores in the last stage; None leaves fusion out.
        threshold: of the last stage; None for none.
        margin: of every stage of a cascade but the last; None never skips a stage.
        group: None groups nothing.
        reranker: None leaves the second stage out; another recording of the same queries replaces
            it by that recording's; a scorer or reranker scores the recorded texts now.

    Raises:
        InvalidArgument: an argument has an invalid value, or asks for what was not recorded.
        ScoreKindMismatch: the threshold was made for other scores.
    """
    plan = plan_replay(
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
    rankings = ((one.query.query_id, ranking(one, plan)) for one in traversals(recording, plan))
    return Runs(dict(rankings))


def plan_replay(  # noqa: PLR0913 - as `replay`
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
) -> Plan:
    """Check the arguments of `replay` and return what they ask for.

    Raises:
        InvalidArgument: an argument has an invalid value, or asks for what was not recorded.
    """
    check_recording(recording)
    setup = recording.setup
    scores_of, steps = _second_stage(recording, reranker)
    fused, shares = _fusion(setup, fusion, weights, _depth(setup, depth))
    return Plan(
        depth=_depth(setup, depth),
        window=setup.window if window is AS_RECORDED else count("window", window),
        top_k=_top_k(setup, top_k),
        fusion=fused,
        weights=shares,
        steps=_steps(steps, blend, threshold, margin),
        group=setup.group if group is AS_RECORDED else None,
        scores_of=scores_of,
    )


def traversals(recording: Recording, plan: Plan) -> Iterator[Traversal]:
    """Take every recorded query through the stages as the plan has them."""
    return (traverse(one, plan) for one in prepared(recording))


def ranking(one: Traversal, plan: Plan) -> Ranking:
    """Return the answer to a query."""
    rows, scores = one.answer[: plan.top_k], one.score[: plan.top_k]
    return Ranking(one.query.doc_ids, rows, scores, one.fused.score[rows], len(one.given))


def first_ranking(one: Traversal, plan: Plan) -> Ranking:
    """Return what the first stage alone would answer."""
    rows = one.heads[: plan.top_k]
    nothing = np.full(len(rows), np.nan)
    return Ranking(one.query.doc_ids, rows, nothing, one.fused.score[rows], 0)


def _second_stage(recording: Recording, reranker: object) -> tuple[ScoresOf, tuple[StepSetup, ...]]:
    if reranker is AS_RECORDED:
        return recorded_scores, recording.setup.steps
    if reranker is None:
        return recorded_scores, ()
    if isinstance(reranker, Recording):
        return scores_of_other(recording, reranker), reranker.setup.steps
    return scores_by(recording, reranker)


def _depth(setup: Setup, depth: int | _Same) -> int:
    if depth is AS_RECORDED:
        return setup.depth
    found = count("depth", depth)
    if found > setup.recorded_depth:
        remedy = f"must be at most {setup.recorded_depth}, the depth that was recorded"
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
    as_it_was = fusion is AS_RECORDED and weights is AS_RECORDED
    if as_it_was and depth == setup.recorded_depth:
        return None, {}  # the scores that it would give are recorded
    chosen: Any = fusion_from_json(setup.fusion) if fusion is AS_RECORDED else fusion
    if chosen is None:
        if fusion is not AS_RECORDED:
            as_fusion(fusion)
        remedy = (
            f"must be given: the recording cannot rebuild {setup.fusion['is']} and has its scores "
            f"only at depth {setup.recorded_depth}"
        )
        raise InvalidArgument("fusion", setup.fusion["is"], remedy)
    chosen = as_fusion(chosen)
    if weights is not AS_RECORDED:
        if not isinstance(chosen, RRF | Convex):
            raise InvalidArgument("weights", weights, "apply only to RRF and Convex")
        chosen = replace(chosen, weights=weights)
    nothing: dict[str, Any] = dict.fromkeys(setup.sources, ())
    chosen.fuse(nothing)  # raises if the weights name an unknown source
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
            raise InvalidArgument(
                name, value, "needs a second stage, which the recorded system lacks"
            )
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
                remedy = "must be a number of standard deviations above 0, or None"
                raise InvalidArgument("margin", margin, remedy)
        earlier = [replace(step, margin=margin) for step in earlier]
    if last.threshold is not None and any(step.margin is not None for step in earlier):
        remedy = (
            "would skip the last stage, and with it the threshold: set a margin or a threshold, "
            "not both"
        )
        raise InvalidArgument("margin", margin, remedy)
    return (*earlier, last)


def _last(
    last: StepSetup, blend: float | _Same | None, threshold: Threshold | _Same | None
) -> StepSetup:
    for name, value in (("blend", blend), ("threshold", threshold)):
        if value is not AS_RECORDED and value is not None and not last.pointwise:
            raise InvalidArgument(
                name, value, f"applies only to scorers, and {last.name} is not one"
            )
    if blend is not AS_RECORDED:
        if blend is not None and not is_share(blend):
            raise InvalidArgument("blend", blend, "must be within 0 and 1, or None")
        last = replace(last, blend=blend)
    if threshold is not AS_RECORDED:
        if threshold is not None and not isinstance(threshold, Threshold):
            remedy = "must be a Threshold, which names the kind of score it was chosen on"
            raise InvalidArgument("threshold", threshold, remedy)
        last = replace(last, threshold=threshold_to_json(threshold))
    return last
