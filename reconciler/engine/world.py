"""The world that a run acts on: targets, training engines, the store, and a clock."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from reconciler.model import (
    MOST_EVENTS,
    Actor,
    Binding,
    Check,
    Event,
    EventKind,
    ModelRef,
    Recipe,
    Record,
)
from reconciler.stores.contract import Store, name_in

if TYPE_CHECKING:
    from reconciler.ledger import Ledger
    from reconciler.ledger.lock import Clock
    from reconciler.platforms.contract import Job, Registered, Registry, Target, Trainer
    from reconciler.soon import Once


class Offers(Protocol):
    """A question to a connected platform, whatever git declares."""

    @property
    def target(self) -> Callable[[str], Target]:
        """The target of a kind."""

    @property
    def lacks(self) -> frozenset[str]:
        """The kinds that it cannot hold as it is connected."""

    @property
    def checks(self) -> Callable[[Iterable[Binding]], Iterable[Check]]:
        """Checks that only the platform knows to make before money is spent."""


@dataclass(frozen=True)
class Idle:
    """A kind of endpoint that may be here and of which git declares none.

    `prefix` begins the keys of its addresses. To be asked, it may need secrets and a sign-in that
    nobody else needs, so `connect` raises a ReconcilerError for want of them.
    """

    prefix: str
    connect: Callable[[], Target]


@dataclass(frozen=True)
class World:
    """Everything a run may touch, and who it is; `targets` are of the kinds that git declares.

    `store` has what the ledger keeps, and the models; `data` what they are trained on. `ended` are
    jobs whose last word is known, so that nobody asks for them again. `registries` are by the
    trainer of the recipes whose versions they have. `connected` are the platforms by their names,
    for what is asked of each of them, whatever git declares. `frozen` says until when nothing may
    be changed. `declared` are the bindings of git by name, also those that a selection hides.
    `looked` are versions of registries that one look at many bindings asks for once.
    """

    targets: Mapping[str, Target]
    idle: Mapping[str, Idle]
    trainers: Mapping[str, Trainer]
    ledger: Ledger
    store: Store
    data: Store
    clock: Clock
    actor: Actor
    stopping: Callable[[], bool] = lambda: False
    ended: Mapping[str, Job] = field(default_factory=dict)
    registries: Mapping[str, Registry] = field(default_factory=dict)
    connected: Mapping[str, Offers] = field(default_factory=dict)
    frozen: Callable[[], str] = lambda: ""
    declared: Mapping[str, Binding] = field(default_factory=dict)
    looked: Once[Registered] | None = None

    @property
    def moment(self) -> str:
        """The time by its clock, as records have it."""
        return timestamp(self.clock.now())

    def target(self, kind: str) -> Target:
        """The target of a kind, whether or not git declares any of it."""
        return self.targets[kind] if kind in self.targets else self.idle[kind].connect()

    def registered(self, recipe: Recipe) -> Registered | None:
        """The version in the registry that has it; None where it is of none."""
        if (registry := self.registries.get(recipe.trainer)) is None:
            return None
        if self.looked is None:
            return registry.look(recipe)
        return self.looked(repr(recipe), lambda: registry.look(recipe))

    def file_at(self, url: str) -> tuple[Store, str] | None:
        """The store that has a file, and its name there, by its URL; None for a file elsewhere."""
        for store in (self.store, self.data):
            if name := name_in(store.base, url):
                return store, name
        return None


def timestamp(seconds: float) -> str:
    """`2026-11-23T14:09:57Z`: whole seconds, UTC."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_since_epoch(stamp: str) -> float:
    """The inverse of `timestamp`; ValueError for other text."""
    moment = datetime.datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ")
    return moment.replace(tzinfo=datetime.UTC).timestamp()


def with_event(
    world: World,
    record: Record,
    what: EventKind,
    why: str = "",
    version: str | None = None,
    about: ModelRef | None = None,
) -> Record:
    """The record with one more event about the model it wants, or another; the oldest are
    forgotten. A failure that repeats takes the place of the last one.

    `version` is what people call the model; None: as it was noted before.
    """
    now, actor, ref = world.moment, world.actor, about or record.wanted
    name = record.version_of(ref) if version is None else version
    approvers = actor.approvers or ()
    event = Event(now, what, ref, actor.run, actor.commit, why, actor.who, name, approvers)
    before = record.history
    if before and what is before[-1].what is EventKind.FAILED and before[-1].model == ref:
        before = before[:-1]
    return replace(record, history=(*before, event)[-MOST_EVENTS:])
