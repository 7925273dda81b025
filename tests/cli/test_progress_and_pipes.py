"""What a command says beside its document, and where it can be written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reconciler import errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ran
    from tests.lab import Lab

    Command = Callable[..., Ran]

LOGGED = re.compile(
    r"DEBUG reconciler\.wire\.http: (GET|HEAD|PUT|PATCH|POST|DELETE) \S+: \d{3} in "
)


def test_vv_logs_each_request_on_stderr_and_no_secret(lab: Lab, command: Command) -> None:
    asked = len(lab.cloud.log)
    ran = command("apply", "--yes", "-vv")
    assert ran.code == errors.SUCCESS
    logged = [line for line in ran.err.splitlines() if LOGGED.match(line)]
    assert len(logged) == len(lab.cloud.log) - asked
    assert not any("?" in line for line in logged)
    secrets = [value for value in lab.environ.values() if value != lab.url]
    for service in lab.cloud.world.classic.values():
        for endpoint in service.endpoints.values():
            secrets += endpoint.keys.values()
    for secret in (*secrets, "sig=", "Bearer"):
        assert secret not in ran.out + ran.err


def test_v_logs_no_request(lab: Lab, command: Command) -> None:
    assert "wire.http" not in command("plan", "-v").err
