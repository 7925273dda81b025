"""Pure: how much one run may change before a person must say that it is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.model import TRAINING, Action

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.model import Change, Environment

ALWAYS_ALLOWED = 10  # bindings; below, a share says nothing: two of three are 67 %
_CHANGING = (Action.TRAIN, Action.BIND, Action.CREATE, Action.DELETE)


def excess(environment: Environment, changes: Iterable[Change]) -> tuple[str, ...]:
    """Which limits of the environment the changes exceed, in words; () when none."""
    shown = tuple(changes)
    return tuple(filter(None, (_of_changes(environment, shown), _of_retrains(environment, shown))))


def _of_changes(environment: Environment, changes: tuple[Change, ...]) -> str:
    changing = sum(_changes(change) for change in changes)
    most = environment.most_changes_percent
    if len(changes) <= ALWAYS_ALLOWED or changing * 100 <= most * len(changes):
        return ""
    return (
        f"{changing} of {len(changes)} endpoints would change "
        f"({100 * changing / len(changes):.0f}%), and limits.changes is {most}%"
    )


def _changes(change: Change) -> bool:
    """Whether the endpoint would change: a run that waits for a job swaps when it is done."""
    return change.action in _CHANGING or change.code == TRAINING


def _of_retrains(environment: Environment, changes: tuple[Change, ...]) -> str:
    """Two endpoints of one version are one training."""
    trainings = len({change.key for change in changes if change.action is Action.TRAIN})
    if trainings <= environment.most_retrains:
        return ""
    return (
        f"{trainings} versions would be trained, and limits.retrains is {environment.most_retrains}"
    )
