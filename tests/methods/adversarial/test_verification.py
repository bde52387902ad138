"""Changed images as numbers, as saved pictures, and along the change."""

from __future__ import annotations

import numpy as np
import torch

from diagnostics.data.image import encode_png
from diagnostics.methods.adversarial._attacks import deepfool
from diagnostics.methods.adversarial._norms import bisect, size
from diagnostics.methods.adversarial._verification import (
    MULTIPLES,
    Verifier,
    png_round_trip,
    to_8bit,
)
from tests.methods.adversarial.linear_networks import criterion_of, images, linear


def fooled(criterion, pixels):
    """Return images changed by DeepFool."""
    return deepfool(criterion, pixels, lambda share: None, norm="l2")


def test_pictures_are_read_again_as_they_were_rounded():
    pixels = torch.rand(3, 5, 4)
    picture = to_8bit(pixels)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(png_round_trip(picture), (pixels * 255).round() / 255)
    grey = to_8bit(pixels[:1])
    assert encode_png(grey[..., 0])
    assert png_round_trip(grey).shape == (1, 5, 4)


def test_the_smallest_picture_flips_and_a_plain_scan_finds_none_that_is_much_smaller():
    model, pixels = linear(seed=8), images(1, seed=9).float()
    criterion = criterion_of(model, pixels)
    changed = bisect(
        lambda points: criterion.is_adversarial(criterion.logits(points)),
        pixels,
        fooled(criterion, pixels).pixels,
    )
    verifier = Verifier(model)
    multiple, picture = verifier.smallest_picture(criterion, pixels, changed)
    torch.testing.assert_close(picture, png_round_trip(to_8bit(picture)))
    assert int(model.logits(picture[None]).argmax()) != int(criterion.predicted)
    distances = []
    for share in np.linspace(0.02, 2, 400):
        point = (pixels + share * (changed - pixels)).clamp(0, 1).mul(255).round() / 255
        if int(model.logits(point).argmax()) != int(criterion.predicted):
            distances.append(float((point - pixels).norm()))
    assert float((picture[None] - pixels).norm()) <= 1.02 * min(distances)
    assert 0.7 <= multiple < 1.5
    logits = verifier.along(pixels, changed)
    assert logits.shape == (len(MULTIPLES), 4)
    assert logits[0].argmax() == int(criterion.predicted)
    assert logits[-1].argmax() != int(criterion.predicted)


def test_a_change_below_half_a_grey_level_needs_a_multiple_to_be_kept_by_a_file():
    model, pixels = linear(scale=1e-3), (images(1).float() * 255).round() / 255
    with torch.no_grad():
        logits = model.logits(pixels)[0]
        label = int(logits.argmax())
        others = logits.clone()
        others[label] = -torch.inf
        model.network[1].bias[label] -= 0.998 * (logits[label] - others.max())
    criterion = criterion_of(model, pixels)
    changed, is_adversarial = fooled(criterion, pixels)
    assert is_adversarial.all()
    assert float(size(changed - pixels, "linf")) < 0.5 / 255
    (verified,) = Verifier(model).verify(criterion, pixels, changed)
    assert verified.is_adversarial
    assert not verified.image["png_is_adversarial"]
    assert verified.image["changed_pixels"] == 0
    assert (verified.arrays["picture"] == to_8bit(pixels[0])).all()
    multiple, picture = Verifier(model).smallest_picture(criterion, pixels, changed)
    assert multiple > 1.5
    assert int(model.logits(picture[None]).argmax()) != label
