"""`reconciler doctor`: everything that can be known before money is spent. It only reads.

First what needs no network: the configuration, the secrets, the repository and its workflows. Then
the world: the store, the platforms, the engines, what a plan would refuse, and what live endpoints
answer to their probes. Whatever fails is a finding and stops no other look.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from reconciler import __version__, errors
from reconciler.ci.checks import workflow_checks
from reconciler.cli import choose, compose, session
from reconciler.cli.editing import repository
from reconciler.cli.notify import webhook
from reconciler.cli.options import Part, Where
from reconciler.engine import checkup
from reconciler.errors import ConfigurationError, ReconcilerError
from reconciler.http.credentials import resolve_all
from reconciler.http.response import Response
from reconciler.model import Action, Auth, Check, Checkup, Desired, Level, Plan, Source
from reconciler.outcome import Outcome
from reconciler.render.cells import few
from reconciler.render.checkup import folded
from reconciler.stores.contract import Store

MOST_SKEW_S = 60.0
FATAL_SKEW_S = 600.0  # clouds refuse what is signed at another time


def doctor(where: Where, part: Part) -> Outcome:
    """`doctor`: 0 where a run would find everything in its place, 1 otherwise."""
    try:
        desired = choose.desired(where, part)
    except ConfigurationError as exc:
        if not exc.problems:
            raise
        checks = tuple(_of_problems("configuration", exc))
        return Outcome(Checkup(where.environment or "", checks), errors.ERROR)
    checks = folded((*_here(desired, where.services), *_there(desired, part.parallel)))
    checkup = Checkup(desired.environment.name, checks)
    return Outcome(checkup, errors.SUCCESS if checkup.healthy else errors.ERROR)


def _of_problems(what: str, exc: ConfigurationError) -> Iterator[Check]:
    for p in exc.problems:
        yield Check(what, Level.ERROR, p.message, "", Source(p.path, p.line, p.column))


# --- without a network -------------------------------------------------------------------------


def _here(desired: Desired, services: Path) -> Iterator[Check]:
    count = len(desired.bindings)
    yield Check("program", Level.FINE, f"reconciler {__version__}")
    yield Check("configuration", Level.FINE, f"bindings: {count:,}")
    yield from _schemas(services)
    yield _commit(desired)
    if (root := repository(services)) is not None:
        made = desired.environment
        auths = [getattr(connection, "auth", None) for connection in made.connections.values()]
        by_job = Auth.GITHUB_OIDC in (*auths, made.store.auth, made.data.auth)
        yield from workflow_checks(root / ".github" / "workflows", made.name if by_job else "")


def _schemas(services: Path) -> Iterator[Check]:
    """Whether editors check files by the schema of this very program."""
    named: dict[Path, Source] = {}
    for path in filter(Path.is_file, sorted(services.rglob("*.y*ml"))):
        first = path.open(encoding="utf-8", errors="replace").readline(4096)
        if (named_schema := compose.SCHEMA_LINE.match(first)) and "://" not in named_schema[1]:
            place = Path(os.path.realpath(path.parent / named_schema[1]))
            named.setdefault(place, Source(str(path), 1, 1))
    root = repository(services)
    for schema, source in named.items():
        fix = f"reconciler schema --out {os.path.relpath(schema)}"
        if root is not None and not schema.is_relative_to(root.resolve()):
            inside = root.resolve() / "schemas" / schema.name
            there = os.path.relpath(inside, Path(source.path).resolve().parent)
            fix = f"write $schema={there}, and run: reconciler schema --out "
            fix += os.path.relpath(inside)
        if not schema.is_file():
            yield Check("schema", Level.WARNING, f"there is no {schema}", fix, source)
        elif schema.read_bytes() != compose.schema_text().encode():
            why = f"{schema} is of another version of this program, or of other platforms"
            yield Check("schema", Level.WARNING, why, fix, source)
        else:
            yield Check("schema", Level.FINE, os.path.relpath(schema))


def _commit(desired: Desired) -> Check:
    """The finding about the commit: whether what is here is what git has."""
    if desired.commit:
        return Check("repository", Level.FINE, f"commit {desired.commit[:12]}")
    if names := desired.uncommitted:
        listed = few(names, choose.MOST_UNCOMMITTED)
        why = f"files differ from the commit, so a plan of them is of no commit: {listed}"
        return Check("repository", Level.WARNING, why, "commit them before a plan is approved")
    why = "the desired state is in no commit of a repository"
    fix = "commit it with git: pull requests and history begin there"
    return Check("repository", Level.WARNING, why, fix)


# --- the world ---------------------------------------------------------------------------------


class _Ear:
    """Hears how far the clocks of servers are from ours."""

    def __init__(self) -> None:
        self.skews: dict[str, float] = {}

    def hear(self, method: str, url: str, answer: Response) -> None:  # noqa: ARG002
        """The answer to a read. What a proxy kept is old; the nearest moment is the clock's."""
        if moment := answer.moment("Date"):
            host, skew = urlsplit(url).netloc, moment.timestamp() - time.time()
            self.skews[host] = min(skew, self.skews.get(host, skew), key=abs)

    def heard(self, store: Store) -> Store:
        """The store as it is."""
        return store


def _there(desired: Desired, parallel: int | None) -> Iterator[Check]:
    """Findings about the world, as far as the secrets that are set reach."""
    try:
        resolve_all(compose.secret_names(desired), os.environ)
    except ConfigurationError as exc:
        yield from _of_problems("secrets", exc)
        if not exc.problems:
            yield Check("secrets", Level.ERROR, exc.message)
        why = "what needs these secrets was not asked"
        yield Check("platforms", Level.WARNING, why, "set them, and run doctor again")
        if (part := compose.opened_by(os.environ, desired)) is None:
            return
        desired = part
    if names := dict.fromkeys(compose.secret_variables(desired)):
        yield Check("secrets", Level.FINE, f"set: {', '.join(names)}")
    yield from _notices(desired)
    ear = _Ear()
    try:
        session.introduce(desired.environment)
        with session.opened(desired, parallel, hearing=ear) as opened:
            yield from _of_world(opened)
    except ReconcilerError as exc:
        yield Check("platforms", Level.ERROR, exc.message)
    yield from _clocks(ear)


def _notices(desired: Desired) -> Iterator[Check]:
    """Whether the webhook could be told of a failure; it is not asked."""
    if desired.environment.notify is None:
        return
    try:
        webhook(desired.environment.notify)
    except ReconcilerError as exc:
        why = f"nobody would be notified: {exc.message}"
        yield Check("notify", Level.WARNING, why, "", desired.environment.source)
    else:
        yield Check("notify", Level.FINE, f"set: {desired.environment.notify.url.variable}")


def _of_world(opened: session.Session) -> Iterator[Check]:
    """Findings of the checks, from what all need to what single endpoints answer."""
    world, bindings = opened.world, opened.desired.bindings
    with opened.stop.only_reading():
        yield from checkup.stores(world, bindings)
        yield from checkup.platforms(world, bindings)
        yield from checkup.engines(world)
    seen = opened.observe()
    yield from _of_plan(opened.plan_of(seen))
    yield from checkup.data(world, seen.observed, opened.width)
    yield from checkup.registered(world, seen.observed, opened.width)
    yield from checkup.probes(world, seen.observed, opened.width)


def _of_plan(plan: Plan) -> Iterator[Check]:
    """Checks of what a run would be refused, could not read, or is warned of."""
    for change in plan.changes:
        names = (change.name,)
        if change.action is Action.BLOCK:
            yield Check("endpoint", Level.ERROR, change.why, "", change.source, names)
        else:
            yield Check("endpoint", Level.FINE, "", "", change.source, names)
        for warning in change.warnings:
            yield Check("endpoint", Level.WARNING, warning, "", change.source, names)
    for limit in plan.excess:
        fix = "raise the limit, or apply with --force REASON"
        yield Check("limits", Level.WARNING, str(limit), fix)
    if plan.frozen:
        yield Check("freeze", Level.WARNING, plan.frozen, "apply then, or with --force REASON")
    for note in plan.notes:
        yield Check("plan", Level.WARNING, note)


def _clocks(ear: _Ear) -> Iterator[Check]:
    """Findings about this machine's clock, by the dates that servers sent."""
    for host, skew in sorted(ear.skews.items()):
        if abs(skew) <= MOST_SKEW_S:
            continue
        level = Level.ERROR if abs(skew) > FATAL_SKEW_S else Level.WARNING
        side = "behind" if skew > 0 else "ahead of"
        why = f"the clock of this machine is {abs(skew):,.0f} s {side} that of {host}"
        fix = "let a time server set it (timedatectl set-ntp true)"
        yield Check("clock", level, why, fix)
    if ear.skews and all(abs(skew) <= MOST_SKEW_S for skew in ear.skews.values()):
        yield Check("clock", Level.FINE, "within a minute of every server")
