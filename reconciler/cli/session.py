"""From the desired state to a world that can be asked: the one place where the parts are joined.

A look and a plan are two calls, because a run needs both twice: before it acts, and after it, when
the same two must find nothing to do. A look is made while writes are forbidden in every client and
store, and not by a second set of clients. So what a plan asks is asked by the very objects that
write later, and a write that slips into planning raises instead of happening.

An emulator is known by the id of its world. Ports are given out again, so a plan that was made of
one world must not be applied to another one that listens at the same address (`check_world`).
"""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import secrets
import socket
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from reconciler.approval import ends
from reconciler.cli.compose import (
    EMULATOR_VARIABLE,
    connect,
    emulator_of,
    emulator_url,
    ledger_of,
    notices,
    shipped,
)
from reconciler.cli.selection import in_shard
from reconciler.cli.stopping import Stop
from reconciler.console import say
from reconciler.errors import (
    ConfigurationError,
    NotKnownError,
    ReconcilerError,
    StalePlanError,
    UnreachableError,
    WireError,
)
from reconciler.http.client import Http
from reconciler.model import Action, Actor, NotDeclared

if TYPE_CHECKING:
    from reconciler.engine.world import World
    from reconciler.http.response import Response
    from reconciler.model import Binding, Change, Desired, Environment, Observed, Plan
    from reconciler.plan import Prune
    from reconciler.stores.contract import Store
    from reconciler.waves import Waits

SEEDED = "_emulator/seed.yaml"  # beside the file of an environment
SEED = f"services/local/{SEEDED}"


def introduce(environment: Environment) -> None:
    """Say on stderr which cloud is talked to, and how to start the emulator that is not there."""
    for notice in notices(environment):
        say(f"{environment.name}: {notice}")
    if not (url := emulator_of(environment)):
        return
    with Http(retries=0, timeout_s=(2.0, 10.0)) as http:  # a stranger there may never answer
        world = world_at(http, url)
    if world == "":
        say(
            f"{environment.name}: what answers at {url} names no world of an emulator; see --port "
            f"of `reconciler emulator`, and {EMULATOR_VARIABLE}"
        )
    else:
        named = f", world {world}" if world else ""
        say(f"{environment.name}: talking to the emulator at {url}{named}")
    known = urlsplit(emulator_url() or "").fragment
    if known and world is not None and world != known:
        raise ConfigurationError(
            f"{EMULATOR_VARIABLE} leads to world {known}, but world {world or '?'} answers at "
            f"{url}; start that one again, or set the variable as the emulator says"
        )
    if world is None:
        port = f" --port {urlsplit(url).port}" if url != emulator_of(environment, {}) else ""
        say(
            "nothing answers there; start it in another terminal: "
            f"reconciler emulator{port} --state .reconciler --seed {seed_of(environment)}"
        )


def seed_of(environment: Environment) -> str:
    """The seed file of the world that an emulated environment is about."""
    own = Path(environment.source.path).parent / SEEDED
    return own.as_posix() if own.is_file() else sample_seed()


def sample_seed() -> str:
    """The seed file that comes with this program: a clone has it below the folder of services."""
    here = Path(SEED)
    return (here if here.is_file() else shipped("services/local") / SEEDED).as_posix()


def emulated(http: Http, environment: Environment) -> str:
    """The id of the emulated world of an environment, "" where there is none."""
    url = emulator_of(environment)
    return (world_at(http, url) or "") if url else ""


def world_at(http: Http, url: str) -> str | None:
    """The id of the emulator's world; "" where no emulator says one, None where nobody listens."""
    what = "asking the emulator for its world"
    try:
        answer = http.request("GET", f"{url}/_emulator/health", what=what, once=True)
        world = answer.json_object().get("world", "")
    except UnreachableError:
        return None
    except WireError:
        return ""
    return world if isinstance(world, str) and re.fullmatch(r"[0-9a-f]{1,64}", world) else ""


def width(environment: Environment, parallel: int | None) -> int:
    """How many bindings at once."""
    return parallel or environment.parallel


def client(environment: Environment, parallel: int | None, stop: Stop) -> Http:
    """The one HTTP client of a command; a stop ends its pauses, which an emulator makes short."""
    emulator, threads = emulator_of(environment), width(environment, parallel)
    backoff_s = 0.1 if emulator else 0.5
    hint = f"is the {'emulator' if emulator else 'server'} running there?"
    return Http(threads=threads, backoff_s=backoff_s, sleep=stop.event.wait, local_hint=hint)


@dataclass(frozen=True)
class Seen:
    """The result of one look at an environment: its bindings, what git declares no more, and which
    bindings must not get their versions yet."""

    observed: tuple[Observed, ...]
    lost: NotDeclared
    waits: Waits


@dataclass(frozen=True)
class Session:
    """An environment that is being talked to.

    `prune` plans the end of what is not declared. `emulated` is the id of the emulator's world, ""
    where there is none. `began` is of the world's clock.
    """

    desired: Desired
    http: Http
    world: World
    stop: Stop
    width: int
    prune: Prune | None = None
    emulated: str = ""
    began: float = 0.0

    def observe(self) -> Seen:
        """The observed state; nothing is written meanwhile."""
        from reconciler.engine.required import behind
        from reconciler.engine.survey import survey
        from reconciler.waves import Waits

        desired = self.desired
        declared = (*desired.bindings, *desired.left_out) if desired.whole else None
        with self.stop.only_reading():
            observed, lost = survey(self.world, desired.bindings, self.width, declared)
        mine = tuple(e for e in lost.found if in_shard(e.address, desired.shard))
        seen = self.recalled(observed)
        new = [o for o in seen if o.live.served != o.artifact.ref]
        with self.stop.only_reading():
            first, due = behind(self.world, new, self.desired)
        there = self._not_proved_there(new)
        awaited = frozenset(first).difference(there) if desired.shard else frozenset()
        waits = Waits({**first, **there}, due, awaited)
        return Seen(seen, replace(lost, found=mine), waits)

    def recalled(self, observed: tuple[Observed, ...]) -> tuple[Observed, ...]:
        """The observed state with the first sightings of what drifted, where they can be read."""
        try:
            with self.stop.only_reading():
                return self.world.ledger.sightings.recalled(observed)
        except NotKnownError:  # a snapshot in which nothing drifted
            return observed
        except ReconcilerError as exc:
            say(f"when drift was first seen is not known: {exc.message}")
            return observed

    def await_others(self, idle_s: float) -> None:
        """Wait until other shards have proved the versions that are new in this one."""
        from reconciler.engine.required import await_firsts

        seen = self.observe()
        new = [o for o in seen.observed if o.binding.name in seen.waits.awaited]
        with self.stop.only_reading():
            await_firsts(self.world, new, self.desired, idle_s, say, self.began)

    def _not_proved_there(self, new: list[Observed]) -> dict[str, str]:
        """By name, why a binding must wait for its proof in the environment that is required."""
        from reconciler.engine.required import not_yet

        requires, there = self.desired.environment.requires, self.desired.there
        if requires is None or not new:
            return {}
        if there is None:
            return {o.binding.name: f"{requires.proved} could not be loaded" for o in new}
        try:
            ledger = ledger_of(there.environment, self.http, self.world.clock)
        except ReconcilerError as exc:
            why = f"the store of {requires.proved} cannot be opened: {exc.message}"
            return {observed.binding.name: why for observed in new}
        return not_yet(ledger, there, requires, new, self.world.clock.now(), self.width)

    def check_world(self) -> None:
        """Return unless another emulated world answers now than when this was opened."""
        now = emulated(self.http, self.desired.environment)
        if now != self.emulated:
            raise StalePlanError(
                f"planned in world {self.emulated} of the emulator, but now world {now or '?'} "
                f"answers at {emulator_of(self.desired.environment)}; plan again"
            )

    def plan(self) -> Plan:
        """The plan of what is now, and how long its trainings will take."""
        return self.plan_of(self.observe())

    def plan_of(self, seen: Seen) -> Plan:
        """The plan of what was seen."""
        from reconciler.engine.forecast import foresee
        from reconciler.plan import make_plan

        environment, declared = self.desired.environment, self.desired.declared
        made = make_plan(environment, seen.observed, declared, seen.lost, self.prune, seen.waits)
        changes = tuple(map(self._with_what_cannot_be_shown, made.changes))
        begins = not all(map(ends, made.to_do))
        frozen = self.world.frozen() if begins else ""
        made = replace(made, changes=changes, world=self.emulated, frozen=frozen)
        return foresee(self.world, self.desired.bindings, made)

    def _with_what_cannot_be_shown(self, change: Change) -> Change:
        """The change, with a warning where nothing will show which model answers after it."""
        binding = self._bindings.get(change.address)
        if binding is None or change.action not in (Action.BIND, Action.TRAIN, Action.CREATE):
            return change
        can = self.world.target(binding.kind).can
        if can.shows_served or (can.score and binding.probe is not None):
            return change
        why = "declared only: nothing here shows which model answers; declare verify to prove it"
        return replace(change, warnings=(*change.warnings, why))

    @cached_property
    def _bindings(self) -> Mapping[str, Binding]:
        return {str(binding.address): binding for binding in self.desired.bindings}


class Hearing(Protocol):
    """Who keeps the answers of a session: to requests, and of its stores."""

    def hear(self, method: str, url: str, answer: Response) -> None:
        """The answer to a read."""

    def heard(self, store: Store) -> Store:
        """The store, whose answers are kept."""


@contextlib.contextmanager
def opened(
    desired: Desired,
    parallel: int | None,
    force: str = "",
    prune: Prune | None = None,
    hearing: Hearing | None = None,
) -> Iterator[Session]:
    """The environment, connected in the name of who runs this; closed at the end."""
    stop, at_once = Stop(), width(desired.environment, parallel)
    by = actor(os.environ, desired.commit, force)
    with client(desired.environment, parallel, stop) as http:
        at = emulated(http, desired.environment)
        if hearing is None:
            world = connect(desired, http, stop=stop, actor=by)
        else:
            heard = http.heard_by(hearing.hear)
            world = connect(desired, heard, stop=stop, actor=by, through=hearing.heard)
        yield Session(desired, http, world, stop, at_once, prune, at, world.clock.now())


def plan_now(desired: Desired, parallel: int | None = None, prune: Prune | None = None) -> Plan:
    """The plan of what is now."""
    from reconciler import render  # noqa: F401 - what shows it is loaded before anything is asked

    with opened(desired, parallel, prune=prune) as session:
        return session.plan()


def plan_of_merge(after: Desired, names: Collection[str]) -> Plan:
    """The plan of a desired state as a pull request proposes it, for the bindings that it changes;
    with the metrics of versions that are trained already."""
    touched = tuple(binding for binding in after.bindings if binding.name in names)
    return replace(plan_now(replace(after, bindings=touched)), commit=after.commit)


def actor(environ: Mapping[str, str], commit: str = "", force: str = "") -> Actor:
    """Who acts: from GitHub's variables in its jobs, else the user and the host."""
    run = environ.get("GITHUB_RUN_ID", "")
    attempt = environ.get("GITHUB_RUN_ATTEMPT", "")
    return Actor(
        run=f"{run}.{attempt}" if run else secrets.token_hex(8),
        who=environ.get("GITHUB_ACTOR") or _user_and_host(),
        commit=commit,
        force=force,
    )


def _user_and_host() -> str:
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (ImportError, KeyError, OSError):  # of a container, or on Windows
        return socket.gethostname()
