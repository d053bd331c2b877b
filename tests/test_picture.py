"""README's picture shows the figures of the run in docs/demo.md, in both themes."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
THEMES = ("light", "dark")


@pytest.fixture(scope="module")
def gain():
    spec = importlib.util.spec_from_file_location("gain", ROOT / "benchmarks" / "gain.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page():
    return (ROOT / "docs" / "demo.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pictures(gain, page):
    return gain.pictures(page)


@pytest.mark.parametrize(
    ("health", "shown"),
    [
        ("fine  ties  0.0% of\n            a query.\n", "..."),
        ("fine  ties  0.0% of\nodd   flips  none.\n", "HEALTH"),
    ],
)
def test_a_run_takes_the_place_of_the_one_before(gain, page, health, shown):
    """The reader's folder stands for this one's; HEALTH is shown if something is odd."""
    run = page[page.index("\n```\n", page.index("## The whole output")) + 5 : -len("```\n")]
    here = run.replace("/home/you", str(Path.home())).replace("  runoff ", "  .venv/bin/runoff ")
    moves = "\n\nnext moves\n  1. a better reranker: could gain up to\n      .3\n\nWINDOW\n"
    odd = here.replace("\n...\n", f"\nHEALTH\n234 queries\n{health}").replace("\n\nWINDOW\n", moves)
    found = gain.with_run(page, odd)
    assert f"\n\n{shown}\n" in found
    assert (found == page) == (shown == "...")


@pytest.mark.parametrize("theme", THEMES)
def test_the_picture_is_of_the_documented_run(pictures, theme):
    """`python benchmarks/gain.py` draws again what is there, in less than 100 kB."""
    drawn = (ROOT / "docs" / f"gain-{theme}.svg").read_text(encoding="utf-8")
    assert drawn == pictures[theme]
    assert len(drawn) < 100_000


def test_its_description_has_the_same_figures(pictures):
    """The alternative text in README names each gain that is drawn, and what is not proven."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    text = re.search(r'alt="([^"]+)"', readme)[1]
    gains = re.findall(r">\+0(\.\d{3})<", pictures["light"])
    assert re.findall(r"\+(\.\d{3}) ", text) == gains
    assert len(gains) == 4
    assert pictures["light"].count('class="hollow"') == text.count("not proven")
    for theme in THEMES:
        assert f"docs/gain-{theme}.svg" in readme
