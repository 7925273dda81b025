"""The sample without a cloud, as the README tells it: train, gate, swap, proof, drift, rollback."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler import errors

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent.parent
COMMAND = (sys.executable, "-m", "reconciler")


class Home:
    """A copy of `services/_home` in a repository, and its server on a port that is free."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "home"
        shutil.copytree(ROOT / "services" / "_home", self.folder)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.edit("serve.py", "8500", str(port))
        self.edit("wine.yaml", "8500", str(port))
        self.edit("wine.yaml", "command: python ", f"command: {sys.executable} ")
        outside = {n: v for n, v in os.environ.items() if not n.startswith("GITHUB_")}
        self.environ = {**outside, "PYTHONPATH": str(ROOT)}
        for arguments in (("init", "--quiet"), ("add", "--all")):
            subprocess.run(["git", *arguments], cwd=self.folder, check=True)
        self.server = subprocess.Popen([sys.executable, "serve.py"], cwd=self.folder)

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new), "utf-8")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments, "--services", "."],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def apply(self, code: int = errors.SUCCESS) -> str:
        ran = self.run("apply", "--yes")
        assert ran.returncode == code, ran.stdout + ran.stderr
        return ran.stdout

    @property
    def declared(self) -> str:
        version: str = json.loads((self.folder / "serving" / "wine.json").read_text())["version"]
        return version

    @property
    def jobs(self) -> int:
        return len(list((self.folder / ".reconciler" / ".jobs").glob("rc-*")))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path)
    yield made
    made.server.kill()
    made.server.wait()


def test_the_sample_is_trained_swapped_proved_repaired_and_rolled_back(home: Home) -> None:
    assert home.run("plan", "--detailed-exitcode").returncode == errors.CHANGES
    assert "1 changed, 1 proved" in home.apply()
    assert home.declared == "2026-10"
    assert home.run("plan", "--detailed-exitcode").returncode == errors.SUCCESS

    home.edit("wine.yaml", '"2026-10"', '"2026-11"')
    assert "1 changed, 1 proved" in home.apply()
    assert (home.declared, home.jobs) == ("2026-11", 2)

    home.edit("serving/wine.json", '"2026-11"', '"2026-12"')
    drift = home.run("drift", "--detailed-exitcode")
    assert drift.returncode == errors.CHANGES
    assert "serving/wine.json was edited by hand" in " ".join(drift.stdout.split())
    assert "undo it: reconciler apply -e home --services ." in drift.stderr
    assert "--accept" not in drift.stderr, "no version has that number and that digest"
    assert "1 changed, 1 proved" in home.apply()
    assert home.declared == "2026-11"
    (home.folder / "serving" / "wine.json").unlink()
    gone = home.run("drift", "--accept")
    assert gone.returncode == errors.PARTIAL
    assert "the endpoint is gone; declare `state: absent` to keep that" in gone.stderr
    assert home.run("drift").stderr.endswith("; keep it: declare `state: absent` below spec\n")
    assert "1 changed, 1 proved" in home.apply()
    home.edit("serving/wine.json", '"2026-11"', '"2026-12"')
    assert "1 changed, 1 proved" in home.apply()  # what was made again knows only itself

    assert home.run("rollback", "wine", "--yes").returncode == errors.SUCCESS
    assert home.declared == "2026-10"
    home.apply(errors.REFUSED)
    assert "not drift, but refused by plan: wine" in home.run("drift").stderr
    (home.folder / "serving" / "wine.json").unlink()
    assert "2026-10 is restored, and proved" in " ".join(home.apply(errors.PARTIAL).split())
    assert (home.declared, home.jobs) == ("2026-10", 2)


@pytest.mark.long
def test_without_a_place_to_ask_a_swap_is_declared_only(home: Home) -> None:
    text = (home.folder / "wine.yaml").read_text("utf-8")
    (home.folder / "wine.yaml").write_text(text[: text.index("  verify:")], "utf-8")
    ran = home.run("apply", "--yes")
    assert ran.returncode == errors.SUCCESS
    assert "declared only" in ran.stdout
    assert "0 proved" in ran.stdout
    assert "wine: declared only" in ran.stderr
    home.edit("wine.yaml", '"2026-10"', '"2026-11"')
    home.apply()
    assert home.run("rollback", "wine", "--yes").returncode == errors.SUCCESS
    assert home.declared == "2026-10"
    home.edit("serving/wine.json", '"2026-10"', '"2026-12"')
    drift = home.run("drift").stdout
    assert "declared here on" in drift
    assert "proved" not in drift


def test_a_first_pointer_of_which_no_server_was_told_counts_as_configured_only(home: Home) -> None:
    text = (home.folder / "wine.yaml").read_text("utf-8")
    kept = text[: text.index("  verify:")]
    (home.folder / "wine.yaml").write_text(f'{kept}  reload: "false"\n', "utf-8")
    home.apply(errors.UNPROVED)
    assert home.run("plan", "--detailed-exitcode").returncode == errors.CHANGES
    home.apply(errors.UNPROVED)  # the next run tells the server again, and does not end well
    assert home.run("verify").returncode == errors.UNPROVED
    home.edit("wine.yaml", 'reload: "false"', 'reload: "true"')
    assert home.run("reinstate", "wine", "2026-10", "--yes").returncode == errors.SUCCESS
    assert "declared only" in home.apply()
    assert home.jobs == 1


def test_a_gate_that_does_not_accept_a_version_keeps_it_out(home: Home) -> None:
    home.edit("wine.yaml", '"0.95"', '"1.1"')
    home.apply(errors.REFUSED)
    assert not (home.folder / "serving").exists()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("import csv\n", "import nothing_such\n", "No module named 'nothing_such'"),
        ("json.dumps(metrics)", "json.dumps({'AUC': float('nan')})", "NaN is not a number of JSON"),
        ("joblib.dump(model, given.model)", "", "its model ({outputs.model}) was not written"),
    ],
)
def test_a_training_that_fails_says_why(home: Home, old: str, new: str, said: str) -> None:
    home.edit("training/train.py", old, new)
    home.edit("wine.yaml", "timeout: 5m", "timeout: 5m\n    retry: {attempts: 1}")
    ran = home.run("apply", "--yes")
    assert ran.returncode not in (errors.SUCCESS, errors.BUG)
    assert said in ran.stderr
    assert not (home.folder / "serving").exists()


def test_a_server_that_is_asked_elsewhere_needs_another_approval(home: Home) -> None:
    assert home.run("plan", "--out", "plan.json").returncode == errors.SUCCESS
    home.edit("wine.yaml", "answer: /chances", "answer: /others")
    assert home.run("apply", "plan.json").returncode == errors.STALE


@pytest.mark.parametrize("opened", ["--c '{parameters.c}", '--c "{parameters.c}'])
def test_a_command_that_is_no_command_is_refused_before_it_is_run(home: Home, opened: str) -> None:
    home.edit("wine.yaml", "--c {parameters.c}", opened)
    home.edit("wine.yaml", "  create: true", '  create: true\n  reload: "echo \'again"')
    ran = home.run("validate")
    assert ran.returncode == errors.CONFIGURATION
    assert "spec.training.command: no closing quotation" in ran.stderr
    assert "spec.reload: no closing quotation" in ran.stderr
    home.edit("wine.yaml", "echo 'again", "  ")
    assert "spec.reload: it names no program" in home.run("validate").stderr


def test_a_store_folder_that_is_missing_is_an_error(home: Home) -> None:
    shutil.rmtree(home.folder / ".reconciler")
    ran = home.run("plan")
    assert ran.returncode == errors.CONFIGURATION
    assert "mkdir -p" in ran.stderr
