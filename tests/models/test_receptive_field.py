import pytest
import torch
from torch import nn

from diagnostics.errors import NotOfferedError, OptionError
from diagnostics.models.receptive_field import receptive_field
from diagnostics.schema.results.inspection import ReceptiveField
from tests.networks_for_tests import FunctionalResidual, classifier, mlp, swin, vit


def field(top, bottom, left, right):
    return ReceptiveField(top=top, bottom=bottom, left=left, right=right)


def by_gradient(network, side, channels, layer, row, column):
    """The hull of the pixels that have a gradient, where no weight and no ReLU can hide one."""
    for parameter in network.parameters():
        nn.init.uniform_(parameter, 0.1, 1.0)
    model = classifier(network, side, channels, dtype=torch.float64)
    pixels = torch.rand(1, channels, side, side, dtype=torch.float64)
    trace = model.trace(pixels, (layer,))
    score = trace.activations[layer][0, :, row, column].sum()
    (gradient,) = torch.autograd.grad(score, trace.pixels)
    rows, columns = (gradient[0].abs().sum(0) > 0).nonzero(as_tuple=True)
    return model, field(
        int(rows.min()), int(rows.max()) + 1, int(columns.min()), int(columns.max()) + 1
    )


def strided():
    return nn.Sequential(
        nn.Conv2d(3, 4, 5, 2, 2),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(4, 4, 3, dilation=2, padding=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 4),
    )


@pytest.mark.parametrize("cell", [(0, 0), (3, 5), (7, 7)])
@pytest.mark.parametrize("layer", ["0", "2", "3"])
@pytest.mark.slow
def test_a_field_is_the_hull_of_the_gradient_of_a_network_that_hides_nothing(layer, cell):
    row, column = (place % (16 if layer == "0" else 8) for place in cell)
    model, expected = by_gradient(strided(), 32, 3, layer, row, column)
    assert receptive_field(model, layer, row, column) == expected


@pytest.mark.parametrize("layer", ["stem", "relu"])
def test_functional_operations_have_fields(layer):
    model, expected = by_gradient(FunctionalResidual(classes=4), 8, 3, layer, 2, 6)
    assert receptive_field(model, layer, 2, 6) == expected


def test_neither_zero_weights_nor_dead_units_hide_what_a_cell_can_see():
    network = FunctionalResidual(classes=4)
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    assert receptive_field(classifier(network, 8, 3), "body", 4, 4) == field(2, 7, 2, 7)


def test_a_patch_sees_itself_and_attention_sees_everything():
    model = classifier(vit(), 16, 3)
    assert receptive_field(model, "conv_proj", 1, 2) == field(4, 8, 8, 12)
    last = [layer.name for layer in model.spec.layers if layer.shape == (17, 8)][-1]
    assert receptive_field(model, last, 1, 2) == field(0, 16, 0, 16)


def test_a_window_is_what_its_cells_see():
    assert receptive_field(classifier(swin(), 16, 3), "features.1.0", 0, 0) == field(0, 4, 0, 4)


def test_a_cell_that_is_not_there_is_named():
    model = classifier(FunctionalResidual(classes=4), 8, 3)
    with pytest.raises(OptionError, match="8 × 8 cells; got row 8"):
        receptive_field(model, "stem", 8, 0)
    with pytest.raises(OptionError, match="no layer"):
        receptive_field(model, "nothing", 0, 0)


def test_a_dense_layer_has_no_cells():
    with pytest.raises(NotOfferedError, match="no cells"):
        receptive_field(classifier(mlp(), 8), "1", 0, 0)
