"""Pure: what was observed -> what is to be done.

The same function finds the work and, after the work, finds none: that is what converged means.

The change of one binding follows from three questions, asked in this order:

1. What does the endpoint need? `_needs` is a table: each row is a condition and the step that
   follows from it, and the first row that applies counts. Refusals stand first, because an address
   that cannot be read or written is blocked; then what serves; then how far the desired model is.
2. May it be done? `_allowed` holds a step back where the binding is paused or protected.
3. How is that shown? `_change` is the one place that makes a Change of a binding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconciler import gates, limits
from reconciler.model import (
    KEPT_IN,
    OWNER,
    READ_FROM,
    TO_DO,
    Action,
    ArtifactState,
    Cause,
    Change,
    FieldDiff,
    HealthCode,
    Judgement,
    NotDeclared,
    Observed,
    Plan,
    Reason,
    Witness,
    cause_of,
    differences,
    drifted,
    settings_diffs,
)
from reconciler.waves import Waits, hold, in_waves

if TYPE_CHECKING:
    from reconciler.model import Binding, Declared, Environment, Owned


@dataclass(frozen=True)
class Prune:
    """A wish to delete undeclared endpoints; `forced`: the protected ones too."""

    forced: bool = False


def make_plan(
    environment: Environment,
    observed: Iterable[Observed],
    declared: Declared | None = None,
    not_declared: NotDeclared | None = None,
    prune: Prune | None = None,
    waits: Waits | None = None,
) -> Plan:
    """The plan of one environment, its changes sorted by address.

    `declared` says of how many bindings they are a selection; None: of all. `not_declared` is what
    this environment made and git no longer declares; None: not looked for. `waits` says who waits.
    """
    seen = tuple(observed)
    twins: dict[str, list[Observed]] = {}  # by the platform's own name of their endpoint
    for twin in (o for o in seen if o.live.place):
        twins.setdefault(twin.live.place, []).append(twin)
    undeclared = not_declared or NotDeclared()
    decided = ((o, decide(o, twins.get(o.live.place, ()))) for o in seen)
    in_time = ((o, hold(o, change, waits or Waits())) for o, change in decided)
    changes = in_waves((o, _on_terms(environment, o, change)) for o, change in in_time)
    notes = tuple(f"could not look for undeclared endpoints: {why}" for why in undeclared.unread)
    blind = undeclared.unread or tuple(c.why for c in changes if c.code == Reason.UNREADABLE)
    changes += [_of_undeclared(owned, prune, blind) for owned in undeclared.found]
    changes.sort(key=lambda change: change.address)
    if prune and blind:
        why = "undeclared endpoints were not deleted, because not everything could be read"
        notes = (*notes, f"{why}: {blind[0]}")
    if undeclared.unrecorded:
        first, *more = undeclared.unrecorded
        named = f"{first} and {len(more):,} more carry" if more else f"{first} carries"
        why = "its store has no record of that, so it deletes nothing there"
        notes = (*notes, f"{named} the mark of {environment.name}, but {why}")
    excess = limits.excess(environment, changes, declared)
    return Plan(environment.name, environment.where, tuple(changes), excess, notes)


def _of_undeclared(owned: Owned, prune: Prune | None, blind: tuple[str, ...]) -> Change:
    """The change of an endpoint that this environment made and git no longer declares.

    Nothing is deleted unless everything could be read: an endpoint that seems to be undeclared
    might turn out to be a declared one at the next look.
    """
    action, code, terms = Action.NOOP, str(Reason.NOT_DECLARED), dict[str, str]()
    why = "this environment made it, and git no longer declares it"
    if owned.adopted:
        why = "git no longer declares it; it was made by hand, so `--prune` leaves it: declare "
        why += "`state: absent` to delete it"
    elif prune is None or blind:
        why += "; declare it again, or delete it with `--prune`"
    elif owned.keep is not None:
        action, code, why = Action.BLOCK, owned.keep.code, owned.keep.message
    elif owned.protected and not prune.forced:
        action, code = Action.BLOCK, Reason.PROTECTED
        why = "it was declared with `protect: true`; declare it without, or give --force REASON"
    else:
        action = Action.DELETE
        terms = {"the address": owned.address.key}  # people see less of it, and approve all
    cause = Cause.NOTHING if action is Action.NOOP else Cause.CHANGE
    what = (owned.name, owned.kind, str(owned.address))
    return Change(*what, action, code, why, terms=terms, cause=cause)


def _on_terms(environment: Environment, observed: Observed, change: Change) -> Change:
    """The change with the terms that people approve too; of a rejected version, with a way out."""
    binding = observed.binding
    if observed.rejected and change.code in (Reason.REJECTED, Reason.NO_WAY_BACK):
        back = environment.command("reinstate", binding.name, binding.version.version)
        return replace(change, why=f"{change.why}: {back}")
    if change.action not in TO_DO:
        return change
    terms = {
        "the address": binding.address.key,
        **dict(binding.terms),
        KEPT_IN: environment.store.named,
        READ_FROM: environment.data.named,
        "training.timeout": f"{binding.timeout_s:g} s",
        "training.retry.attempts": str(binding.attempts),
        "adopt": str(binding.adopt).lower(),
        "what it is made of": binding.create.digest if binding.create else "",
        **({"rollout": str(binding.rollout)} if binding.rollout else {}),
    }
    terms |= binding.create.terms if binding.create else ()
    return replace(change, terms=terms)


# --- the table -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Step:
    """The next step of an endpoint, and why; `adopted`: accepted without a way back."""

    action: Action
    code: str
    why: str
    diffs: tuple[FieldDiff, ...] = ()
    gates: tuple[Judgement, ...] = ()
    adopted: bool = False


def decide(observed: Observed, twins: Iterable[Observed] = ()) -> Change:
    """The one change of one binding; `twins` are all bindings that lead to its endpoint."""
    others = [f"{o.binding.name} ({o.binding.source})" for o in twins if o is not observed]
    if others:  # each would undo what the other does
        listed = ", ".join(others)
        why = f"this endpoint is also bound under another name by {listed}; keep one binding"
        return _change(observed, _Step(Action.BLOCK, Reason.SAME_ENDPOINT, why))
    rows = _gone(observed) if observed.binding.absent else _needs(observed)
    return _change(observed, next(rows))


def _gone(observed: Observed) -> Iterator[_Step]:
    """The table of an endpoint that is declared to be absent."""
    live, health = observed.live, observed.live.health
    if health.code is HealthCode.UNKNOWN:
        yield _Step(Action.BLOCK, Reason.UNREADABLE, health.message)
    if health.code is HealthCode.MISSING:
        yield _Step(Action.NOOP, Reason.ABSENT, "")
    if health.code is HealthCode.PROGRESSING:
        yield _Step(Action.WAIT, Reason.UPDATING, health.message)
    if live.keep is not None:
        yield _Step(Action.BLOCK, live.keep.code, live.keep.message)
    if not live.ours:
        why = "this environment did not make it, for it carries no mark; delete it by hand"
        yield _Step(Action.BLOCK, Reason.NOT_OWNED, why)
    yield _Step(Action.DELETE, Reason.ABSENT, "`state: absent` is declared")


def _needs(observed: Observed) -> Iterator[_Step]:
    """The table of an endpoint that must serve the declared version."""
    yield from _of_address(observed)
    yield from _of_what_serves(observed)
    yield from _of_artifact(observed)


def _of_address(observed: Observed) -> Iterator[_Step]:
    """Steps before the model counts: what the address, or another recipe, rules out."""
    live, health = observed.live, observed.live.health
    if health.code is HealthCode.UNKNOWN:
        yield _Step(Action.BLOCK, Reason.UNREADABLE, health.message)
    if live.refusal is not None:
        yield _Step(Action.BLOCK, live.refusal.code, live.refusal.message)
    if health.code is HealthCode.MISSING and observed.binding.create is None:
        yield _Step(Action.BLOCK, Reason.MISSING, f"{health.message}; `create: true` makes it")
    if health.code is HealthCode.PROGRESSING:
        yield _Step(Action.WAIT, Reason.UPDATING, health.message)
    claimed, declared = observed.artifact.recipe, observed.binding.recipe
    if claimed is not None and claimed != declared:
        why = (
            f"version {observed.binding.version.version} was made by another recipe, and versions "
            "are immutable; give the new recipe a new version"
        )
        diffs = differences(claimed.as_json(), declared.as_json(), "recipe")
        yield _Step(Action.BLOCK, Reason.RECIPE_CHANGED, why, diffs)


def _of_what_serves(observed: Observed) -> Iterator[_Step]:
    """Configured is not served: a rejected version must go from both."""
    live, artifact, back = observed.live, observed.artifact, observed.way_back
    serves, configured = live.served == artifact.ref, live.configured == artifact.ref
    rejected, settings = observed.barred, settings_diffs(observed)
    if rejected and not serves and not configured and observed.unproved:
        why = f"{observed.why_barred}; the previous model is back, and not proved yet"
        yield _Step(Action.WAIT, Reason.UNPROVED, why)
    if rejected and serves and not configured and observed.proved:  # a person must say which holds
        why = f"it serves and was proved here, but was rejected elsewhere: {_rejected(observed)}"
        yield _Step(Action.BLOCK, Reason.REJECTED, why)
    if rejected and (serves or configured):
        if back.ref is None:
            why = f"there is no way back: {back.missing}; {_rejected(observed)}"
            yield _Step(Action.BLOCK, Reason.NO_WAY_BACK, why)
        why = f"{observed.why_barred}; swap the previous model back in"
        yield _Step(Action.BIND, Reason.ROLL_BACK, why, settings)
    if serves and live.undecided:
        why = f"it serves, but {live.configured} is configured and may replace it; declare it again"
        yield _Step(Action.BIND, Reason.CONFIGURED_OTHERWISE, why, settings)
    if configured and observed.in_shares:
        why = f"it has {live.share} % of the traffic, and is not proved yet"
        yield _Step(Action.WAIT, Reason.UNPROVED, why)
    if serves and observed.unproved:
        yield _Step(Action.WAIT, Reason.UNPROVED, "swapped in, and not proved yet")
    if serves and [diff.path for diff in settings] == [OWNER]:
        why = "it was made by hand and carries no mark; mark it as owned by this environment"
        yield _Step(Action.UPDATE, Reason.UNMARKED, why, settings)
    if serves and settings:
        why = "settings differ from what is declared"
        yield _Step(Action.UPDATE, Reason.SETTINGS, why, settings)
    if serves and live.overdue:
        why = f"{live.overdue} still runs, and nothing needs it any more; retire it"
        yield _Step(Action.UPDATE, Reason.RETIRE, why)
    if serves:
        yield _Step(Action.NOOP, Reason.IN_SYNC, "")


def _of_artifact(observed: Observed) -> Iterator[_Step]:
    """By the state of the desired model. A lost endpoint is restored though that was rejected."""
    artifact, state = observed.artifact, observed.artifact.state
    served = observed.live.served
    before = served.url if served else observed.live.model_text or None
    diffs = (FieldDiff("model", before, observed.artifact.ref.url),)
    both = (*diffs, *settings_diffs(observed))
    judged = gates.pending(observed.binding.accept)
    if state is ArtifactState.RUNNING:
        why = artifact.message or "the training job is running"
        yield _Step(Action.WAIT, Reason.TRAINING, why, both, judged)
    if state is ArtifactState.FAILED:
        code = artifact.code or Reason.TRAINING_FAILED
        yield _Step(Action.BLOCK, code, artifact.message, diffs)
    back, missing = observed.way_back, observed.live.health.code is HealthCode.MISSING
    if state is ArtifactState.REJECTED and missing and back.ref is not None:
        why = f"{artifact.message}; restore {back.version}, which was proved here"
        both = (FieldDiff("model", None, back.ref.url), *settings_diffs(observed))
        yield _Step(Action.CREATE, Reason.ROLL_BACK, why, both)
    if observed.rejected:
        yield _Step(Action.BLOCK, Reason.REJECTED, _rejected(observed), diffs)
    if state is ArtifactState.READY or artifact.metrics:  # a registry knows them before the copy
        rules = observed.binding.accept
        judged = gates.judge(rules, artifact.metrics, observed.live_metrics, artifact.rows)
        if not gates.allows(judged):
            yield _Step(Action.BLOCK, Reason.GATE, gates.verdict(judged), diffs, judged)
    yield from _of_swap(observed, both, judged)


def _of_swap(
    observed: Observed, diffs: tuple[FieldDiff, ...], judged: tuple[Judgement, ...]
) -> Iterator[_Step]:
    """Swap in, or train for that, where a way back leads from it or nothing was ever proved."""
    state = observed.artifact.state
    missing = observed.live.health.code is HealthCode.MISSING
    lost = "" if missing or observed.newborn else observed.way_back.missing
    if lost and not observed.binding.adopt:
        why = (
            f"there would be no way back: {lost}; add `adopt: true` below spec to accept that once"
        )
        yield _Step(Action.BLOCK, Reason.NO_WAY_BACK, why, diffs, judged)
    adopted = bool(lost)
    if state is ArtifactState.ABSENT:
        why = observed.artifact.message or f"this version was never {observed.binding.recipe.made}"
        code = Reason.RETRY if observed.artifact.failure else Reason.NOT_TRAINED
        if missing:
            why = f"there is no such endpoint, and {why}"
            yield _Step(Action.CREATE, code, why, diffs, judged)
        yield _Step(Action.TRAIN, code, why, diffs, judged, adopted)
    if missing:
        why = f"there is no such endpoint; create it with the {_made(observed)}"
        yield _Step(Action.CREATE, Reason.MISSING, why, diffs, judged)
    if observed.newborn:
        why = "nothing was proved here since it was created; swap the declared version in"
        yield _Step(Action.BIND, Reason.CREATED, why, diffs, judged)
    if state is ArtifactState.UNKNOWN:
        why = f"bind it; offline nobody knows if it must be {observed.binding.recipe.made} first"
        yield _Step(Action.BIND, Reason.OFFLINE, why, diffs, judged, adopted)
    code = Reason.VERSION_CHANGED if observed.live_version else Reason.FOREIGN_MODEL
    yield _Step(Action.BIND, code, _why_bind(observed), diffs, judged, adopted)


def _rejected(observed: Observed) -> str:
    """Why it was rejected, and the ways out."""
    fix = "" if observed.artifact.state is ArtifactState.REJECTED else "correct its settings, or "
    back = ", or take the rejection back" if observed.rejected else ""
    return f"{observed.why_barred}; {fix}declare another version{back}"


def _made(observed: Observed) -> str:
    return "model that was taken in" if observed.binding.recipe.takes else "trained model"


def _why_bind(observed: Observed) -> str:
    if (failed := observed.failed) is not None:
        return f"try again: with these settings it failed at {failed.at}: {failed.why}"
    if observed.record is not None and observed.record.good == observed.artifact.ref:
        return "swap it back in"
    if observed.live_version:
        return f"the {_made(observed)} is ready; swap it in"
    if observed.live.hidden:
        return "the service hides its model, and no record names it; bind it to be sure"
    return "this store does not know the live model; swap the declared version in"


# --- the change ------------------------------------------------------------------------------


def _change(observed: Observed, step: _Step) -> Change:
    """The change that makes this step, or holds it back."""
    binding, drift = observed.binding, drifted(observed)
    missing = observed.live.health.code is HealthCode.MISSING
    made = missing and (binding.absent or binding.create is not None)  # replaces nothing
    before = "" if made else observed.live_name
    after, after_ref, key = binding.version.version, observed.artifact.ref.url, binding.key
    if binding.absent:
        after = after_ref = key = ""
    elif step.code == Reason.ROLL_BACK and observed.way_back.ref is not None:
        if not made and observed.live.served != observed.artifact.ref:  # it did not start
            before = after
        after, after_ref, key = observed.way_back.version, observed.way_back.ref.url, ""
    change = Change(
        name=binding.name,
        kind=binding.kind,
        address=str(binding.address),
        action=step.action,
        code=step.code,
        why=f"{drift}; {step.why}" if drift else step.why,
        before=before,
        after=after,
        after_ref=after_ref,
        key=key,
        probe=binding.probe.digest if binding.probe and not binding.absent else "",
        diffs=step.diffs,
        gates=step.gates,
        warnings=_warnings(observed, step),
        adopted=step.adopted,
        source=binding.source,
        drift=drift,
    )
    change = _allowed(binding, change)
    return replace(change, cause=cause_of(observed, change))


def _allowed(binding: Binding, change: Change) -> Change:
    """The change, unless the binding says that its endpoint is to be left alone."""
    if change.action is Action.NOOP:
        return change
    if binding.paused:
        why = (not change.drift and binding.undecided) or f"it would {change}: {change.why}"
        return replace(change, action=Action.NOOP, code=Reason.PAUSED, why=why)
    marks = {diff.path for diff in change.diffs} <= {"protect", OWNER}
    only_protects = change.action is Action.UPDATE and bool(change.diffs) and marks
    if binding.protect and not binding.forced and change.action in TO_DO and not only_protects:
        why = (
            f"spec.protect is true, so nothing is changed here (it would {change}: {change.why}); "
            "take it out, or apply with --force REASON"
        )
        return replace(change, action=Action.BLOCK, code=Reason.PROTECTED, why=why)
    return change


def _warnings(observed: Observed, step: _Step) -> tuple[str, ...]:
    warnings = [*observed.live.warnings, *observed.artifact.warnings]
    if observed.live.witness is Witness.RECORD:
        warnings.append("the service does not reveal its model; the record in the store names it")
    if step.adopted:
        missing = observed.way_back.missing
        warnings.append(f"there is no way back, as `adopt: true` accepts: {missing}")
    return tuple(warnings)
