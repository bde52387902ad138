import random

import pytest

from diagnostics.errors import RecipeError
from diagnostics.schema.preprocessing import Preprocessing
from diagnostics.schema.recipe import Recipe, dumps, loads


def test_random_recipes_survive_being_written_and_read():
    draw = random.Random(0)
    marks = "ab\"'\\\n\t\x00é漢🙂\x7f=[]# "
    for _ in range(200):
        colour = draw.random() < 0.5
        channels = 3 if colour else 1
        names = tuple("".join(draw.choices(marks, k=5)) for _ in range(draw.randrange(5)))
        settings = Preprocessing(
            colour=colour,
            grey=draw.random() < 0.5,
            fit=draw.choice(("crop", "stretch", "letterbox", "none")),
            height=draw.randrange(1, 4097),
            contrast=draw.uniform(0, 100),
            threshold=draw.choice((None, draw.random())),
            value_range=draw.choice((1, 255)),
            mean=tuple(draw.gauss(0, 1e-9) for _ in range(channels)),
            std=tuple(draw.uniform(1e-6, 1e3) for _ in range(channels)),
        )
        recipe = Recipe(
            "".join(draw.choices(marks, k=9)), "ab", "timm/x", "logits", names, settings
        )
        assert loads(dumps(recipe)) == recipe


def test_what_is_left_out_takes_its_default():
    read = loads('[model]\narchitecture = "timm/x"\n[preprocessing]\nblur = 1\n')
    assert read.preprocessing == Preprocessing(blur=1)
    assert (read.architecture, read.sha256, read.class_names) == ("timm/x", "", ())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("not toml", "no TOML"),
        ("[modell]", "did you mean model"),
        ("[preprocessing]\nmaen = [0.5]", "did you mean mean"),
        ("[preprocessing]\nmean = 0.5", "list of numbers"),
        ("[preprocessing]\nmean = [0.5]", "3 numbers"),
        ("[preprocessing]\nblur = 99", "between 0 and 50"),
        ('[preprocessing]\ninvert = "yes"', "true or false"),
        ('[preprocessing]\nheight = "tall"', "height"),
        ("[model]\nclasses = [1]", "list of names"),
        ("[model]\nname = 3", "text in quotes"),
        ("model = 3", "must be a table"),
    ],
)
def test_a_mistake_is_named_in_one_sentence(text, words):
    with pytest.raises(RecipeError, match=words):
        loads(text)
