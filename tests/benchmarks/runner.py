"""Run parts one after the other: every figure is printed and written as it is taken."""

from __future__ import annotations

import importlib
import pkgutil
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from tests.benchmarks import record
from tests.benchmarks.figure import Figure
from tests.benchmarks.record import Machine

Part = Callable[[], Iterator[Figure]]


class UnknownPartError(Exception):
    """A part was named that there is none of."""


def parts_of(package: ModuleType) -> dict[str, Part]:
    """Return the parts by name: each is a module that has `figures`, imported when it begins."""

    def part(module: str) -> Part:
        def figures() -> Iterator[Figure]:
            yield from importlib.import_module(module).figures()

        return figures

    modules = pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
    names = {module.name.rpartition(".")[2]: module.name for module in modules}
    return {name: part(module) for name, module in names.items() if not name.startswith("_")}


def select(parts: Mapping[str, Part], names: Sequence[str]) -> dict[str, Part]:
    """Return some parts, or all where none is named.

    Raises:
        UnknownPartError: When there is no such part.
    """
    unknown = [name for name in names if name not in parts]
    if unknown:
        raise UnknownPartError(
            f"There is no part {' or '.join(map(repr, unknown))}; there are {', '.join(parts)}."
        )
    return {name: part for name, part in parts.items() if not names or name in names}


def run(parts: Mapping[str, Part], path: Path, machine: Machine) -> bool:
    """Measure parts, and return whether all ended and every figure kept to its limit.

    A part replaces its own figures in the file as soon as it has one. One that fails keeps those
    that it has, and those after it are measured all the same.
    """
    fine = True
    for name, part in parts.items():
        print(f"{name}: {described(machine)}", flush=True)
        taken: list[Figure] = []
        failure = ""
        try:
            for figure in part():
                print(figure, flush=True)
                taken.append(figure)
                _keep(path, name, taken, machine)
        except Exception as error:
            traceback.print_exc()
            failure = f"{type(error).__name__}: {error}".partition("\n")[0]
            print(f"FAILED {name}, after {len(taken)} figures: {failure}", flush=True)
            _keep(path, name, taken, machine, failure)
        fine = fine and not failure and all(figure.kept for figure in taken)
    return fine


def described(machine: Machine) -> str:
    """Return a machine in words."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{machine['processor']}, {machine['cores']} cores, load {machine['load']:g} before; "
        f"{versions}"
    )


def _keep(
    path: Path, name: str, taken: Sequence[Figure], machine: Machine, failure: str = ""
) -> None:
    """Write what a part gave so far, beside what the file holds of others."""
    parts = record.read(path)
    if not taken and name in parts:  # a part that gave nothing takes nothing away
        parts[name]["failure"] = failure
    else:
        parts[name] = record.part_record(taken, machine, failure)
    record.write(path, parts)
