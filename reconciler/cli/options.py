"""Options that several commands share, and how commands are put on the command line.

A command takes a group of options as one frozen value. typer knows single parameters only, so
`command` shows it the fields of each group in the group's place, and makes the group of what it
hands over. typer reads nothing but the signature, which Python lets a function declare.

No `from __future__ import annotations` here: typer would have to compile every annotation again,
which is a fifth of the time of a `--help`. Nothing heavy is imported at the top either.
"""

import functools
import inspect
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from reconciler.auth import Auth
from reconciler.cli.completing import environment_option, globs_option

if TYPE_CHECKING:
    from reconciler.cli.output import Page
    from reconciler.cli.selection import Selection
    from reconciler.outcome import Outcome

EMULATOR_PORT = 8400  # where commands look for an emulator that nobody named
LOCK_TIMEOUT_S = 90.0  # longer than a killed run can hold it


class Format(StrEnum):
    """How a document is printed."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


def two_or_none(versions: list[str] | None) -> list[str] | None:
    """The versions; wrong usage where there is one of them, or more than two."""
    if len(versions or []) not in (0, 2):
        raise typer.BadParameter("name two versions, or none")
    return versions


def reason_given(text: str | None) -> str | None:
    """The reason without blanks around it; wrong usage where it says nothing."""
    if text is not None and not text.strip():
        raise typer.BadParameter("say why; the reason is kept")
    return text and text.strip()


def seconds(age: str) -> float:
    """The seconds of `30m`, `12h` or `7d`; wrong usage for anything else."""
    number, unit = age[:-1], {"m": 60.0, "h": 3600.0, "d": 86400.0}.get(age[-1:])
    if unit is None or not (number.isascii() and number.isdecimal() and len(number) < 7):
        why = "an age is a number of minutes, hours or days: 30m, 12h, 7d"
        raise typer.BadParameter(why, param_hint="--max-age")
    return int(number) * unit


def _force(text: str) -> Any:
    return typer.Option("--force", metavar="REASON", callback=reason_given, help=text)


# --- groups ------------------------------------------------------------------------------------

ServicesOption = Annotated[
    Path,
    typer.Option("--services", "-f", envvar="RECONCILER_SERVICES", help="Folder of desired state."),
]
VerboseOption = Annotated[
    int,
    typer.Option(
        "--verbose", "-v", count=True, help="Show unchanged bindings too; -vv logs requests."
    ),
]
LogOption = Annotated[
    int, typer.Option("--verbose", "-v", count=True, help="Log more; -vv logs requests.")
]
ParallelOption = Annotated[
    int | None,
    typer.Option("--parallel", min=1, max=64, help="Bindings at once (default: limits.parallel)."),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
ForceOption = Annotated[str | None, _force("Override limits and protection; the reason is kept.")]
TwoVersions = Annotated[
    list[str] | None,
    typer.Argument(metavar="A B", callback=two_or_none, help="Versions to compare."),
]
UnlockOption = Annotated[str, _force("Why; kept in the store.")]
PruneOption = Annotated[
    bool,
    typer.Option("--prune", help="Delete what this environment made and git no longer declares."),
]
LockTimeoutOption = Annotated[
    float,
    typer.Option(
        "--lock-timeout",
        metavar="SECONDS",
        min=0,
        help="How long to wait for the lock, or for another shard.",
    ),
]
ReportOption = Annotated[
    Path | None, typer.Option("--report", help="Write the report of the run to this JSON file.")
]
EventsOption = Annotated[
    Path | None,
    typer.Option("--events", metavar="FILE|-", help="Write what happens, as JSON lines."),
]
MetricsOption = Annotated[
    Path | None, typer.Option("--metrics-file", help="Write how it is as OpenMetrics.")
]
ShardOption = Annotated[
    str, typer.Option("--shard", metavar="I/N", help="Only the I-th of N parts, for N runners.")
]
OutOption = Annotated[Path | None, typer.Option("--out", help="Write it as JSON too.")]
NoColorOption = Annotated[bool, typer.Option("--no-color", help="No colours; NO_COLOR works too.")]
OnOption = Annotated[
    str, typer.Option(help="Platform to show; default: the first sample of the emulator.")
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Show what would change, and write nothing.")
]
NoteOption = Annotated[
    bool,
    typer.Option("--note", help="Note in the store when drift was first seen: the one write."),
]
BaseOption = Annotated[
    str,
    typer.Option("--base", metavar="BRANCH", help="Branch to change (default: the default one)."),
]
SERVICES = Path("services")
SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@dataclass(frozen=True)
class Named:
    """Which environment, of which desired state."""

    services: ServicesOption = SERVICES
    environment: Annotated[
        str | None,
        environment_option(
            *("--environment", "-e"),
            envvar="RECONCILER_ENVIRONMENT",
            text="Environment to work on (default: the only one).",
        ),
    ] = None


@dataclass(frozen=True)
class Where(Named):
    """Which environment, and how to sign in to its platforms."""

    auth: Annotated[
        Auth | None,
        typer.Option("--auth", help="How to sign in to Azure (default: `auth` in the YAML)."),
    ] = None


@dataclass(frozen=True)
class Some:
    """Which of its bindings, by name and label."""

    target: Annotated[
        list[str] | None, globs_option("--target", "-t", "Only bindings with such names.")
    ] = None
    exclude: Annotated[
        list[str] | None, globs_option("--exclude", "-x", "No bindings with such names.")
    ] = None
    label: Annotated[
        list[str] | None,
        typer.Option("--label", "-l", metavar="KEY=VALUE", help="Only bindings with this label."),
    ] = None

    def selection(self) -> "Selection":
        """The options as a selection of bindings."""
        from reconciler.cli.selection import Selection

        targets, excludes = tuple(self.target or ()), tuple(self.exclude or ())
        return Selection(targets, excludes, tuple(self.label or ()))


@dataclass(frozen=True)
class Part(Some):
    """Which of its bindings, also by shard or by what a commit changed; and how many at once."""

    shard: ShardOption = ""
    since: Annotated[
        str, typer.Option("--since", metavar="REF", help="Only what changed after this git commit.")
    ] = ""
    parallel: ParallelOption = None

    def selection(self) -> "Selection":
        """The options as a selection of bindings."""
        from dataclasses import replace

        return replace(super().selection(), shard=self.shard, since=self.since)


@dataclass(frozen=True)
class Log:
    """How much is logged."""

    verbose: LogOption = 0

    def page(self) -> "Page":
        """Where a command prints, after the log is told where it goes."""
        from reconciler.cli.output import Page, log_to_stderr

        log_to_stderr(self.verbose)
        return Page(verbose=self.verbose)


@dataclass(frozen=True)
class Printing:
    """How documents are printed."""

    output: Annotated[Format, typer.Option("--output", "-o", help="Format of the document.")] = (
        Format.TEXT
    )
    no_color: NoColorOption = False
    verbose: VerboseOption = 0

    def page(self) -> "Page":
        """Where a command prints, after the log is told where it goes."""
        from reconciler.cli.output import Page, log_to_stderr

        log_to_stderr(self.verbose)
        return Page(self.output, self.no_color, self.verbose)


@dataclass(frozen=True)
class Drifting:
    """Where drift is written to, and what to do about it."""

    out: OutOption = None
    metrics: MetricsOption = None
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit 2 when something drifted.")
    ] = False
    accept: Annotated[bool, typer.Option("--accept", help="Write what drifted into the YAML.")] = (
        False
    )
    note: NoteOption = False
    pull_request: Annotated[
        bool, typer.Option("--pull-request", help="With --accept: propose it on GitHub instead.")
    ] = False
    base: BaseOption = ""
    dry_run: DryRunOption = False


@dataclass(frozen=True)
class Writing:
    """How a command that changes something is let go, and what it leaves behind."""

    yes: YesOption = False
    report: ReportOption = None
    events: EventsOption = None
    metrics: MetricsOption = None
    lock_timeout: LockTimeoutOption = LOCK_TIMEOUT_S

    def page(self, printing: Printing) -> "Page":
        """Where the command prints, and where its events go; on stdout they are alone."""
        from dataclasses import replace

        from reconciler.cli.events import STDOUT, events_to

        page = printing.page()
        if self.events is None:
            return page
        return replace(page, events=events_to(self.events), silent=self.events == STDOUT)


@dataclass(frozen=True)
class Planning:
    """Against what `plan` plans, where it writes, and how strictly it judges."""

    out: Annotated[Path | None, typer.Option("--out", help="Write the plan as JSON too.")] = None
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit 2 when changes are present.")
    ] = False
    live: Annotated[
        Path | None,
        typer.Option("--live", help="Plan against a snapshot or exports, without any credential."),
    ] = None
    max_age: Annotated[
        str,
        typer.Option("--max-age", metavar="AGE", help="Refuse an older snapshot: 30m, 12h, 7d."),
    ] = "7d"
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Judge all, not only what the job's pull request touches."),
    ] = False
    prune: PruneOption = False
    force: ForceOption = None


@dataclass(frozen=True)
class Applying:
    """The limits of what `apply` may do."""

    plan_file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[PLAN]", help="Apply only what this plan of `plan --out` says, or a folder's."
        ),
    ] = None
    expect: Annotated[
        str | None,
        typer.Option("--expect", metavar="DIGEST", help="Apply only the plan with this digest."),
    ] = None
    prune: PruneOption = False
    force: ForceOption = None


# --- commands ----------------------------------------------------------------------------------


class Grouped(TyperGroup):
    """Commands under the titles of their groups, those of sub-commands included."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write each group with one line per command."""
        titled = defaultdict(list)
        for name in self.list_commands(ctx):
            command: Any = self.get_command(ctx, name)
            below = getattr(command, "commands", {})
            for last, entry in below.items() if below else [("", command)]:
                line = entry.get_short_help_str(limit=formatter.width)
                titled[entry.rich_help_panel].append((f"{name} {last}".strip(), line))
        for title, rows in titled.items():
            with formatter.section(title):
                formatter.write_dl(rows)


class _NoCommandError(typer.TyperException):
    """Wrong usage of a group, whose help is the one to ask for."""

    def __init__(self, ctx: typer.Context) -> None:
        super().__init__("no command is given; the help names them")
        self.ctx = ctx


def with_a_command(context: typer.Context) -> None:
    """Wrong usage, with the help, where no command is given."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise _NoCommandError(context)


def command(
    app: typer.Typer, title: str, example: str, name: str | None = None
) -> Callable[[Callable[..., "Outcome"]], Callable[..., "Outcome"]]:
    """Put a function on the command line, under the title of a group, with an example."""

    def put(function: Callable[..., "Outcome"]) -> Callable[..., "Outcome"]:
        epilog = f"Example: {example}"
        app.command(name, rich_help_panel=title, epilog=epilog)(_flat(function))
        return function

    return put


def _flat(function: Callable[..., "Outcome"]) -> Callable[..., "Outcome"]:
    """The function as typer must see it: without groups, their options in their place."""
    signature = inspect.signature(function)
    groups: dict[str, Any] = {
        parameter.name: parameter.annotation
        for parameter in signature.parameters.values()
        if is_dataclass(parameter.annotation)
    }
    parameters, by_name = [], inspect.Parameter.KEYWORD_ONLY
    for parameter in signature.parameters.values():
        if group := groups.get(parameter.name):
            parameters += [
                inspect.Parameter(
                    option.name, by_name, default=option.default, annotation=option.type
                )
                for option in fields(group)
            ]
        else:
            parameters.append(parameter.replace(kind=by_name))

    @functools.wraps(function)
    def called(**given: Any) -> "Outcome":
        for name, group in groups.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in fields(group)})
        return function(**given)

    vars(called)["__signature__"] = signature.replace(parameters=parameters)
    return called
