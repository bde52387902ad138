"""Ask why of every plant, print what is said beside the truth, and count."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from benchmarks.plants import report, score
from benchmarks.plants.grounds import Trainer
from benchmarks.plants.plant import Plant, UnprovenError
from benchmarks.plants.worlds import WORLDS
from diagnostics.methods.context import Context, Outcome
from diagnostics.methods.diagnosis.why import why
from diagnostics.schema.results.diagnosis import WhyAnswer

Ask = Callable[[Context], Outcome[WhyAnswer]]


def main(arguments: list[str]) -> int:
    """Return 0 when every plant proved itself and every bar was kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plants", description=__doc__)
    parser.add_argument("--world", choices=(*WORLDS, "all"), default="all")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="parts of plants' names")
    parser.add_argument("--cheap", action="store_true", help="do not look closer")
    parser.add_argument("--prove", action="store_true", help="prove the plants and ask nothing")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keeps trained networks")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the rows go")
    parser.add_argument(
        "--record", action="store_true", help="write these worlds' figures and tables"
    )
    asked = parser.parse_args(arguments)
    if asked.record and (asked.only or asked.cheap or asked.prove):
        parser.error("--record is of whole worlds, looked at closely")
    torch.set_num_threads(1)
    if asked.cache:
        asked.cache.mkdir(parents=True, exist_ok=True)
    worlds = tuple(WORLDS) if asked.world == "all" else (asked.world,)
    rows: list[score.Row] = []
    unproven = 0
    for world, plant, proof in planted(worlds, asked.only or [""], Trainer(asked.cache)):
        print(f"{world}  {plant.name}\n     proof: {proof}", flush=True)
        unproven += proof.startswith("NOT PROVEN")
        if not asked.prove and not proof.startswith("NOT PROVEN"):
            rows += judged(world, plant, lambda context: why(context, closer=not asked.cheap))
    if asked.json:
        report.write(rows, asked.json)
    if asked.record:
        from tests.test_documentation import write_tables

        others = [one for one in report.read(report.FIGURES) if one.world not in worlds]
        report.write([*others, *rows], report.FIGURES)
        write_tables()
    fine = not unproven
    for world in worlds if rows else ():
        of_world = [one for one in rows if one.world == world]
        print(f"\nWorld {world}", *report.matrix(of_world), sep="\n")
        for bar in score.bars(of_world):
            print(bar)
            fine &= bar.kept
    print(f"{unproven} plants did not prove themselves." if unproven else "Every plant is proven.")
    return 0 if fine else 1


def planted(
    worlds: tuple[str, ...], only: list[str], trainer: Trainer
) -> Iterator[tuple[str, Plant, str]]:
    """Yield the plants of worlds whose names have one of these parts, each with its proof."""
    for world in worlds:
        for name, planting in WORLDS[world].items():
            if not any(part in name for part in only):
                continue
            plant = planting(trainer)
            try:
                proof = plant.prove()
            except UnprovenError as error:
                proof = f"NOT PROVEN: {error}"
            yield world, plant, proof


def judged(world: str, plant: Plant, ask: Ask) -> list[score.Row]:
    """Return what is said of a plant's images, and print it line by line."""
    started = time.monotonic()
    try:
        answer = ask(plant.context()).scores
    except Exception:
        traceback.print_exc(limit=-2, file=sys.stdout)
        return score.failed(world, plant)
    seconds = time.monotonic() - started
    rows = [score.row(world, plant, place, answer) for place in range(len(plant.probes))]
    for one, verdict in zip(rows, answer["images"], strict=True):
        causes = ", ".join(f"{c['id']} {c['confidence']:.2f}" for c in verdict["causes"])
        box = "" if one.overlap is None else f"; box overlaps by {one.overlap:.2f}"
        print(
            f"     {one.mark:9} {one.truth} <- {causes or 'nothing'}; {one.verdict}; "
            f"{one.said} {one.p:.3f}{box}",
            flush=True,
        )
    print(f"     {answer['passes']} passes, {seconds:.1f} s", flush=True)
    return rows


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
