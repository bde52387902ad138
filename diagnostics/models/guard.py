"""Scores of strangeness, and guards that answer "none of the above", in torch and numpy alone.

This very file is what an exported guard ships as guard.py, so what runs there is what was measured
here. Every score is higher for stranger images. Logits have the shape (n, k), features (n, d);
everything is computed in float64.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

NONE = "none of the above"
GEN_GAMMA, GEN_MOST = 0.1, 100
COMBINED = ("gen", "knn", "mahalanobis", "layer_statistics")
TOLERANCE = 1e-5
DTYPES = {"F64": np.float64, "F32": np.float32, "I64": np.int64, "U8": np.uint8}

Given = tuple[Tensor, Tensor, Tensor]  # logits, features, layers: see `Guard.forward`
Statistics = Mapping[str, Any]  # tensors, and counts such as kNN's k


def msp(logits: Tensor) -> Tensor:
    """Return one minus the largest probability, exact also where that rounds to one.

    Source: Hendrycks & Gimpel 2017, arXiv:1610.02136.
    """
    return _doubts(logits)[1][:, 0]


def entropy(logits: Tensor) -> Tensor:
    """Return the entropy of the probabilities, in nats."""
    log = logits.double().log_softmax(1)
    return -(log.exp() * log).sum(1)


def max_logit(logits: Tensor) -> Tensor:
    """Return minus the largest logit. Source: Hendrycks et al. 2022, arXiv:1911.11132."""
    return -logits.double().amax(1)


def energy(logits: Tensor) -> Tensor:
    """Return minus the log of the summed exponentials. Source: Liu et al. 2020, equation 4."""
    return -logits.double().logsumexp(1)


def gen(logits: Tensor) -> Tensor:
    """Return the generalised entropy of the most probable classes.

    Source: Liu et al. 2023 (GEN), equation 2, summed over the 100 most probable classes.
    """
    probability, distance = _doubts(logits)
    most = min(GEN_MOST, logits.shape[1])
    return (probability * distance)[:, :most].pow(GEN_GAMMA).sum(1)


def scaled_msp(logits: Tensor, fitted: Statistics) -> Tensor:
    """Return `msp` of logits divided by the temperature. Source: Guo et al. 2017, section 4.2."""
    return msp(logits.double() / fitted["temperature"])


def kl_matching(logits: Tensor, fitted: Statistics) -> Tensor:
    """Return the divergence of the probabilities from the nearest class's mean probabilities.

    Source: Hendrycks et al. 2022, arXiv:1911.11132, section 4.2.
    """
    log = logits.double().log_softmax(1)
    own = (log.exp() * log).sum(1, keepdim=True)
    divergences: Tensor = own - log.exp() @ fitted["log_templates"].T
    return divergences.amin(1)


def knn(features: Tensor, fitted: Statistics) -> Tensor:
    """Return the distance to the k-th nearest known feature, all scaled to length one.

    Source: Sun et al. 2022, arXiv:2204.06507, equation 2.
    """
    bank = fitted["bank"]
    nearness = _unit(features.double()) @ bank.T
    kth = nearness.topk(int(fitted["k"]), dim=1).values[:, -1]
    distance: Tensor = (2 - 2 * kth).clamp_min(0).sqrt()
    return distance


def react(features: Tensor, fitted: Statistics) -> Tensor:
    """Return the energy with features cut at their 90th percentile.

    Source: Sun et al. 2021, arXiv:2111.12797, equation 1.
    """
    cut = features.double().minimum(fitted["limit"])
    return energy(cut @ fitted["weight"].T + fitted["bias"])


def vim(logits: Tensor, features: Tensor, fitted: Statistics) -> Tensor:
    """Return the scaled length of the feature outside the known subspace, plus the energy.

    Source: Wang et al. 2022, arXiv:2203.10807, section 4.
    """
    outside = (features.double() - fitted["origin"]) @ fitted["complement"]
    scaled: Tensor = fitted["alpha"] * outside.norm(dim=1) + energy(logits)
    return scaled


def mahalanobis(features: Tensor, fitted: Statistics) -> Tensor:
    """Return the squared distance to the nearest class mean, in units of the shared covariance.

    Source: Lee et al. 2018, arXiv:1807.03888, equation 2.
    """
    return _squared(features, fitted["means"], fitted["whitening"]).amin(1)


def relative_mahalanobis(features: Tensor, fitted: Statistics) -> Tensor:
    """Return `mahalanobis` minus the same distance to all images as one class.

    Source: Ren et al. 2021, arXiv:2106.09022, equation 4.
    """
    whole = _squared(features, fitted["mean"][None], fitted["whole_whitening"])[:, 0]
    return mahalanobis(features, fitted) - whole


def layer_statistics(layers: Tensor, fitted: Statistics) -> Tensor:
    """Return the squared distance of an early layer's means and deviations from the known ones.

    Source: the features of early layers, after Lee et al. 2018, arXiv:1807.03888, section 2.3.
    """
    return _squared(layers, fitted["mean"][None], fitted["whitening"])[:, 0]


def combined(seen: Given, fitted: Statistics) -> Tensor:
    """Return minus the summed logarithms of several scores' p-values among known images.

    So that a rounding cannot make a step, every known score counts through a narrow sigmoid. Beyond
    the strangest known image the p-value falls exponentially, as fast as it did before.

    Source: Fisher 1925, section 21.1, of conformal p-values.
    """
    total = torch.zeros(seen[0].shape[0], dtype=torch.float64, device=seen[0].device)
    for name in COMBINED:
        known = fitted.get(f"{name}__known")
        if known is not None:
            own = {key.removeprefix(f"{name}__"): one for key, one in fitted.items()}
            value = strangeness(name, seen, own)
            as_strange = ((known - value[:, None]) / fitted[f"{name}__width"]).sigmoid().sum(1)
            beyond = (value - known[-1]).clamp_min(0) / fitted[f"{name}__tail"]
            total = total + beyond - ((1 + as_strange) / (known.shape[0] + 1)).log()
    return total


OF_LOGITS = {"msp": msp, "entropy": entropy, "max_logit": max_logit, "energy": energy, "gen": gen}
OF_FITTED_LOGITS = {"scaled_msp": scaled_msp, "kl_matching": kl_matching}
OF_FEATURES = {
    "knn": knn,
    "react": react,
    "mahalanobis": mahalanobis,
    "relative_mahalanobis": relative_mahalanobis,
}


def strangeness(name: str, seen: Given, fitted: Statistics) -> Tensor:
    """Return the score of that name, shape (n,).

    Args:
        name: One of the functions above.
        seen: What the network gave.
        fitted: The score's statistics; empty for a score that needs none.
    """
    logits, features, layers = seen
    if name in OF_LOGITS:
        return OF_LOGITS[name](logits)
    if name in OF_FITTED_LOGITS:
        return OF_FITTED_LOGITS[name](logits, fitted)
    if name in OF_FEATURES:
        return OF_FEATURES[name](features, fitted)
    if name == "vim":
        return vim(logits, features, fitted)
    return (
        layer_statistics(layers, fitted) if name == "layer_statistics" else combined(seen, fitted)
    )


class Guard(nn.Module):
    """Adds one more logit to a row of logits: "none of the above".

    Three kinds. "threshold": it wins exactly where the score exceeds the threshold. "extra_class":
    a linear row of the last layer, learned on features. "discriminator": it wins where a small
    network finds the features of several layers strange.

    Args:
        kind: One of the three.
        score: The threshold's score.
        tensors: Statistics, temperature and threshold, or learned weights, by name.
    """

    def __init__(self, kind: str, score: str, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.kind, self.score, self.names = kind, score, tuple(tensors)
        self.counts = {name: int(one) for name, one in tensors.items() if one.dtype == torch.int64}
        for name, value in tensors.items():
            self.register_buffer(name, value.detach().clone(memory_format=torch.contiguous_format))

    def forward(self, logits: Tensor, features: Tensor, layers: Tensor) -> Tensor:
        """Return logits of shape (n, k + 1), the last one for none of the above.

        Args:
            logits: Shape (n, k).
            features: What the last layer receives, shape (n, d).
            layers: Mean and deviation of every channel of the layers that guard.toml names, side by
                side, shape (n, m).
        """
        fitted: dict[str, Any] = {name: self.get_buffer(name) for name in self.names}
        fitted |= self.counts
        scaled = logits.double() / fitted["guard_temperature"]
        if self.kind == "threshold":
            seen = (logits, features, layers)
            over = strangeness(self.score, seen, fitted) - fitted["guard_threshold"]
            none = scaled.amax(1) + over / fitted["guard_scale"]
        elif self.kind == "extra_class":
            none = features.double() @ fitted["guard_weight"] + fitted["guard_bias"]
        else:
            hidden = (layers.double() - fitted["guard_mean"]) / fitted["guard_std"]
            hidden = (hidden @ fitted["guard_weight_1"].T + fitted["guard_bias_1"]).relu()
            odds = hidden @ fitted["guard_weight_2"] + fitted["guard_bias_2"]
            none = scaled.amax(1) + odds - fitted["guard_threshold"]
        return torch.cat([scaled, none[:, None]], 1)


def load(folder: Path) -> tuple[Guard, dict[str, Any], dict[str, Tensor]]:
    """Read an exported guard: the guard, what guard.toml says, and the tensors of the self-test."""
    about = tomllib.loads((folder / "guard.toml").read_text("utf-8"))
    tensors = read_tensors(folder / "guard.safetensors")
    test = {name.removeprefix("test."): one for name, one in tensors.items() if "test." in name}
    own = {name: one for name, one in tensors.items() if "test." not in name}
    return Guard(about["guard"]["kind"], about["guard"]["score"], own), about, test


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a .safetensors file: the length of a JSON header, the header, then raw values."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header.pop("__metadata__", None)
    found = {}
    for name, one in header.items():
        begin, end = (start + offset for offset in one["data_offsets"])
        values = np.frombuffer(content[begin:end], DTYPES[one["dtype"]]).reshape(one["shape"])
        found[name] = torch.from_numpy(values.copy())
    return found


def self_test(folder: Path) -> float:
    """Answer the test images that lie beside the guard anew; return the largest difference.

    Differences are of probabilities, between this guard's and those noted when it was exported.
    """
    guard, _, test = load(folder)
    answered = guard(test["logits"], test["features"], test["layers"]).softmax(1)
    return float((answered - test["answers"].softmax(1)).abs().max())


def _doubts(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return probabilities, the largest first, and their distances from one."""
    ordered = logits.double().topk(logits.shape[1], dim=1).values
    weights = (ordered - ordered[:, :1]).exp()
    total = weights.sum(1, keepdim=True)
    first = weights[:, 1:].sum(1, keepdim=True)
    return weights / total, torch.cat([first, total - weights[:, 1:]], 1) / total


def _unit(features: Tensor) -> Tensor:
    lengths: Tensor = features.norm(dim=1, keepdim=True)
    return features / lengths.clamp_min(1e-12)


def _squared(features: Tensor, means: Tensor, whitening: Tensor) -> Tensor:
    """Return squared distances, shape (n, means), in the space that whitening makes round."""
    points, centres = features.double() @ whitening, means @ whitening
    squares = (points**2).sum(1, keepdim=True) + (centres**2).sum(1)
    return (squares - 2 * points @ centres.T).clamp_min(0)


if __name__ == "__main__":
    found = self_test(Path(__file__).parent)
    print(f"largest difference {found:.1e}, allowed {TOLERANCE:.0e}")
    sys.exit(0 if found <= TOLERANCE else 1)
