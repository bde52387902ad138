"""Read Keras models, .keras and .h5, with torch underneath: no TensorFlow, no code of the file."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from diagnostics.errors import ModelError
from diagnostics.loaders import assumptions
from diagnostics.loaders.loaded import LoadedNetwork
from diagnostics.loaders.preview import Preview
from diagnostics.loaders.registry import loader
from diagnostics.models.layers import module_names
from diagnostics.schema.spec import Candidate, Check, Fit
from diagnostics.text import line_of
from diagnostics.versions import lacking

ARCHITECTURE = "keras"
MAX_CONFIG_MIB, MAX_EXPANSION = 5, 100
HDF5 = b"\x89HDF\r\n\x1a\n"
INSTALL = "Install what is missing with: pip install 'oversure[keras]'."
MEMBERS = {"config.json", "metadata.json", "model.weights.h5"}

# Layers that only compute; what layers they wrap is looked at as well.
LAYERS = {
    "Activation",
    "ActivityRegularization",
    "AdaptiveAveragePooling1D",
    "AdaptiveAveragePooling2D",
    "AdaptiveAveragePooling3D",
    "AdaptiveMaxPooling1D",
    "AdaptiveMaxPooling2D",
    "AdaptiveMaxPooling3D",
    "Add",
    "AdditiveAttention",
    "AlphaDropout",
    "Attention",
    "AugMix",
    "AutoContrast",
    "Average",
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "BatchNormalization",
    "Bidirectional",
    "CategoryEncoding",
    "CenterCrop",
    "Concatenate",
    "ContrastLimitedAdaptiveHistogramEqualization",
    "Conv1D",
    "Conv1DTranspose",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Conv3DTranspose",
    "ConvLSTM1D",
    "ConvLSTM2D",
    "ConvLSTM3D",
    "Cropping1D",
    "Cropping2D",
    "Cropping3D",
    "CutMix",
    "Dense",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "Discretization",
    "Dot",
    "Dropout",
    "ELU",
    "EinsumDense",
    "Embedding",
    "Equalization",
    "Flatten",
    "Functional",
    "GRU",
    "GRUCell",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GlobalMaxPooling3D",
    "GroupNormalization",
    "GroupedQueryAttention",
    "Identity",
    "InputLayer",
    "LSTM",
    "LSTMCell",
    "LayerNormalization",
    "LeakyReLU",
    "Masking",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
    "Maximum",
    "Minimum",
    "MixUp",
    "Model",
    "MultiHeadAttention",
    "Multiply",
    "Normalization",
    "PReLU",
    "Permute",
    "RMSNormalization",
    "RNN",
    "RandAugment",
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomCrop",
    "RandomElasticTransform",
    "RandomErasing",
    "RandomFlip",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomHue",
    "RandomInvert",
    "RandomPerspective",
    "RandomPosterization",
    "RandomRotation",
    "RandomSaturation",
    "RandomSharpness",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "Resizing",
    "SeparableConv1D",
    "SeparableConv2D",
    "Sequential",
    "SimpleRNN",
    "SimpleRNNCell",
    "Softmax",
    "Solarization",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "SpectralNormalization",
    "StackedRNNCells",
    "Subtract",
    "TimeDistributed",
    "UnitNormalization",
    "UpSampling1D",
    "UpSampling2D",
    "UpSampling3D",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "ZeroPadding3D",
}
# Layers of Keras that hold code, or call it.
CODE = {
    "FlaxLayer",
    "JaxLayer",
    "Lambda",
    "SlicingOpLambda",
    "TFOpLambda",
    "TFSMLayer",
    "TorchModuleWrapper",
}
# Parts of layers: how weights begin, what holds them back, in which precision they are.
PARTS = {
    "Constant",
    "DTypePolicy",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "L1",
    "L1L2",
    "L2",
    "LecunNormal",
    "LecunUniform",
    "MaxNorm",
    "MinMaxNorm",
    "NonNeg",
    "Ones",
    "Orthogonal",
    "Policy",
    "RandomNormal",
    "RandomUniform",
    "SeedGenerator",
    "TruncatedNormal",
    "TypedDict",
    "UnitNorm",
    "VarianceScaling",
    "Zeros",
    "__keras_tensor__",
    "__tuple__",
}
MAX_SCALE = 0.02  # of a Rescaling layer that takes values up to 255: 1/255, or 1/127.5


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
        """Copy the whole model, so that the copy's layers are those that it runs."""
        copy = KerasNetwork(deepcopy(self._model[0], memo)).train(self.training)
        for ours, theirs in zip(self.parameters(), copy.parameters(), strict=True):
            theirs.requires_grad_(ours.requires_grad)
        return copy


def matches(file: Preview) -> bool:
    """Say whether it is HDF5, or an archive of a description and of weights in HDF5."""
    zipped = "config.json" in file.members and "model.weights.h5" in file.members
    return file.head.startswith(HDF5) or zipped


@loader("Keras", matches, files="Keras", brings_network=True)
def read(path: Path) -> LoadedNetwork:
    """Return the network of a Keras file.

    Raises:
        ModelError: When the file is refused, damaged, or no network of one image.
    """
    lacks = lacking("keras")
    if lacks:
        raise ModelError(f"This is a Keras model, and {lacks}. {INSTALL}")
    zipped = zipfile.is_zipfile(path)
    config = _zipped_config(path) if zipped else _hdf5_config(path)
    _refuse_code(config)
    model = _load(path, ".keras" if zipped else ".h5")
    sides = model.input_shape
    if not isinstance(sides, tuple) or len(sides) != 4 or sides[3] not in (1, 3):
        raise ModelError(
            "An image classifier takes images of shape [n, h, w, c] with one channel or three; "
            f"this network takes {str(sides)[:80]}."
        )
    network = KerasNetwork(model).eval()
    size, outputs = assumptions.find_input_size(network, sides[3], sides[1], sides[2])
    takes_bytes = _scales_bytes(config)
    settings = assumptions.assumed_preprocessing(size, takes_bytes=takes_bytes)
    message = f"The file holds its network: {len(list(network.children()))} layers."
    candidate = Candidate(ARCHITECTURE, Fit.EXACT, outputs, *size, settings, message)
    checks = [Check("network", "passed", message)]
    if takes_bytes:
        scaled = "The network scales its images itself, so values from 0 to 255 go in."
        checks.append(Check("preprocessing", "passed", scaled))
    else:
        checks += assumptions.assumption_checks(settings, open_size=None in sides[1:3])
    return LoadedNetwork(network, candidate, tuple(checks))


def _refuse_code(config: Any) -> None:
    """Refuse a description that asks for anything but layers that compute.

    Raises:
        ModelError: When it does.
    """
    try:
        classes = sorted(set(_classes(config)) - LAYERS - PARTS)
    except RecursionError:
        raise ModelError("The model's description is nested too deeply; refused.") from None
    if classes:
        named = ", ".join(name[:40] for name in classes[:4])
        raise ModelError(f"The model uses {named}, {_why_refused(classes)}")


def _why_refused(classes: Sequence[str]) -> str:
    """Say what is wrong with classes that are neither known layers nor parts of them."""
    if CODE & set(classes):
        return "which holds code or calls it; build the model from layers that only compute."
    if any("." in name for name in classes):  # with the module that it came from
        return (
            "which is no class of Keras, and its code is not in the file; build the model from "
            "Keras's own layers, or save it as ONNX: model.export('model.onnx', format='onnx')."
        )
    return (
        "which is not run here, where layers compute images; leave it out of the model, or save "
        "that as ONNX: model.export('model.onnx', format='onnx')."
    )


def _layers(model: Any, inside: str = "") -> dict[str, Any]:
    """Return the layers that compute, each once; those inside a model bear its name as well."""
    layers: dict[str, Any] = {}
    for child in model.layers:
        if hasattr(child, "layers"):
            further = _layers(child, f"{inside}{child.name}/")
        else:
            further = {f"{inside}{child.name}": child}
        for name, layer in further.items():
            is_new = not any(layer is known for known in layers.values())
            if is_new and type(layer).__name__ != "InputLayer":
                layers[name] = layer
    return layers


def _scales_bytes(config: Any) -> bool:
    """Say whether a layer of the network brings values from 0 to 255 to about one."""
    if isinstance(config, Mapping):
        scale = (config.get("config") or {}).get("scale") if "class_name" in config else None
        if config.get("class_name") == "Rescaling" and isinstance(scale, int | float):
            return abs(scale) <= MAX_SCALE
        return any(map(_scales_bytes, config.values()))
    return isinstance(config, list) and any(map(_scales_bytes, config))


def _zipped_config(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        unpacked = sum(member.file_size for member in members)
        if not {member.filename for member in members} <= MEMBERS:
            raise ModelError("The .keras file holds more than a model; save it with model.save.")
        if unpacked > MAX_EXPANSION * path.stat().st_size:
            raise ModelError("The .keras file unpacks to a hundred times its size; refused.")
        if archive.getinfo("config.json").file_size > MAX_CONFIG_MIB * 2**20:
            raise ModelError(f"The model's description exceeds {MAX_CONFIG_MIB} MiB; refused.")
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
        name = config.get("class_name")
        if name is not None:
            registered = str(config.get("registered_name") or name).rpartition(">")[2]
            home = str(config.get("module") or "keras")
            known = registered == name and home.split(".")[0] in ("keras", "builtins")
            yield str(name) if known else f"{home}.{registered}"
        for value in config.values():
            yield from _classes(value)
    elif isinstance(config, list):
        for value in config:
            yield from _classes(value)


def _load(path: Path, ending: str) -> Any:
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
            raise ModelError(f"Keras cannot build this model ({line_of(error, 160)}).") from None
    if not hasattr(model, "layers") or not hasattr(model, "input_shape"):
        raise ModelError("The file holds no model of layers.")
    return model
