"""No secret byte of a workspace leaves the program: keys and tokens of endpoints, the signed addresses
of operations and blobs, and the value of a variable of a deployment."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from reconciler import emulator, errors
from reconciler.cli.compose import EMULATOR_VARIABLE
from reconciler.cli.stopping import SystemClock
from reconciler.platforms.azureml.endpoint import OnlineEndpoints
from tests.azureml.emulated import SAMPLE
from tests.secrets.test_canaries import Wiretap, echo, everything, leaks, written

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from reconciler.emulator.messages import Request
    from tests.secrets.test_canaries import Command

BY_TOKEN = """\
---
apiVersion: reconciler/v1
kind: OnlineEndpoint
metadata: {name: by-token}
spec:
  endpoint: churn-by-token
  create: true
  authMode: AMLToken
  instanceType: Standard_DS3_v2
  instances: 1
  environment: python:1
  code: scoring
  model: {name: churn, version: "2"}
  verify: {request: probe.json, answer: /predictions, columns: [churns]}
"""
COMMANDS: list[tuple[str, ...]] = [
    ("validate",),
    ("doctor", "-vv"),
    ("plan", "-vv", "--out", "plan.json"),
    ("plan", "-vv", "-o", "json"),
    ("apply", "-vv", "--yes", "--report", "report.json"),
    ("apply", "-vv", "--yes", "--report", "again.json", "-o", "markdown"),
    ("ci", "comment", "-vv", "--report", "report.json", "--dry-run"),
    ("status", "-vv"),
    ("report", "-vv", "--html", "page.html", "--report", "report.json"),
    ("verify", "-vv", "-o", "json"),
    ("history", "-vv", "churn"),
    ("export", "-vv"),
    ("export", "-vv", "--out", "exports"),
    ("plan", "-vv", "--live", "exports"),
    ("snapshot", "-vv", "--out", "snapshot.json"),
    ("plan", "-vv", "--live", "snapshot.json"),
    ("rollback", "-vv", "churn", "--yes"),
    ("reinstate", "-vv", "churn", "2", "--yes"),
]


class Workspace:
    """The sample behind a socket, with a secret variable and an endpoint that is asked by token."""

    def __init__(self, folder: Path) -> None:
        self.files = folder / "services" / "endpoints"
        self.cloud = emulator.Cloud(emulator.Options(speed=200.0))
        self.door = emulator.serve(self.cloud, 0)
        self.door.start()
        shutil.copytree(SAMPLE, self.files, ignore=shutil.ignore_patterns(".reconciler"))
        (self.files / ".reconciler").mkdir()
        self.cloud.seed(self.files / "_emulator" / "seed.yaml")
        path = self.files / "churn.yaml"
        text = path.read_text().replace(
            "code: scoring", "code: scoring\n  variables: {TOKEN: env:LOCAL_TOKEN}"
        )
        path.write_text(text + BY_TOKEN)

    @property
    def environ(self) -> dict[str, str]:
        """The variables of its runs."""
        return {EMULATOR_VARIABLE: self.door.url, "LOCAL_TOKEN": "a-secret-of-the-code"}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    made = Workspace(tmp_path)
    for name, value in made.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    yield made
    made.door.stop()


def test_no_canary_of_a_workspace_is_printed_or_written(
    workspace: Workspace, command: Command, tmp_path: Path
) -> None:
    tap = Wiretap(workspace)
    texts = everything(command, tmp_path, COMMANDS)
    assert "local-churn-key" in tap.secrets
    assert any(len(secret) > 1_000 for secret in tap.secrets)  # the address of an operation
    assert len(tap.secrets) > 10
    assert "a-secret-of-the-code" in tap.secrets
    assert "2 bindings are in sync" in texts[f"5 {' '.join(COMMANDS[5])}"]
    assert leaks(tap.secrets, texts) == []


OPERATIONS, SCORING = "/mfeoperations", "/inference/"


def wait_less(clock: SystemClock, seconds: float) -> None:
    """Let a tenth of the time pass and count all of it: the answer never gets better."""
    clock._stop.event.wait(seconds / 10)
    clock._began += seconds * 0.9


@pytest.mark.parametrize(
    ("door", "status"), [(OPERATIONS, 200), (OPERATIONS, 409), (SCORING, 401), (SCORING, 409)]
)
def test_a_workspace_that_echoes_secrets_does_not_make_us_tell_them(
    workspace: Workspace,
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    door: str,
    status: int,
) -> None:
    monkeypatch.setattr(SystemClock, "wait", wait_less)
    tap = Wiretap(workspace)

    def hostile(request: Request) -> Any:
        told = door in request.path.casefold()
        return echo(request, status, "application/json") if told else None

    tap.hostile = hostile
    ran = command("apply", "-vv", "--yes", "--report", "report.json")
    assert ran.code not in (errors.SUCCESS, errors.BUG), (ran.out, ran.err)
    assert leaks(tap.secrets, {"out": ran.out, "err": ran.err, **written(tmp_path)}) == []


def test_a_traceback_holds_no_key_and_no_signed_address(
    workspace: Workspace, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tap = Wiretap(workspace)
    signed = [f"{name}={name.upper() * 43}" for name in "csh"]
    tap.secrets |= {pair[2:] for pair in signed}

    def broken(*_: object) -> None:
        address = f"https://x/mfeOperationsStatus/oe:1?api-version=1&t=1&{'&'.join(signed)}"
        raise ZeroDivisionError(f"local-churn-key {address}")

    monkeypatch.setattr(OnlineEndpoints, "switch", broken)
    ran = command("apply", "-vv", "--yes", "--report", "report.json")
    assert "Traceback" in ran.err
    assert "ZeroDivisionError" in (tmp_path / "report.json").read_text()
    assert leaks(tap.secrets, {"out": ran.out, "err": ran.err, **written(tmp_path)}) == []
