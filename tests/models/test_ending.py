"""What a network ends in decides what its numbers are; their values alone deceive."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from diagnostics.models.ending import ending_of_graph, ending_of_scores
from diagnostics.models.graph import Graph, Node
from diagnostics.models.graph.operators import ONNX
from diagnostics.models.outputs import recognise
from diagnostics.schema.spec import Output

PIXELS = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def recorded(function, classes=3):
    """What a network ends in that gives a function of its logits."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, classes))
    scores = function(network(PIXELS.clone().requires_grad_()))
    return ending_of_scores(scores), recognise(scores.detach(), ending_of_scores(scores))


def two_class_column(x):
    return x.softmax(1)[:, 1:2]


SEEN = {
    "weights": (lambda x: x, Output.LOGITS),
    "relu": (torch.relu, Output.LOGITS),
    "tanh": (torch.tanh, Output.LOGITS),
    "temperature": (lambda x: x / 3 + 1, Output.LOGITS),
    "mean of two": (lambda x: torch.stack([x, x * 2]).mean(0), Output.LOGITS),
    "softmax": (lambda x: x.softmax(1), Output.PROBABILITIES),
    "softmax, rearranged": (
        lambda x: x.softmax(1)[:, :, None].squeeze(2).clone(), Output.PROBABILITIES,
    ),
    "softmax in two parts": (
        lambda x: torch.cat([x[:4].softmax(1), x[4:].softmax(1)]), Output.PROBABILITIES,
    ),
    "softmax, clipped": (lambda x: x.softmax(1).clamp(1e-7, 1 - 1e-7), Output.PROBABILITIES),
    "log-softmax": (lambda x: x.log_softmax(1), Output.LOG_PROBABILITIES),
    "log of softmax": (lambda x: x.softmax(1).log(), Output.LOG_PROBABILITIES),
    "sigmoid": (torch.sigmoid, Output.SIGMOID_PROBABILITIES),
    "hard sigmoid": (nn.functional.hardsigmoid, Output.SIGMOID_PROBABILITIES),
}  # fmt: skip


@pytest.mark.parametrize("name", SEEN)
def test_the_last_operation_tells_what_leaves_the_network(name):
    function, output = SEEN[name]
    ending, (found, checks) = recorded(function)
    assert ending is not None
    assert (ending.output, found) == (output, output)
    assert checks[0].status == "passed"


UNSEEN = {
    "softmax by hand": (lambda x: x.exp() / x.exp().sum(1, keepdim=True), Output.PROBABILITIES),
    "sigmoid by hand": (lambda x: 1 / (1 + (-x).exp()), Output.SIGMOID_PROBABILITIES),
    "sigmoid by tanh": (lambda x: (x.tanh() + 1) / 2, Output.SIGMOID_PROBABILITIES),
    "mean of softmaxes": (
        lambda x: (x.softmax(1) + (x * 2).softmax(1)) / 2, Output.PROBABILITIES,
    ),
    "shares": (lambda x: x.square() / x.square().sum(1, keepdim=True), Output.PROBABILITIES),
    "clipped": (lambda x: x.clamp(0, 1), Output.SIGMOID_PROBABILITIES),
    "log-softmax by hand": (
        lambda x: x - x.logsumexp(1, keepdim=True), Output.LOG_PROBABILITIES,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNSEEN)
def test_what_the_last_operation_does_not_tell_is_read_from_values_with_may_be(name):
    function, output = UNSEEN[name]
    ending, (found, checks) = recorded(lambda x: function(x + 0.3))
    assert ending is None
    assert found is output
    assert checks[0].status == "warned"
    assert "may be" in checks[0].message
    assert "--output" in checks[0].message


def test_one_column_of_a_softmax_over_two_classes_is_a_probability():
    _, (found, checks) = recorded(two_class_column, classes=2)
    assert found is Output.SIGMOID_PROBABILITIES
    assert checks[0].status == "passed"


def test_a_softmax_over_the_wrong_axis_is_not_taken_for_probabilities_of_classes():
    _, (found, _) = recorded(lambda x: x.softmax(0))
    assert found is not Output.PROBABILITIES


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: x.softmax(1).softmax(1), "softmax of a softmax"),
        (lambda x: x.softmax(1).log_softmax(1), "log-softmax of a softmax"),
        (lambda x: x.sigmoid().softmax(1), "softmax of a sigmoid"),
        (lambda x: x.sigmoid().sigmoid(), "sigmoid of a sigmoid"),
    ],
)
def test_what_is_squashed_twice_is_said_where_it_is_seen(function, words):
    _, (_, checks) = recorded(function)
    assert checks[0].status == "warned"
    assert words in checks[0].message


def test_an_unsure_softmax_is_not_called_a_softmax_of_a_softmax():
    """Logits within 0..1 make an honest softmax whose values look like those of two."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.Softmax(1))
    nn.init.normal_(network[1].weight, std=0.002)
    scores = network(PIXELS.clone().requires_grad_())
    _, checks = recognise(scores.detach(), ending_of_scores(scores))
    assert (checks[0].status, "softmax of" in checks[0].message) == ("passed", False)
    assert "may be a softmax of a softmax" in recognise(scores.detach())[1][0].message


def test_a_softmax_of_a_log_softmax_is_one_softmax():
    _, (found, checks) = recorded(lambda x: x.log_softmax(1).softmax(1))
    assert (found, checks[0].status) == (Output.PROBABILITIES, "passed")


def graph(*operators, constants=()):
    """A graph of ONNX that applies one operator after another to an image."""
    nodes = [
        Node(operator, f"node {i}", (f"v{i}", *constants), (f"v{i + 1}",), {"version": 17})
        for i, operator in enumerate(operators)
    ]
    return Graph(tuple(nodes), {}, "v0", f"v{len(nodes)}", ONNX)


@pytest.mark.parametrize(
    ("operators", "output"),
    [
        (("Flatten", "Gemm"), Output.LOGITS),
        (("Flatten", "Gemm", "Softmax"), Output.PROBABILITIES),
        (("Gemm", "Softmax", "QuantizeLinear", "DequantizeLinear"), Output.PROBABILITIES),
        (("Gemm", "QuantizeLinear", "DequantizeLinear"), Output.LOGITS),
        (("Gemm", "Sigmoid", "Squeeze"), Output.SIGMOID_PROBABILITIES),
        (("MatMul", "Add", "Identity"), Output.LOGITS),
        (("Conv", "GlobalAveragePool", "Flatten"), Output.LOGITS),
        (("Gemm", "Softmax", "Log"), Output.LOG_PROBABILITIES),
        (("Gemm", "Exp"), None),
        (("Flatten",), None),
    ],
)
def test_a_graph_tells_what_it_ends_in(operators, output):
    found = ending_of_graph(graph(*operators))
    assert (found and found.output) == output


def test_a_graph_whose_paths_double_at_every_node_is_looked_at_in_a_moment():
    nodes = [
        Node("Concat" if i % 2 else "Add", "", (f"v{i}", f"v{i}"), (f"v{i + 1}",), {})
        for i in range(2000)
    ]
    nodes.append(Node("Concat", "", ("v1999", "v2000"), ("last",), {}))
    assert ending_of_graph(Graph(tuple(nodes), {}, "v0", "last", ONNX)) is None


def test_what_only_constants_make_does_not_count():
    """A scale that a sigmoid computes of a weight alone limits nothing."""
    nodes = (
        Node("Gemm", "", ("image", "w"), ("x",), {}),
        Node("Sigmoid", "", ("s",), ("scale",), {}),
        Node("Mul", "", ("x", "scale"), ("y",), {}),
    )
    found = ending_of_graph(Graph(nodes, {}, "image", "y", ONNX))
    assert found is not None
    assert found.output is Output.LOGITS
