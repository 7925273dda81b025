"""A read that failed plans nothing: status by status, for every read that a plan makes."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.emulator import Fault
from reconciler.engine.steps import Goal
from reconciler.errors import NotFoundError, UnreadableError
from reconciler.model import Action, Reason
from reconciler.platforms.studio.new import WebServices
from tests.lab import Lab

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NEW, CLASSIC = {"breast-cancer"}, {"diabetes-young", "diabetes-middle", "diabetes-senior"}
# Every route that a plan reads, and whose plan hangs on it.
READS = {
    "arm.get": NEW,
    "classic.services.get": CLASSIC,
    "classic.endpoints.get": CLASSIC,
    "classic.endpoint.get": CLASSIC,
    "blob.list": NEW | CLASSIC,
    "blob.get": NEW | CLASSIC,
    "blob.head": NEW | CLASSIC,
    "bes.look": NEW | CLASSIC,
}
JSON = {"Content-Type": "application/json"}
ODD: dict[str, dict[str, Any]] = {
    **{str(status): {"kind": "status", "status": status} for status in (400, 401, 403, 404)},
    **{str(status): {"kind": "status", "status": status} for status in (409, 429, 500, 503)},
    "no answer": {"kind": "reset"},
    "a page": {"kind": "html"},
    "half": {"kind": "truncated"},
    "empty": {"kind": "status", "status": 200},
    "{}": {"kind": "status", "status": 200, "headers": JSON, "body": "{}"},
    "[]": {"kind": "status", "status": 200, "headers": JSON, "body": "[]"},
    "null": {"kind": "status", "status": 200, "headers": JSON, "body": "null"},
    "an empty list": {"kind": "status", "status": 200, "headers": JSON, "body": '{"value": []}'},
}


def untrained(_: Lab) -> None:
    """Everything is to be trained."""


def training(lab: Lab) -> None:
    """Everything is being trained, and the run that began it is gone."""

    def running() -> int:
        return sum(job.state == "Running" for job in lab.cloud.world.jobs.values())

    lab.converge(replace(lab.world(), stopping=lambda: running() == 4), 8)
    assert {change.code for change in lab.plan().changes} == {"training"}


def trained(lab: Lab) -> None:
    """Everything is to be swapped."""
    lab.converge(lab.world(), 8, goal=Goal.TRAINED)
    assert {change.action for change in lab.plan().changes} == {Action.BIND}


def served(lab: Lab) -> None:
    """Everything is as it must be."""
    assert lab.apply().failures == ()


WORLDS = {"untrained": untrained, "training": training, "trained": trained, "served": served}
# What is no fault at all: the headers say everything, or what no list shows is asked for.
HARMLESS = {
    ("blob.head", "half"),
    ("classic.endpoints.get", "[]"),
    ("classic.endpoints.get", "404"),
}
EMPTY: dict[str, Any] = {
    "classic.endpoints.get": ODD["[]"],
    "blob.list": {"kind": "status", "status": 200, "body": "<EnumerationResults/>"},
}
# What is only read where a list does not show it, and the list that must not.
LISTS = {
    "classic.endpoint.get": "classic.endpoints.get",
    "blob.get": "blob.list",
    "blob.head": "blob.list",
}


# Only the plan of what is being trained looks at jobs.
MADE = [
    (name, route) for name in WORLDS for route in READS if route != "bes.look" or name == "training"
]


@pytest.fixture(scope="module")
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    lab = Lab(tmp_path_factory.mktemp(request.param))
    WORLDS[request.param](lab)
    return lab


def some(every: int) -> list[tuple[str, str, str]]:
    """One in so many of all; five and the sixteen answers share no divisor, so that each occurs."""
    return [(w, r, odd) for n, ((w, r), odd) in enumerate(product(MADE, ODD)) if n % every == 0]


@pytest.mark.parametrize(("world", "route", "odd"), some(5), indirect=["world"])
def test_a_failed_read_plans_nothing(world: Lab, route: str, odd: str) -> None:
    plans_nothing(world, route, odd)


@pytest.mark.long
@pytest.mark.parametrize(("world", "route", "odd"), some(1), indirect=["world"])
def test_any_failed_read_plans_nothing(
    world: Lab, route: str, odd: str, figure: Callable[[str], None]
) -> None:
    plans_nothing(world, route, odd)
    figure("odd answers to the reads of a plan, which then plans nothing")


def plans_nothing(world: Lab, route: str, odd: str) -> None:
    before = world.changes()
    world.sent.clear()
    world.cloud.log.clear()
    world.cloud.faults.script(Fault(route, times=10_000, **ODD[odd]))
    if route in LISTS:
        world.cloud.faults.script(Fault(LISTS[route], times=10_000, **EMPTY[LISTS[route]]))
    try:
        after = world.changes()
    finally:
        world.cloud.faults.forget()
    assert {method for method, _ in world.sent} <= {"GET", "HEAD"}
    asked = any(entry.route == route for entry in world.cloud.log)
    assert asked, "this plan never makes the read"
    hit = READS[route] if (route, odd) not in HARMLESS else set()
    for name, change in after.items():
        if name not in hit:
            assert change == before[name]
        elif change != before[name]:
            assert change.action is Action.BLOCK, change
            assert change.why
            taken = (route, odd) == ("arm.get", "404") and change.code != Reason.UNREADABLE
            assert not taken, "any 404 is taken for the word of the service that there is none"
    # Half of a 404 still says that there is no such blob.
    seen = any(after[name] != before[name] for name in hit)
    assert seen or not hit or (route, odd) == ("blob.get", "half")


def test_a_404_that_is_taken_for_absence_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = WebServices._document

    def believing(services: WebServices, address: Any) -> Any:
        try:
            return document(services, address)
        except NotFoundError:
            return None
        except UnreadableError as exc:
            if exc.status == 404:
                return None
            raise

    lab = Lab(tmp_path)
    plans_nothing(lab, "arm.get", "404")
    monkeypatch.setattr(WebServices, "_document", believing)
    with pytest.raises(AssertionError, match="any 404 is taken"):
        plans_nothing(lab, "arm.get", "404")
