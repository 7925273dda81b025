"""Fleets: bindings about which every sentence is equal, so that a thousand of them are one line.

A plan of a thousand endpoints has perhaps three stories to tell. Two changes belong to one fleet
when all that would be shown of them is equal once their own names, places and numbers are taken
out. So the key of a group is made of what is shown, and not of the model or the document that they
come from: whatever is worth a different sentence makes another group by itself.

Two exceptions keep the groups few. Each endpoint of a fleet that is planned for the first time
serves a model of its own, so what serves before tells changes apart only where that leaves a
handful of groups. And one trouble that hits many endpoints names another URL and request each time,
so messages are compared by their gist.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Generic, TypeVar

from reconciler.model import Action, Change, Failure, FieldDiff, Proof, Reason, Report
from reconciler.render import measures, words
from reconciler.render.cells import alike, listed
from reconciler.render.times import about

MOST_ALONE = 20  # so many proofs stand alone: what each endpoint answered is worth a line
MOST_EQUAL = 5  # so many equal changes stand alone where lines are cheap: in a terminal, in a log
MOST_BEFORE = 5  # above, models that serve before are told apart in the details only

MOST_NAMED = 100  # of what is in trouble: somebody must look for each of them

_DIGITS = "0123456789"

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
        """Up to three names, or a hundred of what is in trouble: the first ones and the last."""
        named: list[str] = [member.name for member in self.members]
        most: int = MOST_NAMED if self._is_trouble else 3
        return named if len(named) <= most else [*named[: most - 1], named[-1]]

    @property
    def _is_trouble(self) -> bool:
        """Whether somebody must look for each of them: what was not read, failed, is not proved."""
        first = self.first
        if isinstance(first, Change):
            return first.code == Reason.UNREADABLE
        return isinstance(first, Failure) or not first.converged

    @property
    def name(self) -> str:
        """The one name, or what all names have in common: `bike-rental-…`."""
        return common([member.name for member in self.members])

    @property
    def label(self) -> str:
        """The name, and how many there are of several."""
        return f"{self.name} {self.count}".strip()

    @property
    def address(self) -> str:
        """The one address, or what all have in common."""
        return common([member.address for member in self.members])

    @property
    def count(self) -> str:
        """`×1,000`; "" for one."""
        return f"×{len(self.members):,}" if len(self.members) > 1 else ""


def fleets(changes: Iterable[Change]) -> list[Fleet[Change]]:
    """The changes in groups of the same action, versions, reason, gates and recipe change; what
    needs a person first. Models that serve before may differ where there are more than a few: when
    a fleet is planned first, each endpoint has one of its own."""
    grouped = []
    for fleet in _grouped(words.in_order(changes), lambda c: _of_change(replace(c, before=""))):
        apart = _grouped(fleet.members, _of_change)
        grouped += apart if len(apart) <= MOST_BEFORE else [fleet]
    return grouped


def large_fleets(changes: Sequence[Change], verbose: bool = False) -> list[Fleet[Change]]:
    """The changes, each alone unless more than a few are equal and not everything is to be told;
    what needs a person first."""
    large = {
        id(fleet.first): fleet
        for fleet in fleets(changes)
        if not verbose and len(fleet.members) > (1 if _is_unread(fleet.first) else MOST_EQUAL)
    }
    folded = {id(member) for fleet in large.values() for member in fleet.members}
    return [
        large.get(id(change)) or Fleet((change,))
        for change in words.in_order(changes)
        if id(change) in large or id(change) not in folded
    ]


def work_of(fleet: Fleet[Change]) -> str:
    """The action on all of them, and how long their trainings take where that is known."""
    return ", ".join(listed([words.what(fleet.first), about(fleet.members)]))


def before_of(fleet: Fleet[Change]) -> str:
    """The version or model that all serve before, or how many different ones there are."""
    versions = {change.before for change in fleet.members}
    return fleet.first.before if len(versions) == 1 else f"{len(versions):,} different"


def gates_of(fleet: Fleet[Change]) -> list[str]:
    """Each gate of all of them: its words where they are equal, or the range of its values."""
    by_gate = zip(*(change.gates for change in fleet.members), strict=True)
    return [measures.fleet_gate(judgements) for judgements in by_gate]


def diffs_of(fleet: Fleet[Change]) -> list[tuple[str, FieldDiff]]:
    """Each field that differs, with the name of its binding."""
    return [(change.name, diff) for change in fleet.members for diff in change.diffs]


def why_of(fleet: Fleet[Change]) -> str:
    """The reason, where all have the same; of what could not be read, that without its places."""
    if len({change.why for change in fleet.members}) == 1:
        return fleet.first.why
    return _gist_of(fleet.first) if _is_unread(fleet.first) else ""


def whys_of(fleet: Fleet[Change]) -> list[str]:
    """The one reason of all, or each with its name."""
    own = [f"{change.name}: {change.why}" for change in fleet.members if change.why]
    return listed([why_of(fleet)]) or own


def _is_unread(change: Change) -> bool:
    return change.code == Reason.UNREADABLE


def _gist_of(change: Change) -> str:
    return words.gist(change.why, change.name, change.address)


def message_of(fleet: Fleet[Failure]) -> str:
    """The message of all, without what is their own where that differs."""
    first = fleet.first
    if len({failure.message for failure in fleet.members}) == 1:
        return first.message
    return words.gist(first.message, first.name, first.address)


def failure_of(fleet: Fleet[Failure], report: Report) -> str:
    """The message of all, the exit code that it stands for, and whether they were changed."""
    failure = fleet.first
    after = words.after_change(report, failure.address)
    return f"{message_of(fleet)} (exit code {failure.exit_code}{after})"


def scored_of(fleet: Fleet[Proof]) -> str:
    """The one answer of all of them, or how many different ones there are; "" without any."""
    scored = listed(measures.scored(proof).removeprefix("scored ") for proof in fleet.members)
    return f"{len(scored):,} different" if len(scored) > 1 else "".join(scored)


def ailing_of(fleet: Fleet[Proof]) -> str:
    """How all of them are; "" where they are well."""
    first = fleet.first
    if len({proof.health for proof in fleet.members}) == 1:
        return words.ailing(first)
    return words.gist(words.ailing(first), first.name, first.address)


def common(texts: Sequence[str]) -> str:
    """The one text, or what all begin and end with around `…`, without a part of a number."""
    if len(set(texts)) == 1:
        return texts[0]
    start = _beginning(texts)
    end = _beginning([text[len(start) :][::-1] for text in texts])[::-1]
    return f"{start.rstrip(_DIGITS)}…{end.lstrip(_DIGITS)}"


def _beginning(texts: Sequence[str]) -> str:
    """How all of them begin."""
    equal = takewhile(lambda chars: len(set(chars)) == 1, zip(*texts, strict=False))
    return "".join(first for first, *_ in equal)


def proof_fleets(proofs: Iterable[Proof], verbose: bool = False) -> list[Fleet[Proof]]:
    """The proofs, or groups of the same outcome where they are many and not everything is to be
    told; what is not proved first."""
    ordered = sorted(proofs, key=lambda proof: proof.proved)
    if verbose:
        return [Fleet((proof,)) for proof in ordered]
    alone = len(ordered) <= MOST_ALONE
    return _grouped(ordered, lambda p: p.address if alone and not words.ailing(p) else _of_proof(p))


def _of_proof(proof: Proof) -> Hashable:
    """All that must be equal in proofs that are told as one."""
    trouble = words.gist(words.ailing(proof), proof.name, proof.address)
    return (
        proof.model,
        proof.read_back,
        proof.rolled_back,
        words.verdict(proof),
        trouble,
        proof.warnings,
    )


def failure_fleets(failures: Iterable[Failure], done: Iterable[str]) -> list[Fleet[Failure]]:
    """The failures in groups of the same message, whose endpoints were all changed or all not."""
    changed = frozenset(done)
    return _grouped(
        failures,
        lambda f: (words.gist(f.message, f.name, f.address), f.exit_code, f.address in changed),
    )


def _grouped(
    members: Iterable[_Member], key: Callable[[_Member], Hashable]
) -> list[Fleet[_Member]]:
    return [Fleet(tuple(group)) for group in alike(members, key).values()]


def _of_change(change: Change) -> Hashable:
    """All that must be equal; a refusal by gates repeats their numbers, which need not be."""
    judged = change.action is Action.BLOCK and any(not j.passed for j in change.gates)
    return (
        *(change.kind, change.action, change.code, change.before, change.after),
        "" if judged else _gist_of(change) if _is_unread(change) else change.why,
        tuple(diff for diff in change.diffs if diff.path != "model"),
        tuple((str(j.rule), j.passed, j.message) for j in change.gates),
        *(change.warnings, bool(change.probe), change.wave),
    )
