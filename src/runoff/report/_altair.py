"""What all Altair charts share: colours, titles, tooltips, and texts made harmless.

A chart saved as HTML holds its data in a script, which a text with `</script>` would end. Therefore
`<` in texts becomes the full-width character, and control and bidirectional characters are removed.
The colours suit colour-blind readers, and the grey of texts shows on white and on black.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from runoff._util.text import snippet
from runoff.errors import MissingExtra

try:
    import altair as alt
except ImportError:
    raise MissingExtra("altair", "report") from None

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = [
    "BLUE",
    "GREY",
    "ORANGE",
    "ROW",
    "TEXT",
    "alt",
    "beside",
    "chart",
    "colours",
    "far",
    "finished",
    "inert",
    "marks",
    "row_names",
    "tips",
]

BLUE, ORANGE, GREY = "#4c8dd6", "#d9762b", "#8a8f98"  # as on the HTML pages
TEXT = "#7e7e7e"  # 4:1 on white and on #1e1e1e alike
ROW = 28  # height of a row with a name
_WIDTH, _HEIGHT = 600, 260
_LABELS = {"labelColor": TEXT, "titleColor": TEXT, "labelFontSize": 12, "titleFontSize": 12}
_LINES = {"gridColor": TEXT, "gridOpacity": 0.25, "domain": False, "ticks": False}
_CONFIG = {
    "background": "transparent",
    "view": {"stroke": None},
    "axis": _LABELS | _LINES | {"titleFontWeight": "normal", "labelPadding": 6, "tickCount": 6},
    "legend": _LABELS,
    "title": {"color": TEXT, "subtitleColor": TEXT, "fontSize": 14, "subtitleFontSize": 12},
    "text": {"fontSize": 12},
}


def marks(places: Mapping[str, float], end: float) -> Iterator[alt.Chart]:
    """Yield a vertical line for each x, its name on the right, or on the left beyond `end`."""
    for row, (name, place) in enumerate(places.items()):
        base = chart([{"x": place, "name": name}]).encode(x="x:Q")
        yield base.mark_rule(color=TEXT, strokeDash=[4, 4] if name == "in use" else [1, 0])
        side = beside(5, left=place > end)
        yield base.mark_text(color=TEXT, **side).encode(
            y=alt.value(_HEIGHT - 8 - 15 * row), text="name:N"
        )


def far(rows: Sequence[Mapping[str, float]]) -> float:
    """Return the x beyond which there is no room for a name on the right."""
    xs = [row["x"] for row in rows]
    return min(xs) + 0.7 * (max(xs) - min(xs))


def beside(pixels: int, *, left: bool) -> dict[str, Any]:
    """Return the alignment of a text on the left or on the right of its point."""
    return {"align": "right", "dx": -pixels} if left else {"align": "left", "dx": pixels}


def chart(rows: Sequence[Mapping[str, Any]]) -> alt.Chart:
    """Return a chart that carries these rows as its data."""
    return alt.Chart({"values": list(rows)})


def row_names(name: str, rows: Sequence[Mapping[str, Any]]) -> alt.Y:
    """Return a y axis that keeps the order of the rows and names each by a field."""
    order = [row[name] for row in rows]
    return alt.Y(f"{name}:N", sort=order, title=None, axis=alt.Axis(labelLimit=300, grid=False))


def colours(name: str, known: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> alt.Color:
    """Return the colours of those known names that occur in the rows."""
    found = [one for one in known if any(row[name] == one for row in rows)]
    scale = alt.Scale(domain=found, range=[known[one] for one in found])
    return alt.Color(f"{name}:N", scale=scale, legend=alt.Legend(orient="top", title=None))


def tips(*texts: str, **numbers: str | tuple[str, str]) -> list[alt.Tooltip]:
    """Return tooltips: texts, then numbers, each with its format or its title and format."""
    made = [alt.Tooltip(f"{name}:N", title=name) for name in texts]
    for name, given in numbers.items():
        title, form = (name, given) if isinstance(given, str) else given
        made.append(alt.Tooltip(f"{name}:Q", title=title, format=form))
    return made


def inert(text: str, length: int) -> str:
    """Return at most `length` characters of a text that can neither end a script nor open a tag."""
    return snippet(text, length).replace("<", "\N{FULLWIDTH LESS-THAN SIGN}")


def finished(
    layers: Sequence[alt.Chart], title: str, subtitle: str, height: int = _HEIGHT
) -> alt.LayerChart:
    """Return the layers as one chart with titles, for light and dark backgrounds."""
    titled = alt.TitleParams(title, subtitle=subtitle, anchor="start")
    return alt.LayerChart(
        layer=list(layers),
        width=_WIDTH,
        height=height,
        title=titled,
        config=deepcopy(_CONFIG),  # so that changing one chart changes no other
    )
