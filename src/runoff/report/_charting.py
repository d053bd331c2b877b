"""What Altair charts share: colours, titles, rows, and texts that do nothing.

Charts carry their data. Of texts, control characters and marks that turn the direction of writing
are left out, and `<` becomes a full-width one: a chart saved as HTML holds its data in a script,
which `</script>` would end. Colours are told apart by those who are colour-blind, and text is of a
grey that shows on white and on black.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from runoff.errors import MissingExtra
from runoff.report._explain import snippet

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

BLUE, ORANGE, GREY = "#4c8dd6", "#d9762b", "#8a8f98"  # those of the pages
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
    """Yield an upright line for each place of x, its name on its right or, after `end`, left."""
    for row, (name, place) in enumerate(places.items()):
        base = chart([{"x": place, "name": name}]).encode(x="x:Q")
        yield base.mark_rule(color=TEXT, strokeDash=[4, 4] if name == "in use" else [1, 0])
        side = beside(5, left=place > end)
        yield base.mark_text(color=TEXT, **side).encode(
            y=alt.value(_HEIGHT - 8 - 15 * row), text="name:N"
        )


def far(rows: Sequence[Mapping[str, float]]) -> float:
    """Return the place of x on whose right there is no room for a name."""
    xs = [row["x"] for row in rows]
    return min(xs) + 0.7 * (max(xs) - min(xs))


def beside(pixels: int, *, left: bool) -> dict[str, Any]:
    """Return where a text stands: on the left of its place, or on the right."""
    return {"align": "right", "dx": -pixels} if left else {"align": "left", "dx": pixels}


def chart(rows: Sequence[Mapping[str, Any]]) -> alt.Chart:
    """Return a chart of these rows, which it carries."""
    return alt.Chart({"values": list(rows)})


def row_names(name: str, rows: Sequence[Mapping[str, Any]]) -> alt.Y:
    """Return rows in their own order, named by one of their fields."""
    order = [row[name] for row in rows]
    return alt.Y(f"{name}:N", sort=order, title=None, axis=alt.Axis(labelLimit=300, grid=False))


def colours(name: str, known: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> alt.Color:
    """Return colours of what there is, by name."""
    there = [one for one in known if any(row[name] == one for row in rows)]
    scale = alt.Scale(domain=there, range=[known[one] for one in there])
    return alt.Color(f"{name}:N", scale=scale, legend=alt.Legend(orient="top", title=None))


def tips(*texts: str, **numbers: str | tuple[str, str]) -> list[alt.Tooltip]:
    """Return what to show of a mark: texts, then numbers with their format or title and format."""
    made = [alt.Tooltip(f"{name}:N", title=name) for name in texts]
    for name, told in numbers.items():
        title, form = (name, told) if isinstance(told, str) else told
        made.append(alt.Tooltip(f"{name}:Q", title=title, format=form))
    return made


def inert(text: str, length: int) -> str:
    """Return a text of at most so many characters that neither ends a script nor opens a tag."""
    return snippet(text, length).replace("<", "\N{FULLWIDTH LESS-THAN SIGN}")


def finished(
    layers: Sequence[alt.Chart], title: str, said: str, height: int = _HEIGHT
) -> alt.LayerChart:
    """Return layers as one chart with its titles, in colours for light and dark."""
    titled = alt.TitleParams(title, subtitle=said, anchor="start")
    return alt.LayerChart(
        layer=list(layers),
        width=_WIDTH,
        height=height,
        title=titled,
        config=deepcopy(_CONFIG),  # who changes one chart changes no other
    )
