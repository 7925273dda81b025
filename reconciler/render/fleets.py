"""Bindings of which the same is to be said, so that a thousand of them are one line."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from reconciler.model import Action, Change, Failure, Proof
from reconciler.render import words

MOST_ALONE = 20  # so many proofs stand alone: what each endpoint answered is worth a line
MOST_LINES = 100  # above, models that serve before are told apart in the details only

_Member = TypeVar("_Member", Change, Proof, Failure)


@dataclass(frozen=True)
class Fleet(Generic[_Member]):
    """One or more members that differ in nothing but their names, places and numbers."""

    members: tuple[_Member, ...]

    @property
    def first(self) -> _Member:
        """The one that speaks for all."""
        return self.members[0]

    @property
    def names(self) -> list[str]:
        """Up to three names: the first ones and the last."""
        named: list[str] = [member.name for member in self.members]
        return named if len(named) <= 3 else [*named[:2], named[-1]]

    @property
    def count(self) -> str:
        """`×1,000`; "" for one."""
        return f"×{len(self.members):,}" if len(self.members) > 1 else ""


def fleets(changes: Iterable[Change]) -> list[Fleet[Change]]:
    """The changes in groups of the same action, versions, reason, gates and recipe change; what
    needs a person first. Where these are too many, of the same version after the change only."""
    ordered = words.in_order(changes)
    found = _grouped(ordered, _of_change)
    if len(found) <= MOST_LINES:
        return found
    return _grouped(ordered, lambda change: _of_change(replace(change, before="")))


def proof_fleets(proofs: Iterable[Proof]) -> list[Fleet[Proof]]:
    """The proofs, or groups of the same outcome where they are many; what is not proved first."""
    shown = sorted(proofs, key=lambda proof: proof.proved)
    if len(shown) <= MOST_ALONE:
        return [Fleet((proof,)) for proof in shown]
    return _grouped(shown, lambda p: (p.model, p.read_back, p.rolled_back, p.health, p.warnings))


def failure_fleets(failures: Iterable[Failure], done: Iterable[str]) -> list[Fleet[Failure]]:
    """The failures in groups of the same message, whose endpoints were all changed or all not."""
    changed = frozenset(done)
    return _grouped(failures, lambda f: (f.message, f.exit_code, f.address in changed))


def _grouped(
    members: Iterable[_Member], key: Callable[[_Member], Hashable]
) -> list[Fleet[_Member]]:
    found: dict[Hashable, list[_Member]] = {}
    for member in members:
        found.setdefault(key(member), []).append(member)
    return [Fleet(tuple(group)) for group in found.values()]


def _of_change(change: Change) -> Hashable:
    """What must be equal. The reason of a refusal by gates repeats their numbers, which may not."""
    judged = change.action is Action.BLOCK and any(not j.passed for j in change.gates)
    return (
        *(change.kind, change.action, change.code, change.before, change.after),
        "" if judged else change.why,
        tuple(diff for diff in change.diffs if diff.path != "model"),
        tuple((str(j.rule), j.passed, j.message) for j in change.gates),
        *(change.warnings, bool(change.probe)),
    )
