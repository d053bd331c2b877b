"""The adapters' pages, copied into an empty folder, run as they are printed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("runoff_models")
pytest.importorskip("llama_index.vector_stores.chroma")
pytest.importorskip("langchain_chroma")

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [DOCS / "llama-index.md", DOCS / "langchain.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_runs_in_an_empty_folder(page, tmp_path):
    """A fresh interpreter runs the page's blocks and prints the outputs that the page shows."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    shown = re.findall(r"```python\n[^`]*?```\n+```\n(.*?)```", text, re.DOTALL)
    assert len(blocks) >= 6
    assert len(shown) >= 5
    (tmp_path / "page.py").write_text("\n".join(blocks), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "page.py"],
        cwd=tmp_path,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed = done.stdout
    for output in shown:  # in the order of the page
        assert output in printed
        printed = printed.partition(output)[2]


def test_the_two_pages_tell_the_same_story():
    """Both quick starts ask the same question of the same texts, so they can be compared."""
    told = [re.search(r"texts = \{.*?\n\}", page.read_text("utf-8"), re.DOTALL) for page in PAGES]
    assert told[0].group() == told[1].group()
