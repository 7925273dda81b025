"""The kind `OnlineEndpoint`: a managed online endpoint, and a deployment for each model.

At the whiteboard: the new model gets a deployment of its own beside the one that serves, with no
traffic. It is asked by a header that names it. Only if it answers as it must does traffic move, in
one PUT of the endpoint as it was just read; and that counts when a read shows it, for the service
shows the old traffic for a while after it said that it is done. The previous deployment stays as it
is until the proof, and on for `keepWarm`, so the way back is traffic again. Nothing with traffic is
ever deleted, and nothing that others made.
"""

from __future__ import annotations

import copy
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from reconciler.errors import ConflictError, NotFoundError, RefusedError, WireError
from reconciler.model import Health, HealthCode, Live, Owned
from reconciler.platforms.arm_marks import tagged
from reconciler.platforms.azureml.endpoint_import import described_by, unmanaged_in
from reconciler.platforms.azureml.endpoint_reads import (
    Reads,
    address_in,
    declared_in,
    exported,
    live_from_export,
    no_container,
    ref_from_export,
    ref_in,
)
from reconciler.platforms.azureml.endpoint_spec import address_at
from reconciler.platforms.azureml.endpoint_state import NOT_OURS, live_of, overdue
from reconciler.platforms.azureml.endpoint_writes import (
    deployment_body,
    endpoint_body,
    moved,
    resettled,
    retagged,
)
from reconciler.platforms.azureml.ids import (
    deployment_in,
    is_one_model,
    label_of,
    model_id,
    registered_in,
    spelled,
    version_in,
)
from reconciler.platforms.azureml.mirror import Mirrors
from reconciler.platforms.azureml.workspace import BUSY, in_turn, part, state_of
from reconciler.platforms.contract import Can, OperationState, Progress, Target, Unmanaged
from reconciler.platforms.members import objects, text, texts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from reconciler.model import Address, AddressId, Binding, Model, ModelRef, Version
    from reconciler.platforms.azureml.assets import Assets
    from reconciler.platforms.azureml.endpoint_state import Reading
    from reconciler.platforms.azureml.scoring import Scoring
    from reconciler.platforms.azureml.workspace import Step, Then, Workspace
    from reconciler.platforms.contract import Answer
    from reconciler.soon import Soon

__all__ = ["OnlineEndpoints", "live_from_export", "ref_from_export"]

KIND = "OnlineEndpoint"
NAME_TAKEN = "a name is unique in its region; where it is taken, write another endpoint"
_FEW = 20  # so many endpoints are read one by one


class OnlineEndpoints(Target):
    """The endpoints of one workspace; `mark` is what those of this environment carry."""

    can = Can(
        stage=True,
        keep_warm=True,
        answer_names_model=True,
        create=True,
        delete=True,
        settle_s=120.0,
        stuck_after_s=3600.0,
    )

    def __init__(
        self,
        workspace: Workspace,
        assets: Assets,
        scoring: Scoring,
        mark: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._workspace = workspace
        self._assets = assets
        self._scoring = scoring
        self._mark = mark
        self._now = now
        self._reads = self._listed = Reads(workspace, mark)
        self._mirrors = Mirrors(workspace, now, self.can.settle_s)
        self._told: dict[str, dict[str, int]] = {}  # by address, the traffic that this run wrote

    # --- reading ------------------------------------------------------------------------------

    def surveyed(self, bindings: Iterable[Binding], soon: Soon) -> Target:
        """This target with one list of all endpoints; only their deployments are read singly."""
        if len(tuple(bindings)) <= _FEW:
            return self
        surveyed = copy.copy(self)
        surveyed._reads = self._reads.surveyed(soon)
        return surveyed

    def observe(self, binding: Binding) -> Live:
        """The live state: which deployment has the traffic now."""
        reading = self._reads.reading(binding.address)
        if reading is None:
            why = f"there is no endpoint {binding.address}"
            return Live(Health(HealthCode.MISSING, why), refusal=no_container(binding))
        live = self._live(reading, binding)
        if live.share and reading.traffic != self._told.get(binding.address.key, reading.traffic):
            # The old traffic is shown for a while; or others changed it, which is drift.
            return replace(live, share=0, configured=None)
        return live

    def _live(self, reading: Reading, binding: Binding) -> Live:
        wanted, values = self._wanted(binding), self._values(binding)
        live = live_of(reading, wanted, declared_in(binding), self._now(), values)
        if live.refusal is None and (refusal := no_container(binding)):
            return replace(live, refusal=refusal, warnings=())
        return live

    def neighbours(self, bindings: Iterable[Binding]) -> Iterable[Address]:
        """The other endpoints of the workspace."""
        bound = {binding.address.id for binding in bindings}
        every = (address_at(self._workspace.at, name) for name in self._reads.endpoints())
        return [other for other in every if other.id not in bound]

    def owned(self, declared: Collection[AddressId]) -> tuple[Owned, ...]:
        """The endpoints with our mark that are not declared."""
        owners = {n: tagged(texts(item, "tags")) for n, item in self._reads.endpoints().items()}
        return tuple(
            Owned(KIND, name, at, owner.protected, adopted=owner.adopted)
            for name, owner in owners.items()
            for at in [address_at(self._workspace.at, name)]
            if owner.is_of(self._mark) and at.id not in declared
        )

    def unmanaged(self, declared: Collection[AddressId]) -> Iterator[Unmanaged]:
        """The endpoints without a mark."""
        listed = self._reads.endpoints()
        self._listed = self._reads.of_list(lambda: listed)
        return unmanaged_in(self._workspace.at, listed, declared)

    def described(self, endpoint: Unmanaged) -> Unmanaged:
        """It as it was listed, with the settings of its deployment."""
        reading = self._listed.reading(endpoint.address)
        if reading is None:
            return replace(endpoint, unread="it is gone")
        return described_by(reading, endpoint)

    def export(self, binding: Binding) -> dict[str, Any]:
        """Endpoint and deployments, without the values of variables."""
        reading = self._reads.reading(binding.address)
        if reading is None:
            raise RefusedError(f"there is no endpoint {binding.address} to export")
        return exported(reading)

    # --- versions -----------------------------------------------------------------------------

    def ref(self, binding: Binding, model: Model) -> ModelRef:
        """The deployment that the version has, or will have, with what is declared beside it."""
        assert model.version is not None
        return self._wanted(binding, model.version)

    def is_one_model(self, first: ModelRef, second: ModelRef) -> bool:
        """Whether they name one registered version, whichever deployment serves it."""
        return is_one_model(first, second)

    def version_of(self, binding: Binding, ref: ModelRef) -> str:
        """The registered version, where the binding's versions are registered."""
        named = replace(binding.version, version=version_in(ref))
        known = ref_in(self._workspace.at, self._mark, binding, named, None)
        of_ours = bool(registered_in(binding.recipe)) and is_one_model(known, ref)
        return named.version if of_ours else ""

    def _wanted(self, binding: Binding, version: Version | None = None) -> ModelRef:
        """It depends on the values of variables at the endpoint, as they were read last."""
        seen, values = self._reads.seen.get(binding.address.key), self._values(binding)
        version = version or binding.version
        return ref_in(self._workspace.at, self._mark, binding, version, seen, values)

    def _values(self, binding: Binding) -> dict[str, str]:
        return declared_in(binding).values(self._assets.secret)

    def _name_of(self, binding: Binding, model: Model) -> str:
        return deployment_in(self.ref(binding, model))

    def publishes(self, binding: Binding) -> str:
        """The registered model of the workspace, unless its versions come from there."""
        return "" if registered_in(binding.recipe) else spelled(binding.version.model)

    def publish(self, binding: Binding, model: Model) -> str:
        """Register a version that was made elsewhere, once."""
        if (name := self.publishes(binding)) and model.version is not None:
            self._assets.register(name, label_of(model.version, self._mark), model)
        return ""

    # --- writing ------------------------------------------------------------------------------

    def create(self, binding: Binding, model: Model) -> str:  # noqa: ARG002
        """Make the endpoint, still without a deployment: the model comes with its first swap."""
        at = address_in(binding.address)
        if self._reads.reading(at) is not None:
            raise ConflictError(f"{at} already exists; it was not overwritten")
        body = endpoint_body(self._workspace.region, declared_in(binding), binding, self._mark)
        try:
            return self._workspace.write("PUT", at.path, f"creating {at}", json=body, once=True)
        except WireError as exc:
            if exc.status != 400:
                raise
            raise RefusedError(f"{exc.message} ({NAME_TAKEN}; {binding.source})") from exc

    def stage(self, binding: Binding, model: Model) -> str:
        """Make the deployment of the model, or wait for one that another run began."""
        return self._deploy(self._writable(binding), binding, model)

    def _deploy(self, reading: Reading, binding: Binding, model: Model, then: Then = None) -> str:
        name = self._name_of(binding, model)
        path, what = f"{address_in(binding.address).path}/deployments/{name}", f"deploying {name}"
        there = reading.deployments.get(name)
        if there is not None and not reading.is_ours(name):
            raise RefusedError(f"{binding.address} has a deployment {name} that others made")
        state = state_of(there or {})
        if state == "deleting":
            again = lambda: self._deploy(self._writable(binding), binding, model, then)  # noqa: E731
            return self._workspace.watch(path, "", what, again)
        is_other = there is not None and reading.ref(name) != self.ref(binding, model)
        if is_other and name in reading.traffic:
            raise RefusedError(
                f"others gave {name} of {binding.address} another model, and it has traffic; move "
                "that to another deployment by hand, and apply again"
            )
        if state == "succeeded" and not is_other:
            return then() if then else ""
        if there is not None and state in BUSY:
            notes = objects(objects(there, "properties"), "properties")
            return self._workspace.watch(path, text(notes, "AzureAsyncOperationUri"), what, then)
        assert model.version is not None
        self._assets.send_code(declared_in(binding).folder, declared_in(binding).digest)
        of_version = model_id(reading.at, self._mark, binding.recipe, model.version)
        body = deployment_body(reading, binding, model, of_version, self._values(binding))
        return self._workspace.write("PUT", path, what, then, json=body)

    def switch(self, binding: Binding, model: Model) -> str:
        """Move all traffic to the deployment of the model, or its next share of it; before that, a
        copy of it is sent there where that is declared."""
        reading = self._writable(binding)
        name, declared = self._name_of(binding, model), declared_in(binding)
        move = partial(self._move, binding, name, *declared.rollout)
        if declared.mirror and reading.traffic and name in reading.spare:
            at = address_in(binding.address)
            return self._mirrors.begin(reading, at, name, declared.mirror, move)
        return move(seen=reading)

    def _move(self, binding: Binding, name: str, *shares: int, seen: Reading | None = None) -> str:
        """PUT the endpoint as it was just read, with other traffic."""
        reading = seen or self._writable(binding)
        if not reading.runs(name):
            raise ConflictError(f"{binding.address} has no deployment {name} that runs; look again")
        if reading.serving == name:
            return ""
        traffic = reading.traffic_with(name, shares)
        body = moved(reading, traffic, self._now())
        what, at = f"moving traffic of {binding.address} to {name}", address_in(binding.address)
        self._told.pop(at.key, None)  # of a write that fails nobody knows what became of it
        operation = self._workspace.write("PUT", at.path, what, json=body)
        self._told[at.key] = traffic
        self._reads.seen.pop(at.key, None)  # it is ours that changed
        return operation

    def take_back(self, binding: Binding, model: Model) -> str:
        """Move traffic back to the very deployment that served the model; where it is gone, deploy
        another version again first. A candidate that never had traffic is dropped."""
        reading, ref = self._writable(binding), model.served_as or model.ref
        previous = deployment_in(ref)
        there = previous in reading.deployments and reading.ref(previous) == ref
        if there and previous == reading.serving:  # also where its last change failed: it answers
            return self._drop(reading, binding)
        if there and reading.runs(previous):
            return self._move(binding, previous, seen=reading)
        if model.version is None or self.is_one_model(ref, self._wanted(binding)):
            why = f"its deployment {previous}, which served before, is gone or does not run"
            raise RefusedError(f"{binding.address}: {why}; deploy it by hand, and apply again")
        move = partial(self._move, binding, self._name_of(binding, model))
        return self._deploy(reading, binding, model, move)

    def retire(self, binding: Binding) -> str:
        """Delete a candidate that failed; and the previous deployment, where none is kept warm."""
        reading, warm = self._writable(binding), declared_in(binding).keep_warm_s
        return self._drop(reading, binding, previous=reading.serving != "" and not warm)

    def _drop(self, reading: Reading, binding: Binding, *, previous: bool = False) -> str:
        candidate = deployment_in(self._wanted(binding))
        unneeded = [n for n in reading.spare if n == candidate or previous]
        return self._delete_deployment(reading, binding, unneeded[0]) if unneeded else ""

    def _delete_deployment(
        self, reading: Reading, binding: Binding, name: str, then: Then = None
    ) -> str:
        at, what = address_in(binding.address), f"deleting the deployment {name}"
        path = f"{at.path}/deployments/{part(name)}"
        delete = partial(self._workspace.write, "DELETE", path, what, then)
        return self._mirrors.end(reading, at, delete) if name in reading.mirrored else delete()

    def update(self, binding: Binding) -> str:
        """Write tags and our mark, then the settings of what serves, then delete what was kept long
        enough."""
        reading = self._writable(binding)
        name, path = reading.serving, address_in(binding.address).path
        now = dict(self._live(reading, binding).settings)
        differing = {n for n, value in binding.settings if now.get(n, "") != value}
        steps: list[Step] = []
        tags, write = retagged(reading, binding), self._workspace.write
        if tags != texts(reading.endpoint, "tags"):
            what = f"changing the tags of {binding.address}"
            steps.append(partial(write, "PATCH", path, what, json={"tags": tags}))
        if name and any(not setting.startswith("tags.") for setting in differing):
            where, what = f"{path}/deployments/{name}", f"changing {name} of {binding.address}"
            body = resettled(reading, name, binding)
            steps.append(partial(write, "PUT", where, what, json=body))
        for gone in overdue(reading, self._wanted(binding), declared_in(binding), self._now()):
            steps.append(partial(self._delete_deployment, reading, binding, gone))
        return in_turn(steps)

    def delete(self, address: Address) -> str:
        """Delete the endpoint, if it carries our mark and all of its deployments do."""
        reading = self._reads.reading(address)
        if reading is None:
            return ""
        if not reading.owner.is_of(self._mark):
            raise RefusedError(f"{address}: {NOT_OURS.message}")
        if foreign := [n for n in reading.deployments if not reading.is_ours(n)]:
            raise RefusedError(f"{address}: others made the deployment {foreign[0]} of it")
        return self._workspace.write("DELETE", address_in(address).path, f"deleting {address}")

    def progress(self, operation: str) -> Progress:
        """How far an operation is; where a deployment failed, with the last lines of its log."""
        endpoint, _, name = self._workspace.path_of(operation).partition("/deployments/")
        found = self._workspace.progress(operation)
        if found.state is OperationState.FAILED and name:
            found = replace(found, words=found.words + self._scoring.log_of(endpoint, name))
        return found

    def _writable(self, binding: Binding) -> Reading:
        """The endpoint now, if it may be written and its traffic is as this run saw it last."""
        before = self._reads.seen.get(binding.address.key)
        reading = self._reads.reading(binding.address)
        if reading is None:
            raise RefusedError(f"{binding.address} is gone; plan again")
        if (refusal := self._live(reading, binding).refusal) is not None:
            raise RefusedError(f"{binding.address}: {refusal.message}")
        if before is not None and before.traffic != reading.traffic:
            raise ConflictError(f"the traffic of {binding.address} was changed meanwhile")
        return reading

    # --- asking -------------------------------------------------------------------------------

    def score(self, binding: Binding, *, staged: bool = False) -> Answer:
        """The answer of the endpoint, or of the staged deployment, which a header names."""
        assert binding.probe is not None
        at, declared = address_in(binding.address), declared_in(binding)
        reading = self._reads.seen.get(at.key) or self._reads.reading(at)
        if reading is None:
            raise NotFoundError(f"{at} is gone")
        candidate = deployment_in(self._wanted(binding)) if staged else ""
        refs = {name: reading.ref(name).url for name in reading.deployments}
        return self._scoring.score(at, declared, binding.probe, candidate, refs)
