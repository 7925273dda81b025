"""The versions of a model and the events at an address: text, Markdown and JSON."""

from __future__ import annotations

from dataclasses import replace

from reconciler.model import PROOFS, Event, History, MadeVersion, VersionState
from reconciler.render.cells import PLAIN, Look, heads
from reconciler.render.documents import CODEC, json_document
from reconciler.render.markdown import escaped, table
from reconciler.render.measures import number
from reconciler.render.times import spent

SCHEMA = "reconciler/history/v1"
_COLORS = {
    VersionState.TRAINED: "green",
    VersionState.TAKEN_IN: "green",
    VersionState.REJECTED: "red",
    VersionState.FAILED: "red",
    VersionState.NOT_ACCEPTED: "yellow",
}


def history_text(history: History, look: Look = PLAIN) -> str:
    """The versions with metrics, jobs and commits, then the events, oldest first."""
    live = history.live or "not known"
    lines = look.lines(f"{history.name} · {history.address} · serves {live}", color="bold")
    lines += ["", *_versions(look, history)] if history.versions else []
    lines += look.lines(_unread(history), color="red", hang=2)
    lines += ["", *_events(look, history)] if history.events else []
    if not history.versions and not history.events:
        lines += ["", *look.lines("Nothing was made or swapped by this program yet.")]
    return "".join(f"{line}\n" for line in lines)


def _versions(look: Look, history: History) -> list[str]:
    """The versions of a model, each with its metrics, its job and what is wrong with it."""
    rows = [
        [f"{made.version}", made.state, _when(made.at, made.commit)] for made in history.versions
    ]
    lines: list[str] = []
    for head, made in zip(heads(look, rows, whole=True), history.versions, strict=True):
        lines += [look.paint(line, _COLORS.get(made.state, "dim")) for line in head]
        lines += look.lines(_metrics(made), 4, hang=2)
        lines += look.lines(_job(made), 4, "dim")
        lines += look.lines(made.why, 4, "yellow")
    return lines


def _events(look: Look, history: History) -> list[str]:
    rows = [[event.at, event.what, event.name, _actor(event)] for event in history.events]
    lines, before = list[str](), ""
    for head, event in zip(heads(look, rows, whole=True), history.events, strict=True):
        said = history.commits.get(event.commit, "") if event.commit != before else ""
        before = event.commit
        lines += [*head, *look.lines(said, 4, "dim")]
        lines += look.lines(event.approval, 4, "dim")
        lines += look.lines(event.why, 4, "dim" if event.what in PROOFS else "yellow")
    return lines


def history_markdown(history: History) -> str:
    """A table of the versions and a table of the events."""
    live = escaped(history.live or "not known")
    parts = [f"## {escaped(history.name)}\n\n{escaped(history.address)} serves {live}."]
    if history.versions:
        heads_ = ["version", "state", "begun", "metrics", "job", "why"]
        parts.append(table(heads_, [_version_row(made) for made in history.versions]))
    if history.unread:
        parts.append(escaped(_unread(history)))
    if history.events:
        heads_ = ["at", "what", "model", "run", "by", "approved by", "commit", "why"]
        parts.append(table(heads_, [_event_row(event) for event in history.events]))
    return "\n\n".join(parts) + "\n"


def _version_row(made: MadeVersion) -> list[str]:
    cells = [made.version, made.state, _when(made.at, made.commit), _metrics(made)]
    return [escaped(cell) for cell in (*cells, _job(made).removeprefix("job "), made.why)]


def _event_row(event: Event) -> list[str]:
    cells = [event.at, event.what, event.name, event.run, event.who]
    cells += [", ".join(map(str, event.approvers)), event.commit[:12], event.why]
    return [escaped(cell) for cell in cells]


def _actor(event: Event) -> str:
    return f"run {event.run}" + (f" by {event.who}" if event.who else "")


def history_json(history: History) -> str:
    """The versions and events as JSON; each event names its model as people do."""
    named = tuple(replace(event, version=event.name) for event in history.events)
    return json_document({"schema": SCHEMA, **CODEC.unstructure(replace(history, events=named))})


def _unread(history: History) -> str:
    return f"not all could be read: {history.unread}" if history.unread else ""


def _when(at: str, commit: str) -> str:
    return f"{at} for commit {commit[:12]}" if commit else at


def _job(made: MadeVersion) -> str:
    waited = spent(made)
    return f"job {made.job}{f' {waited}' if waited else ''}" if made.job else ""


def _metrics(made: MadeVersion) -> str:
    return ", ".join(f"{name} {number(value)}" for name, value in sorted(made.metrics.items()))
