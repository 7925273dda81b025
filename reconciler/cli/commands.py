"""The body of each command: gather, call, print, and say which exit code that is."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler import errors
from reconciler.ci.event import base_of_pull, read_event
from reconciler.ci.job import sarif as written_sarif
from reconciler.cli import choose, compose, session
from reconciler.cli.ending import metrics_file
from reconciler.cli.notify import notify, of_drift
from reconciler.cli.options import Drifting, Part, Planning, Where, seconds
from reconciler.cli.selection import Selection
from reconciler.console import say
from reconciler.errors import ConfigurationError, ReconcilerError, redact
from reconciler.limits import overridden
from reconciler.model import (
    TO_DO,
    Action,
    Failure,
    NotManaged,
    Reason,
    Unowned,
    can_be_kept,
    caused_since,
)
from reconciler.near import near
from reconciler.outcome import File, Kept, Outcome, Proofs, Statuses, Valid

if TYPE_CHECKING:
    from reconciler.model import Binding, Change, Desired, Observed, Plan


def validate(services: Path, sarif: Path | None) -> Outcome:
    """`validate`: one line per environment, or ConfigurationError."""
    with written_sarif(sarif):
        environments = compose.load(services)
    for name, desired in sorted(environments.items()):
        made = sum(bool(binding.element) for binding in desired.bindings)
        of_them = f", {made:,} of them made by forEach" if made else ""
        are = "binding is" if len(desired.bindings) == 1 else "bindings are"
        say(f"{name}: {len(desired.bindings):,} {are} valid{of_them}")
    return Outcome(Valid({name: len(environments[name].bindings) for name in sorted(environments)}))


def plan(where: Where, part: Part, how: Planning) -> Outcome:
    """`plan`: 0, 2 with `--detailed-exitcode`, 4 when something is refused, 1 when unreadable.

    In a job of a pull request only what that touches is judged, unless `strict`; all is shown.
    """
    oldest_s = seconds(how.max_age)
    desired = choose.desired(where, part)
    if how.force:
        desired = choose.unprotected(desired)
    prune = choose.pruning(desired, how.prune, how.force)
    if how.live is None:
        session.introduce(desired.environment)
        made = session.plan_now(desired, part.parallel, prune)
    elif prune is not None:
        raise ConfigurationError("--prune reads the live services; leave out --live or --prune")
    else:
        made = _plan_offline(desired, how.live, part.parallel, oldest_s)
    made = replace(made, commit=desired.commit)
    blind = prune is not None and bool(made.notes)
    made = overridden(made) if how.force else made
    untouched = _untouched(where.services, desired)
    made = made if untouched is None else caused_since(made, untouched)
    rest = frozenset() if how.strict or untouched is None else untouched
    files = (_plan_file(desired, made, how.out, how.live),) if how.out is not None else ()
    code = errors.ERROR if blind else plan_exit_code(made, how.detailed_exitcode, rest)
    return Outcome(made, code, files, rest=rest)


def _plan_file(desired: Desired, made: Plan, out: Path, live: Path | None) -> File:
    """The file of `--out`. Its id lets an approval be used once; an offline plan has none."""
    from reconciler.render import plan_json

    choose.name_uncommitted(desired, "the plan")
    # Without a name of its own a plan file approves nothing: nobody looked at the cloud.
    named = replace(made, id="" if live else secrets.token_hex(8))
    offline = "" if named.id else ", which was made offline and approves nothing"
    note = f"wrote {out}: plan {named.digest}{offline}"
    return File("plan-file", out, plan_json(named), note)


def _untouched(services: Path, desired: Desired) -> frozenset[str] | None:
    """The names of the bindings that the pull request of this job leaves as they were; None where
    there is none, or git cannot tell."""
    event = read_event(os.environ)
    if not base_of_pull(event):
        return None
    from reconciler.cli.since import untouched

    return untouched(services, desired, event)


def _plan_offline(desired: Desired, live: Path, parallel: int | None, max_age_s: float) -> Plan:
    """The plan against a snapshot, or against exported definitions."""
    from reconciler.cli import snapshot
    from reconciler.cli.exporting import observe_exports
    from reconciler.engine.required import firsts_of
    from reconciler.waves import gives_out

    if (taken := snapshot.read(live, desired, time.time(), max_age_s)) is not None:
        say(f"offline: planning against {live}, {taken.age}")
        with snapshot.opened_offline(desired, taken, parallel) as opened:
            made = opened.plan()
        return replace(made, notes=(*made.notes, f"from {taken.age}"))
    say(f"offline: planning against {live}; the model store is not read")
    seen = observe_exports(desired, live, compose.store_base(desired.environment))
    made = _plan_of(desired, seen)
    changes = {change.address: change for change in made.changes}
    given = (o for o in seen if gives_out(o, changes[str(o.binding.address)]))
    firsts = firsts_of([o for o in given if o.live.served != o.artifact.ref], desired)
    notes = (
        f"{first.name} gets {version} first; a run of this part is refused until it has been proved"
        for version, first in sorted(firsts.items())
    )
    return replace(made, notes=(*made.notes, *notes))


def plan_exit_code(made: Plan, detailed: bool, rest: AbstractSet[str] = frozenset()) -> int:
    """The exit code of a plan: unreadable before refused before changes.

    Nothing is refused because of the bindings in `rest`. A limit that is exceeded counts where
    something beside the rest would be changed.
    """
    judged = [change for change in made.changes if change.name not in rest]
    if any(change.code == Reason.UNREADABLE for change in judged):
        return errors.ERROR
    exceeded = made.excess and any(change.action in TO_DO for change in judged)
    if exceeded or any(change.action is Action.BLOCK for change in judged):
        return errors.REFUSED
    changes = bool(made.to_do)
    return errors.CHANGES if changes and detailed else errors.SUCCESS


def status(where: Where, part: Part, metrics: Path | None = None) -> Outcome:
    """`status`: 0 when everything could be read, 1 otherwise."""
    began = time.time()
    desired, observed, unmanaged = _seen(where, part)
    made = _plan_of(desired, observed)
    from reconciler.render import status_row

    by_address = {str(o.binding.address): o for o in observed}
    pairs = [(change, by_address[change.address]) for change in made.changes]
    rows = tuple(status_row(change, o.live, o.health) for change, o in pairs)
    unreadable = any(change.code == Reason.UNREADABLE for change in made.changes)
    code = errors.ERROR if unreadable else errors.SUCCESS
    files = metrics_file(metrics, made.environment, made, "status", code, began)
    _say_what_mends(desired, pairs, choose.typed(where, made.environment, part))
    return Outcome(Statuses(rows, unmanaged), code, files)


def _say_what_mends(desired: Desired, pairs: Sequence[tuple[Change, Observed]], typed: str) -> None:
    """Say, for each kind of trouble, which command is to be typed; the most urgent first."""
    from reconciler.render.status import Wrong, mending, wrong_with

    for what in Wrong:
        troubled = [pair for pair in pairs if wrong_with(pair[0]) is what]
        if not troubled:
            continue
        kept = any(can_be_kept(seen, change) for change, seen in troubled)
        changes = [change for change, _ in troubled]
        options = typed if len(changes) > 1 else desired.environment.options
        say(f"{len(changes):,} {what}: {mending(what, options, changes, kept=kept)}")


def verify(where: Where, part: Part) -> Outcome:
    """`verify`: 0 when every endpoint is read back and answers its probe, 8 otherwise."""
    from reconciler.engine.prove import prove_all

    desired = choose.desired(where, part)
    session.introduce(desired.environment)
    with session.opened(desired, part.parallel) as opened:
        proofs = tuple(prove_all(opened.world, desired.bindings, opened.width))
    sources = {str(b.address): b.source for b in desired.bindings}
    converged = all(proof.converged for proof in proofs)
    return Outcome(Proofs(proofs, sources), errors.SUCCESS if converged else errors.UNPROVED)


def drift(where: Where, part: Part, how: Drifting) -> Outcome:
    """`drift`: 0, 2 with `--detailed-exitcode` when something drifted, 1 when unreadable.

    What was merged and is not applied yet is no drift: there the endpoint serves what was proved
    last. With `--accept`: the diff of the YAML that says what drifted, 7 where it cannot say all.
    With `--note` the store keeps when each drift was first seen.
    """
    from reconciler.cli.accepting import accept
    from reconciler.render import plan_json

    began = time.time()
    if how.note and how.dry_run:
        raise ConfigurationError("--note writes to the store; leave out --note or --dry-run")
    if how.pull_request and not (how.accept and part.selection() == Selection()):
        raise ConfigurationError(
            "--pull-request proposes what --accept writes, of a whole environment; add --accept, "
            "and leave selections out"
        )
    desired, observed, unmanaged = _seen(where, part, note=how.note)
    whole = _plan_of(desired, observed)
    report = replace(_without_what_waits(whole), commit=desired.commit, unmanaged=unmanaged)
    drifted = any(change.drift is not None for change in report.changes)
    unreadable = any(change.code == Reason.UNREADABLE for change in report.changes)
    code = errors.CHANGES if drifted and how.detailed_exitcode else errors.SUCCESS
    code = errors.ERROR if unreadable else code
    notify(desired.environment, "drift", of_drift(report))
    files = metrics_file(how.metrics, whole.environment, whole, "drift", code, began)
    if how.out is not None:
        files = (File("plan-file", how.out, plan_json(report)), *files)
    if how.accept:
        by_address = {str(o.binding.address): o for o in observed}
        made = accept(where.services, desired, report, by_address, how)
        return replace(made, exit_code=code if unreadable else made.exit_code, files=files)
    if drifted:
        _say_ways_out(report, observed, choose.typed(where, desired.environment.name, part))
    return Outcome(report, code, files, has_changes=drifted)


def _say_ways_out(drifted: Plan, observed: Iterable[Observed], typed: str) -> None:
    """Say how what drifted is undone, and how it is kept, as far as there is a way."""
    changes = {c.address: c for c in drifted.changes if c.drift is not None}
    seen = (o for o in observed if str(o.binding.address) in changes)
    ways = []
    if any(change.action in TO_DO for change in changes.values()):
        ways.append(f"undo it: reconciler apply {typed}")
    if any(can_be_kept(o, changes[str(o.binding.address)]) for o in seen):
        ways.append(f"keep it: reconciler drift {typed} --accept")
    elif not any(f.after for c in changes.values() if c.drift for f in c.drift.fields):
        ways.append("keep it: declare `state: absent` below spec")  # every one is gone
    if ways:
        say("; ".join(ways))


def _seen(
    where: Where, part: Part, *, note: bool = False
) -> tuple[Desired, tuple[Observed, ...], NotManaged | None]:
    """The desired state, the observed state and, of a whole environment, what is unmanaged beside
    it. With `note`, what drifted is noted in the store."""
    from reconciler.cli.importing import unmanaged

    desired, every = choose.among(where, part)
    session.introduce(desired.environment)
    with session.opened(desired, part.parallel) as opened:
        observed = opened.observe().observed
        if note:
            world = opened.world
            at, by = world.moment, world.actor.run
            observed = world.ledger.sightings.noted(observed, at, by)
        if part.selection() != Selection():
            return desired, observed, None
        with opened.stop.only_reading():
            live, failed = unmanaged(opened.world, desired, every.values())
    beside = (Unowned(e.kind, e.endpoint.name, str(e.endpoint.address)) for e in live)
    return desired, observed, NotManaged(tuple(beside), tuple(failed))


def _without_what_waits(made: Plan) -> Plan:
    """The plan without what only waits to be applied, or is refused."""
    kept: list[Change] = []
    others: dict[str, list[str]] = {}
    for change in made.changes:
        as_declared = change.action is Action.NOOP or change.code == Reason.UNREADABLE
        if as_declared or change.drift is not None:
            kept.append(change)
            continue
        how = "refused by plan" if change.action is Action.BLOCK else "waiting for apply"
        others.setdefault(how, []).append(change.name)
    for how, names in others.items():
        say(f"not drift, but {how}: {', '.join(names)}")
    return replace(made, changes=tuple(kept), excess=())


def export(where: Where, names: list[str], out: Path | None) -> Outcome:
    """`export`: JSON on stdout, an object by name for more than one, or a file per binding.

    What cannot be exported is said and left out: exit code 7, or 1 when nothing is left.
    """
    from reconciler.cli.exporting import export_document

    desired = choose.desired(where)
    chosen = [b for b in named(desired, names) if names or not b.absent]
    session.introduce(desired.environment)
    documents: dict[str, object] = {}
    failed: list[Failure] = []
    with session.opened(desired, None) as opened:
        for binding in chosen:
            try:
                state = opened.world.targets[binding.kind].export(binding)
            except ReconcilerError as exc:
                place = str(binding.address)
                failed.append(Failure(binding.name, place, exc.message, exc.exit_code))
            else:
                documents[binding.name] = export_document(binding, state)
    _tell_left_out(failed)
    code = errors.SUCCESS if not failed else errors.PARTIAL if documents else errors.ERROR
    if out is None:
        document = documents if len(chosen) > 1 else next(iter(documents.values()), {})
        return Outcome(Kept(_json(document)), code)
    files = [File("", out / f"{name}.json", _json(state)) for name, state in documents.items()]
    return Outcome(exit_code=code, files=tuple(files))


def _tell_left_out(failed: Sequence[Failure]) -> None:
    """Say which bindings are left out, once for those that share a reason."""
    if not failed:
        return
    from reconciler.render.fleets import failure_fleets, message_of

    for fleet in failure_fleets(failed, ()):
        names = ", ".join(failure.name for failure in fleet.members)
        say(f"{names} {'are' if fleet.count else 'is'} left out: {message_of(fleet)}")


def _json(document: object) -> str:
    from reconciler.render.documents import json_document

    return redact(json_document(document))


def named(desired: Desired, names: Iterable[str]) -> list[Binding]:
    """The bindings of these names, or all where none is named; ConfigurationError otherwise."""
    by_name = {binding.name: binding for binding in desired.bindings}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        hint = near(unknown[0], by_name)
        raise ConfigurationError(f"there is no binding {', '.join(unknown)}{hint}")
    return [by_name[name] for name in names] or list(desired.bindings)


def _plan_of(desired: Desired, observed: Iterable[Observed]) -> Plan:
    from reconciler.plan import make_plan

    return make_plan(desired.environment, observed, desired.declared)
