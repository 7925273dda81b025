"""The server door, the state folder, faults, and the official Blob client as somebody else's peer."""

from __future__ import annotations

import datetime
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import requests
import yaml
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceModifiedError
from azure.storage.blob import (
    BlobClient,
    BlobSasPermissions,
    BlobServiceClient,
    generate_blob_sas,
    generate_container_sas,
)

from reconciler import emulator
from reconciler.cli.emulate import _bound
from reconciler.emulator import Fault
from reconciler.errors import ConfigurationError
from tests.emulator.conftest import API, SEED, Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SEEDED = yaml.safe_load(SEED.read_text())
KEY = SEEDED["storage"]["mllocal"]["key"]


@pytest.fixture
def server() -> Iterator[emulator.Server]:
    cloud = emulator.Cloud()
    cloud.seed(SEED)
    served = emulator.serve(cloud, 0)
    served.start()
    yield served
    served.stop()


@pytest.fixture
def blobs(server: emulator.Server) -> Iterator[BlobServiceClient]:
    text = (
        f"DefaultEndpointsProtocol=http;AccountName=mllocal;AccountKey={KEY};"
        f"BlobEndpoint={server.url}/blob/mllocal"
    )
    with BlobServiceClient.from_connection_string(text) as client:
        yield client


def list_url(server: emulator.Server) -> str:
    service = SEEDED["webServices"][0]
    return (
        f"{server.url}/subscriptions/{service['subscription']}/providers"
        f"/Microsoft.MachineLearning/webServices?{API}"
    )


def test_sixty_four_connections_are_held_at_once(server: emulator.Server) -> None:
    """Each keeps its connection open until all of them have been answered."""
    all_answered = threading.Barrier(64, timeout=30)

    def ask(_: int) -> int:
        with requests.Session() as session:
            session.trust_env = False
            first = session.get(list_url(server), headers={"Authorization": "Bearer x"})
            all_answered.wait()
            again = session.get(list_url(server), headers={"Authorization": "Bearer x"})
            return first.status_code + again.status_code

    with ThreadPoolExecutor(64) as pool:
        assert set(pool.map(ask, range(64))) == {400}


def test_urls_carry_the_scheme_and_host_of_the_call(server: emulator.Server) -> None:
    for host in (server.url, server.url.replace("127.0.0.1", "localhost")):
        workspace = SEEDED["workspaces"][0]
        service = SEEDED["classicServices"][0]["id"]
        path = f"/workspaces/{workspace['id']}/webservices/{service}/endpoints/young"
        headers = {"Authorization": f"Bearer {workspace['token']}"}
        shown = requests.get(host + path, headers=headers).json()
        assert shown["ApiLocation"].startswith(host)
        assert shown["Resources"][0]["Location"]["BaseLocation"] == f"{host}/blob/mllocal/"


def test_the_official_client_writes_reads_lists_and_deletes(blobs: BlobServiceClient) -> None:
    container = blobs.get_container_client("models")
    container.upload_blob("a/1.bin", b"one", metadata={"sha": "x"})
    container.upload_blob("a/10.bin", b"ten")
    container.upload_blob("a/2.bin", b"two")
    assert [b.name for b in container.list_blobs(name_starts_with="a/")] == [
        *("a/1.bin", "a/10.bin", "a/2.bin")
    ]
    pages = container.list_blobs(name_starts_with="a/", results_per_page=1).by_page()
    assert [[b.name for b in page] for page in pages] == [["a/1.bin"], ["a/10.bin"], ["a/2.bin"]]
    blob = container.get_blob_client("a/1.bin")
    assert blob.download_blob().readall() == b"one"
    assert blob.download_blob(offset=1, length=1).readall() == b"n"
    properties = blob.get_blob_properties()
    assert (properties.size, properties.metadata) == (3, {"sha": "x"})
    blob.upload_blob(b"other", overwrite=True)
    assert blob.get_blob_properties().metadata == {}
    blob.delete_blob()
    assert not blob.exists()


def test_the_official_client_meets_the_verified_conditions(blobs: BlobServiceClient) -> None:
    blob = blobs.get_blob_client("models", "x.json")
    etag = blob.upload_blob(b"1")["etag"]
    with pytest.raises(ResourceExistsError) as exists:
        blob.upload_blob(b"2")
    assert exists.value.error_code == "BlobAlreadyExists"
    from azure.core import MatchConditions

    when = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
    blob.upload_blob(b"2", overwrite=True, **when)
    with pytest.raises(ResourceModifiedError):
        blob.upload_blob(b"3", overwrite=True, **when)
    assert blob.download_blob().readall() == b"2"


def test_of_twenty_conditional_creates_one_wins(blobs: BlobServiceClient) -> None:
    def create(number: int) -> bool:
        try:
            blobs.get_blob_client("models", "claim").upload_blob(str(number).encode())
        except ResourceExistsError:
            return False
        return True

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(create, range(20))) == 1


def test_the_official_client_leases(blobs: BlobServiceClient) -> None:
    blob = blobs.get_blob_client("models", "lock")
    blob.upload_blob(b"x")
    lease = blob.acquire_lease(15)
    with pytest.raises(HttpResponseError) as present:
        blob.acquire_lease(15)
    assert present.value.error_code == "LeaseAlreadyPresent"
    with pytest.raises(HttpResponseError) as missing:
        blob.upload_blob(b"y", overwrite=True)
    assert missing.value.error_code == "LeaseIdMissing"
    blob.upload_blob(b"y", overwrite=True, lease=lease)
    lease.renew()
    lease.release()
    blob.upload_blob(b"z", overwrite=True)


def test_large_blobs_come_in_blocks(server: emulator.Server) -> None:
    text = f"AccountName=mllocal;AccountKey={KEY};BlobEndpoint={server.url}/blob/mllocal"
    sizes = {"max_single_put_size": 1024, "max_block_size": 1024}
    with BlobServiceClient.from_connection_string(text, **sizes) as client:
        content = bytes(range(256)) * 20
        client.get_blob_client("models", "big").upload_blob(content)
        assert client.get_blob_client("models", "big").download_blob().readall() == content


@pytest.fixture
def azurite_like(server: emulator.Server) -> Iterator[BlobServiceClient]:
    """The official client with the account as the first part of the path, as with Azurite."""
    text = f"AccountName=mllocal;AccountKey={KEY};BlobEndpoint={server.url}/mllocal"
    with BlobServiceClient.from_connection_string(text, retry_total=0) as client:
        yield client


def test_an_account_is_the_first_part_of_the_path_too(azurite_like: BlobServiceClient) -> None:
    assert "models" in [box.name for box in azurite_like.list_containers()]
    box = azurite_like.get_container_client("models")
    box.upload_blob("a b", b"one")
    assert [b.name for b in box.list_blobs()] == ["a b"]
    expiry = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=1)
    sas = generate_blob_sas("mllocal", "models", "a b", account_key=KEY, permission="r", expiry=expiry)  # fmt: skip
    with BlobClient.from_blob_url(f"{box.url}/a%20b?{sas}") as blob:
        names = (blob.account_name, blob.container_name, blob.blob_name)
        assert names == ("mllocal", "models", "a b")
        assert blob.download_blob().readall() == b"one"


def test_lists_repeat_the_address_by_which_they_were_asked(client: Client) -> None:
    for prefix in ("/blob/mllocal", "/mllocal"):
        key = {"permission": "rl", "expiry": datetime.datetime(2999, 1, 1, tzinfo=datetime.UTC)}
        sas = generate_container_sas("mllocal", "models", account_key=KEY, **key)
        url = f"{prefix}/models?restype=container&comp=list&{sas}"
        shown = client.send("GET", url, token="").text
        assert f'ServiceEndpoint="http://127.0.0.1:8400{prefix}/"' in shown


def test_the_first_part_of_a_path_is_an_account_only_where_it_exists(client: Client) -> None:
    client.blob("models/m.bin", b"m")
    sas = client.sas("models/m.bin")
    for prefix in ("/blob/mllocal", "/mllocal"):
        assert client.send("GET", f"{prefix}/models/m.bin{sas}", token="").content == b"m"
    assert client.send("GET", f"/nobody/models/m.bin{sas}", token="").status_code == 501
    assert client.send("GET", f"/blob/nobody/models/m.bin{sas}", token="").status_code == 404


def test_a_blob_that_is_too_large_for_one_request_is_refused_as_the_service_does(
    azurite_like: BlobServiceClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.emulator.cloud.MOST_BLOB", 1_000_000)
    for content in (bytes(30_000_000), iter([bytes(700_000)] * 40)):
        blob = azurite_like.get_blob_client("models", "large")
        with pytest.raises(HttpResponseError) as refused:
            blob.upload_blob(content, length=30_000_000 if isinstance(content, bytes) else None)
        assert refused.value.status_code == 413
        assert refused.value.error_code == "RequestBodyTooLarge"
        assert "<MaxLimit>1000000</MaxLimit>" in refused.value.response.text()
        assert not blob.exists()


def test_what_is_too_large_elsewhere_is_refused_in_json(
    server: emulator.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.emulator.cloud.MOST_BYTES", 1000)
    answer = requests.put(f"{server.url}/subscriptions/x", data=bytes(5_000_000), timeout=10)
    assert answer.status_code == 413
    assert "1000 bytes" in answer.json()["error"]["message"]


SAS = [
    (BlobSasPermissions(read=True), 60, "m.bin", 200),
    (BlobSasPermissions(write=True), 60, "m.bin", 403),
    (BlobSasPermissions(read=True), -60, "m.bin", 403),
    (BlobSasPermissions(read=True), 60, "other.bin", 403),
]


@pytest.mark.parametrize(("permission", "lasting_s", "name", "status"), SAS)
def test_a_sas_of_the_official_client_is_checked(
    blobs: BlobServiceClient, permission: Any, lasting_s: int, name: str, status: int
) -> None:
    blobs.get_blob_client("models", "m.bin").upload_blob(b"m", overwrite=True)
    expiry = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=lasting_s)
    sas = generate_blob_sas("mllocal", "models", name, account_key=KEY, permission=permission, expiry=expiry)  # fmt: skip
    url = f"{blobs.url.rstrip('/')}/models/m.bin"
    assert requests.get(f"{url}?{sas}").status_code == status
    assert requests.get(f"{url}?{sas}x").status_code == 403
    assert requests.get(url).status_code == 403


def test_a_wrong_key_is_refused(server: emulator.Server) -> None:
    wrong = "A" * 86 + "=="
    text = f"AccountName=mllocal;AccountKey={wrong};BlobEndpoint={server.url}/blob/mllocal"
    with (
        BlobServiceClient.from_connection_string(text, retry_total=0) as client,
        pytest.raises(HttpResponseError) as refused,
    ):
        list(client.get_container_client("models").list_blobs())
    assert refused.value.status_code == 403


def test_an_expiry_follows_the_clock(client: Client) -> None:
    client.blob("models/m.bin", b"m")
    url = "/blob/mllocal/models/m.bin" + client.sas("models/m.bin", lasting_s=60)
    assert client.send("GET", url, token="").status_code == 200
    client.clock.advance(61)
    assert client.send("GET", url, token="").status_code == 403


# --- state --------------------------------------------------------------------------------------


def test_a_state_folder_is_the_same_world_for_the_next_process(tmp_path: Path) -> None:
    def opened() -> Client:
        clock = emulator.ManualClock()
        return Client(emulator.Cloud(clock=clock, state=tmp_path), clock, SEEDED)

    first = opened()
    assert first.cloud.seed(SEED)
    key = f"{first.arm('breast-cancer-predictive')}/listKeys?{API}"
    before = first.send("GET", key).json()
    body = {"properties": {"packageType": "Graph", "title": "changed"}}
    first.send("PATCH", f"{first.arm('breast-cancer-predictive')}?{API}", json=body)
    first.cloud.close()

    second = opened()
    assert not second.cloud.seed(SEED)
    assert second.send("GET", key).json() == before
    second.clock.advance(60)
    shown = second.send("GET", f"{second.arm('breast-cancer-predictive')}?{API}").json()
    assert shown["properties"]["title"] == "changed"
    assert second.blob_bytes("datasets/breast-cancer/2026-10.csv")
    second.cloud.close()


def test_a_state_folder_that_is_in_use_is_refused(tmp_path: Path) -> None:
    cloud = emulator.Cloud(state=tmp_path)
    with pytest.raises(OSError, match="in use by another emulator"):
        emulator.Cloud(state=tmp_path)
    cloud.close()
    emulator.Cloud(state=tmp_path).close()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema": "other"}', "\x00"])
def test_a_folder_that_is_no_world_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "world.json").write_text(text)
    with pytest.raises(ValueError, match=r"world\.json is not a world"):
        emulator.Cloud(state=tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "storage: {}", "storage: [", "a: b"])
def test_a_bad_seed_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "seed.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"seed\.yaml is not a seed"):
        emulator.Cloud().seed(tmp_path / "seed.yaml")


def test_options_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ValueError, match="status_codes is 'roman'"):
        emulator.Options(status_codes="roman")


# --- tls, faults, control -----------------------------------------------------------------------


def test_a_port_that_is_taken_is_not_blamed_on_the_certificate(
    server: emulator.Server, certificate: tuple[Path, Path]
) -> None:
    port = int(server.url.rsplit(":", 1)[1])
    with pytest.raises(ConfigurationError, match=f"cannot start with port {port}: "):
        _bound(emulator.Cloud(), port, *certificate)


def test_the_door_speaks_tls(certificate: tuple[Path, Path]) -> None:
    cloud = emulator.Cloud()
    cloud.seed(SEED)
    server = emulator.serve(cloud, 0, certfile=certificate[0], keyfile=certificate[1])
    server.start()
    try:
        headers = {"Authorization": "Bearer x"}
        answer = requests.get(list_url(server), headers=headers, verify=str(certificate[0]))
        assert server.url.startswith("https://")
        assert len(answer.json()["value"]) == 2
    finally:
        server.stop()


def test_a_dropped_connection_is_no_answer(server: emulator.Server) -> None:
    for kind in ("reset", "lost-answer"):
        fault = {"route": "arm.list", "kind": kind}
        assert requests.post(f"{server.url}/_emulator/faults", json=fault).status_code == 204
        with pytest.raises(requests.ConnectionError):
            requests.get(list_url(server), headers={"Authorization": "Bearer x"})
    log = requests.get(f"{server.url}/_emulator/log").json()
    assert [entry["status"] for entry in log if entry["route"] == "arm.list"] == [0, 0]
    assert requests.delete(f"{server.url}/_emulator/log").status_code == 204
    assert requests.get(f"{server.url}/_emulator/log").json() == []


@pytest.mark.parametrize("fault", [{}, {"route": "x", "kind": "explode"}, {"trick": "x"}, {"a": 1}])
def test_a_fault_that_does_not_exist_is_refused(client: Client, fault: dict[str, Any]) -> None:
    assert client.send("POST", "/_emulator/faults", json=fault).status_code == 400


def test_faults_happen_as_often_as_scripted(client: Client) -> None:
    path = f"{client.arm('breast-cancer-predictive')}?{API}"
    client.cloud.faults.script(Fault("arm.get", "status", times=2, status=429, body="slow"))
    client.cloud.faults.script(Fault("arm.get", "html"))
    client.cloud.faults.script(Fault("arm.get", "truncated"))
    seen = [client.send("GET", path) for _ in range(5)]
    assert [answer.status_code for answer in seen] == [429, 429, 200, 200, 200]
    assert seen[2].headers["Content-Type"] == "text/html"
    with pytest.raises(json.JSONDecodeError):
        json.loads(seen[3].content)
    assert seen[4].json()["name"] == "breast-cancer-predictive"


def test_the_log_holds_no_secret(client_of: Callable[..., Client]) -> None:
    client = client_of()
    client.blob("models/m.bin", b"m")
    sas = client.sas("models/m.bin")
    client.send("GET", "/blob/mllocal/models/m.bin" + sas, token="canary-token")
    text = json.dumps(client.send("GET", "/_emulator/log").json())
    assert "/blob/mllocal/models/m.bin" in text
    assert "sig" not in text
    assert "canary" not in text


def test_jobs_run_by_the_wall_clock_when_nothing_else_is_injected() -> None:
    assert abs(emulator.Cloud()._core.now() - time.time()) < 5


def test_a_method_that_nobody_knows_is_answered_by_the_cloud(server: emulator.Server) -> None:
    answer = requests.request("FROB", f"{server.url}/anything", timeout=10)
    assert answer.status_code == 501
    assert "FROB /anything" in answer.json()["error"]["message"]
