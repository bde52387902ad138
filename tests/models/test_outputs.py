import math

import pytest
import torch

from diagnostics.errors import ModelError
from diagnostics.models.outputs import as_logits, class_scores, recognise
from diagnostics.schema.spec import Output

LOGITS = torch.randn(4, 10, generator=torch.Generator().manual_seed(0)) * 3


@pytest.mark.parametrize(
    ("scores", "kind"),
    [
        (LOGITS, Output.LOGITS),
        (LOGITS.softmax(1), Output.PROBABILITIES),
        (LOGITS.log_softmax(1), Output.LOG_PROBABILITIES),
        (LOGITS.sigmoid(), Output.SIGMOID_PROBABILITIES),
        (LOGITS[:, :1], Output.SIGMOID_LOGITS),
        (LOGITS[:, :1].sigmoid(), Output.SIGMOID_PROBABILITIES),
        (LOGITS.relu(), Output.LOGITS),
    ],
)
def test_kinds_of_output_are_told_apart(scores, kind):
    assert recognise(scores)[0] is kind


def test_a_softmax_of_a_softmax_is_noticed_and_its_ceiling_named():
    _, checks = recognise(LOGITS.softmax(1).softmax(1))
    assert checks[0].status == "warned"
    assert f"{math.e / (math.e + 9):.4f}" == "0.2320"
    assert "0.2320" in checks[0].message


def test_one_softmax_is_not_taken_for_two():
    assert "softmax of a softmax" not in recognise(LOGITS.softmax(1))[1][0].message


@pytest.mark.parametrize("output", [Output.PROBABILITIES, Output.LOG_PROBABILITIES])
def test_logits_give_back_the_networks_probabilities(output):
    scores = LOGITS.softmax(1) if output is Output.PROBABILITIES else LOGITS.log_softmax(1)
    assert torch.allclose(as_logits(scores, output).softmax(1), LOGITS.softmax(1), atol=1e-6)


def test_independent_probabilities_give_back_their_logits():
    found = as_logits(LOGITS.sigmoid().double(), Output.SIGMOID_PROBABILITIES)
    assert torch.allclose(found, LOGITS.double(), atol=1e-3)


def test_a_probability_of_zero_stays_finite():
    scores = torch.tensor([[1.0, 0.0]])
    for output in (Output.PROBABILITIES, Output.SIGMOID_PROBABILITIES):
        assert torch.isfinite(as_logits(scores, output)).all()


def test_outputs_that_are_not_finite_are_reported():
    scores = LOGITS.clone()
    scores[1, 3] = float("nan")
    assert recognise(scores)[1][0].status == "failed"
    assert "1 of 4" in recognise(scores)[1][0].message


@pytest.mark.parametrize(
    "raw", [LOGITS, (LOGITS, None), {"logits": LOGITS}, [LOGITS], LOGITS[:, :, None, None]]
)
def test_the_class_scores_are_found(raw):
    assert torch.equal(class_scores(raw), LOGITS)


@pytest.mark.parametrize(
    ("raw", "named"), [(torch.zeros(1, 40, 6625), "[1, 40, 6625]"), (None, "None"), ("x", "str")]
)
def test_what_is_no_classifier_is_refused_by_its_shape(raw, named):
    with pytest.raises(ModelError, match=named.replace("[", r"\[").replace("]", r"\]")):
        class_scores(raw)
