"""How tests look at a page without a browser, and use it."""

from __future__ import annotations

from tests.conftest import ROOT

PAGES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "pages").glob("*/*.py"))


def fine(page):
    """Return the page, which must have drawn itself without an exception."""
    assert not page.exception
    return page


def pressed(page, label):
    """Return the page after a click on the one button of that label."""
    (button,) = [button for button in page.button if button.label == label]
    return fine(button.click().run())


def opened(app, name, **address):
    """Return one of `PAGES` of an app, opened by its address.

    Args:
        app: The app, not run yet.
        name: The page.
        **address: What stands in the address at first.
    """
    for key, value in address.items():
        app.query_params[key] = value
    return fine(app.switch_page(str(ROOT / name)).run())
