import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from diagnostics.report.formats import html
from diagnostics.report.render import Picture
from diagnostics.report.table import Bar, Cell, Row

HOSTILE = '<script>alert("x")</script><img src="https://example.org/a.png">'


class Reader(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self):
        super().__init__()
        self.tags, self.texts, self.addresses = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data):
        self.texts.append(data)


def read(document):
    reader = Reader()
    reader.feed(document)
    return reader


@pytest.fixture
def picture():
    pixels = np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    return Picture(pixels, "An alt text.", "0 … 1", "name")


def test_pictures_are_inside_the_page_pixel_for_pixel(picture):
    document = html.page("Title", {}, {"Said": [Row((Cell(pictures=(picture,)),))]})
    (address,) = read(document).addresses
    content = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    assert (np.asarray(Image.open(io.BytesIO(content))) == picture.pixels).all()
    assert 'alt="An alt text."' in document


def test_the_page_asks_no_network_and_runs_no_script(picture):
    document = html.page("Title", {"Model": "a"}, {"Said": [Row((Cell(pictures=(picture,)),))]})
    assert not re.search(r"https?:|url\(|@import", document)
    assert all(address.startswith("data:image/png;base64,") for address in read(document).addresses)
    assert "script" not in read(document).tags
    assert "default-src 'none'" in document


def test_text_of_strangers_stays_text():
    bar = Bar(HOSTILE, 0.5, HOSTILE, HOSTILE)
    cell = Cell(HOSTILE, HOSTILE, HOSTILE, HOSTILE, (bar,), notes=(HOSTILE,), warnings=(HOSTILE,))
    reader = read(html.page(HOSTILE, {HOSTILE: HOSTILE}, {HOSTILE: [Row((cell,), HOSTILE)]}))
    assert not {"script", "img"} & set(reader.tags)
    assert HOSTILE in reader.texts


def test_everything_that_a_cell_says_is_in_the_page():
    cell = Cell(
        title="cat",
        answer="tiger cat",
        confidence="39.3 %",
        bars=(Bar("lynx", 0.02, "2.0 %", "lynx, class 287"),),
        notes=("margin +0.1",),
        details=("mean 0.5",),
        warnings=("Half of the image is cropped.",),
        empty="Not captured.",
    )
    texts = read(
        html.page("T", {"Model": "m.pth"}, {"What it says": [Row((cell,), "first row")]})
    ).texts
    for said in (
        "cat",
        "tiger cat",
        "39.3 %",
        "lynx",
        "2.0 %",
        "margin +0.1",
        "What it says",
        "mean 0.5",
        "first row",
        "Half of the image is cropped.",
        "Not captured.",
        "m.pth",
    ):
        assert said in texts
