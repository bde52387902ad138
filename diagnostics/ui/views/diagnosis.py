"""Why is the model so sure, and should one believe it: a card per image, and its evidence."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import streamlit as st

from diagnostics.data import samples
from diagnostics.report.diagnosis import tables
from diagnostics.report.diagnosis.pictures import Arrays
from diagnostics.report.table import Card, Cell, Row, Table
from diagnostics.schema.request import File, ModelSource, Request, Result
from diagnostics.schema.results.diagnosis import ImageVerdict, WhyAnswer
from diagnostics.schema.spec import ModelSpec
from diagnostics.text import counted, duration, markdown, shortened
from diagnostics.ui.session.query_params import set_query_param
from diagnostics.ui.session.state import current_session
from diagnostics.ui.widgets.board import Board, transient_cards
from diagnostics.ui.widgets.folder_picker import measured_reference, offer_known_good, reference
from diagnostics.ui.widgets.run import try_request
from diagnostics.verdict.causes import BY_ID

METHOD = "diagnosis/why"
EXAMPLE_MODEL = "letters_marked"
EXAMPLE_IMAGES = ("letter-x-marked", "letter-p-marked", "letter-p-fuzzy")
OPENED, CLOSER = "why", "why.closer"  # in the address: the image's number, and what was looked at
ICONS = {"trust": "check_circle", "distrust": "cancel", "cannot_tell": "help"}
WAITING, NOT_ASKED = Card("waiting", "Asking why"), Card("waiting", "not asked")


class Verdicts:
    """The verdicts under the answers: first their room, and once all else is drawn themselves.

    Args:
        board: Of the page.
        heading: Of the section that the answers stand in.
        spec: The selected model.
    """

    def __init__(self, board: Board, heading: str, spec: ModelSpec) -> None:
        session = current_session()
        self._board, self._heading = board, heading
        self._position = board.position(heading)
        self._settings = session.preprocessing or spec.preprocessing
        self._place, self._progress = st.empty(), st.empty()
        self._request = self._cheap(measured_reference(session.model, self._settings))
        if self._request.key not in session.results:
            with self._place.container():
                transient_cards([Cell(card=WAITING)] * len(session.shown_images()), "why.waiting")

    def _cheap(self, measured: File | None) -> Request:
        """Return the request why the model is so sure of the images shown, in its cheap stage."""
        session = current_session()
        return Request(
            METHOD,
            session.model,
            session.shown_images(),
            self._settings,
            options={"closer": False},
            folder=session.in_distribution,
            reference=measured,
        )

    def draw(self) -> None:
        """Ask for the verdicts, closer where that was wanted, and draw them with one's evidence."""
        session = current_session()
        found = reference(session.model, self._settings, self._progress)
        is_ready = found is not None or session.in_distribution is None
        self._request = self._cheap(found)
        cheap = try_request(self._request, self._progress, self._partial()) if is_ready else None
        if cheap is None:
            self._place.empty()
            return
        is_whole = self._request.key in session.results
        if is_whole:
            self._progress.empty()
        answer = self._closer(cheap) if is_whole else cheap
        scores: WhyAnswer = answer.scores
        opened = _opened()
        with self._place.container(), self._board.at(self._heading, self._position):
            if sentence := tables.model_sentence(scores["diagnosis"]):
                st.warning(markdown(sentence), icon=":material/warning:")
            cells = _columns(scores, len(self._request.images), NOT_ASKED, opened)
            self._board.cards(self._heading, cells, "row.verdict", _toggle)
            self._offers(scores, has_closer=is_whole and answer is cheap)
            if opened is not None and opened < len(scores["images"]):
                self._evidence(scores["images"][opened], answer.arrays, opened)

    def _closer(self, cheap: Result) -> Result:
        """Return what a closer look gave, as far as it came; the cheap answer where none is wanted.

        Args:
            cheap: The answer of the cheap stage.
        """
        mark = self._request.key[:12]
        if mark not in (st.query_params.get(CLOSER), current_session().choices.get(CLOSER)):
            set_query_param(CLOSER, "")
            return cheap
        set_query_param(CLOSER, mark)
        request = replace(self._request, options={"closer": True})
        closer = try_request(request, self._progress, self._partial(cheap))
        return cheap if closer is None else _filled(closer, cheap)

    def _partial(self, cheap: Result | None = None) -> Callable[[Result], None]:
        """Return what draws verdicts in their place while others are still asked for.

        Args:
            cheap: What stands for the others meanwhile; None lets them wait.
        """
        numbers, count = itertools.count(), len(self._request.images)

        def draw(partial: Result) -> None:
            scores = (_filled(partial, cheap) if cheap else partial).scores
            with self._place.container():
                key = f"why.partial.{bool(cheap)}.{next(numbers)}"
                transient_cards(_columns(scores, count, WAITING), key)

        return draw

    def _offers(self, scores: WhyAnswer, *, has_closer: bool) -> None:
        """Draw by what the images were judged, and what would let it tell more.

        Args:
            scores: The answer.
            has_closer: Whether it is that of the cheap stage, which a closer look can follow.
        """
        session, n = current_session(), scores["diagnosis"]["n"]
        with st.container(horizontal=True, vertical_alignment="center"):
            if session.in_distribution is None:
                offer_known_good()
            closer = scores["closer"] if has_closer else None
            if closer is not None:
                passes = f"{closer['passes']:,} {'pass' if closer['passes'] == 1 else 'passes'}"
                seconds = duration(closer["seconds"]).lower().removeprefix("about ")
                st.button(
                    f"Look closer (about {passes}, {seconds})",
                    key="why.look",
                    icon=":material/search:",
                    on_click=session.choices.__setitem__,
                    args=(CLOSER, self._request.key[:12]),
                    help="Takes parts of each image away and puts them into known-good images, to "
                    "see which of them decide.",
                )
            if _has_example():
                st.button("Example: a mark decides", key="why.example", on_click=_show_example)
            if session.in_distribution is not None and n:
                name = markdown(shortened(session.in_distribution.name, 40))
                st.caption(f"Judged by {counted(n, 'known-good image')} of {name}.")
        for note in scores["notes"][: tables.MAX_CAUSES]:
            st.caption(markdown(tables.brief(note)))

    def _evidence(self, image: ImageVerdict, arrays: Arrays, index: int) -> None:
        """Draw what one verdict rests on."""
        file = current_session().shown_images()[index]
        with st.container(border=True, key="why.evidence"):
            with st.container(horizontal=True, vertical_alignment="center"):
                name = markdown(shortened(file.name, 40))
                word = f":material/{ICONS[image['verdict']]}: {tables.WORDS[image['verdict']]}"
                st.markdown(f"#### {name}: {word}", width="stretch")
                st.button("Close", key="why.close", on_click=_toggle, args=(index,))
            causes = tables.explanations(image)
            if not causes:
                st.markdown(markdown(tables.why(image)))
            for number, cause in enumerate(causes):
                rows = tables.finding(cause, image, arrays, index)
                self._rows(rows, f"why.cause.{number}")
                _link(cause["id"])
            self._rows(tables.beside(image, arrays), "why.beside")

    def _rows(self, rows: list[Row | Table], key: str) -> None:
        for number, row in enumerate(rows):
            if isinstance(row, Row):
                self._board.row(
                    self._heading,
                    row.cells,
                    f"{key}.{number}",
                    title=row.title,
                    sentences=row.sentences,
                    columns=False,
                )
            else:
                folded = row.title.startswith(tables.TRIED)
                if not folded:
                    st.caption(row.title)
                self._board.table(self._heading, row, folded=folded, label=row.title)


def _has_example() -> bool:
    """Say whether a sample model stands here that is not the example's."""
    files = samples.model_files()
    others = [file for name, file in files.items() if name != EXAMPLE_MODEL]
    return EXAMPLE_MODEL in files and current_session().model.file in others


def _show_example() -> None:
    """Select the sample model that reads a mark, and open the evidence of a letter that has it."""
    session = current_session()
    session.select_model(ModelSource(samples.model_files()[EXAMPLE_MODEL]))
    session.pinned = ""
    images = [samples.image_files()[name] for name in EXAMPLE_IMAGES]
    session.add_images(images)
    session.shown = [file.sha256 for file in images]
    session.choices[OPENED] = images[0].sha256


def _columns(scores: WhyAnswer, count: int, rest: Card, opened: int | None = None) -> list[Cell]:
    """Return a card for each of so many columns, `rest` where there is no verdict."""
    cells = tables.cards(scores, opened)[:count]
    return cells + [Cell(card=rest)] * (count - len(cells))


def _filled(closer: Result, cheap: Result) -> Result:
    """Return a closer look in which images that it did not come to keep their cheap verdict."""
    images = closer.scores["images"]
    images = [*images, *cheap.scores["images"][len(images) :]]
    arrays = {**cheap.arrays, **closer.arrays}
    return replace(closer, scores={**closer.scores, "images": images}, arrays=arrays)


def _opened() -> int | None:
    """Return the number of the image whose evidence stands open, which the address names from 1."""
    choices = current_session().choices
    digests = [file.sha256 for file in current_session().shown_images()]
    named = {str(number): digest for number, digest in enumerate(digests, 1)}
    digest = choices.setdefault(OPENED, named.get(st.query_params.get(OPENED, ""), ""))
    opened = digests.index(digest) if digest in digests else None
    set_query_param(OPENED, "" if opened is None else str(opened + 1))
    return opened


def _toggle(index: int) -> None:
    """Open the evidence of an image, or close it where it stands open."""
    session = current_session()
    files = session.shown_images()
    if 0 <= index < len(files):
        digest = files[index].sha256
        session.choices[OPENED] = "" if session.choices.get(OPENED) == digest else digest


def _link(cause: str) -> None:
    """Draw the way to the page that shows more of a cause."""
    lab = BY_ID[cause].lab if cause in BY_ID else ""
    if not lab:
        return
    (path,) = samples.ROOT.glob(f"pages/*/[0-9]_{lab}.py")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("This page shows more:", width="content")
        st.page_link(str(path.relative_to(samples.ROOT)))
