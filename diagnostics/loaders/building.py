"""Build a known network by its id, and say how it was published to see its images."""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from diagnostics.models.sample_networks import NETWORKS


class unallocated(TorchFunctionMode):  # noqa: N801
    """While it is open, new weights get a shape and no memory.

    Only what is made empty goes to the meta device; some networks compute their widths with
    small tensors while they are built, and those must stay real.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Send `torch.empty` to the meta device and leave the rest alone."""
        kwargs = {**(kwargs or {}), "device": "meta"} if func is torch.empty else kwargs or {}
        return func(*args, **kwargs)


def build(architecture: str, classes: int, channels: int | None = None) -> nn.Module:
    """Return a network with random weights.

    Args:
        architecture: Id, "library/name".
        classes: Number of outputs.
        channels: Number of input channels; None takes the published number.
    """
    library, _, name = architecture.partition("/")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _BUILDERS[library](name, classes, channels)


def published(architecture: str) -> dict[str, Any]:
    """Return the published input channels, and the settings of the preprocessing."""
    library, _, name = architecture.partition("/")
    return _PUBLISHED[library](name)


def _sample(name: str, classes: int, channels: int | None) -> nn.Module:
    return NETWORKS[name].build(num_classes=classes, in_chans=channels or 1)


def _torchvision(name: str, classes: int, channels: int | None) -> nn.Module:
    from torchvision import models

    settings = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    network: nn.Module = models.get_model(name, weights=None, num_classes=classes, **settings)
    if channels not in (None, 3):
        _replace_first_convolution(network, channels or 3)
    return network


def _timm(name: str, classes: int, channels: int | None) -> nn.Module:
    import timm

    settings: dict[str, Any] = {} if channels is None else {"in_chans": channels}
    network: nn.Module = timm.create_model(name, pretrained=False, num_classes=classes, **settings)
    return network


def _replace_first_convolution(network: nn.Module, channels: int) -> None:
    for path, module in network.named_modules():
        if isinstance(module, nn.Conv2d) and module.in_channels == 3:
            parent, _, name = path.rpartition(".")
            replacement = nn.Conv2d(
                channels,
                module.out_channels,
                module.kernel_size,  # type: ignore[arg-type]
                module.stride,  # type: ignore[arg-type]
                module.padding,  # type: ignore[arg-type]
                module.dilation,  # type: ignore[arg-type]
                bias=module.bias is not None,
            )
            setattr(network.get_submodule(parent), name, replacement)
            return


def _sample_published(name: str) -> dict[str, Any]:
    network = NETWORKS[name]
    return {
        "channels": 1,
        "preprocessing": {
            "colour": False,
            "fit": "stretch",
            "resize_px": network.side,
            "height": network.side,
            "width": network.side,
            "interpolation": "bicubic",
            "mean": (network.mean,),
            "std": (network.std,),
        },
    }


def _torchvision_published(name: str) -> dict[str, Any]:
    from torchvision import models

    try:
        transforms = models.get_model_weights(name).DEFAULT.transforms()
    except AttributeError:
        transforms = models.ResNet18_Weights.DEFAULT.transforms()
    side = transforms.crop_size[0]
    return {
        "channels": 3,
        "preprocessing": {
            "resize_px": transforms.resize_size[0],
            "height": side,
            "width": side,
            "interpolation": transforms.interpolation.value,
            "mean": tuple(transforms.mean),
            "std": tuple(transforms.std),
        },
    }


def _timm_published(name: str) -> dict[str, Any]:
    import timm

    config = timm.models.get_pretrained_cfg(name)
    if config is None:
        raise LookupError("timm has no configuration for it")
    channels, height, width = config.input_size
    kernel = config.interpolation
    squashes = config.crop_mode == "squash"
    return {
        "channels": channels,
        "preprocessing": {
            "colour": channels == 3,
            "fit": "stretch" if squashes else "crop",
            "resize_px": math.floor(min(height, width) / config.crop_pct),
            "height": height,
            "width": width,
            "interpolation": kernel if kernel in ("bilinear", "nearest", "lanczos") else "bicubic",
            "mean": tuple(config.mean),
            "std": tuple(config.std),
        },
    }


_BUILDERS = {"oversure": _sample, "torchvision": _torchvision, "timm": _timm}
_PUBLISHED = {
    "oversure": _sample_published,
    "torchvision": _torchvision_published,
    "timm": _timm_published,
}
