import numpy as np
import pytest
import torch

from diagnostics.models.classifier import Margin, SharedTrace
from diagnostics.preprocessing.pipeline import network_input
from diagnostics.schema.preprocessing import Preprocessing
from tests.networks_for_tests import FunctionalResidual, classifier, linear, seeded

TARGET = torch.tensor([1, 3])


def model(**settings):
    torch.manual_seed(0)
    return classifier(
        FunctionalResidual(classes=4),
        8,
        3,
        preprocessing=Preprocessing(fit="none", height=8, width=8, **settings),
    )


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"bgr": True},
        {"value_range": 255},
        {"mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6)},
        {"bgr": True, "value_range": 255, "mean": (104.0, 117.0, 123.0)},
    ],
)
def test_the_network_receives_what_the_pipeline_shows(settings):
    classifier = model(**settings)
    pixels = np.random.default_rng(0).random((3, 8, 8), dtype=np.float32)
    values = classifier.network_input(torch.from_numpy(pixels)[None])[0].numpy()
    assert values == pytest.approx(
        network_input(pixels, classifier.preprocessing), rel=1e-6, abs=1e-6
    )


def test_one_backward_pass_serves_pixels_and_layers():
    classifier = model()
    target = torch.tensor([1, 2])
    trace = classifier.trace(torch.rand(2, 3, 8, 8), ["stem", "body"])
    direct = torch.autograd.grad(
        classifier.logits(trace.pixels).gather(1, target[:, None]).sum(), trace.pixels
    )[0]
    assert torch.allclose(trace.pixel_gradient(target), direct, atol=1e-6)
    calls = []
    trace.logits.register_hook(lambda gradient: calls.append(1))
    trace.layer_gradient(target, "body")
    trace.layer_gradient(target, "stem")
    assert calls == []


def test_a_layers_gradient_is_the_change_that_a_small_step_makes():
    classifier = model()
    pixels, target = torch.rand(1, 3, 8, 8), torch.tensor([3])
    trace = classifier.trace(pixels, ["fc", "stem"])
    assert torch.equal(trace.layer_gradient(target, "fc")[0], torch.eye(4)[3])


def test_a_shared_trace_runs_the_network_once():
    classifier = model()
    runs = []
    classifier.network.register_forward_hook(lambda *_: runs.append(1))
    trace = classifier.trace(torch.rand(1, 3, 8, 8), ["stem"])
    shared = SharedTrace(classifier, trace)
    assert shared.trace(trace.pixels, ["stem"]) is trace
    assert len(runs) == 1
    shared.trace(trace.pixels, ["body"])
    assert len(runs) == 2


def test_no_gradient_is_kept_on_the_networks_parameters():
    classifier = model()
    classifier.trace(torch.rand(1, 3, 8, 8), []).pixel_gradient(torch.tensor([0]))
    assert all(parameter.grad is None for parameter in classifier.network.parameters())


def test_an_unknown_layer_is_simply_not_captured():
    assert dict(model().trace(torch.rand(1, 3, 8, 8), ["nothing"]).activations) == {}


def test_a_margin_is_the_difference_of_two_logits():
    network = seeded(linear(64))
    model, images = classifier(network, 8), torch.rand(2, 1, 8, 8)
    margin = Margin(model, 2)
    logits = model.logits(images)
    for row in range(2):
        for index in range(4):
            expected = logits[row, index] - logits[row, 2]
            assert margin.logits(images)[row, index] == pytest.approx(expected.item(), abs=1e-5)
    weights = network[1].weight
    expected = (weights[TARGET] - weights[[2, 2]]).reshape(2, 8, 8)
    assert torch.allclose(margin.trace(images, ()).pixel_gradient(TARGET)[:, 0], expected)
