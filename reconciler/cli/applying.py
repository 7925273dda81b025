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
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from reconciler import errors
from reconciler.approval import Approval, only_ends, uncovered
from reconciler.ci.approvers import approvers
from reconciler.cli import choose, session, stopping
from reconciler.cli.approval import approval, check
from reconciler.cli.ending import Ending, make_report, report_exit_code, reported
from reconciler.cli.options import Applying, Part, Where, Writing
from reconciler.cli.output import Page
from reconciler.cli.session import Session
from reconciler.console import say
from reconciler.engine.run import concerns, converge
from reconciler.engine.steps import Course, Ended, Goal
from reconciler.engine.waves import only_wait
from reconciler.engine.world import World
from reconciler.errors import RefusedError, StalePlanError, StoppedError
from reconciler.ledger.lock import Holder
from reconciler.limits import excess_of_trainings, overridden
from reconciler.model import Action, Desired, Failure, NotDeclared, Plan, Reason, Report
from reconciler.outcome import Outcome
from reconciler.plan import Prune
from reconciler.render import words


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


def apply_now(order: Order, ending: Ending) -> Report:
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
        ending.planned = part
        fresh = replace(first, frozen=part.frozen, excess=part.excess)
        try:
            check(order.approval, fresh, opened.world.ledger.plans)
        except (RefusedError, StalePlanError) as exc:
            failures = _failed(first.environment, exc.message, exc.exit_code)
            planned = replace(first, commit=order.desired.commit)
            ending.report = Report(planned, failures=failures)
            raise
        if part is not first:  # approved plans are not used up: the rest of them is still to come
            order = replace(order, approval=Approval(yes=True, force=force))
        return carry_out(order, opened, part, seen.lost, ending)


def _failed(environment: str, why: str, code: int) -> tuple[Failure, ...]:
    """The failure of a whole environment."""
    return (Failure(environment, f"environment {environment}", why, code),)


@dataclass(frozen=True)
class _Work:
    """A run at work: its plan, what was not declared when that was made, and how far it is. `began`
    is of the monotonic clock."""

    order: Order
    opened: Session
    planned: Plan
    lost: NotDeclared
    goal: Goal
    course: Course
    began: float

    def report(self, last: Plan | None = None, lost: NotDeclared | None = None) -> Report:
        """The report so far; or at the end, with the plan and the undeclared of the last look."""
        took_s, signal = time.monotonic() - self.began, self.opened.stop.signal
        plan = self.planned if last is None else replace(last, commit=self.planned.commit)
        looked = last is not None and self.goal is not Goal.TRAINED
        ended, left = self.course.ended, self.course.unfinished
        made = make_report(plan, ended, took_s, signal, left, looked=looked)
        unread = _unread_failures(self.opened, self.lost if lost is None else lost)
        return replace(
            made,
            done=() if self.goal is Goal.TRAINED else made.done,
            forced=self.order.approval.force,
            failures=(*made.failures, *_lock_failures(self.opened), *unread),
        )


def _work(
    order: Order, opened: Session, first: Plan, lost: NotDeclared, goal: Goal, began: float
) -> _Work:
    """The work on what the plan changes, or trains."""
    course = Course(tuple(change for change in first.changes if concerns(goal, change)))
    planned = replace(first, commit=order.desired.commit)
    return _Work(order, opened, planned, lost, goal, course, began)


def carry_out(
    order: Order,
    opened: Session,
    first: Plan,
    lost: NotDeclared,
    ending: Ending,
    *,
    rolls_back: bool = False,
) -> Report:
    """The report of bringing every binding that the plan changes to where it must be; `lost` is
    what was not declared when it was made.

    Until there is one, the ending can tell how far that came.
    """
    goal = Goal.ROLLED_BACK if rolls_back else Goal.SERVED
    work = _work(order, opened, first, lost, goal, time.monotonic())
    ending.so_far = work.report
    ended = _in_turn(work, first)
    if opened.stop.event.is_set():
        return work.report()
    if not ended:
        return work.report(first)
    again = opened.observe()
    return work.report(opened.plan_of(again), again.lost)


def _in_turn(work: _Work, first: Plan) -> dict[str, Ended]:
    """How each binding ended: first those that wait for no other shard, then the others.

    Were it the other way round, two shards would wait for each other, where each has an endpoint
    that goes first in a fleet of the other. No lock is held meanwhile. An approved plan is used up
    by the part that has the last of it, and not at all where that is still to come.
    """
    waits = {c.address for c in first.changes if c.code == Reason.OTHER_SHARD}
    order, opened = work.order, work.opened
    plans = opened.world.ledger.plans
    approved = order.approval.used(first, plans)
    if not waits:
        return _run(work, first, approved)
    held = replace(first, changes=tuple(c for c in first.changes if c.address in waits))
    late = order.approval.used(held, plans)
    early = [plan for plan in approved if plan not in late]
    others = replace(first, changes=tuple(c for c in first.changes if c.address not in waits))
    _run(work, others, early)
    if opened.stop.event.is_set():
        return work.course.ended
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
    return _run(work, rest, late if rest.to_do else [])


def train(how: Applying, where: Where, part: Part, writing: Writing, page: Page) -> Outcome:
    """`train`: make and judge what is missing, touch no endpoint, and show the plan after it."""

    def work(ending: Ending) -> Outcome:
        approved = Approval(yes=writing.yes, force=how.force or "")
        desired = choose.desired(where, part)
        parallel, timeout_s = part.parallel, writing.lock_timeout
        order = Order("train", desired, page, approved, parallel, timeout_s, part.shard)
        ending.environment = desired.environment
        session.introduce(desired.environment)
        report = ending.report = train_now(order, ending)
        for sentence in words.left(report):
            say(sentence)
        return Outcome(report.plan, _trained_exit_code(report))

    return reported("train", writing, page, work)


def train_now(order: Order, ending: Ending) -> Report:
    """The report of one `train`: its plan is the one after it, and nothing was changed."""
    began = time.monotonic()
    with session.opened(order.effective, order.parallel, order.approval.force) as opened:
        seen = opened.observe()
        first = opened.plan_of(seen)
        if any(change.trains for change in first.changes):
            allowed = overridden(first) if order.approval.force else first
            order.page.show(allowed, to=sys.stderr)
            ending.planned = allowed
            # No endpoint is changed, so how many would be is asked of the run that does it.
            too_many = excess_of_trainings(order.desired.environment, first.changes)
            judged = replace(first, excess=too_many, frozen="")
            check(order.approval, judged, opened.world.ledger.plans, trains=True)
        work = _work(order, opened, first, seen.lost, Goal.TRAINED, began)
        ending.so_far = work.report
        _run(work, first, ())
        return work.report(opened.plan())


def _trained_exit_code(report: Report) -> int:
    if report.stopped_by:
        return 128 + report.stopped_by
    codes = {failure.exit_code for failure in report.failures}
    return codes.pop() if len(codes) == 1 else errors.PARTIAL if codes else errors.SUCCESS


def _run(work: _Work, first: Plan, approved: Sequence[Plan]) -> dict[str, Ended]:
    """How each binding ended that the plan would change or refuses, by address. The `approved`
    plans are used up by it."""
    order, opened, goal = work.order, work.opened, work.goal
    plans = opened.world.ledger.plans
    if order.page.events is not None:
        order.page.events.about(environment=first.environment, run=opened.world.actor.run)
    changes = [change for change in first.changes if concerns(goal, change)]
    waits = only_wait(changes, opened.world.clock.now())
    waves = any(change.wave for change in changes)
    writes = not waits or any(map(plans.begun, approved))  # to be ended
    with (
        stopping.stoppable(opened.stop),
        alone(order, opened, approved) if writes else contextlib.nullcontext(opened.world) as world,
        order.page.progress(len(changes), waves=waves) as progress,
    ):
        return converge(
            world,
            opened.desired.bindings,
            first,
            progress,
            parallel=opened.width,
            goal=goal,
            not_declared=work.lost.found,
            course=work.course,
        )


@contextlib.contextmanager
def alone(order: Order, opened: Session, approved: Sequence[Plan] = ()) -> Iterator[World]:
    """Hold the environment's lock inside, and mark the approved plans. The world knows who approved
    what is done in it.

    A second `apply` of a world that agrees must send no write at all, so the lock comes after the
    plan. Each step looks again and keeps to what was planned, so nothing depends on the gap.
    """
    opened.check_world()
    world, stop = _approved_world(order, opened.world, approved), opened.stop
    now, environment = world.moment, opened.desired.environment
    name, options = environment.name, environment.options
    lock = world.ledger.lock(name, world.clock, world.stopping, order.shard, options)
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
            yield world
            with contextlib.suppress(StoppedError):
                for plan in approved if not stop.event.is_set() else ():
                    world.ledger.plans.end(plan, world.actor, world.moment)
        finally:
            stop.lock = lock if lock.lost else None


def _approved_world(order: Order, world: World, approved: Sequence[Plan]) -> World:
    """The world, whose actor knows who approved it. Pull requests approve what `apply` does: those
    of the approved plans, else the one of the commit. A training is no event."""
    if order.command == "train" or world.actor.approvers is not None:
        return world
    plans = [plan.commit for plan in approved] or [world.actor.commit]
    known = approvers(os.environ, plans if order.command == "apply" else ())
    return replace(world, actor=replace(world.actor, approvers=known))


def _unread_failures(opened: Session, lost: NotDeclared) -> tuple[Failure, ...]:
    """The failure of a run that was to delete what it could not wholly look for; () for others."""
    if opened.prune is None or not lost.unread:
        return ()
    unread = "; ".join(lost.unread)
    why = f"undeclared endpoints were not deleted, because not everything could be read: {unread}"
    return _failed(opened.desired.environment.name, why, errors.ERROR)


def _lock_failures(opened: Session) -> tuple[Failure, ...]:
    """The failure of a run whose lock was taken away; () for any other."""
    lock = opened.stop.lock
    if lock is None or not lock.lost:
        return ()
    why = (
        f"the lock was lost while this ran: {lock.lost}; the steps under way were ended, "
        "and the next run continues from there"
    )
    return _failed(opened.desired.environment.name, why, errors.LOCKED)
