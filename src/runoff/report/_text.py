"""Tables and findings as plain text for a terminal of 80 columns."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING

from runoff._util.messages import visible
from runoff._util.text import snippet
from runoff.report._evaluated import rival_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runoff.evaluation._curve import Curve
    from runoff.evaluation._verdict.result import Verdict

_WIDTH = 80
_QUERY = 60  # characters of a query's text
_GAP = "  "
_NARROWEST = 10  # characters to which a column is cut at most


def table(rows: Sequence[Sequence[str]], align: str, width: int | None = None) -> str:
    """Return rows in columns.

    Args:
        rows: the headings first.
        align: `<` or `>` for each column.
        width: cut the last column so that no line is longer; None cuts nothing.
    """
    rows = [tuple(map(visible, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if width is not None:
        left = width - sum(widths[:-1]) - len(_GAP) * (len(widths) - 1)
        last = max(_NARROWEST, min(widths[-1], left))
        rows = [(*row[:-1], snippet(row[-1], last)) for row in rows]
        widths[-1] = last
    return "\n".join(
        _GAP.join(
            f"{cell:{side}{size}}" for cell, side, size in zip(row, align, widths, strict=True)
        ).rstrip()
        for row in rows
    )


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as a table, all columns but the first aligned to the right."""
    return table(rows, align="<" + ">" * (len(rows[0]) - 1))


def number(value: float) -> str:
    """Return a score with the digits that matter for comparing; `-` for NaN."""
    if math.isnan(value):
        return "-"
    return f"{value:.4f}" if abs(value) < 1 else f"{value:.2f}"


def folded(text: str, further: int = 4) -> str:
    """Wrap long lines at 80 columns; continuation lines are indented `further` columns more."""
    lines = []
    for line in visible(text).splitlines():
        indent = " " * (len(line) - len(line.lstrip()) + further)
        lines += textwrap.wrap(line, _WIDTH, subsequent_indent=indent, break_on_hyphens=False) or [
            ""
        ]
    return "\n".join(lines)


def verdict_text(found: Verdict) -> str:
    """Return the decision, every comparison, and the queries that changed most."""
    main = found.main
    rows: list[tuple[str, ...]] = [("", "before", "after", "change", "95%", "p")]
    for one in found.comparisons:
        low, high = one.interval
        what = one.measure  # slices use the first measure
        if one.slice is not None:
            what = "  {}={} ({})".format(*one.slice, one.queries)
        rows.append(
            (
                what,
                f"{one.before:.4f}",
                f"{one.after:.4f}",
                f"{one.difference:+.4f}",
                f"{low:+.4f} to {high:+.4f}",
                f"{one.adjusted_p:.4f}",
            )
        )
    parts = [
        folded(f"{found.decision}: {found.reason}"),
        columns(rows),
        f"{main.measure}: {main.wins} better, {main.ties} unchanged, {main.losses} worse",
    ]
    if len(found.rivals) > 1:
        parts.append(columns(rival_rows(found)))
    if found.unjudged is not None:
        parts += map(folded, str(found.unjudged).splitlines())
    for title, changes in (("helped", found.helped), ("hurt", found.hurt)):
        parts += [
            f"  {title:<6}  {one.after - one.before:+.2f}  "
            f"{snippet(one.text or one.query_id, _QUERY)}"
            for one in changes
        ]
    return "\n".join([*parts, *map(folded, found.notes)])


def curve_text(curve: Curve) -> str:
    """Return the recommendation and a row for each window."""
    rows: list[tuple[str, ...]] = [
        ("", "window", *curve.measures, "gain", "95%", "ms", "p95 ms", "cost")
    ]
    for one in curve.points:
        low, high = one.gain_interval
        marks = "*" if one.window == curve.recommended else ""
        rows.append(
            (
                marks + ("=" if one.window == curve.configured else ""),
                str(one.window),
                *(f"{one.values[name]:.4f}" for name in curve.measures),
                f"{one.gain:+.4f}",
                f"{low:+.4f} to {high:+.4f}",
                f"{one.ms:.0f}",
                f"{one.p95_ms:.0f}",
                "" if one.cost is None else f"{one.cost:.4g}",
            )
        )
    if all(one.cost is None for one in curve.points):
        rows = [row[:-1] for row in rows]
    low, high = curve.regret_interval
    said = (
        f"{curve.shape}: the recommended window is {curve.recommended} (*), the one in use is "
        f"{curve.configured} (=). On held-out queries the recommended one scores "
        f"{curve.regret:.4f} [{low:+.4f}, {high:+.4f}] less than the best, and "
        f"{curve.agreement:.0%} of the folds choose it"
    )
    return "\n".join([folded(said), columns(rows), *map(folded, curve.notes)])
