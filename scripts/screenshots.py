"""Make the screenshots of the documents: every page of the real app, in a real browser."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from playwright.sync_api import Browser, Page  # noqa: E402

from tests import serving  # noqa: E402

STARTED_MS, TABLES_MS = 700, 3000
FOLDER = ROOT / "docs" / "screenshots"
PAGES = [path.stem.partition("_")[2] for path in sorted(ROOT.glob("pages/*/*.py"))]
WIDTH, MAX_HEIGHT = 1440, 1800
# Buttons that bring sample folders, and start what a page does not start by itself.
PRESSED = {
    "ood": ("Sample folder",),
    "guard": ("Try it with letters, and digits as strangers", "Fit the guards"),
    "adversarial": ("Look for the smallest changes",),
    "fooling": ("Make the pictures",),
    "sufficient_pixels": ("Example: three pixels of an x",),
}
HEIGHT = "() => document.querySelector('[data-testid=stMainBlockContainer]').scrollHeight"


def settle(page: Page) -> None:
    """Wait until a page has drawn its answers."""
    page.wait_for_timeout(STARTED_MS)
    page.get_by_role("button", name="Report").wait_for(timeout=serving.PATIENCE_MS)
    page.wait_for_function(serving.AT_REST, timeout=serving.PATIENCE_MS)
    page.wait_for_timeout(STARTED_MS)


def shoot(
    chrome: Browser,
    address: str,
    name: str,
    file: str,
    *,
    width: int = WIDTH,
    scheme: str = "light",
) -> None:
    """Save a picture of a page, from its top to its end or the largest height."""
    viewport = {"width": width, "height": 1000}
    context = chrome.new_context(viewport=viewport, color_scheme=scheme)
    page = context.new_page()
    page.goto(f"{address}/{'' if name == 'inspect' else name}")
    settle(page)
    for label in PRESSED.get(name, ()):
        page.get_by_role("button", name=label, exact=True).first.click()
        settle(page)
    page.set_viewport_size({"width": width, "height": min(page.evaluate(HEIGHT), MAX_HEIGHT)})
    page.wait_for_timeout(TABLES_MS)
    page.screenshot(path=FOLDER / f"{file}.png")
    context.close()


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with serving.server() as (address, _), serving.browser() as chrome:
        for name in PAGES:
            shoot(chrome, address, name, f"{name}-{WIDTH}")
        shoot(chrome, address, "inspect", f"inspect-dark-{WIDTH}", scheme="dark")
        shoot(chrome, address, "inspect", "inspect-800", width=800)


if __name__ == "__main__":
    main()
