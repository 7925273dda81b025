"""Blob storage: conditional writes, lost answers, references for services, and signatures."""

from __future__ import annotations

import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import pytest
from azure.storage.blob._shared_access_signature import BlobSharedAccessSignature
from scripted_server import Answer, StandIn
from storage_server import Storage

from reconciler import errors
from reconciler.errors import (
    ConfigurationError,
    ConflictError,
    NotFoundError,
    RefusedError,
    UnauthorizedError,
    UnavailableError,
    UnreadableError,
)
from reconciler.http.client import Http
from reconciler.stores import azure_blob as blob
from reconciler.stores.azure_blob import Account, BlobUrl, Container
from reconciler.stores.azure_hosts import BlobHosts
from reconciler.stores.azure_sas import account_key, sign

KEY = base64.b64encode(b"canary key of a storage account, 64 bytes long, as Azure makes them"[:64])
NOW = 1_800_000_000.0
AZURE = BlobHosts()


@pytest.fixture
def storage(stand_in: StandIn) -> Storage:
    storage = Storage()
    stand_in.respond = storage.respond
    return storage


@pytest.fixture
def account(http: Http, stand_in: StandIn) -> Account:
    return account_on(http, stand_in.url)


@pytest.fixture
def models(account: Account, storage: Storage) -> Container:
    return account.container("models")


def account_on(http: Http, url: str) -> Account:
    return Account(http, BlobHosts(url), "account", KEY.decode(), clock=lambda: NOW)


# --- verbs ----------------------------------------------------------------------------------


def test_what_was_put_comes_back(models: Container) -> None:
    etag = models.put("a/b.json", b"{}", content_type="application/json", metadata={"sha": "1"})
    found = models.get("a/b.json")
    assert found == blob.Blob(b"{}", etag, {"sha": "1"}, "mZFLkyvTelC5g8XnyQrpOw==")
    assert models.head("a/b.json") == blob.BlobProperties(etag, 2, {"sha": "1"}, found.md5)


def test_a_blob_that_is_not_there_is_none(models: Container) -> None:
    assert models.get("a") is None
    assert models.head("a") is None


def test_a_survey_asks_for_one_blob_once(
    account: Account, storage: Storage, stand_in: StandIn
) -> None:
    seen = account.surveyed(lambda _: None)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(seen.head, ["models/a"] * 50)) == {None}
    assert len(stand_in.heard) == 1
    account.container("models").put("a", b"")
    assert account.head("models/a") is not None
    assert account.surveyed(lambda _: None).head("models/a") is not None


def test_what_a_survey_cannot_read_is_an_error_of_all_who_ask(
    account: Account, stand_in: StandIn
) -> None:
    stand_in.respond, stand_in.answers = None, [Answer(403)]
    seen = account.surveyed(lambda _: None)
    for _ in range(3):
        with pytest.raises(UnauthorizedError):
            seen.head("models/a")
    assert len(stand_in.heard) == 1


def test_a_container_that_is_not_there_is_an_error(account: Account, storage: Storage) -> None:
    storage.containers.clear()
    for look in (account.container("models").get, account.container("models").head):
        with pytest.raises(NotFoundError) as caught:
            look("a")
        assert caught.value.code == "ContainerNotFound"
        assert 'has no container "models"; create it: az storage' in caught.value.message


def test_a_store_that_is_not_there_is_one_error_of_the_configuration(
    http: Http, stand_in: StandIn
) -> None:
    hosts = BlobHosts(stand_in.url)
    stand_in.respond, stand_in.answers = (
        None,
        [Answer(404, b"", {"x-ms-error-code": "ContainerNotFound"})],
    )
    account = Account(http, hosts, "account", "a2V5", store="models")
    with pytest.raises(ConfigurationError, match=r"correct spec\.store\.container"):
        account.get("models/a")
    with pytest.raises(ConfigurationError):
        list(account.container("models").list())
    with pytest.raises(NotFoundError, match='has no container "datasets"'):
        account.get("datasets/a")


def test_a_404_that_is_not_from_storage_is_an_error(account: Account, stand_in: StandIn) -> None:
    stand_in.answers = [Answer(404, b"<html>nothing here</html>")]
    with pytest.raises(NotFoundError):
        account.get("models/a")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(Answer(403), UnauthorizedError), (Answer(500), UnavailableError)],
)
def test_a_read_that_fails_is_not_an_absence(
    account: Account, stand_in: StandIn, answer: Answer, kind: type[Exception]
) -> None:
    stand_in.answers = [answer]
    with pytest.raises(kind):
        account.get("models/a")


def test_names_of_any_kind_survive_the_way(models: Container) -> None:
    names = ["a b", "a%20b", "a+b", "ä/ö", "a=1,b=2/x", "q?x#y", "100%", "a&b<c>", "a\u00a0b"]
    for name in names:
        models.put(name, name.encode())
    assert {name: models.get(name).content.decode() for name in names} == {n: n for n in names}  # type: ignore[union-attr]
    assert [blob.name for blob in models.list()] == sorted(names)


@pytest.mark.parametrize("name", ["", "/a", "a/", "a//b", "a/../b", "./a", "..", "a\nb"])
def test_names_that_would_reach_another_blob_are_refused(models: Container, name: str) -> None:
    with pytest.raises(RefusedError, match="is not a blob name"):
        models.put(name, b"")


def test_a_list_goes_on_to_its_last_page(models: Container) -> None:
    for number in range(8):
        models.put(f"a/{number}", b"")
    models.put("b/1", b"")
    assert [blob.name for blob in models.list("a/")] == [f"a/{number}" for number in range(8)]
    assert list(models.list("c/")) == []


LISTING = b"<EnumerationResults><Blobs>%s</Blobs></EnumerationResults>"


@pytest.mark.parametrize(
    "body",
    [
        b"<html/>",
        b"<EnumerationResults>",
        b"",
        b'<!DOCTYPE a [<!ENTITY b "c">]><EnumerationResults/>',
        LISTING % b"<Blob><Name>a</Name></Blob>",
        LISTING % b"<Blob><Properties><Etag>0x1</Etag></Properties></Blob>",
    ],
)
def test_a_list_that_is_none_is_unreadable(
    account: Account, stand_in: StandIn, body: bytes
) -> None:
    stand_in.answers = [Answer(200, body)]
    with pytest.raises(UnreadableError, match="expected a list of blobs"):
        list(account.container("models").list())


def test_bytes_that_are_not_those_stored_are_unreadable(
    account: Account, stand_in: StandIn
) -> None:
    stand_in.answers = [Answer(200, b"other", {"Content-MD5": "mZFLkyvTelC5g8XnyQrpOw=="})]
    with pytest.raises(UnreadableError, match="expected bytes with the MD5"):
        account.get("models/a")


def test_an_account_reads_by_path(account: Account, models: Container) -> None:
    models.put("a", b"1")
    found, known = account.get("models/a"), account.head("models/a")
    assert found is not None
    assert known is not None
    assert found.content == b"1"
    assert found.fingerprint == known.fingerprint == "md5:xMpCOKC5I4INzFCab3WEmw=="
    assert account.exists("models/a")
    assert not account.exists("models/b")
    assert account.get("models/b") is None


# --- conditions -----------------------------------------------------------------------------


def test_of_many_who_claim_one_wins(models: Container) -> None:
    def claim(number: int) -> bool:
        try:
            models.put_if_absent("claim", b"same bytes", metadata={"n": str(number)})
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(claim, range(20))) == 1


def test_a_stale_replacement_is_a_conflict(models: Container) -> None:
    first = models.put("a", b"1")
    second = models.replace("a", b"2", first)
    with pytest.raises(ConflictError) as caught:
        models.replace("a", b"3", first)
    assert (caught.value.status, caught.value.code) == (412, "ConditionNotMet")
    assert models.get("a").etag == second  # type: ignore[union-attr]


@pytest.mark.parametrize("times", [1, 2])
def test_a_claim_whose_answer_was_lost_is_still_ours(
    models: Container, storage: Storage, times: int
) -> None:
    storage.lose = times
    assert models.put_if_absent("claim", b"1") == storage.blobs["models/claim"].etag
    assert storage.writes == 1


def test_a_replacement_whose_answer_was_lost_is_still_ours(
    models: Container, storage: Storage
) -> None:
    etag = models.put("a", b"1")
    storage.lose = 1
    assert models.replace("a", b"2", etag) == storage.blobs["models/a"].etag
    assert storage.writes == 2


def test_a_page_of_a_proxy_is_neither_a_write_nor_a_blob_nor_a_lease(
    models: Container, storage: Storage
) -> None:
    etag = models.put("a", b"1")
    storage.page = b"<html>Sign in</html>"
    asked: list[Callable[[], object]] = [
        lambda: models.put_if_absent("b", b"1"),
        lambda: models.replace("a", b"2", etag),
        lambda: models.acquire("a", 15),
        lambda: models.get("a"),
        lambda: models.head("a"),
        lambda: list(models.list()),
    ]
    for ask in asked:
        with pytest.raises(UnreadableError, match=r"expected .*, got "):
            ask()
    assert storage.writes == 1


def test_leases_are_exclusive_until_released(models: Container) -> None:
    models.put("lock", b"")
    lease = models.acquire("lock", 60)
    with pytest.raises(ConflictError):
        models.acquire("lock", 60)
    models.renew("lock", lease)
    models.release("lock", lease)
    with pytest.raises(ConflictError):
        models.renew("lock", lease)
    assert models.acquire("lock", 15) != lease


# --- references -----------------------------------------------------------------------------


def test_a_reference_is_what_batch_jobs_expect(models: Container, stand_in: StandIn) -> None:
    base, relative, sas = models.read_url("a b/m.ilearner", 3600)
    assert (base, relative) == (f"{stand_in.url}/blob/account/", "models/a b/m.ilearner")
    fields = parse_qs(sas.removeprefix("?"))
    assert (fields["sp"], fields["sr"], fields["sv"]) == (["r"], ["b"], ["2021-12-02"])
    assert (fields["st"], fields["se"]) == (["2027-01-15T07:55:00Z"], ["2027-01-15T09:00:00Z"])
    assert "spr" not in fields
    assert "sp=cw&" in models.write_url("a", 60).sas


def test_on_azure_a_reference_is_for_https_only(http: Http) -> None:
    account = Account(http, AZURE, "account", KEY.decode())
    assert "&spr=https&" in account.readable("models/a", 60).sas


def test_a_reference_of_a_service_is_fetched(models: Container, account: Account) -> None:
    models.put("a b", b"1")
    base, relative, sas = models.read_url("a b", 60)
    for spelled in (
        BlobUrl(base, relative, sas),
        BlobUrl(base.rstrip("/"), "/" + relative, sas.lstrip("?")),
        BlobUrl(base, "models/a%20b", sas),
    ):
        assert account.fetch(spelled) == b"1"


@pytest.mark.parametrize(
    "base",
    ["https://evil.example/", "http://account.blob.core.windows.net/", "file:///", "", "https://"],
)
def test_a_reference_to_another_host_is_refused(http: Http, base: str) -> None:
    with pytest.raises(RefusedError) as caught:
        blob.fetch(http, AZURE, base, "c/b", "?sig=c4n4ry")
    assert "c4n4ry" not in caught.value.message


# --- secrets --------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["not base64 canary!", "", "Y2FuYXJ5Y2FuYXJ5="])
def test_a_bad_key_is_told_without_the_key(http: Http, key: str) -> None:
    with pytest.raises(ConfigurationError, match="account a is not base64") as caught:
        Account(http, AZURE, "a", key)
    assert "canary" not in caught.value.message.lower()
    assert caught.value.__context__ is None


def test_no_value_shows_a_key_or_a_signature(models: Container, account: Account) -> None:
    place = models.read_url("a", 60)
    signature = parse_qs(place.sas)["sig"][0]
    for value in (account, models, place, account_key("a", KEY.decode())):
        assert "canary" not in repr(value)
        assert "sig" not in repr(value)
    assert signature not in errors.redact(place.sas)
    assert errors.redact(KEY.decode()) == "***"


def test_no_signature_is_told_to_the_listener(stand_in: StandIn, storage: Storage) -> None:
    told: list[tuple[str, str]] = []
    with Http(on_request=lambda *request: told.append(request)) as http:
        account_on(http, stand_in.url).get("models/a")
    assert told == [("GET", f"{stand_in.url}/blob/account/models/a")]


# --- signatures -----------------------------------------------------------------------------


def official(path: str, permission: str, expiry_s: float, *, https_only: bool) -> str:
    signer: Any = BlobSharedAccessSignature("account", KEY.decode())
    signer.x_ms_version = "2021-12-02"
    container, _, name = path.partition("/")
    said = {
        "permission": permission,
        "start": datetime.fromtimestamp(NOW - 300, UTC),
        "expiry": datetime.fromtimestamp(NOW + expiry_s, UTC),
        "protocol": "https" if https_only else None,
    }
    if name:
        return str(signer.generate_blob(container, name, **said))
    return str(signer.generate_container(container, **said))


@pytest.mark.parametrize("https_only", [True, False])
@pytest.mark.parametrize(
    ("path", "permissions"),
    [("models/a", "r"), ("models/ä b/c=1,d=2/m.ilearner", "cw"), ("models/100%+", "r"), ("m", "l")],
)
def test_the_official_client_signs_the_same(path: str, permissions: str, https_only: bool) -> None:
    key = account_key("account", KEY.decode())
    ours = sign(key, path, permissions=permissions, now=NOW, expires_in_s=60, https_only=https_only)
    theirs = official(path, permissions, 60, https_only=https_only)
    assert parse_qs(ours.removeprefix("?")) == parse_qs(theirs)
