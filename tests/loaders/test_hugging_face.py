"""Folders of Hugging Face: the answers of transformers, their labels, and their preprocessing."""

from __future__ import annotations

import json
import os
import shutil
import zipfile

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from diagnostics.cli.main import main
from diagnostics.data.image import decode
from diagnostics.data.samples import file_at, image_files
from diagnostics.errors import ModelError
from diagnostics.loaders import hugging_face as loader
from diagnostics.loaders import processor_config
from diagnostics.loaders.open import open_model
from diagnostics.loaders.registry import recognise
from diagnostics.models.layers import list_layers
from diagnostics.preprocessing.pipeline import Pipeline, network_input
from diagnostics.schema.request import INSPECT, File, ModelSource, Request
from diagnostics.schema.spec import Need, Output
from diagnostics.worker import WorkerRunner
from tests.loaders import written

os.environ["HF_HUB_OFFLINE"] = "1"
transformers = pytest.importorskip("transformers")

pytestmark = pytest.mark.filterwarnings("ignore")
LABELS = {index: f"thing {index}" for index in range(5)}
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 64}

CONFIGS = {
    "vit": lambda: transformers.ViTConfig(**SMALL, intermediate_size=64, id2label=LABELS),
    "dinov2": lambda: transformers.Dinov2Config(**{**SMALL, "image_size": 56}, num_labels=5),
    "swin": lambda: transformers.SwinConfig(
        image_size=64, embed_dim=12, depths=[1, 1], num_heads=[2, 2], window_size=4, num_labels=5
    ),
    "resnet": lambda: transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], id2label=LABELS
    ),
    "convnext": lambda: transformers.ConvNextConfig(
        hidden_sizes=[8, 16, 32, 64], depths=[1, 1, 1, 1], num_labels=5
    ),
    "beit": lambda: transformers.BeitConfig(**SMALL, intermediate_size=64, num_labels=5),
}


@pytest.fixture
def folder(tmp_path):
    """Return a function that saves a small model; some with how its images are prepared."""

    def save(name, processor=None):
        torch.manual_seed(0)
        model = transformers.AutoModelForImageClassification.from_config(CONFIGS[name]()).eval()
        path = tmp_path / name
        model.save_pretrained(path)
        if processor is not None:
            processor.save_pretrained(path)
        return path, model

    return save


def zipped(folder, place):
    return shutil.make_archive(str(place / "folder"), "zip", folder.parent, folder.name)


def source(path):
    return ModelSource(File(str(path), "0" * 64, "model"))


@pytest.mark.parametrize(
    "packed", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["folder", "zip"]
)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(one, marks=[pytest.mark.slow] * (one not in ("vit", "resnet")))
        for one in CONFIGS
    ],
)
def test_logits_are_those_of_transformers(folder, tmp_path, name, packed):
    path, model = folder(name)
    archive = zipped(path, tmp_path) if packed else path
    opened = open_model(source(archive), ())
    assert opened.spec.format == "Hugging Face"
    assert opened.spec.architecture == f"transformers/{name}"
    images = torch.rand(2, 3, opened.spec.height, opened.spec.width, requires_grad=True)
    theirs = model(images).logits
    ours = opened.network(images).logits
    assert torch.allclose(ours, theirs, atol=1e-5)
    expected, ours = (
        torch.autograd.grad(scores[:, 1].sum(), images)[0] for scores in (theirs, ours)
    )
    assert torch.allclose(ours, expected, atol=1e-5)


def test_labels_come_from_the_folder(folder):
    path, _ = folder("resnet")
    assert open_model(source(path), ()).spec.class_names == tuple(LABELS.values())
    path, _ = folder("convnext")  # whose labels are LABEL_0, LABEL_1, …
    assert open_model(source(path), ()).spec.class_names[0] == "class 0"


def test_attention_of_every_layer_is_heard(folder):
    spec = open_model(source(folder("vit")[0]), ()).spec
    assert Need.ATTENTION in spec.offers
    assert sum(layer.kind == "attention" for layer in spec.layers) == 2


PROCESSORS = {
    "vit": ("vit", lambda: transformers.ViTImageProcessor(size={"height": 64, "width": 64})),
    "convnext": ("convnext", lambda: transformers.ConvNextImageProcessor()),
    "convnext, cropped": (
        "convnext",
        lambda: transformers.ConvNextImageProcessor(size={"shortest_edge": 64}, crop_pct=0.8),
    ),
    "bit": (
        "resnet",
        lambda: transformers.BitImageProcessor(
            size={"shortest_edge": 80}, crop_size={"height": 64, "width": 64}
        ),
    ),
    "half": (
        "resnet",
        lambda: transformers.ViTImageProcessor(
            size={"height": 64, "width": 64}, rescale_factor=1 / 127.5, do_normalize=False
        ),
    ),
    "raw": (
        "resnet",
        lambda: transformers.ViTImageProcessor(
            size={"height": 64, "width": 64}, do_rescale=False, do_normalize=False
        ),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", PROCESSORS)
def test_images_are_prepared_as_the_folder_says(folder, case):
    """Held against transformers' own processor, up to a rounding to bytes while resizing."""
    name, make = PROCESSORS[case]
    processor = make()
    path, _ = folder(name, processor)
    spec = open_model(source(path), ()).spec
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8))
    image = image.resize((240, 180), Image.Resampling.BICUBIC)
    theirs = processor(image, return_tensors="np")["pixel_values"][0]
    content = path / "image.png"
    image.save(content)
    pixels = Pipeline(spec.preprocessing).run(decode(content.read_bytes(), "image.png"))
    ours = network_input(pixels, spec.preprocessing)
    step = np.ptp(theirs) / 255
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 2.5 * step


@pytest.mark.slow
def test_a_network_of_timm_is_read_with_its_settings_and_labels(tmp_path):
    network = timm.create_model("test_vit", num_classes=5).eval()
    path = written.hugging_face(network, (3, 160, 160), tmp_path / "model.zip")
    assert recognise(path).read is loader.read
    opened = open_model(source(path), ())
    assert opened.spec.architecture == "timm/test_vit"
    assert opened.spec.class_names[4] == "label 4"
    assert (opened.spec.height, opened.spec.preprocessing.mean) == (160, (0.5, 0.5, 0.5))
    images = torch.rand(2, 3, 160, 160)
    with torch.no_grad():
        assert torch.allclose(opened.network(images), network(images), atol=1e-6)
    assert len(list_layers(opened.network, images)) > 20


@pytest.mark.slow
def test_it_opens_in_the_locked_worker_and_on_the_command_line(folder, tmp_path, capsys):
    path, _ = folder("vit")
    runner = WorkerRunner()
    request = Request(INSPECT, ModelSource(file_at(path)), (image_files()["letter-x-fuzzy"],))
    assert len(runner.run(request).scores["images"][0]["top"]) == 5
    runner.close()
    assert main(["load", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"]["architecture"] == "transformers/vit"


def test_a_folder_has_another_hash_when_its_weights_change(folder):
    path, _ = folder("resnet")
    before = file_at(path)
    weights = path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"abcd")
    assert file_at(path).sha256 != before.sha256
    assert before.name == "resnet"


def changed(path, **changes):
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, **changes}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"auto_map": {"AutoConfig": "evil.Config"}}, "code"),
        ({"quantization_config": {"bits": 4}}, "code or types"),
        ({"attribute_map": {"architecture": "zz"}}, "code or types"),
        ({"vision_config": {"auto_map": {"a": "b"}}}, "code or types"),
        ({"num_hidden_layers": 10**9}, "at most 1000"),
        ({"model_type": "timm_wrapper", "model_args": {"checkpoint_path": "/x"}}, "code or types"),
        ({"model_type": "timm_wrapper"}, "no network 'None'"),
        ({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}, "LlamaForCausalLM"),
        ({"architectures": ["ResNetModel"]}, "ResNetModel"),
        ({"hidden_sizes": [8, 17]}, "fit|cannot build"),
        ({"model_type": None, "architecture": "no_such_network"}, "no network 'no_such"),
        (
            {"model_type": "timm_wrapper", "architecture": "resnet18", "model_args": {"a": 1}},
            "settings of its own",
        ),
        ({"model_type": "timm_wrapper", "architecture": "hf-hub:someone/evil"}, "no network"),
        ({"num_channels": 64}, "one channel or three|fit|cannot build"),
    ],
)
def test_what_is_no_plain_classifier_is_refused_in_a_sentence(folder, changes, words):
    path, _ = folder("resnet")
    changed(path, **changes)
    with pytest.raises(ModelError, match=words) as caught:
        loader.read(path)
    assert "\n" not in caught.value.message


def test_weights_that_are_pickled_or_missing_are_refused(folder, tmp_path):
    path, _ = folder("resnet")
    (path / "model.safetensors").rename(path / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"no model\.safetensors"):
        loader.read(path)
    (path / "config.json").unlink()
    with pytest.raises(ModelError, match="holds no model"):
        recognise(path)


HOSTILE = {
    "countless labels": ("resnet", {"num_labels": 10**9}, "num_labels is beyond 1,000,000"),
    "countless blocks": ("resnet", {"depths": [1, 10**5]}, "depths is 100,001"),
    "countless layers": ("vit", {"num_hidden_layers": 10**4}, "num_hidden_layers is 10,000"),
    "wide layers": (
        "vit",
        {"hidden_size": 65_536, "num_attention_heads": 2},
        "describes a network",
    ),
    "many patches": ("vit", {"image_size": 65_536, "patch_size": 1}, "describes a network"),
}


@pytest.mark.parametrize(("name", "changes", "words"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_description_far_larger_than_its_weights_is_refused_before_it_is_built(
    folder, monkeypatch, name, changes, words
):
    path, _ = folder(name)
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, **changes}))

    def build(*_args, **_options):
        raise AssertionError("it was built")

    monkeypatch.setattr(transformers.PreTrainedModel, "from_pretrained", build)
    with pytest.raises(ModelError, match=words):
        loader.read(path)


@pytest.mark.parametrize("text", ["[]", "{", "[" * 100_000, '{"model_type": 3}', "null"])
def test_a_damaged_description_is_refused(folder, text):
    path, _ = folder("resnet")
    (path / "config.json").write_text(text)
    with pytest.raises(ModelError):
        loader.read(path)


def test_an_archive_that_unpacks_to_far_more_is_refused(folder, tmp_path):
    path, _ = folder("resnet")
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path / "config.json", "config.json")
        archive.writestr("model.safetensors", bytes(300 * 2**20))
    with pytest.raises(ModelError, match="far more"):
        loader.read(bomb)


def test_without_the_package_the_person_is_told_what_to_install(folder, monkeypatch):
    path, _ = folder("resnet")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"oversure\[huggingface\]"):
        loader.read(path)


def test_every_processor_that_is_read_is_one_of_image_classifiers():
    from transformers.models.auto import image_processing_auto, modeling_auto

    kinds = modeling_auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES
    processors = image_processing_auto.IMAGE_PROCESSOR_MAPPING_NAMES
    names = {name for kind in kinds for name in (processors.get(kind) or {}).values()}
    for read in processor_config.READ:
        assert any(name.startswith(read) for name in names), read


def opened_with(path, **settings):
    """The folder's model, with other settings in its config.json."""
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, **settings}))
    return open_model(source(path), ()).spec


def check_of(spec, name):
    return next((check for check in spec.checks if check.name == name), None)


def test_a_multi_label_model_is_not_read_as_softmax_in_silence(folder):
    path, _ = folder("vit")
    assert open_model(source(path), ()).spec.output is Output.LOGITS
    spec = opened_with(path, problem_type="multi_label_classification")
    assert spec.output is Output.SIGMOID_LOGITS
    assert "config.json says multi_label_classification" in check_of(spec, "output").message
    spec = opened_with(path, problem_type="single_label_classification")
    assert spec.output is Output.LOGITS


def test_labels_with_gaps_or_two_lists_are_left_out_and_said(folder):
    path, _ = folder("vit")
    labels = {str(index): f"thing {index}" for index in (0, 1, 2, 4, 5)}
    spec = opened_with(path, id2label=labels)
    assert spec.class_names == tuple(f"class {index}" for index in range(5))
    assert "3 is missing" in check_of(spec, "labels").message
    whole = {str(index): f"thing {index}" for index in range(5)}
    spec = opened_with(path, id2label=whole, label_names=["e", "d", "c", "b", "a"])
    assert spec.class_names == tuple(f"class {index}" for index in range(5))
    assert "two lists of class names that differ" in check_of(spec, "labels").message
