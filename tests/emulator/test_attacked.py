"""The emulator obeys no web page, keeps no junk without end, and answers whatever it is sent."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import select
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
import requests

from reconciler import emulator
from reconciler.emulator import blob_auth
from tests.emulator.conftest import API, SEED, Client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FAULT = {"route": "arm.list", "kind": "status", "status": 503}
NAME = "breast-cancer-predictive"


@pytest.fixture
def server() -> Iterator[emulator.Server]:
    cloud = emulator.Cloud()
    cloud.seed(SEED)
    served = emulator.serve(cloud, 0)
    served.start()
    yield served
    served.stop()


def raw(server: emulator.Server, sent: bytes) -> bytes:
    """What the server answers to these bytes until it closes the connection."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65536):
            answer += part
        return answer


def listed(client: Client) -> requests.Response:
    where = client.arm(NAME).partition("/resourceGroups/")[0]
    return client.send("GET", f"{where}/providers/Microsoft.MachineLearning/webServices?{API}")


# --- web pages ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "", "blob.core.x",
     "evil.cloudapp.azure.com", "127.0.0.1:8400@evil.example", "[::1]x", "a.web.core.windows.net"],
)  # fmt: skip
def test_a_host_that_was_bent_to_this_machine_is_refused(client: Client, host: str) -> None:
    answer = client.cloud.handle(
        emulator.messages.Request("GET", "http", host, "/_emulator/log", "", {}, b"")
    )
    assert answer.status == 403
    assert b"127.0.0.1 or localhost" in answer.body


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:8400", "localhost", "LOCALHOST:1", "[::1]:8400", "management.azure.com",
     "westcentralus.management.azure.com", "europewest.management.azureml.net",
     "mllocal.blob.core.windows.net", "ussouthcentral.services.azureml.net:443"],
)  # fmt: skip
def test_the_names_of_this_machine_and_of_the_real_services_are_served(
    client: Client, host: str
) -> None:
    answer = client.cloud.handle(
        emulator.messages.Request("GET", "http", host, "/_emulator/health", "", {}, b"")
    )
    assert answer.status == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9", "x"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
def test_a_page_of_another_origin_is_obeyed_in_nothing(
    client: Client, origin: str, method: str
) -> None:
    kind = {"Origin": origin, "Content-Type": "application/json"}
    for path in ("/_emulator/faults", "/_emulator/log", client.arm(NAME) + f"?{API}"):
        answer = client.send(method, path, data=json.dumps(FAULT), headers=kind)
        assert answer.status_code == 403
        assert "Access-Control-Allow-Origin" not in answer.headers
    assert listed(client).status_code == 200


def test_a_picture_in_a_page_of_another_site_is_no_request(client: Client) -> None:
    fetched = {"Sec-Fetch-Site": "cross-site"}
    assert client.send("GET", "/_emulator/log", headers=fetched).status_code == 403


def test_a_page_of_the_emulator_itself_is_served(client: Client) -> None:
    own = {"Origin": "http://127.0.0.1:8400", "Sec-Fetch-Site": "same-origin"}
    assert client.send("GET", "/_emulator/health", headers=own).status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "x/json"])
def test_what_a_form_can_send_scripts_no_fault(client: Client, kind: str) -> None:
    answer = client.send(
        "POST", "/_emulator/faults", data=json.dumps(FAULT), headers={"Content-Type": kind}
    )
    assert answer.status_code == 415
    assert "application/json" in answer.json()["error"]["message"]
    assert listed(client).status_code == 200


# --- junk ---------------------------------------------------------------------------------------


def test_a_body_that_is_no_blob_has_a_bound(client: Client) -> None:
    big = b" " * (16 * 1024 * 1024 + 1)
    answer = client.send("PUT", f"{client.arm('x')}?{API}", data=big)
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "RequestEntityTooLarge"


def test_a_world_that_is_full_takes_no_more_and_says_so(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.emulator.cloud.MOST_KEPT", client.cloud.world.size + 100_000)
    properties = {
        "packageType": "Graph",
        "title": "x" * 10_000,
        "storageAccount": {"name": "mllocal", "key": "k"},
        "commitmentPlan": {"id": "p"},
    }
    body = {"location": "x", "properties": properties}

    def put(name: str) -> requests.Response:
        made = client.send("PUT", f"{client.arm(name)}?{API}", json=body)
        client.clock.advance(60)
        return made

    assert {put("one").status_code for _ in range(20)} == {201, 200}  # over one another
    last = [put(f"s{number}") for number in range(40)][-1]
    assert last.status_code == 507
    assert "--state" in last.json()["error"]["message"]
    assert client.send("GET", f"{client.arm(NAME)}?{API}").status_code == 200


def test_storage_that_is_full_takes_no_more_until_something_is_deleted(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = client.cloud._core
    monkeypatch.setattr("reconciler.emulator.cloud.MOST_STORED", core.blobs.size + 50_000)
    monkeypatch.setattr("reconciler.emulator.cloud._RECORD", 0)
    place, now = ("mllocal", "models", "big"), client.clock()
    key = core.blobs.accounts["mllocal"].key
    url = "/blob/mllocal/models/big" + blob_auth.mint(key, place, "rwd", now - 60, now + 600)
    kind = {"x-ms-blob-type": "BlockBlob"}

    def put(size: int, **more: str) -> int:
        sent = client.send("PUT", url, token="", data=bytes(size), headers={**kind, **more})
        return sent.status_code

    assert [put(20_000) for _ in range(5)] == [201] * 5  # over one another
    assert put(60_000) == 507
    assert client.send("DELETE", url, token="").status_code == 202
    assert put(1) == 201


def test_large_bodies_are_read_a_few_at_a_time_and_small_ones_beside_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("reconciler.emulator.server._AT_ONCE", 2)
    server = emulator.serve(emulator.Cloud(), 0)
    server.start()
    host, _, port = server.url.removeprefix("http://").partition(":")
    begun = b"PUT /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2000000\r\n\r\n"
    half = [socket.create_connection((host, int(port)), timeout=10) for _ in range(2)]
    with contextlib.ExitStack() as opened:
        opened.callback(server.stop)
        for connection in half:
            opened.enter_context(connection)
            connection.sendall(begun)
        large = server._http.RequestHandlerClass.large  # type: ignore[attr-defined]
        while large._value:  # until both are being read
            assert requests.get(f"{server.url}/_emulator/health", timeout=10).ok
        third = opened.enter_context(socket.create_connection((host, int(port)), timeout=20))
        sending = threading.Thread(target=third.sendall, args=(begun + bytes(2_000_000),))
        sending.start()
        assert requests.get(f"{server.url}/_emulator/health", timeout=10).status_code == 200
        assert select.select([third], [], [], 0.5)[0] == []
        half[0].close()
        assert third.recv(65536).startswith(b"HTTP/1.1 501")
        sending.join()


def test_operations_that_are_over_keep_nothing_and_are_few(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.emulator.operations.MOST_OPERATIONS", 4)
    for number in range(10):
        title = {"properties": {"packageType": "Graph", "title": f"{number}"}}
        last = client.send("PATCH", f"{client.arm(NAME)}?{API}", json=title)
        client.clock.advance(60)
    url = last.headers["Azure-AsyncOperation"].removeprefix("http://127.0.0.1:8400")
    assert client.send("GET", url).json()["status"] == "Succeeded"
    operations = client.cloud.world.operations.values()
    assert len(operations) <= 4
    assert not any(operation.properties for operation in operations)
    shown = client.send("GET", f"{client.arm(NAME)}?{API}").json()
    assert shown["properties"]["title"] == "9"


def test_the_log_keeps_no_more_than_the_beginning_of_a_path(client: Client) -> None:
    client.send("GET", "/" + "x" * 50_000)
    assert [len(entry.path) for entry in client.cloud.log] == [1000]


@pytest.mark.parametrize(
    "script", [{**FAULT, "times": 10**9}, {"of": "job", "trick": "x", "times": 10**9}]
)
def test_what_is_scripted_has_a_bound(client: Client, script: dict[str, Any]) -> None:
    answer = client.send("POST", "/_emulator/faults", json=script)
    assert answer.status_code == 400
    assert "at most" in answer.json()["error"]["message"]


def test_more_faults_than_anybody_needs_are_refused(client: Client) -> None:
    seen = [client.send("POST", "/_emulator/faults", json=FAULT).status_code for _ in range(1001)]
    assert (seen[0], seen[999], seen[1000]) == (204, 204, 400)
    assert listed(client).status_code == 503  # which is over then, and makes room
    assert client.send("POST", "/_emulator/faults", json=FAULT).status_code == 204
    long = {**FAULT, "body": "x" * 100_000}
    assert client.send("POST", "/_emulator/faults", json=long).status_code == 413


# --- malformed ----------------------------------------------------------------------------------

MALFORMED = [
    '{"properties": {"packageType": "Graph", "title": "\\ud800"}}',
    '{"properties": {"packageType": "Graph", "title": NaN}}',
    '{"properties": {"packageType": "Graph", "title": 1e999}}',
    '{"properties": {"packageType": "Graph", "title": ' + "[" * 70 + "]" * 70 + "}}",
    '{"properties": {"packageType": "Graph", "title": ' + "[" * 9999 + "]" * 9999 + "}}",
    '{"properties": {"packageType": "Graph", "title": ' + "9" * 9999 + "}}",
    "[" * 200_000,
]


@pytest.mark.parametrize("body", MALFORMED, ids=range(len(MALFORMED)))
def test_json_that_no_answer_could_repeat_is_refused_and_changes_nothing(
    client: Client, body: str
) -> None:
    url = f"{client.arm(NAME)}?{API}"
    before = client.send("GET", url).json()
    answer = client.send("PATCH", url, data=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["code"] == "RequestBodyInvalid"
    client.clock.advance(60)
    assert client.send("GET", url).json() == before


@pytest.mark.parametrize("token", ["9" * 5000, "-1", "x", "٣"])
def test_a_wrong_skip_token_is_refused(client: Client, token: str) -> None:
    where = client.arm(NAME).rpartition("/")[0]
    answer = client.send("GET", where, params={"api-version": "2017-01-01", "$skiptoken": token})
    assert answer.status_code == 400


HEAD = b"PUT /blob/mllocal/models/x HTTP/1.1\r\nHost: 127.0.0.1\r\n"
BYTES = [
    HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
    HEAD + b"Content-Length: 0\r\nx-ms-meta-a: \xff\xfe\r\n\r\n",
    HEAD + b"Content-Length: 0\r\nAuthorization: SharedKey \xe9:\x80\r\nx-ms-date: \xff\r\n\r\n",
    b"GET /blob/%ff%00/%zz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET http://[/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET //[x]/webServices HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET /?" + b"a=1&" * 9000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"\xff\xff\xff\r\n\r\n",
    b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n",
]


@pytest.mark.parametrize("sent", BYTES, ids=range(len(BYTES)))
def test_whatever_is_sent_is_answered_with_a_body_and_no_bug(
    server: emulator.Server, sent: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = raw(server, sent)
    assert re.search(rb"\b(4[0-9][0-9]|501)\b", answer.split(b"\r\n")[0])
    assert answer.partition(b"\r\n\r\n")[2] or answer.startswith(b"<!DOCTYPE")  # of HTTP/0.9
    assert "Traceback" not in capsys.readouterr().err


def test_a_bug_of_ours_is_an_answer_with_a_body(
    server: emulator.Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr("reconciler.emulator.cloud.Cloud.route_of", broken)
    answer = requests.get(f"{server.url}/anything", timeout=10)
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "InternalError"
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_header_that_cannot_be_sent_ends_neither_the_header_nor_the_answer(
    server: emulator.Server,
) -> None:
    fault = {**FAULT, "route": "", "headers": {"x-a": "a\r\nSet-Cookie: b", "x-b": "\u20ac"}}
    assert requests.post(f"{server.url}/_emulator/faults", json=fault, timeout=10).ok
    answer = requests.get(f"{server.url}/nothing", timeout=10)
    assert answer.status_code == 503
    assert answer.headers["x-a"] == "a??Set-Cookie: b"
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("more", [{}, {"comp": "block"}], ids=["blobs", "blocks"])
def test_storage_fills_up_by_empty_blobs_too(
    client: Client, monkeypatch: pytest.MonkeyPatch, more: dict[str, str]
) -> None:
    core = client.cloud._core
    monkeypatch.setattr("reconciler.emulator.cloud.MOST_STORED", core.blobs.size + 50_000)
    key, now = core.blobs.accounts["mllocal"].key, client.clock()

    def put(number: int) -> int:
        place = ("mllocal", "models", f"empty{number}")
        url = f"/blob/mllocal/models/empty{number}" + blob_auth.mint(
            key, place, "w", now - 60, now + 600
        )
        if more:
            url += f"&comp=block&blockid={base64.b64encode(b'%04d' % number).decode()}"
        kind = {"x-ms-blob-type": "BlockBlob", "x-ms-meta-note": "x" * 1000}
        return client.send("PUT", url, token="", data=b"", headers=kind).status_code

    assert [put(number) for number in range(60)][-1] == 507


def test_a_world_of_other_shapes_is_refused_with_a_way_out(tmp_path: Path) -> None:
    for world in ([], {"services": []}, {"services": {"x": 1}}, {"classic": {"x": {}}}):
        document = {"schema": "emulator/state/v1", "models": [], "world": world, "blobs": {}}
        (tmp_path / "world.json").write_text(json.dumps(document))
        with pytest.raises(ValueError, match=r"is not a world.*--state"):
            emulator.Cloud(state=tmp_path)


def test_a_seed_with_a_date_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "seed.yaml").write_text("storage: 2026-13-45\n")
    with pytest.raises(ValueError, match=r"seed\.yaml is not a seed: month"):
        emulator.Cloud().seed(tmp_path / "seed.yaml")
