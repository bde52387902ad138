"""The guard page: what is promised, what is fitted, and how a guard is taken away."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import streamlit as st

from diagnostics.data import samples
from diagnostics.errors import InputError
from diagnostics.report import export
from diagnostics.report.guard import tables
from diagnostics.report.guard.tables import FittedGuard, Guards
from diagnostics.schema import recipe
from diagnostics.schema.options import MethodInfo, Methods
from diagnostics.schema.request import File, ModelSource, Request
from diagnostics.schema.spec import ModelSpec, Need
from diagnostics.text import markdown
from diagnostics.ui.dialogs.open_in_inspect import INSPECT_PAGE
from diagnostics.ui.session.state import current_session
from diagnostics.ui.widgets import forms
from diagnostics.ui.widgets.alerts import show_error
from diagnostics.ui.widgets.forms import Field
from diagnostics.ui.widgets.run import try_request

ALPHAS = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
WANTED = "guard.wanted"
WHOLE_MODELS = ("guarded.pt2", "guarded.onnx")  # the first that could be written is opened
CARD_PX = 350
RECIPE, RECIPE_BYTES = "recipe.toml", 2**20
DAMAGED = (zipfile.BadZipFile, KeyError, OSError, RuntimeError, EOFError, ValueError, zlib.error)
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
CONTENT = (
    "Each .zip holds `guard.py` (needs torch and numpy alone; `python guard.py` tests itself), "
    "`formula.py`, which it reads, "
    "`guard.safetensors` and `guard.toml` with weights and settings, `guarded.pt2` and "
    "`guarded.onnx`, the whole model with the guard behind it, `recipe.toml`, which opens either "
    "here or at the command line, and `gains-and-costs.json` with the figures above."
)


@dataclass(frozen=True)
class ExportedGuard:
    """A guard that was fitted, and the .zip that ships it."""

    info: MethodInfo
    fitted: FittedGuard
    file: File


def guards_of(methods: Methods) -> list[MethodInfo]:
    """Return the guards there are, in the order of the page."""
    guards = (info for info in methods.values() if info.kind == "guard")
    return sorted(guards, key=lambda info: (info.order, info.id))


def explain(guards: Sequence[MethodInfo]) -> None:
    """Say what the guards are, and how to fit them with samples."""
    count = NUMBERS[len(guards)] if len(guards) < len(NUMBERS) else str(len(guards))
    st.markdown(
        f"A guard lets the model answer **none of the above**. There are {count} kinds, and they "
        f"differ in what they catch; fit all {count} and compare:"
    )
    st.markdown(
        "\n".join(f"- **{info.title}** {info.explanation or info.summary}" for info in guards)
    )
    session = current_session()
    brought = session.in_distribution not in (None, samples.known_good(session.model.file))
    if session.model.file not in samples.model_files().values() or brought:
        return
    has_both = samples.folders().keys() >= {"in_distribution", "out_of_distribution"}
    if has_both and session.out_of_distribution is None:
        st.button(
            "Try it with letters, and digits as strangers", on_click=_take_samples, type="primary"
        )


def requests(spec: ModelSpec, methods: Methods) -> dict[str, Request]:
    """Draw what is promised and the button that fits; return a request for each guard by its id.

    There are none until they are wanted.
    """
    session = current_session()
    if session.in_distribution is None:
        return {}
    scores = _shippable_scores(spec, methods)
    fields = {
        "alpha": Field(
            "Good images rejected",
            "The share of images like the known-good ones that may be rejected. Fewer let more "
            "strangers pass.",
            choices=ALPHAS,
            title=lambda share: f"at most {100 * share:g} %",
            width=170,
        ),
        "score": Field(
            "Score of the threshold",
            "The threshold guard rejects what this score finds strange. Choosing the one that "
            "does best on your strangers flatters it on them.",
            choices=("", *scores),
            title=lambda score: scores.get(score, "the usual one"),
            width=290,
        ),
    }
    with st.container(horizontal=True, vertical_alignment="bottom"):
        options = draw_options(guards_of(methods), fields)
        by_guard = {
            info.id: Request(
                info.id,
                session.model,
                (),
                session.preprocessing or spec.preprocessing,
                options=options[info.id],
                folder=session.in_distribution,
                ood_folder=session.out_of_distribution,
            )
            for info in guards_of(methods)
        }
        first = next(iter(by_guard.values()))
        wanted = session.choices.get(WANTED) == first.key or first.key in session.derived_files
        if not wanted:
            st.button(
                "Fit the guards",
                on_click=session.choices.__setitem__,
                args=(WANTED, first.key),
                type="primary",
            )
    return by_guard if wanted else {}


def draw_options(
    guards: Sequence[MethodInfo], fields: Mapping[str, Field]
) -> dict[str, dict[str, Any]]:
    """Draw every option of the guards, as their signatures have them; return them by guard.

    Args:
        guards: The guards.
        fields: How options are drawn that all guards that have them share, by name; every other
            option is drawn beside the title of its guard.
    """
    shared: dict[str, Any] = {}
    by_guard = {}
    for info in guards:
        names = [option.name for option in info.options]
        new = {
            name: field for name, field in fields.items() if name in names and name not in shared
        }
        shared |= forms.options(info, new, "guard")
        alone = {
            name: Field(f"{info.title}: {name.replace('_', ' ')}")
            for name in names
            if name not in fields
        }
        own = forms.options(info, alone)
        by_guard[info.id] = {name: own.get(name, shared.get(name)) for name in names}
    return by_guard


def _shippable_scores(spec: ModelSpec, methods: Methods) -> dict[str, str]:
    """Return the titles of the scores that a guard of this model can ship, by their ids."""
    return {
        info.id: info.title
        for info in methods.values()
        if info.kind == "score"
        and set(info.needs) <= spec.offers
        and Need.BATCHNORM not in info.needs
    }


def fit(by_guard: Mapping[str, Request], methods: Methods) -> list[ExportedGuard]:
    """Fit the guards one after the other; say of one that fails why, beside the others."""
    session, exported = current_session(), []
    slots = {guard: st.empty() for guard in by_guard}
    for position, (guard, request) in enumerate(by_guard.items()):
        result = try_request(request, slots[guard])
        if result is None:
            continue
        try:
            if result.arrays:  # large, and from here on in a file
                content = export.parts(result, "file")
                session.results[request.key] = replace(result, arrays={})
                session.derived_files[request.key] = session.store_upload(
                    content, _file_name(guard, "-guard.zip")
                )
            info = methods[guard]
            fitted = FittedGuard(info.title, position, result.scores)
            exported.append(ExportedGuard(info, fitted, session.derived_files[request.key]))
        except InputError as error:
            session.results.pop(request.key, None)
            show_error(error.message, slots[guard])
    return exported


def notes(guards: Guards) -> str:
    """Return how many images served for what, and what else should be known of them."""
    of_images = dict.fromkeys(note for guard in guards for note in guard.answer["notes"])
    return markdown(" ".join([tables.fitted_on(guards), *of_images]))


def take_away(guards: Sequence[ExportedGuard]) -> None:
    """Draw what lies in the files, and for each guard its file and the way to open it here."""
    row = st.container(horizontal=True)
    for guard in guards:
        name, path = _short(guard.info.id), Path(guard.file.path)
        with row.container(border=True, width=CARD_PX):
            st.markdown(f"**{guard.info.title}**")
            st.caption(markdown(tables.learned_from(guard.fitted.answer)))
            st.download_button(
                f"Download ({_size(path.stat().st_size)})",
                path.read_bytes,
                guard.file.name,
                "application/zip",
                on_click="ignore",
                icon=":material/download:",
                key=f"guard.download.{name}",
                width="stretch",
            )
            if st.button(
                "Open the guarded model",
                key=f"guard.open.{name}",
                help="Take the model with this guard in hand, and look at what it says in Inspect.",
                width="stretch",
            ):
                _open(guard.info.id, path)
            for problem in guard.fitted.answer["problems"]:
                st.caption(markdown(problem))
    st.caption(CONTENT)


def _open(guard: str, path: Path) -> None:
    """Select the whole guarded model and go to Inspect, or say why that cannot be."""
    session = current_session()
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in WHOLE_MODELS if name in archive.namelist()]
            if not names:
                raise InputError("This guard holds no whole model; its file says why.")
            content = _member(archive, names[0], session.free_bytes())
            settings = recipe.loads(_member(archive, RECIPE, RECIPE_BYTES).decode("utf-8"))
        file = session.store_upload(content, _file_name(guard, f"-{names[0]}"))
    except InputError as error:
        show_error(error.message)
    except DAMAGED:
        show_error("The guard's file is damaged; fit it again.")
    else:
        session.select_model(settings.source(ModelSource(file)), settings.preprocessing)
        st.switch_page(INSPECT_PAGE)


def _member(archive: zipfile.ZipFile, name: str, max_bytes: int) -> bytes:
    """Read one file of a .zip, at most so many bytes, whatever it says of itself."""
    with archive.open(name) as stream:
        content = stream.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise InputError(f"{name} was not opened: {current_session().quota_message()}")
    return content


def _short(guard: str) -> str:
    return guard.partition("/")[2]


def _file_name(guard: str, ending: str) -> str:
    stem = Path(current_session().model.file.name).stem
    return f"{stem}-{_short(guard).replace('_', '-')}{ending}"


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MiB"


def _take_samples() -> None:
    session = current_session()
    folders = samples.folders(session.model.file)
    session.in_distribution, session.out_of_distribution = (
        folders["in_distribution"],
        folders["out_of_distribution"],
    )
