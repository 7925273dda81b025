"""Pure: the one definition of drift; `drift`, `plan`, `status`, the page and the issue all ask it.

The evidence is the record of the last proof. A field that differs from it *and* from git was
changed outside git. A merged change that still waits, an endpoint that this program deleted, and an
update under way are no drift. Where this program never did anything there is no record. Of such an
endpoint that is paused, git is the evidence: `import` wrote what was live, and no apply changes it.

And what a change comes from, drift among other things.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import replace

from reconciler.model.desired import Binding
from reconciler.model.observed import HealthCode, Live, Observed
from reconciler.model.plan import Action, Change, Drift, FieldDiff, Plan
from reconciler.model.reasons import Cause, Reason
from reconciler.model.records import Record

SETTINGS = "settings."  # how the names of a binding's own settings begin
OWNER, OURS = "owner", "this environment"  # the mark, as people see it beside the settings
UNSHOWN = "another value"  # than git's, of a setting whose value may be a secret
# What an earlier run began or tried, whatever is declared.
_BEGUN = (Reason.TRAINING, Reason.UPDATING, Reason.UNPROVED, Reason.CREATED, Reason.RETIRE)
_FAILED = (
    *(Reason.UNREADABLE, Reason.ROLL_BACK, Reason.REJECTED, Reason.RETRY),
    *(Reason.TRAINING_FAILED, Reason.OVERDUE),
)


def drifted(observed: Observed) -> Drift | None:
    """The drift at an address, and since which proof; None where there is none."""
    record, live, binding = observed.record, observed.live, observed.binding
    if binding.absent or live.health.code in (HealthCode.UNKNOWN, HealthCode.PROGRESSING):
        return None
    if record is None:
        drift = Drift(tuple(_left_alone(observed)) if binding.paused else (), "")
    elif not record.proved_at or record.deleted:
        return None
    elif fields := tuple(_fields(observed, record, live)):
        run = record.proved_by.run if record.proved_by else ""
        drift = Drift(fields, record.proved_at, record.declared_only, run)
    else:
        return None
    if not drift.fields:
        return None
    first = observed.sighting
    if first is None or not first.goes_on(last_deed(observed), drift):
        return drift
    return replace(drift, seen_at=first.at, seen_by=first.run)


def last_deed(observed: Observed) -> str:
    """When this program last did something at the endpoint, and by which run, as two may do so in
    one second; "" where no record says so."""
    record = observed.record
    if record is None:
        return ""
    last = record.history[-1] if record.history else None
    return f"{last.at} {last.run}" if last is not None else record.at


def sayable(observed: Observed, field: FieldDiff) -> bool:
    """Whether git can say the live value of a field that drifted: a version that is known here, or
    a setting that it declares."""
    if field.path == "model":
        return field.after is not None and bool(observed.live_version)
    declared = {f"{SETTINGS}{name}" for name, _ in observed.binding.settings}
    return field.path in declared and field.after not in (None, UNSHOWN)


def can_be_kept(observed: Observed, change: Change) -> bool:
    """Whether git can say any of what drifted."""
    fields = change.drift.fields if change.drift is not None else ()
    return any(sayable(observed, field) for field in fields)


def _left_alone(observed: Observed) -> Iterator[FieldDiff]:
    """The fields that differ from git, as far as the platform tells: the version that serves, and
    settings of it."""
    binding, live, now = observed.binding, observed.live, observed.live_version
    if live.health.code is HealthCode.MISSING:
        if binding.create is None:  # else it may wait to be made
            yield FieldDiff("model", binding.version.version, None)
        return
    if now not in ("", binding.version.version):
        yield FieldDiff("model", binding.version.version, now)
    unclear = live.served is None and not live.hidden  # then settings of no model are shown
    for field in settings_diffs(observed):
        if field.path.startswith(SETTINGS) and (field.before or not unclear):
            yield FieldDiff(field.path, field.after, field.before)


def _fields(observed: Observed, record: Record, live: Live) -> Iterator[FieldDiff]:
    """The owned fields that are not as they were when this program left the endpoint."""
    if live.health.code is HealthCode.MISSING:
        yield FieldDiff("model", observed.proved_version, None)
        return
    expected = {observed.artifact.ref, record.good}
    if not record.proved:  # a swap that was cut off may have come through
        expected.add(record.wanted)
    if live.served not in expected and (live.served is not None or live.model_text):
        yield FieldDiff("model", observed.proved_version, observed.live_name)
    if live.configured is not None and live.configured not in expected:
        yield FieldDiff("configured model", observed.proved_version, live.configured.url)
    if live.refusal is not None and live.refusal.flag:  # it was writable when it was proved
        yield FieldDiff(live.refusal.flag, "false", "true")
    proved = dict(record.settings)
    for name, (now, declared) in owned_settings(observed.binding, live).items():
        if now not in (declared, proved.get(name, now)):
            yield FieldDiff(name, proved[name], now)


def owned_settings(binding: Binding, live: Live) -> dict[str, tuple[str, str]]:
    """By name, each setting that git owns: as it is, and as it is declared; also the mark that is
    missing, and the protection that our own mark keeps."""
    now = {f"{SETTINGS}{name}": value for name, value in live.settings}
    if live.ours:
        now["protect"] = str(live.protected).lower()
    declared = {f"{SETTINGS}{name}": value for name, value in binding.settings}
    if binding.create is not None and "protect" in now:
        declared["protect"] = str(binding.protect).lower()
    if live.unmarked:
        declared[OWNER] = OURS
    return {name: (now.get(name, ""), value) for name, value in sorted(declared.items())}


def settings_to_keep(binding: Binding, live: Live) -> tuple[tuple[str, str], ...]:
    """The owned settings with their live values, by the names that a record keeps and people see.
    Other settings change outside git without drift, also those that git owns later."""
    return tuple((name, now) for name, (now, _) in owned_settings(binding, live).items())


def settings_diffs(observed: Observed) -> tuple[FieldDiff, ...]:
    """By name, the owned settings that differ from what is declared."""
    owned = owned_settings(observed.binding, observed.live)
    return tuple(
        FieldDiff(name, now or None, declared)
        for name, (now, declared) in owned.items()
        if now != declared
    )


# --- what a change comes from ------------------------------------------------------------------


def cause_of(observed: Observed, change: Change) -> Cause:
    """The cause of a change, as the endpoint's record and the version's manifest show it."""
    record, drift, action, code = observed.record, change.drift, change.action, change.code
    proved = record is not None and record.proved_at != "" and record.good == observed.artifact.ref
    restores = action is Action.CREATE and code == Reason.ROLL_BACK
    if drift is not None and (proved or restores or action is Action.NOOP):
        return Cause.DRIFT
    if action is Action.NOOP:
        return Cause.NOTHING
    refused = code == Reason.GATE and bool(observed.artifact.refused)
    if code in _FAILED or refused or (action is Action.BIND and observed.failed is not None):
        return Cause.FAILED
    if code in _BEGUN:
        return Cause.BEGUN
    return Cause.REFUSED if proved and action is Action.BLOCK else Cause.CHANGE


def caused_since(plan: Plan, untouched: AbstractSet[str]) -> Plan:
    """The plan with what its changes come from, compared with a base commit: what that does not
    leave untouched is caused by the change."""

    def caused(name: str, action: Action, cause: Cause) -> Cause:
        if cause is Cause.NOTHING or action is Action.NOOP:
            return cause
        if name not in untouched:
            return Cause.CHANGE
        if cause is not Cause.CHANGE:
            return cause
        return Cause.REFUSED if action is Action.BLOCK else Cause.BEGUN

    changes = (replace(c, cause=caused(c.name, c.action, c.cause)) for c in plan.changes)
    return replace(plan, changes=tuple(changes))
