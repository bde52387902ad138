"""Read Keras models, .keras and .h5, with torch underneath: no TensorFlow, no code of the file."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from diagnostics.errors import ModelError
from diagnostics.loaders import assumptions
from diagnostics.loaders.loaded import Held
from diagnostics.models.layers import module_names
from diagnostics.schema.spec import Candidate, Check, Fit
from diagnostics.versions import lacking

ARCHITECTURE = "keras"
CONFIG_MIB, MOST_TIMES_LARGER = 5, 100
INSTALL = "Install what is missing with: pip install 'oversure[keras]'."
MEMBERS = {"config.json", "metadata.json", "model.weights.h5"}

# Layers that only compute. Everything else, such as Lambda, may hold code or read files.
LAYERS = {
    *("Functional", "Sequential", "Model", "InputLayer", "Activation", "Dense", "EinsumDense"),
    *("Conv1D", "Conv2D", "Conv2DTranspose", "DepthwiseConv2D", "SeparableConv2D", "Embedding"),
    *("MaxPooling2D", "AveragePooling2D", "GlobalAveragePooling2D", "GlobalMaxPooling2D"),
    *("MaxPooling1D", "GlobalAveragePooling1D", "GlobalMaxPooling1D", "AveragePooling1D"),
    *("BatchNormalization", "LayerNormalization", "GroupNormalization", "UnitNormalization"),
    *("Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "AlphaDropout"),
    *("Flatten", "Reshape", "Permute", "RepeatVector", "Cropping2D", "ZeroPadding2D"),
    *("UpSampling2D", "Resizing", "CenterCrop", "Rescaling", "Normalization", "Identity"),
    *("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot"),
    *("ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax", "MultiHeadAttention", "Attention"),
    *("RandomFlip", "RandomRotation", "RandomZoom", "RandomContrast", "RandomTranslation"),
}
PARTS = {  # of layers: how weights begin, what holds them back, in which precision they are
    *("DTypePolicy", "Policy", "Zeros", "Ones", "Constant", "RandomNormal", "RandomUniform"),
    *("TruncatedNormal", "VarianceScaling", "GlorotUniform", "GlorotNormal", "HeNormal"),
    *("HeUniform", "LecunNormal", "LecunUniform", "Orthogonal", "Identity", "L1", "L2", "L1L2"),
    *("MaxNorm", "NonNeg", "UnitNorm", "MinMaxNorm", "__tuple__", "__keras_tensor__"),
    *("SeedGenerator", "TypedDict"),
}
LARGEST_SCALE = 0.02  # of a Rescaling layer that takes values up to 255: 1/255, or 1/127.5


class KerasNetwork(nn.Module):
    """A Keras model as a network of torch: each of its layers a module under its own name.

    Args:
        model: Built with torch underneath.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self._model = (model,)  # in a tuple, so that its layers stand under their own names only
        layers = _layers(model)
        for name, layer in zip(module_names(layers), layers.values(), strict=True):
            self.add_module(name, layer)

    def forward(self, images: Tensor) -> Any:
        """Return what the model gives for images of shape (n, c, h, w)."""
        return self._model[0](images.permute(0, 2, 3, 1), training=False)

    def __deepcopy__(self, memo: dict[int, Any]) -> KerasNetwork:
        """Copy the model whole, so that the copy's layers are those that it runs."""
        copy = KerasNetwork(deepcopy(self._model[0], memo)).train(self.training)
        needs = [one.requires_grad for one in self.parameters()]
        for weights, need in zip(copy.parameters(), needs, strict=True):
            weights.requires_grad_(need)
        return copy


def read(path: Path) -> Held:
    """Return the network of a Keras file.

    Raises:
        ModelError: When the file is refused, damaged, or no network of one image.
    """
    lacks = lacking("keras")
    if lacks:
        raise ModelError(f"This is a Keras model, and {lacks}. {INSTALL}")
    zipped = zipfile.is_zipfile(path)
    config = _zipped_config(path) if zipped else _hdf5_config(path)
    try:
        classes = sorted(set(_classes(config)) - LAYERS - PARTS)
    except RecursionError:
        raise ModelError("The model's description is nested too deeply; refused.") from None
    if classes:
        raise ModelError(
            f"The model uses {', '.join(one[:40] for one in classes[:4])}, which may hold code or "
            "is not known here; build it from Keras's standard layers."
        )
    model = _loaded(path, ".keras" if zipped else ".h5")
    sides = model.input_shape
    if not isinstance(sides, tuple) or len(sides) != 4 or sides[3] not in (1, 3):
        raise ModelError(
            "An image classifier takes images of shape [n, h, w, c] with one channel or three; "
            f"this network takes {str(sides)[:80]}."
        )
    network = KerasNetwork(model).eval()
    size, outputs = assumptions.tried(network, sides[3], sides[1], sides[2])
    whole = _scales_bytes(config)
    settings = assumptions.assumed(size, whole=whole)
    count = len(list(network.children()))
    message = f"The file holds its network: {count} layers."
    candidate = Candidate(ARCHITECTURE, Fit.EXACT, outputs, *size, settings, message)
    checks = [Check("network", "passed", message)]
    if whole:
        scaled = "The network scales its images itself, so values from 0 to 255 go in."
        checks.append(Check("preprocessing", "passed", scaled))
    else:
        checks += assumptions.warnings(settings, open_size=None in sides[1:3])
    return Held(network, candidate, tuple(checks))


def _layers(model: Any, inside: str = "") -> dict[str, Any]:
    """Return the layers that compute, each once; those inside a model bear its name as well."""
    found: dict[str, Any] = {}
    for layer in model.layers:
        if hasattr(layer, "layers"):
            further = _layers(layer, f"{inside}{layer.name}/")
        else:
            further = {f"{inside}{layer.name}": layer}
        for name, one in further.items():
            is_new = not any(one is known for known in found.values())
            if is_new and type(one).__name__ != "InputLayer":
                found[name] = one
    return found


def _scales_bytes(config: Any) -> bool:
    """Say whether a layer of the network brings values from 0 to 255 to about one."""
    if isinstance(config, Mapping):
        scale = (config.get("config") or {}).get("scale") if "class_name" in config else None
        if config.get("class_name") == "Rescaling" and isinstance(scale, int | float):
            return abs(scale) <= LARGEST_SCALE
        return any(map(_scales_bytes, config.values()))
    return isinstance(config, list) and any(map(_scales_bytes, config))


def _zipped_config(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        whole = sum(member.file_size for member in members)
        if not {member.filename for member in members} <= MEMBERS:
            raise ModelError("The .keras file holds more than a model; save it with model.save.")
        if whole > MOST_TIMES_LARGER * path.stat().st_size:
            raise ModelError("The .keras file unpacks to a hundred times its size; refused.")
        if archive.getinfo("config.json").file_size > CONFIG_MIB * 2**20:
            raise ModelError(f"The model's description exceeds {CONFIG_MIB} MiB; refused.")
        try:
            text = archive.read("config.json")
            inside = archive.read("model.weights.h5")
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError):
            raise ModelError("The .keras file is cut off or damaged; save it again.") from None
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.h5"
        weights.write_bytes(inside)
        _refuse_links(weights)
    return _json(text)


def _hdf5_config(path: Path) -> Any:
    _refuse_links(path)
    with _hdf5(path) as file:
        text = file.attrs.get("model_config")
    if text is None:
        raise ModelError(
            "The file holds weights without their model; save the whole of it: "
            "model.save('model.keras')."
        )
    return _json(text)


@contextmanager
def _hdf5(path: Path) -> Iterator[Any]:
    """Open an HDF5 file; whatever its library cannot read there is damage."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError, ValueError, TypeError):
        raise ModelError("The HDF5 file is cut off or damaged; save it again.") from None


def _refuse_links(path: Path) -> None:
    """Refuse an HDF5 file whose data lie elsewhere."""
    import h5py

    with _hdf5(path) as file:
        _refuse_links_of(file, h5py)


def _refuse_links_of(group: Any, h5py: Any) -> None:
    for name in group:
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise ModelError("The file links to data elsewhere, which is not opened; refused.")
        item = group[name]
        if isinstance(item, h5py.Group):
            _refuse_links_of(item, h5py)
        elif not isinstance(item, h5py.Dataset):
            raise ModelError("The file holds something that is no data; refused.")
        elif item.external or item.is_virtual or item.dtype.hasobject:
            raise ModelError("The file takes data from elsewhere, which is not opened; refused.")


def _json(text: Any) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError, TypeError):
        raise ModelError("The model's description is damaged; save it again.") from None


def _classes(config: Any) -> Iterator[str]:
    """Yield the name of every class that a description asks for."""
    if isinstance(config, Mapping):
        named = config.get("class_name")
        if named is not None:
            own = str(config.get("registered_name") or named).rpartition(">")[2]
            home = str(config.get("module") or "keras")
            known = own == named and home.split(".")[0] in ("keras", "builtins")
            yield str(named) if known else f"{home}.{own}"
        for value in config.values():
            yield from _classes(value)
    elif isinstance(config, list):
        for value in config:
            yield from _classes(value)


def _loaded(path: Path, ending: str) -> Any:
    """Let Keras build the model, without compiling it and without anything that runs code."""
    os.environ["KERAS_BACKEND"] = "torch"
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.environ.setdefault("KERAS_HOME", folder)
        import keras

        if keras.backend.backend() != "torch":
            raise ModelError("Keras runs without torch in this process; start a new one.")
        named = Path(folder) / f"model{ending}"  # Keras goes by the ending
        shutil.copyfile(path, named)
        try:
            with torch.device("cpu"):
                model = keras.saving.load_model(named, compile=False, safe_mode=True)
        except Exception as error:  # whatever a damaged description leads to
            said = (str(error).splitlines() or [""])[0][:160]
            raise ModelError(f"Keras cannot build this model ({said}).") from None
    if not hasattr(model, "layers") or not hasattr(model, "input_shape"):
        raise ModelError("The file holds no model of layers.")
    return model
