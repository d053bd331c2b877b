"""Draw README's picture: what the second stage gains over each system without it.

    python benchmarks/gain.py docs

It reads what `runoff demo` recorded, in the user's cache or in `--cache`, and asks nothing again
but what is missing there. It writes `gain-light.svg` and `gain-dark.svg`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from runoff.cli._demo import open_documents, pipeline_over
from runoff.cli._output import TerminalReport
from runoff.demo import load_questions
from runoff.demo._evaluation import evaluate, judged
from runoff.report import _svg as svg

_NAMES = {
    "bm25": "BM25 alone",
    "dense": "embeddings alone",
    "fused": "the fused order that it reranks",
    "best first stage": "the best system without it",
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


def main() -> None:
    """Write both files and print what they show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cache", type=Path)
    options = parser.parse_args()
    opened = open_documents(None, options.cache, TerminalReport())
    collection = judged(load_questions(), opened.index.bm25, opened.what)
    found = evaluate(pipeline_over(opened.index), collection, opened.index.path)
    verdict = found.recording.verdict(collection)
    rows = [
        (f"over {_NAMES[one.name]}", one.difference, *one.interval, one.beaten)
        for one in sorted(verdict.rivals, key=lambda one: list(_NAMES).index(one.name))
    ]
    title = (
        f"Gain in nDCG@10 by the second stage on {verdict.main.queries} questions, with its 95% "
        "interval; a filled dot is a proven gain"
    )
    drawn = svg.intervals(rows, title=title, name="gain in nDCG@10")
    for theme, colours in _COLOURS.items():
        style = f"<style>{_STYLE.format(**colours)}</style>"
        page = drawn.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
        whole = page.replace("</title>", f"</title>{style}", 1)
        (options.folder / f"gain-{theme}.svg").write_text(f"{whole}\n", encoding="utf-8")
    for name, value, low, high, proven in rows:
        print(f"{name}: {value:+.4f} [{low:+.4f}, {high:+.4f}] {'proven' if proven else ''}")


if __name__ == "__main__":
    main()
