"""The desired state: environments, and what must be served at which address."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from shlex import join
from typing import Any

from reconciler.auth import Auth
from reconciler.model.places import NOWHERE, Address, Source
from reconciler.model.versions import Recipe, Rule, Version, canonical_json, training_key


@dataclass(frozen=True)
class SecretName:
    """The name of an environment variable that holds a secret; never the secret."""

    variable: str
    source: Source = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class StoreUrl:
    """Where a store is: `az://account/container`, `s3://bucket/prefix`, `gs://…`, or a folder.

    `key` names what opens it; without one it is opened by the identity of whoever runs the program.
    `endpoint` is the server that has it, "" for its cloud's own; `region` is where a bucket is, ""
    where its cloud is asked. `auth` is the way to sign in where there is no key.
    """

    url: str
    key: SecretName | None = None
    endpoint: str = ""
    region: str = ""
    auth: Auth = Auth.DEFAULT

    @property
    def named(self) -> str:
        """It as people know it: a container of Azure as `account/container`, others whole, and
        which server has it where that is not its cloud's own."""
        place = self.url.removeprefix("az://")
        return f"{place} at {self.endpoint}" if self.endpoint else place

    @property
    def parts(self) -> tuple[str, str, str]:
        """Scheme ("" of a path), account, bucket or folder, and what is named below it, or ""."""
        scheme, separator, rest = self.url.partition("://")
        if not separator:
            return "", self.url, ""
        if scheme == "file":
            return scheme, rest, ""
        account, _, container = rest.partition("/")
        return scheme, account, container


@dataclass(frozen=True)
class Rollout:
    """How a version reaches its endpoints: `first` of them, then wave after wave.

    A later wave has `then` endpoints, or that share of all (`percent`). It begins when the former
    is proved, and has been for `soak_s`; a run waits for `pause_s`, and ends for `soak_s`.
    """

    first: int = 1
    then: int = 100
    percent: bool = True
    pause_s: float = 0.0
    soak_s: float = 0.0

    def __str__(self) -> str:
        """`1, then 25%, pause 600 s`: people approve that."""
        then = f"{self.then}%" if self.percent else f"{self.then}"
        times = (("pause", self.pause_s), ("soak", self.soak_s))
        waits = [f"{name} {seconds:g} s" for name, seconds in times if seconds]
        return ", ".join([f"{self.first}", f"then {then}", *waits])


@dataclass(frozen=True)
class Freeze:
    """A window in which an environment must not be changed: when it begins, and how long it is."""

    cron: str
    length_s: float
    timezone: str = "UTC"


@dataclass(frozen=True)
class Requires:
    """That a version is bound only after it was `proved` in another environment, for so long."""

    proved: str
    for_s: float = 0.0


class NoticeForm(StrEnum):
    """How a message to a webhook looks."""

    JSON = "json"
    SLACK = "slack"
    TEAMS = "teams"


@dataclass(frozen=True)
class Notify:
    """The webhook that hears what went wrong, and how it wants to be told."""

    url: SecretName
    form: NoticeForm = NoticeForm.JSON


UNKNOWN = "unknown"  # the version of an imported endpoint whose model nobody can tell
MOST_BINDINGS = 10_000  # of one environment, where its limits.bindings does not say otherwise


@dataclass(frozen=True)
class Environment:
    """One folder's world: where its models are kept, and what its platforms are reached by.

    `connections` are by the names of platforms, each a frozen value of that platform's own.
    `where` says in a word what they lead to, for titles, and `places` exactly, for whoever must
    not confuse two. `data` is the root of all inputs, `root` the folder of the tree. `rollout` is
    how versions are given out whose models do not say that; `rollouts` come before both, by labels.
    `options` are those by which a command line leads to it, as they were typed; "" where it has its
    name alone.
    """

    name: str
    store: StoreUrl
    data: StoreUrl
    connections: Mapping[str, object] = field(default_factory=dict, hash=False)
    where: str = ""
    places: str = ""
    parallel: int = 8
    most_changes_percent: int = 30
    most_deletes_percent: int = 10
    most_bindings: int = MOST_BINDINGS
    most_retrains: int = 40
    rollout: Rollout | None = None
    rollouts: tuple[tuple[tuple[tuple[str, str], ...], Rollout], ...] = ()
    freeze: tuple[Freeze, ...] = ()
    requires: Requires | None = None
    notify: Notify | None = field(default=None, compare=False)
    root: str = field(default="", compare=False)
    options: str = field(default="", compare=False)
    source: Source = field(default=NOWHERE, compare=False)

    def command(self, *words: str) -> str:
        """A command about this environment that can be typed where this one was:
        `reconciler doctor -e production --services theirs`."""
        return f"reconciler {join(words)} {self.options or join(('-e', self.name))}"

    @property
    def mark(self) -> str:
        """The mark on an endpoint that it made: the environment, and the store whose lock
        it takes, so that two repositories with an environment of one name stay apart."""
        return f"{self.name}@{self.store.named}"


@dataclass(frozen=True)
class Expectation:
    """Bounds on the cells of one column of an answer; None and () ask for nothing.

    `values` says one cell after the other, from the first row on.
    """

    column: str
    at_least: Decimal | None = None
    at_most: Decimal | None = None
    one_of: tuple[str, ...] = ()
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """The binding whose endpoint must answer alike: numbers no more than `within` apart, anything
    else the same. `address` and `request` say where that one is, and what it is asked."""

    name: str
    within: Decimal
    address: str = ""
    request: str = ""
    source: Source = field(default=NOWHERE, compare=False)

    def __str__(self) -> str:
        """`churn-studio, within 0.01`: people approve that."""
        return f"{self.name}, {f'within {self.within}' if self.within else 'exactly'}"


@dataclass(frozen=True, slots=True)
class Probe:
    """A scoring request (JSON text), the columns its answer must have, and what is expected."""

    request: str
    columns: tuple[str, ...] = ()
    expect: tuple[Expectation, ...] = ()
    compare: Comparison | None = None

    @property
    def all_columns(self) -> tuple[str, ...]:
        """Every column that the answer must have, each once."""
        return tuple(dict.fromkeys((*self.columns, *(e.column for e in self.expect))))

    @property
    def digest(self) -> str:
        """12 hex over what is asked and expected; people approve a swap with its proof."""
        expected = [
            [e.column, str(e.at_least), str(e.at_most), list(e.one_of), list(e.values)]
            for e in self.expect
        ]
        with_ = self.compare
        other = [[str(with_), with_.address, with_.request]] if with_ else []
        text = canonical_json([self.request, list(self.columns), expected, *other])
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def of_any_model(self) -> Probe:
        """The part that the previous model must answer, too: the columns; its cells may be
        others."""
        return Probe(self.request, self.all_columns)


@dataclass(frozen=True)
class Creation:
    """That an endpoint which is not there is to be made, and of what.

    `part` is what only the platform understands, a frozen value of its own; None where nothing more
    must be said. `digest` is over it, and `terms` say what people approve of it.
    """

    part: Any = None
    digest: str = ""
    terms: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Binding:
    """Desired: this model version serves at this address.

    `part` is what only the platform understands, a frozen value of its own. `timeout_s` bounds one
    training job, `attempts` their number. `columns` are those that a table must have, by the name
    of the input. `follow` is what `retrain` follows in the registry that
    has the versions, "" where it proposes the newest. `publish` pairs a registry with the name
    under which versions are published there. `max_age_s` is how old a version may become before
    `retrain` proposes a newer one. `rollout` says how its version is given out, None: in no other
    way than every version. `create` says how to make an endpoint that is not there, None:
    not at all. `settings` are the owned ones, by dotted name, as text; no other is looked at.
    `absent` wants the endpoint gone. `adopt` accepts a first swap that has no way back,
    `breaking` an answer without a column that the live one has; `protect`
    refuses every change unless it is `forced`, and `paused` leaves the endpoint alone. `element`
    says which one of a `forEach` it is.
    """

    name: str
    kind: str
    address: Address
    version: Version
    recipe: Recipe
    part: object = None
    accept: tuple[Rule, ...] = ()
    probe: Probe | None = None
    timeout_s: float = 7200.0
    attempts: int = 2
    columns: tuple[tuple[str, tuple[str, ...]], ...] = ()
    follow: str = ""
    publish: tuple[tuple[str, str], ...] = ()
    max_age_s: float | None = None
    rollout: Rollout | None = None
    create: Creation | None = None
    settings: tuple[tuple[str, str], ...] = ()
    absent: bool = False
    adopt: bool = False
    breaking: bool = False
    protect: bool = False
    forced: bool = False
    paused: bool = False
    labels: tuple[tuple[str, str], ...] = ()
    terms: tuple[tuple[str, str], ...] = ()
    element: str = ""
    source: Source = field(default=NOWHERE, compare=False)

    @cached_property
    def key(self) -> str:
        """The training key of the version this binding wants."""
        return training_key(self.version, self.recipe)

    @property
    def undecided(self) -> str:
        """That `import` could not tell which version serves, and nobody said it since; "" else."""
        if not self.paused or self.version.version != UNKNOWN:
            return ""
        how = "declare which version it serves and how its versions are made"
        return f"imported: {how}, then take out `paused`"


@dataclass(frozen=True)
class Declared:
    """How many bindings an environment declares, and its shard that a run works on (else all)."""

    environment: int
    shard: int


@dataclass(frozen=True)
class Desired:
    """The declared state of one environment; bindings sorted by address.

    `declared` counts those that a selection was made of; None where these are all. `left_out` are
    the bindings that git declares too and a selection hides; `shard` is the part (`2/4`).
    `there` is the environment that this one `requires` a proof in, None: no or an unknown one.
    `commit` has it as it is here; "" where none has it, as where files are `uncommitted`;
    of these, `unseen` are not in the working tree.
    """

    environment: Environment
    bindings: tuple[Binding, ...]
    declared: Declared | None = None
    left_out: tuple[Binding, ...] = ()
    shard: str = ""
    there: Desired | None = None
    commit: str = ""
    uncommitted: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether these are all bindings of the environment, or of the shard."""
        return self.declared is None or len(self.bindings) == self.declared.shard
