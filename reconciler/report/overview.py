"""The parts of an environment's page, grouped so that a large one stays readable."""

from __future__ import annotations

import re
import shlex
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from reconciler.model import (
    PROOFS,
    Change,
    Event,
    EventKind,
    History,
    MadeVersion,
    Plan,
    Reason,
    Report,
    Rule,
)
from reconciler.render.cells import alike
from reconciler.render.status import StatusRow, Sync, Wrong, gist_of, mending, urgency

_FIGURES = re.compile(r"\d[\d.,:]*")  # by which alone the reasons of a fleet's members may differ
MOST_REASONS = 3  # of one kind of trouble; the others are counted
MOST_ROWS = 2_000  # endpoints on one page; what needs attention comes first
MOST_DONE = 150  # lines of what was done
MOST_VERSIONS = 40  # of one model, the newest


@dataclass(frozen=True)
class Endpoint:
    """One binding: its row, its change, its history, and what its gates ask for now.

    `keeps` says that what drifted can be written into the YAML.

    `model` and `arguments` say which model it serves; `bounds` pairs a rule with the value that its
    metric must reach, None where there is none.
    """

    row: StatusRow
    change: Change
    history: History
    model: str
    arguments: str = ""
    bounds: tuple[tuple[Rule, float | None], ...] = ()
    keeps: bool = False


@dataclass(frozen=True)
class Overview:
    """Everything on the page. `at` is when it was looked, `repository` an https URL or "".

    `notes` are sentences about how it was looked, `run` is what a run did, if the page is to say.
    `options` are those of a command line that lead to the environment.
    """

    plan: Plan
    endpoints: tuple[Endpoint, ...]
    at: str
    program: str
    repository: str = ""
    notes: tuple[str, ...] = ()
    run: Report | None = None
    options: str = ""


# --- what is wrong -------------------------------------------------------------------------


@dataclass(frozen=True)
class Alarm:
    """Endpoints at which one thing is wrong for one reason, and the next command to type.

    `keep` is the command that keeps what serves instead, "" where there is no such choice.
    """

    what: Wrong
    why: str
    names: tuple[str, ...]
    command: str
    keep: str = ""


def alarms(options: str, endpoints: Iterable[Endpoint]) -> list[Alarm]:
    """Alarms, the most urgent first; of one kind no more than a few reasons apart. Commands lead to
    the environment by these `options`."""
    by_kind: dict[Wrong, dict[str, list[Endpoint]]] = {what: {} for what in Wrong}
    for endpoint in endpoints:
        if (what := endpoint.row.wrong) is not None:
            reason = _FIGURES.sub("…", gist_of(endpoint.row))
            by_kind[what].setdefault(reason, []).append(endpoint)
    raised = []
    for what, by_reason in by_kind.items():
        groups = sorted(by_reason.items(), key=lambda group: -len(group[1]))
        if rest := [e for _, group in groups[MOST_REASONS:] for e in group]:
            groups = [*groups[:MOST_REASONS], ("for other reasons, listed below", rest)]
        for why, group in groups:
            first = group[0].row
            if len(group) == 1:
                why = first.message
            elif rest is not group:
                same = len({gist_of(endpoint.row) for endpoint in group}) == 1
                others = "; at the others likewise, with their own figures"
                why = gist_of(first) if same else f"{first.message}{others}"
            names = tuple(endpoint.row.name for endpoint in group)
            kept, changes = any(e.keeps for e in group), [endpoint.change for endpoint in group]
            command, keep = mending(what, options, changes, kept=kept), ""
            paused = all(change.code == Reason.PAUSED for change in changes)
            if what is Wrong.DRIFTED and kept and not paused:  # which apply would leave as they are
                target = f" -t {shlex.quote(names[0])}" if len(names) == 1 else ""
                keep = f"reconciler drift {options}{target} --accept"
            raised.append(Alarm(what, why, names, command, keep))
    return raised


# --- endpoints -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Group:
    """The endpoints of one model; `shown` are those that the page has room for."""

    model: str
    members: tuple[Endpoint, ...]
    shown: tuple[Endpoint, ...]

    @property
    def calm(self) -> bool:
        """Whether nothing is wrong at any of them."""
        return all(member.row.wrong is None for member in self.members)

    @property
    def counts(self) -> dict[Sync, int]:
        """How many there are of each state that occurs."""
        counts = Counter(member.row.sync for member in self.members)
        return {sync: counts[sync] for sync in Sync if counts[sync]}


def grouped(endpoints: Iterable[Endpoint], most: int = MOST_ROWS) -> list[Group]:
    """The endpoints by model, what needs attention first; together no more than `most` shown."""
    ordered = sorted(endpoints, key=lambda e: (urgency(e.row), e.model, e.row.address))
    shown = alike(ordered[:most], lambda endpoint: endpoint.model)
    return [
        Group(model, tuple(members), tuple(shown.get(model, ())))
        for model, members in alike(ordered, lambda endpoint: endpoint.model).items()
    ]


# --- models --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Figures:
    """One number per member of a fleet: of one member that number, of many what they span."""

    values: tuple[float, ...]

    @property
    def low(self) -> float:
        """The smallest."""
        return min(self.values)

    @property
    def middle(self) -> float:
        """The median."""
        return statistics.median(self.values)

    @property
    def high(self) -> float:
        """The largest."""
        return max(self.values)


@dataclass(frozen=True)
class VersionOf:
    """One version of a model, made once for each of its arguments."""

    version: str
    made: tuple[MadeVersion, ...]
    serves: int  # at how many endpoints
    wanted: int

    @property
    def states(self) -> dict[str, int]:
        """How many were trained, rejected and so on, the most frequent first."""
        return dict(Counter(made.state for made in self.made).most_common())

    @property
    def began(self) -> str:
        """When the first of them was begun."""
        return min((made.at for made in self.made), default="")

    @property
    def whys(self) -> list[str]:
        """The reasons why some of them cannot be used, each once."""
        return list(dict.fromkeys(made.why for made in self.made if made.why))

    def figures(self, metric: str) -> Figures | None:
        """The metric of each that has it."""
        return _figures(made.metrics.get(metric) for made in self.made)

    @property
    def took_s(self) -> Figures | None:
        """How long the jobs ran."""
        return _figures(made.took_s for made in self.made)

    @property
    def queued_s(self) -> Figures | None:
        """How long the jobs waited before, where their engine tells."""
        return _figures(made.queued_s for made in self.made)


def _figures(values: Iterable[float | None]) -> Figures | None:
    known = tuple(value for value in values if value is not None and value - value == 0)
    return Figures(known) if known else None


@dataclass(frozen=True)
class ModelOf:
    """A model and its versions, oldest first; `left_out` were older. `series` counts arguments."""

    name: str
    series: int
    versions: tuple[VersionOf, ...]
    left_out: int
    bounds: tuple[tuple[Rule, float], ...]
    unread: str

    @property
    def metrics(self) -> list[str]:
        """Every metric that is known, those that a gate asks for first."""
        gated = dict.fromkeys(rule.metric for rule, _ in self.bounds)
        every = {name for v in self.versions for made in v.made for name in made.metrics}
        return [name for name in gated if name in every] + sorted(every - set(gated))


def models(endpoints: Iterable[Endpoint]) -> list[ModelOf]:
    """The models of the endpoints by name."""
    by_name = alike(endpoints, lambda endpoint: endpoint.model)
    return [_model(name, by_name[name]) for name in sorted(by_name)]


def _model(name: str, endpoints: Sequence[Endpoint]) -> ModelOf:
    """The part of the page about one model: its versions, its bounds and who serves it."""
    by_arguments = {e.arguments: e.history for e in endpoints}
    every = (version for history in by_arguments.values() for version in history.versions)
    made = alike(every, lambda version: version.version)
    serves = Counter(e.history.live for e in endpoints)
    wanted = Counter(e.row.wanted for e in endpoints)
    versions = [VersionOf(v, tuple(m), serves[v], wanted[v]) for v, m in made.items()]
    versions.sort(key=lambda version: (version.began, version.version))
    return ModelOf(
        name=name,
        series=len(by_arguments),
        versions=tuple(versions[-MOST_VERSIONS:]),
        left_out=max(0, len(versions) - MOST_VERSIONS),
        bounds=_bounds(endpoints),
        unread=next((e.history.unread for e in endpoints if e.history.unread), ""),
    )


def _bounds(endpoints: Sequence[Endpoint]) -> tuple[tuple[Rule, float], ...]:
    """The rules whose value is the same for every endpoint."""
    values_of: dict[Rule, set[float | None]] = {}
    for endpoint in endpoints:
        for rule, value in endpoint.bounds:
            values_of.setdefault(rule, set()).add(value)
    return tuple(
        (rule, value)
        for rule, values in values_of.items()
        if len(values) == 1 and (value := next(iter(values))) is not None
    )


# --- what was done -------------------------------------------------------------------------


@dataclass(frozen=True)
class Done:
    """The work of a run on one model, at one endpoint or alike at many; last at `at`."""

    at: str
    what: tuple[str, ...]
    model: str
    names: tuple[str, ...]
    run: str
    who: str
    approval: str
    commit: str
    whys: tuple[str, ...]


def done(endpoints: Iterable[Endpoint]) -> list[Done]:
    """The work of all runs, newest first; alike things of one run are one line."""
    merged: dict[Done, tuple[str, list[str]]] = {}
    for endpoint in endpoints:
        for line in _done_at(endpoint):
            same = replace(line, at="", names=())
            at, names = merged.get(same, ("", []))
            merged[same] = (max(at, line.at), [*names, *line.names])
    lines = [replace(line, at=at, names=tuple(names)) for line, (at, names) in merged.items()]
    return sorted(lines, key=lambda line: line.at, reverse=True)


def _done_at(endpoint: Endpoint) -> Iterator[Done]:
    """The work at one endpoint, a line for each run and model."""
    by_run = alike(
        _labelled(endpoint.history.events),
        lambda pair: (pair[1].run, pair[1].who, pair[1].approval, pair[1].commit, pair[1].name),
    )
    for (run, who, approval, commit, model), group in by_run.items():
        yield Done(
            at=group[-1][1].at,
            what=tuple(dict.fromkeys(what for what, _ in group)),
            model=f"{endpoint.model} {model}",
            names=(endpoint.row.name,),
            run=run,
            who=who,
            approval=approval,
            commit=commit,
            whys=tuple(dict.fromkeys(e.why for _, e in group if e.why and e.what not in PROOFS)),
        )


DRIFT = "drift undone"
_UNPROVES = (EventKind.SWAP, EventKind.ROLL_BACK, EventKind.CREATE, EventKind.DELETE)


def _labelled(events: Sequence[Event]) -> list[tuple[str, Event]]:
    """The events with what they were.

    Where this program did nothing after a proof, a swap to the model that was proved undid a drift,
    and so did the creation of an endpoint that was there.
    """
    proved, labelled = "", []
    for event in events:
        undone = event.what is EventKind.SWAP and event.model.url == proved
        undone |= event.what is EventKind.CREATE and bool(proved)
        labelled.append((DRIFT if undone else event.what, event))
        if event.what in PROOFS:
            proved = event.model.url
        elif event.what in _UNPROVES:
            proved = ""
    return labelled


def last_proof(history: History) -> Event | None:
    """The last time the endpoint was proved."""
    proofs = (event for event in reversed(history.events) if event.what is EventKind.PROOF)
    return next(proofs, None)
