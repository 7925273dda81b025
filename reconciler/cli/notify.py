"""`notify` of an environment: a message to a webhook about what went wrong, or right again.

It never fails a run: a webhook that hangs, redirects or refuses is said on stderr, and that is all.
The URL is a secret as a whole, and its server must be bound by RECONCILER_ORIGINS beside it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

from reconciler import errors
from reconciler.console import say
from reconciler.errors import ReconcilerError, redact, remember_secret
from reconciler.http.client import Http
from reconciler.http.credentials import resolve_all
from reconciler.http.origins import Origins, bound_origins
from reconciler.model import Cause, Environment, NoticeForm, Notify, Plan, Report

SCHEMA = "reconciler/notice/v1"
TIMEOUT_S = (5.0, 10.0)
MOST_LINES = 20
INTERRUPTED = (errors.HANGUP, errors.INTERRUPTED, errors.TERMINATED)


def of_run(report: Report, planned: Plan | None) -> Iterator[tuple[str, str, str]]:
    """The events of a run worth a message: what happened, the binding, and the words."""
    failed = {failure.name for failure in report.failures}
    back = {proof.name: proof for proof in report.proofs if proof.rolled_back}
    for name, proof in back.items():
        yield "rolled back", name, f"{proof.model} serves again"
    for failure in report.failures:
        yield "failed", failure.name, failure.message
    for held in report.held:
        if held.why:
            yield "spared", held.name, f"{held.version} was not given to it: {held.why}"
    done = set(report.done)
    proved = {proof.address for proof in report.proofs if proof.proved and not proof.rolled_back}
    for change in planned.changes if planned is not None else ():
        if change.name in failed:
            continue
        if change.drift is not None and change.address in done:
            yield "healed", change.name, f"it had {change.drift}"
        elif change.cause is Cause.FAILED and change.address in proved:
            yield "recovered", change.name, f"it is proved now; the plan said: {change.why}"


def of_interrupted(name: str, report: Report | None, error: str) -> tuple[str, str, str]:
    """The event of a run that a signal ended: also what it changed and did not prove."""
    from reconciler.render import words

    left = words.unproved(report) if report is not None else []
    named = [f"{binding}: {reached}" for binding, _, reached in left[:MOST_LINES]]
    more = [f"and {len(left) - MOST_LINES:,} more"] if len(left) > MOST_LINES else []
    why = (words.stopped(report) if report is not None else "") or f"the run was {error}"
    return "interrupted", name, "; ".join([why.rstrip("."), *named, *more])


def of_drift(plan: Plan) -> Iterator[tuple[str, str, str]]:
    """The events of a drift, likewise."""
    for change in plan.changes:
        if change.drift is not None:
            yield "drifted", change.name, str(change.drift)


def notify(environment: Environment, command: str, news: Iterable[tuple[str, str, str]]) -> None:
    """Post the message where the environment wants it and there is something to tell."""
    events, wanted = list(news), environment.notify
    if wanted is None or not events:
        return
    try:
        url = webhook(wanted)
        with Http(threads=1, retries=1, timeout_s=TIMEOUT_S) as http:
            body = _BODIES[wanted.form](environment.name, command, events)
            http.request("POST", url, json=body)
    except ReconcilerError as exc:
        say(f"nobody was notified: {exc.message}")


def notify_within(
    seconds: float, environment: Environment, command: str, news: Iterable[tuple[str, str, str]]
) -> None:
    """Post the message of a process that a signal ends, for no longer than that.

    Another thread posts it: the one that the signal interrupted may hold what a request needs.
    """
    work = (environment, command, list(news))
    thread = threading.Thread(target=notify, args=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        say(f"nobody was notified: the webhook did not answer within {seconds:g} s")


def webhook(wanted: Notify) -> str:
    """The URL of a webhook; ReconcilerError where it is not set, or must not be told."""
    url = resolve_all([wanted.url], os.environ)[wanted.url.variable]
    Origins(f"the message of {wanted.url.variable}").also(bound_origins(os.environ)).check(url)
    remember_secret(urlsplit(url).path)  # of what is no URL, this would raise ValueError
    return url


def _json(environment: str, command: str, events: list[tuple[str, str, str]]) -> dict[str, Any]:
    entries = [{"what": what, "name": name, "message": redact(text)} for what, name, text in events]
    return {"schema": SCHEMA, "environment": environment, "command": command, "events": entries}


def _slack(environment: str, command: str, events: list[tuple[str, str, str]]) -> dict[str, Any]:
    text = "\n".join(_lines(environment, command, events))
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return {"text": text, "mrkdwn": False, "unfurl_links": False, "unfurl_media": False}


def _teams(environment: str, command: str, events: list[tuple[str, str, str]]) -> dict[str, Any]:
    """A card of plain runs of text: in a `TextBlock`, words of others could be links."""
    runs = ({"type": "TextRun", "text": line} for line in _lines(environment, command, events))
    blocks = [{"type": "RichTextBlock", "inlines": [run]} for run in runs]
    card = {"type": "AdaptiveCard", "version": "1.4", "body": blocks}
    kind = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": kind, "content": card}]}


def _lines(environment: str, command: str, events: list[tuple[str, str, str]]) -> list[str]:
    """A line for each event; none can be forged, nor turned around, by what an event tells."""
    from reconciler.render.cells import visible

    told = [(name, what, redact(text).split("\n")) for what, name, text in events[:MOST_LINES]]
    lines = [visible(f"• {name} {what}: {'; '.join(text)}") for name, what, text in told]
    if len(events) > MOST_LINES:
        lines.append(f"• and {len(events) - MOST_LINES:,} more")
    return [f"{environment}: reconciler {command}", *lines]


_BODIES = {NoticeForm.JSON: _json, NoticeForm.SLACK: _slack, NoticeForm.TEAMS: _teams}
