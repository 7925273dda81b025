"""`doctor`: each known failure is found before anything is spent, with its place and its fix."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from reconciler import errors
from reconciler.ci.checks import workflow_checks
from reconciler.cli import doctor
from reconciler.engine import swap
from reconciler.model import Check, Level
from reconciler.render.checkup import folded
from reconciler.stores.folder import FolderStore
from tests.cli.test_safety import writes

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ran
    from tests.lab import Lab

    Command = Callable[..., Ran]

HOME = Path("services/home")
SCHEMA = Path(__file__).parent.parent.parent / "schemas" / "checkup.schema.json"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> Command:
    """The sample of this machine, committed; the command runs there, and `python` is this one."""
    monkeypatch.chdir(tmp_path)
    here = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{here}{os.pathsep}{os.environ['PATH']}")
    subprocess.run(["git", "init", "-q"], check=True)
    assert command("init", "--platform", "local", "--example").code == errors.SUCCESS
    commit = ["-c", "user.name=x", "-c", "user.email=x@y", "commit", "-qm", "first"]
    for arguments in (["add", "-A"], commit):
        subprocess.run(["git", *arguments], check=True)
    return command


def edit(name: str, old: str, new: str, *, once: bool = False) -> None:
    path = HOME / name
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1 if once else -1), "utf-8")


def wrong(ran: Ran, level: str = "error") -> dict[str, dict[str, Any]]:
    """The findings of a level, by what they are about."""
    found = json.loads(ran.out)
    jsonschema.validate(found, json.loads(SCHEMA.read_text("utf-8")))
    return {check["what"]: check for check in found["checks"] if check["level"] == level}


def test_a_sample_is_healthy_and_nothing_is_written(home: Command) -> None:
    before = {
        path: path.stat().st_mtime_ns for path in Path().rglob("*") if ".git" not in path.parts
    }
    ran = home("doctor")
    assert ran.code == errors.SUCCESS, ran.out
    assert "all fine." in ran.out
    assert {p: p.stat().st_mtime_ns for p in Path().rglob("*") if ".git" not in p.parts} == before


def break_yaml() -> None:
    edit("wine.yaml", "command:", "comand:")


def break_program() -> None:
    edit("wine.yaml", "command: python", "command: no-such-program")


def break_module() -> None:
    edit("training/train.py", "import ", "import no_such_module.inside\nimport ", once=True)


def break_script() -> None:
    (HOME / "training" / "train.py").write_text("def :", "utf-8")


def break_input() -> None:
    (HOME / "data/2026-10.csv").unlink()


def break_store() -> None:
    shutil.rmtree(HOME / ".reconciler")


def break_columns() -> None:
    edit(
        "wine.yaml", "    parameters:", "    columns: {train: [proline, alcohole]}\n    parameters:"
    )


def empty_input() -> None:
    (HOME / "data/2026-10.csv").write_bytes(b"")


def zip_input() -> None:
    (HOME / "data/2026-10.csv").write_bytes(b"PK\x03\x04\x14\x00\xff\xfe")


def break_data() -> None:
    edit("environment.yaml", "data: data", "data: dat")


def break_secret() -> None:
    text = "  store: {url: s3://acme/models, key: env:NO_SUCH_KEY}"
    edit("environment.yaml", "  store: .reconciler", text)
    edit("environment.yaml", "  local: {}", "  local: {jobs: jobs}")


@pytest.mark.parametrize(
    ("spoil", "what", "message", "place"),
    [
        (break_yaml, "configuration", "did you mean", HOME / "wine.yaml"),
        (break_program, "program", "no program no-such-program", HOME / "wine.yaml"),
        (break_module, "modules", "train.py imports no_such_module, which", HOME / "wine.yaml"),
        (break_script, "modules", "cannot be read as Python", HOME / "wine.yaml"),
        (break_input, "endpoint", "2026-10.csv is not in", HOME / "wine.yaml"),
        (break_columns, "endpoint", 'no column "alcohole"; did you mean', HOME / "wine.yaml"),
        (empty_input, "data", "2026-10.csv: it is empty", HOME / "wine.yaml"),
        (zip_input, "data", "it is not a table of text", HOME / "wine.yaml"),
        (break_store, "store", "mkdir -p", None),
        (break_data, "data", "mkdir -p", None),
        (break_secret, "secrets", "NO_SUCH_KEY is not set", HOME / "environment.yaml"),
    ],
)
def test_what_would_fail_a_run_is_found(
    home: Command, spoil: Callable[[], None], what: str, message: str, place: Path | None
) -> None:
    spoil()
    ran = home("doctor", "-o", "json")
    assert ran.code == errors.ERROR
    found = wrong(ran)[what]
    assert message in found["message"]
    assert found["source"]["path"] == (str(place) if place else "")
    assert home("doctor").code == errors.ERROR
    assert f"| ✗ {what} |" in home("doctor", "-o", "markdown").out


def test_data_unlike_that_of_the_serving_version_is_a_warning(
    home: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swap, "COLD_START_S", 0.0)  # no server comes, however long one waits
    assert home("apply", "--yes").code == errors.UNPROVED
    edit("wine.yaml", '"2026-10"', '"2026-11"')
    edit("data/2026-11.csv", "alcohol,malic_acid", "alcohol,acid", once=True)
    data = wrong(home("doctor", "-o", "json"), "warning")["data"]
    lost = 'it lacks "malic_acid" and has the new "acid"'
    assert data["message"] == f"2026-11.csv: unlike the data of the version that serves, {lost}"


def test_a_plan_refuses_to_train_on_a_table_without_a_declared_column(home: Command) -> None:
    break_columns()
    ran = home("plan", "-o", "json")
    (change,) = json.loads(ran.out)["changes"]
    assert change["action"] == "BLOCK"
    assert 'input train: 2026-10.csv: it has no column "alcohole"' in change["why"]
    edit("wine.yaml", 'train: "${version}.csv"', 'train: "${version}.csv", more: 2026-11.csv')
    (change,) = json.loads(home("plan", "-o", "json").out)["changes"]
    assert "input train" in change["why"], "each input is looked at, not only the last"
    edit("wine.yaml", "alcohole", "alcohol")
    edit("wine.yaml", ", more: 2026-11.csv", "")
    (change,) = json.loads(home("plan", "-o", "json").out)["changes"]
    assert change["action"] == "CREATE"


def test_a_job_shows_findings_on_their_lines_and_counts_them(
    home: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    for variable in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    break_input()
    ran = home("doctor")
    assert "::error file=services/home/wine.yaml,line=20" in ran.err
    assert '"error": 1' in (tmp_path / "GITHUB_OUTPUT").read_text()
    assert "## Doctor: home" in (tmp_path / "GITHUB_STEP_SUMMARY").read_text()


def test_a_freeze_in_which_a_run_would_be_refused_is_a_warning(home: Command) -> None:
    edit("environment.yaml", "spec:\n", 'spec:\n  freeze: [{cron: "* * * * *", for: 1h}]\n')
    ran = home("doctor", "-o", "json")
    assert wrong(ran, "warning")["freeze"]["message"].startswith("frozen until 20")


def test_a_webhook_that_could_not_be_told_is_a_warning(
    home: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit("environment.yaml", "spec:\n", "spec:\n  notify: {url: env:ALERTS_URL}\n")
    monkeypatch.setenv("ALERTS_URL", "https://hooks.example/a-word-that-opens-it")
    ran = home("doctor", "-o", "json")
    assert "add it to RECONCILER_ORIGINS" in wrong(ran, "warning")["notify"]["message"]
    assert "a-word-that-opens-it" not in ran.out + ran.err
    monkeypatch.delenv("ALERTS_URL")
    ran = home("doctor", "-o", "json")
    assert "ALERTS_URL is not set" in wrong(ran, "warning")["notify"]["message"]


def test_a_folder_with_the_name_of_a_file_is_no_file(home: Command) -> None:
    (HOME / "old.yaml").mkdir()
    Path("schemas/reconciler.schema.json").write_bytes(b"\xff")
    ran = home("doctor", "-o", "json")
    assert (ran.code, "another version" in wrong(ran, "warning")["schema"]["message"]) == (0, True)


def test_a_schema_of_another_version_is_a_warning_with_its_fix(home: Command) -> None:
    Path("schemas/reconciler.schema.json").write_text("{}")
    ran = home("doctor", "-o", "json")
    assert ran.code == errors.SUCCESS
    fix = wrong(ran, "warning")["schema"]["fix"]
    assert fix == "reconciler schema --out schemas/reconciler.schema.json"
    assert home(*fix.split()[1:]).code == errors.SUCCESS
    assert "schema" not in wrong(home("doctor", "-o", "json"), "warning")


def test_a_schema_outside_of_the_repository_is_moved_into_it(home: Command) -> None:
    outside = "../../../schemas/reconciler.schema.json"
    edit("environment.yaml", "../../schemas/reconciler.schema.json", outside)
    fix = wrong(home("doctor", "-o", "json"), "warning")["schema"]["fix"]
    line, _, command = fix.removeprefix("write $schema=").partition(", and run: reconciler ")
    edit("environment.yaml", outside, line)
    assert home(*command.split()).code == errors.SUCCESS
    assert "schema" not in wrong(home("doctor", "-o", "json"), "warning")


def test_a_job_that_lacks_a_permission_is_found(home: Command) -> None:
    action = f"acme/reconciler@{'a' * 40}"
    home("init", "--platform", "local", "--example", "--ci", "github", "--action", action)
    ran = home("doctor", "-o", "json")
    assert ran.code == errors.SUCCESS, ran.out
    plan = Path(".github/workflows/plan.yml")
    text = plan.read_text("utf-8")
    plan.write_text(text.replace("pull-requests: write", "pull-requests: read"), "utf-8")
    drift = Path(".github/workflows/drift.yml")
    drift.write_text(drift.read_text("utf-8").replace("a" * 40, "b" * 40), "utf-8")
    ran = home("doctor", "-o", "json")
    assert ran.code == errors.ERROR
    assert "needs `pull-requests: write`" in wrong(ran)["workflows"]["message"]
    assert "different commits" in wrong(ran, "warning")["workflows"]["message"]


def test_a_job_that_signs_in_by_its_token_must_be_given_one(home: Command) -> None:
    action = f"acme/reconciler@{'a' * 40}"
    home("init", "--platform", "local", "--example", "--ci", "github", "--action", action)
    edit("environment.yaml", "  data: data", "  data: {url: az://acme/data, auth: github-oidc}")
    assert "workflows" not in wrong(home("doctor", "-o", "json"))
    for path in Path(".github/workflows").glob("*.yml"):
        path.write_text(path.read_text("utf-8").replace("id-token: write", "id-token: none"))
    found = wrong(home("doctor", "-o", "json"))["workflows"]
    assert "which needs `id-token: write`" in found["message"]
    edit("environment.yaml", "github-oidc", "client-secret")
    assert "workflows" not in wrong(home("doctor", "-o", "json"))


@pytest.mark.parametrize(
    ("permissions", "environment", "lacks"),
    [("", "prod", True), ("", "", False), ("permissions: write-all", "prod", False)],
)
def test_a_job_without_permissions_may_not_sign_in_by_its_token(
    tmp_path: Path, permissions: str, environment: str, lacks: bool
) -> None:
    uses = (
        f"{{uses: acme/reconciler/.github/actions/reconcile@{'a' * 40}, with: {{command: plan}}}}"
    )
    text = f"{permissions}\njobs:\n  plan:\n    steps: [{uses}]\n"
    (tmp_path / "plan.yml").write_text(text, encoding="utf-8")
    found = [c.message for c in workflow_checks(tmp_path, environment) if c.level is Level.ERROR]
    assert found == (["the job plan runs `plan`, which needs `id-token: write`"] if lacks else [])


def test_a_folder_that_this_user_may_not_write_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FolderStore(tmp_path / "not" / "there")
    assert store.why_not_writable() == ""
    monkeypatch.setattr("reconciler.stores.folder.os.access", lambda *_: False)
    assert f"cannot write to {tmp_path}" in store.why_not_writable()


# --- with a server -----------------------------------------------------------------------------


def test_a_cloud_is_asked_only_by_reads_and_probes(lab: Lab, command: Command) -> None:
    ran = command("doctor")
    assert writes(lab) == []
    assert "clock" in ran.out
    assert ran.code == errors.SUCCESS, ran.out


def test_a_probe_that_no_proof_could_pass_is_found_before_any_training(
    lab: Lab, command: Command
) -> None:
    lab.edit("breast-cancer.yaml", "columns: [Scored Labels]", "columns: [Scored Lables]")
    ran = command("doctor", "-o", "json")
    assert ran.code == errors.ERROR
    found = wrong(ran)["probe"]
    assert 'did you mean "Scored Labels"?' in found["message"]
    assert found["names"] == ["breast-cancer"]
    assert found["source"]["path"] == "services/local/breast-cancer.yaml"


def test_a_key_that_opens_no_training_service_is_found(
    lab: Lab, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_DIABETES_TRAINING_KEY", "bm90IHRoZSBrZXk=")
    ran = command("doctor", "-o", "json")
    assert ran.code == errors.ERROR
    assert set(wrong(ran)) == {"engine studio/diabetes-training"}
    assert "bm90IHRoZSBrZXk" not in ran.out + ran.err


def test_clocks_that_differ_by_more_than_a_minute_are_said(
    lab: Lab, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for late_s, level in ((120, "warning"), (7200, "error")):
        late = SimpleNamespace(time=lambda late_s=late_s: time.time() + late_s)
        monkeypatch.setattr(doctor, "time", late)
        assert "ahead of" in wrong(command("doctor", "-o", "json"), level)["clock"]["message"]


def test_without_one_secret_all_else_is_looked_at(lab: Lab, command: Command) -> None:
    other = "  ray: {url: http://127.0.0.1:9, token: env:NO_TOKEN}\n  studio:"
    lab.edit("environment.yaml", "  studio:", other)
    (lab.services / "local" / "app.yaml").write_text(
        "apiVersion: reconciler/v1\nkind: ServeApplication\nmetadata: {name: app}\n"
        "spec:\n  application: app\n  importPath: app:app\n"
        '  model: {name: diabetes, version: "2026-10", with: {slice: young}}\n',
        "utf-8",
    )
    lab.edit("breast-cancer.yaml", "columns: [Scored Labels]", "columns: [Scored Lables]")
    ran = command("doctor", "-o", "json")
    assert ran.code == errors.ERROR, ran.err
    assert "NO_TOKEN is not set" in wrong(ran)["secrets"]["message"]
    assert wrong(ran)["probe"]["names"] == ["breast-cancer"]
    assert writes(lab) == []


def test_a_server_that_no_secret_is_bound_to_is_found_without_asking_it(
    home: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    home("init", "other", "--platform", "mlflow")
    environment = Path("other/services/registry/environment.yaml")
    text = environment.read_text("utf-8").replace("http://127.0.0.1:5000", "https://mlflow.invalid")
    environment.write_text(text.replace("# token:", "token:"), "utf-8")
    monkeypatch.setenv("MLFLOW_TOKEN", "a-token-of-mlflow")
    ran = home("doctor", "-f", "other/services", "-o", "json")
    assert ran.code == errors.ERROR
    assert "RECONCILER_ORIGINS" in wrong(ran)["platform mlflow"]["message"]
    assert "a-token-of-mlflow" not in ran.out + ran.err


def test_a_platform_that_does_not_answer_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a-token-of-this-test")
    assert command("init", "--platform", "ray", "--example").code == errors.SUCCESS
    environment = Path("services/ray/environment.yaml")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nobody listens there
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        text = environment.read_text("utf-8").replace("http://127.0.0.1:8265", url)
        environment.write_text(text, "utf-8")
        ran = command("doctor", "-o", "json")
    assert ran.code == errors.ERROR
    assert list(wrong(ran)) == ["platform ray"]
    assert url in wrong(ran)["platform ray"]["message"]


def test_only_what_a_platform_or_a_store_keeps_from_being_read_is_left_out() -> None:
    gone = Check("platform ray", Level.ERROR, "it is gone")
    data = Check("data", Level.ERROR, "data/x.csv: it is gone", names=("x",))
    endpoint = Check("endpoint", Level.ERROR, "asking for x: it is gone", names=("x",))
    other = Check("endpoint", Level.ERROR, "it is gone, and was never ours", names=("y",))
    assert folded([gone, data, endpoint, other]) == (gone, data, other)
