"""Everything a recording can say to its owner on one page: verdict, losses, window, health."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runoff.evaluation.accounting import losses
from runoff.evaluation.checks import health
from runoff.evaluation.curves import curve
from runoff.evaluation.measures import MEASURES
from runoff.evaluation.stagewise import RERANKED, by_stage
from runoff.report.evaluated import evaluated
from runoff.report.explain import text_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runoff.evaluation.collection import Collection
    from runoff.evaluation.curves import Curve
    from runoff.evaluation.findings import Health
    from runoff.evaluation.ledger import Ledger
    from runoff.evaluation.pairing import Slicing
    from runoff.evaluation.recording import Recording
    from runoff.evaluation.tuning import Tuning
    from runoff.report.evaluated import Evaluated

__all__ = ["Advice", "advise"]


@dataclass(frozen=True, slots=True)
class Advice:
    """What one recording says.

    Attributes:
        evaluated: the measures after every stage, and the verdict on the second one.
        ledger: where quality is lost.
        curve: quality against the window; None without a second stage.
        health: what is odd about the second stage, judgments aside; None without one.
        tuning: which settings to run; None unless it was given.
    """

    evaluated: Evaluated
    ledger: Ledger
    curve: Curve | None
    health: Health | None
    tuning: Tuning | None = None

    def __str__(self) -> str:
        """Return it as a page of text."""
        found, rows = self.evaluated, self.evaluated.rows()
        queries = len(self.ledger.queries)
        parts = [
            f"{found.collection}: {queries} judged queries",
            text_table(rows, align="<" + ">" * (len(rows[0]) - 1)),
        ]
        if found.verdict is not None and found.compared is not None:
            before, after = found.compared
            parts.append(f"VERDICT, {after} against {before}\n{found.verdict}")
        parts.append(f"LOSSES\n{self.ledger}")
        if self.curve is not None:
            parts.append(f"WINDOW\n{self.curve}")
        if self.tuning is not None:
            parts.append(f"SETTINGS\n{self.tuning}")
        if self.health is not None:
            parts.append(f"HEALTH\n{self.health}")
        remarks = found.remarks()
        if remarks:
            parts.append("\n".join(remarks))
        return "\n\n".join(parts)


def advise(
    recording: Recording,
    collection: Collection,
    *,
    measures: Iterable[object] = MEASURES,
    slices: Mapping[str, Slicing] | None = None,
    tuning: Tuning | None = None,
) -> Advice:
    """Measure a recording stage by stage, and find out what its second stage is worth.

    Args:
        recording: what `record` made.
        collection: judges its queries.
        measures: as ir-measures names them; the first decides the verdict.
        slices: for the verdict.
        tuning: what `tune` returned, to be told too.

    Raises:
        InvalidArgument: a judged query was not recorded, or there is no such measure.
        MissingExtra: ir-measures is not installed.
    """
    runs = by_stage(recording)
    names = list(runs)
    compared = (names[-2], RERANKED) if names[-1] == RERANKED else None
    found = evaluated(collection, runs, compared, measures=measures, slices=slices)
    ledger = losses(recording, collection)
    if compared is None:
        return Advice(found, ledger, None, None, tuning)
    return Advice(found, ledger, curve(recording, collection), health(recording), tuning)
