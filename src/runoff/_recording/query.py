"""Recorded queries: every candidate that was found, with its ranks and scores.

A recorded query holds every candidate that any source found at the recorded depth, in fused order,
as columns of equal length. Every candidate in the recorded window was scored: no threshold,
grouping or early stop was applied.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runoff._util.display import html_by
from runoff._util.messages import number_of, short_repr
from runoff.scores import ModelIdentity, ScoreKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from runoff.trace import StageTrace
    from runoff.types import Outcome


class FateCode(enum.IntEnum):
    """What happened to a candidate while recording, as a code."""

    RERANKED = 0  # scored by the last stage
    TAIL = 1  # below the recorded window
    UNSCORED = 2  # left without a score by a fault
    DROPPED = 3  # removed by a reranker; `why` has the reason
    IMAGE = 4  # an image without text: kept at its fused place
    EMPTY = 5  # no text to score
    OFF = 6  # there was no second stage


class Content(enum.IntEnum):
    """What a document offers a reranker to read, as a code."""

    TEXT = 0
    EMPTY = 1
    IMAGE = 2  # an image without text


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one source placed the candidates of one query.

    Attributes:
        rank: int32, shape (n,): its rank from 1; 0 where the source did not find the candidate.
        score: float64, shape (n,): the source's own score; NaN where it did not find it or gave
            no score.
        low: float64, shape (n,): the lowest score the source can give; NaN if unknown.
        high: float64, shape (n,): the highest score the source can give; NaN if unknown.
    """

    rank: NDArray[np.int32]
    score: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RecordedQuery:
    """One query with its n candidates, in fused order at the recorded depth.

    Row `i` has fusion rank `i + 1`. Every array has shape (n,).

    Attributes:
        query_id: the collection's id.
        text: the question.
        doc_ids: the documents' ids.
        keys: what identifies the candidates across sources; mostly the ids.
        origins: source name to its ranks and scores.
        fusion_score: float64, by the system's own fusion.
        pair_score: float64, the scorer's own; NaN without one.
        rerank_score: float64, what the reranker orders by when it reads every candidate; NaN
            without one.
        rerank_rank: int32, from 1; 0 if it was not reranked.
        truncated: bool, whether text was lost to the model's token limit.
        fate: uint8, codes of `FateCode`.
        why: the reason for each fate, an empty string without one; () if no fate has a reason.
        content: uint8, codes of `Content`.
        text_length: int32, characters.
        group: int32, the group by the system's own grouping; -1 for none.
        twin: int32, equal for texts that differ only in whitespace and case; -1 if the system
            does not remove duplicates.
        near: int32, shape (m, 2): pairs of rows (the lower first) whose texts are duplicates by
            the system's own similarity.
        grouped_under: int32, the row that represents this one after the system's own grouping;
            -1 for rows that are not grouped under another.
        steps: the scores of each stage of the reranker, NaN where it gave none. A cascade has
            several stages, any other reranker has one.
        step_truncated: for each stage, bool, whether text was lost.
        stages: every stage of the search with latency, usage and error; the stages of a cascade
            are the parts of one.
        outcome: whether the answer is complete.
        model: the model that scored the pairs.
        kind: the scale of the pair scores.
        texts: the documents' texts; () unless they were asked for.
    """

    query_id: str
    text: str
    doc_ids: Sequence[str]
    keys: Sequence[str]
    origins: Mapping[str, Origin]
    fusion_score: NDArray[np.float64]
    pair_score: NDArray[np.float64]
    rerank_score: NDArray[np.float64]
    rerank_rank: NDArray[np.int32]
    truncated: NDArray[np.bool_]
    fate: NDArray[np.uint8]
    why: Sequence[str]
    content: NDArray[np.uint8]
    text_length: NDArray[np.int32]
    group: NDArray[np.int32]
    twin: NDArray[np.int32]
    near: NDArray[np.int32]
    grouped_under: NDArray[np.int32]
    steps: tuple[NDArray[np.float64], ...]
    step_truncated: tuple[NDArray[np.bool_], ...]
    stages: tuple[StageTrace, ...]
    outcome: Outcome
    model: ModelIdentity = field(default_factory=lambda: ModelIdentity(""))
    kind: ScoreKind = ScoreKind.UNKNOWN
    texts: Sequence[str] = ()

    _repr_html_ = html_by("query_html", "_explain")

    def __repr__(self) -> str:
        """Show the query and the number of candidates."""
        degraded = ", degraded" if self.degraded else ""
        return (
            f"RecordedQuery({self.query_id!r}, {short_repr(self.text)}, "
            f"{number_of(len(self), 'candidate')}{degraded})"
        )

    def __len__(self) -> int:
        """Return the number of candidates."""
        return len(self.doc_ids)

    @property
    def degraded(self) -> bool:
        """Whether the answer lacks a source or a score; a resumed recording asks again."""
        return not self.outcome.complete

    @property
    def failed_sources(self) -> list[str]:
        """The sources that did not answer."""
        return [one.source for one in self.outcome.degraded if one.stage == "recall"]

    @property
    def ranks(self) -> dict[str, NDArray[np.int32]]:
        """Every source's ranks, 0 where it did not find the candidate."""
        return {name: origin.rank for name, origin in self.origins.items()}

    @property
    def scores(self) -> dict[str, NDArray[np.float64]]:
        """Every source's own scores, NaN where it gave none or did not find the candidate."""
        return {name: origin.score for name, origin in self.origins.items()}


class Stored:
    """Recorded queries in memory; `Folder` offers the same methods for queries on disk."""

    def __init__(self, queries: Sequence[RecordedQuery]) -> None:
        self._queries = {one.query_id: one for one in queries}

    def __iter__(self) -> Iterator[RecordedQuery]:
        """Iterate over the queries."""
        return iter(self._queries.values())

    def __len__(self) -> int:
        """Return the number of queries."""
        return len(self._queries)

    def __getitem__(self, query_id: str) -> RecordedQuery:
        """Return one query."""
        return self._queries[query_id]

    @property
    def query_ids(self) -> list[str]:
        """The ids of the queries, in the order they are iterated over."""
        return list(self._queries)

    @property
    def degraded(self) -> list[str]:
        """The ids of the queries whose answer is degraded."""
        return [one.query_id for one in self if one.degraded]

    @property
    def pairs(self) -> int:
        """How many candidates all queries have together."""
        return sum(map(len, self))
