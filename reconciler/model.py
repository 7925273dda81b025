"""The vocabulary: frozen values without I/O. One word per idea; see CONTRIBUTING.md."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, unquote, urlsplit

from reconciler.auth import Auth as Auth  # a word of the vocabulary, kept where it is cheap

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

MODEL_FILE = "model.ilearner"
EVALUATION_FILE = "evaluation.csv"
MANIFEST_FILE = "manifest.json"


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def canonical_json(value: object) -> str:
    """The one JSON text of a value: sorted members, no blanks; what digests are taken of."""
    return _CANONICAL.encode(value)


# --- where things were written -------------------------------------------------------------


@dataclass(frozen=True, order=True)
class Source:
    """A place in the desired state: file, line and column (both from 1)."""

    path: str
    line: int
    column: int

    def __str__(self) -> str:
        """`path:line:column`, which editors and CI annotations understand."""
        return f"{self.path}:{self.line}:{self.column}"


NOWHERE = Source("", 0, 0)


class Address(Protocol):
    """Where a model is served. Each target owns a frozen dataclass that fits this."""

    def __str__(self) -> str:
        """The id that people see and plans sort by; unique within an environment."""
        ...

    @property
    def key(self) -> str:
        """The id that a store files by; unique also where environments share the store."""
        ...


# --- models and how they are made ----------------------------------------------------------

# What normalising a model's URL would leave as it is.
_NORMAL_URL = re.compile(r"https?://[a-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9/_.=~,-]*)?")


@dataclass(frozen=True, order=True)
class ModelRef:
    """Which model file: a blob URL. Refuses a query, so that no SAS token can enter the core."""

    url: str

    def __post_init__(self) -> None:
        """Normalise encoding and host case; raise ValueError on anything but a plain URL."""
        if _NORMAL_URL.fullmatch(self.url):  # nearly every one, many times in a run
            return
        try:
            parts = urlsplit(self.url)
            host = parts.netloc.lower()
        except ValueError as exc:
            raise ValueError("a model reference must be a plain http(s) URL") from exc
        if parts.scheme not in ("http", "https") or not host or "@" in host:
            raise ValueError("a model reference must be a plain http(s) URL")
        if parts.query or parts.fragment:
            raise ValueError("a model reference must not carry a query (a SAS token is a secret)")
        path = quote(unquote(parts.path), safe="/=~,")
        object.__setattr__(self, "url", f"{parts.scheme}://{host}{path}")

    @classmethod
    def at(cls, base: str, relative: str) -> ModelRef:
        """`BaseLocation` and `RelativeLocation` joined by exactly one slash (§2.8)."""
        return cls(f"{base.rstrip('/')}/{relative.lstrip('/')}")

    @property
    def short_name(self) -> str:
        """The file's name; Studio names models by 32 hex digits, of which eight are enough."""
        name = self.path.rsplit("/", 1)[-1]
        stem, dot, ending = name.rpartition(".")
        return f"{stem[:8]}…{dot}{ending}" if len(stem) > 24 else name

    @property
    def path(self) -> str:
        """The decoded path below the host, without the leading slash."""
        return unquote(urlsplit(self.url).path).lstrip("/")

    def __str__(self) -> str:
        """The URL."""
        return self.url


@dataclass(frozen=True)
class Recipe:
    """How one version is made; what decides whether two trainings are the same training.

    `inputs` and `outputs` pair a web-service port with what it carries: inputs with the blob
    (`container/path`) in the environment's store account, outputs with "model" or "evaluation".
    """

    service: str
    inputs: tuple[tuple[str, str], ...] = ()
    parameters: tuple[tuple[str, str], ...] = ()
    outputs: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Sort the pairs, so that equal recipes are equal whatever order they were written in."""
        for name in ("inputs", "parameters", "outputs"):
            object.__setattr__(self, name, tuple(sorted(getattr(self, name))))

    def as_json(self) -> dict[str, Any]:
        """The recipe as plain data, as manifests keep it."""
        return {
            "service": self.service,
            "inputs": dict(self.inputs),
            "parameters": dict(self.parameters),
            "outputs": dict(self.outputs),
        }

    @property
    def output_ports(self) -> dict[str, str]:
        """Port by role: `{"model": "output1", "evaluation": "output2"}`."""
        return {role: port for port, role in self.outputs}


@dataclass(frozen=True)
class Version:
    """A model version, with the arguments that tell apart the models of one experiment."""

    model: str
    version: str
    arguments: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Sort the arguments, so that equal versions are equal."""
        object.__setattr__(self, "arguments", tuple(sorted(self.arguments)))

    @cached_property
    def folder(self) -> str:
        """The folder in the store: `model/version`, then `/name=value,…` for arguments."""
        names = [self.model, self.version]
        if self.arguments:
            pairs = (f"{_escaped(k)}={_escaped(v)}" for k, v in self.arguments)
            names.append(",".join(pairs))
        return "/".join(names)

    def __str__(self) -> str:
        """The folder: unique, and readable."""
        return self.folder


def _escaped(text: str) -> str:
    return quote(text, safe="").replace("~", "%7E")


def training_key(version: Version, recipe: Recipe) -> str:
    """The digest (64 hex) under which a training happens exactly once."""
    said = [version.model, version.version, dict(version.arguments), recipe.as_json()]
    return hashlib.sha256(canonical_json(said).encode()).hexdigest()


class RuleKind(StrEnum):
    """What an `accept` rule compares with."""

    AT_LEAST = "atLeast"
    AT_MOST = "atMost"
    NO_WORSE_THAN_LIVE = "noWorseThanLive"
    BETTER_THAN_LIVE = "betterThanLive"
    MIN_ROWS = "minRows"


@dataclass(frozen=True)
class Rule:
    """One gate: a metric of the evaluation and the bound it must keep."""

    metric: str
    kind: RuleKind
    bound: Decimal

    def __str__(self) -> str:
        """`AUC atLeast 0.85`."""
        return f"{self.metric} {self.kind} {self.bound}"


@dataclass(frozen=True)
class Judgement:
    """What a gate said: the rule, the candidate's and the live value (None: unknown)."""

    rule: Rule
    passed: bool | None
    candidate: float | None
    live: float | None
    message: str


# --- desired state -------------------------------------------------------------------------


@dataclass(frozen=True)
class SecretName:
    """The name of an environment variable that holds a secret; never the secret."""

    variable: str
    source: Source = field(default=NOWHERE, compare=False)


class CloudName(StrEnum):
    """Which cloud an environment talks to."""

    EMULATOR = "emulator"
    AZURE = "azure"


@dataclass(frozen=True)
class Workspace:
    """A Studio workspace: its id (32 hex), region and the name of its authorization token."""

    id: str
    region: str
    token: SecretName


@dataclass(frozen=True)
class Store:
    """The blob container that keeps models, evaluations and manifests."""

    account: str
    container: str
    key: SecretName


@dataclass(frozen=True)
class TrainingService:
    """The web service that was deployed from a training experiment.

    `url` is its scoring base: absolute, or a path below the region's scoring host.
    """

    name: str
    url: str
    key: SecretName
    source: Source = field(default=NOWHERE, compare=False)


MOST_BINDINGS = 10_000  # of one environment, where its limits.bindings does not say otherwise


@dataclass(frozen=True)
class Environment:
    """One folder's cloud: where its services are and by which names its secrets go."""

    name: str
    cloud: CloudName
    subscription: str
    resource_group: str
    region: str
    store: Store
    workspace: Workspace | None = None
    training_services: Mapping[str, TrainingService] = field(default_factory=dict, hash=False)
    auth: Auth = Auth.DEFAULT
    parallel: int = 8
    most_changes_percent: int = 30
    most_deletes_percent: int = 10
    most_bindings: int = MOST_BINDINGS
    most_retrains: int = 40
    source: Source = field(default=NOWHERE, compare=False)

    @property
    def mark(self) -> str:
        """What it marks an endpoint with that it made: the environment, and the store whose lock
        it takes, so that two repositories with an environment of one name stay apart."""
        return f"{self.name}@{self.store.account}/{self.store.container}"


@dataclass(frozen=True)
class Expectation:
    """What the cells of one column of an answer must be; None and () ask for nothing.

    `values` says one cell after the other, from the first row on.
    """

    column: str
    at_least: Decimal | None = None
    at_most: Decimal | None = None
    one_of: tuple[str, ...] = ()
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Probe:
    """A scoring request (JSON text), the columns its answer must have, and what is expected."""

    request: str
    columns: tuple[str, ...] = ()
    expect: tuple[Expectation, ...] = ()

    @property
    def all_columns(self) -> tuple[str, ...]:
        """Every column that the answer must have, each once."""
        return tuple(dict.fromkeys((*self.columns, *(each.column for each in self.expect))))

    @property
    def digest(self) -> str:
        """12 hex over what is asked and expected; people approve a swap with its proof."""
        expected = [
            [e.column, str(e.at_least), str(e.at_most), list(e.one_of), list(e.values)]
            for e in self.expect
        ]
        said = canonical_json([self.request, list(self.columns), expected])
        return hashlib.sha256(said.encode()).hexdigest()[:12]

    @property
    def of_any_model(self) -> Probe:
        """What the model before must answer too: the columns; its cells may be others."""
        return Probe(self.request, self.all_columns)


@dataclass(frozen=True)
class Creation:
    """That an endpoint which is not there is to be made, and of what.

    `template` is the definition of a New service as JSON, "" where the kind needs none; `secrets`
    are what is missing in its properties, by the names that lead there.
    """

    template: str = ""
    secrets: tuple[tuple[tuple[str, ...], SecretName], ...] = ()

    @property
    def digest(self) -> str:
        """12 hex over what the endpoint is made of; people approve that too."""
        names = [[path, name.variable] for path, name in self.secrets]
        said = canonical_json([self.template, names])
        return hashlib.sha256(said.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Binding:
    """Desired: this model version serves at this address.

    `asset` is the asset (New) or resource (Classic) that holds the model; None where the
    service has exactly one. `timeout_s` bounds one training job, `attempts` their number.
    `max_age_s` is how old a version may become before `retrain` proposes a newer one. `create` says
    how to make an endpoint that is not there, None: not at all. `settings` are the owned ones, by
    dotted name, as text; no other is looked at. `absent` wants the endpoint gone. `adopt` accepts a
    first swap that has no way back; `protect` refuses every change unless it is `forced`, and
    `paused` leaves the endpoint alone. `element` says which one of a `forEach` it is.
    """

    name: str
    kind: str
    address: Address
    version: Version
    recipe: Recipe
    asset: str | None = None
    accept: tuple[Rule, ...] = ()
    probe: Probe | None = None
    timeout_s: float = 7200.0
    attempts: int = 2
    max_age_s: float | None = None
    create: Creation | None = None
    settings: tuple[tuple[str, str], ...] = ()
    absent: bool = False
    adopt: bool = False
    protect: bool = False
    forced: bool = False
    paused: bool = False
    labels: tuple[tuple[str, str], ...] = ()
    element: str = ""
    source: Source = field(default=NOWHERE, compare=False)

    @cached_property
    def key(self) -> str:
        """The training key of the version this binding wants."""
        return training_key(self.version, self.recipe)


@dataclass(frozen=True)
class Declared:
    """How many bindings an environment declares, and its shard that a run works on (else all)."""

    environment: int
    shard: int


@dataclass(frozen=True)
class Desired:
    """What one environment must look like; bindings sorted by address.

    `declared` counts those that a selection was made of; None where these are all. `left_out` are
    the bindings that git declares too and a selection hides; `shard` is the part (`2/4`).
    """

    environment: Environment
    bindings: tuple[Binding, ...]
    declared: Declared | None = None
    left_out: tuple[Binding, ...] = ()
    shard: str = ""

    @property
    def whole(self) -> bool:
        """Whether these are all bindings of the environment, or of the shard."""
        return self.declared is None or len(self.bindings) == self.declared.shard


# --- observed state ------------------------------------------------------------------------


class HealthCode(StrEnum):
    """How an address is doing."""

    HEALTHY = "Healthy"
    PROGRESSING = "Progressing"
    DEGRADED = "Degraded"
    MISSING = "Missing"
    UNKNOWN = "Unknown"


@dataclass(frozen=True)
class Health:
    """A health code and why."""

    code: HealthCode
    message: str = ""


class Witness(StrEnum):
    """Who told us which model is live."""

    SERVICE = "service"
    RECORD = "record"
    EXPORT = "export"


@dataclass(frozen=True)
class Refusal:
    """Why an address cannot be bound: a reason code, and a sentence with the fix."""

    code: str
    message: str


@dataclass(frozen=True)
class Live:
    """What the cloud said about one address.

    `ref` is None when the model is unknown (hidden, missing, or not a plain URL); `model_text`
    is then what was found, for people. `hidden` says that the service does not reveal it. `place`
    is the service's own name of what was found, where two addresses may lead to the same.
    `settings` are those that can be owned, by dotted name, as text ("" and absent are the same).
    `ours` says that it carries the mark of this environment, which made it; `protected`, that the
    mark says it must be kept. `keep` is any other reason why it must not be deleted.
    """

    health: Health
    ref: ModelRef | None = None
    asset: str = ""
    model_text: str = ""
    hidden: bool = False
    witness: Witness = Witness.SERVICE
    refusal: Refusal | None = None
    warnings: tuple[str, ...] = ()
    place: str = ""
    settings: tuple[tuple[str, str], ...] = ()
    ours: bool = False
    protected: bool = False
    keep: Refusal | None = None


@dataclass(frozen=True)
class Owned:
    """An endpoint that carries this environment's mark and is not declared any more.

    `name` is what people call it; `protected` and `keep` as in `Live`.
    """

    kind: str
    name: str
    address: Address
    protected: bool = False
    keep: Refusal | None = None


@dataclass(frozen=True)
class NotDeclared:
    """What git does not declare any more; `unread` says what could not be read to its end."""

    found: tuple[Owned, ...] = ()
    unread: tuple[str, ...] = ()


class ArtifactState(StrEnum):
    """How far the desired model file is."""

    ABSENT = "absent"
    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"
    REJECTED = "rejected"
    UNKNOWN = "unknown"  # the store was not read (offline plan)


@dataclass(frozen=True)
class Artifact:
    """State of the desired model file: where it is or will be, and what is known of it."""

    state: ArtifactState
    ref: ModelRef
    message: str = ""
    code: str = ""  # a reason code for FAILED, where "training_failed" would not be the truth
    metrics: Mapping[str, float] = field(default_factory=dict, hash=False)
    rows: int | None = None  # of its inputs; None where no rule asks, or nobody knows any more
    recipe: Recipe | None = None  # the recipe it was claimed with; None before the claim
    job: str = ""
    running_s: float = 0.0  # how long its job runs already, where it does
    failure: str = ""  # how the last job failed, whether or not another one may be tried
    refused: str = ""  # why its gates did not accept it when they were last asked
    noted: bool = True  # whether the manifest already says so; a run that may write notes it
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Actor:
    """Who acts: the run, the person or service account, the git commit, and why it is forced.

    `run` tells runs apart; the others are "" where nobody knows them, `force` where it is not.
    """

    run: str
    who: str = ""
    commit: str = ""
    force: str = ""


@dataclass(frozen=True)
class Event:
    """One thing that was done at an address: `create`, `swap`, `proof`, `roll back`, `settings`,
    `delete`."""

    at: str
    what: str
    model: ModelRef
    run: str
    commit: str
    why: str = ""


MOST_EVENTS = 100  # of one address; the oldest are forgotten
CREATED = "create"  # the event before an endpoint is made
DELETED = "delete"  # the event before an endpoint is deleted
_SETTLED = ("proof", CREATED)


@dataclass(frozen=True)
class Record:
    """What this program last did at one address, kept in the store.

    `wanted` was asked for at `at`, when the endpoint answered the probe with `before` (None: it did
    not, or a swap before it was not proved); `proved` says that it was read back and answered as it
    must. `previous` is the
    way back (None: there is none): the model that was last known to be good, which need not be
    the one that served. `bound` is the model that the service accepted last: the witness where
    it hides its model. `etag` is that of the stored record when it was read; a record that
    replaces it must name it.
    """

    wanted: ModelRef
    previous: ModelRef | None
    bound: ModelRef | None
    proved: bool
    at: str
    before: Score | None = None
    history: tuple[Event, ...] = ()
    etag: str = field(default="", compare=False)

    @property
    def newborn(self) -> bool:
        """Whether this program made the endpoint and has not proved anything there yet."""
        return self._last_of(CREATED, "proof") == CREATED

    @property
    def settled(self) -> bool:
        """Whether no swap can be on its way: what answers now is the model that serves."""
        return self.proved or self._last_of("swap", "roll back", "proof", CREATED) in _SETTLED

    def _last_of(self, *events: str) -> str:
        return next((e.what for e in reversed(self.history) if e.what in events), "")


@dataclass(frozen=True)
class WayBack:
    """The model to return to if a swap is not proved: last known to be good, and still there.

    `version` names it for people; `missing` says why there is none, "" when there is one or when
    no swap is in sight.
    """

    ref: ModelRef | None = None
    version: str = ""
    missing: str = ""


@dataclass(frozen=True)
class Observed:
    """Everything one decision needs: the binding, its address, its artifact.

    `live_metrics` are those of the model that serves now; None when nobody knows them.
    `live_version` names that model for people. `record` is what was last done here.
    """

    binding: Binding
    live: Live
    artifact: Artifact
    live_metrics: Mapping[str, float] | None = field(default=None, hash=False)
    live_version: str = ""
    record: Record | None = None
    way_back: WayBack = WayBack()

    @property
    def swapped_in(self) -> bool:
        """Whether it was this program that swapped the live model in, last."""
        return self.record is not None and self.record.wanted == self.live.ref

    @property
    def unproved(self) -> bool:
        """Whether the live model was swapped in by this program and never proved."""
        return self.record is not None and self.swapped_in and not self.record.proved

    @property
    def proved(self) -> bool:
        """Whether the live model was swapped in by this program and proved."""
        return self.record is not None and self.swapped_in and self.record.proved

    @property
    def newborn(self) -> bool:
        """Whether this program made the endpoint, and nothing was ever proved to serve there."""
        return self.live.ours and self.record is not None and self.record.newborn


# --- plans ---------------------------------------------------------------------------------


class Action(Enum):
    """What is to be done; the value is the printed mark."""

    NOOP = "="
    WAIT = "."
    CREATE = "+"
    BIND = "~"
    UPDATE = "^"
    TRAIN = "*"
    DELETE = "-"
    BLOCK = "!"


@dataclass(frozen=True)
class FieldDiff:
    """One owned field that differs; None means absent."""

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Forecast:
    """How long the training of one change will take, by what such trainings took before.

    `seconds` is the median of the last `runs`; None while they are too few to tell. So many as
    `at_once` run at the same time on the training service.
    """

    service: str
    at_once: int
    runs: int
    seconds: float | None


@dataclass(frozen=True)
class Change:
    """What happens to one binding, and why. Every binding yields exactly one.

    `before` and `after` are model names for people; `after_ref` and `key` say exactly which
    file and which training, `probe` how it will be proved (a digest, "" without a probe), `terms`
    what else the desired state says of how it is done, by the place where it says so. `why` and
    `warnings` are sentences and not part of the digest.
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

    @property
    def trains(self) -> bool:
        """Whether a model must be trained first."""
        return self.action is Action.TRAIN or (
            self.action is Action.CREATE and self.code in TO_TRAIN
        )


# The reason codes of what must be trained first.
TO_TRAIN = ("not_trained", "retry")
# The reason code of the BIND of an endpoint that this program has just made.
NEWBORN = "created"
# The reason code of an endpoint that this environment made and git does not declare any more.
NOT_DECLARED = "not_declared"
# The reason code of what is declared to be absent.
ABSENT = "absent"
# The reason code of a BLOCK that means "could not be read": an error, not a refusal.
UNREADABLE = "unreadable"
# The reason code of a WAIT for a job, which may have to be tried again.
TRAINING = "training"
# The reason code of a NOOP that is no agreement: the binding is left as it is.
PAUSED = "paused"
# The reason code of a BIND of the model before.
ROLL_BACK = "roll_back"
# How the warning begins about a swap that could not be taken back.
ADOPTED = "adopted without a way back"


@dataclass(frozen=True)
class Plan:
    """The sorted changes of one environment. Data only.

    `excess` says which limits of the environment the changes exceed, `notes` what could not be
    looked at. `id` tells apart two plans
    of the same content, so that one that was approved is not applied twice; "" while it is not
    kept anywhere. `commit` is the one of git that was planned, "" where nobody knows it.
    """

    environment: str
    cloud: str
    changes: tuple[Change, ...]
    excess: tuple[str, ...] = field(default=(), compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)
    id: str = field(default="", compare=False)
    commit: str = field(default="", compare=False)

    @cached_property
    def counts(self) -> Mapping[Action, int]:
        """How many changes have each action; every action is present, and they add up."""
        found = Counter(change.action for change in self.changes)
        return {action: found[action] for action in Action}

    @property
    def converged(self) -> bool:
        """Whether there is nothing to do and nothing in the way."""
        return all(change.action is Action.NOOP for change in self.changes)

    @cached_property
    def digest(self) -> str:
        """12 hex over what would be done, by which gates, and how it would be proved; sentences,
        metrics and source lines do not count."""
        said = [
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
            + [[name, said] for name, said in sorted(c.terms.items())]
            + [str(judgement.rule) for judgement in c.gates]
            for c in self.changes
        ]
        text = canonical_json([self.environment, self.cloud, said])
        return hashlib.sha256(text.encode()).hexdigest()[:12]


# --- what a run did ------------------------------------------------------------------------


@dataclass(frozen=True)
class Score:
    """The first rows that an endpoint answered to the probe: columns and text cells."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Proof:
    """The record that an endpoint serves the model it should: read back, and scored.

    `model` names the model that was looked for: the declared one or, after a proof of that one
    failed, the one before (`rolled_back`), or "" where the endpoint had to go and is `gone`.
    `after` is None when the binding declares no probe; `before` is None when the endpoint was
    already converged or could not be asked before the change.
    """

    name: str
    address: str
    model: str
    read_back: bool
    health: Health
    before: Score | None = None
    after: Score | None = None
    warnings: tuple[str, ...] = ()
    rolled_back: bool = False
    gone: bool = False

    @property
    def proved(self) -> bool:
        """Whether the endpoint serves what it should, and answers."""
        return self.read_back and self.health.code is HealthCode.HEALTHY


@dataclass(frozen=True)
class MadeVersion:
    """What became of one model version: `trained`, `not accepted`, `rejected`, `failed`, `begun`.

    `at` is when it was begun, for git `commit`; `job` is its last, and `took_s` how long that ran
    until its end was seen (None: it did not end well, or nobody knows); `why` says what is wrong.
    """

    version: str
    state: str
    at: str
    commit: str
    job: str
    metrics: Mapping[str, float] = field(default_factory=dict, hash=False)
    why: str = ""
    took_s: float | None = None


@dataclass(frozen=True)
class History:
    """What was made of a binding's model, and done at its address; oldest first.

    `names` says by model URL what people call it; `unread` why the versions could not be read.
    """

    name: str
    address: str
    live: str
    versions: tuple[MadeVersion, ...]
    events: tuple[Event, ...]
    names: Mapping[str, str] = field(default_factory=dict, hash=False)
    unread: str = ""


@dataclass(frozen=True)
class Failure:
    """A binding that did not converge: what was said, and the exit code it stands for."""

    name: str
    address: str
    message: str
    exit_code: int


@dataclass(frozen=True)
class Report:
    """What a run did: the last plan, what was done, proofs and failures."""

    plan: Plan
    done: tuple[str, ...] = ()
    proofs: tuple[Proof, ...] = ()
    failures: tuple[Failure, ...] = ()
    elapsed_s: float = 0.0
    forced: str = ""  # why limits and protection were overridden
    stopped_by: int = 0  # the signal that ended the run early; 0: it ran to its end
