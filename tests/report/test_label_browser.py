"""The page on which people grade, in a real browser: keys, mouse, progress, and what it saves.

It needs Playwright and a Chromium of the system: `pip install playwright`, no download of its own.
"""

import csv
import shutil

import pytest
from traffic import graded, keep, stream

from runoff.live import judge
from runoff.report._label.page import write_label_page

pytestmark = pytest.mark.slow("30 s: a real browser")
HOSTILE = "<img src=x onerror=document.title='owned'> \u202e <b>bold</b>, \"quoted\"\r\nsecond line"
HEADER = ["query_id", "query", "doc_id", "grade", "text", "comment"]


@pytest.fixture
def context(browser):
    """Return a window of its own whose errors fail the test, without a network."""
    found, wrong = browser.new_context(offline=True, accept_downloads=True), []
    found.on("weberror", lambda error: wrong.append(str(error.error)))
    found.on("console", lambda said: said.type == "error" and wrong.append(said.text))
    found.on("request", lambda it: it.url.startswith(("file:", "blob:")) or wrong.append(it.url))
    yield found
    found.close()
    assert wrong == []


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))


def write(path, many=6, text="text {}", query="question {}"):
    rows = [[f"q{at}", query.format(at), f"d{at}", "", text.format(at), ""] for at in range(many)]
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([HEADER, *rows])
    write_label_page(path, path.with_suffix(".html"))
    return path, path.with_suffix(".html").as_uri()


def saved(page, folder):
    with page.expect_download() as waiting:
        page.keyboard.press("Control+s")
    path = folder / "saved.csv"
    waiting.value.save_as(path)
    assert waiting.value.suggested_filename == "labels.csv"
    return path


def test_what_people_grade_is_what_judge_reads(context, tmp_path):
    """All rows are graded by keys and mouse, saved, and counted by `judge`."""
    folder, labels = keep(tmp_path / "obs", stream(80, better=0.8)), tmp_path / "labels.csv"
    waits = judge(folder, people=labels, page=tmp_path / "label.html", labels=30).for_people
    page = context.new_page()
    page.goto((tmp_path / "label.html").as_uri())
    for at in range(waits):
        assert page.inner_text("#left") == f"{waits - at} of {waits} left"
        grade = graded(page.inner_text("#question"), page.inner_text("#document"))
        if at % 2:
            page.keyboard.press(str(grade))
        else:
            page.click(f"[data-grade='{grade}']")
    assert page.inner_text("#done-title") == "All documents are graded"
    shutil.copy(saved(page, tmp_path), labels)
    found = judge(folder, people=labels, labels=30)
    assert (found.for_people, found.statement.labels) == (0, waits)
    before = found.grades
    assert before == judge(folder, people=graded, labels=30).grades


def test_skips_comments_and_second_thoughts(context, tmp_path):
    """A skipped row comes again at the end; one goes back and changes a grade; comments stay."""
    _, address = write(tmp_path / "labels.csv")
    page = context.new_page()
    page.goto(address)
    seen = [page.inner_text("#question")]
    page.keyboard.press("s")
    for key in "01":
        seen.append(page.inner_text("#question"))
        page.keyboard.press(key)
    page.keyboard.press("b")
    assert page.inner_text("#question") == seen[2]
    assert page.get_attribute("[data-grade='1']", "aria-pressed") == "true"
    page.keyboard.press("c")
    page.keyboard.type('=3 hard, "so" b 1 s')
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    for key in "333":
        seen.append(page.inner_text("#question"))
        page.keyboard.press(key)
    assert page.inner_text("#question") == seen[0]
    assert len(set(seen)) == 6
    after = {row[1]: row for row in rows_of(saved(page, tmp_path))[1:]}
    assert [after[one][3] for one in seen] == ["", "0", "?", "3", "3", "3"]
    assert after[seen[2]][5] == ' =3 hard, "so" b 1 s'
    page.keyboard.press("2")
    assert page.is_visible("#done")
    page.keyboard.press("b")
    assert page.inner_text("#question") == seen[0]
    assert page.get_attribute("[data-grade='2']", "aria-pressed") == "true"


def test_it_goes_on_where_it_was_left(context, tmp_path):
    """After a reload, in another tab, and when the page is written again with more rows."""
    labels, address = write(tmp_path / "labels.csv")
    page = context.new_page()
    page.goto(address)
    page.keyboard.press("3")
    page.keyboard.press("c")
    page.keyboard.type("not yet")
    page.reload()
    assert page.inner_text("#left") == "5 of 6 left"
    assert page.input_value("#comment") == "not yet"
    other = context.new_page()
    other.goto(address)
    other.keyboard.press("2")
    page.wait_for_function("document.getElementById('left').textContent === '4 of 6 left'")
    page.keyboard.press("s")
    page.keyboard.press("1")
    assert page.inner_text("#left") == "3 of 6 left"
    write(labels, many=9)
    page.reload()
    assert page.inner_text("#left") == "6 of 9 left"
    assert sorted(row[3] for row in rows_of(saved(page, tmp_path))[1:]) == [""] * 6 + [
        "1",
        "2",
        "3",
    ]


def test_hostile_texts_are_shown_as_texts(context, tmp_path):
    """No element of theirs exists, no script runs, and the saved file has them unchanged."""
    labels, address = write(tmp_path / "labels.csv", 2, text=f"{{}} {HOSTILE}", query=HOSTILE)
    page = context.new_page()
    page.goto(address)
    assert page.locator("main img, main b:not(#grades b)").count() == 0
    assert "owned" not in page.title()
    assert "onerror=document.title" in page.inner_text("#document")
    assert "\u202e" not in page.inner_text("#document")
    page.keyboard.press("2")
    before, after = rows_of(labels), rows_of(saved(page, tmp_path))
    assert sorted(row[3] for row in after[1:]) == ["", "2"]
    assert [row[:3] + row[4:] for row in after] == [row[:3] + row[4:] for row in before]


def test_a_browser_that_keeps_nothing_says_so(context, tmp_path):
    """Grades are then in the page alone, and can be saved."""
    _, address = write(tmp_path / "labels.csv")
    page = context.new_page()
    page.add_init_script("Storage.prototype.setItem = () => { throw new Error('full'); }")
    page.goto(address)
    page.keyboard.press("3")
    assert "does not keep your grades" in page.inner_text("#warning")
    page.keyboard.press("2")
    assert sorted(row[3] for row in rows_of(saved(page, tmp_path))[1:]) == [*[""] * 4, "2", "3"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_it_fits_and_can_be_read(context, tmp_path, width, scheme):
    """Nothing is wider than the window, every control has a name, and texts have contrast."""
    _, address = write(tmp_path / "labels.csv", text="a long text " * 300 + "x" * 900)
    page = context.new_page()
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 740})
    page.goto(address)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    names = page.evaluate(
        "[...document.querySelectorAll('button, textarea, input, progress')].map("
        "(one) => (one.textContent || one.labels?.[0]?.textContent || "
        "one.getAttribute('aria-labelledby') || '').trim())"
    )
    assert all(names)
    page.keyboard.press("2")
    assert page.inner_text("#said") == "Grade 2. 5 left."
    assert page.evaluate("document.activeElement.id") == "question"
    colours = page.evaluate(
        "['#question', '#left', '#grades b', '#grades span', '#save', '#said'].map((one) => {"
        "  const style = getComputedStyle(document.querySelector(one));"
        "  return [style.color, getComputedStyle(document.body).backgroundColor];"
        "})"
    )
    assert all(contrast(*pair) >= 4.5 for pair in colours)


def contrast(one, other):
    """Return the contrast of two colours, as WCAG 2 defines it."""

    def luminance(colour):
        parts = [int(part) / 255 for part in colour.removeprefix("rgb(").rstrip(")").split(",")]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_ten_thousand_rows(context, tmp_path):
    """The page opens, and a grade is kept."""
    _, address = write(tmp_path / "labels.csv", many=10_000)
    page = context.new_page()
    page.goto(address)
    page.keyboard.press("1")
    assert page.inner_text("#left") == "9999 of 10000 left"
    page.reload()
    assert page.inner_text("#left") == "9999 of 10000 left"
