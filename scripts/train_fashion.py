"""Train two garment classifiers on Fashion-MNIST, measure them, and write weights and figures.

Plain training on purpose: cross-entropy on garments, nothing that teaches the networks what is no
garment. Needs the Debian package dataset-fashion-mnist. Trains only what is missing; run from the
root of the repository: python scripts/train_fashion.py [--again]
"""

from __future__ import annotations

import argparse
import gzip
import json
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts.fashion_networks import NETWORKS  # noqa: E402

DATA = Path("/usr/share/datasets/fashion-mnist")
FOLDER = ROOT / "benchmarks" / "trained"
FIGURES = FOLDER / "fashion.json"
CLASSES = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
FILES = {"train": "train", "test": "t10k"}
MEAN, STD = 0.2860, 0.3530  # of the training pixels
SEEDS = {"fashion_cnn": 0, "fashion_vit": 0}
EPOCHS = {"fashion_cnn": 5, "fashion_vit": 5}
PEAK = {"fashion_cnn": 4e-3, "fashion_vit": 2e-3}  # learning rate
BATCH, WARM_UP, DECAY, THREADS = 128, 0.1, 0.02, 2


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--again", action="store_true", help="train also what is there already")
    train_missing(again=parser.parse_args().again)


def train_missing(*, again: bool = False) -> None:
    """Train the networks that are not there yet, or all of them again."""
    for name in NETWORKS:
        if again or not _weights(name).exists() or name not in _figures()["networks"]:
            print(name, json.dumps(train(name)), flush=True)


def pixels(split: Literal["train", "test"]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return images, shape (n, 28, 28), 0 to 255, garments light on black, and their labels."""
    images = _idx(DATA / f"{FILES[split]}-images-idx3-ubyte.gz")
    return images, _idx(DATA / f"{FILES[split]}-labels-idx1-ubyte.gz")


def load(name: str) -> nn.Module:
    """Return a trained network, "fashion_cnn" or "fashion_vit", ready to answer.

    It takes `normalised(pixels)`, shape (n, 1, 28, 28).
    """
    if not _weights(name).exists():
        raise FileNotFoundError(f"No {_weights(name)}: run python scripts/train_fashion.py first.")
    network = NETWORKS[name]()
    network.load_state_dict(load_file(_weights(name)))
    return network.eval().requires_grad_(False)


def normalised(images: NDArray[Any]) -> Tensor:
    """Return what the networks take, shape (n, 1, 28, 28), of images of shape (n, 28, 28).

    Args:
        images: uint8 from 0 to 255, or floats from 0 to 1.
    """
    values = torch.from_numpy(images)[:, None]
    values = values.float() / 255 if images.dtype == np.uint8 else values.float()
    return (values - MEAN) / STD


def train(name: str) -> dict[str, Any]:
    """Train one network, write its weights, and return and write its figures."""
    usual = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    torch.manual_seed(SEEDS[name])
    images, labels = pixels("train")
    started = time.perf_counter()
    network = NETWORKS[name]().train()
    fit(network, normalised(images), torch.from_numpy(labels).long(), EPOCHS[name], PEAK[name])
    seconds = time.perf_counter() - started
    FOLDER.mkdir(parents=True, exist_ok=True)
    tensors = {key: value.contiguous() for key, value in network.state_dict().items()}
    save_file(tensors, _weights(name))
    figures = {
        "seed": SEEDS[name],
        "epochs": EPOCHS[name],
        "parameters": sum(values.numel() for values in network.parameters()),
        "accuracy": {split: _accuracy(load(name), split) for split in ("train", "test")},
        "seconds": round(seconds, 1),
    }
    torch.set_num_threads(usual)
    _write(name, figures, images)
    return figures


def fit(network: nn.Module, images: Tensor, labels: Tensor, epochs: int, peak: float) -> None:
    """Train a network with cross-entropy.

    Args:
        network: In training mode.
        images: What it takes, shape (n, 1, 28, 28).
        labels: Index of each image's class.
        epochs: How often it sees every image.
        peak: The highest learning rate.
    """
    steps = epochs * (len(images) // BATCH)
    optimiser = torch.optim.AdamW(network.parameters(), peak, weight_decay=DECAY)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, peak, steps, pct_start=WARM_UP)
    for _ in range(epochs):
        order = torch.randperm(len(images))[: steps // epochs * BATCH]
        for batch in torch.split(order, BATCH):
            loss = functional.cross_entropy(network(images[batch]), labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            rate.step()


@torch.no_grad()
def _accuracy(network: nn.Module, split: Literal["train", "test"]) -> dict[str, Any]:
    images, labels = pixels(split)
    parts = torch.split(normalised(images), 1000)
    said = torch.cat([network(part).argmax(1) for part in parts])
    right = int((said.numpy() == labels).sum())
    return {"right": right, "of": len(labels), "share": round(right / len(labels), 4)}


def _figures() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FIGURES.read_text("utf-8")) if FIGURES.exists() else {}
    return {"networks": {}, **found}


def _write(name: str, figures: dict[str, Any], images: NDArray[np.uint8]) -> None:
    values = images / 255
    report = {
        "classes": CLASSES,
        "training_pixels": {"n": len(images), "mean": values.mean(), "std": values.std()},
        "networks": {**_figures()["networks"], name: figures},
        "threads": THREADS,
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in ("numpy", "safetensors", "torch")},
    }
    FIGURES.write_text(json.dumps(report, indent=2) + "\n", "utf-8")


def _weights(name: str) -> Path:
    return FOLDER / f"{name}.safetensors"


def _idx(path: Path) -> NDArray[np.uint8]:
    """Read an idx file of bytes: a magic number with the count of axes, their sizes, values."""
    if not path.exists():
        raise FileNotFoundError(f"No {path}: install the Debian package dataset-fashion-mnist.")
    content = gzip.decompress(path.read_bytes())
    sizes = np.frombuffer(content, ">i4", content[3], 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(sizes).copy()


if __name__ == "__main__":
    main()
