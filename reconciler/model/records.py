"""The records of an address: what was done there, by whom, and how it answered before."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from reconciler.model.versions import ModelRef


@dataclass(frozen=True, slots=True)
class Score:
    """The first rows that an endpoint answered to the probe: columns and text cells."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Approver:
    """Who approved what a run did. `of` names the pull request that was reviewed, or the
    environment of the code host whose reviewers let the run go on."""

    who: str
    of: str

    def __str__(self) -> str:
        """`ada (pull request 7)`."""
        return f"{self.who} ({self.of})"


@dataclass(frozen=True)
class Actor:
    """Who acts: the run, the person or service account, the git commit, why it is forced, and who
    approved it.

    `run` tells runs apart; the others are "" where nobody knows them, `force` where it is not, and
    `approvers` None where the code host was not asked.
    """

    run: str
    who: str = ""
    commit: str = ""
    force: str = ""
    approvers: tuple[Approver, ...] | None = None

    def __str__(self) -> str:
        """Who it is, or the run where nobody knows that."""
        return self.who or f"run {self.run}"


class EventKind(StrEnum):
    """Kinds of events at an address; a write is noted before it is sent."""

    CREATE = "create"
    SWAP = "swap"
    PROOF = "proof"
    DECLARED = "declared"  # read back, and nothing showed which model answers
    FAILED = "failed"  # no proof, and the version is not rejected: it was proved here before
    ROLL_BACK = "roll back"
    SETTINGS = "settings"
    DELETE = "delete"
    REJECTED = "rejected"  # by a person, who rolled back
    SETTINGS_REJECTED = "settings rejected"  # the same, to a version that served with other ones
    REINSTATED = "reinstated"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that was done at an address, about which model.

    `version` is what people call the model, "" where it is no version that the store knows.
    """

    at: str
    what: EventKind
    model: ModelRef
    run: str
    commit: str
    why: str = ""
    who: str = ""
    version: str = ""
    approvers: tuple[Approver, ...] = ()

    @property
    def approval(self) -> str:
        """`approved by ada (pull request 7)`; "" where no approver is on record."""
        return f"approved by {', '.join(map(str, self.approvers))}" if self.approvers else ""

    @property
    def name(self) -> str:
        """The model's name for people, whoever made it."""
        return self.version or self.model.short_name


MOST_EVENTS = 100  # of one address; the oldest are forgotten
PROOFS = (EventKind.PROOF, EventKind.DECLARED)
_SETTLED = (*PROOFS, EventKind.CREATE)
_SWAPS = (EventKind.SWAP, EventKind.ROLL_BACK)
_SPARED = (EventKind.FAILED, EventKind.SETTINGS_REJECTED)


@dataclass(frozen=True, slots=True)
class Record:
    """The last deed of this program at one address, kept in the store.

    `wanted` was asked for at `at`, when the endpoint answered the probe with `before` (None: it did
    not, or a swap before it was not proved); `proved` says that it was read back and answered as it
    must. `previous` is the
    way back (None: there is none): the model that was last known to be good, which need not be
    the one that served. `bound` is the model that the service accepted last: the witness where
    it hides its model. `settings` are those that git owned, as the endpoint showed them
    when it was last as this program left it. `etag` is that of the stored record when it was read;
    a record that replaces it must name it.
    """

    wanted: ModelRef
    previous: ModelRef | None
    bound: ModelRef | None
    proved: bool
    at: str
    before: Score | None = None
    history: tuple[Event, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    etag: str = field(default="", compare=False)

    @property
    def good(self) -> ModelRef | None:
        """The model that was last known to be good here."""
        return self.wanted if self.proved else self.previous

    @property
    def proved_at(self) -> str:
        """When that model was proved here, or `declared_only`; "" where it never was."""
        event = self.proved_by
        return event.at if event is not None else self.at if self.proved else ""

    @property
    def declared_only(self) -> bool:
        """Whether nothing showed that the good model answers, when it was read back."""
        event = self.proved_by
        return event is not None and event.what is EventKind.DECLARED

    @property
    def proved_by(self) -> Event | None:
        """The event that proved that model, or read it back."""
        good = self.good
        proofs = (e for e in reversed(self.history) if e.what in PROOFS and e.model == good)
        return next(proofs, None)

    def version_of(self, ref: ModelRef | None) -> str:
        """The name that people know a model by, as noted here; "" where it was not."""
        return next((e.version for e in reversed(self.history) if e.model == ref), "")

    def failed(self, ref: ModelRef) -> Event | None:
        """That a model failed here though its version is good, if that is the last word on it."""
        last = next((e for e in reversed(self.history) if e.model == ref), None)
        return last if last is not None and last.what in _SPARED else None

    @property
    def deleted(self) -> bool:
        """Whether this program deleted the endpoint, and did nothing there since."""
        done = (*_SWAPS, *_SETTLED, EventKind.SETTINGS, EventKind.DELETE)
        return self._last_of(*done) is EventKind.DELETE

    @property
    def newborn(self) -> bool:
        """Whether this program made the endpoint and has not proved anything there yet."""
        return self._last_of(*_SETTLED) is EventKind.CREATE

    @property
    def goes_back(self) -> bool:
        """Whether the last swap of this program was a way back, and is not proved."""
        return not self.proved and self._last_of(*_SWAPS) is EventKind.ROLL_BACK

    @property
    def restored(self) -> bool:
        """Whether a lost endpoint was made again with its good model, which is not proved yet."""
        made = self._last_of(*_SWAPS, *_SETTLED) is EventKind.CREATE
        return made and not self.proved and self.previous == self.wanted

    @property
    def settled(self) -> bool:
        """Whether no swap can be on its way: what answers now is the model that serves."""
        return self.proved or self._last_of(*_SWAPS, *_SETTLED) in _SETTLED

    def _last_of(self, *kinds: EventKind) -> EventKind | None:
        return next((e.what for e in reversed(self.history) if e.what in kinds), None)
