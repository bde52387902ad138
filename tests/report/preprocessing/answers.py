"""A preprocessing check with every kind of candidate."""

from __future__ import annotations

from diagnostics.schema.results.preprocessing import PreprocessingCandidate, PreprocessingCheck


def check(verdict="wrong", evidence="batchnorm"):
    """Return a check: the way set now, two ties, one that fits worse, a mistake."""

    def candidate(name, measure, *, tied=False, mistake=False, current=False, suggested=False):
        return PreprocessingCandidate(
            names=[name],
            preprocessing={"way": name},
            measure=measure,
            tied=tied,
            mistake=mistake,
            current=current,
            suggested=suggested,
        )

    return PreprocessingCheck(
        verdict=verdict,
        sentence="It looks wrong.",
        evidence=evidence,
        cause="",
        n=12,
        passes=60,
        candidates=[
            candidate("inverted", 0.30, tied=True),
            candidate("half", 0.31, tied=True, suggested=True),
            candidate("twice", 0.32, tied=True, mistake=True),
            candidate("as it is set now", 0.9, current=True),
            candidate("raw 0..255", 3.4),
        ],
    )
