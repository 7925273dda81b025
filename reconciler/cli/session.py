"""From the desired state to a world that can be asked: the one place where the parts are joined."""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import secrets
import signal
import socket
import threading
import time
from dataclasses import dataclass, field, replace
from signal import SIGINT, SIGTERM
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from reconciler.ci.event import pull_head, read_event
from reconciler.cli.compose import (
    EMULATOR_VARIABLE,
    connect,
    emulator_of,
    emulator_url,
    load,
    notices,
    signed_in_by,
    tokens,
)
from reconciler.cli.selection import in_shard
from reconciler.console import say
from reconciler.engine.world import World
from reconciler.errors import (
    ConfigurationError,
    StalePlanError,
    UnreachableError,
    WireError,
)
from reconciler.http.client import Http
from reconciler.model import Actor, NotDeclared
from reconciler.platforms.studio.hosts import DEFAULT_EMULATOR_URL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path
    from types import FrameType

    from reconciler.cli.compose import Tokens
    from reconciler.cli.options import Named, Some, Where
    from reconciler.engine.world import Clock
    from reconciler.ledger.lock import Lock
    from reconciler.model import (
        Auth,
        Desired,
        Environment,
        Observed,
        Plan,
    )
    from reconciler.plan import Prune
    from reconciler.stores.contract import Store

SEED = "services/local/_emulator/seed.yaml"
_MOST_UNCOMMITTED = 10
_WORLD = re.compile(r"[0-9a-f]{1,64}")


@dataclass
class Stop:
    """Whether the run was asked to stop, and by which signal; and the lock that it must hold."""

    event: threading.Event = field(default_factory=threading.Event)
    signal: int = 0
    lock: Lock | None = None

    def lost(self) -> str:
        """Why nothing at all may be written any more; "" while the lock is held."""
        why = self.lock.lapsed() if self.lock is not None else ""
        return f"the lock was lost: {why}" if why else ""

    def halted(self) -> str:
        """Why no endpoint may be changed and no job started any more; "" while that may be."""
        return self.lost() or ("the run was asked to stop" if self.event.is_set() else "")


class SystemClock:
    """Real time; waiting ends early when the run is asked to stop.

    It asks for the time of day once and then counts the seconds that pass, also those in which
    the machine sleeps: a clock that is set meanwhile neither stalls a run nor ends its lock.
    """

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._began = time.time() - _seconds()

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._began + _seconds()

    def wait(self, seconds: float) -> None:
        """Let `seconds` pass, or less."""
        self._stop.event.wait(seconds)


def _seconds() -> float:
    """Seconds since some moment. Where Linux has two such clocks, the one that counts on while the
    machine sleeps: a lease does."""
    number = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if number is None else time.clock_gettime(number)


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
        port = f" --port {urlsplit(url).port}" if url != DEFAULT_EMULATOR_URL else ""
        say(
            "nothing answers there; start it in another terminal: "
            f"reconciler emulator{port} --state .reconciler --seed {SEED}"
        )


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
    return world if isinstance(world, str) and _WORLD.fullmatch(world) else ""


def ending_signals() -> list[signal.Signals]:
    """The signals by which others end a run: SIGTERM, and SIGHUP of a terminal that goes away,
    where there is one and `nohup` does not hold it off."""
    hangup: signal.Signals | None = getattr(signal, "SIGHUP", None)  # Windows has none
    if hangup is None or signal.getsignal(hangup) is signal.SIG_IGN:
        return [SIGTERM]
    return [SIGTERM, hangup]


@contextlib.contextmanager
def stoppable(stop: Stop, *, quiet: bool = False) -> Iterator[None]:
    """Let SIGINT, SIGTERM and SIGHUP set `stop`; steps under way end first. A second signal quits,
    as the handler of SIGTERM outside says: it may have a report to write.
    """

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.event.is_set():
            if callable(leave := before[SIGTERM]):
                leave(number, frame)
            os._exit(128 + number)
        stop.signal = number
        stop.event.set()
        if not quiet:
            with contextlib.suppress(OSError):  # the terminal may be gone
                say("stopping after the steps under way; once more to quit at once")

    before = {number: signal.signal(number, on_signal) for number in (SIGINT, *ending_signals())}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def wanted(where: Where, some: Some | None = None) -> Desired:
    """What a command works on: the selected part of the environment that was asked for."""
    services, selection = where.services, some.selection() if some else None
    found = load(services, *filter(None, [where.environment]))
    chosen = committed(choose(found, where.environment, where.auth), services, os.environ)
    if selection is None:
        return chosen
    chosen = selection.of(chosen)
    return _since(services, chosen, selection.since) if selection.since else chosen


def name_of(named: Named) -> str:
    """The name of the environment that was asked for, or of the only one."""
    found = load(named.services, *filter(None, [named.environment]))
    return choose(found, named.environment).environment.name


def _since(services: Path, chosen: Desired, ref: str) -> Desired:
    """The part that a change since a commit touches; it may be nothing."""
    from reconciler.cli.since import since

    names = since(services, chosen, ref)
    return replace(chosen, bindings=tuple(b for b in chosen.bindings if b.name in names))


def unprotected(wanted: Desired) -> Desired:
    """The desired state without the protection that --force overrides."""
    free = tuple(replace(binding, forced=True) for binding in wanted.bindings)
    return replace(wanted, bindings=free)


def pruning(wanted: Desired, asked: bool, force: str | None) -> Prune | None:
    """What is to become of what is not declared; ConfigurationError where a selection hides who
    declares it."""
    from reconciler.plan import Prune

    if asked and not wanted.whole:
        raise ConfigurationError(
            "--prune is of a whole environment, or of a shard of it: what a selection leaves out "
            "looks as if nothing declared it; leave the selection out"
        )
    return Prune(forced=bool(force)) if asked else None


def choose(found: Mapping[str, Desired], name: str | None, auth: Auth | None = None) -> Desired:
    """The environment that was asked for, or the only one; `auth` overrides its own."""
    chosen = _chosen(found, name)
    if auth is None:
        return chosen
    return replace(chosen, environment=signed_in_by(chosen.environment, auth))


def _chosen(found: Mapping[str, Desired], name: str | None) -> Desired:
    if name is None and len(found) == 1:
        return next(iter(found.values()))
    known = ", ".join(sorted(found))
    if name is None:
        raise ConfigurationError(f"there are {len(found)} environments; choose one by -e: {known}")
    if name not in found:
        raise ConfigurationError(f'there is no environment "{name}"; there is: {known}')
    return found[name]


def width(environment: Environment, parallel: int | None) -> int:
    """How many bindings at once."""
    return parallel or environment.parallel


@contextlib.contextmanager
def client(environment: Environment, parallel: int | None, stop: Stop) -> Iterator[Http]:
    """The one HTTP client of a command; a stop ends its pauses.

    A cloud is given time to come back; a local emulator that is not there is known at once.
    """
    backoff_s = 0.1 if emulator_of(environment) else 0.5
    threads = width(environment, parallel)
    with Http(threads=threads, backoff_s=backoff_s, sleep=stop.event.wait) as http:
        yield http


@dataclass
class Session:
    """An environment that is being talked to. `lock_lost` says why a lock is held no more.

    Its worlds share one access token, and `environ` and `clock` where these are not the process's.
    `prune` plans the end of what is not declared, which was `lost` at the last look.
    """

    wanted: Desired
    http: Http
    world: World
    stop: Stop
    width: int
    token: Tokens
    lock_lost: str = ""
    environ: Mapping[str, str] | None = None
    clock: Clock | None = None
    through: Callable[[Store], Store] | None = None  # what every store is asked through
    prune: Prune | None = None
    lost: NotDeclared = field(default_factory=NotDeclared)
    emulated: str = ""  # the id of the emulator's world, where there is one

    def observe(self) -> tuple[Observed, ...]:
        """What is, read by a client that refuses to write."""
        from reconciler.engine.survey import survey

        wanted = self.wanted
        declared = (*wanted.bindings, *wanted.left_out) if wanted.whole else None
        observed, lost = survey(self.reading(), wanted.bindings, self.width, declared)
        mine = tuple(one for one in lost.found if in_shard(one.address, wanted.shard))
        self.lost = replace(lost, found=mine)
        return observed

    def check_world(self) -> None:
        """Return unless another emulated world answers now than when this was opened."""
        now = emulated(self.http, self.wanted.environment)
        if now != self.emulated:
            raise StalePlanError(
                f"planned in world {self.emulated} of the emulator, but now world {now or '?'} "
                f"answers at {emulator_of(self.wanted.environment)}; plan again"
            )

    def reading(self) -> World:
        """The same world, by a client that refuses to write."""
        return connect(
            self.wanted,
            self.http.reading(),
            stop=self.stop,
            environ=self.environ,
            clock=self.clock,
            token=self.token,
            through=self.through,
        )

    def plan(self) -> Plan:
        """The plan of what is now, and how long its trainings will take."""
        return self.plan_of(self.observe())

    def plan_of(self, observed: Iterable[Observed]) -> Plan:
        """The same of what was observed."""
        from reconciler.engine.forecast import foresee
        from reconciler.plan import make_plan

        wanted = self.wanted
        made = make_plan(wanted.environment, observed, wanted.declared, self.lost, self.prune)
        made = replace(made, world=self.emulated)
        return foresee(self.world, self.wanted.bindings, made)


@contextlib.contextmanager
def opened(
    wanted: Desired, parallel: int | None, force: str = "", prune: Prune | None = None
) -> Iterator[Session]:
    """The environment, connected in the name of who runs this; closed at the end."""
    stop = Stop()
    with client(wanted.environment, parallel, stop) as http:
        token = tokens(http)
        world = connect(
            wanted, http, stop=stop, actor=actor(os.environ, wanted.commit, force), token=token
        )
        at_once = width(wanted.environment, parallel)
        at = emulated(http, wanted.environment)
        yield Session(wanted, http, world, stop, at_once, token, prune=prune, emulated=at)


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


def committed(wanted: Desired, services: Path, environ: Mapping[str, str]) -> Desired:
    """The desired state with the commit that it is of, as the repository of its folder says.

    For a pull request GitHub checks out a merge that nobody has seen: what people push, and the
    pull request is at, is its head. Otherwise it is what is checked out, which may be younger than
    the push that a job runs for. Where no repository is, GitHub's variables say it.
    """
    from reconciler.cli import git

    job, head = environ.get("GITHUB_SHA", ""), pull_head(read_event(environ))
    try:
        here = git.checkout(services)
    except ConfigurationError as exc:
        say(f"the commit of {services} is not known: {exc.message}")
        return wanted
    if here is None:
        here = git.Checkout(job)
    if here.uncommitted:
        return replace(wanted, uncommitted=here.uncommitted)
    of_pull = environ.get("GITHUB_EVENT_NAME") == "pull_request" and head
    return replace(wanted, commit=head if of_pull and here.commit == job else here.commit)


def name_uncommitted(wanted: Desired, what: str) -> None:
    """Say which files keep a document that is written from being of a commit."""
    if count := len(wanted.uncommitted):
        names = ", ".join(wanted.uncommitted[:_MOST_UNCOMMITTED])
        more = f" and {count - _MOST_UNCOMMITTED:,} more" if count > _MOST_UNCOMMITTED else ""
        say(
            f"{what} is of no commit, for these files are not as the commit has them: {names}{more}"
        )


def _user_and_host() -> str:
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (ImportError, KeyError, OSError):  # of a container, or on Windows
        return socket.gethostname()
