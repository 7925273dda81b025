"""`reconciler demo`: the whole story on the emulator, told by the commands that people use.

It runs in a temporary folder on a copy of `services/local`, so nothing outside is touched.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import shutil
import signal
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from reconciler import errors
from reconciler.approval import Approval
from reconciler.cli import applying, choose, commands, compose, ending, session, stopping
from reconciler.cli.emulate import opened
from reconciler.cli.options import Part, Where
from reconciler.cli.output import Page
from reconciler.errors import ReconcilerError
from reconciler.model import Model, Report
from reconciler.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType

    from reconciler.engine.world import World
    from reconciler.model import Desired, Plan

OLD, NEW = "2026-10", "2026-11"
SERVICES = Path("services")
SPEED = 15.0  # the emulator's jobs and updates, faster than the recorded ones
DRIFTING = "diabetes-young"
MOST_LOOKS = 60
_VERSION = re.compile(r"""(?<!\w)(version:[ \t]*)("[^"\n]*"|'[^'\n]*'|[^\s,}#]+)""")


def demo(*, no_color: bool) -> Outcome:
    """0 when every step of the story ended as it must; the first step that did not says so."""
    from reconciler import emulator

    print("This demo talks to an emulator on 127.0.0.1 and touches only a temporary folder:")
    print(f"{emulator.NAME}")
    began = time.monotonic()
    page = Page(no_color=no_color)
    with (
        _terminable(),
        tempfile.TemporaryDirectory(prefix="reconciler-demo-") as folder,
        _tidying_up(),
    ):
        copy_services(compose.shipped("services/local"), Path(folder) / "services" / "local")
        # From here on paths are relative, as people who stand in their repository see them.
        with contextlib.chdir(folder), _emulated(SERVICES / "local"):
            _story(SERVICES, page)
    print(f"\nThe demo ended well after {time.monotonic() - began:.0f} s.")
    return Outcome()


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM unwinds as SIGINT does, so that the folder is removed before the process ends."""

    def on_signal(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        raise SystemExit(128 + number)

    interrupt = signal.getsignal(signal.SIGINT)
    before = signal.signal(signal.SIGTERM, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGINT, interrupt)


@contextlib.contextmanager
def _tidying_up() -> Iterator[None]:
    """From the end of this on a second Ctrl-C is not heard: the folder is removed first."""
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def copy_services(source: Path, to: Path) -> None:
    """A copy of the desired state in which every version is the one that the story begins with.

    The source is a checkout that people work in: they may have asked for the new one already.
    """
    shutil.copytree(source, to)
    for path in to.glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        path.write_text(_VERSION.sub(rf'\g<1>"{OLD}"', text), encoding="utf-8")


@contextlib.contextmanager
def _emulated(local: Path) -> Iterator[None]:
    """An emulator, seeded with `local`, and the environment variables that lead to it."""
    from reconciler import emulator

    with opened(None, local / "_emulator" / "seed.yaml", SPEED) as cloud:
        server = emulator.serve(cloud, 0)
        server.start()  # its thread is a daemon: before the `try` it still dies with the process
        variables = {
            **read_env_file(local / "_emulator" / "emulator.env"),
            compose.EMULATOR_VARIABLE: server.url,
        }
        with _environ(variables):
            try:
                yield
            finally:
                server.stop()


def read_env_file(path: Path) -> dict[str, str]:
    """The `NAME=value` lines of a file; blank lines and comments are skipped."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}


@contextlib.contextmanager
def _environ(variables: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _story(services: Path, page: Page) -> None:
    _title("1", f"Git says {OLD}; the endpoints still serve what was deployed by hand")
    _apply(services, page)

    _title("2", f"A pull request asks for {NEW}")
    for path in sorted((services / "local").glob("*.yaml")):
        _edit(path)
    plan = _plan(services, page)

    _title("3", f"It is merged: apply exactly the approved plan {plan.digest}")
    _apply(services, page, expect=plan.digest)

    _title("4", "Look again: a second plan is empty")
    _must(_plan(services, page).converged, "the second plan is not empty")

    _title("5", f"Somebody changes {DRIFTING} behind git's back")
    _drift(services)
    _must(not _plan(services, page).converged, "the drift was not seen")

    _title("6", "Heal it, and prove every endpoint")
    _apply(services, page)
    print("\n$ reconciler verify -e local\n", flush=True)
    proved = page.deliver(commands.verify(_where(services), Part()))
    _must(proved.exit_code == errors.SUCCESS, "an endpoint could not be proved")
    print("\n$ reconciler status -e local\n", flush=True)
    page.deliver(commands.status(_where(services), Part()))


def _title(number: str, text: str) -> None:
    print(f"\n== {number}. {text}\n", flush=True)


def _must(truth: bool, otherwise: str) -> None:
    if not truth:
        raise ReconcilerError(f"the demo went wrong: {otherwise}")


def _edit(path: Path) -> None:
    """Write the new version into a file, and show the lines as a pull request would."""
    before = path.read_text(encoding="utf-8")
    after = before.replace(f'version: "{OLD}"', f'version: "{NEW}"')
    path.write_text(after, encoding="utf-8")
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""))
    shown = [f"  {line}" for line in lines[2:] if line[:2] != "@@"]
    if shown:
        print("\n".join([f"  {path}", *shown]), end="\n\n")


def _where(services: Path) -> Where:
    return Where(services, "local")


def _wanted(services: Path) -> Desired:
    return choose.wanted(_where(services))


def _plan(services: Path, page: Page) -> Plan:
    print("$ reconciler plan -e local\n", flush=True)
    made = commands.plan_now(_wanted(services), None)
    page.show(made)
    return made


def _apply(services: Path, page: Page, expect: str | None = None) -> Report:
    how = f"--expect {expect}" if expect else "--yes"
    print(f"$ reconciler apply -e local {how}\n", flush=True)
    report = applying.apply_now(
        applying.Order("demo", _wanted(services), page, Approval(expect, yes=True))
    )
    page.show(report)
    if report.stopped_by:
        raise typer.Exit(128 + report.stopped_by)  # a person stopped it: nothing went wrong
    _must(ending.report_exit_code(report) == errors.SUCCESS, "the apply did not converge")
    return report


def _drift(services: Path) -> None:
    """Patch one endpoint back to the old version, as a person with the portal would.

    Returns when the endpoint answers from it, which may take a moment.
    """
    wanted = _wanted(services)
    with session.client(wanted.environment, None, stopping.Stop()) as http:
        _swap_back(wanted, compose.connect(wanted, http))


def _swap_back(wanted: Desired, world: World) -> None:
    binding = next(b for b in wanted.bindings if b.name == DRIFTING)
    target = world.targets[binding.kind]
    before = target.score(binding)
    target.switch(binding, Model(world.ledger.ref(replace(binding.version, version=OLD))))
    for _ in range(MOST_LOOKS):
        if target.score(binding) != before:
            return
        world.clock.wait(0.25)
    raise ReconcilerError("the demo went wrong: the drift never came into effect")
