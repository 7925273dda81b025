"""The words for changes, proofs and runs that text, Markdown and the page share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from reconciler.model import (
    GIVEN,
    KEPT_IN,
    MADE_FROM,
    READ_FROM,
    REGISTERED_AT,
    TOUCHED,
    TRAINED_AT,
    TRAINED_WITH,
    Action,
    Change,
    FieldDiff,
    HealthCode,
    Plan,
    Proof,
    Reached,
    Reason,
    Report,
)
from reconciler.render.cells import alike, counted, few, listed
from reconciler.render.times import duration, trainings

ORDER = (
    Action.BLOCK,
    Action.TRAIN,
    Action.CREATE,
    Action.BIND,
    Action.UPDATE,
    Action.WAIT,
    Action.DELETE,
    Action.NOOP,
)
COLORS = {
    Action.BLOCK: "red",
    Action.TRAIN: "cyan",
    Action.CREATE: "green",
    Action.BIND: "yellow",
    Action.UPDATE: "yellow",
    Action.WAIT: "dim",
    Action.DELETE: "red",
    Action.NOOP: "dim",
}
MOST_HELD = 3  # names of endpoints that wait, or were spared
_SIGNALS = {1: "SIGHUP", 2: "SIGINT", 15: "SIGTERM"}
_COUNTED = {
    Action.TRAIN: "to train and bind",
    Action.CREATE: "to create",
    Action.BIND: "to bind",
    Action.UPDATE: "to update",
    Action.WAIT: "to wait for",
    Action.DELETE: "to delete",
}


# --- plans ---------------------------------------------------------------------------------


def in_order(changes: Iterable[Change]) -> list[Change]:
    """The changes: first those that need a person, last those with nothing to do."""
    return sorted(changes, key=lambda change: ORDER.index(change.action))


def what(change: Change) -> str:
    """The action in words: `train, then bind`, `refused: default_endpoint`, `bind
    (drifted)`."""
    words = f"{_what(change)} (drifted)" if change.drift is not None else _what(change)
    wave = change.wave
    return f"{words}, wave {wave.number} of {len(wave.sizes)}" if wave is not None else words


def _what(change: Change) -> str:
    """The action in words; of what is left alone, why it is."""
    match change.action:
        case Action.BLOCK:
            plain = change.code in (Reason.UNREADABLE, Reason.REFUSED)
            return str(change.code) if plain else f"refused: {change.code}"
        case Action.WAIT:
            return "prove" if change.code == Reason.UNPROVED else f"wait: {change.code}"
        case Action.TRAIN:
            return f"{_made(change)}, then bind"
        case Action.CREATE:
            return f"{_made(change)}, then create" if change.trains else "create"
        case Action.UPDATE:
            return "mark as owned" if change.code == Reason.UNMARKED else "update settings"
        case Action.NOOP:
            return _LEFT.get(change.code, "in sync")
        case action:
            return action.name.lower()


def _made(change: Change) -> str:
    if REGISTERED_AT in change.terms:
        return "take the version in"
    return "take the file in" if change.takes else "train"


_LEFT: dict[str, str] = {
    Reason.PAUSED: "paused",
    Reason.NOT_DECLARED: "undeclared",
    Reason.ABSENT: "absent, as declared",
}


def nothing_to_do(plan: Plan) -> str:
    """The sentence about a plan whose every change is NOOP; "" about any other plan."""
    if not plan.converged:
        return ""
    if not plan.changes:
        return "Nothing to do."  # no bindings, or `drift` has left out those that wait for `apply`
    paused, undeclared = _left_alone(plan)
    in_sync = len(plan.changes) - paused - undeclared
    are = "is" if in_sync == 1 else "are"
    parts = [f"{counted(in_sync, 'binding')} {are} in sync"]
    parts += [f"{paused} paused"] if paused else []
    parts += [counted(undeclared, "undeclared endpoint")] if undeclared else []
    return f"Nothing to do: {', '.join(parts)}."


def _left_alone(plan: Plan) -> tuple[int, int]:
    """How many changes do nothing to what is paused, and to what is not declared."""
    codes = Counter(change.code for change in plan.changes if change.action is Action.NOOP)
    return codes[Reason.PAUSED], codes[Reason.NOT_DECLARED]


def plan_summary(plan: Plan) -> str:
    """`4 bindings: 1 to train and bind, 3 unchanged. 1 training, about 2 min.`"""
    counts = dict(plan.counts)
    to_prove = sum(c.action is Action.WAIT and c.code == Reason.UNPROVED for c in plan.changes)
    counts[Action.WAIT] -= to_prove
    unreadable = sum(change.code == Reason.UNREADABLE for change in plan.changes)
    taken = sum(change.action is Action.TRAIN and change.takes for change in plan.changes)
    counts[Action.TRAIN] -= taken
    paused, undeclared = _left_alone(plan)
    parts = _nonzero(
        *((counts[action], words) for action, words in _COUNTED.items()),
        (taken, "to take in and bind"),
        (to_prove, "to prove"),
        (counts[Action.BLOCK] - unreadable, "refused"),
        (unreadable, "unreadable"),
    )
    parts.append(f"{counts[Action.NOOP] - paused - undeclared:,} unchanged")
    parts += _nonzero((paused, "paused"), (undeclared, "undeclared"))
    declared = sum(change.code != Reason.NOT_DECLARED for change in plan.changes)
    summary = f"{counted(declared, 'binding')}: {', '.join(parts)}."
    jobs = trainings(plan.changes)
    return f"{summary} {jobs}." if jobs else summary


def _nonzero(*counts: tuple[int, str]) -> list[str]:
    """`1 to train`, `2,000 refused`: those of the counts that are not 0."""
    return [f"{count:,} {words}" for count, words in counts if count]


def excess(plan: Plan) -> list[str]:
    """Why `apply` refuses the plan as a whole, and how to override that: a freeze, or limits."""
    fix = "apply refuses this without --force REASON"
    frozen = [f"{plan.frozen}; {fix}"] if plan.frozen else []
    return frozen + [f"over the limit: {limit}; {fix}" for limit in plan.excess]


def notes(plan: Plan) -> list[str]:
    """The notes of the plan: what could not be looked at, and what follows from that."""
    return [f"note: {note}" for note in listed(plan.notes)]


def waves(plan: Plan) -> list[str]:
    """How each version is given out that goes to one wave of endpoints after the other."""
    waiting = (change for change in plan.changes if change.wave is not None)
    return [_waves(f) for f in alike(waiting, lambda c: c.key or c.after_ref).values()]


def _waves(fleet: list[Change]) -> str:
    first, wave = fleet[0], max((c.wave for c in fleet if c.wave), key=lambda w: w.wait_s)
    names = few([change.name for change in fleet])
    sizes = [*map("{:,}".format, wave.sizes[:-1]), counted(wave.sizes[-1], "endpoint")]
    words = f"in waves: {first.after} of {names} goes to {', then '.join(sizes)}"
    after = f"{duration(wave.wait_s)} after" if wave.wait_s else "when"
    words += f"; each wave begins {after} the previous one is proved"
    return f"{words}; the next not before {wave.not_before}" if wave.not_before else words


def destinations(plan: Plan) -> list[str]:
    """The places that the plan lets data and secrets go to, each once, and what that risks."""
    lines, created = [], dict[str, list[str]]()
    for change in plan.changes:
        terms = change.terms
        if (change.trains or change.code == Reason.TRAINING) and terms.get(TRAINED_AT):
            lines.append(
                f"goes to: {TRAINED_AT} {terms[TRAINED_AT]} gets {terms.get(TRAINED_WITH)} "
                f"and access to {_data_of(terms)}; its operator can read the data and shape "
                "the model"
            )
        if change.action is Action.CREATE and terms.get(MADE_FROM):
            origin = (
                f"created from the file {terms[MADE_FROM]} and gets {terms.get(GIVEN)}; the author "
                "of the definition decides what that is used for"
            )
            created.setdefault(origin, []).append(change.name)
    for origin, names in created.items():
        apart = ", each" if len(names) > 1 else ""
        lines.append(f"goes to: {few(names)}{apart} is {origin}")
    return listed(lines)


def _data_of(terms: Mapping[str, str]) -> str:
    stored, read = terms.get(KEPT_IN), terms.get(READ_FROM)
    if read in (None, stored):
        return f"data, models and evaluations in {stored}"
    return f"data in {read}, and to models and evaluations in {stored}"


_PATH = re.compile(r"(https?://[^/\s]+)/\S*?(?=:?(?:\s|$))")
_REQUEST = re.compile(r" \(request id [^)]*\)")


def gist(message: str, *own: str) -> str:
    """The message without its own names, paths of URLs and request id: equal for all bindings that
    one trouble hits."""
    for name in sorted(filter(None, own), key=len, reverse=True):
        message = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", "…", message)
    return _REQUEST.sub("", _PATH.sub(r"\1/…", message))


def versions(before: str, after: str) -> str:
    """`2026-10 → 2026-11`, or the one version there is."""
    if before and after and before != after:
        return f"{before} → {after}"
    return after or before


def worth_showing(change: Change) -> bool:
    """Whether there is something to do, in the way, or to be warned of."""
    left = change.code in (Reason.PAUSED, Reason.NOT_DECLARED)
    return change.action is not Action.NOOP or left or bool(change.warnings)


def shown_diffs(change: Change, verbose: bool) -> list[FieldDiff]:
    """The fields that differ; the URLs of models only when much is told."""
    return [diff for diff in change.diffs if verbose or diff.path != "model"]


# --- runs and proofs -----------------------------------------------------------------------


def read_back(proof: Proof) -> str:
    """`read back ✓`, after `rolled back` where the previous version is the one that is proved."""
    if proof.gone:
        return "gone ✓"
    if proof.declared_only:
        return "rolled back, declared only" if proof.rolled_back else "declared only"
    result = f"read back {'✓' if proof.read_back else '✗'}"
    return f"rolled back, {result}" if proof.rolled_back else result


def ailing(proof: Proof) -> str:
    """`Degraded: the answer has no column …`; "" for a healthy endpoint."""
    if proof.health.code is HealthCode.HEALTHY:
        return ""
    return ": ".join(listed([proof.health.code.value, proof.health.message]))


def proofs_summary(proofs: Iterable[Proof]) -> str:
    """`3 endpoints: 1 proved, 1 declared only, 1 not proved.`"""
    verdicts = Counter(verdict(proof) for proof in proofs)
    others = [f"{verdicts[v]} {v}" for v in ("declared only", "not proved") if verdicts[v]]
    proved = f"{counted(verdicts.total(), 'endpoint')}: {verdicts['proved']} proved"
    return ", ".join([proved, *others]) + "."


def verdict(proof: Proof) -> str:
    """`proved`, `not proved`, or `declared only` where nothing shows which model answers."""
    if proof.proved:
        return "proved"
    return "declared only" if proof.converged else "not proved"


def mark(proof: Proof) -> str:
    """`✓`, `✗`, or `○` where nothing shows which model answers."""
    return {"proved": "✓", "not proved": "✗"}.get(verdict(proof), "○")


REACHED = {
    Reached.CHANGED: "changed, not proved",
    Reached.ASKED: "perhaps changed, not proved: no answer arrived",
    Reached.UNPROVED: "changed by an earlier run, not proved",
    Reached.TRAINING: "training started, not swapped in",
    Reached.NOT_BEGUN: "not started",
}


def unproved(report: Report) -> list[tuple[str, str, str]]:
    """Name and address of what was changed, or perhaps was, but neither proved nor said to have
    failed; and which of the two."""
    names = {change.address: change.name for change in report.plan.changes}
    ended = {proof.address for proof in report.proofs} | {f.address for f in report.failures}
    reached = {binding.address: binding.reached for binding in report.unfinished}
    return [
        (names.get(address, address), address, REACHED[reached.get(address, Reached.CHANGED)])
        for address in report.done
        if address not in ended
    ]


def left(report: Report, most: int | None = None) -> list[str]:
    """A sentence for each way in which bindings were left unchanged by a run that was cut off:
    `Not started (2): a, b.`; it names `most` of them."""
    by_reached = alike(report.unfinished, lambda binding: binding.reached)
    sentences = []
    for reached, words in REACHED.items():
        if (members := by_reached.get(reached)) and reached not in TOUCHED:
            names = [binding.name for binding in members[:most]]
            last = "." if len(names) == len(members) else ", …"
            head = f"{words[0].upper()}{words[1:]} ({len(members):,})"
            sentences.append(f"{head}: {', '.join(names)}{last}")
    return sentences + _held(report, most or MOST_HELD)


def _held(report: Report, most: int) -> list[str]:
    """`39 endpoints were spared churn/2026-11 (a, b, c, …): top: …`, for each version."""
    by_reason = alike(report.held, lambda held: (held.version, held.until, held.why))
    sentences = []
    for (version, until, why), spared in by_reason.items():
        count, names = counted(len(spared), "endpoint"), [held.name for held in spared[:most]]
        listed_names = ", ".join([*names, *(["…"] if len(spared) > most else [])])
        if until:
            waits = "waits" if len(spared) == 1 else "wait"
            sentences.append(f"{count} {waits} for {version} until {until} ({listed_names})")
        else:
            were = "was" if len(spared) == 1 else "were"
            sentences.append(f"{count} {were} spared {version} ({listed_names}): {why}")
    return sentences


def after_change(report: Report, address: str) -> str:
    """`, after it was changed`, of a failure; "" where nothing was."""
    if address not in report.done:
        return ""
    unanswered = {b.address for b in report.unfinished if b.reached is Reached.ASKED}
    return f",{' perhaps' if address in unanswered else ''} after it was changed"


def report_warnings(report: Report) -> list[tuple[str, str]]:
    """Name and warning, of what is shown in no proof."""
    proved = {proof.address for proof in report.proofs}
    return [
        (change.name, warning)
        for change in report.plan.changes
        if change.address not in proved and change.action is not Action.NOOP
        for warning in listed(change.warnings)
    ]


def stopped(report: Report) -> str:
    """The sentence about a run that a signal ended; "" when it ran to its end."""
    if not report.stopped_by:
        return ""
    signal = _SIGNALS.get(report.stopped_by, f"signal {report.stopped_by}")
    return (
        f"Stopped by {signal} before the run finished: jobs and updates that it started go on, and "
        "the next apply continues from there."
    )


def forced(report: Report) -> str:
    """The sentence about a run that overrode limits or protection; "" about any other."""
    return f"Run with --force: {report.forced}" if report.forced else ""


def report_summary(report: Report) -> str:
    """`2 changed, 2 proved, 1 failed, 3 unchanged in 61.2 s.`"""
    touched = set(report.done) | {failure.address for failure in report.failures}
    unchanged = sum(
        change.action is Action.NOOP
        and change.code != Reason.NOT_DECLARED
        and change.address not in touched
        for change in report.plan.changes
    )
    proved = sum(proof.proved for proof in report.proofs)
    left = sum(binding.address not in touched for binding in report.unfinished)
    perhaps = sum(binding.reached is Reached.ASKED for binding in report.unfinished)
    changed = _nonzero((len(report.done) - perhaps, "changed"), (perhaps, "perhaps changed"))
    parts = [*(changed or ["0 changed"]), f"{proved:,} proved", f"{len(report.failures):,} failed"]
    waiting = sum(bool(held.until) for held in report.held)
    spared = len(report.held) - waiting
    parts += _nonzero((left, "not finished"), (waiting, "waiting"), (spared, "spared"))
    return f"{', '.join(parts)}, {unchanged:,} unchanged in {report.elapsed_s:.1f} s."
