"""`report`: an environment as one page of HTML."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from reconciler import __version__, errors, gates, git
from reconciler.ci.comment import read_document
from reconciler.cli import choose, session
from reconciler.cli.options import Part, Where
from reconciler.console import redacted
from reconciler.engine.history import histories
from reconciler.errors import ConfigurationError, redact
from reconciler.model import Desired, History, Observed, Plan, Reason, Report, can_be_kept
from reconciler.outcome import File, Outcome
from reconciler.render import words
from reconciler.render.cells import counted
from reconciler.render.status import status_row
from reconciler.report import Endpoint, Overview, page_html


def report(where: Where, part: Part, out: Path, run: Path | None) -> Outcome:
    """`report`: 0 when everything could be read, 1 otherwise; the page is written in any case."""
    desired = choose.desired(where, part)
    ran = _run(run, desired) if run else None
    session.introduce(desired.environment)
    with session.opened(desired, part.parallel) as opened:
        at = opened.world.moment
        seen = opened.observe()
        observed = seen.observed
        with opened.stop.only_reading():
            pasts = histories(opened.world, observed, opened.width)
        plan = opened.plan_of(seen)
    plan = replace(plan, commit=desired.commit)
    overview = Overview(
        plan,
        endpoints(plan, observed, pasts),
        at,
        f"reconciler {__version__}",
        repository(os.environ, where.services),
        (*plan.notes, *words.destinations(plan)),
        ran,
        desired.environment.options,
    )
    note = f"wrote {out}: {counted(len(plan.changes), 'endpoint')}, plan {plan.digest}"
    file = File("html-file", out, redact(page_html(redacted(overview))), note)
    unreadable = any(change.code == Reason.UNREADABLE for change in plan.changes)
    unread = unreadable or any(past.unread for past in pasts)
    return Outcome(exit_code=errors.ERROR if unread else errors.SUCCESS, files=(file,))


def endpoints(
    plan: Plan, observed: Sequence[Observed], pasts: Sequence[History]
) -> tuple[Endpoint, ...]:
    """The endpoints of the page, in the order in which they were observed."""
    changes = {change.address: change for change in plan.changes}
    members = []
    for seen, history in zip(observed, pasts, strict=True):
        binding, change = seen.binding, changes[str(seen.binding.address)]
        members.append(
            Endpoint(
                row=status_row(change, seen.live, seen.health),
                change=change,
                history=history,
                model=binding.version.model,
                arguments=", ".join(f"{k}={v}" for k, v in binding.version.arguments),
                keeps=can_be_kept(seen, change),
                bounds=tuple((r, gates.bound(r, seen.live_metrics)) for r in binding.accept),
            )
        )
    return tuple(members)


def _run(path: Path, desired: Desired) -> Report:
    """The report of a run of this environment; ConfigurationError if the file is none."""
    document = read_document(path)
    if not isinstance(document, Report):
        why = "a plan, not a report; `apply --report` writes one"
        raise ConfigurationError.of_file(path, why)
    name = desired.environment.name
    if document.plan.environment != name:
        there = document.plan.environment
        why = f"the report of a run in {there}, not in {name}; give that of {name}"
        raise ConfigurationError.of_file(path, why)
    return document


# --- where commits can be read -------------------------------------------------------------


def repository(environ: Mapping[str, str], services: Path) -> str:
    """The https URL of the repository around the services, else of the job's; "" if none."""
    try:
        done = git.run(services, "remote", "get-url", "origin")
    except ConfigurationError:
        url = ""
    else:
        url = "" if done.returncode else web_url(os.fsdecode(done.stdout).strip())
    name = environ.get("GITHUB_REPOSITORY")
    if url or not name:
        return url
    return web_url(f"{environ.get('GITHUB_SERVER_URL') or 'https://github.com'}/{name}")


def web_url(remote: str) -> str:
    """Where people read what a remote of git holds: https, without a user; "" where that is not."""
    if scp := re.fullmatch(r"(?:[^@/\s]+@)?([A-Za-z0-9.-]+):(?!/)(\S+)", remote):
        remote = f"https://{scp[1]}/{scp[2]}"
    try:
        parts = urlsplit(remote)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    if parts.scheme not in ("https", "ssh") or not re.fullmatch(r"[A-Za-z0-9.-]+", host):
        return ""
    path = parts.path.rstrip("/").removesuffix(".git")
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", path):
        return ""
    return f"https://{host}{f':{port}' if port and parts.scheme == 'https' else ''}{path}"
