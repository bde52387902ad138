"""The Python API: load a model, inspect images, run one method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from diagnostics.data import class_names
from diagnostics.data.samples import file_at, image_folder_at
from diagnostics.execution.local import LocalRunner
from diagnostics.schema.options import Value
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import (
    INSPECT,
    OPEN,
    Factory,
    File,
    ModelSource,
    Request,
    Result,
)
from diagnostics.schema.spec import ModelSpec, read, stated_output


@dataclass(frozen=True)
class LoadedModel:
    """A model in this process, and what is known of it.

    Args:
        source: The weights file and the choices made about it.
        spec: What is known of the model.
        runner: Answers requests about it.
    """

    source: ModelSource
    spec: ModelSpec
    runner: LocalRunner


def load(
    weights: str | Path,
    *,
    architecture: str | None = None,
    classes: str | Path | None = None,
    output: str | None = None,
    factory: str | None = None,
    ema: bool | None = None,
    size: tuple[int, int] | None = None,
) -> LoadedModel:
    """Open a weights file and recognise its network.

    Args:
        weights: A .safetensors file, or a state_dict saved by torch.
        architecture: Which network, where the tensors cannot tell.
        classes: Class names: .txt, .json, .csv, .yaml, or a folder with a folder for each class.
        output: What leaves the network: "logits", "probabilities", "log-probabilities",
            "independent logits" or "independent probabilities"; None looks at its last operation.
        factory: "package.module:function" that returns the network, if it is your own.
        ema: Whether the moving average of the weights is taken, where a checkpoint has both; None
            takes it, as timm does.
        size: Height and width of its images in px, where it takes others than usual.

    Raises:
        InputError: When the file cannot be opened; the text says what to do.
    """
    listed = None if classes is None else class_names.at(Path(classes))
    height, width = size or (None, None)
    source = ModelSource(
        file=file_at(Path(weights)),
        architecture=architecture,
        class_names=listed.names if listed else None,
        class_names_read_as=listed.read_as if listed else "",
        output=output and stated_output(output),
        factory=Factory(factory, str(Path.cwd())) if factory else None,
        ema=ema,
        height=height,
        width=width,
    )
    runner = LocalRunner()
    spec = read(runner.run(Request(OPEN, source)).scores["model"])
    return LoadedModel(source, spec, runner)


def inspect(
    model: LoadedModel,
    images: Sequence[str | Path],
    *,
    top: int = 5,
    layers: Sequence[str] | None = None,
    attributions: Sequence[str] | None = None,
    target: int | None = None,
    against: int | None = None,
    preprocessing: Preprocessing | None = None,
    seed: int = 0,
) -> Result:
    """Return what the network received, predicted, looked at and did for each image.

    Args:
        model: From `load`.
        images: Image files.
        top: How many classes to rank.
        layers: Layers whose maps to return; None takes a representative few.
        attributions: Methods, "family/name?option=value"; None takes gradient and Grad-CAM.
        target: Class to explain; None takes each image's top class.
        against: Class whose logit is subtracted from it; -1 takes the strongest other one.
        preprocessing: How images become pixels; None takes the model's own.
        seed: Of everything random.

    Returns:
        A result whose `scores` follow the JSON schema of the command line and whose `arrays`
        hold every picture's values.

    Raises:
        InputError: When a setting does not fit.
    """
    options: dict[str, Value | tuple[str, ...]] = {"top": top}
    if layers is not None:
        options["layers"] = tuple(layers)
    if attributions is not None:
        options["attributions"] = tuple(attributions)
    request = Request(
        INSPECT, model.source, _files(images), preprocessing, target, against, options
    )
    return model.runner.run(replace(request, seed=seed))


def run(
    method: str,
    model: LoadedModel,
    images: Sequence[str | Path] = (),
    *,
    folder: str | Path | None = None,
    strangers: str | Path | None = None,
    reference: str | Path | None = None,
    target: int | None = None,
    against: int | None = None,
    preprocessing: Preprocessing | None = None,
    seed: int = 0,
    **options: Value,
) -> Result:
    """Run one method on images, on folders of them, or on both.

    Args:
        method: "family/name", as listed by `oversure list`.
        model: From `load`.
        images: Image files.
        folder: Known-good images: a folder, or a .zip or .tar of one.
        strangers: Images that belong to none of the classes, likewise.
        reference: What `oversure reference build` wrote; without it the folder is measured.
        target: Class to explain; None takes each image's top class.
        against: Class whose logit is subtracted from it; -1 takes the strongest other one.
        preprocessing: How images become pixels; None takes the model's own.
        seed: Of everything random.
        options: The method's settings.

    Raises:
        InputError: When a setting does not fit, or the method lacks images.
        NotOfferedError: When this model cannot answer the method.
    """
    request = Request(
        method,
        model.source,
        _files(images),
        preprocessing,
        target,
        against,
        dict(options),
        seed=seed,
        folder=None if folder is None else image_folder_at(Path(folder)),
        ood_folder=None if strangers is None else image_folder_at(Path(strangers)),
        reference=None if reference is None else file_at(Path(reference)),
    )
    return model.runner.run(request)


def why(
    model: LoadedModel,
    images: Sequence[str | Path],
    *,
    folder: str | Path | None = None,
    reference: str | Path | None = None,
    closer: bool = False,
    preprocessing: Preprocessing | None = None,
    seed: int = 0,
) -> Result:
    """Say of every image whether its answer should be trusted, and what explains it.

    Args:
        model: From `load`.
        images: Image files.
        folder: Known-good images: a folder, or a .zip or .tar of one.
        reference: What `oversure reference build` wrote; without it the folder is measured.
        closer: Whether every region is removed and given to other images, and not only those that
            a gradient proposes.
        preprocessing: How images become pixels; None takes the model's own.
        seed: Of everything random.

    Returns:
        A result whose `scores` hold a verdict for each image with its causes, the most certain
        first, and whose `arrays` hold the pictures of every intervention.

    Raises:
        InputError: When a setting does not fit.
    """
    return run(
        "diagnosis/why",
        model,
        images,
        folder=folder,
        reference=reference,
        preprocessing=preprocessing,
        seed=seed,
        closer=closer,
    )


def _files(images: Sequence[str | Path]) -> tuple[File, ...]:
    return tuple(file_at(Path(image)) for image in images)
