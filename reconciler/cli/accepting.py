"""`drift --accept`: what was changed outside git is written into the YAML, where it can say it; or
one pull request proposes that."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconciler import errors
from reconciler.cli.editing import finish, loaded, make_edits
from reconciler.console import say
from reconciler.desired.edit import NewText
from reconciler.errors import ConfigurationError, ReconcilerError
from reconciler.model import Source
from reconciler.outcome import Kept, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from reconciler.cli.editing import Edit
    from reconciler.cli.options import Drifting
    from reconciler.model import Change, Desired, FieldDiff, Observed, Plan

_SETTINGS = "settings."


@dataclass(frozen=True)
class _Accepted:
    """A field whose live value can be written into the YAML."""

    change: Change
    field: FieldDiff
    text: NewText

    def __str__(self) -> str:
        """`churn: 2026-11 → 2026-10, drifted from 2026-11, proved here on 2026-11-20`."""
        return f"{self.change.name}: {self.text.old} → {self.text.new}, {self.change.drift}"


def accept(
    services: Path,
    wanted: Desired,
    found: Plan,
    observed: Mapping[str, Observed],
    how: Drifting,
    plan_now: Callable[[Desired], Plan],
) -> Outcome:
    """The diff of the YAML, written or proposed; 7 where something drifted that it cannot say.

    `plan_now` makes the plan that a pull request shows.
    """
    fields = [(c, field) for c in found.changes if c.drift is not None for field in c.drift.fields]
    whole = loaded(services, (), found.environment)[found.environment]
    accepted = list(_accepted(whole, observed, found))
    edits = make_edits(dict.fromkeys(each.text for each in accepted))
    after = loaded(services, edits, found.environment)  # or the error of a tree not valid so
    failed = len(accepted) < len(fields)
    code = errors.PARTIAL if failed else errors.SUCCESS
    outcome = Outcome(Kept("".join(map(str, edits))), code, has_changes=bool(edits))
    if not how.pull_request:
        finish(edits, dry_run=how.dry_run)
    elif not how.dry_run and (edits or not failed):  # or it would be given up in ignorance
        proposed = replace(wanted, bindings=after[found.environment].bindings)
        try:
            _propose(proposed, accepted, edits, how, plan_now)
        except ReconcilerError as exc:
            return outcome.ended_by(exc)
    return outcome


def _propose(
    after: Desired,
    accepted: list[_Accepted],
    edits: list[Edit],
    how: Drifting,
    plan_now: Callable[[Desired], Plan],
) -> None:
    """Let one pull request propose the edits, and say what merging them would do."""
    from reconciler.ci import proposal

    names = {edit.change.name for edit in accepted}
    touched = tuple(binding for binding in after.bindings if binding.name in names)

    def make_plan() -> Plan:
        return replace(plan_now(replace(after, bindings=touched)), commit=after.commit)

    reasons = [str(edit) for edit in accepted]
    name, what = after.environment.name, proposal.ACCEPTED
    proposal.propose(name, how.base, reasons, edits, make_plan, what)


def _accepted(whole: Desired, observed: Mapping[str, Observed], found: Plan) -> Iterator[_Accepted]:
    """The fields that can be written; of the others it is said why they cannot.

    One text of the YAML may be that of many bindings that forEach makes: it is written only where
    all of them drifted to the same.
    """
    made, alike = defaultdict[Source, set[str]](set), defaultdict[NewText, set[str]](set)
    for declared in whole.bindings:
        made[declared.source].add(declared.name)
    wanted = []
    for change in found.changes:
        for field in change.drift.fields if change.drift is not None else ():
            wanted.append((change, field, text := _text(observed[change.address], field)))
            if isinstance(text, NewText):
                alike[text].add(change.name)
    for change, field, text in wanted:
        why = text if isinstance(text, str) else _refusal(text, made[text.source] - alike[text])
        if isinstance(text, NewText) and not why:
            yield _Accepted(change, field, text)
            continue
        binding = observed[change.address].binding
        by = f" (by forEach at {binding.source}: {binding.element})" if binding.element else ""
        say(f"{change.name}{by}: {field.path} cannot be accepted: {why}")


def _refusal(text: NewText, others: AbstractSet[str]) -> str:
    """Why a text cannot be written; "" where it can."""
    try:
        make_edits([text])
    except ConfigurationError as exc:
        return exc.message
    if not others:
        return ""
    names = sorted(others)
    more = f" and {len(names) - 1:,} more" if names[1:] else ""
    return (
        f'it is also that of {names[0]}{more}, without this drift; put "${{…}}" there and write '
        f'"{text.new}" into this element of forEach, or let apply put it back'
    )


def _text(observed: Observed, field: FieldDiff) -> NewText | str:
    """The text to write; or why nothing is."""
    binding, live = observed.binding, observed.live_version
    if field.path == "model":
        if not live:
            return "no version that is known here; apply puts the declared one back"
        return NewText(binding.source, binding.version.version, live)
    declared = dict(binding.settings).get(field.path.removeprefix(_SETTINGS))
    if not field.path.startswith(_SETTINGS) or declared is None or field.after is None:
        return "no text of the YAML; change it by hand, or let apply put it back"
    trail = ("spec", *field.path.split("."))
    return NewText(binding.source, declared, field.after, trail)
