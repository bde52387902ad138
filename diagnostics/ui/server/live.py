"""Serve the app on a model that another process holds, see `diagnostics.show`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from diagnostics.schema.request import File, ModelSource
from diagnostics.schema.spec import preprocessing_from
from diagnostics.ui.server.launch import serve
from diagnostics.ui.server.settings import Serving
from diagnostics.ui.server.startup import Beginning


def main(folder: Path) -> int:
    """Serve what a folder's begin.json describes; return the exit code."""
    begin = json.loads((folder / "begin.json").read_text("utf-8"))
    described = begin["source"]
    names = described["class_names"]
    source = ModelSource(File(**described["file"]), class_names=names and tuple(names))
    given = begin["preprocessing"] and preprocessing_from(begin["preprocessing"])
    images = tuple(File(**one) for one in begin["images"])
    adapt = (lambda own: given) if given else None
    first = Beginning(source, images, adapt, live=Path(source.file.path))
    return serve(Serving(port=begin["port"]), first)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
