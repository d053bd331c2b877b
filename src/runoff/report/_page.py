"""One HTML file with all findings about a recording.

It works offline: it has no scripts and loads nothing, which its content security policy enforces.
Every text from outside (queries, documents, labels, names) is escaped, and control characters and
marks that turn the direction of text are left out.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from runoff import __version__
from runoff._util.messages import number_of, visible
from runoff._util.stored import path_of
from runoff._util.text import snippet
from runoff.evaluation._measures.measures import MEASURES
from runoff.report._advice import advise
from runoff.report._changed import changed, changed_sections
from runoff.report._notebook import STYLE, table_html
from runoff.report._sections import (
    curve_section,
    deltas_section,
    health_section,
    latency_section,
    ledger_section,
    numbered,
    paragraphs,
    parts_rows,
    scores_section,
    tuning_section,
    verdict_section,
)
from runoff.report._unjudged import judge_texts, opening, unjudged_section

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from os import PathLike

    from runoff._labels.collection import Collection
    from runoff._recording.recording import Recording
    from runoff.evaluation._tune import Tuning
    from runoff.evaluation._verdict.pairing import Slicing
    from runoff.report._advice import Advice
    from runoff.report._answer import Answer
    from runoff.report._changed import Changed

_PAGE = """
:root {color-scheme: light dark}
body {font: 15px/1.5 system-ui, sans-serif; max-width: 62em; margin: 2em auto; padding: 0 1em;
  background: Canvas; color: CanvasText}
section {overflow-x: auto}
.answer {font-size: 1.3em; line-height: 1.4; font-weight: 600; margin: .8em 0}
.figures {display: flex; flex-wrap: wrap; gap: 1em; margin: 1em 0}
.figures div {flex: 1 1 14em; border: 1px solid color-mix(in srgb, currentColor 30%, transparent);
  border-radius: .4em; padding: .6em .9em}
.figures b {display: block; font-size: 1.25em}
.runoff .wrap td {white-space: normal}
.figures small {display: block; opacity: .75}
h1 {font-size: 1.5em}
h2 {font-size: 1.15em; margin-top: 2em; border-bottom: 1px solid; padding-bottom: .2em}
li {margin: .4em 0}
footer {margin-top: 3em; opacity: .7}
"""


def report(
    recording: Recording,
    collection: Collection,
    path: str | PathLike[str],
    *,
    measures: Iterable[object] = MEASURES,
    slices: Mapping[str, Slicing] | None = None,
    tuning: Tuning | None = None,
    unjudged: float | None = None,
    bound: float | None = None,
) -> Advice:
    """Write all findings about a recording to one HTML file and return them.

    Args:
        recording: the recorded system.
        collection: the queries with their judgments.
        path: the file; an existing one is replaced.
        measures: names from ir-measures; the first decides the verdict.
        slices: slices of the queries for the verdict.
        tuning: what `tune` returned, to include it.
        unjudged: as `verdict` takes it.
        bound: as `verdict` takes it; None takes its default.

    Raises:
        InvalidArgument: a judged query was not recorded, or a measure is unknown.
        MissingExtra: ir-measures is not installed.
        OSError: the file cannot be written.
    """
    advice = advise(
        recording,
        collection,
        measures=measures,
        slices=slices,
        tuning=tuning,
        unjudged=unjudged,
        bound=bound,
    )
    write(advice, recording, collection, path)
    return advice


def write(
    advice: Advice, recording: Recording, collection: Collection, path: str | PathLike[str]
) -> None:
    """Write existing advice to an HTML file."""
    path_of("path", path).write_text(page(advice, recording, collection), encoding="utf-8")


def page(advice: Advice, recording: Recording, collection: Collection) -> str:
    """Return the page as HTML."""
    found = advice.evaluated
    queries = len(advice.ledger.queries)
    sections = {}
    if advice.next_steps:
        sections["What to do next"] = numbered(advice.next_steps)
    if found.verdict is not None and found.verdict.unjudged is not None:
        texts = judge_texts(found.verdict.unjudged, recording, collection)
        sections["What was not judged"] = unjudged_section(found.verdict.unjudged, texts)
    sections["Measures after each stage"] = table_html(found.rows())
    if found.verdict is not None and found.compared is not None:
        before, after = found.compared
        sections[f"Does it help? {after} against {before}"] = verdict_section(found.verdict)
        sections["Change by query"] = deltas_section(found.verdict)
    sections["Where quality is lost"] = ledger_section(advice.ledger)
    if advice.curve is not None:
        sections["How many candidates to rerank"] = curve_section(advice.curve)
    if advice.tuning is not None:
        sections["Which settings to run"] = tuning_section(advice.tuning)
    if advice.health is not None:
        sections["Is anything wrong with the second stage?"] = health_section(advice.health)
    if recording.setup.steps:
        sections["Scores of the second stage"] = scores_section(recording, collection)
    sections["Latency"] = latency_section(recording)
    sections["The system"] = table_html([("part", "configuration"), *parts_rows(recording.setup)])
    remarks = found.remarks(beside_verdict=True)
    if remarks:
        sections["Notes"] = paragraphs(remarks)
    return whole(
        f"{snippet(found.collection, 100)}: {number_of(queries, 'judged query')}",
        advice.answer,
        sections,
    )


def changed_report(recording: Recording, path: str | PathLike[str]) -> Changed:
    """Write what can be said without judgments to one HTML file and return it.

    Args:
        recording: the recorded system.
        path: the file; an existing one is replaced.

    Raises:
        InvalidArgument: the recording is empty.
        OSError: the file cannot be written.
    """
    found = changed(recording)
    write_changed(found, recording, path)
    return found


def write_changed(found: Changed, recording: Recording, path: str | PathLike[str]) -> None:
    """Write what was found without judgments to an HTML file."""
    sections = changed_sections(found)
    if found.health is not None:
        sections["Is anything wrong with the second stage?"] = health_section(found.health)
    sections["Latency"] = latency_section(recording)
    sections["The system"] = table_html([("part", "configuration"), *parts_rows(recording.setup)])
    if found.notes:
        sections["Notes"] = paragraphs(found.notes)
    title = f"{number_of(found.queries, 'question')} without judgments"
    path_of("path", path).write_text(whole(title, found.answer, sections), encoding="utf-8")


def whole(title: str, answer: Answer, sections: Mapping[str, str]) -> str:
    """Return a page with its title, the answer, and sections by their headings."""
    title = html.escape(title)
    body = "".join(
        f"<section><h2>{html.escape(snippet(name, 200))}</h2>{content}</section>"
        for name, content in sections.items()
    )
    return visible(
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_PAGE}{STYLE}</style></head>"
        f'<body class="runoff"><h1>{title}</h1>{opening(answer)}{body}'
        f"<footer>runoff {html.escape(__version__)}</footer></body></html>\n"
    )
