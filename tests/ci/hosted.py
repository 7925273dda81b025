"""A small runner of GitHub's: it reads the workflows themselves, and runs their steps with bash.

It sets variables, files, events and tokens as GitHub does, knows the few actions of GitHub's that
we use, and gives a job's token exactly the permissions that the job declares, and of a fork only
those that read. What it does not know is an error, so nothing passes because it was not looked at.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.ci.expressions import filled, holds
from tests.ci.gits import git
from tests.ci.standin import REPOSITORY, StandIn, User
from tests.runner import outputs as parsed_outputs

BOT_ID = 41898282
MOST_S = 120


@dataclass(frozen=True)
class Step:
    """One step: its id, else what it runs, how it ended, and what it printed."""

    name: str
    outcome: str
    log: str
    outputs: dict[str, str]


@dataclass
class Job:
    """One job, as it ended."""

    result: str
    steps: list[Step] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    summary: str = ""

    @property
    def log(self) -> str:
        """Everything that its steps printed."""
        return "".join(step.log for step in self.steps)


@dataclass(frozen=True)
class Event:
    """What a workflow runs for: `commit` is checked out, `head` is what runs and artifacts name."""

    name: str
    payload: dict[str, Any]
    commit: str
    ref: str
    head: str = ""
    branch: str = "main"
    fork: bool = False


class Runner:
    """Runs workflows of a bare repository against a stand-in of GitHub."""

    def __init__(
        self, origin: Path, github: StandIn, folder: Path, environ: Mapping[str, str]
    ) -> None:
        self._origin, self._github, self._folder = origin, github, folder
        self._environ = dict(environ)
        self._runs = 0
        self.installed = folder / "installed"
        self._shims = _shims(folder / "shims", self.installed)

    def run(self, workflow: str, event: Event) -> dict[str, Job]:
        """Every job of a workflow by its name, run in their order."""
        self._runs += 1
        said = _yaml(self._show(event.commit, f".github/workflows/{workflow}"))
        assert event.name in said["on"], f"{workflow} does not run on {event.name}"
        done: dict[str, Job] = {}
        for name, job in said["jobs"].items():
            needs = job.get("needs", [])
            needs = [needs] if isinstance(needs, str) else needs
            assert all(need in done for need in needs), f"{name} stands before what it needs"
            running = _Job(self, event, said, name, job, {need: done[need] for need in needs})
            done[name] = running.run()
        return done

    @property
    def run_id(self) -> int:
        """The id of the run that runs, or ran last."""
        return 9000 + self._runs

    def _show(self, commit: str, path: str) -> str:
        return git(self._origin, "show", f"{commit}:{path}")


class _Job:
    """One job while it runs."""

    def __init__(
        self,
        runner: Runner,
        event: Event,
        workflow: Mapping[str, Any],
        name: str,
        job: Mapping[str, Any],
        needs: Mapping[str, Job],
    ) -> None:
        self._runner, self._event, self._job, self._needs = runner, event, job, needs
        self._folder = runner._folder / f"run-{runner.run_id}-{name}"
        self.workspace = self._folder / "workspace"
        self.workspace.mkdir(parents=True)
        self._temp = self._folder / "temp"
        self._temp.mkdir()
        self._summary = self._folder / "summary.md"
        self._github = runner._github
        self._token = self._grant(job.get("permissions", workflow["permissions"]))
        self._environ: dict[str, str] = {}
        self._paths: list[str] = []
        self._processes: list[int] = []
        self._may = job.get("permissions", {})

    def _grant(self, permissions: Mapping[str, str]) -> str:
        """A token that may do what the job declares; of a fork, read it."""
        if self._event.fork:
            permissions = {
                k: "read" if v == "write" else v for k, v in permissions.items() if k != "id-token"
            }
        token = f"ghs_{len(self._github.tokens):032d}"
        bot = User(BOT_ID, "github-actions[bot]", dict(permissions))
        self._github.tokens[token] = bot
        return token

    def run(self) -> Job:
        good = all(need.result == "success" for need in self._needs.values())
        functions = {"success": lambda: good, "failure": lambda: not good}
        if not holds(self._job.get("if", "success()"), self._contexts({}), _statuses(functions)):
            return Job("skipped")
        assert self._job["timeout-minutes"]
        done = Job("success")
        try:
            steps = _Steps(self, self._job["steps"], {}, done.steps)
            if not steps.run(self.workspace):
                done.result = "failure"
        finally:
            for process in self._processes:
                _kill(process)
        contexts = self._contexts({"steps": steps.contexts})
        wanted = self._job.get("outputs", {})
        done.outputs = {k: filled(v, contexts, _statuses({})) for k, v in wanted.items()}
        done.summary = self._summary.read_text() if self._summary.exists() else ""
        return done

    def _contexts(self, more: Mapping[str, Any]) -> dict[str, Any]:
        event = self._event
        github = {
            "event": event.payload,
            "event_name": event.name,
            "repository": REPOSITORY,
            "sha": event.commit,
            "ref": event.ref,
            "token": self._token,
            "run_id": str(self._runner.run_id),
        }
        needs = {k: {"result": v.result, "outputs": v.outputs} for k, v in self._needs.items()}
        return {
            **{"github": github, "needs": needs, "env": self._environ, "vars": {}, "secrets": {}},
            **{"runner": {"temp": str(self._temp)}, **more},
        }

    # --- one step ------------------------------------------------------------------------------

    def bash(
        self, script: str, environ: Mapping[str, str], action: Path | None
    ) -> tuple[bool, str, dict[str, str]]:
        """Whether it went well, what it printed, and its outputs."""
        files = {n: self._folder / n for n in ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH")}
        for file in files.values():
            file.write_text("")
        event = self._folder / "event.json"
        event.write_text(json.dumps(self._event.payload))
        given = {
            **self._runner._environ,
            "HOME": str(self._folder),
            "PATH": ":".join([*self._paths, str(self._runner._shims), os.defpath]),
            **{name: str(file) for name, file in files.items()},
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTOR": "mona",
            "GITHUB_API_URL": self._github.url,
            "GITHUB_EVENT_NAME": self._event.name,
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_REF": self._event.ref,
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_RUN_ATTEMPT": "1",
            "GITHUB_RUN_ID": str(self._runner.run_id),
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_SHA": self._event.commit,
            "GITHUB_STEP_SUMMARY": str(self._summary),
            "GITHUB_WORKSPACE": str(self.workspace),
            "RUNNER_TEMP": str(self._temp),
            **({"GITHUB_ACTION_PATH": str(action)} if action else {}),
            **self._environ,
            **environ,
        }
        code, log = self._ran(script, given)
        self._environ |= _env_file(files["GITHUB_ENV"].read_text())
        self._paths[:0] = files["GITHUB_PATH"].read_text().split("\n")[:-1]
        return code == 0, log, parsed_outputs(files["GITHUB_OUTPUT"].read_text())

    def _ran(self, script: str, environ: Mapping[str, str]) -> tuple[int, str]:
        """What is left in the background goes on until the job ends."""
        log = self._folder / "log"
        path = self._folder / "script.sh"
        path.write_text(script)
        with log.open("wb") as out:
            process = subprocess.Popen(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(path)],
                cwd=self.workspace,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._processes.append(process.pid)
            code = process.wait(MOST_S)
        return code, log.read_text(errors="replace")

    # --- the actions of GitHub's that we use ------------------------------------------------------

    def checkout(self, given: Mapping[str, str]) -> str:
        assert given["persist-credentials"] == "false", "the token must not stay in the clone"
        commit = given.get("ref") or self._event.commit
        depth = [] if given.get("fetch-depth") == "0" else ["--depth=1"]
        origin = f"file://{self._runner._origin}"
        git(self.workspace, "init", "--quiet")
        git(self.workspace, "remote", "add", "origin", origin)
        refs = [] if depth else ["+refs/heads/*:refs/remotes/origin/*"]
        git(self.workspace, "fetch", "--quiet", *depth, "origin", commit, *refs)
        git(self.workspace, "checkout", "--quiet", "--detach", "FETCH_HEAD")
        return f"checked out {commit}\n"

    def setup_python(self, given: Mapping[str, str]) -> str:
        assert given["python-version"]
        return ""

    def upload(self, given: Mapping[str, str]) -> str:
        path = self.workspace / given["path"]
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for file in [path] if path.is_file() else sorted(path.rglob("*")):
                archive.write(file, file.name)
        self._github.keep_artifact(
            given["name"],
            buffer.getvalue(),
            run=self._runner.run_id,
            commit=self._event.head or self._event.commit,
            fork=self._event.fork,
            branch=self._event.branch,
        )
        return ""

    def download(self, given: Mapping[str, str]) -> str:
        assert "run-id" not in given, "artifacts of other runs are read by the program"
        (one,) = [
            each
            for each in self._github.artifacts
            if (each.name, each.run) == (given["name"], self._runner.run_id)
        ]
        with zipfile.ZipFile(io.BytesIO(one.content)) as archive:
            archive.extractall(self.workspace / given["path"])
        return ""

    ACTIONS: Mapping[str, Callable[[_Job, Mapping[str, str]], str]] = {
        "actions/checkout": checkout,
        "actions/setup-python": setup_python,
        "actions/upload-artifact": upload,
        "actions/download-artifact": download,
    }


class _Steps:
    """The steps of a job, or of a composite action with its inputs."""

    def __init__(
        self, job: _Job, steps: list[dict[str, Any]], inputs: Mapping[str, str], done: list[Step]
    ) -> None:
        self._job, self._steps, self._inputs, self._done = job, steps, inputs, done
        self._good = True
        self.contexts: dict[str, Any] = {}

    def run(self, action: Path) -> bool:
        """Whether all went well; those after a failure run if their `if` says so."""
        functions = {"success": lambda: self._good, "failure": lambda: not self._good}
        for step in self._steps:
            contexts = self._job._contexts({"steps": self.contexts, "inputs": self._inputs})
            if not holds(step.get("if", "success()"), contexts, _statuses(functions)):
                continue
            self._one(step, contexts, action)
        return self._good

    def _one(self, step: Mapping[str, Any], contexts: Mapping[str, Any], action: Path) -> None:
        def text(value: str) -> str:
            return filled(value, contexts, _statuses({}))

        if "run" in step:
            assert "${{" not in step["run"], "inputs reach a script as variables only"
            environ = {name: text(value) for name, value in step.get("env", {}).items()}
            inside = action if action != self._job.workspace else None
            good, log, outputs = self._job.bash(step["run"], environ, inside)
        else:
            given = {name: text(value) for name, value in step.get("with", {}).items()}
            good, log, outputs = self._use(step["uses"], given)
        self._good &= good
        outcome = "success" if good else "failure"
        if "id" in step:
            self.contexts[step["id"]] = {"outputs": outputs, "outcome": outcome}
        if "run" in step or not step["uses"].startswith("./"):
            name = step.get("id") or step.get("run") or step["uses"]
            self._done.append(Step(name, outcome, log, outputs))

    def _use(self, uses: str, given: Mapping[str, str]) -> tuple[bool, str, dict[str, str]]:
        if not uses.startswith("./"):
            name, _, pin = uses.partition("@")
            assert re.fullmatch(r"[0-9a-f]{40}", pin), f"{uses} is pinned by no commit"
            return True, _Job.ACTIONS[name](self._job, given), {}
        folder = self._job.workspace / uses
        said = _yaml((folder / "action.yml").read_text())
        unknown = given.keys() - said["inputs"].keys()
        assert not unknown, f"{uses} has no input {unknown}"
        contexts = self._job._contexts({})
        inputs = {
            name: given.get(name, filled(one.get("default", ""), contexts, _statuses({})))
            for name, one in said["inputs"].items()
        }
        missing = [n for n, one in said["inputs"].items() if one.get("required") and not inputs[n]]
        assert not missing, f"{uses} needs {missing}"
        steps = _Steps(self._job, said["runs"]["steps"], inputs, self._done)
        good = steps.run(folder)
        contexts = self._job._contexts({"steps": steps.contexts})
        outputs = {
            name: filled(one["value"], contexts, _statuses({}))
            for name, one in said.get("outputs", {}).items()
        }
        return good, "", outputs


def _statuses(functions: Mapping[str, Callable[[], bool]]) -> dict[str, Callable[[], bool]]:
    return {"always": lambda: True, "cancelled": lambda: False, **functions}


def _env_file(text: str) -> dict[str, str]:
    """`NAME=value` by line."""
    return dict(line.split("=", 1) for line in text.splitlines() if line)


def _yaml(text: str) -> Any:
    """A workflow as texts: `on` is no boolean, and `true` is what people wrote."""
    return yaml.load(text, yaml.BaseLoader)


def _shims(folder: Path, installed: Path) -> Path:
    """A folder with a `python3` whose virtual environments have this program without pip: it notes
    what was to be installed where. Whatever is not run with -I is refused.
    """
    folder.mkdir(parents=True)
    (folder / "program").symlink_to(Path(sys.executable).parent / "reconciler")
    shim = folder / "python3"
    shim.write_text(
        f"""#!/bin/bash
case "$*" in
  "-I -m venv --clear "*)
    mkdir -p "$5/bin"
    cp "{shim}" "$5/bin/python" ;;
  "-I -m pip install "*)
    echo "$0 ${{@: -1}}" >>"{installed}"
    ln -sf "{folder}/program" "$(dirname "$0")/reconciler" ;;
  "-I -c "*)
    exec "{sys.executable}" "$@" ;;
  *)
    echo "python3 $* may run a file of the checkout"
    exit 9 ;;
esac
"""
    )
    shim.chmod(0o755)
    return folder


def _kill(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def copied(source: Path, to: Path) -> None:
    """A copy of a folder of the repository."""
    shutil.copytree(source, to, dirs_exist_ok=True)
