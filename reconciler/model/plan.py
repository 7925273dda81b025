"""A plan: one change per binding, and why.

At the whiteboard, what a digest is for. People approve a plan by its twelve hex digits, in another
process, perhaps on another day, so the digits must stand for exactly what they agreed to. In it are
the deeds and their targets: action and reason, the file by its URL and the training by its key,
every field with both values, the gates' rules, the probe, and the terms that say where data and
secrets go. Left out is what may change between two looks without changing the deed: sentences,
metrics, warnings, forecasts and lines of files. Were the metrics in it, a retrained measure would
void an approval; were the key not in it, an approved name could be filled with another training.

A digest compares whole plans. Where only a part was done, or more was merged, `approval.py`
compares change by change instead; it uses the same fields.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping  # at run time: documents are read by these types
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

from reconciler.model.places import NOWHERE, Source
from reconciler.model.reasons import TO_TRAIN, Cause
from reconciler.model.versions import Judgement, canonical_json


class Action(Enum):
    """The action of a change; the value is the printed mark."""

    NOOP = "="
    WAIT = "."
    CREATE = "+"
    BIND = "~"
    UPDATE = "^"
    TRAIN = "*"
    DELETE = "-"
    BLOCK = "!"


TO_DO = frozenset(Action) - {Action.NOOP, Action.BLOCK}  # for `apply`


@dataclass(frozen=True)
class FieldDiff:
    """One owned field that differs; None means absent."""

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Drift:
    """A change that was made outside git: each field from its proved value to the live one (None:
    gone), and when and by which run it was proved, or `declared_only`. `proved_at` is "" of an
    endpoint that this program leaves alone and never proved: the values before are those of git.
    `seen_at` and `seen_by` are the moment and run of the first sighting, "" where none is noted."""

    fields: tuple[FieldDiff, ...]
    proved_at: str
    declared_only: bool = False
    proved_by: str = ""
    seen_at: str = ""
    seen_by: str = ""

    def __str__(self) -> str:
        """`drifted from 2026-10, proved here on 2026-11-20`, and when that was first seen, where it
        is noted; by day, for one line per fleet."""
        seen = f"; drift first seen on {self.seen_at[:10]}" if self.seen_at else ""
        return f"{self._from}{seen}"

    @property
    def _from(self) -> str:
        """What it drifted from."""
        if not self.proved_at:
            now = (
                f"{field.path} {field.before} → {field.after or 'none'}" for field in self.fields
            )
            return f"drifted from git: {', '.join(now)}"
        proved = f"{'declared' if self.declared_only else 'proved'} here on {self.proved_at[:10]}"
        fields = {field.path: field for field in self.fields}
        model = fields.pop("model", None)
        if model is not None and model.after is None:
            return f"drifted: the endpoint is gone; {model.before} was {proved}"
        settings = [f'{field.path} "{field.before}"' for field in fields.values()]
        before = [model.before or "", *settings] if model is not None else settings
        return f"drifted from {', '.join(before)}, {proved}"


@dataclass(frozen=True)
class Sighting:
    """The first time that a run noted a drift: when, which run, and of which fields. `deed` is what
    `last_deed` said then: this program had done nothing there since."""

    at: str
    run: str
    deed: str
    fields: tuple[str, ...]

    def goes_on(self, deed: str, drift: Drift) -> bool:
        """Whether that drift lasts: nothing was done there since, and one of its fields still
        differs."""
        now = {diff.path for diff in drift.fields}
        return self.deed == deed and not now.isdisjoint(self.fields)


@dataclass(frozen=True)
class Forecast:
    """An estimate of how long the training of one change will take, by earlier ones.

    `seconds` is the median of the last `runs`; None while they are too few to tell. So many as
    `at_once` run at the same time on the training engine.
    """

    service: str
    at_once: int
    runs: int
    seconds: float | None


@dataclass(frozen=True)
class Wave:
    """The wave in which an endpoint gets a version, from 1 on, and how many endpoints each has.

    The `sizes` count those that serve it already. A wave begins when the former has been proved for
    `pause_s` and `soak_s`; `not_before` is when that is of the next one, "" before it is known.
    """

    number: int
    sizes: tuple[int, ...]
    pause_s: float = 0.0
    soak_s: float = 0.0
    not_before: str = ""

    @property
    def wait_s(self) -> float:
        """How long the former wave must have been proved."""
        return max(self.pause_s, self.soak_s)


@dataclass(frozen=True, slots=True)
class Change:
    """The one change of one binding, and why.

    `code` is a `Reason`, or a platform's own. `before` and `after` are model names for people;
    `after_ref` and `key` say exactly which file and which training, `probe` how it will be proved
    (a digest, "" without a probe), `terms` what else the desired state says of how it is done, by
    the place where it says so. `adopted` says that no way back leads from this swap, as the binding
    accepts. `wave` is None where no endpoint waits for another. `why` and `warnings` are sentences,
    `drift` and `cause` say why there is something to do; none of these is part of the digest.
    """

    name: str
    kind: str
    address: str
    action: Action
    code: str
    why: str
    before: str = ""
    after: str = ""
    after_ref: str = ""
    key: str = ""
    diffs: tuple[FieldDiff, ...] = ()
    gates: tuple[Judgement, ...] = ()
    warnings: tuple[str, ...] = ()
    source: Source = field(default=NOWHERE, compare=False)
    probe: str = ""
    terms: Mapping[str, str] = field(default_factory=dict, hash=False)
    forecast: Forecast | None = field(default=None, compare=False)  # of a TRAIN; None: not asked
    drift: Drift | None = None
    adopted: bool = False
    wave: Wave | None = None
    cause: Cause = Cause.CHANGE

    @property
    def trains(self) -> bool:
        """Whether a model must be trained first."""
        return self.action is Action.TRAIN or (
            self.action is Action.CREATE and self.code in TO_TRAIN
        )

    @property
    def takes(self) -> bool:
        """Whether somebody else made the model, which is not trained but copied."""
        return bool(TAKEN & self.terms.keys())

    def __str__(self) -> str:
        """`bind 2026-10 → 2026-11`: the action and its models, for people."""
        models = " → ".join(filter(None, (self.before, self.after)))
        return f"{self.action.name.lower()} {models}".rstrip()


# The terms that say where data and secrets go.
TRAINED_AT = "the training engine"
TRAINED_WITH = "the key of the training engine"
KEPT_IN = "the store"
READ_FROM = "the data"
TAKEN_FROM = "the data that the file comes from"
REGISTERED_AT = "the registry that the version comes from"
PUBLISHED_TO = "the registry that the version is published to"
TAKEN = frozenset({TAKEN_FROM, REGISTERED_AT})
MADE_FROM = "the definition"
GIVEN = "the secrets of the new service"
# Fewer trainings than these give no forecast: a median of two is a guess.
LEAST_RUNS = 3


@dataclass(frozen=True)
class Unowned:
    """A live endpoint that no environment declares or owns; `name` is what people call it."""

    kind: str
    name: str
    address: str


@dataclass(frozen=True)
class NotManaged:
    """The unmanaged endpoints of an environment; `unread` says which kinds could not be listed."""

    found: tuple[Unowned, ...] = ()
    unread: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """The sorted changes of one environment. Data only.

    `excess` says which limits of the environment the changes exceed, `notes` what could not be
    looked at. `frozen` says until when nothing may be changed, "" where nothing would be. `id`
    tells apart two plans of equal content, so that an approved one is applied once;
    "" while it is not kept anywhere. `commit` is the planned git commit, "" where it is unknown.
    `world` is the id of the emulated world that was looked at, "" for a real one. `unmanaged` is
    what `drift` saw beside the bindings; None where nobody looked.
    """

    environment: str
    cloud: str
    changes: tuple[Change, ...]
    excess: tuple[str, ...] = field(default=(), compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)
    frozen: str = field(default="", compare=False)
    id: str = field(default="", compare=False)
    commit: str = field(default="", compare=False)
    world: str = field(default="", compare=False)
    unmanaged: NotManaged | None = field(default=None, compare=False)

    @cached_property
    def counts(self) -> Mapping[Action, int]:
        """The number of changes by action; every action is present, and they add up."""
        counts = Counter(change.action for change in self.changes)
        return {action: counts[action] for action in Action}

    @cached_property
    def to_do(self) -> tuple[Change, ...]:
        """The changes that `apply` carries out."""
        return tuple(change for change in self.changes if change.action in TO_DO)

    @property
    def converged(self) -> bool:
        """Whether there is nothing to do and nothing in the way."""
        return all(change.action is Action.NOOP for change in self.changes)

    @cached_property
    def digest(self) -> str:
        """12 hex over what would be done, by which gates, and how it would be proved; sentences,
        metrics and source lines do not count."""
        content = [
            [
                c.name,
                c.kind,
                c.address,
                c.action.name,
                c.code,
                c.before,
                c.after_ref,
                c.key,
                c.probe,
            ]
            + [[d.path, d.before, d.after] for d in c.diffs]
            + [[name, term] for name, term in sorted(c.terms.items())]
            + [str(judgement.rule) for judgement in c.gates]
            for c in self.changes
        ]
        text = canonical_json([self.environment, self.cloud, content])
        return hashlib.sha256(text.encode()).hexdigest()[:12]
