"""Tables of the documentation, written from kept figures.

A page has a block for each benchmark whose tables it shows, from `<!-- NAME -->` to
`<!-- /NAME -->`, or one called `figures` for a row of each figure of the benchmarks without a block
on any page of the folder. What no kept figures are for stays as it is.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

from harness import Report, Requirement, Table, short

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["kept_report", "replaced", "write_all", "write_into"]

_ABOUT = ("command", "date", "cpu", "load average", "python")
_SUMMARY = "figures"
_COMMAND = "python benchmarks/"
_BLOCK = re.compile(r"<!-- (\w+) -->\n.*?<!-- /\1 -->\n", re.DOTALL)


def write_into(page: Path, name: str, report: Report, about: Mapping[str, str]) -> None:
    """Replace what stands in the block of a benchmark by its tables.

    Raises:
        SystemExit: the page has no such block.
    """
    text = page.read_text(encoding="utf-8")
    if name not in _BLOCK.findall(text):
        sys.exit(f"{page} has no lines <!-- {name} --> and <!-- /{name} --> to write between")
    page.write_text(_filled(text, {name: _tables(report, about)}), encoding="utf-8")


def write_all(page: Path, kept: Mapping[str, Any]) -> None:
    """Fill every block of a page for which there are kept figures.

    Args:
        page: the page.
        kept: what `run.py --json` wrote.
    """
    shown = {
        name for one in page.parent.glob("*.md") for name in _BLOCK.findall(one.read_text("utf-8"))
    }
    rest = {key: one for key, one in kept.items() if _name(key) not in shown}
    blocks: dict[str, list[str]] = {_SUMMARY: _summary(rest)}
    for key, one in kept.items():
        if "skipped" not in one:
            blocks.setdefault(_name(key), []).extend(_tables(kept_report(one), one["about"]))
    page.write_text(_filled(page.read_text(encoding="utf-8"), blocks), encoding="utf-8")


def replaced(
    kept: Mapping[str, Any], found: Mapping[str, Any], order: Sequence[str]
) -> dict[str, Any]:
    """Return kept figures with those of the benchmarks that ran again instead of their old ones.

    Older parts of a benchmark, such as `overhead (adapters)`, go with it.

    Args:
        kept: what was kept so far.
        found: what was found now, by benchmark.
        order: of the benchmarks, for the summary.
    """
    stay = {key: one for key, one in kept.items() if _name(key) not in found}
    return dict(sorted((stay | {**found}).items(), key=lambda one: order.index(_name(one[0]))))


def _name(key: str) -> str:
    return key.partition(" ")[0]


def kept_report(one: Mapping[str, Any]) -> Report:
    """Return the report of one benchmark from its JSON."""
    return Report(
        [Table(**table) for table in one["tables"]],
        [Requirement(**requirement) for requirement in one["requirements"]],
        one["notes"],
    )


def _filled(text: str, blocks: Mapping[str, list[str]]) -> str:
    def fill(found: re.Match[str]) -> str:
        name = found[1]
        if name not in blocks:
            return found[0]
        return "\n".join([f"<!-- {name} -->", "", *blocks[name], f"<!-- /{name} -->", ""])

    return _BLOCK.sub(fill, text)


def _tables(report: Report, about: Mapping[str, str]) -> list[str]:
    lines = [line for table in report.tables for line in table.lines()]
    lines += [*(f"- {note}" for note in report.notes), ""] if report.notes else []
    return [*lines, "; ".join(f"{one}: {about[one]}" for one in _ABOUT if one in about) + ".", ""]


def _summary(kept: Mapping[str, Any]) -> list[str]:
    """Return a row for each figure."""
    rows = []
    for one in kept.values():
        for figure in kept_report(one).requirements if "skipped" not in one else ():
            about = one["about"]
            command = about["command"].removeprefix(_COMMAND)
            measured = f"{about['date'][:10]}, {about['cpu'].partition(',')[0]}"
            required = figure.asked() if figure.met else f"{figure.asked()} (missed)"
            rows.append((figure.what, short(figure.found), required, f"`{command}`", measured))
    return Table("", ("Figure", "Found", "Required", "Command", "Measured"), rows).lines()[2:]
