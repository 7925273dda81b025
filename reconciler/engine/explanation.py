"""Pure: what the store remembers of a binding -> why it serves what it serves, and how two of its
versions differ."""

from __future__ import annotations

from typing import Any

from reconciler import gates
from reconciler.errors import ConfigurationError
from reconciler.model import PROOFS, Binding, Compared, EventKind, Explanation, History, MadeVersion
from reconciler.model.differences import differences

_BROUGHT = (EventKind.CREATE, EventKind.SWAP, EventKind.ROLL_BACK)
_COMPARED = ("engine", "place", "parameters", "how", "outputs", "code")


def explanation(history: History, binding: Binding) -> Explanation:
    """Which version serves, since when, and how it came to that."""
    events, made = history.events, {version.version: version for version in history.versions}
    served = made.get(history.live)
    since = next((e for e in reversed(events) if e.what in _BROUGHT), None)
    if since is not None and since.name != history.live:
        since = None  # it was changed outside git, or a run died: nobody noted when
    earlier = events[: events.index(since)] if since is not None else ()
    proofs = [e for e in events if e.what in PROOFS]
    proof = next((e for e in reversed(proofs) if e.name == history.live), None)
    former = next((e.name for e in reversed(earlier) if e.what in PROOFS), "")
    against = made[former].metrics if former in made and former != history.live else None
    return Explanation(
        name=history.name,
        address=history.address,
        live=history.live,
        declared=binding.version.version,
        made=served,
        since=since,
        proof=proof,
        gates=gates.judge(binding.accept, served.metrics, against, served.rows) if served else (),
        before=tuple(e for e in events if e not in (since, proof)),
        unread=history.unread,
        commits=history.commits,
    )


def comparison(history: History, old: str, new: str) -> Compared:
    """Where two versions differ; ConfigurationError if the store does not have one of them."""
    made = {entry.version: entry for entry in history.versions}
    if unknown := [version for version in (old, new) if version not in made]:
        known = ", ".join(made) or "none"
        why = f"; not all could be read: {history.unread}" if history.unread else ""
        raise ConfigurationError(
            f"{history.name} has no version {', '.join(unknown)}; there is: {known}{why}"
        )
    before, after = _compared(made[old]), _compared(made[new])
    return Compared(history.name, made[old], made[new], differences(before, after, ""))


def _compared(made: MadeVersion) -> dict[str, Any]:
    data = {
        name: {"file": path, "fingerprint": made.inputs.get(path, "")}
        for name, path in made.recipe["inputs"].items()
    }
    how = {name: made.recipe[name] for name in _COMPARED}
    return {"commit": made.commit, **how, "data": data, "metrics": dict(made.metrics)}
