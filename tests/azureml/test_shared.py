"""Models of shared registries: found by name, taken in by the registry's signature, and refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.emulator import Cloud
from reconciler.errors import RefusedError, UnauthorizedError, UnreadableError, redact
from reconciler.http.client import Http
from reconciler.http.credentials import AccessToken
from reconciler.http.transport import Raw
from reconciler.model import Action, Reason
from reconciler.platforms.arm import CloudName, EmulatorSignIn
from reconciler.platforms.azureml.connection import AzureMl
from reconciler.platforms.azureml.ids import ref_of
from reconciler.platforms.azureml.shared import DISCOVERY_URL, SharedRegistry, UnknownRegistryError
from reconciler.stores.contract import Access
from tests.azureml.emulated import Emulated
from tests.azureml.standin import SUBSCRIPTION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SHARED = "azureml://registries/shared/models/churn"
ARM_ID = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/registries/shared"
HOST = "https://cert-westeurope.experiments.azureml.net"
BLOBS = "https://acme.blob.core.windows.net/models"
UNSIGNED = {"blobUri": BLOBS, "credential": {"credentialType": "NoCredentials"}}
SIGNED = {
    "credential": {"credentialType": "SAS", "sasUri": f"{BLOBS}?sv=1&sig=c2VjcmV0LW9mLXRlc3Q%3D"}
}


def declared(folder: Path, **options: Any) -> Emulated:
    made = Emulated(folder, **options)
    made.edit("churn.yaml", "{azureml: churn, path: model.json}", f'{{azureml: "{SHARED}"}}')
    made.edit("churn.yaml", 'version: "2"', 'version: "5"')
    return made


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Emulated]:
    """The sample, whose version is declared to be of the registry `shared`."""
    made = declared(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("ids", ["short", "arm"])
def test_a_version_of_a_shared_registry_is_taken_in_and_served_by_its_id(
    tmp_path: Path, ids: str
) -> None:
    world = declared(tmp_path, registry_ids=ids)
    assert world.apply().failures == ()
    serving = world.get("onlineEndpoints/churn")["properties"]["traffic"]
    (name,) = [name for name, share in serving.items() if share == 100]
    served = world.get(f"onlineEndpoints/churn/deployments/{name}")["properties"]["model"]
    assert served.endswith("registries/shared/models/churn/versions/5")
    assert served.startswith("azureml:") is (ids == "short")
    original = world.files / "_emulator/files/models/churn/2/model.json"
    assert (world.files / ".reconciler/churn/5/model").read_bytes() == original.read_bytes()
    assert world.plan().converged
    world.close()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("registries/shared/", "registries/sharde/", 'there is no shared registry "sharde"'),
        ("/models/churn", "/models/chrun", 'chrun"; did you mean "churn"?; correct spec.registry'),
        (
            'version: "5"',
            'version: "6"',
            "has no version 6 (never registered, or deleted); it has 5",
        ),
    ],
)
def test_what_a_registry_does_not_have_is_refused_with_the_near_names(
    shared: Emulated, old: str, new: str, words: str
) -> None:
    shared.edit("churn.yaml", old, new)
    change = shared.changes()["churn"]
    assert change.action is Action.BLOCK
    assert change.code == Reason.NOT_REGISTERED
    assert words in change.why


def test_near_registries_are_those_of_the_subscription_of_the_workspace(tmp_path: Path) -> None:
    one = "subscription: 00000000-0000-4000-8000-00000000000"
    world = declared(tmp_path)
    seed = world.files / "_emulator/seed.yaml"
    seed.write_text(seed.read_text().replace(f"{one}2", f"{one}1"))
    world.cloud.close()
    world.cloud = Cloud(clock=world.clock)
    world.cloud.seed(seed)
    world.edit("churn.yaml", "registries/shared/", "registries/sharde/")
    assert 'did you mean "shared"?' in world.changes()["churn"].why
    world.close()


def test_retrain_is_offered_what_is_newer_in_the_registry(shared: Emulated) -> None:
    shared.edit("churn.yaml", 'version: "5"', 'version: "4"')
    world, binding = shared.world(read_only=True), shared.binding("churn")
    assert tuple(world.registries["registry/azureml"].offers(binding.recipe, "")) == ("5",)


def test_a_plan_asks_for_no_signature(shared: Emulated) -> None:
    shared.plan()
    assert [sent for sent in shared.sent if sent[0] not in ("GET", "HEAD")] == []


def test_a_reference_is_one_however_the_service_writes_the_id() -> None:
    at = AzureMl(CloudName.AZURE, SUBSCRIPTION, "ml", "prod")
    short = ref_of(at, f"{SHARED}/versions/5", "blue")
    assert ref_of(at, f"{ARM_ID}/models/churn/versions/5", "blue") == short
    assert ref_of(at, f"azureml:{ARM_ID}/models/churn/versions/5", "blue") == short


class Azure:
    """A transport that answers as the hosts of Azure do; `asked` are the URLs without a query."""

    def __init__(self, **answers: Any) -> None:
        self.asked: list[str] = []
        self.answers = answers

    def send(
        self, method: str, url: str, headers: Any, content: Any, check: Callable[[], None]
    ) -> Raw:
        assert method in ("GET", "POST")
        assert callable(check)
        assert content is None or b"assetId" in content
        self.asked.append(url.partition("?")[0])
        assert headers
        last = url.partition("?")[0].rpartition("/")[2]
        status, body = self.answers[last]
        return Raw(status, {"Content-Type": "application/json"}, iter([body]), lambda: None)

    def close(self) -> None:
        """Nothing to close."""


def registry(azure: Azure) -> SharedRegistry:
    http = Http(threads=2, backoff_s=0, retries=0)
    for host in (DISCOVERY_URL, HOST, "https://acme.blob.core.windows.net", "https://evil.example"):
        http.mount(host, azure)
    return SharedRegistry("shared", http, lambda *how: AccessToken(EmulatorSignIn(), *how))


def found(host: str = HOST, **more: str) -> tuple[int, bytes]:
    known = {"registryName": "shared", "subscriptionId": "s", "resourceGroup": "g"}
    return 200, json.dumps(
        {**known, "primaryRegionResourceProviderUri": f"{host}/", **more}
    ).encode()


def references(lent: dict[str, Any]) -> tuple[int, bytes]:
    return 200, json.dumps({"blobReferenceForConsumption": lent}).encode()


def test_a_registry_is_found_at_one_region_and_read_at_its_own() -> None:
    azure = Azure(discovery=found(), **{"5": (200, b'{"name": "5", "properties": {}}')})
    assert registry(azure).find("/models/churn/versions/5", "reading") is not None
    assert azure.asked == [
        f"{DISCOVERY_URL}/registrymanagement/v1.0/registries/shared/discovery",
        f"{HOST}/mferp/managementfrontend{ARM_ID}/models/churn/versions/5",
    ]


def test_a_registry_that_is_said_to_be_elsewhere_gets_no_token() -> None:
    azure = Azure(discovery=found("https://evil.example"), **{"5": (200, b"{}")})
    with pytest.raises(RefusedError, match=r"must not go to https://evil\.example"):
        registry(azure).find("/models/churn/versions/5", "reading")
    assert len(azure.asked) == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((404, b"{}"), UnreadableError),
        ((404, b'{"error": {"code": "UserError", "message": "none"}}'), UnknownRegistryError),
        ((200, b'{"registryName": "other"}'), UnreadableError),
        ((200, b'{"registryName": "shared"}'), UnreadableError),
        ((403, b'{"error": {"code": "Forbidden", "message": "no"}}'), UnauthorizedError),
    ],
)
def test_only_its_own_word_says_that_there_is_no_registry(
    answer: tuple[int, bytes], error: type[Exception]
) -> None:
    with pytest.raises(error):
        registry(Azure(discovery=answer)).find("/models/churn/versions/5", "reading")


@pytest.mark.parametrize(("lent", "query"), [(SIGNED, "?sv=1&sig="), (UNSIGNED, "")])
def test_files_are_read_with_what_the_registry_lends(lent: dict[str, Any], query: str) -> None:
    shared = registry(Azure(discovery=found(), **{"5": references(lent)}))
    store, below = shared.opened("churn", "5", f"{BLOBS}/churn/5")
    assert (store.base, below) == (f"{BLOBS}/", "churn/5")
    assert store.grant("a", Access.READ, 1).grant.startswith(query)
    assert "c2VjcmV0LW9mLXRlc3Q" not in redact(f"see {SIGNED['credential']['sasUri']}")


@pytest.mark.parametrize(
    ("lent", "error"),
    [
        (
            {
                "credential": {
                    "credentialType": "SAS",
                    "sasUri": "https://evil.example/models?sig=a",
                }
            },
            RefusedError,
        ),
        ({"credential": {"credentialType": "SAS", "sasUri": BLOBS}}, UnreadableError),
        ({"credential": {"credentialType": "NoCredentials"}}, UnreadableError),
        ({}, UnreadableError),
    ],
)
def test_a_signature_for_anything_but_a_container_of_azure_is_not_used(
    lent: dict[str, Any], error: type[Exception]
) -> None:
    azure = Azure(discovery=found(), **{"5": references(lent)})
    with pytest.raises(error):
        registry(azure).opened("churn", "5", f"{BLOBS}/churn/5")
    assert len(azure.asked) == 2
