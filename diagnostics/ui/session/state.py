"""What one browser session has selected and been answered; nobody else holds session state."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import streamlit as st
from cachetools import LRUCache
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.scriptrunner import get_script_run_ctx

from diagnostics.data import samples
from diagnostics.errors import InputError
from diagnostics.report.preprocessing.alert import Alert
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import File, ModelSource, Result
from diagnostics.ui.server import memory, startup, uploads
from diagnostics.ui.session import store
from diagnostics.ui.session.query_params import set_query_param
from diagnostics.worker import Live, WorkerRunner, Zygote

MAX_MODELS = 3
MIB = 2**20
RESULT_BYTES, PARTIAL_BYTES = 128 * MIB, 32 * MIB
SCORES_BYTES = MIB  # that an answer's scores take beside its arrays, about
PICTURE_BYTES = 24 * MIB
MAX_SHOWN = 8
# Widgets whose choices belong to one model.
MODEL_CHOICES = (
    "layers",
    "gallery",
    "deep",
    "class",
    "against",
    "method",
    "query",
    "attack.target",
)


class Runners(LRUCache[str, WorkerRunner]):
    """Runners by the hash of their model; one that makes room for another is closed."""

    def popitem(self) -> tuple[str, WorkerRunner]:
        """Close the least recently used runner, and return it with its model's hash."""
        digest, runner = super().popitem()
        runner.close()
        return digest, runner


class Results(LRUCache[str, Result]):
    """Answers by request key, as many as fit into so many bytes, and the latest in any case."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes, lambda result: min(max_bytes, _size(result)))


def _size(result: Result) -> int:
    """Return about how many bytes an answer takes."""
    return sum(values.nbytes for values in result.arrays.values()) + SCORES_BYTES


@dataclass
class Session:
    """Everything that belongs to one person: files, choices, answers, and workers.

    Args:
        upload_folder: Where uploads lie; only this server may read it.
        owner: Names this session where uploads are stored.
        model: The selected model.
        models: The models selected so far, that one among them, the latest last.
        images: All images, in the order they came.
        shown: Hashes of the images shown, at most `MAX_SHOWN`.
        preprocessing: The person's own settings; None takes the model's.
        preprocessing_adjustment: Makes the first settings of the model; None takes the model's.
        starters: Hashes of the samples that stood there first; they leave when a person's own come.
        refused: Why files that a person brought last were not taken, a sentence each.
        pinned: Hash of the image with which the others are compared; empty for none.
        drawing: What was drawn last.
        choices: What is chosen in the controls that several pages share.
        positions: Where sliders and switches that several pages share stand.
        model_changes: How often a model was selected; forms begin anew with each.
        runners: This session's own workers, one for each model.
        results: Answers by request key.
        partial_results: What a request had computed before it was cancelled, by its key.
        failures: Why a request failed or was cancelled, by request key.
        pictures: Pictures as the browser gets them, by a digest of their pixels.
        tickets: Tickets of the uploads that a page offers, by the widget's key.
        uploaded: Files that came through them and are not in use yet, by the widget's key.
        in_distribution: Known-good images, a folder in one file; None until there are some.
        out_of_distribution: Images that belong to no class, likewise.
        derived_files: Files that were made of them, by the key of the request that made them.
        browser_session: Streamlit's name of the session whose page shows this.
        alert: Where the page says that the preprocessing is known to be wrong.
        alerted: What stands there.
    """

    upload_folder: Path
    owner: int
    model: ModelSource
    models: list[ModelSource]
    images: list[File]
    shown: list[str]
    preprocessing: Preprocessing | None = None
    preprocessing_adjustment: Callable[[Preprocessing], Preprocessing] | None = None
    starters: frozenset[str] = frozenset()
    refused: tuple[str, ...] = ()
    pinned: str = ""
    drawing: File | None = None
    choices: dict[str, str] = field(default_factory=dict)
    positions: dict[str, int] = field(default_factory=dict)
    model_changes: int = 0
    runners: Runners = field(default_factory=lambda: Runners(MAX_MODELS))
    results: Results = field(default_factory=lambda: Results(RESULT_BYTES))
    partial_results: Results = field(default_factory=lambda: Results(PARTIAL_BYTES))
    failures: dict[str, str] = field(default_factory=dict)
    pictures: LRUCache[str, str] = field(default_factory=lambda: LRUCache(PICTURE_BYTES, len))
    tickets: dict[str, str] = field(default_factory=dict)
    uploaded: dict[str, File] = field(default_factory=dict)
    in_distribution: File | None = None
    out_of_distribution: File | None = None
    derived_files: dict[str, File] = field(default_factory=dict)
    browser_session: str = ""
    alert: DeltaGenerator | None = None
    alerted: Alert | None = None

    def free_bytes(self) -> int:
        """Return how many bytes one file may have that this person brings next."""
        limits = startup.server_settings()
        free = limits.disk_mib * MIB - store.retained_bytes(self.owner)
        return max(0, min(limits.model_mib * MIB, free))

    def quota_message(self) -> str:
        """Say that there is no room for more files."""
        quota_gib = startup.server_settings().disk_mib / 1024
        return f"your files may have {quota_gib:.1f} GiB on this server, and it would be more."

    def accept_upload(self, key: str, path: Path, digest: str, name: str) -> None:
        """Accept a file that lies in our folder already, for the widget that it came through."""
        previous = self.uploaded.get(key)
        self.uploaded[key] = file = File(str(self.upload_folder / digest), digest, name)
        store.retain(file, self.owner)
        if Path(file.path).exists():  # a worker may have the one that is there open
            path.unlink()
        else:
            path.replace(file.path)
        if previous is not None and previous.sha256 not in (digest, self.model.file.sha256):
            store.release(previous, self.owner)

    def store_upload(self, content: bytes, name: str) -> File:
        """Write an upload to the folder under its hash and return it.

        Raises:
            InputError: When this person has as much here as one may have.
        """
        if len(content) > self.free_bytes():
            raise InputError(f"{name[:60]} was not taken: {self.quota_message()}")
        digest = hashlib.sha256(content).hexdigest()
        path = self.upload_folder / digest
        file = File(str(path), digest, name)
        store.retain(file, self.owner)
        if not path.exists():
            unfinished = path.with_suffix(f".{self.owner}")
            unfinished.write_bytes(content)
            unfinished.replace(path)
        return file

    def add_images(self, files: Sequence[File]) -> None:
        """Add images and show them first, as many as there are columns."""
        known = self.images_by_hash()
        self.images = [*self.images, *(file for file in files if file.sha256 not in known)]
        added = list(dict.fromkeys(file.sha256 for file in files))
        shown = [digest for digest in self.shown if digest not in added]
        pinned = [self.pinned] if self.pinned in shown else []
        in_order = list(dict.fromkeys([*pinned, *added, *shown]))  # the pinned image stays in sight
        self.shown = in_order[:MAX_SHOWN]

    def add_own_images(self, files: Sequence[File]) -> None:
        """Add images that a person brought; the samples that stood there first leave for them."""
        if files:
            leaving = self.starters - {self.pinned, *(file.sha256 for file in files)}
            self.images = [image for image in self.images if image.sha256 not in leaving]
            self.shown = [digest for digest in self.shown if digest not in leaving]
            self.starters = frozenset()
        self.add_images(files)

    def draw(self, file: File) -> None:
        """Replace the drawing before this one, or add it before the other images."""
        previous, self.drawing = self.drawing, file
        if previous is None or previous == file or previous not in self.images:
            self.add_own_images([file])
            return
        replacement = {previous.sha256: file.sha256}
        self.images = [file if image == previous else image for image in self.images]
        self.shown = [replacement.get(digest, digest) for digest in self.shown]
        self.pinned = replacement.get(self.pinned, self.pinned)
        if file.sha256 not in self.shown:
            self.add_images([file])
        store.release(previous, self.owner)

    def images_by_hash(self) -> dict[str, File]:
        """Return all images by their hash."""
        return {file.sha256: file for file in self.images}

    def shown_images(self) -> tuple[File, ...]:
        """Return the images of the columns: the pinned one, then the others in their order."""
        known = self.images_by_hash()
        digests = sorted(self.shown, key=lambda digest: digest != self.pinned)
        return tuple(known[digest] for digest in digests if digest in known)

    @property
    def is_comparing(self) -> bool:
        """Whether one image is pinned and others stand beside it."""
        return self.pinned in self.shown and len(self.shown) > 1

    def select_model(self, model: ModelSource, preprocessing: Preprocessing | None = None) -> None:
        """Select a model with its own or other settings; its worker starts with the first request.

        Args:
            model: The model.
            preprocessing: Settings other than its own.
        """
        if (model.sha256, model.architecture) != (self.model.sha256, self.model.architecture):
            layers = [key for key in self.choices if key.startswith("layer.")]
            for key in (*MODEL_CHOICES, *layers):
                st.session_state.pop(key, None)
                self.choices.pop(key, None)
                set_query_param(key, "")
        if model.sha256 != self.model.sha256:
            self.preprocessing_adjustment = None
            self._take_known_good(model)
        self.models = [other for other in self.models if other.sha256 != model.sha256]
        self.models.append(model)
        while len(self.models) > MAX_MODELS:
            self.release_model(self.models[0])
        self.model, self.preprocessing = model, preprocessing
        self.model_changes += 1

    def _take_known_good(self, model: ModelSource) -> None:
        """Bring a sample model's known-good images, which leave with it for another model."""
        if self.in_distribution in (None, samples.known_good(self.model.file)):
            self.in_distribution = samples.known_good(model.file)

    def release_model(self, model: ModelSource) -> None:
        """Release a model that is not selected, and its file where no other model needs it."""
        self.models.remove(model)
        needed = {file.path for other in self.models for file in other.weights}
        for file in model.weights:
            if file.path not in needed:
                store.release(file, self.owner)

    def adjust_preprocessing(self, default: Preprocessing) -> None:
        """Take the settings that the server was started with, once the model's are known.

        Args:
            default: The model's preprocessing.

        Raises:
            InputError: When they do not fit the model.
        """
        adjustment, self.preprocessing_adjustment = self.preprocessing_adjustment, None
        if adjustment is not None:
            self.preprocessing = adjustment(default)

    def runner(self, model: ModelSource) -> WorkerRunner:
        """Return the runner whose worker holds this model."""
        digest = model.sha256
        if digest not in self.runners:
            defaults = startup.session_defaults()
            is_live = defaults.model is not None and model.file == defaults.model.file
            self.runners[digest] = WorkerRunner(
                zygote=Live(defaults.live_socket) if defaults.live_socket and is_live else None,
                owner=self.owner,
                admission=startup.admission(),
                engine=startup.server_settings().engine,
            )
        return self.runners[digest]

    def picture_source(self, digest: str, encode: Callable[[], str]) -> str:
        """Return a picture as the browser gets it, encoded at most once while it is in use.

        Args:
            digest: Of the pixels.
            encode: Makes the address of the picture, which holds all of it.
        """
        source = self.pictures.get(digest) or encode()
        with suppress(ValueError):  # larger than the whole cache
            self.pictures[digest] = source
        return source

    def close(self) -> None:
        """End the workers, and release the uploads and what was answered."""
        for runner in self.runners.values():
            runner.close()
        for token in self.tickets.values():
            uploads.revoke(token)
        store.release_all(self.owner)
        for answers in (self.results, self.partial_results, self.pictures):
            answers.clear()  # although something may still refer to this session
        memory.session_ended(self.browser_session)


@st.cache_resource(scope="session", show_spinner=False, on_release=lambda session: session.close())
def current_session() -> Session:
    """Return this browser session, begun with what its address names, or with the samples."""
    owner, defaults, params = secrets.randbits(64), startup.session_defaults(), st.query_params
    named_model = _model_in_address(params.get("model", ""), owner)
    model = named_model or defaults.model or ModelSource(samples.model_files()[samples.FIRST_MODEL])
    images = _images_in_address(params.get("images", ""), owner) or list(defaults.images)
    starters = [samples.image_files()[name] for name in samples.FIRST_IMAGES]
    images = images or starters
    preprocessing = _preprocessing_in_address(params.get("settings", ""), model, owner)
    shown = [file.sha256 for file in images][:MAX_SHOWN]
    is_adjusted = named_model is None and preprocessing is None
    context = get_script_run_ctx()
    return Session(
        owner=owner,
        browser_session=context.session_id if context else "",
        upload_folder=store.upload_folder(Zygote.start().folder),
        model=model,
        models=[model],
        images=images,
        shown=shown,
        starters=frozenset(shown) if images == starters else frozenset(),
        preprocessing=preprocessing,
        in_distribution=defaults.in_distribution or samples.known_good(model.file),
        out_of_distribution=defaults.out_of_distribution,
        preprocessing_adjustment=defaults.preprocessing_adjustment if is_adjusted else None,
        pinned=shown[0] if params.get("pinned") == "1" and len(shown) > 1 else "",
    )


def _model_in_address(name: str, owner: int) -> ModelSource | None:
    """Return the model that a name of a sample or an id stands for."""
    files = samples.model_files()
    model = ModelSource(files[name]) if name in files else store.find(name, owner)
    return model if isinstance(model, ModelSource) else None


def _images_in_address(names: str, owner: int) -> list[File]:
    """Return the images that names of samples and ids stand for, which commas separate."""
    files = samples.image_files()
    images = [
        files.get(name) or store.find(name, owner) for name in dict.fromkeys(names.split(","))
    ]
    return [image for image in images if isinstance(image, File)]


def _preprocessing_in_address(
    identity: str, model: ModelSource, owner: int
) -> Preprocessing | None:
    """Return the edited preprocessing that an id stands for, if it is that of this model."""
    edited = store.find(identity, owner)
    if isinstance(edited, store.EditedPreprocessing) and edited.model == model:
        return edited.preprocessing
    return None


def update_address() -> None:
    """Write the selection to the address, so that a reload finds it.

    Samples have names; what people brought has ids that only this server can read.
    """
    session = current_session()
    model_names = {ModelSource(file): name for name, file in samples.model_files().items()}
    image_names = {file.sha256: name for name, file in samples.image_files().items()}
    model = model_names.get(session.model) or store.retain(session.model, session.owner)
    images = [
        image_names.get(file.sha256) or store.retain(file, session.owner)
        for file in session.shown_images()
    ]
    settings = ""
    if session.preprocessing:
        edited = store.EditedPreprocessing(session.model, session.preprocessing)
        settings = store.retain(edited, session.owner)
    set_query_param("model", model)
    set_query_param("images", ",".join(images))
    set_query_param("settings", settings)
    set_query_param("pinned", "1" if session.is_comparing else "")
