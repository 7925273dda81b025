"""`drift --accept`: what was changed outside git is written into the YAML, where it can say it; or
one pull request proposes that."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from reconciler import errors
from reconciler.ci import proposal
from reconciler.cli.editing import Edit, content_of, finish, loaded, make_edits
from reconciler.cli.options import Drifting
from reconciler.cli.session import plan_of_merge
from reconciler.console import say
from reconciler.desired.cells import NewCell, Table
from reconciler.desired.edit import NewText, Page
from reconciler.errors import ConfigurationError, Problem, ReconcilerError
from reconciler.model import (
    SETTINGS,
    Binding,
    Change,
    Desired,
    FieldDiff,
    Observed,
    Plan,
    Source,
    sayable,
)
from reconciler.outcome import Kept, Outcome
from reconciler.render.cells import few


@dataclass(frozen=True)
class _Accepted:
    """A field whose live value can be written into the YAML, or a table that it names.

    `respelled` says that git spells the declared value otherwise than the platform shows it.
    """

    change: Change
    field: FieldDiff
    text: NewText | NewCell
    respelled: bool

    def __str__(self) -> str:
        """`churn: 2026-11 → 2026-10, drifted from 2026-11, proved here on 2026-11-20`."""
        row = f" ({self.text.source})" if isinstance(self.text, NewCell) else ""
        return f"{self.change.name}{row}: {self.text.old} → {self.text.new}, {self.change.drift}"


def accept(
    services: Path,
    wanted: Desired,
    drifted: Plan,
    observed: Mapping[str, Observed],
    how: Drifting,
) -> Outcome:
    """The diff of the YAML, written or proposed; 7 where something drifted that it cannot say."""
    fields = [
        (c, field) for c in drifted.changes if c.drift is not None for field in c.drift.fields
    ]
    whole = loaded(services, (), drifted.environment)[drifted.environment]
    accepted, edits, after = _tried(services, whole, list(_accepted(whole, observed, drifted)))
    failed = len(accepted) < len(fields)
    code = errors.PARTIAL if failed else errors.SUCCESS
    outcome = Outcome(Kept("".join(map(str, edits))), code, has_changes=bool(edits))
    if not how.pull_request:
        finish(edits, dry_run=how.dry_run)
    elif not how.dry_run and (edits or not failed):  # or it would be given up in ignorance
        proposed = replace(wanted, bindings=after.bindings)
        try:
            _propose(proposed, accepted, edits, how)
        except ReconcilerError as exc:
            return outcome.ended_by(exc)
    return outcome


def _propose(after: Desired, accepted: list[_Accepted], edits: list[Edit], how: Drifting) -> None:
    """Let one pull request propose the edits, and say what merging them would do."""
    make_plan = partial(plan_of_merge, after, {edit.change.name for edit in accepted})
    reasons = [str(edit) for edit in accepted]
    name, what = after.environment.name, proposal.ACCEPTED
    proposal.propose(name, how.base, reasons, edits, make_plan, what)


def _tried(
    services: Path, whole: Desired, accepted: list[_Accepted]
) -> tuple[list[_Accepted], list[Edit], Desired]:
    """The fields with whose edits git declares what is live, and nothing else changes; the edits,
    and the desired state with them.

    Only a load shows what an edit means. A value that git spells otherwise may not stand there as
    it is shown, as the digest of a folder: where the load fails, those are left out.
    """
    name, refused = whole.environment.name, ""
    edits = make_edits(dict.fromkeys(field.text for field in accepted))
    try:
        after = loaded(services, edits, name)[name]
        if not (others := _changed_beside(whole, after, accepted)):
            return accepted, edits, after
        refused = f"this would also change {few(others)}; change the files by hand"
    except ConfigurationError:
        if not any(field.respelled for field in accepted):
            raise
    for field in accepted:
        if field.respelled:
            why = f"it is spelled otherwise in git; change it by hand at {field.text.source}"
            say(f"{field.change.name}: {field.field.path} cannot be accepted: {why}")
    kept = [field for field in accepted if not field.respelled]
    if len(kept) == len(accepted):
        raise ConfigurationError(refused)
    return _tried(services, whole, kept)


def _changed_beside(whole: Desired, after: Desired, accepted: Iterable[_Accepted]) -> list[str]:
    """The names of bindings that do not declare what they did, but for the accepted fields."""
    expected = {
        binding.name: (binding.address.id, binding.version.version, dict(binding.settings))
        for binding in whole.bindings
    }
    for field in accepted:
        address, version, settings = expected[field.change.name]
        if field.field.path == "model":
            version = field.text.new
        else:
            settings[field.field.path.removeprefix(SETTINGS)] = field.text.new
        expected[field.change.name] = address, version, settings
    return [
        binding.name
        for binding in after.bindings
        if (binding.address.id, binding.version.version, dict(binding.settings))
        != expected.get(binding.name)
    ]


class _Files:
    """The files that are to be changed, each read once."""

    def __init__(self) -> None:
        self._pages: dict[str, Page] = {}
        self._tables: dict[str, Table] = {}

    def target(self, text: NewText, element: str) -> NewText | NewCell | str:
        """The text itself, or the cell that it comes from; or why neither can be written."""
        page = self._page(text.source.path)
        if element and (column := page.column(text, element)):
            table = self._table(column.path)
            if cell := table.cell(column.key, column.row, column.name, text.new):
                return cell
        place = page.place(text)
        return str(place) if isinstance(place, Problem) else replace(text, old=place.text)

    def made_by(self, binding: Binding) -> str:
        """` (by forEach at prod.yaml:3:1: shop=12, shops.csv:13:1)`; "" of one that is written
        itself."""
        if not binding.element:
            return ""
        row = self._page(binding.source.path).row(binding.source, binding.element)
        place = self._table(row.path).place(row.key, row.row) if row else None
        of_table = f", {place}" if place else ""
        return f" (by forEach at {binding.source}: {binding.element}{of_table})"

    def _page(self, path: str) -> Page:
        if path not in self._pages:
            self._pages[path] = Page(path, content_of(path).decode())
        return self._pages[path]

    def _table(self, path: str) -> Table:
        if path not in self._tables:
            self._tables[path] = Table(path, content_of(path).decode())
        return self._tables[path]


def _accepted(
    whole: Desired, observed: Mapping[str, Observed], drifted: Plan
) -> Iterator[_Accepted]:
    """The fields that can be written; of the others it is said why they cannot.

    One text of the YAML may be that of many bindings that forEach makes: it is written only where
    all of them drifted to the same.
    """
    made, alike = defaultdict[Source, list[str]](list), defaultdict[NewText, set[str]](set)
    for declared in whole.bindings:
        made[declared.source].append(declared.name)
    files = _Files()
    wanted: list[tuple[Change, FieldDiff, NewText | NewCell | str]] = []
    for change in drifted.changes:
        binding = observed[change.address].binding
        for field in change.drift.fields if change.drift is not None else ():
            text = _text(observed[change.address], field)
            target = text if isinstance(text, str) else files.target(text, binding.element)
            wanted.append((change, field, target))
            if isinstance(target, NewText):
                alike[target].add(change.name)
    for change, field, target in wanted:
        binding = observed[change.address].binding
        why = target if isinstance(target, str) else ""
        if isinstance(target, NewText):
            why = _shared(target, made[target.source], alike[target])
        if why or isinstance(target, str):
            say(f"{change.name}{files.made_by(binding)}: {field.path} cannot be accepted: {why}")
            continue
        spelled = dict(binding.settings).get(field.path.removeprefix(SETTINGS), target.old)
        yield _Accepted(change, field, target, target.old != spelled)


def _shared(text: NewText, made: Sequence[str], alike: AbstractSet[str]) -> str:
    """Why a text cannot be written that other bindings have, too; "" where none has."""
    if len(made) == len(alike):
        return ""
    others = [name for name in made if name not in alike]
    return (
        f'it is also that of {few(others)}, without this drift; put "${{…}}" there and write '
        f'"{text.new}" into this element of forEach, or let apply put it back'
    )


def _text(observed: Observed, field: FieldDiff) -> NewText | str:
    """The text to write; or why nothing is."""
    binding, live = observed.binding, observed.live_version
    healed = "; until it is not paused, apply leaves it" if binding.paused else ""
    healed = healed or ", or let apply put it back"
    if field.path == "model":
        if field.after is None:
            return f"the endpoint is gone; declare `state: absent` to keep that{healed}"
        if not live:
            return f"no version that is known here; declare one{healed}"
        return NewText(binding.source, binding.version.version, live)
    if field.after is None or not sayable(observed, field):
        return f"no text of the YAML; change it by hand{healed}"
    setting = field.path.removeprefix(SETTINGS)
    return NewText(binding.source, dict(binding.settings)[setting], field.after, setting)
