"""Small plots as SVG: no script, every text escaped.

Colours come from the page's style, by the classes `a`, `b`, `whole` and `soft`.
"""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_WIDTH, _HEIGHT = 720, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 26, 40
_TICKS = 5
_LINE = 14  # height of a label
_ROW = 26  # height of a row of a waterfall or of spans
_NAMES = 300  # width of their names
_BESIDE = 150  # width of the texts after their bars
_KINDS = ("a", "b", "whole")


@dataclass(frozen=True, slots=True)
class _Axes:
    """The ranges of x and y, and their positions on the plot."""

    x: tuple[float, float]
    y: tuple[float, float]

    def right(self, value: float) -> float:
        low, high = self.x
        return _LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    def up(self, value: float) -> float:
        low, high = self.y
        return _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    def frame(self, x_ticks: Iterable[float], names: tuple[str, str]) -> Iterable[str]:
        """Yield grid lines with their values, and the names of x and y."""
        for value in _ticks(*self.y):
            at = self.up(value)
            yield _line(_LEFT, at, _WIDTH - _RIGHT, at, "grid")
            yield _text(_LEFT - 6, at + 4, f"{value:g}", "end")
        for value in x_ticks:
            yield _text(self.right(value), _HEIGHT - _BOTTOM + 16, f"{value:g}", "middle")
        yield _text(_WIDTH - _RIGHT, _HEIGHT - 6, names[0], "end")
        yield _text(4, 12, names[1], "start")


def lines(
    points: Sequence[tuple[float, float, float, float]],
    *,
    title: str,
    names: tuple[str, str],
    marks: Mapping[str, float],
) -> str:
    """Return a line chart with the interval of each point.

    Args:
        points: x, y, and the low and high end of y's interval, from left to right.
        title: what the plot shows, for screen readers.
        names: the names of x and y.
        marks: label to the x that it marks.
    """
    xs = [one[0] for one in points]
    axes = _Axes(_wide(min(xs), max(xs)), _wide(*_ends(one[2:] for one in points)))
    upper = [f"{axes.right(x):.1f},{axes.up(high):.1f}" for x, _, _, high in points]
    lower = [f"{axes.right(x):.1f},{axes.up(low):.1f}" for x, _, low, _ in reversed(points)]
    path = " ".join(f"{axes.right(x):.1f},{axes.up(y):.1f}" for x, y, _, _ in points)
    body = [
        *axes.frame(_ticks(*axes.x), names),
        f'<polygon class="soft" points="{" ".join(upper + lower)}"/>',
        f'<polyline class="a" points="{path}"/>',
        *(
            f'<circle class="a" cx="{axes.right(x):.1f}" cy="{axes.up(y):.1f}" r="3"/>'
            for x, y, _, _ in points
        ),
    ]
    for row, (name, x) in enumerate(marks.items()):
        at = axes.right(x)
        body.append(_line(at, _TOP, at, _HEIGHT - _BOTTOM, "mark"))
        body.append(_beside(at, _HEIGHT - _BOTTOM - 6 - 15 * row, name, 4))
    return _svg(title, body)


def scatter(
    points: Sequence[tuple[str, float, float]], *, title: str, names: tuple[str, str]
) -> str:
    """Return a dot for each point; a labelled point is larger.

    Args:
        points: label (may be empty), x and y.
        title: what the plot shows.
        names: the names of x and y.
    """
    xs, ys = _ends([[x] for _, x, _ in points]), _ends([[y] for _, _, y in points])
    axes = _Axes(_wide(*xs), _wide(*ys))
    body = [*axes.frame(_ticks(*axes.x), names)]
    lines: list[float] = []  # of labels, which are too few to share one
    for name, x, y in sorted(points):  # labelled points last, on top
        at, up = axes.right(x), axes.up(y)
        kind, size = ("b", 5) if name else ("a", 3)
        body.append(f'<circle class="{kind}" cx="{at:.1f}" cy="{up:.1f}" r="{size}"/>')
        if name:
            line = up - 5
            while any(abs(line - other) < _LINE for other in lines):
                line += _LINE
            lines.append(line)
            body.append(_beside(at, line, name, 7))
    return _svg(title, body)


def bars(values: Sequence[float], *, title: str, names: tuple[str, str]) -> str:
    """Return one bar for each value, in the given order."""
    low, high = _ends([values])
    axes = _Axes((0.0, float(len(values))), _wide(min(low, 0.0), max(high, 0.0)))
    zero, width = axes.up(0.0), (_WIDTH - _LEFT - _RIGHT) / len(values)
    body = [*axes.frame((), names), _line(_LEFT, zero, _WIDTH - _RIGHT, zero, "zero")]
    for at, value in enumerate(values):
        if value:
            top = min(zero, axes.up(value))
            kind = "a" if value > 0 else "b"
            body.append(
                _rect(axes.right(at), top, max(0.5, width * 0.9), abs(axes.up(value) - zero), kind)
            )
    return _svg(title, body)


def histogram(
    counts: Mapping[str, Sequence[float]],
    edges: Sequence[float],
    *,
    title: str,
    names: tuple[str, str],
) -> str:
    """Return up to three histograms over the same bins, each as shares of its own total.

    Args:
        counts: name to a count for each bin.
        edges: the edges of the bins, one more than there are bins.
        title: what the plot shows.
        names: the names of x and y.
    """
    shares = {
        name: [count / max(1.0, sum(found)) for count in found] for name, found in counts.items()
    }
    axes = _Axes(_wide(edges[0], edges[-1]), _wide(0.0, _ends(shares.values())[1]))
    body = [*axes.frame(_ticks(*axes.x), names)]
    zero = axes.up(0.0)
    for place, (kind, (name, found)) in enumerate(zip(_KINDS, shares.items(), strict=False)):
        for left, right, share in zip(edges[:-1], edges[1:], found, strict=True):
            if share:
                part = (axes.right(right) - axes.right(left)) / len(shares)
                at = axes.right(left) + place * part
                body.append(_rect(at, axes.up(share), part * 0.9, zero - axes.up(share), kind))
        left = _WIDTH / 2 + 160 * (place - 1)
        body.append(_rect(left, 3, 10, 10, kind))
        body.append(_text(left + 16, 12, name, "start"))
    return _svg(title, body)


def waterfall(steps: Sequence[tuple[str, float, float]], *, title: str) -> str:
    """Return a row for each step, with a bar from its start to its end.

    Args:
        steps: name, start and end; a step that starts at 0 is a total, any other one is a loss or
            a gain.
        title: what the plot shows.
    """
    low, high = _ends([[0.0], *(one[1:] for one in steps)])
    return _rows(
        [
            (
                name,
                min(start, end),
                max(start, end),
                f"{end:.3f}" if not start else f"{end - start:+.3f}",
                "whole" if not start else "a" if end > start else "b",
            )
            for name, start, end in steps
        ],
        _wide(low, high),
        title,
    )


def spans(rows: Sequence[tuple[str, float, float, str]], *, title: str) -> str:
    """Return a row for each name, with a bar from a low to a high value and a text after it.

    Args:
        rows: name, low value, high value, text.
        title: what the plot shows.
    """
    _, high = _ends(one[1:3] for one in rows)
    return _rows([(*one, "a") for one in rows], _wide(0.0, high), title)


def intervals(
    rows: Sequence[tuple[str, float, float, float, bool]], *, title: str, name: str
) -> str:
    """Return a row for each value: a dot, its interval as a line, and the value as a text.

    Args:
        rows: name, value, the low and the high end of its interval, and whether the dot is filled.
        title: what the plot shows.
        name: the name of x.
    """
    low, high = _wide(*_ends([[0.0], *(one[1:4] for one in rows)]))
    scale = (_WIDTH - _NAMES - _BESIDE) / (high - low)
    bottom = len(rows) * _ROW + 8

    def right(value: float) -> float:
        return _NAMES + (value - low) * scale

    body = []
    for value in _ticks(low, high):
        kind = "grid" if value else "zero"
        body.append(_line(right(value), 4, right(value), bottom, kind))
        body.append(_text(right(value), bottom + 16, f"{value:+g}" if value else "0", "middle"))
    body.append(_text(_NAMES - 8, bottom + 16, name, "end"))
    for at, (what, value, start, end, filled) in enumerate(rows):
        middle = at * _ROW + _ROW / 2 + 4
        kind = "full" if filled else "hollow"
        body += [
            _text(_NAMES - 8, middle + 4, what, "end"),
            _line(right(start), middle, right(end), middle, "bar"),
            f'<circle class="{kind}" cx="{right(value):.1f}" cy="{middle:.1f}" r="5"/>',
            _text(right(high) + 14, middle + 4, f"{value:+.3f}", "start"),
        ]
    return _svg(title, body, bottom + 24)


def _rows(
    rows: Sequence[tuple[str, float, float, str, str]], x: tuple[float, float], title: str
) -> str:
    scale = (_WIDTH - _NAMES - _BESIDE) / (x[1] - x[0])
    body = []
    for at, (name, low, high, said, kind) in enumerate(rows):
        top, left = at * _ROW + 4, _NAMES + (low - x[0]) * scale
        width = max(1.5, (high - low) * scale)
        body += [
            _text(_NAMES - 8, top + 14, name, "end"),
            _rect(left, top, width, _ROW - 8, kind),
            _text(left + width + 6, top + 14, said, "start"),
        ]
    return _svg(title, body, len(rows) * _ROW + 6)


def _svg(title: str, body: Iterable[str], height: int = _HEIGHT) -> str:
    named = html.escape(title)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{named}">'
        f"<title>{named}</title>{''.join(body)}</svg>"
    )


def _rect(left: float, top: float, width: float, height: float, kind: str) -> str:
    return (
        f'<rect class="{kind}" x="{left:.1f}" y="{top:.1f}" '
        f'width="{max(width, 0):.1f}" height="{max(height, 0):.1f}"/>'
    )


def _line(left: float, top: float, right: float, bottom: float, kind: str) -> str:
    return (
        f'<line class="{kind}" x1="{left:.1f}" y1="{top:.1f}" x2="{right:.1f}" y2="{bottom:.1f}"/>'
    )


def _text(left: float, bottom: float, text: str, anchor: str) -> str:
    return (
        f'<text x="{left:.1f}" y="{bottom:.1f}" text-anchor="{anchor}">{html.escape(text)}</text>'
    )


def _beside(left: float, bottom: float, text: str, gap: float) -> str:
    """Return a text on the right of its point, or on the left where there is no room."""
    if left > _LEFT + 0.7 * (_WIDTH - _LEFT - _RIGHT):
        return _text(left - gap, bottom, text, "end")
    return _text(left + gap, bottom, text, "start")


def _ends(rows: Iterable[Iterable[float]]) -> tuple[float, float]:
    values = [value for row in rows for value in row]
    return min(values), max(values)


def _wide(low: float, high: float) -> tuple[float, float]:
    """Return a range of a width above 0."""
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _ticks(low: float, high: float) -> list[float]:
    """Return about five round numbers within the range."""
    rough = (high - low) / _TICKS
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(one * unit for one in (1, 2, 5, 10) if one * unit >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(at * step, 12) for at in range(first, last + 1)]
