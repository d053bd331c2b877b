"""What a reranker returns: candidates in its order, without a score, and dropped."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runoff._util.gained import gained
from runoff._util.messages import fields_repr
from runoff.scores import ModelIdentity, Passage, ScoreKind, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from runoff.scores import Match
    from runoff.trace import StageTrace
    from runoff.types._documents import Candidate, Document

__all__ = ["Dropped", "Ranked", "Reranking"]


@dataclass(frozen=True, slots=True, repr=False)
class Ranked:
    """A candidate that a reranker placed.

    Attributes:
        candidate: the candidate.
        rerank_score: what the reranker ordered it by, higher is better; with a blend, the mix on
            the scale of the pair scores. None where an earlier stage of a cascade placed it: that
            stage's scores are of another scale.
        pair_score: the scorer's own score of the pair; None where a listwise reranker has none.
        truncated: whether text was lost to the model's token limit.
        passages: the parts of the text its score came from, best first; empty for the whole text.
    """

    candidate: Candidate
    rerank_score: float | None
    pair_score: float | None = None
    truncated: bool = False
    passages: tuple[Passage, ...] = ()

    __repr__ = fields_repr


@dataclass(frozen=True, slots=True, repr=False)
class Dropped:
    """A candidate that a reranker removed.

    Attributes:
        candidate: the candidate.
        reason: why, such as `"below threshold"`.
        pair_score: the scorer's own score; None where there is none.
        rerank_score: what it would be ordered by, if a threshold removed it: the pipeline puts it
            back when the answer is degraded. None if it stays out.
        truncated: whether text was lost to the model's token limit.
        passages: as in `Ranked`.
    """

    candidate: Candidate
    reason: str
    pair_score: float | None = None
    rerank_score: float | None = None
    truncated: bool = False
    passages: tuple[Passage, ...] = ()

    __repr__ = fields_repr


@dataclass(frozen=True, slots=True, repr=False)
class Reranking:
    """A reranker's answer: each candidate is in exactly one of three lists.

    Attributes:
        ordered: best first; equal scores keep their fused order, and those without a score come
            last.
        unscored: those it could not score, in fused order.
        dropped: those it removed, with the reason.
        kind: the scale of the pair scores.
        model: the model behind them.
        usage: what it consumed.
        reason: why some are unscored, as in `Degradation.reason`; empty when there was no fault.
        detail: the same as a sentence; when none is unscored, what else is missing from the order,
            such as the last stage of a cascade.
        load_ms: milliseconds spent loading a model; they do not count against the deadline.
        notes: sentences for the user to read.
        thresholded: True when a threshold was applied, so that nothing unscored may follow.
        parts: its stages, when there are several; `usage` is their sum.
        matcher: returns for a document which words of the query met which of its own, where the
            model can say so; it is not pickled.
    """

    ordered: tuple[Ranked, ...]
    unscored: tuple[Candidate, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    kind: ScoreKind = ScoreKind.UNKNOWN
    model: ModelIdentity = field(default_factory=lambda: ModelIdentity(""))
    usage: Usage = field(default_factory=Usage)
    reason: str = ""
    detail: str = ""
    load_ms: float = 0.0
    notes: tuple[str, ...] = ()
    thresholded: bool = False
    parts: tuple[StageTrace, ...] = ()
    matcher: Callable[[Document], tuple[Match, ...]] | None = field(
        default=None, repr=False, compare=False
    )

    __setstate__ = gained("matcher")

    __repr__ = fields_repr
