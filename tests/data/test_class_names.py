"""Class names are read from whatever list or folders a person has."""

from __future__ import annotations

import csv
import io
import json
import random
from contextlib import suppress

import pytest

from diagnostics.data import class_names
from diagnostics.errors import ClassesError

ANIMALS = ("cat", "dog", "great grey owl")


@pytest.fixture
def listed(tmp_path):
    def read(content):
        path = tmp_path / "classes.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return class_names.at(path)

    return read


def yaml_block(names, indent="  "):
    lines = [f"{indent}{index}: {json.dumps(name)}" for index, name in enumerate(names)]
    return "path: ../set\nnames:\n" + "\n".join(lines) + "\nnc: 3\n"


def table(names, rows, heading=(), delimiter=","):
    """A table as Python's csv module writes it."""
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=delimiter)
    writer.writerows([heading] * bool(heading) + [rows(*pair) for pair in enumerate(names)])
    return stream.getvalue()


EVERY_KIND = {
    "a name a line": "cat\ndog\ngreat grey owl\n",
    "Windows line ends and an empty line": "cat\r\ndog\r\n\r\n  great grey owl  ",
    "a byte order mark": "\ufeffcat\ndog\ngreat grey owl",
    "a byte order mark and an index": "\ufeff0 cat\r\n1 dog\r\n2 great grey owl\r\n",
    "a heading of one column": "class_name\ncat\ndog\ngreat grey owl\n",
    "index, name": "2,great grey owl\n0,cat\n1,dog\n",
    "index, name below a heading": "index,name\n0,cat\n1,dog\n2,great grey owl\n",
    "name, index below a heading": "name,index\ngreat grey owl,2\ncat,0\ndog,1\n",
    "name, index": "great grey owl,2\ncat,0\ndog,1\n",
    "pandas": ",name\n0,cat\n1,dog\n2,great grey owl\n",
    "columns besides": "id,count,name\n1,70,dog\n0,99,cat\n2,3,great grey owl\n",
    "semicolons": "index;name\n0;cat\n1;dog\n2;great grey owl\n",
    "tabs": "0\tcat\n2\tgreat grey owl\n1\tdog\n",
    "index and blank": "0 cat\n1 dog\n2 great grey owl\n",
    "index and colon": "0: cat\n2: great grey owl\n1: dog\n",
    "name and colon": "cat: 0\ngreat grey owl: 2\ndog: 1\n",
    "index, synset, name": "0,n01440764,cat\n2,n01622779,great grey owl\n1,n01443537,dog\n",
    "synset, name": "n01440764 cat\nn01443537 dog\nn01622779 great grey owl\n",
    "synset, tab, name": "n01440764\tcat\nn01443537\tdog\nn01622779\tgreat grey owl\n",
    "JSON list": json.dumps(ANIMALS),
    "JSON, by index": json.dumps({"0": "cat", "2": "great grey owl", "1": "dog"}),
    "JSON, by name": json.dumps({"dog": 1, "cat": 0, "great grey owl": 2}),
    "imagenet_class_index": json.dumps(
        {"0": ["n01", "cat"], "1": ["n02", "dog"], "2": ["n03", "great grey owl"]}
    ),
    "objects": json.dumps(
        [{"id": 2, "name": "great grey owl"}, {"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}]
    ),
    "printed by Python": "{0: 'cat',\n 2: 'great grey owl',\n 1: 'dog'}",
    "config.json of Hugging Face": json.dumps(
        {
            "model_type": "vit",
            "id2label": dict(enumerate(ANIMALS)),
            "label2id": {name: index for index, name in enumerate(ANIMALS)},
        }
    ),
    "config.json of timm": json.dumps({"architecture": "resnet18", "label_names": ANIMALS}),
    "metadata.json of Teachable Machine": json.dumps(
        {"tfjsVersion": "1.7.4", "labels": ANIMALS, "imageSize": 224}
    ),
    "class_to_idx": json.dumps({"class_to_idx": {"dog": 1, "cat": 0, "great grey owl": 2}}),
    "YOLO, list in a line": "nc: 3\nnames: ['cat', dog, \"great grey owl\"]  # of ours\n",
    "YOLO, list over lines": "names: [ 'cat', 'dog',\n  'great grey owl' ]\nnc: 3\n",
    "YOLO, list of items": "train: images\nnames:\n- cat\n- 'dog'\n- great grey owl # big\nnc: 3\n",
    "YOLO, mapping": yaml_block(ANIMALS),
    "YOLO, mapping in a line": "names: {0: cat, 2: great grey owl, 1: dog}\n",
}


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_every_common_kind_of_list_is_read(listed, kind):
    assert listed(EVERY_KIND[kind]).names == ANIMALS


def test_names_are_not_permuted_where_folders_are_called_by_numbers(listed):
    """What torchvision's ImageFolder calls class_to_idx: names are keys, indices values."""
    assert listed('{"1":0,"10":1,"2":2}').names == ("1", "10", "2")
    folders = sorted(map(str, range(12)))
    written = {name: index for index, name in enumerate(folders)}
    found = listed(json.dumps(written))
    assert found.names == tuple(folders)
    assert "name, index" in found.read_as
    assert listed(json.dumps(dict(reversed(written.items())))).names == tuple(folders)
    assert listed(json.dumps({"class_to_idx": written})).names == tuple(folders)


def test_numbers_as_text_are_names_by_index(listed):
    """What transformers calls id2label holds text."""
    assert listed('{"0": "1", "1": "0"}').names == ("1", "0")
    assert listed('{"0": 10, "1": 20}').names == ("10", "20")
    assert listed('{"5": "0", "7": "1"}').names == ("5", "7")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("0,0\n1,1\n2,10\n3,2", ("0", "1", "10", "2")),
        ("0,0\n1,1\n10,2\n2,3", ("0", "1", "10", "2")),
        ("index,name\n0,2\n1,0\n2,1", ("2", "0", "1")),
        ("name,index\n0,2\n1,0\n2,1", ("1", "2", "0")),
    ],
)
def test_of_two_columns_of_numbers_the_index_stands_in_order_or_has_a_heading(listed, text, names):
    assert listed(text).names == names


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"0": "cat", "2": "dog"}', "1 is missing"),
        ('{"cat": 0, "dog": 2}', "1 is missing"),
        ('{"cat": 1, "dog": 2}', "0 is missing"),
        ('{"cat": 0, "dog": 0}', "0 stands twice"),
        ('{"0": "cat", "0": "dog"}', "'0' twice"),
        ("0,cat\n2,dog", "1 is missing"),
        ("1 cat\n2 dog", "0 is missing"),
        ("0: cat\n3: dog", "1 is missing"),
        ("0\tcat\n0\tdog", "0 stands twice"),
        ("index,name\n0,cat\n2,dog", "1 is missing"),
        ("n02119789 1 kit_fox\nn02100735 2 setter", "0 is missing"),
        ("names:\n  1: cat\n  2: dog\n", "0 is missing"),
        ("names:\n  0: cat\n  0: dog\n", "'0' twice"),
        ('[{"id": 1, "name": "person"}, {"id": 3, "name": "car"}]', "0 is missing"),
        ("1,0\n0,2\n2,1", "two columns that may be the index"),
        ('["cat", ""]', "class without a name"),
        ('["cat", null]', "class without a name"),
        ("0\t\n1\tdog", "class without a name"),
    ],
)
def test_gaps_are_refused_and_never_closed(listed, text, words):
    with pytest.raises(ClassesError, match=words):
        listed(text)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("2012 Tesla\n2012 BMW\n1999 Audi", ("2012 Tesla", "2012 BMW", "1999 Audi")),
        ("class 0\nclass 1", ("class 0", "class 1")),
        ("7\n3\n5", ("7", "3", "5")),
        ("tench, Tinca tinca\ngoldfish, Carassius", ("tench, Tinca tinca", "goldfish, Carassius")),
        ("0,tench, Tinca tinca\n1,goldfish", ("tench, Tinca tinca", "goldfish")),
        ("tench, Tinca tinca,0\ngoldfish,1", ("tench, Tinca tinca", "goldfish")),
        ('"tench, Tinca tinca"\n"goldfish"', ("tench, Tinca tinca", "goldfish")),
        ("3D printer\n2D plotter", ("3D printer", "2D plotter")),
        ("0 3 wheeler\n1 bus", ("3 wheeler", "bus")),
        ('names: [yes, no, "on", C#, "a#b"]', ("yes", "no", "on", "C#", "a#b")),
        ("names:\n  0: jack-o'-lantern\n  1: 'it''s'\n", ("jack-o'-lantern", "it's")),
        ("{0: 'potter\\'s wheel', 1: \"jack-o'-lantern\"}", ("potter's wheel", "jack-o'-lantern")),
    ],
)  # fmt: skip
def test_names_that_look_like_something_else_stay_whole(listed, text, names):
    assert listed(text).names == names


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0 cat\n1 dog", "index, name"),
        ("name\ncat\ndog", "names below the heading name"),
        ("cat\n\ndog", "a name a line, 1 empty line left out"),
        ("crane\ncat\ncrane", "a name a line; 'crane' stands more than once"),
        ('{"1":0,"10":1,"2":2}', "name, index, though its keys are numbers too"),
        ('{"id2label": {"0": "a", "1": "b"}}', "id2label: index, name"),
        ("names:\n- a\n- b", "names of YAML, a list of names"),
    ],
)
def test_how_a_list_was_read_is_said(listed, text, words):
    assert listed(text).read_as == words


def test_two_class_lists_in_one_folder_must_agree(tmp_path):
    (tmp_path / "labels.txt").write_text("0 cat\n1 dog\n")
    (tmp_path / "photo.txt").write_text("nothing to do with it")
    assert class_names.at(tmp_path).names == ("cat", "dog")
    (tmp_path / "classes.json").write_text('{"cat": 0, "dog": 1}')
    assert class_names.at(tmp_path).names == ("cat", "dog")
    (tmp_path / "classes.json").write_text('{"cat": 1, "dog": 0}')
    with pytest.raises(ClassesError, match=r"two lists .* differ, classes\.json and labels\.txt"):
        class_names.at(tmp_path)


def test_two_class_lists_in_one_file_must_agree(listed):
    lists = {"names": ["cat", "dog"], "id2label": {"0": "cat", "1": "dog"}}
    assert listed(json.dumps(lists)).names == ("cat", "dog")
    lists["id2label"] = {"1": "cat", "0": "dog"}
    with pytest.raises(ClassesError, match="differ, id2label and names"):
        listed(json.dumps(lists))


WRITERS = {
    "lines": "\n".join,
    "lines of Windows": lambda names: "\ufeff" + "\r\n".join(names) + "\r\n\r\n",
    "heading": lambda names: "class_name\n" + "\n".join(names),
    "index and blank": lambda names: "\n".join(f"{i} {name}" for i, name in enumerate(names)),
    "index and colon": lambda names: "\n".join(f"{i}: {name}" for i, name in enumerate(names)),
    "synsets": lambda names: "\n".join(f"n{i:08} {name}" for i, name in enumerate(names)),
    "index, name": lambda names: table(names, lambda i, name: (i, name)),
    "name, index": lambda names: table(names, lambda i, name: (name, i), ("name", "index")),
    "tabs": lambda names: table(names, lambda i, name: (i, name), delimiter="\t"),
    "list": json.dumps,
    "by index": lambda names: json.dumps(dict(enumerate(names))),
    "by name": lambda names: json.dumps({name: i for i, name in enumerate(names)}),
    "id2label": lambda names: json.dumps({"id2label": dict(enumerate(names))}),
    "labels": lambda names: json.dumps({"labels": names}),
    "Python": lambda names: repr(dict(enumerate(names))),
    "YAML list": lambda names: "names:\n" + "\n".join(f"- {json.dumps(name)}" for name in names),
    "YAML mapping": yaml_block,
    "YAML in a line": lambda names: f"names: {json.dumps(names)}\nnc: {len(names)}",
}
NAMES = [
    *("cat", "great grey owl", "Tinca tinca, tench", "jack-o'-lantern", "Bär", "猫 ねこ", "a;b"),
    *("C#", "x: y", "50 cents", "(none)", "ice-cream", "q&a", "e=mc2", "-", "n01"),
]
SHUFFLED = {"index and blank", "index and colon", "index, name", "name, index", "tabs"}


@pytest.mark.parametrize("kind", WRITERS)
def test_random_orders_of_names_come_back_in_every_kind_of_list(listed, kind):
    draw = random.Random(kind)
    for _ in range(60):
        names = draw.sample(NAMES, draw.randrange(2, len(NAMES)))
        text = WRITERS[kind](names)
        if kind in SHUFFLED:
            heading, *lines = (
                text.splitlines() if kind == "name, index" else ("", *text.splitlines())
            )
            draw.shuffle(lines)
            text = "\n".join(filter(None, [heading, *lines]))
        assert listed(text).names == tuple(names), text


@pytest.mark.parametrize("kind", ["by name", "name, index", "index, name", "by index", "list"])
def test_names_that_are_numbers_come_back_as_image_folders_order_them(listed, kind):
    draw = random.Random(kind)
    for _ in range(60):
        numbers = draw.sample(range(400), draw.randrange(2, 30))
        names = sorted(map(str, numbers if draw.random() < 0.5 else range(len(numbers))))
        assert listed(WRITERS[kind](names)).names == tuple(names)


def test_twelve_numbered_classes_are_sorted_as_numbers(listed):
    names = tuple(f"class {index}" for index in range(12))
    given = {str(index): name for index, name in sorted(enumerate(names), key=lambda p: str(p[0]))}
    assert listed(json.dumps(given)).names == names


def test_names_with_commas_in_plain_lines_stay_whole(listed):
    assert listed("tench, Tinca tinca\ngoldfish\n").names == ("tench, Tinca tinca", "goldfish")


@pytest.mark.parametrize(
    "content",
    ["", "  \n", "[", '{"a": "b"}', "[]", b"\xff\xfe\x00", b"x\n" * 2_000_000],
    ids=["empty", "blank", "half", "no indices", "no names", "binary", "huge"],
)
def test_what_is_no_list_is_refused_in_a_sentence(listed, content):
    with pytest.raises(ClassesError) as caught:
        listed(content)
    assert "classes.txt" in caught.value.message


@pytest.mark.parametrize(
    "content",
    ['{"a": 1e400, "b": 0}', "²,squared\n³,cubed\n", '"' + "x" * 200_000 + '"\n', "9" * 5000 + ",a",
     '["\\ud800"]', "cat\rdog", "[" * 100_000, '{"names":' * 900 + "1" + "}" * 900],
    ids=["infinite", "superscript", "long field", "long index", "half a character", "old Mac",
         "deep", "deep names"],
)  # fmt: skip
def test_a_list_of_classes_never_ends_in_a_traceback(listed, content):
    with suppress(ClassesError):
        assert listed(content).names


def test_the_folders_of_a_training_set_are_its_classes(tmp_path):
    """In the order of strings, as torchvision's ImageFolder numbers them."""
    for name in ("dog", "cat", "10", "9"):
        (tmp_path / name).mkdir()
    (tmp_path / "labels.txt").write_text("x")
    assert class_names.at(tmp_path).names == ("10", "9", "cat", "dog")
    assert class_names.of_folders(["set/dog/1.png", "set/cat/2.png", "set/cat/3.png"]) == (
        "cat",
        "dog",
    )


@pytest.mark.parametrize("paths", [[], ["1.png", "2.png"], ["cat/1.png", "cat/2.png"]])
def test_fewer_than_two_folders_are_no_classes(paths):
    with pytest.raises(ClassesError, match="folder for each class"):
        class_names.of_folders(paths)


def test_a_missing_list_is_said(tmp_path):
    with pytest.raises(ClassesError, match=r"gone\.txt cannot be read"):
        class_names.at(tmp_path / "gone.txt")
