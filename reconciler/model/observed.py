"""The observed state: at an address, of a model, and in the records of the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from reconciler.model.desired import Binding
from reconciler.model.places import Address
from reconciler.model.plan import Sighting
from reconciler.model.records import Event, EventKind, Record
from reconciler.model.versions import Model, ModelRef, Recipe


class HealthCode(StrEnum):
    """How an address is doing."""

    HEALTHY = "Healthy"
    PROGRESSING = "Progressing"
    DEGRADED = "Degraded"
    MISSING = "Missing"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Health:
    """A health code and why."""

    code: HealthCode
    message: str = ""


class Witness(StrEnum):
    """Who told us which model is live. A declaration (an alias, a pointer) tells what others are to
    serve; whether they do, only an answer can show."""

    SERVICE = "service"
    RECORD = "record"
    DECLARATION = "declaration"
    EXPORT = "export"


@dataclass(frozen=True)
class Refusal:
    """Why an address cannot be bound: a reason code, and a sentence with the fix.

    `code` is a `Reason`, or one that only the platform gives. `flag` names the endpoint's own
    setting that forbids it, where people can set that outside git; else "".
    """

    code: str
    message: str
    flag: str = ""


@dataclass(frozen=True, slots=True)
class Live:
    """The platform's word about one address. Configured is not served: four fields keep apart
    what answers now and what the platform was told.

    `served` is the model that answers, only where the platform is known to serve it; None when it
    is unknown (hidden, missing, or at no plain URI). `model_text` is then what was found.
    `configured` is the model that the platform is told to serve, where that is another one: it may
    be on its way, have failed to start, or have a `share` of the traffic so far, in percent.
    `staged` is a candidate that answers without traffic, `retired` are other models that run on
    without any, and `overdue` names what runs on though its time is over. `hidden` says that the
    service does not reveal its model. `place` is the service's own name of what was found,
    where two addresses may lead to the same.
    `settings` are those that can be owned, by dotted name, as text ("" and absent are the same).
    `ours` says that it carries the mark of this environment, which made it or took it over;
    `protected`, that the mark says it must be kept. `unmarked` says that it carries the mark of
    nobody, and that an update writes ours. `keep` is any other reason why it must not be deleted.
    """

    health: Health
    served: ModelRef | None = None
    configured: ModelRef | None = None
    share: int = 0
    staged: ModelRef | None = None
    retired: tuple[ModelRef, ...] = ()
    overdue: str = ""
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
    unmarked: bool = False
    keep: Refusal | None = None

    @property
    def undecided(self) -> bool:
        """Whether the platform is told to serve another model than the one that answers."""
        return self.configured not in (None, self.served)


@dataclass(frozen=True)
class Owned:
    """An endpoint that carries this environment's mark and is not declared any more.

    `name` is what people call it; `protected` and `keep` as in `Live`. `adopted` says that somebody
    else had made it before this environment marked it.
    """

    kind: str
    name: str
    address: Address
    protected: bool = False
    keep: Refusal | None = None
    adopted: bool = False


@dataclass(frozen=True)
class NotDeclared:
    """Endpoints that git no longer declares; `unread` says what could not be read to its end.

    `unrecorded` are the addresses of those that carry the mark and have no record in this store.
    """

    found: tuple[Owned, ...] = ()
    unread: tuple[str, ...] = ()
    unrecorded: tuple[str, ...] = ()


class ArtifactState(StrEnum):
    """How far the desired model file is."""

    ABSENT = "absent"
    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"
    REJECTED = "rejected"
    UNKNOWN = "unknown"  # the store was not read (offline plan)


@dataclass(frozen=True, slots=True)
class Artifact:
    """State of the desired model file: where it is or will be, and what is known of it.

    Of a version that is still to be taken in, `metrics` are those that its registry knows.
    """

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
    sha256: str = ""  # of the file, once it was evaluated
    location: ModelRef | None = None  # of the file, where the platform calls it otherwise
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)  # as of `Model`
    noted: bool = True  # whether the manifest already says so; a run that may write notes it
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WayBack:
    """The model to return to if a swap is not proved: last known to be good, and still there.

    `version` names it for people, `named` is "" where it is no version that the store knows;
    `missing` says why there is none, "" when there is one or when no swap is in sight.
    """

    ref: ModelRef | None = None
    version: str = ""
    missing: str = ""
    model: Model | None = None
    named: str = ""


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything one decision needs: the binding, its address, its artifact.

    `live_metrics` are those of the model that serves now; None when nobody knows them.
    `live_version` names that model for people, `proved_version` the one that was last proved here.
    `record` is what was last done here, and `sighting` tells of a drift, which may be over.
    `proved_otherwise` says that the declared version was
    proved here with other settings: then a failure is theirs, and no run rejects the version for
    it. Of an endpoint that cannot be read, `begun` says that it may have been swapped to the
    declared version without a proof.
    """

    binding: Binding
    live: Live
    artifact: Artifact
    live_metrics: Mapping[str, float] | None = field(default=None, hash=False)
    live_version: str = ""
    record: Record | None = None
    way_back: WayBack = WayBack()
    proved_version: str = ""
    proved_otherwise: bool = False
    begun: bool = False
    sighting: Sighting | None = None

    @property
    def failed(self) -> Event | None:
        """The last failure of the declared version with the declared settings, if it is not
        rejected for that."""
        return self.record.failed(self.artifact.ref) if self.record is not None else None

    @property
    def taken_back(self) -> bool:
        """Whether a person rolled back from the declared settings, and the version itself is not
        rejected."""
        free, failed = self.artifact.state is not ArtifactState.REJECTED, self.failed
        return free and failed is not None and failed.what is EventKind.SETTINGS_REJECTED

    @property
    def rejected(self) -> bool:
        """Whether what is declared is rejected: the version, or its settings."""
        return self.artifact.state is ArtifactState.REJECTED or self.taken_back

    @property
    def disproved(self) -> str:
        """Why the declared version failed after its swap with these settings, though it is not
        rejected; "" where it did not, or the previous model is proved again."""
        record, ref = self.record, self.artifact.ref
        if record is None or record.proved or (failed := record.failed(ref)) is None:
            return ""
        there = ref in (self.live.served, self.live.configured)
        return failed.why if there or (record.goes_back and self.swapped_in) else ""

    @property
    def barred(self) -> bool:
        """Whether what is declared must not serve here: it is rejected, or disproved."""
        return self.rejected or self.disproved != ""

    @property
    def why_barred(self) -> str:
        """Why it must not."""
        if self.artifact.state is ArtifactState.REJECTED:
            return self.artifact.message
        if (failed := self.failed) is None or not self.taken_back:
            return self.disproved
        by = failed.who or f"run {failed.run}"
        return f"{failed.why} (these settings were rejected by {by} at {failed.at})"

    @property
    def live_name(self) -> str:
        """The live model's name for people, whoever made it."""
        live = self.live
        if self.live_version or live.served is not None:
            return self.live_version or (live.served.short_name if live.served else "")
        return live.model_text or ("hidden" if live.hidden else "unknown")

    @property
    def health(self) -> Health:
        """How the endpoint does as the one that must serve the declared version."""
        return served(self.binding, self.live, self.artifact.ref)

    @property
    def swapped_in(self) -> bool:
        """Whether it was this program that swapped the live model in, last."""
        return self.record is not None and self.record.wanted == self.live.served

    @property
    def unproved(self) -> bool:
        """Whether the live model was swapped in by this program and never proved."""
        return self.record is not None and self.swapped_in and not self.record.proved

    @property
    def in_shares(self) -> bool:
        """Whether a swap of this program gave the configured model some of the traffic, and was
        never proved."""
        live, record = self.live, self.record
        unproved = record is not None and record.wanted == live.configured and not record.proved
        return live.share > 0 and unproved

    @property
    def proved(self) -> bool:
        """Whether the live model was swapped in by this program and an answer proved it."""
        record = self.record
        return record is not None and self.swapped_in and record.proved and not record.declared_only

    @property
    def newborn(self) -> bool:
        """Whether this program made the endpoint, and nothing was ever proved to serve there."""
        return self.live.ours and self.record is not None and self.record.newborn


def served(binding: Binding, live: Live, ref: ModelRef) -> Health:
    """How an endpoint does where this model must serve; DEGRADED where another one does."""
    if live.health.code is not HealthCode.HEALTHY:
        return live.health
    if binding.absent:
        return Health(HealthCode.DEGRADED, "the endpoint exists, but `state: absent` is declared")
    if live.served == ref and not live.undecided:
        return live.health
    if live.refusal is not None:
        return Health(HealthCode.DEGRADED, live.refusal.message)
    model = live.served.url if live.served else live.model_text or "a hidden model"
    if live.undecided:
        why = f"it is configured for {live.configured}, and serves {model}"
        return Health(HealthCode.DEGRADED, why)
    return Health(HealthCode.DEGRADED, f"it serves {model}, not the declared version")
