"""What the demo finds, shown in a terminal or printed as JSON.

Progress goes to standard error, results to standard output, so that a script reads only results.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from runoff.evaluation._runs import RERANKED
from runoff.report._explain import headline, number, result_table, snippet, stage_table
from runoff.report._figures import stage_spans
from runoff.report._plain import verdict_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from runoff.demo._evaluation import Evaluation
    from runoff.demo._frameworks import BeforeAfter, Row
    from runoff.demo._index import DemoIndex
    from runoff.types import Response

    ProgressCall = Callable[[str, int, int], None]

__all__ = ["JsonReport", "Report", "TerminalReport", "progress_bars", "text_table"]


class Report(Protocol):
    """Where the demo's findings go, in the order they come."""

    def progress(self) -> AbstractContextManager[ProgressCall]:
        """Show how far something is: called with its name, what is done and what there is."""

    def indexed(self, index: DemoIndex, what: str) -> None:
        """Tell what was indexed."""

    def compared(self, pair: BeforeAfter) -> None:
        """Tell what a framework's retriever found before and after."""

    def answered(self, response: Response) -> None:
        """Tell the answer to one question."""

    def evaluated(self, evaluation: Evaluation) -> None:
        """Tell how good each stage is, where quality is lost, and what to do next."""

    def finished(self) -> None:
        """Tell that nothing more comes."""


@contextmanager
def progress_bars(console: Console) -> Iterator[ProgressCall]:
    """Show bars that vanish at the end; yields what is called with a name, how much and of what."""
    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(bar_width=40),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        tasks: dict[str, Any] = {}

        def step(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield step


class TerminalReport:
    """Tables on standard output, progress on standard error."""

    def __init__(self) -> None:
        self._out = Console(highlight=False)
        self._err = Console(stderr=True, highlight=False)

    def progress(self) -> AbstractContextManager[ProgressCall]:
        """Show progress bars that vanish when they are done."""
        return progress_bars(self._err)

    def indexed(self, index: DemoIndex, what: str) -> None:
        """Print one line."""
        how = f"indexed in {index.built_s:.0f} s" if index.built_s else "indexed earlier"
        count = len(index.bm25)
        self._say(f"{count:,} passages of {what}, {how}: BM25 and Chroma in {index.path}", "dim")

    def compared(self, pair: BeforeAfter) -> None:
        """Print what the plain retriever found, the line, and what came back after it."""
        self._out.print()
        self._say(f"{pair.framework}: {pair.question}", "bold")
        self._say(f"before, {pair.before_ms:.0f} ms", "dim")
        for rank, row in enumerate(pair.before, 1):
            self._say(f"  {rank}  {row.doc_id}")
        self._say(f"add     {pair.line}", "green")
        self._say(f"after, {pair.after_ms:.0f} ms", "dim")
        self._out.print(_provenance_table(pair))

    def answered(self, response: Response) -> None:
        """Print the answer with where each result stood at every stage."""
        self._out.print()
        self._say(headline(response))
        self._out.print(text_table(result_table(response)))
        self._out.print(text_table(stage_table(response)))

    def evaluated(self, evaluation: Evaluation) -> None:
        """Print the times, what the recording says, and where the whole page is."""
        self._out.print()
        day = evaluation.recorded
        when = f"recorded {day}, --fresh runs it again" if day else "just now"
        self._say(f"Does it help? Judged questions, {when}", "bold")
        times = Table(box=None, header_style="bold", pad_edge=False)
        for heading in ("stage", "p50 ms", "p95 ms"):
            times.add_column(heading, justify="left" if heading == "stage" else "right")
        for stage, middle, high in stage_spans(evaluation.recording):
            times.add_row(stage, f"{middle:.1f}", f"{high:.1f}")
        self._out.print(times)
        sections = list(evaluation.advice.sections().items())
        single = f"VERDICT, {RERANKED} against {evaluation.single} alone"
        sections.insert(2, (single, verdict_text(evaluation.against_single)))
        for heading, text in sections:
            self._out.print()
            self._say(heading, "bold")
            self._say(text)
        self._out.print()
        self._say('Ask one yourself:     runoff demo "your question"')
        self._say('Ask your own files:   runoff demo --path DIR "your question"')
        if evaluation.report is not None:
            self._say(f"This with plots:      {evaluation.report.resolve().as_uri()}")

    def finished(self) -> None:
        """Print nothing."""

    def _say(self, text: str, style: str = "") -> None:
        self._out.print(Text(text), style=style, soft_wrap=True)


def text_table(rows: list[tuple[str, ...]]) -> Table:
    """Make a table in which numbers stay whole, ids fold and texts are cut at the edge."""
    table = Table(box=None, header_style="bold", pad_edge=False, expand="text" in rows[0])
    for heading in rows[0]:
        if heading == "document":
            table.add_column(heading, overflow="fold", ratio=2)
        elif heading == "text":
            table.add_column(heading, no_wrap=True, overflow="ellipsis", ratio=3)
        else:
            table.add_column(heading, no_wrap=heading != "what it did")
    for row in rows[1:]:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _provenance_table(pair: BeforeAfter) -> Table:
    sources: list[str] = []
    for row in pair.after:
        sources += [name for name in _sources(row) if name not in sources]
    rows = [("#", "rerank", "fused", *sources, "document", "text")]
    for rank, row in enumerate(pair.after, 1):
        record = row.provenance or {}
        placed = {name: f"{one['rank']}" for name, one in _sources(row).items()}
        score = record.get("rerank_score")
        reranked = "-" if score is None else f"{record['rerank_rank']} ({number(score)})"
        fused = str(record.get("fusion_rank", "-"))
        places = (placed.get(name, "-") for name in sources)
        text = snippet(row.text.removeprefix(row.doc_id), 50)
        rows.append((str(rank), reranked, fused, *places, row.doc_id, text))
    return text_table(rows)


def _sources(row: Row) -> dict[str, Any]:
    found: dict[str, Any] = (row.provenance or {}).get("sources", {})
    return found


class JsonReport:
    """One JSON object on standard output when all is done."""

    def __init__(self) -> None:
        self._record: dict[str, Any] = {}

    def progress(self) -> AbstractContextManager[ProgressCall]:
        """Show progress on standard error."""
        return progress_bars(Console(stderr=True))

    def indexed(self, index: DemoIndex, what: str) -> None:
        """Keep it for the end."""
        self._record["index"] = {
            "what": what,
            "passages": len(index.bm25),
            "path": str(index.path),
            "built_s": round(index.built_s, 3),
        }

    def compared(self, pair: BeforeAfter) -> None:
        """Keep it for the end."""
        self._record.setdefault("frameworks", []).append(asdict(pair))

    def answered(self, response: Response) -> None:
        """Keep it for the end."""
        self._record["answer"] = {
            "question": response.query.text,
            "complete": response.outcome.complete,
            "degraded": [asdict(one) for one in response.outcome.degraded],
            "notes": list(response.outcome.notes),
            "spent_ms": response.outcome.spent_ms,
            "stages": [asdict(stage) for stage in response.trace.stages],
            "results": [asdict(result) for result in response],
        }

    def evaluated(self, evaluation: Evaluation) -> None:
        """Keep it for the end."""
        page = evaluation.report
        self._record["evaluation"] = {
            "recorded": evaluation.recorded or None,
            "latency_ms": {
                stage: {"p50": middle, "p95": high}
                for stage, middle, high in stage_spans(evaluation.recording)
            },
            "advice": evaluation.advice.to_dict(),
            "against_single": {
                "source": evaluation.single,
                "verdict": evaluation.against_single.to_dict(),
            },
            "report": None if page is None else page.resolve().as_uri(),
        }

    def finished(self) -> None:
        """Print everything kept."""
        # in ASCII, which every terminal and pipe can carry, whatever is in the texts
        print(json.dumps(self._record, indent=2))  # noqa: T201 - the output
