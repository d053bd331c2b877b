"""Findings of an evaluation as plain text for a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from runoff.report._explain import snippet, text_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runoff.evaluation._curve import Curve
    from runoff.evaluation._verdict import Verdict

__all__ = ["columns", "curve_text", "folded", "verdict_text"]

_WIDTH = 80
_QUERY = 60  # characters of a query's text


def folded(text: str, further: int = 4) -> str:
    """Return a text whose long lines go on below, so many columns further to the right."""
    lines = []
    for line in text.splitlines():
        indent = " " * (len(line) - len(line.lstrip()) + further)
        lines += textwrap.wrap(line, _WIDTH, subsequent_indent=indent, break_on_hyphens=False) or [
            ""
        ]
    return "\n".join(lines)


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as a table, all but the first column aligned to the right."""
    return text_table(rows, align="<" + ">" * (len(rows[0]) - 1))


def verdict_text(found: Verdict) -> str:
    """Return the decision, every comparison, and the queries that changed most."""
    main = found.main
    rows: list[tuple[str, ...]] = [("", "before", "after", "change", "95%", "p")]
    for one in found.comparisons:
        low, high = one.interval
        what = one.measure  # of slices it is the first one
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
        f"{main.measure}: {main.wins} better, {main.ties} alike, {main.losses} worse",
    ]
    for title, changes in (("helped", found.helped), ("hurt", found.hurt)):
        parts += [
            f"  {title:<6}  {one.after - one.before:+.2f}  "
            f"{snippet(one.text or one.query_id, _QUERY)}"
            for one in changes
        ]
    return "\n".join([*parts, *map(folded, found.notes)])


def curve_text(curve: Curve) -> str:
    """Return a row for each window, and the recommendation."""
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
        f"{curve.shape}: a window of {curve.recommended} (*) is recommended, {curve.configured} "
        f"(=) is in use; on held-out queries it loses {curve.regret:.4f} [{low:+.4f}, {high:+.4f}] "
        f"against the best, and {curve.agreement:.0%} of the folds agree"
    )
    return "\n".join([folded(said), columns(rows), *map(folded, curve.notes)])
