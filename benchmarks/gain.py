"""Draw README's picture from the figures of the run that docs/demo.md shows.

    python benchmarks/gain.py

It writes `docs/gain-light.svg` and `docs/gain-dark.svg`: what the second stage gains over each
system without it. A test compares them with that page.
"""

from __future__ import annotations

import re
from pathlib import Path

from runoff.report import _svg as svg

__all__ = ["main", "pictures"]

DOCS = Path(__file__).resolve().parents[1] / "docs"
# a row such as "fused  0.3256  10  +0.0305  +0.0173 to +0.0444  yes"
_ROW = re.compile(
    r"^(best first stage|bm25|dense|fused) +[\d.]+ +\d+ +(\S+) +(\S+) to (\S+) +(yes|not proven)$",
    re.MULTILINE,
)
_QUERIES = re.compile(r"(\d+) judged queries")
_NAMES = {
    "bm25": "over BM25 alone",
    "dense": "over embeddings alone",
    "fused": "over the fused order that it reranks",
    "best first stage": "over the best system without it",
}
_STYLE = (
    "text {{font: 13px system-ui, sans-serif; fill: {text}}} "
    ".grid {{stroke: {text}; opacity: .15}} .zero {{stroke: {text}; opacity: .7}} "
    ".bar, .full, .hollow {{stroke: {mark}}} .bar {{stroke-width: 3}} "
    ".full, .hollow {{stroke-width: 2}} .full {{fill: {mark}}} .hollow {{fill: {ground}}}"
)
_COLOURS = {  # GitHub's own
    "light": {"text": "#1f2328", "mark": "#0969da", "ground": "#ffffff"},
    "dark": {"text": "#e6edf3", "mark": "#4493f8", "ground": "#0d1117"},
}


def pictures(page: str) -> dict[str, str]:
    """Return the SVG for each theme, drawn from the figures of a page."""
    found = {row[0]: row for row in _ROW.findall(page)}
    rows = [
        (label, *map(float, found[name][1:4]), found[name][4] == "yes")
        for name, label in _NAMES.items()
    ]
    queries = _QUERIES.search(page)
    title = (
        f"Gain in nDCG@10 by the second stage on {queries[1] if queries else '?'} questions, with "
        "its 95% interval; a filled dot is a proven gain"
    )
    drawn = svg.intervals(rows, title=title, name="gain in nDCG@10")
    made = {}
    for theme, colours in _COLOURS.items():
        style = f"<style>{_STYLE.format(**colours)}</style>"
        page = drawn.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
        made[theme] = page.replace("</title>", f"</title>{style}", 1) + "\n"
    return made


def main() -> None:
    """Write both files."""
    page = (DOCS / "demo.md").read_text(encoding="utf-8")
    for theme, drawn in pictures(page).items():
        (DOCS / f"gain-{theme}.svg").write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()
