"""Snapshots and titles where an environment is this machine: what is read here is in no snapshot."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reconciler import errors
from reconciler.cli import compose, session
from reconciler.cli.main import run
from reconciler.cli.snapshot import Taken, opened_offline
from reconciler.model import Reason
from reconciler.offline.recorded import Answers
from reconciler.offline.snapshot_file import Place, Snapshot

SERVICES = """\
apiVersion: reconciler/v1
kind: Environment
metadata: {name: home}
spec: {store: store, data: data, local: {}}
---
apiVersion: reconciler/v1
kind: Model
metadata: {name: churn}
spec: {file: "churn/${version}.bin"}
---
apiVersion: reconciler/v1
kind: ModelFile
metadata: {name: churn}
spec: {path: churn.json, create: true, model: {name: churn, version: "1"}}
"""


@pytest.fixture
def services(tmp_path: Path) -> Path:
    (tmp_path / "data" / "churn").mkdir(parents=True)
    (tmp_path / "store").mkdir()
    (tmp_path / "data" / "churn" / "1.bin").write_bytes(b"model")
    (tmp_path / "all.yaml").write_text(SERVICES)
    return tmp_path


def test_an_environment_of_this_machine_alone_has_no_snapshot(
    services: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["snapshot", "-f", str(services)]) == errors.CONFIGURATION
    said = capfd.readouterr()
    assert said.out == ""
    assert (
        "home: 1 binding of kind ModelFile not in the snapshot: its files are read on the machine "
        "that has them; plan there, without --live"
    ) in said.err
    assert "error: a snapshot of home would be empty" in said.err


def test_an_offline_plan_reads_no_file_of_this_machine(services: Path) -> None:
    wanted = compose.load(services)["home"]
    answers, at = Answers(), "2026-11-23T10:00:00Z"
    with session.opened(wanted, None) as opened:
        for store in (opened.world.store, opened.world.data):
            tuple(answers.heard(store).list())
    taken = Snapshot(at, "", "", Place.of(wanted.environment), "", answers)
    with opened_offline(wanted, Taken(taken, "new"), None) as offline:
        (change,) = offline.plan().changes
    assert change.code == Reason.NOT_KNOWN_OFFLINE
    assert "its files are read on the machine that has them" in change.why


@pytest.mark.parametrize("proved", [False, True])
def test_a_plan_says_where_nothing_will_show_which_model_answers(
    services: Path, proved: bool
) -> None:
    if proved:
        (services / "probe.json").write_text("{}")
        text = (services / "all.yaml").read_text()
        verify = "verify: {url: http://127.0.0.1:1/, request: probe.json}, model: {name: churn, v"
        (services / "all.yaml").write_text(text.replace("model: {name: churn, v", verify))
    with session.opened(compose.load(services)["home"], None) as opened:
        (change,) = opened.plan().changes
    assert any("declared only" in warning for warning in change.warnings) is not proved


@pytest.mark.parametrize(
    ("store", "where"),
    [
        ("store", "this machine"),
        ("{url: az://acme/models, key: env:K}", "this machine, store az://acme/models"),
    ],
)
def test_a_plan_says_where_the_store_is_that_is_elsewhere(
    services: Path, store: str, where: str
) -> None:
    text = (services / "all.yaml").read_text()
    (services / "all.yaml").write_text(re.sub("store: store, data: data", f"store: {store}", text))
    assert compose.load(services)["home"].environment.where == where
