"""Serve the app on a model that another process holds, see `diagnostics.show`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from diagnostics.schema.request import File, ModelSource
from diagnostics.schema.spec import preprocessing_from
from diagnostics.ui.server.launch import serve
from diagnostics.ui.server.settings import ServerSettings
from diagnostics.ui.server.startup import SessionDefaults


def main(folder: Path) -> int:
    """Serve what a folder's begin.json describes; return the exit code."""
    content = json.loads((folder / "begin.json").read_text("utf-8"))
    source = content["source"]
    names, file = source["class_names"], File(**source["file"])
    preprocessing = content["preprocessing"] and preprocessing_from(content["preprocessing"])
    folders = {role: File(**one) if one else None for role, one in content["folders"].items()}
    defaults = SessionDefaults(
        ModelSource(
            file,
            class_names=names and tuple(names),
            class_names_read_as=source["class_names_read_as"],
            output=source["output"],
        ),
        tuple(File(**image) for image in content["images"]),
        (lambda _default: preprocessing) if preprocessing else None,
        live_socket=Path(file.path),
        in_distribution=folders["in_distribution"],
        out_of_distribution=folders["out_of_distribution"],
    )
    return serve(ServerSettings(port=content["port"]), defaults)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
