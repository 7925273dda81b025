"""The commands. Each gathers its options, calls one thing that works, and hands over the result.

stdout carries only the document that was asked for; everything else goes to stderr.

No `from __future__ import annotations` here: typer would have to compile every one of three hundred
annotations again, which is a fifth of the time of a `--help`. For the same reason nothing heavy is
imported at the top.
"""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reconciler import __version__
from reconciler.auth import Auth
from reconciler.outcome import File, Kept, Outcome

if TYPE_CHECKING:
    from reconciler.cli.selection import Selection

app = typer.Typer(
    name="reconciler",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="""Keep machine-learning endpoints at the model versions that git declares.

    Microsoft retired Azure Machine Learning Studio on 31 Aug 2024, so environments talk to the
    emulator that comes with this program unless they say `cloud: azure`.
    """,
    epilog="Exit codes: 0 ok, 1 error, 2 changes (--detailed-exitcode), 3 invalid configuration, "
    "4 refused, 5 not the approved plan, 6 locked, 7 partial, 8 proof failed, 64 wrong usage, "
    "70 a bug of ours, 129/130/143 interrupted, 141 the reader of stdout went away.",
)


class Format(StrEnum):
    """How a document is printed."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


Services = Annotated[
    Path,
    typer.Option("--services", "-f", envvar="RECONCILER_SERVICES", help="Folder of desired state."),
]
EnvironmentName = Annotated[
    str | None,
    typer.Option(
        "--environment", "-e", envvar="RECONCILER_ENVIRONMENT", help="Which environment to use."
    ),
]
Targets = Annotated[
    list[str] | None,
    typer.Option("--target", "-t", metavar="GLOB", help="Only bindings of such names."),
]
Excludes = Annotated[
    list[str] | None,
    typer.Option("--exclude", "-x", metavar="GLOB", help="No bindings of such names."),
]
Labels = Annotated[
    list[str] | None,
    typer.Option("--label", "-l", metavar="KEY=VALUE", help="Only bindings with this label."),
]
Shard = Annotated[
    str,
    typer.Option("--shard", metavar="I/N", help="Only the I-th of N parts, for N runners."),
]
Since = Annotated[
    str,
    typer.Option("--since", metavar="REF", help="Only what was changed after this commit of git."),
]
SignIn = Annotated[
    Auth | None, typer.Option("--auth", help="How to sign in to Azure; else `auth` says it.")
]
Output = Annotated[Format, typer.Option("--output", "-o", help="Format of the document.")]
Parallel = Annotated[
    int | None,
    typer.Option("--parallel", min=1, max=64, help="Bindings at once; else limits.parallel."),
]
NoColor = Annotated[bool, typer.Option("--no-color", help="No colours; NO_COLOR works too.")]
Verbose = Annotated[
    int,
    typer.Option("--verbose", "-v", count=True, help="Unchanged bindings too; -vv logs requests."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def _reason(said: str | None) -> str | None:
    """The reason without blanks around it; wrong usage where it says nothing."""
    if said is not None and not said.strip():
        raise typer.BadParameter("say why; the reason is kept")
    return said and said.strip()


Force = Annotated[
    str | None,
    typer.Option(
        "--force",
        metavar="REASON",
        callback=_reason,
        help="Override limits and protection; the reason is kept.",
    ),
]
Prune = Annotated[
    bool,
    typer.Option("--prune", help="Delete what this environment made and git does not declare."),
]
LockTimeout = Annotated[
    float,
    typer.Option("--lock-timeout", metavar="SECONDS", min=0, help="How long to wait for the lock."),
]
ReportFile = Annotated[
    Path | None, typer.Option("--report", help="Write what became of the run as JSON.")
]
SERVICES = Path("services")
LOCK_TIMEOUT_S = 90.0  # longer than a killed run can hold it


def _seconds(age: str) -> float:
    """The seconds of `30m`, `12h` or `7d`; wrong usage for anything else."""
    number, unit = age[:-1], {"m": 60.0, "h": 3600.0, "d": 86400.0}.get(age[-1:])
    if unit is None or not (number.isascii() and number.isdecimal() and len(number) < 7):
        raise typer.BadParameter("an age is a number of minutes, hours or days: 30m, 12h, 7d")
    return int(number) * unit


def _selection(
    target: list[str] | None,
    exclude: list[str] | None,
    label: list[str] | None,
    shard: str,
    since: str,
) -> "Selection":
    from reconciler.cli.selection import Selection

    return Selection(tuple(target or ()), tuple(exclude or ()), tuple(label or ()), shard, since)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"reconciler {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback answers
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.TyperException("no command is given; the help names them")


@app.command()
def validate(
    services: Services = SERVICES,
    sarif: Annotated[
        Path | None, typer.Option("--sarif", help="Write what is wrong as SARIF 2.1.0 too.")
    ] = None,
) -> Outcome:
    """Check the desired state: offline, without credentials, everything wrong at once."""
    from reconciler.cli.commands import validate as command
    from reconciler.cli.output import Page

    return Page().deliver(command(services, sarif))


@app.command()
def schema(
    out: Annotated[
        Path | None, typer.Option("--out", help="Write it to this file: editors read it there.")
    ] = None,
) -> Outcome:
    """Print the JSON Schema of the desired state, with which editors complete and check YAML."""
    from reconciler.cli.compose import schema_text
    from reconciler.cli.output import Page

    text = schema_text()
    outcome = Outcome(Kept(text)) if out is None else Outcome(files=(File("", out, text),))
    return Page().deliver(outcome)


@app.command()
def plan(
    services: Services = SERVICES,
    environment: EnvironmentName = None,
    target: Targets = None,
    exclude: Excludes = None,
    label: Labels = None,
    shard: Shard = "",
    since: Since = "",
    auth: SignIn = None,
    output: Output = Format.TEXT,
    out: Annotated[Path | None, typer.Option("--out", help="Write the plan as JSON too.")] = None,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit 2 when changes are present.")
    ] = False,
    live: Annotated[
        Path | None,
        typer.Option("--live", help="Plan against a snapshot or exports, without any credential."),
    ] = None,
    max_age: Annotated[
        str,
        typer.Option("--max-age", metavar="AGE", help="Refuse an older snapshot: 30m, 12h, 7d."),
    ] = "7d",
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Judge all, not only what the job's pull request touches."),
    ] = False,
    prune: Prune = False,
    force: Force = None,
    parallel: Parallel = None,
    no_color: NoColor = False,
    verbose: Verbose = 0,
) -> Outcome:
    """Show what `apply` would do. Sends only GET and HEAD."""
    from reconciler.cli import commands, session
    from reconciler.cli import output as printing

    printing.log_to_stderr(verbose)
    page = printing.Page(output, no_color, verbose)
    most_seconds = _seconds(max_age)
    selection = _selection(target, exclude, label, shard, since)
    wanted = session.wanted(services, environment, auth, selection)
    if force:
        wanted = session.unprotected(wanted)
    return page.deliver(
        commands.plan(
            wanted,
            services,
            out,
            detailed_exitcode,
            live,
            parallel,
            max_age_s=most_seconds,
            forced=bool(force),
            prune=session.pruning(wanted, prune, force),
            strict=strict,
        )
    )


@app.command()
def apply(
    plan_file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[PLAN]", help="Apply only what this plan of `plan --out` says, or a folder's."
        ),
    ] = None,
    services: Services = SERVICES,
    environment: EnvironmentName = None,
    target: Targets = None,
    exclude: Excludes = None,
    label: Labels = None,
    shard: Shard = "",
    since: Since = "",
    auth: SignIn = None,
    output: Output = Format.TEXT,
    expect: Annotated[
        str | None,
        typer.Option("--expect", metavar="DIGEST", help="Apply only the plan with this digest."),
    ] = None,
    yes: Yes = False,
    prune: Prune = False,
    force: Force = None,
    report: ReportFile = None,
    lock_timeout: LockTimeout = LOCK_TIMEOUT_S,
    parallel: Parallel = None,
    no_color: NoColor = False,
    verbose: Verbose = 0,
) -> Outcome:
    """Train, swap and prove until the world agrees with git."""
    from reconciler.cli import applying, session
    from reconciler.cli import output as printing
    from reconciler.cli.approval import approval
    from reconciler.cli.ending import reported

    printing.log_to_stderr(verbose)
    page = printing.Page(output, no_color, verbose)

    def order() -> applying.Order:
        approved = approval(plan_file, expect, yes=yes, force=force or "")
        selection = _selection(target, exclude, label, shard, since)
        wanted = session.wanted(services, environment, auth, selection)
        if report is not None:
            session.name_uncommitted(wanted, "the report")
        doomed = session.pruning(wanted, prune or approved.prunes, force)
        return applying.Order(
            "apply", wanted, page, approved, parallel, lock_timeout, shard, prune=doomed
        )

    return reported("apply", report, page, lambda ending: applying.apply(order, ending))


@app.command()
def train(
    services: Services = SERVICES,
    environment: EnvironmentName = None,
    target: Targets = None,
    exclude: Excludes = None,
    label: Labels = None,
    shard: Shard = "",
    since: Since = "",
    auth: SignIn = None,
    output: Output = Format.TEXT,
    yes: Yes = False,
    force: Force = None,
    report: ReportFile = None,
    lock_timeout: LockTimeout = LOCK_TIMEOUT_S,
    parallel: Parallel = None,
    no_color: NoColor = False,
    verbose: Verbose = 0,
) -> Outcome:
    """Train and judge what is missing without touching an endpoint, then show the plan."""
    from reconciler.approval import Approval
    from reconciler.cli import applying, session
    from reconciler.cli import output as printing
    from reconciler.cli.ending import reported

    printing.log_to_stderr(verbose)
    page = printing.Page(output, no_color, verbose)

    def order() -> applying.Order:
        approval = Approval(yes=yes, force=force or "")
        selection = _selection(target, exclude, label, shard, since)
        wanted = session.wanted(services, environment, auth, selection)
        return applying.Order("train", wanted, page, approval, parallel, lock_timeout, shard)

    return reported("train", report, page, lambda ending: applying.train(order, ending))


@app.command()
def rollback(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The binding.")],
    services: Services = SERVICES,
    environment: EnvironmentName = None,
    auth: SignIn = None,
    output: Output = Format.TEXT,
    to: Annotated[
        str, typer.Option("--to", metavar="VERSION", help="A trained version; else the one before.")
    ] = "",
    reason: Annotated[str, typer.Option("--reason", help="Why; kept with the version.")] = "",
    yes: Yes = False,
    report: ReportFile = None,
    lock_timeout: LockTimeout = LOCK_TIMEOUT_S,
    no_color: NoColor = False,
    verbose: Verbose = 0,
) -> Outcome:
    """Swap the previous model back in, prove it, and reject the version that serves now."""
    from reconciler.approval import Approval
    from reconciler.cli import applying, session
    from reconciler.cli import output as printing
    from reconciler.cli import rollback as command
    from reconciler.cli.ending import Ending, reported

    printing.log_to_stderr(verbose)
    page = printing.Page(output, no_color, verbose)

    def order() -> applying.Order:
        wanted = session.wanted(services, environment, auth)
        approval = Approval(yes=yes)
        return applying.Order("rollback", wanted, page, approval, lock_timeout_s=lock_timeout)

    def work(ending: Ending) -> Outcome:
        return command.rollback(order, name, to, reason, ending)

    return reported("rollback", report, page, work)


@app.command()
def reinstate(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The binding.")],
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The rejected version.")],
    services: Services = SERVICES,
    environment: EnvironmentName = None,
    auth: SignIn = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the history.")] = "",
    yes: Yes = False,
    lock_timeout: LockTimeout = LOCK_TIMEOUT_S,
    verbose: Verbose = 0,
) -> Outcome:
    """Take back the rejection of a version, so that it may be bound again."""
    from reconciler.approval import Approval
    from reconciler.cli import applying, session
    from reconciler.cli import output as printing
    from reconciler.cli import rollback as command

    printing.log_to_stderr(verbose)
    wanted = session.wanted(services, environment, auth)
    page = printing.Page(Format.TEXT, True, verbose)
    approval = Approval(yes=yes)
    order = applying.Order("reinstate", wanted, page, approval, lock_timeout_s=lock_timeout)
    return page.deliver(command.reinstate(order, name, version, reason))


@app.command()
def history(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The binding.")],
    services: Services = SERVICES,
    environment: EnvironmentName = None,
    auth: SignIn = None,
    output: Output = Format.TEXT,
    no_color: NoColor = False,
    verbose: Verbose = 0,
) -> Outcome:
    """List a model's versions with metrics, jobs and commits, and what was done where it serves."""
    from reconciler.cli import output as printing
    from reconciler.cli import rollback as command
    from reconciler.cli import session

    printing.log_to_stderr(verbose)
    wanted = session.wanted(services, environment, auth)
    page = printing.Page(output, no_color, verbose)
    return page.deliver(command.history(wanted, name))


@app.command()
def promote(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The binding, or a pattern: 'bike-*'.")
    ],
    from_: Annotated[
        str, typer.Option("--from", metavar="ENVIRONMENT", help="Where the version is now.")
    ],
    to: Annotated[str, typer.Option("--to", metavar="ENVIRONMENT", help="Where it is to be.")],
    services: Services = SERVICES,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change, and write nothing.")
    ] = False,
) -> Outcome:
    """Write the version of one environment into the YAML of another, and show the difference."""
    from reconciler.cli.promote import promote as command

    return command(services, name, from_, to, dry_run=dry_run)


@app.command()
def retrain(
    services: Services = SERVICES,
    environment: EnvironmentName = None,
    target: Targets = None,
    exclude: Excludes = None,
    label: Labels = None,
    auth: SignIn = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change, and write nothing.")
    ] = False,
    pull: Annotated[
        bool, typer.Option("--pull-request", help="Propose it by one pull request, not here.")
    ] = False,
    base: Annotated[
        str, typer.Option("--base", metavar="BRANCH", help="For it; else the default branch.")
    ] = "",
    verbose: Verbose = 0,
) -> Outcome:
    """Write new versions into the YAML where data changed or a model is older than `maxAge`."""
    from reconciler.cli import session
    from reconciler.cli.output import log_to_stderr
    from reconciler.cli.retrain import retrain as command

    log_to_stderr(verbose)
    if pull and any((target, exclude, label)):
        raise typer.BadParameter("--pull-request is about the whole environment; select nothing")
    wanted = session.wanted(services, environment, auth, _selection(target, exclude, label, "", ""))
    return command(services, wanted, dry_run=dry_run, pull=pull, base=base)


@app.command()
def unlock(
    force: Annotated[
        str,
        typer.Option("--force", metavar="REASON", callback=_reason, help="Why; kept in the store."),
    ],
    services: Services = SERVICES,
    environment: EnvironmentName = None,
    shard: Shard = "",
    even_if_alive: Annotated[
        bool,
        typer.Option("--even-if-alive", help="Take the lock from a run that still renews it."),
    ] = False,
    auth: SignIn = None,
    verbose: Verbose = 0,
) -> Outcome:
    """See within a minute whether the run that holds the lock is dead, and end the lock then; one
    that is alive keeps it, unless you say otherwise."""
    from reconciler.cli import rollback as command
    from reconciler.cli import session
    from reconciler.cli.output import log_to_stderr
    from reconciler.cli.selection import shard_of

    log_to_stderr(verbose)
    if shard:
        shard_of(shard)
    wanted = session.wanted(services, environment, auth)
    return command.unlock(wanted, force, shard, even_if_alive=even_if_alive)


@app.command()
def status(
    services: Services = SERVICES,
    environment: EnvironmentName = None,
    target: Targets = None,
    exclude: Excludes = None,
    label: Labels = None,
    shard: Shard = "",
    since: Since = "",
    auth: SignIn = None,
    output: Output = Format.TEXT,
    parallel: Parallel = None,
    no_color: NoColor = False,
    verbose: Verbose = 0,
) -> Outcome:
    """Show which version each endpoint serves and how it is doing. Sends only GET and HEAD."""
    from reconciler.cli import commands, session
    from reconciler.cli import output as printing

    printing.log_to_stderr(verbose)
    wanted = session.wanted(
        services, environment, auth, _selection(target, exclude, label, shard, since)
    )
    page = printing.Page(output, no_color, verbose)
    return page.deliver(commands.status(wanted, parallel))


@app.command()
def verify(
    services: Services = SERVICES,
    environment: EnvironmentName = None,
    target: Targets = None,
    exclude: Excludes = None,
    label: Labels = None,
    shard: Shard = "",
    since: Since = "",
    auth: SignIn = None,
    output: Output = Format.TEXT,
    parallel: Parallel = None,
    no_color: NoColor = False,
    verbose: Verbose = 0,
) -> Outcome:
    """Prove that each endpoint serves its version: read it back and score its probe."""
    from reconciler.cli import commands, session
    from reconciler.cli import output as printing

    printing.log_to_stderr(verbose)
    wanted = session.wanted(
        services, environment, auth, _selection(target, exclude, label, shard, since)
    )
    page = printing.Page(output, no_color, verbose)
    return page.deliver(commands.verify(wanted, parallel))


@app.command()
def drift(
    services: Services = SERVICES,
    environment: EnvironmentName = None,
    target: Targets = None,
    exclude: Excludes = None,
    label: Labels = None,
    shard: Shard = "",
    since: Since = "",
    auth: SignIn = None,
    output: Output = Format.TEXT,
    out: Annotated[Path | None, typer.Option("--out", help="Write it as JSON too.")] = None,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit 2 when something drifted.")
    ] = False,
    issue: Annotated[
        bool, typer.Option("--issue", help="Open, change or close the one issue about it.")
    ] = False,
    parallel: Parallel = None,
    no_color: NoColor = False,
    verbose: Verbose = 0,
) -> Outcome:
    """Show what was changed outside git. Sends only GET and HEAD to the cloud."""
    from reconciler.ci.drift_issue import told
    from reconciler.cli import commands, session
    from reconciler.cli import output as printing

    printing.log_to_stderr(verbose)
    page = printing.Page(output, no_color, verbose)
    if issue and any((target, exclude, label, shard, since)):
        raise typer.BadParameter("--issue is about the whole environment; select nothing")
    wanted = session.wanted(
        services, environment, auth, _selection(target, exclude, label, shard, since)
    )
    found = commands.drift(wanted, parallel, out, detailed_exitcode)
    return page.deliver(told(found) if issue else found)


@app.command()
def export(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Bindings; else all.")
    ] = None,
    services: Services = SERVICES,
    environment: EnvironmentName = None,
    auth: SignIn = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write one NAME.json per binding.")
    ] = None,
    verbose: Verbose = 0,
) -> Outcome:
    """Write the live state as JSON to keep, diff and plan against; secrets are left out."""
    from reconciler.cli import commands, session
    from reconciler.cli.output import Page, log_to_stderr

    log_to_stderr(verbose)
    wanted = session.wanted(services, environment, auth)
    return Page().deliver(commands.export(wanted, names or [], out))


@app.command()
def report(
    html: Annotated[Path, typer.Option("--html", help="The file to write the page to.")],
    services: Services = SERVICES,
    environment: EnvironmentName = None,
    target: Targets = None,
    exclude: Excludes = None,
    label: Labels = None,
    shard: Shard = "",
    since: Since = "",
    auth: SignIn = None,
    run: Annotated[
        Path | None,
        typer.Option("--report", help="Say what became of this run of `apply --report` too."),
    ] = None,
    parallel: Parallel = None,
    verbose: Verbose = 0,
) -> Outcome:
    """Write a page with plan, endpoints, metrics over time and what was done. Sends only GET and
    HEAD; the page loads nothing."""
    from reconciler.cli import session
    from reconciler.cli.output import Page, log_to_stderr
    from reconciler.cli.report import report as command

    log_to_stderr(verbose)
    wanted = session.wanted(
        services, environment, auth, _selection(target, exclude, label, shard, since)
    )
    return Page().deliver(command(wanted, services, html, run, parallel))


@app.command()
def approved(
    out: Annotated[Path, typer.Option("--out", help="Empty folder to write the plans into.")],
    services: Services = SERVICES,
    environment: EnvironmentName = None,
    branch: Annotated[
        str, typer.Option("--branch", help="Merged into which; else the default branch.")
    ] = "",
    commented: Annotated[
        bool,
        typer.Option("--commented", help="A plan that no comment shows approves nothing."),
    ] = False,
    verbose: Verbose = 0,
) -> Outcome:
    """Fetch the plans that people saw on the pull requests they merged: `apply FOLDER` does no more
    than those say."""
    from reconciler.ci.approved import approved as command
    from reconciler.cli import compose, session
    from reconciler.cli.output import log_to_stderr

    log_to_stderr(verbose)
    found = compose.load(services, *filter(None, [environment]))
    chosen = session.choose(found, environment)
    return command(chosen.environment.name, branch, out, commented=commented)


@app.command()
def snapshot(
    services: Services = SERVICES,
    environment: EnvironmentName = None,
    auth: SignIn = None,
    out: Annotated[Path | None, typer.Option("--out", help="The file; else stdout.")] = None,
    parallel: Parallel = None,
    verbose: Verbose = 0,
) -> Outcome:
    """Write what a plan needs of the live state as one JSON without secrets, for `plan --live`."""
    from reconciler.cli import session
    from reconciler.cli.output import Page, log_to_stderr
    from reconciler.cli.snapshot import snapshot as command

    log_to_stderr(verbose)
    return Page().deliver(command(session.wanted(services, environment, auth), out, parallel))


@app.command()
def comment(
    report: Annotated[
        Path | None,
        typer.Option("--report", help="The plan of `plan --out`, or a report of `apply --report`."),
    ] = None,
    artifact: Annotated[
        str,
        typer.Option("--artifact", help="Else the plan that a run of a fork left under this name."),
    ] = "",
    pr: Annotated[
        int | None,
        typer.Option("--pr", metavar="NUMBER", min=1, help="Which; else the one of the event."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the comment, and send nothing.")
    ] = False,
    verbose: Verbose = 0,
) -> Outcome:
    """Show a plan, or what became of it, on a pull request of GitHub: one comment per environment,
    changed in place."""
    from reconciler.ci.comment import comment as command
    from reconciler.ci.comment import comment_on_fork
    from reconciler.cli.output import Page, log_to_stderr

    log_to_stderr(verbose)
    if report is not None and not artifact:
        return Page().deliver(command(report, pr, dry_run=dry_run))
    if report is not None or not artifact or pr or dry_run:
        raise typer.BadParameter("give --report FILE, or --artifact NAME and nothing else")
    return Page().deliver(comment_on_fork(artifact))


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The artifact.")],
    out: Annotated[Path, typer.Option("--out", help="Where to write the file of that name in it.")],
    branch: Annotated[
        str, typer.Option("--branch", help="Published by a run of it; else the default branch.")
    ] = "",
    verbose: Verbose = 0,
) -> Outcome:
    """Fetch a file that a workflow of the default branch published, such as a snapshot."""
    from reconciler.ci.fetch import fetch as command
    from reconciler.cli.output import log_to_stderr

    log_to_stderr(verbose)
    return command(name, branch, out)


@app.command()
def emulator(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks a free port.")] = 8400,
    state: Annotated[
        Path | None, typer.Option(help="Folder that keeps the world; else it is forgotten.")
    ] = None,
    seed: Annotated[Path | None, typer.Option(help="Seed file for an empty world.")] = None,
    speed: Annotated[
        float, typer.Option(min=0.1, max=1000, help="Jobs and updates run this much faster.")
    ] = 1.0,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate file, for https.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key.")] = None,
) -> Outcome:
    """Serve the emulated Azure ML Studio and Blob storage on 127.0.0.1."""
    from reconciler.cli.emulate import serve

    return serve(port, state, seed, speed, tls_cert, tls_key)


@app.command()
def demo(no_color: NoColor = False) -> Outcome:
    """Watch endpoints converge on the emulator, from seed to healed drift, in about a minute."""
    from reconciler.cli.demo import demo as command

    return command(no_color=no_color)
