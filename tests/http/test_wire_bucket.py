"""Buckets on the wire: signatures, lost answers, and what is never taken for an absence or a file."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scripted_server import Answer, Heard, StandIn

from reconciler import errors
from reconciler.errors import (
    ConfigurationError,
    ConflictError,
    ReconcilerError,
    RefusedError,
    StoppedError,
    UnauthorizedError,
    UnavailableError,
    UnreachableError,
    UnreadableError,
)
from reconciler.http.client import Http
from reconciler.http.origins import bound_origins
from reconciler.model import SecretName, StoreUrl
from reconciler.stores import Opening, open_store
from reconciler.stores.contract import Access, Store
from reconciler.stores.s3 import HOSTS
from reconciler.stores.s3_sign import Keys, presigned, signed

KEY = "AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
KEYS = Keys(*KEY.split(":"))
NOW = 1_800_000_000.0


def error(code: str, status: int = 404, **headers: str) -> Answer:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no.</Message></Error>"
    return Answer(status, body.encode(), headers)


def file(content: bytes = b"1", **headers: str) -> Answer:
    return Answer(200, content, {"ETag": '"e1"', **headers})


def opened(http: Http, at: StoreUrl, key: str = KEY, origins: str = "") -> Store:
    bound = bound_origins({"RECONCILER_ORIGINS": origins})
    return open_store(at, key, Opening(http, lambda: NOW, Path(), bound=bound))


@pytest.fixture
def bucket(http: Http, stand_in: StandIn) -> Store:
    return opened(http, StoreUrl("s3://models/prod", endpoint=stand_in.url), origins=stand_in.url)


# --- signatures -----------------------------------------------------------------------------


def of_botocore(method: str, url: str, headers: dict[str, str], body: bytes, query: bool) -> Any:
    from unittest import mock

    from botocore import auth, awsrequest, compat, credentials

    known = credentials.Credentials(KEYS.id, KEYS.secret, "session/token+1=")
    request = awsrequest.AWSRequest(method, url, headers, body)
    moment = compat.datetime.datetime.fromtimestamp(NOW, compat.datetime.timezone.utc)
    now = moment.replace(tzinfo=None)
    with mock.patch.object(auth, "get_current_datetime", return_value=now):
        if query:
            auth.S3SigV4QueryAuth(known, "s3", "eu-west-1", 60).add_auth(request)
        else:
            auth.S3SigV4Auth(known, "s3", "eu-west-1").add_auth(request)
    return request


@pytest.mark.parametrize("path", ["a/b.json", "m%3D1/c%20d/%C3%A4.bin"])
@pytest.mark.parametrize("query", ["", "?list-type=2&prefix=a%2Fb&encoding-type=url"])
def test_a_signature_is_the_one_of_botocore(path: str, query: str) -> None:
    keys = Keys(KEYS.id, KEYS.secret, "session/token+1=")
    url = f"https://models.s3.eu-west-1.amazonaws.com/{path}{query}"
    headers = {"If-None-Match": "*", "Content-Type": "application/octet-stream"}
    ours = signed(keys, "eu-west-1", "PUT", url, headers, b"{}", NOW)
    theirs = of_botocore("PUT", url, headers, b"{}", query=False).headers
    assert ours["Authorization"] == theirs["Authorization"]


def test_a_header_that_proxies_rewrite_is_sent_and_not_signed(
    http: Http, stand_in: StandIn
) -> None:
    stand_in.answers = [Answer(200, b"a", headers={"ETag": '"e"'})]
    at = StoreUrl("s3://models", SecretName("S3_KEY"), endpoint=stand_in.url)
    opened(http, at, f"{KEYS.id}:{KEYS.secret}", stand_in.url).get("a")
    (request,) = stand_in.heard
    assert request.headers["Accept-Encoding"] == "identity"
    signed_headers = request.headers["Authorization"].partition("SignedHeaders=")[2]
    assert "accept-encoding" not in signed_headers.lower()


def test_a_presigned_url_is_the_one_of_botocore() -> None:
    keys = Keys(KEYS.id, KEYS.secret, "session/token+1=")
    url = "https://models.s3.eu-west-1.amazonaws.com/m%3D1/c%20d.bin"
    ours = presigned(keys, "eu-west-1", "GET", url, 60, NOW)
    theirs = of_botocore("GET", url, {}, b"", query=True).url
    assert sorted(ours.partition("?")[2].split("&")) == sorted(theirs.partition("?")[2].split("&"))


@pytest.mark.parametrize(
    "host",
    [
        "models.s3.eu-west-1.amazonaws.com.evil.example",
        "s3.eu-west-1.amazonaws.com.evil.example",
        "evil-amazonaws.com",
        "models.s3.evil.example",
        "s3.amazonaws.com@evil.example",
    ],
)
def test_no_host_but_amazons_is_trusted_unbound(host: str) -> None:
    assert not HOSTS.fullmatch(host)
    assert HOSTS.fullmatch("models.s3.eu-west-1.amazonaws.com")
    assert HOSTS.fullmatch("s3.cn-north-1.amazonaws.com.cn")


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_an_endpoint_that_is_bound_to_nothing_hears_nothing(
    http: Http, stand_in: StandIn, scheme: str
) -> None:
    store = opened(http, StoreUrl(f"{scheme}://models", endpoint=stand_in.url))
    for ask in (lambda: store.get("a"), lambda: store.put("a", b""), lambda: list(store.list())):
        with pytest.raises(RefusedError, match="add it to RECONCILER_ORIGINS"):
            ask()
    assert not stand_in.heard


def test_no_variable_of_aws_decides_where_a_request_goes(
    http: Http, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"):
        monkeypatch.setenv(name, stand_in.url)
    monkeypatch.setenv("AWS_REGION", "xx-west-9")
    asked: list[str] = []
    with Http(on_request=lambda _, url: asked.append(url), retries=0, timeout_s=(0.2, 0.2)) as http:
        store = opened(http, StoreUrl("s3://no-such-models-bucket", region="eu-west-1"))
        with pytest.raises(ReconcilerError):
            store.get("a")
    assert asked == ["https://no-such-models-bucket.s3.eu-west-1.amazonaws.com/a"]
    assert not stand_in.heard


def test_no_secret_is_in_a_message_or_a_repr(bucket: Store, stand_in: StandIn) -> None:
    stand_in.answers = [error("AccessDenied", 403)]
    with pytest.raises(UnauthorizedError) as caught:
        bucket.get("a")
    place = bucket.grant("a", Access.READ, 60)
    assert place.url.startswith(f"{stand_in.url}/models/prod/a?X-Amz-Algorithm=")
    signature = place.url.rpartition("=")[2]
    for text in (caught.value.message, repr(place), repr(bucket), repr(KEYS)):
        assert KEYS.secret not in text
        assert signature not in text
    assert signature not in errors.redact(f"see {place.url}")


def test_a_key_that_is_none_is_named_by_its_variable(http: Http, stand_in: StandIn) -> None:
    at = StoreUrl("s3://models", SecretName("S3_KEY"), endpoint=stand_in.url)
    with pytest.raises(ConfigurationError, match=r"variable S3_KEY is no access key.*ID:SECRET"):
        opened(http, at, "hunter2hunter2", stand_in.url).get("a")
    at = StoreUrl("gs://models", SecretName("GS_KEY"), endpoint=stand_in.url)
    for key in ("hunter2hunter2", "[1]", "7", '{"private_key": "hunter2hunter2"}'):
        with pytest.raises(ConfigurationError, match="variable GS_KEY is no key of a service acc"):
            opened(http, at, key, stand_in.url).get("a")
    assert not stand_in.heard


# --- what is absent, and what is not ----------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "kind"),
    {
        "the bucket is gone": ([error("NoSuchBucket")], ConfigurationError),
        "a 404 of somebody else": ([Answer(404, b"<html>not found</html>")], ReconcilerError),
        "an empty 404": ([Answer(404, b"")], ReconcilerError),
        "a 404 in JSON": ([Answer(404, b'{"code": "NoSuchThing"}')], ReconcilerError),
        "401": ([error("AuthenticationRequired", 401)], UnauthorizedError),
        "403": ([error("AccessDenied", 403)], UnauthorizedError),
        "an expired session": ([error("ExpiredToken", 400)], UnauthorizedError),
        "429": ([error("SlowDown", 429)], UnavailableError),
        "503": ([error("SlowDown", 503)], UnavailableError),
        "a redirect": ([Answer(302, b"", {"Location": "https://login.example/"})], UnreadableError),
        "a login page": (
            [file(b"<html>sign in</html>", **{"Content-Type": "text/html"})],
            UnreadableError,
        ),
        "a login page without an ETag": ([Answer(200, b"<html></html>")], UnreadableError),
        "no ETag": ([Answer(200, b"1")], UnreadableError),
        "cut off": ([Answer(200, b"1", {"ETag": '"e"'}, length=9)], ReconcilerError),
        "hung up": ([Answer(hang_up=True)], UnreachableError),
    }.values(),
)
def test_a_read_that_fails_is_no_absence(
    bucket: Store, stand_in: StandIn, answers: list[Answer], kind: type[Exception]
) -> None:
    asks = (bucket.get, bucket.head, lambda name: bucket.fetch(name, io.BytesIO()))
    for ask in asks[:1] if answers[0].length else asks:  # a HEAD cannot be cut off
        stand_in.answers = list(answers)
        with pytest.raises(ReconcilerError) as caught:
            ask("a")
        assert isinstance(caught.value, kind) or ask is not bucket.get


def test_a_file_that_only_looks_like_a_page_is_a_file(bucket: Store, stand_in: StandIn) -> None:
    stand_in.answers = [file(b"<html>", **{"Content-Type": "application/octet-stream"})]
    assert bucket.get("a.json").content == b"<html>"  # type: ignore[union-attr]


def test_a_head_that_finds_nothing_is_believed_only_with_the_word_of_a_read(
    bucket: Store, stand_in: StandIn
) -> None:
    def respond(heard: Heard) -> Answer:
        return Answer(404, b"") if heard.method == "HEAD" else error("NoSuchKey")

    stand_in.respond = respond
    assert bucket.head("a") is None
    assert [heard.method for heard in stand_in.heard] == ["HEAD", "GET"]
    stand_in.respond = lambda heard: Answer(404, b"") if heard.method == "HEAD" else file()
    with pytest.raises(UnreadableError):
        bucket.head("a")


LIST = (
    b"<ListBucketResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>"
    b"<IsTruncated>%s</IsTruncated>%s</ListBucketResult>"
)
ENTRY = b"<Contents><Key>%s</Key><ETag>e</ETag><Size>1</Size></Contents>"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html/>",
        b"{}",
        LIST % (b"", ENTRY % b"prod/a"),
        LIST % (b"true", ENTRY % b"prod/a"),
        LIST % (b"false", ENTRY % b"elsewhere/a"),
        LIST % (b"false", ENTRY % b"prod/b" + ENTRY % b"prod/a"),
        LIST % (b"false", b"<Contents><Key>prod/a</Key></Contents>"),
    ],
)
def test_a_list_that_is_none_is_unreadable(bucket: Store, stand_in: StandIn, body: bytes) -> None:
    stand_in.answers = [Answer(200, body)]
    with pytest.raises(UnreadableError):
        list(bucket.list())


def test_a_folder_that_a_console_made_is_no_file(bucket: Store, stand_in: StandIn) -> None:
    stand_in.answers = [Answer(200, LIST % (b"false", ENTRY % b"prod/a/" + ENTRY % b"prod/a/1"))]
    assert [each.name for each in bucket.list()] == ["a/1"]


def test_a_bucket_in_another_region_says_which(bucket: Store, stand_in: StandIn) -> None:
    for answer in (
        Answer(301, b"", {"x-amz-bucket-region": "eu-west-3"}),
        error("AuthorizationHeaderMalformed", 400, **{"x-amz-bucket-region": "eu-west-3"}),
    ):
        stand_in.answers = [answer]
        for ask in (bucket.get, bucket.head, lambda name: bucket.put(name, b"")):
            with pytest.raises(ConfigurationError, match="is in the region eu-west-3, not in"):
                ask("a")


def test_a_clock_that_is_off_is_said(bucket: Store, stand_in: StandIn) -> None:
    stand_in.answers = [error("RequestTimeTooSkewed", 403, Date="Mon, 01 Jan 2024 00:00:00 GMT")]
    with pytest.raises(UnauthorizedError, match=r"RequestTimeTooSkewed.*the clock of this machine"):
        bucket.get("a")


# --- writes ---------------------------------------------------------------------------------


def lost_first(stand_in: StandIn, later: Callable[[Heard], Answer]) -> None:
    """The first write is done and its answer lost."""
    state: dict[str, bytes] = {}

    def respond(heard: Heard) -> Answer:
        if heard.method == "PUT" and not state:
            state["content"] = heard.body
            return Answer(hang_up=True)
        return later(heard) if heard.method == "PUT" else file(state["content"])

    stand_in.respond = respond


def test_a_create_whose_answer_was_lost_is_still_ours(bucket: Store, stand_in: StandIn) -> None:
    lost_first(stand_in, lambda _: error("PreconditionFailed", 412))
    assert bucket.put_if_absent("a", b"mine") == '"e1"'
    lost_first(stand_in, lambda _: error("PreconditionFailed", 412))
    assert bucket.replace("a", b"mine", '"e0"') == '"e1"'


def test_a_create_that_met_another_is_a_conflict(bucket: Store, stand_in: StandIn) -> None:
    stand_in.respond = lambda heard: (
        error("PreconditionFailed", 412) if heard.method == "PUT" else file(b"theirs")
    )
    with pytest.raises(ConflictError):
        bucket.put_if_absent("a", b"mine")


def test_writes_of_which_the_service_let_none_through_are_made_again(
    bucket: Store, stand_in: StandIn, pauses: list[float]
) -> None:
    stand_in.answers = [error("ConditionalRequestConflict", 409)] * 2 + [file()]
    assert bucket.put_if_absent("a", b"1") == '"e1"'
    assert len(pauses) == 2
    assert [heard.method for heard in stand_in.heard] == ["PUT"] * 3


def test_a_replacement_of_what_is_gone_is_a_conflict(bucket: Store, stand_in: StandIn) -> None:
    stand_in.answers = [error("NoSuchKey")]
    with pytest.raises(ConflictError):
        bucket.replace("a", b"1", '"e1"')


def test_a_run_that_lost_its_lock_sends_no_further_try(http: Http, stand_in: StandIn) -> None:
    lost: list[str] = []
    at = StoreUrl("s3://models", endpoint=stand_in.url)
    store = opened(http.halted_by(lambda: "".join(lost)), at, origins=stand_in.url)

    def respond(heard: Heard) -> Answer:
        lost.append("another run has the lock")
        return error("SlowDown", 503)

    stand_in.respond = respond
    with pytest.raises((UnavailableError, StoppedError)):
        store.put("a", b"1")
    assert len(stand_in.heard) == 1


def test_an_upload_that_fails_is_given_up_whole(
    bucket: Store, stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.stores.bucket.PIECE_BYTES", 4)
    began = b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"

    def respond(heard: Heard) -> Answer:
        if heard.path.endswith("?uploads="):
            return Answer(200, began)
        if heard.method == "POST":  # S3 says 200 and an error
            return Answer(200, error("InternalError").body)
        if heard.method == "DELETE":  # whatever is wrong with that hides no other error
            return Answer(404, error("NoSuchBucket").body)
        return Answer(200, b"", {"ETag": '"p"'})

    stand_in.respond = respond
    path = tmp_path / "model.bin"
    path.write_bytes(b"123456789")
    with pytest.raises(UnreadableError, match="CompleteMultipartUploadResult"):
        bucket.put_file("a", path)
    assert [heard.method for heard in stand_in.heard] == [
        "POST",
        "PUT",
        "PUT",
        "PUT",
        "POST",
        "DELETE",
    ]
