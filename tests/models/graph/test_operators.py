"""Every operator against onnxruntime, which computes it independently."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diagnostics.models.graph import Graph, Node
from diagnostics.models.graph.network import GraphError, GraphNetwork
from diagnostics.models.graph.operators import ONNX, OPERATORS

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper  # noqa: E402

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.normal(size=(2, 4, 7, 9)).astype(np.float32)
POSITIVE = np.abs(IMAGES) + 0.1
ROWS = RANDOM.normal(size=(2, 5, 8)).astype(np.float32)
FLAT = RANDOM.normal(size=(3, 8)).astype(np.float32)


def normal(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def ints(*values):
    return np.array(values, np.int64)


CHANNELS = normal(4)
SCALES = np.abs(normal(4)) + 0.5

# Operator, values that go in (the first is the image), attributes, version of the operators.
CASES = [
    *((name, [IMAGES], {}, 17) for name in ("Abs", "Neg", "Exp", "Floor", "Ceil", "Round", "Sign")),
    *((name, [IMAGES], {}, 17) for name in ("Erf", "Tanh", "Sigmoid", "Relu", "Softplus", "Cos")),
    *(
        (name, [IMAGES], {}, 17)
        for name in ("Softsign", "HardSwish", "Selu", "Elu", "Identity", "Sin")
    ),
    *((name, [POSITIVE], {}, 17) for name in ("Sqrt", "Log", "Reciprocal")),
    ("Gelu", [IMAGES], {}, 20),
    ("Gelu", [IMAGES], {"approximate": "tanh"}, 20),
    ("Mish", [IMAGES], {}, 18),
    ("LeakyRelu", [IMAGES], {"alpha": 0.2}, 17),
    ("Elu", [IMAGES], {"alpha": 0.7}, 17),
    ("HardSigmoid", [IMAGES], {}, 17),
    ("HardSigmoid", [IMAGES], {"alpha": 1 / 6, "beta": 0.5}, 17),
    ("PRelu", [IMAGES, normal(4, 1, 1)], {}, 17),
    ("Clip", [IMAGES, np.float32(-0.5), np.float32(0.7)], {}, 17),
    ("Clip", [IMAGES, None, np.float32(0.7)], {}, 17),
    ("Clip", [IMAGES], {"min": -0.2, "max": 0.3}, 7),
    *((name, [IMAGES, POSITIVE], {}, 17) for name in ("Add", "Sub", "Mul", "Div", "Min", "Max")),
    ("Sum", [IMAGES, POSITIVE, IMAGES], {}, 17),
    ("Mean", [IMAGES, POSITIVE, IMAGES], {}, 17),
    ("Pow", [POSITIVE, np.float32(2.5)], {}, 17),
    ("Pow", [IMAGES, np.float32(2)], {}, 17),
    ("Mod", [IMAGES, POSITIVE], {"fmod": 1}, 17),
    ("MatMul", [ROWS, normal(8, 3)], {}, 17),
    ("MatMul", [ROWS, normal(2, 8, 3)], {}, 17),
    ("Gemm", [FLAT, normal(8, 4), normal(4)], {}, 17),
    ("Gemm", [FLAT, normal(4, 8), normal(4)], {"transB": 1}, 17),
    ("Gemm", [FLAT, normal(4, 8), normal(3, 4)], {"transB": 1, "alpha": 0.5, "beta": 2.0}, 17),
    ("Gemm", [FLAT, normal(3, 4)], {"transA": 1}, 17),
    ("Softmax", [ROWS], {}, 17),
    ("Softmax", [ROWS], {"axis": 1}, 17),
    ("Softmax", [ROWS], {"axis": 1}, 11),
    ("Softmax", [ROWS], {}, 11),
    ("LogSoftmax", [ROWS], {"axis": -1}, 17),
    ("BatchNormalization", [IMAGES, CHANNELS, normal(4), normal(4), SCALES], {"epsilon": 1e-3}, 17),
    ("LayerNormalization", [ROWS, normal(8), normal(8)], {"axis": -1}, 17),
    ("LayerNormalization", [ROWS, normal(5, 8)], {"axis": 1, "epsilon": 1e-3}, 17),
    ("InstanceNormalization", [IMAGES, CHANNELS, normal(4)], {}, 17),
    ("GroupNormalization", [IMAGES, CHANNELS, normal(4)], {"num_groups": 2}, 21),
    ("LRN", [IMAGES], {"size": 3, "alpha": 0.01, "beta": 0.6, "bias": 2.0}, 17),
    ("Conv", [IMAGES, normal(6, 4, 3, 3), normal(6)], {"pads": [1, 1, 1, 1]}, 17),
    ("Conv", [IMAGES, normal(6, 4, 3, 2)], {"pads": [0, 1, 2, 0], "strides": [2, 1]}, 17),
    ("Conv", [IMAGES, normal(4, 1, 3, 3)], {"group": 4, "dilations": [2, 2]}, 17),
    ("Conv", [IMAGES, normal(6, 4, 3, 3)], {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, 17),
    ("Conv", [IMAGES, normal(6, 4, 2, 2)], {"auto_pad": "SAME_LOWER"}, 17),
    ("Conv", [IMAGES, normal(6, 4, 3, 3)], {"auto_pad": "VALID"}, 17),
    ("Conv", [ROWS, normal(3, 5, 3)], {}, 17),
    ("ConvTranspose", [IMAGES, normal(4, 3, 3, 3), normal(3)], {"strides": [2, 2]}, 17),
    (
        "ConvTranspose",
        [IMAGES, normal(4, 3, 2, 2)],
        {"pads": [1, 0, 1, 0], "output_padding": [0, 0]},
        17,
    ),
    ("MaxPool", [IMAGES], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}, 17),
    ("MaxPool", [IMAGES], {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}, 17),
    ("MaxPool", [IMAGES], {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1]}, 17),
    (
        "MaxPool",
        [IMAGES],
        {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER", "strides": [2, 2]},
        17,
    ),
    ("MaxPool", [IMAGES], {"kernel_shape": [2, 2], "dilations": [2, 2]}, 17),
    ("AveragePool", [IMAGES], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}, 17),
    (
        "AveragePool",
        [IMAGES],
        {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1},
        17,
    ),
    ("AveragePool", [IMAGES], {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1]}, 17),
    (
        "AveragePool",
        [IMAGES],
        {"kernel_shape": [2, 2], "auto_pad": "SAME_UPPER", "strides": [2, 2]},
        17,
    ),
    ("AveragePool", [IMAGES], {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}, 19),
    ("GlobalAveragePool", [IMAGES], {}, 17),
    ("GlobalMaxPool", [IMAGES], {}, 17),
    ("Pad", [IMAGES, ints(0, 0, 1, 2, 0, 0, 3, 1), np.float32(0.5)], {}, 17),
    ("Pad", [IMAGES, ints(0, 0, 1, 2, 0, 0, 3, 1)], {"mode": "reflect"}, 17),
    ("Pad", [IMAGES, ints(0, 0, 1, 2, 0, 0, 3, 1)], {"mode": "edge"}, 17),
    ("Pad", [IMAGES, ints(0, 0, -1, 0, 0, 0, 0, -2)], {}, 17),
    ("Pad", [IMAGES, ints(1, 2), np.float32(0), ints(3)], {}, 18),
    ("Pad", [IMAGES], {"pads": [0, 0, 1, 1, 0, 0, 1, 1], "value": 2.0}, 7),
    (
        "Resize",
        [IMAGES, None, np.float32([1, 1, 2, 2])],
        {
            "mode": "nearest",
            "coordinate_transformation_mode": "asymmetric",
            "nearest_mode": "floor",
        },
        17,
    ),
    ("Resize", [IMAGES, None, None, ints(2, 4, 5, 6)], {"mode": "linear"}, 17),
    (
        "Resize",
        [IMAGES, None, None, ints(2, 4, 14, 18)],
        {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
        17,
    ),
    (
        "Resize",
        [IMAGES, None, None, ints(2, 4, 14, 18)],
        {"mode": "cubic", "cubic_coeff_a": -0.75},
        17,
    ),
    *((f"Reduce{name}", [IMAGES], {"axes": [2, 3]}, 13) for name in ("Mean", "Max", "Min", "Prod")),
    *(
        (f"Reduce{name}", [IMAGES], {"axes": [1], "keepdims": 0}, 13)
        for name in ("L1", "L2", "SumSquare")
    ),
    ("ReduceMean", [IMAGES, ints(-1, -2)], {"keepdims": 0}, 18),
    ("ReduceMean", [IMAGES], {}, 18),
    ("ReduceSum", [IMAGES, ints(1)], {}, 17),
    ("ReduceSum", [IMAGES], {"noop_with_empty_axes": 1}, 17),
    ("ArgMax", [IMAGES], {"axis": 1, "keepdims": 0}, 17),
    ("ArgMin", [IMAGES], {"axis": 2}, 17),
    ("Reshape", [IMAGES, ints(0, -1)], {}, 17),
    ("Reshape", [IMAGES, ints(0, 2, 2, -1)], {}, 17),
    ("Flatten", [IMAGES], {}, 17),
    ("Flatten", [IMAGES], {"axis": 2}, 17),
    ("Flatten", [IMAGES], {"axis": -1}, 17),
    ("Transpose", [IMAGES], {"perm": [0, 2, 3, 1]}, 17),
    ("Transpose", [IMAGES], {}, 17),
    ("Squeeze", [IMAGES[:, :1], ints(1)], {}, 17),
    ("Squeeze", [IMAGES[:, :1]], {"axes": [1]}, 11),
    ("Unsqueeze", [IMAGES, ints(1, -1)], {}, 17),
    ("Concat", [IMAGES, POSITIVE], {"axis": 1}, 17),
    ("Slice", [IMAGES, ints(1), ints(2**40), ints(3), ints(2)], {}, 17),
    ("Slice", [IMAGES, ints(-1), ints(-(2**40)), ints(2), ints(-2)], {}, 17),
    ("Slice", [IMAGES, ints(0, 1), ints(2, -1)], {}, 17),
    ("Slice", [IMAGES], {"starts": [1, 0], "ends": [3, 5], "axes": [1, 2]}, 9),
    ("Gather", [IMAGES, np.int64(-1)], {"axis": 1}, 17),
    ("Gather", [IMAGES, ints(0, 2, 1)], {"axis": 2}, 17),
    ("Gather", [IMAGES, np.array([[0, 1], [2, 3]])], {"axis": 1}, 17),
    ("GatherElements", [FLAT, np.array([[0, -1], [2, 3], [1, 1]])], {"axis": 1}, 17),
    ("ScatterND", [FLAT, np.array([[0], [2]]), normal(2, 8)], {}, 17),
    ("Expand", [IMAGES[:, :1], ints(2, 4, 1, 1)], {}, 17),
    ("Expand", [FLAT, ints(2, 1, 8)], {}, 17),
    ("Tile", [FLAT, ints(2, 3)], {}, 17),
    ("Shape", [IMAGES], {}, 17),
    ("Shape", [IMAGES], {"start": 1, "end": -1}, 17),
    ("Size", [IMAGES], {}, 17),
    ("Cast", [IMAGES], {"to": TensorProto.INT32}, 17),
    ("CumSum", [FLAT, np.int64(1)], {}, 17),
    ("Trilu", [FLAT], {"upper": 0}, 17),
    ("Trilu", [FLAT, np.int64(1)], {}, 17),
    ("DepthToSpace", [IMAGES], {"blocksize": 2}, 17),
    ("DepthToSpace", [IMAGES], {"blocksize": 2, "mode": "CRD"}, 17),
    ("Einsum", [ROWS, normal(8, 3)], {"equation": "nij,jk->nik"}, 17),
    ("Dropout", [IMAGES], {}, 17),
    *((name, [IMAGES, POSITIVE], {}, 17) for name in ("Equal", "Less", "Greater", "LessOrEqual")),
    ("GreaterOrEqual", [IMAGES, POSITIVE], {}, 17),
    ("IsNaN", [IMAGES], {}, 17),
]
# Those that take one image and do not name its batch.
OF_ONE_IMAGE = [
    (operator, values, attributes, version)
    for operator, values, attributes, version in CASES
    if values[0] is IMAGES
    and not any(one is POSITIVE for one in values[1:])
    and not (operator == "Resize" and len(values) > 3)
    and version > 7
]
HEARD_ELSEWHERE = {"Not", "And", "Or", "Where", "Split", "Constant", "ConstantOfShape", "CastLike"}
HEARD_ELSEWHERE |= {"Range", "QuantizeLinear", "DequantizeLinear", "Upsample"}


def named(case):
    return f"{case[0]}-{case[3]}-{'-'.join(f'{key}={value}' for key, value in case[2].items())}"


def theirs(operator, values, attributes, version):
    """Run one node with onnxruntime; every value goes in as an input."""
    names = [f"in{place}" if one is not None else "" for place, one in enumerate(values)]
    feeds = {name: np.asarray(one) for name, one in zip(names, values, strict=True) if name}
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(one.dtype), one.shape)
        for name, one in feeds.items()
    ]
    node = helper.make_node(operator, names, ["out"], **attributes)
    graph = helper.make_graph([node], "one", inputs, [onnx.ValueInfoProto(name="out")])
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", version)], ir_version=10
    )
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, feeds)[0]


@pytest.mark.parametrize("case", CASES, ids=named)
def test_an_operator_computes_what_onnxruntime_computes(case):
    operator, values, attributes, version = case
    inputs = [None if one is None else torch.from_numpy(np.asarray(one)) for one in values]
    settings = {**attributes, "version": version, "outputs": 1}
    ours = OPERATORS[operator](inputs, settings)
    expected = theirs(*case)
    assert ours.shape == expected.shape
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", OF_ONE_IMAGE, ids=named)
def test_a_graph_for_one_image_gives_many_images_what_each_gets_alone(case):
    operator, values, attributes, version = case
    names = ["image", *(f"in{place}" for place in range(1, len(values)))]
    names = [name if one is not None else "" for name, one in zip(names, values, strict=True)]
    constants = {
        name: torch.from_numpy(np.asarray(one))
        for name, one in zip(names[1:], values[1:], strict=True)
        if one is not None
    }
    node = Node(operator, "node", tuple(names), ("out",), {**attributes, "version": version})
    network = GraphNetwork(Graph((node,), constants, "image", "out", ONNX, one_image=True))
    together = network(torch.from_numpy(IMAGES)).numpy()
    each = [theirs(operator, [one[None], *values[1:]], attributes, version) for one in IMAGES]
    expected = each[0] if operator in ("Shape", "Size") else np.stack(each)
    np.testing.assert_allclose(together.reshape(expected.shape), expected, rtol=1e-4, atol=1e-5)


def test_every_operator_is_tested():
    assert OPERATORS.keys() - {case[0] for case in CASES} <= HEARD_ELSEWHERE


@pytest.mark.parametrize("kind", [np.uint8, np.int8])
@pytest.mark.parametrize("axis", [None, 1])
def test_quantised_values_are_rounded_as_onnxruntime_rounds_and_keep_their_gradient(kind, axis):
    count = 1 if axis is None else 4
    scale, zero = np.linspace(0.02, 0.05, count).astype(np.float32), np.full(count, 3, kind)
    scale, zero = (scale[0], zero[0]) if axis is None else (scale, zero)
    attributes = {} if axis is None else {"axis": axis}
    steps = theirs("QuantizeLinear", [IMAGES, scale, zero], attributes, 17)
    expected = theirs("DequantizeLinear", [steps, scale, zero], attributes, 17)
    images = torch.from_numpy(IMAGES).requires_grad_()
    inputs = [torch.from_numpy(np.asarray(one)) for one in (scale, zero)]
    settings = {**attributes, "version": 17, "outputs": 1}
    rounded = OPERATORS["QuantizeLinear"]([images, *inputs], settings)
    values = OPERATORS["DequantizeLinear"]([rounded, *inputs], settings)
    np.testing.assert_allclose(values.detach().numpy(), expected, atol=1e-5)
    (gradient,) = torch.autograd.grad(values.sum(), images)
    assert torch.allclose(gradient, torch.ones(()), atol=1e-5)


@pytest.mark.parametrize(
    ("attributes", "sizes", "version"),
    [
        ({"axis": 1}, ints(1, 3), 17),
        ({"axis": 1, "num_outputs": 2}, None, 18),
        ({"axis": 1, "split": [3, 1]}, None, 11),
    ],
)
def test_a_split_gives_the_parts_that_are_asked_for(attributes, sizes, version):
    inputs = [torch.from_numpy(IMAGES), None if sizes is None else torch.from_numpy(sizes)]
    parts = OPERATORS["Split"](inputs, {**attributes, "version": version, "outputs": 2})
    sizes = attributes.get("split") or ([2, 2] if sizes is None else sizes.tolist())
    assert [part.shape[1] for part in parts] == sizes
    assert torch.equal(torch.cat(parts, 1), inputs[0])


def test_conditions_and_constants():
    image = torch.tensor([[1.0, -2.0]])
    settings = {"version": 17, "outputs": 1}
    positive = OPERATORS["Greater"]([image, torch.zeros(1)], settings)
    assert OPERATORS["Where"]([positive, image, torch.zeros(1)], settings).tolist() == [[1, 0]]
    assert OPERATORS["Not"]([positive], settings).tolist() == [[False, True]]
    assert OPERATORS["And"]([positive, positive], settings).tolist() == positive.tolist()
    assert OPERATORS["Or"]([positive, ~positive], settings).all()
    assert OPERATORS["Constant"]([], {"value_ints": [1, 2], **settings}).tolist() == [1, 2]
    shape = torch.tensor([2, 1])
    filled = OPERATORS["ConstantOfShape"]([shape], {"value": torch.tensor([7]), **settings})
    assert filled.tolist() == [[7], [7]]
    ends = [torch.tensor(one) for one in (1, 7, 3)]
    assert OPERATORS["Range"](ends, settings).tolist() == [1, 4]
    assert OPERATORS["CastLike"]([image, shape], settings).dtype == torch.int64
    larger = OPERATORS["Upsample"]([torch.ones(1, 1, 2, 2), torch.tensor([1.0, 1, 2, 3])], settings)
    assert larger.shape == (1, 1, 4, 6)


def test_a_node_that_cannot_be_computed_is_named():
    node = Node("MatMul", "/head/MatMul", ("image", "weight"), ("out",))
    network = GraphNetwork(Graph((node,), {"weight": torch.zeros(5, 3)}, "image", "out", ONNX))
    with pytest.raises(GraphError, match=r"/head/MatMul \(MatMul\)"):
        network(torch.zeros(2, 1, 4, 4))


def test_nodes_whose_names_meet_stay_apart():
    """Also those that are called like something that every module has."""
    names = ("b.a", "b_a", "b_a_2", "training", "forward", "weight_0", "")
    values = ["image", *(f"value {place}" for place in range(len(names)))]
    nodes = tuple(
        Node("Neg", name, (values[place],), (values[place + 1],))
        for place, name in enumerate(names)
    )
    network = GraphNetwork(Graph(nodes, {}, "image", values[-1], ONNX))
    assert len(list(network.children())) == len(names)
    image = torch.rand(1, 1, 2, 2)
    assert torch.equal(network(image), -image)


def test_what_no_image_changes_is_computed_once():
    nodes = (
        Node("Add", "constant", ("one", "one"), ("two",)),
        Node("Mul", "product", ("image", "two"), ("out",)),
        Node("Exp", "unused", ("image",), ("beside",)),
    )
    network = GraphNetwork(Graph(nodes, {"one": torch.ones(3)}, "image", "out", ONNX))
    assert [name for name, _ in network.named_modules() if name] == ["product"]
    assert torch.equal(network(torch.full((1, 1, 1, 3), 2.0)), torch.full((1, 1, 1, 3), 4.0))
