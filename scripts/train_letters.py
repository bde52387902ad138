"""Train the two sample letter classifiers, measure them, and write weights and figures.

Plain training on purpose: cross-entropy on letters, nothing that teaches the networks what is no
letter. Run from the root of the repository: python scripts/train_letters.py
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from diagnostics.models.sample_networks import NETWORKS  # noqa: E402
from scripts.letters import Face, faces, split  # noqa: E402

FOLDER = ROOT / "sample_images" / "models"
SEED = 0
HELD_OUT = {"text": 0.3, "decorative": 0.15}
STEPS = {"letters_dense": 15000, "letters_conv": 6000}
BATCH = 128
NOISE_DRAWS = 256


def main() -> None:
    training, held = split_faces()
    pixels, letters = stack(training)
    counts = {style: count(out) for style, out in held.items()}
    print(f"training pixels: mean {pixels.mean():.4f}, std {pixels.std():.4f}", flush=True)
    report: dict[str, Any] = {"trained_on": count(training), "held_out": counts, "models": {}}
    for name in ("letters_dense", "letters_conv"):
        network = train(name, pixels, letters)
        save(name, network, name)
        report["models"][name] = _measure(name, network, held, pixels)
        print(name, json.dumps(report["models"][name], indent=1), flush=True)
    (FOLDER / "letters.json").write_text(json.dumps(report, indent=2) + "\n", "utf-8")


def split_faces() -> tuple[list[Face], dict[str, list[Face]]]:
    """Return the faces to train on, and those held out by their style."""
    found, training, held = faces(), [], {}
    for style, share in HELD_OUT.items():
        kept, held[style] = split(found, style, share, SEED)
        training += kept
    return training, held


def save(name: str, network: nn.Module, architecture: str) -> None:
    """Write a network's weights, and what it is."""
    save_file(
        {key: value.contiguous() for key, value in network.state_dict().items()},
        FOLDER / f"{name}.safetensors",
        metadata={"architecture": f"oversure/{architecture}", "classes": " ".join(ascii_lowercase)},
    )


def count(found: list[Face]) -> dict[str, int]:
    """Return how many faces these are, and of how many designs."""
    return {"families": len({face.design for face in found}), "faces": len(found)}


def stack(found: list[Face]) -> tuple[Tensor, Tensor]:
    """Return the letters of faces, shape (n, 1, 28, 28) in [0, 1], and which letter each is."""
    pixels = torch.from_numpy(np.concatenate([face.glyphs for face in found]))[:, None]
    return pixels, torch.arange(26).repeat(len(found))


def train(
    name: str,
    pixels: Tensor,
    letters: Tensor,
    change: Callable[[Tensor, Tensor], Tensor] = lambda batch, rows: batch,
) -> nn.Module:
    """Return a network of that name, trained by cross-entropy on these letters.

    Args:
        name: Of the network.
        pixels: Shape (n, 1, 28, 28) in [0, 1].
        letters: Which letter each is, shape (n,).
        change: Called with every batch and its rows; returns what is shown to the network.
    """
    torch.manual_seed(SEED)
    network = NETWORKS[name].build().train()
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    for _ in range(STEPS[name]):
        rows = torch.randint(len(pixels), (BATCH,))
        logits = network(normalised(name, change(pixels[rows], rows)))
        loss = functional.cross_entropy(logits, letters[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval().requires_grad_(False)


def normalised(name: str, pixels: Tensor) -> Tensor:
    """Return what the network of that name receives for pixels."""
    return (pixels - NETWORKS[name].mean) / NETWORKS[name].std


def _measure(
    name: str, network: nn.Module, held: dict[str, list[Face]], trained_on: Tensor
) -> dict[str, Any]:
    """Measure accuracy on held-out families and confidence on what is no letter."""

    def answer(pixels: Tensor) -> Tensor:
        return network(normalised(name, pixels)).double().softmax(1)

    figures: dict[str, Any] = {}
    for style, found in held.items():
        pixels, letters = stack(found)
        figures[f"accuracy_{style}"] = accuracy(answer, pixels, letters)
        crisp = (pixels > 0.5).float()
        figures[f"accuracy_{style}_crisp"] = accuracy(answer, crisp, letters)
        thin = (pixels > 0.8).float()
        figures[f"accuracy_{style}_crisp_thin"] = accuracy(answer, thin, letters)
    figures["noise"] = {
        kind: _confidence(answer(pixels)) for kind, pixels in _noise(trained_on).items()
    }
    for blank, level in {"black": 0.0, "mid_grey": 0.5}.items():
        figures[f"blank_{blank}"] = _top(answer(torch.full((1, 1, 28, 28), level))[0])
    return figures


def accuracy(answer: Callable[[Tensor], Tensor], pixels: Tensor, letters: Tensor) -> dict[str, Any]:
    """Return how many letters are named rightly, and how sure the wrong answers are."""
    said = answer(pixels)
    right = int((said.argmax(1) == letters).sum())
    wrong = said.argmax(1) != letters
    low, high = wilson(right, len(letters))
    return {
        "right": right,
        "of": len(letters),
        "share": round(right / len(letters), 4),
        "wilson_95": [round(low, 4), round(high, 4)],
        "mean_confidence_when_wrong": round(float(said.amax(1)[wrong].mean()), 4)
        if right < len(letters)
        else None,
    }


def wilson(right: int, of: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a share."""
    z, share = 1.959964, right / of
    middle = share + z * z / (2 * of)
    spread = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return (middle - spread) / (1 + z * z / of), (middle + spread) / (1 + z * z / of)


def _noise(pixels: Tensor) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(SEED)
    shape = (NOISE_DRAWS, 1, 28, 28)
    chosen = pixels[torch.randint(len(pixels), (NOISE_DRAWS,), generator=draw)].flatten(1)
    order = torch.rand(chosen.shape, generator=draw).argsort(1)
    normal = torch.randn(shape, generator=draw) * pixels.std() + pixels.mean()
    return {
        "uniform": torch.rand(shape, generator=draw),
        "gaussian": normal.clamp(0, 1),
        "shuffled_letters": chosen.gather(1, order).reshape(shape),
    }


def _confidence(said: Tensor) -> dict[str, Any]:
    top, classes = said.max(1)
    sink = int(classes.mode().values)
    return {
        "of": len(said),
        "mean_confidence": round(float(top.mean()), 4),
        "share_above_0.99": round(float((top > 0.99).double().mean()), 4),
        "most_frequent": ascii_lowercase[sink],
        "its_share": round(float((classes == sink).double().mean()), 4),
    }


def _top(said: Tensor) -> dict[str, Any]:
    return {"class": ascii_lowercase[int(said.argmax())], "confidence": round(float(said.max()), 4)}


if __name__ == "__main__":
    main()
