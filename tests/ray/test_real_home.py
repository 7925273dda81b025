"""The sample for Ray, on a real one: train on the cluster, gate, serve there, prove, train no more."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reconciler import errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.ray.head import RealRay

pytestmark = pytest.mark.live
ROOT = Path(__file__).parent.parent.parent


class Home:
    """A copy of `services/_ray` in a repository, connected to a cluster."""

    def __init__(self, folder: Path, ray: RealRay) -> None:
        self.folder, self.ray = folder / "home", ray
        shutil.copytree(ROOT / "services" / "_ray", self.folder)
        (self.folder / ".reconciler").mkdir(exist_ok=True)
        self.edit("environment.yaml", "http://127.0.0.1:8265", ray.url)
        self.edit("environment.yaml", ":8000", f":{ray.serve_port}")
        # a cluster outlives a test, and a key is trained once on it
        self.edit("training/train.py", '"""Trains', f'"""For {folder}: trains')
        outside = {n: v for n, v in os.environ.items() if not n.startswith("GITHUB_")}
        self.environ = {**outside, "PYTHONPATH": str(ROOT), "RAY_AUTH_TOKEN": ray.token}
        for words in (("init", "--quiet"), ("add", "--all")):
            subprocess.run(["git", *words], cwd=self.folder, check=True)

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new), "utf-8")

    def run(self, *words: str, code: int = errors.SUCCESS) -> str:
        ran = subprocess.run(
            [sys.executable, "-m", "reconciler", *words, "--services", "."],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert ran.returncode == code, ran.stdout + ran.stderr
        return ran.stdout + ran.stderr

    def attempts(self, version: str) -> list[dict[str, Any]]:
        path = self.folder / ".reconciler" / "wine" / version / "manifest.json"
        found: list[dict[str, Any]] = json.loads(path.read_text())["attempts"]
        return found

    def answer(self) -> Any:
        body = (self.folder / "probe.json").read_bytes()
        url = f"http://127.0.0.1:{self.ray.serve_port}/wine"
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=60) as answer:
            return answer.headers["X-Reconciler-Version"], json.loads(answer.read())


@pytest.fixture
def home(real_ray: RealRay, tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path, real_ray)
    yield made
    if not real_ray.get("/api/serve/applications/")["applications"]:
        return  # and Serve, which a request would start on a port of its own, is left alone
    real_ray.put("/api/serve/applications/", {"applications": []})
    until = time.monotonic() + 120
    while real_ray.get("/api/serve/applications/")["applications"]:
        assert time.monotonic() < until, "the applications of a test were not deleted"
        time.sleep(0.5)


def test_the_commands_of_the_guide_train_serve_and_prove(home: Home) -> None:
    guide = (ROOT / ".github" / "RAY.md").read_text("utf-8")
    block = re.search(r"```sh\n(.*?)```", guide, re.DOTALL)
    assert block is not None
    lines = [line.split() for line in block[1].splitlines() if line.startswith("reconciler ")]
    assert [line[1:] for line in lines] == [
        ["plan", "--services", "services/_ray"],
        ["apply", "--services", "services/_ray"],
    ]
    assert "✓ engine ray" in home.run("doctor")
    home.run("plan", "--detailed-exitcode", code=errors.CHANGES)
    assert "1 changed, 1 proved" in home.run("apply", "--yes")
    assert home.answer()[0] == "2026-10"
    home.run("plan", "--detailed-exitcode")
    assert "✓ probe" in home.run("doctor")

    home.edit("wine.yaml", '"0.95"', '"1.1"')
    home.edit("wine.yaml", 'version: "2026-10"', 'version: "2026-11"')
    home.run("apply", "--yes", code=errors.REFUSED)  # a gate keeps a version out
    for trained in ("2026-10", "2026-11"):
        assert len(home.attempts(trained)) == 1
    version, answer = home.answer()  # the demo swaps it
    assert version == "2026-10"
    assert answer["chances"][0]["class_0"] > 0.5
