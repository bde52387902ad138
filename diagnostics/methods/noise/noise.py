"""What does the model say of noise?"""

from __future__ import annotations

from typing import Annotated

from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.noise.panel import Panel, split_samples, summary
from diagnostics.methods.registry import method
from diagnostics.schema.options import Range
from diagnostics.schema.results.noise import NoiseAnswer, NoiseFamily


@method(
    "Noise", source="Hein et al. 2019, arXiv:1812.05720; phase scrambling: Oppenheim & Lim 1981"
)
def noise(
    context: Context, *, draws: Annotated[int, Range(8, 1024)] = 64, user_noise: str = ""
) -> Outcome[NoiseAnswer]:
    """How sure the model is of images that show nothing, and which class swallows them.

    Args:
        context: Gives real images to compare with: the folder's, or those in hand.
        draws: How many images of each family.
        user_noise: Hashes of images in hand that are noise a person made, separated by commas.

    Returns:
        For each family and for the real images what was predicted, see `summary`; the grey levels
        of the blank images.
    """
    spec = context.classifier.spec
    real, users = split_samples(context, user_noise)
    panel = Panel(context, real)
    families: list[NoiseFamily] = []
    for index, (name, family) in enumerate(panel.families.items()):
        context.progress(f"Drawing {family.title.lower()}", index / (len(panel.families) + 1))
        families.append(
            NoiseFamily(
                family=name,
                title=family.title,
                description=family.description,
                files=[],
                **summary(panel.logits(name, draws), spec, context.seed),
            )
        )
    for name, title, samples in (("yours", "Your noise", users), ("real", "Real images", real)):
        if samples:
            files, _, features = context.features(samples, title)
            families.append(
                NoiseFamily(
                    family=name,
                    title=title,
                    description="",
                    files=list(files),
                    **summary(features.logits, spec, context.seed),
                )
            )
    return Outcome(
        NoiseAnswer(
            families=families,
            classes=list(spec.class_names),
            levels=panel.levels(draws),
            notes=context.remarks(),
        )
    )
