"""What does the model say of noise?"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from torch import Tensor

from diagnostics.data.folder import UNKNOWN
from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.noise._sink import find_sink
from diagnostics.methods.noise.panel import Panel, split_samples, summary
from diagnostics.methods.registry import method
from diagnostics.metrics.calibration import Floats
from diagnostics.schema.options import Range
from diagnostics.schema.results.noise import NoiseAnswer, NoiseFamily


@method(
    "Noise", source="Hein et al. 2019, arXiv:1812.05720; phase scrambling: Oppenheim & Lim 1981"
)
def noise(
    context: Context, *, draws: Annotated[int, Range(8, 1024)] = 64, user_noise: str = ""
) -> Outcome[NoiseAnswer]:
    """How sure the model is of images that show nothing, and which class they become.

    Args:
        context: Gives real images to compare with: the folder's, or those in hand.
        draws: How many images of each family.
        user_noise: Hashes of images in hand that are noise a person made, separated by commas.

    Returns:
        For each family and for the real images what was predicted, see `summary`; whether the
        class that gets most of the noise is a sink, see `find_sink`; the grey levels of the blank
        images.
    """
    spec = context.classifier.spec
    real, users = split_samples(context, user_noise)
    panel = Panel(context, real)
    families: list[NoiseFamily] = []
    drawn: dict[str, Floats] = {}
    context.classifier.expect(len(panel.families) * draws)
    for index, (name, family) in enumerate(panel.families.items()):
        context.progress(f"Drawing {family.title.lower()}", index / (len(panel.families) + 1))
        logits = panel.logits(name, draws)
        drawn[name], sources = _finite(logits)[0], panel.sources(name)
        families.append(
            NoiseFamily(
                family=name,
                title=family.title,
                description=family.description,
                files=[],
                sources=sources,
                **summary(logits, spec, context.seed, sources),
            )
        )
    of_real, labels = np.zeros((0, len(spec.class_names))), np.zeros(0, np.intp)
    for name, title, samples in (("yours", "Your noise", users), ("real", "Real images", real)):
        if samples:
            files, known, features = context.features(samples, title)
            if name == "real":
                of_real, is_finite = _finite(features.logits)
                labels = known[is_finite].numpy()
            families.append(
                NoiseFamily(
                    family=name,
                    title=title,
                    description="",
                    files=list(files),
                    sources=0,
                    **summary(features.logits, spec, context.seed),
                )
            )
    labelled = (labels != UNKNOWN) & (not spec.output.independent)
    sink = find_sink(drawn, of_real[labelled], labels[labelled], panel.head_bias())
    return Outcome(
        NoiseAnswer(
            families=families,
            sink=sink,
            classes=list(spec.class_names),
            levels=panel.levels(draws),
            notes=context.remarks(),
        )
    )


def _finite(logits: Tensor) -> tuple[Floats, Tensor]:
    """Return the rows without NaN and infinity, and which they are."""
    rows = logits.isfinite().all(1)
    return logits[rows].double().numpy(), rows
