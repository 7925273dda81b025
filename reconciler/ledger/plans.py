"""Marks of plans that were applied, so that an approval is not used twice.

A plan is marked before the first change and marked again when its run has ended. A run that was
killed in between may be continued with the same plan; one that has ended may not be repeated.

Why two marks: with one at the beginning alone, a killed run would use up an approval for work that
it never did. With one at the end alone, an approval of several merged pull requests could stay open
for ever: if a run was killed after the last change of one of them, the next fresh plan has none of
its changes any more, and only the first mark tells that its approval is used up (`Approval.used`).
The first mark is a conditional create, so it overwrites no end; a run that meets one with an end
stops.
"""

from __future__ import annotations

from reconciler.errors import ConflictError, StalePlanError, UnreadableError
from reconciler.ledger.manifest import document_bytes
from reconciler.model import Actor, Plan
from reconciler.stores.contract import Store
from reconciler.strict_json import parse_json

SCHEMA = "reconciler/applied/v1"


class Plans:
    """The marks of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def check(self, plan: Plan) -> None:
        """StalePlanError when a run of this plan has ended already."""
        if ended := self.ended(plan):
            raise StalePlanError(
                f"plan {plan.digest} was applied already, {ended}; a plan is applied once: "
                "plan again and have it approved"
            )

    def ended(self, plan: Plan) -> str:
        """By which run and when it was applied, in words; "" while no run of it has ended."""
        mark = self._store.get(_name(plan))
        return "" if mark is None else _ended(mark.content, plan)

    def begun(self, plan: Plan) -> bool:
        """Whether a run of this plan was begun, which may have been killed before its end."""
        return self._store.head(_name(plan)) is not None

    def begin(self, plan: Plan, actor: Actor, at: str) -> None:
        """Mark the plan as being applied; a mark of a run that was killed stays."""
        try:
            self._store.put_if_absent(_name(plan), _content(plan, actor, at, ended=None))
        except ConflictError:
            self.check(plan)

    def end(self, plan: Plan, actor: Actor, at: str) -> None:
        """Mark the plan as applied."""
        self._store.put(_name(plan), _content(plan, actor, at, ended=at))


def _name(plan: Plan) -> str:
    return f"_plans/{plan.id}.json"


def _content(plan: Plan, actor: Actor, at: str, ended: str | None) -> bytes:
    """The bytes of a mark; `ended` is None while the plan is being applied."""
    return document_bytes(
        {
            "schema": SCHEMA,
            "digest": plan.digest,
            "run": actor.run,
            "who": actor.who,
            "commit": actor.commit,
            "at": at,
            "ended": ended,
        }
    )


def _ended(content: bytes, plan: Plan) -> str:
    """When and by which run, in words; "" while no run of it has ended."""
    try:
        mark = parse_json(content)
        return f"by run {mark['run']} at {mark['ended']}" if mark["ended"] else ""
    except (ValueError, KeyError, TypeError) as exc:
        raise UnreadableError(f"the mark of plan {plan.digest} in the store is damaged") from exc
