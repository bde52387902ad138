"""OOD detection: which score decides, how many false alarms, which preprocessing, both errors."""

from __future__ import annotations

from typing import cast

import streamlit as st

from diagnostics.metrics.intervals import counted
from diagnostics.report.inspection.answers import Arrays
from diagnostics.report.ood import roc, tables
from diagnostics.report.ood.tables import Detection
from diagnostics.report.preprocessing import charts as preprocessing_charts
from diagnostics.report.preprocessing import tables as preprocessing_tables
from diagnostics.schema.options import MethodInfo
from diagnostics.schema.request import File, Request
from diagnostics.schema.results.ood import (
    DetectionAnswer,
    DistributionShift,
    EvaluationAnswer,
    ScoreOverview,
)
from diagnostics.schema.results.preprocessing import PreprocessingCheck
from diagnostics.schema.spec import ModelSpec, preprocessing_from
from diagnostics.text import markdown
from diagnostics.ui.session.choices import choose
from diagnostics.ui.session.state import current_session
from diagnostics.ui.widgets import forms
from diagnostics.ui.widgets.board import Board
from diagnostics.ui.widgets.forms import Field

ALPHAS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2)
MAX_TRIED_PERCENT = 50.0
CHART_PX = 520


def detection_request(spec: ModelSpec, reference: File | None) -> Request:
    """Return the request how strange the images shown are."""
    session = current_session()
    return Request(
        "ood/detect",
        session.model,
        session.shown_images(),
        session.preprocessing or spec.preprocessing,
        options={"examined": False},  # the page asks about the preprocessing by itself
        reference=reference,
    )


def evaluation_request(spec: ModelSpec, reference: File | None) -> Request | None:
    """Return the request how many strangers are detected; None without a folder of them."""
    session = current_session()
    if reference is None or session.out_of_distribution is None:
        return None
    return Request(
        "ood/evaluate",
        session.model,
        (),
        session.preprocessing or spec.preprocessing,
        ood_folder=session.out_of_distribution,
        reference=reference,
    )


def preprocessing(check: PreprocessingCheck, board: Board, heading: str, spec: ModelSpec) -> None:
    """Draw whether the preprocessing is right, and the way to a better one."""
    session = current_session()
    sentence = markdown(check["sentence"])
    if check["verdict"] in ("wrong", "something else"):
        st.warning(sentence, icon=":material/warning:")
    else:
        icon = "check_circle" if check["verdict"] == "fine" else "help"
        st.markdown(f":material/{icon}: **{check['verdict'].capitalize()}.** {sentence}")
    st.caption(preprocessing_tables.evidence(check, on_images=session.in_distribution is None))
    with st.container(horizontal=True, vertical_alignment="center"):
        for index, (name, settings) in enumerate(preprocessing_tables.offers(check)):
            st.button(
                f"Switch to {markdown(name)}",
                key=f"novelty.switch.{index}",
                on_click=session.select_model,
                args=(session.model, preprocessing_from(settings)),
                type="secondary" if index else "primary",
            )
        changed = session.preprocessing not in (None, spec.preprocessing)
        if changed and check["verdict"] != "wrong":
            st.button(
                "Back to the model's own", on_click=session.select_model, args=(session.model,)
            )
    table = preprocessing_tables.candidates(check)
    if check["verdict"] == "can't tell":
        board.table(heading, table, folded=True)
    else:
        board.chart(heading, preprocessing_charts.candidates(check), table, "novelty.ways")


def distribution_shift(shift: DistributionShift | None) -> None:
    """Say whether the images shown reach the network as the in-distribution ones did."""
    if shift:
        sentence = markdown(shift["sentence"])
        if shift["verdict"] == "alike":
            st.markdown(f":material/check_circle: {sentence}")
        else:
            st.warning(sentence, icon=":material/warning:")


def detection(answer: DetectionAnswer, board: Board, info: MethodInfo) -> Detection:
    """Draw what decides; return the answer read in that way, or end the page without a score."""
    if not answer["available"]:
        st.markdown(tables.without_reference(answer))
        scores(answer, board)
        board.offer_report()
        st.stop()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        names = tuple(file.name for file in current_session().shown_images())
        has_reference = bool(answer["false_alarms"]["n"])
        score = _choose_score(answer)
        default = cast(float, info.option("alpha").default)
        alpha = _choose_alpha(info) if has_reference else default
        read = Detection(answer, names, score, alpha)
    st.caption(markdown(f"{read.title} cannot see: {read.scores[0]['blind']}"))
    board.facts["Score that decides"] = read.title
    return read


def several(read: Detection, arrays: Arrays, board: Board) -> None:
    """Say what several images, and several scores, do to the promise."""
    if read.discoveries and (sentence := tables.discovered(read.discoveries)):
        st.markdown(markdown(sentence))
        board.facts["Images together"] = sentence
    smallest = arrays.get("smallest_p_values")
    if smallest is not None and len(smallest):
        by_any = counted(int((smallest <= read.alpha).sum()), len(smallest))
        if sentence := tables.multiplicity(len(read.scores), by_any, read.alpha):
            st.caption(markdown(sentence))
            board.facts["Scores together"] = sentence


def evaluation(
    answer: EvaluationAnswer, arrays: Arrays, read: Detection, board: Board, heading: str
) -> None:
    """Draw both errors at a threshold to try, and how well every score tells strangers.

    Args:
        answer: The answer about the out-of-distribution images.
        arrays: Scores of both sides, see `diagnostics.report.ood.roc.sides`.
        read: The answer about the images shown.
        board: Of the page.
        heading: Of the section.
    """
    id_scores, ood_scores = roc.sides(arrays, read.score)
    percent = st.slider(
        "Try a threshold: share of known-good images that may be flagged",
        0.0,
        MAX_TRIED_PERCENT,
        100 * read.alpha,
        0.1,
        format="%.1f %%",
        key=f"novelty.tried.{read.alpha}",
        width=560,
    )
    at = roc.errors(id_scores, ood_scores, percent / 100)
    st.markdown(f"By {markdown(read.title)}: **{markdown(at.sentence)}**")
    names, separations = tables.titles(answer), answer["scores"]
    pair = st.container(horizontal=True)  # under each other where there is no room
    with pair.container(width=CHART_PX):
        curves = roc.curves(arrays, names, read.score, at)
        board.chart(heading, curves, roc.curve_numbers(id_scores, ood_scores), "novelty.roc")
    with pair.container(width=CHART_PX):
        bands = roc.bands(separations, names, read.score)
        board.chart(heading, bands, roc.aurocs(separations, names), "novelty.auroc")


def scores(overview: ScoreOverview, board: Board) -> None:
    """Draw what each score is, what it cannot see, and why others are left out."""
    columns = st.columns(2)
    for index, info in enumerate(overview["available"]):
        columns[index % 2].markdown(
            f"**{markdown(info['title'])}**  \n{markdown(info['summary'])}  \n"
            f"Its number: {markdown(info['measure'])}  \n"
            f"Cannot see: {markdown(info['blind'])}  \n"
            f":small[:gray[{markdown(info['source'])}]]"
        )
        board.facts[info["title"]] = (
            f"{info['summary']} Its number: {info['measure']} Cannot see: {info['blind']} "
            f"{info['source']}"
        )
    for reason, titles in tables.left_out(overview).items():
        st.markdown(f"**Left out:** {markdown(', '.join(titles))}. {markdown(reason)}")
        board.facts[f"Left out: {', '.join(titles)}"] = reason


def _choose_score(answer: DetectionAnswer) -> str:
    """Draw which score decides; return its id."""
    return choose(
        "Score that decides",
        "novelty.score" if answer["false_alarms"]["n"] else "novelty.alone",
        tables.titles(answer),
        "Each score sees other things and is blind to others; the last section says to which.",
        default=answer["default"],
        width=290,
    )


def _choose_alpha(info: MethodInfo) -> float:
    """Draw which share of in-distribution images may be flagged."""
    field = Field(
        "False alarms",
        "The share of images like the known-good ones that may be called strange. Fewer false "
        "alarms let more strangers pass.",
        choices=ALPHAS,
        title=lambda share: f"at most {100 * share:g} %",
        width=160,
    )
    return float(forms.options(info, {"alpha": field}, "novelty")["alpha"])
