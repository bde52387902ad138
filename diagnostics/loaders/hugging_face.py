"""Read image classifiers as Hugging Face keeps them: a folder, or a zip archive of one.

Three files are looked at: config.json, preprocessor_config.json and model.safetensors. Code that
lies beside them is never run, and nothing is downloaded.
"""

from __future__ import annotations

import json
import os
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import constants
from torch import Tensor, nn

from diagnostics.data import class_names
from diagnostics.errors import ClassesError, ModelError, OptionError
from diagnostics.loaders import assumptions, building, safetensors
from diagnostics.loaders.index import COUNTER
from diagnostics.loaders.loaded import LoadedNetwork
from diagnostics.loaders.preview import Preview
from diagnostics.loaders.processor_config import is_read, settings_of
from diagnostics.loaders.registry import loader
from diagnostics.models.ending import Ending
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.spec import Check, Output
from diagnostics.text import line_of
from diagnostics.versions import lacking

CONFIG, PROCESSOR, WEIGHTS = "config.json", "preprocessor_config.json", "model.safetensors"
MAX_CONFIG_MIB = 5
MAX_EXPANSION, MAX_MIB = 20, 8192  # of an archive
INSTALL = "Install what is missing with: pip install 'oversure[huggingface]'."
# Settings that ask for code, for other files, or for other names of settings, wherever they stand.
CODE_SETTINGS = (
    "attn_implementation",
    "attribute_map",
    "auto_map",
    "backbone",
    "backbone_config",
    "checkpoint_path",
    "custom_pipelines",
    "experts_implementation",
    "kernel_config",
    "quantization_config",
    "trust_remote_code",
    "use_kernels",
    "use_timm_backbone",
)
PROBLEMS = {  # that config.json may name; a network without any gives logits
    "multi_label_classification": Ending(
        Output.SIGMOID_LOGITS, "config.json says multi_label_classification"
    ),
    "single_label_classification": Ending(
        Output.LOGITS, "config.json says single_label_classification"
    ),
}
NO_CLASSIFIERS = ("shieldgemma2",)  # that transformers counts among image classifiers
MAX_LAYERS, LAYER_COUNTS = 1000, ("layers", "depth", "blocks", "repeat")
MAX_NUMBER = 1_000_000
MAX_UNHELD = 10_000_000  # values of a network that its file does not hold, before it is built
SUFFIX = "ForImageClassification"


def matches(file: Preview) -> bool:
    """Say whether it is such a folder, or an archive of one."""
    return any(name.split("/")[-1] == CONFIG for name in file.members) and any(
        name.endswith((".safetensors", "pytorch_model.bin", ".safetensors.index.json"))
        for name in file.members
    )


@loader("Hugging Face", matches, files="folders of Hugging Face", brings_network=True)
def read(path: Path) -> LoadedNetwork:
    """Return the network of such a folder, with its labels and its preprocessing.

    Raises:
        ModelError: When it is refused, damaged, or no image classifier.
    """
    folder = _Folder(path)
    config = folder.described(CONFIG)
    for key, value in _settings(config):
        if key in CODE_SETTINGS and value:
            raise ModelError(
                f"The folder's config.json asks for code or types of its own ({key}), which is "
                "never run; save a model that transformers itself knows."
            )
        _check_numbers(key, value)
    if not folder.has(WEIGHTS):
        raise ModelError(
            "The folder holds no model.safetensors in one piece; save it with "
            "model.save_pretrained(folder, max_shard_size='100GB')."
        )
    tensors = safetensors.tensors_of(folder.content(WEIGHTS))
    try:
        if config.get("model_type") in (None, "timm_wrapper"):
            name, network = _of_timm(str(config.get("architecture")), config, tensors)
        else:
            name, network = _of_transformers(config, tensors)
        processor = folder.described(PROCESSOR) if folder.has(PROCESSOR) else {}
        settings = settings_of(processor, config)
    except (OptionError, KeyError, TypeError, ValueError, AttributeError) as error:
        reason = line_of(error)
        raise ModelError(f"The folder's description cannot be used ({reason}).") from None
    message = f"{name}, as config.json says; it takes all {len(tensors)} tensors."
    loaded = assumptions.loaded_network(
        network.eval().requires_grad_(False), name, _sides(settings, config), message
    )
    if settings is not None:
        candidate = replace(loaded.candidate, preprocessing=settings)
        checked = _preprocessing_check(settings, processor, config)
        loaded = LoadedNetwork(network, candidate, (loaded.checks[0], checked))
    names, labels = _class_names(config)
    return replace(
        loaded,
        class_names=names,
        checks=(*loaded.checks, *labels),
        ending=PROBLEMS.get(str(config.get("problem_type"))),
    )


def _check_numbers(key: str, value: Any) -> None:
    """Refuse numbers that no network has, before anything is built of them.

    Raises:
        ModelError: When there is one.
    """
    values = value if isinstance(value, list) else [value]
    numbers = [number for number in values if isinstance(number, int)]
    if any(word in key for word in LAYER_COUNTS) and sum(numbers) > MAX_LAYERS:
        raise ModelError(
            f"{key} is {sum(numbers):,} in config.json; at most {MAX_LAYERS} are built."
        )
    if any(abs(number) > MAX_NUMBER for number in numbers):
        raise ModelError(f"{key} is beyond {MAX_NUMBER:,} in config.json, which no network has.")


def _preprocessing_check(
    settings: Preprocessing, processor: Mapping[str, Any], config: Mapping[str, Any]
) -> Check:
    if not processor or "pretrained_cfg" in config or is_read(processor):
        return Check("preprocessing", "passed", f"As the folder says: {settings.summary}.")
    message = (
        f"Read of {PROCESSOR}: {settings.summary}. Its processor may do more than that; "
        "compare what the network receives with what yours gives."
    )
    return Check("preprocessing", "warned", message)


def _settings(config: Any) -> Iterator[tuple[str, Any]]:
    """Yield every setting with its name, also those inside others."""
    for key, value in config.items():
        yield str(key), value
        if isinstance(value, Mapping):
            yield from _settings(value)


def _sides(settings: Preprocessing | None, config: Mapping[str, Any]) -> list[int | None]:
    """Return channels, height and width of the images; None for what nothing says."""
    if settings is not None:
        return [3 if settings.colour else 1, settings.height, settings.width]
    side = config.get("image_size")
    side = side if isinstance(side, int) else None
    return [int(config.get("num_channels") or 3), side, side]


class _Folder:
    """A folder on disk, or one in a zip archive."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._members: dict[str, str] = {}
        if path.is_dir():
            self._members = {file.name: str(file) for file in path.iterdir() if file.is_file()}
            return
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
            if unpacked > MAX_EXPANSION * path.stat().st_size or unpacked > MAX_MIB * 2**20:
                raise ModelError("The archive unpacks to far more than its size; refused.")
            names = archive.namelist()
            config = min((name for name in names if name.split("/")[-1] == CONFIG), key=len)
            root = config.removesuffix(CONFIG)
            for name in (CONFIG, PROCESSOR, WEIGHTS):
                if names.count(root + name) > 1:
                    raise ModelError("Two of the archive's members have the same name; refused.")
                if root + name in names:
                    self._members[name] = root + name

    def has(self, name: str) -> bool:
        return name in self._members

    def content(self, name: str) -> bytes:
        if self._path.is_dir():
            return Path(self._members[name]).read_bytes()
        try:
            with zipfile.ZipFile(self._path) as archive:
                return archive.read(self._members[name])
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError):
            raise ModelError("The archive is cut off or damaged; zip the folder again.") from None

    def described(self, name: str) -> dict[str, Any]:
        text = self.content(name)
        if len(text) > MAX_CONFIG_MIB * 2**20:
            raise ModelError(f"{name} exceeds {MAX_CONFIG_MIB} MiB; refused.")
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            raise ModelError(f"{name} is damaged; it is no JSON.") from None
        if not isinstance(content, dict):
            raise ModelError(f"{name} is damaged; expected an object.")
        return content


def _of_timm(
    architecture: str, config: Mapping[str, Any], tensors: dict[str, Tensor]
) -> tuple[str, nn.Module]:
    import timm

    if architecture not in timm.list_models():
        raise ModelError(f"timm has no network {architecture[:60]!r}.")
    if config.get("model_args"):
        raise ModelError("The network was built with settings of its own, which are not read.")
    weights = {name.removeprefix("timm_model."): tensor for name, tensor in tensors.items()}
    classes = int(config.get("num_classes") or len(config.get("id2label") or ()) or 1000)
    channels = ((config.get("pretrained_cfg") or {}).get("input_size") or [3])[0]
    name = f"timm/{architecture}"
    with building.unallocated():  # a few names must not cost the memory of a large network
        unallocated = building.build(name, classes, int(channels))
    shapes = {
        key: value.shape
        for key, value in unallocated.state_dict().items()
        if not key.endswith(COUNTER)
    }
    _demand_all(architecture, shapes.keys() - weights.keys(), weights.keys() - shapes.keys())
    for key, shape in shapes.items():
        if weights[key].shape != shape:
            raise ModelError(
                f"The tensors do not fit {architecture}: {key[:60]} is "
                f"{list(weights[key].shape)} in the file and {list(shape)} in the network."
            )
    network = building.build(name, classes, int(channels))
    _load_weights(network, weights, architecture)
    return name, network


def _of_transformers(
    config: Mapping[str, Any], tensors: dict[str, Tensor]
) -> tuple[str, nn.Module]:
    lacks = lacking("huggingface")
    if lacks:
        raise ModelError(f"This is a model of transformers, and {lacks}. {INSTALL}")
    os.environ["HF_HUB_OFFLINE"] = "1"
    constants.HF_HUB_OFFLINE = True  # also where it was imported before
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from transformers import AutoConfig, AutoModelForImageClassification
        from transformers.models.auto import modeling_auto
        from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    kind = str(config.get("model_type"))
    known = modeling_auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES
    named = [str(name) for name in config.get("architectures") or ()]
    other = named and not any(SUFFIX in name for name in named)
    if kind not in known or kind in NO_CLASSIFIERS or other:
        raise ModelError(
            f"The folder holds {', '.join(named)[:80] or kind[:40]}, which is no image classifier; "
            f"expected one whose name ends in {SUFFIX}."
        )
    ignored = ("model_type", "name_or_path", "torch_dtype", "dtype")
    settings = {
        key: value
        for key, value in config.items()
        if not key.startswith("_") and key not in ignored
    }
    try:
        with warnings.catch_warnings(), torch.device("cpu"):
            warnings.simplefilter("ignore")
            built = AutoConfig.for_model(kind, torch_dtype=None, dtype=None, **settings)
            classes: Any = AutoModelForImageClassification._model_mapping[type(built)]
            listed = classes if isinstance(classes, tuple) else (classes,)
            chosen = next((cls for cls in listed if cls.__name__ in named), listed[0])
            _check_size(chosen, built, tensors)
            network, info = chosen.from_pretrained(
                None,
                config=built,
                state_dict=tensors,
                attn_implementation="eager",
                dtype=torch.float32,
                output_loading_info=True,
            )
    except ModelError:
        raise
    except Exception as error:  # whatever a wrong description leads to
        raise ModelError(f"transformers cannot build this {kind} ({line_of(error)}).") from None
    _demand_all(kind, info["missing_keys"], info["unexpected_keys"])
    return f"transformers/{kind}", network


def _check_size(kind: Any, config: Any, tensors: Mapping[str, Tensor]) -> None:
    """Refuse a description of a network that is far larger than the file, before it is built.

    Raises:
        ModelError: When it is.
    """
    try:
        with torch.device("meta"):
            described = sum(parameter.numel() for parameter in kind(config).parameters())
    except Exception:  # some networks compute while they are built, which nothing can here
        return
    held = sum(tensor.numel() for tensor in tensors.values())
    if described - held > MAX_UNHELD:
        raise ModelError(
            f"config.json describes a network of {described:,} values, and model.safetensors "
            f"holds {held:,}; save both together with model.save_pretrained(folder)."
        )


def _load_weights(network: nn.Module, tensors: dict[str, Tensor], name: str) -> None:
    """Give a network its weights, and nothing less."""
    try:
        result = nn.Module.load_state_dict(network, tensors, strict=False)
    except RuntimeError as error:
        line = line_of(error, 160, last=True)
        raise ModelError(f"The tensors do not fit {name}: {line}.") from None
    _demand_all(name, result.missing_keys, result.unexpected_keys)


def _demand_all(name: str, absent: Iterable[str], foreign: Iterable[str]) -> None:
    """Refuse a network that is given less than its weights, or more."""
    missing = sorted(key for key in absent if not key.endswith(COUNTER))
    extra = sorted(key for key in foreign if not key.endswith(COUNTER))
    if missing or extra:
        raise ModelError(
            f"The tensors do not fit {name}: {len(missing)} are missing and {len(extra)} too many, "
            f"first {(missing or extra)[0][:60]}."
        )


def _class_names(config: Mapping[str, Any]) -> tuple[tuple[str, ...] | None, tuple[Check, ...]]:
    """Return the labels in the order of the outputs, where the folder names them."""
    try:
        found = class_names.of_description(config, CONFIG)
    except ClassesError as error:
        return None, (Check("labels", "warned", f"{error.message} Its labels are left out."),)
    return (found.names if found else None), ()
