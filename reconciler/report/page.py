"""The page: one file that loads nothing, asks nobody, and runs only the script that it names.

Everything that comes from YAML, the store or a service passes `visible`, which shows what would
hide or turn text around, and then Jinja's escaping, which is always on.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import re
from collections import Counter
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from reconciler.model import HealthCode, VersionState
from reconciler.render import fleets as walk
from reconciler.render import words
from reconciler.render.causes import BEFORE, by_cause, causes
from reconciler.render.cells import counted, visible
from reconciler.render.risk import risk
from reconciler.render.status import Sync, Wrong
from reconciler.render.times import duration
from reconciler.report import overview as parts
from reconciler.report.figures import figures, spanned
from reconciler.report.overview import Overview

SYNC = {
    Sync.SYNCED: ("good", "✓", "in sync"),
    Sync.OUT_OF_SYNC: ("warn", "≠", "out of sync"),
    Sync.UNKNOWN: ("bad", "?", "unknown"),
}
HEALTH = {
    HealthCode.HEALTHY: ("good", "✓"),
    HealthCode.PROGRESSING: ("busy", "…"),
    HealthCode.DEGRADED: ("bad", "✗"),
    HealthCode.MISSING: ("bad", "✗"),
    HealthCode.UNKNOWN: ("bad", "?"),
}
STATES = {
    VersionState.TRAINED: "good",
    VersionState.TAKEN_IN: "good",
    VersionState.BEGUN: "busy",
    VersionState.CLAIMED: "busy",
    VersionState.NOT_ACCEPTED: "warn",
}
WRONG = {
    Wrong.FAILED: ("bad", "✗"),
    Wrong.DRIFTED: ("warn", "↯"),
    Wrong.UNREADABLE: ("bad", "?"),
    Wrong.REFUSED: ("bad", "!"),
    Wrong.WAITING: ("busy", "…"),
    Wrong.TO_APPLY: ("busy", "≠"),
}
MOST_LISTED = 30  # members or fields of one change
MOST_CHARTED = 40  # models
TONES = {"red": "bad", "cyan": "busy", "green": "good", "yellow": "warn", "dim": "calm"}
DONE = {"proof": "good", "swap": "busy", "roll back": "bad", parts.DRIFT: "warn"}


def page_html(overview: Overview) -> str:
    """The page of an environment."""
    css, js = _file("page.css"), _file("page.js")
    now, before = by_cause(filter(words.worth_showing, overview.plan.changes))
    alarms = parts.alarms(overview.options or f"-e {overview.plan.environment}", overview.endpoints)
    # Nothing is loaded from anywhere, and only the two blocks that stand here run.
    policy = (
        f"default-src 'none'; style-src '{_hash(css)}'; script-src '{_hash(js)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        _environment()
        .get_template("page.html")
        .render(
            css=Markup(css),
            js=Markup(js),
            policy=policy,
            overview=overview,
            plan=overview.plan,
            in_sync=sum(
                e.row.sync is Sync.SYNCED and e.row.wrong is None for e in overview.endpoints
            ),
            planned=[("", walk.fleets(now)), (BEFORE, walk.fleets(before))],
            causes=causes(overview.plan),
            alarms=alarms,
            wrong=Counter(alarm.what for alarm in alarms for _ in alarm.names),
            groups=parts.grouped(overview.endpoints),
            models=parts.models(overview.endpoints),
            done=parts.done(overview.endpoints),
            drifted=[endpoint.row.name for endpoint in overview.endpoints if endpoint.row.drifted],
            run=overview.run,
            limits={"done": parts.MOST_DONE, "charted": MOST_CHARTED, "listed": MOST_LISTED},
        )
    )


def _file(name: str) -> str:
    place = importlib.resources.files("reconciler.report") / "templates" / name
    return place.read_text(encoding="utf-8")


def _hash(text: str) -> str:
    # By SHA-384: a SHA-256 in base64 has the shape of a key, and redaction would take it out.
    return "sha384-" + base64.b64encode(hashlib.sha384(text.encode()).digest()).decode()


@cache
def _environment() -> Environment:
    """The Jinja environment with the filters of the page; escaping is always on."""
    made = Environment(
        loader=PackageLoader("reconciler.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    made.filters |= {"moment": _moment, "commit": _commit, "spanned": spanned, "duration": duration}
    made.globals |= {
        "words": words,
        "walk": walk,
        "risk": risk,
        "tones": TONES,
        "verdicts": {"✓": "good", "✗": "bad"},
        "counted": counted,
        "figures": lambda model, id: [
            (figure, Markup(figure.svg)) for figure in figures(model, id)
        ],
        "last_proof": parts.last_proof,
        "wrongs": WRONG,
        "sync": SYNC,
        "health": HEALTH,
        "state_tones": STATES,
        "done_tones": DONE,
    }
    return made


def _shown(value: Any) -> Any:
    """The value as it is printed: without anything that hides or turns text around."""
    return visible(value) if type(value) is str else value


_STAMP = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d):\d\dZ")
_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def _moment(stamp: str) -> Markup:
    """A moment for people and for programs; anything else as it is."""
    match = _STAMP.fullmatch(stamp)
    if not match:
        return escape(visible(stamp))
    text = f"{match[1]} {match[2]}"
    return Markup('<time datetime="{}">{}&nbsp;UTC</time>').format(stamp, text)


def _commit(sha: str, repository: str) -> Markup:
    """A commit by its first twelve digits, with a link to where it can be read."""
    short = Markup("<code>{}</code>").format(visible(sha[:12]))
    if not repository.startswith("https://") or not _SHA.fullmatch(sha):
        return short
    return Markup('<a href="{}/commit/{}">{}</a>').format(repository, sha, short)
