"""What a twin owes: a world in this process that can be planned, applied, disturbed and looked at.

Time passes only while a run waits. What serves is asked of the world itself, never of a run.
"""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reconciler.cli import compose, ending
from reconciler.cli.stopping import Stop
from reconciler.engine.forecast import foresee
from reconciler.engine.models import wanted_ref
from reconciler.engine.run import converge
from reconciler.engine.survey import survey
from reconciler.http.client import Http
from reconciler.model import Model
from reconciler.plan import make_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from reconciler.engine.steps import Ended
    from reconciler.engine.world import World
    from reconciler.model import Binding, Change, Desired, Plan, Report

VERSIONS = FIRST, SECOND, THIRD = ("2026-10", "2026-11", "2026-12")


class Quiet:
    """A progress display that remembers what it was told."""

    def __init__(self) -> None:
        self.said: list[tuple[str, ...]] = []

    def phase(self, name: str, phase: str, detail: str = "") -> None:
        self.said.append((name, phase, detail))

    def done(self, name: str, outcome: str) -> None:
        self.said.append((name, "done", outcome))

    def failed(self, name: str, message: str) -> None:
        self.said.append((name, "failed", message))

    def wave(self, told: str, ended: int = 0, *_: object, **__: object) -> None:
        self.said.append(("wave", told, str(ended)))

    def beat(self) -> None:
        pass


class Twin:
    """A folder of desired state and the world that it describes.

    `name` is the binding that the promises are about; it wants `FIRST`, and another model than any
    of ours serves there, or none. What is written by HTTP is in `sent`, and what is written into a
    store that is asked by other ways in `stored`.
    """

    environment: str
    services: Path
    name: str
    by_turns = False  # its runs publish, and wait for one another in the time of their store

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.stored: list[str] = []
        self.progress = Quiet()
        self.timeout_s = (10.0, 60.0)

    # --- what a platform adds -----------------------------------------------------------------

    @property
    def environ(self) -> dict[str, str]:
        """The environment variables of its runs."""
        return {}

    @property
    def engine_clock(self) -> Any:
        """The clock of a run, whose waits let time pass at once."""
        raise NotImplementedError

    def pass_time(self, seconds: float) -> None:
        """Let time pass in the world."""
        self.engine_clock.wait(seconds)

    def close(self) -> None:
        """End what belongs to it."""

    def mount(self, http: Http) -> None:
        """Let a client reach the world without a socket, where it can."""

    def through(self, store: Any) -> Any:
        """The store that is asked in place of this one."""
        return store

    def digest_of(self, name: str) -> str:
        """The SHA-256 of the model whose answers the endpoint of a binding gives now; "" for none."""
        raise NotImplementedError

    def starts(self) -> Iterable[str]:
        """One word for each training that was started, which names what it makes."""
        raise NotImplementedError

    def spoil(self) -> None:
        """From now on, no other model than the one that serves now does there what is expected."""
        raise NotImplementedError

    def mend(self) -> None:
        """The end of that."""
        raise NotImplementedError

    def undeclared(self) -> object:
        """What lives beside what is declared, and must stay as it is."""
        raise NotImplementedError

    def set_by_hand(self, number: int) -> str:
        """Somebody sets something that `import` can declare of what lives beside, and says which
        field that is; "" where the platform has no such thing."""
        raise NotImplementedError

    def declare_another(self) -> str:
        """Declare another endpoint of the same version, and say how its binding is called."""
        raise NotImplementedError

    def unmark(self) -> None:
        """Take the mark off the endpoint, as if somebody else had made it."""
        raise NotImplementedError

    def touched(self) -> object:
        """What changes with every write that neither `sent` nor `stored` shows."""
        return None

    # --- what can be done with each -----------------------------------------------------------

    @property
    def writes(self) -> list[tuple[str, str]]:
        """What was sent and is neither GET nor HEAD; scoring changes nothing, but counts too."""
        return [request for request in self.sent if request[0] not in ("GET", "HEAD")]

    def written_by(self, act: Callable[[], object]) -> list[Any]:
        """Everything that is written anywhere while something is done."""
        self.sent.clear()
        self.stored.clear()
        before = self.touched()
        act()
        return [*self.writes, *self.stored, *([] if self.touched() == before else ["a file"])]

    def desired(self) -> Desired:
        return compose.load(self.services)[self.environment]

    def binding(self, name: str = "") -> Binding:
        """The declared binding of this name, or the one that the promises are about."""
        return next(b for b in self.desired().bindings if b.name == (name or self.name))

    def world(self, *, read_only: bool = False, wanted: Desired | None = None) -> World:
        http = Http(
            threads=8,
            backoff_s=0,
            timeout_s=self.timeout_s,
            on_request=lambda method, url: self.sent.append((method, url)),
            sleep=self.pass_time,
        )
        self.mount(http)
        return compose.connect(
            wanted or self.desired(),
            http,
            environ=self.environ,
            clock=self.engine_clock,
            through=self.through,
            stop=Stop(reading=read_only),
        )

    def plan(self) -> Plan:
        wanted = self.desired()
        observed = survey(self.world(read_only=True), wanted.bindings, 8)[0]
        return make_plan(wanted.environment, observed)

    def foreseen(self) -> Plan:
        """The plan as people see it: with how long its trainings will take."""
        return foresee(self.world(read_only=True), self.desired().bindings, self.plan())

    def changes(self) -> dict[str, Change]:
        return {change.name: change for change in self.plan().changes}

    def run(self) -> dict[str, Ended]:
        """Converge what the plan of now lets."""
        return self.converge(self.world(), 8)

    def converge(
        self, world: World, parallel: int, plan: Plan | None = None, **how: Any
    ) -> dict[str, Ended]:
        """The same in another world, with another plan, or one at a time."""
        bindings, plan = self.desired().bindings, plan or self.plan()
        return converge(world, bindings, plan, self.progress, parallel=parallel, **how)

    def apply(self) -> Report:
        """What `apply --yes` does, without its printing."""
        ended = self.run()
        return ending.make_report(self.plan(), ended, 0.0, 0)

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace text in a file of desired state; it must be there."""
        path = self.services / self.environment / name
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{name} has no {old!r}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def give_out(self, rollout: str) -> None:
        """Let the environment say how versions are given out."""
        kind = re.compile(r"kind: Environment\n.*?spec:(?: \{|\n)", re.DOTALL)
        for path in (self.services / self.environment).glob("*.yaml"):
            text = re.sub(r" *rollout: \{[^}]*\}(, |\n)", "", path.read_text("utf-8"))
            if (head := kind.search(text)) is None:
                continue
            inline = head[0].endswith("{")
            line = f"rollout: {rollout}, " if inline else f"  rollout: {rollout}\n"
            path.write_text(text[: head.end()] + line + text[head.end() :], "utf-8")

    def label(self, name: str, labels: str) -> None:
        """Give a binding labels."""
        for path in (self.services / self.environment).glob("*.yaml"):
            documents = path.read_text("utf-8").split("---\n")
            for number, text in enumerate(documents):
                if "kind: Model\n" not in text:
                    named = rf"^(metadata: \{{name: {re.escape(name)})\}}"
                    new = re.sub(named, rf"\1, labels: {labels}}}", text, flags=re.MULTILINE)
                    documents[number] = new
            path.write_text("---\n".join(documents), "utf-8")

    def compare_with(self, other: str, within: str = '"0"') -> None:
        """Let the answers of the binding that the promises are about agree with another's."""
        named = re.compile(rf"\bname: {re.escape(self.name)}[,}}\s]")
        said = f"compare: {{with: {other}, within: {within}}}"
        for path in (self.services / self.environment).glob("*.yaml"):
            documents = path.read_text("utf-8").split("---\n")
            for number, text in enumerate(documents):
                if "kind: Model\n" not in text and named.search(text.partition("spec:")[0]):
                    inline = re.sub(r"(  verify:\s*\{)", rf"\1{said}, ", text)
                    block = re.sub(r"(  verify:.*\n    )(\w)", rf"\1{said}\n    \2", text)
                    documents[number] = inline if inline != text else block
            path.write_text("---\n".join(documents), "utf-8")

    def ask_for(self, version: str, name: str = "") -> None:
        """Let a binding want another version."""
        named = re.compile(rf"\bname: {re.escape(name or self.name)}[,}}\s]")
        for path in (self.services / self.environment).glob("*.yaml"):
            documents = path.read_text("utf-8").split("---\n")
            for number, text in enumerate(documents):
                if named.search(text.partition("spec:")[0]):
                    new = re.sub(r'(version: )"[^"]*"', rf'\1"{version}"', text)
                    documents[number] = new
            path.write_text("---\n".join(documents), "utf-8")

    def serving(self, name: str = "") -> str:
        """The version whose model answers at a binding's endpoint; "" for none of ours."""
        digest, binding = self.digest_of(name or self.name), self.binding(name)
        world = self.world(read_only=True)
        for version in VERSIONS:
            entry = world.ledger.read(replace(binding.version, version=version))
            made = entry.manifest.evaluation if entry is not None else None
            if made is not None and made.sha256 == digest:
                return version
        return ""

    def is_told(self, version: str, name: str) -> bool:
        """Whether an endpoint serves a version, or was told to."""
        binding, world = self.binding(name), self.world(read_only=True)
        asked = replace(binding, version=replace(binding.version, version=version))
        live = world.targets[binding.kind].observe(asked)
        told = wanted_ref(world, asked) in (live.served, live.configured)
        return told or self.serving(name) == version

    def put_back(self, version: str) -> None:
        """Somebody lets another version serve, past git and past this program."""
        binding, world = self.binding(), self.world()
        other = replace(binding.version, version=version)
        entry = world.ledger.read(other)
        assert entry is not None
        assert entry.manifest.evaluation is not None
        model = Model(world.ledger.ref(other), other, entry.manifest.evaluation.sha256)
        world.targets[binding.kind].switch(binding, model)
        self.pass_time(60)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class QuickClock:
    """A clock whose waits are short, for worlds of real processes, and count in full."""

    def __init__(self, pause_s: float = 0.02) -> None:
        self._now, self._pause_s = time.time(), pause_s
        self.least_s = 0.05  # counts for every wait, however short

    def now(self) -> float:
        return self._now

    def wait(self, seconds: float) -> None:
        time.sleep(self._pause_s)
        self._now += max(seconds, self.least_s)


def files_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file below a folder, and what changes when it is written again."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}
