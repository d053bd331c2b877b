"""The explorer's page opened in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from explorer_answers import Answers
    from playwright.sync_api import Browser, Page

# `make test-explorer` has these; nothing else needs them
SIZES = {"phone": (360, 780), "tablet": (900, 900), "desk": (1440, 900)}


@pytest.fixture
def opened(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open a page on made-up answers; fails at the end if the page complained."""
    from explorer_pages import serve

    said: list[str] = []
    ends: list[Callable[[], None]] = []

    def open_(
        answers: Answers,
        hash_: str = "",
        size: str = "desk",
        theme: str = "light",
        *,
        faulty: bool = False,
    ) -> Page:
        address, server = serve(answers)
        width, height = SIZES[size]
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=theme,
            reduced_motion="reduce",
        )
        page = context.new_page()
        page.on("pageerror", lambda error: said.append(str(error)))
        if not faulty:  # the console also names every answer of 4xx and 5xx
            page.on("console", lambda one: said.append(one.text) if one.type == "error" else None)
        page.goto(address + hash_)
        page.wait_for_selector(".top")
        ends.extend((context.close, server.shutdown, server.server_close))
        return page

    yield open_
    for end in ends:
        end()
    assert said == []
