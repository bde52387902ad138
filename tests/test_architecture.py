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

# A module imports modules of its own level or below; "x/*" is every module of that package.
# `diagnostics` itself is the door for readers of the library, so it opens everything lazily.
LEVELS = (
    {"errors", "options"},
    {
        *("schema", "schema/*"),
        *("image", "pipeline", "stages", "presets", "advice", "recipe", "render", "request"),
        *("preprocessing", "prepared"),
        *("spec", "words", "noise", "pictures", "samples", "shapes", "class_names", "floors"),
        *("folder", "intervals", "pipelines", "roc"),
        *("corruptions", "corruptions_of_values", "corruptions_of_shape", "corruptions_reading"),
        "corruptions_axis",
        *("cppn", "framed"),
        *("sis", "sufficiency"),
    },
    {
        "classifier",
        "covariances",
        "layers",
        "operations",
        "attention",
        "method",
        "networks",
        "networks/*",
        "graph",
        "graph/*",
        "guard",
        "heads",
        "members",
        "norms",
        "odds",
        "outputs",
        "relus",
        "seen",
    },
    {
        *("loaders", "loaders/*", "methods", "methods/*"),
        *("predictions", "calibration", "ensemble", "receptive"),
        *("calibration_report", "mistakes", "temperature", "likeness", "agreement"),
        *("moments", "reference", "study", "novelty", "forensics", "noise_panel", "depth"),
        *("guarded", "guarding", "logistic", "shipping"),
        *("sweeping", "swept"),
        *("minimal", "minimal_box", "minimal_goal", "minimal_judged", "minimal_ways"),
        *("minimal_beside", "minimal_pixels", "random_rays", "flips", "screening"),
        *("ascent", "elites", "fooled"),
        *("coalitions", "randomised", "removal", "examining", "trusting"),
        *("fills", "backselect", "subset_controls", "sufficient"),
    },
    {
        *(
            "opening",
            "activations",
            "findings",
            "remembered",
            "explanation",
            "inspection",
            "answering",
            "clock",
        ),
        *("execute", "runner", "store"),
        *("execution", "execution/*"),
    },
    {"worker", "worker/*", "audit", "audit/*", "report", "report/*"},
    {"", "cli", "command", "measures", "doctor", "flags", "live", "notebook", "ui", "ui/*"},
    {"app.py", "pages/*"},
)
OF_OURS_FOR_PAGES = {"ui", "options", "request", "render", "report", "errors", "spec", "words"}

ARRAYS = {"numpy", "PIL"}
TORCH = ARRAYS | {"torch", "jaxtyping"}
THIRD_PARTY = (
    set(),
    ARRAYS,
    TORCH | {"torchvision", "timm"},
    TORCH | {"torchvision", "timm"},
    TORCH,
    ARRAYS,
    ARRAYS,
    {"streamlit"},
)
# One room each where a level's list is longer.
ALSO = {
    "render": {"plotly"},
    "loaders/": {
        "safetensors",
        "onnx",
        "onnxruntime",
        "google",
        "keras",
        "h5py",
        "transformers",
        "huggingface_hub",
    },
    "methods/": {"captum"},
    "reference": {"safetensors"},
    "shipping": {"safetensors"},
    "worker/": {"torch"},
    "audit/ray": {"ray"},
    "report/": {"plotly"},
    "ui/": {"streamlit", "plotly", "starlette", "anyio"},
}

NOT_FOR_THE_UI = {"torch", "torchvision", "timm", "captum", "safetensors"}
OPENS_CODE = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
OPENS_CODE_CALLS = {
    *("torch.load", "torch.jit.load", "torch.export.load", "torch.package.PackageImporter"),
    *("torch.hub.load", "torch.hub.load_state_dict_from_url"),
}
BANNED_NAMES = {"utils", "helpers", "common", "core", "base", "manager", "service"}


@dataclass(frozen=True)
class Module:
    """One source file: its path from the root, its name as in LEVELS, and its syntax tree."""

    path: str
    name: str
    tree: ast.Module
    lines: int

    @property
    def level(self) -> int | None:
        package = self.name.partition("/")[0]
        names = {self.name} | ({f"{package}/*"} if "/" in self.name else set())
        return next((index for index, level in enumerate(LEVELS) if names & level), None)


@dataclass(frozen=True)
class Import:
    """One imported name, "torch.nn" or "diagnostics.spec"; lazy inside a function."""

    name: str
    line: int
    lazy: bool


def _module(path: Path) -> Module:
    relative = path.relative_to(ROOT).as_posix()
    name = relative.removeprefix("diagnostics/").removesuffix("/__init__.py")
    name = "" if name == "__init__.py" else name
    if relative.startswith("diagnostics/"):
        name = name.removesuffix(".py")
    text = path.read_text(encoding="utf-8")
    return Module(relative, name, ast.parse(text), text.count("\n"))


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
    package, _, rest = imported.name.partition(".")
    if package != "diagnostics":
        return None
    return _by_name().get(rest.replace(".", "/"))


@cache
def _by_name() -> dict[str, Module]:
    return {m.name: m for m in _modules() if m.path.startswith("diagnostics/")}


def _executed(imported: Import) -> list[Module]:
    """Return what Python runs for an import: the module and the packages that it lies in."""
    package, *parts = imported.name.split(".")
    if package != "diagnostics":
        return []
    names = ["/".join(parts[:count]) for count in range(len(parts) + 1)]
    return [_by_name()[name] for name in names if name in _by_name()]


def _room(module: Module) -> set[str]:
    return set().union(
        *(
            names
            for room, names in ALSO.items()
            if module.name == room.rstrip("/") or (room[-1] == "/" and module.name.startswith(room))
        )
    )


def _is_ui(module: Module) -> bool:
    return module.name.partition("/")[0] in ("ui", "app.py", "pages")


def _complaints(found: list[str]) -> None:
    assert not found, "\n" + "\n".join(found)


def test_every_module_has_a_level() -> None:
    _complaints(
        [f"{module.path}: add it to LEVELS" for module in _modules() if module.level is None]
    )


def test_every_import_of_ours_exists() -> None:
    _complaints(
        [
            f"{module.path}:{imported.line}: there is no {imported.name}"
            for module in _modules()
            for imported in _imports(module)
            if imported.name.startswith("diagnostics") and _ours(imported) is None
        ]
    )


def test_imports_never_point_upwards() -> None:
    _complaints(
        [
            f"{module.path}:{imported.line}: level {module.level} imports {target.path}, "
            f"level {target.level}"
            for module in _modules()
            for imported in _imports(module)
            if (target := _ours(imported)) and (target.level or 0) > (module.level or 0)
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


def test_third_party_packages_stay_in_their_rooms() -> None:
    found = []
    for module in _modules():
        allowed = THIRD_PARTY[module.level or 0] | _room(module)
        for imported in _imports(module):
            package = imported.name.partition(".")[0]
            if package in sys.stdlib_module_names or package in ("diagnostics", *allowed):
                continue
            found.append(f"{module.path}:{imported.line}: {package} may not be imported here")
    _complaints(found)


def test_pages_import_only_what_a_page_needs() -> None:
    _complaints(
        [
            f"{module.path}:{imported.line}: a page has no business with {target.path}"
            for module in _modules()
            if module.level == len(LEVELS) - 1
            for imported in _imports(module)
            if (target := _ours(imported))
            and target.name.partition("/")[0] not in OF_OURS_FOR_PAGES
        ]
    )


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


def test_methods_of_one_folder_do_not_know_each_other_nor_other_families() -> None:
    found = []
    for module in _modules():
        if not module.name.startswith("methods/"):
            continue
        family = "/".join(module.name.split("/")[:2])
        for imported in _imports(module):
            target = _ours(imported)
            if target and target.name.startswith("methods") and target.name != family:
                found.append(f"{module.path}:{imported.line}: imports {target.path}")
    _complaints(found)


def test_files_that_can_hold_code_are_opened_by_loaders_only() -> None:
    found = []
    for module in _modules():
        if module.name.startswith("loaders/"):
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


def test_files_stay_under_their_ceilings() -> None:
    found = []
    for module in _modules():
        is_method = module.name.startswith("methods/") and not module.path.endswith("__init__.py")
        ceiling = 80 if is_method or module.path.startswith("pages/") else 300
        if module.lines > ceiling:
            found.append(f"{module.path}: {module.lines} lines, {ceiling} at most")
    _complaints(found)


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
