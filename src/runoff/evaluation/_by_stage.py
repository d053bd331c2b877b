"""The runs that one recording holds: each source's, the fused one, and the reranked one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from runoff.errors import InvalidArgument
from runoff.evaluation._measures import MEASURES, Evaluator
from runoff.evaluation._remarks import check_judged, check_recorded, degraded
from runoff.evaluation._replay import replay
from runoff.evaluation._verdict import verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runoff.evaluation._measures import Judged, Run
    from runoff.evaluation._pairing import Slicing
    from runoff.evaluation._recording import Recording
    from runoff.evaluation._verdict import Verdict

__all__ = ["FUSED", "RERANKED", "by_stage", "second_stage"]

FUSED = "fused"
RERANKED = "reranked"


def by_stage(recording: Recording) -> dict[str, Run]:
    """Return the order of every query after each stage, as the system is configured.

    The names are those of the sources, then `"fused"` where there are several or candidates are
    grouped, then `"reranked"` where there is a second stage. No run is cut to the results that the
    system returns, so that measures with a large cutoff say something.

    Args:
        recording: what `record` made.
    """
    setup = recording.setup
    runs: dict[str, Run] = {}
    for source in setup.sources:
        found = {}
        for query in recording:
            ranks = query.ranks[source]
            rows = np.flatnonzero((ranks > 0) & (ranks <= setup.depth))
            order = rows[np.argsort(ranks[rows], kind="stable")].tolist()
            found[query.query_id] = list(dict.fromkeys(query.doc_ids[row] for row in order))
        runs[source] = found
    if len(setup.sources) > 1 or setup.group is not None:
        runs[FUSED] = _plain(replay(recording, reranker=None, top_k=None))
    if setup.steps:
        runs[RERANKED] = _plain(replay(recording, top_k=None))
    return runs


def second_stage(
    recording: Recording,
    collection: Judged,
    *,
    measures: Iterable[object] = MEASURES,
    slices: Mapping[str, Slicing] | None = None,
) -> Verdict:
    """Return the verdict on the second stage: its order against that of the first stage.

    Args:
        recording: what `record` made.
        collection: judges its queries.
        measures: as ir-measures names them; the first decides.
        slices: as `verdict` takes them.

    Raises:
        InvalidArgument: there is no second stage, or as `Evaluator` and `verdict` raise it.
        MissingExtra: ir-measures is not installed.
    """
    check_judged(collection)
    if not recording.setup.steps:
        raise InvalidArgument("recording", recording, "is of a system without a second stage")
    check_recorded(recording, collection.qrels)
    *_, before, after = by_stage(recording).values()
    evaluator = Evaluator(collection, measures)
    found = verdict(evaluator.evaluate(before), evaluator.evaluate(after), slices=slices)
    return replace(found, notes=(*found.notes, *degraded(recording)))


def _plain(run: Run) -> Run:
    """Return a run in which a document that stands twice keeps its better place."""
    return {query_id: list(dict.fromkeys(order)) for query_id, order in run.items()}
