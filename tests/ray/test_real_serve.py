"""ServeApplication on a real Ray: proved, taken back, restored, and beside what others run.

Most of the time of a swap is that of Ray, so what can share a swap does: two environments write to
one cluster at a time, and all that can go wrong goes wrong in one run.
"""

from __future__ import annotations

import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from reconciler import errors
from tests.ray.head import free_ports
from tests.ray.serving import SERVE, Prober, Serving

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
OWN = """\
import json
from urllib.parse import unquote, urlsplit

from ray import serve


@serve.deployment
class Own:
    def __init__(self, model, greeting):
        with open(unquote(urlsplit(model["uri"]).path)) as file:
            self.words = json.load(file)
        self.version, self.greeting = model["version"], greeting

    def check_health(self):
        if self.words.get("sick"):
            raise RuntimeError("it does not feel well")

    async def __call__(self, request):
        word = f"{self.greeting} {self.words['word']}"
        return {"rows": [{"word": word}], "version": self.version}


def build(args):
    return Own.bind(args["model"], args["greeting"])
"""


@pytest.fixture
def serving(real_ray: RealRay, tmp_path: Path) -> Iterator[Serving]:
    """A tree of its own; in the end no application is on the cluster."""
    made = Serving.on(real_ray, tmp_path / "toys")
    yield made
    made.clear()


def test_served_swapped_and_deleted_beside_what_others_run(
    serving: Serving, real_ray: RealRay, tmp_path: Path
) -> None:
    theirs = {
        "name": "theirs",
        "route_prefix": "/theirs",
        "import_path": "theirs:app",
        "runtime_env": {
            "working_dir": serving.package({"theirs.py": THEIRS}),
            "env_vars": {"PASSWORD": "hunter2"},
        },
    }
    serving.put(theirs)
    serving.want(churn="1")
    assert "1 changed, 1 proved" in serving.apply()
    assert serving.answer("churn") == "first"
    serving.plan()
    serving.until_running("theirs")
    alone, before = serving.applications["theirs"], serving.applications["churn"]

    heard, serving.serve = serving.serve, f"http://127.0.0.1:{free_ports(1)[0]}"
    serving.want(churn="2")  # Serve runs already, and listens at a port that is not declared
    proxy = heard.removeprefix("http://")
    assert f"the proxy of Serve listens at {proxy}; correct spec.ray.serve" in serving.apply(
        errors.REFUSED
    )
    assert serving.applications["churn"]["deployed_app_config"] == before["deployed_app_config"]
    serving.serve = heard

    serving.want(churn="2")
    other = Serving.on(real_ray, tmp_path / "others", "others")
    other.want(also="2", churn="1")
    with ThreadPoolExecutor(1) as pool, Prober(serving, "churn") as prober:
        beside = pool.submit(other.apply, errors.PARTIAL)
        assert "1 changed, 1 proved" in serving.apply()
        assert "belongs to toys@" in beside.result()
    assert prober.heard == ["first", "second"]  # no request failed, and no other model answered
    serving.plan()
    assert other.answer("also") == "second"

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
    assert (serving.answer("churn"), serving.answer("theirs")) == ("", "theirs")
    other.want()
    other.run("apply", "--yes", "--prune")
    assert set(serving.applications) == {"theirs"}
    shown = serving.applications["theirs"]
    assert shown["deployed_app_config"] == theirs
    assert replicas(shown) == replicas(alone)
    kept = [path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file()]
    assert "hunter2" not in "".join(kept)


def test_what_does_not_start_is_taken_back_and_only_that(serving: Serving) -> None:
    """One run: a constructor that raises, an import that fails, a node that is not there, a start
    that takes too long, a replica that is not healthy, and one swap that nothing hinders."""
    declare_all(serving)
    assert "6 changed, 6 proved" in serving.apply()
    serving.plan()
    assert serving.answer("sick") == "hello first"
    serving.edit("replicas: 1", "replicas: 2", of="good")
    assert "settings.replicas: 1 → 2" in serving.plan(errors.CHANGES)

    for version, name in enumerate(("good", "raises", "imports", "slow", "sick"), 2):
        serving.edit('version: "1"', f'version: "{version}"', of=name)
    (serving.folder / "other" / "serve.py").write_text("import no_such_library\n")
    serving.edit('cpus: "0.1"', 'cpus: "999"', of="hungry")
    for name in ("slow", "hungry"):
        serving.edit("startTimeout: 10m", "startTimeout: 5s", of=name)
    printed = serving.apply(errors.UNPROVED)
    for why in (
        "ValueError: the words are broken",
        "No module named 'no_such_library'",
        "it is still being deployed",
        "its previous settings are declared again",
        "it does not feel well",
    ):
        assert why in printed
    back = set(re.findall(r"✓ (\w+) 1 rolled back", printed))
    assert back == {"raises", "imports", "slow", "sick"}, printed
    names = ("good", "raises", "imports", "slow", "sick", "hungry")
    answers = [serving.answer(name) for name in names]
    assert answers == ["second", "first", "first", "first", "hello first", "first"]
    assert len(replicas(serving.applications["good"])) == 2
    serving.edit('cpus: "999"', 'cpus: "0.1"', of="hungry")
    assert "rejected" in serving.apply(errors.REFUSED)  # and no later run proves what was rejected


def declare_all(serving: Serving) -> None:
    """Six applications that serve a version each of which would be their own."""
    for folder, file, text in (("other", "serve.py", SERVE), ("own", "own.py", OWN)):
        (serving.folder / folder).mkdir()
        (serving.folder / folder / file).write_text(text)
    serving.versions(
        {
            "3": {"word": "third", "broken": True},
            "4": {"word": "fourth"},
            "5": {"word": "fifth", "slow_s": 600},
            "6": {"word": "sixth", "sick": True},
        }
    )
    serving.want(**dict.fromkeys(("good", "raises", "imports", "slow", "sick", "hungry"), "1"))
    serving.edit("data: data", 'data: data\n  limits: {changes: "100%"}')
    serving.edit("resources:", "replicas: 1\n  resources:", of="good")
    serving.edit("code: code", "code: other", of="imports")
    own = "code: own\n  importPath: own:build\n  deployment: Own\n  args: {greeting: hello}"
    serving.edit("code: code", own, of="sick")
    serving.edit("answer: /rows", "answer: /rows, model: /version", of="sick")


def replica_process(shown: Any) -> int:
    """The process of the one replica that runs."""
    every = (replica for d in shown["deployments"].values() for replica in d["replicas"])
    (process,) = [each["pid"] for each in every if each["state"] == "RUNNING"]
    return int(process)


def replicas(shown: Any) -> set[str]:
    """The ids of the replicas that run."""
    every = (replica for d in shown["deployments"].values() for replica in d["replicas"])
    return {each["replica_id"] for each in every if each["state"] == "RUNNING"}
