"""What a preprocessor_config.json of Hugging Face, or timm's own settings, say of the images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diagnostics.schema.preprocessing import Kernel, Preprocessing

KERNELS: dict[int, Kernel] = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box"}
# Processors that do just what is read here of their settings; others do something else.
READ = (
    "Beit",
    "Bit",
    "CLIP",
    "ConvNext",
    "MobileNetV1",
    "MobileNetV2",
    "PvtImage",
    "Segformer",
    "Siglip",
    "ViT",
)
CONVNEXT_CROPS_BELOW_PX = 384  # from there on its processor stretches
BYTE_RANGE = 1 / 255


def settings_of(processor: Mapping[str, Any], config: Mapping[str, Any]) -> Preprocessing | None:
    """Return how images become what the network receives; None where nothing says so.

    Args:
        processor: Content of preprocessor_config.json; empty where there is none.
        config: Content of config.json, in which timm keeps its settings.

    Raises:
        OptionError: When a setting is out of range.
    """
    if "pretrained_cfg" in config:
        return _of_timm(config["pretrained_cfg"])
    if not processor:
        return None
    size, crop = _sides(processor.get("size")), _sides(processor.get("crop_size"))
    shortest = _shortest(processor.get("size"))
    crops = bool(processor.get("do_center_crop", crop is not None and shortest is not None))
    share = processor.get("crop_pct")
    if isinstance(share, int | float) and shortest:  # as ConvNeXt does
        crops, crop = shortest < CONVNEXT_CROPS_BELOW_PX, (shortest, shortest)
        size, shortest = (None, int(shortest / share)) if crops else (crop, None)
    input_size = (crop if crops else None) or size or (shortest and (shortest, shortest))
    if not input_size:
        return None
    factor = (
        processor.get("rescale_factor", BYTE_RANGE) if processor.get("do_rescale", True) else 1.0
    )
    normalises = processor.get("do_normalize", True)
    mean = processor.get("image_mean") or [0.5] if normalises else [0.0]
    std = processor.get("image_std") or [0.5] if normalises else [1.0]
    channels = max(len(mean), len(std), 1) if normalises else 3
    kernel = processor.get("resample")
    raw = abs(factor - BYTE_RANGE) > BYTE_RANGE / 100
    units = factor if raw else 1.0
    return Preprocessing(
        colour=channels == 3,
        fit="crop" if crops or size is None else "stretch",
        resize_px=shortest or min(size or input_size),
        height=int(input_size[0]),
        width=int(input_size[1]),
        interpolation=KERNELS[2 if kernel is None else int(kernel)],
        bgr=bool(processor.get("do_flip_channel_order")),
        value_range=255 if raw else 1,
        mean=_spread(mean, channels, units),
        std=_spread(std, channels, units),
    )


def is_read(processor: Mapping[str, Any]) -> bool:
    """Say whether a processor does just what is read of its settings."""
    kind = str(processor.get("image_processor_type") or processor.get("feature_extractor_type"))
    plain = not processor.get("rescale_offset") and not processor.get("include_top")
    return kind.startswith(READ) and plain


def _of_timm(settings: Mapping[str, Any]) -> Preprocessing:
    channels, height, width = settings["input_size"]
    kernel = settings.get("interpolation", "bicubic")
    squashes = settings.get("crop_mode") == "squash"
    return Preprocessing(
        colour=channels == 3,
        fit="stretch" if squashes else "crop",
        resize_px=int(min(height, width) / settings.get("crop_pct", 0.875)),
        height=height,
        width=width,
        interpolation=kernel if kernel in KERNELS.values() else "bicubic",
        mean=tuple(settings["mean"]),
        std=tuple(settings["std"]),
    )


def _sides(size: Any) -> tuple[int, int] | None:
    """Return height and width, which older files give as one number."""
    if isinstance(size, int):
        return size, size
    if isinstance(size, Mapping) and {"height", "width"} <= size.keys():
        return int(size["height"]), int(size["width"])
    return None


def _shortest(size: Any) -> int | None:
    return (
        int(size["shortest_edge"])
        if isinstance(size, Mapping) and "shortest_edge" in size
        else None
    )


def _spread(values: list[float], channels: int, units: float) -> tuple[float, ...]:
    """Return one value per channel, in the units in which the network is fed."""
    spread = list(values) * channels if len(values) == 1 else values
    return tuple(float(value) / units for value in spread)
