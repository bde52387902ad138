"""What a network ends in: its last operation tells logits from probabilities, its values cannot."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from diagnostics.models.graph import Graph, Node
from diagnostics.schema.spec import Output

# Operations as ONNX, ATen and autograd name them, without underscores, overloads and "Backward0".
SQUASHING = {
    "softmax": Output.PROBABILITIES,
    "logsoftmax": Output.LOG_PROBABILITIES,
    "sigmoid": Output.SIGMOID_PROBABILITIES,
    "hardsigmoid": Output.SIGMOID_PROBABILITIES,
}
SPOKEN = {"logsoftmax": "log-softmax", "hardsigmoid": "hard sigmoid"}
PROBABILITIES = (Output.PROBABILITIES, Output.SIGMOID_PROBABILITIES)
MULTIPLYING = {  # by weights, so that what comes out has no limits
    "addbmm",
    "addmm",
    "baddbmm",
    "batchnorm",
    "batchnormalization",
    "bmm",
    "conv",
    "conv1d",
    "conv2d",
    "convinteger",
    "convolution",
    "cudnnbatchnorm",
    "dot",
    "einsum",
    "gemm",
    "groupnorm",
    "groupnormalization",
    "instancenorm",
    "instancenormalization",
    "layernorm",
    "layernormalization",
    "linear",
    "matmul",
    "matmulinteger",
    "mkldnnconvolution",
    "mkldnnlinear",
    "mm",
    "mv",
    "nativebatchnorm",
    "nativebatchnormlegitnotraining",
    "nativegroupnorm",
    "nativelayernorm",
    "qlinearconv",
    "qlinearmatmul",
    "thnnconv2d",
}
ACTIVATIONS = {  # without an upper limit
    "elu",
    "gelu",
    "hardswish",
    "leakyrelu",
    "mish",
    "prelu",
    "relu",
    "selu",
    "silu",
    "softplus",
    "thresholdedrelu",
}
OF_BOTH_SIGNS = {"softsign", "tanh"}
COMBINING = {
    "adaptiveavgpool2d",
    "add",
    "averagepool",
    "avgpool2d",
    "div",
    "globalaveragepool",
    "mean",
    "mkldnnadaptiveavgpool2d",
    "mul",
    "neg",
    "reducemean",
    "reducesum",
    "rsub",
    "sub",
    "sum",
}
PRODUCTS = {"div", "mul"}
LIMITING = {"clamp", "clampmax", "clampmin", "clip"}
REARRANGING = {
    "adaptivemaxpool2d",
    "alias",
    "amax",
    "asstrided",
    "cast",
    "cat",
    "chunk",
    "clone",
    "concat",
    "contiguous",
    "copy",
    "dequantizelinear",
    "dropout",
    "expand",
    "flatten",
    "gather",
    "getitem",
    "globalmaxpool",
    "identity",
    "index",
    "indexselect",
    "lift",
    "liftfresh",
    "movedim",
    "narrow",
    "nativedropout",
    "permute",
    "quantizelinear",
    "reshape",
    "reshapealias",
    "select",
    "slice",
    "split",
    "splitwithsizes",
    "squeeze",
    "stack",
    "swapaxes",
    "t",
    "to",
    "tocopy",
    "transpose",
    "unbind",
    "unflatten",
    "unsafeview",
    "unsqueeze",
    "unsqueezecopy",
    "view",
    "viewcopy",
}


@dataclass(frozen=True)
class Ending:
    """What a network's description, or its last operation, says of its scores.

    Args:
        output: What they are, as far as one operation tells: independent logits look like others.
        reason: Why, as the beginning of a sentence: "It ends in softmax".
        before: What had squashed the values already that the last operation squashes again.
    """

    output: Output
    reason: str
    before: str = ""


@dataclass(frozen=True)
class _Operation:
    """One operation on values of the image, and those that give it its values of the image."""

    key: Hashable
    name: str = field(compare=False)
    inputs: Callable[[], tuple[_Operation, ...]] = field(compare=False)


def ending_of_graph(graph: Graph) -> Ending | None:
    """Return what a graph ends in; None where its last operation does not tell."""
    producers: dict[str, Node] = {}
    of_image = {graph.input}
    for node in graph.nodes:
        if of_image & set(node.inputs):
            of_image |= set(node.outputs)
            producers |= dict.fromkeys(node.outputs, node)

    def operation(value: str) -> _Operation:
        node = producers.get(value)
        if node is None:
            return _Operation(value, "", tuple)
        inputs = [name for name in node.inputs if name in of_image]
        return _Operation(value, _plain(node.operator), lambda: tuple(map(operation, inputs)))

    return _ending(operation(graph.output))


def ending_of_scores(scores: Tensor) -> Ending | None:
    """Return what a network ended in, of scores whose gradients were recorded; None if unknown."""

    def operation(function: Any) -> _Operation:
        inputs = [one for one, _ in function.next_functions if one is not None]
        return _Operation(function, _plain(function.name()), lambda: tuple(map(operation, inputs)))

    return None if scores.grad_fn is None else _ending(operation(scores.grad_fn))


def _plain(name: str) -> str:
    """Return an operation's name in the spelling of the tables above."""
    name = re.sub(r"Backward\d*$", "", name.partition(".")[0])
    return name.replace("_", "").lower()


def _ending(last: _Operation) -> Ending | None:
    deciding, is_limited = _deciding([last])
    outputs = {_output(operation) for operation in deciding}
    if len(outputs) != 1:
        return None
    (output,) = outputs
    if output is None or (is_limited and output not in PROBABILITIES):
        return None
    names = sorted({operation.name for operation in deciding})
    reason = f"It ends in {' and '.join(SPOKEN.get(name, name) for name in names)}"
    if not SQUASHING.keys() >= set(names):
        return Ending(output, reason)
    earlier, _ = _deciding([one for operation in deciding for one in operation.inputs()])
    before = [one.name for one in earlier if SQUASHING.get(one.name) in PROBABILITIES]
    return Ending(output, reason, before[0] if before else "")


def _deciding(last: Iterable[_Operation]) -> tuple[list[_Operation], bool]:
    """Return the operations before any that only rearrange, and whether some limit the values."""
    deciding, is_limited = [], False
    pending, known = list(last), set(last)
    while pending:
        operation = pending.pop()
        is_limited |= operation.name in LIMITING
        if operation.name not in REARRANGING | LIMITING:
            deciding.append(operation)
            continue
        further = [one for one in operation.inputs() if one not in known]
        known |= set(further)
        pending += further
    return deciding, is_limited


def _output(operation: _Operation) -> Output | None:
    """Return what an operation gives that rearranges nothing; None where it may be anything."""
    name = operation.name
    if name in SQUASHING:
        return SQUASHING[name]
    if name == "log":
        inside, _ = _deciding(operation.inputs())
        is_softmax = {one.name for one in inside} == {"softmax"}
        return Output.LOG_PROBABILITIES if is_softmax else None
    if name in OF_BOTH_SIGNS or _is_unbounded(operation):
        return Output.LOGITS
    return None


def _is_unbounded(operation: _Operation) -> bool:
    """Say whether values come of multiplications by weights, and nothing limited them since."""
    pending, known = [operation], {operation}
    while pending:
        operation = pending.pop()
        if operation.name in MULTIPLYING:
            continue
        sources = operation.inputs()
        is_product = operation.name in PRODUCTS and len(sources) > 1
        is_free = operation.name in ACTIVATIONS | COMBINING | REARRANGING
        if not sources or is_product or not is_free:
            return False
        pending += [one for one in sources if one not in known]
        known |= set(sources)
    return True
