"""Keras files: the answers, layers and gradients of Keras itself, and nothing that runs code."""

from __future__ import annotations

import json
import re
import zipfile
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch

from diagnostics.cli.main import main
from diagnostics.data.samples import image_files
from diagnostics.errors import ModelError
from diagnostics.execution.executor import Executor
from diagnostics.loaders import keras as loader
from diagnostics.loaders.registry import recognise
from diagnostics.schema.request import INSPECT, File, ModelSource, Request
from diagnostics.schema.spec import read
from diagnostics.worker import WorkerRunner
from tests.loaders.hostile import zipped

keras = pytest.importorskip("keras")
h5py = pytest.importorskip("h5py")

pytestmark = pytest.mark.filterwarnings("ignore")
layers = keras.layers


def sequential(channels=1):
    return keras.Sequential(
        [
            keras.Input((28, 28, channels)),
            layers.Conv2D(6, 3, activation="relu", name="first"),
            layers.BatchNormalization(name="norm"),
            layers.MaxPooling2D(name="pool"),
            layers.Flatten(name="flat"),
            layers.Dropout(0.5, name="drop"),
            layers.Dense(5, name="last"),
        ]
    )


def residual():
    """Two branches, one of them a model of its own."""
    image = keras.Input((16, 16, 3))
    inner = keras.Sequential([layers.Conv2D(4, 3, padding="same", name="inner")], name="branch")
    values = layers.Conv2D(4, 3, padding="same", strides=1, name="stem")(image)
    summed = layers.Add(name="sum")([values, inner(values)])
    pooled = layers.GlobalAveragePooling2D(name="mean")(layers.ReLU(name="relu")(summed))
    return keras.Model(image, layers.Dense(4, activation="softmax", name="head")(pooled))


def scaling():
    return keras.Sequential(
        [keras.Input((32, 32, 3)), layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(3)]
    )


MODELS = {"sequential": sequential, "residual": residual, "scaling": scaling}


@pytest.fixture
def saved(tmp_path):
    def save(model, ending=".keras"):
        path = tmp_path / f"model{ending}"
        model.save(path)
        return path

    return save


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("name", MODELS)
def test_logits_and_gradients_are_those_of_keras(saved, name, ending):
    keras.utils.set_random_seed(1)
    model = MODELS[name]()
    path = saved(model, ending)
    assert recognise(path).read is loader.read
    loaded = loader.read(path)
    images = torch.rand(2, loaded.candidate.channels, *model.input_shape[1:3], requires_grad=True)
    theirs = model(images.permute(0, 2, 3, 1), training=False)
    ours = loaded.network(images)
    assert torch.allclose(ours, theirs, atol=1e-5)
    expected, ours_gradient = (
        torch.autograd.grad(scores[:, 1].sum(), images)[0] for scores in (theirs, ours)
    )
    assert torch.allclose(ours_gradient, expected, atol=1e-5)


def test_a_copy_runs_its_own_layers(saved):
    network, images = loader.read(saved(residual())).network, torch.rand(2, 3, 16, 16)
    before, copy = network(images), deepcopy(network)
    assert torch.equal(copy(images), before)
    with torch.no_grad():
        for weights in copy.parameters():
            weights.zero_()
    assert not copy(images).equal(before)
    assert torch.equal(network(images), before)


def test_every_layer_is_there_under_its_name_with_its_channels_last(saved):
    path = saved(sequential())
    file = File(str(path), "0" * 64, path.name)
    options = {"layers": ("first", "pool", "last"), "attributions": ("attribution/grad_cam",)}
    request = Request(
        INSPECT, ModelSource(file), (image_files()["letter-x-fuzzy"],), options=options
    )
    result = Executor().execute(request)
    spec = read(result.scores["model"])
    assert (spec.format, spec.architecture) == ("Keras", "keras")
    entries = {entry["name"]: entry for entry in result.scores["images"][0]["layers"]}
    assert entries["first"]["shape"] == [26, 26, 6]
    assert result.arrays["0/layer/first"].shape == (6, 26, 26)
    assert result.arrays["0/layer/pool"].shape == (6, 13, 13)
    assert result.arrays["0/layer/last"].shape == (5,)
    assert result.scores["images"][0]["attributions"][0]["layer"] == "pool"


def test_it_opens_in_the_locked_worker(saved):
    path = saved(sequential())
    source = ModelSource(File(str(path), "0" * 64, path.name))
    runner = WorkerRunner()
    result = runner.run(Request(INSPECT, source, (image_files()["letter-x-fuzzy"],)))
    assert len(result.scores["images"][0]["top"]) == 5
    runner.close()


def test_layers_of_models_inside_are_listed_too(saved):
    names = [name for name, _ in loader.read(saved(residual())).network.named_children()]
    assert names == ["stem", "branch/inner", "sum", "relu", "mean", "head"]


def test_layers_of_the_same_name_stay_apart(saved):
    image = keras.Input((16, 16, 3))
    inner = [
        keras.Sequential([layers.Conv2D(4, 3, padding="same", name="conv")], name=name)
        for name in ("left", "right")
    ]
    summed = layers.Add(name="training")([one(image) for one in inner])
    model = keras.Model(image, layers.Dense(4)(layers.GlobalAveragePooling2D()(summed)))
    network = loader.read(saved(model)).network
    names = [name for name, _ in network.named_children()]
    assert {"left/conv", "right/conv", "training_2"} <= set(names)
    assert len(names) == 5


def test_a_network_that_scales_its_images_is_fed_0_to_255(saved):
    loaded = loader.read(saved(scaling()))
    assert loaded.candidate.preprocessing.value_range == 255
    assert any("scales its images itself" in check.message for check in loaded.checks)
    plain = loader.read(saved(sequential()))
    assert plain.candidate.preprocessing.value_range == 1


def changed(path, change):
    """Rewrite the description inside a .keras file."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    change(config)
    members["config.json"] = json.dumps(config).encode()
    path.write_bytes(zipped(members))
    return path


def first(config):
    return config["config"]["layers"][1]


def with_lambda(config):
    function = {"function": {"class_name": "__lambda__"}}
    first(config).update({"class_name": "Lambda", "config": function})


def with_function(config):
    called = {"module": "os", "class_name": "function", "config": "system"}
    first(config)["config"]["activation"] = called


def with_stranger(config):
    first(config).update({"module": "stranger.layers", "class_name": "Dense"})


def registered(config):
    first(config).update({"registered_name": "stranger>Conv2D"})


def in_disguise(config):
    first(config)["config"]["kernel_initializer"] = {"module": "subprocess", "class_name": "Popen"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (with_lambda, "Lambda.*holds code"),
        (with_function, "os.function"),
        (with_stranger, "stranger.layers.Dense, which is no class of Keras"),
        (registered, "Conv2D|stranger"),
        (in_disguise, "subprocess.Popen"),
        (lambda config: first(config).update({"class_name": "TFSMLayer"}), "TFSMLayer"),
        (lambda config: first(config).update({"class_name": "TorchModuleWrapper"}), "TorchModule"),
        (
            lambda config: first(config).update({"class_name": "StringLookup"}),
            "StringLookup, which is not run",
        ),
        (lambda config: first(config)["config"].update({"filters": -3}), "cannot build"),
    ],
)
def test_what_may_hold_code_is_refused_by_name(saved, change, words):
    with pytest.raises(ModelError, match=words):
        loader.read(changed(saved(sequential()), change))


def test_standard_layers_that_compute_images_are_no_code(saved):
    image = keras.Input((16, 16, 3))
    values = layers.RandomBrightness(0.2)(image)
    values = layers.SpectralNormalization(layers.Conv2D(6, 3, padding="same"))(values)
    values = layers.AdaptiveAveragePooling2D(4)(values)
    values = layers.Reshape((16, 6))(values)
    values = layers.RMSNormalization()(values)
    values = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(values)
    values = layers.SpatialDropout1D(0.2)(values)
    values = layers.TimeDistributed(layers.Dense(5))(values)
    model = keras.Model(image, layers.GlobalAveragePooling1D()(values))
    images = np.random.default_rng(0).random((3, 16, 16, 3), np.float32)
    expected = model.predict(images, verbose=0)
    network = loader.read(saved(model)).network
    with torch.no_grad():
        found = network(torch.from_numpy(images).permute(0, 3, 1, 2))
    assert found.numpy() == pytest.approx(expected, abs=1e-5)


def test_code_inside_a_layer_that_wraps_another_is_still_refused(saved):
    model = keras.Sequential(
        [keras.Input((4, 4, 3)), layers.TimeDistributed(layers.Lambda(lambda x: x))]
    )
    with pytest.raises(ModelError, match=r"Lambda.*holds code"):
        loader.read(saved(model))


def test_files_that_hold_more_or_elsewhere_are_refused(saved, tmp_path):
    path = saved(sequential())
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    path.write_bytes(zipped({**members, "../outside.py": b"x"}))
    with pytest.raises(ModelError, match="more than a model"):
        loader.read(path)
    path.write_bytes(zipped({**members, "config.json": b"{}" + b" " * 6 * 2**20}))
    with pytest.raises(ModelError, match="exceeds 5 MiB"):
        loader.read(path)
    deep = b'{"class_name": "Sequential", "config": ' + b"[" * 450 + b"]" * 450 + b"}"
    path.write_bytes(zipped({**members, "config.json": deep}))
    with pytest.raises(ModelError, match=r"too deeply|cannot build"):
        loader.read(path)
    broken = bytearray(zipped(members))
    broken[len(broken) // 2] ^= 255
    path.write_bytes(bytes(broken))
    with pytest.raises(ModelError, match=r"cut off or damaged"):
        loader.read(path)
    bomb = {**members, "config.json": b" " * 4 * 2**20}
    path.write_bytes(zipped(bomb, zipfile.ZIP_DEFLATED))
    with pytest.raises(ModelError, match=r"hundred times|damaged"):
        loader.read(path)
    linked = saved(sequential(), ".h5")
    with h5py.File(linked, "a") as file:
        file["elsewhere"] = h5py.ExternalLink("/etc/passwd", "/")
    with pytest.raises(ModelError, match=r"links to data elsewhere"):
        loader.read(linked)
    outside = saved(sequential(), ".h5")
    with h5py.File(outside, "a") as file:
        file.create_dataset("raw", (4,), "u1", external=[(str(tmp_path / "secret"), 0, 4)])
    with pytest.raises(ModelError, match="data from elsewhere"):
        loader.read(outside)


def test_weights_alone_and_damaged_files_are_named(saved, tmp_path):
    alone = tmp_path / "alone.weights.h5"
    sequential().save_weights(alone)
    with pytest.raises(ModelError, match="weights without their model"):
        loader.read(alone)
    whole = saved(sequential(), ".h5").read_bytes()
    half = tmp_path / "half.h5"
    half.write_bytes(whole[: len(whole) // 3])
    with pytest.raises(ModelError, match="cut off or damaged"):
        loader.read(half)
    random = np.random.default_rng(0)
    for _ in range(60):
        content = bytearray(whole)
        for place in random.integers(0, 4000, 4):
            content[place] = random.integers(0, 256)
        half.write_bytes(bytes(content))
        try:
            loader.read(half)
        except ModelError:
            continue


def test_without_the_packages_the_person_is_told_what_to_install(saved, monkeypatch):
    path = saved(sequential())
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"oversure\[keras\]"):
        loader.read(path)


@pytest.mark.real
def test_a_real_classifier_is_right_about_raw_images_and_wrong_about_others(real_file, capsys):
    model = real_file("cifar-10-model", "cifar_10_model/trained_models/cnn_model.h5")
    one = real_file("foolbox", "foolbox/data/cifar10_00_3.png")
    photos = sorted(Path(one).parent.glob("cifar10_*.png"))
    labels = [int(re.findall(r"\d+", path.stem)[-1]) for path in photos]
    right = {}
    for preset in ("raw", "unit"):
        arguments = ("inspect", str(model), *map(str, photos), "--preset", preset, "--json")
        assert main([*arguments, "--fit", "none"]) == 0
        images = json.loads(capsys.readouterr().out)["images"]
        tops = [image["top"][0]["index"] for image in images]
        right[preset] = sum(map(int.__eq__, tops, labels))
    assert right == {"raw": 20, "unit": 2}
