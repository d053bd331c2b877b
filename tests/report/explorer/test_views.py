"""Every view of the page: what it shows, by keyboard alone, in both themes, and what axe finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from explorer_answers import Answers

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

pytestmark = pytest.mark.slow("60 s: a browser")

VIEWS = {
    "results": "[data-side=right] [data-row]",
    "queries": "[data-index] .change",
    "losses": ".waterfall summary",
    "compare": "[data-index]",
    "trend": ".chart canvas",
}


def _findings(page: Page) -> list[str]:
    """What axe calls serious or critical, with the places."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['html'][:200]} {node['failureSummary'][:200]}"
        for one in found
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", ["phone", "tablet", "desk"])
def test_every_view_fits_and_is_accessible(
    opened: Callable[..., Page], size: str, theme: str
) -> None:
    """No view is wider than the screen, and axe finds nothing serious in it."""
    page = opened(Answers(kind="compare"), size=size, theme=theme)
    for view, shown in VIEWS.items():
        page.goto(page.url.split("#")[0] + f"#/{view}")
        page.wait_for_selector(shown)
        if view == "results":
            page.keyboard.press("j")
            page.keyboard.press("Enter")
            page.wait_for_selector(".words button")
        if view == "losses":
            page.locator(".waterfall summary").first.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
        assert _findings(page) == [], view
    page.keyboard.press("?")
    assert _findings(page) == []


def test_the_theme_is_switched_and_kept(opened: Callable[..., Page]) -> None:
    """`t` goes from the system's theme to light and to dark, and a reload keeps it."""
    page = opened(Answers(), theme="light")
    ground = "getComputedStyle(document.querySelector('.runoff-explorer')).backgroundColor"
    light = page.evaluate(ground)
    page.keyboard.press("t")
    assert page.evaluate(ground) == light
    page.keyboard.press("t")
    assert page.evaluate(ground) != light
    dark = page.evaluate(ground)
    page.reload()
    page.wait_for_selector(".top")
    assert page.evaluate(ground) == dark


def test_results_are_judged_by_keyboard(opened: Callable[..., Page]) -> None:
    """j, Enter, a digit and x: the grade is saved, shown and removed."""
    answers = Answers()
    page = opened(answers)
    page.wait_for_selector(VIEWS["results"])
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_selector(".full .text")
    row = page.locator("[data-side=right] [data-row]").first
    doc = row.get_attribute("data-row")
    page.keyboard.press("1")
    page.get_by_text("Graded 1, saved").wait_for()
    assert [one for (_, one), grade in answers.grades.items() if grade == 1] == [doc]
    assert row.locator(".fold .grade").inner_text().startswith("1")
    page.keyboard.press("x")
    page.get_by_text("Grade removed").wait_for()
    assert answers.grades == {}
    page.keyboard.press("ArrowLeft")
    there = page.evaluate("document.activeElement.closest('[data-side]').dataset.side")
    assert there == "left"


def test_a_grade_that_is_not_saved_is_taken_back(opened: Callable[..., Page]) -> None:
    """The page says why, and shows the grade it had."""
    fault = {"labels": (500, "The disk is full. Free some space.")}
    page = opened(Answers(faults=fault), faulty=True)
    page.wait_for_selector(VIEWS["results"])
    page.keyboard.press("j")
    grade = page.locator("[data-side=right] [data-row] .fold .grade").first
    before = grade.inner_text()
    page.keyboard.press("1")
    page.get_by_text("Not saved: The disk is full. Free some space.").wait_for()
    assert grade.inner_text() == before


def test_the_whole_page_is_used_by_keyboard(opened: Callable[..., Page]) -> None:
    """From the table to a query, to the next one, to a question of one's own, to a document."""
    answers = Answers()
    page = opened(answers)
    page.keyboard.press("q")
    page.wait_for_selector(VIEWS["queries"])
    page.locator("[data-index='0']").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    wanted = page.evaluate("document.activeElement.querySelector('.text').firstChild.textContent")
    page.keyboard.press("Enter")
    page.locator(".query h2", has_text=wanted).wait_for()
    page.keyboard.press("n")
    page.wait_for_function(
        "wanted => document.querySelector('.query h2').textContent != wanted", arg=wanted
    )
    page.keyboard.press("/")
    page.keyboard.type("why is it slow?")
    page.keyboard.press("Enter")
    page.locator(".query h2", has_text="why is it slow?").wait_for()
    assert ("POST", "api/search") in [one[:2] for one in answers.asked]
    page.keyboard.press("d")
    page.keyboard.type("unknown")
    page.keyboard.press("Enter")
    page.get_by_text("No source found this document.").wait_for()


def test_the_table_is_filtered_by_keyboard(opened: Callable[..., Page]) -> None:
    """Typing leaves the rows that fit, their number is announced, and the arrow goes to them."""
    page = opened(Answers(queries=300))
    page.keyboard.press("q")
    page.wait_for_selector(VIEWS["queries"])
    first = page.locator("[data-index='0'] .text").inner_text()
    page.keyboard.press("/")
    box = page.get_by_role("searchbox", name="Filter by words, id or slice")
    assert box.evaluate("one => one === document.activeElement")
    page.keyboard.type("q17")
    page.get_by_role("status").filter(has_text="11 queries").wait_for()
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.index") == "0"
    page.keyboard.press("/")
    page.keyboard.press("Escape")
    page.get_by_role("status").filter(has_text="300 queries").wait_for()
    page.locator("[data-index='0'] .text", has_text=first).wait_for()


def test_help_opens_and_gives_the_focus_back(opened: Callable[..., Page]) -> None:
    """`?` shows the keys, Escape closes them, and single keys can be switched off."""
    page = opened(Answers())
    page.wait_for_selector(VIEWS["results"])
    page.keyboard.press("j")
    here = page.evaluate_handle("document.activeElement")
    page.keyboard.press("?")
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached")
    assert page.evaluate("one => one === document.activeElement", here)
    page.keyboard.press("?")
    page.get_by_label("Keys of one letter act at once").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("q")
    assert page.locator("[aria-current=page]").inner_text() == "Results"


def test_the_focus_is_always_seen(opened: Callable[..., Page]) -> None:
    """Whatever Tab reaches has an outline."""
    page = opened(Answers())
    page.wait_for_selector(VIEWS["results"])
    seen = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        here = page.evaluate(
            "(() => { const one = document.activeElement, style = getComputedStyle(one);"
            " return [one.tagName + one.className + one.textContent.slice(0, 20),"
            " style.outlineStyle, style.outlineWidth] })()"
        )
        if here[0].startswith("BODY"):
            break
        seen.add(here[0])
        assert here[1] != "none", here
        assert here[2] != "0px", here
    assert len(seen) > 15


def test_the_last_slider_wins(opened: Callable[..., Page]) -> None:
    """While a slider moves, earlier answers that come later are not shown."""
    answers = Answers(late={10: 1.5})
    page = opened(answers)
    slider = page.get_by_label("Window")
    slider.wait_for()
    slider.fill("10")
    page.wait_for_function("() => document.querySelector('.verdict.pending')")
    page.wait_for_timeout(200)  # long enough for the first to be asked for
    slider.fill("40")
    page.get_by_text("p50 104 ms").wait_for()
    page.wait_for_timeout(1800)
    assert page.get_by_text("p50 104 ms").is_visible()
    page.get_by_role("button", name="As recorded").click()
    page.get_by_text("p50 130 ms").wait_for()


def test_figures_of_other_settings_are_never_shown_as_current(opened: Callable[..., Page]) -> None:
    """Until the replay comes all of them are dimmed, and then the decision is announced."""
    page = opened(Answers(late={10: 1.2}))
    page.wait_for_selector(VIEWS["results"])
    page.locator(".verdict[aria-busy=false]").wait_for()
    page.get_by_label("Window").fill("10")
    page.locator(".verdict.outdated[aria-busy=true]").wait_for()
    page.locator("main .stale[aria-busy=true]").wait_for()
    page.get_by_text("Replaying these settings.").wait_for()
    page.locator(".verdict:not(.outdated)").get_by_text("The decision is on its way.").wait_for()
    page.locator(".verdict[aria-busy=false]").wait_for()
    assert page.get_by_text("The decision is on its way.").count() == 0


def test_words_show_what_they_matched(opened: Callable[..., Page]) -> None:
    """The focus on a word of the question leaves its word in the text alone highlighted."""
    page = opened(Answers())
    page.wait_for_selector(VIEWS["results"])
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_selector("mark.match")
    assert page.locator("mark.match").count() == 2
    page.locator(".words button").nth(1).focus()
    assert page.locator("mark.match").count() == 1


def test_a_loss_opens_into_its_documents(opened: Callable[..., Page]) -> None:
    """A stage unfolds, and a document leads to its query and its way."""
    page = opened(Answers(), "#/losses")
    page.locator(".waterfall summary").first.click()
    page.locator(".waterfall table button").first.click()
    page.get_by_text("It came third.").wait_for()
    assert "doc=d0" in page.url


def test_two_recordings_are_compared(opened: Callable[..., Page]) -> None:
    """A query of the table shows both answers side by side."""
    answers = Answers(kind="compare")
    page = opened(answers)
    page.get_by_text("undecided: the interval holds zero.").wait_for()
    page.locator("[data-index='0']").click()
    page.wait_for_selector(VIEWS["results"])
    for side in ("left", "right"):  # both are answers, so the second stage scored both
        assert "rerank" in page.locator(f"[data-side={side}] .trail").first.inner_text()
    asked = [path for _, path, _ in answers.asked]
    assert any("of=a" in path for path in asked)
    assert any("of=b" in path for path in asked)


def test_the_back_button_goes_back(opened: Callable[..., Page]) -> None:
    """Views and queries are places in the history."""
    page = opened(Answers())
    page.wait_for_selector(VIEWS["results"])
    page.keyboard.press("l")
    page.wait_for_selector(VIEWS["losses"])
    page.go_back()
    page.wait_for_selector(VIEWS["results"])
