"""`retrain`: new versions in the YAML, where data changed or a model is too old.

What names a new version is in the world and not in the moment at which somebody looks, so that the
next run finds the same one: the newest version that has data where inputs have `${version}` in
their path; else the day on which the data changed, or the model became too old.

A proposal that changes by itself is a nuisance: each night another name, another pull request. So
the name is a function of the world. `new data for 2026-12` proposes `2026-12` tonight and tomorrow.
A model that got too old on the 3rd is proposed under the 3rd whenever it is noticed. If that name
is taken by a version of other data, `.2` follows.

Nothing is proposed in ignorance. If data could not be listed, or one document not be judged, that
is said and the exit code tells it; an open proposal is then left as it is, and never closed as
done.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from reconciler import errors
from reconciler.ci import proposal
from reconciler.cli import choose, editing, session
from reconciler.cli.options import Some, Where
from reconciler.cli.session import Session
from reconciler.console import say
from reconciler.desired.edit import NewText
from reconciler.desired.promotion import by_document, some
from reconciler.desired.schema import is_a
from reconciler.engine import age
from reconciler.errors import ConfigurationError, ReconcilerError
from reconciler.model import Binding, Desired
from reconciler.outcome import Kept, Outcome
from reconciler.render.cells import few, visible

_STAND_IN = "reconciler-any-version"  # shows where a recipe has the version
_MOST_OF_A_DAY = 99
_MOST_OFFERED = 20  # versions of a registry that are looked at
_DAY_S = 86_400


@dataclass(frozen=True)
class Renewal:
    """A document that gets a new version: what it makes, which one, and why."""

    bindings: tuple[Binding, ...]
    new: str
    why: str

    @property
    def edit(self) -> NewText:
        """The edit of the YAML."""
        return NewText(self.bindings[0].source, self.bindings[0].version.version, self.new)

    def __str__(self) -> str:
        """`churn: 2026-10 → 2026-11, new data: …`."""
        return f"{some(self.bindings)}: {self.edit.old} → {self.new}, {self.why}"


@dataclass(frozen=True)
class Renewed:
    """The work on an environment: the renewals, the edits of its YAML, the desired
    state after them; and whether something is not known, or could not be written."""

    renewals: tuple[Renewal, ...]
    edits: tuple[editing.Edit, ...]
    after: Desired
    failed: bool

    def after_that(self, work: Callable[[], None]) -> Outcome:
        """The diff, and 7 where something failed; or the error of what is done with it."""
        code = errors.PARTIAL if self.failed else errors.SUCCESS
        diff = Kept("".join(map(str, self.edits)))
        outcome = Outcome(diff, code, has_changes=bool(self.edits))
        try:
            work()
        except ReconcilerError as exc:
            return outcome.ended_by(exc)
        return outcome


def retrain(where: Where, some: Some, *, dry_run: bool) -> Outcome:
    """`retrain`: the YAML declares what is to be made anew; 7 where that is not known of some
    bindings, or could not be written.
    """
    renewed = _renewed(where, some)
    return renewed.after_that(partial(editing.finish, renewed.edits, dry_run=dry_run))


def propose(where: Where, base: str, *, dry_run: bool) -> Outcome:
    """`ci propose`: one pull request declares it."""
    renewed = _renewed(where)
    name = renewed.after.environment.name
    names = {binding.name for renewal in renewed.renewals for binding in renewal.bindings}
    make_plan = partial(session.plan_of_merge, renewed.after, names)

    def work() -> None:
        known = renewed.renewals or not renewed.failed  # or it would be given up in ignorance
        if known and not dry_run:
            reasons = [str(renewal) for renewal in renewed.renewals]
            proposal.propose(name, base, reasons, renewed.edits, make_plan)

    return renewed.after_that(work)


def _renewed(where: Where, some: Some | None = None) -> Renewed:
    """The renewals of an environment, and its desired state after them; nothing is written yet."""
    services, desired = where.services, choose.desired(where, some)
    session.introduce(desired.environment)
    name = desired.environment.name
    with session.opened(desired, None) as opened:
        renewable, unknown = _renewals(services, desired, opened)
    renewals = tuple(_writable(services, name, renewable))
    failed = bool(unknown) or len(renewals) < len(renewable)
    for renewal in renewals:
        say(str(renewal))
    if not renewals:
        say(f"{name}: no version needs retraining")
    edits = tuple(editing.make_edits(renewal.edit for renewal in renewals))
    after = editing.loaded(services, edits, name)[name]
    after = replace(after, environment=desired.environment, commit=desired.commit)  # with --auth
    return Renewed(renewals, edits, after, failed)


def _renewals(
    services: Path, desired: Desired, opened: Session
) -> tuple[list[Renewal], list[tuple[Binding, ...]]]:
    """The renewals, and the documents that could not be judged; the error of one keeps
    no other, but where none can be asked the error is that of them all.
    """
    renewals: list[Renewal] = []
    unknown = []
    documents = _documents(desired)
    for bindings in documents:
        try:
            renewals += _renewal(services, desired, opened, bindings)
        except ReconcilerError as exc:
            unknown.append(bindings)
            if len(unknown) == len(documents):
                raise
            say(f"{some(bindings)}: {exc.message}")
    return renewals, unknown


def _renewal(
    services: Path, desired: Desired, opened: Session, bindings: tuple[Binding, ...]
) -> Iterator[Renewal]:
    """The renewal of one document, or none, with the reason said where that is not plain."""
    if bindings[0].recipe.trainer in opened.world.registries:
        yield from _by_registry(opened, bindings)
        return
    templates = _templates(services, desired, bindings)
    if templates is None:
        say(f"{some(bindings)}: its version comes from forEach or an anchor and cannot be edited")
    elif templates:
        yield from _by_data(opened, bindings, templates)
    else:
        yield from _by_day(opened, bindings)


def _writable(services: Path, name: str, renewals: Sequence[Renewal]) -> Iterator[Renewal]:
    """Those that can be written into the YAML: all at once, or else each that can be by itself."""
    try:
        editing.loaded(services, editing.make_edits(renewal.edit for renewal in renewals), name)
    except ConfigurationError:
        for renewal in renewals:
            try:
                editing.loaded(services, editing.make_edits([renewal.edit]), name)
            except ConfigurationError as exc:
                say(f"{some(renewal.bindings)}: {renewal.new} cannot be written: {exc.message}")
            else:
                yield renewal
    else:
        yield from renewals


def _documents(desired: Desired) -> list[tuple[Binding, ...]]:
    """The bindings of each document in which nothing is paused, protected or absent."""
    return [
        group
        for group in by_document(desired)
        if not any(binding.paused or binding.protect or binding.absent for binding in group)
    ]


def _templates(
    services: Path, desired: Desired, bindings: Sequence[Binding]
) -> tuple[str, ...] | None:
    """The inputs that have the version in their path; None where the version cannot be edited."""
    stand_in = NewText(bindings[0].source, bindings[0].version.version, _STAND_IN)
    try:
        name = desired.environment.name
        after = editing.loaded(services, editing.make_edits([stand_in]), name)[name]
    except ConfigurationError:
        return None
    names = {binding.name for binding in bindings}
    paths = [path for b in after.bindings if b.name in names for _, path in b.recipe.inputs]
    return tuple(p.replace(_STAND_IN, age.SLOT) for p in paths if _STAND_IN in p)


def _by_data(
    opened: Session, bindings: tuple[Binding, ...], templates: Sequence[str]
) -> Iterator[Renewal]:
    """A newer version for which there is data, and that nobody refused yet."""
    world, now = opened.world, bindings[0].version.version
    named = [v for v in age.versions_with_data(world, templates) if age.order(v) > age.order(now)]
    newer = [version for version in named if is_a("version", version)]
    for name in sorted(set(named).difference(newer)):
        say(f'{some(bindings)}: "{visible(name)}" has data and is no version; rename its file')
    for version in sorted(newer, key=age.order, reverse=True):
        if any(age.is_refused(world, replace(b.version, version=version)) for b in bindings):
            say(f"{some(bindings)}: {version} has data, but was refused")
            continue
        blobs = sorted({template.replace(age.SLOT, version) for template in templates})
        yield Renewal(bindings, version, f"new data: {few(blobs)}")
        return
    for reason, _ in _reasons(opened, bindings):
        say(f"{some(bindings)}: {reason}; upload newer data under the name of a newer version")


def _by_registry(opened: Session, bindings: tuple[Binding, ...]) -> Iterator[Renewal]:
    """The version that an alias leads to, or the newest one that its gates let through."""
    first, where = bindings[0], some(bindings)
    recipe, follow = first.recipe, first.follow
    offered = tuple(opened.world.registries[recipe.trainer].offers(recipe, follow))
    for version in offered[:_MOST_OFFERED]:
        changed = [age.registered(opened.world, binding, version) for binding in bindings]
        if whys := [why for why in changed if why]:
            say(f"{where}: version {version} is not proposed: {whys[0]}")
            continue
        yield Renewal(bindings, version, f"alias {follow}" if follow else "registered")
        return
    if len(offered) > _MOST_OFFERED:
        say(f"{where}: the newest {_MOST_OFFERED} versions were looked at, and none before them")


def _by_day(opened: Session, bindings: tuple[Binding, ...]) -> Iterator[Renewal]:
    """A version of the day on which the data changed, or else the model became too old."""
    for reason, day in sorted(_reasons(opened, bindings), key=lambda pair: pair[1], reverse=True):
        if name := _free(opened, bindings, day.isoformat()):
            yield Renewal(bindings, name, reason)
        else:
            say(f"{some(bindings)}: {reason}; {_MOST_OF_A_DAY} versions of that day are made")
        return


def _free(opened: Session, bindings: Sequence[Binding], day: str) -> str:
    """The day, or the first of `day.2`, `day.3`, … that is nobody's or of the data of now."""
    for name in (day, *(f"{day}.{n}" for n in range(2, _MOST_OF_A_DAY + 1))):
        if name == bindings[0].version.version:
            continue
        versions = [(b, replace(b.version, version=name)) for b in bindings]
        if all(age.may_take(opened.world, binding, version) for binding, version in versions):
            return name
    return ""


def _reasons(opened: Session, bindings: Sequence[Binding]) -> Iterator[tuple[str, datetime.date]]:
    """Why the versions are to be made anew, each with the day since when."""
    for binding in bindings:
        made = age.made(opened.world, binding)
        if made is None:
            continue  # it is not made yet: the plan says so
        version = binding.version.version
        for path, day in made.changed.items():
            yield f"{path} changed on {day} after {version} was trained on it", day
        old_s = opened.world.clock.now() - made.at
        if binding.max_age_s is not None and old_s > binding.max_age_s:
            days, most = int(old_s // _DAY_S), binding.max_age_s / _DAY_S
            since = datetime.datetime.fromtimestamp(made.at + binding.max_age_s, datetime.UTC)
            yield f"{version} is {days} days old, and maxAge is {most:g}d", since.date()
