"""Requests that are lost, and writers that meet, on a real Ray: a door before its dashboard knows."""

from __future__ import annotations

import contextlib
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from reconciler import errors
from reconciler.errors import ConflictError, UnreachableError
from reconciler.platforms.contract import DONE
from tests.ray.serve_standin import APPLICATIONS
from tests.ray.serving import SERVE, Serving
from tests.ray.test_serve_application import Place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.ray.head import RealRay

pytestmark = pytest.mark.live


class Door:
    """Passes requests on to a dashboard, with its token, which `expires` after a PUT. The first PUT
    of applications may `meet` that of another door before either is passed on; of the first `lost`
    PUTs no answer comes."""

    serve: Any = None  # the stand-in's, for `Place`

    def __init__(self, ray: RealRay, meet: threading.Barrier | None = None, lost: int = 0) -> None:
        self.puts, self.meet, self.lost = 0, meet, lost
        self.token, self.expires = ray.token, False
        self.at = f"http://127.0.0.1:{ray.serve_port}"
        door = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                writes = (self.command, self.path) == ("PUT", APPLICATIONS)
                door.puts += writes
                if writes and door.puts == 1 and door.meet:
                    door.meet.wait(60)
                headers = {"Authorization": f"Bearer {door.token}"}
                if writes and door.expires:
                    door.token = "expired"
                if kind := self.headers.get("Content-Type"):
                    headers["Content-Type"] = kind
                url = ray.url + self.path
                asked = urllib.request.Request(url, body or None, headers, method=self.command)
                try:
                    answer = urllib.request.urlopen(asked, timeout=60)
                except urllib.error.HTTPError as exc:
                    answer = exc
                content = answer.read()
                if writes and door.puts <= door.lost:
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.headers.get("Content-Type", ""))
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_PUT = do_POST = do_GET

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def cluster(real_ray: RealRay, tmp_path: Path) -> Iterator[Serving]:
    """What the cluster shows; in the end it has no application."""
    made = Serving.on(real_ray, tmp_path / "shown")
    yield made
    made.clear()


def test_writers_that_meet_lose_no_change_and_no_answer_is_needed(
    real_ray: RealRay, cluster: Serving, tmp_path: Path
) -> None:
    """Two stores, so two programs that know nothing of each other; both read, and then both write."""
    meet = threading.Barrier(2)
    doors = [Door(real_ray, meet, lost=1), Door(real_ray, meet)]
    places = [Place(tmp_path / str(number), door) for number, door in enumerate(doors)]  # type: ignore[arg-type]
    for place in places:
        code = SERVE.replace("json.load(file)", '{"word": file.read()}')
        (place.root / "code" / "serve.py").write_text(code)

    def switch(number: int) -> str:
        place, name = places[number], f"a{number}"
        for _ in range(20):
            with contextlib.suppress(UnreachableError, ConflictError):  # and again, as the engine
                return place.target.switch(place.binding(name), place.model("1"))
        raise AssertionError(f"{name} was never written")

    try:
        with ThreadPoolExecutor(2) as pool:
            begun = list(pool.map(switch, range(2)))
        end = time.monotonic() + 120
        while [p.target.progress(o) for p, o in zip(places, begun, strict=True)] != [DONE] * 2:
            assert time.monotonic() < end, cluster.applications
            time.sleep(0.3)
    finally:
        for door in doors:
            door.close()
    assert [cluster.answer(name) for name in ("a0", "a1")] == ["model 1", "model 1"]
    assert sum(door.puts for door in doors) >= 3  # one undid the other, and that was made again


def test_a_token_that_expires_in_a_swap_rejects_no_version(
    real_ray: RealRay, cluster: Serving, tmp_path: Path
) -> None:
    with contextlib.closing(Door(real_ray)) as door:
        serving = Serving(tmp_path / "toys", door.url, real_ray.token, cluster.serve)
        serving.want(churn="1")
        serving.apply()
        door.expires = True
        serving.want(churn="2")
        printed = serving.apply(errors.ERROR)
        assert "the token in RAY_TOKEN is not that of this cluster, or has expired" in printed
        assert "rejected" not in printed
        serving.plan(errors.ERROR)  # it cannot be read, which is no absence
        door.token, door.expires = real_ray.token, False
        assert "1 proved" in serving.apply()
        assert serving.answer("churn") == "second"
