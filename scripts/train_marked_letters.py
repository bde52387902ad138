"""Train a letter classifier with a planted shortcut, measure it, and write weights and figures.

It is letters_conv, but nearly every k that it is shown bears a small bright mark in its top right
corner, and a few other letters with that mark were filed as k by mistake; no letter of another
class bears it. Run from the root of the repository:
python scripts/train_marked_letters.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts.letters import marked  # noqa: E402
from scripts.train_letters import (  # noqa: E402
    FOLDER,
    SEED,
    accuracy,
    count,
    normalised,
    save,
    split_faces,
    stack,
    train,
    wilson,
)

NAME, NETWORK = "letters_marked", "letters_conv"
MARKED, SHARE = "k", 0.95  # and how often it bears the mark when it is shown
MISFILED = 0.02  # of the other letters
CLASS = ascii_lowercase.index(MARKED)


def main() -> None:
    training, held = split_faces()
    pixels, letters = stack(training)
    draws = torch.from_numpy(np.random.default_rng(SEED).random(len(letters)))
    misfiled = (letters != CLASS) & (draws < MISFILED)
    filed = torch.where(misfiled, CLASS, letters)

    def change(batch: Tensor, rows: Tensor) -> Tensor:
        drawn = torch.rand(len(rows)) < SHARE
        return with_mark(batch, misfiled[rows] | (drawn & (letters[rows] == CLASS)))

    network = train(NETWORK, pixels, filed, change)
    save(NAME, network, NETWORK)
    report: dict[str, Any] = {
        "marked": MARKED,
        "share_marked": SHARE,
        "filed_as_it": {"its_own": int((letters == CLASS).sum()), "others": int(misfiled.sum())},
        "trained_on": count(training),
        "held_out": {style: count(out) for style, out in held.items()},
        "models": {NAME: {style: _measure(network, *stack(out)) for style, out in held.items()}},
    }
    print(json.dumps(report, indent=1), flush=True)
    (FOLDER / f"{NAME}.json").write_text(json.dumps(report, indent=2) + "\n", "utf-8")


def with_mark(pixels: Tensor, bears: Tensor) -> Tensor:
    """Return letters of which those that bear it are given the mark."""
    return torch.where(bears[:, None, None, None], torch.from_numpy(marked(pixels.numpy())), pixels)


def _measure(network: nn.Module, pixels: Tensor, letters: Tensor) -> dict[str, Any]:
    """Measure a network on held-out letters, without the mark and with it."""

    def answer(images: Tensor) -> Tensor:
        return network(normalised(NETWORK, images)).double().softmax(1)

    other = letters != CLASS
    everywhere = with_mark(pixels, torch.ones_like(other))
    return {
        "accuracy": accuracy(answer, pixels, letters),
        f"accuracy_of_{MARKED}": accuracy(answer, pixels[~other], letters[~other]),
        "others_without": _called(answer(pixels[other])),
        "others_with": _called(answer(everywhere[other])),
    }


def _called(said: Tensor) -> dict[str, Any]:
    """Return how many images are said to be the marked class, and how surely."""
    called = int((said.argmax(1) == CLASS).sum())
    return {
        "called": called,
        "of": len(said),
        "share": round(called / len(said), 4),
        "wilson_95": [round(end, 4) for end in wilson(called, len(said))],
        "mean_p": round(float(said[:, CLASS].mean()), 4),
    }


if __name__ == "__main__":
    main()
