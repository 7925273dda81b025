"""The HTTP client: what each answer means, what is repeated, and what never leaks."""

from __future__ import annotations

import gzip
import logging
import re
import socket
import subprocess
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from email.utils import formatdate
from pathlib import Path
from threading import Barrier, Event

import pytest
import requests
import urllib3
from requests.adapters import BaseAdapter
from scripted_server import Answer, Heard, StandIn

from reconciler import errors
from reconciler.errors import (
    ConfigurationError,
    ConflictError,
    NotFoundError,
    RefusedError,
    RejectedError,
    StoppedError,
    UnauthorizedError,
    UnavailableError,
    UnreachableError,
    UnreadableError,
    WireError,
)
from reconciler.http import servers
from reconciler.http.client import Headers, Http, Response
from reconciler.http.transport import Raw, proxy_of
from tests.door import Door

CANARY = "c4n4ryS1gn4ture/with+base64="
SAS = "?sv=2021-12-02&sig=c4n4ryS1gn4ture%2Fwith%2Bbase64%3D"


class Word:
    """A credential that gives its word to anyone."""

    def __init__(self, word: str = "Bearer t0ken-of-a-test") -> None:
        self.word = word

    def authorization(self, url: str) -> str:  # noqa: ARG002
        return self.word


# --- statuses -------------------------------------------------------------------------------


def test_an_expected_answer_comes_back_whole(http: Http, stand_in: StandIn) -> None:
    stand_in.answers = [Answer(201, b'{"a": 1}', {"X-Ms-Request-Id": "r1", "ETag": '"e"'})]
    answer = http.request("GET", stand_in.url, expect=(200, 201))
    assert (answer.status, answer.json_object(), answer.request_id) == (201, {"a": 1}, "r1")
    assert answer.headers["etag"] == '"e"'


@pytest.mark.parametrize("method", ["PATCH", "POST", "PUT", "DELETE"])
def test_a_page_is_no_answer_to_a_write(http: Http, stand_in: StandIn, method: str) -> None:
    stand_in.answers = [Answer(200, b"<html>Sign in</html>", {"Content-Type": "text/html"})]
    with pytest.raises(UnreadableError, match="expected an answer of the service, got an HTML"):
        http.request(method, stand_in.url, expect=range(200, 300), what="updating X")
    assert len(stand_in.heard) == 1


def test_expect_may_be_a_range(http: Http, stand_in: StandIn) -> None:
    stand_in.answers = [Answer(204, b"")]
    assert http.request("DELETE", stand_in.url, expect=range(200, 300)).status == 204


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (204, UnreadableError),
        (304, UnreadableError),
        (400, RejectedError),
        (401, UnauthorizedError),
        (403, UnauthorizedError),
        (404, NotFoundError),
        (405, RejectedError),
        (408, UnavailableError),
        (409, ConflictError),
        (410, RejectedError),
        (412, ConflictError),
        (413, RejectedError),
        (429, UnavailableError),
        (500, UnavailableError),
        (501, UnavailableError),
        (502, UnavailableError),
        (503, UnavailableError),
        (504, UnavailableError),
        (507, UnavailableError),
    ],
)
def test_each_status_has_its_error(
    http: Http, stand_in: StandIn, status: int, kind: type[WireError]
) -> None:
    stand_in.answers = [Answer(status, b"", {"x-ms-request-id": "r-17"})]
    with pytest.raises(WireError) as caught:
        http.request("GET", f"{stand_in.url}/a{SAS}", what="reading a")
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.request_id) == (status, "r-17")
    assert caught.value.message.startswith(f"reading a: GET {stand_in.url}/a: {status} ")
    assert caught.value.message.endswith("(request id r-17)")


def test_the_services_own_words_are_in_the_message(http: Http, stand_in: StandIn) -> None:
    body = b"""{"error": {"code": "NotFound", "message": "The specified resource was not found.",
        "details": [{"code": "WebServiceNotFound", "message": "No Web Service: X."}]}}"""
    stand_in.answers = [Answer(404, body)]
    with pytest.raises(NotFoundError) as caught:
        http.request("GET", stand_in.url, what="reading X")
    assert caught.value.code == "NotFound"
    assert caught.value.message == (
        f"reading X: GET {stand_in.url}: 404 NotFound: The specified resource was not found."
        " [WebServiceNotFound: No Web Service: X.]"
    )


def test_a_storage_error_in_xml_is_told_without_its_appendix(http: Http, stand_in: StandIn) -> None:
    body = b"""\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?><Error><Code>BlobNotFound</Code>
        <Message>The specified blob does not exist.\nRequestId:1\nTime:2</Message></Error>"""
    stand_in.answers = [Answer(404, body)]
    with pytest.raises(NotFoundError) as caught:
        http.request("GET", stand_in.url)
    assert caught.value.code == "BlobNotFound"
    assert caught.value.message.endswith("404 BlobNotFound: The specified blob does not exist.")


def test_a_code_in_the_header_is_enough(http: Http, stand_in: StandIn) -> None:
    stand_in.answers = [Answer(404, b"", {"x-ms-error-code": "ContainerNotFound"})]
    with pytest.raises(NotFoundError) as caught:
        http.request("HEAD", stand_in.url)
    assert caught.value.code == "ContainerNotFound"


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b"[]",
        b'"text"',
        b'{"error": null}',
        b'{"error": "text"}',
        b'{"error": {"code": 5, "message": [], "details": {}}}',
        b'{"error": {"details": [null, 1, {"code": null}]}}',
        b'{"error": ',
        b"\xff\xfe",
        b"<Error><Code>",
        b"<!DOCTYPE x [<!ENTITY a 'b'>]><Error><Code>&a;</Code></Error>",
        b"[" * 100_000,
    ],
)
def test_an_error_body_of_any_shape_is_survived(http: Http, stand_in: StandIn, body: bytes) -> None:
    stand_in.answers = [Answer(400, body)]
    with pytest.raises(RejectedError, match="400 "):
        http.request("GET", stand_in.url)


def test_an_error_message_is_one_short_printable_line(http: Http, stand_in: StandIn) -> None:
    text = "\\u001b[31mred\\n::error::injected" + "x" * 10_000
    stand_in.answers = [Answer(400, f'{{"error": {{"message": "{text}"}}}}'.encode())]
    with pytest.raises(RejectedError) as caught:
        http.request("GET", stand_in.url)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 600


# --- answers that are not what the protocol says --------------------------------------------


@pytest.mark.parametrize(
    ("body", "content_type", "said"),
    [
        (b"<html><h1>Sign in</h1>", "text/html; charset=utf-8", "an HTML page (text/html)"),
        (b"<!DOCTYPE html>", "", "an HTML page (no content type)"),
        (b'{"properties": {"assets"', "application/json", "application/json beginning '{\"prop"),
        (b"", "application/json", "an empty body (application/json)"),
        (b"[%sNaN]" % (b"1, " * 400), "application/json", "(NaN is not a number of JSON)"),
        (b'{"a": 1e999}', "application/json", "(1e999 is too large a number)"),
        (b'{"a": 1%s}' % (b"0" * 400), "application/json", "… is too large a number)"),
        (b'{"a": "\xe9"}', "application/json", "can't decode byte 0xe9 in position 7"),
        (b"1" * 5000, "application/json", "application/json beginning '111"),
        (b"[" * 100_000, "application/json", "(nested too deeply)"),
    ],
)
def test_what_is_not_json_is_unreadable(
    http: Http, stand_in: StandIn, body: bytes, content_type: str, said: str
) -> None:
    stand_in.answers = [Answer(200, body, {"Content-Type": content_type})]
    answer = http.request("GET", stand_in.url, what="reading X")
    with pytest.raises(UnreadableError) as caught:
        answer.json()
    assert caught.value.message.startswith(f"reading X: GET {stand_in.url}: expected JSON, got ")
    assert said in caught.value.message
    assert len(caught.value.message) < 300


def test_json_of_another_type_is_unreadable() -> None:
    with pytest.raises(UnreadableError, match="expected a JSON object, got"):
        Response(200, Headers({}), b"[]").json_object()
    with pytest.raises(UnreadableError, match="expected a JSON list, got"):
        Response(200, Headers({}), b"{}").json_list()
    assert Response(200, Headers({}), b"\xef\xbb\xbf[1]").json_list() == [1]


def test_a_body_that_breaks_off_is_asked_for_again(http: Http, stand_in: StandIn) -> None:
    stand_in.answers = [Answer(200, b'{"a":', length=90), Answer(200, b'{"a": 1}')]
    assert http.request("GET", stand_in.url).json() == {"a": 1}


def test_a_body_that_always_breaks_off_is_unreadable(http: Http, stand_in: StandIn) -> None:
    stand_in.answers = [Answer(200, b'{"a":', {"x-ms-request-id": "r"}, length=90)]
    with pytest.raises(UnreadableError, match=r"broke off.*\(request id r\)"):
        http.request("GET", stand_in.url)


def test_an_answer_beyond_the_limit_is_not_read_to_its_end(stand_in: StandIn) -> None:
    stand_in.answers = [Answer(200, b"x" * 5000)]
    with Http(max_bytes=4999) as http:
        with pytest.raises(UnreadableError, match="larger than 4999 bytes"):
            http.request("GET", stand_in.url)
        assert len(http.request("GET", stand_in.url, max_bytes=5000).body) == 5000


def test_the_limit_counts_what_was_unpacked(stand_in: StandIn) -> None:
    packed = gzip.compress(b"x" * 1_000_000)
    stand_in.answers = [Answer(200, packed, {"Content-Encoding": "gzip"})]
    with Http(max_bytes=10_000) as http, pytest.raises(UnreadableError, match="larger than"):
        http.request("GET", stand_in.url)


# --- what is repeated -----------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
def test_a_passing_trouble_is_repeated(
    http: Http, stand_in: StandIn, method: str, status: int
) -> None:
    stand_in.answers = [Answer(status), Answer(status), Answer(200)]
    assert http.request(method, stand_in.url, content=b"same").status == 200
    assert len({heard.body for heard in stand_in.heard}) == 1
    assert len(stand_in.heard) == 3


@pytest.mark.parametrize("status", [400, 401, 404, 409, 412, 413, 501])
def test_a_lasting_trouble_is_not_repeated(http: Http, stand_in: StandIn, status: int) -> None:
    stand_in.answers = [Answer(status, headers={"Retry-After": "1"})]
    with pytest.raises(WireError):
        http.request("GET", stand_in.url)
    assert len(stand_in.heard) == 1


@pytest.mark.parametrize("answer", [Answer(503), Answer(hang_up=True), Answer(length=90)])
def test_a_post_is_never_repeated(http: Http, stand_in: StandIn, answer: Answer) -> None:
    stand_in.answers = [answer]
    with pytest.raises(WireError):
        http.request("POST", stand_in.url, json={})
    assert len(stand_in.heard) == 1


def test_patience_ends_after_five_tries_with_the_last_answer(
    http: Http, stand_in: StandIn, pauses: list[float]
) -> None:
    stand_in.answers = [Answer(503, b'{"error": {"code": "ServiceUnavailable"}}')]
    with pytest.raises(UnavailableError) as caught:
        http.request("GET", stand_in.url)
    assert caught.value.code == "ServiceUnavailable"
    assert len(stand_in.heard) == 5
    assert len(pauses) == 4


def test_pauses_grow_and_are_jittered(http: Http, stand_in: StandIn, pauses: list[float]) -> None:
    stand_in.answers = [Answer(503)]
    for _ in range(2):
        with pytest.raises(UnavailableError):
            http.request("GET", stand_in.url)
    assert all(low <= p <= low + 0.5 for p, low in zip(pauses[1:4], (1, 2, 4), strict=True))
    assert pauses[:4] != pauses[4:]


@pytest.mark.parametrize(
    ("asked", "pause"),
    [
        ("7", 7.0),
        ("86400", 60.0),
        ("Wed, 21 Oct 2065 07:28:00 GMT", 60.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("soon", 0.0),
        ("-1", 0.0),
        ("9" * 5000, 0.0),
    ],
)
def test_retry_after_is_kept_within_reason(
    http: Http, stand_in: StandIn, pauses: list[float], asked: str, pause: float
) -> None:
    stand_in.answers = [Answer(503, headers={"Retry-After": asked}), Answer(200)]
    http.request("GET", stand_in.url)
    assert pauses == [pause]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(503), "it answers 503; trying again in 2 s (2 tries left)"),
        (
            Answer(429, headers={"Retry-After": "30"}),
            "it answers 429; trying again in 30 s (4 tries left)",
        ),
        (Answer(hang_up=True), "the connection was closed before the answer came; trying"),
    ],
)
def test_who_waits_for_a_server_is_told_so_once(
    http: Http, stand_in: StandIn, caplog: pytest.LogCaptureFixture, answer: Answer, said: str
) -> None:
    stand_in.answers = [answer]

    def ask(_: int) -> None:
        with pytest.raises(WireError):
            http.request("GET", f"{stand_in.url}/a{SAS}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, range(4)))
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{stand_in.url}: {said}")


def test_a_trouble_that_passes_at_once_is_not_told(
    http: Http, stand_in: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    stand_in.answers = [Answer(503), Answer(503), Answer(200)]
    http.request("GET", stand_in.url)
    assert caplog.records == []


def test_who_waits_for_one_answer_is_told_so_once_for_each_server(
    http: Http, stand_in: StandIn, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "LATE_S", 0.05)
    late, over = Event(), Event()

    def respond(heard: Heard) -> Answer:
        if heard.path.startswith("/late"):
            late.set()
            assert over.wait(30)
        return Answer()

    class Hearing(logging.Handler):
        def emit(self, _: logging.LogRecord) -> None:
            over.set()

    stand_in.respond = respond
    hearing = Hearing()
    servers.log.addHandler(hearing)
    try:
        with ThreadPoolExecutor(4) as pool:
            asked = [
                pool.submit(http.request, "GET", f"{stand_in.url}/late/1{SAS}") for _ in range(4)
            ]
            assert late.wait(30)
            assert [one.result().status for one in asked] == [200] * 4
    finally:
        servers.log.removeHandler(hearing)
    (record,) = caplog.records
    assert record.getMessage() == (f"waiting for {stand_in.url} (GET /late/1): no answer for 0 s")


def test_who_is_answered_in_time_is_told_nothing_however_many_ask(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, asking, begun, over = servers.Servers(), ExitStack(), Event(), Event()

    class Clock:
        now = 0.0

        def monotonic(self) -> float:
            return self.now

        def sleep(self, seconds: float) -> None:
            """Time passes, an answer comes, and somebody asks for another one."""
            assert begun.wait(30)
            self.now += seconds
            asking.close()
            if self.now < 10 * servers.LATE_S:
                asking.enter_context(known.waiting("https://a", "GET /"))
            else:
                over.set()

    monkeypatch.setattr(servers, "time", Clock())
    asking.enter_context(known.waiting("https://a", "GET /"))
    begun.set()
    assert over.wait(30)
    assert caplog.records == []


# --- no answer ------------------------------------------------------------------------------


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_server_of_this_machine_that_nobody_started_is_known_at_once(
    http: Http, pauses: list[float]
) -> None:
    url = f"http://127.0.0.1:{unused_port()}/a"
    with pytest.raises(UnreachableError) as caught:
        http.request("GET", url + SAS, what="reading X")
    assert caught.value.message == (
        f"reading X: GET {url}: connection refused; is the server running there?"
    )
    assert pauses == []


class Refusing:
    """A way to servers that refuse each connection, once they have answered so often."""

    def __init__(self, answers: int = 0) -> None:
        self.answers, self.tries = answers, 0

    def send(self, *_: object) -> Raw:
        self.tries += 1
        if not self.answers:
            raise ConnectionRefusedError
        self.answers -= 1
        return Raw(404, {}, iter([b""]), lambda: None)

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("url", "answers"), [("https://ray.example:8265", 0), ("http://127.0.0.1:8265", 1)]
)
def test_a_server_that_is_elsewhere_or_answered_before_may_come_back(
    http: Http, pauses: list[float], url: str, answers: int
) -> None:
    http.mount(url, Refusing(answers))
    for kind in (NotFoundError,) * answers + (UnreachableError,):
        with pytest.raises(kind):
            http.request("GET", url)
    assert len(pauses) == 4


def test_a_dead_server_is_waited_for_once_and_the_error_says_how_long(
    http: Http, pauses: list[float]
) -> None:
    dead, way = "https://ray.example:8265", Refusing()
    http.mount(dead, way)
    for method in ("GET", "PUT", "GET"):
        with pytest.raises(UnreachableError) as caught:
            http.request(method, f"{dead}/a", what="reading X")
        assert re.fullmatch(
            f"reading X: {method} {dead}/a: connection refused \\(5 tries in [78] s\\)",
            caught.value.message,
        )
        assert not caught.value.in_doubt
    assert (way.tries, len(pauses)) == (5, 4)
    with pytest.raises(UnreachableError, match=r"connection refused$"):
        http.request("POST", dead)  # which is sent once, and so costs no time
    assert way.tries == 6
    way.answers = 1
    with pytest.raises(NotFoundError):
        http.request("POST", dead)
    for tries in (12, 17):  # a server that has answered may be starting again
        with pytest.raises(UnreachableError):
            http.request("GET", dead)
        assert way.tries == tries


def test_a_connection_closed_without_an_answer_is_unreachable(
    http: Http, stand_in: StandIn
) -> None:
    stand_in.answers = [Answer(hang_up=True)]
    with pytest.raises(UnreachableError, match="closed before the answer came"):
        http.request("GET", stand_in.url)
    assert len(stand_in.heard) == 5


def test_a_connection_that_closes_once_is_forgiven(http: Http, stand_in: StandIn) -> None:
    stand_in.answers = [Answer(hang_up=True), Answer(200)]
    assert http.request("GET", stand_in.url).status == 200


def test_a_silent_server_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Http(timeout_s=(0.05, 0.05), retries=1, backoff_s=0) as http:  # noqa: SIM117
            with pytest.raises(UnreachableError, match="no answer in time"):
                http.request("GET", url)


def test_a_server_that_does_not_speak_tls_is_unreachable_at_once(
    http: Http, stand_in: StandIn, pauses: list[float]
) -> None:
    with pytest.raises(UnreachableError, match="TLS failed"):
        http.request("GET", stand_in.url.replace("http:", "https:") + SAS)
    assert pauses == []


# --- secrets --------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [Answer(403), Answer(503), Answer(hang_up=True)])
def test_a_sas_is_in_no_traceback(
    http: Http, stand_in: StandIn, answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    stand_in.answers = [answer]
    with caplog.at_level(logging.DEBUG):
        text = traceback_of(http, f"{stand_in.url}/a{SAS}")
    assert "c4n4ry" not in text + caplog.text


def test_a_sas_is_in_no_traceback_of_a_refused_connection(http: Http) -> None:
    assert "c4n4ry" not in traceback_of(http, f"http://127.0.0.1:{unused_port()}/{SAS}")


def test_a_malformed_token_is_in_no_traceback(http: Http, stand_in: StandIn) -> None:
    text = traceback_of(http, stand_in.url, Word(f"Bearer {CANARY}\n"))
    assert "c4n4ry" not in text
    assert "ValueError" in text


def test_a_secret_that_a_service_echoes_is_hidden(http: Http, stand_in: StandIn) -> None:
    errors.remember_secret("workspace-token-canary")
    echoed = b"x" * 70 + b" workspace-token-canary"
    for body in (echoed, b'{"error": {"code": "A", "message": "' + echoed + b'"}}'):
        stand_in.answers = [Answer(400, body)]
        assert "worksp" not in traceback_of(http, stand_in.url)


def test_a_response_shows_neither_body_nor_headers(http: Http, stand_in: StandIn) -> None:
    stand_in.answers = [Answer(200, b'{"primary": "k3y"}', {"Location": "http://x/?sig=k3y"})]
    assert "k3y" not in repr(http.request("GET", stand_in.url))


def traceback_of(http: Http, url: str, credential: Word | None = None) -> str:
    with pytest.raises(WireError) as caught:
        http.request("GET", url, credential=credential)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return "".join(traceback.format_exception(caught.value)) + repr(caught.value)


# --- where tokens go ------------------------------------------------------------------------


def test_a_redirect_is_not_followed(http: Http, stand_in: StandIn) -> None:
    target = f"{stand_in.url.replace('127.0.0.1', 'localhost')}/elsewhere{SAS}"
    stand_in.answers = [Answer(307, b"x" * 9, {"Location": target})]
    with pytest.raises(UnreadableError, match="307 redirects to localhost:") as caught:
        http.request("GET", stand_in.url, credential=Word())
    assert "c4n4ry" not in caught.value.message
    assert len(stand_in.heard) == 1


def test_netrc_cannot_replace_the_token(
    http: Http, stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login someone password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    http.request("GET", stand_in.url, credential=Word("Bearer mine"))
    http.request("GET", stand_in.url)
    assert [heard.headers["Authorization"] for heard in stand_in.heard] == ["Bearer mine", None]


def test_a_cookie_is_not_kept(http: Http, stand_in: StandIn) -> None:
    stand_in.answers = [Answer(200, headers={"Set-Cookie": "a=b; Path=/"})]
    http.request("GET", stand_in.url)
    http.request("GET", stand_in.url)
    assert stand_in.heard[1].headers["Cookie"] is None


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/",
        "https://user:password@management.azure.com/",
        "https://evil.example\\@management.azure.com/",
        "https://management.azure.com /",
        "https:///path",
        "https://[::1",
        "https://host:99999/",
        "https://host/\r\nX: y",
        "http://management.azure.com/",
        "relative",
        "",
    ],
)
def test_a_url_that_is_not_plain_or_not_encrypted_is_refused(http: Http, url: str) -> None:
    with pytest.raises(RefusedError):
        http.request("GET", url + "?sig=c4n4ry")


def test_a_proxy_is_used_but_never_for_this_machine(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("https_proxy", stand_in.url)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "other.invalid")
    stand_in.respond = lambda heard: Answer(502 if heard.method == "CONNECT" else 200)
    with Http(retries=0) as http:
        assert http.request("GET", stand_in.url).status == 200
        with pytest.raises(UnreachableError, match="proxy"):
            http.request("GET", "https://host.invalid/")
        with pytest.raises(UnreachableError, match="does not resolve"):
            http.request("GET", "https://other.invalid/")


SOCKS = "names a SOCKS proxy, for which PySocks is not installed"
NO_URL = r"is not the URL of a proxy; write http://HOST:PORT"


@pytest.mark.parametrize(
    ("variable", "proxy", "words"),
    [
        ("ALL_PROXY", "socks5h://127.0.0.1:9", SOCKS),
        ("all_proxy", "socks4://127.0.0.1:9", SOCKS),
        ("HTTPS_PROXY", "socks5://me:canary@127.0.0.1:9", SOCKS),
        ("HTTPS_PROXY", "http://pro xy:9", NO_URL),
        ("https_proxy", "http://canary@127.0.0.1:notaport", NO_URL),
        ("HTTPS_PROXY", "http://127.0.0.1:99999", NO_URL),
        ("HTTPS_PROXY", "ftp://canary:canary@127.0.0.1:9", NO_URL),
        ("HTTPS_PROXY", "http://", NO_URL),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, proxy: str, words: str
) -> None:
    for name in ("https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv(variable, proxy)
    monkeypatch.setattr("reconciler.http.transport.find_spec", lambda _: None)
    with Http(retries=0) as http, pytest.raises(ConfigurationError, match=words) as caught:
        http.request("GET", "https://host.invalid/")
    assert f"environment variable {variable} " in caught.value.message
    assert "canary" not in caught.value.message


@pytest.mark.parametrize(
    "proxy",
    [
        "127.0.0.1:9",
        "http://[::1]:9",
        "http://user:pa%20ss@127.0.0.1:9/",
        "http://user:p@ss@127.0.0.1:9",
        "https://p-1.example",
    ],
)
def test_a_proxy_as_people_write_it_is_used(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    for name in ("https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("https_proxy", proxy)
    assert proxy_of("https://host.invalid/").endswith(proxy)


@pytest.mark.parametrize(
    ("off_s", "words"),
    [
        (3600, "60 minutes fast"),
        (-3600, "60 minutes slow"),
        (-90_000, "25 hours slow"),
        (3_000_000, "35 days fast"),
    ],
)
def test_a_clock_that_is_off_is_named_where_it_can_be_the_reason(
    http: Http, stand_in: StandIn, off_s: float, words: str
) -> None:
    date = formatdate(time.time() - off_s, usegmt=True)
    for status in (401, 403):
        stand_in.answers = [Answer(status, b"", {"Date": date})]
        with pytest.raises(UnauthorizedError, match=f"the clock of this machine is {words}"):
            http.request("GET", stand_in.url)
    stand_in.answers = [Answer(404, b"", {"Date": date})]
    with pytest.raises(NotFoundError) as caught:
        http.request("GET", stand_in.url)
    assert "clock" not in caught.value.message


@pytest.mark.parametrize(
    "date",
    [
        "",
        "yesterday",
        "Sat, 99 Nov 2026 99:99:99 GMT",
        "Sun, 06 Nov 1994 08:49:37 +99999999999999",
    ],
)
def test_a_date_that_is_none_says_nothing(http: Http, stand_in: StandIn, date: str) -> None:
    stand_in.answers = [Answer(403, b"", {"Date": date})]
    with pytest.raises(UnauthorizedError) as caught:
        http.request("GET", stand_in.url)
    assert "clock" not in caught.value.message


def test_storages_own_reason_is_told_without_what_was_signed(http: Http, stand_in: StandIn) -> None:
    signature = "c4n4ry" + "A" * 37 + "="
    body = f"""<?xml version="1.0" encoding="utf-8"?><Error><Code>AuthenticationFailed</Code>
        <Message>Server failed to authenticate the request.\nRequestId:1</Message>
        <AuthenticationErrorDetail>Signature not valid in the specified time frame: Start [a] - Expiry
        [b] - Current [c]; '{signature}' is not it. Server used following string to sign: 'c4n4ry'
        </AuthenticationErrorDetail></Error>"""
    stand_in.answers = [Answer(403, body.encode())]
    with pytest.raises(
        UnauthorizedError, match="Signature not valid in the specified time frame"
    ) as caught:
        http.request("GET", stand_in.url)
    assert "c4n4ry" not in caught.value.message


def test_a_missing_ca_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "missing.pem")
    with pytest.raises(ConfigurationError, match="REQUESTS_CA_BUNDLE names missing"):
        Http()


# --- counting and read-only -----------------------------------------------------------------


def test_every_request_is_told_before_it_is_sent_and_without_its_query(stand_in: StandIn) -> None:
    told: list[tuple[str, str]] = []
    stand_in.answers = [Answer(503), Answer(200)]
    with Http(on_request=lambda *request: told.append(request), backoff_s=0) as http:
        http.request("GET", f"{stand_in.url}/a{SAS}")
    assert told == [("GET", f"{stand_in.url}/a")] * 2


@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH", "DELETE"])
def test_a_read_only_client_cannot_write(stand_in: StandIn, method: str) -> None:
    with Http(read_only=True) as http:
        with pytest.raises(RuntimeError, match="only reads"):
            http.request(method, stand_in.url)
        http.request("GET", stand_in.url)
        http.request("HEAD", stand_in.url)
    assert [heard.method for heard in stand_in.heard] == ["GET", "HEAD"]


def test_json_is_sent_as_ascii_with_its_type(http: Http, stand_in: StandIn) -> None:
    http.request("PATCH", stand_in.url, json={"name": "é"})
    assert stand_in.heard[0].body == b'{"name": "\\u00e9"}'
    assert stand_in.heard[0].headers["Content-Type"] == "application/json; charset=utf-8"


def test_an_empty_post_says_its_length(http: Http, stand_in: StandIn) -> None:
    http.request("POST", stand_in.url)
    assert stand_in.heard[0].headers["Content-Length"] == "0"


def test_a_file_is_sent_with_its_length_and_whole_in_each_try(
    http: Http, stand_in: StandIn, tmp_path: Path
) -> None:
    content = bytes(range(256)) * 1024
    (tmp_path / "model").write_bytes(content)
    stand_in.answers = [Answer(503), Answer(200)]
    http.request("PUT", stand_in.url, content=tmp_path / "model")
    assert [heard.body for heard in stand_in.heard] == [content, content]
    assert stand_in.heard[0].headers["Content-Length"] == str(len(content))


# --- the log --------------------------------------------------------------------------------


def test_each_request_is_one_line_of_the_log_and_no_secret_is_in_it(
    http: Http, stand_in: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="reconciler")
    secret = {"x-ms-request-id": "r-17", "x-key": CANARY}
    stand_in.answers = [Answer(503, CANARY.encode(), secret), Answer(200, b"{}", secret)]
    http.request(
        "PATCH",
        f"{stand_in.url}/a/b{SAS}",
        credential=Word(f"Bearer {CANARY}"),
        json={"key": CANARY},
    )
    said = [re.sub(r"\d+ ms", "N ms", record.getMessage()) for record in caplog.records]
    assert said == [
        f"PATCH {stand_in.url}/a/b: 503 in N ms request id r-17",
        f"PATCH {stand_in.url}/a/b: 200 in N ms request id r-17",
    ]
    assert {record.levelname for record in caplog.records} == {"DEBUG"}


def test_a_request_without_an_answer_is_logged_with_the_reason(
    stand_in: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="reconciler")
    stand_in.answers = [Answer(hang_up=True)]
    with Http(retries=0) as http, pytest.raises(UnreachableError):
        http.request("GET", f"{stand_in.url}/a{SAS}")
    (record,) = caplog.records
    assert record.getMessage().startswith(f"GET {stand_in.url}/a: no answer (")
    assert "sig=" not in record.getMessage()


# --- connections ----------------------------------------------------------------------------


def test_sixty_four_threads_reuse_sixty_four_connections(stand_in: StandIn) -> None:
    together = Barrier(64)

    def ask_five_times(_: int) -> None:
        for _ in range(5):
            together.wait(timeout=10)
            http.request("GET", stand_in.url)

    with Http(threads=64) as http, ThreadPoolExecutor(64) as pool:
        list(pool.map(ask_five_times, range(64)))
    assert len(stand_in.heard) == 320
    assert stand_in.connections <= 64


def test_failed_answers_give_their_connection_back(http: Http, stand_in: StandIn) -> None:
    stand_in.answers = [Answer(503, b"busy"), Answer(404, b"gone")]
    with pytest.raises(NotFoundError):
        http.request("GET", stand_in.url)
    assert stand_in.connections == 1


def test_a_mounted_adapter_answers_and_is_retried(http: Http) -> None:
    statuses = [503, 200]

    class Adapter(BaseAdapter):
        def send(self, request: requests.PreparedRequest, **_: object) -> requests.Response:
            answer = requests.Response()
            answer.status_code = statuses.pop(0)
            answer.request = request
            answer._content = b'"in process"'
            answer._content_consumed = True
            return answer

        def close(self) -> None:
            pass

    http.mount("http://127.0.0.1:8400", Door(Adapter()))
    assert http.request("GET", "http://127.0.0.1:8400/a").json() == "in process"


def test_importing_the_wire_imports_no_client() -> None:
    program = (
        "import sys; from reconciler.http import client, credentials, origins;from reconciler.stores import azure_blob, azure_sas;"
        "print([m for m in ('requests', 'urllib3', 'azure') if m in sys.modules])"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "[]"


# --- a run that must write no more ----------------------------------------------------------


@pytest.mark.parametrize("method", ["PUT", "PATCH", "POST", "DELETE"])
def test_no_write_leaves_a_client_that_is_halted_and_reads_do(
    http: Http, stand_in: StandIn, method: str
) -> None:
    halted = http.halted_by(lambda: "the lock was lost")
    with pytest.raises(StoppedError, match="nothing was sent: the lock was lost"):
        halted.request(method, stand_in.url)
    assert stand_in.heard == []
    assert halted.request("GET", stand_in.url).status == 200
    assert http.request(method, stand_in.url).status == 200


def test_every_try_of_a_write_asks_whether_it_may_still_leave(
    http: Http, stand_in: StandIn
) -> None:
    stand_in.answers = [Answer(503), Answer(503), Answer(200)]
    halted = http.halted_by(lambda: "halted" if len(stand_in.heard) == 2 else "")
    with pytest.raises(UnavailableError) as caught:
        halted.request("PATCH", stand_in.url)
    assert len(stand_in.heard) == 2
    assert caught.value.in_doubt


def test_a_sign_in_that_lasted_does_not_let_a_write_slip_out(http: Http, stand_in: StandIn) -> None:
    why: list[str] = []

    class Slow:
        def authorization(self, url: str) -> str:
            why.append(f"the lock was lost meanwhile, at {url}")
            return "Bearer x"

    with pytest.raises(StoppedError, match="meanwhile"):
        http.halted_by(lambda: "".join(why)).request("PATCH", stand_in.url, credential=Slow())
    assert stand_in.heard == []


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_connection_that_took_long_does_not_let_a_write_slip_out(
    http: Http, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Names and connections of a network that comes and goes take longer than a lock may last."""
    why: list[str] = []
    connect = urllib3.connection.HTTPConnection.connect

    def slow(self: urllib3.connection.HTTPConnection) -> None:
        connect(self)
        why.append("the lock was lost meanwhile")

    monkeypatch.setattr(urllib3.connection.HTTPConnection, "connect", slow)
    halted = http.halted_by(lambda: "".join(why))
    with pytest.raises(StoppedError, match="meanwhile"):
        halted.request(method, stand_in.url)
    assert stand_in.heard == []
    assert halted.request("GET", stand_in.url).status == 200


@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_who_is_woken_from_a_pause_tries_no_more(stand_in: StandIn, method: str) -> None:
    stand_in.answers = [Answer(503, headers={"Retry-After": "60"})]
    with Http(sleep=lambda _: True) as woken, pytest.raises(UnavailableError):
        woken.request(method, stand_in.url)
    assert len(stand_in.heard) == 1


@pytest.mark.parametrize(
    ("answers", "in_doubt"),
    [
        ([Answer(400)], False),
        ([Answer(429)], False),
        ([Answer(500)], True),
        ([Answer(hang_up=True)], True),
        ([Answer(hang_up=True), Answer(409)], True),
        ([Answer(429), Answer(409)], False),
        ([Answer(200, b"<html>", {"Content-Type": "text/html"})], True),
    ],
)
def test_a_failed_write_says_whether_it_may_have_been_done(
    http: Http, stand_in: StandIn, answers: list[Answer], in_doubt: bool
) -> None:
    stand_in.answers = answers
    with pytest.raises(WireError) as caught:
        http.request("PATCH", stand_in.url)
    assert caught.value.in_doubt is in_doubt


def test_a_write_without_a_connection_was_not_done(http: Http) -> None:
    with pytest.raises(UnreachableError) as caught:
        http.request("PATCH", f"http://127.0.0.1:{unused_port()}")
    assert not caught.value.in_doubt
