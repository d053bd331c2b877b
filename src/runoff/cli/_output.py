"""The demo's output, as tables in a terminal or as JSON.

Results go to standard output and progress to standard error, so that scripts read only results.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from rich.console import Console
from rich.text import Text

from runoff._util.messages import number_of, visible
from runoff._util.progress import bars
from runoff._util.text import snippet
from runoff.report._account import result_rows
from runoff.report._figures import stage_spans
from runoff.report._response import of_response
from runoff.report._text import columns, number, table

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from runoff._util.progress import Shown
    from runoff.demo._evaluation import Evaluation
    from runoff.demo._frameworks import BeforeAfter, Row
    from runoff.demo._index import DemoIndex, Words
    from runoff.types import Response


class Say(Protocol):
    """What prints a text on lines of its own."""

    def __call__(self, text: str, style: str = "") -> None:
        """Print a text."""


def printer() -> tuple[Console, Say]:
    """Return standard output, and what prints a text there without control characters."""
    out = Console(highlight=False)

    def say(text: str, style: str = "") -> None:
        out.print(Text(visible(text)), style=style, soft_wrap=True)

    return out, say


def say_table(out: Console, rows: list[tuple[str, ...]], *, cut: bool = False) -> None:
    """Print rows as a table under bold headings.

    Args:
        out: where to print.
        rows: the headings first.
        cut: whether to cut the last column at the terminal's edge.
    """
    text = table(rows, "<" * len(rows[0]), out.width if cut else None)
    heading, *lines = text.split("\n")
    out.print(Text(heading), style="bold", soft_wrap=True)
    for line in lines:
        out.print(Text(line), soft_wrap=True)


class TerminalReport:
    """Tables on standard output, progress on standard error.

    Args:
        program: how this program is called.
        options: what its commands need to find the index, with a blank before.
    """

    def __init__(self, program: str = "runoff", options: str = "") -> None:
        self._out, self._say = printer()
        self._program, self._options = program, options

    def progress(self) -> AbstractContextManager[Shown]:
        """Show progress bars that vanish at the end."""
        return bars()

    def opened(self, words: Words, what: str) -> None:
        how = f"indexed by BM25 in {words.built_s:.0f} s" if words.built_s else "indexed earlier"
        self._say(f"{number_of(len(words.bm25), 'passage')} of {what}, {how}: {words.path}", "dim")

    def embedded(self, index: DemoIndex) -> None:
        if index.built_s:
            self._out.print()
            made = "embeddings and token vectors, made in one pass"
            self._say(f"Indexed in {index.built_s:.0f} s with {made}", "dim")

    def compared(self, pair: BeforeAfter) -> None:
        """Print the results before, the added line, and the results after."""
        self._out.print()
        self._say(f"{pair.framework}: {pair.question}", "bold")
        self._say(f"before, {pair.before_ms:.0f} ms", "dim")
        for rank, row in enumerate(pair.before, 1):
            self._say(f"  {rank}  {row.doc_id}")
        self._say(f"add     {pair.line}", "green")
        self._say(f"after, {pair.after_ms:.0f} ms", "dim")
        say_table(self._out, _provenance_rows(pair), cut=True)

    def answered(self, response: Response) -> None:
        """Print the results with their rank at every stage, and the stages."""
        self._out.print()
        account = of_response(response)
        self._say(account.headline)
        say_table(self._out, result_rows(account), cut=True)
        say_table(self._out, list(account.stages))

    def evaluated(self, evaluation: Evaluation) -> None:
        """Print the latencies, the advice, and where the pages are."""
        self._out.print()
        day = evaluation.recorded
        when = f"recorded on {day} (--fresh records again)" if day else "recorded just now"
        self._say(f"Does it help? Judged questions, {when}", "bold")
        rows = [("stage", "p50 ms", "p95 ms")]
        for stage, p50, p95 in stage_spans(evaluation.recording):
            rows.append((stage, f"{p50:.1f}", f"{p95:.1f}"))
        self._say(columns(rows))
        for heading, text in evaluation.advice.sections().items():
            self._out.print()
            self._say(heading, "bold")
            self._say(text)
        self._out.print()
        ask = f"{self._program} demo{self._options}"
        self._say(f'Ask your own question:  {ask} "your question"')
        self._say(f'Ask your own files:     {ask} --path DIR "your question"')
        self._say(f"Try other settings:     {self._program} explore{self._options}")
        if evaluation.explorer is not None:
            self._say(f"Look into every answer: {evaluation.explorer.resolve().as_uri()}")
        if evaluation.report is not None:
            self._say(f"See this with plots:    {evaluation.report.resolve().as_uri()}")

    def finished(self) -> None:
        """Print nothing."""


def _provenance_rows(pair: BeforeAfter) -> list[tuple[str, ...]]:
    sources: list[str] = []
    for row in pair.after:
        sources += [name for name in _sources(row) if name not in sources]
    rows: list[tuple[str, ...]] = [("#", "rerank", "fused", *sources, "document", "text")]
    for rank, row in enumerate(pair.after, 1):
        record = row.provenance or {}
        placed = {name: f"{one['rank']}" for name, one in _sources(row).items()}
        score = record.get("rerank_score")
        reranked = "-" if score is None else f"{record['rerank_rank']} ({number(score)})"
        fused = str(record.get("fusion_rank", "-"))
        places = (placed.get(name, "-") for name in sources)
        text = snippet(row.text.removeprefix(row.doc_id), 50)
        rows.append((str(rank), reranked, fused, *places, snippet(row.doc_id, 60), text))
    return rows


def _sources(row: Row) -> dict[str, Any]:
    found: dict[str, Any] = (row.provenance or {}).get("sources", {})
    return found


class JsonReport:
    """One JSON object on standard output at the end.

    Args:
        program: as for `TerminalReport`.
        options: as for `TerminalReport`.
    """

    def __init__(self, program: str = "runoff", options: str = "") -> None:
        self._record: dict[str, Any] = {}
        self._explore = f"{program} explore{options}"

    def progress(self) -> AbstractContextManager[Shown]:
        return bars()

    def opened(self, words: Words, what: str) -> None:
        self._record["index"] = {
            "what": what,
            "passages": len(words.bm25),
            "path": str(words.path),
        }

    def embedded(self, index: DemoIndex) -> None:
        self._record["index"]["built_s"] = round(index.built_s, 3)

    def compared(self, pair: BeforeAfter) -> None:
        self._record.setdefault("frameworks", []).append(asdict(pair))

    def answered(self, response: Response) -> None:
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
        pages = {"explorer": evaluation.explorer, "report": evaluation.report}
        self._record["evaluation"] = {
            "recorded": evaluation.recorded or None,
            "latency_ms": {
                stage: {"p50": p50, "p95": p95}
                for stage, p50, p95 in stage_spans(evaluation.recording)
            },
            "advice": evaluation.advice.to_dict(),
            "explore": self._explore,
            **{
                name: None if page is None else page.resolve().as_uri()
                for name, page in pages.items()
            },
        }

    def finished(self) -> None:
        # in ASCII, which every terminal and pipe accepts
        print(json.dumps(self._record, indent=2))  # noqa: T201 - the output


Report: TypeAlias = TerminalReport | JsonReport
"""Where the demo's findings go; the methods are called in their order here."""
