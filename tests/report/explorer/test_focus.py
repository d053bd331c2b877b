"""What the reader holds stays in the hand: the focus follows the query, whatever is sorted anew."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from explorer_answers import Answers

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

pytestmark = pytest.mark.slow("30 s: a browser")

HERE = "document.activeElement.querySelector('.text')?.firstChild.textContent ?? null"
PLACE = "document.activeElement.dataset.index ?? null"


def _moved(page: Page, window: str = "10") -> None:
    """Move a slider whose replay is late, and go three rows down before it comes."""
    page.wait_for_selector("[data-index] .change")
    page.get_by_label("Window").fill(window)
    page.wait_for_timeout(150)  # it is asked for
    page.locator("[data-index='0']").focus()
    for _ in range(3):
        page.keyboard.press("ArrowDown")


def _sorted_anew(page: Page, first: str) -> None:
    page.wait_for_function(
        "first => { const row = document.querySelector(\"[data-index='0'] .text\");"
        " return !row || row.firstChild.textContent != first }",
        arg=first,
    )


def test_the_focus_follows_the_query_when_figures_come_late(opened: Callable[..., Page]) -> None:
    """A re-sort between two keys moves the focus with its row, and Enter opens that query."""
    page = opened(Answers(late={10: 1.0}), "#/queries")
    _moved(page)
    wanted, place = page.evaluate(HERE), page.evaluate(PLACE)
    first = page.locator("[data-index='0'] .text").inner_text()
    _sorted_anew(page, first)
    assert page.evaluate(HERE) == wanted
    assert page.evaluate(PLACE) != place
    page.keyboard.press("Enter")
    page.locator(".query h2", has_text=wanted).wait_for()


def test_a_row_that_goes_far_away_is_followed(opened: Callable[..., Page]) -> None:
    """Among ten thousand rows the page with the query is fetched, and its row has the focus."""
    page = opened(Answers(queries=10_000, late={10: 1.0}), "#/queries")
    _moved(page)
    wanted = page.evaluate(HERE)
    page.wait_for_function(f"() => Number({PLACE}) > 100")
    assert page.evaluate(HERE) == wanted
    seen = page.evaluate(
        "(() => { const row = document.activeElement.getBoundingClientRect(),"
        " box = document.querySelector('.virtual').getBoundingClientRect();"
        " return row.top >= box.top && row.bottom <= box.bottom })()"
    )
    assert seen
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.locator(".query h2", has_text=wanted).wait_for()


def test_a_query_that_no_longer_fits_leaves_nothing_to_open(opened: Callable[..., Page]) -> None:
    """The page says that it has gone from the list, and Enter opens no other query."""
    page = opened(Answers(late={10: 1.0}), "#/queries")
    page.get_by_label("Outcome").select_option("harmed")
    total = page.get_by_role("status").filter(has_text="queries")
    total.filter(has_not_text="40").wait_for()
    page.wait_for_selector("[data-index='5'] .change")
    page.get_by_label("Window").fill("10")
    page.wait_for_timeout(150)
    gone = Answers()
    later = {row["query_id"]: row["gain"] for row in (gone._row(at, "w10") for at in range(40))}
    rows = page.locator("[data-index]")
    for at in range(rows.count()):
        text = page.locator(f"[data-index='{at}'] .text").inner_text()
        if later[f"q{text.removesuffix('?').split()[-1]}"] >= 0:
            page.locator(f"[data-index='{at}']").focus()
            break
    page.get_by_text("is no longer in this list").wait_for()
    page.keyboard.press("Enter")
    page.wait_for_timeout(300)
    assert "results" not in page.url
    page.keyboard.press("ArrowDown")
    assert page.evaluate(PLACE) is not None


def test_a_new_order_of_ones_own_starts_at_the_top(opened: Callable[..., Page]) -> None:
    """Who sorts or filters sees the first rows, and the arrow from the filter waits for them."""
    page = opened(Answers(queries=300), "#/queries")
    page.wait_for_selector("[data-index] .change")
    page.locator("[data-index='0']").focus()
    page.keyboard.press("End")
    page.locator("[data-index='299'] .change").wait_for()
    page.get_by_role("button", name="Words").click()
    page.locator("[data-index='0'] .change").wait_for()
    page.keyboard.press("/")
    page.keyboard.type("q17")
    page.keyboard.press("ArrowDown")
    page.wait_for_function(f"() => ({PLACE}) == '0'")
    page.get_by_role("status").filter(has_text="11 queries").wait_for()
    assert "17" in page.evaluate(HERE)


def test_the_recorded_settings_are_asked_for_once(opened: Callable[..., Page]) -> None:
    """The first replay is of what is shown already, so that nothing is asked for again."""
    answers = Answers()
    page = opened(answers, "#/queries")
    page.get_by_text("p50 130 ms").wait_for()
    page.wait_for_timeout(300)
    assert sum(path.startswith("api/queries") for _, path, _ in answers.asked) == 1


def test_enter_waits_for_what_was_typed(opened: Callable[..., Page]) -> None:
    """A query is found by the words typed, not taken from the list of the words before."""
    page = opened(Answers(live=False, delay=0.4))
    page.wait_for_selector("[data-side=right] [data-row]")
    page.keyboard.press("/")
    page.get_by_role("option").first.wait_for()
    page.keyboard.type("file 23")
    page.keyboard.press("Enter")
    page.locator(".query h2", has_text="file 23").wait_for()


def test_the_next_query_is_found_far_down(opened: Callable[..., Page]) -> None:
    """`n` and `p` go on from wherever the reader is, beyond the first thousand too."""
    answers = Answers(queries=3000)
    page = opened(answers, "#/results")
    order = answers._queries({"sort": "gain", "order": "desc", "limit": "3000"})["rows"]
    names = [row["query_id"] for row in order]
    page.goto(page.url.split("#")[0] + f"#/results?query={names[2099]}")
    page.wait_for_selector("[data-side=right] [data-row]")
    for key, at in (("n", 2100), ("p", 2099), ("p", 2098)):
        page.keyboard.press(key)
        page.wait_for_url(
            lambda url, at=at: (
                parse_qs(urlsplit(url).fragment.split("?")[-1])["query"] == [names[at]]
            )
        )


def test_the_focus_stays_on_a_document_that_moves(opened: Callable[..., Page]) -> None:
    """Another order of the results leaves the focus on the same document."""
    page = opened(Answers(late={10: 0.6}))
    page.wait_for_selector("[data-side=right] [data-row]")
    page.get_by_label("Window").fill("10")
    page.wait_for_timeout(150)
    rows = page.locator("[data-side=right] [data-row]")
    before = [one.get_attribute("data-row") for one in rows.all()]
    rows.nth(1).locator(".fold").focus()
    page.wait_for_function(
        "before => [...document.querySelectorAll('[data-side=right] [data-row]')]"
        ".map(one => one.dataset.row).join() != before.join()",
        arg=before,
    )
    after = [one.get_attribute("data-row") for one in rows.all()]
    assert before[1] in after
    assert page.evaluate("document.activeElement.closest('[data-row]')?.dataset.row") == before[1]
