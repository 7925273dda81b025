"""Under GitHub Actions: errors on lines, a page in the summary of the job, outputs of the step."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler import errors
from reconciler.ci.job import MOST_SUMMARY_BYTES
from reconciler.ci.outputs import OUTPUTS, outputs_text
from reconciler.cli import applying
from reconciler.emulator import Fault
from reconciler.outcome import Outcome
from tests.cli.test_commands import BAD_EXPORTS
from tests.render.test_sarif import checked
from tests.runner import Said, commands, outputs
from tests.secrets.test_canaries import COMMANDS, Wiretap, leaks, written

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ran
    from tests.lab import Lab

    Command = Callable[..., Ran]


@dataclass
class Step:
    """The step of a job: where its page and its outputs go, and what it told the runner."""

    folder: Path
    command: Command

    @property
    def page(self) -> str:
        return (self.folder / "summary.md").read_text(encoding="utf-8")

    @property
    def outputs(self) -> dict[str, str]:
        return outputs((self.folder / "output").read_text(encoding="utf-8"))

    def run(self, *arguments: str) -> tuple[Ran, list[Said]]:
        """What a new step prints, and what the runner obeys of it."""
        for name in ("summary.md", "output"):
            (self.folder / name).write_text("")
        ran = self.command(*arguments)
        return ran, commands(ran.out) + commands(ran.err)


@pytest.fixture
def step(lab: Lab, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Step:
    folder = tmp_path / "_runner"
    folder.mkdir()
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(folder / "summary.md"))
    monkeypatch.setenv("GITHUB_OUTPUT", str(folder / "output"))
    return Step(folder, command)


def many(lab: Lab, files: int) -> None:
    """Files with one mistake each, in line 4."""
    for number in range(files):
        text = (
            f"apiVersion: reconciler/v1\nkind: Model\nmetadata: {{name: m{number}}}\nspeck: {{}}\n"
        )
        (lab.services / "local" / f"m{number:02}.yaml").write_text(text + "spec: {}\n")


# --- errors on lines ---------------------------------------------------------------------------


def test_nothing_wrong_says_nothing_to_the_runner(step: Step) -> None:
    ran, said = step.run("validate")
    assert (ran.code, said) == (errors.SUCCESS, [])


def test_a_mistake_is_an_error_on_its_line(lab: Lab, step: Step) -> None:
    lab.edit("breast-cancer.yaml", 'version: "2026-10"', "version: 4")
    ran, (said,) = step.run("validate")
    lines = (lab.services / "local/breast-cancer.yaml").read_text().splitlines()
    line = 1 + next(n for n, text in enumerate(lines) if "version: 4" in text)
    assert ran.code == errors.CONFIGURATION
    assert said.name == "error"
    assert said.properties == {
        "file": "services/local/breast-cancer.yaml",
        "line": str(line),
        "col": str(lines[line - 1].index("4") + 1),
        "title": "Not a value that the schema allows",
    }
    assert 'write "4"' in said.data
    assert f"breast-cancer.yaml:{line}:" in ran.err, "people read the log too"


@pytest.mark.parametrize("odd", ["\xa0", "\xad", "\u200b", "👩\u200d💻"])
def test_an_error_names_the_real_path_whatever_is_printed(lab: Lab, step: Step, odd: str) -> None:
    folder = lab.services / "local" / f"Kunden{odd}Süd"
    folder.mkdir()
    (lab.services / "local/breast-cancer.yaml").rename(folder / "breast-cancer.yaml")
    _, (said,) = step.run("validate")
    assert said.properties["file"] == f"services/local/{folder.name}/breast-cancer.yaml"


def test_outside_of_actions_the_runner_is_told_nothing(
    lab: Lab, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    many(lab, 1)
    assert "::error" not in command("validate").err


@pytest.mark.parametrize("where", ["below", "absolute", "linked"])
def test_paths_are_those_from_the_root_of_the_repository(
    lab: Lab, step: Step, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    many(lab, 1)
    folder = "../services"
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    if where == "absolute":
        folder = str(lab.services)
    if where == "linked":
        (tmp_path / "link").symlink_to(tmp_path)
        monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path / "link"))
    _, said = step.run("validate", "-f", folder)
    assert {each.properties["file"] for each in said} == {"services/local/m00.yaml"}


def test_ten_are_shown_and_the_rest_is_in_the_summary(lab: Lab, step: Step) -> None:
    many(lab, 12)
    ran, said = step.run("validate")
    assert len(said) == 10
    assert "more errors are in the summary of the job" in ran.err
    for number in range(12):
        assert f"m{number:02}.yaml:" in step.page


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=x", "-c", "user.email=x@localhost", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def base(lab: Lab, tmp_path: Path) -> str:
    """A commit with twelve mistakes; the last two files are changed after it."""
    many(lab, 12)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "services")
    git(tmp_path, "commit", "-qm", "before")
    for name in ("m10.yaml", "m11.yaml"):
        path = lab.services / "local" / name
        path.write_text(path.read_text().replace("speck: {}", "speck: {x: 1}"))
    return git(tmp_path, "rev-parse", "HEAD")


@pytest.mark.parametrize(
    "event",
    [
        lambda base: {"pull_request": {"base": {"sha": base}}},
        lambda base: {"merge_group": {"base_sha": base}},
        lambda base: {"before": base},
    ],
)
def test_changed_lines_come_first(
    step: Step, base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, event: Callable[[str], object]
) -> None:  # fmt: skip
    (tmp_path / "event.json").write_text(json.dumps(event(base)))
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(tmp_path / "event.json"))
    _, said = step.run("validate")
    first = {(each.properties["file"], each.properties["line"]) for each in said[:2]}
    assert first == {("services/local/m10.yaml", "4"), ("services/local/m11.yaml", "4")}
    assert said[2].properties["file"] == "services/local/m00.yaml"


NO_BASE = ["", "[]", "{", "{}", '{"before": "--output=x"}', '{"before": 4}']
NO_BASE += ['{"pull_request": {"base": 1}}', json.dumps({"before": "0" * 40})]


@pytest.mark.parametrize("event", NO_BASE)
def test_without_a_base_they_come_in_their_order(
    step: Step, base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, event: str
) -> None:
    (tmp_path / "event.json").write_text(event)
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(tmp_path / "event.json"))
    _, said = step.run("validate")
    assert said[0].properties["file"] == "services/local/m00.yaml"
    assert not (tmp_path / "x").exists()


def test_a_refusal_is_an_error_where_the_binding_is_written(lab: Lab, step: Step) -> None:
    lab.edit("diabetes.yaml", "endpoint: young", "endpoint: default")
    ran, (said,) = step.run("plan", "-o", "json")
    source = next(c["source"] for c in json.loads(ran.out)["changes"] if c["action"] == "BLOCK")
    assert ran.code == errors.REFUSED
    assert said.properties["line"] == str(source["line"])
    assert said.properties["title"] == "diabetes-young: refused: default_endpoint"


def test_what_has_no_line_is_an_error_all_the_same(step: Step) -> None:
    _, (said,) = step.run("apply", "--expect", "0" * 12)
    assert said.properties == {"title": "not the approved plan"}
    assert "approved 000000000000" in said.data


def test_failures_and_lost_proofs_are_errors_where_the_bindings_are_written(
    lab: Lab, step: Step
) -> None:
    lab.edit("diabetes.yaml", "endpoint: young", "endpoint: nowhere")
    ran, (said,) = step.run("apply", "--yes")
    assert ran.code == errors.PARTIAL
    assert said.properties["title"] == "diabetes-young: failed"
    assert said.properties["file"] == "services/local/diabetes.yaml"
    _, (said,) = step.run("verify")
    assert said.properties["title"] == "diabetes-young: not proved"
    assert said.properties["file"] == "services/local/diabetes.yaml"


def test_a_bug_is_an_error(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applying, "apply_now", lambda *_: 1 / 0)
    ran, (said,) = step.run("apply", "--yes")
    assert (ran.code, said.properties["title"]) == (errors.BUG, "a bug of ours")


# --- no text is a command ----------------------------------------------------------------------

HOSTILE = "x ::error::pwned ##[error]pwned\\n::stop-commands::pwned\\r##[add-mask]pwned"


def pwned(said: list[Said]) -> list[Said]:
    """What the runner obeys and this program did not mean."""
    return [each for each in said if each.name != "error" or each.data.startswith("pwned")]


@pytest.mark.parametrize("output", ["text", "json", "markdown"])
@pytest.mark.parametrize("filling", range(0, 20, 4))
def test_no_text_of_a_service_is_a_command(lab: Lab, step: Step, output: str, filling: int) -> None:
    said = f"{'x' * filling} ::error::pwned ##[error]pwned\n::warning::pwned"
    body = json.dumps({"error": {"code": "##[error]pwned", "message": said, "details": []}})
    lab.cloud.faults.script(Fault("arm.get", "status", times=100, status=400, body=body))
    ran, heard = step.run("plan", "-vv", "-o", output)
    assert "pwned" in ran.out
    assert pwned(heard) == []


def test_no_text_of_a_file_is_a_command(lab: Lab, step: Step) -> None:
    name = "services/local/::error::pwned##[error]pwned.yaml"
    (lab.services.parent / name).write_text(f'"{HOSTILE}": "{HOSTILE}"\n')
    ran, heard = step.run("validate")
    assert ran.code == errors.CONFIGURATION
    assert "pwned" in ran.err
    assert pwned(heard) == []


@pytest.mark.parametrize("text", [row[1] for row in BAD_EXPORTS])
def test_no_option_is_a_command(step: Step, tmp_path: Path, text: str) -> None:
    (tmp_path / "##[error]pwned.json").write_text(text)
    for arguments in (["plan", "--live", "##[error]pwned.json"], ["plan", "::error::pwned"]):
        _, heard = step.run(*arguments)
        assert pwned(heard) == []


def test_no_traceback_is_a_command(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("\n::error::pwned\n##[error]pwned")

    monkeypatch.setattr(applying, "apply_now", broken)
    ran, heard = step.run("apply", "--yes")
    assert "pwned" in ran.err
    assert pwned(heard) == []


# --- the page and the outputs ------------------------------------------------------------------


def test_each_command_has_its_page_and_its_outputs(lab: Lab, step: Step) -> None:
    step.run("validate")
    assert step.page == "## Desired state: valid\n\n- local: 4 bindings\n"
    assert step.outputs == {
        **dict.fromkeys(OUTPUTS, ""),
        "counts": '{"local": 4}',
        "refused": "false",
    }

    ran, _ = step.run("plan", "-o", "markdown", "--out", "plan.json")
    plan = json.loads(Path("plan.json").read_text())
    actions = ("noop", "wait", "create", "bind", "update", "train", "delete", "block")
    counts = dict.fromkeys(actions, 0)
    assert step.page == ran.out
    assert step.outputs == {
        "has-changes": "true",
        "plan-id": plan["digest"],
        "plan-file": "plan.json",
        "report-file": "",
        "html-file": "",
        "counts": json.dumps({**counts, "train": 4}),
        "refused": "false",
    }

    step.run("train", "--yes")
    assert step.outputs["has-changes"] == "true"
    assert json.loads(step.outputs["counts"])["bind"] == 4

    ran, _ = step.run("apply", "plan.json", "-o", "markdown", "--report", "report.json")
    assert step.page == ran.out
    assert step.outputs["report-file"] == "report.json"
    assert json.loads(step.outputs["counts"]) == {"changed": 4, "proved": 4, "failed": 0}
    assert (step.outputs["has-changes"], step.outputs["refused"]) == ("true", "false")

    ran, _ = step.run("verify", "-o", "markdown")
    assert step.page == ran.out
    assert step.outputs["counts"] == '{"proved": 4, "unproved": 0, "declared": 0}'
    assert step.outputs["has-changes"] == ""

    ran, _ = step.run("apply", "--yes", "-o", "markdown")
    assert (step.page, step.outputs["has-changes"]) == (ran.out, "false")
    for name in ("status", "history"):
        ran, _ = step.run(name, *["breast-cancer"] * (name == "history"), "-o", "markdown")
        assert step.page == ran.out


def test_a_roll_back_has_its_page_and_its_outputs(lab: Lab, step: Step) -> None:
    step.run("apply", "--yes")
    lab.edit("breast-cancer.yaml", "2026-10", "2026-11")
    step.run("apply", "--yes")
    ran, _ = step.run("rollback", "breast-cancer", "--yes", "-o", "markdown")
    assert (ran.code, step.page) == (errors.SUCCESS, ran.out)
    assert step.outputs["has-changes"] == "true"


def test_a_refusal_is_an_output_and_on_the_page(lab: Lab, step: Step) -> None:
    lab.edit("diabetes.yaml", "endpoint: young", "endpoint: default")
    step.run("plan")
    assert step.outputs["refused"] == "true"
    ran, _ = step.run("apply")
    assert (ran.code, step.outputs["refused"]) == (errors.REFUSED, "true")
    assert "no terminal to ask for approval" in step.page
    step.run("apply", "--yes")
    assert step.outputs["refused"] == "true"


def test_a_page_is_added_and_stays_short_enough(lab: Lab, step: Step, tmp_path: Path) -> None:
    many(lab, 3)
    step.run("validate")
    page = step.page
    step.command("validate")
    assert step.page == page * 2
    (tmp_path / "_runner/summary.md").write_text("x" * (MOST_SUMMARY_BYTES - 250))
    step.command("validate")
    assert "The rest is left out" in step.page
    assert len(step.page) <= MOST_SUMMARY_BYTES
    (tmp_path / "_runner/summary.md").write_text("x" * 2 * MOST_SUMMARY_BYTES)
    step.command("validate")
    assert step.page == "x" * 2 * MOST_SUMMARY_BYTES


@pytest.mark.parametrize("name", ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"])
@pytest.mark.parametrize("path", ["nowhere/file", "."])
def test_a_file_that_cannot_be_written_is_said_and_hides_no_exit_code(
    lab: Lab, step: Step, monkeypatch: pytest.MonkeyPatch, name: str, path: str
) -> None:
    monkeypatch.setenv(name, path)
    for arguments, code in [
        (["validate"], errors.CONFIGURATION),
        (["plan", "--detailed-exitcode"], errors.CHANGES),
        (["apply"], errors.REFUSED),
    ]:
        ran, _ = step.run(*arguments)
        assert ran.code == code
        assert f"error: {name}: {path} cannot be written: " in ran.err


def test_an_output_cannot_forge_another_one(step: Step) -> None:
    forged = "plan.json\nrefused<<x\nfalse\nx"
    step.run("plan", "--out", forged)
    assert step.outputs["plan-file"] == forged
    assert set(step.outputs) == set(OUTPUTS)


def test_the_end_of_an_output_cannot_be_guessed() -> None:
    """Whoever knew it could write it into a value, and outputs of their own behind it."""
    text = outputs_text(Outcome()) + outputs_text(Outcome())
    ends = re.findall(r"^[a-z-]+<<(\S+)$", text, re.MULTILINE)
    assert len(set(ends)) == len(ends) == 2 * len(OUTPUTS)
    assert all(re.search(r"[0-9a-f]{32}$", end) for end in ends)


def test_another_ci_that_names_the_files_has_them_too(
    step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS")
    _, said = step.run("plan")
    assert said == []
    assert step.outputs["has-changes"] == "true"
    assert step.page


def test_no_secret_is_told_to_the_job(
    lab: Lab, step: Step, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tap = Wiretap(lab)
    texts = {}
    for arguments in COMMANDS:
        ran, _ = step.run(*arguments)
        texts[" ".join(arguments)] = ran.out + ran.err + step.page + repr(step.outputs)
    assert len(tap.secrets) > 30
    assert leaks(tap.secrets, texts | written(tmp_path)) == []


# --- SARIF -------------------------------------------------------------------------------------


def test_sarif_has_every_problem_with_its_rule(lab: Lab, step: Step, tmp_path: Path) -> None:
    many(lab, 12)
    without = "apiVersion: reconciler/v1\nkind: Model\nmetadata: {name: without}\n"
    (lab.services / "local" / "without.yaml").write_text(without)
    ran, _ = step.run("validate", "--sarif", "out/found.sarif")
    results = checked((tmp_path / "out/found.sarif").read_text())["results"]
    assert ran.code == errors.CONFIGURATION
    assert len(results) == sum(line.startswith("error: ") for line in ran.err.splitlines())
    assert {result["ruleId"] for result in results} == {"unknown-key", "missing-key"}


def test_sarif_of_a_valid_tree_is_empty(lab: Lab, command: Command, tmp_path: Path) -> None:
    assert command("validate", "--sarif", "found.sarif").code == errors.SUCCESS
    assert checked((tmp_path / "found.sarif").read_text())["results"] == []


def test_sarif_that_cannot_be_written_hides_no_problem(lab: Lab, command: Command) -> None:
    assert command("validate", "--sarif", "/dev/null/x").code == errors.CONFIGURATION
    many(lab, 1)
    ran = command("validate", "--sarif", "/dev/null/x")
    assert "m00.yaml:4:1: unknown key" in ran.err
    assert "/dev/null/x cannot be written" in ran.err


WRONG = {
    "file": ("x.yaml", ""),
    "for-each": ("diabetes.yaml", "{kind: ClassicEndpoint, forEach: {x: {file: none.csv}}}"),
    "invalid-value": ("x.yaml", "{apiVersion: 4, kind: Model, metadata: {name: x}, spec: {}}"),
    "missing-key": ("x.yaml", "{apiVersion: reconciler/v1, kind: Model, metadata: {name: x}}"),
    "secret": ("x.yaml", f"# AccountKey={'a' * 86}==\n"),
    "unknown-key": ("x.yaml", "{apiVersion: reconciler/v1, kind: Model, x: 1}"),
    "unresolved": ("environment.yaml", None),
    "yaml": ("x.yaml", "a: [\n"),
}


@pytest.mark.parametrize("rule", WRONG)
def test_each_rule_is_broken_by_its_example(
    lab: Lab, command: Command, tmp_path: Path, rule: str
) -> None:
    name, text = WRONG[rule]
    path = lab.services / "local" / name
    path.unlink(missing_ok=True) if text is None else path.write_text(text)
    command("validate", "--sarif", "found.sarif")
    results = checked((tmp_path / "found.sarif").read_text())["results"]
    assert rule in {result["ruleId"] for result in results}


def test_a_secret_that_is_not_set_is_an_error_where_it_is_named(
    step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOCAL_STORE_KEY")
    _, (said,) = step.run("plan")
    assert said.properties["title"] == "The variable of a secret is not set"
    assert said.properties["file"] == "services/local/environment.yaml"
