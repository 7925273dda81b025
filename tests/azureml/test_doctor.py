"""`doctor` finds in a workspace what would fail a run: rights, machines, quota, what is named."""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reconciler import errors
from reconciler.cli.compose import EMULATOR_VARIABLE
from reconciler.cli.main import run
from reconciler.emulator import Cloud, Options, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SAMPLE = Path(__file__).parent.parent.parent / "services" / "_azureml"
PROVIDER = "Microsoft.MachineLearningServices"
WORKSPACE = f"{PROVIDER}/workspaces"
# Of a temporary folder that is in no commit, and what the plan says of two machines that are paid.
HERE = ("repository", "schema", "endpoint")
READS = ("*/read",)
# All that the sample's runs send besides reads: the versions are registered, the code is in git.
WRITES = (
    f"{WORKSPACE}/codes/versions/write",
    f"{WORKSPACE}/onlineEndpoints/write",
    f"{WORKSPACE}/onlineEndpoints/deployments/write",
    f"{WORKSPACE}/onlineEndpoints/deployments/delete",
    f"{WORKSPACE}/onlineEndpoints/listKeys/action",
)
TRAINED = """\
apiVersion: reconciler/v1
kind: Model
metadata: {name: churn}
spec:
  training:
    engine: azureml
    command: python train.py --model {outputs.model}
    environment: python:1
    compute: cpu
    inputs: {}
    outputs: {model: model.json}
---
"""


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Makes the sample's world, with options, and a copy of its YAML to work in."""
    doors = []

    def started(*rights: str, quota: int = 6) -> Path:
        services = tmp_path / "services"
        shutil.copytree(SAMPLE, services, ignore=shutil.ignore_patterns(".reconciler"))
        seed = services / "_emulator" / "seed.yaml"
        limit = f"quota: {{Standard_DS3_v2: {quota}}}"
        seed.write_text(seed.read_text().replace("quota: {Standard_DS3_v2: 6}", limit))
        cloud = Cloud(Options(speed=200.0, rights=rights or ("*",)))
        cloud.seed(seed)
        door = serve(cloud, 0)
        door.start()
        doors.append(door)
        (services / ".reconciler").mkdir()
        monkeypatch.setenv(EMULATOR_VARIABLE, door.url)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        return services

    yield started
    for door in doors:
        door.stop()


def doctor(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit code, and by what they are about all checks that are not fine."""
    capsys.readouterr()
    code = run(["doctor", "-o", "json"])
    checks = json.loads(capsys.readouterr().out)["checks"]
    return code, {
        check["what"]: check
        for check in checks
        if check["level"] != "fine" and check["what"] not in HERE
    }


def edit(services: Path, old: str, new: str) -> None:
    path = services / "churn.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_workspace_with_all_that_a_run_needs_has_no_finding(
    start: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    start(*READS, *WRITES)
    code, wrong = doctor(capsys)
    assert code == errors.SUCCESS
    assert wrong == {}
    assert run(["doctor"]) == errors.SUCCESS
    shown = capsys.readouterr().out
    assert "✓ rights" in shown
    assert "all 5 that a run may need" in shown
    assert "✓ quota" in shown


@pytest.mark.long
def test_the_rights_that_doctor_asks_for_are_enough_to_swap_and_to_retire(
    start: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    services = start(*READS, *WRITES)
    edit(services, "  keepWarm: 24h\n", "")
    assert run(["apply", "--yes"]) == errors.SUCCESS, capsys.readouterr()
    assert run(["plan", "--detailed-exitcode"]) == errors.SUCCESS


@pytest.mark.parametrize("action", WRITES)
def test_each_right_that_is_missing_is_named_with_what_it_is_for(
    start: Callable[..., Path], capsys: pytest.CaptureFixture[str], action: str
) -> None:
    start(*READS, *(right for right in WRITES if right != action))
    code, wrong = doctor(capsys)
    assert code == errors.ERROR
    message = wrong["rights"]["message"]
    assert f"({action.removeprefix(f'{WORKSPACE}/')})" in message
    assert message.endswith(f"; actions are below {WORKSPACE}")
    assert "AzureML Data Scientist" in wrong["rights"]["fix"]


@pytest.mark.parametrize("there", [True, False])
def test_a_role_on_one_endpoint_counts_there_and_not_for_one_that_is_to_be_made(
    start: Callable[..., Path], capsys: pytest.CaptureFixture[str], there: bool
) -> None:
    given = [f"{right}@onlineEndpoints/churn" for right in WRITES if "onlineEndpoints" in right]
    services = start(*READS, f"{WORKSPACE}/codes/*", *given)
    if not there:
        edit(services, "endpoint: churn  ", "endpoint: other\n  create: true  ")
    code, wrong = doctor(capsys)
    assert code == (errors.SUCCESS if there else errors.ERROR)
    assert wrong.keys() == (set() if there else {"rights"})
    if not there:
        assert (
            "change endpoints and their traffic (onlineEndpoints/write)"
            in (wrong["rights"]["message"])
        )


def test_a_reader_is_warned_that_it_cannot_apply(
    start: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    start(*READS)
    _, wrong = doctor(capsys)
    assert wrong["rights"]["level"] == "warning"
    assert "it can plan, and not apply" in wrong["rights"]["message"]


@pytest.mark.parametrize(
    ("old", "new", "what", "message"),
    [
        ("DS3_v2", "DS9_v2", "machine", "westeurope has no machine Standard_DS9_v2; did you mean"),
        ("python:1", "python:7", "environment", "workspace local has no environment python:7"),
        ("python:1", "pyton:1", "environment", "workspace local has no environment pyton:1"),
    ],
)
def test_what_a_deployment_names_and_nobody_has_is_found(
    start: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    old: str,
    new: str,
    what: str,
    message: str,
) -> None:
    edit(start(), old, new)
    code, wrong = doctor(capsys)
    assert code == errors.ERROR
    assert message in wrong[what]["message"]
    assert wrong[what]["source"]["path"] == "services/churn.yaml"
    assert wrong[what]["names"] == ["churn"]


def test_a_swap_for_which_too_few_machines_are_free_is_a_warning(
    start: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    start(quota=2)  # one machine serves, and a second would need two with the fifth for upgrades
    _, wrong = doctor(capsys)
    assert wrong["quota"]["message"] == (
        "the deployment that a swap starts, with a fifth for upgrades, needs 8 vCPUs of "
        "standardDSv2Family, and 4 of 8 are free in westeurope"
    )


def test_a_job_whose_compute_or_component_is_missing_is_found(
    start: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    services = start()
    text = (services / "churn.yaml").read_text()
    binding = text.partition("---\n")[2]
    (services / "churn.yaml").write_text(TRAINED + binding)
    code, wrong = doctor(capsys)
    assert (code, wrong) == (errors.SUCCESS, {})
    edit(services, "compute: cpu", "compute: gpu")
    _, wrong = doctor(capsys)
    assert wrong["compute"]["message"] == "the workspace local has no compute gpu"
    command = "command: python train.py --model {outputs.model}\n    environment: python:1"
    edit(services, command, "pipeline: retrain:3")
    edit(services, "{model: model.json}", "{model: model}")
    _, wrong = doctor(capsys)
    assert "there is no component retrain:3" in wrong["pipeline"]["message"]


def test_a_look_that_is_refused_is_a_warning_and_stops_no_other(
    start: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    start(f"{WORKSPACE}/*")
    code, wrong = doctor(capsys)  # the machines of a region are not below the workspace
    assert (code, wrong.keys()) == (errors.SUCCESS, {"platform azureml"})
    assert "locations/vmSizes/read" in wrong["platform azureml"]["message"]
