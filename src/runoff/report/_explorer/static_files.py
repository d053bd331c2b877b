"""The files of the built page."""

from __future__ import annotations

from importlib import resources

from runoff.errors import RunoffError

STATIC = {"index.html": "text/html", "explorer.js": "text/javascript", "explorer.css": "text/css"}
"""Name to media type."""


def static(name: str) -> str:
    """Return the text of a file of the page.

    Raises:
        RunoffError: this installation lacks it, such as a checkout in which it was not built.
    """
    file = resources.files("runoff.report._explorer").joinpath("static", name)
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RunoffError(
            f"this installation lacks {name} of the explorer's page: install runoff again, or run "
            "`make explorer` in a checkout"
        ) from None
