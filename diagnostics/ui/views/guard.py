"""The controls of guards: what is promised, what is fitted, and how a guard is taken away."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import streamlit as st

from diagnostics.data import samples
from diagnostics.errors import InputError
from diagnostics.report import export
from diagnostics.report.guard import tables
from diagnostics.report.guard.tables import GUARDS, KINDS, Answers
from diagnostics.schema import recipe
from diagnostics.schema.options import Methods
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
HOW = {
    "threshold": "rejects an image when a score of strangeness exceeds what known-good images "
    "reach. It never learns on anything strange.",
    "extra_class": "adds one row to the last layer, which learns to win on noise and on your "
    "strangers.",
    "discriminator": "is a small network that reads several layers, and learns to tell known-good "
    "images from noise, fooling images and your strangers.",
}
CONTENT = (
    "Each .zip holds `guard.py` (needs torch and numpy alone; `python guard.py` tests itself), "
    "`guard.safetensors` and `guard.toml` with weights and settings, `guarded.pt2` and "
    "`guarded.onnx`, the whole model with the guard behind it, `recipe.toml`, which opens either "
    "here or at the command line, and `gains-and-costs.json` with the figures above."
)


@dataclass(frozen=True)
class Fitted:
    """A guard that was fitted: its gains and costs, and the .zip that ships it."""

    scores: Mapping[str, Any]
    file: File


def explain() -> None:
    """Say what the guards are, and how to fit them with samples."""
    st.markdown(
        "A guard lets the model answer **none of the above**. There are three kinds, and they "
        "differ in what they catch; fit all three and compare:"
    )
    st.markdown("\n".join(f"- **{GUARDS[guard]}** {said}" for guard, said in HOW.items()))
    session = current_session()
    if session.model.file not in samples.model_files().values() or session.in_distribution:
        return
    if samples.folders().keys() >= {"in_distribution", "out_of_distribution"}:
        st.button(
            "Try it with letters, and digits as strangers", on_click=_take_samples, type="primary"
        )


def asked(spec: ModelSpec, methods: Methods) -> dict[str, Request]:
    """Draw what is promised and the button that fits; return the questions, none until wanted."""
    session = current_session()
    if session.in_distribution is None:
        return {}
    scores = {
        info.id: info.title
        for info in methods.values()
        if info.kind == "score"
        and set(info.needs) <= spec.offers
        and Need.BATCHNORM not in info.needs  # no guard can ship it
    }
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
        by_score = forms.options(methods["guard/threshold"], fields, "guard")
        options = {"alpha": by_score["alpha"]}
        settings = session.preprocessing or spec.preprocessing
        requests = {
            guard: Request(
                f"guard/{guard}",
                session.model,
                (),
                settings,
                options=by_score if guard == "threshold" else options,
                folder=session.in_distribution,
                ood_folder=session.out_of_distribution,
            )
            for guard in GUARDS
        }
        first = requests["threshold"]
        wanted = session.choices.get(WANTED) == first.key or first.key in session.derived_files
        if not wanted:
            st.button(
                "Fit the guards",
                on_click=session.choices.__setitem__,
                args=(WANTED, first.key),
                type="primary",
            )
    return requests if wanted else {}


def fitted(requests: Mapping[str, Request]) -> dict[str, Fitted]:
    """Fit the guards one after the other; say of one that fails why, beside the others."""
    found = {}
    places = {guard: st.empty() for guard in requests}
    for guard, request in requests.items():
        answer = try_request(request, places[guard])
        if answer is None:
            continue
        try:
            if answer.arrays:  # large, and from here on in a file
                content = export.parts(answer, "file")
                current_session().results[request.key] = replace(answer, arrays={})
                current_session().derived_files[request.key] = current_session().store_upload(
                    content, _name(guard, "-guard.zip")
                )
            found[guard] = Fitted(answer.scores, current_session().derived_files[request.key])
        except InputError as error:
            current_session().results.pop(request.key, None)
            show_error(error.message, places[guard])
    return found


def noted(answers: Answers) -> str:
    """Return how many images served for what, and what else should be known of them."""
    notes = dict.fromkeys(note for answer in answers.values() for note in answer["notes"])
    return markdown(" ".join([tables.fitted_on(answers), *notes]))


def take_away(guards: Mapping[str, Fitted]) -> None:
    """Draw what lies in the files, and for each guard its file and the way to open it here."""
    row = st.container(horizontal=True)
    for guard, one in guards.items():
        with row.container(border=True, width=CARD_PX):
            path = Path(one.file.path)
            st.markdown(f"**{GUARDS[guard]}**")
            st.caption(_about(one))
            st.download_button(
                f"Download ({_size(path.stat().st_size)})",
                path.read_bytes,
                one.file.name,
                "application/zip",
                on_click="ignore",
                icon=":material/download:",
                key=f"guard.download.{guard}",
                width="stretch",
            )
            if st.button(
                "Open the guarded model",
                key=f"guard.open.{guard}",
                help="Take the model with this guard in hand, and look at what it says in Inspect.",
                width="stretch",
            ):
                _open(guard, path)
            for problem in one.scores["problems"]:
                st.caption(markdown(problem))
    st.caption(CONTENT)


def _about(one: Fitted) -> str:
    score = one.scores["score"]
    fitted_on = [
        f"{count} {KINDS[name].lower()}"
        for name, count in one.scores["fitted_on"].items()
        if name not in ("known", "threshold")
    ]
    learned = (
        f"Learned on images: {', '.join(fitted_on)}."
        if fitted_on
        else "Learned on nothing strange."
    )
    return markdown(f"Score: {score}. {learned}" if score else learned)


def _open(guard: str, path: Path) -> None:
    """Take the whole guarded model in hand and go to Inspect, or say why that cannot be."""
    session = current_session()
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in WHOLE_MODELS if name in archive.namelist()]
            if not names:
                raise InputError("This guard holds no whole model; its file says why.")
            content = _member(archive, names[0], session.free_bytes())
            known = recipe.loads(_member(archive, RECIPE, RECIPE_BYTES).decode("utf-8"))
        file = session.store_upload(content, _name(guard, f"-{names[0]}"))
    except InputError as error:
        show_error(error.message)
    except DAMAGED:
        show_error("The guard's file is damaged; fit it again.")
    else:
        session.select_model(known.source(ModelSource(file)), known.preprocessing)
        st.switch_page(INSPECT_PAGE)


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """Read one file of a .zip, at most so many bytes, whatever it says of itself."""
    with archive.open(name) as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise InputError(f"{name} was not opened: {current_session().quota_message()}")
    return content


def _name(guard: str, kind: str) -> str:
    stem = Path(current_session().model.file.name).stem
    return f"{stem}-{guard.replace('_', '-')}{kind}"


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MiB"


def _take_samples() -> None:
    session, folders = current_session(), samples.folders()
    session.in_distribution, session.out_of_distribution = (
        folders["in_distribution"],
        folders["out_of_distribution"],
    )
