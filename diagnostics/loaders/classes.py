"""Class names for a network's outputs: those that a person gave, or those it is known for."""

from __future__ import annotations

from diagnostics.models.sample_networks import NETWORKS
from diagnostics.schema.spec import Check, numbered_class


def match_names(
    names: tuple[str, ...], outputs: int, read_as: str = ""
) -> tuple[tuple[str, ...], Check]:
    """Return one name per output; numbers stand where the list is too short.

    Args:
        names: In the order of the outputs.
        outputs: How many there are.
        read_as: How the list of names was read; empty where there was no list.
    """
    count, how = len(names), f", read as {read_as}" if read_as else ""
    if count == outputs:
        message = f"{outputs} class names for {outputs} outputs{how}."
        return names, Check("classes", "passed", message)
    padded = (*names[:outputs], *map(numbered_class, range(count, outputs)))
    message = (
        f"{count} class names for {outputs} outputs{how}: the names may be shifted; give a list "
        f"of {outputs}."
    )
    return padded, Check("classes", "warned", message)


def known_names(architecture: str, outputs: int) -> tuple[tuple[str, ...], Check]:
    """Return the names a network is known for: letters, digits, ImageNet-1k, or numbers."""
    library, _, name = architecture.partition("/")
    if library == "oversure" and len(NETWORKS[name].class_names) == outputs:
        return match_names(NETWORKS[name].class_names, outputs)
    if library != "oversure" and outputs == 1000:
        message = "1000 outputs: ImageNet-1k names in torchvision's order are assumed."
        return imagenet_names(), Check("classes", "passed", message)
    numbers = tuple(map(numbered_class, range(outputs)))
    message = f"No names are known for {outputs} outputs; give a list of class names."
    return numbers, Check("classes", "warned", message)


def imagenet_names() -> tuple[str, ...]:
    """Return the 1000 ImageNet names in torchvision's order."""
    from torchvision.models import ResNet18_Weights

    return tuple(ResNet18_Weights.DEFAULT.meta["categories"])
