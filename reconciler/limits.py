"""Pure: how much one run may change before a person must say that it is meant.

A limit guards against one thing: an edit of one line that reaches everything. A renamed model or a
changed store turns a plan of three endpoints into one of three hundred, and each of its changes is
right by itself. So of changes and deletions a share is counted: 30 % means the same in a fleet of
fifty and of five thousand. Up to ten endpoints no share of changes is counted: it would say
nothing.

Three counts, three kinds of damage. *Changes* are endpoints that people use and that would serve
something else; to bring back what was proved there and was lost is none, or a cluster that forgot
everything could not be filled again by one run. *Trainings* cost money, so they have a number of
their own, and two endpoints of one version share one. *Deletions* count only what nobody wrote
down: an endpoint that git declares `absent` was reviewed by name, one that merely vanished from git
may be a file that was moved.

A shard sees its own endpoints only. Its share of changes is taken of those, so that N shards
together allow no more than one run of all would.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from reconciler.model import Action, Change, Declared, Environment, FieldDiff, Plan, Reason

ALWAYS_ALLOWED = 10  # bindings; below, a share says nothing: two of three are 67 %
_CHANGING = (Action.TRAIN, Action.BIND, Action.CREATE, Action.UPDATE, Action.DELETE)


def excess(
    environment: Environment, changes: Iterable[Change], declared: Declared | None = None
) -> tuple[str, ...]:
    """Which limits of the environment the changes exceed, in words; () when none.

    `declared` says of how many bindings they are a selection; None: these are all. A shard cannot
    know what the others change, so its share is one of its own bindings.
    """
    every = tuple(changes)
    declared_changes = tuple(change for change in every if change.code != Reason.NOT_DECLARED)
    declared = declared or Declared(len(declared_changes), len(declared_changes))
    rules = (_of_changes(environment, declared_changes, declared), _of_deletes(environment, every))
    return (*filter(None, rules), *excess_of_trainings(environment, declared_changes))


def excess_of_trainings(environment: Environment, changes: Iterable[Change]) -> tuple[str, ...]:
    """Which limits a run exceeds that trains and changes no endpoint. Two endpoints of one version
    are one training."""
    trainings = len({change.key for change in changes if change.trains and not change.takes})
    if trainings <= environment.most_retrains:
        return ()
    most = environment.most_retrains
    versions = "version" if trainings == 1 else "versions"
    return (f"{trainings} {versions} would be trained, and limits.retrains is {most}",)


def overridden(plan: Plan) -> Plan:
    """The plan of a run with --force: limits and a freeze become notes, and refuse nothing."""
    notes = [f"over the limit, overridden by --force: {limit}" for limit in plan.excess]
    notes += [f"{plan.frozen}, overridden by --force"] if plan.frozen else []
    return replace(plan, excess=(), frozen="", notes=(*plan.notes, *notes))


def _of_changes(environment: Environment, changes: tuple[Change, ...], declared: Declared) -> str:
    """By how much the share of endpoints that would change is exceeded, in words; "" if not."""
    changing = sum(_changes(change) for change in changes)
    most, of = environment.most_changes_percent, declared.shard
    if declared.environment <= ALWAYS_ALLOWED or changing * 100 <= most * of:
        return ""
    where = "" if of == declared.environment else " of the shard"
    endpoints = "endpoint" if of == 1 else "endpoints"
    return (
        f"{changing} of {of} {endpoints}{where} would change ({100 * changing / of:.0f}%), and "
        f"limits.changes is {most}%"
    )


def _changes(change: Change) -> bool:
    """Whether the endpoint would change: a run that waits for a job, or for the proof of another
    shard, swaps when it is done.

    To make what was proved there again, where the platform lost it, changes nothing that people
    use: a cluster that forgot all of its endpoints is filled by one run. Neither does a mark.
    """
    if change.code == Reason.UNMARKED:
        return False
    if change.action is Action.CREATE and not change.trains and change.drift is not None:
        lost = FieldDiff("model", change.after, None)
        return lost not in change.drift.fields
    return change.action in _CHANGING or change.code in (Reason.TRAINING, Reason.OTHER_SHARD)


def _of_deletes(environment: Environment, changes: tuple[Change, ...]) -> str:
    """Counts undeclared endpoints only: one that is declared to be absent was reviewed by name.

    One is always allowed, unless the limit is 0%; a share of a small number would say nothing.
    """
    deletes = sum(c.action is Action.DELETE and c.code == Reason.NOT_DECLARED for c in changes)
    most = environment.most_deletes_percent
    allowed = max(1, most * len(changes) // 100) if most else 0
    if deletes <= allowed:
        return ""
    return (
        f"{deletes} of {len(changes)} endpoints would be deleted, as git no longer declares them "
        f"({100 * deletes / len(changes):.0f}%), and limits.deletes is {most}%"
    )
