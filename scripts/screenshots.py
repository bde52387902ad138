"""Make the README's screenshots: the real app, in a real browser."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests import serving  # noqa: E402

FOLDER = ROOT / "docs" / "screenshots"
SHOTS = (
    ("inspect-light-1440", "", 1440, 1400, "light"),
    ("inspect-dark-1440", "", 1440, 1400, "dark"),
    ("inspect-800", "", 800, 1100, "light"),
    ("layers-1440", "layers", 1440, 900, "light"),
    ("attributions-1440", "attributions", 1440, 1300, "light"),
)


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with serving.server() as (address, _), serving.browser() as chrome:
        for name, place, width, height, scheme in SHOTS:
            viewport = {"width": width, "height": height}
            context = chrome.new_context(viewport=viewport, color_scheme=scheme)
            page = serving.opened(context.new_page(), f"{address}/{place}")
            page.screenshot(path=FOLDER / f"{name}.png")
            context.close()


if __name__ == "__main__":
    main()
