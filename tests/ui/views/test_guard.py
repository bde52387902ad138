"""The guards of the page are those of the registry."""

from __future__ import annotations

from dataclasses import replace

from diagnostics.methods.registry import methods
from diagnostics.ui.views.guard import guards_of

INFOS = {method.info.id: method.info for method in methods()}


def test_guards_stand_in_the_order_that_they_give_themselves():
    titles = [info.title for info in guards_of(INFOS)]
    assert titles == ["Threshold", "Extra class", "Discriminator"]
    assert all(info.explanation for info in guards_of(INFOS))


def test_a_new_guard_needs_no_other_file():
    new = replace(INFOS["guard/threshold"], id="guard/mine", title="Mine", order=2)
    titles = [info.title for info in guards_of({new.id: new, **INFOS})]
    assert titles == ["Threshold", "Extra class", "Mine", "Discriminator"]
