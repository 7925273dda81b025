"""`reconciler demo`: the whole story on a server of this machine, told by the commands that people
use.

It runs in a temporary folder on a copy of a sample, so nothing outside is touched. The server is
the emulator, or one that a platform starts for its own sample.
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
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import typer

from reconciler import errors
from reconciler.approval import Approval
from reconciler.cli import applying, choose, commands, compose, ending, session, stopping
from reconciler.cli.emulate import opened
from reconciler.cli.options import Part, Where
from reconciler.cli.output import Page
from reconciler.engine.world import World
from reconciler.errors import ReconcilerError
from reconciler.model import Desired, Model, Plan, Report
from reconciler.outcome import Outcome
from reconciler.platforms.contract import DONE
from reconciler.platforms.platform import Demo

if TYPE_CHECKING:
    # Runs a server while it is open, to which it lets the sample in a folder lead.
    Server = Callable[[Path], AbstractContextManager[Mapping[str, str]]]

SERVICES = Path("services")
SPEED = 15.0  # the emulator's jobs and updates, faster than the recorded ones
EMULATED = Demo(
    path="",
    environment="local",
    drifting="diabetes-young",
    begins="the endpoints still serve what was deployed by hand",
)
OLD, NEW = EMULATED.old, EMULATED.new
MOST_LOOKS = 240
_VERSION = re.compile(r"""(?<!\w)(version:[ \t]*)("[^"\n]*"|'[^'\n]*'|[^\s,}#]+)""")


def demo(on: str, *, no_color: bool) -> Outcome:
    """0 when every step of the story ended as it must; the first step that did not says so."""
    story, sample, server = _server(on) if on else _emulator(EMULATED, "services/local")
    local = SERVICES / story.environment
    began = time.monotonic()
    page = Page(no_color=no_color)
    with (
        _terminable(),
        tempfile.TemporaryDirectory(prefix="reconciler-demo-") as folder,
        _tidying_up(),
    ):
        copy_services(compose.shipped(sample), Path(folder) / local, story.old)
        # From here on paths are relative, as people who stand in their repository see them.
        with contextlib.chdir(folder), server(local) as variables, _environ(variables):
            _Story(story, page).tell()
    print(f"\nThe demo ended well after {time.monotonic() - began:.0f} s.")
    return Outcome()


def _emulator(story: Demo, sample: str) -> tuple[Demo, str, Server]:
    from reconciler import emulator

    print("This demo talks to an emulator on 127.0.0.1 and touches only a temporary folder:")
    print(f"{emulator.NAME}")
    return story, sample, _emulated


def _server(on: str) -> tuple[Demo, str, Server]:
    """The demo of a platform; ConfigurationError where it has none, or its server cannot run."""
    platform, story = compose.demo_of(on)
    sample = f"services/{platform.example}"
    if not story.path:
        return _emulator(story, sample)
    print(f"This demo starts a server of {on} on 127.0.0.1 and touches only a temporary folder.")
    return story, sample, story.module.opened


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


def copy_services(source: Path, to: Path, old: str = OLD) -> None:
    """A copy of the desired state in which every version is the one that the story begins with.

    The source is a checkout that people work in: they may have asked for the new one already.
    """
    shutil.copytree(source, to)
    for path in to.glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        path.write_text(_VERSION.sub(rf'\g<1>"{old}"', text), encoding="utf-8")


@contextlib.contextmanager
def _emulated(local: Path) -> Iterator[Mapping[str, str]]:
    """The environment variables that lead to an emulator, which is seeded with `local`."""
    from reconciler import emulator

    keys = local / "_emulator" / "emulator.env"
    server = emulator.serve(opened(None, local / "_emulator" / "seed.yaml", SPEED), 0)
    server.start()  # its thread is a daemon: before the `try` it still dies with the process
    variables = read_env_file(keys) if keys.exists() else {}
    try:
        yield {**variables, compose.EMULATOR_VARIABLE: server.url}
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


class _Story:
    """The steps of a demo, printed as they are done."""

    def __init__(self, demo: Demo, page: Page) -> None:
        self._demo = demo
        self._page = page
        self._where = Where(SERVICES, demo.environment)

    def tell(self) -> None:
        """Run the acts of the story one after the other; each is a command that people could
        type."""
        demo = self._demo
        _title("1", f"Git says {demo.old}; {demo.begins}")
        self._apply()

        _title("2", f"A pull request asks for {demo.new}")
        for path in sorted((SERVICES / demo.environment).glob("*.yaml")):
            _edit(path, f'version: "{demo.old}"', f'version: "{demo.new}"')
        plan = self._plan()

        _title("3", f"It is merged: apply exactly the approved plan {plan.digest}")
        self._apply(expect=plan.digest)

        _title("4", "Look again: a second plan is empty")
        _must(self._plan().converged, "the second plan is not empty")

        _title("5", f"Somebody changes {demo.drifting} behind git's back")
        self._drift()
        _must(not self._plan().converged, "the drift was not seen")

        _title("6", "Heal it, and prove every endpoint")
        self._apply()
        self._say("verify", before="\n")
        proved = self._page.deliver(commands.verify(self._where, Part()))
        _must(proved.exit_code == errors.SUCCESS, "an endpoint could not be proved")
        self._say("status", before="\n")
        self._page.deliver(commands.status(self._where, Part()))

    def _say(self, command: str, how: str = "", before: str = "") -> None:
        print(f"{before}$ reconciler {command} -e {self._demo.environment}{how}\n", flush=True)

    def _plan(self) -> Plan:
        self._say("plan")
        made = session.plan_now(choose.desired(self._where))
        self._page.show(made)
        return made

    def _apply(self, expect: str | None = None) -> Report:
        """The report of `apply`, as from the command line; `expect` is the digest to insist on."""
        self._say("apply", f" --expect {expect}" if expect else " --yes")
        approval = Approval(expect, yes=True)
        order = applying.Order("demo", choose.desired(self._where), self._page, approval)
        report = applying.apply_now(order, ending.Ending("demo"))
        self._page.show(report)
        if report.stopped_by:
            raise typer.Exit(128 + report.stopped_by)  # a person stopped it: nothing went wrong
        _must(ending.report_exit_code(report) == errors.SUCCESS, "the apply did not converge")
        return report

    def _drift(self) -> None:
        """Patch one endpoint back to the old version, as a person with the portal would.

        Returns when the endpoint shows it and answers from it, which may take a moment.
        """
        desired = choose.desired(self._where)
        with session.client(desired.environment, None, stopping.Stop()) as http:
            self._swap_back(desired, compose.connect(desired, http))

    def _swap_back(self, desired: Desired, world: World) -> None:
        """Let one endpoint serve the old version, and return once it answers with it."""
        binding = next(b for b in desired.bindings if b.name == self._demo.drifting)
        target = world.targets[binding.kind]
        before = target.observe(binding).served, target.score(binding)
        old = replace(binding.version, version=self._demo.old)
        operation = target.switch(binding, Model(world.ledger.ref(old), old))
        for _ in range(MOST_LOOKS):
            done = not operation or target.progress(operation) == DONE
            served = target.observe(binding).served
            if done and served != before[0] and target.score(binding) != before[1]:
                return
            world.clock.wait(0.25)
        raise ReconcilerError("the demo went wrong: the drift never came into effect")


def _title(number: str, text: str) -> None:
    print(f"\n== {number}. {text}\n", flush=True)


def _must(truth: bool, otherwise: str) -> None:
    if not truth:
        raise ReconcilerError(f"the demo went wrong: {otherwise}")


def _edit(path: Path, old: str, new: str) -> None:
    """Write the new version into a file, and show the lines as a pull request would."""
    before = path.read_text(encoding="utf-8")
    after = before.replace(old, new)
    path.write_text(after, encoding="utf-8")
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""))
    changed = [f"  {line}" for line in lines[2:] if line[:2] != "@@"]
    if changed:
        print("\n".join([f"  {path}", *changed]), end="\n\n")
