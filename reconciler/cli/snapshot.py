"""`snapshot`, and plans against one: the live state as it was, without any credential.

A snapshot holds the answers to what a plan asks, and to what a plan of a *changed* desired state
would ask. An offline plan is then the plan of ever, by a client that has no other answers. What was
not heard is not known, and the plan says so.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reconciler import __version__, errors
from reconciler.cli import compose, session, stopping
from reconciler.console import say
from reconciler.engine.around import read_around
from reconciler.engine.world import seconds_since_epoch
from reconciler.errors import ConfigurationError, NotKnownError, StalePlanError
from reconciler.model import Desired, Environment, Reason
from reconciler.offline.exports import read_document
from reconciler.offline.recorded import Answers, NoToken, Recorded
from reconciler.offline.snapshot_file import FAMILY, Place, Snapshot, snapshot_in, snapshot_json
from reconciler.outcome import File, Kept, Outcome
from reconciler.platforms.contract import Target, Trainer
from reconciler.render.cells import counted

_OF_THIS_MACHINE = "its files are read on the machine that has them; plan there, without --live"
AHEAD_S = 300.0  # by so much may the clock that took a snapshot have been ahead of ours


# --- taking one ----------------------------------------------------------------------------


def snapshot(desired: Desired, out: Path | None, parallel: int | None) -> Outcome:
    """`snapshot`: 0, or 7 where something could not be read, which plans then do not know."""
    environment = desired.environment
    files = [b for b in desired.bindings if b.kind in compose.read_here(desired)[0]]
    if files:
        names = ", ".join(sorted({binding.kind for binding in files}))
        many = counted(len(files), "binding")
        say(f"{environment.name}: {many} of kind {names} not in the snapshot: {_OF_THIS_MACHINE}")
        if len(files) == len(desired.bindings):
            raise ConfigurationError(f"a snapshot of {environment.name} would be empty")
    session.introduce(environment)
    answers = Answers()
    with session.opened(desired, parallel, hearing=answers) as opened:
        at = opened.world.moment
        made = opened.plan()
        with opened.stop.only_reading():
            read_around(opened.world, desired.bindings, opened.width)
    taken = Snapshot(
        at=at,
        commit=desired.commit,
        program=f"reconciler {__version__}",
        place=Place.of(environment),
        emulator=compose.emulator_of(environment),
        answers=answers,
    )
    unread = [change for change in made.changes if change.code == Reason.UNREADABLE]
    for change in unread:
        say(f"{change.name} is not in the snapshot: {change.why}")
    code, text = errors.PARTIAL if unread or files else errors.SUCCESS, snapshot_json(taken)
    if out is None:
        return Outcome(Kept(text), code)
    note = (
        f"wrote {out}: {counted(len(desired.bindings), 'binding')} as of {at}, plan {made.digest}"
    )
    return Outcome(exit_code=code, files=(File("", out, text, note),))


# --- planning against one ------------------------------------------------------------------


@dataclass(frozen=True)
class Taken:
    """A snapshot that may be planned against, and how old it is in words."""

    snapshot: Snapshot
    age: str


def read(path: Path, desired: Desired, now: float, max_age_s: float) -> Taken | None:
    """The snapshot in a file; None where it is no snapshot, but exports.

    ConfigurationError for a damaged one and for that of another place; StalePlanError for one that
    is too old.
    """
    document = read_document(path) if os.path.isfile(path) else None  # noqa: PTH113 - no name raises
    if not isinstance(document, dict) or not str(document.get("schema", "")).startswith(FAMILY):
        return None
    try:
        recorded = snapshot_in(document)
        _check_place(recorded, desired.environment)
        age_s = now - seconds_since_epoch(recorded.at)
    except ValueError as exc:
        raise ConfigurationError.of_file(path, str(exc)) from exc
    age = f"a snapshot {_in_words(max(age_s, 0.0))} old, taken {recorded.at}" + (
        f" at commit {recorded.commit[:12]}" if recorded.commit else ""
    )
    if age_s < -AHEAD_S:
        why = f"taken at {recorded.at}, which is in the future; correct the clock, or take it again"
        raise ConfigurationError.of_file(path, why)
    if age_s > max_age_s:
        again = desired.environment.command("snapshot", "--out", str(path))
        raise StalePlanError(
            f"{path} is {age}: older than {_in_words(max_age_s)}, so the live state may have "
            f"changed; take it again by `{again}`, or pass --max-age"
        )
    return Taken(recorded, age)


def _check_place(recorded: Snapshot, environment: Environment) -> None:
    """ValueError where the snapshot is of another environment, or of another cloud or store."""
    if differences := recorded.place.differences(Place.of(environment)):
        raise ValueError(
            f"a snapshot of another place ({'; '.join(differences)}); take one of this environment"
        )
    try:
        compose.emulator_of(environment, {compose.EMULATOR_VARIABLE: recorded.emulator})
    except ConfigurationError as exc:
        raise ValueError(f"snapshot.emulator: {exc.message}") from exc
    if bool(recorded.emulator) != bool(compose.emulator_of(environment)):
        raise ValueError("snapshot.emulator: must say where the emulator is, if there is one")


def _in_words(seconds: float) -> str:
    minutes = seconds / 60
    if minutes < 90:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.0f} h" if minutes < 48 * 60 else f"{minutes / 60 / 24:.0f} days"


class _Then:
    """The clock as it stood when a snapshot was taken: jobs are as old as they were then."""

    def __init__(self, at: str) -> None:
        self._at = seconds_since_epoch(at)

    def now(self) -> float:
        """Seconds since the epoch, then."""
        return self._at

    def wait(self, seconds: float) -> None:
        """Never asked for: a plan waits for nothing."""
        raise AssertionError(f"an offline plan waits for {seconds} s")


class _NotHeard:
    """A target or a trainer of this machine, of whose files a snapshot has none: asked anything
    but what it knows without a look, it raises NotKnownError."""

    def __init__(self, real: Target | Trainer) -> None:
        self._real = real

    def surveyed(self, *_: object) -> _NotHeard:
        """Itself: it has no lists."""
        return self

    def __getattr__(self, name: str) -> Any:
        if name in ("can", "ref", "most_jobs", "forgets", "grants"):
            return getattr(self._real, name)
        raise NotKnownError(f"not known offline: {_OF_THIS_MACHINE}")


def _no_token(*_: object) -> NoToken:
    """The token of a session that asks nobody."""
    return NoToken()


@contextlib.contextmanager
def opened_offline(
    desired: Desired, taken: Taken, parallel: int | None
) -> Iterator[session.Session]:
    """The environment as it was: a session that asks nobody, and needs no secret."""
    recorded, stop = taken.snapshot, stopping.Stop()
    environ = dict.fromkeys(compose.secret_variables(desired), compose.NO_KEY)
    environ[compose.EMULATOR_VARIABLE] = recorded.emulator
    clock = _Then(recorded.at)
    with Recorded(recorded.answers) as http:
        through = recorded.answers.remembered
        world = compose.connect(
            desired, http, stop=stop, environ=environ, clock=clock, token=_no_token, through=through
        )
        kinds, engines = compose.read_here(desired)
        targets: dict[str, Any] = dict(world.targets)
        targets |= {kind: _NotHeard(targets[kind]) for kind in kinds & set(targets)}
        trainers: dict[str, Any] = dict(world.trainers)
        trainers |= {name: _NotHeard(trainers[name]) for name in engines & set(trainers)}
        world = replace(world, targets=targets, trainers=trainers)
        width = session.width(desired.environment, parallel)
        yield session.Session(desired, http, world, stop, width)
