"""Blob storage as the official client sees it, over a few lines of HTTP and a manual clock."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, urlencode
from xml.etree import ElementTree

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import (
    AccountSasPermissions,
    BlobBlock,
    BlobLeaseClient,
    BlobPrefix,
    BlobSasPermissions,
    BlobServiceClient,
    ContainerSasPermissions,
    ContentSettings,
    ResourceTypes,
    generate_account_sas,
    generate_blob_sas,
    generate_container_sas,
)

from reconciler.emulator.blob import BlobService
from reconciler.emulator.messages import Request, Response

KEY = base64.b64encode(b"a key of the tests, and no other").decode()
START = 1_800_000_000.0
ID, OTHER = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
PUT = {"x-ms-blob-type": "BlockBlob"}


@dataclass
class Clock:
    """A clock that moves when told."""

    now: float = START

    def __call__(self) -> float:
        return self.now

    def at(self, seconds: float) -> datetime:
        return datetime.fromtimestamp(self.now + seconds, UTC)


@dataclass
class Store:
    """The service with one account and one container; `send` is signed by an account SAS."""

    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.service = BlobService(self.clock)
        self.service.add_account("acct", KEY)
        self.service.add_container("acct", "box")

    def ask(
        self,
        method: str,
        rest: str,
        query: str = "",
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        scheme: str = "http",
    ) -> Response:
        lowered = {name.lower(): value for name, value in (headers or {}).items()}
        path, names = f"/blob/acct{rest}", tuple(headers or ())
        request = Request(method, scheme, "127.0.0.1:8400", path, query, lowered, body, names)
        return self.service.handle(request, "acct", rest)

    def send(
        self, method: str, rest: str, query: str = "", body: bytes = b"", **headers: str
    ) -> Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask(method, rest, f"{query}&{self.account_sas()}", named, body)

    def put(self, name: str = "b", content: bytes = b"0123456789", **headers: str) -> Response:
        return self.send("PUT", f"/box/{name}", "", content, **PUT, **headers)

    def account_sas(self, **more: Any) -> str:
        given: dict[str, Any] = {
            "resource_types": ResourceTypes(service=True, container=True, object=True),
            "permission": AccountSasPermissions.from_string("rwdlac"),
            "expiry": self.clock.at(3600),
            **more,
        }
        return generate_account_sas("acct", KEY, **given)

    def blob_sas(self, name: str = "b", permission: str = "r", **more: Any) -> str:
        given = {"expiry": self.clock.at(60), **more}
        allowed = BlobSasPermissions.from_string(permission)
        return generate_blob_sas("acct", "box", name, account_key=KEY, permission=allowed, **given)


@pytest.fixture
def store() -> Store:
    return Store()


@dataclass(frozen=True)
class Door:
    """The service behind a socket, and the official client in front of it."""

    store: Store
    url: str

    def client(self, key: str = KEY, piece: int = 1000) -> BlobServiceClient:
        text = f"BlobEndpoint={self.url};AccountName=acct;AccountKey={key}"
        return BlobServiceClient.from_connection_string(
            text, retry_total=0, max_single_put_size=piece, max_block_size=piece
        )


@pytest.fixture
def door(store: Store) -> Iterator[Door]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            path, _, query = self.path.partition("?")
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            host, names = headers["host"], tuple(self.headers.keys())
            request = Request(self.command, "http", host, path, query, headers, body, names)
            made = store.service.handle(request, "acct", path.removeprefix("/blob/acct"))
            self.send_response(made.status)
            for name, value in {"Content-Length": str(len(made.body)), **made.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(made.body)

        do_GET = do_HEAD = do_PUT = do_DELETE = _serve

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield Door(store, f"http://127.0.0.1:{server.server_port}/blob/acct")
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def azure(door: Door) -> Iterator[BlobServiceClient]:
    with door.client() as client:
        yield client


def code(response: Response) -> str:
    return response.headers.get("x-ms-error-code", "")


def outcome(response: Response) -> tuple[int, str]:
    return response.status, code(response)


def refusal(action: Callable[[], Any]) -> tuple[int | None, str]:
    with pytest.raises(HttpResponseError) as refused:
        action()
    return refused.value.status_code, str(
        getattr(refused.value.error_code, "value", refused.value.error_code)
    )


# --- with the official client -------------------------------------------------------------------


def test_the_official_client_reads_back_what_it_wrote(azure: BlobServiceClient) -> None:
    blob = azure.get_blob_client("box", "a folder/ü+&%20.bin")
    settings = ContentSettings(content_type="text/csv", cache_control="no-cache")
    blob.upload_blob(b"0123456789", metadata={"sha": "x y"}, content_settings=settings)
    assert blob.download_blob().readall() == b"0123456789"
    assert blob.download_blob(offset=2, length=3).readall() == b"234"
    shown = blob.get_blob_properties()
    assert (shown.size, shown.metadata) == (10, {"sha": "x y"})
    assert (shown.content_settings.content_type, shown.content_settings.cache_control) == (
        "text/csv",
        "no-cache",
    )
    assert shown.content_settings.content_md5 == hashlib.md5(b"0123456789").digest()
    assert shown.last_modified.timestamp() == START


def test_an_empty_blob_is_a_blob(azure: BlobServiceClient) -> None:
    blob = azure.get_blob_client("box", "empty")
    blob.upload_blob(b"")
    assert blob.download_blob().readall() == b""


def test_overwriting_without_metadata_drops_it(azure: BlobServiceClient) -> None:
    blob = azure.get_blob_client("box", "b")
    blob.upload_blob(b"1", metadata={"a": "1"})
    blob.set_blob_metadata({"b": "2"})
    assert blob.get_blob_properties().metadata == {"b": "2"}
    blob.upload_blob(b"2", overwrite=True)
    assert blob.get_blob_properties().metadata == {}


def test_the_order_of_signed_headers_is_the_clients(azure: BlobServiceClient) -> None:
    names = ("a_b", "a1", "ab", "aB2", "a", "_z", "z9", "z_9")
    blob = azure.get_blob_client("box", "b")
    blob.upload_blob(b"1", metadata={name: "two  spaces" for name in names})
    assert set(blob.get_blob_properties().metadata) == set(names)


def test_large_uploads_come_in_blocks(azure: BlobServiceClient) -> None:
    content = bytes(range(256)) * 20
    blob = azure.get_blob_client("box", "large")
    blob.upload_blob(content, metadata={"a": "1"})
    assert blob.download_blob().readall() == content
    assert blob.get_blob_properties().content_settings.content_type == "application/octet-stream"


def test_blocks_are_put_together_as_listed(azure: BlobServiceClient) -> None:
    blob = azure.get_blob_client("box", "b")
    for name in ("1", "2", "3"):
        blob.stage_block(name, name.encode() * 2)
    blob.commit_block_list([BlobBlock("3"), BlobBlock("1")])
    assert blob.download_blob().readall() == b"3311"
    blob.stage_block("4", b"44")
    blob.commit_block_list([BlobBlock("1"), BlobBlock("4")])
    assert blob.download_blob().readall() == b"1144"
    lost = lambda: blob.commit_block_list([BlobBlock("2")])  # noqa: E731
    assert refusal(lost) == (400, "InvalidBlockList")
    assert blob.download_blob().readall() == b"1144"


def test_deleting_only_the_snapshots_leaves_the_blob(azure: BlobServiceClient) -> None:
    blob = azure.get_blob_client("box", "b")
    assert refusal(lambda: blob.delete_blob("only")) == (404, "BlobNotFound")
    blob.upload_blob(b"1")
    lease = blob.acquire_lease(15)
    blob.delete_blob("only")
    assert blob.download_blob().readall() == b"1"
    lease.release()
    blob.delete_blob("include")
    assert not blob.exists()


def test_other_ways_to_delete_snapshots_are_refused(store: Store) -> None:
    store.put()
    made = store.send("DELETE", "/box/b", **{"x-ms-delete-snapshots": "all"})
    assert outcome(made) == (400, "InvalidHeaderValue")
    assert store.service.get("acct", "box", "b") == b"0123456789"
    assert store.send("DELETE", "/box/b", **{"x-ms-delete-snapshots": "Include"}).status == 202


def test_metadata_names_keep_their_case(azure: BlobServiceClient) -> None:
    box, given = azure.get_container_client("box"), {"Sha256": "1", "ofModel": "2"}
    blob = box.upload_blob("b", b"1", metadata=given)
    assert blob.get_blob_properties().metadata == given
    assert [b.metadata for b in box.list_blobs(include=["metadata"])] == [given]
    blob.set_blob_metadata({"SHA256": "3"})
    assert blob.get_blob_properties().metadata == {"SHA256": "3"}
    box.set_container_metadata(given)
    assert box.get_container_properties().metadata == given


def test_uncommitted_blobs_are_listed_where_they_are_asked_for(azure: BlobServiceClient) -> None:
    box = azure.get_container_client("box")
    for name in ("a", "c", "d/e"):
        box.get_blob_client(name).stage_block("1", b"11")
    for name in ("b", "c"):
        box.upload_blob(name, b"1")
    box.get_blob_client("b").stage_block("1", b"11")
    assert [b.name for b in box.list_blobs()] == ["b", "c"]
    listed = list(box.list_blobs(include=["uncommittedblobs", "metadata"]))
    assert [(b.name, b.size) for b in listed] == [("a", 0), ("b", 1), ("c", 1), ("d/e", 0)]
    assert (listed[0].etag, listed[0].last_modified) == (None, None)
    pages = box.list_blobs(include="uncommittedblobs", results_per_page=1).by_page()
    assert [[b.name for b in page] for page in pages] == [["a"], ["b"], ["c"], ["d/e"]]
    walked = list(box.walk_blobs(include="uncommittedblobs"))
    assert [b.name for b in walked] == ["d/", "a", "b", "c"]


def test_the_official_client_checks_what_it_reads_by_its_md5(door: Door) -> None:
    content = bytes(range(256)) * 20_000
    with door.client(piece=len(content)) as azure:
        blob = azure.get_blob_client("box", "large")
        blob.upload_blob(content)
        assert blob.download_blob(validate_content=True).readall() == content
        part = blob.download_blob(offset=10, length=100, validate_content=True)
        assert part.readall() == content[10:110]


def test_containers_are_made_shown_and_deleted(azure: BlobServiceClient) -> None:
    box = azure.create_container("models", metadata={"of": "churn"})
    assert refusal(box.create_container) == (409, "ContainerAlreadyExists")
    assert box.get_container_properties().metadata == {"of": "churn"}
    box.set_container_metadata({"of": "diabetes"})
    shown = azure.list_containers(name_starts_with="m", include_metadata=True)
    assert [(c.name, c.metadata) for c in shown] == [("models", {"of": "diabetes"})]
    pages = list(azure.list_containers(results_per_page=1).by_page())
    assert [[c.name for c in page] for page in pages] == [["box"], ["models"]]
    box.delete_container()
    assert refusal(box.get_container_properties) == (404, "ContainerNotFound")
    assert refusal(lambda: box.upload_blob("b", b"1")) == (404, "ContainerNotFound")


def test_lists_are_in_lexical_order_and_in_pages(azure: BlobServiceClient) -> None:
    box = azure.get_container_client("box")
    for name in ("m/10", "m/2", "m/1", "n", "m/x/1", "m/x/2", "m&<é"):
        box.upload_blob(name, b"1", metadata={"name": "1"})
    assert [b.name for b in box.list_blobs()] == [
        "m&<é",
        "m/1",
        "m/10",
        "m/2",
        "m/x/1",
        "m/x/2",
        "n",
    ]
    pages = box.list_blobs(name_starts_with="m/", results_per_page=2).by_page()
    assert [[b.name for b in page] for page in pages] == [
        ["m/1", "m/10"],
        ["m/2", "m/x/1"],
        ["m/x/2"],
    ]
    walked = list(box.walk_blobs("m/"))
    assert [b.name for b in walked] == ["m/x/", "m/1", "m/10", "m/2"]
    assert isinstance(walked[0], BlobPrefix)
    first = next(iter(box.list_blobs(include=["metadata"])))
    assert first.metadata == {"name": "1"}
    assert first.etag == box.get_blob_client(first.name).get_blob_properties().etag.strip('"')
    assert (first.size, first.last_modified.timestamp()) == (1, START)


def test_of_twenty_conditional_creates_one_wins(azure: BlobServiceClient) -> None:
    won: list[int] = []

    def claim(number: int) -> None:
        try:
            azure.get_blob_client("box", "claim").upload_blob(str(number).encode())
        except HttpResponseError as exc:
            assert exc.status_code == 409  # noqa: PT017
        else:
            won.append(number)

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert azure.get_blob_client("box", "claim").download_blob().readall() == str(*won).encode()


def test_the_official_client_leases_blobs_and_containers(azure: BlobServiceClient) -> None:
    blob, box = azure.get_blob_client("box", "b"), azure.get_container_client("box")
    blob.upload_blob(b"1")
    for thing in (blob, box):
        lease = thing.acquire_lease(15)
        assert refusal(lambda thing=thing: thing.acquire_lease(15)) == (409, "LeaseAlreadyPresent")
        lease.renew()
        lease.change(ID)
        assert lease.id == ID
        lease.release()
        second = BlobLeaseClient(thing, OTHER)
        second.acquire(-1)
        assert second.break_lease() == 0
    lease = box.acquire_lease()
    assert refusal(box.delete_container) == (412, "LeaseIdMissing")
    box.delete_container(lease=lease)


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("box/none", 404, "BlobNotFound"),
        ("nobox/none", 404, "ContainerNotFound"),
    ],
)
def test_what_is_missing_says_so_on_head_too(
    azure: BlobServiceClient, path: str, status: int, error: str
) -> None:
    blob = azure.get_blob_client(*path.split("/"))
    assert refusal(blob.get_blob_properties) == (status, error)
    assert refusal(lambda: blob.download_blob()) == (status, error)
    assert not blob.exists()


def test_a_wrong_key_is_refused(door: Door) -> None:
    with door.client(base64.b64encode(b"another").decode()) as client:
        box = client.get_container_client("box")
        assert refusal(lambda: list(box.list_blobs())) == (403, "AuthenticationFailed")


@pytest.mark.parametrize("prefix", ["/acct/box/b", "/acct/blob/acct/box/b"])
def test_a_shared_key_may_leave_out_the_prefix_of_the_path(store: Store, prefix: str) -> None:
    store.put()
    headers = {"x-ms-date": "Mon, 23 Nov 2026 16:00:00 GMT", "x-ms-version": "2021-12-02"}
    lines = ["GET", *[""] * 11, *(f"{name}:{headers[name]}" for name in sorted(headers)), prefix]
    mac = hmac.new(base64.b64decode(KEY), "\n".join(lines).encode(), hashlib.sha256).digest()
    headers["Authorization"] = f"SharedKey acct:{base64.b64encode(mac).decode()}"
    assert store.ask("GET", "/box/b", "", headers).status == 200
    assert code(store.ask("GET", "/box/c", "", headers)) == "AuthenticationFailed"


# --- shared access signatures -------------------------------------------------------------------


def test_the_official_client_works_with_a_sas_alone(door: Door, store: Store) -> None:
    store.put()
    sas = generate_container_sas(
        "acct", "box", account_key=KEY, expiry=store.clock.at(60),
        permission=ContainerSasPermissions.from_string("rwl"),
    )  # fmt: skip
    with BlobServiceClient(door.url, credential=sas, retry_total=0) as client:
        box = client.get_container_client("box")
        assert [b.name for b in box.list_blobs()] == ["b"]
        box.upload_blob("c d", b"1")
        assert box.download_blob("c d").readall() == b"1"
        assert refusal(lambda: box.delete_blob("b")) == (403, "AuthorizationPermissionMismatch")
        assert refusal(lambda: list(client.list_containers())) == (403, "AuthenticationFailed")


READ = ("GET", "")
WRITE = ("PUT", "")


@pytest.mark.parametrize(
    ("permission", "more", "operation", "expected"),
    [
        ("r", {}, READ, (200, "")),
        ("w", {}, READ, (403, "AuthorizationPermissionMismatch")),
        ("r", {}, WRITE, (403, "AuthorizationPermissionMismatch")),
        ("w", {}, WRITE, (201, "")),
        ("c", {}, WRITE, (403, "AuthorizationPermissionMismatch")),
        ("w", {}, ("PUT", "comp=metadata"), (200, "")),
        ("c", {}, ("PUT", "comp=metadata"), (403, "AuthorizationPermissionMismatch")),
        ("w", {}, ("DELETE", ""), (403, "AuthorizationPermissionMismatch")),
        ("d", {}, ("DELETE", ""), (202, "")),
        ("r", {"start": 10}, READ, (403, "AuthenticationFailed")),
        ("r", {"start": -10}, READ, (200, "")),
        ("r", {"expiry": 0}, READ, (403, "AuthenticationFailed")),
        ("r", {"protocol": "https"}, READ, (403, "AuthorizationProtocolMismatch")),
        ("r", {"protocol": "https,http"}, READ, (200, "")),
        ("r", {"name": "c"}, READ, (403, "AuthenticationFailed")),
        ("r", {"encryption_scope": "s"}, READ, (200, "")),
        ("r", {"ip": "127.0.0.1", "cache_control": "x", "content_type": "text/x"}, READ, (200, "")),
    ],
)  # fmt: skip
def test_a_sas_allows_what_it_says_while_it_lasts(
    store: Store,
    permission: str,
    more: dict[str, Any],
    operation: tuple[str, str],
    expected: tuple[int, str],
) -> None:
    store.put()
    times = {name: store.clock.at(more[name]) for name in ("start", "expiry") if name in more}
    sas = store.blob_sas(permission=permission, **{**more, **times})
    method, query = operation
    assert outcome(store.ask(method, "/box/b", f"{query}&{sas}", PUT)) == expected


def test_create_alone_makes_a_blob_that_is_not_there(store: Store) -> None:
    assert store.ask("PUT", "/box/b", store.blob_sas(permission="c"), PUT).status == 201


@pytest.mark.parametrize(
    ("permission", "allowed"),
    [("c", False), ("a", False), ("rcd", False), ("w", True), ("cw", True)],
)
@pytest.mark.parametrize("name", ["b", "new"])
def test_blocks_take_the_permission_to_write(
    store: Store, permission: str, allowed: bool, name: str
) -> None:
    store.put()
    sas = store.blob_sas(name, permission)
    listed = b"<BlockList><Latest>MA==</Latest></BlockList>"
    store.send("PUT", f"/box/{name}", "comp=block&blockid=MA==", b"0")
    for query, body in (("comp=block&blockid=MQ==", b"1"), ("comp=blocklist", listed)):
        made = store.ask("PUT", f"/box/{name}", f"{query}&{sas}", {}, body)
        refused = (403, "AuthorizationPermissionMismatch")
        assert outcome(made) == ((201, "") if allowed else refused)
    expected = b"0" if allowed else b"0123456789" if name == "b" else None
    assert store.service.get("acct", "box", name) == expected


def test_an_expiry_follows_the_clock(store: Store) -> None:
    store.put()
    sas = store.blob_sas()
    assert store.ask("GET", "/box/b", sas).status == 200
    store.clock.now += 60
    assert outcome(store.ask("GET", "/box/b", sas)) == (403, "AuthenticationFailed")


@pytest.mark.parametrize("change", [("sig=", "sig=x"), ("sp=r", "sp=rw"), ("sv=2", "sv=x"), ("sr=b", "sr=d"), ("se=", "sex=")])  # fmt: skip
def test_a_changed_sas_is_no_sas(store: Store, change: tuple[str, str]) -> None:
    store.put()
    sas = store.blob_sas()
    assert change[0] in sas
    given = sas.replace(*change)
    assert outcome(store.ask("GET", "/box/b", given)) == (403, "AuthenticationFailed")


def test_without_a_signature_nothing_is_said(store: Store) -> None:
    for path in ("/box/b", "/nobox/b"):
        assert outcome(store.ask("GET", path)) == (403, "AuthenticationFailed")


# The strings of Microsoft's documents, written out by hand and not by our code.
BY_VERSION = {
    "2012-02-12": "r\n\n{se}\n/acct/box/b\n\n2012-02-12",
    "2013-08-15": "r\n\n{se}\n/acct/box/b\n\n2013-08-15\n\n\n\n\n",
    "2014-02-14": "r\n\n{se}\n/acct/box/b\n\n2014-02-14\n\n\n\n\n",
    "2015-02-21": "r\n\n{se}\n/blob/acct/box/b\n\n2015-02-21\n\n\n\n\n",
    "2015-04-05": "r\n\n{se}\n/blob/acct/box/b\n\n\n\n2015-04-05\n\n\n\n\n",
    "2018-11-09": "r\n\n{se}\n/blob/acct/box/b\n\n\n\n2018-11-09\nb\n\n\n\n\n\n",
    "2020-12-06": "r\n\n{se}\n/blob/acct/box/b\n\n\n\n2020-12-06\nb\n\n\n\n\n\n\n",
    "2026-10-06": "r\n\n{se}\n/blob/acct/box/b\n\n\n\n2026-10-06\nb\n\n\n\n\n\n\n",
}


@pytest.mark.parametrize("version", BY_VERSION)
def test_the_string_to_sign_follows_the_version(store: Store, version: str) -> None:
    store.put()
    ends = f"{store.clock.at(60):%Y-%m-%dT%H:%M:%SZ}"
    text = BY_VERSION[version].format(se=ends)
    mac = hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()
    sas = {"sv": version, "sr": "b", "sp": "r", "se": ends, "sig": base64.b64encode(mac).decode()}
    assert store.ask("GET", "/box/b", urlencode(sas)).status == 200
    sas["sv"] = "2017-07-29" if version != "2015-04-05" else "2012-02-12"
    assert store.ask("GET", "/box/b", urlencode(sas)).status == 403


@pytest.mark.parametrize("stamp", ["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.1234567Z", "%Y-%m-%dT%H:%MZ", "%Y-%m-%dT%H:%M:%S+00:00"])  # fmt: skip
def test_the_end_may_be_written_in_several_ways(store: Store, stamp: str) -> None:
    store.put()
    sas = store.blob_sas(expiry=store.clock.at(120).strftime(stamp))
    assert store.ask("GET", "/box/b", sas).status == 200
    store.clock.now += 180
    assert store.ask("GET", "/box/b", sas).status == 403


def test_a_container_sas_covers_its_blobs_and_the_list_but_not_the_container(store: Store) -> None:
    store.put()
    sas = generate_container_sas(
        "acct", "box", account_key=KEY, expiry=store.clock.at(60),
        permission=ContainerSasPermissions.from_string("rl"),
    )  # fmt: skip
    assert store.ask("GET", "/box/b", sas).status == 200
    assert store.ask("GET", "/box", f"restype=container&comp=list&{sas}").status == 200
    shown = store.ask("GET", "/box", f"restype=container&{sas}")
    assert outcome(shown) == (403, "AuthorizationPermissionMismatch")
    assert outcome(store.ask("GET", "/other/b", sas)) == (403, "AuthenticationFailed")


@pytest.mark.parametrize(
    ("more", "path", "query", "expected"),
    [
        ({}, "/", "comp=list", (200, "")),
        ({}, "/box", "restype=container", (200, "")),
        ({"resource_types": ResourceTypes(object=True)}, "/box/b", "", (200, "")),
        ({"resource_types": ResourceTypes(object=True)}, "/box", "restype=container", (403, "AuthorizationResourceTypeMismatch")),
        ({"permission": AccountSasPermissions(list=True)}, "/box/b", "", (403, "AuthorizationPermissionMismatch")),
        ({"expiry": "2020-01-01"}, "/box/b", "", (403, "AuthenticationFailed")),
    ],
)  # fmt: skip
def test_an_account_sas_is_held_to_its_levels(
    store: Store, more: dict[str, Any], path: str, query: str, expected: tuple[int, str]
) -> None:
    store.put()
    assert outcome(store.ask("GET", path, f"{query}&{store.account_sas(**more)}")) == expected


def test_a_sas_sets_headers_of_the_answer(store: Store) -> None:
    store.put()
    sas = store.blob_sas(content_type="text/x", content_disposition="attachment")
    shown = store.ask("GET", "/box/b", sas).headers
    assert (shown["Content-Type"], shown["Content-Disposition"]) == ("text/x", "attachment")


@pytest.mark.parametrize(
    ("name", "given", "wanted", "allowed"),
    [
        ("b", "r", "r", True),
        ("b", "r", "w", False),
        ("b", "w", "w", True),
        ("b", "c", "w", False),
        ("new", "c", "w", True),
        ("b", "w", "r", False),
    ],
)
def test_may_answers_for_other_parts(
    store: Store, name: str, given: str, wanted: str, allowed: bool
) -> None:
    store.put()
    sas = store.blob_sas(name, given)
    assert store.service.may("acct", "box", name, sas, wanted) is allowed
    assert store.service.may("acct", "box", name, f"?{sas}", wanted) is allowed
    assert not store.service.may("nobody", "box", name, sas, wanted)
    store.clock.now += 61
    assert not store.service.may("acct", "box", name, sas, wanted)


def test_a_signed_link_reads_one_blob_for_a_while(store: Store) -> None:
    store.put()
    sas = store.service.sign("acct", "box", "b", lasting_s=60)
    assert store.service.may("acct", "box", "b", sas, "r")
    assert not store.service.may("acct", "box", "c", sas, "r")


def test_keys_are_compared(store: Store) -> None:
    assert store.service.check_key("acct", KEY)
    for account, key in (("acct", "YWJj"), ("acct", "no base64!"), ("nobody", KEY)):
        assert not store.service.check_key(account, key)


# --- conditions ---------------------------------------------------------------------------------

PAST, FUTURE = "Mon, 01 Jan 2001 00:00:00 GMT", "Tue, 01 Jan 2041 00:00:00 GMT"
UNMET = (412, "ConditionNotMet")
CONDITIONS = [
    # header, value, write, read
    ("If-Match", "ETAG", (201, ""), (200, "")),
    ("If-Match", "*", (201, ""), (200, "")),
    ("If-Match", '"0xDEAD"', UNMET, UNMET),
    ("If-None-Match", "ETAG", UNMET, (304, "ConditionNotMet")),
    ("If-None-Match", '"0xDEAD"', (201, ""), (200, "")),
    ("If-None-Match", "*", (409, "BlobAlreadyExists"), (304, "ConditionNotMet")),
    ("If-Modified-Since", PAST, (201, ""), (200, "")),
    ("If-Modified-Since", FUTURE, UNMET, (304, "ConditionNotMet")),
    ("If-Unmodified-Since", PAST, UNMET, UNMET),
    ("If-Unmodified-Since", FUTURE, (201, ""), (200, "")),
]


@pytest.mark.parametrize(("header", "value", "write", "read"), CONDITIONS)
def test_conditions_on_what_exists(
    store: Store, header: str, value: str, write: tuple[int, str], read: tuple[int, str]
) -> None:
    etag = store.put().headers["ETag"]
    value = etag if value == "ETAG" else value
    for method in ("GET", "HEAD"):
        shown = store.send(method, "/box/b", **{header: value})
        assert outcome(shown) == read
        assert shown.status == 412 or shown.headers["ETag"] == etag
    assert outcome(store.put(content=b"new", **{header: value})) == write
    expected = b"new" if write[0] == 201 else b"0123456789"
    assert store.service.get("acct", "box", "b") == expected


@pytest.mark.parametrize(
    ("header", "value", "expected"),
    [
        ("If-None-Match", "*", (201, "")),
        ("If-Match", "*", UNMET),
        ("If-Match", '"0xDEAD"', UNMET),
        ("If-Unmodified-Since", PAST, (201, "")),
    ],
)
def test_conditions_on_what_does_not_exist(
    store: Store, header: str, value: str, expected: tuple[int, str]
) -> None:
    assert outcome(store.put(**{header: value})) == expected


def test_deleting_and_metadata_heed_conditions(store: Store) -> None:
    first = store.put().headers["ETag"]
    second = store.send("PUT", "/box/b", "comp=metadata", **{"x-ms-meta-a": "1", "If-Match": first})
    assert second.status == 200
    assert second.headers["ETag"] != first
    assert outcome(store.send("DELETE", "/box/b", **{"If-Match": first})) == UNMET
    assert store.send("DELETE", "/box/b", **{"If-Match": second.headers["ETag"]}).status == 202


# --- leases -------------------------------------------------------------------------------------


def lease(store: Store, action: str, path: str = "/box/b", **more: str) -> Response:
    named = {f"x-ms-{name}": value for name, value in more.items()}
    query = "comp=lease" + ("&restype=container" if path.count("/") == 1 else "")
    return store.send("PUT", path, query, **{"x-ms-lease-action": action, **named})


def acquired(store: Store, seconds: int = 15, path: str = "/box/b") -> Response:
    return lease(store, "acquire", path, lease_duration=str(seconds), proposed_lease_id=ID)


@pytest.mark.parametrize(
    ("seconds", "status"),
    [(-1, 201), (15, 201), (60, 201), (5, 400), (14, 400), (61, 400), (0, 400)],
)
def test_a_lease_lasts_15_to_60_seconds_or_for_ever(
    store: Store, seconds: int, status: int
) -> None:
    store.put()
    assert acquired(store, seconds).status == status


@pytest.mark.parametrize(
    ("lease_id", "expected"),
    [("", (412, "LeaseIdMissing")), (OTHER, (412, "LeaseIdMismatchWithBlobOperation")), (ID, (201, "")), (ID.upper(), (201, ""))],
)  # fmt: skip
def test_writing_to_a_leased_blob_needs_the_id(
    store: Store, lease_id: str, expected: tuple[int, str]
) -> None:
    store.put()
    acquired(store)
    given = {"x-ms-lease-id": lease_id} if lease_id else {}
    assert outcome(store.put(**given)) == expected
    assert store.send("GET", "/box/b").headers["x-ms-lease-state"] == "leased"
    block = store.send("PUT", "/box/b", "comp=block&blockid=MA==", b"0", **given)
    assert outcome(block) == expected
    deleted = store.send("DELETE", "/box/b", **given)
    assert deleted.status == (202 if expected[0] == 201 else 412)


def test_reading_a_leased_blob_needs_no_id_but_no_wrong_one(store: Store) -> None:
    store.put()
    acquired(store)
    assert store.send("GET", "/box/b").status == 200
    wrong = store.send("GET", "/box/b", **{"x-ms-lease-id": OTHER})
    assert outcome(wrong) == (412, "LeaseIdMismatchWithBlobOperation")


def test_an_id_without_a_lease_is_refused(store: Store) -> None:
    given = {"x-ms-lease-id": ID}
    assert outcome(store.put(**given)) == (412, "LeaseNotPresentWithBlobOperation")
    store.put()
    acquired(store)
    store.clock.now += 15
    assert outcome(store.put(**given)) == (412, "LeaseLost")
    assert store.put().status == 201


def test_an_expired_lease_can_be_renewed_until_the_blob_changes(store: Store) -> None:
    store.put()
    acquired(store)
    store.clock.now += 15
    assert store.send("HEAD", "/box/b").headers["x-ms-lease-state"] == "expired"
    assert lease(store, "renew", lease_id=ID).status == 200
    store.clock.now += 15
    store.send("PUT", "/box/b", "comp=metadata")
    renewed = lease(store, "renew", lease_id=ID)
    assert outcome(renewed) == (409, "LeaseIdMismatchWithLeaseOperation")


def test_an_expired_lease_can_be_taken_by_another(store: Store) -> None:
    store.put()
    acquired(store)
    other = {"lease_duration": "15", "proposed_lease_id": OTHER}
    assert outcome(lease(store, "acquire", **other)) == (409, "LeaseAlreadyPresent")
    store.clock.now += 14.9
    assert lease(store, "acquire", **other).status == 409
    store.clock.now += 0.1
    assert lease(store, "acquire", **other).status == 201


BREAKS = [
    # seconds of the lease, the wanted period, the answer, the state at once
    (60, None, "60", "breaking"),
    (60, "10", "10", "breaking"),
    (15, "60", "15", "breaking"),
    (60, "0", "0", "broken"),
    (-1, None, "0", "broken"),
    (-1, "10", "10", "breaking"),
]


@pytest.mark.parametrize(("seconds", "period", "takes", "state"), BREAKS)
def test_breaking_takes_the_rest_of_the_lease_or_less(
    store: Store, seconds: int, period: str | None, takes: str, state: str
) -> None:
    store.put()
    acquired(store, seconds)
    made = lease(store, "break", **({"lease_break_period": period} if period else {}))
    assert (made.status, made.headers["x-ms-lease-time"]) == (202, takes)
    assert store.send("HEAD", "/box/b").headers["x-ms-lease-state"] == state
    if state == "breaking":
        assert code(store.put()) == "LeaseIdMissing"
    store.clock.now += int(takes)
    assert store.send("HEAD", "/box/b").headers["x-ms-lease-state"] == "broken"
    assert store.put().status == 201


ACTIONS = [
    # what was done before, the action, its headers, what comes of it
    ("available", "renew", {"lease_id": ID}, "LeaseIdMismatchWithLeaseOperation"),
    ("available", "release", {"lease_id": ID}, "LeaseIdMismatchWithLeaseOperation"),
    ("available", "change", {"lease_id": ID, "proposed_lease_id": OTHER}, "LeaseNotPresentWithLeaseOperation"),
    ("available", "break", {}, "LeaseNotPresentWithLeaseOperation"),
    ("leased", "acquire", {"lease_duration": "20", "proposed_lease_id": ID}, ""),
    ("leased", "renew", {"lease_id": OTHER}, "LeaseIdMismatchWithLeaseOperation"),
    ("leased", "renew", {"lease_id": ID}, ""),
    ("leased", "release", {"lease_id": ID}, ""),
    ("leased", "change", {"lease_id": ID, "proposed_lease_id": OTHER}, ""),
    ("leased", "change", {"lease_id": OTHER, "proposed_lease_id": ID}, ""),
    ("expired", "change", {"lease_id": ID, "proposed_lease_id": OTHER}, "LeaseNotPresentWithLeaseOperation"),
    ("expired", "release", {"lease_id": ID}, ""),
    ("expired", "break", {}, ""),
    ("breaking", "acquire", {"lease_duration": "20", "proposed_lease_id": ID}, "LeaseIsBreakingAndCannotBeAcquired"),
    ("breaking", "acquire", {"lease_duration": "20", "proposed_lease_id": OTHER}, "LeaseAlreadyPresent"),
    ("breaking", "renew", {"lease_id": ID}, "LeaseIsBrokenAndCannotBeRenewed"),
    ("breaking", "change", {"lease_id": ID, "proposed_lease_id": OTHER}, "LeaseIsBreakingAndCannotBeChanged"),
    ("breaking", "release", {"lease_id": ID}, ""),
    ("broken", "renew", {"lease_id": ID}, "LeaseIsBrokenAndCannotBeRenewed"),
    ("broken", "acquire", {"lease_duration": "20", "proposed_lease_id": OTHER}, ""),
]  # fmt: skip


@pytest.mark.parametrize("path", ["/box/b", "/box"])
@pytest.mark.parametrize(("state", "action", "headers", "expected"), ACTIONS)
def test_each_state_of_a_lease_allows_its_actions(
    store: Store, state: str, action: str, headers: dict[str, str], expected: str, path: str
) -> None:
    store.put()
    if state != "available":
        acquired(store, path=path)
    if state in ("breaking", "broken"):
        lease(store, "break", path)
    if state in ("expired", "broken"):
        store.clock.now += 15
    shown = store.send("HEAD", path, "restype=container" if path == "/box" else "").headers
    assert shown["x-ms-lease-state"] == state
    made = lease(store, action, path, **headers)
    assert code(made) == expected
    assert (made.status == 409) is bool(expected)


@pytest.mark.parametrize(
    ("action", "headers", "expected"),
    [
        ("", {}, "MissingRequiredHeader"),
        ("steal", {"lease_id": ID}, "InvalidHeaderValue"),
        ("renew", {}, "MissingRequiredHeader"),
        ("acquire", {}, "MissingRequiredHeader"),
        ("acquire", {"lease_duration": "long"}, "InvalidHeaderValue"),
        ("acquire", {"lease_duration": "15", "proposed_lease_id": "mine"}, "InvalidHeaderValue"),
        ("break", {"lease_break_period": "61"}, "InvalidHeaderValue"),
    ],
)
def test_lease_headers_are_checked(
    store: Store, action: str, headers: dict[str, str], expected: str
) -> None:
    store.put()
    if action == "break":
        acquired(store)
    assert outcome(lease(store, action, **headers)) == (400, expected)


# --- refusals -----------------------------------------------------------------------------------


def test_an_error_is_xml_and_a_header(store: Store) -> None:
    shown = store.send("GET", "/box/none")
    root = ElementTree.fromstring(shown.body)
    assert (root.tag, root.findtext("Code")) == ("Error", "BlobNotFound")
    assert shown.headers["x-ms-request-id"] in (root.findtext("Message") or "")
    head = store.send("HEAD", "/box/none")
    assert (head.status, code(head), head.body) == (404, "BlobNotFound", b"")


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        ({}, b"1", (400, "MissingRequiredHeader")),
        ({"x-ms-blob-type": "Blob"}, b"1", (400, "InvalidHeaderValue")),
        ({**PUT, "Content-MD5": base64.b64encode(bytes(16)).decode()}, b"1", (400, "Md5Mismatch")),
        ({**PUT, "Content-MD5": "short"}, b"1", (400, "InvalidMd5")),
        ({**PUT, "Content-MD5": base64.b64encode(hashlib.md5(b"1").digest()).decode()}, b"1", (201, "")),
        ({**PUT, "x-ms-meta-a-b": "1"}, b"1", (400, "InvalidMetadata")),
        ({**PUT, "x-ms-meta-a": "1", "x-ms-meta-A": "2"}, b"1", (400, "InvalidMetadata")),
        ({**PUT, "If-Match": ""}, b"", (201, "")),
    ],
)  # fmt: skip
def test_a_put_is_checked(
    store: Store, headers: dict[str, str], body: bytes, expected: tuple[int, str]
) -> None:
    assert outcome(store.send("PUT", "/box/b", "", body, **headers)) == expected
    assert (store.service.get("acct", "box", "b") is not None) is (expected[0] == 201)


@pytest.mark.parametrize(
    ("given", "status", "content", "shown"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=7-99", 206, b"789", "bytes 7-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=3-1", 400, None, None),
        ("bytes=-3", 400, None, None),
    ],
)
def test_ranges(
    store: Store, given: str, status: int, content: bytes | None, shown: str | None
) -> None:
    store.put()
    for header in ("Range", "x-ms-range"):
        part = store.send("GET", "/box/b", **{header: given})
        assert (part.status, part.headers.get("Content-Range")) == (status, shown)
        assert content is None or part.body == content


def test_a_range_outside_of_the_blob_is_answered_with_its_size(store: Store) -> None:
    store.put(content=b"")
    part = store.send("GET", "/box/b", **{"x-ms-range": "bytes=0-0"})
    assert (part.status, part.headers["Content-Range"]) == (416, "bytes */0")


FOUR_MIB = 4 * 1024 * 1024
HASHED = "x-ms-range-get-content-md5"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({HASHED: "true", "Range": f"bytes=1-{FOUR_MIB}"}, (206, "")),
        ({HASHED: "True", "x-ms-range": "bytes=10-"}, (206, "")),
        ({HASHED: "false", "Range": f"bytes=0-{FOUR_MIB}"}, (206, "")),
        ({HASHED: "true", "Range": f"bytes=0-{FOUR_MIB}"}, (400, "InvalidHeaderValue")),
        ({HASHED: "true", "Range": "bytes=0-"}, (400, "InvalidHeaderValue")),
        ({HASHED: "true"}, (400, "InvalidHeaderValue")),
        ({HASHED: "maybe", "Range": "bytes=0-1"}, (400, "InvalidHeaderValue")),
        ({"x-ms-range-get-content-crc64": "true", "Range": "bytes=0-1"}, (501, "NotImplemented")),
    ],
)
def test_the_md5_of_a_range_is_that_of_at_most_4_mib(
    store: Store, given: dict[str, str], expected: tuple[int, str]
) -> None:
    content = bytes(FOUR_MIB) + b"0123456789"
    store.put(content=content)
    part = store.send("GET", "/box/b", **given)
    assert outcome(part) == expected
    if given.get(HASHED, "").lower() == "true" and part.status == 206:
        shown = base64.b64decode(part.headers["Content-MD5"])
        assert shown == hashlib.md5(part.body).digest()
        whole = base64.b64decode(part.headers["x-ms-blob-content-md5"])
        assert whole == hashlib.md5(content).digest()
    else:
        assert "Content-MD5" not in part.headers


def test_the_storages_own_range_goes_before_the_standard_one(store: Store) -> None:
    store.put()
    assert (
        store.send("GET", "/box/b", **{"Range": "bytes=0-1", "x-ms-range": "bytes=5-6"}).body
        == b"56"
    )


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "named"),
    [
        ("GET", "/box/b", "comp=tags", {}, "comp=tags"),
        ("PUT", "/box/b", "comp=snapshot", {}, "comp=snapshot"),
        ("GET", "/box/b", "snapshot=2026-01-01", {}, "snapshot"),
        ("PUT", "/box/b", "", {"x-ms-copy-source": "http://x"}, "x-ms-copy-source"),
        ("PUT", "/box/b", "", {"x-ms-blob-type": "PageBlob"}, "PageBlob"),
        ("PUT", "/box", "restype=container&comp=acl", {}, "restype=container comp=acl"),
        ("PUT", "/box", "", {}, "PUT /blob/acct/box"),
        ("GET", "/", "restype=account&comp=properties", {}, "restype=account comp=properties"),
        ("POST", "/box/b", "", {}, "POST"),
    ],
)
def test_what_is_unknown_is_named(
    store: Store, method: str, path: str, query: str, headers: dict[str, str], named: str
) -> None:
    store.put()
    made = store.send(method, path, query, **headers)
    assert outcome(made) == (501, "NotImplemented")
    assert named in made.body.decode()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("maxresults=0", (400, "OutOfRangeQueryParameterValue")),
        ("maxresults=x", (400, "InvalidQueryParameterValue")),
        ("marker=b", (400, "InvalidQueryParameterValue")),
        ("include=snapshots,copy&include=metadata&include=", (200, "")),
        ("include=metadata,snapshot", (400, "InvalidQueryParameterValue")),
        ("include=all&include=metadata", (400, "InvalidQueryParameterValue")),
        ("include=snapshots&delimiter=/", (400, "InvalidQueryParameterValue")),
        ("maxresults=99999", (200, "")),
    ],
)
def test_list_parameters_are_checked(store: Store, query: str, expected: tuple[int, str]) -> None:
    assert outcome(store.send("GET", "/box", f"restype=container&comp=list&{query}")) == expected


def test_a_list_of_containers_includes_less(store: Store) -> None:
    assert outcome(store.send("GET", "/", "comp=list&include=metadata,system")) == (200, "")
    refused = store.send("GET", "/", "comp=list&include=uncommittedblobs")
    assert outcome(refused) == (400, "InvalidQueryParameterValue")
    root = ElementTree.fromstring(refused.body)
    assert root.findtext("QueryParameterName") == "include"
    assert root.findtext("QueryParameterValue") == "uncommittedblobs"


@pytest.mark.parametrize(
    ("block", "expected"),
    [("MQ==", (201, "")), ("", (400, "InvalidQueryParameterValue")), ("!", (400, "InvalidQueryParameterValue")), ("MTIzNDU2", (400, "InvalidBlobOrBlock"))],
)  # fmt: skip
def test_block_ids_are_checked(store: Store, block: str, expected: tuple[int, str]) -> None:
    store.send("PUT", "/box/b", "comp=block&blockid=MA==", b"0")
    made = store.send("PUT", "/box/b", f"comp=block&blockid={quote(block)}", b"1")
    assert outcome(made) == expected


@pytest.mark.parametrize("name", ["UPPER", "ab", "a--b", "-ab", "a_b", "x" * 64])
def test_container_names_are_checked(store: Store, name: str) -> None:
    made = store.send("PUT", f"/{name}", "restype=container")
    assert outcome(made) == (400, "InvalidResourceName")


def test_a_list_is_as_the_service_writes_it(store: Store) -> None:
    store.put("m/1")
    query = "restype=container&comp=list&prefix=m%2F&maxresults=1&delimiter=%2F"
    root = ElementTree.fromstring(store.send("GET", "/box", query).body)
    assert root.attrib == {
        "ServiceEndpoint": "http://127.0.0.1:8400/blob/acct/",
        "ContainerName": "box",
    }
    assert [child.tag for child in root] == [
        "Prefix",
        "MaxResults",
        "Delimiter",
        "Blobs",
        "NextMarker",
    ]
    assert root.findtext("Blobs/Blob/Properties/Content-Length") == "10"
    assert root.findtext("NextMarker") == ""


# --- persistence --------------------------------------------------------------------------------


def test_a_dumped_service_is_the_same_after_loading(store: Store) -> None:
    store.put("a", b"1", **{"x-ms-meta-a": "1", "x-ms-blob-cache-control": "no-cache"})
    store.put("b", b"2")
    store.put("c", b"2")
    store.send("PUT", "/box/d", "comp=block&blockid=MA==", b"0")
    store.send("PUT", "/box/d", "comp=blocklist", b"<BlockList><Latest>MA==</Latest></BlockList>")
    store.send("PUT", "/box", "restype=container&comp=metadata", **{"x-ms-meta-of": "x"})
    acquired(store)
    lease(store, "acquire", "/box", lease_duration="-1")
    document, contents = json.loads(json.dumps(store.service.dump())), store.service.contents()
    assert contents == {hashlib.sha256(c).hexdigest(): c for c in (b"0", b"1", b"2")}
    second = Store(store.clock)
    second.service.load(document, contents.__getitem__)
    assert second.service.dump() == store.service.dump()
    for path in ("/box/a", "/box/b", "/box/d"):
        told = [s.send("GET", path) for s in (store, second)]
        ids = [dict(t.headers) | {"x-ms-request-id": ""} for t in told]
        assert (told[0].body, ids[0]) == (told[1].body, ids[1])
    assert code(second.put()) == "LeaseIdMissing"


def test_states_of_earlier_emulators_still_load(store: Store) -> None:
    old = {"content": "1", "etag": '"0x1"', "modified": START, "type": "text/csv", "metadata": {"a": "1"}, "lease": ID, "lease_ends": START + 15, "lease_s": 15}  # fmt: skip
    store.service.load({"acct": {"key": KEY, "containers": {"box": {"b": old}}}}, lambda _: b"1")
    shown = store.send("GET", "/box/b").headers
    assert (shown["ETag"], shown["x-ms-meta-a"], shown["x-ms-lease-state"]) == (
        '"0x1"',
        "1",
        "leased",
    )
    assert shown["Content-MD5"] == base64.b64encode(hashlib.md5(b"1").digest()).decode()
