"""The commands. Each calls one thing that works, and hands over what became of it.

stdout carries only the document that was asked for; everything else goes to stderr.

No `from __future__ import annotations` here, and nothing heavy at the top: see `options`.
"""

from pathlib import Path
from typing import Annotated

import typer

from reconciler import __version__
from reconciler.cli.begin_app import begin
from reconciler.cli.ci_app import ci
from reconciler.cli.completing import binding_argument, environment_option
from reconciler.cli.options import (
    EMULATOR_PORT,
    SERVICES,
    SETTINGS,
    Applying,
    Drifting,
    DryRunOption,
    ForceOption,
    Grouped,
    LockTimeoutOption,
    Log,
    MetricsOption,
    NoColorOption,
    OnOption,
    ParallelOption,
    Part,
    Planning,
    Printing,
    ServicesOption,
    ShardOption,
    Some,
    TwoVersions,
    UnlockOption,
    Where,
    Writing,
    YesOption,
    command,
    with_a_command,
)
from reconciler.outcome import File, Kept, Outcome

EVERYDAY, VERSIONS = "Everyday", "Versions"
OFFLINE, EMULATOR = "Reports and offline", "Emulator"

app = typer.Typer(
    name="reconciler",
    cls=Grouped,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=SETTINGS,
    help="Keep machine-learning endpoints at the model versions that git declares.",
    epilog="Exit codes: 0 ok, 1 error, 2 changes (--detailed-exitcode), 3 invalid configuration, "
    "4 refused, 5 not the approved plan, 6 locked, 7 partial, 8 proof failed, 64 wrong usage, "
    "70 a bug of ours, 129/130/143 interrupted, 141 the reader of stdout went away.",
)
app.registered_commands.extend(begin.registered_commands)  # the first of the help
app.add_typer(ci)

Name = Annotated[str, binding_argument("NAME", "The binding.")]


def _version(print_version: bool) -> None:
    if print_version:
        typer.echo(f"reconciler {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback answers
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    with_a_command(context)


# --- everyday ----------------------------------------------------------------------------------


@command(app, EVERYDAY, "reconciler validate -f services")
def validate(
    services: ServicesOption = SERVICES,
    sarif: Annotated[
        Path | None, typer.Option("--sarif", help="Write what is wrong as SARIF 2.1.0 too.")
    ] = None,
) -> Outcome:
    """Check the desired state without network or credentials.

    Everything that is wrong is said at once.
    """
    from reconciler.cli import commands
    from reconciler.cli.output import Page

    return Page().deliver(commands.validate(services, sarif))


@command(app, EVERYDAY, "reconciler plan -e production --out plan.json")
def plan(where: Where, part: Part, how: Planning, printing: Printing) -> Outcome:
    """Show what `apply` would do.

    Sends only GET and HEAD.
    """
    from reconciler.cli import commands

    return printing.page().deliver(commands.plan(where, part, how))


@command(app, EVERYDAY, "reconciler apply plan.json -e production")
def apply(how: Applying, where: Where, part: Part, writing: Writing, printing: Printing) -> Outcome:
    """Train, swap and prove until the world agrees with git."""
    from reconciler.cli import applying

    return applying.apply(how, where, part, writing, writing.page(printing))


@command(app, EVERYDAY, "reconciler status -e production")
def status(where: Where, part: Part, printing: Printing, metrics: MetricsOption = None) -> Outcome:
    """Show which version each endpoint serves, and how it is doing.

    Sends only GET and HEAD.
    """
    from reconciler.cli import commands

    return printing.page().deliver(commands.status(where, part, metrics))


@command(app, EVERYDAY, "reconciler verify -e production -t 'churn-*'")
def verify(where: Where, part: Part, printing: Printing) -> Outcome:
    """Prove that each endpoint serves its version.

    Reads it back, and scores its probe.
    """
    from reconciler.cli import commands

    return printing.page().deliver(commands.verify(where, part))


@command(app, EVERYDAY, "reconciler drift -e production --detailed-exitcode")
def drift(where: Where, part: Part, printing: Printing, how: Drifting) -> Outcome:
    """Show what was changed outside git.

    Sends only GET and HEAD; --note, --accept and --pull-request write what their help says.
    """
    from reconciler.cli import commands

    return printing.page().deliver(commands.drift(where, part, how))


@command(app, EVERYDAY, "reconciler unlock -e production --force 'its runner is gone'")
def unlock(
    where: Where,
    log: Log,
    force: UnlockOption,
    shard: ShardOption = "",
    even_if_alive: Annotated[
        bool, typer.Option("--even-if-alive", help="Take the lock from a run that still renews it.")
    ] = False,
) -> Outcome:
    """End the lock of a run that died.

    Sees within a minute whether the run that holds the lock is dead; one that is alive keeps it,
    unless you say otherwise.
    """
    from reconciler.cli import rollback

    page = log.page()
    return page.deliver(rollback.unlock(where, force, shard, even_if_alive=even_if_alive))


# --- versions ----------------------------------------------------------------------------------


@command(app, VERSIONS, "reconciler train -e production --since origin/main --yes")
def train(
    where: Where, part: Part, writing: Writing, printing: Printing, force: ForceOption = None
) -> Outcome:
    """Train and judge what is missing; touch no endpoint."""
    from reconciler.cli import applying

    how = Applying(force=force)
    return applying.train(how, where, part, writing, writing.page(printing))


@command(app, VERSIONS, "reconciler history churn -e production")
def history(name: Name, where: Where, printing: Printing) -> Outcome:
    """List a model's versions, and what was done where it serves.

    With metrics, jobs and commits.
    """
    from reconciler.cli import rollback

    return printing.page().deliver(rollback.history(where, name))


@command(app, VERSIONS, "reconciler explain churn 2026-10 2026-11 -e production")
def explain(name: Name, where: Where, printing: Printing, two: TwoVersions = None) -> Outcome:
    """Say why a version serves, or how two of them differ.

    Since when, by which data, commit and job, judged and proved how, by whom.
    """
    from reconciler.cli import rollback

    return printing.page().deliver(rollback.explain(where, name, two or []))


@command(app, VERSIONS, "reconciler rollback churn -e production --reason 'odd answers'")
def rollback(
    name: Name,
    where: Where,
    writing: Writing,
    printing: Printing,
    to: Annotated[
        str,
        typer.Option(
            "--to", metavar="VERSION", help="A trained version (default: the previous one)."
        ),
    ] = "",
    reason: Annotated[str, typer.Option("--reason", help="Why; kept with the version.")] = "",
) -> Outcome:
    """Swap the previous model back in, prove it, reject the other."""
    from reconciler.cli import rollback

    back = rollback.Back(name, to, reason)
    return rollback.rollback(back, where, writing, writing.page(printing))


@command(app, VERSIONS, "reconciler reinstate churn 2026-10 -e production")
def reinstate(
    name: Name,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The rejected version.")],
    where: Where,
    log: Log,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the history.")] = "",
    yes: YesOption = False,
    lock_timeout: LockTimeoutOption = Writing.lock_timeout,
) -> Outcome:
    """Take back the rejection of a version.

    It may be bound again then.
    """
    from reconciler.cli import rollback

    writing, page = Writing(yes=yes, lock_timeout=lock_timeout), log.page()
    return page.deliver(rollback.reinstate(name, version, where, writing, reason))


@command(app, VERSIONS, "reconciler promote 'bike-*' --from staging --to production")
def promote(
    name: Annotated[str, binding_argument("NAME", "The binding, or a pattern: 'bike-*'.")],
    from_: Annotated[
        str, environment_option("--from", metavar="ENVIRONMENT", text="Where the version is now.")
    ],
    to: Annotated[
        str, environment_option("--to", metavar="ENVIRONMENT", text="Where it is to go.")
    ],
    services: ServicesOption = SERVICES,
    dry_run: DryRunOption = False,
) -> Outcome:
    """Write a version of one environment into another's YAML.

    Shows the difference.
    """
    from reconciler.cli.output import Page
    from reconciler.cli.promote import promote as promoted

    return Page().deliver(promoted(services, name, from_, to, dry_run=dry_run))


@command(app, VERSIONS, "reconciler retrain -e production --dry-run")
def retrain(where: Where, some: Some, log: Log, dry_run: DryRunOption = False) -> Outcome:
    """Write new versions into the YAML of what is out of date.

    That is where data changed, or a model is older than `maxAge`.
    """
    from reconciler.cli.retrain import retrain as retrained

    return log.page().deliver(retrained(where, some, dry_run=dry_run))


# --- reports and offline -----------------------------------------------------------------------


@command(app, OFFLINE, "reconciler report -e production --html report.html")
def report(
    html: Annotated[Path, typer.Option("--html", help="The file to write the page to.")],
    where: Where,
    part: Part,
    log: Log,
    run: Annotated[
        Path | None,
        typer.Option("--report", help="Include the results in this `apply --report` file."),
    ] = None,
) -> Outcome:
    """Write a page with plan, endpoints, metrics and history.

    Sends only GET and HEAD; the page loads nothing.
    """
    from reconciler.cli.report import report as reported

    return log.page().deliver(reported(where, part, html, run))


@command(app, OFFLINE, "reconciler snapshot -e production --out snapshot.json")
def snapshot(
    where: Where,
    log: Log,
    out: Annotated[Path | None, typer.Option("--out", help="The file (default: stdout).")] = None,
    parallel: ParallelOption = None,
) -> Outcome:
    """Write what a plan needs of the live state, without secrets.

    One JSON file, for `plan --live`.
    """
    from reconciler.cli import choose
    from reconciler.cli.snapshot import snapshot as taken

    page = log.page()
    return page.deliver(taken(choose.desired(where), out, parallel))


@command(app, OFFLINE, "reconciler export churn -e production --out exports")
def export(
    where: Where,
    log: Log,
    names: Annotated[
        list[str] | None, binding_argument("[NAME]...", "Bindings (default: all).")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write one NAME.json per binding.")
    ] = None,
) -> Outcome:
    """Write the live state as JSON, without secrets.

    To keep, to compare, and to plan against.
    """
    from reconciler.cli import commands

    return log.page().deliver(commands.export(where, names or [], out))


@command(app, OFFLINE, "reconciler schema --out reconciler.schema.json")
def schema(
    out: Annotated[
        Path | None, typer.Option("--out", help="Write it to this file: editors read it there.")
    ] = None,
) -> Outcome:
    """Print the JSON Schema of the desired state.

    Editors complete and check YAML by it.
    """
    from reconciler.cli.compose import schema_text
    from reconciler.cli.output import Page

    text = schema_text()
    outcome = Outcome(Kept(text)) if out is None else Outcome(files=(File("", out, text),))
    return Page().deliver(outcome)


# --- emulator ----------------------------------------------------------------------------------


@command(app, EMULATOR, "reconciler emulator --state .reconciler --seed seed.yaml")
def emulator(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="0 picks a free port.")
    ] = EMULATOR_PORT,
    state: Annotated[
        Path | None, typer.Option(help="Folder that keeps the world (default: forget it).")
    ] = None,
    seed: Annotated[Path | None, typer.Option(help="Seed file for an empty world.")] = None,
    speed: Annotated[
        float, typer.Option(min=0.1, max=1000, help="Jobs and updates run this much faster.")
    ] = 1.0,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate file, for https.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key.")] = None,
) -> Outcome:
    """Serve an emulated cloud, its storage included, on 127.0.0.1."""
    from reconciler.cli.emulate import serve

    return serve(port, state, seed, speed, tls_cert, tls_key)


@command(app, EMULATOR, "reconciler demo")
def demo(on: OnOption = "", no_color: NoColorOption = False) -> Outcome:
    """Watch endpoints converge on the emulator, or on a real server."""
    from reconciler.cli.demo import demo as shown

    return shown(on, no_color=no_color)
