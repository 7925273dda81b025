"""A kind of endpoint that lives in memory: all that a test wants to go wrong goes wrong at a word.

It tells the truth as a live platform does: what it was told to serve is one thing, what answers is
another, and a model that does not start leaves them different.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from reconciler.errors import UnavailableError
from reconciler.model import Health, HealthCode, Live, ModelRef, Score
from reconciler.platforms.contract import (
    DONE,
    Answer,
    Can,
    Left,
    OperationState,
    Progress,
    Target,
)
from tests.twins.shelves import Shelves

if TYPE_CHECKING:
    from reconciler.engine.world import World
    from reconciler.model import Binding, Change, Desired, Model

AT = "shelf/top"
BROKEN = "broken"
FAILED = OperationState.FAILED


@dataclass
class Memory(Target):
    """`broken` are the files of models that do not start, `spoiled` those that answer wrongly; `left` is how that leaves the place."""

    can: Can = field(default_factory=Can)
    left: Left = Left.CANDIDATE_DECLARED
    broken: set[ModelRef] = field(default_factory=set)
    names_model: bool = False
    own_names: bool = False
    silent: str = ""  # `all`, or what is `staged`, does not answer
    spoiled: set[ModelRef] = field(default_factory=set)
    answers: dict[ModelRef, Score] = field(default_factory=dict)  # in place of the usual one
    staged: dict[str, ModelRef] = field(default_factory=dict)
    served: dict[str, ModelRef] = field(default_factory=dict)
    configured: dict[str, ModelRef] = field(default_factory=dict)
    writes: list[tuple[str, str, str]] = field(default_factory=list)

    def observe(self, binding: Binding) -> Live:
        where = str(binding.address)
        told, serves = self.configured[where], self.served.get(where)
        if not self.can.shows_served:
            return Live(Health(HealthCode.HEALTHY), configured=told)
        health = Health(HealthCode.HEALTHY if serves else HealthCode.DEGRADED, "nothing answers")
        other = told if told != serves else None
        return Live(health, served=serves, configured=other, staged=self.staged.get(where))

    def ref(self, binding: Binding, model: Model) -> ModelRef:  # noqa: ARG002
        """Where `own_names` is set, as a registry of the platform's own would call it."""
        if not self.own_names or model.version is None:
            return model.ref
        return ModelRef(f"models:/{model.version.folder}")

    def stage(self, binding: Binding, model: Model) -> str:
        self.writes.append(("stage", str(binding.address), model.name))
        if model.ref in self.broken:  # what did not start is left there, as a cloud leaves it
            self.staged[str(binding.address)] = ModelRef("https://elsewhere.example/failed")
            return BROKEN
        self.staged[str(binding.address)] = self.ref(binding, model)
        return "fine"

    def retire(self, binding: Binding) -> str:
        self.staged.pop(str(binding.address), None)
        return ""

    def switch(self, binding: Binding, model: Model) -> str:
        return self._write("switch", binding, model)

    def take_back(self, binding: Binding, model: Model) -> str:
        self.staged.pop(str(binding.address), None)
        return self._write("take back", binding, model)

    def _write(self, verb: str, binding: Binding, model: Model) -> str:
        where = str(binding.address)
        self.writes.append((verb, where, model.name))
        if model.ref in self.broken and self.left is Left.AS_BEFORE:
            return BROKEN
        self.configured[where] = self.ref(binding, model)
        if model.ref not in self.broken:
            self.served[where] = self.ref(binding, model)
            return "fine"
        if self.left is Left.DOWN:
            self.served.pop(where, None)
        return BROKEN

    def progress(self, operation: str) -> Progress:
        return Progress(FAILED, "it failed to start", self.left) if operation == BROKEN else DONE

    def score(self, binding: Binding, *, staged: bool = False) -> Answer:
        ref = (self.staged if staged else self.served).get(str(binding.address))
        if ref is None or self.silent == "all" or (staged and self.silent):
            raise UnavailableError("nothing answers")
        if ref in self.spoiled:
            return Answer(Score(("Nothing",), (("1",),)))
        answer = self.answers.get(ref) or Score(("text",), ((ref.path,),))
        return Answer(answer, ref.url if self.names_model else "")


class MemoryTwin(Shelves):
    """Shelves whose endpoint is in memory, and serves a model of unknown origin at first."""

    def __init__(self, folder: Any, **how: Any) -> None:
        super().__init__(folder)
        self.target = Memory(**how)
        old = ModelRef("https://elsewhere.example/old.model")
        self.target.served[AT] = self.target.configured[AT] = old

    def world(self, *, read_only: bool = False, wanted: Desired | None = None) -> World:
        world = super().world(read_only=read_only, wanted=wanted)
        return replace(world, targets=dict.fromkeys(world.targets, self.target))

    @property
    def ref(self) -> ModelRef:
        """The model that is wanted."""
        return self.world().ledger.ref(self.binding().version)

    @property
    def change(self) -> Change:
        """What is planned for the endpoint."""
        (change,) = self.plan().changes
        return change
