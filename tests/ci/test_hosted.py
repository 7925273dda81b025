"""The small runner does what GitHub's does, and the actions hand on nothing but arguments."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.ci.expressions import filled, holds
from tests.ci.hub import ROOT, Hub
from tests.ci.standin import StandIn, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.ci.hosted import Job

CONTEXTS = {
    "inputs": {"yes": "true", "no": "", "name": "Mona"},
    "steps": {"a": {"outputs": {"has-changes": "true"}}},
    "github": {"event": {"n": 7}, "event_name": "push"},
}
OURS = {"success": lambda: True, "always": lambda: True, "cancelled": lambda: False}


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("${{ inputs.name }} x", "Mona x"),
        ("${{ inputs.nothing }}", ""),
        ("${{ inputs.no || inputs.name }}", "Mona"),
        ("${{ inputs.name == 'mona' }}", "true"),
        ("${{ inputs.name != 'mona' }}", "false"),
        ("${{ github.event.n == 7 }}", "true"),
        ("${{ github.event.n == '7' }}", "true"),
        ("${{ steps.a.outputs.has-changes }}", "true"),
        ("${{ steps.b.outputs.has-changes }}", ""),
        ("${{ inputs.nothing == '' }}", "true"),
        ("${{ !inputs.no && 'it''s' }}", "it's"),
        ("${{ (inputs.no || inputs.yes) && github.event_name }}", "push"),
    ],
)
def test_expressions_are_filled_in(said: str, value: str) -> None:
    assert filled(said, CONTEXTS, OURS) == value


@pytest.mark.parametrize(
    ("condition", "good", "runs"),
    [
        ("github.event_name == 'push'", True, True),
        ("github.event_name == 'push'", False, False),
        ("${{ !cancelled() && inputs.yes == 'true' }}", False, True),
        ("always()", False, True),
        ("inputs.no", True, False),
    ],
)
def test_a_condition_that_asks_for_no_status_holds_after_successes_only(
    condition: str, good: bool, runs: bool
) -> None:
    functions: dict[str, Any] = {**OURS, "success": lambda: good}
    assert holds(condition, CONTEXTS, functions) is runs


@pytest.mark.parametrize("said", ["${{ nobody.knows }}", "${{ inputs.a | b }}", "${{ format() }}"])
def test_what_is_not_understood_is_an_error(said: str) -> None:
    with pytest.raises((AssertionError, KeyError)):
        filled(said, CONTEXTS, OURS)


# --- the actions -------------------------------------------------------------------------------


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with serving(StandIn()) as github:
        made = Hub(tmp_path, github)
        try:
            yield made
        finally:
            made.close()


def job(hub: Hub, steps: str, permissions: str = "contents: read") -> Job:
    """One job of a workflow of ours, with a checkout before these steps."""
    path = hub.clone / ".github/workflows/try.yml"
    path.write_text(
        f"""on: workflow_dispatch
permissions: {{}}
jobs:
  it:
    timeout-minutes: 5
    permissions:
      {permissions}
    steps:
      - uses: actions/checkout@{"0" * 40}
        with:
          persist-credentials: false
{steps}"""
    )
    hub.push()
    return hub.run("try", hub.event("workflow_dispatch"))["it"]


def test_an_input_is_an_argument_and_never_code(hub: Hub) -> None:
    done = job(
        hub,
        """
      - id: it
        uses: ./.github/actions/reconcile
        with:
          command: validate
          services: "$(touch stolen); `touch stolen`"
          environment: "; touch stolen"
""",
    )
    assert done.result == "failure"
    assert "$(touch stolen)" in done.log
    assert not list(hub.folder.rglob("stolen"))


def test_every_job_has_an_environment_of_its_own_that_is_made_once(hub: Hub) -> None:
    two = """
      - uses: ./.github/actions/reconcile
        with: {command: validate}
      - uses: ./.github/actions/reconcile
        with: {command: validate}
"""
    for done in (job(hub, two), hub.run("try", hub.event("workflow_dispatch"))["it"]):
        assert done.result == "success", done.log
    first, second = (line.split()[0] for line in hub.runner.installed.read_text().splitlines())
    assert first != second
    assert Path(first).parents[2] == hub.folder / "run-9001-it" / "temp"


def test_another_commit_of_the_action_is_installed_beside_the_first(hub: Hub) -> None:
    steps = """
      - uses: ./.github/actions/reconcile
        with: {command: validate}
      - run: echo "# another commit" >>pyproject.toml
      - uses: ./.github/actions/reconcile
        with: {command: validate}
"""
    assert job(hub, steps).result == "success"
    assert len(set(hub.runner.installed.read_text().splitlines())) == 2


def test_a_job_may_install_the_program_itself(hub: Hub) -> None:
    (hub.runner._shims / "reconciler").symlink_to("program")
    steps = """
      - uses: ./.github/actions/reconcile
        with: {command: validate, install: "false"}
"""
    assert job(hub, steps).result == "success"
    assert not hub.runner.installed.exists()


@pytest.mark.parametrize(
    ("lacks", "hint"),
    [
        ('"-I -m venv"*) exit 1 ;;', "apt-get install python3-venv"),
        ('"-I -c"*) exit 1 ;;', "older than 3.11; run actions/setup-python"),
        ('"-I -m pip"*) exit 1 ;;', "pip says why"),
    ],
)
def test_a_python_that_cannot_do_it_says_what_to_install(hub: Hub, lacks: str, hint: str) -> None:
    shim = hub.runner._shims / "python3"
    shim.write_text(shim.read_text().replace('case "$*" in\n', f'case "$*" in\n  {lacks}\n'))
    done = job(
        hub, "      - uses: ./.github/actions/reconcile\n        with: {command: validate}\n"
    )
    assert done.result == "failure"
    assert "::error title=reconciler cannot be installed::" in done.log
    assert hint in done.log


def test_no_file_of_the_checkout_is_taken_for_a_module_of_python(tmp_path: Path) -> None:
    """With the real Python and pip, which finds no index here and fails."""
    for name in ("pip", "venv", "ensurepip", "hashlib", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("open('stolen', 'w')\n")
    temp = tmp_path / "temp"
    temp.mkdir()
    done = subprocess.run(
        [str(ROOT / ".github/actions/install"), ""],
        cwd=tmp_path,
        env={
            **{"PATH": os.environ["PATH"], "RUNNER_TEMP": str(temp), "PIP_NO_INDEX": "1"},
            **{"GITHUB_PATH": str(tmp_path / "path"), "HOME": str(tmp_path)},
        },
        capture_output=True,
        text=True,
    )
    assert "hatchling" in done.stderr, done.stdout
    assert "pip says why" in done.stdout
    assert not list(tmp_path.rglob("stolen"))


def test_further_arguments_and_targets_are_one_a_line(hub: Hub) -> None:
    done = job(
        hub,
        """
      - uses: ./.github/actions/emulator
      - uses: ./.github/actions/reconcile
        with:
          command: plan
          environment: local
          target: |
            breast-*
            diabetes-young
          detailed-exitcode: "true"
          arguments: |
            --output
            json
""",
    )
    step = next(step for step in done.steps if step.name == "run")
    assert step.outputs["counts"] != "", done.log
    assert '"name": "diabetes-young"' in done.log
    assert "diabetes-middle" not in done.log
    assert done.result == "failure", "there are changes, and --detailed-exitcode says so"


def test_a_job_that_signs_in_without_the_permission_hears_which_line_is_missing(hub: Hub) -> None:
    cloud = ("services/local/environment.yaml", "cloud: emulator", "cloud: azure")
    hub.edit(cloud)
    (hub.clone / "services/local/diabetes.yaml").unlink()
    (hub.clone / "services/local/models/diabetes.yaml").unlink()
    url = (
        "services/local/environment.yaml",
        "url: /",
        "url: https://ussouthcentral.services.azureml.net/",
    )
    hub.edit(url)
    done = job(
        hub,
        """
      - uses: ./.github/actions/emulator
      - uses: ./.github/actions/reconcile
        with:
          command: plan
          environment: local
          arguments: --auth=github-oidc
""",
    )
    assert done.result == "failure"
    assert "id-token: write" in done.log
    assert "permissions:" in done.log


def test_the_token_of_github_reaches_no_command_that_does_not_ask_it(hub: Hub) -> None:
    """A secret of the environment that is called TOKEN is not GitHub's either."""
    program = hub.runner._shims / "program"
    program.unlink()
    program.write_text('#!/bin/bash\necho "ran $*"; env\n')
    program.chmod(0o755)
    steps = """
      - uses: ./.github/actions/reconcile
        with:
          command: {}
"""
    for name, given in (
        ("apply", True),
        ("rollback", True),
        ("train", False),
        ("validate", False),
        ("plan", False),
        ("drift", False),
        ("ci drift-issue", True),
    ):
        done = job(hub, steps.format(name))
        assert f"ran {name}" in done.log
        assert ("ghs_" in done.log) is given, name
        assert "\nTOKEN=" not in done.log


@pytest.mark.long
def test_the_emulator_is_started_once_and_lives_as_long_as_the_job(
    tmp_path: Path, hub: Hub
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    hub.runner._environ.clear()
    done = job(
        hub,
        f"""
      - uses: ./.github/actions/emulator
        with:
          port: "{port}"
      - uses: ./.github/actions/reconcile
        with:
          command: apply
          environment: local
          target: breast-cancer
          arguments: --yes
""",
    )
    assert done.result == "success", done.log
    assert f"talking to the emulator at http://127.0.0.1:{port}" in done.log
    with_emulator, without = hub.runner.installed.read_text().splitlines()
    assert with_emulator == f"{without}[emulator]", "once each, in one environment"
    until = time.monotonic() + 20
    while _listens(port):
        assert time.monotonic() < until, "it outlived its job"


def test_an_emulator_whose_port_is_taken_fails_its_step(hub: Hub) -> None:
    """Who listens there may be another job's emulator, with another world."""
    hub.runner._environ.clear()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = job(
            hub,
            f"""
      - uses: ./.github/actions/emulator
        with:
          port: "{port}"
""",
        )
    assert done.result == "failure"
    assert f"cannot start with port {port}" in done.log


def _listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
