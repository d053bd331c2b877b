"""The documentation agrees with the code: examples run, links lead somewhere, commands exist."""

import re
from pathlib import Path

import pytest

sybil = pytest.importorskip("sybil", reason="the test group is not installed")
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser  # noqa: E402 - see above

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))
# RELEASING and CONTRIBUTING are for maintainers and name files
FOR_USERS = [page for page in PAGES if page == README or page.parent != ROOT]
# run as printed, each in an interpreter of its own: both open a Chroma database in "chroma"
QUICK_STARTS = ROOT / "tests" / "adapters" / "test_quick_starts.py"
LINK = re.compile(r"\[[^\]]+\]\(([^)#\s]+)(#[^)\s]*)?\)")
MAKE = re.compile(r"^\$ make ([\w-]+)|`make ([\w-]+)[^`]*`", re.MULTILINE)
TARGET = re.compile(r"^([\w-]+):", re.MULTILINE)
# a module or a name that starts with an underscore, or a source file
INTERNAL = re.compile(
    r"\brunoff(?:\.\w+)*\._\w+|\brunoff[\w.]* import .*\b_\w+|\brunoff/[\w/]+\.py"
)

every_page = pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix()
)


def make_targets(text):
    """Return the targets of `make` that a page names, in console blocks and in its text."""
    return {block or inline for block, inline in MAKE.findall(text)}


def anchors(page):
    """Return the anchors of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_there_are_pages():
    """README and docs are found, so the tests below test something."""
    assert README in PAGES
    assert len(PAGES) > 3
    assert NOTEBOOKS


@pytest.mark.filterwarnings("ignore:.langchain-community. is being sunset:DeprecationWarning")
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.name not in QUICK_STARTS.read_text(encoding="utf-8")],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_examples_run(page, monkeypatch, tmp_path):
    """Every Python block of a page runs, in order, in one namespace."""
    monkeypatch.chdir(tmp_path)
    document = sybil.Sybil(parsers=[PythonCodeBlockParser(), SkipParser()]).parse(page)
    for example in document.examples():
        example.evaluate()


@pytest.mark.parametrize(
    "page", [README, ROOT / "docs" / "explaining.md"], ids=lambda one: one.stem
)
def test_the_first_example_prints_what_is_shown_under_it(page, monkeypatch, tmp_path, capsys):
    """The block under a page's first example has its words, ranks and texts; scores may differ."""
    monkeypatch.chdir(tmp_path)
    text = page.read_text(encoding="utf-8")
    example, shown = re.search(r"```python\n(.*?)```.*?```\n(.*?)```", text, re.DOTALL).groups()
    exec(compile(example, str(page), "exec"), {})
    assert _without_scores(shown) in _without_scores(capsys.readouterr().out)


def _without_scores(printed):
    """Return a table without its scores, which depend on the processor, and its alignment."""
    return re.sub(r" +", " ", re.sub(r"-?\d*\.\d+", "", printed))


def test_readme_is_short_and_begins_with_the_installation():
    """README has at most 120 lines, and the first 15 say how to install."""
    lines = README.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 120
    assert any("pip install" in line for line in lines[:15])


def test_pages_are_short():
    """A page of the documentation has at most 200 lines."""
    long = {
        page.name: count
        for page in ROOT.glob("docs/**/*.md")
        if (count := len(page.read_text(encoding="utf-8").splitlines())) > 200
    }
    assert long == {}


def test_every_page_has_a_place_on_the_site():
    """The navigation of mkdocs.yml lists each page and notebook once, and nothing else."""
    listed = re.findall(r"[\w./-]+\.(?:md|ipynb)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    made = {"index.md", "changelog.md", "contributing.md", "security.md", "notebooks/index.md"}
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in ROOT.glob("docs/**/*.md")}
    assert len(listed) == len(set(listed))
    assert set(listed) == made | pages | {f"notebooks/{one.name}" for one in NOTEBOOKS}


@every_page
def test_links_lead_to_files(page):
    """Every relative link of a page names a file of the repository, and a heading in it."""
    for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), target
            if anchor:
                assert anchor[1:] in anchors(page.parent / target), target + anchor


@pytest.mark.parametrize("path", [*FOR_USERS, *NOTEBOOKS], ids=lambda path: path.name)
def test_only_public_names_are_shown(path):
    """A page or notebook for users names no module, name or file that may change without notice."""
    assert INTERNAL.findall(path.read_text(encoding="utf-8")) == []


def test_every_make_target_named_exists():
    """The pages name no target the Makefile lacks; README names `demo` and `test`."""
    targets = set(TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))
    assert {"demo", "test"} <= make_targets(README.read_text(encoding="utf-8"))
    for page in PAGES:
        assert make_targets(page.read_text(encoding="utf-8")) <= targets, page


def test_a_target_with_a_hyphen_is_read_whole():
    """`make test-nothing` is no mention of `make test`."""
    assert make_targets("$ make test-nothing\n") == {"test-nothing"}
    assert make_targets("see `make test-torch ARGS=-x`") == {"test-torch"}
