"""Every command and every exit code, as people and CI jobs meet them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from reconciler.emulator import Fault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Ran
    from tests.lab import Lab

    Command = Callable[..., Ran]


def test_validate_says_what_is_valid(lab: Lab, command: Command) -> None:
    ran = command("validate")
    assert (ran.code, ran.out) == (errors.SUCCESS, "")
    assert ran.err == "local: 4 bindings are valid\n"


def test_plan_prints_the_document_on_stdout_and_the_rest_on_stderr(
    lab: Lab, command: Command
) -> None:
    ran = command("plan")
    assert ran.code == errors.SUCCESS
    assert "4 bindings" in ran.out
    world = lab.cloud.world.id
    assert ran.err == f"local: talking to the emulator at {lab.url}, world {world}\n"


def test_detailed_exitcode_tells_changes_from_none(lab: Lab, command: Command) -> None:
    assert command("plan", "--detailed-exitcode").code == errors.CHANGES
    assert command("apply", "--yes").code == errors.SUCCESS
    assert command("plan", "--detailed-exitcode").code == errors.SUCCESS


def test_the_plan_is_byte_identical_each_time(lab: Lab, command: Command) -> None:
    for output in ("text", "json", "markdown"):
        assert command("plan", "-o", output).out == command("plan", "-o", output).out


def test_the_program_alone_shows_its_help_and_no_error(command: Command) -> None:
    ran = command()
    assert (ran.code, ran.out) == (errors.USAGE, "")
    assert ran.err.startswith("Usage: ")
    assert "error" not in ran.err.splitlines()[0]


def test_a_group_alone_names_its_own_help(command: Command) -> None:
    assert command("ci").err.endswith(" ci --help\n")


def test_one_binding_is_valid(lab: Lab, command: Command) -> None:
    (lab.services / "local" / "diabetes.yaml").unlink()
    assert command("validate").err == "local: 1 binding is valid\n"


def test_out_writes_the_plan_as_json(lab: Lab, command: Command, tmp_path: Path) -> None:
    ran = command("plan", "-o", "json", "--out", "deep/plan.json")
    written = json.loads((tmp_path / "deep/plan.json").read_text())
    assert f"wrote deep/plan.json: plan {written['digest']}\n" in ran.err
    assert written["id"] not in ran.err  # a plan has one name for people, everywhere
    # What is printed may be compared with another run's; only the file may be applied, in its world.
    assert written.pop("world")
    assert {**written, "id": ""} == json.loads(ran.out)


def test_apply_trains_swaps_and_proves(lab: Lab, command: Command) -> None:
    ran = command("apply", "--yes", "-o", "json")
    assert ran.code == errors.SUCCESS
    report = json.loads(ran.out)
    assert {proof["name"] for proof in report["proofs"]} == {
        *("breast-cancer", "diabetes-middle", "diabetes-senior", "diabetes-young")
    }
    again = command("apply", "--yes")
    assert again.code == errors.SUCCESS
    assert "Nothing to do" in again.err


def test_apply_without_a_terminal_needs_an_approval(lab: Lab, command: Command) -> None:
    ran = command("apply")
    assert ran.code == errors.REFUSED
    assert "--expect" in ran.err
    assert command("plan", "--detailed-exitcode").code == errors.CHANGES


def test_apply_refuses_another_plan_than_the_approved_one(lab: Lab, command: Command) -> None:
    digest = json.loads(command("plan", "-o", "json").out)["digest"]
    ran = command("apply", "--expect", "0" * 12)
    assert ran.code == errors.STALE
    assert f"approved 000000000000, but the plan is now {digest}" in ran.err
    assert command("apply", "--expect", digest).code == errors.SUCCESS


def test_a_refused_binding_is_exit_4_in_plan_and_7_in_a_mixed_apply(
    lab: Lab, command: Command
) -> None:
    lab.edit("diabetes.yaml", "endpoint: young", "endpoint: default")
    assert command("plan").code == errors.REFUSED
    ran = command("apply", "--yes")
    assert ran.code == errors.PARTIAL
    assert "default endpoint" in ran.out


def test_a_wrong_key_is_exit_1_and_never_printed(
    lab: Lab, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_WORKSPACE_TOKEN", "canary-canary-canary")
    ran = command("plan", "-vv")
    assert ran.code == errors.ERROR
    assert "401" in ran.out
    assert "canary" not in ran.out + ran.err


def test_an_emulator_that_is_not_there_is_exit_1_and_says_how_to_start_it(
    lab: Lab, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECONCILER_EMULATOR", "http://127.0.0.1:9")
    ran = command("plan")
    assert ran.code == errors.ERROR
    assert "reconciler emulator" in ran.out + ran.err


def test_missing_secrets_are_all_named_at_once(
    lab: Lab, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOCAL_STORE_KEY", "LOCAL_WORKSPACE_TOKEN"):
        monkeypatch.delenv(name)
    ran = command("plan")
    assert ran.code == errors.CONFIGURATION
    for name in ("LOCAL_STORE_KEY", "LOCAL_WORKSPACE_TOKEN"):
        assert f"environment variable {name} is not set" in ran.err
    assert "services/local/environment.yaml:" in ran.err


def test_invalid_desired_state_is_exit_3_everywhere(lab: Lab, command: Command) -> None:
    lab.edit("breast-cancer.yaml", 'version: "2026-10"', "version: 4")
    for arguments in (
        ["validate"],
        ["plan"],
        ["apply", "--yes"],
        ["status"],
        ["verify"],
        ["export"],
    ):
        ran = command(*arguments)
        assert ran.code == errors.CONFIGURATION
        assert ran.out == ""
        assert "services/local/breast-cancer.yaml:" in ran.err
        assert 'write "4"' in ran.err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["plan", "-e", "production"], 'there is no environment "production"; known: local'),
        (["plan", "-e", "locl"], 'there is no environment "locl"; did you mean "local"?'),
        (["history", "x"], "there is no binding x; known: breast-cancer, diabetes-middle,"),
        (["export", "diabetes-yong"], 'diabetes-yong; did you mean "diabetes-young"?'),
    ],
)
def test_an_unknown_name_leads_to_a_known_one(
    lab: Lab, command: Command, arguments: list[str], why: str
) -> None:
    ran = command(*arguments)
    assert ran.code == errors.CONFIGURATION
    assert why in ran.err


@pytest.mark.parametrize(
    "arguments", [["explode"], ["plan", "--explode"], ["plan", "-o", "xml"], ["plan", "--parallel", "0"], []]
)  # fmt: skip
def test_wrong_usage_is_exit_64(command: Command, arguments: list[str]) -> None:
    assert command(*arguments).code == errors.USAGE


@pytest.mark.parametrize(
    ("arguments", "which"),
    [
        (["plan", "--since", ""], "the argument after --since"),
        (["plan", "--shard", " "], "the argument after --shard"),
        (["plan", "--shard="], "--shard"),
        (["apply", ""], "the argument after apply"),
        (["", "plan"], "the first argument"),
    ],
)
def test_a_variable_that_is_not_set_is_not_taken_for_all_there_is(
    lab: Lab, command: Command, arguments: list[str], which: str
) -> None:
    ran = command(*arguments)
    assert (ran.code, ran.out) == (errors.USAGE, "")
    assert f"{which} is empty; leave it out, or set it\n" in ran.err


def test_status_shows_sync_health_and_versions(lab: Lab, command: Command) -> None:
    before = json.loads(command("status", "-o", "json").out)
    assert {row["sync"] for row in before["bindings"]} == {"OutOfSync"}
    command("apply", "--yes")
    ran = command("status")
    assert ran.code == errors.SUCCESS
    assert ran.out.count("Synced  Healthy") == 4
    assert "2026-10" in ran.out


def test_verify_is_8_before_and_0_after(lab: Lab, command: Command) -> None:
    assert command("verify").code == errors.UNPROVED
    command("apply", "--yes")
    ran = command("verify", "-o", "json")
    assert ran.code == errors.SUCCESS
    assert all(proof["read_back"] for proof in json.loads(ran.out)["proofs"])


def test_verify_says_read_back_of_an_endpoint_whose_probe_was_refused(
    lab: Lab, command: Command
) -> None:
    command("apply", "--yes")
    lab.cloud.faults.script(Fault("rrs.execute", "status", times=9, status=400))
    ran = command("verify", "-t", "breast-cancer", "-o", "json")
    assert ran.code == errors.UNPROVED
    (proof,) = json.loads(ran.out)["proofs"]
    assert (proof["read_back"], proof["proved"]) == (True, False)
    assert proof["health"]["code"] == "Unknown"


def test_an_export_can_be_planned_against_without_any_credential(
    lab: Lab, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    command("apply", "--yes")
    assert command("export", "--out", "exports").code == errors.SUCCESS
    names = sorted(path.name for path in (tmp_path / "exports").iterdir())
    assert names[0] == "breast-cancer.json"
    lab.close()
    for name in lab.environ:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RECONCILER_EMULATOR", lab.url)
    assert command("plan", "--live", "exports", "--detailed-exitcode").code == errors.SUCCESS
    lab.edit("breast-cancer.yaml", "2026-10", "2026-11")
    ran = command("plan", "--live", "exports", "--detailed-exitcode")
    assert ran.code == errors.CHANGES
    assert "2026-10 → 2026-11" in ran.out
    one = command("plan", "--live", "exports/breast-cancer.json", "-o", "json")
    assert [change["name"] for change in json.loads(one.out)["changes"]] == ["breast-cancer"]


def test_an_export_prints_one_document_and_no_secret(lab: Lab, command: Command) -> None:
    ran = command("export", "breast-cancer")
    document = json.loads(ran.out)
    assert document["$reconciler"]["name"] == "breast-cancer"
    assert document["$reconciler"]["readOnly"] == ["id", "name", "type"]
    assert "properties" in document
    everything = command("export")
    assert len(json.loads(everything.out)) == 4
    for secret in lab.environ.values():
        assert secret == lab.url or secret not in everything.out
    for service in lab.cloud.world.classic.values():
        for endpoint in service.endpoints.values():
            for key in endpoint.keys.values():
                assert key not in everything.out
    assert "MII" not in everything.out


BAD_EXPORTS = [
    ("not json", "{", "not JSON", errors.CONFIGURATION),
    ("a list", "[]", "it is no JSON object", errors.CONFIGURATION),
    ("not a definition", "{}", "not a web service definition", errors.REFUSED),
    (
        "a training service",
        '{"properties": {"assets": {"a": {"name": "Train Model", "type": "Module", '
        '"locationInfo": {"uri": "aml://module/x"}}}}}',
        "no asset is named",
        errors.REFUSED,
    ),
    (
        "read-only",
        '{"properties": {"readOnly": true, "assets": {"a": {"name": '
        '"Breast Cancer [trained model]", "type": "Resource", '
        '"locationInfo": {"uri": "https://a.blob.core.windows.net/c/m.ilearner"}}}}}',
        "readOnly",
        errors.REFUSED,
    ),
]


@pytest.mark.parametrize(("text", "said", "code"), [r[1:] for r in BAD_EXPORTS], ids=[r[0] for r in BAD_EXPORTS])  # fmt: skip
def test_a_bad_export_is_refused_with_its_reason(
    lab: Lab, command: Command, tmp_path: Path, text: str, said: str, code: int
) -> None:
    (tmp_path / "breast-cancer.json").write_text(text)
    ran = command("plan", "--live", "breast-cancer.json")
    assert ran.code == code
    assert said in ran.out + ran.err


def test_version_and_help_are_exit_0(command: Command) -> None:
    assert command("--version").code == errors.SUCCESS
    assert command("--help").code == errors.SUCCESS


def test_a_plan_file_approves_what_it_says_and_nothing_else(lab: Lab, command: Command) -> None:
    command("plan", "--out", "plan.json")
    lab.edit("breast-cancer.yaml", "2026-10", "2026-11")
    ran = command("apply", "plan.json")
    assert ran.code == errors.STALE
    assert "breast-cancer: approved was: train 62c0e778….ilearner → 2026-10" in ran.err
    assert "now it would be: train 62c0e778….ilearner → 2026-11" in ran.err
    assert "diabetes" not in ran.err.split("unchanged.")[-1]
    lab.edit("breast-cancer.yaml", "2026-11", "2026-10")
    assert command("apply", "plan.json").code == errors.SUCCESS


def test_a_plan_file_lets_later_stages_of_the_same_work_go_on(lab: Lab, command: Command) -> None:
    command("plan", "--out", "plan.json")
    lab.edit("diabetes.yaml", "endpoint: young", "endpoint: nowhere")
    command("apply", "--yes")
    lab.edit("diabetes.yaml", "endpoint: nowhere", "endpoint: young")
    ran = command("apply", "plan.json")
    assert ran.code == errors.SUCCESS
    assert "1 changed" in ran.out


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema": "reconciler/plan/v1"}'])
def test_a_file_that_is_no_plan_is_refused(
    lab: Lab, command: Command, tmp_path: Path, text: str
) -> None:
    (tmp_path / "plan.json").write_text(text)
    ran = command("apply", "plan.json")
    assert ran.code == errors.CONFIGURATION
    assert "plan.json: not a plan that `plan --out` wrote" in ran.err


def test_a_plan_in_the_place_of_its_file_is_no_bug_of_ours(lab: Lab, command: Command) -> None:
    ran = command("apply", "{" * 300)
    assert ran.code == errors.CONFIGURATION
    assert "cannot be read: File name too long; `reconciler plan --out` writes one" in ran.err


def test_an_environment_works_while_another_one_is_wrong_or_empty(
    lab: Lab, command: Command
) -> None:
    text = (lab.services / "local/environment.yaml").read_text()
    (lab.services / "next").mkdir()
    other = lab.services / "next/environment.yaml"
    other.write_text(text.replace("name: local", "name: next"))
    assert command("validate").err == "local: 4 bindings are valid\nnext: 0 bindings are valid\n"
    for arguments in (["plan"], ["status"], ["verify"], ["drift"], ["apply", "--yes"], ["export"]):
        assert command(*arguments, "-e", "next").code == errors.SUCCESS
    other.write_text(text.replace("name: local", "name: next").replace("mllocal", "ML"))
    for arguments in (["plan", "-e", "local"], ["status", "-e", "local"]):
        assert command(*arguments).code in (errors.SUCCESS, errors.REFUSED)
    for arguments in (["plan", "-e", "next"], ["plan"], ["validate"]):
        ran = command(*arguments)
        assert (ran.code, "next/environment.yaml:" in ran.err) == (errors.CONFIGURATION, True)


def test_validate_counts_what_for_each_makes(lab: Lab, command: Command) -> None:
    lab.edit(
        "breast-cancer.yaml",
        "metadata: {name: breast-cancer, ",
        'forEach: {n: {from: "1", to: "1200"}}\nmetadata: {name: "breast-cancer-${n}", ',
    )
    lab.edit("breast-cancer.yaml", "breast-cancer-predictive", '"breast-cancer-${n}"')
    ran = command("validate")
    assert ran.err == "local: 1,203 bindings are valid, 1,200 of them made by forEach\n"


def test_a_region_that_azure_does_not_know_is_said_before_anything_is_asked(
    lab: Lab, command: Command
) -> None:
    lab.edit("environment.yaml", "cloud: emulator", "cloud: azure")
    lab.edit("environment.yaml", "region: southcentralus", "region: nowhere")
    ran = command("validate")
    assert ran.code == errors.CONFIGURATION
    assert (
        "services/local/environment.yaml:18:15: 'nowhere' is not a region with Classic" in ran.err
    )


def test_the_schema_is_printed_or_written_for_editors(
    lab: Lab, command: Command, tmp_path: Path
) -> None:
    printed = command("schema")
    assert printed.code == errors.SUCCESS
    assert "forEach" in json.loads(printed.out)["properties"]
    assert command("schema", "--out", "schemas/x.json").code == errors.SUCCESS
    assert (tmp_path / "schemas/x.json").read_text() == printed.out
