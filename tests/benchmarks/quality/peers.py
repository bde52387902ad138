"""pytorch-ood's scores of the same networks, beside ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_ood.detector import (
    GEN,
    KNN,
    RMD,
    EnergyBased,
    Entropy,
    KLMatching,
    Mahalanobis,
    MaxLogit,
    MaxSoftmax,
    ReAct,
    ViM,
)
from torch import Tensor, nn

from diagnostics.methods.ood.vim import dimensions
from diagnostics.metrics.roc import auroc
from diagnostics.models.features import Features
from diagnostics.reference.statistics import Reference

Scores = Callable[[Features], Any]


def aurocs(reference: Reference, good: Features, others: Mapping[str, Features]) -> dict[str, Any]:
    """Return pytorch-ood's AUROC by score and kind of stranger.

    Args:
        reference: What its detectors are fitted on: the rows that ours are fitted on too.
        good: Held-out known images.
        others: Strangers, by kind.
    """
    found = {}
    for name, score in _detectors(reference).items():
        known = _array(score(good))
        found[name] = {kind: auroc(known, _array(score(seen))) for kind, seen in others.items()}
    return found


def _detectors(reference: Reference) -> dict[str, Scores]:
    fit, moments = reference.fit, reference.sums
    features, labels, logits = fit.outputs.features, fit.labels, fit.outputs.logits
    weight, bias = moments["head_weight"].float(), moments["head_bias"].float()
    head = nn.Linear(*weight.T.shape)
    head.weight.data, head.bias.data = weight, bias
    count, size = features.shape
    neighbours = min(50, max(1, count // 20))
    knn = KNN(None, k=neighbours, normalize=True).fit_features(features, labels)
    vim = ViM(None, d=dimensions(size), w=weight, b=bias).fit_features(features, labels)
    react = ReAct(None, head, percentile=0.9).fit_feature_maps(features, labels)
    matching = KLMatching(None).fit_logits(logits, labels)
    mahalanobis = Mahalanobis(None).fit_features(features, labels)
    relative = RMD(None).fit_features(features, labels)
    return {
        "msp": lambda seen: MaxSoftmax.score(seen.logits),
        "entropy": lambda seen: Entropy.score(seen.logits),
        "max_logit": lambda seen: MaxLogit.score(seen.logits),
        "energy": lambda seen: EnergyBased.score(seen.logits),
        "gen": lambda seen: GEN.score(seen.logits, gamma=0.1, M=min(100, seen.logits.shape[1])),
        "kl_matching": lambda seen: matching.predict_logits(seen.logits),
        "knn": lambda seen: knn.predict_features(seen.features),
        "react": lambda seen: react.predict_feature_maps(seen.features),
        "vim": lambda seen: vim.predict_features(seen.features),
        "mahalanobis": lambda seen: mahalanobis.predict_features(seen.features),
        "relative_mahalanobis": lambda seen: relative.predict_features(seen.features),
    }


def _array(values: Tensor) -> NDArray[np.float64]:
    return torch.as_tensor(values).detach().double().cpu().numpy()
