"""Measures of one or more systems and the verdict on two of them: as rows, JSON and Markdown."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from runoff._util.messages import number_of, visible
from runoff._util.text import snippet
from runoff.evaluation._measures.measures import MEASURES, Evaluator
from runoff.evaluation._measures.names import judged_name
from runoff.evaluation._verdict.rivals import against
from runoff.evaluation._verdict.verdict import verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from runoff._labels.collection import Collection
    from runoff.evaluation._measures.measures import Measured, Run
    from runoff.evaluation._verdict.pairing import Slicing
    from runoff.evaluation._verdict.result import Verdict
    from runoff.evaluation._verdict.rivals import Contest

_OF_SYSTEMS = {"keep": "better", "keep for these slices": "better in part", "remove": "worse"}
_SPECIAL = str.maketrans({letter: f"\\{letter}" for letter in "\\`*_[]|~#!@"})


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Measures of one or more systems on one collection, and a verdict where two are compared.

    Attributes:
        collection: the collection's name.
        measured: system to its measures, in the order of the table.
        compared: the system before and the one after; None where nothing is compared.
        verdict: the verdict on these two.
        notes: what is odd about the data, as sentences.
    """

    collection: str
    measured: Mapping[str, Measured]
    compared: tuple[str, str] | None
    verdict: Verdict | None
    notes: tuple[str, ...] = ()

    @property
    def harmed(self) -> bool:
        """Whether the system after is proven worse, on all queries or on a slice."""
        return self.verdict is not None and self.verdict.harms

    def rows(self) -> list[tuple[str, ...]]:
        """Return headings and one row for each system; Judged@k beside each measure if known."""
        first = next(iter(self.measured.values()))
        # where the collection lists relevant documents only, this share says nothing
        told = [
            measure
            for measure in first.values
            if not all(math.isnan(one.judged_share(measure)) for one in self.measured.values())
        ]
        heads = ["system"]
        for measure in first.values:
            heads += [measure, judged_name(measure)] if measure in told else [measure]
        rows = [tuple(heads)]
        for name, one in self.measured.items():
            cells = [name]
            for measure in one.values:
                cells.append(f"{one.mean(measure):.4f}")
                if measure in told:
                    share = one.judged_share(measure)
                    cells.append("-" if math.isnan(share) else f"{share:.3f}")
            rows.append(tuple(cells))
        return rows

    def remarks(self, *, beside_verdict: bool = False) -> list[str]:
        """Return what is odd about the data and the runs, each once.

        Args:
            beside_verdict: whether to leave out what the verdict's notes say, too.
        """
        remarks = [*self.notes]
        for name, one in self.measured.items():
            remarks += [f"{name}: {note}" for note in one.notes if note not in self.notes]
        said = self.verdict.notes if beside_verdict and self.verdict is not None else ()
        return [one for one in dict.fromkeys(remarks) if one not in said]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON; an unknown share is None."""
        systems = {}
        for name, one in self.measured.items():
            shares = {measure: one.judged_share(measure) for measure in one.values}
            systems[name] = {
                "means": {measure: one.mean(measure) for measure in one.values},
                "judged": {
                    measure: None if math.isnan(share) else share
                    for measure, share in shares.items()
                },
            }
        return {
            "collection": self.collection,
            "queries": len(next(iter(self.measured.values())).query_ids),
            "systems": systems,
            "compared": None if self.compared is None else list(self.compared),
            "harmed": self.harmed,
            "verdict": None if self.verdict is None else self.verdict.to_dict(),
            "notes": self.remarks(),
        }

    def markdown(self) -> str:
        """Return a summary for a pull request; all texts are escaped."""
        queries = len(next(iter(self.measured.values())).query_ids)
        parts = [f"### {_inert(self.collection)}: {number_of(queries, 'judged query')}"]
        found = self.verdict
        if found is not None and self.compared is not None:
            before, after = map(_inert, self.compared)
            decision: str = found.decision
            if not found.rivals:  # not about a second stage, to be kept or removed
                decision = _OF_SYSTEMS.get(decision, decision)
            parts.append(f"**{decision}** ({before} → {after}): {_inert(found.reason, math.inf)}")
        parts.append(_table(self.rows()))
        if found is not None:
            parts.append(_table(compared_rows(found)))
            if len(found.rivals) > 1:
                parts.append(_table(rival_rows(found)))
            if found.unjudged is not None:
                sentence, *first = str(found.unjudged).splitlines()
                parts += [_inert(sentence, math.inf), *(f"- {_inert(line)}" for line in first)]
            for title, changes in (("helped", found.helped), ("hurt", found.hurt)):
                parts += [
                    f"- {title} {one.after - one.before:+.3f}: {_inert(one.text or one.query_id)}"
                    for one in changes
                ]
        notes = dict.fromkeys([*self.remarks(), *(found.notes if found is not None else ())])
        parts += [f"> {_inert(note, math.inf)}" for note in notes]
        return visible("\n\n".join(parts) + "\n")


def evaluated(  # noqa: PLR0913 - as `verdict`
    collection: Collection,
    runs: Mapping[str, Run],
    compared: tuple[str, str] | None,
    *,
    measures: Iterable[object] = MEASURES,
    slices: Mapping[str, Slicing] | None = None,
    notes: Iterable[str] = (),
    unjudged: float | None = None,
    bound: float | None = None,
    found: Contest | None = None,
) -> Evaluated:
    """Measure every run and compare two of them.

    Args:
        collection: the queries with their judgments.
        runs: system to its results.
        compared: names of the system before and the one after; None compares nothing.
        measures: names from ir-measures; the first decides the verdict.
        slices: slices of the queries for the verdict.
        notes: further remarks, as sentences.
        unjudged: as `verdict` takes it.
        bound: as `verdict` takes it; None takes its default.
        found: the simple systems that a recorded one has to beat, instead of `runs` and `compared`.

    Raises:
        InvalidArgument: as raised by `Evaluator` and `verdict`.
        MissingExtra: ir-measures is not installed.
    """
    if found is not None:
        runs, compared = found.runs, found.compared
        notes = (*notes, *found.notes)
    evaluator = Evaluator(collection, measures)
    measured = {name: evaluator.evaluate(run) for name, run in runs.items()}
    decided = None
    if compared is not None:
        # `remarks` already shows the notes of each run under its name
        shown = {
            name: replace(one, notes=tuple(collection.notes)) for name, one in measured.items()
        }
        options: dict[str, Any] = {"slices": slices, "unjudged": unjudged}
        options |= {} if bound is None else {"bound": bound}
        if found is not None:
            decided = against(shown, found, **options)
        else:
            before, after = compared
            decided = verdict(shown[before], shown[after], **options)
    return Evaluated(collection.name, measured, compared, decided, (*collection.notes, *notes))


def compared_rows(found: Verdict) -> list[tuple[str, ...]]:
    """Return headings and one row for each comparison of a verdict."""
    rows: list[tuple[str, ...]] = [
        ("measure", "queries", "before", "after", "difference", "95%", "p", "better/same/worse")
    ]
    for one in found.comparisons:
        low, high = one.interval
        where = "all" if one.slice is None else "=".join(one.slice)
        rows.append(
            (
                one.measure,
                f"{where} ({one.queries})",
                f"{one.before:.4f}",
                f"{one.after:.4f}",
                f"{one.difference:+.4f}",
                f"{low:+.4f} to {high:+.4f}",
                f"{one.adjusted_p:.4f}",
                f"{one.wins}/{one.ties}/{one.losses}",
            )
        )
    return rows


def rival_rows(found: Verdict) -> list[tuple[str, ...]]:
    """Return headings and one row for each system that a recorded one has to beat."""
    measure = found.main.measure
    rows: list[tuple[str, ...]] = [("against", measure, "ms", "difference", "95%", "beaten")]
    for one in found.rivals:
        low, high = one.interval
        rows.append(
            (
                one.name,
                f"{one.value:.4f}",
                "-" if one.ms is None else f"{one.ms:.0f}",
                f"{one.difference:+.4f}",
                f"{low:+.4f} to {high:+.4f}",
                "yes" if one.beaten else "not proven",
            )
        )
    return rows


def _table(rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(_inert(cell) for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def _inert(text: str, length: float = 120) -> str:
    """Return a text on one line with all Markdown and HTML escaped."""
    shown = snippet(text, int(min(length, 1000)))
    return html.escape(shown.translate(_SPECIAL), quote=False)
