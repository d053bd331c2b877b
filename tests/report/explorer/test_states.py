"""The page when things are large, slow, hostile, missing or broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from explorer_answers import Answers

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

pytestmark = pytest.mark.slow("60 s: a browser")

RESULT = "[data-side=right] [data-row]"


@pytest.mark.parametrize("size", ["phone", "desk"])
def test_hostile_texts_stay_texts(opened: Callable[..., Page], size: str) -> None:
    """Scripts, marks of direction, emoji and words without end change nothing around them."""
    page = opened(Answers(kind="compare", hostile=True), size=size)
    for view in ("results", "queries", "losses", "compare", "trend"):
        page.goto(page.url.split("#")[0] + f"#/{view}")
        page.wait_for_timeout(600)
        if view == "results":
            page.wait_for_selector(RESULT)
            page.keyboard.press("j")
            page.keyboard.press("Enter")
            page.wait_for_selector(".full .steps")
        assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
        assert page.title() == "runoff explorer"
        assert page.locator("img, iframe, body script, [onerror]").count() == 0
        # a text that turns its direction leaves the figures beside it where they are
        assert page.locator(".top nav").is_visible()


def test_a_text_of_a_megabyte_unfolds(opened: Callable[..., Page]) -> None:
    """It opens in part, then whole, and the page still answers to keys."""
    page = opened(Answers(long=1_000_000))
    page.wait_for_selector(RESULT)
    page.locator("[data-side=right] [data-row=d0] .fold").click()
    page.get_by_role("button", name="Show all 1,000,000 characters").click()
    page.wait_for_function(
        "() => document.querySelector('.full .text').textContent.length == 1000000"
    )
    page.keyboard.press("?")
    page.get_by_role("dialog").wait_for()


def test_ten_thousand_queries_are_a_table(opened: Callable[..., Page]) -> None:
    """Only the rows in sight exist; the last is reached, and sorting and filtering start anew."""
    answers = Answers(queries=10_000)
    page = opened(answers, "#/queries")
    page.wait_for_selector("[data-index] .change")
    grid = page.get_by_role("grid")
    assert grid.get_attribute("aria-rowcount") == "10001"
    assert page.locator("[data-index]").count() < 100
    page.locator("[data-index='0']").focus()
    page.keyboard.press("End")
    page.locator("[data-index='9999'] .change").wait_for()
    assert page.locator("[data-index]").count() < 100
    assert page.evaluate("document.activeElement.dataset.index") == "9999"
    page.get_by_role("button", name="Words").click()
    page.locator("[data-index='0'] .change").wait_for()
    page.get_by_role("searchbox").fill("file 9999")
    page.get_by_text("1 query").wait_for()
    assert page.locator("[data-index]").count() == 1
    pages = [path for _, path, _ in answers.asked if path.startswith("api/queries")]
    assert len(pages) < 20


def test_a_slow_system_says_so_and_is_left(opened: Callable[..., Page]) -> None:
    """After a moment the page says that it still works, and one can stop waiting."""
    page = opened(Answers(delay=3))
    page.get_by_text("Still working on").first.wait_for()
    page.wait_for_selector(RESULT)
    page.keyboard.press("/")
    page.keyboard.type("anything")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Stop waiting").click()
    page.wait_for_selector(RESULT)


@pytest.mark.parametrize(
    ("address", "view"),
    [
        ("query", "results"),
        ("queries", "queries"),
        ("losses", "losses"),
        ("compare", "compare"),
        ("trend", "trend"),
        ("replay", "queries"),
    ],
)
def test_an_error_shows_its_remedy_and_can_be_tried_again(
    opened: Callable[..., Page], address: str, view: str
) -> None:
    """The sentence of the error is shown, and the page recovers when the fault has gone."""
    answers = Answers(kind="compare", faults={address: (503, "The store is down. Start it.")})
    page = opened(answers, f"#/{view}?query=q1", faulty=True)
    page.get_by_text("The store is down. Start it.").wait_for()
    answers.faults.clear()
    page.get_by_role("button", name="Try again").click()
    page.get_by_text("The store is down. Start it.").wait_for(state="detached")


def test_a_program_that_ended_is_named(opened: Callable[..., Page]) -> None:
    """Without a server the page says what to start."""
    page = opened(Answers(), faulty=True)
    page.wait_for_selector(RESULT)
    page.context.set_offline(True)
    page.keyboard.press("l")
    # the verdict says so too, if it was not here yet
    page.get_by_role("main").get_by_text("Start `runoff explore` again").wait_for()


def test_without_labels_the_page_asks_for_grades(opened: Callable[..., Page]) -> None:
    """No view of losses, no made-up zeros, and what to do instead."""
    page = opened(Answers(labels=False))
    page.get_by_text("No judged queries").wait_for()
    assert page.get_by_role("button", name="Losses").count() == 0
    page.keyboard.press("q")
    page.wait_for_selector("[data-index] .text")
    assert not page.get_by_role("button", name="Gain").is_visible()


def test_observations_open_with_their_trend(opened: Callable[..., Page]) -> None:
    """They cannot be replayed, so there are no settings, but what must be known is said."""
    page = opened(Answers(kind="observations", labels=False, live=False))
    page.wait_for_selector(".chart canvas")
    page.get_by_text("12% of the results are not judged.").wait_for()
    assert page.get_by_label("Window").count() == 0
    page.keyboard.press("r")
    page.wait_for_selector(RESULT)


def test_without_texts_ids_are_shown(opened: Callable[..., Page]) -> None:
    """The page says why there are no texts and how to get them."""
    page = opened(Answers(texts=False))
    page.get_by_text("The recording has no texts").wait_for()
    assert page.locator(RESULT).count() == 10


def test_an_empty_recording_says_what_to_do(opened: Callable[..., Page]) -> None:
    """Nothing to ask and nothing recorded."""
    page = opened(Answers(queries=0, live=False))
    page.get_by_text("This recording has no queries").wait_for()


def test_a_live_system_without_queries_can_be_asked(opened: Callable[..., Page]) -> None:
    """The page starts with the question."""
    page = opened(Answers(queries=0, kind="live"))
    page.get_by_text("Ask a question to see its results").wait_for()
    page.keyboard.press("/")
    page.keyboard.type("why?")
    page.get_by_role("button", name="Ask").click()
    page.wait_for_selector(RESULT)
