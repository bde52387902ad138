"""Holds the documents to the code. `python -m tests.test_documentation` writes the method table."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
METHODS = ROOT / "docs" / "methods.md"
BEGIN, END = "<!-- methods:begin -->\n", "<!-- methods:end -->"

# What only holds on one machine: absolute paths of a workplace, and addresses of registries.
# The brackets keep this file from finding itself.
NOT_PORTABLE = re.compile(
    r"(?<![\w.])/(?:work|root|opt|home)/\w|/tmp/[v]env"
    r"|[p]ypi\.org|[p]ythonhosted\.org|[d]eb\.debian\.org|[n]pmjs\.org"
)
TEXT = {".py", ".md", ".toml", ".txt", ".yaml", ".yml", ".sh", ".css", ".js", ".cfg", ""}


def _documents() -> list[Path]:
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def _files_of_the_project() -> list[Path]:
    """Return what is tracked, or would be with the next `git add`."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            cwd=ROOT,
            capture_output=True,
            check=True,
            text=True,
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("git cannot list the files of this checkout")
    found = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in found if path.is_file() and path.suffix in TEXT]


def _methods_table() -> str:
    """Return the table of methods, made from the registry."""
    from diagnostics.methods.registry import methods

    rows = ["| method | what it shows | needs | options | source |", "|" + " --- |" * 5]
    for info in (method.info for method in methods()):
        options = ", ".join(f"`{option.name}`" for option in info.options) or "none"
        summary = info.summary.removesuffix(".")
        rows.append(
            f"| {info.title}<br>`{info.id}` | {summary} | {', '.join(info.needs) or 'nothing'} "
            f"| {options} | {info.source} |"
        )
    return "\n".join(rows) + "\n"


def _split(page: str) -> tuple[str, str, str]:
    before, _, rest = page.partition(BEGIN)
    table, _, after = rest.partition(END)
    return before, table, after


@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_the_python_examples_run(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    assert blocks, f"{page} has no python example"
    for block in blocks:
        done = subprocess.run(
            [sys.executable, "-c", block], cwd=ROOT, capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip(), "the example shows nothing"


def test_the_table_of_methods_is_the_registry() -> None:
    _, table, _ = _split(METHODS.read_text(encoding="utf-8"))
    assert table == _methods_table(), "write it with: python -m tests.test_documentation"


def test_links_in_the_documents_lead_to_files() -> None:
    broken = []
    for document in _documents():
        for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
            if re.match(r"[a-z]+:|#", target):
                continue
            if not (document.parent / target.partition("#")[0]).exists():
                broken.append(f"{document.relative_to(ROOT)}: {target}")
    assert not broken, "\n" + "\n".join(broken)


def test_the_readme_names_every_command_of_the_makefile_it_relies_on() -> None:
    made = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"\bmake ([a-z-]+)", README.read_text(encoding="utf-8")))
    assert {"run", "test"} <= named
    assert named <= made


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 200


def test_every_decision_stands_in_their_index() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    missing = [page.name for page in folder.glob("0*.md") if f"({page.name})" not in index]
    assert not missing, missing


def test_the_changelog_has_an_entry_for_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{project['version']}]" in changelog


def test_every_dependency_has_an_exact_version_in_the_constraints() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = [line for line in lines if line and not line.startswith("#")]
    strange = [line for line in pinned if not re.fullmatch(r"[\w.-]+==[\w.]+", line)]
    assert not strange, strange
    names = {line.partition("==")[0].lower() for line in pinned}
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *itertools.chain(*extras)]
    missing = [name for name in wanted if re.split(r"[><=~!\[]", name)[0].lower() not in names]
    assert not missing, missing


def test_no_file_speaks_of_one_machine() -> None:
    found = []
    for path in _files_of_the_project():
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in NOT_PORTABLE.finditer(text)]
    assert not found, "\n" + "\n".join(found)


def test_no_document_uses_emoji_or_exclamation_marks() -> None:
    found = []
    for document in _documents():
        prose = re.sub(r"```.*?```|`[^`]*`|<!--.*?-->|!\[", "", document.read_text(), flags=re.S)
        prose = re.sub(r"^ {4}.*$", "", prose, flags=re.M)
        found += [
            f"{document.relative_to(ROOT)}: {mark!r}"
            for mark in re.findall(r"[!\u2600-\u27bf\U0001f300-\U0001faff]", prose)
        ]
    assert not found, "\n" + "\n".join(found)


def write_methods_table() -> None:
    """Put the registry's table between the markers of docs/methods.md."""
    before, _, after = _split(METHODS.read_text(encoding="utf-8"))
    METHODS.write_text(before + BEGIN + _methods_table() + END + after, encoding="utf-8")


if __name__ == "__main__":
    write_methods_table()
