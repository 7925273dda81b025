"""The commands that change something: plan afresh, get it approved, lock, act, look again.

At the whiteboard, why in this order:

    plan      always afresh: an approved plan file is compared with it and never carried out itself,
              because the world has moved on since the file was written
    approve   before the lock: a person may think for an hour, and locks nobody out by that
    lock      only if something is to be written: an `apply` of a world that agrees sends no write
    act       each step looks again and stays within what was approved, so the gap between plan and
              lock needs no second plan: whatever changed in it ends that binding as stale
    look      once more, for the report: converged means that this last plan is empty, and no list
              of deeds could say that

Locking first would look safer. But it would make every `apply` of a quiet repository write to the
store, would hold the lock while people read, and would still not cover what others change without
this program, which is what the look before each step is for.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconciler import errors
from reconciler.approval import Approval, only_ends, uncovered
from reconciler.cli import choose, session, stopping
from reconciler.cli.approval import approval, check
from reconciler.cli.ending import Ending, make_report, report_exit_code, reported
from reconciler.console import say
from reconciler.engine.world import timestamp
from reconciler.errors import ReconcilerError, RefusedError, StalePlanError, StoppedError
from reconciler.ledger.lock import Holder
from reconciler.limits import excess_of_trainings, overridden
from reconciler.model import Action, Desired, Failure, NotDeclared, Plan, Reason, Report
from reconciler.outcome import Outcome

if TYPE_CHECKING:
    from reconciler.cli.options import Applying, Part, Where, Writing
    from reconciler.cli.output import Page
    from reconciler.cli.session import Session
    from reconciler.engine.steps import Course, Ended, Goal
    from reconciler.plan import Prune


@dataclass(frozen=True)
class Order:
    """The request to a command that changes something."""

    command: str
    desired: Desired
    page: Page
    approval: Approval
    parallel: int | None = None
    lock_timeout_s: float = 0.0
    shard: str = ""
    prune: Prune | None = None

    @property
    def effective(self) -> Desired:
        """The desired state, without its protection where --force overrides that."""
        return choose.unprotected(self.desired) if self.approval.force else self.desired


def apply(how: Applying, where: Where, part: Part, writing: Writing, page: Page) -> Outcome:
    """`apply`: converge what is approved, and report what became of it, bad input included."""

    def work(ending: Ending) -> Outcome:
        approved = approval(how.plan_file, how.expect, yes=writing.yes, force=how.force or "")
        desired = choose.desired(where, part)
        if writing.report is not None:
            choose.name_uncommitted(desired, "the report")
        prune = choose.pruning(desired, how.prune or approved.prunes, how.force)
        parallel, timeout_s = part.parallel, writing.lock_timeout
        order = Order("apply", desired, page, approved, parallel, timeout_s, part.shard, prune)
        ending.environment = desired.environment
        session.introduce(desired.environment)
        report = ending.report = apply_now(order, ending)
        return Outcome(report, report_exit_code(report), planned=ending.planned)

    return reported("apply", writing, page, work)


def apply_now(order: Order, ending: Ending | None = None) -> Report:
    """The report of one apply, with its plan shown and approved on the way.

    If it is not approved, the ending has the reason and the plan.
    """
    force = order.approval.force
    with session.opened(order.effective, order.parallel, force, order.prune) as opened:
        seen = opened.observe()
        first = opened.plan_of(seen)
        first = overridden(first) if force else first
        part = only_ends(first)
        order.page.show(part, to=sys.stderr)
        if ending is not None:
            ending.planned = part
        try:
            check(
                order.approval,
                replace(first, frozen=part.frozen, excess=part.excess),
                opened.world.ledger.plans,
            )
        except (RefusedError, StalePlanError) as exc:
            if ending is not None:
                ending.report = _not_begun(replace(first, commit=order.desired.commit), exc)
            raise
        if part is not first:  # approved plans are not used up: the rest of them is still to come
            order = replace(order, approval=Approval(yes=True, force=force))
        return carry_out(order, opened, part, seen.lost, ending)


def _not_begun(plan: Plan, why: ReconcilerError) -> Report:
    name = plan.environment
    failure = Failure(name, f"environment {name}", why.message, why.exit_code)
    return Report(plan, failures=(failure,))


def carry_out(
    order: Order,
    opened: Session,
    first: Plan,
    lost: NotDeclared,
    ending: Ending | None = None,
    *,
    rolls_back: bool = False,
) -> Report:
    """The report of bringing every binding that the plan changes to where it must be; `lost` is
    what was not declared when it was made.

    Until there is one, the ending can tell how far that came.
    """
    from reconciler.engine.steps import Goal

    began, goal = time.monotonic(), Goal.ROLLED_BACK if rolls_back else Goal.SERVED
    planned = replace(first, commit=order.desired.commit)
    course = _course(first, goal)

    def so_far(last: Plan = planned, lost: NotDeclared = lost, looked: bool = False) -> Report:
        took_s, signal = time.monotonic() - began, opened.stop.signal
        left = course.unfinished
        report = make_report(last, course.ended, took_s, signal, left, looked=looked)
        failures = (*report.failures, *lock_failures(opened), *unread_failures(opened, lost))
        return replace(report, forced=order.approval.force, failures=failures)

    if ending is not None:
        ending.so_far = so_far
    ended = _in_turn(order, opened, first, lost, goal, course)
    if opened.stop.event.is_set():
        return so_far()
    if not ended:
        return so_far(looked=True)
    again = opened.observe()
    last = replace(opened.plan_of(again), commit=planned.commit)
    return so_far(last, again.lost, looked=True)


def _in_turn(
    order: Order, opened: Session, first: Plan, lost: NotDeclared, goal: Goal, course: Course
) -> dict[str, Ended]:
    """How each binding ended: first those that wait for no other shard, then the others.

    Were it the other way round, two shards would wait for each other, where each has an endpoint
    that goes first in a fleet of the other. No lock is held meanwhile. An approved plan is used up
    by the part that has the last of it, and not at all where that is still to come.
    """
    waits = {c.address for c in first.changes if c.code == Reason.OTHER_SHARD}
    plans = opened.world.ledger.plans
    approved = order.approval.used(first, plans)
    if not waits:
        return run(order, opened, first, approved, lost, goal, course)
    held = replace(first, changes=tuple(c for c in first.changes if c.address in waits))
    late = order.approval.used(held, plans)
    early = [plan for plan in approved if plan not in late]
    others = replace(first, changes=tuple(c for c in first.changes if c.address not in waits))
    run(order, opened, others, early, lost, goal, course)
    if opened.stop.event.is_set():
        return course.ended
    opened.await_others(order.lock_timeout_s)
    fresh = opened.plan()
    beyond = uncovered(fresh, first)
    changes = tuple(
        replace(c, action=Action.BLOCK, code=Reason.NOT_YET, why=beyond.get(c.address, c.why))
        if c.address in beyond or c.code == Reason.OTHER_SHARD
        else c
        for c in fresh.changes
        if c.address in waits
    )
    rest = replace(first, changes=changes)
    order.page.show(rest, to=sys.stderr)
    return run(order, opened, rest, late if rest.to_do else [], lost, goal, course)


def _course(plan: Plan, goal: Goal) -> Course:
    from reconciler.engine.run import concerns
    from reconciler.engine.steps import Course

    return Course(tuple(change for change in plan.changes if concerns(goal, change)))


def train(how: Applying, where: Where, part: Part, writing: Writing, page: Page) -> Outcome:
    """`train`: make and judge what is missing, touch no endpoint, and show the plan after it."""
    from reconciler.render.words import left

    def work(ending: Ending) -> Outcome:
        approved = Approval(yes=writing.yes, force=how.force or "")
        desired = choose.desired(where, part)
        parallel, timeout_s = part.parallel, writing.lock_timeout
        order = Order("train", desired, page, approved, parallel, timeout_s, part.shard)
        ending.environment = desired.environment
        session.introduce(desired.environment)
        report = ending.report = train_now(order, ending)
        for sentence in left(report):
            say(sentence)
        return Outcome(report.plan, _trained_exit_code(report))

    return reported("train", writing, page, work)


def train_now(order: Order, ending: Ending | None = None) -> Report:
    """The report of one `train`: its plan is the one after it, and nothing was changed."""
    from reconciler.engine.steps import Goal

    began, goal = time.monotonic(), Goal.TRAINED
    with session.opened(order.effective, order.parallel, order.approval.force) as opened:
        seen = opened.observe()
        first = opened.plan_of(seen)
        if any(change.trains for change in first.changes):
            allowed = overridden(first) if order.approval.force else first
            order.page.show(allowed, to=sys.stderr)
            if ending is not None:
                ending.planned = allowed
            # No endpoint is changed, so how many would be is asked of the run that does it.
            too_many = excess_of_trainings(order.desired.environment, first.changes)
            judged = replace(first, excess=too_many, frozen="")
            check(order.approval, judged, opened.world.ledger.plans, trains=True)
        course = _course(first, goal)

        planned = replace(first, commit=order.desired.commit)

        def so_far(last: Plan = planned) -> Report:
            took_s, signal = time.monotonic() - began, opened.stop.signal
            left = course.unfinished
            report = make_report(last, course.ended, took_s, signal, left, looked=False)
            failures = (*report.failures, *lock_failures(opened))
            return replace(report, done=(), forced=order.approval.force, failures=failures)

        if ending is not None:
            ending.so_far = so_far
        run(order, opened, first, (), seen.lost, goal, course)
        return so_far(replace(opened.plan(), commit=planned.commit))


def _trained_exit_code(report: Report) -> int:
    if report.stopped_by:
        return 128 + report.stopped_by
    codes = {failure.exit_code for failure in report.failures}
    return codes.pop() if len(codes) == 1 else errors.PARTIAL if codes else errors.SUCCESS


def run(
    order: Order,
    opened: Session,
    first: Plan,
    approved: Sequence[Plan],
    lost: NotDeclared,
    goal: Goal,
    course: Course,
) -> dict[str, Ended]:
    """How each binding ended that the plan would change or refuses, by address. The `approved`
    plans are used up by it."""
    from reconciler.engine.run import concerns, converge
    from reconciler.engine.waves import only_wait

    plans = opened.world.ledger.plans
    if order.page.events is not None:
        order.page.events.about(environment=first.environment, run=opened.world.actor.run)
    changes = [change for change in first.changes if concerns(goal, change)]
    waits = only_wait(changes, opened.world.clock.now())
    waves = any(change.wave for change in changes)
    writes = not waits or any(map(plans.begun, approved))  # to be ended
    with (
        stopping.stoppable(opened.stop),
        alone(order, opened, approved) if writes else contextlib.nullcontext(),
        order.page.progress(len(changes), waves=waves) as progress,
    ):
        return converge(
            opened.world,
            opened.desired.bindings,
            first,
            progress,
            parallel=opened.width,
            goal=goal,
            not_declared=lost.found,
            course=course,
        )


@contextlib.contextmanager
def alone(order: Order, opened: Session, approved: Sequence[Plan] = ()) -> Iterator[None]:
    """Hold the environment's lock inside, and mark the approved plans.

    A second `apply` of a world that agrees must send no write at all, so the lock comes after the
    plan. Each step looks again and keeps to what was planned, so nothing depends on the gap.
    """
    opened.check_world()
    world, stop = opened.world, opened.stop
    now = timestamp(world.clock.now())
    name = opened.desired.environment.name
    lock = world.ledger.lock(name, world.clock, world.stopping, order.shard)
    holder = Holder(world.actor, now, order.command)

    def lost() -> None:
        stop.event.set()
        say(f"the lock of {lock.what} was lost: {lock.lost}; this run writes nothing more")

    with lock.held(holder, order.lock_timeout_s, waiting=say, lost=lost):
        stop.lock = None if stop.event.is_set() else lock
        try:
            with contextlib.suppress(StoppedError):
                for plan in approved if not stop.event.is_set() else ():
                    world.ledger.plans.begin(plan, world.actor, now)
            yield
            with contextlib.suppress(StoppedError):
                for plan in approved if not stop.event.is_set() else ():
                    world.ledger.plans.end(plan, world.actor, timestamp(world.clock.now()))
        finally:
            stop.lock = lock if lock.lost else None


def unread_failures(opened: Session, lost: NotDeclared) -> tuple[Failure, ...]:
    """The failure of a run that was to delete what it could not wholly look for; () for others."""
    if opened.prune is None or not lost.unread:
        return ()
    name = opened.desired.environment.name
    unread = "; ".join(lost.unread)
    why = f"undeclared endpoints were not deleted, because not everything could be read: {unread}"
    return (Failure(name, f"environment {name}", why, errors.ERROR),)


def lock_failures(opened: Session) -> tuple[Failure, ...]:
    """The failure of a run whose lock was taken away; () for any other."""
    lock = opened.stop.lock
    if lock is None or not lock.lost:
        return ()
    name = opened.desired.environment.name
    why = (
        f"the lock was lost while this ran: {lock.lost}; the steps under way were ended, "
        "and the next run continues from there"
    )
    return (Failure(name, f"environment {name}", why, errors.LOCKED),)
