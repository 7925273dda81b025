"""Which cluster is asked: the known one, and no other, and only what is Ray."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.cli.session import introduce
from reconciler.errors import RefusedError, UnauthorizedError, UnreadableError
from reconciler.http.client import Http
from reconciler.http.origins import bound_origins
from reconciler.model import Environment, SecretName, StoreUrl
from reconciler.platforms.ray.client import Client
from reconciler.platforms.ray.cluster import Cluster
from reconciler.platforms.ray.connection import Ray, credential_of, notice_of
from reconciler.platforms.ray.serve_config import ServeAddress
from reconciler.stores.folder import FolderStore
from tests.ray.standin import PAGE, TOKEN, Standin

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def ray() -> Iterator[Standin]:
    made = Standin()
    yield made
    made.close()


def client_of(ray: Standin, token: str = TOKEN, **fields: Any) -> Client:
    told = Ray(ray.url, SecretName("RAY_TOKEN") if token else None, **fields)
    credential = credential_of(told, lambda _: token, frozenset())
    return Client(Http(threads=2, backoff_s=0), told, credential)


def cluster_of(ray: Standin, folder: Path, **fields: Any) -> Cluster:
    return Cluster(client_of(ray, **fields), FolderStore(folder))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


class Door:
    """A lock that tells who comes to it."""

    def __init__(self) -> None:
        self.came = threading.Semaphore(0)
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self.came.release()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_one_check_serves_all_writes_that_waited_for_it_and_none_that_began_before_them(
    ray: Standin, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, door, later = cluster_of(ray, store), Door(), []
    check = cluster._checked
    monkeypatch.setattr(cluster, "_checking", door)

    def checked() -> Any:
        monkeypatch.setattr(cluster, "_checked", check)
        later.extend(pool.submit(cluster.writing) for _ in range(5))
        for _ in range(1 + len(later)):
            assert door.came.acquire(timeout=10)
        return check()

    monkeypatch.setattr(cluster, "_checked", checked)
    with ThreadPoolExecutor(5) as pool:
        cluster.writing()
        for writing in later:
            writing.result()
    assert ray.world.requests.count("GET /cluster_id") == 2


def test_clusters_behind_one_host_share_neither_notes_nor_addresses(store: Path) -> None:
    hosts = [Ray(f"https://ray.acme.com{path}").host for path in ("", "/a", "/b", "/a/b")]
    clusters = [
        Cluster(Client(Http(threads=1), Ray(f"https://{host}"), None), FolderStore(store))
        for host in hosts
    ]
    assert len({cluster.name for cluster in clusters}) == 4
    prefixes = [ServeAddress(host, "").key for host in hosts]
    keys = [ServeAddress(host, "churn").key for host in hosts]
    for prefix in prefixes:
        assert sum(key.startswith(prefix) for key in keys) == 1


def test_reading_notes_nothing_and_the_first_write_notes_the_cluster(
    ray: Standin, store: Path
) -> None:
    cluster = cluster_of(ray, store)
    cluster.reading()
    assert not list(store.rglob("*.json"))
    cluster.writing()
    assert FolderStore(store).get(cluster.name) is not None


def test_a_cluster_whose_head_was_restarted_with_its_state_is_the_same(
    ray: Standin, store: Path
) -> None:
    cluster_of(ray, store).writing()
    ray.world.restart(kept=True)
    cluster_of(ray, store).writing()
    assert ray.world.head.encode() in FolderStore(store).get(cluster_of(ray, store).name).content  # type: ignore[union-attr]


def test_a_cluster_that_was_restarted_empty_is_refused_until_it_is_meant(
    ray: Standin, store: Path
) -> None:
    cluster_of(ray, store).writing()
    ray.world.restart()
    with pytest.raises(RefusedError, match="was restarted and has forgotten all its jobs") as exc:
        cluster_of(ray, store).reading()
    assert f'cluster: "{ray.world.cluster}"' in exc.value.message
    for meant in (ray.world.cluster, "any"):
        cluster_of(ray, store, cluster=meant).reading()
    cluster_of(ray, store, cluster="any").writing()
    cluster_of(ray, store).reading()  # it is the known one from now on


def test_another_cluster_with_work_of_its_own_is_refused(ray: Standin, store: Path) -> None:
    cluster_of(ray, store).writing()
    ray.world.restart()
    ray.world.applications["theirs"] = {}
    with pytest.raises(RefusedError, match="is another cluster than before"):
        cluster_of(ray, store).reading()


def test_a_cluster_other_than_the_one_that_git_names_is_refused(ray: Standin, store: Path) -> None:
    with pytest.raises(RefusedError, match=r"spec\.ray\.cluster names 0000"):
        cluster_of(ray, store, cluster="0" * 56).writing()
    assert not list(store.rglob("*.json"))


def test_a_restart_in_the_middle_of_a_run_is_seen_before_the_next_write(
    ray: Standin, store: Path
) -> None:
    cluster = cluster_of(ray, store)
    cluster.writing()
    ray.world.restart()
    with pytest.raises(RefusedError):
        cluster.writing()
    with pytest.raises(RefusedError):
        cluster.reading_again()


@pytest.mark.parametrize("version", ["2.8.1", "1.13.0"])
def test_a_ray_that_is_too_old_is_refused(ray: Standin, version: str) -> None:
    ray.world.version = version
    with pytest.raises(RefusedError, match=f"runs Ray {version}; update it to Ray 2.9 or newer"):
        _ = client_of(ray).version


@pytest.mark.parametrize("version", ["2.9.0", "2.60.0", "3.0.0.dev0"])
def test_a_ray_that_is_new_enough_is_taken(ray: Standin, version: str) -> None:
    ray.world.version = version
    assert client_of(ray).version["ray_version"] == version


@pytest.mark.parametrize(
    "answer",
    [
        (200, PAGE, "text/html"),
        (200, b"{}", "application/json"),
        (200, b"[]", "application/json"),
        (200, b"", "text/plain"),
        (302, b"", "text/html"),
    ],
)
def test_what_is_no_ray_is_an_error_that_says_so(ray: Standin, answer: Any) -> None:
    ray.world.faults["GET", "/api/version"] = [answer]
    with pytest.raises(UnreadableError, match=r"spec\.ray\.url"):
        _ = client_of(ray).version


def test_a_404_of_a_proxy_is_not_the_absence_of_a_job(ray: Standin) -> None:
    ray.world.faults["GET", "/api/jobs/rc-1-a1"] = [(404, b"no such page", "text/plain")]
    with pytest.raises(Exception, match="404"):
        client_of(ray).find("/api/jobs/rc-1-a1", "asking for a job")
    assert client_of(ray).find("/api/jobs/rc-1-a1", "asking for a job") is None


def test_a_missing_and_a_wrong_token_are_told_apart(ray: Standin) -> None:
    with pytest.raises(UnauthorizedError, match=r"wants a token; name it: spec\.ray"):
        _ = client_of(ray, token="").version
    with pytest.raises(UnauthorizedError, match="the token in RAY_TOKEN is not that of this"):
        _ = client_of(ray, token="wrong-or-expired").version


def test_the_token_goes_to_no_other_host_than_those_bound_outside_git() -> None:
    there = Ray("https://ray.example.com:8265", SecretName("RAY_TOKEN"))
    with pytest.raises(RefusedError, match="the token of Ray must not go to"):
        credential_of(there, lambda _: TOKEN, frozenset()).authorization(there.url)  # type: ignore[union-attr]
    bound = bound_origins({"RECONCILER_ORIGINS": "https://ray.example.com:8265"})
    told = credential_of(there, lambda _: TOKEN, bound)
    assert told is not None
    assert told.authorization(there.url + "/api/version") == f"Bearer {TOKEN}"
    with pytest.raises(RefusedError):
        told.authorization("https://elsewhere.example.com:8265/api/version")


def test_a_run_warns_of_a_cluster_elsewhere_that_no_token_opens(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It says so before it asks anything there."""
    there = Ray("https://ray.example.com:8265")
    introduce(Environment("prod", StoreUrl("store"), StoreUrl("data"), {"ray": there}))
    warned = " ".join(capsys.readouterr().err.split())
    assert "prod: no token opens ray.example.com:8265" in warned
    assert "CVE-2023-48022" in warned
    assert not notice_of(Ray("http://127.0.0.1:8265"))
    assert not notice_of(Ray("https://ray.example.com:8265", SecretName("RAY_TOKEN")))
