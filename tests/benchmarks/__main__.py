"""Measure parts, print every figure as it is taken, write them and the tables of the documents."""

from __future__ import annotations

import argparse
import sys

from tests.benchmarks import rates, runner, speed, table
from tests.benchmarks.record import this_machine

SUITES = {"speed": (speed, table.SPEED), "rates": (rates, table.RATES)}


def main(arguments: list[str]) -> int:
    """Return 0 when every part ended and every figure keeps to its limit, 2 without such a part."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("parts", nargs="*", metavar="PART", help="none takes all")
    asked = parser.parse_args(arguments)
    package, path = SUITES[asked.suite]
    try:
        parts = runner.select(runner.parts_of(package), asked.parts)
    except runner.UnknownPartError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        fine = runner.run(parts, path, this_machine())
    finally:
        from tests.test_documentation import write_tables

        write_tables()
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
