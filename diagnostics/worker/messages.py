"""What server and worker say to each other, as JSON; what a worker says is checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from diagnostics.errors import OversureError, by_name
from diagnostics.request import File, ModelSource, Progress, Request, Result
from diagnostics.spec import preprocessing_from
from diagnostics.worker.wire import Arrays, ProtocolError

REQUEST, PROGRESS, RESULT, ERROR = "request", "progress", "result", "error"
LONGEST_WORDS, LONGEST_MESSAGE = 200, 1000


def request_to_json(request: Request) -> dict[str, Any]:
    """Return the message that asks a request."""
    return {"type": REQUEST, **asdict(request)}


def request_from_json(header: Mapping[str, Any]) -> Request:
    """Return the request that a message of the server asks."""
    model, settings = header["model"], header["preprocessing"]
    classes = model["classes"] and File(**model["classes"])
    options = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in header["options"].items()
    }
    return Request(
        method=header["method"],
        model=ModelSource(File(**model["file"]), model["architecture"], classes, model["output"]),
        images=tuple(File(**image) for image in header["images"]),
        preprocessing=settings and preprocessing_from(settings),
        target=header["target"],
        options=options,
        seed=header["seed"],
    )


def progress_to_json(progress: Progress) -> dict[str, Any]:
    """Return the message that reports progress."""
    return {"type": PROGRESS, **asdict(progress)}


def progress_from_json(header: Mapping[str, Any]) -> Progress:
    """Return the progress that a worker reports, its numbers brought into their range.

    Raises:
        ProtocolError: When it is not as agreed.
    """
    doing, done, left = header.get("doing"), header.get("done"), header.get("seconds_left")
    _demand(isinstance(doing, str) and _is_number(done) and (left is None or _is_number(left)))
    return Progress(
        doing=str(doing)[:LONGEST_WORDS],
        done=min(max(float(done or 0), 0.0), 1.0),
        seconds_left=None if left is None else max(float(left), 0.0),
    )


def result_to_json(result: Result) -> dict[str, Any]:
    """Return the message that answers with a result; its arrays travel beside it."""
    return {
        "type": RESULT,
        "key": result.key,
        "scores": result.scores,
        "seconds": result.seconds,
        "versions": result.versions,
    }


def result_from_json(header: Mapping[str, Any], arrays: Arrays, key: str) -> Result:
    """Return the result that a worker answers with.

    Args:
        header: The message.
        arrays: What came beside it.
        key: Key of the request that was asked.

    Raises:
        ProtocolError: When it answers another request, or is not as agreed.
    """
    scores, seconds, versions = (header.get(name) for name in ("scores", "seconds", "versions"))
    if not isinstance(scores, dict) or not isinstance(versions, dict) or not _is_number(seconds):
        raise ProtocolError("a result that is not as agreed")
    _demand(header.get("key") == key and float(seconds or 0) >= 0)
    _demand(all(isinstance(value, str) for value in versions.values()))
    return Result(key, arrays, scores, float(seconds or 0), versions)


def error_to_json(error: OversureError) -> dict[str, Any]:
    """Return the message that says why there is no result."""
    return {"type": ERROR, "kind": type(error).__name__, "message": error.message}


def error_from_json(header: Mapping[str, Any]) -> OversureError:
    """Return the error that a worker answers with.

    Raises:
        ProtocolError: When it is not as agreed.
    """
    kind, message = header.get("kind"), header.get("message")
    _demand(isinstance(kind, str) and isinstance(message, str))
    return by_name(str(kind))(str(message)[:LONGEST_MESSAGE])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _demand(agreed: bool) -> None:
    if not agreed:
        raise ProtocolError("a message that is not as agreed")
