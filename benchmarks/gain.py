"""Draw README's picture from the figures of the run that docs/demo.md shows.

    COLUMNS=86 runoff demo > run.txt
    python benchmarks/gain.py run.txt

It puts that run into docs/demo.md, and writes `docs/gain-light.svg` and `docs/gain-dark.svg`: what
the second stage gains over each system without it. A test compares them with that page. Without a
file the page stays as it is.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from runoff.report import _svg as svg

__all__ = ["main", "pictures", "with_run"]

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


def with_run(page: str, run: str) -> str:
    """Return a page with the output of a run at its end.

    The reader's own folder and program stand in place of this machine's. The "next moves" of LOSSES
    are left out, as NEXT STEPS has them, and so is HEALTH if it finds nothing odd.
    """
    run = re.sub(r"\S+/bin/runoff ", "runoff ", run.replace(str(Path.home()), "/home/you"))
    run = re.sub(r"\n\nnext moves\n(?: .*\n)+", "\n", run)
    health = re.search(r"^HEALTH\n.*?\n\n", run, re.MULTILINE | re.DOTALL)
    if health and not re.search(r"^(?!fine|HEALTH|\d+ queries| )", health[0].strip(), re.MULTILINE):
        run = run.replace(health[0], "...\n\n")
    start = page.index("\n```\n", page.index("## The whole output")) + len("\n```\n")
    return f"{page[:start]}{run.rstrip()}\n```\n"


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
    """Write the page and both pictures."""
    page = (DOCS / "demo.md").read_text(encoding="utf-8")
    if len(sys.argv) > 1:
        page = with_run(page, Path(sys.argv[1]).read_text(encoding="utf-8"))
        (DOCS / "demo.md").write_text(page, encoding="utf-8")
    for theme, drawn in pictures(page).items():
        (DOCS / f"gain-{theme}.svg").write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()
