"""A recording: what a system did with every query of a collection, and what can be asked of it.

The system's own configuration is kept beside the queries (`Setup`), so that `replay` can answer as
the system would have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from runoff._util.display import html_by
from runoff._util.lazy import import_name
from runoff._util.messages import number_of
from runoff.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from os import PathLike

    from altair import LayerChart

    from runoff._labels.collection import Collection
    from runoff._recording.query import RecordedQuery, Stored
    from runoff._recording.setup import Setup
    from runoff.evaluation._curve import Curve
    from runoff.evaluation._health.observations import Health
    from runoff.evaluation._ledger import Ledger
    from runoff.evaluation._measures.measures import Judged
    from runoff.evaluation._tune import Tuning
    from runoff.evaluation._verdict.pairing import Slicing
    from runoff.evaluation._verdict.result import Verdict
    from runoff.report._advice import Advice
    from runoff.report._changed import Changed


class Recording:
    """What a system did with the queries of a collection; iterate for the `RecordedQuery`s.

    Made by `record`, opened by `Recording.open`. One that `record` made of a `Collection` keeps its
    judgments in memory, and takes those where it is given none.

    Attributes:
        setup: the system's configuration, and the depth and window that were recorded.
    """

    _collection: Collection | None = None  # old pickles have none

    def __init__(self, setup: Setup, queries: Stored, collection: Collection | None = None) -> None:
        self.setup = setup
        self._queries = queries
        self._collection = collection

    @classmethod
    def open(cls, path: str | PathLike[str]) -> Recording:
        """Open a recording that `record` wrote; shards are read when they are needed.

        Raises:
            RecordingNotFound: the directory holds no recording.
            RecordingTooNew: a newer version of runoff wrote it.
            RecordingDamaged: a file cannot be read.
            MissingExtra: pyarrow is not installed.
        """
        folder = import_name("runoff._recording.shards", "Folder")(path)
        return cls(folder.setup, folder)

    def verdict(self, collection: Judged | None = None, **options: Any) -> Verdict:  # noqa: ANN401 - see there
        """Return whether the second stage helps: its order against the best system without one.

        That is the best of each source alone, the fused order, and other fusions of the sources,
        chosen for each query on other queries. `keep` needs a proven gain over all of them.

        Args:
            collection: the judgments of the queries; None takes those of the collection recorded.
            **options: `measures`, as `evaluate` takes them; `slices`, `unjudged` and the others, as
                `verdict` does.

        Raises:
            InvalidArgument: there are no judgments, the system has no second stage, or as
                `evaluate` and `verdict`.
            MissingExtra: ir-measures is not installed.
        """
        found: Verdict = import_name("runoff.evaluation._verdict.rivals", "second_stage_verdict")(
            self, self._judged(collection), **options
        )
        return found

    def losses(
        self,
        collection: Judged | None = None,
        *,
        cutoff: int = 10,
        **settings: Any,  # noqa: ANN401 - as `replay` takes them
    ) -> Ledger:
        """Return where the missing nDCG was lost; see `runoff.evaluation.losses`.

        Raises:
            InvalidArgument: there are no judgments, or as `losses` does.
        """
        found: Ledger = import_name("runoff.evaluation._losses", "losses")(
            self, self._judged(collection), cutoff=cutoff, **settings
        )
        return found

    def curve(self, collection: Judged | None = None, **options: Any) -> Curve:  # noqa: ANN401 - as `curve` takes them
        """Return what each further candidate in the window buys; see `runoff.evaluation.curve`.

        Raises:
            InvalidArgument: there are no judgments, or as `curve` does.
            MissingExtra: ir-measures is not installed.
        """
        found: Curve = import_name("runoff.evaluation._curve", "curve")(
            self, self._judged(collection), **options
        )
        return found

    @overload
    def report(self, path: str | PathLike[str]) -> Advice | Changed: ...
    @overload
    def report(
        self,
        path: str | PathLike[str],
        collection: Collection,
        *,
        measures: Iterable[object] | None = None,
        slices: Mapping[str, Slicing] | None = None,
        tuning: Tuning | None = None,
        unjudged: float | None = None,
        bound: float | None = None,
    ) -> Advice: ...
    def report(
        self,
        path: str | PathLike[str],
        collection: Collection | None = None,
        *,
        measures: Iterable[object] | None = None,
        slices: Mapping[str, Slicing] | None = None,
        tuning: Tuning | None = None,
        unjudged: float | None = None,
        bound: float | None = None,
    ) -> Advice | Changed:
        """Write every analysis of the recording to one HTML file.

        Args:
            path: the file to write.
            collection: the judgments of the queries; None takes those of the collection recorded.
                Without any it reports what needs none: what the second stage changes, how often,
                examples, and health.
            measures: as ir-measures names them; the first decides. None takes the usual ones.
            slices: of the queries, as `verdict` takes them.
            tuning: the result of `tune`, to be shown too.
            unjudged: the highest chance that a result without a judgment is relevant, as `verdict`
                takes it.
            bound: of "no effect", as `verdict` takes it; None takes its default.

        Raises:
            InvalidArgument: a judged query was not recorded, or settings need a collection.
            MissingExtra: ir-measures is not installed.
        """
        collection = self._collection if collection is None else collection
        given = {"measures": measures, "slices": slices, "tuning": tuning, "unjudged": unjudged}
        options = {
            name: value for name, value in (given | {"bound": bound}).items() if value is not None
        }
        if collection is None:
            for name, value in options.items():
                raise InvalidArgument(name, value, "needs a collection with judgments")
            changed: Changed = import_name("runoff.report._page", "changed_report")(self, path)
            return changed
        advice: Advice = import_name("runoff.report._page", "report")(
            self, collection, path, **options
        )
        return advice

    def explore(
        self,
        path: str | PathLike[str] | None = None,
        collection: Collection | None = None,
        *,
        labels: str | PathLike[str] | None = None,
    ) -> Any:  # noqa: ANN401 - a widget, which has no types, or a path
        """Show the explorer in a notebook, or write it to one HTML file that needs no server.

        Args:
            path: the file to write; None returns a widget, which a notebook shows.
            collection: the judgments of the queries, and the documents; None takes the collection
                recorded, if any.
            labels: a CSV file in which grades given on the page are saved; `with_judgments` reads
                it.

        Returns:
            The widget, or the path of the file.

        Raises:
            InvalidArgument: an argument has a value it cannot have.
            MissingExtra: there is no path, and anywidget is not installed; or ir-measures is not.
        """
        return import_name("runoff.report._explorer.opened", "explore")(
            self, path, self._collection if collection is None else collection, labels
        )

    def health(
        self, *, reference: Recording | None = None, repeats: Sequence[Recording] = ()
    ) -> Health:
        """Return what is odd about the second stage; see `runoff.evaluation.health`.

        Raises:
            InvalidArgument: the recording is empty, or the repeats have no reference.
        """
        found: Health = import_name("runoff.evaluation._health.health", "health")(
            self, reference=reference, repeats=repeats
        )
        return found

    def plot_scores(self, collection: Judged | None = None) -> LayerChart:
        """Return the distributions of relevant and other documents' scores, as an Altair chart.

        Args:
            collection: the judgments of the queries; None takes those of the collection recorded.

        Raises:
            InvalidArgument: there are no judgments, or no second stage scored anything.
            MissingExtra: Altair is not installed.
        """
        chart: LayerChart = import_name("runoff.report._plots", "scores_plot")(
            self, self._judged(collection)
        )
        return chart

    def plot_latency(self) -> LayerChart:
        """Return the latency of every stage in milliseconds, p50 and p95, as an Altair chart.

        Raises:
            MissingExtra: Altair is not installed.
        """
        chart: LayerChart = import_name("runoff.report._plots", "latency_plot")(self)
        return chart

    def _judged(self, collection: Judged | None) -> Judged:
        """Return the judgments given, or those of the collection recorded."""
        found = self._collection if collection is None else collection
        if found is None:
            remedy = (
                "must have judgments: this recording was opened from a directory, or made of "
                "questions without any"
            )
            raise InvalidArgument("collection", None, remedy)
        return found

    def __iter__(self) -> Iterator[RecordedQuery]:
        """Iterate over the queries in the order recorded, with one shard in memory at a time."""
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

    _repr_html_ = html_by("recording_html")

    def __repr__(self) -> str:
        """Show the number of queries and candidates."""
        degraded = f", {count} degraded" if (count := len(self.degraded)) else ""
        return (
            f"Recording({number_of(len(self), 'query')}, "
            f"{number_of(self.pairs, 'candidate')}{degraded})"
        )

    @property
    def query_ids(self) -> list[str]:
        """The ids of the recorded queries."""
        return self._queries.query_ids

    @property
    def degraded(self) -> list[str]:
        """The ids of the queries whose answer lacks a source or a score."""
        return self._queries.degraded

    @property
    def pairs(self) -> int:
        """How many candidates all queries have together."""
        return self._queries.pairs
