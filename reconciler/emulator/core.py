"""The core that the doors of the cloud share: the world, its storage, its clock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from reconciler.emulator import definitions
from reconciler.emulator.azureml.containers import Containers
from reconciler.emulator.blob import BlobService
from reconciler.emulator.blob_auth import mint
from reconciler.emulator.definitions import ModelError
from reconciler.emulator.faults import Faults
from reconciler.emulator.learning import LearningError, load
from reconciler.emulator.messages import Refused, bad_argument
from reconciler.emulator.served import Served
from reconciler.emulator.world import World, canonical

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.emulator.azureml.processes import Running
    from reconciler.emulator.options import Options
    from reconciler.emulator.world import ClassicService, Endpoint, Experiment

SAS_S = 24 * 3600 + 300  # §4.4: 24 h 05 min, of which 5 min lie in the past


class Core:
    """The world and everything that the doors do to it."""

    def __init__(self, options: Options, clock: Callable[[], float]) -> None:
        self.options = options
        self.world = World()
        self.blobs = BlobService(clock)
        # A clock that can be advanced is: then a delay costs nobody any time.
        self.faults = Faults(wait=getattr(clock, "advance", time.sleep))
        self.containers = Containers()
        self.budgets: dict[str, tuple[float, float]] = {}  # of ARM: what was left, and when
        self.processes: dict[str, Running] = {}  # of jobs that have not ended, by their ids
        # Without a clock that goes by itself, whoever looks waits for processes to start or end.
        self.patient = options.pace == "looks" or hasattr(clock, "advance")
        self._clock = clock

    def now(self) -> float:
        """Seconds since the epoch, by the injected clock."""
        return self._clock()

    # --- storage ---

    def read_blob(self, path: str) -> bytes | None:
        """The bytes of `account/container/name`, None when there is no such blob."""
        account, _, rest = path.partition("/")
        container, _, name = rest.partition("/")
        return self.blobs.get(account, container, name)

    def write_blob(self, path: str, content: bytes) -> None:
        """Write `account/container/name`."""
        account, _, rest = path.partition("/")
        container, _, name = rest.partition("/")
        self.blobs.put(account, container, name, content)

    def account_of(self, base: str) -> str:
        """The account of a BaseLocation; Refused when it is not storage of this cloud."""
        place = canonical(base.rstrip("/") + "/", self.blobs.accounts)
        account = place.removeprefix("blob://").partition("/")[0]
        if not place.startswith("blob://") or account not in self.blobs.accounts:
            raise bad_argument("InvalidBlob", f"The blob location {base} is not valid.")
        return account

    def read_location(self, base: str, relative: str, sas: str) -> bytes:
        """The bytes at a location that the SAS may read now; Refused otherwise."""
        account = self.account_of(base)
        container, _, name = relative.partition("/")
        if not self.blobs.may(account, container, name, sas, "r"):
            raise bad_argument("InvalidBlob", f"The SAS does not allow reading {relative}.")
        content = self.blobs.get(account, container, name)
        if content is None:
            raise bad_argument("BlobNotFound", f"The blob {relative} was not found.")
        return content

    def fresh_sas(self, account: str, container: str, name: str) -> str:
        """A read-only SAS as each look at a job hands out: for a blob, or "" for the container."""
        if name:
            return self.blobs.sign(account, container, name, lasting_s=SAS_S - 300)
        key, begins = self.blobs.accounts[account].key, self.now() - 300
        return mint(key, (account, container, ""), "rl", begins, begins + SAS_S)

    def check_model(self, content: bytes) -> None:
        """ModelError when the bytes are not a model that can be loaded."""
        try:
            load(content)
        except LearningError as exc:
            raise ModelError("ResourceLoadFailed", str(exc)) from exc

    def look_at(self, endpoint: Endpoint) -> None:
        """With pace "looks" a patched endpoint is seen with its old model a number of times."""
        if self.options.pace != "looks" or not endpoint.next_model:
            return
        endpoint.next_looks += 1
        if endpoint.next_looks > self.options.settle_looks:
            endpoint.model, endpoint.next_model = endpoint.next_model, ""

    # --- scoring bases ---

    def served_at(self, place: str) -> Served:
        """The model or experiment at a scoring base; Refused with 404 when there is none."""
        _, kind, owner, _, ident = place.split("/")[:5]
        found = self._new(owner, ident) if kind == "subscriptions" else self._classic(owner, ident)
        if found is None:
            message = f"Web service {ident} was not found."
            detail = ("WebServiceNotFound", message)
            raise Refused(404, "NotFound", "The resource was not found.", detail)
        return found

    def _new(self, sub32: str, ident: str) -> Served | None:
        for service in self.world.services.values():
            if service.id == ident and service.subscription.replace("-", "") == sub32:
                return Served(
                    title=service.name,
                    endpoint="",
                    keys=frozenset(service.keys.values()),
                    model=service.model,
                    experiment=self.world.experiments.get(service.experiment),
                    input=definitions.input_port(service.properties),
                )
        return None

    def _classic(self, workspace: str, ident: str) -> Served | None:
        for service in self.world.classic.values():
            for endpoint in service.endpoints.values():
                if endpoint.id == ident and service.workspace == workspace:
                    self.look_at(endpoint)
                    return self._endpoint(service, endpoint)
        return None

    def _endpoint(self, service: ClassicService, endpoint: Endpoint) -> Served:
        return Served(
            title=service.name,
            endpoint=endpoint.name,
            keys=frozenset(endpoint.keys.values()),
            model=endpoint.model,
            experiment=self.world.experiments.get(service.experiment),
            input=service.input,
        )

    def experiment_at(self, place: str) -> Experiment:
        """The experiment of a training service."""
        experiment = self.served_at(place).experiment
        assert experiment is not None
        return experiment

    def default_account(self, place: str) -> str:
        """Where outputs without an override go: the workspace's storage account."""
        owner = place.split("/")[2]
        workspace = self.world.workspaces.get(owner)
        return workspace.storage if workspace else sorted(self.blobs.accounts)[0]
