"""How tests look at a page without a browser, and use it."""

from __future__ import annotations

import json

from cachetools import LRUCache

from diagnostics.errors import OversureError
from diagnostics.execution.local import LocalRunner
from diagnostics.schema.request import Result
from tests.conftest import ROOT

PAGES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "pages").glob("*/*.py"))

_recorded: dict[tuple[str, tuple[str, ...]], Result | OversureError] = {}
_runners: LRUCache[str, LocalRunner] = LRUCache(4)


class RecordedRunner:
    """Answers a session's requests in this process, each of them once for all tests.

    The answers are real, and recorded in memory: a test of a page waits for none twice.
    """

    def __init__(self, **_):
        pass

    def run(self, request, watch=None):
        """Return the answer, or raise the error, that was recorded or is computed now."""
        names = (request.model.name, *(file.name for file in request.files))
        key = (request.key, names)  # answers hold names, which decide no key
        if key not in _recorded:
            runner = _runners.setdefault(request.model.sha256, LocalRunner())
            try:
                _recorded[key] = runner.run(request, watch)
            except OversureError as error:
                _recorded[key] = error
        if isinstance(_recorded[key], OversureError):
            raise _recorded[key]
        return _recorded[key]

    def cancel(self):
        """Do nothing: no request outlives the script that made it."""

    def close(self):
        """Do nothing: models stay loaded for other tests."""


def fine(page):
    """Return the page, which must have drawn itself without an exception."""
    assert not page.exception
    return page


def page_text(page):
    """Return what stands on the page in sentences, without the marks that keep it plain."""
    elements = (*page.markdown, *page.caption, *page.warning, *page.error)
    return "\n".join(element.value for element in elements).replace("\\", "")


def section_headings(page):
    """Return the headings of the sections, without those of folded numbers."""
    return [section.label for section in page.expander if section.label != "Numbers"]


def button_labels(page):
    """Return what stands on the buttons."""
    return [button.label for button in page.button]


def charts(page):
    """Return the charts as plotly describes them."""
    return [json.loads(chart.proto.spec) for chart in page.get("plotly_chart")]


def chart_titles(page):
    """Return what stands over the charts."""
    return [chart["layout"]["title"]["text"] for chart in charts(page)]


def cells(page, key):
    """Return the cells of the one row of that key, as the browser gets them."""
    (row,) = [row for row in page.get("bidi_component") if row.proto.id.endswith(f"-{key}")]
    return json.loads(row.proto.json)["cells"]


def press(page, label):
    """Return the page after a click on the one button of that label."""
    (button,) = [button for button in page.button if button.label == label]
    return fine(button.click().run())


def open_page(app, name, **address):
    """Return one of `PAGES` of an app, opened by its address.

    Args:
        app: The app, not run yet.
        name: The page.
        **address: What stands in the address at first.
    """
    for key, value in address.items():
        app.query_params[key] = value
    return fine(app.switch_page(str(ROOT / name)).run())
