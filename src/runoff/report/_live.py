"""One HTML page on watched traffic: the statement, its trend, the slices and the judge."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from runoff._util.messages import number_of
from runoff.report._answer import Answer, Figure
from runoff.report._notebook import framed, table_html
from runoff.report._page import whole
from runoff.report._sections import paragraphs
from runoff.report._svg import intervals, lines

if TYPE_CHECKING:
    from runoff.live._judging.found import Judging
    from runoff.live._statement import Found, Statement


def live_page(found: Judging) -> str:
    """Return the page; it has no scripts and loads nothing.

    Args:
        found: what `judge` found.
    """
    stated = found.statement
    sections = {}
    if stated.trend:
        sections["Over time"] = _trend(stated)
    if stated.slices:
        sections["By slice"] = _slices(stated)
    rows = [_row("all", stated), _row("all", found.precision)]
    if found.alone is not None:
        rows.append(_row("by the judge alone", found.alone))
    rows += [
        (name, stated.measure, one.decision, *_figures(one.difference, one.interval, one.queries))
        for name, one in stated.slices.items()
    ]
    heads = ("queries", "measure", "decision", "difference", "interval", "number")
    sections["What is proven"] = table_html([heads, *rows])
    if found.quality is not None:
        sections["The judge"] = paragraphs(str(found.quality).splitlines())
    if found.notes:
        sections["Notes"] = paragraphs(found.notes)
    low, high = stated.interval
    answer = Answer(
        stated.sentence,
        (
            Figure("difference", f"{stated.difference:+.4f}", f"in {stated.measure}"),
            Figure(
                "interval", f"{low:+.3f} to {high:+.3f}", "at every look, with a chance of "
                f"{1 - stated.level:.0%}",
            ),
            Figure(
                "grades of people", f"{stated.labels:,}",
                f"on {number_of(stated.queries, 'query')}",
            ),
        ),
    )  # fmt: skip
    return whole("Does the second stage help on live traffic?", answer, sections)


def judging_html(found: Judging) -> str:
    """Return what a notebook shows: the statement, its slices and its trend."""
    stated = found.statement
    plots = (_slices(stated) if stated.slices else "") + (_trend(stated) if stated.trend else "")
    head, *rest = str(found).splitlines()
    return framed(f"<p><b>{html.escape(head)}</b></p>{plots}{paragraphs(rest)}")


def _trend(stated: Statement) -> str:
    return lines(
        # a mean of few queries may lie outside of what is possible
        [
            (one.queries, min(max(one.difference, one.low), one.high), one.low, one.high)
            for one in stated.trend
        ],
        title=f"{stated.measure} by number of queries",
        names=(stated.unit, f"difference in {stated.measure}"),
        marks={},
    )


def _slices(stated: Statement) -> str:
    rows: list[tuple[str, Statement | Found]] = [("all", stated), *stated.slices.items()]
    return intervals(
        [
            (
                f"{name}: {one.decision}",
                one.difference,
                *one.interval,
                not one.interval[0] <= 0 <= one.interval[1],
            )
            for name, one in rows
        ],
        title=f"Difference in {stated.measure} by slice, with its interval",
        name=f"difference in {stated.measure}",
    )


def _row(name: str, one: Statement) -> tuple[str, ...]:
    return (name, one.measure, one.decision, *_figures(one.difference, one.interval, one.queries))


def _figures(difference: float, interval: tuple[float, float], queries: int) -> tuple[str, ...]:
    return f"{difference:+.4f}", f"{interval[0]:+.4f} to {interval[1]:+.4f}", f"{queries:,}"
