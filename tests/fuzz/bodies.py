"""Real bodies: what an emulated cloud sends while the program trains, binds, proves and looks."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from reconciler.cli.exporting import export_document
from reconciler.errors import ReconcilerError
from reconciler.ledger.lock import Holder
from reconciler.model import Actor
from reconciler.render import plan_json
from tests.fuzz.mutations import trails
from tests.lab import Lab

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.emulator.messages import Request, Response
    from reconciler.engine.world import World
    from reconciler.model import Binding, Desired

OLD, NEW = "2026-10", "2026-11"

# What an answer is, by method and path; the first that fits.
_KINDS = {
    "list of blobs": r"GET .*\?.*comp=list",
    "manifest": r"GET .*/manifest\.json",
    "record": r"GET .*/_records/",
    "lock": r"GET .*/_locks/",
    "mark": r"GET .*/_plans/",
    "evaluation": r"GET .*/evaluation\.csv",
    "keys": r"GET .*/listKeys",
    "definition": r"GET .*/webServices/[^/]+\?",
    "operation": r"GET .*/operationsStatus/",
    "endpoint": r"GET .*/endpoints/",
    "list of endpoints": r"GET .*/endpoints(\?|$)",
    "services": r"GET .*/webservices\?$",
    "score": r"POST .*/execute\?",
    "job": r"GET .*/jobs/[^/]+\?",
    "job id": r"POST .*/jobs\?",
}
KINDS = (*_KINDS, "error", "export", "plan")


class Overheard:
    """A cloud in whose door somebody stands, who keeps the bodies, or puts others in their place.

    `instead` is a kind and the body that every answer of this kind has; headers that would give
    it away are dropped. What it should say of a write is decided before, by the cloud itself.
    """

    def __init__(self, cloud: Any) -> None:
        self._cloud = cloud
        self.by_kind: dict[str, list[bytes]] = {}
        self.started = 0
        self.instead: tuple[str, bytes] | None = None
        self.told = 0

    def handle(self, request: Request) -> Response:
        """The cloud's answer, or what is given in place of it."""
        answer: Response = self._cloud.handle(request)
        kind = _kind(request, answer)
        self.started += request.path.endswith("/start")
        keep(self.by_kind, kind, answer.body)
        if self.instead is None or self.instead[0] != kind:
            return answer
        self.told += 1
        plain = {k: v for k, v in answer.headers.items() if not k.lower().startswith("content-")}
        return replace(answer, headers=plain, body=self.instead[1])


@dataclass
class Town:
    """A lab in the middle of a change: old models serve, the jobs of the new ones have ended."""

    lab: Lab
    door: Overheard
    world: World
    bodies: dict[str, list[bytes]] = field(default_factory=dict)

    @cached_property
    def wanted(self) -> Desired:
        """What git declares."""
        return self.lab.desired()

    @cached_property
    def bindings(self) -> dict[str, Binding]:
        """The bindings by name."""
        return {binding.name: binding for binding in self.wanted.bindings}


def build(folder: Path) -> Town:
    """The town, and the bodies that passed while it came to be."""
    lab = Lab(folder)
    lab.cloud = door = Overheard(lab.cloud)
    first = plan_json(replace(lab.plan(), id="fuzz"))
    lab.converge(lab.world(), 1)
    lab.want(NEW)
    world = lab.world()
    _speak_of_everything(lab, world)
    lab.converge(replace(world, stopping=lambda: door.started >= 8), 1)
    lab.clock.advance(3600)
    town = Town(lab, door, world)
    # The second plan looks at the jobs, and so reads the evaluations.
    second = plan_json(replace(lab.plan(), id="fuzz"))
    town.bodies = {**door.by_kind, "plan": [first.encode(), second.encode()], "export": []}
    for binding in town.bindings.values():
        document = export_document(binding, world.targets[binding.kind].export(binding))
        keep(town.bodies, "export", json.dumps(document).encode())
    missing = [kind for kind in KINDS if not town.bodies.get(kind)]
    assert not missing, f"nothing was overheard of: {missing}"
    return town


def _speak_of_everything(lab: Lab, world: World) -> None:
    """Have the cloud say what a run does not ask for: lists, marks, locks and refusals."""
    world.ledger.versions("diabetes")
    plan, actor = replace(lab.plan(), id="fuzz"), Actor("1", "octocat", "c0ffee")
    world.ledger.plans.end(plan, actor, "2026-11-23T14:09:57Z")
    lock = world.ledger.lock("local", world.clock, lambda: False)
    holder = Holder(actor, "2026-11-23T14:09:57Z", "apply")
    with lock.held(holder, 1.0, waiting=print, lost=lambda: None):
        lock.holder()
    with contextlib.suppress(ReconcilerError):
        world.ledger.plans.check(plan)
    for path in ("subscriptions/none", "workspaces/none/webservices", "blob/mllocal/x/y"):
        with contextlib.suppress(ReconcilerError):
            world.ledger._store._http.request("GET", f"{lab.url}/{path}")


def keep(kept: dict[str, list[bytes]], kind: str, body: bytes) -> None:
    """Keep a body unless one of the same shape is there already."""
    known = kept.setdefault(kind, [])
    if body and _shape(body) not in [_shape(one) for one in known]:
        known.append(body)


def _kind(request: Request, answer: Response) -> str:
    if answer.status >= 400:
        return "error"
    said = f"{request.method} {request.path}?{request.query}"
    return next((kind for kind, shape in _KINDS.items() if re.match(shape, said)), "other")


def _shape(body: bytes) -> object:
    """What two bodies share that differ in their values only."""
    try:
        document = json.loads(body)
    except ValueError:
        return re.sub(rb"[^<>/,]+", b"", body)[:200]
    status = document.get("StatusCode") if isinstance(document, dict) else None
    return status, [tuple(str(step) for step in trail) for trail in trails(document)]
