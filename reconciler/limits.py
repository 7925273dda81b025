"""Pure: how much one run may change before a person must say that it is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.model import TRAINING, Action, Declared

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.model import Change, Environment

ALWAYS_ALLOWED = 10  # bindings; below, a share says nothing: two of three are 67 %
_CHANGING = (Action.TRAIN, Action.BIND, Action.CREATE, Action.DELETE)


def excess(
    environment: Environment, changes: Iterable[Change], declared: Declared | None = None
) -> tuple[str, ...]:
    """Which limits of the environment the changes exceed, in words; () when none.

    `declared` says of how many bindings they are a selection; None: these are all. A shard cannot
    know what the others change, so its share is one of its own bindings.
    """
    shown = tuple(changes)
    declared = declared or Declared(len(shown), len(shown))
    of_changes = _of_changes(environment, shown, declared)
    return (*filter(None, [of_changes]), *excess_of_trainings(environment, shown))


def excess_of_trainings(environment: Environment, changes: Iterable[Change]) -> tuple[str, ...]:
    """The same of a run that trains and changes no endpoint. Two endpoints of one version are one
    training."""
    trainings = len({change.key for change in changes if change.action is Action.TRAIN})
    if trainings <= environment.most_retrains:
        return ()
    most = environment.most_retrains
    return (f"{trainings} versions would be trained, and limits.retrains is {most}",)


def _of_changes(environment: Environment, changes: tuple[Change, ...], declared: Declared) -> str:
    changing = sum(_changes(change) for change in changes)
    most, of = environment.most_changes_percent, declared.shard
    if declared.environment <= ALWAYS_ALLOWED or changing * 100 <= most * of:
        return ""
    where = "" if of == declared.environment else " of the shard"
    return (
        f"{changing} of {of} endpoints{where} would change ({100 * changing / of:.0f}%), and "
        f"limits.changes is {most}%"
    )


def _changes(change: Change) -> bool:
    """Whether the endpoint would change: a run that waits for a job swaps when it is done."""
    return change.action in _CHANGING or change.code == TRAINING
