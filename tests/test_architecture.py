"""Holds the code to the architecture: who imports whom, what stands where, and how much of it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# The import table: a package imports itself and what stands here, never a single module by name.
# Packages that lie in no folder are single files: `errors`, or "" for `diagnostics` itself, the
# door for readers of the library, which opens everything lazily.
WORDS = {"errors", "text", "versions"}
PLAIN = WORDS | {"schema"}
NUMBERS = PLAIN | {"data", "metrics"}
PIXELS = NUMBERS | {"preprocessing", "corruptions"}
NETWORKS = PIXELS | {"models", "loaders", "reference"}
EVERYTHING = NETWORKS | {"verdict", "methods", "execution", "worker", "report", "ui"}
MAY_IMPORT = {
    **{name: set() for name in WORDS},
    "schema": WORDS,
    **{name: PLAIN for name in ("data", "metrics")},
    "preprocessing": NUMBERS,
    "corruptions": NUMBERS | {"preprocessing"},
    "models": PIXELS,
    **{name: PIXELS | {"models"} for name in ("loaders", "reference")},
    "verdict": NUMBERS,
    "methods": NETWORKS | {"verdict"},
    "execution": NETWORKS | {"methods"},
    "worker": PLAIN,
    "report": PIXELS | {"verdict"},
    "ui": PIXELS | {"verdict", "report", "worker"},
    **{name: EVERYTHING | {"cli", "notebook", "live"} for name in ("cli", "notebook", "live")},
    **{name: {"cli", "notebook", "live"} for name in ("", "__main__")},
    **{name: {"ui", "report", "schema", "text", "errors"} for name in ("app.py", "pages")},
}
# A topic of methods imports itself, what all topics share, and these.
SHARED_BY_TOPICS = {"registry", "context"}
MAY_IMPORT_TOPIC = {
    "guard": {"ood", "noise"},
    "faithfulness": {"attribution"},
    "ood": {"preprocessing"},
    "diagnosis": {"preprocessing", "ood", "noise", "adversarial", "sufficient_pixels"},
}
UI_ORDER = ("server", "session", "widgets", "dialogs", "sidebar", "views")

ARRAYS = {"numpy", "PIL"}
TORCH = ARRAYS | {"torch", "jaxtyping"}
BUILT = TORCH | {"torchvision", "timm"}
THIRD_PARTY = {
    **{name: set() for name in WORDS},
    "schema": {"numpy"},
    **{name: ARRAYS | {"scipy"} for name in ("data", "metrics", "preprocessing", "corruptions")},
    "models": BUILT | {"onnxruntime"},
    "loaders": BUILT
    | {"safetensors", "onnx", "onnxruntime", "google", "keras", "h5py", "transformers"}
    | {"huggingface_hub"},
    "reference": TORCH | {"safetensors"},
    "verdict": ARRAYS,
    "methods": BUILT | {"captum", "scipy", "safetensors"},
    "execution": TORCH | {"cachetools"},
    "worker": ARRAYS | {"torch"},
    "report": ARRAYS | {"plotly"},
    "ui": ARRAYS | {"streamlit", "plotly", "starlette", "anyio", "cachetools"},
    **{name: ARRAYS for name in ("cli", "notebook", "live", "", "__main__")},
    **{name: {"streamlit"} for name in ("app.py", "pages")},
}

NOT_FOR_THE_UI = {"torch", "torchvision", "timm", "captum", "safetensors"}
OPENS_CODE = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
OPENS_CODE_CALLS = {
    "torch.load",
    "torch.jit.load",
    "torch.export.load",
    "torch.package.PackageImporter",
    "torch.hub.load",
    "torch.hub.load_state_dict_from_url",
}
BANNED_NAMES = {"utils", "helpers", "common", "core", "base", "manager", "service"}


@dataclass(frozen=True)
class Module:
    """One source file: its path from the root, its parts below `diagnostics`, its syntax tree."""

    path: str
    parts: tuple[str, ...]
    tree: ast.Module

    @property
    def package(self) -> str:
        """The row of the import table that it belongs to."""
        return self.parts[0] if self.parts else ""


@dataclass(frozen=True)
class Import:
    """One imported name, "torch.nn" or "diagnostics.schema.spec"; lazy inside a function."""

    name: str
    line: int
    lazy: bool


def _module(path: Path) -> Module:
    parts = path.relative_to(ROOT).with_suffix("").parts
    if parts[0] == "diagnostics":
        parts = parts[1:]
    elif parts == ("app",):
        parts = ("app.py",)
    if parts[-1] == "__init__":
        parts = parts[:-1]
    return Module(
        path.relative_to(ROOT).as_posix(), parts, ast.parse(path.read_text(encoding="utf-8"))
    )


@cache
def _modules() -> tuple[Module, ...]:
    paths = [*(ROOT / "diagnostics").rglob("*.py"), *(ROOT / "pages").rglob("*.py")]
    paths += [path for path in (ROOT / "app.py",) if path.exists()]
    return tuple(_module(path) for path in sorted(paths))


@cache
def _imports(module: Module) -> tuple[Import, ...]:
    """Return what a module imports, except what only a type checker reads."""
    return tuple(dict.fromkeys(_walk(module.tree, lazy=False)))


def _walk(node: ast.AST, *, lazy: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, child.lineno, lazy) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"line {child.lineno}: write the whole name of what you import"
            for alias in child.names:
                yield Import(_whole_name(child.module or "", alias.name), child.lineno, lazy)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _walk(child, lazy=lazy or inside)


def _whole_name(package: str, name: str) -> str:
    """Return "a.b" for `from a import b` when b is a module of ours, "a" otherwise."""
    inside = ROOT.joinpath(*package.split("."), name)
    is_module = inside.is_dir() or inside.with_suffix(".py").exists()
    return f"{package}.{name}" if package.startswith("diagnostics") and is_module else package


def _ours(imported: Import) -> Module | None:
    package, *parts = imported.name.split(".")
    return _by_parts().get(tuple(parts)) if package == "diagnostics" else None


@cache
def _by_parts() -> dict[tuple[str, ...], Module]:
    return {m.parts: m for m in _modules() if m.path.startswith("diagnostics/")}


def _executed(imported: Import) -> list[Module]:
    """Return what Python runs for an import: the module and the packages that it lies in."""
    package, *parts = imported.name.split(".")
    if package != "diagnostics":
        return []
    names = [tuple(parts[:count]) for count in range(len(parts) + 1)]
    return [_by_parts()[name] for name in names if name in _by_parts()]


def _is_ui(module: Module) -> bool:
    return module.package in ("ui", "app.py", "pages")


def _each_import_of_ours() -> Iterator[tuple[Module, Import, Module]]:
    for module in _modules():
        for imported in _imports(module):
            if target := _ours(imported):
                yield module, imported, target


def _complaints(found: list[str]) -> None:
    assert not found, "\n" + "\n".join(found)


def test_every_package_stands_in_the_import_table() -> None:
    packages = {module.package for module in _modules()}
    assert packages == set(MAY_IMPORT) == set(THIRD_PARTY)


def test_every_import_of_ours_exists() -> None:
    _complaints(
        [
            f"{module.path}:{imported.line}: there is no {imported.name}"
            for module in _modules()
            for imported in _imports(module)
            if imported.name.startswith("diagnostics") and _ours(imported) is None
        ]
    )


def test_packages_import_only_what_the_table_allows() -> None:
    _complaints(
        [
            f"{module.path}:{imported.line}: {module.package} may not import {target.path}"
            for module, imported, target in _each_import_of_ours()
            if target.package not in MAY_IMPORT[module.package] | {module.package}
        ]
    )


def test_the_table_itself_has_no_circle() -> None:
    apart = {"cli", "notebook", "live"}  # doors of one row, which open each other lazily
    TopologicalSorter({row: may - apart for row, may in MAY_IMPORT.items()}).prepare()


def test_topics_of_methods_import_only_the_topics_that_the_table_allows() -> None:
    _complaints(
        [
            f"{module.path}:{imported.line}: {module.parts[1]} may not import {target.path}"
            for module, imported, target in _each_import_of_ours()
            if (module.package, target.package) == ("methods", "methods")
            and len(module.parts) > 2
            and len(target.parts) > 1
            and target.parts[1]
            not in {module.parts[1]}
            | SHARED_BY_TOPICS
            | MAY_IMPORT_TOPIC.get(module.parts[1], set())
        ]
    )


def test_parts_of_the_ui_import_only_parts_below_them() -> None:
    _complaints(
        [
            f"{module.path}:{imported.line}: {module.parts[1]} stands below {target.path}"
            for module, imported, target in _each_import_of_ours()
            if (module.package, target.package) == ("ui", "ui")
            and len(target.parts) > 1
            and UI_ORDER.index(target.parts[1]) > UI_ORDER.index(module.parts[1])
        ]
    )


def test_views_do_not_import_each_other() -> None:
    _complaints(
        [
            f"{module.path}:{imported.line}: a page puts views together; share in a widget instead"
            for module, imported, target in _each_import_of_ours()
            if module.parts[:2] == target.parts[:2] == ("ui", "views")
            and len(target.parts) > 2
            and target != module
        ]
    )


def test_modules_with_an_underscore_are_private_to_their_package() -> None:
    _complaints(
        [
            f"{module.path}:{imported.line}: {target.path} is private to its package"
            for module, imported, target in _each_import_of_ours()
            if target.parts
            and target.parts[-1].startswith("_")
            and target.parts[-1] != "__main__"
            and module.parts[: len(target.parts) - 1] != target.parts[:-1]
        ]
    )


def test_no_module_reaches_itself_through_its_imports() -> None:
    graph = {
        module.path: {
            target.path
            for imported in _imports(module)
            if not imported.lazy and (target := _ours(imported)) and target.path != module.path
        }
        for module in _modules()
    }
    TopologicalSorter(graph).prepare()


def test_third_party_packages_stay_in_their_packages() -> None:
    found = []
    for module in _modules():
        for imported in _imports(module):
            name = imported.name.partition(".")[0]
            ours = ("diagnostics", *THIRD_PARTY[module.package])
            if name not in sys.stdlib_module_names and name not in ours:
                found.append(f"{module.path}:{imported.line}: {name} may not be imported here")
    _complaints(found)


def test_nobody_imports_a_page() -> None:
    _complaints(
        [
            f"{module.path}:{imported.line}: imports {imported.name}"
            for module in _modules()
            for imported in _imports(module)
            if imported.name.partition(".")[0] in ("pages", "app")
        ]
    )


def test_the_ui_process_never_loads_torch() -> None:
    """Follow what is imported at once, not what a function imports in the model's process."""
    reached = {module.path: (module,) for module in _modules() if _is_ui(module)}
    ways = list(reached.values())
    found = []
    for way in ways:
        for imported in _imports(way[-1]):
            if imported.lazy and not _is_ui(way[-1]):
                continue
            if imported.name.partition(".")[0] in NOT_FOR_THE_UI:
                chain = " > ".join(module.path for module in way)
                found.append(f"{chain} > {imported.name}")
            for target in _executed(imported):
                if target.path not in reached:
                    reached[target.path] = (*way, target)
                    ways.append(reached[target.path])
    _complaints(found)


def test_files_that_can_hold_code_are_opened_by_loaders_only() -> None:
    found = []
    for module in _modules():
        if module.package == "loaders":
            continue
        found += [
            f"{module.path}:{imported.line}: imports {imported.name}"
            for imported in _imports(module)
            if imported.name.partition(".")[0] in OPENS_CODE
        ]
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in OPENS_CODE_CALLS:
                found.append(f"{module.path}:{node.lineno}: uses {ast.unparse(node)}")
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                never = isinstance(node.value, ast.Constant) and node.value.value is False
                found += [] if never else [f"{module.path}: allow_pickle must be False"]
    _complaints(found)


def test_no_page_lies_directly_in_the_pages_folder() -> None:
    """Streamlit would run such a page on a deep link without app.py."""
    _complaints([str(path.name) for path in (ROOT / "pages").glob("*.py")])


@pytest.mark.parametrize("folder", ["diagnostics", "pages", "scripts", "tests"])
def test_no_file_has_a_name_that_says_nothing(folder: str) -> None:
    _complaints(
        [
            str(path.relative_to(ROOT))
            for path in (ROOT / folder).rglob("*")
            if (path.suffix == ".py" or (path.is_dir() and path.name != "__pycache__"))
            and BANNED_NAMES & set(path.stem.lower().split("_"))
        ]
    )


def test_everything_public_has_a_docstring() -> None:
    found = []
    for module in _modules():
        if ast.get_docstring(module.tree) is None:
            found.append(f"{module.path}: the module has no docstring")
        found += [
            f"{module.path}:{node.lineno}: {node.name} has no docstring"
            for node in _public(module.tree)
            if ast.get_docstring(node) is None
        ]
    _complaints(found)


def _public(
    parent: ast.Module | ast.ClassDef,
) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in parent.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name.startswith("_"):
                continue
            yield node
            if isinstance(node, ast.ClassDef):
                yield from _public(node)
