"""What each command does: gather, call, print, and say which exit code that is."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

from reconciler import errors
from reconciler.cli import session
from reconciler.cli.ending import reported
from reconciler.cli.output import say, write_file
from reconciler.errors import ConfigurationError
from reconciler.model import UNREADABLE, Action, Failure, Report
from reconciler.plan import TO_DO

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from reconciler.cli.approval import Approval
    from reconciler.cli.output import Page
    from reconciler.engine.steps import Ended
    from reconciler.model import Binding, Desired, Observed, Plan
    from reconciler.wire.http import Http


def validate(services: Path) -> int:
    """`validate`: 0 and one line per environment, or ConfigurationError."""
    for name, wanted in sorted(session.load(services).items()):
        say(f"{name}: {len(wanted.bindings)} bindings are valid")
    return errors.SUCCESS


def plan(
    services: Path,
    environment: str | None,
    page: Page,
    out: Path | None,
    detailed_exitcode: bool,
    live: Path | None,
    parallel: int | None,
) -> int:
    """`plan`: 0, 2 with `--detailed-exitcode`, 4 when something is refused, 1 when unreadable."""
    wanted = session.choose(session.load(services), environment)
    if live is None:
        session.introduce(wanted.environment)
        made = plan_now(wanted, parallel)
    else:
        from reconciler.cli.offline import observe_exports

        say(f"offline: planning against {live}; the model store is not read")
        made = _plan_of(wanted, observe_exports(wanted, live, session.emulator_url()))
    page.show_plan(made)
    hint_at_emulator(made)
    if out is not None:
        write_file(out, page.plan_json(made))
    return plan_exit_code(made, detailed_exitcode)


def hint_at_emulator(made: Plan) -> None:
    """Say how to start the emulator, when nothing listens where it should be."""
    if made.cloud == "emulator" and any("connection refused" in c.why for c in made.changes):
        say(
            "nothing listens there; start it in another terminal: "
            "reconciler emulator --seed services/local/_emulator/seed.yaml"
        )


def plan_exit_code(made: Plan, detailed: bool) -> int:
    """What a plan says as an exit code: unreadable before refused before changes."""
    if any(change.code == UNREADABLE for change in made.changes):
        return errors.ERROR
    if made.counts[Action.BLOCK]:
        return errors.REFUSED
    changes = any(made.counts[action] for action in TO_DO)
    return errors.CHANGES if changes and detailed else errors.SUCCESS


def apply(
    services: Path,
    environment: str | None,
    page: Page,
    approval: Approval,
    parallel: int | None,
    report_file: Path | None,
) -> int:
    """`apply`: plan afresh, get it approved, converge, look again, report."""
    with reported("apply", report_file) as ending:
        wanted = session.choose(session.load(services), environment)
        session.introduce(wanted.environment)
        report = apply_now(wanted, page, approval, parallel)
        ending.report, ending.exit_code = report, report_exit_code(report)
    page.show_report(report)
    return ending.exit_code


def apply_now(wanted: Desired, page: Page, approval: Approval, parallel: int | None) -> Report:
    """The report of one apply, with its plan shown and approved on the way."""
    stop = session.Stop()
    with session.client(wanted.environment, parallel, stop) as http:
        first = _plan_by(wanted, http, parallel)
        page.show_plan(first, to=sys.stderr)
        hint_at_emulator(first)
        approval.check(first)
        return converge(wanted, first, page, http, parallel, stop)


def plan_now(wanted: Desired, parallel: int | None) -> Plan:
    """The plan of what is now."""
    with session.client(wanted.environment, parallel, session.Stop()) as http:
        return _plan_by(wanted, http, parallel)


def converge(
    wanted: Desired,
    first: Plan,
    page: Page,
    http: Http,
    parallel: int | None,
    stop: session.Stop,
) -> Report:
    """The report of bringing every binding of the plan that is not in sync to where it must be."""
    began = time.monotonic()
    ended = _run(wanted, first, page, http, parallel, stop)
    last = first if stop.event.is_set() or not ended else _plan_by(wanted, http, parallel)
    return make_report(last, ended, time.monotonic() - began, stop.signal)


def _run(
    wanted: Desired,
    first: Plan,
    page: Page,
    http: Http,
    parallel: int | None,
    stop: session.Stop,
    goal: str = "served",
) -> dict[str, Ended]:
    """How each binding ended that the plan would change or refuses, by address."""
    from reconciler.engine.run import converge as run
    from reconciler.engine.steps import Goal
    from reconciler.training.bes import MAX_UNFINISHED_JOBS

    world = session.connect(wanted, http, stop=stop)
    with session.stoppable(stop), page.progress() as progress:
        return run(
            world,
            wanted.bindings,
            first,
            progress,
            parallel=session.width(wanted.environment, parallel),
            most_jobs=MAX_UNFINISHED_JOBS,
            goal=Goal(goal),
        )


def train(
    services: Path, environment: str | None, page: Page, approval: Approval, parallel: int | None
) -> int:
    """`train`: make and judge what is missing, touch no endpoint, and show the plan after it."""
    wanted = session.choose(session.load(services), environment)
    session.introduce(wanted.environment)
    stop = session.Stop()
    with session.client(wanted.environment, parallel, stop) as http:
        first = _plan_by(wanted, http, parallel)
        hint_at_emulator(first)
        if first.counts[Action.TRAIN]:
            page.show_plan(first, to=sys.stderr)
            approval.check(first)
        ended = _run(wanted, first, page, http, parallel, stop, goal="trained")
        last = _plan_by(wanted, http, parallel)
    page.show_plan(last)
    if stop.signal:
        return 128 + stop.signal
    codes = {outcome.failure.exit_code for outcome in ended.values() if outcome.failure}
    return codes.pop() if len(codes) == 1 else errors.PARTIAL if codes else errors.SUCCESS


def make_report(last: Plan, ended: dict[str, Ended], elapsed_s: float, stopped_by: int) -> Report:
    """What a run did, sorted by address; a binding that came undone at the last look failed."""
    outcomes = [ended[address] for address in sorted(ended)]
    failures = [o.failure for o in outcomes if o.failure]
    failed = {failure.address for failure in failures}
    if not stopped_by:
        failures += [
            Failure(c.name, c.address, f"not converged at the last look: {c.why}", errors.ERROR)
            for c in last.changes
            if c.action is not Action.NOOP and c.address not in failed
        ]
    return Report(
        plan=last,
        done=tuple(a for a in sorted(ended) if ended[a].changed),
        proofs=tuple(o.proof for o in outcomes if o.proof),
        failures=tuple(failures),
        elapsed_s=elapsed_s,
        stopped_by=stopped_by,
    )


def report_exit_code(report: Report) -> int:
    """A lost proof outranks all; then the one kind of failure there is; partial for a mixture."""
    if report.stopped_by:
        return 128 + report.stopped_by
    codes = {failure.exit_code for failure in report.failures}
    if not codes:
        return errors.SUCCESS
    for code in (errors.BUG, errors.UNPROVED):
        if code in codes:
            return code
    if report.done or len(codes) > 1:
        return errors.PARTIAL
    return codes.pop()


def status(services: Path, environment: str | None, page: Page, parallel: int | None) -> int:
    """`status`: 0 when everything could be read, 1 otherwise."""
    wanted = session.choose(session.load(services), environment)
    session.introduce(wanted.environment)
    with session.client(wanted.environment, parallel, session.Stop()) as http:
        observed = _observe(wanted, http, parallel)
    made = _plan_of(wanted, observed)
    hint_at_emulator(made)
    page.show_status(made, {str(o.binding.address): o.live for o in observed})
    unreadable = any(change.code == UNREADABLE for change in made.changes)
    return errors.ERROR if unreadable else errors.SUCCESS


def verify(services: Path, environment: str | None, page: Page, parallel: int | None) -> int:
    """`verify`: 0 when every endpoint is read back and answers its probe, 8 otherwise."""
    from reconciler.engine.prove import prove_all

    wanted = session.choose(session.load(services), environment)
    session.introduce(wanted.environment)
    width = session.width(wanted.environment, parallel)
    with session.client(wanted.environment, parallel, session.Stop()) as http:
        proofs = prove_all(session.connect(wanted, http), wanted.bindings, width)
    page.show_proofs(proofs)
    return errors.SUCCESS if all(proof.proved for proof in proofs) else errors.UNPROVED


def export(services: Path, environment: str | None, names: list[str], out: Path | None) -> int:
    """`export`: JSON on stdout, an object by name for more than one, or a file per binding."""
    from reconciler.cli.offline import export_document

    wanted = session.choose(session.load(services), environment)
    chosen = _named(wanted, names)
    session.introduce(wanted.environment)
    with session.client(wanted.environment, None, session.Stop()) as http:
        world = session.connect(wanted, http.reading())
        documents = {b.name: export_document(b, world.targets[b.kind].export(b)) for b in chosen}
    if out is None:
        whole = documents if len(chosen) > 1 else documents[chosen[0].name]
        print(json.dumps(whole, indent=2, ensure_ascii=False))
        return errors.SUCCESS
    for name, document in documents.items():
        write_file(out / f"{name}.json", json.dumps(document, indent=2, ensure_ascii=False) + "\n")
        say(f"wrote {out / name}.json")
    return errors.SUCCESS


def _named(wanted: Desired, names: Iterable[str]) -> list[Binding]:
    by_name = {binding.name: binding for binding in wanted.bindings}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        known = ", ".join(sorted(by_name))
        raise ConfigurationError(f"there is no binding {', '.join(unknown)}; there is: {known}")
    return [by_name[name] for name in names] or list(wanted.bindings)


def _observe(wanted: Desired, http: Http, parallel: int | None) -> tuple[Observed, ...]:
    from reconciler.engine.observe import observe_all

    world = session.connect(wanted, http.reading())
    return observe_all(world, wanted.bindings, session.width(wanted.environment, parallel))


def _plan_by(wanted: Desired, http: Http, parallel: int | None) -> Plan:
    return _plan_of(wanted, _observe(wanted, http, parallel))


def _plan_of(wanted: Desired, observed: Iterable[Observed]) -> Plan:
    from reconciler.plan import make_plan

    return make_plan(wanted.environment, observed)
