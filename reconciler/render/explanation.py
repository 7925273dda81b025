"""Why an endpoint serves what it serves, and how two versions differ: text, Markdown and JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from reconciler.model import Compared, Event, EventKind, Explanation, MadeVersion, VersionState
from reconciler.render.cells import PLAIN, Look
from reconciler.render.documents import CODEC, json_document
from reconciler.render.markdown import bullets, diff_lines, escaped, fenced
from reconciler.render.measures import gate, number
from reconciler.render.times import duration, spent

EXPLANATION = "reconciler/explanation/v1"
COMPARISON = "reconciler/comparison/v1"
_MOST_BEFORE = 10
_HOW = {
    EventKind.CREATE: "created the endpoint with it",
    EventKind.SWAP: "swapped it in",
    EventKind.ROLL_BACK: "rolled back to it",
}


def explanation_text(why: Explanation, look: Look = PLAIN) -> str:
    """Sentences: what serves, how it was made, judged and proved, and what happened before."""
    lines = look.lines(f"{why.name} · {why.address}", color="bold")
    for sentence in _sentences(why):
        lines += look.lines(sentence, hang=2)
    if why.before:
        lines += ["", *look.lines(_title(why))]
    for event in _before(why):
        lines += look.lines(event, 2, hang=2)
    return "".join(f"{line}\n" for line in lines)


def explanation_markdown(why: Explanation) -> str:
    """These sentences as a list."""
    parts = [f"## {escaped(why.name)}", escaped(why.address)]
    parts.append("\n".join(bullets(_sentences(why))))
    if why.before:
        parts += [escaped(_title(why)), "\n".join(bullets(_before(why)))]
    return "\n\n".join(parts) + "\n"


def explanation_json(why: Explanation) -> str:
    """All that the sentences say, and every event."""
    since, proof = map(_named, (why.since, why.proof))
    before = tuple(replace(event, version=event.name) for event in why.before)
    named = replace(why, since=since, proof=proof, before=before)
    return json_document({"schema": EXPLANATION, **CODEC.unstructure(named)})


def _named(event: Event | None) -> Event | None:
    return event and replace(event, version=event.name)


def comparison_text(compared: Compared, look: Look = PLAIN) -> str:
    """The lines that go with the old version and come with the new one."""
    lines = look.lines(_compared(compared), color="bold")
    for line in diff_lines(compared.differences):
        lines += look.lines(line, 2, "red" if line.startswith("-") else "green", hang=2)
    return "".join(f"{line}\n" for line in lines)


def comparison_markdown(compared: Compared) -> str:
    """The comparison as a diff."""
    diff = "\n".join(fenced(diff_lines(compared.differences))) if compared.differences else ""
    return "\n\n".join(filter(None, [escaped(_compared(compared)), diff])) + "\n"


def comparison_json(compared: Compared) -> str:
    """Both versions in whole, and each difference."""
    return json_document({"schema": COMPARISON, **CODEC.unstructure(compared)})


def _compared(compared: Compared) -> str:
    old, new = compared.old.version, compared.new.version
    none = "" if compared.differences else ": no recorded difference"
    return f"{compared.name}: from {old} to {new}{none}"


# --- sentences ---------------------------------------------------------------------------------


def _sentences(why: Explanation) -> Iterator[str]:
    """The explanation, sentence by sentence: what serves, how it was made, and why it may serve."""
    yield from _serves(why)
    if why.made is not None:
        yield from _made(why.made, why.commits)
    elif why.live:
        yield "The store has no manifest of this version, so its origin is unknown."
    if why.gates:
        yield f"Gates that git declares now: {'; '.join(map(gate, why.gates))}."
    if why.proof is not None:
        declared = why.proof.what is EventKind.DECLARED
        how = why.proof.why or "no answer is on record"
        how += "; nothing showed which model answers" if declared else ""
        proved = "Declared only" if declared else "Proved"
        yield f"{proved} at {why.proof.at} by {_actor(why.proof, why.commits)}: read back; {how}."
    elif why.live:
        yield "No proof of this version is on record."
    if why.unread:
        yield f"Not all versions could be read: {why.unread}."


def _serves(why: Explanation) -> Iterator[str]:
    """Which version serves, since when, and through which event."""
    if not why.live:
        yield "No version is known to serve."
    elif why.since is None:
        yield f"Version {why.live} serves; the records do not say since when."
    else:
        reason = f" ({why.since.why})" if why.since.why else ""
        how = f"{_actor(why.since, why.commits)} {_HOW[why.since.what]}{reason}"
        since = "has served since" if why.proof is not None else "was put there at"
        yield f"Version {why.live} {since} {why.since.at}: {how}."
    if why.live != why.declared:
        yield f"Git declares {why.declared}."
    if why.drift is not None:
        now = "".join(f"; {d.path} is {d.after or 'gone'} now" for d in why.drift.fields)
        yield f"It {why.drift}{now}."


def _made(made: MadeVersion, commits: Mapping[str, str]) -> Iterator[str]:
    """How the version was made: by which run and job, from which data, with which metrics."""
    yield f"Run {made.run} claimed this version at {made.at}{_commit(made.commit, commits)}."
    ended_well = made.state in (VersionState.TRAINED, VersionState.TAKEN_IN)
    if made.made_at:
        took = f" in {duration(made.took_s)}" if made.took_s is not None else ""
        job = f" by job {made.job}" if made.job else ""
        engine = " of ".join(filter(None, (made.recipe.get("place"), made.recipe.get("engine"))))
        done = made.state if ended_well else "made"
        yield f"It was {done}{took}{job} ({engine}), and was ready at {made.made_at}."
        if waited := spent(made):
            yield f"Its job {waited}."
    if not ended_well:
        why = f": {made.why}" if made.why else ""
        yield f"It is {made.state}{why}."
    inputs = made.recipe.get("inputs", {})
    seen = {path: f" (fingerprint {print_})" for path, print_ in made.inputs.items()}
    files = [f"{name} {path}{seen.get(path, '')}" for name, path in inputs.items()]
    if files:
        yield f"Data: {', '.join(files)}."
    if parameters := made.recipe.get("parameters"):
        yield f"Parameters: {', '.join(f'{k} {v}' for k, v in parameters.items())}."
    if made.metrics:
        metrics = (f"{name} {number(value)}" for name, value in sorted(made.metrics.items()))
        yield f"Metrics: {', '.join(metrics)}."


def _title(why: Explanation) -> str:
    earlier = len(why.before) - _MOST_BEFORE
    more = f" (the last {_MOST_BEFORE} of {len(why.before)})" if earlier > 0 else ""
    return f"Earlier events, oldest first{more}:"


def _before(why: Explanation) -> Iterator[str]:
    for event in why.before[-_MOST_BEFORE:]:
        reason = f": {event.why}" if event.why else ""
        yield f"{event.at} {event.what} {event.name}, {_actor(event, why.commits)}{reason}"


def _actor(event: Event, commits: Mapping[str, str]) -> str:
    who = f" of {event.who}" if event.who else ""
    approval = f", {event.approval}" if event.approval else ""
    return f"run {event.run}{who}{_commit(event.commit, commits)}{approval}"


def _commit(commit: str, commits: Mapping[str, str]) -> str:
    """` at commit 0123456789ab (Merge pull request #7 …, by Ada)`; "" where none is known."""
    said = f" ({commits[commit]})" if commit in commits else ""
    return f" at commit {commit[:12]}{said}" if commit else ""
