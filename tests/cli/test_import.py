"""`import` of endpoints whose versions nobody can tell how they are made: paused, and in sync."""

from __future__ import annotations

import json
import re
from collections import Counter
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from reconciler.cli import importing
from reconciler.cli.compose import load
from reconciler.desired import writing
from reconciler.emulator.world import new_id
from reconciler.platforms.contract import Unmanaged
from reconciler.platforms.local.model_file import ModelFiles
from tests.cli.test_safety import writes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from reconciler.model import AddressId
    from tests.cli.conftest import Ran
    from tests.lab import Lab

    Command = Callable[..., Ran]


def without_bindings(lab: Lab) -> None:
    """The same environment, as it was before anybody declared anything."""
    for path in lab.services.rglob("*.yaml"):
        if path.name not in ("environment.yaml", "seed.yaml"):
            path.unlink()


def test_a_workspace_of_two_kinds_is_imported_and_its_first_plan_is_empty(
    lab: Lab, command: Command
) -> None:
    without_bindings(lab)
    ran = command("import")
    assert ran.code == errors.SUCCESS, ran.err
    (wanted,) = load(Path("services")).values()
    found = {str(binding.address) for binding in wanted.bindings}
    assert "webServices/ml-local/breast-cancer-predictive" in found
    assert {f"classic/Diabetes Scoring/{n}" for n in ("young", "middle", "senior")} <= found
    assert not any(address.endswith("/default") for address in found)
    assert all(binding.paused for binding in wanted.bindings)
    planned = command("plan", "--detailed-exitcode")
    assert planned.code == errors.SUCCESS
    assert "imported: declare which version it serves" in " ".join(planned.out.split())
    assert "ContainerNotFound" not in planned.out
    assert writes(lab) == []
    text = Path("services/local/imported/endpoints-1.yaml").read_text()
    assert "# Decide how its versions are made, which model and version it serves" in text


def test_two_hundred_endpoints_of_each_kind_are_imported_as_two_fleets(
    lab: Lab, command: Command
) -> None:
    without_bindings(lab)
    world = lab.cloud.world
    ((key, service),) = (i for i in world.services.items() if i[0].endswith("cancer-predictive"))
    (classic,) = (s for s in world.classic.values() if s.name == "Diabetes Scoring")
    for name in (f"shop{number}" for number in range(200)):
        alike = replace(service, id=new_id(), name=name, properties=deepcopy(service.properties))
        world.services[key.replace("breast-cancer-predictive", name)] = alike
        classic.endpoints[name] = replace(classic.endpoints["young"], id=new_id(), name=name)
    ran = command("import")
    assert ran.code == errors.SUCCESS, ran.err
    (wanted,) = load(Path("services")).values()
    kinds = Counter(binding.kind for binding in wanted.bindings)
    assert kinds == {"WebService": 201, "ClassicEndpoint": 203}
    assert len(list(Path("services/local/imported").glob("*.csv"))) == 2
    assert command("plan", "--detailed-exitcode").code == errors.SUCCESS
    assert writes(lab) == []


def test_settings_of_services_are_imported_and_a_secret_among_them_is_not(
    lab: Lab, command: Command
) -> None:
    without_bindings(lab)
    secret = "ghp_" + "a1" * 18
    services = lab.cloud.world.services.values()
    (service,) = (s for s in services if s.name == "breast-cancer-predictive")
    service.properties["title"] = f"Ours {secret}"
    service.properties["description"] = "no: 1.10\nsecond line"
    service.properties["realtimeConfiguration"] = {"maxConcurrentCalls": 7}
    service.properties["diagnostics"] = {"level": "Error", "expiry": "2027-01-31T00:00:00.0000000Z"}
    (classic,) = (s for s in lab.cloud.world.classic.values() if s.name == "Diabetes Scoring")
    classic.endpoints["young"].throttle = "High"
    classic.endpoints["young"].max_calls = 30
    ran = command("import")
    assert ran.code == errors.SUCCESS, ran.err
    text = Path("services/local/imported/endpoints-1.yaml").read_text()
    assert (
        '    description: "no: 1.10\\nsecond line"\n    diagnostics:\n'
        '      expiry: "2027-01-31T00:00:00Z"\n      level: Error\n    maxConcurrentCalls: 7\n'
    ) in text
    assert "    maxConcurrentCalls: 30\n    throttleLevel: High\n" in text
    assert "spec.settings.title looks like a secret" in text
    assert secret not in text + ran.out + ran.err
    assert command("plan", "--detailed-exitcode").code == errors.SUCCESS
    assert command("drift", "--detailed-exitcode").code == errors.SUCCESS


def test_what_is_declared_is_left_out(lab: Lab, command: Command) -> None:
    before = {p: p.read_bytes() for p in lab.services.rglob("*") if p.is_file()}
    command("import")
    (wanted,) = load(Path("services")).values()
    names = [binding.name for binding in wanted.bindings if binding.paused]
    assert not {"breast-cancer", "diabetes-young"} & set(names)
    assert {path: path.read_bytes() for path in before} == before
    assert command("import").code == errors.SUCCESS
    assert len(list(Path("services/local/imported").glob("*.yaml"))) <= 1


def test_pointers_that_people_wrote_are_imported_and_nothing_else_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command("init", "--platform", "local").code == errors.SUCCESS
    live = Path("services/home/live")
    live.mkdir()
    for number in range(200):
        text = json.dumps({"path": f"/models/{number}.onnx", "version": str(number)})
        (live / f"shop-{number}.json").write_text(text)
    (live / "other.json").write_text("[1]")
    (live / "broken.json").write_text("{")
    before = {p: p.read_bytes() for p in Path("services").rglob("*") if p.is_file()}
    ran = command("import")
    assert ran.code == errors.SUCCESS, ran.err
    assert "imported 200 endpoints, which are left alone until you take out paused" in ran.err
    assert {path: path.read_bytes() for path in before} == before
    table = Path("services/home/imported/fleet-1-1.csv").read_text()
    assert table.splitlines()[:2] == ["name,path", "shop-0,live/shop-0.json"]
    (wanted,) = load(Path("services")).values()
    assert len(wanted.bindings) == 201
    plan = json.loads(command("plan", "-o", "json").out)
    actions = {change["name"]: change["action"] for change in plan["changes"]}
    assert {actions[f"shop-{number}"] for number in range(200)} == {"NOOP"}


def test_a_model_that_nothing_binds_keeps_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.chdir(tmp_path)
    command("init", "--platform", "local")
    home = Path("services/home")
    spec = 'spec: {file: "${version}"}'
    text = f"apiVersion: reconciler/v1\nkind: Model\nmetadata: {{name: imported}}\n{spec}\n"
    (home / "mine.yaml").write_text(text)
    (home / "a.json").write_text('{"path": "/m", "version": "1"}')
    ran = command("import")
    assert ran.code == errors.SUCCESS, ran.err
    written = (home / "imported" / "endpoints-1.yaml").read_text()
    assert "kind: Model\nmetadata: {name: imported-2}" in written


def test_files_that_are_there_are_never_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.chdir(tmp_path)
    command("init", "--platform", "local")
    home = Path("services/home")
    (home / "imported").mkdir()
    theirs = home / "imported" / "endpoints-1.yml.orig"
    theirs.write_text("mine")
    (home / "a.json").write_text('{"path": "/m", "version": "1"}')
    assert command("import").code == errors.SUCCESS
    assert theirs.read_text() == "mine"
    assert (home / "imported" / "endpoints-2.yaml").is_file()


def test_training_services_are_no_endpoints_to_be_imported(lab: Lab, command: Command) -> None:
    without_bindings(lab)
    yaml = command("import", "--dry-run").out
    assert "webService: breast-cancer-predictive" in yaml
    training = {s.name for s in lab.cloud.world.services.values() if "training" in s.name.lower()}
    assert training, "the world has such a service"
    assert not any(name in yaml for name in training), yaml
    shown = json.loads(command("status", "-o", "json").out)["unmanaged"]["found"]
    assert not training & {each["name"] for each in shown}


def test_one_pointer_that_cannot_be_read_is_named_and_the_others_are_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.chdir(tmp_path)
    command("init", "--platform", "local")
    home = Path("services/home")
    (home / "a.json").write_text('{"path": "/m", "version": "1"}')
    (home / "loop.json").symlink_to("loop.json")
    ran = command("import")
    assert ran.code == errors.PARTIAL, ran.err
    assert "ModelFile loop: " in ran.err
    assert "imported 1 endpoint, which is left alone" in ran.err


@pytest.mark.parametrize("others", [2, 7], ids=["alone", "a fleet"])
def test_an_endpoint_that_no_document_can_declare_is_left_out_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command, others: int
) -> None:
    monkeypatch.chdir(tmp_path)
    command("init", "--platform", "local")
    for number in range(others):
        (Path("services/home") / f"shop-{number}.json").write_text('{"path": "/m", "version": "1"}')
    listed = ModelFiles.unmanaged

    def with_another(self: ModelFiles, declared: Collection[AddressId]) -> Iterator[Unmanaged]:
        found = list(listed(self, declared))
        yield Unmanaged("broken", found[0].address, {"path": "folder/"}, decide=("it",))
        yield from found

    monkeypatch.setattr(ModelFiles, "unmanaged", with_another)
    ran = command("import")
    assert ran.code == errors.PARTIAL, ran.err
    assert re.search(r'left out: broken: .*"folder/" is a folder', ran.err), ran.err
    assert f"imported {others} endpoints" in ran.err
    (wanted,) = load(Path("services")).values()
    assert len(wanted.bindings) == others + 1


def test_files_with_names_that_yaml_would_guess_at_keep_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.chdir(tmp_path)
    command("init", "--platform", "local")
    names = ["no", "1e3", "2024-01-01", "~", "null", "0x10"]
    for name in names:
        (Path("services/home") / f"{name}.json").write_text('{"path": "/m", "version": "1"}')
    ran = command("import")
    assert ran.code == errors.SUCCESS, ran.err
    (wanted,) = load(Path("services")).values()
    paths = {str(binding.address) for binding in wanted.bindings if binding.paused}
    assert {Path(path).stem for path in paths} == set(names)
    assert command("import").code == errors.SUCCESS
    assert len(list(Path("services/home/imported").glob("*.yaml"))) == 1


def test_what_one_file_has_no_room_for_is_written_into_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.chdir(tmp_path)
    command("init", "--platform", "local")
    for number in range(40):
        pointer = Path("services/home") / f"shop-{number:02}.json"
        pointer.write_text('{"path": "/m", "version": "1"}')
    for module in (writing, importing):
        monkeypatch.setattr(module, "MOST_LENGTH", 700)
    assert command("import").code == errors.SUCCESS
    files = sorted(path.name for path in Path("services/home/imported").iterdir())
    assert files == [
        *("endpoints-1-2.yaml", "endpoints-1.yaml"),
        *("fleet-1-1.csv", "fleet-1-2.csv"),
    ]
    (wanted,) = load(Path("services")).values()
    assert len(wanted.bindings) == 41
    assert command("import").code == errors.SUCCESS
    assert len(list(Path("services/home/imported").iterdir())) == 4
