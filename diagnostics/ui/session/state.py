"""What one browser session has in hand; nobody else holds session state."""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import streamlit as st

from diagnostics.data import samples
from diagnostics.errors import InputError
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import File, ModelSource, Result
from diagnostics.ui.server import startup, uploads
from diagnostics.ui.session import store
from diagnostics.ui.session.query_params import address
from diagnostics.worker import Live, WorkerRunner, Zygote

ANSWERS_KEPT = 24
SO_FAR_KEPT = 4
MODELS_KEPT = 3
MIB = 2**20
PICTURE_BYTES = 24 * MIB
COLUMNS = 8
# Widgets whose choices belong to one model.
OF_THE_MODEL = ("layers", "gallery", "deep", "class", "against", "method", "query", "attack.target")


@dataclass
class Session:
    """Everything that belongs to one person: files, choices, answers, and workers.

    Args:
        folder: Where uploads lie; only this server may read it.
        holder: Names this session where uploads are kept.
        runners: This session's own workers, one for each model, the latest last.
        model: The model in hand.
        models: The models that were in hand, that one among them, the latest last.
        images: All images in hand, in the order they came.
        shown: Hashes of the images shown, at most `COLUMNS`.
        preprocessing: The person's own settings; None takes the model's.
        adapt: Makes the first settings of the model in hand; None takes the model's.
        drawing: What was drawn last.
        pinned: Hash of the image with which the others are compared; empty for none.
        choices: What was chosen last in the controls that several pages share.
        settings: Where sliders and switches that several pages share stood last.
        selections: How often a model was taken in hand; forms begin anew with each.
        results: Answers by request key, the latest last.
        partial_results: What a request had found before it was cancelled, by its key.
        failures: Why a request failed or was cancelled, by request key.
        pictures: Pictures as they were sent, by a digest of their pixels, the latest last.
        tickets: Tickets of the uploads that a page offers, by the widget's key.
        sent: Files that came through them and are not in use yet, by the widget's key.
        in_distribution: Known-good images, a folder in one file; None until there are some.
        out_of_distribution: Images that belong to no class, likewise.
        measured: Files that were made of them, by the key of the request that made them.
    """

    folder: Path
    holder: int
    runners: OrderedDict[str, WorkerRunner]
    model: ModelSource
    models: list[ModelSource]
    images: list[File]
    shown: list[str]
    preprocessing: Preprocessing | None = None
    adapt: Callable[[Preprocessing], Preprocessing] | None = None
    drawing: File | None = None
    pinned: str = ""
    choices: dict[str, str] = field(default_factory=dict)
    settings: dict[str, int] = field(default_factory=dict)
    selections: int = 0
    results: OrderedDict[str, Result] = field(default_factory=OrderedDict)
    partial_results: OrderedDict[str, Result] = field(default_factory=OrderedDict)
    failures: dict[str, str] = field(default_factory=dict)
    pictures: OrderedDict[str, str] = field(default_factory=OrderedDict)
    tickets: dict[str, str] = field(default_factory=dict)
    sent: dict[str, File] = field(default_factory=dict)
    in_distribution: File | None = None
    out_of_distribution: File | None = None
    measured: dict[str, File] = field(default_factory=dict)

    def free_bytes(self) -> int:
        """Return how many bytes one file may have that this person brings next."""
        shared = startup.serving()
        left = shared.disk_mib * MIB - store.held_bytes(self.holder)
        return max(0, min(shared.model_mib * MIB, left))

    def full(self) -> str:
        """Say that there is no room for more files."""
        most = startup.serving().disk_mib / 1024
        return f"your files may have {most:.1f} GiB on this server, and it would be more."

    def receive(self, key: str, path: Path, digest: str, name: str) -> None:
        """Take a file that lies in our folder already, for a widget that asked for it."""
        before = self.sent.get(key)
        self.sent[key] = file = File(str(self.folder / digest), digest, name)
        store.retain(file, self.holder)
        if Path(file.path).exists():  # a worker may hold the one that is there
            path.unlink()
        else:
            path.replace(file.path)
        if before is not None and before.sha256 not in (digest, self.model.file.sha256):
            store.release(before, self.holder)

    def store_upload(self, content: bytes, name: str) -> File:
        """Write an upload to the folder under its hash and return it.

        Raises:
            InputError: When this person has as much here as one may have.
        """
        if len(content) > self.free_bytes():
            raise InputError(f"{name[:60]} was not taken: {self.full()}")
        digest = hashlib.sha256(content).hexdigest()
        path = self.folder / digest
        file = File(str(path), digest, name)
        store.retain(file, self.holder)
        if not path.exists():
            unfinished = path.with_suffix(f".{self.holder}")
            unfinished.write_bytes(content)
            unfinished.replace(path)
        return file

    def add_images(self, files: Sequence[File]) -> None:
        """Take images in hand and show them first, as many as there are columns."""
        fresh = [file for file in files if file.sha256 not in self.known_images()]
        self.images = [*self.images, *fresh]
        first = list(dict.fromkeys(file.sha256 for file in files))
        kept_shown = [digest for digest in self.shown if digest not in first]
        pinned = [self.pinned] if self.pinned in kept_shown else []
        wanted = dict.fromkeys([*pinned, *first, *kept_shown])  # the pinned image stays in sight
        self.shown = list(wanted)[:COLUMNS]
        hidden = len(wanted) - COLUMNS
        if hidden > 0:
            st.toast(
                f"{COLUMNS} images are shown; {hidden} more are in hand, to be chosen at left."
            )

    def draw(self, file: File) -> None:
        """Put a drawing in the place of the one before, or before the other images."""
        old, self.drawing = self.drawing, file
        if old is None or old.sha256 not in self.known_images() or old == file:
            self.add_images([file])
            return
        fresh = {old.sha256: file.sha256}
        self.images = [file if one == old else one for one in self.images]
        self.shown = [fresh.get(digest, digest) for digest in self.shown]
        self.pinned = fresh.get(self.pinned, self.pinned)
        if file.sha256 not in self.shown:
            self.add_images([file])
        store.release(old, self.holder)

    def known_images(self) -> dict[str, File]:
        """Return the images in hand by their hash."""
        return {file.sha256: file for file in self.images}

    def shown_images(self) -> tuple[File, ...]:
        """Return the images of the columns: the pinned one, then the others in their order."""
        known = self.known_images()
        digests = sorted(self.shown, key=lambda digest: digest != self.pinned)
        return tuple(known[digest] for digest in digests if digest in known)

    @property
    def compares(self) -> bool:
        """Whether one image is pinned and others stand beside it."""
        return self.pinned in self.shown and len(self.shown) > 1

    def select_model(self, model: ModelSource, preprocessing: Preprocessing | None = None) -> None:
        """Take a model in hand with its own or other settings; its worker starts when asked."""
        if (model.sha256, model.architecture) != (self.model.sha256, self.model.architecture):
            layers = [key for key in self.choices if key.startswith("layer.")]
            for key in (*OF_THE_MODEL, *layers):
                st.session_state.pop(key, None)
                self.choices.pop(key, None)
                address(key, "")
        if model.sha256 != self.model.sha256:
            self.adapt = None
        self.models = [one for one in self.models if one.sha256 != model.sha256]
        self.models.append(model)
        while len(self.models) > MODELS_KEPT:
            self.release_model(self.models[0])
        self.model, self.preprocessing = model, preprocessing
        self.selections += 1

    def release_model(self, model: ModelSource) -> None:
        """Let go of a model that is not in hand, and of its file where no other model needs it."""
        self.models.remove(model)
        needed = {file.path for one in self.models for file in one.weights}
        for file in model.weights:
            if file.path not in needed:
                store.release(file, self.holder)

    def begin(self, own: Preprocessing) -> None:
        """Take the settings that the server was started with, once the model's own are known.

        Raises:
            InputError: When they do not fit the model.
        """
        adapt, self.adapt = self.adapt, None
        if adapt is not None:
            self.preprocessing = adapt(own)

    def runner(self, model: ModelSource) -> WorkerRunner:
        """Return the runner whose worker holds this model; the oldest other one is ended."""
        digest = model.sha256
        if digest not in self.runners:
            live, first = startup.beginning().live, startup.beginning().model
            is_live = first is not None and model.file == first.file
            self.runners[digest] = WorkerRunner(
                zygote=Live(live) if live and is_live else None,
                owner=self.holder,
                admission=startup.admission(),
            )
        self.runners.move_to_end(digest)
        while len(self.runners) > MODELS_KEPT:
            self.runners.popitem(last=False)[1].close()
        return self.runners[digest]

    def cache_partial(self, result: Result) -> None:
        """Keep what an answer would be if its work ended now."""
        self.partial_results[result.key] = result
        while len(self.partial_results) > SO_FAR_KEPT:
            self.partial_results.popitem(last=False)

    def cache_result(self, result: Result) -> None:
        """Keep an answer for the next rerun."""
        self.results[result.key] = result
        while len(self.results) > ANSWERS_KEPT:
            self.results.popitem(last=False)

    def encoded(self, digest: str, encode: Callable[[], str]) -> str:
        """Return a picture as it was sent before, or encode it and keep it for the next rerun."""
        source = self.pictures.pop(digest, None) or encode()
        self.pictures[digest] = source
        while sum(map(len, self.pictures.values())) > PICTURE_BYTES:
            self.pictures.popitem(last=False)
        return source

    def close(self) -> None:
        """End the workers and let go of the uploads."""
        for runner in self.runners.values():
            runner.close()
        for token in self.tickets.values():
            uploads.revoke(token)
        store.release_all(self.holder)


@st.cache_resource(scope="session", show_spinner=False, on_release=lambda session: session.close())
def current_session() -> Session:
    """Return what this browser session has in hand, begun with the samples of the address."""
    models, images = samples.model_files(), samples.image_files()
    usual = tuple(images[name] for name in samples.FIRST_IMAGES)
    begun = startup.beginning()
    asked = st.query_params.get("model", "")
    holder = secrets.randbits(64)
    named = ModelSource(models[asked]) if asked in models else store.find(asked, holder)
    names = st.query_params.get("images", "").split(",")
    found = [images.get(name) or store.find(name, holder) for name in dict.fromkeys(names)]
    files = [one for one in found if isinstance(one, File)] or [*(begun.images or usual)]
    model = named if isinstance(named, ModelSource) else None
    in_hand = model or begun.model or ModelSource(models[samples.FIRST_MODEL])
    changed = store.find(st.query_params.get("settings", ""), holder)
    is_ours = isinstance(changed, store.Changed) and changed.model == in_hand
    shown = [file.sha256 for file in files][:COLUMNS]
    return Session(
        holder=holder,
        folder=store.uploads(Zygote.start().folder),
        runners=OrderedDict(),
        model=in_hand,
        models=[in_hand],
        images=files,
        shown=shown,
        preprocessing=changed.preprocessing
        if isinstance(changed, store.Changed) and is_ours
        else None,
        adapt=None if model or is_ours else begun.adapt,
        pinned=shown[0] if st.query_params.get("pinned") == "1" and len(shown) > 1 else "",
    )


def share() -> None:
    """Write what is in hand, and how it is looked at, to the address, so that a reload finds it.

    Samples have names; what people brought has ids that only this server can read.
    """
    session = current_session()
    names = {file.sha256: name for name, file in samples.image_files().items()}
    models = {ModelSource(file): name for name, file in samples.model_files().items()}
    known = session.known_images()
    in_order = sorted(session.shown, key=lambda digest: digest != session.pinned)
    shown = [names.get(one) or store.retain(known[one], session.holder) for one in in_order]
    address("model", models.get(session.model) or store.retain(session.model, session.holder))
    address("images", ",".join(shown))
    changed = session.preprocessing and store.Changed(session.model, session.preprocessing)
    address("settings", store.retain(changed, session.holder) if changed else "")
    address("pinned", "1" if session.compares else "")
