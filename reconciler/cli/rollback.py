"""`rollback`, `reinstate`, `unlock`, `history`, `explain`: for when something went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from reconciler import errors, git
from reconciler.approval import Approval
from reconciler.cli import choose, session
from reconciler.cli.applying import Order, alone, carry_out
from reconciler.cli.approval import confirm
from reconciler.cli.commands import named
from reconciler.cli.ending import Ending, report_exit_code, reported
from reconciler.cli.options import Where, Writing
from reconciler.cli.output import Page
from reconciler.cli.selection import shard_of
from reconciler.cli.session import Session
from reconciler.console import say
from reconciler.engine import rollback as engine
from reconciler.engine.explanation import comparison, explanation
from reconciler.engine.history import history as history_of
from reconciler.engine.observe import observe
from reconciler.model import History, Observed, Report, drifted
from reconciler.outcome import Outcome


@dataclass(frozen=True)
class Back:
    """Which binding goes back to which version ("": the previous one), and why."""

    name: str
    to: str = ""
    reason: str = ""


def rollback(back: Back, where: Where, writing: Writing, page: Page) -> Outcome:
    """`rollback`: 0 when the previous model serves again and is proved."""

    def work(ending: Ending) -> Outcome:
        order = _order("rollback", back.name, where, writing, page)
        ending.environment = order.desired.environment
        session.introduce(order.desired.environment)
        report, done = _roll_back(order, back, ending)
        ending.report, code = report, report_exit_code(report)
        if code == errors.SUCCESS:
            file = order.desired.bindings[0].source.path
            keep = f"{done.after} is no version of this model, so declare a new one"
            if done.version:
                keep = f'write version "{done.version}" in {file}, or declare a new one'
            if done.spares:
                keep = f"write its settings in {file}, or other ones"
            say(f"to keep it, {keep}; until then plans refuse {done.before} as rejected")
        return Outcome(report, code)

    return reported("rollback", writing, page, work)


def _roll_back(order: Order, how: Back, ending: Ending) -> tuple[Report, engine.RollBack]:
    """The report and the order: the way back is noted under the lock, then carried out as a
    plan."""
    with session.opened(order.desired, order.parallel) as opened:
        back = engine.rollback_of(opened.world, _readable(opened), how.to)
        lost = f"reject {back.before}"
        if back.spares:
            lost = f"reject the settings of {back.before}, and not version {back.version}"
        say(
            f"{how.name}: roll back from {back.before} to {back.after}, and {lost}, so that no run "
            "binds it again"
        )
        confirm(order.approval, "Roll back?")
        with alone(order, opened) as world:
            opened = replace(opened, world=world)
            seen = _readable(opened)
            if engine.rollback_of(opened.world, seen, how.to) != back:
                raise errors.StalePlanError(
                    "the endpoint was changed meanwhile; look, and roll back again"
                )
            engine.order(world, seen, back, how.reason or "rolled back by hand")
        look = opened.observe()
        plan = opened.plan_of(look)
        report = carry_out(order, opened, plan, look.lost, ending, rolls_back=True)
        done = {p.address for p in report.proofs if p.rolled_back and p.converged}
        failures = tuple(f for f in report.failures if f.address not in done)
        return replace(report, failures=failures), back


def _order(command: str, name: str, where: Where, writing: Writing, page: Page) -> Order:
    """An order for one binding; its protection is no protection from the person who names it."""
    desired = choose.desired(where)
    (binding,) = named(desired, [name])
    free = replace(binding, protect=False, paused=False)
    desired = replace(desired, bindings=(free,))
    approval, timeout_s = Approval(yes=writing.yes), writing.lock_timeout
    return Order(command, desired, page, approval, lock_timeout_s=timeout_s)


def _readable(opened: Session) -> Observed:
    """The one binding as observed; RefusedError where nobody can tell what serves."""
    (binding,) = opened.desired.bindings
    seen = observe(opened.world, binding)
    if seen.live.served is None:
        raise errors.RefusedError(
            f"{binding.name}: nothing was changed, for it is not known which model serves: "
            f"{seen.live.health.message or 'the service hides it'}"
        )
    return seen


def reinstate(name: str, version: str, where: Where, writing: Writing, reason: str) -> Outcome:
    """`reinstate`: the version may be bound again."""
    order = _order("reinstate", name, where, writing, Page(no_color=True))
    session.introduce(order.desired.environment)
    with session.opened(order.desired, order.parallel) as opened:
        confirm(order.approval, f"Let version {version} be bound again?")
        (binding,) = opened.desired.bindings
        with alone(order, opened) as world:
            seen = observe(world, binding)
            engine.reinstate(world, seen, version, reason or "reinstated by hand")
    say(f"{version} is no longer rejected; plan again")
    return Outcome()


def unlock(where: Where, reason: str, shard: str, *, even_if_alive: bool) -> Outcome:
    """`unlock`: 0 when nobody holds the lock any more; LockError while its run is alive."""
    if shard:
        shard_of(shard)
    desired = choose.desired(where)
    session.introduce(desired.environment)
    with session.opened(desired, None, reason) as opened:
        world = opened.world
        lock = world.ledger.lock(desired.environment.name, world.clock, world.stopping, shard)
        by = lock.holder()
        if not lock.is_held():
            say(f"{lock.what} was not locked")
            return Outcome()
        if even_if_alive:
            say(f"{lock.what} is locked by {by}; it is given 40 seconds to hear of this")
            lock.break_(world.actor, world.moment, reason)
            say(f"{lock.what} is unlocked; it was locked by {by}")
            return Outcome()
        say(f"{lock.what} is locked by {by}; within a minute this sees whether that run is alive")
        if not lock.ends_by_itself():
            raise errors.LockError(
                f"{lock.what} is locked by {by}, and that run is alive: it still renews the lock. "
                "Stop it, or wait for it; where that cannot be, unlock with --even-if-alive: then "
                "it writes no more, and leaves its work to the next run"
            )
        say(f"{lock.what} is unlocked: nobody renewed the lock; it was locked by {by}")
    return Outcome()


def history(where: Where, name: str) -> Outcome:
    """`history`: the versions of a binding's model, and what was done at its address."""
    past, _ = _remembered(where, name)
    return Outcome(past, errors.ERROR if past.unread else errors.SUCCESS)


def explain(where: Where, name: str, versions: Sequence[str]) -> Outcome:
    """`explain`: why a binding serves what it serves, or how two of its versions differ."""
    past, seen = _remembered(where, name)
    code = errors.ERROR if past.unread else errors.SUCCESS
    if versions:
        return Outcome(comparison(past, *versions), code)
    return Outcome(replace(explanation(past, seen.binding), drift=drifted(seen)), code)


def _remembered(where: Where, name: str) -> tuple[History, Observed]:
    """The history of a binding, and how its endpoint is now."""
    desired = choose.desired(where)
    (binding,) = named(desired, [name])
    session.introduce(desired.environment)
    with session.opened(desired, None) as opened:
        past = history_of(opened.world, binding)
        (seen,) = opened.recalled((observe(opened.world, binding),))
    commits = (*(e.commit for e in past.events), *(version.commit for version in past.versions))
    return replace(past, commits=git.subjects(where.services, commits)), seen
