"""The same page over a real recording: from a server, in one file, and as a widget."""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from explorer_answers import Answers
from recorded import pipeline

from runoff.pipeline._systems import as_system

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from runoff.report._explorer.explorer import Explorer

pytestmark = pytest.mark.slow("40 s: a browser")

RESULT = "[data-side=right] [data-row]"


@pytest.fixture(scope="module")
def explorer() -> Explorer:
    """Recorded queries with judgments, texts and the system that answered them."""
    pytest.importorskip("ir_measures")
    import explored

    return explored.explorer(system=as_system(pipeline()))


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A window whose errors fail the test."""
    said: list[str] = []
    found = browser.new_page(viewport={"width": 1440, "height": 900})
    found.on("pageerror", lambda error: said.append(str(error)))
    found.on("console", lambda one: said.append(one.text) if one.type == "error" else None)
    yield found
    found.close()
    assert said == []


def _looked_at(page: Page) -> None:
    """Look at every view of the recording."""
    page.wait_for_selector(RESULT)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_selector(".full .steps")
    page.keyboard.press("q")
    page.wait_for_selector("[data-index] .change")
    assert page.locator("[data-index]").count() == 12
    page.keyboard.press("l")
    page.wait_for_selector(".waterfall summary")
    page.locator(".verdict .sentence").wait_for()


def test_a_server_shows_a_recording_and_asks_its_system(explorer: Explorer, page: Page) -> None:
    """Every view answers under the server's policy, and a question of one's own is answered."""
    uvicorn = pytest.importorskip("uvicorn")
    from runoff.report._explorer.server import application

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    config = uvicorn.Config(application(explorer, "token", port), log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        page.goto(f"http://127.0.0.1:{port}/token/")
        _looked_at(page)
        page.keyboard.press("r")
        page.keyboard.press("/")
        page.keyboard.type("who shapes dough?")
        page.keyboard.press("Enter")
        page.locator(".query h2", has_text="who shapes dough?").wait_for()
        page.get_by_label("Where did document").fill("nowhere")
        page.get_by_role("button", name="Look").click()
        page.locator(".way .sentence").wait_for()
        assert page.title() == "runoff explorer"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def test_one_file_shows_a_recording_without_a_server(
    explorer: Explorer, page: Page, tmp_path: Path
) -> None:
    """The file loads nothing, and its sliders snap to what it holds."""
    from runoff.report._explorer.offline import write_offline

    path = tmp_path / "explorer.html"
    write_offline(explorer, path)
    page.context.set_offline(True)
    page.goto(path.as_uri())
    _looked_at(page)
    assert page.title() == "runoff explorer"
    page.keyboard.press("q")
    for condition in ("gain<0", "loss>=10%", "words>4", "latency<1000"):
        page.get_by_role("searchbox").fill(condition)
        rows = explorer.answer("GET", f"api/queries?find={quote(condition)}")["total"]
        page.get_by_role("status").filter(has_text=f"{rows} quer").wait_for()
    page.get_by_role("searchbox").fill("")
    page.get_by_role("button", name="Results").click()
    page.wait_for_selector(RESULT)
    as_recorded = page.get_by_text("results as they were recorded")
    assert as_recorded.count() == 0
    page.get_by_label("Window").fill("1")
    as_recorded.wait_for()
    page.get_by_text("Shown is the nearest").or_(page.get_by_text("was 50")).first.wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("r")
    page.wait_for_selector(RESULT)
    assert page.get_by_role("button", name="Ask").count() == 0


def test_a_widget_asks_its_kernel_and_keeps_keys_to_itself(browser: Browser, page: Page) -> None:
    """It renders into a cell, answers come as messages, and the notebook sees no shortcut."""
    from explorer_pages import serve

    answers = Answers()
    address, server = serve(answers)

    def kernel(message: str) -> str:
        asked = json.loads(message)
        status, body = answers.answer(asked["method"], asked["path"], asked["body"])
        return json.dumps({"id": asked["id"], "status": status, "body": body})

    page.expose_function("kernel", kernel)
    page.goto(address + "notebook")
    page.evaluate(
        """async address => {
            const cell = document.createElement("div");
            document.body.append(cell);
            window.heard = [];
            document.addEventListener("keydown", event => window.heard.push(event.key));
            const listeners = new Set();
            const model = {
                send: async message => {
                    const reply = JSON.parse(await window.kernel(JSON.stringify(message)));
                    for (const one of listeners) one(reply);
                },
                on: (_, one) => listeners.add(one),
                off: (_, one) => listeners.delete(one),
            };
            window.listeners = listeners;
            const { default: { render } } = await import(address + "explorer.js");
            window.end = render({ model, el: cell });
        }""",
        address,
    )
    page.wait_for_selector(RESULT)
    page.locator(f"{RESULT} .fold").first.focus()
    page.keyboard.press("j")
    page.keyboard.press("2")
    page.get_by_text("Graded 2, saved").wait_for()
    page.keyboard.press("q")
    page.wait_for_selector("[data-index] .change")
    assert page.evaluate("window.heard") == []
    page.evaluate("window.end()")
    assert page.evaluate("document.querySelector('.runoff-explorer')") is None
    assert page.evaluate("window.listeners.size") == 0
    server.shutdown()
    server.server_close()
