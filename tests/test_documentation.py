"""Holds the documents to the code; `python -m tests.test_documentation` writes their tables."""

from __future__ import annotations

import argparse
import itertools
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.plants import report
from tests.benchmarks import table

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
SHARED_GROUPS = {
    "positional arguments",
    "model",
    "preprocessing; what is not given is the model's own",
}
SHARED_FLAGS = {"-h", "--json", "--out"}

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


def _commands_table() -> str:
    """Return the table of commands, made from the command line's own parser."""
    from diagnostics.cli.main import parser

    rows = ["| command | what it does | its own flags |", "|" + " --- |" * 3]
    for words, command in _commands(parser(), ("oversure",)):
        actions = command._actions
        places = [_place(action) for action in actions if not action.option_strings]
        groups = [group for group in command._action_groups if group.title not in SHARED_GROUPS]
        own = [action.option_strings[0] for group in groups for action in group._group_actions]
        listed = ", ".join(f"`{flag}`" for flag in own if flag not in SHARED_FLAGS) or "none"
        rows.append(f"| `{' '.join([*words, *places])}` | {command.description} | {listed} |")
    return "\n".join(rows) + "\n"


def _commands(
    parser: argparse.ArgumentParser, words: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                yield from _commands(command, (*words, name))
            return
    yield words, parser


def _place(action: argparse.Action) -> str:
    name = str(action.metavar or action.dest).upper()
    return {"?": f"[{name}]", "*": f"[{name}...]", "+": f"{name}..."}.get(str(action.nargs), name)


# What is made from the code: page, the name of its markers, and what stands between them.
GENERATED: tuple[tuple[str, str, Callable[[], str]], ...] = (
    ("docs/methods.md", "methods", _methods_table),
    ("docs/command-line.md", "commands", _commands_table),
    ("docs/benchmarks.md", "speed", table.speed),
    ("docs/benchmarks.md", "rates", table.rates),
    ("docs/why-benchmark.md", "why", report.tables),
)


def _split(page: str, name: str) -> tuple[str, str, str]:
    begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
    before, _, rest = page.partition(begin)
    table, _, after = rest.partition(end)
    return before + begin, table, end + after


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


@pytest.mark.parametrize(("page", "name", "made"), GENERATED)
def test_generated_tables_are_what_the_code_says(
    page: str, name: str, made: Callable[[], str]
) -> None:
    _, table, _ = _split((ROOT / page).read_text(encoding="utf-8"), name)
    assert table == made(), "write it with: python -m tests.test_documentation"


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


def write_tables() -> None:
    """Put every generated table between its markers."""
    for page, name, made in GENERATED:
        path = ROOT / page
        before, _, after = _split(path.read_text(encoding="utf-8"), name)
        path.write_text(before + made() + after, encoding="utf-8")


if __name__ == "__main__":
    write_tables()
