"""Pure: whether what a run would do is what people approved.

Time passes between a plan and its apply, and a run may be killed halfway. So a fresh plan is always
made, and compared with the approved one change by change. A change is covered when it is the
approved work at the same stage or a later one (train → wait → bind), begins where the approved
change began, leads to the same model by the same training, writes no other settings, and would be
done, judged and proved as approved. A roll-back is always covered: who approves a swap approves
that it is taken back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Protocol

from reconciler.model import TO_DO, Action, Change, Plan, Reason


class Answer(Enum):
    """Whether a plan may be applied."""

    YES = auto()
    ASK = auto()  # nothing was approved yet, and there is something to do
    STALE = auto()  # another plan was approved
    FROZEN = auto()  # nothing may be changed now, and that is not overridden
    TOO_MUCH = auto()  # it exceeds limits, and they are not overridden


@dataclass(frozen=True)
class Verdict:
    """The answer, and why it is not yes."""

    answer: Answer
    why: str = ""


class Marks(Protocol):
    """The marks of applied plans in the store."""

    def ended(self, plan: Plan) -> str:
        """By which run and when it was applied, in words; "" while no run of it has ended."""

    def begun(self, plan: Plan) -> bool:
        """Whether a run of it was begun, which may have been killed before its end."""


@dataclass(frozen=True)
class Approval:
    """An approval of exactly one digest, of one plan, of the plans of merged pull requests, or of
    whatever the plan is (`yes`).

    Each plan of `merged` approves what it shows, until it was applied.
    `force` is the reason why limits and protection are overridden, "" where they are not.
    """

    expect: str | None = None
    plan: Plan | None = None
    merged: tuple[Plan, ...] | None = None
    yes: bool = False
    force: str = ""

    @property
    def prunes(self) -> bool:
        """Whether an approved plan deletes undeclared endpoints."""
        plans = (*([self.plan] if self.plan else ()), *(self.merged or ()))
        doomed = (c for plan in plans for c in plan.changes if c.action is Action.DELETE)
        return any(change.code == Reason.NOT_DECLARED for change in doomed)

    def judge(self, fresh: Plan, marks: Marks) -> Verdict:
        """Whether the fresh plan may be applied."""
        if stale := self._stale(fresh, marks):
            return Verdict(Answer.STALE, stale)
        if fresh.excess and not self.force:
            return Verdict(Answer.TOO_MUCH, "; ".join(fresh.excess))
        if fresh.frozen and not self.force:
            return Verdict(Answer.FROZEN, f"{fresh.environment} is {fresh.frozen}")
        approvals = (self.expect, self.plan, self.merged)
        approved = self.yes or any(approval is not None for approval in approvals)
        return Verdict(Answer.YES if approved or not fresh.to_do else Answer.ASK)

    def _stale(self, fresh: Plan, marks: Marks) -> str:
        """Why the fresh plan goes beyond the approved one, in words; "" where it does not."""
        if self.expect is not None and fresh.digest != self.expect:
            return (
                f"approved {self.expect}, but the plan is now {fresh.digest}; review it and "
                "approve again"
            )
        if self.plan is not None:
            if self.plan.world not in ("", fresh.world):
                return (
                    f"plan {self.plan.digest} was made in world {self.plan.world} of the emulator, "
                    f"and world {fresh.world or '?'} answers now; start that one again, point "
                    "RECONCILER_EMULATOR to it, or plan again"
                )
            if sentences := beyond(fresh, self.plan):
                return "\n".join(
                    [
                        *sentences,
                        f"the plan {fresh.digest} does more than the approved {self.plan.digest}; "
                        "review it and approve again",
                    ]
                )
        if self.merged is not None:
            return _beyond_each(fresh, [plan for plan in self.merged if not marks.ended(plan)])
        return ""

    def used(self, fresh: Plan, marks: Marks) -> list[Plan]:
        """The plans whose approval a run of the fresh plan uses up."""
        used = [self.plan] if self.plan is not None else []
        for plan in _of_same(fresh, self.merged or ()):
            covers_some = len(uncovered(fresh, plan)) < len(fresh.to_do)
            if (covers_some or marks.begun(plan)) and not marks.ended(plan):
                used.append(plan)
        return used


def _beyond_each(fresh: Plan, approved: Iterable[Plan]) -> str:
    """The changes that none of the plans approves, in words, as the last plan says it."""
    plans = _of_same(fresh, approved)
    left = {change.address: f"{change.name}: no approved plan has it" for change in fresh.to_do}
    for plan in plans:
        not_here = uncovered(fresh, plan)
        left = {address: not_here[address] for address in left if address in not_here}
    if not left:
        return ""
    count = f"{len(plans)} approved plan{'' if len(plans) == 1 else 's'}"
    return "\n".join(
        [
            *left.values(),
            f"the plan {fresh.digest} does more than {count} not applied yet; review it and "
            "approve it",
        ]
    )


def _of_same(fresh: Plan, plans: Iterable[Plan]) -> list[Plan]:
    """Those of the same environment: addresses of another may read the same."""
    return [p for p in plans if (p.environment, p.cloud) == (fresh.environment, fresh.cloud)]


# --- one plan beside another -------------------------------------------------------------------

# What an approved action lets happen: the same, or a later stage of the same work.
_COVERS = {
    Action.TRAIN: {Action.TRAIN, Action.WAIT, Action.BIND, Action.UPDATE},
    Action.BIND: {Action.BIND, Action.WAIT, Action.UPDATE},
    Action.WAIT: {Action.WAIT, Action.BIND, Action.UPDATE},
    Action.CREATE: {Action.CREATE, Action.WAIT, Action.BIND, Action.UPDATE},
    Action.UPDATE: {Action.UPDATE, Action.WAIT},
    Action.DELETE: {Action.DELETE, Action.WAIT},
}
_NO_SWAP = (Reason.SETTINGS, Reason.UNMARKED)
# Of work on a model that serves already.
AFTER_THE_SWAP = (Reason.UNPROVED, Reason.ROLL_BACK, Reason.RETIRE)
# Work in progress: it may be completed in a freeze, and beyond a limit.
_ENDS = (Reason.UNPROVED, Reason.ROLL_BACK)


def ends(change: Change) -> bool:
    """Whether the change ends a swap that was begun; to restore a lost endpoint begins anew."""
    return change.code in _ENDS and change.action is not Action.CREATE


def only_ends(plan: Plan) -> Plan:
    """The plan; of one in a freeze or beyond a limit, the part that ends swaps which were begun
    before: all else is refused. The plan itself where there is no such part."""
    refused = plan.frozen or plan.excess
    if not (refused and any(map(ends, plan.to_do))):
        return plan
    code, why = Reason.FROZEN, f"{plan.frozen}; apply again then, or with --force REASON"
    if not plan.frozen:
        limits = "; ".join(plan.excess)
        code, why = Reason.OVER_LIMIT, f"{limits}; raise the limit, or apply with --force REASON"
    changes = tuple(
        replace(change, action=Action.BLOCK, code=code, why=why, wave=None)
        if change.action in TO_DO and not ends(change)
        else change
        for change in plan.changes
    )
    return replace(plan, changes=changes, frozen="", excess=())


def beyond(fresh: Plan, approved: Plan) -> tuple[str, ...]:
    """The changes of the fresh plan that were not approved, in words; () when it is a subset."""
    if (fresh.environment, fresh.cloud) != (approved.environment, approved.cloud):
        return (f"the approved plan is for {approved.environment} on {approved.cloud}",)
    return tuple(uncovered(fresh, approved).values())


def uncovered(fresh: Plan, approved: Plan) -> dict[str, str]:
    """By address, the changes of the fresh plan that this plan of its environment does not
    approve, in words."""
    by_address = {change.address: change for change in approved.changes}
    sentences = {c.address: _beyond(c, by_address.get(c.address)) for c in fresh.to_do}
    return {address: sentence for address, sentence in sentences.items() if sentence}


def covers(approved: Change, now: Change) -> bool:
    """Whether `now` is the approved work, at the same or a later stage, from the same beginning."""
    # The version in words, too: it is what people read in a plan file.
    wanted = now.after, now.after_ref, now.key
    same_end = wanted == (approved.after, approved.after_ref, approved.key)
    to_the_end = same_end or now.code == Reason.ROLL_BACK
    return (
        now.action in _stages(approved)
        and (approved.trains or approved.code == Reason.TRAINING or not now.trains)
        and to_the_end
        and _goes_on_from(approved, now)
        and _owned(now) <= _owned(approved)
    )


def described(change: Change) -> str:
    """`bind 2026-10 → 2026-11 with settings.x 1`: what a change does, in words."""
    recipe = f" (training {change.key[:12]})" if change.trains else ""
    owned = ", ".join(f"{path} {after}" for path, after in sorted(_owned(change), key=str))
    return f"{change}{recipe} with {owned}" if owned else f"{change}{recipe}"


def _stages(approved: Change) -> set[Action]:
    """The actions that may follow. An approved wait for a training, or for another shard, covers
    the creation of the endpoint, too."""
    if approved.code in (Reason.TRAINING, Reason.OTHER_SHARD):
        return _COVERS[Action.TRAIN] | _COVERS[Action.CREATE]
    return _COVERS.get(approved.action, set())


def _goes_on_from(approved: Change, now: Change) -> bool:
    """Whether the endpoint serves what it did then; or already the approved model, because a run
    was killed between the swap and its proof, or on the way back."""
    later = now.code in (*AFTER_THE_SWAP, *_NO_SWAP, Reason.UPDATING)
    begun = later and now.before == approved.after
    made = not approved.before and now.code in (Reason.CREATED, Reason.UPDATING)
    return now.before == approved.before or begun or made


def _owned(change: Change) -> set[tuple[str, str | None]]:
    """The settings that a change writes, whatever they are now."""
    return {
        (diff.path, diff.after)
        for diff in change.diffs
        if not (diff.path == "model" or diff.path.startswith("recipe."))
    }


def _beyond(change: Change, approved: Change | None) -> str:
    if approved is None or approved.action not in TO_DO:
        return f"{change.name}: {described(change)} was not approved"
    if covers(approved, change):
        return _other_ways(change, approved)
    then, now = described(approved), described(change)
    return f"{change.name}: approved was: {then}; now it would be: {now}"


def _other_ways(change: Change, approved: Change) -> str:
    """In words, that it would be done, judged or proved in another way than was approved; "" if in
    the same. A way back needs no gate."""
    if other := [name for name in change.terms if change.terms[name] != approved.terms.get(name)]:
        listed = "; ".join(
            f"{name} is {change.terms[name]!r}, approved was {approved.terms.get(name, '')!r}"
            for name in other
        )
        return f"{change.name}: {listed}"
    if change.code == Reason.ROLL_BACK:
        return ""
    if change.probe != approved.probe:
        return f"{change.name}: spec.verify differs from the approved one"
    now, then = _rules(change), _rules(approved)
    if now == then or change.code in (*AFTER_THE_SWAP, *_NO_SWAP):
        return ""
    return (
        f"{change.name}: approved was: {', '.join(then) or 'no gate'}; now it would be: "
        f"{', '.join(now) or 'no gate'}"
    )


def _rules(change: Change) -> list[str]:
    return sorted(str(judgement.rule) for judgement in change.gates)
