"""How to sign in: what the environment says, what the flag says, and that it happens once."""

from __future__ import annotations

import io
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests
from requests.adapters import BaseAdapter

from reconciler.cli import choose, compose, session
from reconciler.model import Auth
from tests.door import Door

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Ran
    from tests.lab import Lab

    Command = Callable[..., Ran]

NEEDED = ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET")


@pytest.fixture
def on_azure(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """An environment of the real cloud, on a machine that knows no way to sign in."""
    lab.edit("environment.yaml", "cloud: emulator", "cloud: azure\n    auth: client-secret")
    for name in (*NEEDED, "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return lab


def test_what_a_way_needs_is_named_before_anything_is_asked(
    on_azure: Lab, command: Command
) -> None:
    ran = command("plan")
    assert ran.code == 3
    for name in NEEDED:
        assert f"error: auth: client-secret: environment variable {name} is not set" in ran.err


def test_the_flag_wins_and_a_missing_permission_names_its_line(
    on_azure: Lab, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NEEDED:
        monkeypatch.setenv(name, "set-for-a-test")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    ran = command("apply", "--auth", "github-oidc", "--yes")
    assert ran.code == 3
    assert "add the line `id-token: write` below `permissions:`" in ran.err


def test_an_unknown_way_is_wrong_usage_and_lists_the_known_ones(command: Command) -> None:
    ran = command("plan", "--auth", "password")
    assert ran.code == 64
    assert all(auth.value in ran.err for auth in Auth)


def test_the_way_to_sign_in_is_no_part_of_the_plan(lab: Lab, command: Command) -> None:
    """A plan is made by a reader's identity and applied by a writer's."""
    plans = [command("plan", "-o", "json", *how) for how in ((), ("--auth", "github-oidc"))]
    assert plans[0].code == plans[1].code == 0
    assert json.loads(plans[0].out)["digest"] == json.loads(plans[1].out)["digest"]


class Deaf(BaseAdapter):
    """Refuses everything, and remembers who came with which Authorization."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[str, str]] = []

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:
        said = request.headers.get("Authorization", "")
        self.heard.append((str(request.url).split("/")[2], str(said)))
        answer = requests.Response()
        answer.status_code = 403
        answer.raw = io.BytesIO(b"{}")
        return answer

    def close(self) -> None:
        pass


def test_a_run_signs_in_once_and_tells_only_the_resource_manager(
    on_azure: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {"accessToken": "access-canary-1", "expires_on": int(time.time()) + 3600}
    program = tmp_path / "az"
    program.write_text(f"#!/bin/sh\necho once >> {tmp_path}/asked\necho '{json.dumps(said)}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    wanted = choose.choose(compose.load(on_azure.services), "local", Auth.AZURE_CLI)
    deaf = Deaf()
    with session.opened(wanted, None) as opened:
        opened.http.mount("https://", Door(deaf))
        for _ in range(2):
            opened.observe()
    assert (tmp_path / "asked").read_text() == "once\n"
    hosts = {host for host, said in deaf.heard if "access-canary-1" in said}
    assert hosts == {"management.azure.com"}
