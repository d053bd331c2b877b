"""Everything a recording can say to its owner on one page: verdict, losses, window, health."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runoff.evaluation._curve import curve
from runoff.evaluation._health import health
from runoff.evaluation._losses import losses
from runoff.evaluation._measures import MEASURES
from runoff.evaluation._remarks import degraded
from runoff.evaluation._runs import RERANKED, by_stage
from runoff.report._evaluated import evaluated
from runoff.report._explain import snippet
from runoff.report._plain import columns, curve_text, folded, verdict_text
from runoff.report._steps import next_steps

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runoff.evaluation._collection import Collection
    from runoff.evaluation._curve import Curve
    from runoff.evaluation._ledger import Ledger
    from runoff.evaluation._observations import Health
    from runoff.evaluation._pairing import Slicing
    from runoff.evaluation._recording import Recording
    from runoff.evaluation._tune import Tuning
    from runoff.report._evaluated import Evaluated

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

    @property
    def next_steps(self) -> tuple[str, ...]:
        """What to do next, as sentences, the most urgent first."""
        return next_steps(self.evaluated, self.ledger, self.curve, self.health)

    def sections(self) -> dict[str, str]:
        """Return it as texts under their headings, no line longer than 80 characters.

        Only a table of long names is wider.
        """
        found = self.evaluated
        queries = len(self.ledger.queries)
        told = {
            f"{snippet(found.collection, 100)}: {queries} judged queries": columns(found.rows())
        }
        if steps := self.next_steps:
            told["NEXT STEPS"] = "\n".join(
                folded(f"{rank}. {snippet(one, 1000)}", 3) for rank, one in enumerate(steps, 1)
            )
        if found.verdict is not None and found.compared is not None:
            before, after = found.compared
            told[f"VERDICT, {after} against {before}"] = verdict_text(found.verdict)
        told["LOSSES"] = folded(str(self.ledger))
        if self.curve is not None:
            told["WINDOW"] = curve_text(self.curve)
        if self.tuning is not None:
            told["SETTINGS"] = folded(str(self.tuning))
        if self.health is not None:
            told["HEALTH"] = folded(str(self.health), 19)
        if remarks := found.remarks():
            told["NOTES"] = folded("\n".join(snippet(one, 1000) for one in remarks))
        return told

    def __str__(self) -> str:
        """Return it as a page of text."""
        return "\n\n".join(f"{heading}\n{text}" for heading, text in self.sections().items())

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        return self.evaluated.to_dict() | {
            "next_steps": list(self.next_steps),
            "losses": self.ledger.to_dict(),
            "window": None if self.curve is None else self.curve.to_dict(),
            "settings": None if self.tuning is None else self.tuning.to_dict(),
            "health": None if self.health is None else self.health.to_dict(),
        }


def advise(
    recording: Recording,
    collection: Collection,
    *,
    measures: Iterable[object] = MEASURES,
    slices: Mapping[str, Slicing] | None = None,
    tuning: Tuning | None = None,
    texts: Mapping[str, str] | None = None,
) -> Advice:
    """Measure a recording stage by stage, and find out what its second stage is worth.

    Args:
        recording: what `record` made.
        collection: judges its queries.
        measures: as ir-measures names them; the first decides the verdict.
        slices: for the verdict.
        tuning: what `tune` returned, to be told too.
        texts: document id to text, for phantom hits where the recording kept no texts; None takes
            those of the collection's documents.

    Raises:
        InvalidArgument: a judged query was not recorded, or there is no such measure.
        MissingExtra: ir-measures is not installed.
    """
    runs = by_stage(recording)
    names = list(runs)
    compared = (names[-2], RERANKED) if names[-1] == RERANKED else None
    found = evaluated(
        collection,
        runs,
        compared,
        measures=measures,
        slices=slices,
        notes=degraded(recording),
    )
    ledger = losses(recording, collection)
    if compared is None:
        return Advice(found, ledger, None, None, tuning)
    if texts is None and collection.documents is not None:
        texts = {doc_id: one.text for doc_id, one in collection.documents.items()}
    odd = health(recording, texts=texts)
    return Advice(found, ledger, curve(recording, collection), odd, tuning)
