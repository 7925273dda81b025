"""`python -m tests.mutations`: every mutation, or one in K of them; 1 where one survives."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.mutations.runner import Fate, Result, lines, one_in, run
from tests.mutations.table import MUTATIONS


def main() -> int:
    """0 when each mutation was missed by a test that is named beside it."""
    asked = _parser().parse_args()
    chosen = [m for m in MUTATIONS if asked.name.casefold() in m.name.casefold()]
    chosen = one_in(chosen, asked.one_in, asked.first)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        try:
            results = run(chosen, jobs=asked.jobs, tell=_tell, folder=Path(folder))
        except ValueError as exc:
            print(f"error: {exc}", file=sys.stderr)
            return 1
    missed = [result for result in results if result.fate is Fate.MISSED]
    print(
        f"{len(missed)} of {len(results)} defences that are taken out are missed by a test "
        f"({time.monotonic() - began:.0f} s)"
    )
    return 0 if len(missed) == len(results) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("name", nargs="?", default="", help="only those whose names hold this")
    parser.add_argument("--one-in", type=int, default=1, metavar="K", help="every K-th of them")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="begin with the N-th")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="so many at a time")
    return parser


def _tell(result: Result) -> None:
    print("\n".join(lines(result)), flush=True)


if __name__ == "__main__":
    sys.exit(main())
