"""Kills the program at a point, runs it again, and sees whether it kept its promises.

The program is a real process. A stage is a world in which it can be killed: before, in the middle
of and after each thing that it does to the world. Then it is run again, and the promises are read
off the world: what was started, what serves, what one more run would do.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from reconciler.model import TO_DO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from reconciler.model import Plan

ROOT = Path(__file__).parent.parent.parent
PROGRAM = (sys.executable, "-X", "faulthandler", str(Path(__file__).parent / "program.py"))
APPLY = ("apply", "--yes")
AT_ONCE = 4  # most of a run is waiting
TOO_LONG_S = 120.0  # a run lasts a second or two
MOST_TOLD = 8_000  # characters of a run that ended wrongly


@dataclass(frozen=True)
class Point:
    """Something that the program does, counted from 0, and the moment in it."""

    number: int
    moment: str


NOWHERE = Point(10_000, "before")


class Stage(Protocol):
    """A world, and the command that is killed in it."""

    command: tuple[str, ...]
    ends: tuple[set[int], set[int]]  # how that may end where nothing kills it, and the next apply

    def run(self, point: Point | None = None, command: tuple[str, ...] = APPLY) -> int:
        """The exit code of one command; negative when it was killed."""
        ...

    def points(self) -> list[Point]:
        """Where the last run could have been killed."""
        ...

    def broken(self) -> str:
        """Which promise is not kept; "" for none."""
        ...

    def told(self) -> str:
        """The end of what the last run said, which may be where its threads hung."""
        ...

    def close(self) -> None:
        """End what belongs to it."""
        ...


Make = "Callable[[Path], Stage]"


def survives(stage: Stage, point: Point) -> str:
    """Why the program broke its word after it was killed at `point`; "" when it kept it."""
    ends, next_ends = stage.ends
    code = stage.run(point, stage.command)
    if code not in {-signal.SIGKILL, *ends}:
        return f"the run that was to be killed ended with {code}{stage.told()}"
    code = stage.run()
    if code not in next_ends:
        return f"the next run ended with {code}{stage.told()}"
    return stage.broken()


def points_of(make: Callable[[Path], Stage], folder: Path) -> list[Point]:
    """Every point at which an undisturbed run can be killed; it must keep its word itself."""
    stage = make(folder)
    try:
        code = stage.run(command=stage.command)
        assert code in stage.ends[0], f"ended with {code}{stage.told()}"
        return stage.points()
    finally:
        stage.close()


def broken_at(
    make: Callable[[Path], Stage], folder: Path, points: Iterable[Point]
) -> Iterator[str]:
    """One sentence per point at which the program broke its word."""
    for point in points:
        home = folder / f"{point.number}-{point.moment}"
        stage = make(home)
        try:
            if why := survives(stage, point):
                yield f"{point.number}, {point.moment}: {why}"
        finally:
            stage.close()
            shutil.rmtree(home)


def survive(make: Callable[[Path], Stage], folder: Path, points: list[Point]) -> list[str]:
    """What `broken_at` says of all points, several of them at a time."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        shares = [points[number::AT_ONCE] for number in range(AT_ONCE)]
        runs = [pool.submit(lambda own: list(broken_at(make, folder, own)), s) for s in shares]
        return [said for run in runs for said in run.result()]


def begin(
    folder: Path, environ: Mapping[str, str], command: tuple[str, ...]
) -> subprocess.Popen[bytes]:
    """The program, begun in a folder; what it says goes to the file `stderr` there."""
    outside = {name: it for name, it in os.environ.items() if not name.startswith("GITHUB_")}
    with (folder / "stderr").open("wb") as told:
        return subprocess.Popen(
            [*PROGRAM, *command],
            cwd=folder,
            env={**outside, "PYTHONPATH": str(ROOT), **environ},
            stdout=subprocess.DEVNULL,
            stderr=told,
        )


def end(process: subprocess.Popen[bytes]) -> int:
    """The exit code of a program; one that hangs says where each of its threads is."""
    try:
        return process.wait(timeout=TOO_LONG_S)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)
        return process.wait()


def told(folder: Path) -> str:
    """The end of what the last run in a folder said."""
    text = (folder / "stderr").read_text("utf-8", "replace")
    return f", and said:\n{text[-MOST_TOLD:]}" if text else ""


def left_to_do(plan: Plan) -> str:
    """What one more run would do, by the plan that it would make; "" for nothing."""
    found = [f"{c.name}: {c.code}, {c.why}" for c in plan.changes if c.action in TO_DO]
    return f"there is work left: {'; '.join(found)}" if found else ""
