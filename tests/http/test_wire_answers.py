"""An answer belongs to its request: nothing that nobody asked for shifts those that come after it."""

from __future__ import annotations

import gzip
import re
import ssl
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from raw_server import RawServer, Send, answer
from token_endpoint import certificates

from reconciler.errors import UnreachableError, UnreadableError, WireError
from reconciler.http.client import Http
from reconciler.stores.azure_hosts import AZURE

HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"
FOREIGN = answer(b'"foreign"')


@pytest.fixture
def client() -> Iterator[Http]:
    with Http(timeout_s=(1.0, 0.5), retries=0) as http:
        yield http.speaking(AZURE)


def own(line: str) -> bytes:
    """The answer to a request: the path that was asked for."""
    return answer(b"" if line.startswith("HEAD") else f'"{line.split()[1]}"'.encode())


@pytest.mark.parametrize(
    "interim", [HINT, HINT * 3, b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 199 X\r\n\r\n"]
)
@pytest.mark.parametrize("late", [False, True])
def test_interim_answers_are_skipped(client: Http, interim: bytes, late: bool) -> None:
    def reply(line: str, send: Send) -> None:
        send(interim if late else interim + own(line))
        if late:
            send(own(line))

    with closing(RawServer(reply)) as server:
        for path in ("/a", "/b", "/c"):
            assert client.request("GET", server.url + path).json() == path


@pytest.mark.parametrize(
    ("method", "sent"),
    [
        pytest.param("GET", lambda line: own(line) + FOREIGN, id="two answers"),
        pytest.param("GET", lambda line: own(line) + FOREIGN[:9], id="half an answer more"),
        pytest.param(
            "GET", lambda _: answer(b'"/a"' + FOREIGN, length=4), id="a length that is too short"
        ),
        pytest.param("HEAD", lambda _: answer(b"" + FOREIGN, length=900), id="HEAD with a body"),
        pytest.param("DELETE", lambda _: answer(FOREIGN, status="204 None"), id="204 with a body"),
        pytest.param(
            "GET",
            lambda _: (
                b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n"/a"\r\n0\r\n\r\n'
                + FOREIGN
            ),
            id="chunks, and more",
        ),
    ],
)
def test_what_follows_an_answer_is_no_answer(
    client: Http, method: str, sent: Callable[[str], bytes]
) -> None:
    def reply(line: str, send: Send) -> None:
        send(sent(line) if " /a " in line else own(line))

    with closing(RawServer(reply)) as server:
        client.request(method, f"{server.url}/a", expect=(200, 204))
        for path in ("/b", "/c"):
            assert client.request("GET", server.url + path).json() == path
        assert len(server.connections) == 2


@pytest.mark.parametrize("size", [200, 8_192, 9_000])
def test_what_follows_an_answer_within_tls_is_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """TLS hands out whole records: what is left of one, no look at the socket shows."""
    trusted, certificate = certificates(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(trusted))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def reply(line: str, send: Send) -> None:
        padding = size - len(own(line)) - 13  # a header's name, and the end of its line
        send(answer(f'"{line.split()[1]}"'.encode(), f"X-Padding: {'x' * padding}") + FOREIGN)

    with closing(RawServer(reply, context)) as server, Http(retries=0) as client:
        for path in ("/a", "/b", "/c"):
            assert client.request("GET", server.url + path).json() == path
        assert len(server.connections) == 3


def test_a_connection_is_looked_at_before_it_is_used_again(client: Http) -> None:
    """An answer that nobody waits for may come after the one before has been read to its end."""
    with closing(RawServer(lambda line, send: send(own(line)))) as server:
        client.request("GET", f"{server.url}/a")
        server.connections[0].sendall(FOREIGN)
        assert client.request("GET", f"{server.url}/b").json() == "/b"
        assert len(server.connections) == 2


def test_a_write_meets_no_connection_that_the_service_closed(client: Http) -> None:
    with closing(RawServer(lambda line, send: send(own(line)))) as server:
        client.request("GET", f"{server.url}/a")
        server.connections[0].shutdown(2)
        assert client.request("POST", f"{server.url}/b").json() == "/b"


def test_connections_are_used_again_where_nothing_unexpected_came(client: Http) -> None:
    with closing(RawServer(lambda line, send: send(own(line)))) as server:
        for method in ("GET", "HEAD", "POST", "GET"):
            client.request(method, f"{server.url}/a")
        assert len(server.connections) == 1


@pytest.mark.parametrize("length", ["abc", "-4", "+4", "4_0", "4,4", ""])
def test_a_length_that_is_no_number_is_refused(client: Http, length: str) -> None:
    """Else the answer would be over wherever the connection breaks off."""
    sent = f'HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"/a"'
    with (
        closing(RawServer(lambda _, send: send(sent.encode()))) as server,
        pytest.raises(WireError, match="the length of the answer is not a number"),
    ):
        client.request("GET", f"{server.url}/a")


def test_an_answer_that_is_framed_twice_costs_the_connection(client: Http) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\nTransfer-Encoding: x, chunked\r\n\r\n"
    with closing(RawServer(lambda _, send: send(head + b'4\r\n"/a"\r\n0\r\n\r\n'))) as server:
        for _ in range(2):
            assert client.request("GET", f"{server.url}/a").json() == "/a"
        assert len(server.connections) == 2


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize(
    "lengths",
    [
        "Content-Length: 3\r\nContent-Length: 4",
        "Content-Length: 3, 4",
        "Content-Length: 4\r\ncontent-length: 3",
    ],
)
def test_two_lengths_are_refused(client: Http, kept: bool, lengths: str) -> None:
    double = f"HTTP/1.1 200 OK\r\n{lengths}\r\n\r\n".encode() + b"1234"

    def reply(line: str, send: Send) -> None:
        send(double if " /double " in line else own(line))

    with closing(RawServer(reply)) as server:
        if kept:
            client.request("GET", f"{server.url}/a")
        with pytest.raises(WireError, match=r"more than one length|not HTTP"):
            client.request("GET", f"{server.url}/double")
        assert client.request("GET", f"{server.url}/b").json() == "/b"


def test_an_answer_that_names_another_request_is_not_believed(client: Http) -> None:
    """Azure repeats x-ms-client-request-id; an answer in the wrong place is known by it."""

    def reply(line: str, send: Send) -> None:
        foreign = " /a " in line
        wrong = (
            "0"
            if foreign
            else re.findall(rb"(?i)x-ms-client-request-id: (.+)", server.heads[-1])[0]
            .decode()
            .strip()
        )
        send(answer(f'"{line.split()[1]}"'.encode(), f"X-Ms-Client-Request-Id: {wrong}"))

    with closing(RawServer(reply)) as server:
        with pytest.raises(UnreadableError, match="the answer is to another request"):
            client.request("GET", f"{server.url}/a")
        for path in ("/b", "/c"):
            assert client.request("GET", server.url + path).json() == path
        assert len(server.connections) == 2


def test_a_switch_of_protocols_is_an_error(client: Http) -> None:
    with (
        closing(
            RawServer(lambda _, send: send(answer(b"", status="101 Switching Protocols")))
        ) as server,
        pytest.raises(WireError, match="another protocol"),
    ):
        client.request("GET", server.url)


# --- bounds ---------------------------------------------------------------------------------


def endlessly(
    part: bytes, before: bytes = b"", *, every_s: float = 0.0
) -> Callable[[str, Send], None]:
    """A reply that has no end, until the client hangs up."""

    def reply(_: str, send: Send) -> None:
        send(before)
        while not threading.Event().wait(every_s):
            send(part)

    return reply


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        pytest.param(
            endlessly(b"x", answer(b"", length=900), every_s=0.05),
            UnreadableError,
            id="a byte now and then",
        ),
        pytest.param(endlessly(b"H", every_s=0.05), UnreachableError, id="a slow head"),
        pytest.param(
            endlessly(b"HTTP/1.1 100 Continue\r\n\r\n", every_s=0.05),
            UnreachableError,
            id="slow 100 Continue",
        ),
    ],
)
def test_an_answer_must_end_in_time(
    reply: Callable[[str, Send], None], error: type[WireError]
) -> None:
    with closing(RawServer(reply)) as server, Http(timeout_s=(1.0, 0.6), backoff_s=0) as http:
        with pytest.raises(error, match="took too long"):
            http.request("GET", server.url)
        assert len(server.asked) == 1  # trying again would only take longer


@pytest.mark.parametrize("part", [b"HTTP/1.1 100 Continue\r\n\r\n", HINT])
def test_interim_answers_without_end_are_an_error(part: bytes) -> None:
    error = pytest.raises(UnreachableError, match="headers of the answer are too long")
    with closing(RawServer(endlessly(part * 100))) as server, Http(retries=0) as http, error:
        http.request("GET", server.url)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
IN_CHUNKS = b"%x\r\n%s\r\n"
NOTHING = b"\0\0\0\xff\xff" * 10_000  # empty blocks of deflate
EMPTY = gzip.compress(b"") * 4_000


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(
            endlessly(b"A: b\r\n" * 1_000, CHUNKED + b"\r\n1\r\nx\r\n0\r\n"), id="trailers"
        ),
        pytest.param(endlessly(b"x" * 9_000, CHUNKED + b"\r\n1;"), id="a chunk's extension"),
        pytest.param(
            endlessly(
                IN_CHUNKS % (len(NOTHING), NOTHING),
                CHUNKED
                + b"Content-Encoding: gzip\r\n\r\n"
                + IN_CHUNKS % (10, gzip.compress(b"")[:10]),
            ),
            id="a packed body without content",
        ),
        pytest.param(
            endlessly(IN_CHUNKS % (len(EMPTY), EMPTY), CHUNKED + b"Content-Encoding: gzip\r\n\r\n"),
            id="one empty packed body after another",
        ),
    ],
)
def test_what_holds_no_content_has_an_end_too(
    client: Http, reply: Callable[[str, Send], None]
) -> None:
    """However fast it comes, so that it is never late."""
    over: list[WireError] = []

    def ask() -> None:
        try:
            client.request("GET", server.url)
        except WireError as exc:
            over.append(exc)

    with closing(RawServer(reply)) as server:
        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(10)
        assert over


def test_a_silent_service_is_not_waited_for_by_every_try() -> None:
    with (
        closing(RawServer(lambda *_: None)) as server,
        Http(timeout_s=(1.0, 0.4), backoff_s=0) as http,
    ):
        with pytest.raises(UnreachableError, match="no answer in time"):
            http.request("GET", server.url)
        assert len(server.asked) == 2


def test_a_large_answer_may_take_its_time() -> None:
    """Longer than any answer may, but as fast as a slow line is."""

    def reply(_: str, send: Send) -> None:
        send(answer(b"", length=160_000))
        for _ in range(8):
            threading.Event().wait(0.15)
            send(b"x" * 20_000)

    with closing(RawServer(reply)) as server, Http(timeout_s=(1.0, 0.5), retries=0) as http:
        assert len(http.request("GET", server.url).body) == 160_000


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, gzip", "compress", "x"])
def test_a_packing_that_was_not_asked_for_is_refused(client: Http, encoding: str) -> None:
    body = answer(zlib.compress(b"{}"), f"Content-Encoding: {encoding}")
    with closing(RawServer(lambda _, send: send(body))) as server:
        with pytest.raises(UnreadableError, match="an encoding that was not asked for"):
            client.request("GET", server.url)
        assert b"Accept-Encoding: gzip\r\n" in server.heads[0] + b"\r\n"


@pytest.mark.parametrize("cut", [1, 8, 12, 30])
def test_a_packed_body_that_is_not_whole_is_unreadable(client: Http, cut: int) -> None:
    """Its length may be right all the same: a table would be believed without its last rows."""
    body = answer(gzip.compress(bytes(range(200)))[:-cut], "Content-Encoding: gzip")
    broke_off = pytest.raises(UnreadableError, match="the packed answer broke off")
    with closing(RawServer(lambda _, send: send(body))) as server, broke_off:
        client.request("GET", server.url)


@pytest.mark.parametrize("content", [b"", b"{}", bytes(range(256)) * 2_000])
def test_a_packed_body_in_pieces_is_its_content(client: Http, content: bytes) -> None:
    packed = gzip.compress(content)
    pieces = [packed[:10], packed[10:11], *(packed[i : i + 99] for i in range(11, len(packed), 99))]
    body = b"".join(IN_CHUNKS % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    sent = CHUNKED + b"Content-Encoding: gzip\r\n\r\n" + body
    with closing(RawServer(lambda _, send: send(sent))) as server:
        for _ in range(2):
            assert client.request("GET", server.url).body == content
        assert len(server.connections) == 1


def test_a_packed_body_is_unpacked_only_as_far_as_it_may_be(client: Http) -> None:
    """A bomb of gzip costs no more memory than the bound."""
    import tracemalloc

    body = answer(gzip.compress(bytes(200_000_000)), "Content-Encoding: gzip")
    with closing(RawServer(lambda _, send: send(body))) as server:
        tracemalloc.start()
        with pytest.raises(UnreadableError, match="larger than"):
            client.request("GET", server.url, max_bytes=100_000)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 20_000_000
