"""`drift --accept`: the YAML says afterwards what is live, and nothing is left to do."""

from __future__ import annotations

import json
import re
import shlex
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from reconciler.cli.accepting import accept
from reconciler.cli.options import Drifting
from reconciler.emulator import Fault
from reconciler.model import (
    Action,
    Artifact,
    ArtifactState,
    Change,
    Drift,
    FieldDiff,
    Health,
    HealthCode,
    Live,
    Model,
    ModelRef,
    Observed,
    Plan,
    Reason,
)
from reconciler.platforms.contract import OperationState

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reconciler.model import Binding
    from reconciler.platforms.contract import Target
    from tests.cli.conftest import Ran
    from tests.lab import Lab

    Command = Callable[..., Ran]

CANCER = ("-t", "breast-cancer")


def target_of(lab: Lab) -> tuple[Binding, Target]:
    (binding,) = (b for b in lab.desired().bindings if b.name == "breast-cancer")
    return binding, lab.world().targets[binding.kind]


def swap_by_hand(lab: Lab, ref: ModelRef) -> None:
    binding, target = target_of(lab)
    operation = target.switch(binding, Model(ref))
    while target.progress(operation).state is OperationState.RUNNING:
        time.sleep(0.02)  # until then it is under way and no drift


def drifted(lab: Lab, command: Command) -> str:
    """The YAML, while the version before the declared one serves."""
    assert command("apply", "--yes", *CANCER).code == 0
    lab.edit("breast-cancer.yaml", "2026-10", "2026-11")
    assert command("apply", "--yes", *CANCER).code == 0
    binding, _ = target_of(lab)
    swap_by_hand(lab, lab.world().ledger.ref(replace(binding.version, version="2026-10")))
    return (lab.services / "local" / "breast-cancer.yaml").read_text()


def test_the_version_that_serves_is_written_and_then_nothing_is_left(
    lab: Lab, command: Command
) -> None:
    before = drifted(lab, command)
    shown = command("drift", *CANCER, "--accept", "--dry-run")
    file = lab.services / "local" / "breast-cancer.yaml"
    assert (shown.code, file.read_text()) == (0, before)
    ran = command("drift", *CANCER, "--accept")
    assert (ran.code, ran.out) == (0, shown.out)
    assert file.read_text() == before.replace("2026-11", "2026-10", 1)
    assert command("drift", *CANCER, "--detailed-exitcode").code == 0
    assert command("apply", "--yes", *CANCER).code == 0  # proves what serves
    assert command("plan", *CANCER, "--detailed-exitcode").code == 0
    assert command("drift", *CANCER, "--accept").out == ""


def test_drift_says_what_mends_it(lab: Lab, command: Command) -> None:
    drifted(lab, command)
    ran = command("drift", *CANCER)
    undo, keep = (f"reconciler {verb} -e local -t breast-cancer" for verb in ("apply", "drift"))
    assert f"undo it: {undo}; keep it: {keep} --accept" in ran.err
    assert f"1 drifted: {undo}\n" in command("status").err
    assert command("apply", "--yes", *CANCER).code == 0
    assert "undo it" not in command("drift", *CANCER).err


def test_what_is_to_be_typed_repeats_what_was_typed(lab: Lab, command: Command) -> None:
    drifted(lab, command)
    lab.services.rename("our services")
    typed = ("-f", "our services", "-t", "breast-*", "-x", "diabetes-*", "--auth", "azure-cli")
    (undo,) = re.findall(r"undo it: (reconciler .*?);", command("drift", *typed).err)
    words = shlex.split(undo)[1:]
    again = ["-e", "local", "--services", "our services", *typed[-2:], *typed[2:-2]]
    assert words == ["apply", *again]
    assert command(*words, "--yes").code == 0
    assert command("rollback", "breast-cancer", "--yes", *typed[:2]).code == 0
    refused = " ".join(command("plan", *typed[:4]).out.split())
    back = "reconciler reinstate breast-cancer 2026-11 -e local --services 'our services'"
    assert refused.count(back) == 1
    assert command(*shlex.split(back)[1:], "--yes").code == 0


def test_drift_that_no_run_may_undo_is_only_to_be_kept(lab: Lab, command: Command) -> None:
    drifted(lab, command)
    lab.edit("breast-cancer.yaml", "spec:\n", "spec:\n  protect: true\n")
    ran = command("drift", *CANCER)
    assert "undo it" not in ran.err
    assert "keep it: reconciler drift -e local -t breast-cancer --accept" in ran.err


def test_what_the_yaml_cannot_say_is_said_and_left(lab: Lab, command: Command) -> None:
    binding, target = target_of(lab)
    foreign = target.observe(binding).served
    assert foreign is not None
    before = drifted(lab, command)
    swap_by_hand(lab, foreign)
    asked = command("drift", *CANCER)
    assert "undo it: reconciler apply -e local" in asked.err
    assert "keep it" not in asked.err
    ran = command("drift", *CANCER, "--accept")
    assert (ran.code, ran.out) == (errors.PARTIAL, "")
    assert "breast-cancer: model cannot be accepted: no version that is known here" in ran.err
    assert (lab.services / "local" / "breast-cancer.yaml").read_text() == before


def test_settings_are_written_as_the_file_writes_them(lab: Lab, command: Command) -> None:
    settings = 'settings: {title: "Ours", maxConcurrentCalls: 20}'
    lab.edit("breast-cancer.yaml", "spec:\n", f"spec:\n  {settings}\n")
    assert command("apply", "--yes", *CANCER).code == 0
    services = lab.cloud.world.services.values()
    (service,) = (s for s in services if s.name == "breast-cancer-predictive")
    service.properties["title"] = 'It is "mine": no'
    service.properties["realtimeConfiguration"] = {"maxConcurrentCalls": 7}
    assert command("drift", *CANCER, "--accept").code == 0
    after = (lab.services / "local" / "breast-cancer.yaml").read_text()
    assert 'settings: {title: "It is \\"mine\\": no", maxConcurrentCalls: 7}' in after
    assert command("drift", *CANCER, "--detailed-exitcode").code == 0


def test_what_cannot_be_read_is_not_accepted_as_it_is(
    lab: Lab, command: Command, tmp_path: Path
) -> None:
    before = drifted(lab, command)
    lab.cloud.faults.script(Fault("arm.get", "status", status=403, times=9))
    ran = command("drift", *CANCER, "--accept", "--out", "drift.json")
    assert (ran.code, ran.out) == (errors.ERROR, "")
    assert json.loads((tmp_path / "drift.json").read_text())["counts"]["BLOCK"] == 1
    assert (lab.services / "local" / "breast-cancer.yaml").read_text() == before


FLEET = (
    'apiVersion: reconciler/v1\nkind: ClassicEndpoint\nmetadata: {name: "diabetes-${slice}"}\n'
    "forEach: {slice: [young, middle, senior]}\nspec:\n  webService: Diabetes Scoring\n"
    '  endpoint: "${slice}"\n  resource: Diabetes [trained model]\n'
    '  model: {name: diabetes, version: "2026-10", with: {slice: "${slice}"}}\n'
)


@pytest.mark.parametrize("of_table", [False, True])
def test_a_fleet_is_written_only_where_all_of_it_drifted_to_the_same(
    lab: Lab, capsys: pytest.CaptureFixture[str], *, of_table: bool
) -> None:
    file = lab.services / "local" / "diabetes.yaml"
    fleet = FLEET.replace("[young, middle, senior]", "{file: f.csv}") if of_table else FLEET
    file.write_text(fleet)
    (file.parent / "f.csv").write_text("slice\n\nyoung\nmiddle\nsenior\n")
    wanted = lab.desired()
    drift = Drift((FieldDiff("model", "2026-10", "2026-09"),), "2026-11-20T09:00:00Z")
    healthy, ready = Live(Health(HealthCode.HEALTHY)), ArtifactState.READY
    observed, changes = dict[str, Observed](), list[Change]()
    for one in (b for b in wanted.bindings if b.element):
        artifact = Artifact(ready, ModelRef("https://x.example/model"))
        at = str(one.address)
        observed[at] = Observed(one, healthy, artifact, live_version="2026-09")
        change = Change(one.name, one.kind, at, Action.BIND, Reason.VERSION_CHANGED, "")
        changes.append(replace(change, drift=drift))
    assert len(changes) == 3
    first = Plan("local", "emulator", tuple(changes[:1]))
    made = accept(lab.services, wanted, first, observed, Drifting())
    assert (made.exit_code, made.has_changes, file.read_text()) == (errors.PARTIAL, False, fleet)
    told = capsys.readouterr().err
    assert f"by forEach at {file}:3:" in told
    row = {"young": 3, "middle": 4, "senior": 5}[changes[0].name.removeprefix("diabetes-")]
    place = f", {file.parent / 'f.csv'}:{row}:1" if of_table else ""
    assert f"slice={changes[0].name.removeprefix('diabetes-')}{place}): model cannot" in told
    assert 'write "2026-09" into this element of forEach' in told
    whole = Plan("local", "emulator", tuple(changes))
    made = accept(lab.services, wanted, whole, observed, Drifting())
    assert made.exit_code == errors.SUCCESS
    assert file.read_text() == fleet.replace("2026-10", "2026-09")


def test_a_part_is_proposed_by_no_pull_request(lab: Lab, command: Command) -> None:
    for arguments in (("--accept", *CANCER), ()):
        ran = command("drift", "--pull-request", *arguments)
        assert ran.code == errors.CONFIGURATION
        assert "add --accept, and leave selections out" in ran.err
