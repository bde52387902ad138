"""Read what `torch.save(model.state_dict(), …)` wrote, and checkpoints that hold one."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from diagnostics.errors import ModelError
from diagnostics.loaders import archive, pickle_names, refusals
from diagnostics.loaders.preview import Preview, preview
from diagnostics.loaders.registry import loader
from diagnostics.loaders.weights import Weights, holds_tensors, unwrapped
from diagnostics.text import line_of


def matches(file: Preview) -> bool:
    """Say whether torch pickled it, and it is a dict or names nothing but plain tensors."""
    return file.foreign_names is not None and (file.is_checkpoint or not file.foreign_names)


@loader("state_dict", matches, files="state_dicts")
def read(path: Path) -> Weights:
    """Return the tensors of a file that torch saved.

    The file is opened with `weights_only=True`, always, and never again with less. What a
    checkpoint keeps beside its tensors, such as the settings of the training, is not made.

    Raises:
        ModelError: When the file cannot be read so, or holds no state_dict.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as file:
            archive.checked(file, path)
    foreign = preview(path).foreign_names or ()
    stand_ins: list[Any] = [
        (pickle_names.stand_in(name), name.replace(" ", ".")) for name in sorted(foreign)
    ]
    try:
        with (
            torch.serialization.safe_globals(stand_ins),
            torch.sparse.check_sparse_tensor_invariants(),  # type: ignore[no-untyped-call]
        ):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except ModelError as error:
        raise ModelError(f"{error.message} {refusals.SAVE}") from None
    except pickle.UnpicklingError:
        raise ModelError(
            f"The file holds more than tensors and settings, which is not opened. {refusals.SAVE}"
        ) from None
    except Exception as error:
        raise ModelError(
            f"torch cannot read this file as plain weights ({line_of(error, 100)}). {refusals.SAVE}"
        ) from None
    if foreign and not holds_tensors(content):
        raise ModelError(refusals.foreign(foreign))
    return unwrapped(content)
