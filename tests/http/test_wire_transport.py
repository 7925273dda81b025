"""A connection that was used before answers as a new one does, and nobody writes to a dead one."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Iterator

import pytest
from scripted_server import Answer, Heard, StandIn

from reconciler.errors import UnreachableError, UnreadableError
from reconciler.http.client import Http
from reconciler.http.transport import Pooled
from reconciler.ledger.lock import RENEW_S


@pytest.fixture
def used(stand_in: StandIn) -> Iterator[Http]:
    """A client with one idle connection."""
    with Http(timeout_s=(1.0, 0.1), retries=0) as http:
        for _ in range(2):  # the first request is urllib3's
            http.request("GET", stand_in.url)
        yield http


def test_headers_body_and_length_are_the_same(used: Http, stand_in: StandIn) -> None:
    stand_in.answers = [Answer(201, b"", {"ETag": '"e"', "X-A": "1", "x-a": "2"})]
    answer = used.request("PUT", f"{stand_in.url}/a?b=c", content=b"sent", expect=(201,))
    first, last = stand_in.heard[0].headers, stand_in.heard[-1]
    assert (last.path, last.body, last.headers["Content-Length"]) == ("/a?b=c", b"sent", "4")
    assert set(last.headers) == {*first, "Content-Length"}
    assert answer.headers["etag"] == '"e"'
    assert stand_in.connections == 1


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux has it")
def test_bytes_that_nobody_acknowledges_are_given_up_before_a_lease_ends(used: Http) -> None:
    assert isinstance(used._pooled, Pooled)
    (pool,) = used._pooled._pools.values()
    assert pool.pool is not None
    connection = pool.pool.get(block=False)
    pool.pool.put(connection)
    given_up_ms = connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert 0 < given_up_ms <= 1000 * RENEW_S


def test_a_packed_body_is_unpacked(used: Http, stand_in: StandIn) -> None:
    packed = Answer(200, gzip.compress(b'{"a": 1}'), {"Content-Encoding": "gzip"})
    stand_in.answers = [packed]
    assert [used.request("GET", stand_in.url).json() for _ in range(2)] == [{"a": 1}] * 2
    assert stand_in.connections == 1


@pytest.mark.parametrize("method", ["HEAD", "DELETE", "POST"])
def test_an_answer_without_a_body_leaves_the_connection_usable(
    used: Http, stand_in: StandIn, method: str
) -> None:
    stand_in.answers = [Answer(204, b"")]
    for _ in range(2):
        used.request(method, stand_in.url, expect=(204,))
    assert stand_in.connections == 1


def test_a_body_that_breaks_off_is_unreadable(used: Http, stand_in: StandIn) -> None:
    stand_in.answers = [Answer(200, b'{"a":', length=90), Answer()]
    with pytest.raises(UnreadableError, match="broke off"):
        used.request("GET", stand_in.url)
    assert used.request("GET", stand_in.url).status == 200


def test_what_is_no_http_is_unreachable(used: Http, stand_in: StandIn) -> None:
    stand_in.answers = [Answer(200, headers={"Content-Length": "0", "X" * 70_000: "long"})]
    with pytest.raises(UnreachableError, match="not HTTP"):
        used.request("GET", stand_in.url)


def test_an_answer_beyond_the_limit_costs_the_connection(used: Http, stand_in: StandIn) -> None:
    stand_in.answers = [Answer(200, b"x" * 100_000)]
    with pytest.raises(UnreadableError, match="larger than 9 bytes"):
        used.request("GET", stand_in.url, max_bytes=9)
    assert used.request("GET", stand_in.url).body == b"x" * 100_000
    assert stand_in.connections == 2


def test_a_service_that_falls_silent_is_unreachable(used: Http, stand_in: StandIn) -> None:
    over = threading.Event()

    def silent(_: Heard) -> Answer:
        over.wait(5)
        return Answer()

    stand_in.respond = silent
    with pytest.raises(UnreachableError, match="no answer in time"):
        used.request("GET", stand_in.url)
    over.set()


def test_a_path_that_is_not_plain_is_written_by_urllib3s_rules(
    used: Http, stand_in: StandIn
) -> None:
    used.request("GET", f"{stand_in.url}/modèle?x=[1]")
    assert stand_in.heard[-1].path == "/mod%C3%A8le?x=%5B1%5D"


def test_closing_the_client_closes_its_idle_connections(used: Http, stand_in: StandIn) -> None:
    used.close()
    with pytest.raises(UnreachableError):
        used.request("GET", stand_in.url)
