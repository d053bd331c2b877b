"""The answer of parts that are not runoff's, as a response, for observers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runoff.pipeline._sources import Given
from runoff.pipeline._two_stage import TwoStage
from runoff.scores import ModelIdentity, Usage
from runoff.types import Dropped, Ranked, Reranking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runoff.deadline import Deadline
    from runoff.types import Candidate, Hit, Query, Response


@dataclass(frozen=True, slots=True)
class _Replay:
    """A reranker that repeats the answer of another one.

    Attributes:
        name: the other's name.
        after: the ids that it kept, best first, with their scores.
    """

    name: str
    after: Sequence[tuple[str, float | None]]

    def rerank(
        self, query: Query, candidates: Sequence[Candidate], *, deadline: Deadline | None = None
    ) -> Reranking:
        """Return the candidates in that order."""
        del query, deadline
        by_id = {one.document.doc_id: one for one in candidates}
        kept = {doc_id: score for doc_id, score in self.after if doc_id in by_id}
        ranked = [Ranked(by_id[doc_id], score) for doc_id, score in kept.items()]
        gone = [one for one in candidates if one.document.doc_id not in kept]
        return Reranking(
            tuple(ranked),
            dropped=tuple(Dropped(one, f"left out by {self.name}") for one in gone),
            model=ModelIdentity(self.name),
            usage=Usage(pairs=len(candidates)),
        )


def replayed(
    query: str,
    hits: Sequence[Hit],
    *,
    source: str,
    after: Sequence[tuple[str, float | None]] | None,
    reranker: str = "",
    latency_ms: float,
) -> Response:
    """Return the response to a search that other parts made.

    Args:
        query: the question.
        hits: what was found, best first.
        source: the name of what found them.
        after: ids and scores of what the second stage kept, best first; None without one.
        reranker: the name of the second stage.
        latency_ms: how long all of it took.
    """
    many = max(1, len(hits))
    second = None if after is None else _Replay(reranker, after)
    made = TwoStage({source: Given(hits)}, reranker=second, depth=many, window=many).search(
        query, top_k=max(1, many if after is None else len(after))
    )
    stages = tuple(
        replace(one, latency_ms=latency_ms if one is made.trace.stages[-1] else 0.0)
        for one in made.trace.stages
    )
    return replace(
        made,
        outcome=replace(made.outcome, spent_ms=latency_ms),
        trace=replace(made.trace, stages=stages),
    )
