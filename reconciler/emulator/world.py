"""Records of the emulated cloud: plain records that can be written to a folder and read back.

URLs of blobs are kept as `blob://account/path` and get the caller's scheme and host on the way
out, so a world that was made behind one port is the same world behind another.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import uuid
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from reconciler.emulator import learning
from reconciler.emulator.azureml.records import Resource, Resources, Work

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from reconciler.emulator.messages import Request

Json = dict[str, Any]
_BLOB_HOST = re.compile(r"(?P<account>[a-z0-9]+)\.blob\.core\.[a-z.]+$")


@dataclass
class Experiment:
    """The experiment that a training service was deployed from: how it fits, and its ports."""

    name: str
    task: str
    label: str
    positive: str = ""
    held_out: float = 0.25
    seed: int = 7
    input: str = "input1"
    model_output: str = "output1"
    evaluation_output: str = "output2"
    parameters: dict[str, str] = field(default_factory=dict)  # with their defaults
    required: list[str] = field(default_factory=list)  # parameters without a default

    def fit(self, content: bytes, parameters: Mapping[str, str]) -> tuple[bytes, bytes]:
        """The model and the evaluation of a CSV; LearningError says what is wrong with it."""
        learner = learning.Experiment(
            name=self.name,
            task=self.task,
            label=self.label,
            held_out=self.held_out,
            seed=self.seed,
            positive=self.positive,
            parameters={**dict.fromkeys(self.required, ""), **self.parameters},
        )
        return learning.fit(learner, content, parameters)


@dataclass
class WebService:
    """A New web service. `model` is the SHA-256 of the bytes that score now."""

    subscription: str
    group: str
    name: str
    id: str
    location: str
    properties: Json
    tags: dict[str, str]
    keys: dict[str, str]
    created: float
    modified: float
    updates: int = 0
    state: str = "Succeeded"
    model: str = ""
    experiment: str = ""
    regions: list[str] = field(default_factory=list)


@dataclass
class Plan:
    """A commitment plan."""

    id: str
    location: str
    sku: Json
    tags: dict[str, str]
    created: float
    etag: str


@dataclass
class Operation:
    """A long-running operation on a New service: what it will do when its time has come."""

    id: str
    subscription: str
    location: str
    service: str  # its key in World.services
    kind: str  # "write", "delete" or "region"
    started: float
    due: float
    properties: Json = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    region: str = ""
    trick: str = ""  # "fail" or "nothing": scripted by a test
    status: str = "Provisioning"
    looks: int = 0
    error: Json = field(default_factory=dict)
    ended: float = 0.0


@dataclass
class Workspace:
    """A Studio workspace."""

    id: str
    name: str
    token: str
    region: str
    tier: str
    storage: str


@dataclass
class Endpoint:
    """A Classic endpoint. A patch changes `resources` at once and `model` when it is settled."""

    id: str
    name: str
    description: str
    created: float
    keys: dict[str, str]
    throttle: str = "Low"
    max_calls: int = 4
    trace: str = "None"
    prevent_update: bool = False
    resources: list[Json] = field(default_factory=list)
    model: str = ""
    next_model: str = ""
    next_at: float = 0.0
    next_looks: int = 0


@dataclass
class ClassicService:
    """A Classic web service with its endpoints, by name in lower case."""

    id: str
    workspace: str
    name: str
    description: str
    created: float
    default: str = "default"
    experiment: str = ""
    input: str = "input1"
    endpoints: dict[str, Endpoint] = field(default_factory=dict)


@dataclass
class Job:
    """A batch job; `place` is the scoring path that it was submitted to."""

    id: str
    place: str
    body: Json
    submitted: float
    state: str = "NotStarted"
    queued: bool = False
    looks: int = 0
    started: float = 0.0
    due: float = 0.0
    ended: float = 0.0
    details: str | None = None
    results: dict[str, str] = field(default_factory=dict)  # port -> account/container/name
    trick: str = ""


class World:
    """Everything that exists, without blobs, which have a service of their own."""

    def __init__(self) -> None:
        self.id = secrets.token_hex(4)  # people tell worlds apart by it, and so do commands
        self.experiments: dict[str, Experiment] = {}
        self.services: dict[str, WebService] = {}
        self.plans: dict[str, Plan] = {}
        self.operations: dict[str, Operation] = {}
        self.workspaces: dict[str, Workspace] = {}
        self.classic: dict[str, ClassicService] = {}
        self.jobs: dict[str, Job] = {}
        self.models: dict[str, bytes] = {}
        self.resources = Resources()
        self.works: dict[str, Work] = {}

    @property
    def empty(self) -> bool:
        """Whether nothing was ever made here."""
        return not (self.services or self.workspaces or self.classic or self.resources)

    def keep_model(self, content: bytes) -> str:
        """The digest under which the bytes of a model are kept."""
        digest = hashlib.sha256(content).hexdigest()
        self.models[digest] = content
        return digest

    @property
    def size(self) -> int:
        """About how many bytes this takes."""
        return len(json.dumps(self.dump())) + sum(map(len, self.models.values()))

    def dump(self) -> Json:
        """Everything but the bytes of models, as JSON."""
        return {
            name: {key: asdict(value) for key, value in getattr(self, name).items()}
            for name in _RECORDS
        }

    def load(self, document: Json, models: Mapping[str, bytes]) -> None:
        """Become what was dumped."""
        for name, kind in _RECORDS.items():
            records = document.get(name, {})
            getattr(self, name).update({k: _made(kind, v) for k, v in records.items()})
        self.models.update(models)


_RECORDS: dict[str, Any] = {
    "experiments": Experiment,
    "services": WebService,
    "plans": Plan,
    "operations": Operation,
    "workspaces": Workspace,
    "classic": ClassicService,
    "jobs": Job,
    "resources": Resource,
    "works": Work,
}


def _made(kind: Any, document: Json) -> Any:
    if kind is ClassicService:
        endpoints = {name: Endpoint(**e) for name, e in document["endpoints"].items()}
        return ClassicService(**{**document, "endpoints": endpoints})
    return kind(**document)


def new_id() -> str:
    """32 hex digits."""
    return uuid.uuid4().hex


def iso(seconds: float, digits: int = 7) -> str:
    """`2017-04-12T00:39:25.4465774Z`; ARM writes 7 fractional digits (§3.3), Classic 3 (§2.6)."""
    moment = datetime.fromtimestamp(seconds, UTC)
    fraction = f"{moment.microsecond:06d}0"[:digits]
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{fraction}Z"


# --- blob URLs ---------------------------------------------------------------------------------


def canonical(url: str, accounts: Container[str] = ()) -> str:
    """`blob://account/container/name` for a URL of this cloud's storage; other text unchanged.

    `accounts` may be called by `/{account}/…`, too. The path stays percent-encoded as it came, so
    that GET shows what was written.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # `http://[` and the like
        return url
    if parts.scheme not in ("http", "https"):
        return url
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    if match := _BLOB_HOST.match(parts.netloc.casefold()):
        return f"blob://{match['account']}{path}"
    if path.startswith("/blob/"):
        return f"blob://{path.removeprefix('/blob/')}"
    if parts.hostname in ("127.0.0.1", "localhost") and path.split("/")[1:2][0] in accounts:
        return f"blob:/{path}"
    return url


def blob_base(account: str, request: Request) -> str:
    """The base URL of an account, in the form by which the caller reached us."""
    if request.host.casefold().endswith((".azure.com", ".azureml.net", ".windows.net")):
        return f"https://{account}.blob.core.windows.net/"
    return f"{request.base}/blob/{account}/"


def localised(value: Any, request: Request) -> Any:
    """The JSON value with every `blob://` URL in the caller's form."""
    if isinstance(value, dict):
        return {key: localised(item, request) for key, item in value.items()}
    if isinstance(value, list):
        return [localised(item, request) for item in value]
    if isinstance(value, str) and value.startswith("blob://"):
        account, _, path = value.removeprefix("blob://").partition("/")
        return blob_base(account, request) + path
    return value


def canonicalised(value: Any, accounts: Container[str]) -> Any:
    """The JSON value with every blob URL in canonical form."""
    if isinstance(value, dict):
        return {key: canonicalised(item, accounts) for key, item in value.items()}
    if isinstance(value, list):
        return [canonicalised(item, accounts) for item in value]
    if isinstance(value, str) and value.startswith(("http://", "https://")):
        return canonical(value, accounts)
    return value
