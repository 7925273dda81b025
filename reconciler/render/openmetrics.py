"""`--metrics-file`: how an environment is, as OpenMetrics text, for a collector of text files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reconciler.model import Action, Change, Plan, Reason

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
STATES = ("in_sync", "pending", "paused", "refused", "unreadable")


def metrics_text(
    environment: str, plan: Plan | None, command: str, exit_code: int, took_s: float, at_s: float
) -> str:
    """The endpoints of the plan that a command ended with, none where it ended before there was
    one; and how it ended, at a Unix time."""
    run = {"environment": environment, "command": command}
    lines = [
        *(_endpoints(plan) if plan is not None else ()),
        *_head("run_exit_code", "How the last run of a command ended."),
        _sample("run_exit_code", run, exit_code),
        *_head("run_duration_seconds", "How long it took.", unit="seconds"),
        _sample("run_duration_seconds", run, round(took_s, 3)),
        *_head("run_timestamp_seconds", "When it ended.", unit="seconds"),
        _sample("run_timestamp_seconds", run, round(at_s, 3)),
    ]
    return "\n".join([*lines, "# EOF", ""])


def _endpoints(plan: Plan) -> Iterator[str]:
    """The samples about endpoints: how many are in each state or drifted, and one for each."""
    environment = {"environment": plan.environment}
    changes = [change for change in plan.changes if change.code != Reason.NOT_DECLARED]
    states = [_state(change) for change in changes]
    yield from _head("endpoints", "Endpoints that git declares, by state.")
    for state in STATES:
        yield _sample("endpoints", {**environment, "state": state}, states.count(state))
    yield from _head("drifted", "Endpoints that were changed outside git.")
    drifted = sum(change.drift is not None for change in changes)
    yield _sample("drifted", environment, drifted)
    yield from _head("endpoint", "The version that is served, and the declared one.", "info")
    for change, state in zip(changes, states, strict=True):
        labels = {
            **environment,
            **{"name": change.name, "kind": change.kind, "address": change.address},
            **{"version": change.before, "declared": change.after, "state": state},
        }
        yield _sample("endpoint_info", labels, 1)


def _state(change: Change) -> str:
    if change.action is Action.BLOCK:
        return "unreadable" if change.code == Reason.UNREADABLE else "refused"
    if change.code == Reason.PAUSED:  # which says nothing about agreement
        return "paused"
    return "in_sync" if change.action is Action.NOOP else "pending"


def _head(name: str, text: str, kind: str = "gauge", unit: str = "") -> Iterator[str]:
    yield f"# HELP reconciler_{name} {text}"
    yield f"# TYPE reconciler_{name} {kind}"
    if unit:
        yield f"# UNIT reconciler_{name} {unit}"


def _sample(name: str, labels: Mapping[str, str], value: float) -> str:
    pairs = ",".join(f'{label}="{text.translate(_ESCAPES)}"' for label, text in labels.items())
    return f"reconciler_{name}{{{pairs}}} {value}"
