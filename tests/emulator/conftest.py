"""A seeded cloud, a session that speaks to it in-process, and the addresses of the seed."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
import yaml

from reconciler import emulator
from tests.emulator.azureml import Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SEED = Path(__file__).parent.parent.parent / "services/local/_emulator/seed.yaml"
BASE = "http://127.0.0.1:8400"
API = "api-version=2017-01-01"


@dataclass
class Client:
    """Somebody else's client: plain requests, nothing of the reconciler."""

    cloud: emulator.Cloud
    clock: emulator.ManualClock
    seed: dict[str, Any]
    token: str = "anything"

    def __post_init__(self) -> None:
        self.session = requests.Session()
        self.session.trust_env = False
        for prefix in ("http://", "https://"):
            self.session.mount(prefix, emulator.InProcessAdapter(self.cloud))

    def send(
        self, method: str, path: str, *, token: str | None = None, base: str = BASE, **more: Any
    ) -> requests.Response:
        token = self.token if token is None else token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers.update(more.pop("headers", {}))
        return self.session.request(method, base + path, headers=headers, **more)

    @property
    def workspace(self) -> dict[str, Any]:
        return self.seed["workspaces"][0]

    def classic(self, name: str) -> dict[str, Any]:
        return next(s for s in self.seed["classicServices"] if s["name"] == name)

    def new(self, name: str) -> dict[str, Any]:
        return next(s for s in self.seed["webServices"] if s["name"] == name)

    def arm(self, name: str) -> str:
        service = self.new("breast-cancer-predictive")
        return (
            f"/subscriptions/{service['subscription']}/resourceGroups/{service['resourceGroup']}"
            f"/providers/Microsoft.MachineLearning/webServices/{name}"
        )

    def management(self, endpoint: str, service: str = "Diabetes Scoring") -> str:
        ident = self.classic(service)["id"]
        return f"/workspaces/{self.workspace['id']}/webservices/{ident}/endpoints/{endpoint}"

    def blob(self, path: str, content: bytes) -> None:
        container, _, name = path.partition("/")
        self.cloud._core.blobs.put("mllocal", container, name, content)

    def blob_bytes(self, path: str) -> bytes | None:
        container, _, name = path.partition("/")
        return self.cloud._core.blobs.get("mllocal", container, name)

    def sas(self, path: str, lasting_s: float = 3600) -> str:
        container, _, name = path.partition("/")
        return self.cloud._core.blobs.sign("mllocal", container, name, lasting_s=lasting_s)


@pytest.fixture
def client_of() -> Callable[..., Client]:
    """A maker of clients to freshly seeded clouds with given switches."""

    def make(**options: Any) -> Client:
        clock = emulator.ManualClock()
        cloud = emulator.Cloud(emulator.Options(**options), clock=clock)
        cloud.seed(SEED)
        return Client(cloud, clock, yaml.safe_load(SEED.read_text()))

    return make


@pytest.fixture
def client(client_of: Callable[..., Client]) -> Client:
    return client_of()


@pytest.fixture
def wire_of() -> Iterator[Callable[..., Wire]]:
    """A maker of clouds with a workspace of Azure Machine Learning, with given switches."""
    wires: list[Wire] = []

    def make(**options: Any) -> Wire:
        wires.append(Wire(options))
        return wires[-1]

    yield make
    for wire in wires:
        wire.close()


@pytest.fixture
def wire(wire_of: Callable[..., Wire]) -> Wire:
    return wire_of()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and for storage accounts, and its key."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    storage = x509.DNSName("*.blob.core.windows.net")
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address, storage]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert_file, key_file
