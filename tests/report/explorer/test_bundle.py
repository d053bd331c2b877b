"""The page's bundle is that of its sources, and keeps what the page promises."""

from __future__ import annotations

import hashlib
import json
import re
from importlib import resources
from pathlib import Path

import pytest

_PAGE = Path(__file__).parents[3] / "src/runoff/report/_explorer/page"
_STATIC = resources.files("runoff.report._explorer") / "static"
_MOST = 400_000  # bytes


def _sources() -> list[Path]:
    names = ("index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts")
    found = [_PAGE / name for name in names]
    return found + [file for file in (_PAGE / "src").rglob("*") if file.is_file()]


def _bundle(name: str) -> str:
    return (_STATIC / name).read_text(encoding="utf-8")


def test_the_bundle_was_built_from_the_sources_as_they_are() -> None:
    """Its first line has their digest, which `make explorer` writes anew."""
    digest = hashlib.sha256()
    for name, file in sorted((file.relative_to(_PAGE).as_posix(), file) for file in _sources()):
        digest.update(f"{name}\n".encode())
        digest.update(file.read_bytes())
    first = _bundle("explorer.js").splitlines()[0]
    assert digest.hexdigest() in first, "the page's sources changed: run `make explorer`"


def test_the_bundle_is_small() -> None:
    """Script and style stay below 400 kB together."""
    assert sum(len(_bundle(name)) for name in ("explorer.js", "explorer.css")) < _MOST


def test_texts_are_never_read_as_html() -> None:
    """No source of the page uses what turns text into markup or code."""
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function"
    )
    for file in _sources():
        if file.suffix in {".ts", ".tsx"}:
            found = forbidden.search(file.read_text(encoding="utf-8"))
            assert found is None, f"{file.name}: {found}"


@pytest.mark.parametrize("name", ["explorer.js", "explorer.css", "index.html"])
def test_the_page_loads_nothing_from_elsewhere(name: str) -> None:
    """The only addresses in it are names of XML namespaces."""
    for address in re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"'`)]*", _bundle(name)):
        assert "www.w3.org/" in address


def test_the_page_has_no_inline_script_or_style() -> None:
    """The policy of the server forbids them."""
    page = _bundle("index.html")
    assert not re.search(r"<style|\sstyle=|\son\w+=", page)
    assert re.findall(r"<script[^>]*>([^<]*)</script>", page) == [""]


def test_the_bundle_can_stand_inside_a_page() -> None:
    """Script and style do not end the elements that hold them in an offline file."""
    assert "</script" not in _bundle("explorer.js").lower()
    assert "<!--" not in _bundle("explorer.js")
    assert "</style" not in _bundle("explorer.css").lower()


def test_the_lock_file_fixes_every_package() -> None:
    """Each is checked by its digest, whichever registry it comes from."""
    packages = json.loads((_PAGE / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    for name, package in packages.items():
        assert not name or "integrity" in package, name
        assert "resolved" not in package, name
