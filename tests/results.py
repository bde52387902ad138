"""Whether a real answer is what its TypedDict promises."""

from __future__ import annotations

import json
from typing import Any

from typeguard import CollectionCheckStrategy, check_type


def conforms(answer_type: Any, scores: Any) -> None:
    """Hold an answer to its TypedDict, every entry of every list, before and after JSON.

    Raises:
        TypeCheckError: When a key is missing, unknown or of another type.
    """
    for content in (scores, json.loads(json.dumps(scores, allow_nan=False))):
        check_type(
            content,
            answer_type,
            collection_check_strategy=CollectionCheckStrategy.ALL_ITEMS,
        )
