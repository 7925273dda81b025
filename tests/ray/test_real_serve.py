"""ServeApplication on a real Ray: proved, taken back, restored, and beside what others run."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from reconciler import errors
from tests.ray.head import free_ports
from tests.ray.serving import Serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.ray.head import RealRay

pytestmark = pytest.mark.live
THEIRS = """
from ray import serve


@serve.deployment
class Theirs:
    async def __call__(self, request):
        return {"rows": [{"word": "theirs"}]}


app = Theirs.options(ray_actor_options={"num_cpus": 0.1}).bind()
"""


@pytest.fixture
def serving(real_ray: RealRay, tmp_path: Path) -> Iterator[Serving]:
    """A tree of its own; in the end no application is on the cluster."""
    made = Serving.on(real_ray, tmp_path / "toys")
    yield made
    made.clear()


class Prober:
    """Asks an application all the time, and keeps what it answered, each answer once in a row."""

    def __init__(self, serving: Serving, name: str) -> None:
        self.heard: list[str] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._ask, args=(serving, name))
        self._thread.start()

    def _ask(self, serving: Serving, name: str) -> None:
        while not self._end.wait(0.05):
            answer = serving.answer(name)
            if self.heard[-1:] != [answer]:
                self.heard.append(answer)

    def stop(self) -> list[str]:
        self._end.set()
        self._thread.join()
        return self.heard


def test_served_swapped_broken_taken_back_and_deleted(serving: Serving) -> None:
    serving.versions({"3": {"word": "third", "broken": True}})
    serving.want(churn="1")
    assert "1 changed, 1 proved" in serving.apply()
    assert serving.answer("churn") == "first"
    serving.plan()
    before = serving.applications

    heard, serving.serve = serving.serve, f"http://127.0.0.1:{free_ports(1)[0]}"
    serving.want(churn="2")  # Serve runs already, and listens at a port that is not declared
    proxy = heard.removeprefix("http://")
    assert f"the proxy of Serve listens at {proxy}; correct spec.ray.serve" in serving.apply(
        errors.REFUSED
    )
    declared = [shown["churn"]["deployed_app_config"] for shown in (serving.applications, before)]
    assert declared[0] == declared[1]
    serving.serve = heard

    serving.want(churn="2")
    prober = Prober(serving, "churn")
    assert "1 changed, 1 proved" in serving.apply()
    serving.want(churn="3")
    said = serving.apply(errors.UNPROVED)
    assert "ValueError: the words are broken" in said
    assert "rolled back, and proved" in said
    assert prober.stop() == ["first", "second"]  # no request failed, and no other model answered

    serving.apply(errors.REFUSED)  # and no later run proves what was rejected
    assert serving.answer("churn") == "second"
    serving.want(churn="2")
    serving.plan()  # the demo shows drift

    (replica,) = replicas(serving.applications["churn"])
    os.kill(replica_process(serving.applications["churn"]), signal.SIGKILL)
    until_other = time.monotonic() + 120
    while replicas(serving.applications["churn"]) in (set(), {replica}):
        assert time.monotonic() < until_other, serving.applications["churn"]
        time.sleep(0.2)
    serving.plan()  # Ray starts another, and nobody swaps for that
    assert serving.answer("churn") == "second"

    serving.edit("  application: churn", "  state: absent\n  application: churn")
    serving.apply()
    assert "churn" not in serving.applications
    assert serving.answer("churn") == ""
    serving.plan()


def test_two_environments_and_a_stranger_share_a_cluster(
    serving: Serving, real_ray: RealRay, tmp_path: Path
) -> None:
    package = serving.package({"theirs.py": THEIRS})
    theirs = {
        "name": "theirs",
        "route_prefix": "/theirs",
        "import_path": "theirs:app",
        "runtime_env": {"working_dir": package, "env_vars": {"PASSWORD": "hunter2"}},
    }
    serving.put(theirs)
    serving.until_running("theirs")
    alone = serving.applications["theirs"]
    other = Serving.on(real_ray, tmp_path / "others", "others")
    serving.want(ours="1")
    serving.apply()
    other.want(also="2")
    other.apply()
    other.want(ours="2")
    assert "belongs to toys@" in other.apply(errors.REFUSED)
    shown = serving.applications["theirs"]
    assert shown["deployed_app_config"] == theirs
    assert replicas(shown) == replicas(alone)
    assert [serving.answer(each) for each in ("theirs", "ours", "also")] == [
        "theirs",
        "first",
        "second",
    ]
    serving.want()
    serving.run("apply", "--yes", "--prune")
    assert "hunter2" not in "".join(
        path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file()
    )


def test_settings_are_owned_and_what_is_slow_or_does_not_import_is_given_up(
    serving: Serving,
) -> None:
    serving.versions({"3": {"word": "third", "slow_s": 600}})
    serving.want(churn="1")
    serving.apply()
    serving.edit('resources: {cpus: "0.1"}', 'replicas: 2\n  resources: {cpus: "0.1"}')
    assert "settings.replicas: absent → 2" in serving.plan(errors.CHANGES)
    serving.apply()
    assert len(replicas(serving.applications["churn"])) == 2
    serving.edit("replicas: 2", "replicas: 1")
    serving.edit('cpus: "0.1"', 'cpus: "999"')
    serving.edit("startTimeout: 10m", "startTimeout: 5s")
    said = serving.apply(errors.UNPROVED)
    assert "its previous settings are declared again" in said
    assert serving.answer("churn") == "first"
    serving.until_running("churn")
    serving.edit('cpus: "999"', 'cpus: "0.1"')
    serving.edit('version: "1"', 'version: "3"')
    said = serving.apply(errors.UNPROVED)
    assert "it is still being deployed" in said
    assert "rolled back, and proved" in said
    assert serving.answer("churn") == "first"
    serving.edit("startTimeout: 5s", "startTimeout: 10m")
    (serving.folder / "code" / "serve.py").write_text("import no_such_library\n")
    serving.edit('version: "3"', 'version: "2"')
    assert "No module named 'no_such_library'" in serving.apply(errors.UNPROVED)
    assert serving.answer("churn") == "first"


def replica_process(shown: Any) -> int:
    """The process of the one replica that runs."""
    every = (replica for d in shown["deployments"].values() for replica in d["replicas"])
    (process,) = [each["pid"] for each in every if each["state"] == "RUNNING"]
    return int(process)


def replicas(shown: Any) -> set[str]:
    """The ids of the replicas that run."""
    every = (replica for d in shown["deployments"].values() for replica in d["replicas"])
    return {each["replica_id"] for each in every if each["state"] == "RUNNING"}
