"""The same network written in every format, as its library writes it."""

from __future__ import annotations

import io
import json
import logging
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn


@contextmanager
def quiet() -> Iterator[None]:
    """Let exporters say what they like."""
    logging.disable(logging.WARNING)
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
    logging.disable(logging.NOTSET)


def safetensors(network: nn.Module, shape: tuple[int, ...], path: Path) -> Path:
    save_file(network.state_dict(), path)
    return path


def state_dict(network: nn.Module, shape: tuple[int, ...], path: Path) -> Path:
    torch.save(network.state_dict(), path)
    return path


def legacy(network: nn.Module, shape: tuple[int, ...], path: Path) -> Path:
    torch.save(network.state_dict(), path, _use_new_zipfile_serialization=False)
    return path


def whole(network: nn.Module, shape: tuple[int, ...], path: Path) -> Path:
    torch.save(network, path)
    return path


def onnx(network: nn.Module, shape: tuple[int, ...], path: Path, *, one: bool = False) -> Path:
    axes = None if one else {"images": {0: "n"}, "scores": {0: "n"}}
    with quiet():
        torch.onnx.export(
            network,
            (torch.rand(1, *shape),),
            str(path),
            dynamo=False,
            input_names=["images"],
            output_names=["scores"],
            dynamic_axes=axes,
            opset_version=17,
        )
    return path


def pt2(
    network: nn.Module,
    shape: tuple[int, ...],
    path: Path,
    *,
    batch: int | None = None,
    decomposed: bool = False,
) -> Path:
    axes = {} if batch else {"dynamic_shapes": ({0: torch.export.Dim("n", min=1, max=4096)},)}
    with quiet():
        program = torch.export.export(network, (torch.rand(batch or 2, *shape),), **axes)
        torch.export.save(program.run_decompositions() if decomposed else program, path)
    return path


def torchscript(
    network: nn.Module, shape: tuple[int, ...], path: Path, *, scripted: bool = False
) -> Path:
    with quiet():
        program = (
            torch.jit.script(network)
            if scripted
            else torch.jit.trace(network, torch.rand(2, *shape), check_trace=False)
        )
        torch.jit.save(program, path)
    return path


def hugging_face(network: nn.Module, shape: tuple[int, ...], path: Path) -> Path:
    """Write a network of timm as its makers publish it."""
    settings = network.pretrained_cfg
    config = {
        "architecture": settings["architecture"],
        "num_classes": network.num_classes,
        "label_names": [f"label {index}" for index in range(network.num_classes)],
        "pretrained_cfg": {
            name: settings[name] for name in ("input_size", "mean", "std", "crop_pct")
        },
    }
    weights = path.with_suffix(".safetensors")
    save_file(network.state_dict(), weights)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/config.json", json.dumps(config))
        archive.write(weights, "model/model.safetensors")
        archive.writestr("model/README.md", "Read me.")
    return path


def keras_letters(network: nn.Module, shape: tuple[int, ...], path: Path) -> Path:
    """Write our convolutional letters network as a Keras model with the same weights."""
    import keras
    from keras import layers

    def normal(values: torch.Tensor) -> object:
        return values.detach().numpy()

    model = keras.Sequential([keras.Input((*shape[1:], shape[0]))])
    for number in (1, 2, 3):
        convolution = getattr(network, f"conv{number}")
        pads = number == 3
        model.add(layers.Conv2D(convolution.out_channels, 3, padding="same", name=f"conv{number}"))
        model.add(layers.ReLU(name=f"relu{number}"))
        if pads:
            model.add(layers.ZeroPadding2D(1, name="padded"))
        model.add(layers.MaxPooling2D(2, name=f"pool{number}"))
        kernel = convolution.weight.permute(2, 3, 1, 0)
        model.get_layer(f"conv{number}").set_weights([normal(kernel), normal(convolution.bias)])
    model.add(layers.Permute((3, 1, 2), name="channels_first"))
    model.add(layers.Flatten(name="flatten"))
    for name, activation in (("fc1", "relu"), ("fc2", None)):
        dense = getattr(network, name)
        model.add(layers.Dense(dense.out_features, activation=activation, name=name))
        model.get_layer(name).set_weights([normal(dense.weight.T), normal(dense.bias)])
    model.save(path.with_suffix(".keras"))
    return path.with_suffix(".keras")


def onnx_of_others(network: nn.Module, shape: tuple[int, ...], path: Path) -> Path:
    """Write a network with an operator that only onnxruntime computes, and with its answers."""
    import onnx as format

    model = format.load(onnx(network, shape, path))
    for node in model.graph.node:
        if node.op_type in ("Relu", "Erf"):
            over = node.op_type == "Relu"
            node.op_type = "ThresholdedRelu" if over else node.op_type
            node.attribute.extend([format.helper.make_attribute("alpha", 0.0)] * over)
    if not any(node.op_type == "ThresholdedRelu" for node in model.graph.node):
        last = model.graph.node[-1].output[0]
        for suffix, sign in (("up", 1.0), ("down", -1.0)):  # x = relu(x) - relu(-x)
            constant = format.helper.make_tensor(f"sign {suffix}", 1, [1], [sign])
            model.graph.initializer.append(constant)
            model.graph.node.extend(
                [
                    format.helper.make_node("Mul", [last, f"sign {suffix}"], [f"signed {suffix}"]),
                    format.helper.make_node(
                        "ThresholdedRelu", [f"signed {suffix}"], [suffix], alpha=0.0
                    ),
                ]
            )
        model.graph.node.append(format.helper.make_node("Sub", ["up", "down"], ["both"]))
        model.graph.output[0].name = "both"
    format.save(model, path)
    return path


def pt2_of_two(network: nn.Module, shape: tuple[int, ...], path: Path) -> Path:
    return pt2(network, shape, path, batch=2)


class Branching(nn.Module):
    """A network that is asked in one of two branches, which are the same."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if bool(images.sum() > 0):
            return self.network(images)
        return self.network(images)


def branching(network: nn.Module, shape: tuple[int, ...], path: Path) -> Path:
    with quiet():
        traced = torch.jit.trace(network, torch.rand(2, *shape), check_trace=False)
    return torchscript(Branching(traced).eval(), shape, path, scripted=True)


def keras_vit(path: Path) -> Path:
    """Write a small transformer of patches as a Keras model."""
    import keras
    from keras import layers

    image = keras.Input((16, 16, 3))
    patches = layers.Conv2D(8, 4, strides=4, name="patches")(image)
    tokens = layers.Reshape((16, 8), name="tokens")(patches)
    normal = layers.LayerNormalization(name="normal")(tokens)
    mixed = layers.MultiHeadAttention(2, 4, name="attention")(normal, normal)
    tokens = layers.Add(name="sum")([tokens, mixed])
    pooled = layers.GlobalAveragePooling1D(name="mean")(tokens)
    keras.Model(image, layers.Dense(5, name="head")(pooled)).save(path.with_suffix(".keras"))
    return path.with_suffix(".keras")


def grey_timm(path: Path) -> Path:
    """Write a network of timm for one channel as a folder of Hugging Face."""
    import timm

    network = timm.create_model("test_efficientnet", num_classes=5, in_chans=1).eval()
    network.pretrained_cfg.update(input_size=(1, 160, 160), mean=(0.5,), std=(0.5,))
    return hugging_face(network, (1, 160, 160), path)


WRITERS: dict[str, Callable[..., Path]] = {
    "safetensors": safetensors,
    "state_dict": state_dict,
    "whole module": whole,
    "ONNX": onnx,
    "pt2": pt2,
    "TorchScript": torchscript,
}
