"""A repository at GitHub with `services/local`, its pull requests, and the cloud behind it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.ci.gits import git
from tests.ci.hosted import Event, Job, Runner, copied
from tests.ci.standin import REPOSITORY, StandIn
from tests.lab import Lab

ROOT = Path(__file__).parent.parent.parent
BREAST_CANCER, DIABETES = "services/local/breast-cancer.yaml", "services/local/diabetes.yaml"


class Hub:
    """The bare repository, a clone to commit in, and a runner with an emulator beside it."""

    def __init__(self, folder: Path, github: StandIn) -> None:
        self.github, self.folder = github, folder
        self.lab = Lab(folder / "lab", door="server", clock=time.time, speed=100.0)
        self.origin, self.clone = folder / "origin", folder / "clone"
        self.origin.mkdir()
        git(self.origin, "init", "--bare", "--quiet")
        git(self.origin, "config", "uploadpack.allowAnySHA1InWant", "true")
        git(folder, "clone", "--quiet", str(self.origin), str(self.clone))
        copied(ROOT / ".github", self.clone / ".github")
        copied(ROOT / "services", self.clone / "services")
        shutil.copy(ROOT / "pyproject.toml", self.clone)  # the action is of the same repository
        self._commit("begin")
        git(self.clone, "push", "--quiet", "origin", "HEAD:main")
        github.repository = self.origin
        self.runner = Runner(self.origin, github, folder, {"RECONCILER_EMULATOR": self.lab.url})
        self._number = 0

    def command(self, *arguments: str) -> str:
        """What a command line prints, run by hand in the clone; it must go well."""
        program = str(Path(sys.executable).parent / "reconciler")
        done = subprocess.run(
            [program, *arguments],
            cwd=self.clone,
            env={"PATH": os.defpath, **self.lab.environ},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def close(self) -> None:
        self.lab.close()

    @property
    def main(self) -> str:
        """The head of main."""
        return git(self.origin, "rev-parse", "main")

    def pull(self, *edits: tuple[str, str, str], fork: bool = False) -> Pull:
        """Open a pull request that replaces texts in files, `(path, old, new)`."""
        self._number += 1
        branch = f"change-{self._number}"
        git(self.clone, "checkout", "--quiet", "-B", branch, self.main)
        self.edit(*edits)
        pull = Pull(self, self._number, branch, fork)
        label = f"{'hubot' if fork else 'octo'}:{branch}"
        self.github.open_pull(pull.number, pull.push(), label=label)
        return pull

    def adopt(self, number: int) -> Pull:
        """A pull request that a workflow opened; people reopened it, so that workflows run."""
        self._number = max(self._number, number)
        head = self.github.pulls[number]["head"]
        pull = Pull(self, number, head["label"].partition(":")[2], False)
        git(self.clone, "fetch", "--quiet", "origin", head["sha"])
        pull.try_merge(head["sha"])
        return pull

    def push(self, *edits: tuple[str, str, str]) -> Event:
        """Push to main, past every pull request."""
        git(self.clone, "checkout", "--quiet", "--detach", self.main)
        self.edit(*edits)
        git(self.clone, "push", "--quiet", "origin", f"{self._commit('a push')}:main")
        return self.event("push")

    def event(self, name: str, **payload: Any) -> Event:
        """Something that happens at the head of main."""
        repository = {"full_name": REPOSITORY, "default_branch": "main"}
        return Event(name, {"repository": repository, **payload}, self.main, "refs/heads/main")

    def edit(self, *edits: tuple[str, str, str]) -> None:
        for path, old, new in edits:
            file = self.clone / path
            text = file.read_text()
            assert old in text, f"{path} has no {old!r}"
            file.write_text(text.replace(old, new))

    def run(self, workflow: str, event: Event) -> dict[str, Job]:
        """The jobs of one run."""
        return self.runner.run(f"{workflow}.yml", event)

    def served(self) -> dict[str, str]:
        """The version that each endpoint serves."""
        return {name: change.before for name, change in self.lab.changes().items()}

    def _commit(self, message: str) -> str:
        git(self.clone, "add", "--all")
        git(self.clone, "commit", "--quiet", "--message", message)
        return git(self.clone, "rev-parse", "HEAD")


class Pull:
    """One pull request."""

    def __init__(self, hub: Hub, number: int, branch: str, fork: bool) -> None:
        self._hub, self.number, self._branch, self.fork = hub, number, branch, fork
        self.head = self.merged = ""

    def push(self) -> str:
        """Commit what was edited; the new head."""
        self.try_merge(self._hub._commit(self._branch))
        return self.head

    def try_merge(self, head: str) -> None:
        """Let GitHub try the merge of a head, as it does after every push."""
        hub, self.head = self._hub, head
        git(hub.clone, "checkout", "--quiet", "--detach", hub.main)
        git(hub.clone, "merge", "--quiet", "--no-ff", "-m", "tried", self.head)
        tried = git(hub.clone, "rev-parse", "HEAD")
        refs = (
            f"{self.head}:refs/pull/{self.number}/head",
            f"{tried}:refs/pull/{self.number}/merge",
        )
        git(hub.clone, "push", "--quiet", "--force", "origin", *refs)
        if self.number in hub.github.pulls:
            hub.github.pulls[self.number]["head"]["sha"] = self.head

    def edit(self, *edits: tuple[str, str, str]) -> None:
        """Push one more commit."""
        git(self._hub.clone, "checkout", "--quiet", "--detach", self.head)
        self._hub.edit(*edits)
        self.push()

    @property
    def event(self) -> Event:
        """What workflows run for when it is opened or pushed to."""
        hub, ref = self._hub, f"refs/pull/{self.number}/merge"
        home = "hubot/endpoints" if self.fork else REPOSITORY
        payload = {
            "number": self.number,
            "pull_request": {
                "number": self.number,
                "head": {"sha": self.head, "ref": self._branch, "repo": {"full_name": home}},
                "base": {"sha": hub.main, "ref": "main"},
            },
        }
        event = hub.event("pull_request", **payload)
        return replace(
            event,
            commit=git(hub.origin, "rev-parse", ref),
            ref=ref,
            head=self.head,
            branch=self._branch,
            fork=self.fork,
        )

    def finished(self, workflow: str) -> Event:
        """A workflow has run for it: what a workflow of main hears, that knows no number of a fork."""
        hub, home = self._hub, "hubot/endpoints" if self.fork else REPOSITORY
        run = {
            "id": hub.runner.run_id,
            "name": workflow,
            "event": "pull_request",
            "head_sha": self.head,
            "head_branch": self._branch,
            "head_repository": {"full_name": home, "owner": {"login": home.split("/")[0]}},
            "pull_requests": [],
        }
        return hub.event("workflow_run", workflow_run=run)

    def merge(self) -> Event:
        """Squash it into main; the push that follows."""
        hub = self._hub
        git(hub.clone, "checkout", "--quiet", "--detach", hub.main)
        git(hub.clone, "merge", "--quiet", "--squash", self.head)
        self.merged = hub._commit(f"{self._branch} (#{self.number})")
        git(hub.clone, "push", "--quiet", "origin", f"{self.merged}:main")
        hub.github.close_pull(self.number, self.merged)
        return hub.event("push")

    @property
    def comments(self) -> list[str]:
        """What it says on it."""
        return [comment["body"] for comment in self._hub.github.comments[self.number]]
