"""The sample models and images that come with Oversure, and where the app's files lie."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from diagnostics.data.folder import fingerprint
from diagnostics.errors import InputError
from diagnostics.schema.request import File

PACKAGE = Path(__file__).parent.parent
PACKED = PACKAGE / "app"
ROOT = PACKED if PACKED.is_dir() else PACKAGE.parent
IMAGES = ROOT / "sample_images"
MODELS = IMAGES / "models"

FIRST_MODEL = "letters_conv"
MARKED = "letters_marked"
KNOWN = {MARKED: "marked-letters.zip"}  # where a model's known-good images are others
SHOWN = {MARKED: ("letter-p-marked", "letter-x-marked")}  # what a model comes with to be looked at
FIRST_IMAGES = (
    "letter-x-fuzzy",
    "letter-x-thin",
    "letter-p-fuzzy",
    "noise-uniform",
    "blank-black",
)


@cache
def model_files() -> dict[str, File]:
    """Return the sample models by id."""
    return {path.stem: file_at(path) for path in sorted(MODELS.glob("*.safetensors"))}


@cache
def image_files() -> dict[str, File]:
    """Return the sample images by id."""
    return {path.stem: file_at(path) for path in sorted(IMAGES.glob("*.png"))}


@cache
def folders(model: File | None = None) -> dict[str, File]:
    """Return the sample folders by what their images are to a sample model.

    Args:
        model: Its file; None takes the first.
    """
    known = KNOWN.get(Path(model.path).stem if model else "", "known-letters.zip")
    names = {"in_distribution": known, "out_of_distribution": "strange-digits.zip"}
    return {
        role: file_at(IMAGES / name) for role, name in names.items() if (IMAGES / name).exists()
    }


def known_good(model: File) -> File | None:
    """Return the sample folder of a sample model's known-good images; None for any other model."""
    return folders(model).get("in_distribution") if model in model_files().values() else None


def file_at(path: Path) -> File:
    """Return the file at a path with its hash.

    Raises:
        InputError: When there is no readable file.
    """
    if path.is_dir():
        return _folder_at(path)
    try:
        with path.open("rb") as stream:
            return File(
                str(path.resolve()), hashlib.file_digest(stream, "sha256").hexdigest(), path.name
            )
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror}.") from None


def image_folder_at(path: Path) -> File:
    """Return a folder or archive of images with its hash.

    Raises:
        InputError: When there is none.
    """
    if path.is_dir():
        return File(str(path.resolve()), fingerprint(path), path.resolve().name)
    return file_at(path)


def _folder_at(path: Path) -> File:
    """Return a folder, its hash that of the files in it that are read of a model."""
    digest = hashlib.sha256()
    for one in sorted(path.glob("*.json")) + sorted(path.glob("*.safetensors")):
        with one.open("rb") as stream:
            digest.update(one.name.encode() + hashlib.file_digest(stream, "sha256").digest())
    return File(str(path.resolve()), digest.hexdigest(), path.resolve().name)
