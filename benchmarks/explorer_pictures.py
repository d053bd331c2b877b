"""Take the two pictures of the explorer that the README shows, light and dark.

    runoff explore --no-open
    python benchmarks/explorer_pictures.py ADDRESS

It needs Playwright and the system's Chromium, as `make test-explorer` does, and Pillow. The latency
in them is that of the recording: record the demo on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

PLACE = Path(__file__).parents[1] / "docs" / "_static"
SIZE = {"width": 1360, "height": 850}


def main() -> None:
    """Take them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", help="what `runoff explore` printed")
    parser.add_argument("--query", help="the query shown; by default the one that gains most")
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
            path = PLACE / f"explorer-{theme}.png"
            page.screenshot(path=path)
            with Image.open(path) as image:  # 256 colours are enough, in a third of the bytes
                small = image.convert("RGB").quantize(256, Image.Quantize.FASTOCTREE)
                small.save(path, optimize=True)
            print(f"{path}: {path.stat().st_size:,} bytes")
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
