"""The preprocessing check in words."""

from __future__ import annotations

from diagnostics.report.preprocessing import tables
from diagnostics.schema.results.preprocessing import PreprocessingCheck
from tests.report.preprocessing.answers import check
from tests.results import conforms


def test_the_check_of_these_tests_is_as_the_method_gives_it():
    conforms(PreprocessingCheck, check())


def test_a_wrong_preprocessing_offers_the_suggested_way_first_and_never_a_mistake():
    assert [settings["way"] for _, settings in tables.offers(check())] == ["half", "inverted"]
    assert tables.doubt(check())


def test_a_fine_preprocessing_offers_nothing_and_casts_no_doubt():
    assert tables.offers(check("fine")) == []
    assert tables.doubt(check("fine")) == ""


def test_the_table_names_every_kind_of_a_candidate():
    rows = tables.candidates(check()).rows
    assert rows[2]["kind"] == "tied with the best, a usual mistake"
    assert rows[3]["kind"] == "set now"


def test_images_in_hand_as_evidence_are_called_weak():
    assert "may be strange themselves" in tables.evidence(check(), on_images=True)
    assert "strange" not in tables.evidence(check(), on_images=False)


def test_accuracy_is_written_in_percent():
    rows = tables.candidates(check(evidence="accuracy")).rows
    assert rows[0]["answered right, higher fits better"] == "30 %"
