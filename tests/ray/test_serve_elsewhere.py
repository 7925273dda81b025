"""`spec.ray.serve` leads to one port of this machine, and Serve listens at another: no proof can come."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.errors import RefusedError
from reconciler.http.client import Http
from reconciler.model import Level, SecretName, Source
from reconciler.platforms.ray.checks import checks_of
from reconciler.platforms.ray.connection import Ray
from tests.ray.head import free_ports
from tests.ray.test_serve_application import Place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A cluster whose Serve runs, and a port where nobody listens in `spec.ray.serve`."""
    made = Place(tmp_path)
    (port,) = free_ports(1)
    made.standin.at = f"http://127.0.0.1:{port}"
    listen(made, port=port + 1)
    made.serve.started = True
    made.target = made.another()
    yield made
    made.standin.close()


def listen(place: Place, location: str = "HeadOnly", **options: Any) -> None:
    """Let the cluster say where its proxy listens."""
    heard = {"host": "127.0.0.1", **options}
    place.serve.around = {"proxy_location": location, "http_options": heard}


@pytest.mark.parametrize(
    ("location", "host", "listens"),
    [
        ("HeadOnly", "127.0.0.1", r"127\.0\.0\.1:8123"),
        ("EveryNode", "0.0.0.0", r"0\.0\.0\.0:8123"),
        ("Disabled", "127.0.0.1", "nowhere"),
    ],
)
def test_it_is_refused_before_anything_is_sent(
    place: Place, location: str, host: str, listens: str
) -> None:
    listen(place, location, host=host, port=8123)
    binding, why = (
        place.binding(),
        f"nothing answers at .*, for the proxy of Serve listens at {listens};",
    )
    refusal = place.target.observe(binding).refusal
    assert refusal is not None
    assert re.search(why, refusal.message)
    with pytest.raises(RefusedError, match=why):
        place.target.create(binding, place.model("1"))
    assert place.puts == 0
    unasked = replace(binding, probe=None)
    assert place.target.observe(unasked).refusal is None


def test_a_proxy_of_another_host_is_not_heard_on_loopback(place: Place) -> None:
    port = int(place.standin.at.rpartition(":")[2])
    listen(place, host="10.1.2.3", port=port)
    refusal = place.target.observe(place.binding()).refusal
    assert refusal is not None
    assert f"listens at 10.1.2.3:{port}; correct spec.ray.serve" in refusal.message


def test_the_way_back_is_not_refused(place: Place) -> None:
    place.target.take_back(place.binding(), place.model("1"))
    assert place.puts == 1


def test_an_address_that_cannot_be_judged_is_not_refused(place: Place) -> None:
    closed, (port,) = place.standin.at, free_ports(1)
    same = {"port": int(closed.rpartition(":")[2])}
    for serve, options in (
        (f"{place.standin.url}/at", {"port": port}),  # a forwarded port: a server answers there
        ("https://models.example.com", {"port": port}),  # an ingress
        (closed, {}),  # this Ray does not say where
        (closed, same),  # the proxy may be starting
        (closed, {**same, "host": "0.0.0.0"}),
    ):
        place.standin.at = serve
        listen(place, **options)
        assert place.another().observe(place.binding()).refusal is None, (serve, options)


def test_doctor_says_where_serve_listens_and_where_to_correct_it(place: Place) -> None:
    source = Source("environment.yaml", 7, 12)
    ray = Ray(place.standin.url, SecretName("RAY_TOKEN"), place.standin.at, source=source)
    with Http(threads=1, retries=0) as http:
        checks = list(checks_of(ray, place.cluster(ray, http), http, [place.binding()]))
    (found,) = [check for check in checks if check.level is Level.ERROR]
    assert "for the proxy of Serve listens at 127.0.0.1:" in found.message
    assert "let spec.ray.serve name the address of the proxy" in found.fix
    assert found.source == source
