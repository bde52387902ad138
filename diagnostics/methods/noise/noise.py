"""What does the model say of noise?"""

from __future__ import annotations

from typing import Annotated, Any

from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.noise.panel import Panel, sorted_out, summary
from diagnostics.methods.registry import method
from diagnostics.schema.options import Range


@method(
    "Noise", source="Hein et al. 2019, arXiv:1812.05720; phase scrambling: Oppenheim & Lim 1981"
)
def noise(
    context: Context, *, draws: Annotated[int, Range(8, 1024)] = 64, made: str = ""
) -> Outcome[Any]:
    """How sure the model is of images that show nothing, and which class swallows them.

    Args:
        context: Gives real images to compare with: the folder's, or those in hand.
        draws: How many images of each family.
        made: Hashes of images in hand that are noise a person made, separated by commas.

    Returns:
        For each family and for the real images what was said of them, see `summary`; the grey
        levels of the blank images.
    """
    spec = context.classifier.spec
    real, theirs = sorted_out(context, made)
    panel = Panel(context, real)
    found: list[dict[str, Any]] = []
    for place, (name, family) in enumerate(panel.families.items()):
        context.progress(f"Drawing {family.title.lower()}", place / (len(panel.families) + 1))
        said = summary(panel.answers(name, draws), spec, context.seed)
        found.append({"family": name, "title": family.title, "about": family.sentence, **said})
    for name, title, pictures in (("yours", "Your noise", theirs), ("real", "Real images", real)):
        if pictures:
            names, _, seen = context.features(pictures, title)
            said = summary(seen.logits, spec, context.seed)
            found.append({"family": name, "title": title, "about": "", "files": names, **said})
    said = {"families": found, "classes": list(spec.class_names), "levels": panel.levels(draws)}
    return Outcome({**said, "notes": context.remarks()})
