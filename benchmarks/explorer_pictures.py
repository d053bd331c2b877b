"""Take the pictures of the explorer: one view in both themes, and those of the gallery.

    runoff explore --no-open
    python benchmarks/explorer_pictures.py ADDRESS --report REPORT.html

It needs Playwright and the system's Chromium, as `make test-explorer` does, and Pillow. The latency
in them is that of the recording: record the demo on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

PLACE = Path(__file__).parents[1] / "docs" / "_static"
SIZE = {"width": 1360, "height": 850}
GALLERY = {"queries": "[role=row]", "losses": "main h2"}  # view to what shows that it is there


def main() -> None:
    """Take them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", help="what `runoff explore` printed")
    parser.add_argument("--query", help="the query shown; by default the one that gains most")
    parser.add_argument("--report", type=Path, help="the demo's report, for the gallery")
    given = parser.parse_args()
    where = f"#/results?query={given.query}" if given.query else ""
    PLACE.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for theme in ("light", "dark"):
            page = browser.new_page(viewport=SIZE, color_scheme=theme, reduced_motion="reduce")
            page.goto(given.address + where)
            page.wait_for_selector("[data-side=right] [data-row]")
            page.wait_for_selector(".verdict:not(.pending) .big")
            page.wait_for_timeout(2000)  # the interval from all resamples comes a moment later
            page.wait_for_selector(".verdict:not(.pending) .big")
            _take(page, f"explorer-{theme}")
            page.close()
        page = browser.new_page(viewport=SIZE, color_scheme="light", reduced_motion="reduce")
        for view, seen in GALLERY.items():
            page.goto(f"{given.address}#/{view}")
            page.wait_for_selector(seen)
            page.wait_for_timeout(3000)
            _take(page, f"explorer-{view}")
        if given.report is not None:
            page.goto(given.report.resolve().as_uri())
            page.wait_for_timeout(3000)  # its charts are drawn by then
            _take(page, "report")
        browser.close()


def _take(page: Page, name: str) -> None:
    path = PLACE / f"{name}.png"
    page.screenshot(path=path)
    with Image.open(path) as image:  # 256 colours are enough, in a third of the bytes
        small = image.convert("RGB").quantize(256, Image.Quantize.FASTOCTREE)
        small.save(path, optimize=True)
    print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
