"""The data model of a recording: what every query found, at which rank, with which scores.

A recording holds for each query every candidate that any source found at the recorded depth, in
fused order, as columns of one length. It is scored as wide as it is deep: no window, threshold,
grouping or early stop kept a candidate from being read. What the system was configured with stands
beside it (`Setup`), so that `replay` can answer as the system would have.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runoff.scores import ModelIdentity, ScoreKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from os import PathLike

    import numpy as np
    from altair import LayerChart
    from numpy.typing import NDArray

    from runoff.evaluation._collection import Collection
    from runoff.evaluation._curve import Curve
    from runoff.evaluation._findings import Health
    from runoff.evaluation._ledger import Ledger
    from runoff.evaluation._measures import Judged
    from runoff.evaluation._setup import Setup
    from runoff.evaluation._tune import Tuning
    from runoff.evaluation._verdict import Verdict
    from runoff.report._advice import Advice
    from runoff.trace import StageTrace
    from runoff.types import Outcome

__all__ = ["Content", "FateCode", "Origin", "RecordedQuery", "Recording", "Stored"]


class FateCode(enum.IntEnum):
    """What became of a candidate at full width, as a code."""

    RERANKED = 0  # scored by the last stage
    TAIL = 1  # below the window that was recorded
    UNSCORED = 2  # a fault left it without a score
    DROPPED = 3  # a reranker took it out; `why` says for what reason
    IMAGE = 4  # kept at its fused place
    EMPTY = 5  # no text to score
    OFF = 6  # there was no second stage


class Content(enum.IntEnum):
    """What a document gives a reranker to read, as a code."""

    TEXT = 0
    EMPTY = 1
    IMAGE = 2  # an image without text


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one source placed the candidates of one query.

    Attributes:
        rank: int32, shape (n,): its rank from 1; 0 where the source did not find the candidate.
        score: float64, shape (n,): the source's own score; NaN where it did not.
        low: float64, shape (n,): the lowest score the source can give; NaN where not known.
        high: float64, shape (n,): the highest.
    """

    rank: NDArray[np.int32]
    score: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class RecordedQuery:
    """One query with its n candidates, in fused order at the recorded depth.

    Row `i` has fusion rank `i + 1`. Every array has shape (n,).

    Attributes:
        query_id: the collection's id.
        text: the question.
        doc_ids: the documents' ids.
        keys: what identifies the candidates across sources; mostly the ids.
        origins: by source, its ranks and scores.
        fusion_score: float64, by the fusion the system is configured with.
        pair_score: float64, the scorer's own; NaN where there is none.
        rerank_score: float64, what the reranker orders by when it reads all; NaN where none.
        rerank_rank: int32, from 1; 0 where it was not reranked.
        truncated: bool, whether text was lost to the model's token limit.
        fate: uint8, codes of `FateCode`.
        why: the reason of a fate that has one, else an empty string; () where none has.
        content: uint8, codes of `Content`.
        text_length: int32, characters.
        group: int32, the group the configured grouping puts it in; -1 for none.
        twin: int32, equal for texts that differ only in whitespace and case; -1 where duplicates
            are not looked for.
        near: pairs of rows (the lower first) whose texts are duplicates by the configured
            similarity, shape (m, 2), int32.
        grouped_under: int32, the row that stands for it under the configured grouping; -1 for
            those that stand for themselves.
        steps: for each stage of a cascade, the last included, its scores, NaN where it gave none;
            one for a plain reranker, none without one.
        step_truncated: the same for truncation, bool.
        stages: every stage with time, usage and error; those of a cascade as parts.
        outcome: whether the answer is complete.
        model: what scored the pairs.
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

    def __len__(self) -> int:
        """Return the number of candidates."""
        return len(self.doc_ids)

    @property
    def degraded(self) -> bool:
        """Whether the answer had to do without something; such a query is recorded again."""
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
        """Every source's own scores, NaN where it did not find the candidate."""
        return {name: origin.score for name, origin in self.origins.items()}


class Stored:
    """Recorded queries in memory; a folder of shards has the same methods."""

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


class Recording:
    """What a system did with a collection; iterate over it for `RecordedQuery`s.

    Made by `record`, opened by `Recording.open`.

    Attributes:
        setup: what the system was configured with, and at what depth it was recorded.
    """

    def __init__(self, setup: Setup, queries: Stored) -> None:
        self.setup = setup
        self._queries = queries

    @classmethod
    def open(cls, path: str | PathLike[str]) -> Recording:
        """Open a recording that `record` wrote; shards are read when they are asked for.

        Raises:
            RecordingNotFound: there is none.
            RecordingTooNew: a newer version of runoff wrote it.
            RecordingDamaged: a file cannot be read.
            MissingExtra: pyarrow is not installed.
        """
        from runoff.evaluation._shards import Folder  # noqa: PLC0415 - pyarrow is an extra

        folder = Folder(path)
        return cls(folder.setup, folder)

    def verdict(self, collection: Judged, **options: Any) -> Verdict:  # noqa: ANN401 - see there
        """Return whether the second stage helps: its order against that of the first stage.

        Args:
            collection: judges the queries.
            **options: `measures` and `slices`, as `runoff.evaluation._by_stage.second_stage` has.

        Raises:
            InvalidArgument: there is no second stage, or as `evaluate` and `verdict` raise it.
            MissingExtra: ir-measures is not installed.
        """
        from runoff.evaluation._by_stage import second_stage  # noqa: PLC0415 - it needs this module

        return second_stage(self, collection, **options)

    def losses(
        self,
        collection: Judged,
        *,
        cutoff: int = 10,
        **settings: Any,  # noqa: ANN401 - as `replay` has them
    ) -> Ledger:
        """Return where the missing nDCG was lost; see `runoff.evaluation.losses`.

        Raises:
            InvalidArgument: as `losses` does.
        """
        from runoff.evaluation._losses import losses  # noqa: PLC0415 - it needs this module

        return losses(self, collection, cutoff=cutoff, **settings)

    def curve(self, collection: Judged, **options: Any) -> Curve:  # noqa: ANN401 - as `curve` has them
        """Return what each further candidate in the window buys; see `runoff.evaluation.curve`.

        Raises:
            InvalidArgument: as `curve` does.
            MissingExtra: ir-measures is not installed.
        """
        from runoff.evaluation._curve import curve  # noqa: PLC0415 - it needs this module

        return curve(self, collection, **options)

    def report(
        self, path: str | PathLike[str], collection: Collection, *, tuning: Tuning | None = None
    ) -> Advice:
        """Write everything it says to one HTML file; see `runoff.report._page.report`.

        Args:
            path: the file.
            collection: judges the queries.
            tuning: what `tune` returned, to be shown too.

        Raises:
            InvalidArgument: a judged query was not recorded.
            MissingExtra: ir-measures is not installed.
        """
        from runoff.report._page import report  # noqa: PLC0415 - only when asked for

        return report(self, collection, path, tuning=tuning)

    def health(self, *, reference: Recording | None = None) -> Health:
        """Return what is odd about the second stage; see `runoff.evaluation.health`.

        Raises:
            InvalidArgument: nothing is recorded.
        """
        from runoff.evaluation._health import health  # noqa: PLC0415 - it needs this module

        return health(self, reference=reference)

    def plot_scores(self, collection: Judged) -> LayerChart:
        """Return how the scores of relevant and of other documents lie, as an Altair chart.

        Args:
            collection: judges the documents.

        Raises:
            InvalidArgument: no second stage scored anything.
            MissingExtra: Altair is not installed.
        """
        from runoff.report._plots import scores_plot  # noqa: PLC0415 - Altair is an extra

        return scores_plot(self, collection)

    def plot_latency(self) -> LayerChart:
        """Return the milliseconds of every stage, p50 and p95, as an Altair chart.

        Raises:
            MissingExtra: Altair is not installed.
        """
        from runoff.report._plots import latency_plot  # noqa: PLC0415 - Altair is an extra

        return latency_plot(self)

    def __iter__(self) -> Iterator[RecordedQuery]:
        """Iterate over the queries, in the order recorded; one shard is held at a time."""
        return iter(self._queries)

    def __len__(self) -> int:
        """Return the number of queries."""
        return len(self._queries)

    def __getitem__(self, query_id: str) -> RecordedQuery:
        """Return one query.

        Raises:
            KeyError: it was not recorded.
        """
        return self._queries[query_id]

    def _repr_html_(self) -> str:
        from runoff.report._sections import recording_html  # noqa: PLC0415 - a report, when asked for

        return recording_html(self)

    def __repr__(self) -> str:
        """Show how much there is."""
        degraded = f", {count} degraded" if (count := len(self.degraded)) else ""
        return f"Recording({len(self)} queries, {self.pairs} candidates{degraded})"

    @property
    def query_ids(self) -> list[str]:
        """The ids of the recorded queries."""
        return self._queries.query_ids

    @property
    def degraded(self) -> list[str]:
        """The ids of the queries whose answer had to do without something."""
        return self._queries.degraded

    @property
    def pairs(self) -> int:
        """How many candidates all queries have together."""
        return self._queries.pairs
