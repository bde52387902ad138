"""What goes to a model and what comes back: the only things that cross a process border."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from diagnostics.schema.layouts import Size
from diagnostics.schema.options import Value
from diagnostics.schema.preprocessing import Preprocessing

EngineChoice: TypeAlias = Literal["auto", "torch"]
ENGINES: tuple[EngineChoice, ...] = get_args(EngineChoice)

Options: TypeAlias = Mapping[str, Value | tuple[str, ...]]

OPEN = "open"
INSPECT = "inspect"
FIELD = "field"
OPENING = "Opening"  # begins the activity of a progress while a model's file is opened
READ = "read"
FOLDERS = ("folder", "ood_folder", "reference")  # files of a request beside its images
STRONGEST = -1  # against: for each image, the strongest class but the one explained


@dataclass(frozen=True)
class File:
    """A file on disk that a person gave: where it lies, its hash, and the name people know."""

    path: str
    sha256: str
    name: str


@dataclass(frozen=True)
class Factory:
    """A function of the person's own that builds the network: "package.module:function".

    Args:
        name: Module and function.
        folder: Where its package lies.
    """

    name: str
    folder: str


@dataclass(frozen=True)
class ModelSource:
    """A weights file and the choices a person made about it; None means "decide from the file".

    Args:
        file: The weights.
        architecture: Id of the network, see `spec.Candidate`.
        class_names: Names that a person gave, one per output.
        output: What the outputs are, see `spec.Output`.
        factory: Builds the network; None recognises it. Never set by the page.
        programs: Whether a file that is a program may run. Never set by the page.
        modules: Whether a file that is a whole module may be opened.
        others: Models that answer together with this one; the mean of their logits is the answer.
        ema: Whether the moving average of the weights is taken, where a checkpoint has both; None
            takes it, as timm does.
        class_names_read_as: How their list was read, in words; empty where there was none.
        height: Of its images in px, where the file does not tell it.
        width: Of its images in px, where the file does not tell it.
    """

    file: File
    architecture: str | None = None
    class_names: tuple[str, ...] | None = None
    output: str | None = None
    factory: Factory | None = None
    programs: bool = False
    modules: bool = True
    others: tuple[ModelSource, ...] = ()
    ema: bool | None = None
    class_names_read_as: str = ""
    height: int | None = None
    width: int | None = None

    @property
    def members(self) -> tuple[ModelSource, ...]:
        """The models that answer together; this one alone where there are no others."""
        return (replace(self, others=()), *self.others)

    @property
    def size(self) -> Size | None:
        """Height and width that a person states; one alone stands for both."""
        height, width = self.height or self.width, self.width or self.height
        return None if height is None or width is None else (height, width)

    @property
    def weights(self) -> tuple[File, ...]:
        """The files of its weights, of an ensemble those of all its members."""
        return tuple(member.file for member in self.members)

    @property
    def sha256(self) -> str:
        """Hash of the weights; of an ensemble, of all its members' hashes."""
        if not self.others:
            return self.file.sha256
        hashes = " ".join(member.sha256 for member in self.members)
        return hashlib.sha256(hashes.encode()).hexdigest()

    @property
    def name(self) -> str:
        """What people call it: its file, or its members' files without their endings."""
        if not self.others:
            return self.file.name
        return " + ".join(member.name.rpartition(".")[0] or member.name for member in self.members)

    def content(self) -> dict[str, Any]:
        """Return what decides its answers, as JSON; paths and names are not part of it."""
        others = [other.content() for other in self.others]
        return {**asdict(self), "file": self.file.sha256, "others": others}


@dataclass(frozen=True)
class Request:
    """One question to one model about some images.

    Args:
        method: `OPEN`, `INSPECT`, `FIELD`, `READ`, or a method's id "family/name".
        model: The model.
        images: Image files, in the order of the answers.
        preprocessing: How images become pixels; None takes the model's own.
        target: Index of the class to explain; None explains each image's top class.
        against: Index of a class whose logit is subtracted from the explained one's, or
            `STRONGEST`; None explains the logit alone.
        options: The method's settings.
        seed: Seed of everything random.
        folder: Many images at once: a folder, or a .zip or .tar of one.
        ood_folder: Another folder, of images that belong to none of the classes.
        reference: What was measured on known-good images, see `diagnostics.reference.statistics`.
        engine: What computes passes without gradients, see `diagnostics.models.engine`.
    """

    method: str
    model: ModelSource
    images: tuple[File, ...] = ()
    preprocessing: Preprocessing | None = None
    target: int | None = None
    against: int | None = None
    options: Options = field(default_factory=dict)
    seed: int = 0
    folder: File | None = None
    ood_folder: File | None = None
    reference: File | None = None
    engine: EngineChoice = "auto"

    @property
    def files(self) -> tuple[File, ...]:
        """Every file but the first model's that the answer is computed from."""
        others = (getattr(self, name) for name in FOLDERS)
        members = (other.file for other in self.model.others)
        return (*self.images, *members, *(file for file in others if file is not None))

    @property
    def key(self) -> str:
        """Hash of everything that decides the answer; paths and names are not part of it.

        Nor is the engine: one that answers otherwise is not taken.
        """
        content = asdict(self)
        del content["engine"]
        content["model"] = self.model.content()
        content["images"] = [image.sha256 for image in self.images]
        for name in FOLDERS:
            content[name] = content[name] and content[name]["sha256"]
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Result:
    """The answer to a request.

    Args:
        key: Key of the request.
        arrays: Named arrays.
        scores: Everything else, as JSON: the TypedDict of its topic in
            `diagnostics.schema.results`.
        seconds: Time the model's process spent.
        versions: Versions of the libraries that computed it.
        engine: What computed its passes without gradients, in a sentence; empty where nothing is to
            be said.
    """

    key: str
    arrays: Mapping[str, np.ndarray[Any, Any]]
    scores: Any
    seconds: float
    versions: Mapping[str, str]
    engine: str = ""


@dataclass(frozen=True)
class Progress:
    """How far a request is.

    Args:
        activity: What is being done, in words.
        done: Share that is done, 0 to 1.
        seconds_left: Estimate of the time that remains, or None while there is none.
        partial: What would be the answer if the work ended now; None where nothing is new.
    """

    activity: str
    done: float
    seconds_left: float | None = None
    partial: Result | None = None
