"""What `watch` keeps of one answer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runoff._util.display import html_by
from runoff._util.messages import fields_repr, number_of, short_repr
from runoff.scores import ModelIdentity, ScoreKind, Usage
from runoff.trace import Fate, FateKind, Scoring, Trace
from runoff.types import Candidate, Document, Placement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runoff.trace import StageTrace
    from runoff.types import Outcome


@dataclass(frozen=True, slots=True, repr=False)
class SourceRanks:
    """Where one source placed the candidates of an observation.

    Attributes:
        rank: for each candidate its rank from 1; 0 where the source did not find it.
        score: for each candidate the source's own score; NaN where there is none.
    """

    rank: tuple[int, ...]
    score: tuple[float, ...]

    __repr__ = fields_repr


@dataclass(frozen=True, slots=True, repr=False)
class Shadow:
    """What another reranker made of the same candidates, after the answer had gone.

    Attributes:
        name: the reranker's name.
        model: the model behind it.
        rank: for each candidate its place from 1 in the order that it would have given; 0 for one
            that it dropped, and for grouped ones.
        score: for each candidate its rerank_score; NaN where it has none.
        complete: whether every candidate of the window was scored.
        latency_ms: wall clock.
        usage: what it used.
    """

    name: str
    model: ModelIdentity
    rank: tuple[int, ...]
    score: tuple[float, ...]
    complete: bool = True
    latency_ms: float = 0.0
    usage: Usage = field(default_factory=Usage)

    __repr__ = fields_repr


@dataclass(frozen=True, slots=True, repr=False)
class Observation:
    """One answer: both orders, with scores and without texts.

    Fields about candidates have one value for each candidate, in fused order: the first is the one
    that the first stage alone would have returned first.

    Attributes:
        id: 32 hexadecimal digits, unique over all processes.
        time: when it was answered, in seconds since 1970, UTC.
        sample: the probability with which the answer was kept; weigh it by the inverse.
        query_hash: `text:` and 32 hexadecimal digits of the SHA-256 of the question.
        query: the question itself; empty without `texts=True`.
        pipeline: a fingerprint of the pipeline's configuration, 16 hexadecimal digits; equal for
            equal sources, fusion, reranker, depth and window.
        depth: hits asked of each source.
        window: candidates the reranker was to read.
        top_k: results asked for.
        doc_ids: the candidates' document ids; empty for a document that was forgotten.
        text_hashes: the candidates' texts, as `query_hash`; empty for a forgotten one.
        texts: the candidates' texts; an empty tuple without `texts=True`.
        fusion_scores: fusion's scores.
        ranks: places in the answer's whole order, from 1, whether returned or cut; 0 for a dropped
            or grouped candidate.
        rerank_scores: what the reranker ordered them by; NaN for one without.
        pair_scores: the scorer's own scores; NaN for one without.
        truncated: whether the reranker lost text of it.
        scorings: whether the reranker scored it, and if not, why.
        fates: where it ended.
        sources: each source's ranks and scores, in the order declared.
        stages: latency and usage of every stage, in the order they ran; without error texts.
        outcome: whether the answer is complete; its degradations and notes are without texts.
        model: the model that reranked; an empty name when none did.
        kind: the scale of the pair scores.
        slices: what `watch(slices=...)` returned for the query, such as `{"language": "de"}`.
        shadow: the shadow reranker's order; None where it did not run.
    """

    id: str
    time: float
    sample: float
    query_hash: str
    query: str
    pipeline: str
    depth: int
    window: int
    top_k: int
    doc_ids: tuple[str, ...]
    text_hashes: tuple[str, ...]
    texts: tuple[str, ...]
    fusion_scores: tuple[float, ...]
    ranks: tuple[int, ...]
    rerank_scores: tuple[float, ...]
    pair_scores: tuple[float, ...]
    truncated: tuple[bool, ...]
    scorings: tuple[Scoring, ...]
    fates: tuple[FateKind, ...]
    sources: Mapping[str, SourceRanks]
    stages: tuple[StageTrace, ...]
    outcome: Outcome
    model: ModelIdentity
    kind: ScoreKind
    slices: Mapping[str, str] = field(default_factory=dict)
    shadow: Shadow | None = None

    _repr_html_ = html_by("repr_html", "_notebook")

    def __repr__(self) -> str:
        """Show the question, or its hash, and how many candidates there were."""
        state = "complete" if self.outcome.complete else "degraded"
        asked = short_repr(self.query or self.query_hash)
        return f"Observation({asked}, {number_of(len(self.doc_ids), 'candidate')}, {state})"

    def __len__(self) -> int:
        """Return the number of candidates."""
        return len(self.doc_ids)

    @property
    def fused(self) -> tuple[int, ...]:
        """The candidates, as indices from 0, in the order that the first stage alone would give.

        Grouped candidates are left out: another stands for them.
        """
        every = range(len(self.fates))
        if FateKind.GROUPED not in self.fates:
            return tuple(every)
        return tuple(at for at in every if self.fates[at] is not FateKind.GROUPED)

    @property
    def reranked(self) -> tuple[int, ...]:
        """The candidates as indices from 0, in the answer's order; it has the first `top_k`."""
        return _by_rank(self.ranks)

    @property
    def shadowed(self) -> tuple[int, ...]:
        """The candidates, as indices from 0, in the order of the shadow reranker; empty without."""
        return () if self.shadow is None else _by_rank(self.shadow.rank)

    @property
    def trace(self) -> Trace:
        """What happened to every candidate, as in a response; texts are empty if not kept."""
        order = [at for at in self.reranked if self.scorings[at] is Scoring.RERANKED]
        place = {at: rank for rank, at in enumerate(order, 1)}
        return Trace(
            self.stages,
            tuple(self._fate(at, place.get(at)) for at in range(len(self))),
            self.model,
            self.kind,
            self.depth,
            self.window,
            self.top_k,
        )

    def _fate(self, at: int, rerank_rank: int | None) -> Fate:
        placements = tuple(
            Placement(name, ranks.rank[at], ranks.score[at])
            for name, ranks in self.sources.items()
            if ranks.rank[at]
        )
        text = self.texts[at] if self.texts else ""
        document = Document(self.doc_ids[at] or f"forgotten {at + 1}", text)
        candidate = Candidate(document, str(at), self.fusion_scores[at], at + 1, placements)
        return Fate(
            candidate,
            self.fates[at],
            self.ranks[at] or None,
            self.scorings[at],
            rerank_rank=rerank_rank,
            rerank_score=_known(self.rerank_scores[at]),
            pair_score=_known(self.pair_scores[at]),
            truncated=self.truncated[at],
        )


def _by_rank(ranks: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(filter(ranks.__getitem__, range(len(ranks))), key=ranks.__getitem__))


def _known(score: float) -> float | None:
    return None if math.isnan(score) else score
