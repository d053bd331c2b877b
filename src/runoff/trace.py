"""What happened to every candidate at every stage, how long it took and what it used."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, fields
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from runoff._util.display import html_by
from runoff._util.lazy import import_name
from runoff._util.messages import fields_repr, number_of
from runoff._util.quick import quick
from runoff.scores import ModelIdentity, Passage, ScoreKind, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runoff.scores import Match
    from runoff.types import Candidate, Document

__all__ = ["Fate", "FateKind", "Scoring", "StageTrace", "Trace"]

_FIELDS_OF_0_1_0 = 9  # of a `Fate`


class FateKind(enum.StrEnum):
    """Where a candidate ended."""

    RETURNED = "returned"
    CUT = "cut"  # ranked below top_k
    DROPPED = "dropped"  # a reranker removed it
    GROUPED = "grouped"  # another candidate stands for it


class Scoring(enum.StrEnum):
    """Whether the reranker scored a candidate, and if not, why."""

    RERANKED = "reranked"
    TAIL = "tail"  # below the window
    UNSCORED = "unscored"  # sent to the reranker, which failed to score it
    IMAGE = "image"  # an image without text keeps its fused place
    EMPTY = "empty"  # no text to score
    GROUPED = "grouped"  # another candidate was read in its place
    OFF = "off"  # there was no reranker


@dataclass(frozen=True, slots=True, repr=False)
class StageTrace:
    """One stage, or one source of the recall stage.

    Attributes:
        stage: `"recall"`, `"fusion"` or `"rerank"`.
        source: the source's or the reranker's name; for fusion its class, `RRF` also where a
            `Convex` had no scores to fuse.
        latency_ms: wall clock by a monotonic clock, model loading left out.
        entered: how many candidates it was given (for a source: the depth asked).
        left: how many it handed on.
        load_ms: milliseconds spent loading a model, not part of `latency_ms`.
        usage: what it used: pairs, tokens, requests, cost.
        error: what went wrong, as a sentence; empty when nothing did.
        parts: its stages, such as those of a cascade; its own figures include theirs.
    """

    stage: str
    source: str
    latency_ms: float
    entered: int
    left: int
    load_ms: float = 0.0
    usage: Usage = field(default_factory=Usage)
    error: str = ""
    parts: tuple[StageTrace, ...] = ()

    __repr__ = fields_repr


@quick
@dataclass(frozen=True, slots=True, repr=False)
class Fate:
    """What became of one candidate.

    Attributes:
        candidate: the candidate with its fused place and every source's rank and score.
        kind: where it ended.
        rank: its place in the whole order, from 1, whether returned or cut; None when dropped or
            grouped.
        scoring: whether the reranker scored it.
        reason: why it was dropped, or else why it is unscored; empty for every other candidate.
        grouped_under: the key of the candidate that stands for it; empty unless it is grouped.
        rerank_rank: its place among the reranked, from 1; None when it was not reranked.
        rerank_score: what the reranker ordered it by.
        pair_score: the scorer's own score.
        truncated: whether the reranker lost text of it to a token limit.
        passages: the parts of its text its score came from, best first; empty for the whole text.
    """

    candidate: Candidate
    kind: FateKind
    rank: int | None
    scoring: Scoring
    reason: str = ""
    grouped_under: str = ""
    rerank_rank: int | None = None
    rerank_score: float | None = None
    pair_score: float | None = None
    truncated: bool = False
    passages: tuple[Passage, ...] = ()

    __repr__ = fields_repr

    def __setstate__(self, state: Sequence[Any]) -> None:
        """Read a pickle; version 0.1.0 stored fate and scoring as text that includes the reason."""
        values = list(state)
        if len(values) == _FIELDS_OF_0_1_0:
            candidate, kind, rank, scoring, *rest = values
            kind, _, grounds = kind.partition(": ")
            scoring, _, why = scoring.partition(": ")
            under = grounds if kind == FateKind.GROUPED else ""
            reason = "" if under else grounds or why
            values = [candidate, FateKind(kind), rank, Scoring(scoring), reason, under, *rest]
        for one, value in zip(fields(self), values, strict=True):
            object.__setattr__(self, one.name, value)


@dataclass(frozen=True, slots=True, repr=False)
class Trace:
    """The trace of one search.

    Attributes:
        stages: in the order they ran; sources in the order declared.
        fates: every candidate: the ranked first, in order, then the dropped.
        model: the model that reranked; an empty name when none did.
        kind: the scale of the pair scores.
        depth: hits asked of each source.
        window: candidates the reranker was to read.
        top_k: results asked for.
        matcher: returns for a document which words of the query met which of its own, where the
            model can say so; it is not pickled.
    """

    stages: tuple[StageTrace, ...]
    fates: tuple[Fate, ...]
    model: ModelIdentity
    kind: ScoreKind
    depth: int
    window: int
    top_k: int
    matcher: Callable[[Document], tuple[Match, ...]] | None = field(
        default=None, repr=False, compare=False
    )

    _repr_html_ = html_by("trace_html", "_notebook")

    def __repr__(self) -> str:
        """Show how many stages and candidates there were, and what was asked for."""
        model = f"model={self.model.name!r}, " if self.model.name else ""
        return (
            f"Trace({number_of(len(self.stages), 'stage')}, "
            f"{number_of(len(self.fates), 'candidate')}, {model}depth={self.depth}, "
            f"window={self.window}, top_k={self.top_k})"
        )

    def __setstate__(self, state: Sequence[Any]) -> None:
        """Read a pickle; one of version 0.1.0 has no matcher."""
        for one, value in zip_longest(fields(self), state):
            object.__setattr__(self, one.name, value)

    @property
    def usage(self) -> Usage:
        """What all stages used together."""
        return sum((stage.usage for stage in self.stages), Usage())

    @property
    def truncated(self) -> int:
        """How many scored candidates lost text to a token limit."""
        return sum(fate.truncated for fate in self.fates)

    @property
    def load_ms(self) -> float:
        """Milliseconds spent loading models, not part of any latency."""
        return sum(stage.load_ms for stage in self.stages)

    def fate(self, doc_id: str) -> Fate | None:
        """Return what became of a document, or None when no source found it."""
        return next((one for one in self.fates if one.candidate.document.doc_id == doc_id), None)

    def to_dict(self, *, texts: bool = False) -> dict[str, Any]:
        """Return everything as plain values for JSON, in a format with a version.

        Args:
            texts: whether to include the texts of the documents and of errors.
        """
        plain: dict[str, Any] = import_name("runoff._util.plain", "trace_dict")(self, texts=texts)
        return plain
