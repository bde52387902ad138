"""Costs of attacks, and how a picture goes to the network."""

from __future__ import annotations

from diagnostics.data import samples
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.request import ModelSource, Request
from diagnostics.ui.views.adversarial import pass_counts, unprocessed


def test_pictures_go_to_the_network_as_they_are():
    settings = Preprocessing(
        colour=False,
        invert=True,
        contrast=5.0,
        blur=1.0,
        threshold=0.5,
        height=28,
        width=28,
        mean=(0.1,),
        std=(0.3,),
        value_range=255,
    )
    as_is = unprocessed(settings)
    assert (as_is.fit, as_is.invert, as_is.contrast, as_is.blur) == ("none", False, 0.0, 0.0)
    assert as_is.threshold is None
    assert (as_is.mean, as_is.std, as_is.value_range) == ((0.1,), (0.3,), 255)


def test_the_passes_of_a_request_are_counted():
    model = ModelSource(samples.model_files()["letters_conv"])
    images = tuple(samples.image_files()[name] for name in ("letter-x-thin", "letter-p-thin"))

    def backward(method, **options):
        return pass_counts(Request(f"adversarial/{method}", model, images, options=options), 26)[1]

    assert backward("ddn", steps=100) == 200
    assert backward("smallest", steps=100) == 2 * 2 * (25 * (9 + 5 + 3 + 2) + 5 * 9)
    assert backward("lbfgs") > backward("deepfool")
