"""Blob storage: conditional writes, lost answers, grants, and signatures."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import pytest
from azure.storage.blob import UserDelegationKey
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
from reconciler.stores.azure_blob import AzureBlob
from reconciler.stores.azure_hosts import BlobHosts
from reconciler.stores.azure_sas import SigningKey, account_key, sign
from reconciler.stores.contract import Access, Properties, Stored
from reconciler.stores.survey import MOST_ALONE, Survey

KEY = base64.b64encode(b"canary key of a storage account, 64 bytes long, as Azure makes them"[:64])
NOW = 1_800_000_000.0
TERMS = ("skoid", "sktid", "skt", "ske", "sks", "skv")
AZURE = BlobHosts()


@pytest.fixture
def storage(stand_in: StandIn) -> Storage:
    storage = Storage()
    stand_in.respond = storage.respond
    return storage


@pytest.fixture
def models(http: Http, stand_in: StandIn, storage: Storage) -> AzureBlob:
    return AzureBlob(http, BlobHosts(stand_in.url), "account", KEY.decode(), "models", lambda: NOW)


@pytest.fixture
def account(http: Http, stand_in: StandIn) -> AzureBlob:
    return account_on(http, stand_in.url)


def later(work: Any) -> Any:
    return work


def account_on(http: Http, url: str) -> AzureBlob:
    return AzureBlob(http, BlobHosts(url), "account", KEY.decode(), clock=lambda: NOW)


# --- verbs ----------------------------------------------------------------------------------


def test_what_was_put_comes_back(models: AzureBlob) -> None:
    etag = models.put("a/b.json", b"{}")
    known = Properties(etag, "md5:mZFLkyvTelC5g8XnyQrpOw==", 2)
    assert models.get("a/b.json") == Stored(b"{}", known)
    assert models.head("a/b.json") == known


def test_a_blob_that_is_not_there_is_none(models: AzureBlob) -> None:
    assert models.get("a") is None
    assert models.head("a") is None


def test_a_survey_asks_for_one_blob_once(
    account: AzureBlob, storage: Storage, stand_in: StandIn
) -> None:
    seen = Survey(account, [], later)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(seen.head, ["models/a"] * MOST_ALONE)) == {None}
    assert len(stand_in.heard) == 1
    account.put("models/a", b"")
    assert account.head("models/a") is not None
    assert Survey(account, [], later).head("models/a") is not None


def test_what_a_survey_cannot_read_is_an_error_of_all_who_ask(
    account: AzureBlob, stand_in: StandIn
) -> None:
    stand_in.respond, stand_in.answers = None, [Answer(403)]
    seen = Survey(account, [], later)
    for _ in range(3):
        with pytest.raises(UnauthorizedError):
            seen.head("models/a")
    assert len(stand_in.heard) == 1


def test_a_container_that_is_not_there_is_an_error(account: AzureBlob, storage: Storage) -> None:
    storage.containers.clear()
    for look in (account.get, account.head):
        with pytest.raises(NotFoundError) as caught:
            look("models/a")
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
    models = AzureBlob(http, hosts, "account", "a2V5", "models")
    with pytest.raises(ConfigurationError, match=r"correct spec\.store of"):
        models.get("a")
    with pytest.raises(ConfigurationError):
        list(models.list())
    with pytest.raises(NotFoundError, match='has no container "datasets"'):
        AzureBlob(http, hosts, "account", "a2V5").get("datasets/a")


def test_a_404_that_is_not_from_storage_is_an_error(account: AzureBlob, stand_in: StandIn) -> None:
    stand_in.answers = [Answer(404, b"<html>nothing here</html>")]
    with pytest.raises(NotFoundError):
        account.get("models/a")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(Answer(403), UnauthorizedError), (Answer(500), UnavailableError)],
)
def test_a_read_that_fails_is_not_an_absence(
    account: AzureBlob, stand_in: StandIn, answer: Answer, kind: type[Exception]
) -> None:
    stand_in.answers = [answer]
    with pytest.raises(kind):
        account.get("models/a")


def test_names_of_any_kind_survive_the_way(models: AzureBlob) -> None:
    names = ["a b", "a%20b", "a+b", "ä/ö", "a=1,b=2/x", "q?x#y", "100%", "a&b<c>", "a\u00a0b"]
    for name in names:
        models.put(name, name.encode())
    assert {name: models.get(name).content.decode() for name in names} == {n: n for n in names}  # type: ignore[union-attr]
    assert [blob.name for blob in models.list()] == sorted(names)


@pytest.mark.parametrize("name", ["", "/a", "a/", "a//b", "a/../b", "./a", "..", "a\nb"])
def test_names_that_would_reach_another_blob_are_refused(models: AzureBlob, name: str) -> None:
    with pytest.raises(RefusedError, match="is not a blob name"):
        models.put(name, b"")


def test_a_list_goes_on_to_its_last_page(models: AzureBlob) -> None:
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
    account: AzureBlob, stand_in: StandIn, body: bytes
) -> None:
    stand_in.answers = [Answer(200, body)]
    with pytest.raises(UnreadableError, match="expected a list of blobs"):
        list(account.list("models/"))


def test_bytes_that_are_not_those_stored_are_unreadable(
    account: AzureBlob, stand_in: StandIn
) -> None:
    stand_in.answers = [Answer(200, b"other", {"Content-MD5": "mZFLkyvTelC5g8XnyQrpOw=="})]
    with pytest.raises(UnreadableError, match="expected bytes with the MD5"):
        account.get("models/a")


def test_an_account_reads_by_path(account: AzureBlob, models: AzureBlob) -> None:
    models.put("a", b"1")
    found, known = account.get("models/a"), account.head("models/a")
    assert found is not None
    assert known is not None
    assert found.content == b"1"
    assert found.properties.fingerprint == known.fingerprint == "md5:xMpCOKC5I4INzFCab3WEmw=="
    assert account.get("models/b") is None
    assert [blob.name for blob in account.list("models/")] == ["models/a"]
    with pytest.raises(RefusedError, match="names a container"):
        list(account.list("models"))


def test_a_store_may_be_a_folder_of_a_container(
    http: Http, stand_in: StandIn, models: AzureBlob
) -> None:
    hosts = BlobHosts(stand_in.url)
    prod = AzureBlob(http, hosts, "account", KEY.decode(), "models/prod")
    prod.put("a/b", b"1")
    models.put("a/c", b"2")
    assert [blob.name for blob in prod.list("a/")] == ["a/b"]
    assert [blob.name for blob in models.list()] == ["a/c", "prod/a/b"]
    assert (prod.uri, models.uri) == ("az://account/models/prod", "az://account/models")
    assert prod.grant("a/b", Access.READ, 60).uri == f"{models.base}prod/a/b"


# --- conditions -----------------------------------------------------------------------------


def test_of_many_who_claim_one_wins(models: AzureBlob) -> None:
    def claim(number: int) -> bool:
        try:
            models.put_if_absent("claim", str(number).encode())
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(claim, range(20))) == 1


def test_a_stale_replacement_is_a_conflict(models: AzureBlob) -> None:
    first = models.put("a", b"1")
    second = models.replace("a", b"2", first)
    with pytest.raises(ConflictError) as caught:
        models.replace("a", b"3", first)
    assert (caught.value.status, caught.value.code) == (412, "ConditionNotMet")
    assert models.get("a").etag == second  # type: ignore[union-attr]


@pytest.mark.parametrize("times", [1, 2])
def test_a_claim_whose_answer_was_lost_is_still_ours(
    models: AzureBlob, storage: Storage, times: int
) -> None:
    storage.lose = times
    assert models.put_if_absent("claim", b"1") == storage.blobs["models/claim"].etag
    assert storage.writes == 1


def test_a_replacement_whose_answer_was_lost_is_still_ours(
    models: AzureBlob, storage: Storage
) -> None:
    etag = models.put("a", b"1")
    storage.lose = 1
    assert models.replace("a", b"2", etag) == storage.blobs["models/a"].etag
    assert storage.writes == 2


def test_a_page_of_a_proxy_is_neither_a_write_nor_a_blob(
    models: AzureBlob, storage: Storage
) -> None:
    etag = models.put("a", b"1")
    storage.page = b"<html>Sign in</html>"
    asked: list[Callable[[], object]] = [
        lambda: models.put_if_absent("b", b"1"),
        lambda: models.replace("a", b"2", etag),
        lambda: models.get("a"),
        lambda: models.head("a"),
        lambda: list(models.list()),
    ]
    for ask in asked:
        with pytest.raises(UnreadableError, match=r"expected .*, got "):
            ask()
    assert storage.writes == 1


# --- references -----------------------------------------------------------------------------


def test_a_grant_opens_one_blob_for_a_while(models: AzureBlob, stand_in: StandIn) -> None:
    place = models.grant("a b/m.ilearner", Access.READ, 3600)
    assert place.uri == f"{stand_in.url}/blob/account/models/a%20b/m.ilearner"
    fields = parse_qs(place.grant.removeprefix("?"))
    assert (fields["sp"], fields["sr"], fields["sv"]) == (["r"], ["b"], ["2021-12-02"])
    assert (fields["st"], fields["se"]) == (["2027-01-15T07:55:00Z"], ["2027-01-15T09:00:00Z"])
    assert "spr" not in fields
    assert "sp=cw&" in models.grant("a", Access.WRITE, 60).grant


def test_on_azure_a_grant_is_for_https_only(http: Http) -> None:
    account = AzureBlob(http, AZURE, "account", KEY.decode())
    assert "&spr=https&" in account.grant("models/a", Access.READ, 60).grant


# --- secrets --------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["not base64 canary!", "", "Y2FuYXJ5Y2FuYXJ5="])
def test_a_bad_key_is_told_without_the_key(http: Http, key: str) -> None:
    with pytest.raises(ConfigurationError, match="account a is not base64") as caught:
        AzureBlob(http, AZURE, "a", key)
    assert "canary" not in caught.value.message.lower()
    assert caught.value.__context__ is None


def test_no_value_shows_a_key_or_a_signature(models: AzureBlob, account: AzureBlob) -> None:
    place = models.grant("a", Access.READ, 60)
    signature = parse_qs(place.grant)["sig"][0]
    for value in (account, models, place, account_key("a", KEY.decode())):
        assert "canary" not in repr(value)
        assert "sig" not in repr(value)
    assert signature not in errors.redact(place.grant)
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


def test_the_official_client_signs_the_same_with_a_key_that_was_lent() -> None:
    """Its version signs a few lines more than ours, all of them empty: they are left out here."""
    lent = UserDelegationKey()
    lent.signed_oid, lent.signed_tid, lent.signed_service = "oid", "tid", "b"
    lent.signed_start, lent.signed_expiry = "2027-01-15T07:55:00Z", "2027-01-15T09:00:00Z"
    lent.signed_version, lent.value = "2021-12-02", KEY.decode()
    strings: list[str] = []
    signer: Any = BlobSharedAccessSignature("account", user_delegation_key=lent)
    signer.x_ms_version = "2021-12-02"
    signer.generate_blob(
        *("models", "a b/m.bin"),
        permission="r",
        start=datetime.fromtimestamp(NOW - 300, UTC),
        expiry=datetime.fromtimestamp(NOW + 60, UTC),
        protocol="https",
        sts_hook=strings.append,
    )
    lines = strings[0].split("\n")
    kept = [*lines[:13], *lines[15 : 15 + 6], *lines[-5:]]
    assert not any({*lines[13:15], *lines[21:-5]})
    terms = dict(zip(TERMS, lines[4:10], strict=True))
    key = SigningKey("account", base64.b64decode(KEY), terms, NOW + 60)
    ours = sign(key, "models/a b/m.bin", permissions="r", now=NOW, expires_in_s=60, https_only=True)
    digest = hmac.digest(base64.b64decode(KEY), "\n".join(kept).encode(), "sha256")
    assert parse_qs(ours[1:])["sig"] == [base64.b64encode(digest).decode()]
    assert {name: parse_qs(ours[1:])[name][0] for name in TERMS} == terms


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
