"""Make the README's screenshots: the real app, in a real browser."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from playwright.sync_api import Page  # noqa: E402

from tests import serving  # noqa: E402

STARTED_MS, TABLES_MS = 700, 3000
FOLDER = ROOT / "docs" / "screenshots"
SHOTS = (
    ("inspect-light-1440", "", 1440, 1400, "light"),
    ("inspect-dark-1440", "", 1440, 1400, "dark"),
    ("inspect-800", "", 800, 1100, "light"),
    ("layers-1440", "layers", 1440, 900, "light"),
    ("attributions-1440", "attributions", 1440, 1300, "light"),
    ("noise-1440", "noise", 1440, 1400, "light"),
    ("strangeness-1440", "novelty", 1440, 2300, "light"),
    ("calibration-1440", "calibration", 1440, 1700, "light"),
    ("guard-1440", "guard", 1440, 2400, "light"),
    ("sweeps-1440", "sweeps", 1440, 2250, "light"),
    ("smallest-changes-1440", "adversarial", 1440, 1900, "light"),
    ("fooling-1440", "fooling", 1440, 1700, "light"),
    ("sufficient-pixels-1440", "sufficient_pixels", 1440, 2000, "light"),
)
# Buttons that bring sample folders, and start what a page does not start by itself.
CLICKS = {
    "novelty": ("Sample folder", "Sample folder"),
    "calibration": ("Sample folder",),
    "guard": ("Try it with letters, and digits as strangers", "Fit the guards"),
    "adversarial": ("Look for the smallest changes",),
    "fooling": ("Make the pictures", "Sample folder"),
    "sufficient_pixels": ("Example: three pixels of an x",),
}


def drawn(page: Page) -> None:
    """Wait until a page has drawn all that it was asked for."""
    page.wait_for_timeout(STARTED_MS)
    page.get_by_role("button", name="Report").wait_for(timeout=serving.PATIENCE_MS)
    page.wait_for_function(serving.AT_REST, timeout=serving.PATIENCE_MS)
    page.wait_for_timeout(STARTED_MS)


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with serving.server() as (address, _), serving.browser() as chrome:
        for name, place, width, height, scheme in SHOTS:
            viewport = {"width": width, "height": height}
            context = chrome.new_context(viewport=viewport, color_scheme=scheme)
            page = context.new_page()
            page.goto(f"{address}/{place}")
            drawn(page)
            for label in CLICKS.get(place, ()):
                page.get_by_role("button", name=label, exact=True).first.click()
                drawn(page)
            page.wait_for_timeout(TABLES_MS)
            page.screenshot(path=FOLDER / f"{name}.png")
            context.close()


if __name__ == "__main__":
    main()
