"""The version stands in one place for each distribution: the package's own `__init__.py`."""

import tomllib
from pathlib import Path

import pytest

import runoff

ROOT = Path(__file__).parents[2]
FOLDERS = [ROOT, *(ROOT / name for name in ["models"] if (ROOT / name).is_dir())]  # not in an sdist


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_build_reads_the_version_from_the_package(folder):
    """`pyproject.toml` has no version of its own, and names the file that has it."""
    settings = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))
    assert "version" not in settings["project"]
    assert "version" in settings["project"]["dynamic"]
    source = folder / settings["tool"]["hatch"]["version"]["path"]
    assert source.read_text("utf-8").count('\n__version__ = "') == 1


def test_no_page_repeats_the_version():
    """Neither the README nor a page of the documentation has a version that a release must edit."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    assert len(pages) > 1
    assert not [page for page in pages if f"runoff {runoff.__version__}" in page.read_text("utf-8")]
