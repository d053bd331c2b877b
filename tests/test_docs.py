"""The documentation agrees with the code: examples run, links lead somewhere, commands exist."""

import re
from pathlib import Path

import pytest

sybil = pytest.importorskip("sybil", reason="the test group is not installed")
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser  # noqa: E402 - see above

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
# pages whose examples start from objects that a test of their own makes
ELSEWHERE = {"docs/llama-index.md": "tests/adapters/llama_index/test_docs.py"}
LINK = re.compile(r"\[[^\]]+\]\(([^)#\s]+)(?:#[^)]*)?\)")
MAKE = re.compile(r"^\$ make (\w+)", re.MULTILINE)


def test_there_are_pages():
    """README and docs are found, so the tests below test something."""
    assert ROOT / "README.md" in PAGES
    assert len(PAGES) > 3


@pytest.mark.filterwarnings("ignore:.langchain-community. is being sunset:DeprecationWarning")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_examples_run(page, monkeypatch, tmp_path):
    """Every Python block of a page runs, in order, in one namespace."""
    elsewhere = ELSEWHERE.get(page.relative_to(ROOT).as_posix())
    if elsewhere is not None:
        assert (ROOT / elsewhere).exists()
        return
    monkeypatch.chdir(tmp_path)
    document = sybil.Sybil(parsers=[PythonCodeBlockParser(), SkipParser()]).parse(page)
    for example in document.examples():
        example.evaluate()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files(page):
    """Every relative link of a page names a file of the repository."""
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), target


def test_every_make_target_named_exists():
    """README and CONTRIBUTING name no target the Makefile lacks."""
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = {one for page in PAGES for one in MAKE.findall(page.read_text(encoding="utf-8"))}
    assert {"demo", "test"} <= named <= set(targets)
