"""The engine `local`: one process per job, found again by whoever looks, started exactly once."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ConfigurationError, RefusedError, RejectedError, redact
from reconciler.platforms import contract
from reconciler.platforms.code import digest_of
from reconciler.platforms.commands import remember_secrets_of
from reconciler.platforms.contract import JobState
from reconciler.platforms.local.jobs import LocalJobs
from reconciler.stores.contract import Place

ROOT = Path(__file__).parent.parent.parent
STORE = "file:///store"
JOB = f"rc-{'ab' * 16}-{hashlib.sha256(STORE.encode()).hexdigest()[:8]}-a1"
GOOD = "open({outputs.model}, 'w').write('a model'); open({outputs.metrics}, 'w').write('[]')"


@dataclass
class Recipe:
    how: tuple[tuple[str, str], ...]
    parameters: tuple[tuple[str, str], ...] = ()
    code: str = ""
    folder: str = ""
    outputs: tuple[tuple[str, str], ...] = (("model", "m.bin"), ("metrics", "metrics.json"))


@dataclass
class Order:
    recipe: Recipe
    outputs: dict[str, Place]
    inputs: dict[str, Place] = field(default_factory=dict)
    key: str = "ab" * 32
    attempt: int = 1
    timeout_s: float = 60.0

    @property
    def job(self) -> str:
        return f"rc-{self.key[:32]}-a{self.attempt}"

    job_of = contract.Order.job_of


class World:
    """A folder for jobs, one for what they make, and one with code."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.jobs = LocalJobs(root / "jobs", STORE, 2)
        self.ran = root / "ran"
        (root / "store").mkdir()

    def order(self, program: str, **fields: Any) -> Order:
        """A job that notes that it ran, and then runs a program of Python."""
        for name in ("model", "metrics"):
            program = program.replace(f"{{outputs.{name}}}", f"'{{outputs.{name}}}'")
        code = f"open('{self.ran}', 'a').write('x'); {program}"
        outputs = {
            "model": Place((self.root / "store" / "churn" / "model.bin").as_uri()),
            "metrics": Place((self.root / "store" / "churn" / "metrics.json").as_uri()),
        }
        command = f'{sys.executable} -c "{code}"'
        return Order(Recipe((("command", command),)), outputs, **fields)

    def start(self, program: str, **fields: Any) -> str:
        order = self.order(program, **fields)
        job = self.jobs.prepare(order)
        self.jobs.start(job, order)
        return job

    def ended(self, job: str = JOB) -> Any:
        return until(lambda: seen if (seen := self.jobs.look(job)).state != "Running" else None)

    @property
    def times(self) -> int:
        return len(self.ran.read_text()) if self.ran.exists() else 0


def until(found: Any) -> Any:
    """What is found within half a minute."""
    for _ in range(3000):
        if value := found():
            return value
        time.sleep(0.01)
    raise AssertionError("nothing came")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_job_that_nobody_started_is_not_started(world: World) -> None:
    job = world.jobs.prepare(world.order(GOOD))
    assert job == JOB
    assert world.jobs.look(job).state is JobState.NOT_STARTED
    world.jobs.cancel(job)
    assert not (world.root / "jobs").exists()


def test_a_job_runs_and_its_outputs_are_where_they_belong(world: World) -> None:
    job = world.start(GOOD)
    seen = world.ended()
    assert seen.state is JobState.FINISHED
    model = world.root / "store" / "churn" / "model.bin"
    assert seen.outputs["model"] == Place(model.as_uri())
    assert model.read_text() == "a model"
    assert sorted(path.name for path in model.parent.iterdir()) == ["metrics.json", "model.bin"]
    assert world.jobs.log(job) == ""


def test_inputs_and_parameters_are_filled_in(world: World) -> None:
    data = world.root / "with a blank.csv"
    data.write_text("rows")
    order = world.order("")
    order.inputs = {"train": Place(data.as_uri())}
    program = "import sys, shutil; shutil.copy(sys.argv[1], sys.argv[3]); print(sys.argv)"
    command = (
        f'{sys.executable} -c "{program}" {{inputs.train}} c={{parameters.c}} {{outputs.model}}'
    )
    outputs = (("model", "m.bin"),)
    order.recipe = Recipe((("command", command),), (("c", "0.1"),), outputs=outputs)
    world.jobs.start(JOB, order)
    assert world.ended().state is JobState.FINISHED
    assert (world.root / "store" / "churn" / "model.bin").read_text() == "rows"
    assert "'c=0.1'" in world.jobs.log(JOB)


def test_a_command_does_not_get_the_secrets_of_the_environment(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE_KEY", "CANARY")
    monkeypatch.setenv("WANTED", "this")
    world.jobs = LocalJobs(world.root / "jobs", STORE, 1, ("WANTED",))
    world.start("import os; print(dict(os.environ)); exit(1)")
    message = world.ended().message
    assert "'WANTED': 'this'" in message
    assert "CANARY" not in message


# --- what can go wrong ----------------------------------------------------------------------


def test_a_variable_that_a_command_gets_is_in_no_file(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_TOKEN", "hub-3f9a77c2d1")
    world.jobs = LocalJobs(world.root / "jobs", STORE, 2, ("HUB_TOKEN",))
    world.start(f"import os; assert os.environ['HUB_TOKEN'][:4] == 'hub-'; {GOOD}")
    assert world.ended().state is JobState.FINISHED
    files = [path for path in world.root.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"hub-3f9a77c2d1" in path.read_bytes()]


def test_a_log_that_is_shown_has_no_secret(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_TOKEN", "hub-3f9a77c2d1")
    remember_secrets_of(("HUB_TOKEN",))
    world.start("print('hub-' + '3f9a77c2d1'); exit(1)")
    assert "its last lines: *** (all of" in world.ended().message


def test_a_variable_that_its_name_calls_secret_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_TOKEN", "hub-3f9a77c2d1")
    monkeypatch.setenv("HUB_HOME", "/a/folder/of/the/hub")
    remember_secrets_of(("HUB_TOKEN", "HUB_HOME", "HUB_PASSWORD"))
    assert redact("hub-3f9a77c2d1 in /a/folder/of/the/hub") == "*** in /a/folder/of/the/hub"


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("print('no such column: x'); exit(3)", "exit code 3; its last lines: no such column: x"),
        ("import os; os.kill(os.getpid(), 9)", "ended by SIGKILL"),
        ("pass", "ended well, but its model ({outputs.model}) was not written"),
        ("open({outputs.model}, 'w')", "ended well, but its model ({outputs.model}) is empty"),
        (
            "open({outputs.model}, 'w').write('x')",
            "its metrics ({outputs.metrics}) was not written",
        ),
    ],
)
def test_a_job_that_fails_says_why(world: World, program: str, why: str) -> None:
    world.start(program)
    seen = world.ended()
    assert seen.state is JobState.FAILED
    assert why in seen.message
    assert not (world.root / "store" / "churn").exists()


def test_a_job_that_takes_too_long_is_ended(world: World) -> None:
    world.start("import time; time.sleep(600)", timeout_s=0.5)
    seen = world.ended()
    assert (seen.state, seen.message) == (JobState.FAILED, "it did not end within 0.5 s")


@pytest.mark.parametrize(
    ("command", "error", "why"),
    [
        ("no-such-program", RefusedError, "the command no-such-program is not there"),
        ("./train.sh", RefusedError, r"the command ./train.sh is not there"),
        ("echo {inputs.x}", ConfigurationError, r'{inputs.x} stands for; declare "x" below inputs'),
    ],
)
def test_a_command_that_cannot_run_is_refused_before_there_is_a_job(
    world: World, command: str, error: type[Exception], why: str
) -> None:
    order = world.order("")
    order.recipe = Recipe((("command", command),))
    with pytest.raises(error, match=why.replace("{", r"\{")):
        world.jobs.prepare(order)


def test_a_folder_that_jobs_cannot_be_made_in_is_no_bug_of_ours(world: World) -> None:
    (world.root / "taken").write_text("a file")
    world.jobs = LocalJobs(world.root / "taken", STORE, 2)
    with pytest.raises(RejectedError, match=r"making job rc-.*: not a directory"):
        world.start(GOOD)


def test_what_is_not_a_file_is_refused(world: World) -> None:
    order = world.order(GOOD)
    order.outputs["model"] = Place("s3://models/churn/model.bin")
    with pytest.raises(
        RefusedError, match=r"reads and writes files, and s3://models/churn/model.bin"
    ):
        world.jobs.prepare(order)


def test_a_long_log_is_kept_and_its_end_is_shown(world: World) -> None:
    job = world.start("[print('line', n) for n in range(100000)]; exit(1)")
    log = world.root / "jobs" / job / "log"
    assert f"line 99998 | line 99999 (all of {log})" in world.ended().message
    assert len(world.jobs.log(job).splitlines()) == 10
    assert log.read_text().startswith("line 0\n")


# --- exactly once ---------------------------------------------------------------------------


def test_stores_that_share_a_folder_of_jobs_take_no_job_of_each_other_for_theirs(
    world: World,
) -> None:
    """A version that is promoted has one training key in both."""
    world.start(GOOD)
    other = LocalJobs(world.root / "jobs", "file:///production", 2)
    job = other.prepare(world.order(GOOD))
    assert other.look(job).state is JobState.NOT_STARTED
    other.start(job, world.order(GOOD))
    until(lambda: other.look(job).state is JobState.FINISHED)
    assert world.times == 2


def test_a_job_is_started_once_however_often_it_is_asked_for(world: World) -> None:
    order = world.order(GOOD)
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda _: LocalJobs(world.root / "jobs", STORE, 1).start(JOB, order),
                range(8),
            )
        )
    assert world.ended().state is JobState.FINISHED
    world.jobs.start(JOB, order)
    assert world.times == 1


START = """
    import os, pickle, sys
    from pathlib import Path
    from reconciler.platforms.local import jobs
    real = jobs.subprocess.run
    def run(*given, **how):
        if sys.argv[3] == "before":
            os.kill(os.getpid(), 9)
        real(*given, **how)
        os.kill(os.getpid(), 9)
    jobs.subprocess.run = run
    order = pickle.loads(bytes.fromhex(sys.argv[2]))
    jobs.LocalJobs(Path(sys.argv[1]) / "jobs", "", 1).start(sys.argv[4], order)
"""


@pytest.mark.parametrize(("moment", "state"), [("before", JobState.NOT_STARTED), ("after", "")])
def test_a_starter_that_is_killed_leaves_a_job_that_runs_once(
    world: World, moment: str, state: str
) -> None:
    import pickle

    order = world.order(GOOD)
    command = [sys.executable, "-c", textwrap.dedent(START), str(world.root)]
    process = subprocess.run(
        [*command, pickle.dumps(order).hex(), moment, JOB],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert process.returncode == -signal.SIGKILL
    if state:
        assert world.jobs.look(JOB).state is state
    world.jobs.start(JOB, order)
    assert world.ended().state is JobState.FINISHED
    assert world.times == 1


def killed(world: World, *whom: str) -> None:
    folder = world.root / "jobs" / JOB
    group = int(until(lambda: (folder / "group").exists() and (folder / "group").read_text()))
    until(lambda: world.times)
    if "command" in whom:
        os.killpg(group, signal.SIGSTOP)
    if "runner" in whom:
        os.kill(json.loads((folder / "started").read_text())["process"], signal.SIGKILL)
    if "command" in whom:
        os.killpg(group, signal.SIGKILL)


def test_a_job_whose_processes_were_killed_is_lost_and_never_run_again(world: World) -> None:
    world.start("import time; time.sleep(600)")
    assert world.jobs.look(JOB).state is JobState.RUNNING
    killed(world, "runner", "command")
    seen = world.ended()
    assert seen.state is JobState.FAILED
    assert seen.message.startswith("its process was killed, or the machine was restarted")
    world.jobs.start(JOB, world.order(GOOD))
    assert world.ended().state is JobState.FAILED
    assert world.times == 1


def test_a_command_that_outlives_its_runner_still_runs_and_can_be_cancelled(world: World) -> None:
    world.start("import time; time.sleep(600)")
    killed(world, "runner")
    time.sleep(0.1)
    assert world.jobs.look(JOB).state is JobState.RUNNING
    world.jobs.cancel(JOB)
    assert world.jobs.look(JOB).state is JobState.CANCELLED


def test_a_job_that_was_killed_at_its_very_start_can_be_cancelled(world: World) -> None:
    folder = world.root / "jobs" / JOB
    folder.mkdir(parents=True)
    for name in ("lock", "started"):  # the process was killed before it wrote more
        (folder / name).touch()
    assert world.jobs.look(JOB).state is JobState.FAILED
    world.jobs.cancel(JOB)
    assert world.jobs.look(JOB).state is JobState.CANCELLED


def test_cancel_ends_the_whole_group(world: World) -> None:
    script = "while true; do echo x >> child; sleep 0.05; done"
    world.start(f"import subprocess; subprocess.run(['sh', '-c', '{script}'])")
    child = world.root / "jobs" / JOB / "code" / "child"
    until(child.exists)
    world.jobs.cancel(JOB)
    seen = world.jobs.look(JOB)
    assert (seen.state, seen.message) == (JobState.CANCELLED, "cancelled")
    size = child.stat().st_size
    time.sleep(0.3)
    assert child.stat().st_size == size


def test_a_command_that_ignores_the_request_to_end_is_killed(world: World) -> None:
    program = "import signal, time; signal.signal(15, signal.SIG_IGN); print('on', flush=True); "
    world.start(f"{program}time.sleep(600)")
    until(lambda: world.jobs.log(JOB))
    world.jobs.cancel(JOB)
    assert world.jobs.look(JOB).state is JobState.CANCELLED


# --- code -----------------------------------------------------------------------------------


@pytest.fixture
def code(world: World) -> Path:
    folder = world.root / "training"
    folder.mkdir()
    (folder / "train.py").write_text("print(1)")
    return folder


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=t", "-c", "user.email=t")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def test_the_digest_is_of_what_git_tracks(code: Path) -> None:
    git(code, "init", "-q")
    git(code, "add", ".")
    before = digest_of(code)
    (code / "notes.txt").write_text("not tracked")
    assert digest_of(code) == before
    (code / "train.py").write_text("print(2)")
    changed = digest_of(code)
    (code / "train.py").rename(code / "other.py")
    with pytest.raises(ConfigurationError, match="is tracked by git and cannot be read"):
        digest_of(code)
    git(code, "add", "-A")
    assert len({before, changed, digest_of(code)}) == 3


def test_where_git_cannot_tell_what_it_tracks_there_is_no_digest(
    code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=code, check=True)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own tests do it so
    with pytest.raises(ConfigurationError, match="git: fatal: detected dubious ownership"):
        digest_of(code)


def test_a_worktree_whose_clone_is_gone_is_no_folder_without_git(code: Path) -> None:
    (code / ".git").write_text("gitdir: /nowhere\n")
    with pytest.raises(ConfigurationError, match="git: fatal: not a git repository: /nowhere"):
        digest_of(code)


def test_the_files_of_a_submodule_count_once_it_is_fetched(world: World, code: Path) -> None:
    library = world.root / "library"
    library.mkdir()
    (library / "lib.py").write_text("x = 1")
    for folder in (library, code):
        git(folder, "init", "-q")
        git(folder, "add", ".")
        git(folder, "commit", "-qm", "First")
    git(code, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(library), "lib")
    before = digest_of(code)
    (code / "lib" / "lib.py").write_text("x = 2")
    assert digest_of(code) != before
    git(code, "commit", "-qm", "Second")
    git(world.root, "clone", "-q", str(code), "other")
    with pytest.raises(ConfigurationError, match="lib is a submodule that is not fetched; fetch"):
        digest_of(world.root / "other")


def test_a_name_that_is_no_text_counts_as_it_is(code: Path) -> None:
    before = digest_of(code)
    Path(os.fsdecode(os.fsencode(code) + b"/_\xe9.py")).write_text("x")
    assert digest_of(code) != before


def test_without_git_the_digest_is_of_every_file_that_is_not_hidden(
    code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(code.parent))
    before = digest_of(code)
    (code / "__pycache__").mkdir()
    (code / "__pycache__" / "x.pyc").write_text("x")
    (code / ".hidden").write_text("x")
    assert digest_of(code) == before
    (code / "more.py").write_text("x")
    assert digest_of(code) != before


def test_a_job_runs_a_copy_of_the_code_that_was_planned(world: World, code: Path) -> None:
    program = "import sys; [open(path, 'w').write('made') for path in sys.argv[1:]]"
    (code / "train.py").write_text(program)
    order = world.order("")
    command = f"{sys.executable} train.py {{outputs.model}} {{outputs.metrics}}"
    order.recipe = Recipe((("command", command),), code=digest_of(code), folder=str(code))
    (code / "train.py").write_text("exit(1)")
    with pytest.raises(RefusedError, match="changed since this was planned"):
        world.jobs.start(JOB, order)
    (code / "train.py").write_text(program)
    world.jobs.start(JOB, order)
    assert world.ended().state is JobState.FINISHED


def test_a_folder_of_code_that_is_not_there_is_an_error(world: World) -> None:
    with pytest.raises(
        ConfigurationError, match=r"there is no folder .*correct the path of the code"
    ):
        digest_of(world.root / "nothing")
